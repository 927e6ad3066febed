//! What differs a little: forms seen live, other kinds at the same URL, and oddities that a small change would bring.

use super::super::{Case, Change, Delivery, Family, Kind, Method, Payload, Writing};
use crate::cdr::Grade::{self, Calc, Doc, Hostile, Inferred, Seen};
use Change::{AsText, Fill, InSeconds, Plus, Put, Without};
use Delivery::{ContentType, InOrder, Pluses};
use Method::{Get, Post};
use Payload::{Changed, Other, Written};

/// A good CDR with changes, by POST.
const fn changed(name: &'static str, grade: Grade, changes: &'static [Change], why: &'static str) -> Case {
    tolerant(name, grade, Post, Changed(changes), InOrder, why)
}

/// A good CDR with changes, by GET.
const fn got(name: &'static str, grade: Grade, changes: &'static [Change], why: &'static str) -> Case {
    tolerant(name, grade, Get, Changed(changes), InOrder, why)
}

const fn tolerant(
    name: &'static str,
    grade: Grade,
    method: Method,
    payload: Payload,
    delivery: Delivery,
    why: &'static str,
) -> Case {
    super::case(Family::Tolerant, name, grade, method, payload, delivery, why)
}

/// The cases.
pub const CASES: [Case; 61] = [
    // Fields that are absent.
    changed(
        "without-request-id",
        Inferred,
        &[Without("request_id")],
        "request_id comes with click2call calls only; record[\"request_id\"] fails on all others.",
    ),
    changed(
        "without-extra-params",
        Inferred,
        &[Without("extra_params")],
        "extra_params comes with click2call calls only; JSON.parse(undefined) throws.",
    ),
    changed(
        "without-call-id",
        Inferred,
        &[Without("call_id")],
        "The older generation has no call_id; a NOT NULL column or record[\"call_id\"] fails.",
    ),
    changed(
        "without-leg",
        Inferred,
        &[Without("leg")],
        "The older generation names no leg; a branch for a and one for b leaves a third way, often an exception.",
    ),
    changed(
        "without-virtual-number",
        Inferred,
        &[Without("virtual_number")],
        "The older generation has no virtual_number; formatting it as a telephone number fails on nothing.",
    ),
    changed(
        "without-custom",
        Inferred,
        &[Without("custom")],
        "The older generation has no custom; JSON.parse of it throws before anything is stored.",
    ),
    changed(
        "without-hangup-reason",
        Inferred,
        &[Without("hangup_reason")],
        "The older generation has no hangup_reason; a lookup in a table of reasons fails on nothing.",
    ),
    changed(
        "without-user",
        Hostile,
        &[Without("user")],
        "No one promises that user stays; user.split(\"_\") fails when it is not there.",
    ),
    changed(
        "without-to",
        Hostile,
        &[Without("to")],
        "A field that is always there may once be missing; arithmetic on to then fails.",
    ),
    changed(
        "without-time",
        Hostile,
        &[Without("time")],
        "A field that is always there may once be missing; a date made of nothing fails.",
    ),
    changed(
        "without-status",
        Hostile,
        &[Without("status")],
        "A field that is always there may once be missing; a match on status without a default fails.",
    ),
    changed(
        "without-cmiuuid",
        Hostile,
        &[Without("cmiuuid")],
        "Anyone can post to a webhook; a primary key of null is a database error, and a 500.",
    ),
    changed(
        "without-appid",
        Hostile,
        &[Without("appid")],
        "Anyone can post to a webhook; TeleCMI's own .NET example ends when appid is missing.",
    ),
    changed(
        "null-click2call-fields",
        Inferred,
        &[Put("request_id", "null"), Put("extra_params", "null")],
        "Absent is documented, null is what many serialisers make of it; checks for presence let null through.",
    ),
    changed(
        "empty-texts",
        Inferred,
        &[Put("custom", "\"\""), Put("extra_params", "\"\""), Put("request_id", "\"\"")],
        "Empty text is neither absent nor JSON; JSON.parse(\"\") throws.",
    ),
    // Fields that nobody knows.
    changed(
        "unknown-text-field",
        Inferred,
        &[Put("campaign", "\"spring\"")],
        "Fields get added without notice, as leg and call_id were; CDR(**record) and strict schemas refuse the whole CDR.",
    ),
    changed(
        "unknown-object-field",
        Inferred,
        &[Put("queue", "{\"name\":\"sales\",\"waited\":[1,2]}")],
        "A new field may be an object; flattening every field into a column fails on it.",
    ),
    changed(
        "dangerous-field-names",
        Hostile,
        &[
            Put("__proto__", "{\"polluted\":true}"),
            Put("constructor", "\"x\""),
            Put("$where", "\"1\""),
            Put("a.b", "1"),
        ],
        "Names with a meaning in JavaScript or MongoDB can be posted by anyone; merging or storing them as they come pollutes or fails.",
    ),
    // custom, in every form.
    changed(
        "custom-none",
        Seen,
        &[Put("custom", "\"none\"")],
        "An unset custom is the text none on live accounts; it is not JSON, and parsing it throws.",
    ),
    changed(
        "custom-false",
        Seen,
        &[Put("custom", "\"false\"")],
        "An unset custom is the text false on live accounts; parsed it is a boolean, and looking for fields in it fails.",
    ),
    changed(
        "custom-text",
        Seen,
        &[Put("custom", "\"campaign 7, Berlin\"")],
        "custom may be any text; whoever parses it as JSON without a try loses the call.",
    ),
    changed(
        "custom-boolean-values",
        Doc,
        &[Put("custom", "\"{\\\"crm\\\":true}\"")],
        "Both true and \"true\" are documented in custom; comparing with one misses the other.",
    ),
    changed(
        "custom-object",
        Inferred,
        &[Put("custom", "{\"crm\":\"true\"}")],
        "extra_params has come as an object, and custom may follow; parsing an object as text fails.",
    ),
    got(
        "get-custom-none",
        Inferred,
        &[Put("custom", "\"none\"")],
        "By GET an unset custom is none as well; it is not JSON, and parsing it throws.",
    ),
    // extra_params, in every form.
    changed(
        "extra-params-object",
        Seen,
        &[Put("extra_params", "{\"callCode\":\"CODE1\"}")],
        "Live extra_params has come as an object; json.loads of an object is a TypeError, JSON.parse of it throws.",
    ),
    changed(
        "extra-params-braces-null",
        Seen,
        &[Put("extra_params", "{\"{}\":null}")],
        "Empty parameters have come live as {\"{}\":null}; a loop over the values meets null.",
    ),
    changed(
        "extra-params-text",
        Inferred,
        &[Put("extra_params", "\"CODE1\"")],
        "extra_params echoes what the caller of click2call wrote, which need not be JSON.",
    ),
    changed(
        "extra-params-encoded-twice",
        Inferred,
        &[Put("extra_params", "\"\\\"{\\\\\\\"click2call\\\\\\\":\\\\\\\"true\\\\\\\"}\\\"\"")],
        "The GET form of click2call can encode twice: parsed once it is still text, and looking for fields in it fails.",
    ),
    changed(
        "extra-params-array",
        Inferred,
        &[Put("extra_params", "\"[1,2]\"")],
        "JSON text need not be an object: a list came in, and looking for fields in it fails.",
    ),
    changed(
        "extra-params-empty-object",
        Seen,
        &[Put("extra_params", "{}")],
        "An object without members; PHP makes it an empty list, and other code takes the first of its keys.",
    ),
    got(
        "get-empty-values",
        Inferred,
        &[Put("extra_params", "{}"), Put("custom", "\"\"")],
        "By GET, empty values are custom= with nothing after it; some frameworks leave such fields out, others give null.",
    ),
    // Types.
    changed(
        "virtual-number-as-number",
        Seen,
        &[Put("virtual_number", "918012345678")],
        "Live virtual_number is a number; startsWith, strip and slices exist for text only.",
    ),
    changed(
        "to-as-text",
        Inferred,
        &[AsText("to")],
        "Live events carry to as text; arithmetic on it fails, and 442… == \"442…\" is false.",
    ),
    changed(
        "appid-as-text",
        Inferred,
        &[AsText("appid")],
        "By GET appid is text, and it may become so by POST; comparing it with a number rejects one's own account.",
    ),
    changed(
        "appid-not-a-number",
        Hostile,
        &[Put("appid", "\"many\"")],
        "Anyone can post anything; int(appid) without a try ends TeleCMI's own .NET example.",
    ),
    changed(
        "appid-beyond-32-bits",
        Inferred,
        &[Put("appid", "22222230001")],
        "App ids have grown from 7 to 8 digits; an INT column ends at 2147483647.",
    ),
    changed(
        "time-as-text",
        Inferred,
        &[AsText("time")],
        "By GET time is text, and it may become so by POST; time / 1000 fails.",
    ),
    changed(
        "time-in-seconds",
        Inferred,
        &[InSeconds],
        "Seconds for milliseconds is the classic mix-up; a check of the year refuses it, and dates fall into January 1970.",
    ),
    changed(
        "time-with-fraction",
        Inferred,
        &[Put("time", "1795338000000.5")],
        "JSON has one kind of number; a BIGINT column and int(\"….5\") refuse a fraction.",
    ),
    changed(
        "to-of-fifteen-digits",
        Doc,
        &[Put("to", "123456789012345")],
        "Telephone numbers have up to 15 digits; 32-bit integers end at 10, and some columns at 12.",
    ),
    changed(
        "to-with-plus",
        Inferred,
        &[Plus("to")],
        "Bare digits are documented, but everything else in the world says +44…; a lookup by number misses one of the two.",
    ),
    changed(
        "virtual-number-with-plus",
        Inferred,
        &[Plus("virtual_number")],
        "+44… against bare digits: a lookup of the line by its number finds nothing, and then fails on nothing.",
    ),
    changed(
        "user-without-appid",
        Inferred,
        &[Put("user", "\"101\"")],
        "user is <extension>_<appid> by documentation only; split(\"_\")[1] fails on a bare extension.",
    ),
    changed(
        "unknown-status",
        Inferred,
        &[Put("status", "\"voicemail\"")],
        "Statuses get added; a map of the known ones without a default fails.",
    ),
    changed(
        "unknown-hangup-reason",
        Inferred,
        &[Put("hangup_reason", "\"send_cancel\"")],
        "The platform's own names differ from TeleCMI's by one letter; an ENUM column refuses them.",
    ),
    changed(
        "hangup-reason-of-answered-calls",
        Doc,
        &[Put("hangup_reason", "\"sent_bye\"")],
        "sent_bye and recv_bye are documented for missed calls as well, odd as it is; a map of two reasons fails.",
    ),
    // Text.
    changed(
        "not-ascii",
        Seen,
        &[Put("custom", "\"{\\\"name\\\":\\\"अनुष्का, Zoë, Łódź\\\"}\"")],
        "Names in custom are in Hindi and Polish too; a log or column in ASCII or latin-1 fails.",
    ),
    changed(
        "emoji",
        Inferred,
        &[Put("custom", "\"{\\\"name\\\":\\\"📞 चुनाव 👩🏽‍💻\\\"}\"")],
        "Emoji need four bytes in UTF-8; MySQL's utf8 has three, and answers with an error.",
    ),
    got(
        "get-not-ascii",
        Inferred,
        &[Put("custom", "\"{\\\"name\\\":\\\"अनुष्का 📞 Zoë & Co. 100%\\\"}\"")],
        "Hindi, emoji, & and % in a query are escaped UTF-8; decoding twice or as latin-1 garbles or fails.",
    ),
    changed(
        "long-value",
        Seen,
        &[Fill("custom", "long ", 5_000)],
        "custom carries whatever a CRM puts there; VARCHAR(255) refuses it in a strict database, and 2 KiB limits answer 413.",
    ),
    got(
        "get-long-value",
        Inferred,
        &[Fill("custom", "x", 3_000)],
        "By GET a long custom makes a long URL; limits of 2 KiB exist, most are at 8.",
    ),
    tolerant(
        "get-plus-for-space",
        Inferred,
        Get,
        Changed(&[Put("custom", "\"{\\\"note\\\":\\\"campaign 7, Berlin + Bonn\\\"}\"")]),
        Pluses,
        "Forms write a space as +, others as %20; a handler that decodes by hand keeps the plus signs.",
    ),
    // The same JSON, written in another way.
    tolerant(
        "fields-reordered",
        Calc,
        Post,
        Written(Writing::Reordered),
        InOrder,
        "The order of JSON members means nothing and differs between samples; signatures and CSV exports over the raw order break.",
    ),
    tolerant(
        "indented",
        Inferred,
        Post,
        Written(Writing::Indented),
        InOrder,
        "JSON over several lines is JSON; a handler that reads one line of the body gets a brace.",
    ),
    tolerant(
        "blank-lines-around",
        Inferred,
        Post,
        Written(Writing::Surrounded),
        InOrder,
        "White space around JSON is allowed; a check of the first byte refuses it.",
    ),
    tolerant(
        "escaped-letters",
        Inferred,
        Post,
        Written(Writing::Escaped),
        InOrder,
        "Any letter may be written \\u0061; whoever searches the raw body for a word misses it.",
    ),
    tolerant(
        "content-type-with-charset",
        Inferred,
        Post,
        super::GOOD,
        ContentType(Some("application/json; charset=utf-8")),
        "Most clients add a charset; comparing the whole header with application/json refuses them.",
    ),
    // Other kinds at the same URL.
    tolerant(
        "live-event",
        Doc,
        Post,
        Other(Kind::Event),
        InOrder,
        "One URL in both boxes of the dashboard brings live events too, with app_id for appid and text for to; record[\"appid\"] fails.",
    ),
    tolerant(
        "incoming-missed",
        Doc,
        Post,
        Other(Kind::IncomingMissed),
        InOrder,
        "Incoming calls come to the same URL with from, waitedsec and team, often without leg; handlers take them for outgoing ones, or fail.",
    ),
    tolerant(
        "incoming-answered",
        Doc,
        Post,
        Other(Kind::IncomingAnswered),
        InOrder,
        "An answered incoming call brings answeredsec, record and filename; it is no reason to fail, only to look elsewhere.",
    ),
    tolerant(
        "outgoing-answered",
        Doc,
        Post,
        Other(Kind::Recorded),
        InOrder,
        "An answered outgoing call brings answeredsec, record and filename; a handler for missed calls must let it pass with a 2xx.",
    ),
];

/// Relatives that never come by themselves, but are sent by mistake.
pub const MISTAKEN: [Case; 2] = [
    tolerant(
        "incoming-live-event",
        Inferred,
        Post,
        Other(Kind::IncomingEvent),
        InOrder,
        "Leg b of an incoming call's event says direction outbound; handlers that look at direction alone file it as an outgoing CDR, and miss its fields.",
    ),
    tolerant(
        "rest-record",
        Hostile,
        Post,
        Other(Kind::Rest),
        InOrder,
        "A record of the REST interface says cmiuid with one u, agent and duration; people replay them as webhooks by mistake, and the handler fails on the names.",
    ),
];
