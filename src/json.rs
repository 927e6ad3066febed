//! Reads JSON text and keeps repeated names and the digits of numbers. serde_json decides whether a text is valid;
//! [`document`] returns an object's members in order, and `tokens` splits valid text.

mod error;
mod tokens;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
pub use error::Error;
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
pub(crate) use tokens::{Kind, Token, tokens};

/// The maximum depth of arrays and objects. serde_json has the same limit, but does not apply it to a `RawValue`.
pub const MAX_DEPTH: usize = 127;

pub(crate) fn value(text: &str) -> Result<Value, Error> {
    serde_json::from_str(text).map_err(|error| Error::new(text, &error))
}

/// Validates JSON by RFC 8259, up to `MAX_DEPTH`, and returns the text. `1e400` and `"\ud800"` are accepted, though a
/// [`Value`] cannot hold them.
pub fn check(bytes: &[u8]) -> Result<&str, Error> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::at(bytes, error.valid_up_to(), "the text is not UTF-8"))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| Error::new(text, &error))?;
    if !may_be_too_deep(text) {
        return Ok(text);
    }
    let mut depth = 0;
    for token in tokens(text) {
        match token.kind {
            Kind::Open if depth == MAX_DEPTH => {
                let message = format!("nested deeper than {MAX_DEPTH} levels");
                return Err(Error::at(bytes, token.start, message));
            }
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            _ => {}
        }
    }
    Ok(text)
}

fn may_be_too_deep(text: &str) -> bool {
    let is_opening = |byte: &u8| matches!(byte, b'[' | b'{');
    text.bytes().filter(is_opening).nth(MAX_DEPTH).is_some()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document<'a> {
    /// The members of a JSON object in order, with every occurrence of a repeated name.
    Object(Vec<Member<'a>>),
    /// The type of a JSON text that is no object: `array`, `string`, `number`, `true`, `false` or `null`.
    Other(&'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// The name of a JSON object's member, with escapes resolved.
    pub name: Cow<'a, str>,
    pub raw: &'a str,
    pub(crate) text: &'a str,
    pub(crate) start: usize,
}

impl Member<'_> {
    pub(crate) fn is_number(&self) -> bool {
        self.raw
            .starts_with(|c: char| c == '-' || c.is_ascii_digit())
    }

    pub(crate) fn is_string(&self) -> bool {
        self.raw.starts_with('"')
    }

    /// Returns the value of a JSON object's member as a [`Value`]. Where a `Value` cannot represent the text, the
    /// nearest value of the same type is returned: the largest number for `1e400`, U+FFFD for half a surrogate pair, an
    /// empty array or object.
    pub(crate) fn value(&self) -> Value {
        if self.is_string() {
            return unquoted(self.raw).into();
        }
        serde_json::from_str(self.raw).unwrap_or_else(|_| match self.raw.as_bytes().first() {
            Some(b'[') => Value::Array(Vec::new()),
            Some(b'{') => Value::Object(Map::new()),
            Some(b'-') => f64::MIN.into(),
            _ => f64::MAX.into(),
        })
    }
}

pub fn document(bytes: &[u8]) -> Result<Document<'_>, Error> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let members = reader.deserialize_map(Members(text));
    // A `RawValue` is validated, except for its depth.
    if members.is_err() || reader.end().is_err() || may_be_too_deep(text) {
        check(bytes)?;
    }
    Ok(match text.trim_ascii_start().as_bytes().first() {
        Some(b'{') => Document::Object(members.unwrap_or_default()),
        Some(b'[') => Document::Other("array"),
        Some(b'"') => Document::Other("string"),
        Some(b't') => Document::Other("true"),
        Some(b'f') => Document::Other("false"),
        Some(b'n') => Document::Other("null"),
        _ => Document::Other("number"),
    })
}

/// The members of a JSON object, none of other bytes.
pub(crate) fn members_of(object: &[u8]) -> Vec<Member<'_>> {
    match document(object) {
        Ok(Document::Object(members)) => members,
        _ => Vec::new(),
    }
}

/// Returns a JSON text, which [`check`] must have accepted, without the whitespace between its tokens.
pub(crate) fn compact(text: &str) -> String {
    tokens(text).map(|token| token.text).collect()
}

/// Splits the text of an object into members.
struct Members<'a>(&'a str);

impl<'a> Visitor<'a> for Members<'a> {
    type Value = Vec<Member<'a>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let offset = |part: &str| part.as_ptr().addr() - self.0.as_ptr().addr();
        let mut members = Vec::with_capacity(16);
        while let Some((name, raw)) = map.next_entry::<&RawValue, &RawValue>()? {
            let (name, raw) = (name.get(), raw.get());
            let start = offset(name);
            members.push(Member {
                name: unquoted(name),
                raw,
                text: &self.0[start..offset(raw) + raw.len()],
                start,
            });
        }
        Ok(members)
    }
}

/// Decodes a JSON string literal. Half a surrogate pair, which JSON's grammar allows, becomes U+FFFD.
pub(crate) fn unquoted(raw: &str) -> Cow<'_, str> {
    match raw.get(1..raw.len().saturating_sub(1)) {
        Some(inner) if !inner.contains('\\') => inner.into(),
        _ => serde_json::from_str(raw).map_or_else(
            |_| {
                // serde_json decodes half a surrogate pair only into bytes, as three bytes of invalid UTF-8.
                let bytes: Bytes = serde_json::from_str(raw).unwrap_or_default();
                let text = String::from_utf8_lossy(&bytes);
                text.replace("\u{fffd}\u{fffd}\u{fffd}", "\u{fffd}").into()
            },
            Cow::Owned,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_keep_order_repeats_and_digits() {
        let text =
            br#" {"a":1.50,"b":{"c":[1,{"d":2}]},"a":"x\u0041\ud83d\ude00","e":[],"f":18446744073709551616} "#;
        let Ok(Document::Object(members)) = document(text) else {
            panic!("not an object")
        };
        let seen: Vec<_> = members.iter().map(|m| (&*m.name, m.raw)).collect();
        assert_eq!(
            seen,
            [
                ("a", "1.50"),
                ("b", r#"{"c":[1,{"d":2}]}"#),
                ("a", r#""x\u0041\ud83d\ude00""#),
                ("e", "[]"),
                ("f", "18446744073709551616"),
            ]
        );
        assert_eq!(unquoted(members[2].raw), "xA😀");
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for (text, line, column) in [
            ("", 1, 1),
            ("{\n a: 1}", 2, 2),
            ("{'a':1}", 1, 2),
            ("{\"a\":1,}", 1, 8),
            ("[1,]", 1, 4),
            ("[1 2]", 1, 4),
            ("{\"a\" 1}", 1, 6),
            ("01", 1, 2),
            ("1.", 1, 2),
            ("\"a\nb\"", 1, 2),
            ("\"\\x\"", 1, 3),
            ("{\"a\":1", 1, 6),
            ("{} x", 1, 4),
            ("NaN", 1, 1),
            ("[}", 1, 2),
            ("\u{feff}{}", 1, 1),
        ] {
            let error = check(text.as_bytes()).unwrap_err();
            assert_eq!((error.line, error.column), (line, column), "{text:?}");
            let place = format!("at line {line} column {column}");
            assert!(error.to_string().ends_with(&place), "{error}");
            assert!(!error.message.contains(" at line "), "{error}");
        }
        assert_eq!(
            check(b"[\n\"\xff\"]").unwrap_err().to_string(),
            "the text is not UTF-8 at line 2 column 2"
        );
        let cut_off = ["{\"a\":", "\"é", "", "tru"].map(|text| document(text.as_bytes()));
        assert!(
            cut_off
                .iter()
                .all(|read| read.as_ref().is_err_and(|error| error.is_cut_off))
        );
        assert!(!check(b"{]").unwrap_err().is_cut_off);
    }

    #[test]
    fn errors_are_named_in_plain_words() {
        for (text, expected) in [
            ("{\"a\":1,}", "a comma before the closing brace"),
            ("{\"a\":1,\n}", "a comma before the closing brace"),
            ("[1, ]", "a comma before the closing bracket"),
            ("{'a':1}", "a name in single quotes"),
            ("{\"a\":'b'}", "a string in single quotes"),
            ("{a:1}", "expected a name in double quotes"),
            ("{\"a\":}", "expected a value"),
            ("{\"a\" 1}", "expected a colon after the name"),
            ("{\"a\":1 2}", "expected a comma or the closing brace"),
            ("[1 2]", "expected a comma or the closing bracket"),
            ("{} x", "more text after the end of the value"),
            ("nil", "expected true, false or null"),
            ("01", "a number that JSON does not allow"),
            ("\"a\nb\"", "a control character inside a string"),
            ("\"\\x\"", "an escape that JSON does not have"),
            ("\"a", "a string without its closing quote"),
            ("{\"é\":[", "the text ends in the middle of a value"),
            (
                "\u{feff}{}",
                "the text starts with a byte order mark, which JSON forbids",
            ),
        ] {
            assert_eq!(
                check(text.as_bytes()).unwrap_err().message,
                expected,
                "{text:?}"
            );
        }
        let deep = "[".repeat(MAX_DEPTH + 1);
        assert_eq!(
            value(&deep).unwrap_err().message,
            "nested deeper than 127 levels"
        );
        assert_eq!(
            value("1e400").unwrap_err().message,
            "a number that is too large"
        );
        // When deserialising a `Value`, serde_json itself reports a trailing comma.
        assert_eq!(
            value("[1,]").unwrap_err().message,
            "a comma before the closing bracket"
        );
        assert_eq!(
            value("{\"a\":1,}").unwrap_err().message,
            "a comma before the closing brace"
        );
    }

    #[test]
    fn nesting_stops_at_the_limit() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(check(nested(MAX_DEPTH).as_bytes()).is_ok());
        let error = check(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "nested deeper than 127 levels at line 1 column 128"
        );
        assert!(check(nested(100_000).as_bytes()).is_err());
        assert!(check("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn what_no_value_can_hold_is_json_all_the_same() {
        let text =
            br#"{"a":1e400,"b":-1e400,"c":"x\ud800y","d":[1e400],"e":{"x":"\udc00"},"\ud800":1}"#;
        let Ok(Document::Object(members)) = document(text) else {
            panic!("refused")
        };
        let values: Vec<_> = members.iter().map(Member::value).collect();
        assert_eq!(values[0], f64::MAX);
        assert_eq!(values[1], f64::MIN);
        assert_eq!(values[2], "x\u{fffd}y");
        assert_eq!(members[5].name, "\u{fffd}");
        assert_eq!(values[3..5], [serde_json::json!([]), serde_json::json!({})]);
    }

    #[test]
    fn escapes_are_resolved_wherever_they_stand() {
        for (raw, text) in [
            (r#""\\\"\/\b\f\n\r\t""#, "\\\"/\u{8}\u{c}\n\r\t"),
            (r#""a\u0041\u00e9é\ud83d\ude00z""#, "aAéé😀z"),
            (r#""""#, ""),
            ("\"é\"", "é"),
        ] {
            assert_eq!(unquoted(raw), text, "{raw}");
        }
    }

    proptest! {
        /// JSON tokens cover the whole text but its whitespace, and every token's text matches its kind.
        #[test]
        fn tokens_are_the_whole_text(text in r#"[\[\]{}:," \\\n0-9a1ertuflsn.+-]{0,24}"#) {
            let accepted = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            prop_assert_eq!(check(text.as_bytes()).is_ok(), accepted);
            if accepted {
                let mut end = 0;
                for token in tokens(&text) {
                    prop_assert!(text[end..token.start].trim_ascii().is_empty());
                    end = token.start + token.text.len();
                    let is_whole = match token.kind {
                        Kind::Open => matches!(token.text, "{" | "["),
                        Kind::Close => matches!(token.text, "}" | "]"),
                        Kind::Colon => token.text == ":",
                        Kind::Comma => token.text == ",",
                        _ => serde_json::from_str::<&RawValue>(token.text).is_ok(),
                    };
                    prop_assert!(is_whole, "{:?}", token);
                }
                prop_assert!(text[end..].trim_ascii().is_empty());
            }
        }

        #[test]
        fn any_value_written_by_serde_json_is_read(text in any::<String>(), number in any::<f64>()) {
            let value = serde_json::json!({ &text: [text, number, { "x": null }] });
            prop_assert!(check(serde_json::to_string_pretty(&value).unwrap().as_bytes()).is_ok());
        }
    }
}
