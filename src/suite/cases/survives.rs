//! Nonsense: from strangers, scanners and broken networks. After each of these a good CDR must still be taken.
//!
//! Here is what a proper client can send; [`protocol`] holds what it refuses to.

pub mod protocol;

use super::super::{
    BodyEncoding, Case, CaseDelivery, CaseMethod, CasePayload, Change, Family, RawBody,
};
use super::GOOD;
use crate::cdr::Grade::{self, Doc, Hostile, Inferred};
use CaseDelivery::{ContentType, InOrder};
use CaseMethod::{Get, Post};
use CasePayload::{Encoded, Query};

const fn survives(
    name: &'static str,
    grade: Grade,
    method: CaseMethod,
    payload: CasePayload,
    delivery: CaseDelivery,
    why: &'static str,
) -> Case {
    super::case(
        Family::Survives,
        name,
        grade,
        method,
        payload,
        delivery,
        why,
    )
}

/// A body that is no good CDR.
const fn body(name: &'static str, text: &'static str, why: &'static str) -> Case {
    survives(
        name,
        Hostile,
        Post,
        CasePayload::RawBody(RawBody::Text(text)),
        InOrder,
        why,
    )
}

/// The good CDR, written in a way that is no good JSON.
const fn written(name: &'static str, writing: BodyEncoding, why: &'static str) -> Case {
    survives(name, Hostile, Post, Encoded(writing), InOrder, why)
}

/// The good CDR with another content type.
const fn typed(name: &'static str, content_type: Option<&'static str>, why: &'static str) -> Case {
    survives(name, Hostile, Post, GOOD, ContentType(content_type), why)
}

/// This query by GET.
const fn query(name: &'static str, text: &'static str, why: &'static str) -> Case {
    survives(name, Hostile, Get, Query(text), InOrder, why)
}

/// Bodies, content types and queries.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    written("cut-off-json", BodyEncoding::CutOff,
        "A body can end in the middle although its length is right, behind a bad proxy; \
         JSON.parse without a try ends the process or the loop."),
    written("trailing-comma", BodyEncoding::TrailingComma,
        "Pasted and hand-made JSON has trailing commas, as TeleCMI's own sample of leg b; a \
         parser's exception must become a 400."),
    survives("javascript-literal", Doc, Post, Encoded(BodyEncoding::JavaScript), InOrder,
        "TeleCMI's page prints CDRs as JavaScript, and people post them as printed; eval and \
         literal_eval as a way out fail on the bare names."),
    written("two-objects", BodyEncoding::Twice,
        "Two objects one after the other are no JSON; a parser says \"extra data\", and that \
         must become a 400."),
    written("array-of-cdrs", BodyEncoding::InArray,
        "Senders that batch post arrays; record[\"appid\"] on a list is a TypeError, and \
         undefined fields in JavaScript."),
    written("cdr-in-a-string", BodyEncoding::InString,
        "JSON encoded twice is one string; looking for fields in it fails."),
    written("byte-order-mark", BodyEncoding::ByteOrderMark,
        "Files from Windows begin with a byte order mark; parsers refuse it, and that must \
         become a 400."),
    written("utf-16", BodyEncoding::Utf16,
        "A body in UTF-16 is full of NUL bytes; decoding it as UTF-8 throws, often outside the \
         try."),
    written("not-utf-8", BodyEncoding::NotUtf8,
        "Bytes that are no UTF-8 come from old systems; body.decode() throws before the try that \
         was made for JSON."),
    written("nul-byte", BodyEncoding::Nul,
        "A raw NUL in a string is no JSON; C code cuts the text there, and PostgreSQL refuses \
         it."),
    written("repeated-field", BodyEncoding::Repeated,
        "A field twice: parsers keep the first, the last, or refuse; what checks one and stores \
         the other can be fooled."),
    written("number-of-400-digits", BodyEncoding::Digits(400),
        "A number beyond a double becomes Infinity in JavaScript, and an error in an integer \
         column."),
    written("number-of-5000-digits", BodyEncoding::Digits(5_000),
        "Python refuses integers of more than 4300 digits with a ValueError that is no \
         JSONDecodeError."),
    written("deep-nesting", BodyEncoding::Deep(10_000),
        "Ten thousand levels are a RecursionError in Python, which except ValueError does not \
         catch, and a dead process where the stack is native."),
    survives("deeper-nesting", Hostile, Post, CasePayload::RawBody(RawBody::Arrays(50_000)), InOrder,
        "Fifty thousand levels in 100 KB: recursive parsers without a limit of their own \
         overflow the stack, and no catch helps."),
    body("nul-escape",
        "{\"type\":\"cdr\",\"appid\":2222223,\"custom\":\"a\\u0000b\",\"status\":\"missed\"}",
        "\\u0000 is good JSON; PostgreSQL refuses it in text and jsonb, and the INSERT fails."),
    body("lone-surrogate",
        "{\"type\":\"cdr\",\"appid\":2222223,\"custom\":\"\\ud800\",\"status\":\"missed\"}",
        "Half a surrogate pair is read by lenient parsers, and then fails where the text is \
         encoded: in the log or the database."),
    body("not-a-number", "{\"type\":\"cdr\",\"appid\":NaN,\"to\":Infinity,\"status\":\"missed\"}",
        "NaN and Infinity are no JSON, but Python reads them; int(NaN) throws."),
    body("number-too-big",
        "{\"type\":\"cdr\",\"appid\":2222223,\"to\":1e400,\"time\":1e400,\"status\":\"missed\"}",
        "1e400 is good JSON and Infinity to most; a date made of it throws."),
    body("negative-numbers",
        "{\"type\":\"cdr\",\"appid\":-1,\"to\":-442000000000,\"time\":-1,\"status\":\"missed\"}",
        "Numbers below zero pass every check of the type; an unsigned column and a date before \
         1970 do not take them."),
    body("wrong-types-everywhere",
        "{\"type\":[],\"appid\":{},\"to\":true,\"cmiuuid\":7,\"status\":null,\"user\":[1],\"time\":\"soon\",\"direction\":0,\"leg\":{}}",
        "Every field of another type: whatever is called on a field without a look at its type \
         throws here."),
    body("empty-object", "{}",
        "An object without fields is good JSON; the first record[\"…\"] fails."),
    body("empty-body", "",
        "A POST without a body comes from health checks and bad clients; JSON.parse(\"\") \
         throws, and null has no fields."),
    body("blank-body", " \r\n ",
        "White space alone is no JSON, but it is no empty body either; checks for length let it \
         through."),
    body("null", "null",
        "null is good JSON; null.appid throws, None[\"appid\"] too."),
    body("empty-array", "[]",
        "An empty list is good JSON; its first element is not there."),
    body("number", "42",
        "A bare number is good JSON; looking for fields in it fails, or finds nothing."),
    body("text", "\"missed\"",
        "A bare string is good JSON; looking for fields in it finds characters."),
    body("boolean", "true",
        "A bare true is good JSON; looking for fields in it fails, or finds nothing."),
    body("html", "<!doctype html><title>502</title>",
        "A proxy's error page can end up as a body; a parser's exception must become a 400."),
    survives("body-of-256-kib", Hostile, Post,
        CasePayload::Changed(&[Change::Fill("custom", "x", 256 * 1024)]), InOrder,
        "Far more than any CDR has; a limit must answer 413, and its exception is often handled \
         by nobody."),
    typed("no-content-type", None,
        "Nobody documents the content type; express.json() then leaves req.body undefined, and \
         reading a field of it throws."),
    typed("content-type-text", Some("text/plain"),
        "JSON as text/plain comes from scripts and proxies; the framework hands on no body, and \
         the handler reads fields of nothing."),
    typed("content-type-form", Some("application/x-www-form-urlencoded"),
        "curl -d says form unless told otherwise, so most hand-made tests do; the JSON then is \
         the name of one field."),
    typed("content-type-multipart", Some("multipart/form-data"),
        "multipart without a boundary cannot be read; the parser's exception comes before the \
         handler's try."),
    typed("content-type-nonsense", Some(";;=/"),
        "A content type that is none: libraries that parse the header throw."),
    typed("charset-unknown", Some("application/json; charset=martian"),
        "A charset that nobody knows is a LookupError in Python, and an \
         UnsupportedCharsetException in Java."),
    survives("form-encoded", Inferred, Post, Encoded(BodyEncoding::Form),
        ContentType(Some("application/x-www-form-urlencoded")),
        "Many providers post forms, and relays make forms of JSON; a handler for JSON must \
         refuse it without failing."),
    query("get-without-parameters", "",
        "Browsers, health checks and link previews GET the URL alone; a handler that reads CDR \
         fields at once fails on none."),
    query("get-not-utf-8", "custom=%ff%fe&status=missed&type=cdr",
        "%ff is no UTF-8; strict decoders throw where nobody expects it."),
    query("get-nul", "custom=a%00b&status=missed&type=cdr",
        "%00 decodes to NUL; PostgreSQL and file names refuse it."),
    query("get-repeated-parameters", "type=cdr&appid=1&appid=2&status=missed&status=answered",
        "A parameter twice is an array in Express and PHP-like parsers; text functions on it \
         throw."),
    query("get-broken-percent", "custom=100%&user=%zz&status=missed",
        "A percent sign alone is no escape; decodeURIComponent throws a URIError."),
    query("get-odd-brackets",
        "extra_params[a][b][]=1&extra_params[a]=2&extra_params[__proto__][x]=1&custom[]=&type[x]=cdr",
        "Brackets that contradict one another: qs makes objects where text was expected, some \
         parsers throw."),
    query("get-only-separators", "&&=&=x&;&a",
        "Empty names and missing values; splitting at = by hand takes the second of one."),
];
