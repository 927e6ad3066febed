//! Renders the deliveries of `send` as text; the summary is in a submodule.

mod summary;

pub use summary::summary;

use std::fmt::Write as _;

use super::body;
use super::received::header_line;
use super::text::{Role, Theme, indented, plural};
use crate::clock::format_duration;
use crate::reply::{self, is_html, reply_line};
use crate::send::event::{Attempt, Delivery};
use crate::send::expect::status_words;
use crate::untrusted::clean;

const METHOD: usize = 4;

const SHORT_REPLY: usize = 24;

/// Without `--verbose`, up to 6 lines of a reply are shown.
const REPLY_LINES: usize = 6;

/// A delivery is one line, then indented the reason of a failure, the headers if `verbose`, and a long reply.
pub fn delivery(delivery: &Delivery, theme: Theme, verbose: bool) -> String {
    let mut first = what(delivery, theme);
    let Some(last) = delivery.last() else {
        return first + "\n";
    };
    first.extend(["  ", &result(delivery, last, theme)]);
    let reply = reply(last, theme, verbose);
    if let [reply] = reply.as_slice()
        && delivery.ok
        && !verbose
        && reply.chars().count() <= SHORT_REPLY
    {
        let reply = theme.paint(Role::Faint, &("· ".to_owned() + reply));
        first.extend([" ", &reply, "\n"]);
        return first;
    }
    let mut lines = Vec::new();
    // `delivery.why` is not shown if it only names the failure or the status, which the delivery's line has already.
    let by_status = last.status.map(status_words);
    let is_new = |why: &&String| why.strip_prefix("answered ") != by_status.as_deref();
    let why = delivery.why.as_ref().filter(|_| last.failure.is_none());
    let why = why.filter(is_new).map(|why| clean(why));
    lines.extend(why.map(|why| theme.paint(Role::Bad, &why)));
    if verbose && let Some(response) = &last.response {
        let headers = response.headers.iter();
        lines.extend(headers.map(|header| header_line(header, theme)));
    }
    lines.extend(reply);
    format!("{first}\n{}", indented(&lines, "    "))
}

/// A delivery's line begins with `✓ #3 POST customer-no-answer b missed copy 1`.
fn what(delivery: &Delivery, theme: Theme) -> String {
    let mark = if delivery.ok { "✓" } else { "✗" };
    let mark = theme.paint(Role::of(delivery.ok), mark);
    let number = theme.paint(Role::Strong, &format!("#{}", delivery.n));
    let (method, scenario) = (clean(&delivery.method), delivery.scenario);
    let mut text = String::with_capacity(128);
    let _ = write!(text, "{mark} {number} {method:<METHOD$} {scenario}");
    if let Some(cdr) = &delivery.cdr {
        for word in [&cdr.leg, &cdr.status].into_iter().flatten() {
            text.extend([" ", &clean(word)]);
        }
    }
    if delivery.copy > 0 {
        let _ = write!(text, " copy {}", delivery.copy);
    }
    text
}

fn result(delivery: &Delivery, last: &Attempt, theme: Theme) -> String {
    let role = Role::of(delivery.ok);
    let result = match (&last.failure, last.status) {
        (Some(failure), _) => clean(&failure.text),
        (None, Some(status)) => status_words(status),
        (None, None) => "no answer".to_owned(),
    };
    let mut took = "· ".to_owned() + &format_duration(last.latency);
    if delivery.attempts.len() > 1 {
        let _ = write!(took, " · attempt {}", delivery.attempts.len());
    }
    theme.paint(role, &result) + " " + &theme.paint(Role::Faint, &took)
}

/// Unless `verbose`, an HTML page is shortened to the line that matters, and JSON to one line.
fn reply(last: &Attempt, theme: Theme, verbose: bool) -> Vec<String> {
    let response = last.response.as_ref();
    let Some(response) = response.filter(|response| !response.body.is_empty()) else {
        return Vec::new();
    };
    let decoded = match response.decoded() {
        Ok(body) => body,
        Err(names) => return vec![body::compressed(response.size, &names)],
    };
    if !verbose {
        let page = || Some(format!("a page: {}", reply_line(response)?));
        // Flask gives the type `text/html` to plain text, too.
        let is_page = is_html(response) && decoded.contains(&b'<');
        let page = is_page.then(page).flatten();
        if let Some(line) = page.or_else(|| body::compact_json(&decoded)) {
            return vec![line];
        }
    }
    let faint = |text: String| theme.paint(Role::Faint, &text);
    let mut lines = body::lines(&decoded, theme);
    if !response.complete {
        let read = format!("only the first {} bytes were read", response.size);
        lines.push(faint(format!("… and more: {read}")));
    }
    if !verbose {
        for line in &mut lines {
            *line = body::cut(line, body::MAX_LINE);
        }
    }
    if lines.len() > REPLY_LINES && !verbose {
        let more = plural((lines.len() - REPLY_LINES) as u64, "line");
        lines.truncate(REPLY_LINES);
        let is_new = |line: &String| !lines.iter().any(|shown| shown.contains(line.as_str()));
        lines.extend(reply_line(response).filter(is_new));
        lines.push(faint(format!("… {more} more (-v shows them)")));
    }
    lines
}

/// The hint on a failed delivery, by its last response or failure.
pub fn hint(delivery: &Delivery) -> Option<&'static str> {
    let last = delivery.last()?;
    let response = last.response.as_ref();
    let on_response =
        response.and_then(|response| reply::advice_on_response(&delivery.method, response));
    on_response.or_else(|| reply::advice_on_failure(last.failure.as_ref()?))
}
