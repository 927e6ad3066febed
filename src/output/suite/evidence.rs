//! Renders what a failed case sent and what came back.

use crate::net::{Body, Header};
use crate::output::body;
use crate::output::text::{Role, Theme};
use crate::send::expect::status_words;
use crate::suite::event::{CaseRecord, Reply};
use crate::untrusted::clean;

/// The beginnings of descriptions of a status that servers send by default (Werkzeug, Apache).
const STANDARD: [&str; 6] = [
    "The requested URL was not found on th",
    "The server encountered an internal error",
    "The method is not allowed for the requested URL",
    "The browser (or proxy) sent a request that this server could not understand",
    "The server could not verify that you are authorized",
    "You don't have the permission to access the requested resource",
];

/// Lines of the request begin with `>`, lines of the reply with `<`.
pub fn exchange(record: &CaseRecord, theme: Theme) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(sent) = &record.sent {
        let first = clean(&format!("{} {} {}", sent.method, sent.target, sent.version));
        push(
            &mut lines,
            ">",
            first,
            &sent.headers,
            &sent.body,
            sent.complete,
            theme,
        );
    }
    for (reply, what) in [(&record.reply, ""), (&record.then, "then, to a good CDR: ")] {
        let Some(reply) = reply else { continue };
        let first = format!("{what}{}", words(reply));
        let (headers, body, complete) = match &reply.response {
            Some(response) => (&*response.headers, &response.body, response.complete),
            None => (&[][..], &Body::default(), true),
        };
        push(&mut lines, "<", first, headers, body, complete, theme);
    }
    lines
}

/// The status of a reply and the line of its body that matters, or why there was none.
pub fn words(reply: &Reply) -> String {
    let first = match (reply.status, &reply.failure) {
        (Some(status), _) => status_words(status),
        (None, Some(failure)) => clean(&failure.text),
        (None, None) => "no reply".to_owned(),
    };
    let line = reply.line.as_deref().unwrap_or_default();
    let line = match line.strip_prefix(&first) {
        Some(rest) => rest.trim_start_matches([':', ' ']),
        None => line,
    };
    if line.is_empty() || STANDARD.iter().any(|text| line.starts_with(text)) {
        return first;
    }
    format!("{first} · {line}")
}

fn push(
    lines: &mut Vec<String>,
    mark: &str,
    first: String,
    headers: &[Header],
    body: &Body,
    complete: bool,
    theme: Theme,
) {
    let headers = headers.iter().map(|header| {
        let name = theme.paint(Role::Name, &clean(&header.name));
        format!("{name}: {}", clean(&header.text()))
    });
    let body = body::lines(&body.0, theme);
    let cut = (!complete).then(|| theme.paint(Role::Faint, "… cut here"));
    let all = [first].into_iter().chain(headers).chain(body).chain(cut);
    lines.extend(all.map(|line| format!("{mark} {line}")));
}
