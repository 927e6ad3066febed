//! The cases of *survives*: invalid requests, as scanners, unknown clients and broken networks send them.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Case, CaseDelivery, CaseMethod, CasePayload, Change, Family};
use super::{GOOD, compact, note};
use crate::cdr::Fields;
use crate::cdr::Grade::{Doc, Hostile, Inferred};
use crate::net::query::{self, Encoding::Flat};
use crate::net::raw::Script;
use CaseDelivery::{ContentType, InOrder, Parameter, Raw};
use CaseMethod::{Get, Other, Post};
use CasePayload::{Body, Changed, Spliced, Text};
use Change::Computed;
use Family::Survives;

/// A timer of tokio has a resolution of 1 ms: this delay ends at the next millisecond, one of 1 ms at the second next.
const NEXT_MILLISECOND: Duration = Duration::from_nanos(1);

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Survives.post("cut-off-json", Hostile,
        Body(|cdr| { let body = compact(cdr); body.as_bytes()[..body.len() / 2].into() }),
        "A body can end in the middle although its length is right, behind a bad proxy; \
         JSON.parse without a try ends the process or the loop."),
    Survives.post("trailing-comma", Hostile,
        Body(|cdr| format!("{},}}", compact(cdr).strip_suffix('}').unwrap_or_default()).into()),
        "Pasted and hand-made JSON has trailing commas, as TeleCMI's own sample of leg b; a \
         parser's exception must become a 400."),
    Survives.post("javascript-literal", Doc, Body(javascript),
        "TeleCMI's page prints CDRs as JavaScript, and people post them as printed; eval and \
         literal_eval as a way out fail on the bare names."),
    Survives.post("two-objects", Hostile, Body(|cdr| format!("{0}\n{0}", compact(cdr)).into()),
        "Two objects one after the other are no JSON; a parser says \"extra data\", and that \
         must become a 400."),
    Survives.post("array-of-cdrs", Hostile, Body(|cdr| json!([cdr, cdr]).to_string().into()),
        "Senders that batch post arrays; record[\"appid\"] on a list is a TypeError, and \
         undefined fields in JavaScript."),
    Survives.post("cdr-in-a-string", Hostile, Body(|cdr| json!(compact(cdr)).to_string().into()),
        "JSON encoded twice is one string; looking for fields in it fails."),
    Survives.post("byte-order-mark", Hostile,
        Body(|cdr| format!("\u{feff}{}", compact(cdr)).into()),
        "Files from Windows begin with a byte order mark; parsers refuse it, and that must \
         become a 400."),
    Survives.post("utf-16", Hostile,
        Body(|cdr| compact(cdr).encode_utf16().flat_map(u16::to_le_bytes).collect()),
        "A body in UTF-16 is full of NUL bytes; decoding it as UTF-8 throws, often outside the \
         try."),
    Survives.post("not-utf-8", Hostile, Spliced("custom", b"\"\xff\xfe\xe9\""),
        "Bytes that are no UTF-8 come from old systems; body.decode() throws before the try that \
         was made for JSON."),
    Survives.post("nul-byte", Hostile, Spliced("custom", b"\"a\0b\""),
        "A raw NUL in a string is no JSON; C code cuts the text there, and PostgreSQL refuses \
         it."),
    Survives.post("repeated-field", Hostile,
        Body(|cdr| compact(cdr).replacen('{', r#"{"appid":1,"status":"answered","#, 1).into()),
        "A field twice: parsers keep the first, the last, or refuse; what checks one and stores \
         the other can be fooled."),
    Survives.post("number-of-400-digits", Hostile, Spliced("to", &[b'9'; 400]),
        "A number beyond a double becomes Infinity in JavaScript, and an error in an integer \
         column."),
    Survives.post("number-of-5000-digits", Hostile, Spliced("to", &[b'9'; 5_000]),
        "Python refuses integers of more than 4300 digits with a ValueError that is no \
         JSONDecodeError."),
    Survives.post("deep-nesting", Hostile, Body(deep),
        "Ten thousand levels are a RecursionError in Python, which except ValueError does not \
         catch, and a crash where the stack is native."),
    Survives.post("deeper-nesting", Hostile,
        Body(|_| ["[".repeat(50_000), "]".repeat(50_000)].concat().into()),
        "Fifty thousand levels in 100 KB: recursive parsers without a limit of their own \
         overflow the stack, and no catch helps."),
    Survives.post("nested-extra-params", Hostile, Changed(&[Computed("extra_params", nested)]),
        "Fifty levels pass every parser; a recursive function of the handler's own, which flattens \
         or copies them, has another limit."),
    Survives.post("nul-escape", Hostile, Spliced("custom", br#""a\u0000b""#),
        "\\u0000 is good JSON; PostgreSQL refuses it in text and jsonb, and the INSERT fails."),
    Survives.post("lone-surrogate", Hostile, Spliced("custom", br#""\ud800""#),
        "Half a surrogate pair is read by lenient parsers, and then fails where the text is \
         encoded: in the log or the database."),
    Survives.post("not-a-number", Hostile, Spliced("time", b"NaN"),
        "NaN is no JSON, but Python reads it; int(NaN) throws, and so does a JSON column."),
    Survives.post("number-too-big", Hostile, Spliced("time", b"1e400"),
        "1e400 is good JSON and Infinity to most; a date made of it throws."),
    Survives.post("to-too-big", Hostile, Spliced("to", b"1e400"),
        "1e400 is good JSON and Infinity to most; an integer made of it throws."),
    Survives.post("negative-to", Hostile, Spliced("to", b"-442000000000"),
        "A number below zero passes every check of the type; an unsigned column does not take \
         it."),
    Survives.post("negative-time", Hostile, Spliced("time", b"-1"),
        "A time below zero is before 1970; unsigned columns and some date functions do not take \
         it."),
    Survives.post("time-as-words", Hostile, Spliced("time", br#""soon""#),
        "A text that is no number: int() and date functions throw, and new Date() is invalid."),
    Survives.post("time-as-object", Hostile, Spliced("time", b"{}"),
        "An object where a number is due: arithmetic and date functions throw, or give NaN."),
    Survives.post("to-as-words", Hostile, Spliced("to", br#""44x""#),
        "A text that is no number: int() and BigInt() throw."),
    Survives.post("answeredsec-as-words", Hostile, Changed(&[Change::Text("answeredsec", "soon")]),
        "A text that is no number, in a field that only answered calls have: float() throws."),
    Survives.post("to-as-boolean", Hostile, Spliced("to", b"true"),
        "A boolean where a number is due: text functions and columns fail on it."),
    Survives.post("user-as-list", Hostile, Spliced("user", b"[1]"),
        "A list where text is due: split() and other text functions fail on it."),
    Survives.post("leg-as-object", Hostile, Spliced("leg", b"{}"),
        "An object where a word is due: it is no key of a table, and has no text functions."),
    Survives.post("status-null", Hostile, Spliced("status", b"null"),
        "null where a word is due: it passes checks for presence, and has no text functions."),
    Survives.post("cmiuuid-as-number", Hostile, Spliced("cmiuuid", b"7"),
        "A number where the key is due: text functions fail on it, and columns of texts too."),
    Survives.post("cmiuuid-as-path", Hostile,
        Changed(&[Change::Text("cmiuuid", "../../no/such/folder/cdr")]),
        "A text that is a path: a file named by the key is written elsewhere, or opening it throws."),
    Survives.post("type-as-list", Hostile, Spliced("type", b"[]"),
        "A list where a word is due: it is no key of a table of types."),
    Survives.post("appid-as-object", Hostile, Spliced("appid", b"{}"),
        "An object where a number is due: int() throws, and drivers cannot store it."),
    Survives.post("direction-as-number", Hostile, Spliced("direction", b"0"),
        "A number where a word is due: text functions fail on it."),
    Survives.post("empty-object", Hostile, Text("{}"),
        "An object without fields is good JSON; the first record[\"…\"] fails."),
    Survives.post("empty-body", Hostile, Text(""),
        "A POST without a body comes from health checks and bad clients; JSON.parse(\"\") \
         throws, and null has no fields."),
    Survives.post("blank-body", Hostile, Text(" \r\n "),
        "White space alone is no JSON, but it is no empty body either; checks for length let it \
         through."),
    Survives.post("null", Hostile, Text("null"),
        "null is good JSON; null.appid throws, None[\"appid\"] too."),
    Survives.post("empty-array", Hostile, Text("[]"),
        "An empty list is good JSON; its first element is not there."),
    Survives.post("number", Hostile, Text("42"),
        "A bare number is good JSON; looking for fields in it fails, or finds nothing."),
    Survives.post("text", Hostile, Text(r#""missed""#),
        "A bare string is good JSON; looking for fields in it finds characters."),
    Survives.post("boolean", Hostile, Text("true"),
        "A bare true is good JSON; looking for fields in it fails, or finds nothing."),
    Survives.post("html", Hostile, Text("<!doctype html><title>502</title>"),
        "A proxy's error page can end up as a body; a parser's exception must become a 400."),
    Survives.post("body-of-256-kib", Hostile,
        Changed(&[Computed("custom", |_| note(&"x".repeat(256 * 1024)))]),
        "Far more than any CDR has; a limit must answer 413, and its exception is often handled \
         by nobody."),
    Survives.case("no-content-type", Hostile, Post, GOOD, ContentType(None),
        "TeleCMI documents no Content-Type, so it may be missing; express.json() leaves req.body \
         undefined without it, and reading a field throws."),
    Survives.case("content-type-text", Hostile, Post, GOOD, ContentType(Some("text/plain")),
        "JSON as text/plain comes from scripts and proxies; the framework hands on no body, and \
         the handler reads fields of nothing."),
    Survives.case("content-type-form", Hostile, Post, GOOD,
        ContentType(Some("application/x-www-form-urlencoded")),
        "curl -d says form unless told otherwise, so most hand-made tests do; the JSON then is \
         the name of one field."),
    Survives.case("content-type-multipart", Hostile, Post, GOOD,
        ContentType(Some("multipart/form-data")),
        "multipart without a boundary cannot be read; the parser's exception comes before the \
         handler's try."),
    Survives.case("content-type-nonsense", Hostile, Post, GOOD, ContentType(Some(";;=/")),
        "A content type that is none: libraries that parse the header throw."),
    Survives.case("charset-unknown", Hostile, Post, GOOD,
        ContentType(Some("application/json; charset=martian")),
        "A charset that nobody knows is a LookupError in Python, and an \
         UnsupportedCharsetException in Java."),
    Survives.case("form-encoded", Inferred, Post, Body(|cdr| query::encode(super::compact(cdr).as_bytes(), Flat).into()),
        ContentType(Some("application/x-www-form-urlencoded")),
        "Many providers post forms, and relays make forms of JSON; a handler for JSON must \
         refuse it without failing."),
    Survives.get("get-without-parameters", Hostile, Text(""),
        "Browsers, health checks and link previews GET the URL alone; a handler that reads CDR \
         fields at once fails."),
    Survives.case("get-not-utf-8", Hostile, Get, GOOD, Parameter("custom", "custom=%ff%fe"),
        "%ff is no UTF-8; strict decoders throw where nobody expects it."),
    Survives.case("get-nul", Hostile, Get, GOOD, Parameter("custom", "custom=a%00b"),
        "%00 decodes to NUL; PostgreSQL and file names refuse it."),
    Survives.case("get-time-as-words", Hostile, Get, GOOD, Parameter("time", "time=soon"),
        "By GET every value is text, and this one is no number: int() and date functions throw."),
    Survives.case("get-repeated-parameters", Hostile, Get, GOOD,
        Parameter("status", "status=missed&status=answered"),
        "A parameter twice is an array in Express and PHP-like parsers; text functions on it \
         throw."),
    Survives.case("get-broken-percent", Hostile, Get, GOOD, Parameter("custom", "custom=100%"),
        "A percent sign alone is no escape; decodeURIComponent throws a URIError."),
    Survives.case("get-odd-brackets", Hostile, Get, GOOD,
        Parameter("extra_params",
            "extra_params[a][b][]=1&extra_params[a]=2&extra_params[__proto__][x]=1"),
        "Brackets that contradict one another: qs makes objects where text was expected, some \
         parsers throw."),
    Survives.case("get-only-separators", Hostile, Get, GOOD, Parameter("", "&&=&=x&;&a"),
        "Empty names and missing values; splitting at = by hand takes the second of one."),
    Survives.case("head", Inferred, Other("HEAD"), Text(""), InOrder,
        "Uptime checks and link previews send HEAD; frameworks route it to the GET handler, \
         which fails without parameters."),
    Survives.case("options", Inferred, Other("OPTIONS"), Text(""), InOrder,
        "Browsers ask by OPTIONS before they post, and so do scanners; a 501 or 405 is fine, a \
         failure is not."),
    Survives.case("cut-short", Hostile, Post, GOOD, Raw(Script::CutShort),
        "A sender can die half-way through the body; code that parses the half without a check of \
         its length fails, or waits for ever."),
    Survives.case("reset-mid-body", Hostile, Post, GOOD, Raw(Script::Reset),
        "A mobile network or a crashed sender resets the connection; the read throws outside of \
         every try, and the loop ends."),
    Survives.case("longer-than-announced", Hostile, Post, GOOD, Raw(Script::TooLong),
        "More bytes than announced look like a second, broken request; the first must still be \
         answered, or its connection closed."),
    Survives.case("half-closed", Inferred, Post, GOOD, Raw(Script::HalfClosed),
        "Some scripts close their side after sending; that is allowed, and an answer is still \
         wanted."),
    Survives.case("chunked", Inferred, Post, GOOD, Raw(Script::Chunked(64)),
        "Tunnels and proxies may pass a body on in chunks, without a Content-Length; int(None) is \
         the usual failure."),
    Survives.case("chunked-not-ascii", Inferred, Post,
        Changed(&[Change::Text("custom", r#"{"name":"अनुष्का 📞 Zoë"}"#)]), Raw(Script::Chunked(7)),
        "A character's bytes can come in two chunks; text that is decoded piece by piece, as by \
         body += chunk in Node, loses the character, which only --read-back shows."),
    Survives.case("stalled-body", Hostile, Post, GOOD, Raw(Script::Stalled),
        "A sender can stop half-way through; a server that reads one request at a time answers no \
         other until the rest arrives."),
    Survives.case("stalled-head", Hostile, Post, GOOD, Raw(Script::HalfHead),
        "Half a head and then nothing is the oldest attack on web servers; one thread for \
         everybody waits with it."),
    Survives.case("nothing-but-a-connection", Hostile, Post, GOOD, Raw(Script::Silent),
        "Port scanners and load balancers connect and say nothing; one thread for everybody \
         waits with them."),
    Survives.case("byte-by-byte", Hostile, Post, GOOD,
        Raw(Script::Dripped(NEXT_MILLISECOND)),
        "A slow line brings a byte at a time, which is good HTTP; code that calls read once takes \
         the first byte for the whole body."),
    Survives.case("expect-continue", Inferred, Post, GOOD,
        Raw(Script::ExpectContinue(Duration::from_millis(500))),
        "curl and .NET ask with Expect: 100-continue before a body; a server that knows nothing \
         of it keeps both waiting."),
    Survives.case("http-1-0", Inferred, Post, GOOD, Raw(Script::Http10),
        "Old proxies and health checks speak HTTP/1.0, without a Host; code that takes Host for \
         granted fails."),
    Survives.case("pipelined", Hostile, Post, GOOD, Raw(Script::Pipelined),
        "Two requests in one piece: code that reads all that has arrived takes both for one body."),
    Survives.case("length-beyond-memory", Hostile, Post, GOOD, Raw(Script::Length("1099511627776")),
        "A length of a terabyte costs nothing to announce; a server that allocates the memory \
         first runs out of it."),
    Survives.case("length-negative", Hostile, Post, GOOD, Raw(Script::Length("-1")),
        "A negative length is no length; read(-1) means everything, and waits for ever."),
    Survives.case("length-no-number", Hostile, Post, GOOD, Raw(Script::Length("many")),
        "A length in words: int() throws before the handler's try begins."),
    Survives.case("length-and-chunks", Hostile, Post, GOOD, Raw(Script::LengthAndChunks),
        "A length and chunks at once is how requests are smuggled past proxies; refusing it is \
         right, failing is not."),
    Survives.case("tls-to-http", Hostile, Post, GOOD, Raw(Script::TlsHello),
        "Scanners and https:// typed for http:// bring a TLS hello; it is no HTTP, and must end \
         that one connection only."),
    Survives.case("huge-header", Hostile, Post, GOOD, Raw(Script::HugeHeader),
        "A header of 100 KiB is beyond every limit; the answer is 431 or a close, not a crash."),
    Survives.case("put", Hostile, Other("PUT"), GOOD, InOrder,
        "Scanners try every method; a 405 or 404 is fine, a failure is not."),
];

/// TeleCMI's page shows a CDR as a JavaScript literal with bare names, single quotes and a trailing comma. \[doc\]
fn javascript(cdr: &Fields) -> Vec<u8> {
    let lines = cdr.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name}: '{text}',\n"),
        other => format!("{name}: {other},\n"),
    });
    format!("{{\n{}}}\n", lines.collect::<String>()).into()
}

fn nested(_: &Fields) -> Value {
    (0..50).fold(json!(1), |inner, _| json!({"a": inner}))
}

/// Ten thousand levels of objects in `extra_params`.
fn deep(cdr: &Fields) -> Vec<u8> {
    let objects = [&*r#"{"a":"#.repeat(10_000), "1", &*"}".repeat(10_000)].concat();
    super::super::requests::spliced(cdr, "extra_params", objects.as_bytes())
}
