//! Renders each request that `listen` received as a block of lines.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::time::Duration;

use super::body;
use super::text::{Role, Theme};
use crate::cdr::Fields;
use crate::cdr::account;
use crate::cdr::judge::{SEPARATOR, shown};
use crate::cdr::schema::Generation;
use crate::clock::{Timestamp, format_duration};
use crate::exchange::{Answer, Exchange, Forwarded};
use crate::listen::respond::is_probe;
use crate::net::{Header, compression, query, secret};
use crate::reply::reply_line;
use crate::untrusted::{beginning, clean};

pub fn exchange(exchange: &Exchange, theme: Theme, verbose: bool) -> String {
    if is_probe(&exchange.request) && exchange.answer.forwarded.is_none() && !verbose {
        return probe(exchange, theme);
    }
    let forwarded = exchange.answer.forwarded.as_ref();
    let forwarded = forwarded.map(|forwarded| passed_on(forwarded, theme, verbose));
    let mut first = forwarded.unwrap_or_default() + &meaning(exchange, theme);
    if verbose {
        first += &details(exchange, theme);
    } else if exchange.claimed.is_some() {
        first += &(sender(exchange) + "\n");
    }
    let mut out = String::with_capacity(1024);
    out.extend([&head(exchange, theme), "\n"]);
    out.extend(body::indented(&first, INDENT));
    for section in [content(exchange, theme), remarks(exchange, theme)] {
        if !section.is_empty() {
            out.extend(["\n", &section]);
        }
    }
    out + "\n"
}

const INDENT: &str = "  ";

/// An exchange in one line: time, what happened, who, the answer, and the remarks.
pub fn line(exchange: &Exchange, theme: Theme) -> String {
    if is_probe(&exchange.request) {
        return probe(exchange, theme);
    }
    let meaning = meaning(exchange, theme);
    let mut parts: String = meaning.split_inclusive('\n').take(2).collect();
    if !exchange.verdict.kind.is_cdr() {
        let path = secret::masked_url(path_of(exchange));
        let method = clean(&exchange.request.method);
        let _ = writeln!(parts, "{method} {}", clean(&beginning(&path, 60)));
    }
    if let Some(forwarded) = &exchange.answer.forwarded {
        let failure = forwarded.failure.as_ref();
        let failure = failure.map(|failure| clean(&failure.text).into_owned());
        let is_error = forwarded.status.is_some_and(|status| status >= 400);
        let response = forwarded.response.as_ref().filter(|_| is_error);
        for text in failure.into_iter().chain(response.and_then(reply_line)) {
            let _ = writeln!(parts, "{}", theme.paint(Role::Bad, text));
        }
    }
    parts += &problems(exchange, theme);
    if let Some(why) = &exchange.uncounted {
        let _ = writeln!(parts, "does not count: {}", why.cleaned());
    }
    format!(
        "{}  {}  {}  {}\n",
        theme.paint(Role::Faint, exchange.received_at.time_of_day()),
        theme.paint(Role::Strong, format_args!("#{}", exchange.n)),
        answer(&exchange.answer, theme),
        parts.trim_end_matches('\n').replace('\n', SEPARATOR)
    )
}

/// The one line of a health check or of a browser's request for an icon.
fn probe(exchange: &Exchange, theme: Theme) -> String {
    let line = head(exchange, Theme::plain()) + " · no webhook";
    format!("{}\n", theme.paint(Role::Faint, line))
}

/// An exchange's first line: `09:12:31.402  #1  POST /webhook/cdr  200 · 1.2 ms`.
fn head(exchange: &Exchange, theme: Theme) -> String {
    let request = &exchange.request;
    let took = format_duration(Duration::from_secs_f64(exchange.took_ms.max(0.0) / 1e3));
    format!(
        "{}  {}  {} {}  {} {}",
        theme.paint(Role::Faint, exchange.received_at.time_of_day()),
        theme.paint(Role::Strong, format_args!("#{}", exchange.n)),
        theme.paint(Role::Strong, clean(&beginning(&request.method, 20))),
        clean(&beginning(&secret::masked_url(path_of(exchange)), 200)),
        answer(&exchange.answer, theme),
        theme.paint(Role::Faint, format_args!("· {took}")),
    )
}

/// The line of a forwarded request: `→ http://localhost:5000/cdr  200 · 1.1 ms`. The listener's own status is added if
/// its class differs from the handler's.
fn passed_on(forwarded: &Forwarded, theme: Theme, verbose: bool) -> String {
    let took = format_duration(forwarded.latency);
    let answer = match (forwarded.status, &forwarded.failure) {
        (Some(status), _) => theme.paint(Role::of(status < 400), status).to_string(),
        (None, Some(failure)) => theme.paint(Role::Bad, clean(&failure.text)).to_string(),
        (None, None) => String::new(),
    };
    let took = theme.paint(Role::Faint, format!("· {took}"));
    let mut out = format!("→ {}  {answer} {took}", clean(&forwarded.url));
    if let (Some(status), Some(instead_of)) = (forwarded.status, forwarded.instead_of)
        && status / 100 != instead_of / 100
    {
        let own = format!(" · without --forward-to the answer is {instead_of}");
        let _ = write!(out, "{}", theme.paint(Role::Faint, own));
    }
    if forwarded.status.is_some() && !forwarded.complete {
        let incomplete = theme.paint(Role::Odd, " · the body is incomplete");
        let _ = write!(out, "{incomplete}");
    }
    out.push('\n');
    let reply = match &forwarded.response {
        Some(response) if verbose => {
            let body = match response.decoded() {
                Ok(body) => body::lines(&body, theme, ""),
                Err(names) => body::compressed(response.size, &names),
            };
            headers(&response.headers, theme) + &body
        }
        Some(response) => reply_line(response).map_or(String::new(), |line| line + "\n"),
        None => String::new(),
    };
    out.extend(body::indented(&reply, "  "));
    out
}

pub(super) fn headers(headers: &[Header], theme: Theme) -> String {
    let mut out = String::new();
    for header in headers {
        let name = theme.paint(Role::Name, clean(&header.name));
        let _ = writeln!(out, "{name}: {}", clean(&header.text()));
    }
    out
}

fn answer(answer: &Answer, theme: Theme) -> impl Display {
    let (role, text) = match (answer.status, answer.fault.as_deref()) {
        (Some(status), None) => (Role::of(status < 400), status.to_string()),
        (Some(status), Some("status")) => (Role::Bad, format!("{status} (injected)")),
        (Some(status), Some(fault)) => (Role::Odd, format!("{status}, {fault} (injected)")),
        (None, Some(fault)) => (Role::Bad, format!("✗ {fault} (injected)")),
        (None, None) => (Role::Bad, "no answer".to_owned()),
    };
    theme.paint(role, text)
}

/// A GET is shown with its path only, because its query's parameters are listed below the head.
fn path_of(exchange: &Exchange) -> &str {
    match &*exchange.request.method {
        "GET" => exchange.request.path(),
        _ => &exchange.request.target,
    }
}

fn sender(exchange: &Exchange) -> String {
    let from = format!("from {}", exchange.peer);
    match &exchange.claimed {
        Some(claimed) => format!("{from}, claimed {}", clean(claimed)),
        None => from,
    }
}

fn details(exchange: &Exchange, theme: Theme) -> String {
    let request = &exchange.request;
    let (version, size) = (clean(&request.version), request.size);
    let mut out = format!("{} · {version} · {size} bytes\n", sender(exchange));
    let call_id = exchange.cdr.as_ref().and_then(|cdr| shown(cdr, "call_id"));
    if let Some(id) = call_id.and_then(|id| account::CallId::decode(&id)) {
        let (time, server) = (id.time.to_second(), account::mac_text(id.server.mac));
        let _ = writeln!(out, "call_id created {time} by server {server}");
    }
    out + &headers(&secret::masked_headers(request.headers.clone()), theme)
}

fn content(exchange: &Exchange, theme: Theme) -> String {
    let request = &exchange.request;
    let mut out = String::new();
    if let Some(query) = request.query().filter(|_| request.method == "GET") {
        let mut pairs = query::decode(query).pairs;
        for (name, value) in &mut pairs {
            if secret::is_secret_name(name) {
                secret::MASK.clone_into(value);
            }
        }
        out.extend(body::indented(&body::pairs(&pairs, theme), INDENT));
    }
    let kept = request.body.len() as u64;
    let compression = compression(&request.headers, &request.body.0);
    let text = request.body.text();
    // The judge has checked the JSON object that has the fields of a POST's CDR.
    let is_checked = exchange.cdr.is_some() && request.method == "POST";
    let object = text.filter(|text| is_checked && text.trim_ascii_start().starts_with('{'));
    match (object, compression.filter(|_| text.is_none())) {
        (Some(object), _) => out += &body::json_lines(object, theme, INDENT),
        (_, Some(names)) => out.extend([INDENT, &body::compressed(request.size, &names)]),
        _ if kept > 0 => out += &body::lines(&request.body.0, theme, INDENT),
        _ => {}
    }
    if request.size > kept {
        let text = format!("… {kept} of {} bytes were kept", request.size);
        let _ = writeln!(out, "{INDENT}{}", theme.paint(Role::Faint, text));
    }
    // The last empty line of a body is removed, because an empty line separates the sections anyway.
    body::pop_empty_line(&mut out, INDENT);
    out
}

fn remarks(exchange: &Exchange, theme: Theme) -> String {
    let verdict = &exchange.verdict;
    let mut out = String::new();
    let departs = verdict.remarks.iter().any(|remark| remark.code.departs());
    if verdict.generation.is_some() && !departs {
        let by_query = match &*exchange.request.method {
            "GET" => "; a query has no types",
            _ => "",
        };
        let text = format!("✓ conforms to the documented CDR{by_query}");
        let _ = writeln!(out, "{}", theme.paint(Role::Good, text));
    }
    out += &problems(exchange, theme);
    for relation in &exchange.related {
        // Duplicates and conflicts are listed as remarks of the exchange already.
        if !matches!(relation.how, "duplicate" | "conflict") {
            let text = format!("→ {}", clean(&relation.text));
            let _ = writeln!(out, "{}", theme.paint(Role::Number, text));
        }
    }
    if let Some(why) = &exchange.uncounted {
        let text = format!("not counted: {}", why.cleaned());
        let _ = writeln!(out, "{}", theme.paint(Role::Odd, text));
    }
    body::indented(&out, INDENT).collect()
}

/// The remarks on a request, and why it was not saved.
fn problems(exchange: &Exchange, theme: Theme) -> String {
    let mut out = String::new();
    let mark = theme.paint(Role::Odd, "!");
    for remark in &exchange.verdict.remarks {
        let field = remark.field.as_ref().map_or(String::new(), |field| {
            let field = beginning(field.as_it_came(), 60);
            format!("{}: ", theme.paint(Role::Name, clean(&field)))
        });
        let _ = writeln!(out, "{mark} {field}{}", remark.text.cleaned());
    }
    if let Some(why) = &exchange.answer.unsaved {
        let text = format!("✗ not saved: {}", clean(why));
        let _ = writeln!(out, "{}", theme.paint(Role::Bad, text));
    }
    out
}

fn meaning(exchange: &Exchange, theme: Theme) -> String {
    let empty = Fields::new();
    let cdr = exchange.cdr.as_ref().unwrap_or(&empty);
    let verdict = &exchange.verdict;
    let kind = theme.paint(Role::Strong, verdict.kind_words());
    let mut out = format!("{kind}{}\n", verdict.leg_and_reason(cdr));
    if !verdict.kind.is_cdr() {
        return out;
    }
    let user = shown(cdr, "user").map(|user| match user.split_once('_') {
        Some((extension, app_id)) => format!("agent {extension} of app {app_id}").into(),
        None => format!("user {user}").into(),
    });
    let is_click2call = cdr.contains_key("request_id") || cdr.contains_key("click_to_call");
    let not = if is_click2call { "" } else { "not " };
    // PIOPIY has no click2call: a `request_id` stands in every outbound call of its API.
    let is_piopiy = verdict.generation == Some(Generation::Piopiy);
    let placed = (!is_piopiy).then_some("by click2call".into());
    let time = cdr.get("time").and_then(serde_json::Value::as_i64);
    let time = time.and_then(Timestamp::from_epoch_ms);
    let generation = verdict.generation.map(|generation| match generation {
        Generation::Docs => "docs".into(),
        Generation::Live => "live".into(),
        Generation::Legacy => "legacy".into(),
        Generation::Piopiy => "PIOPIY".into(),
    });
    let part = |out: &mut String, before: &str, text: Option<Cow<'_, str>>, after: &str| {
        let Some(text) = text else { return };
        let separator = if out.ends_with('\n') { "" } else { SEPARATOR };
        out.extend([separator, before, &clean(&text), after]);
    };
    let end_line = |out: &mut String| {
        if !out.ends_with('\n') {
            out.push('\n');
        }
    };
    part(&mut out, "", user, "");
    part(&mut out, "caller ID ", shown(cdr, "virtual_number"), "");
    end_line(&mut out);
    part(&mut out, "rang ", shown(cdr, "to"), "");
    part(&mut out, "answered for ", shown(cdr, "answeredsec"), " s");
    part(&mut out, not, placed, "");
    end_line(&mut out);
    let time = time.map(|time| time.to_second().into());
    part(&mut out, "call of ", time, "");
    part(&mut out, "", generation, " payload");
    end_line(&mut out);
    out
}
