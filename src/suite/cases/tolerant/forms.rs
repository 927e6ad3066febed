//! The same JSON written in another way, and other kinds at the same URL.

use super::super::super::{BodyEncoding, Case, CaseDelivery, CaseMethod, CasePayload, OtherKind};
use super::super::GOOD;
use super::tolerant;
use crate::cdr::Grade::{Calc, Doc, Hostile, Inferred};
use CaseDelivery::{ContentType, InOrder};
use CaseMethod::Post;
use CasePayload::{Encoded, Other};

/// Ways of writing, and relatives.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    // The same JSON, written in another way.
    tolerant("fields-reordered", Calc, Post, Encoded(BodyEncoding::Reordered), InOrder,
        "The order of JSON members means nothing and differs between samples; signatures and CSV \
         exports over the raw order break."),
    tolerant("indented", Inferred, Post, Encoded(BodyEncoding::Indented), InOrder,
        "JSON over several lines is JSON; a handler that reads one line of the body gets a \
         brace."),
    tolerant("blank-lines-around", Inferred, Post, Encoded(BodyEncoding::Surrounded), InOrder,
        "White space around JSON is allowed; a check of the first byte refuses it."),
    tolerant("escaped-letters", Inferred, Post, Encoded(BodyEncoding::Escaped), InOrder,
        "Any letter may be written \\u0061; whoever searches the raw body for a word misses it."),
    tolerant("content-type-with-charset", Inferred, Post, GOOD,
        ContentType(Some("application/json; charset=utf-8")),
        "Most clients add a charset; comparing the whole header with application/json refuses \
         them."),
    // Other kinds at the same URL.
    tolerant("live-event", Doc, Post, Other(OtherKind::Event), InOrder,
        "One URL in both boxes of the dashboard brings live events too, with app_id for appid \
         and text for to; record[\"appid\"] fails."),
    tolerant("incoming-missed", Doc, Post, Other(OtherKind::IncomingMissed), InOrder,
        "Incoming calls come to the same URL with from, waitedsec and team, often without leg; \
         handlers take them for outgoing ones, or fail."),
    tolerant("incoming-answered", Doc, Post, Other(OtherKind::IncomingAnswered), InOrder,
        "An answered incoming call brings answeredsec, record and filename; it is no reason to \
         fail, only to look elsewhere."),
    tolerant("outgoing-answered", Doc, Post, Other(OtherKind::Recorded), InOrder,
        "An answered outgoing call brings answeredsec, record and filename; a handler for missed \
         calls must let it pass with a 2xx."),
    // Relatives that never come by themselves, but are sent by mistake.
    tolerant("incoming-live-event", Inferred, Post, Other(OtherKind::IncomingEvent), InOrder,
        "Leg b of an incoming call's event says direction outbound; handlers that look at \
         direction alone file it as an outgoing CDR, and miss its fields."),
    tolerant("rest-record", Hostile, Post, Other(OtherKind::Rest), InOrder,
        "A record of the REST interface says cmiuid with one u, agent and duration; people \
         replay them as webhooks by mistake, and the handler fails on the names."),
];
