//! Remarks on received payloads and on the values of documented fields.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::schema::{Field, FieldType};
use super::{Fields, HangupReason, Status, word};
use crate::json;
use crate::untrusted::{Untrusted, beginning};

/// The subject of a remark. The serialised names of the variants appear in records and must not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    Missing,
    /// A field that occurs in no known notification of TeleCMI's.
    Unknown,
    /// A known field that does not belong in the payload's kind of CDR.
    Unexpected,
    Retyped,
    /// A field value that the documentation rules out, or an implausible one.
    OddValue,
    DuplicateKey,
    /// A number that common JSON readers would round or write differently.
    InexactNumber,
    OtherKind,
    NotAnObject,
    NotJson,
    /// A JavaScript literal instead of JSON, like the samples on TeleCMI's page.
    JsLiteral,
    Empty,
    /// A request without a CDR that needs none, such as a health check or a browser's request.
    NoCdr,
    ContentType,
    /// A compressed or multipart request body, which is kept as received.
    Encoded,
    BadQuery,
    /// An invalid HTTP request: too large, cut off, without a host …
    BadRequest,
    /// Transfer-Encoding and Content-Length together, which proxies read in different ways.
    AmbiguousFraming,
    /// A CDR whose fields equal those of an earlier CDR; the remark's text says whether the bytes are equal too.
    Duplicate,
    /// A CDR whose identifiers equal those of an earlier CDR but whose body differs.
    Conflict,
    More,
}

impl Code {
    /// Returns whether `--strict` refuses a request with this remark, as a departure from the documented schema or from
    /// HTTP.
    pub fn departs(self) -> bool {
        !matches!(self, Self::Duplicate | Self::Conflict | Self::NoCdr)
    }
}

pub const MOST: usize = 100;

/// Truncates a list to [`MOST`] remarks and appends a remark that states the number removed.
pub fn bound(remarks: &mut Vec<Remark>) {
    if let Some(more) = remarks.len().checked_sub(MOST).filter(|more| *more > 0) {
        remarks.truncate(MOST);
        // Without `shrink_to_fit`, a record would keep the memory of thousands of removed remarks.
        remarks.shrink_to_fit();
        remarks.push(Remark::new(Code::More, format!("and {more} more remarks")));
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    pub code: Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<Untrusted>,
    /// The text of the remark, which may quote the payload. The field's name is not repeated in the text.
    pub text: Untrusted,
}

impl Remark {
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            field: None,
            text: Untrusted::new(text),
        }
    }

    pub fn on(field: &str, code: Code, text: impl Into<String>) -> Self {
        Self {
            field: Some(Untrusted::new(field)),
            ..Self::new(code, text)
        }
    }
}

pub fn on_value(field: &Field, value: &Value, fields: &Fields) -> Option<Remark> {
    let odd = match (field.field_type, value) {
        (FieldType::String, Value::String(text)) if text.is_empty() => Some("empty".to_owned()),
        (FieldType::String, Value::String(text)) => odd_text(field.name, text, fields),
        (FieldType::Number, Value::Number(number)) => odd_number(field.name, number.as_f64()),
        (FieldType::Boolean, Value::Bool(_)) => None,
        _ if is_typed_as_legacy(field, value, fields) => None,
        _ => {
            let (found, documented) = (article(value), field.field_type.name());
            let live = seen_live(field, value);
            let text = format!("{found}; documented as a {documented}{live}");
            return Some(Remark::on(field.name, Code::Retyped, text));
        }
    };
    odd.map(|text| Remark::on(field.name, Code::OddValue, text))
}

/// Returns whether the value has the type of a legacy CDR: CHUB India sends `record` as the string `true`, and an earlier
/// revision of CHUB sends `click_to_call` as a boolean. \[doc\]
fn is_typed_as_legacy(field: &Field, value: &Value, fields: &Fields) -> bool {
    let is_legacy = fields.contains_key("click_to_call") && !fields.contains_key("call_id");
    let expected = match field.name {
        "click_to_call" => Value::from(true),
        "record" => "true".into(),
        _ => return false,
    };
    is_legacy && *value == expected
}

fn article(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn seen_live(field: &Field, value: &Value) -> &'static str {
    match (field.name, value) {
        ("virtual_number", Value::Number(_)) => ", seen live as a number",
        ("extra_params", Value::Object(_)) => ", seen live as an object",
        _ => "",
    }
}

fn odd_text(name: &str, text: &str, fields: &Fields) -> Option<String> {
    let expected = |words: &str| Some(format!("{}; {words}", quoted(text)));
    match name {
        "leg" if !matches!(text, "a" | "b") => expected("the documented values are `a` and `b`"),
        "type" if text != "cdr" => expected("the documented value is `cdr`"),
        "status" if !matches!(text, "missed" | "answered") => {
            expected("the documented values are `missed` and `answered`")
        }
        "direction" if text != "outbound" => expected("the documented value is `outbound`"),
        "hangup_reason" => odd_hangup_reason(text, fields),
        "virtual_number" => odd_digits(text),
        "user" => odd_user(text, fields),
        "cmiuuid" if Uuid::try_parse(text).is_err() => expected("documented as a UUID"),
        "extra_params" if json::check(text.as_bytes()).is_err() => Some("not JSON text".to_owned()),
        "click_to_call" if text != "true" => expected("documented is `true`"),
        _ => None,
    }
}

fn quoted(text: &str) -> String {
    format!("`{}`", beginning(text, 60))
}

fn odd_hangup_reason(text: &str, fields: &Fields) -> Option<String> {
    let missed = word(fields, "status") == Some("missed");
    let words = match HangupReason::read(text) {
        None => "; the documented values are sent_bye, recv_bye, recv_cancel, sent_reject",
        Some(reason) if missed && reason.status() == Status::Answered => {
            " needs an answered call; a missed leg ends in recv_cancel or sent_reject"
        }
        Some(_) => return None,
    };
    Some(quoted(text) + words)
}

fn odd_digits(text: &str) -> Option<String> {
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if text.strip_prefix('+').is_some_and(is_digits) {
        return Some("has a plus sign; TeleCMI sends digits only".to_owned());
    }
    let number = (1..=15).contains(&text.len()) && is_digits(text);
    (!number).then(|| "not a telephone number".to_owned())
}

fn odd_user(text: &str, fields: &Fields) -> Option<String> {
    let is_digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let parts = text.split_once('_');
    let parts = parts.filter(|(extension, app_id)| is_digits(extension) && is_digits(app_id));
    let Some((_, app_id)) = parts else {
        return Some(quoted(text) + "; documented as <extension>_<appid>");
    };
    match fields.get("appid") {
        Some(Value::Number(appid)) if appid.is_u64() && appid.to_string() != app_id => {
            Some(format!("{} does not match appid {appid}", quoted(text)))
        }
        _ => None,
    }
}

/// E.164 numbers have at most fifteen digits.
const LONGEST_NUMBER: f64 = 1e15;

fn odd_number(name: &str, number: Option<f64>) -> Option<String> {
    /// The plausible epoch milliseconds, 2001 to 2100; epoch seconds and microseconds fall outside.
    const YEARS: std::ops::Range<f64> = 1e12..4_102_444_800_000.0;
    let number = number.unwrap_or(f64::NAN);
    let words = match name {
        "time" if (1e9..1e11).contains(&number) => "looks like seconds; documented in milliseconds",
        "time" if !YEARS.contains(&number) => "not a time between 2001 and 2100 in milliseconds",
        "to" if !(1.0..LONGEST_NUMBER).contains(&number) => "not a telephone number",
        "appid" | "answeredsec" if number < 0.0 => "negative",
        _ => return None,
    };
    Some(words.to_owned())
}

pub fn inexact(raw: &str) -> Option<String> {
    const LONGEST: usize = 60;
    let integer = raw.parse::<i64>();
    if integer.is_ok_and(|n| n.unsigned_abs() <= 1 << 53) {
        return None;
    }
    let length = raw.len();
    Some(if length > LONGEST {
        format!("a number of {length} characters, which most parsers round or refuse")
    } else if raw.contains(['.', 'e', 'E']) {
        format!("written as {raw}; documented as an integer")
    } else {
        format!("{raw} is beyond 2^53: JavaScript and other parsers round it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_remarks_neither_the_text_nor_the_room_is_kept() {
        let mut remarks = vec![Remark::new(Code::BadQuery, "x"); 50_000];
        bound(&mut remarks);
        assert_eq!(remarks.len(), MOST + 1);
        assert_eq!(
            remarks.last().map(|last| last.text.as_it_came()),
            Some("and 49900 more remarks")
        );
        assert!(remarks.capacity() < 2 * MOST + 2, "{}", remarks.capacity());
        let as_they_were = remarks[..MOST].to_vec();
        let mut few = as_they_were.clone();
        bound(&mut few);
        assert_eq!(few, as_they_were);
    }
}
