//! What a CDR means, in words for people. Pure: verdict and fields in, harmless text out.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

use super::judge::{Kind, Verdict};
use super::{Fields, HangupReason};
use crate::untrusted::{beginning, clean};

/// What came, in a word or two.
#[must_use]
pub fn kind(verdict: &Verdict) -> &'static str {
    match verdict.kind {
        Kind::OutgoingMissed => "outgoing missed",
        Kind::OutgoingAnswered => "outgoing answered",
        Kind::Incoming => "incoming call",
        Kind::LiveEvent => "live event",
        Kind::RestRecord => "REST record",
        Kind::Unknown => "no CDR",
        Kind::Unreadable => "unreadable",
    }
}

/// What stands between the parts of a meaning.
pub const BETWEEN: &str = " · ";

/// Adds what there is to say besides the kind: of which leg it is, and why that ended, as far as is known.
pub fn push_more(out: &mut String, verdict: &Verdict, cdr: &Fields) {
    if let Some(leg) = verdict.leg {
        let _ = write!(out, "{BETWEEN}leg {leg} ({})", leg.who());
    }
    if let Some(reason) = word(cdr, "hangup_reason") {
        out.push_str(BETWEEN);
        out.push_str(&clean(&reason));
        if let Some(known) = HangupReason::read(&reason) {
            out.extend([": ", known.meaning()]);
        }
    }
}

/// What happened: what came, of which leg, and why that ended, as far as is known.
#[must_use]
pub fn meaning(verdict: &Verdict, cdr: &Fields) -> String {
    let mut text = kind(verdict).to_owned();
    push_more(&mut text, verdict, cdr);
    text
}

/// A field's text: a string without its quotes, a number as its digits. Of a long one the beginning: the whole stands
/// in the body, as far as any body is shown.
#[must_use]
pub fn word<'a>(cdr: &'a Fields, name: &str) -> Option<Cow<'a, str>> {
    match cdr.get(name)? {
        Value::String(text) => Some(beginning(text, 60)),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}
