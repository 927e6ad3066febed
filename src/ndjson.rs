//! Writes NDJSON records: one object per line, `{"type": …, "v": 1, …}`, safe to print on a terminal.
//!
//! Control, bidirectional, zero-width and other disturbing characters are written as `\u` escapes. A JSON parser reads
//! them back as the same characters.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::untrusted::{clean, disturbs, is_plain};

/// The version of the NDJSON records. Fields may be added within a version, never renamed or retyped.
pub const VERSION: u8 = 1;

#[derive(Serialize)]
struct Record<'a, T> {
    r#type: &'a str,
    v: u8,
    #[serde(flatten)]
    fields: &'a T,
}

/// Returns a record as one line, newline included. `fields` must serialise as an object; otherwise the line is empty.
pub fn line<T: Serialize>(kind: &str, fields: &T) -> Vec<u8> {
    let mut line = safe_json(&Record {
        r#type: kind,
        v: VERSION,
        fields,
    });
    line.push('\n');
    line.into_bytes()
}

/// Returns a value as compact JSON with `\u` escapes for all characters that disturb a terminal.
pub fn safe_json<T: Serialize>(value: &T) -> String {
    let mut json = Vec::with_capacity(2048);
    match serde_json::to_writer(&mut json, value) {
        Ok(()) => escaped(String::from_utf8(json).unwrap_or_default()),
        Err(_) => String::new(),
    }
}

/// Returns JSON text on one line and safe for a terminal, its numbers and spaces as written. Text that is not JSON is
/// cleaned as [`clean`] does.
pub fn one_line(bytes: &[u8]) -> String {
    match serde_json::from_slice::<&RawValue>(bytes) {
        Ok(json) => escaped(json.get().to_owned()),
        Err(_) => clean(&String::from_utf8_lossy(bytes)).into_owned(),
    }
}

/// Writes `\u` escapes for disturbing characters in JSON text. A line break or tab occurs only between tokens, so that a
/// space can replace it.
fn escaped(json: String) -> String {
    if is_plain(&json) {
        return json;
    }
    let mut safe = String::with_capacity(json.len() + 64);
    let mut copied = 0;
    for (at, c) in json.char_indices().filter(|(_, c)| disturbs(*c)) {
        safe.push_str(&json[copied..at]);
        copied = at + c.len_utf8();
        if matches!(c, '\n' | '\r' | '\t') {
            safe.push(' ');
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(safe, "\\u{unit:04x}");
        }
    }
    safe + &json[copied..]
}

/// Durations in records are milliseconds with three decimals.
pub(crate) fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

pub fn as_ms<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(ms(*duration))
}

pub fn as_optional_ms<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration.map(ms).serialize(serializer)
}

pub fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;
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
