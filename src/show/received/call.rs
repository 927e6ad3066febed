//! What a request means, in a few lines.

use super::MARGIN;
use crate::cdr::judge::Generation;
use crate::cdr::meaning::{self, word};
use crate::cdr::received::{Found, Received};
use crate::clock::Timestamp;
use crate::exchange::Exchange;
use crate::show::theme::{Role, Theme};
use crate::untrusted::push_clean;

/// Adds what a request means: what happened, to whom, in which call.
pub(super) fn push(out: &mut String, exchange: &Exchange, theme: &Theme) {
    let empty = Received::default();
    let cdr = exchange.cdr.as_ref().unwrap_or(&empty);
    let verdict = &exchange.verdict;
    out.push_str(MARGIN);
    theme.paint_into(out, Role::Strong, meaning::kind(verdict));
    meaning::push_more(out, verdict, cdr);
    out.push('\n');
    if !verdict.kind.is_cdr() {
        return;
    }
    let mut line = Line::begin(out);
    if let Some(user) = word(cdr, "user") {
        match user.split_once('_') {
            Some((extension, app_id)) => {
                line.part(&["agent "], extension, "");
                line.out.push_str(" of app ");
                push_clean(line.out, app_id);
            }
            None => line.part(&["user "], &user, ""),
        }
    }
    if let Some(number) = word(cdr, "virtual_number") {
        line.part(&["caller ID "], &number, "");
    }
    line.end();
    let mut line = Line::begin(out);
    if let Some(to) = word(cdr, "to") {
        line.part(&["rang "], &to, "");
    }
    if let Some(seconds) = word(cdr, "answeredsec") {
        line.part(&["answered for "], &seconds, " s");
    }
    line.part(&[origin(cdr)], "", "");
    line.end();
    let mut line = Line::begin(out);
    let time = cdr
        .get("time")
        .and_then(Found::as_i64)
        .and_then(Timestamp::from_epoch_ms);
    if let Some(time) = time {
        line.part(&["call of ", &time.to_second()], "", "");
    }
    if let Some(generation) = verdict.generation {
        line.part(&[words(generation)], "", "");
    }
    line.end();
}

/// A line of a block that is made of parts.
struct Line<'a> {
    out: &'a mut String,
    begin: usize,
}

impl<'a> Line<'a> {
    fn begin(out: &'a mut String) -> Self {
        let begin = out.len();
        Self { out, begin }
    }

    /// Adds a part: words of ours, received text, and what stands behind that.
    fn part(&mut self, words: &[&str], received: &str, behind: &str) {
        let is_first = self.out.len() == self.begin;
        self.out
            .push_str(if is_first { MARGIN } else { meaning::BETWEEN });
        self.out.extend(words.iter().copied());
        push_clean(self.out, received);
        self.out.push_str(behind);
    }

    /// Ends the line, if there is any.
    fn end(self) {
        if self.out.len() > self.begin {
            self.out.push('\n');
        }
    }
}

fn origin(cdr: &Received) -> &'static str {
    let click2call = cdr.contains_key("request_id") || cdr.contains_key("click_to_call");
    if click2call {
        "by click2call"
    } else {
        "not by click2call"
    }
}

fn words(generation: Generation) -> &'static str {
    match generation {
        Generation::Docs => "docs payload",
        Generation::Live => "live payload",
        Generation::Legacy => "legacy payload",
    }
}
