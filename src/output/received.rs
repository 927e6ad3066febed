//! Renders each request that `listen` received as a block of lines.

use std::time::Duration;

use super::body;
use super::text::{Role, Theme, indented};
use crate::cdr::Fields;
use crate::cdr::account;
use crate::cdr::judge::{SEPARATOR, shown};
use crate::cdr::remark::Remark;
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
    let mut first = Vec::new();
    if let Some(forwarded) = &exchange.answer.forwarded {
        first.extend(passed_on(forwarded, theme, verbose));
    }
    first.extend(meaning(exchange, theme));
    if verbose {
        first.extend(details(exchange, theme));
    } else if exchange.claimed.is_some() {
        first.push(sender(exchange));
    }
    let mut sections = vec![first, content(exchange, theme), remarks(exchange, theme)];
    sections.retain(|lines| !lines.is_empty());
    let sections: Vec<_> = sections.iter().map(|lines| indented(lines, "  ")).collect();
    format!("{}\n{}\n", head(exchange, theme), sections.join("\n"))
}

/// An exchange in one line: time, what happened, who, the answer, and the remarks.
pub fn line(exchange: &Exchange, theme: Theme) -> String {
    if is_probe(&exchange.request) {
        return probe(exchange, theme);
    }
    let verdict = &exchange.verdict;
    let mut parts = meaning(exchange, theme);
    parts.truncate(2);
    if !verdict.kind.is_cdr() {
        let path = secret::masked_url(path_of(exchange));
        let method = clean(&exchange.request.method);
        parts.push(format!("{method} {}", clean(&beginning(&path, 60))));
    }
    if let Some(forwarded) = &exchange.answer.forwarded {
        let failure = forwarded.failure.as_ref();
        parts.extend(failure.map(|failure| theme.paint(Role::Bad, &clean(&failure.text))));
        let is_error = forwarded.status.is_some_and(|status| status >= 400);
        let response = forwarded.response.as_ref().filter(|_| is_error);
        let reply = response.and_then(reply_line);
        parts.extend(reply.map(|line| theme.paint(Role::Bad, &line)));
    }
    let remarks = verdict.remarks.iter();
    parts.extend(remarks.map(|remark| remark_line(remark, theme)));
    parts.extend(not_saved(exchange, theme));
    let uncounted = exchange.uncounted.as_ref();
    parts.extend(uncounted.map(|why| format!("does not count: {}", why.cleaned())));
    format!(
        "{}  {}  {}  {}\n",
        theme.paint(Role::Faint, &exchange.received_at.time_of_day()),
        theme.paint(Role::Strong, &format!("#{}", exchange.n)),
        answer(&exchange.answer, theme),
        parts.join(SEPARATOR)
    )
}

/// The one line of a health check or of a browser's request for an icon.
fn probe(exchange: &Exchange, theme: Theme) -> String {
    let line = head(exchange, Theme::plain());
    theme.paint(Role::Faint, &format!("{line} · no webhook")) + "\n"
}

/// An exchange's first line: `09:12:31.402  #1  POST /webhook/cdr  200 · 1.2 ms`.
fn head(exchange: &Exchange, theme: Theme) -> String {
    let request = &exchange.request;
    let took = format_duration(Duration::from_secs_f64(exchange.took_ms.max(0.0) / 1e3));
    format!(
        "{}  {}  {} {}  {} {}",
        theme.paint(Role::Faint, &exchange.received_at.time_of_day()),
        theme.paint(Role::Strong, &format!("#{}", exchange.n)),
        theme.paint(Role::Strong, &clean(&beginning(&request.method, 20))),
        clean(&beginning(&secret::masked_url(path_of(exchange)), 200)),
        answer(&exchange.answer, theme),
        theme.paint(Role::Faint, &format!("· {took}")),
    )
}

/// The line of a forwarded request: `→ http://localhost:5000/cdr  200 · 1.1 ms`. The listener's own status is added if
/// its class differs from the handler's.
fn passed_on(forwarded: &Forwarded, theme: Theme, verbose: bool) -> Vec<String> {
    let took = format_duration(forwarded.latency);
    let answer = match (forwarded.status, &forwarded.failure) {
        (Some(status), _) => theme.paint(Role::of(status < 400), &status.to_string()),
        (None, Some(failure)) => theme.paint(Role::Bad, &clean(&failure.text)),
        (None, None) => String::new(),
    };
    let took = theme.paint(Role::Faint, &format!("· {took}"));
    let mut line = format!("→ {}  {answer} {took}", clean(&forwarded.url));
    if let (Some(status), Some(instead_of)) = (forwarded.status, forwarded.instead_of)
        && status / 100 != instead_of / 100
    {
        let own = format!(" · without --forward-to the answer is {instead_of}");
        line.push_str(&theme.paint(Role::Faint, &own));
    }
    if forwarded.status.is_some() && !forwarded.complete {
        line.push_str(&theme.paint(Role::Odd, " · the body is incomplete"));
    }
    let mut lines = vec![line];
    let Some(response) = forwarded.response.as_ref() else {
        return lines;
    };
    if !verbose {
        lines.extend(reply_line(response).map(|line| format!("  {line}")));
        return lines;
    }
    let headers = response.headers.iter();
    lines.extend(headers.map(|header| format!("  {}", header_line(header, theme))));
    let body = match response.decoded() {
        Ok(body) => body::lines(&body, theme),
        Err(names) => vec![body::compressed(response.size, &names)],
    };
    lines.extend(body.iter().map(|line| format!("  {line}")));
    lines
}

pub(super) fn header_line(header: &Header, theme: Theme) -> String {
    let name = theme.paint(Role::Name, &clean(&header.name));
    format!("{name}: {}", clean(&header.text()))
}

fn answer(answer: &Answer, theme: Theme) -> String {
    let (role, text) = match (answer.status, answer.fault.as_deref()) {
        (Some(status), None) => (Role::of(status < 400), status.to_string()),
        (Some(status), Some("status")) => (Role::Bad, format!("{status} (injected)")),
        (Some(status), Some(fault)) => (Role::Odd, format!("{status}, {fault} (injected)")),
        (None, Some(fault)) => (Role::Bad, format!("✗ {fault} (injected)")),
        (None, None) => (Role::Bad, "no answer".to_owned()),
    };
    theme.paint(role, &text)
}

/// A GET is shown with its path only, because its query's parameters are listed below the head.
fn path_of(exchange: &Exchange) -> &str {
    if exchange.request.method == "GET" {
        exchange.request.path()
    } else {
        &exchange.request.target
    }
}

fn sender(exchange: &Exchange) -> String {
    let from = format!("from {}", clean(&exchange.peer));
    match &exchange.claimed {
        Some(claimed) => format!("{from}, claimed {}", clean(claimed)),
        None => from,
    }
}

fn details(exchange: &Exchange, theme: Theme) -> Vec<String> {
    let request = &exchange.request;
    let mut lines = vec![format!(
        "{} · {} · {} bytes",
        sender(exchange),
        clean(&request.version),
        request.size
    )];
    let call_id = exchange.cdr.as_ref().and_then(|cdr| shown(cdr, "call_id"));
    if let Some(id) = call_id.and_then(|id| account::CallId::decode(&id)) {
        lines.push(format!(
            "call_id created {} by server {}",
            id.time.to_second(),
            account::mac_text(id.server.mac)
        ));
    }
    let headers = secret::masked_headers(request.headers.clone());
    lines.extend(headers.iter().map(|header| header_line(header, theme)));
    lines
}

fn content(exchange: &Exchange, theme: Theme) -> Vec<String> {
    let request = &exchange.request;
    let mut lines = Vec::new();
    if let Some(query) = request.query().filter(|_| request.method == "GET") {
        let mut pairs = query::decode(query).pairs;
        for (name, value) in &mut pairs {
            if secret::is_secret_name(name) {
                secret::MASK.clone_into(value);
            }
        }
        lines = body::pairs(&pairs, theme);
    }
    let kept = request.body.len() as u64;
    let compression = compression(&request.headers, &request.body.0);
    match compression.filter(|_| request.body.text().is_none()) {
        Some(names) => lines.push(body::compressed(request.size, &names)),
        None if kept > 0 => lines.extend(body::lines(&request.body.0, theme)),
        None => {}
    }
    if request.size > kept {
        let text = format!("… {kept} of {} bytes were kept", request.size);
        lines.push(theme.paint(Role::Faint, &text));
    }
    // The last empty line of a body is removed, because an empty line separates the sections anyway.
    lines.pop_if(|last| last.is_empty());
    lines
}

fn remarks(exchange: &Exchange, theme: Theme) -> Vec<String> {
    let verdict = &exchange.verdict;
    let mut lines = Vec::new();
    let departs = verdict.remarks.iter().any(|remark| remark.code.departs());
    if verdict.generation.is_some() && !departs {
        let by_query = match &*exchange.request.method {
            "GET" => "; a query has no types",
            _ => "",
        };
        let text = format!("✓ conforms to the documented CDR{by_query}");
        lines.push(theme.paint(Role::Good, &text));
    }
    let remarks = verdict.remarks.iter();
    lines.extend(remarks.map(|remark| remark_line(remark, theme)));
    lines.extend(not_saved(exchange, theme));
    for relation in &exchange.related {
        // Duplicates and conflicts are listed as remarks of the exchange already.
        if !matches!(relation.how.as_str(), "duplicate" | "conflict") {
            let text = format!("→ {}", clean(&relation.text));
            lines.push(theme.paint(Role::Number, &text));
        }
    }
    if let Some(why) = &exchange.uncounted {
        lines.push(theme.paint(Role::Odd, &format!("not counted: {}", why.cleaned())));
    }
    lines
}

fn not_saved(exchange: &Exchange, theme: Theme) -> Option<String> {
    let why = exchange.answer.unsaved.as_ref()?;
    Some(theme.paint(Role::Bad, &format!("✗ not saved: {}", clean(why))))
}

fn remark_line(remark: &Remark, theme: Theme) -> String {
    let mark = theme.paint(Role::Odd, "!");
    let text = remark.text.cleaned();
    let Some(field) = &remark.field else {
        return format!("{mark} {text}");
    };
    let field = clean(&beginning(field.as_it_came(), 60));
    format!("{mark} {}: {text}", theme.paint(Role::Name, &field))
}

fn meaning(exchange: &Exchange, theme: Theme) -> Vec<String> {
    let empty = Fields::new();
    let cdr = exchange.cdr.as_ref().unwrap_or(&empty);
    let verdict = &exchange.verdict;
    let mut kind = theme.paint(Role::Strong, verdict.kind_words());
    kind += &verdict.leg_and_reason(cdr);
    if !verdict.kind.is_cdr() {
        return vec![kind];
    }
    let field = |name| shown(cdr, name).map(|text| clean(&text));
    let user = field("user").map(|user| match user.split_once('_') {
        Some((extension, app_id)) => format!("agent {extension} of app {app_id}"),
        None => format!("user {user}"),
    });
    let is_click2call = cdr.contains_key("request_id") || cdr.contains_key("click_to_call");
    let placed = format!("{}by click2call", if is_click2call { "" } else { "not " });
    let time = cdr.get("time").and_then(serde_json::Value::as_i64);
    let time = time.and_then(Timestamp::from_epoch_ms);
    let generation = verdict.generation.map(|generation| match generation {
        Generation::Docs => "docs payload",
        Generation::Live => "live payload",
        Generation::Legacy => "legacy payload",
        Generation::Piopiy => "PIOPIY payload",
    });
    // PIOPIY has no click2call: a `request_id` stands in every outbound call of its API.
    let placed = (verdict.generation != Some(Generation::Piopiy)).then_some(placed);
    let lines = [
        vec![
            user,
            field("virtual_number").map(|number| format!("caller ID {number}")),
        ],
        vec![
            field("to").map(|to| format!("rang {to}")),
            field("answeredsec").map(|seconds| format!("answered for {seconds} s")),
            placed,
        ],
        vec![
            time.map(|time| format!("call of {}", time.to_second())),
            generation.map(str::to_owned),
        ],
    ];
    let lines = lines.map(|parts| {
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        parts.join(SEPARATOR)
    });
    let lines = lines.into_iter().filter(|line| !line.is_empty());
    [kind].into_iter().chain(lines).collect()
}
