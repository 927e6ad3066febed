//! What a documented field's value may be, and what to say when it is something else.

use serde_json::Value;

use super::remark::{Code, Remark};
use super::schema::{Field, FieldType};
use super::{Fields, HangupReason, Status, ids, word};
use crate::json;

/// The remark that one documented field's value deserves, if any.
#[must_use]
pub fn remark(field: &Field, value: &Value, fields: &Fields) -> Option<Remark> {
    let odd = match (field.field_type, value) {
        (FieldType::String, Value::String(text)) if text.is_empty() => Some("empty".to_owned()),
        (FieldType::String, Value::String(text)) => odd_text(field.name, text, fields),
        (FieldType::Number, Value::Number(number)) => {
            odd_number(field.name, number.as_f64().unwrap_or(f64::NAN))
        }
        (FieldType::Boolean, Value::Bool(_)) => None,
        _ => {
            let text = format!(
                "{}; documented as a {}{}",
                article(value),
                field.field_type.name(),
                seen_live(field, value)
            );
            return Some(Remark::on(field.name, Code::Retyped, text));
        }
    };
    odd.map(|text| Remark::on(field.name, Code::OddValue, text))
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
        "leg" if !matches!(text, "a" | "b") => expected("documented are `a` and `b`"),
        "type" if text != "cdr" => expected("a CDR says `cdr`"),
        "status" if !matches!(text, "missed" | "answered") => {
            expected("TeleCMI says `missed` or `answered`")
        }
        "direction" if text != "outbound" => expected("an outgoing call says `outbound`"),
        "hangup_reason" => odd_hangup_reason(text, fields),
        "virtual_number" => odd_digits(text),
        "user" => odd_user(text, fields),
        "cmiuuid" if !ids::is_uuid(text) => expected("documented is a UUID"),
        "extra_params" if json::check(text.as_bytes()).is_err() => Some("not JSON text".to_owned()),
        "click_to_call" if text != "true" => expected("documented is `true`"),
        _ => None,
    }
}

/// A value in backticks; of a long one the beginning, since the whole is shown with the body.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

fn odd_hangup_reason(text: &str, fields: &Fields) -> Option<String> {
    let missed = word(fields, "status") == Some("missed");
    match HangupReason::read(text) {
        None => Some(format!(
            "{}; documented are sent_bye, recv_bye, recv_cancel, sent_reject",
            quoted(text)
        )),
        Some(reason) if missed && reason.status() == Status::Answered => Some(format!(
            "`{text}` needs an answered call; a missed leg ends in recv_cancel or sent_reject"
        )),
        Some(_) => None,
    }
}

fn odd_digits(text: &str) -> Option<String> {
    if let Some(rest) = text.strip_prefix('+')
        && rest.chars().all(|c| c.is_ascii_digit())
    {
        return Some("with a plus sign; TeleCMI sends bare digits".to_owned());
    }
    let number = (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    (!number).then(|| "not a telephone number".to_owned())
}

fn odd_user(text: &str, fields: &Fields) -> Option<String> {
    let Some((extension, app_id)) = text.split_once('_') else {
        return Some(format!(
            "{}; documented is <extension>_<appid>",
            quoted(text)
        ));
    };
    let digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    if !digits(extension) || !digits(app_id) {
        return Some(format!(
            "{}; documented is <extension>_<appid>",
            quoted(text)
        ));
    }
    match fields.get("appid") {
        Some(Value::Number(appid)) if appid.is_u64() && appid.to_string() != app_id => Some(
            format!("{} names another account than appid {appid}", quoted(text)),
        ),
        _ => None,
    }
}

/// The longest telephone number there is, E.164: fifteen digits.
const LONGEST_NUMBER: f64 = 1e15;

fn odd_number(name: &str, number: f64) -> Option<String> {
    /// Milliseconds since the epoch in 2001 and in 2100: what lies outside was not meant as milliseconds.
    const YEARS: std::ops::Range<f64> = 1e12..4_102_444_800_000.0;
    match name {
        "time" if (1e9..1e11).contains(&number) => {
            Some("looks like seconds; documented are milliseconds".to_owned())
        }
        "time" if !YEARS.contains(&number) => {
            Some("not a time between 2001 and 2100 in milliseconds".to_owned())
        }
        "to" if !(1.0..LONGEST_NUMBER).contains(&number) => {
            Some("not a telephone number".to_owned())
        }
        "appid" | "answeredsec" if number < 0.0 => Some("negative".to_owned()),
        _ => None,
    }
}

/// What common readers would make of a number other than what is written, in words; nothing if they keep it.
#[must_use]
pub fn inexact(raw: &str) -> Option<String> {
    const LONGEST: usize = 60;
    // Fewer than sixteen digits are less than 2^53, as they nearly always are.
    if raw.len() < 16 && raw.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if raw
        .parse::<i64>()
        .is_ok_and(|n| n.unsigned_abs() <= 1 << 53)
    {
        return None;
    }
    if raw.len() > LONGEST {
        return Some(format!(
            "a number of {} characters: most readers round it or fail",
            raw.len()
        ));
    }
    if raw.contains(['.', 'e', 'E']) {
        return Some(format!("written {raw}; whole numbers are documented"));
    }
    Some(format!(
        "{raw} is beyond 2^53: JavaScript and others round it"
    ))
}
