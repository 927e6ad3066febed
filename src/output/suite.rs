//! Renders the suite's run as text: a line for each family, or for each case with `-v`; what a failed case sent and what
//! came back. The findings and the verdict are in `summary`.

mod summary;

pub use summary::{Layout, summary};

use std::fmt::Write as _;
use std::mem::take;

use super::text::{Role, Theme, plural};
use super::{body, received};
use crate::clock::format_duration;
use crate::net::{Body, Header};
use crate::send::expect::status_words;
use crate::suite::Family;
use crate::suite::event::{CaseRecord, Reply};
use crate::untrusted::clean;

const NAMES: usize = 32;

/// The longest name of a family has 10 letters.
const FAMILIES: usize = 10;

/// Counts the cases of a family, of which a line is written when its last case has run.
#[derive(Debug, Clone, Default)]
pub struct CaseLines {
    family: Option<Family>,
    ok: u64,
    failed: u64,
    /// The reasons to skip cases, with their numbers.
    skipped: Vec<(String, u64)>,
}

impl CaseLines {
    pub fn case(&mut self, record: &CaseRecord, theme: Theme, verbose: bool) -> String {
        let mut out = String::new();
        if self.family != Some(record.family) {
            out.push_str(&self.rest(theme, verbose));
            self.family = Some(record.family);
            if verbose {
                let family = theme.paint(Role::Strong, record.family);
                let _ = write!(out, "\n{family} · {}\n", record.family.heading());
            }
        }
        match &record.skipped {
            Some(reason) => match self.skipped.iter_mut().find(|(known, _)| known == reason) {
                Some((_, count)) => *count += 1,
                None => self.skipped.push((reason.clone(), 1)),
            },
            None if record.ok => self.ok += 1,
            None => self.failed += 1,
        }
        if verbose {
            out.push_str(&line(record, theme));
        }
        out
    }

    /// Returns the line of the family whose cases have run, unless `verbose`.
    fn rest(&mut self, theme: Theme, verbose: bool) -> String {
        let (ok, failed) = (take(&mut self.ok), take(&mut self.failed));
        let all = ok + failed;
        let Some(family) = self.family.filter(|_| !verbose && all > 0) else {
            return String::new();
        };
        let (role, mark, result) = match failed {
            0 => (Role::Good, "✓", format!("{ok} held")),
            _ => (Role::Bad, "✗", format!("{failed} of {all} failed")),
        };
        let (mark, result) = (theme.paint(role, mark), theme.paint(role, result));
        let heading = theme.paint(Role::Faint, format!("· {}", family.heading()));
        format!("{mark} {family:<FAMILIES$} {result} {heading}\n")
    }

    /// Returns the last family's line, and a line for each reason to skip cases.
    pub fn end(&mut self, theme: Theme, verbose: bool) -> String {
        let mut out = self.rest(theme, verbose);
        for (reason, count) in self.skipped.iter().filter(|_| !verbose) {
            let text = format!("– {} skipped: {}", plural(*count, "case"), clean(reason));
            let _ = writeln!(out, "{}", theme.paint(Role::Faint, text));
        }
        out
    }
}

fn line(record: &CaseRecord, theme: Theme) -> String {
    let name = format!("{:<NAMES$}", record.name);
    if let Some(reason) = &record.skipped {
        return format!("– {name} skipped: {}\n", clean(reason));
    }
    let took = theme.paint(Role::Faint, format!("· {}", format_duration(record.took)));
    let (role, mark, name) = if record.ok {
        (Role::Good, "✓", name)
    } else {
        (Role::Bad, "✗", theme.paint(Role::Strong, name).to_string())
    };
    let mark = theme.paint(role, mark);
    let got = theme.paint(role, clean(&record.got));
    format!("{mark} {name} {got} {took}\n")
}

/// The beginnings of descriptions of a status that servers send by default (Werkzeug, Apache).
const STANDARD: [&str; 6] = [
    "The requested URL was not found on th",
    "The server encountered an internal error",
    "The method is not allowed for the requested URL",
    "The browser (or proxy) sent a request that this server could not understand",
    "The server could not verify that you are authorized",
    "You don't have the permission to access the requested resource",
];

/// What a failed case sent and what came back: lines of the request begin with `>`, lines of the reply with `<`.
pub fn exchange(record: &CaseRecord, theme: Theme) -> String {
    let mut out = String::new();
    let mut push = |mark, first: &str, headers: &[Header], body: &Body, complete: bool| {
        let mut all = format!("{first}\n{}", received::headers(headers, theme));
        all += &body::lines(&body.0, theme, "");
        if !complete {
            let _ = writeln!(all, "{}", theme.paint(Role::Faint, "… cut here"));
        }
        out.extend(body::indented(&all, mark));
    };
    if let Some(sent) = &record.sent {
        let first = format!("{} {} {}", sent.method, sent.target, sent.version);
        let first = clean(&first);
        push("> ", &first, &sent.headers, &sent.body, sent.complete);
    }
    for (reply, what) in [(&record.reply, ""), (&record.then, "the next good CDR: ")] {
        let Some(reply) = reply else { continue };
        let first = format!("{what}{}", words(reply));
        match &reply.response {
            Some(own) => push("< ", &first, &own.headers, &own.body, own.complete),
            None => push("< ", &first, &[], &Body::default(), true),
        }
    }
    out
}

/// The status of a reply and the line of its body that matters, or why there was none.
fn words(reply: &Reply) -> String {
    let first = match (reply.status, &reply.failure) {
        (Some(status), _) => status_words(status),
        (None, Some(failure)) => clean(&failure.text).into_owned(),
        (None, None) => "no reply".to_owned(),
    };
    let line = reply.line.as_deref().unwrap_or_default();
    let rest = line.strip_prefix(&first);
    let line = rest.map_or(line, |rest| rest.trim_start_matches([':', ' ']));
    if line.is_empty() || STANDARD.iter().any(|text| line.starts_with(text)) {
        return first;
    }
    format!("{first} · {line}")
}

#[cfg(test)]
mod tests;
