//! What a CDR means, in words for people. Pure: verdict and fields in, harmless text out.

use std::borrow::Cow;

use serde_json::Value;

use super::HangupReason;
use super::judge::{Kind, Verdict};
use super::received::{Found, Received};
use crate::untrusted::{beginning, clean};

/// What happened: what came, of which leg, and why that ended, as far as is known.
#[must_use]
pub fn meaning(verdict: &Verdict, cdr: &Received) -> Vec<String> {
    let kind = match verdict.kind {
        Kind::OutgoingMissed => "outgoing missed",
        Kind::OutgoingAnswered => "outgoing answered",
        Kind::Incoming => "incoming call",
        Kind::LiveEvent => "live event",
        Kind::RestRecord => "REST record",
        Kind::Unknown => "no CDR",
        Kind::Unreadable => "unreadable",
    };
    let mut parts = vec![kind.to_owned()];
    if let Some(leg) = verdict.leg {
        parts.push(["leg ", leg.word(), " (", leg.who(), ")"].concat());
    }
    if let Some(reason) = word(cdr, "hangup_reason") {
        let meaning = HangupReason::read(&reason).map(HangupReason::meaning);
        let reason = clean(&reason);
        parts.push(meaning.map_or_else(|| reason.clone(), |meaning| [&reason, ": ", meaning].concat()));
    }
    parts
}

/// A field's text: a string without its quotes, a number as its digits. Of a long one the beginning: the whole stands
/// in the body, as far as any body is shown.
#[must_use]
pub fn word<'a>(cdr: &'a Received, name: &str) -> Option<Cow<'a, str>> {
    match cdr.get(name)? {
        Found::Text(text) => Some(beginning(text, 60)),
        Found::Whole(_, digits) => Some(digits.into()),
        Found::Other(Value::Number(number)) => Some(number.to_string().into()),
        Found::Other(_) => None,
    }
}
