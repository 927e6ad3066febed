//! What differs a little: forms seen live, other kinds at the same URL, and oddities that a small change would bring.
//!
//! Here is what may be absent, new or free in form; [`typed`] holds types and text, [`forms`] other ways of writing and
//! other kinds.

pub mod forms;
pub mod typed;

use super::super::{Case, CaseDelivery, CaseMethod, CasePayload, Change, Family};
use crate::cdr::Grade::{self, Doc, Hostile, Inferred, Seen};
use CaseDelivery::InOrder;
use CaseMethod::{Get, Post};
use CasePayload::Changed;
use Change::{Put, Without};

/// A good CDR with changes, by POST.
const fn changed(
    name: &'static str,
    grade: Grade,
    changes: &'static [Change],
    why: &'static str,
) -> Case {
    tolerant(name, grade, Post, Changed(changes), InOrder, why)
}

/// A good CDR with changes, by GET.
const fn got(
    name: &'static str,
    grade: Grade,
    changes: &'static [Change],
    why: &'static str,
) -> Case {
    tolerant(name, grade, Get, Changed(changes), InOrder, why)
}

const fn tolerant(
    name: &'static str,
    grade: Grade,
    method: CaseMethod,
    payload: CasePayload,
    delivery: CaseDelivery,
    why: &'static str,
) -> Case {
    super::case(
        Family::Tolerant,
        name,
        grade,
        method,
        payload,
        delivery,
        why,
    )
}

/// Fields that are absent, fields that nobody knows, and the two that are the user's own.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    // Fields that are absent.
    changed("without-request-id", Inferred, &[Without("request_id")],
        "request_id comes with click2call calls only; record[\"request_id\"] fails on all \
         others."),
    changed("without-extra-params", Inferred, &[Without("extra_params")],
        "extra_params comes with click2call calls only; JSON.parse(undefined) throws."),
    changed("without-call-id", Inferred, &[Without("call_id")],
        "The older generation has no call_id; a NOT NULL column or record[\"call_id\"] fails."),
    changed("without-leg", Inferred, &[Without("leg")],
        "The older generation names no leg; a branch for a and one for b leaves a third way, \
         often an exception."),
    changed("without-virtual-number", Inferred, &[Without("virtual_number")],
        "The older generation has no virtual_number; formatting it as a telephone number fails \
         on nothing."),
    changed("without-custom", Inferred, &[Without("custom")],
        "The older generation has no custom; JSON.parse of it throws before anything is stored."),
    changed("without-hangup-reason", Inferred, &[Without("hangup_reason")],
        "The older generation has no hangup_reason; a lookup in a table of reasons fails on \
         nothing."),
    changed("without-user", Hostile, &[Without("user")],
        "No one promises that user stays; user.split(\"_\") fails when it is not there."),
    changed("without-to", Hostile, &[Without("to")],
        "A field that is always there may once be missing; arithmetic on to then fails."),
    changed("without-time", Hostile, &[Without("time")],
        "A field that is always there may once be missing; a date made of nothing fails."),
    changed("without-status", Hostile, &[Without("status")],
        "A field that is always there may once be missing; a match on status without a default \
         fails."),
    changed("without-cmiuuid", Hostile, &[Without("cmiuuid")],
        "Anyone can post to a webhook; a primary key of null is a database error, and a 500."),
    changed("without-appid", Hostile, &[Without("appid")],
        "Anyone can post to a webhook; TeleCMI's own .NET example ends when appid is missing."),
    changed("null-click2call-fields", Inferred,
        &[Put("request_id", "null"), Put("extra_params", "null")],
        "Absent is documented, null is what many serialisers make of it; checks for presence let \
         null through."),
    changed("empty-texts", Inferred,
        &[Put("custom", "\"\""), Put("extra_params", "\"\""), Put("request_id", "\"\"")],
        "Empty text is neither absent nor JSON; JSON.parse(\"\") throws."),
    // Fields that nobody knows.
    changed("unknown-text-field", Inferred, &[Put("campaign", "\"spring\"")],
        "Fields get added without notice, as leg and call_id were; CDR(**record) and strict \
         schemas refuse the whole CDR."),
    changed("unknown-object-field", Inferred,
        &[Put("queue", "{\"name\":\"sales\",\"waited\":[1,2]}")],
        "A new field may be an object; flattening every field into a column fails on it."),
    changed("dangerous-field-names", Hostile,
        &[Put("__proto__", "{\"polluted\":true}"), Put("constructor", "\"x\""),
            Put("$where", "\"1\""), Put("a.b", "1")],
        "Names with a meaning in JavaScript or MongoDB can be posted by anyone; merging or \
         storing them as they come pollutes or fails."),
    // custom, in every form.
    changed("custom-none", Seen, &[Put("custom", "\"none\"")],
        "An unset custom is the text none on live accounts; it is not JSON, and parsing it \
         throws."),
    changed("custom-false", Seen, &[Put("custom", "\"false\"")],
        "An unset custom is the text false on live accounts; parsed it is a boolean, and looking \
         for fields in it fails."),
    changed("custom-text", Seen, &[Put("custom", "\"campaign 7, Berlin\"")],
        "custom may be any text; whoever parses it as JSON without a try loses the call."),
    changed("custom-boolean-values", Doc, &[Put("custom", "\"{\\\"crm\\\":true}\"")],
        "Both true and \"true\" are documented in custom; comparing with one misses the other."),
    changed("custom-object", Inferred, &[Put("custom", "{\"crm\":\"true\"}")],
        "extra_params has come as an object, and custom may follow; parsing an object as text \
         fails."),
    got("get-custom-none", Inferred, &[Put("custom", "\"none\"")],
        "By GET an unset custom is none as well; it is not JSON, and parsing it throws."),
    // extra_params, in every form.
    changed("extra-params-object", Seen, &[Put("extra_params", "{\"callCode\":\"CODE1\"}")],
        "Live extra_params has come as an object; json.loads of an object is a TypeError, \
         JSON.parse of it throws."),
    changed("extra-params-braces-null", Seen, &[Put("extra_params", "{\"{}\":null}")],
        "Empty parameters have come live as {\"{}\":null}; a loop over the values meets null."),
    changed("extra-params-text", Inferred, &[Put("extra_params", "\"CODE1\"")],
        "extra_params echoes what the caller of click2call wrote, which need not be JSON."),
    changed("extra-params-encoded-twice", Inferred,
        &[Put("extra_params", "\"\\\"{\\\\\\\"click2call\\\\\\\":\\\\\\\"true\\\\\\\"}\\\"\"")],
        "The GET form of click2call can encode twice: parsed once it is still text, and looking \
         for fields in it fails."),
    changed("extra-params-array", Inferred, &[Put("extra_params", "\"[1,2]\"")],
        "JSON text need not be an object: a list came in, and looking for fields in it fails."),
    changed("extra-params-empty-object", Seen, &[Put("extra_params", "{}")],
        "An object without members; PHP makes it an empty list, and other code takes the first \
         of its keys."),
    got("get-empty-values", Inferred, &[Put("extra_params", "{}"), Put("custom", "\"\"")],
        "By GET, empty values are custom= with nothing after it; some frameworks leave such \
         fields out, others give null."),
];
