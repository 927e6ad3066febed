//! Renders what a failed case sent and what came back.

use crate::net::{Body, Header};
use crate::output::body;
use crate::output::text::{Role, Theme};
use crate::send::expect::status_words;
use crate::suite::event::{CaseRecord, Reply};
use crate::untrusted::clean;

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
        if let Some(reply) = reply {
            let first = format!("{what}{}", words(reply));
            let empty = (Vec::new(), Body::default(), true);
            let (headers, body, complete) = reply.response.as_ref().map_or_else(
                || empty,
                |response| {
                    (
                        response.headers.clone(),
                        response.body.clone(),
                        response.complete,
                    )
                },
            );
            push(&mut lines, "<", first, &headers, &body, complete, theme);
        }
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
    match &reply.line {
        Some(line) => format!("{first} · {line}"),
        None => first,
    }
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
