//! What the receiver shows a person: one block a request. Pure: value and theme in, text out.

mod call;

use std::fmt::Write as _;

use super::body;
use super::theme::{Role, Theme};
use crate::cdr::ids;
use crate::cdr::meaning::word;
use crate::cdr::remark::Remark;
use crate::clock::format_duration;
use crate::error::Exit;
use crate::exchange::{Answer, Exchange, Forwarded};
use crate::listen::event::{ConnectionErrors, Ending, Listening, Summary};
use crate::process::Ended;
use crate::untrusted::{beginning, clean, push_clean};
use crate::wire::{query, secret};

/// The line that says where we listen. It is the ready line: scripts wait for it.
#[must_use]
pub fn listening(listening: &Listening, theme: &Theme) -> String {
    format!(
        "{} {}\n",
        theme.paint(Role::Strong, "listening on"),
        listening.url
    )
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
    let Some(url) = &listening.public_url else {
        return String::new();
    };
    let mut text = format!(
        "{}  {}\n",
        theme.paint(Role::Strong, "public URL"),
        to_register(url)
    );
    for line in CLICKS {
        let _ = writeln!(text, "{}", theme.paint(Role::Faint, line));
    }
    let _ = writeln!(text, "{}", theme.paint(Role::Faint, "  paste the URL"));
    text
}

/// The URL to register: with the path of TeleCMI's own examples, unless it has one.
fn to_register(url: &str) -> String {
    let beginning = url.find("://").map_or(0, |at| at + 3);
    let has_path = url[beginning..].contains(['?', '#'])
        || url[beginning..].trim_end_matches('/').contains('/');
    let url = clean(url);
    if has_path {
        url
    } else {
        format!("{}/webhook/cdr", url.trim_end_matches('/'))
    }
}

/// What to do next, for a person who has just started a listener.
#[must_use]
pub fn listening_hint(listening: &Listening, theme: &Theme) -> String {
    let text = format!(
        "try: telecmi-cdr send --url {}/webhook/cdr   (Ctrl-C stops)",
        listening.url
    );
    format!("{}\n", theme.paint(Role::Faint, &text))
}

/// The block of one exchange. `verbose` adds headers and where it came from.
#[must_use]
pub fn exchange(exchange: &Exchange, theme: &Theme, verbose: bool) -> String {
    // A documented CDR takes a kilobyte; twice that with its colours.
    let mut out = String::with_capacity(2048);
    head(&mut out, exchange, theme);
    if let Some(forwarded) = &exchange.answer.forwarded {
        indent(&mut out, [passed_on(forwarded, theme)]);
    }
    call::push(&mut out, exchange, theme);
    if !verbose && exchange.claimed.is_some() {
        indent(&mut out, [sender(exchange)]);
    }
    if verbose {
        indent(&mut out, details(exchange, theme));
    }
    content(&mut out, exchange, theme);
    let before = out.len();
    out.push('\n');
    let first = out.len();
    remarks(&mut out, exchange, theme);
    if out.len() == first {
        out.truncate(before);
    }
    out.push('\n');
    out
}

/// What lines begin with that belong to a block.
const MARGIN: &str = "  ";

/// Adds lines that belong to a block.
fn indent<T: AsRef<str>>(out: &mut String, lines: impl IntoIterator<Item = T>) {
    for line in lines {
        out.extend([MARGIN, line.as_ref(), "\n"]);
    }
}

/// `09:12:31.402  #1  POST /webhook/cdr  200 · 1.2 ms`
fn head(out: &mut String, exchange: &Exchange, theme: &Theme) {
    let request = &exchange.request;
    let took = format_duration(std::time::Duration::from_secs_f64(
        exchange.took_ms.max(0.0) / 1e3,
    ));
    theme.paint_into(out, Role::Faint, &exchange.received_at.time_of_day());
    out.push_str("  ");
    theme.painted(out, Role::Strong, |out| {
        out.extend(["#", &exchange.n.to_string()]);
    });
    out.push_str("  ");
    theme.paint_into(out, Role::Strong, &clean(&beginning(&request.method, 20)));
    out.push(' ');
    push_clean(out, &beginning(&secret::masked_url(path_of(exchange)), 200));
    out.push_str("  ");
    answer(out, &exchange.answer, theme);
    out.push(' ');
    theme.painted(out, Role::Faint, |out| out.extend(["· ", &took]));
    out.push('\n');
}

/// `→ http://localhost:5000/cdr  200 · 1.1 ms`, and what we would have answered if that means something else.
fn passed_on(forwarded: &Forwarded, theme: &Theme) -> String {
    let took = format_duration(forwarded.latency);
    let answer = match (forwarded.status, &forwarded.failure) {
        (Some(status), _) => theme.paint(status_role(status), &status.to_string()),
        (None, Some(failure)) => theme.paint(Role::Bad, &clean(&failure.text)),
        (None, None) => String::new(),
    };
    let mut line = format!(
        "→ {}  {answer} {}",
        clean(&forwarded.url),
        theme.paint(Role::Faint, &format!("· {took}"))
    );
    if let (Some(status), Some(instead_of)) = (forwarded.status, forwarded.instead_of)
        && status / 100 != instead_of / 100
    {
        let own = format!(" · our own answer would have been {instead_of}");
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
fn answer(out: &mut String, answer: &Answer, theme: &Theme) {
    let status = answer
        .status
        .map(|status| status.to_string())
        .unwrap_or_default();
    let is_good = answer.status.is_some_and(|status| status < 400);
    let (role, texts): (_, &[&str]) = match (answer.status, answer.fault.as_deref()) {
        (Some(_), None) if is_good => (Role::Good, &[&status]),
        (Some(_), None) => (Role::Bad, &[&status]),
        (Some(_), Some("status")) => (Role::Bad, &[&status, " on purpose"]),
        (Some(_), Some(fault)) => (Role::Odd, &[&status, ", ", fault, " on purpose"]),
        (None, Some(fault)) => (Role::Bad, &["✗ ", fault, " (on purpose)"]),
        (None, None) => (Role::Bad, &["no answer"]),
    };
    theme.painted(out, role, |out| out.extend(texts.iter().copied()));
}

/// The path; the whole target where the query is not shown below.
fn path_of(exchange: &Exchange) -> &str {
    if exchange.request.method == "GET" {
        exchange.request.path()
    } else {
        &exchange.request.target
    }
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
    let mut lines = vec![format!(
        "{} · {} · {} bytes",
        sender(exchange),
        clean(&request.version),
        request.size
    )];
    let call_id = exchange.cdr.as_ref().and_then(|cdr| word(cdr, "call_id"));
    if let Some(id) = call_id.and_then(|id| ids::CallId::decode(&id)) {
        lines.push(format!(
            "call_id made {} by server {}",
            id.time.to_second(),
            ids::mac_text(id.server.mac)
        ));
    }
    for header in secret::masked_headers(&request.headers) {
        lines.push(format!(
            "{}: {}",
            theme.paint(Role::Name, &clean(&header.name)),
            clean(&header.text())
        ));
    }
    lines
}

/// The body as it came, or the query's parameters, behind an empty line.
fn content(out: &mut String, exchange: &Exchange, theme: &Theme) {
    let request = &exchange.request;
    let query = request.query().filter(|_| request.method == "GET");
    let kept = request.body.len() as u64;
    if query.is_none() && kept == request.size {
        // Nearly always, and then it can be written where it belongs.
        let before = out.len();
        out.push('\n');
        if body::json(out, &request.body.0, MARGIN, theme) {
            out.push('\n');
            return;
        }
        out.truncate(before);
    }
    let mut parts = Vec::new();
    if let Some(query) = query {
        let mut pairs = query::decode(query).pairs;
        for (name, value) in &mut pairs {
            if secret::is_secret_name(name) {
                secret::MASK.clone_into(value);
            }
        }
        parts = body::pairs(&pairs, theme);
    }
    if kept > 0 {
        parts.push(body::lines(&request.body.0, theme));
    }
    if request.size > kept {
        let text = format!("… {kept} of {} bytes were kept", request.size);
        parts.push(theme.paint(Role::Faint, &text));
    }
    let content = parts.join("\n");
    if !content.is_empty() {
        out.push('\n');
        indent(out, content.lines());
    }
}

/// Adds what there is to remark on, a line each.
fn remarks(out: &mut String, exchange: &Exchange, theme: &Theme) {
    let verdict = &exchange.verdict;
    let departs = verdict.remarks.iter().any(|remark| remark.code.departs());
    if verdict.generation.is_some() && !departs {
        let by_query = if exchange.request.method == "GET" {
            "; a query has no types"
        } else {
            ""
        };
        out.push_str(MARGIN);
        theme.painted(out, Role::Good, |out| {
            out.extend(["✓ conforms to the documented CDR", by_query]);
        });
        out.push('\n');
    }
    indent(
        out,
        verdict
            .remarks
            .iter()
            .map(|remark| remark_line(remark, theme)),
    );
    if let Some(why) = &exchange.answer.unsaved {
        indent(
            out,
            [theme.paint(Role::Bad, &format!("✗ not saved: {}", clean(why)))],
        );
    }
    let relations = exchange
        .related
        .iter()
        .filter(|relation| !matches!(relation.how.as_str(), "duplicate" | "conflict"));
    indent(
        out,
        relations
            .map(|relation| theme.paint(Role::Number, &format!("→ {}", clean(&relation.text)))),
    );
    if let Some(why) = &exchange.uncounted {
        indent(
            out,
            [theme.paint(Role::Odd, &format!("does not count: {}", why.cleaned()))],
        );
    }
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

/// The line about connections that failed before a request could be read.
#[must_use]
pub fn connection_errors(errors: &ConnectionErrors, theme: &Theme) -> String {
    let more = if errors.count > 1 {
        format!(" (and {} more like it)", errors.count - 1)
    } else {
        String::new()
    };
    format!(
        "{} {}{more}\n",
        theme.paint(Role::Odd, "!"),
        clean(&errors.text)
    )
}

/// The listener's last lines.
#[must_use]
pub fn summary(summary: &Summary, theme: &Theme) -> String {
    let too_many = summary.exit != Exit::Success
        && summary
            .wanted
            .is_some_and(|wanted| summary.counted > wanted);
    let failed = summary
        .command
        .filter(|ended| ended.shell_code() != 0)
        .map(Ended::words);
    let ending = match (summary.ending, &failed) {
        (Ending::Counted, _) if too_many => "more CDRs came than wanted".to_owned(),
        (Ending::CommandEnded, Some(how)) => format!("the command ended {how}"),
        (ending, _) => self::ending(ending).to_owned(),
    };
    let mut parts = vec![plural(summary.exchanges, "request")];
    parts.push(match summary.wanted {
        Some(wanted) => format!("{} of {wanted} CDRs", summary.counted),
        None if summary.counted < summary.cdrs => {
            format!(
                "{}, {} of them as expected",
                plural(summary.cdrs, "CDR"),
                summary.counted
            )
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
        parts.push(format!(
            "{} not shown (the output was not read fast enough)",
            summary.dropped
        ));
    }
    if summary.ending != Ending::CommandEnded {
        parts.extend(failed.map(|how| format!("command ended {how}")));
    }
    if summary.tunnel_ended {
        parts.push("the tunnel ended early".to_owned());
    }
    let role = if summary.exit.code() == 0 {
        Role::Good
    } else {
        Role::Bad
    };
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
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {many}")
    }
}
