//! The NDJSON records: one object a line, `type` first, then `v`.
//!
//! Each mode's events serialise themselves; this module frames them and makes the line safe for a terminal. The
//! `exchange` record is also read back, so that what was captured can be sent again byte for byte.

mod draft;
mod page;
mod text;
mod writer;

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Failure, Headers, Request};
use crate::clock::Moment;
use crate::json;
use crate::untrusted::{Untrusted, clean, disturbs, is_plain};
pub use draft::Draft;
use page::Page;
use writer::Writer;

/// The version of the records. Fields may be added within a version, never renamed or retyped.
pub const VERSION: u8 = 1;

/// One request received, and what became of it. `V` is the receiver's verdict and `C` what it has read of a CDR, which this
/// room knows nothing of.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange<V, C> {
    /// Its number, from one.
    pub n: u64,
    /// When its head had been read.
    pub received_at: Moment,
    /// Who sent it: address and port.
    pub peer: String,
    /// For whom the sender says that it sends, if such claims are to be believed.
    pub claimed: Option<String>,
    /// The request as it came.
    pub request: Request,
    /// What arrived.
    pub verdict: V,
    /// The fields of a CDR. From a query string they are typed as documented, where their text allows it.
    pub cdr: Option<C>,
    /// Which earlier exchanges it belongs to.
    pub related: Vec<Relation>,
    /// Why this CDR is not one of those that were waited for, if it is not.
    pub uncounted: Option<Untrusted>,
    /// What we answered.
    pub answer: Answer,
    /// Milliseconds from the end of the request to the answer.
    pub took_ms: f64,
}

/// How an exchange relates to an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Relation {
    /// The earlier exchange's number.
    pub n: u64,
    /// How: `retry`, `duplicate`, `conflict`, `other_method`, `same_call`, `shared_call_id`.
    pub how: String,
    /// The same in words.
    pub text: String,
}

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Answer {
    /// The status, if there was an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The failure that was put in the place of an answer, or made one, on purpose: `status`, `reset`, `empty`, `hang`,
    /// `slow`, `garbage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// What the handler said to which the request was passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<Forwarded>,
    /// Why the exchange is not on file, if it was to be saved and could not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsaved: Option<String>,
}

/// What became of a request that was passed on to a handler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forwarded {
    /// Where it went, path and query included, secrets masked.
    pub url: String,
    /// The status of the handler's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long the handler took.
    #[serde(rename = "latency_ms", serialize_with = "as_ms")]
    pub latency: Duration,
    /// Whether all of the handler's answer went back to the sender: what is longer than anyone needs is cut.
    pub complete: bool,
    /// The first line of the body of an answer of 400 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<Untrusted>,
    /// The status that the sender would have been answered otherwise.
    pub instead_of: u16,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// What came back for one attempt, as a record tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attempt {
    /// When it left.
    pub at: Moment,
    /// How long it took, in milliseconds.
    #[serde(rename = "latency_ms", serialize_with = "as_ms")]
    pub latency: Duration,
    /// The answer's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The rest of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseRecord>,
}

/// An answer's headers and body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResponseRecord {
    /// The header fields in order; the values of secret ones are masked.
    pub headers: Headers,
    /// The body, as much as was read.
    pub body: super::Octets,
    /// How many bytes were read.
    pub size: u64,
    /// Whether that is all of it.
    pub complete: bool,
}

/// Milliseconds with three decimals, as all durations in records are.
#[must_use]
pub fn ms(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}

/// Whether a count is not worth telling: for serde, which asks by reference.
#[must_use]
pub fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Serialises a duration as milliseconds.
pub fn as_ms<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(ms(*span))
}

/// Serialises a duration that may be absent as milliseconds.
pub fn as_optional_ms<S: Serializer>(
    span: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match span {
        Some(span) => serializer.serialize_f64(ms(*span)),
        None => serializer.serialize_none(),
    }
}

/// One record as a line with its newline, safe for `cat`: control, bidirectional and zero-width characters are `\u`
/// escapes, which read back as what they were.
#[must_use]
pub fn line<T: Serialize>(kind: &str, record: &T) -> Vec<u8> {
    let mut page = Page::over(Vec::new());
    page.room(1024);
    let frame = begin(&mut page, kind);
    // Records are structs with fields, of maps with string keys, text and finite numbers: nothing that JSON cannot hold.
    let written = record.serialize(Writer(&mut page));
    let mut line = page.done();
    if written.is_ok() && line.get(frame) == Some(&b'{') {
        // What it begins with has begun in the frame.
        line[frame] = b',';
    } else {
        line.clear();
    }
    line.push(b'\n');
    line
}

/// Begins a record, up to the members that are its own; gives where they begin.
fn begin(page: &mut Page, kind: &str) -> usize {
    // Kinds are words of ours, with nothing in them to escape.
    page.add(br#"{"type":"#);
    page.add_word(kind);
    page.add(br#","v":"#);
    page.push(b'0' + VERSION);
    page.len()
}

/// Any value as compact JSON that is safe for a terminal.
#[must_use]
pub fn safe_json<T: Serialize>(value: &T) -> String {
    let mut page = Page::default();
    let written = value.serialize(Writer(&mut page));
    written
        .ok()
        .and_then(|()| String::from_utf8(page.done()).ok())
        .unwrap_or_default()
}

/// JSON text as it stands, on one line and safe for a terminal: line breaks, which stand only between its tokens, become
/// spaces, and disturbing characters escapes. Text that is not JSON loses nothing either: its line breaks become visible.
#[must_use]
pub fn one_line(bytes: &[u8]) -> Cow<'_, str> {
    let text =
        std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
    if is_plain(&text) && text.trim().len() == text.len() {
        return text;
    }
    if json::tokens(bytes).is_err() {
        return clean(&text).into();
    }
    let mut page = Page::default();
    page.room(text.len());
    push_line(&mut page, text.trim());
    String::from_utf8(page.done()).unwrap_or_default().into()
}

/// Adds JSON as it stands, on one line. What disturbs a terminal stands only in its strings, where `\u` escapes are read
/// as what they stand for; and line breaks only between its tokens.
fn push_line(page: &mut Page, json: &str) {
    for c in json.chars() {
        match c {
            '\n' | '\r' | '\t' => page.push(b' '),
            c if disturbs(c) => push_escape(page, c),
            c => page.add(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Adds a character of a JSON string as an escape.
fn push_escape(page: &mut Page, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        page.add(format!("\\u{unit:04x}").as_bytes());
    }
}

/// What replay needs of a captured exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// The request as it came.
    pub request: Request,
    /// When it came, if that can be read.
    pub at: Option<Moment>,
}

/// A capture's line, as far as replay needs it.
#[derive(Debug, Deserialize)]
struct CapturedLine<'a> {
    r#type: String,
    v: u64,
    received_at: Option<serde_json::Value>,
    #[serde(borrow)]
    request: Option<&'a RawValue>,
}

/// The request in a captured line, or nothing if the line is another record; an error says why it is no record.
pub fn captured(line: &str) -> Result<Option<Captured>, String> {
    let record: CapturedLine<'_> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if record.v != u64::from(VERSION) {
        return Err(format!(
            "a record of version {}, and this program reads {VERSION}",
            record.v
        ));
    }
    if record.r#type != "exchange" {
        return Ok(None);
    }
    let request = record.request.ok_or("an exchange without its request")?;
    let request = serde_json::from_str(request.get()).map_err(|error| {
        // The place would be counted from the beginning of the request, where nobody counts.
        let error = error.to_string();
        format!(
            "its request: {}",
            error.split(" at line ").next().unwrap_or_default()
        )
    })?;
    let at = record
        .received_at
        .as_ref()
        .and_then(serde_json::Value::as_str);
    Ok(Some(Captured {
        request,
        at: at.and_then(|at| at.parse().ok()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Header;
    use proptest::prelude::*;

    #[derive(Serialize)]
    struct Said<'a> {
        text: &'a str,
    }

    #[test]
    fn type_comes_first_then_the_version() {
        let line = line(
            "said",
            &Said {
                text: "a\u{1b}[2J\u{202e}\u{e0001}é",
            },
        );
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "{\"type\":\"said\",\"v\":1,\"text\":\"a\\u001b[2J\\u202e\\udb40\\udc01é\"}\n"
        );
    }

    #[test]
    fn a_captured_request_is_read_back() {
        let request = Request::new(
            "POST",
            "/cdr?token=x",
            vec![Header::new("x-a", "1")],
            &b"\xff"[..],
        );
        let exchange: Exchange<(), ()> = Exchange {
            n: 1,
            received_at: Moment::from_epoch_ms(1_650_628_175_336).unwrap(),
            peer: "127.0.0.1:4000".to_owned(),
            claimed: None,
            request: request.clone(),
            verdict: (),
            cdr: None,
            related: Vec::new(),
            uncounted: None,
            answer: Answer {
                status: Some(200),
                ..Answer::default()
            },
            took_ms: 0.25,
        };
        let written = String::from_utf8(line("exchange", &exchange)).unwrap();
        let at = Some(exchange.received_at);
        assert_eq!(captured(&written), Ok(Some(Captured { request, at })));
        assert_eq!(captured(r#"{"type":"summary","v":1,"exit":0}"#), Ok(None));
        assert!(
            captured(r#"{"type":"exchange","v":2}"#)
                .unwrap_err()
                .contains("version 2")
        );
        assert!(captured("{").is_err());
    }

    #[test]
    fn json_is_put_on_one_line_as_it_was_written() {
        assert_eq!(
            one_line("{\"a\":1.50,\n \"a\": \"\u{7f}\u{202e}é\"}\n".as_bytes()),
            "{\"a\":1.50,  \"a\": \"\\u007f\\u202eé\"}"
        );
        assert_eq!(one_line(b"a\nb\x1b"), "a\\u{a}b\\u{1b}");
        assert_eq!(one_line(b" {\"a\": 1} "), "{\"a\": 1}");
        assert_eq!(one_line(b" no JSON "), " no JSON ");
    }

    #[test]
    fn json_within_a_record_is_as_safe_as_the_record() {
        let raw = "{\"a\":1.50,\n\"b\":\"\u{202e}é\"}";
        let raw: &RawValue = serde_json::from_str(raw).unwrap();
        assert_eq!(safe_json(&raw), "{\"a\":1.50, \"b\":\"\\u202eé\"}");
    }

    /// Everything that serde knows and records may hold.
    #[derive(Serialize)]
    enum Anything {
        Nothing,
        Numbers(u8, i64, f64, f32, u64),
        One(Option<char>),
        Some {
            unit: (),
            yes: bool,
            bytes: Vec<u8>,
            by_number: std::collections::BTreeMap<i8, Anything>,
        },
        Value(serde_json::Value),
    }

    #[test]
    fn records_are_written_as_serde_json_writes_them() {
        let by_number = [(-1, Anything::Nothing), (2, Anything::One(Some('"')))].into();
        let anything = [
            Anything::Nothing,
            Anything::Numbers(7, -1_650_628_175_336, 0.1, 1e-9, u64::MAX),
            Anything::Numbers(0, 0, f64::NAN, 1.0, 0),
            Anything::One(None),
            Anything::Some {
                unit: (),
                yes: true,
                bytes: vec![1, 2],
                by_number,
            },
            Anything::Value(
                serde_json::json!({"a": [], "b": {}, "": [null, {"c\n": "d\\\"é"}, 1e300]}),
            ),
        ];
        assert_eq!(
            safe_json(&anything),
            serde_json::to_string(&anything).unwrap()
        );
    }

    /// What `serde_json` writes, with escapes for what disturbs.
    fn written_slowly(text: &str) -> String {
        let mut written = String::new();
        for c in serde_json::to_string(text).unwrap().chars() {
            if disturbs(c) {
                written.extend(
                    c.encode_utf16(&mut [0; 2])
                        .iter()
                        .map(|unit| format!("\\u{unit:04x}")),
                );
            } else {
                written.push(c);
            }
        }
        written
    }

    #[test]
    fn what_is_escaped_is_escaped_wherever_it_stands() {
        for length in (0..20).chain([127, 128, 255, 256, 257, 512]) {
            for odd in ["\"", "\\", "\x1f", "\x7f", "\n", "é", "\u{202e}", "😀"] {
                for at in (0..length.min(20)).chain(length - length.min(9)..length) {
                    let text = format!("{}{odd}{}", "~".repeat(at), " ".repeat(length - at));
                    assert_eq!(
                        safe_json(&text),
                        written_slowly(&text),
                        "{odd:?} at {at} of {length}"
                    );
                }
            }
            let text = "\"\\".repeat(length);
            assert_eq!(safe_json(&text), written_slowly(&text));
        }
    }

    proptest! {
        #[test]
        fn text_is_written_as_serde_json_writes_it(text in any::<String>()) {
            prop_assert_eq!(safe_json(&text), written_slowly(&text));
        }

        #[test]
        fn bodies_are_written_as_serde_json_writes_them(
            text in r#"([a-z_0-9]{1,12}|["\\{}:,]{1,12}|[é\n\x00\x7f\u{2028}]){0,200}"#,
        ) {
            prop_assert_eq!(safe_json(&text), written_slowly(&text));
        }

        #[test]
        fn a_line_is_safe_and_reads_back(text in any::<String>()) {
            let written = String::from_utf8(line("said", &Said { text: &text })).unwrap();
            prop_assert!(!written.trim_end_matches('\n').chars().any(disturbs));
            let read: serde_json::Value = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(read["text"].as_str(), Some(text.as_str()));
        }
    }
}
