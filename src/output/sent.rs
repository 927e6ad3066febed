//! Renders the deliveries of `send` and their summary as text.

use std::fmt::Write as _;
use std::time::Duration;

use super::text::{Role, Theme, plural};
use super::{body, received};
use crate::clock::format_duration;
use crate::error::Exit;
use crate::reply::{self, is_html, reply_line};
use crate::send::event::{Attempt, Delivery, LatencySummary, Summary};
use crate::send::expect::status_words;
use crate::untrusted::clean;

const METHOD: usize = 4;

const SHORT_REPLY: usize = 24;

/// Without `--verbose`, up to 6 lines of a reply are shown.
const REPLY_LINES: usize = 6;

/// A delivery is one line, then indented the reason of a failure, the headers if `verbose`, and a long reply.
pub fn delivery(delivery: &Delivery, theme: Theme, verbose: bool) -> String {
    let mut out = String::with_capacity(128);
    what(&mut out, delivery, theme);
    let Some(last) = delivery.last() else {
        return out + "\n";
    };
    let result = match (&last.failure, last.status) {
        (Some(failure), _) => clean(&failure.text),
        (None, Some(status)) => status_words(status).into(),
        (None, None) => "no answer".into(),
    };
    let result = theme.paint(Role::of(delivery.ok), result);
    let mut took = format_duration(last.latency);
    if delivery.attempts.len() > 1 {
        let _ = write!(took, " · attempt {}", delivery.attempts.len());
    }
    let took = format_args!("· {took}");
    let _ = write!(out, "  {result} {}", theme.paint(Role::Faint, took));
    let reply = reply(last, theme, verbose);
    let mut lines = reply.lines();
    if let (Some(reply), None) = (lines.next(), lines.next())
        && delivery.ok
        && !verbose
        && reply.chars().count() <= SHORT_REPLY
    {
        let reply = format_args!("· {reply}");
        let _ = writeln!(out, " {}", theme.paint(Role::Faint, reply));
        return out;
    }
    out.push('\n');
    // `delivery.why` is not shown if it only names the failure or the status, which the delivery's line has already.
    let by_status = last.status.map(status_words);
    let is_new = |why: &&String| why.strip_prefix("answered ") != by_status.as_deref();
    let why = delivery.why.as_ref().filter(|_| last.failure.is_none());
    if let Some(why) = why.filter(is_new) {
        let _ = writeln!(out, "    {}", theme.paint(Role::Bad, clean(why)));
    }
    if verbose && let Some(response) = &last.response {
        let headers = received::headers(&response.headers, theme);
        out.extend(body::indented(&headers, "    "));
    }
    out.extend(body::indented(&reply, "    "));
    out
}

/// A delivery's line begins with `✓ #3 POST customer-no-answer b missed copy 1`.
fn what(out: &mut String, delivery: &Delivery, theme: Theme) {
    let mark = if delivery.ok { "✓" } else { "✗" };
    let mark = theme.paint(Role::of(delivery.ok), mark);
    let number = format_args!("#{}", delivery.n);
    let number = theme.paint(Role::Strong, number);
    let (method, scenario) = (clean(&delivery.method), delivery.scenario);
    let _ = write!(out, "{mark} {number} {method:<METHOD$} {scenario}");
    if let Some(cdr) = &delivery.cdr {
        for word in [&cdr.leg, &cdr.status].into_iter().flatten() {
            out.extend([" ", &clean(word)]);
        }
    }
    if delivery.copy > 0 {
        let _ = write!(out, " copy {}", delivery.copy);
    }
}

/// Unless `verbose`, an HTML page is shortened to the line that matters, and JSON to one line.
fn reply(last: &Attempt, theme: Theme, verbose: bool) -> String {
    let response = last.response.as_ref();
    let Some(response) = response.filter(|response| !response.body.is_empty()) else {
        return String::new();
    };
    let decoded = match response.decoded() {
        Ok(body) => body,
        Err(names) => return body::compressed(response.size, &names),
    };
    if !verbose {
        let page = || Some(format!("a page: {}\n", reply_line(response)?));
        // Flask gives the type `text/html` to plain text, too.
        let is_page = decoded.contains(&b'<') && is_html(response);
        let page = is_page.then(page).flatten();
        if let Some(lines) = page.or_else(|| body::compact_json(&decoded)) {
            return lines;
        }
    }
    let faint = |text| theme.paint(Role::Faint, text);
    let mut lines = body::lines(&decoded, theme, "");
    if !response.complete {
        let read = format!("only the first {} bytes were read", response.size);
        let _ = writeln!(lines, "{}", faint(format!("… and more: {read}")));
    }
    let is_short = lines.len() <= body::MAX_LINE && lines.lines().count() <= REPLY_LINES;
    if verbose || is_short {
        return lines;
    }
    let mut shown = String::with_capacity(lines.len());
    for line in lines.lines().take(REPLY_LINES) {
        shown.extend([&*body::cut(line, body::MAX_LINE), "\n"]);
    }
    let more = lines.lines().skip(REPLY_LINES).count() as u64;
    if more > 0 {
        let is_new = |line: &String| !shown.contains(line.as_str());
        let matters = reply_line(response).filter(is_new);
        shown.extend(matters.map(|line| line + "\n"));
        let more = format!("… {} more (-v shows them)", plural(more, "line"));
        let _ = writeln!(shown, "{}", faint(more));
    }
    shown
}

/// The hint on a failed delivery, by its last response or failure.
pub fn hint(delivery: &Delivery) -> Option<&'static str> {
    let last = delivery.last()?;
    let response = last.response.as_ref();
    let on_response =
        response.and_then(|response| reply::advice_on_response(&delivery.method, response));
    on_response.or_else(|| reply::advice_on_failure(last.failure.as_ref()?))
}

/// The summary of a run: the outcome, the latencies, and their histogram.
pub fn summary(summary: &Summary, theme: Theme) -> String {
    let mut out = String::from(if summary.deliveries == 0 { "" } else { "\n" });
    let deliveries = summary.deliveries;
    let (role, outcome) = match (summary.exit, summary.failed) {
        (Exit::Interrupted | Exit::Terminated, _) => {
            let of = summary.planned.map(|planned| format!(" of {planned}"));
            let of = of.unwrap_or_default();
            (Role::Bad, format!("interrupted after {deliveries}{of}"))
        }
        (_, 0) => (Role::Good, format!("{} delivered", summary.ok)),
        (_, failed) => (Role::Bad, format!("{failed} of {deliveries} failed")),
    };
    let _ = write!(out, "{}", theme.paint(role, outcome));
    if summary.dropped > 0 {
        let _ = write!(out, " · {} left out by --drop", summary.dropped);
    }
    let elapsed = format_duration(summary.elapsed);
    let _ = writeln!(out, " · {elapsed} · {:.1}/s", summary.requests_per_s);
    for (status, count) in &summary.by_status {
        let _ = writeln!(out, "  {count:>7}  {}", status_words(*status));
    }
    for (kind, count) in &summary.by_failure {
        let _ = writeln!(out, "  {count:>7}  {kind}");
    }
    if let Some(latency) = &summary.latency_ms {
        out += &times(latency, summary.lateness_ms.as_ref(), theme);
    }
    out + &histogram(summary, theme)
}

fn times(latency: &LatencySummary, lateness: Option<&LatencySummary>, theme: Theme) -> String {
    let columns = ["min", "mean", "p50", "p90", "p99", "max"];
    let columns = columns.map(|column| theme.paint(Role::Faint, format!("{column:>8}")));
    let columns = columns.map(|column| column.to_string());
    let mut out = format!("\n{:<9}{}\n", "", columns.concat());
    for (name, times) in [("latency", Some(latency)), ("lateness", lateness)] {
        let Some(of) = times else { continue };
        let times = [of.min, of.mean, of.p50, of.p90, of.p99, of.max];
        let times = times.map(|ms| format_duration(Duration::from_secs_f64(ms / 1e3)));
        let times = times.map(|time| format!("{time:>8}"));
        let _ = writeln!(out, "{name:<9}{}", times.concat());
    }
    out
}

const MIN_ANSWERS: u64 = 20;

const BAR: u64 = 36;

fn histogram(summary: &Summary, theme: Theme) -> String {
    let counts = || summary.buckets.iter().map(|bucket| bucket.count);
    let most = counts().max().unwrap_or(0).max(1);
    if counts().sum::<u64>() < MIN_ANSWERS {
        return String::new();
    }
    let mut out = String::from("\n");
    for bucket in &summary.buckets {
        let length = usize::try_from((bucket.count * BAR).div_ceil(most)).unwrap_or(0);
        let bar = theme.paint(Role::Number, format!("{:<36}", "█".repeat(length)));
        let up_to = format_duration(bucket.up_to);
        let _ = writeln!(out, "{up_to:>9} {bar} {}", bucket.count);
    }
    out
}
