//! What the receiver shows a person: one block a request. Pure: value and theme in, text out.

use std::fmt::Write as _;

use super::body;
use super::theme::{Role, Theme};
use crate::cdr::ids;
use crate::cdr::judge::Generation;
use crate::cdr::meaning::{self, word};
use crate::cdr::received::{Found, Received};
use crate::cdr::remark::Remark;
use crate::clock::{Moment, humane};
use crate::error::Exit;
use crate::listen::event::{Ending, Exchange, Listening, Mishap, Summary};
use crate::process::Ended;
use crate::untrusted::{beginning, clean};
use crate::wire::record::{Answer, Forwarded};
use crate::wire::{query, secret};

/// The line that says where we listen. It is the ready line: scripts wait for it.
#[must_use]
pub fn listening(listening: &Listening, theme: &Theme) -> String {
    format!("{} {}\n", theme.paint(Role::Strong, "listening on"), listening.url)
}

/// Where a browser can see what comes, if it can.
#[must_use]
pub fn inspect(listening: &Listening, theme: &Theme) -> String {
    let line = |url: &String| format!("{}     {url}\n", theme.paint(Role::Strong, "inspect"));
    listening.inspect.as_ref().map(line).unwrap_or_default()
}

/// Where TeleCMI can send to, and how to tell it so; nothing where there is no such place.
#[must_use]
pub fn public_url(listening: &Listening, theme: &Theme) -> String {
    // Fits sixty columns.
    const CLICKS: [&str; 2] = [
        "in TeleCMI's dashboard: business number → SETTINGS →",
        "  WEBHOOKS → type \"call report\" → method (POST or GET) →",
    ];
    let Some(url) = &listening.public_url else { return String::new() };
    let mut text = format!("{}  {}\n", theme.paint(Role::Strong, "public URL"), to_register(url));
    for line in CLICKS {
        let _ = writeln!(text, "{}", theme.paint(Role::Faint, line));
    }
    let _ = writeln!(text, "{}", theme.paint(Role::Faint, "  paste the URL"));
    text
}

/// The URL to register: with the path of TeleCMI's own examples, unless it has one.
fn to_register(url: &str) -> String {
    let beginning = url.find("://").map_or(0, |at| at + 3);
    let has_path =
        url[beginning..].contains(['?', '#']) || url[beginning..].trim_end_matches('/').contains('/');
    let url = clean(url);
    if has_path { url } else { format!("{}/webhook/cdr", url.trim_end_matches('/')) }
}

/// What to do next, for a person who has just started a listener.
#[must_use]
pub fn listening_hint(listening: &Listening, theme: &Theme) -> String {
    let text = format!("try: telecmi-cdr send --url {}/webhook/cdr   (Ctrl-C stops)", listening.url);
    format!("{}\n", theme.paint(Role::Faint, &text))
}

/// The block of one exchange. `verbose` adds headers and where it came from.
#[must_use]
pub fn exchange(exchange: &Exchange, theme: &Theme, verbose: bool) -> String {
    // A documented CDR takes a kilobyte; twice that with its colours.
    let mut out = String::with_capacity(2048);
    out.push_str(&head(exchange, theme));
    if let Some(forwarded) = &exchange.answer.forwarded {
        indent(&mut out, [passed_on(forwarded, theme)]);
    }
    indent(&mut out, meaning(exchange, theme));
    if !verbose && exchange.claimed.is_some() {
        indent(&mut out, [sender(exchange)]);
    }
    if verbose {
        indent(&mut out, details(exchange, theme));
    }
    let content = content(exchange, theme);
    if !content.is_empty() {
        out.push('\n');
        indent(&mut out, content.lines());
    }
    let remarks = remarks(exchange, theme);
    if !remarks.is_empty() {
        out.push('\n');
        indent(&mut out, remarks);
    }
    out.push('\n');
    out
}

/// Adds lines that belong to a block.
fn indent<T: AsRef<str>>(out: &mut String, lines: impl IntoIterator<Item = T>) {
    for line in lines {
        out.push_str("  ");
        out.push_str(line.as_ref());
        out.push('\n');
    }
}

/// `09:12:31.402  #1  POST /webhook/cdr  200 · 1.2 ms`
fn head(exchange: &Exchange, theme: &Theme) -> String {
    let request = &exchange.request;
    let answer = answer(&exchange.answer, theme);
    let took = humane(std::time::Duration::from_secs_f64(exchange.took_ms.max(0.0) / 1e3));
    [
        &theme.paint(Role::Faint, &exchange.received_at.time_of_day()),
        "  ",
        &theme.paint(Role::Strong, &format!("#{}", exchange.n)),
        "  ",
        &theme.paint(Role::Strong, &clean(&beginning(&request.method, 20))),
        " ",
        &clean(&beginning(&secret::masked_url(path_of(exchange)), 200)),
        "  ",
        &answer,
        " ",
        &theme.paint(Role::Faint, &["· ", &took].concat()),
        "\n",
    ]
    .concat()
}

/// `→ http://localhost:5000/cdr  200 · 1.1 ms`, and what we would have answered if that means something else.
fn passed_on(forwarded: &Forwarded, theme: &Theme) -> String {
    let took = humane(forwarded.latency);
    let answer = match (forwarded.status, &forwarded.failure) {
        (Some(status), _) => theme.paint(status_role(status), &status.to_string()),
        (None, Some(failure)) => theme.paint(Role::Bad, &clean(&failure.text)),
        (None, None) => String::new(),
    };
    let mut line =
        format!("→ {}  {answer} {}", clean(&forwarded.url), theme.paint(Role::Faint, &format!("· {took}")));
    if forwarded.status.is_some_and(|status| status / 100 != forwarded.instead_of / 100) {
        let own = format!(" · our own answer would have been {}", forwarded.instead_of);
        line.push_str(&theme.paint(Role::Faint, &own));
    }
    if forwarded.status.is_some() && !forwarded.complete {
        line.push_str(&theme.paint(Role::Odd, " · its body was cut"));
    }
    if let Some(said) = &forwarded.said {
        let _ = write!(line, "\n    {}", said.cleaned());
    }
    line
}

/// A status' colour.
fn status_role(status: u16) -> Role {
    if status < 400 { Role::Good } else { Role::Bad }
}

/// `200`, or how it failed: `503 on purpose`, `✗ reset (on purpose)`.
fn answer(answer: &Answer, theme: &Theme) -> String {
    let (role, text) = match (answer.status, answer.fault.as_deref()) {
        (Some(status), None) if status < 400 => (Role::Good, status.to_string()),
        (Some(status), None) => (Role::Bad, status.to_string()),
        (Some(status), Some("status")) => (Role::Bad, format!("{status} on purpose")),
        (Some(status), Some(fault)) => (Role::Odd, format!("{status}, {fault} on purpose")),
        (None, Some(fault)) => (Role::Bad, format!("✗ {fault} (on purpose)")),
        (None, None) => (Role::Bad, "no answer".to_owned()),
    };
    theme.paint(role, &text)
}

/// The path; the whole target where the query is not shown below.
fn path_of(exchange: &Exchange) -> &str {
    if exchange.request.method == "GET" { exchange.request.path() } else { &exchange.request.target }
}

/// What it means: what happened, to whom, in which call.
fn meaning(exchange: &Exchange, theme: &Theme) -> Vec<String> {
    let empty = Received::default();
    let cdr = exchange.cdr.as_ref().unwrap_or(&empty);
    let verdict = &exchange.verdict;
    let mut first = meaning::meaning(verdict, cdr);
    if let Some(kind) = first.first_mut() {
        *kind = theme.paint(Role::Strong, kind);
    }
    let mut lines = vec![first.join(" · ")];
    if verdict.kind.is_cdr() {
        let caller = word(cdr, "virtual_number").map(|number| ["caller ID ", &clean(&number)].concat());
        lines.extend(joined(&[agent(cdr), caller]));
        let rang = word(cdr, "to").map(|to| ["rang ", &clean(&to)].concat());
        let answered =
            word(cdr, "answeredsec").map(|seconds| ["answered for ", &clean(&seconds), " s"].concat());
        lines.extend(joined(&[rang, answered, Some(origin(cdr).to_owned())]));
        lines.extend(joined(&[start(cdr), generation(verdict.generation)]));
    }
    lines
}

fn joined(parts: &[Option<String>]) -> Option<String> {
    let parts: Vec<_> = parts.iter().flatten().map(String::as_str).collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// `agent 202 of app 2222223`
fn agent(cdr: &Received) -> Option<String> {
    let user = word(cdr, "user")?;
    Some(match user.split_once('_') {
        Some((extension, app_id)) => ["agent ", &clean(extension), " of app ", &clean(app_id)].concat(),
        None => ["user ", &clean(&user)].concat(),
    })
}

fn origin(cdr: &Received) -> &'static str {
    let click2call = cdr.contains_key("request_id") || cdr.contains_key("click_to_call");
    if click2call { "by click2call" } else { "not by click2call" }
}

/// `call of 2022-04-22 11:49:35 UTC`
fn start(cdr: &Received) -> Option<String> {
    let time = cdr.get("time").and_then(Found::as_i64).and_then(Moment::from_epoch_ms);
    time.map(|time| ["call of ", &time.to_second()].concat())
}

fn generation(generation: Option<Generation>) -> Option<String> {
    let words = match generation? {
        Generation::Docs => "docs payload",
        Generation::Live => "live payload",
        Generation::Legacy => "legacy payload",
    };
    Some(words.to_owned())
}

/// Who sent it, and who that claims to have sent it: side by side, since only the first is known.
fn sender(exchange: &Exchange) -> String {
    let peer = clean(&exchange.peer);
    match &exchange.claimed {
        Some(claimed) => format!("from {peer}, claimed {}", clean(claimed)),
        None => format!("from {peer}"),
    }
}

/// What `--verbose` adds: the peer, the headers, and what the `call_id` tells.
fn details(exchange: &Exchange, theme: &Theme) -> Vec<String> {
    let request = &exchange.request;
    let mut lines =
        vec![format!("{} · {} · {} bytes", sender(exchange), clean(&request.version), request.size)];
    let call_id = exchange.cdr.as_ref().and_then(|cdr| word(cdr, "call_id"));
    if let Some(id) = call_id.and_then(|id| ids::CallId::decode(&id)) {
        lines.push(format!(
            "call_id made {} by server {}",
            id.time.to_second(),
            ids::mac_text(id.server.mac)
        ));
    }
    for header in secret::masked_headers(&request.headers) {
        lines.push(format!("{}: {}", theme.paint(Role::Name, &clean(&header.name)), clean(&header.text())));
    }
    lines
}

/// The body as it came, or the query's parameters.
fn content(exchange: &Exchange, theme: &Theme) -> String {
    let request = &exchange.request;
    let mut parts = Vec::new();
    if request.method == "GET"
        && let Some(query) = request.query()
    {
        let mut pairs = query::decode(query).pairs;
        for (name, value) in &mut pairs {
            if secret::is_secret_name(name) {
                secret::MASK.clone_into(value);
            }
        }
        parts = body::pairs(&pairs, theme);
    }
    if !request.body.is_empty() {
        parts.push(body::lines(&request.body.0, theme));
    }
    if request.size > request.body.len() as u64 {
        let text = format!("… {} of {} bytes were kept", request.body.len(), request.size);
        parts.push(theme.paint(Role::Faint, &text));
    }
    parts.join("\n")
}

fn remarks(exchange: &Exchange, theme: &Theme) -> Vec<String> {
    let verdict = &exchange.verdict;
    let mut lines: Vec<_> = verdict.remarks.iter().map(|remark| remark_line(remark, theme)).collect();
    if let Some(why) = &exchange.answer.unsaved {
        lines.push(theme.paint(Role::Bad, &format!("✗ not saved: {}", clean(why))));
    }
    for relation in
        exchange.related.iter().filter(|relation| !matches!(relation.how.as_str(), "duplicate" | "conflict"))
    {
        lines.push(theme.paint(Role::Number, &format!("→ {}", clean(&relation.text))));
    }
    if let Some(why) = &exchange.uncounted {
        lines.push(theme.paint(Role::Odd, &format!("does not count: {}", why.cleaned())));
    }
    let schema_remarks = verdict.remarks.iter().filter(|remark| remark.code.departs()).count();
    if verdict.generation.is_some() && schema_remarks == 0 {
        let conforms = if exchange.request.method == "GET" {
            "✓ conforms to the documented CDR; a query has no types"
        } else {
            "✓ conforms to the documented CDR"
        };
        lines.insert(0, theme.paint(Role::Good, conforms));
    }
    lines
}

fn remark_line(remark: &Remark, theme: &Theme) -> String {
    let mark = theme.paint(Role::Odd, "!");
    match &remark.field {
        Some(field) => {
            format!(
                "{mark} {}: {}",
                theme.paint(Role::Name, &clean(&beginning(field.as_it_came(), 60))),
                remark.text.cleaned()
            )
        }
        None => format!("{mark} {}", remark.text.cleaned()),
    }
}

/// The line about connections that failed before their request could be read.
#[must_use]
pub fn mishap(mishap: &Mishap, theme: &Theme) -> String {
    let more =
        if mishap.count > 1 { format!(" (and {} more like it)", mishap.count - 1) } else { String::new() };
    format!("{} {}{more}\n", theme.paint(Role::Odd, "!"), clean(&mishap.text))
}

/// The listener's last lines.
#[must_use]
pub fn summary(summary: &Summary, theme: &Theme) -> String {
    let too_many =
        summary.exit != Exit::Success && summary.wanted.is_some_and(|wanted| summary.counted > wanted);
    let failed = summary.command.filter(|ended| ended.shell_code() != 0).map(Ended::words);
    let ending = match (summary.ending, &failed) {
        (Ending::Counted, _) if too_many => "more CDRs came than wanted".to_owned(),
        (Ending::CommandEnded, Some(how)) => format!("the command ended {how}"),
        (ending, _) => self::ending(ending).to_owned(),
    };
    let mut parts = vec![plural(summary.exchanges, "request")];
    parts.push(match summary.wanted {
        Some(wanted) => format!("{} of {wanted} CDRs", summary.counted),
        None if summary.counted < summary.cdrs => {
            format!("{}, {} of them as expected", plural(summary.cdrs, "CDR"), summary.counted)
        }
        None => plural(summary.cdrs, "CDR"),
    });
    parts.push(plural(summary.remarks, "remark"));
    if summary.malformed > 0 {
        parts.push(format!("{} malformed", summary.malformed));
    }
    parts.extend(summary.saved.map(|saved| format!("{saved} saved")));
    if summary.lost > 0 {
        parts.push(format!("{} lost (could not be saved)", summary.lost));
    }
    if summary.dropped > 0 {
        parts.push(format!("{} not shown (the output was not read fast enough)", summary.dropped));
    }
    if summary.ending != Ending::CommandEnded {
        parts.extend(failed.map(|how| format!("command ended {how}")));
    }
    if summary.tunnel_ended {
        parts.push("the tunnel ended early".to_owned());
    }
    let role = if summary.exit.code() == 0 { Role::Good } else { Role::Bad };
    format!("{} · {}\n", theme.paint(role, &ending), parts.join(" · "))
}

/// Why a listener ended, in words.
#[must_use]
pub fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Counted => "all wanted CDRs came",
        Ending::TimedOut => "time is up",
        Ending::Interrupted => "interrupted",
        Ending::Terminated => "terminated",
        Ending::CommandEnded => "the command ended",
    }
}

/// `1 request`, `2 requests`.
#[must_use]
pub fn plural(n: u64, noun: &str) -> String {
    count(n, noun, &format!("{noun}s"))
}

/// The same for nouns of their own ways.
#[must_use]
pub fn count(n: u64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}
