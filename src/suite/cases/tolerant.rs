//! The cases of *tolerant*: forms of CDRs seen live, other objects at the same URL, and deviations that a small change
//! at TeleCMI could bring.

use serde_json::{Value, json};

use super::super::{Case, CaseDelivery, CaseMethod, CasePayload, Change, Family};
use super::{GOOD, compact, note};
use crate::cdr::Grade::{Calc, Doc, Hostile, Inferred, Seen};
use crate::cdr::{self, Fields, text};
use crate::net::raw::Script;
use CaseDelivery::{ContentType, Pluses, Raw};
use CaseMethod::{Get, Post};
use CasePayload::{Body, Changed, Object};
use Change::{Computed, Json, Text, Without};
use Family::Tolerant;

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Tolerant.post("without-request-id", Inferred, Changed(&[Without("request_id")]),
        "request_id comes with click2call calls only; record[\"request_id\"] fails on all \
         others."),
    Tolerant.post("without-extra-params", Inferred, Changed(&[Without("extra_params")]),
        "extra_params comes with click2call calls only; JSON.parse(undefined) throws."),
    Tolerant.post("without-call-id", Inferred, Changed(&[Without("call_id")]),
        "The older generation has no call_id; a NOT NULL column or record[\"call_id\"] fails."),
    Tolerant.post("without-leg", Inferred, Changed(&[Without("leg")]),
        "The older generation names no leg; a branch for a and one for b leaves a third case, \
         often an exception."),
    Tolerant.post("without-virtual-number", Inferred, Changed(&[Without("virtual_number")]),
        "The older generation has no virtual_number; formatting it as a telephone number fails \
         without a value."),
    Tolerant.post("without-custom", Inferred, Changed(&[Without("custom")]),
        "The older generation has no custom; JSON.parse of it throws before anything is stored."),
    Tolerant.post("without-hangup-reason", Inferred, Changed(&[Without("hangup_reason")]),
        "The older generation has no hangup_reason; a lookup in a table of reasons fails without a \
         value."),
    Tolerant.post("without-user", Hostile, Changed(&[Without("user")]),
        "No one promises that user stays; user.split(\"_\") fails when it is not there."),
    Tolerant.post("without-to", Hostile, Changed(&[Without("to")]),
        "A field that is always there may once be missing; arithmetic on to then fails."),
    Tolerant.post("without-time", Hostile, Changed(&[Without("time")]),
        "A field that is always there may once be missing; a date made of a missing value fails."),
    Tolerant.post("without-status", Hostile, Changed(&[Without("status")]),
        "A field that is always there may once be missing; a match on status without a default \
         fails."),
    Tolerant.post("without-cmiuuid", Hostile, Changed(&[Without("cmiuuid")]),
        "Anyone can post to a webhook; a primary key of null is a database error, and a 500."),
    Tolerant.post("without-appid", Hostile, Changed(&[Without("appid")]),
        "Anyone can post to a webhook; TeleCMI's own .NET example ends when appid is missing."),
    Tolerant.post("null-click2call-fields", Inferred,
        Changed(&[Json("request_id", "null"), Json("extra_params", "null")]),
        "Outside click2call the two fields are absent, and many serialisers write null for that; \
         checks for presence let null through."),
    Tolerant.post("empty-texts", Inferred,
        Changed(&[Text("custom", ""), Text("extra_params", ""), Text("request_id", "")]),
        "Empty text is neither absent nor JSON; JSON.parse(\"\") throws."),
    Tolerant.post("unknown-text-field", Inferred, Changed(&[Text("campaign", "spring")]),
        "Fields get added without notice, as leg and call_id were; CDR(**record) and strict \
         schemas refuse the whole CDR."),
    Tolerant.post("unknown-object-field", Inferred,
        Changed(&[Json("routing", r#"{"name":"sales","waited":[1,2]}"#)]),
        "A new field may be an object; flattening every field into a column fails on it."),
    Tolerant.post("dangerous-field-names", Hostile,
        Changed(&[Json("__proto__", r#"{"polluted":true}"#), Text("constructor", "x"),
            Text("$where", "1"), Json("a.b", "1")]),
        "Names with a meaning in JavaScript or MongoDB can be posted by anyone; merging or \
         storing them as they come pollutes or fails."),
    Tolerant.post("custom-none", Seen, Changed(&[Text("custom", "none")]),
        "An unset custom is the text none on live accounts; it is not JSON, and parsing it \
         throws."),
    Tolerant.post("custom-false", Seen, Changed(&[Text("custom", "false")]),
        "An unset custom is the text false on live accounts; parsed it is a boolean, and looking \
         for fields in it fails."),
    Tolerant.post("custom-text", Seen, Changed(&[Text("custom", "campaign 7, Berlin")]),
        "custom may be any text; code that parses it as JSON without a try loses the call."),
    Tolerant.post("custom-with-apostrophe", Inferred, Changed(&[Text("custom", "O'Brien")]),
        "Names have apostrophes; SQL that is put together from texts ends there, for attackers \
         too."),
    Tolerant.post("custom-boolean-values", Doc, Changed(&[Text("custom", r#"{"crm":true}"#)]),
        "Both true and \"true\" are documented in custom; comparing with one misses the other."),
    Tolerant.post("custom-object", Inferred, Changed(&[Json("custom", r#"{"crm":"true"}"#)]),
        "extra_params has come as an object, and custom may follow; parsing an object as text \
         fails."),
    Tolerant.get("get-custom-none", Inferred, Changed(&[Text("custom", "none")]),
        "By GET an unset custom is none as well; it is not JSON, and parsing it throws."),
    Tolerant.post("extra-params-object", Seen,
        Changed(&[Json("extra_params", r#"{"callCode":"CODE1"}"#)]),
        "Live extra_params has come as an object; json.loads of an object is a TypeError, \
         JSON.parse of it throws."),
    Tolerant.post("extra-params-braces-null", Seen,
        Changed(&[Json("extra_params", r#"{"{}":null}"#)]),
        "Empty parameters have come live as {\"{}\":null}; a loop over the values meets null."),
    Tolerant.post("extra-params-text", Inferred, Changed(&[Text("extra_params", "CODE1")]),
        "extra_params echoes what the caller of click2call wrote, which need not be JSON."),
    Tolerant.post("extra-params-encoded-twice", Inferred,
        Changed(&[Text("extra_params", r#""{\"click2call\":\"true\"}""#)]),
        "The GET form of click2call can encode twice: parsed once it is still text, and looking \
         for fields in it fails."),
    Tolerant.post("extra-params-array", Inferred, Changed(&[Text("extra_params", "[1,2]")]),
        "JSON text need not be an object: a list came in, and looking for fields in it fails."),
    Tolerant.post("extra-params-empty-object", Seen, Changed(&[Json("extra_params", "{}")]),
        "An object without members; PHP makes it an empty list, and other code takes the first \
         of its keys."),
    Tolerant.get("get-empty-values", Inferred,
        Changed(&[Json("extra_params", "{}"), Text("custom", "")]),
        "By GET, empty values are custom= with nothing after it; some frameworks leave such \
         fields out, others give null."),
    Tolerant.post("virtual-number-as-number", Seen,
        Changed(&[Json("virtual_number", "910000000012")]),
        "Live virtual_number is a number; startsWith, strip and slices exist for text only."),
    Tolerant.post("to-as-text", Inferred,
        Changed(&[Computed("to", |cdr| cdr["to"].to_string().into())]),
        "Live events carry to as text; arithmetic on it fails, and 442… == \"442…\" is false."),
    Tolerant.post("appid-as-text", Inferred,
        Changed(&[Computed("appid", |cdr| cdr["appid"].to_string().into())]),
        "By GET appid is text, and it may become so by POST; comparing it with a number rejects \
         one's own account."),
    Tolerant.post("appid-not-a-number", Hostile, Changed(&[Text("appid", "many")]),
        "Anyone can post anything; int(appid) without a try ends TeleCMI's own .NET example."),
    Tolerant.post("appid-beyond-32-bits", Inferred, Changed(&[Json("appid", "22222230001")]),
        "App ids have grown from 7 to 8 digits; an INT column ends at 2147483647."),
    Tolerant.post("time-as-text", Inferred,
        Changed(&[Computed("time", |cdr| cdr["time"].to_string().into())]),
        "By GET time is text, and it may become so by POST; time / 1000 fails."),
    Tolerant.post("time-in-seconds", Inferred,
        Changed(&[Computed("time", |cdr| json!(cdr["time"].as_i64().unwrap_or(0) / 1_000))]),
        "Seconds for milliseconds is a frequent mistake; a check of the year refuses it, and dates \
         fall into January 1970."),
    Tolerant.post("time-with-fraction", Inferred, Changed(&[Json("time", "1795338000000.5")]),
        "JSON has one kind of number; a BIGINT column and int(\"….5\") refuse a fraction."),
    Tolerant.post("time-beyond-years", Hostile, Changed(&[Json("time", "999999999999999999")]),
        "A number beyond the last year that dates have, here or in the database: the conversion \
         throws."),
    Tolerant.post("to-of-fifteen-digits", Doc, Changed(&[Json("to", "123456789012345")]),
        "Telephone numbers have up to 15 digits; 32-bit integers end at 10, and some columns at \
         12."),
    Tolerant.post("to-with-plus", Inferred, Changed(&[Computed("to", |cdr| with_plus(&cdr["to"]))]),
        "Bare digits are documented, but most other systems write +44…; a lookup by number misses \
         one of the two."),
    Tolerant.post("virtual-number-with-plus", Inferred,
        Changed(&[Computed("virtual_number", |cdr| with_plus(&cdr["virtual_number"]))]),
        "+44… against bare digits: a lookup of the line by its number finds nothing, and the \
         handler fails on the missing row."),
    Tolerant.post("user-without-appid", Inferred, Changed(&[Text("user", "101")]),
        "user is <extension>_<appid> by documentation only; split(\"_\")[1] fails on a bare \
         extension."),
    Tolerant.post("extension-of-four-digits", Seen, Changed(&[Computed("user", |cdr| extension(cdr, 2044))]),
        "Extensions have three to six digits, four are common in India; patterns made from the \
         page's 202 refuse them."),
    Tolerant.post("extension-of-six-digits", Seen, Changed(&[Computed("user", |cdr| extension(cdr, 204_401))]),
        "Extensions have up to six digits; patterns and columns made for three refuse or cut \
         them."),
    Tolerant.post("unknown-status", Inferred, Changed(&[Text("status", "voicemail")]),
        "Statuses get added; a map of the known ones without a default fails."),
    Tolerant.post("unknown-hangup-reason", Inferred,
        Changed(&[Text("hangup_reason", "send_cancel")]),
        "The platform's own names differ from TeleCMI's by one letter; an ENUM column refuses \
         them."),
    Tolerant.post("hangup-reason-null", Hostile, Changed(&[Json("hangup_reason", "null")]),
        "Anyone can post to a webhook; a lookup in a table of reasons fails on null, where absent \
         has a default."),
    Tolerant.post("hangup-reason-of-answered-calls", Doc,
        Changed(&[Text("hangup_reason", "sent_bye")]),
        "sent_bye and recv_bye are documented for missed calls as well, odd as it is; a map of \
         two reasons fails."),
    Tolerant.post("not-ascii", Seen, Changed(&[Text("custom", r#"{"name":"अनुष्का, Zoë, Łódź"}"#)]),
        "Names in custom are in Hindi and Polish too; a log or column in ASCII or latin-1 fails."),
    Tolerant.post("emoji", Inferred, Changed(&[Text("custom", r#"{"name":"📞 चुनाव 👩🏽‍💻"}"#)]),
        "Emoji need four bytes in UTF-8; MySQL's utf8 has three, and answers with an error."),
    Tolerant.get("get-not-ascii", Inferred,
        Changed(&[Text("custom", r#"{"name":"अनुष्का 📞 Zoë & Co. 100%"}"#)]),
        "Hindi, emoji, & and % in a query are escaped UTF-8; decoding twice or as latin-1 \
         garbles or fails."),
    Tolerant.post("long-value", Seen,
        Changed(&[Computed("custom", |_| note(&"long ".repeat(1_000)))]),
        "custom carries whatever a CRM puts there; VARCHAR(255) refuses it in a strict database, \
         and 2 KiB limits answer 413."),
    Tolerant.get("get-long-value", Inferred,
        Changed(&[Computed("custom", |_| note(&"x".repeat(3_000)))]),
        "By GET a long custom makes a long URL; limits of 2 KiB exist, most are at 8."),
    Tolerant.case("get-plus-for-space", Inferred, Get,
        Changed(&[Text("custom", r#"{"note":"campaign 7, Berlin + Bonn"}"#)]), Pluses,
        "Forms write a space as +, others as %20; a handler that decodes by hand keeps the plus \
         signs."),
    Tolerant.post("custom-with-signs", Inferred,
        Changed(&[Text("custom", r#"{"note":"a+b %2B <b>c</b> & \"d\""}"#)]),
        "Plus signs, %2B, tags and quotes are text: escaping or decoding it once more changes \
         what is stored, which only --read-back shows."),
    Tolerant.get("get-custom-with-signs", Inferred,
        Changed(&[Text("custom", r#"{"note":"a+b %2B <b>c</b> & \"d\""}"#)]),
        "By GET the framework decodes custom once; decoding it again turns %2B into + and + into a \
         space, and strip_tags loses the tags."),
    Tolerant.post("fields-reordered", Calc, Body(reordered),
        "The order of JSON members means nothing and differs between samples; signatures and CSV \
         exports over the raw order break."),
    Tolerant.post("indented", Inferred, Body(|cdr| format!("{:#}", json!(cdr)).into()),
        "JSON over several lines is JSON; a handler that reads one line of the body gets only a \
         brace."),
    Tolerant.post("blank-lines-around", Inferred,
        Body(|cdr| format!("\r\n\t {} \n\n", compact(cdr)).into()),
        "White space around JSON is allowed; a check of the first byte refuses it."),
    Tolerant.post("escaped-letters", Inferred, Body(escaped),
        "Any letter may be written \\u0061; a search of the raw body for a word misses it."),
    Tolerant.case("header-names-in-lower-case", Inferred, Post, GOOD, Raw(Script::LowerCase),
        "Header names have no case (RFC 9110, 5.1), and proxies that speak HTTP/2 write them in \
         lower case; a lookup of Content-Type alone finds nothing."),
    Tolerant.case("content-type-with-charset", Inferred, Post, GOOD,
        ContentType(Some("application/json; charset=utf-8")),
        "Most clients add a charset; comparing the whole header with application/json refuses \
         them."),
    // TeleCMI sends these other objects to the same URL as CDRs.
    Tolerant.post("live-event", Doc, Object(live_event),
        "One URL in both boxes of the dashboard brings live events too, with app_id for appid \
         and text for to; record[\"appid\"] fails."),
    Tolerant.post("incoming-waiting", Doc, Object(incoming_waiting),
        "The event of a call that comes in has neither leg nor user nor call_id; handlers take it \
         for one of their own calls, or fail."),
    Tolerant.post("incoming-missed", Doc, Object(incoming_missed),
        "Incoming calls come to the same URL with from, waitedsec and team, often without leg; \
         handlers take them for outgoing ones, or fail."),
    Tolerant.post("incoming-answered", Doc, Object(incoming_answered),
        "An answered incoming call brings answeredsec, record and filename; a handler must ignore \
         it, not fail."),
    Tolerant.post("outgoing-answered", Doc,
        Changed(&[Text("leg", "b"), Text("status", "answered"), Text("hangup_reason", "recv_bye"),
            Json("answeredsec", "34"), Json("record", "true"), Computed("filename", recording)]),
        "An answered outgoing call brings answeredsec, record and filename; a handler for missed \
         calls must let it pass with a 2xx."),
    // Live events of incoming calls and records of the REST API are no CDRs; users post them to the webhook by mistake.
    Tolerant.post("incoming-live-event", Inferred, Object(incoming_live_event),
        "Leg b of an incoming call's event says direction outbound; handlers that look at \
         direction alone store it as an outgoing CDR, and miss its fields."),
    Tolerant.post("rest-record", Hostile, Object(rest_record),
        "A record of the REST interface says cmiuid with one u, agent and duration; people \
         replay them as webhooks by mistake, and the handler fails on the names."),
];

fn with_plus(number: &Value) -> Value {
    format!("+{}", text(number)).into()
}

fn reordered(cdr: &Fields) -> Vec<u8> {
    compact(&cdr.clone().into_iter().rev().collect()).into()
}

/// Every character of names and strings is written as a JSON `\u` escape.
fn escaped(cdr: &Fields) -> Vec<u8> {
    let escape = |text: &str| {
        let letters = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
        format!("\"{}\"", letters.collect::<String>())
    };
    let pairs = cdr.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{}:{}", escape(name), escape(text)),
        other => format!("{}:{other}", escape(name)),
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(",")).into()
}

fn extension(cdr: &Fields, number: u32) -> Value {
    format!("{number}_{}", cdr["appid"]).into()
}

fn recording(cdr: &Fields) -> Value {
    format!("{}_{}.mp3", cdr["time"], cdr["appid"]).into()
}

fn team(cdr: &Fields) -> String {
    format!("sales_{}", cdr["appid"])
}

fn virtual_number(cdr: &Fields) -> u64 {
    text(&cdr["virtual_number"]).parse().unwrap_or_default()
}

fn live_event(cdr: &Fields) -> Value {
    let mut event = cdr::live_event(cdr, "started");
    event.insert("leg".to_owned(), "a".into());
    event.into()
}

fn incoming_waiting(cdr: &Fields) -> Value {
    json!({
        "type": "event", "direction": "inbound", "conversation_uuid": cdr["cmiuuid"],
        "from": text(&cdr["to"]), "app_id": cdr["appid"], "time": cdr["time"],
        "cmiuuid": cdr["cmiuuid"], "to": cdr["virtual_number"], "custom": cdr["custom"],
        "status": "waiting",
    })
}

/// The `conversation_uuid` of leg b is the `cmiuuid` of leg a. \[doc\]
fn incoming_live_event(cdr: &Fields) -> Value {
    let id = text(&cdr["cmiuuid"]);
    let leg_a = format!("{}{}", id[..8].chars().rev().collect::<String>(), &id[8..]);
    json!({
        "leg": "b", "type": "event", "team": team(cdr), "user": cdr["user"],
        "conversation_uuid": leg_a, "cmiuuid": cdr["cmiuuid"], "direction": "outbound",
        "from": text(&cdr["to"]), "app_id": cdr["appid"], "time": cdr["time"],
        "custom": cdr["custom"], "status": "answered",
    })
}

fn incoming_missed(cdr: &Fields) -> Value {
    json!({
        "virtual_number": virtual_number(cdr), "custom": cdr["custom"], "appid": cdr["appid"],
        "type": "cdr", "direction": "inbound", "cmiuuid": cdr["cmiuuid"], "status": "missed",
        "from": cdr["to"], "time": cdr["time"], "waitedsec": 21, "hangup_reason": "recv_bye",
        "voicemail": true, "voicename": recording(cdr), "conversation_uuid": cdr["cmiuuid"],
        "team": team(cdr), "ivr_name": "sales",
    })
}

fn incoming_answered(cdr: &Fields) -> Value {
    json!({
        "virtual_number": virtual_number(cdr), "custom": cdr["custom"], "appid": cdr["appid"],
        "type": "cdr", "direction": "inbound", "cmiuuid": cdr["cmiuuid"], "user": cdr["user"],
        "status": "answered", "to": virtual_number(cdr), "from": cdr["to"], "time": cdr["time"],
        "answeredsec": 34, "hangup_reason": "recv_bye", "record": true, "filename": recording(cdr),
        "conversation_uuid": cdr["cmiuuid"], "team": team(cdr),
    })
}

fn rest_record(cdr: &Fields) -> Value {
    json!({
        "cmiuid": cdr["cmiuuid"], "agent": cdr["user"], "duration": 34, "billedsec": 0,
        "to": cdr["to"], "time": cdr["time"],
    })
}
