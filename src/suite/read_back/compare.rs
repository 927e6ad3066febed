//! Compares a stored record with what was sent, and names the usual mistakes by which a value changes.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::reader::{Record, unwrapped};
use crate::cdr::{Fields, text};
use crate::reply::{unescaped, without_tags};
use crate::suite::verdict::Cause;
use crate::untrusted::beginning;

const NUMBERS: [&str; 4] = ["to", "time", "appid", "virtual_number"];
const TEXTS: [&str; 5] = ["custom", "extra_params", "call_id", "request_id", "user"];

/// Fields of a few documented values, which are compared if the handler has a column of the field's name.
#[rustfmt::skip]
const WORDS: [&str; 9] = [
    "a", "b", "missed", "answered", "outbound", "sent_bye", "recv_bye", "recv_cancel", "sent_reject",
];
const WORD_FIELDS: [&str; 4] = ["leg", "status", "direction", "hangup_reason"];

const MAPPING: &str =
    "read each field by its own name, and write a row in one step; by GET every value is a text";

/// Values for which handlers store nothing, since they stand for an unset field.
const UNSET: [&str; 6] = ["", "none", "false", "null", "{}", "[]"];

/// Messages show this many characters of a value.
const SHOWN: usize = 60;

/// Up to this number, a double holds every integer.
const EXACT: u64 = 1 << 53;

/// Returns the fields whose values are stored as they were sent, and the others in words.
pub fn kept(sent: &Fields, record: &Record) -> (BTreeSet<&'static str>, Vec<String>) {
    let fields = NUMBERS.into_iter().chain(TEXTS);
    let (mut kept, mut others) = (BTreeSet::new(), Vec::new());
    for (name, value) in fields.filter_map(|name| Some((name, sent.get(name)?))) {
        let own = || {
            own(name, record).map_or("nothing".to_owned(), |own| {
                beginning(&text(own), SHOWN).into_owned()
            })
        };
        if stored(name, value, record) {
            kept.insert(name);
        } else if !UNSET.contains(&&*text(value)) {
            others.push(format!(
                "`{name}` ({} as {})",
                beginning(&text(value), SHOWN),
                own()
            ));
        }
    }
    kept.extend(
        WORD_FIELDS
            .into_iter()
            .filter(|name| sent.get(*name) == own(name, record)),
    );
    (kept, others)
}

/// The value of the column that has a field's name.
fn own<'a>(name: &'a str, record: &'a Record) -> Option<&'a Value> {
    record.named(name).find(|value| !value.is_null())
}

/// How a stored record differs from what was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub cause: Cause,
    /// The likely reason, without the values of the CDR.
    pub mistake: String,
    pub text: String,
    pub advice: &'static str,
}

impl Difference {
    pub fn new(cause: Cause, mistake: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            cause,
            mistake: mistake.into(),
            text: text.into(),
            advice: cause.advice(),
        }
    }
}

/// `difference` names the first field that is not stored as it was sent. `kept` has the fields that the handler stores of
/// a good CDR; a field that is not among them is judged only if its stored value shows a known mistake.
pub fn difference(
    sent: &Fields,
    by_get: bool,
    record: &Record,
    kept: &BTreeSet<&'static str>,
) -> Option<Difference> {
    let fields = NUMBERS.into_iter().chain(TEXTS).chain(WORD_FIELDS);
    fields
        .filter_map(|name| Some((name, sent.get(name)?)))
        .find_map(|(name, value)| {
            let is_kept = kept.contains(name);
            if WORD_FIELDS.contains(&name) {
                return word(name, value, record).filter(|_| is_kept);
            }
            mixed_up(name, sent, record).or_else(|| field(name, value, by_get, record, is_kept))
        })
}

fn word(name: &'static str, sent: &Value, record: &Record) -> Option<Difference> {
    let is_word = |value: &&Value| value.as_str().is_some_and(|text| WORDS.contains(&text));
    let own = own(name, record).filter(is_word)?;
    let text = format!("`{name}` was sent as {sent} and is stored as {own}");
    (is_word(&sent) && own != sent).then(|| Difference {
        advice: MAPPING,
        ..Difference::new(Cause::TextChanged, format!("`{name}` is changed"), text)
    })
}

/// Handlers store these fields under their own names. `call_id`, by contrast, may hold a `request_id`, which CRMs call
/// the call's id.
const OWN_NAMES: [&str; 5] = ["to", "virtual_number", "time", "custom", "extra_params"];

/// A column has the value of another field, and its own value is in the other column, or lost.
fn mixed_up(name: &'static str, sent: &Fields, record: &Record) -> Option<Difference> {
    let value = text(&sent[name]);
    let shown = text(own(name, record)?);
    let is_other = |(other, own): &(&String, &Value)| {
        let is_judged = NUMBERS.contains(&other.as_str()) || TEXTS.contains(&other.as_str());
        is_judged && text(own) == shown && shown != value && shown.len() > 4
    };
    let (other, _) = sent.iter().find(is_other)?;
    let is_swapped = own(other, record).is_some_and(|own| text(own) == value);
    let is_lost = OWN_NAMES.contains(&name) && !stored(name, &sent[name], record);
    (is_swapped || is_lost).then(|| {
        let cause = if NUMBERS.contains(&name) {
            Cause::Inexact
        } else {
            Cause::TextChanged
        };
        let mistake = format!("`{name}` has the value of `{other}`");
        let changed = format!(
            "`{name}` was sent as {} and is stored as {}",
            beginning(&value, SHOWN),
            beginning(&shown, SHOWN)
        );
        Difference {
            advice: MAPPING,
            ..Difference::new(
                cause,
                mistake.as_str(),
                format!("{changed}: the value of `{other}`"),
            )
        }
    })
}

fn field(
    name: &'static str,
    value: &Value,
    by_get: bool,
    record: &Record,
    is_kept: bool,
) -> Option<Difference> {
    let is_number = NUMBERS.contains(&name);
    let sent = text(value);
    let number = number(&sent).filter(|_| is_number);
    let is_other = is_number && number.is_none();
    if UNSET.contains(&&*sent) || is_other || stored(name, value, record) {
        return None;
    }
    let (cause, known) = match number {
        Some(number) => (Cause::Inexact, changed_number(name, number)),
        None => (Cause::TextChanged, changed_text(&sent)),
    };
    let is_stored = |changed: &str| stored(name, &Value::from(changed), record);
    let mut known = known.into_iter();
    let known = known.find(|(changed, _)| *changed != sent && is_stored(changed));
    let own = own(name, record);
    let by = if by_get { " by GET" } else { "" };
    let (shown, mistake) = match (known, own.map(text)) {
        (Some((changed, mistake)), _) => (changed, Some(mistake.to_owned())),
        (None, Some(own)) => (own.to_string(), likely(name, &sent, &own)),
        (None, None) => {
            let missing = format!("`{name}` is not stored{by}");
            return is_kept.then(|| Difference {
                advice: MAPPING,
                ..Difference::new(cause, missing.as_str(), missing.as_str())
            });
        }
    };
    let (sent, shown) = (beginning(&sent, SHOWN), beginning(&shown, SHOWN));
    let changed = format!("`{name}` was sent{by} as {sent} and is stored as {shown}");
    match mistake {
        Some(mistake) => {
            let text = format!("{changed}: {mistake}");
            Some(Difference::new(cause, format!("`{name}`: {mistake}"), text))
        }
        None => is_kept.then(|| Difference::new(cause, format!("`{name}` is changed"), changed)),
    }
}

fn number(text: &str) -> Option<u64> {
    text.trim_start_matches('+').parse().ok()
}

pub(super) fn stored(name: &str, sent: &Value, record: &Record) -> bool {
    let sent_text = text(sent);
    let sent_text = sent_text.trim();
    let is_nested = sent.is_object() || sent.is_array();
    if record.has(sent_text) || is_nested && loose(&record.text).contains(&loose(sent_text)) {
        return true;
    }
    let number = number(sent_text).filter(|_| NUMBERS.contains(&name));
    let inner = unwrapped(sent);
    let is_json = inner != *sent || !inner.is_string();
    record.values.iter().any(|(_, value)| match number {
        Some(number) => is_number(number, name == "time", &text(value)),
        None => text(value).trim() == sent_text || is_json && unwrapped(value) == inner,
    })
}

/// A page or a command may show an object in the notation of its language: `{'a': None}` or `{"a"=>nil}`.
fn loose(text: &str) -> String {
    let text = text.to_lowercase().replace("=>", ":");
    let text = text.replace("none", "null").replace("nil", "null");
    text.replace(|c: char| c.is_whitespace() || c == '"' || c == '\'', "")
}

/// A number may be stored as text, with a plus sign, as a double, or, if it is a time, as a date or as seconds with a
/// fraction.
fn is_number(sent: u64, is_time: bool, stored: &str) -> bool {
    let digits = stored.trim().trim_start_matches('+');
    if digits.parse() == Ok(sent) {
        return true;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers above 2^53 are compared as integers"
    )]
    let double = sent as f64;
    let is_double = |stored: f64| sent < EXACT && (stored - double).abs() < 0.1;
    let seconds =
        |stored: f64| is_time && digits.contains('.') && (stored * 1_000.0 - double).abs() < 0.6;
    let number = digits.parse();
    number.is_ok_and(|stored| is_double(stored) || seconds(stored))
        || is_time && is_date(sent, stored)
}

/// Time zones differ by quarters of an hour.
const QUARTER: i64 = 15 * 60 * 1_000;

/// A date without its zone is the same moment if it differs by whole quarters of an hour, and at most by 14 hours.
fn is_date(sent: u64, stored: &str) -> bool {
    match stored.parse::<Timestamp>() {
        Ok(moment) => u64::try_from(moment.as_millisecond()) == Ok(sent),
        Err(_) => is_local_date(sent, stored),
    }
}

fn is_local_date(sent: u64, stored: &str) -> bool {
    let is_time = |c: char| c.is_ascii_digit() || c == ':' || c == '.';
    let zone = stored.get(11..).and_then(|time| time.find(|c| !is_time(c)));
    let date = zone.map_or(stored, |at| &stored[..at + 11]).trim();
    let moment = date.parse::<DateTime>();
    let Ok(moment) = moment.and_then(|date| Offset::UTC.to_timestamp(date)) else {
        return false;
    };
    let difference = moment.as_millisecond() - i64::try_from(sent).unwrap_or(i64::MAX / 2);
    difference % QUARTER == 0 && difference.abs() <= 56 * QUARTER
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "these are the mistakes that are looked for"
)]
fn changed_number(name: &str, sent: u64) -> Vec<(String, &'static str)> {
    let wraps = "32-bit column or integer, which wraps";
    #[rustfmt::skip]
    let changed = [
        (i64::from(sent as i32), wraps),
        (i64::from(sent as u32), wraps),
        (i64::from(i32::MAX), "32-bit column, cut at its largest number"),
        (sent as f32 as i64, "32-bit float"),
        ((sent / 1_000) as i64, "time stored as seconds"),
        ((sent / 1_000 * 1_000) as i64, "time stored as seconds, without the milliseconds"),
        ((sent / 60_000 * 60_000) as i64, "time stored as whole minutes"),
        (sent.wrapping_mul(1_000) as i64, "time multiplied by 1000, as if it came in seconds"),
    ];
    let rows = if name == "time" { 8 } else { 4 };
    let changed = changed.into_iter().take(rows);
    let changed = changed.map(|(number, mistake)| (number.to_string(), mistake));
    changed.collect()
}

fn changed_text(sent: &str) -> Vec<(String, &'static str)> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let lost_plus = "lost plus: a query is decoded twice, or a body as a form";
    #[rustfmt::skip]
    let changed = vec![
        (sent.bytes().map(char::from).collect(), "mojibake: UTF-8 read as Latin-1"),
        (sent.replace(' ', "+"), "a space that came as a plus stays a plus"),
        (sent.replace('+', " "), lost_plus),
        (decoded(&sent.replace('+', " ")), lost_plus),
        (decoded(sent), "decoded twice: %2B became a plus"),
        (without_tags(sent).into_owned(), "tags are stripped: what stands between < and > is lost"),
        (sent.to_lowercase(), "stored in lower case"),
        (json!(sent).to_string().trim_matches('"').to_owned(), "JSON escapes stay in the text"),
    ];
    changed
}

const HTML: &str = "stored as HTML: escape a text where it is shown, not where it is stored";
const EMOJI: &str = "characters of four bytes are lost (MySQL: utf8mb4)";
const ASCII: &str = "characters other than ASCII are lost";

/// Mistakes whose outcome is not known exactly: rounding, another time zone, a limit of the length, HTML, and lost or
/// replaced characters.
fn likely(name: &str, sent: &str, own: &str) -> Option<String> {
    if NUMBERS.contains(&name) {
        let number = sent.parse().ok()?;
        if name == "time" && is_local_date(number, own) {
            return Some("a local time that is marked as UTC".to_owned());
        }
        let (stored, sent): (f64, f64) = (own.parse().ok()?, sent.parse().ok()?);
        let is_rounded = own.contains(['e', 'E']) || stored % 1_000.0 == 0.0;
        return (is_rounded && (stored / sent - 1.0).abs() < 1e-4)
            .then(|| "a float, which rounds".to_owned());
    }
    if own == "[object Object]" {
        return Some("an object is written as text, not by JSON.stringify".to_owned());
    }
    let (letters, all) = (own.chars().count(), sent.chars().count());
    let beginning = own.trim_end_matches(['…', '.']);
    if letters >= 8 && letters < all && sent.starts_with(beginning) {
        return Some(match sent[beginning.len()..].chars().next() {
            Some(sign @ ('&' | '=')) => {
                format!("cut at {sign}: the query is decoded before it is split")
            }
            _ => format!("cut at {letters} characters"),
        });
    }
    let only = |text: &str, fits: fn(&char) -> bool| {
        let letters = text.chars().filter(fits);
        letters
            .filter(|c| !['?', '\u{fffd}'].contains(c))
            .collect::<String>()
    };
    let is_lost = |fits: fn(&char) -> bool| {
        !sent.chars().all(|c| fits(&c)) && only(own, |_| true) == only(sent, fits)
    };
    let html = (unescaped(own) == sent).then_some(HTML);
    let emoji = is_lost(|c| *c < '\u{10000}').then_some(EMOJI);
    let ascii = is_lost(char::is_ascii).then_some(ASCII);
    html.or(emoji).or(ascii).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::read_back::reader::{Wanted, records};

    const TIME: u64 = 1_795_338_017_123;

    fn sent() -> Fields {
        let custom = r#"{"n":"Zoë 📞 a+b %2B & <i>"}"#;
        let sent = json!({"cmiuuid": "0f6c9a52-31de", "status": "missed", "to": 442_079_460_123_u64, "time": TIME,
                          "appid": 2_222_223, "request_id": "pbwCgW", "custom": custom});
        sent.as_object().unwrap().clone()
    }

    fn record(change: impl FnOnce(&mut Fields)) -> Record {
        let mut row = sent();
        change(&mut row);
        let wanted = Wanted {
            id: "0f6c9a52-31de".to_owned(),
            others: vec![("status", "missed".into()), ("appid", 2_222_223.into())],
        };
        records(&Value::Object(row).to_string(), &wanted).remove(0)
    }

    fn told(name: &str, value: Value) -> Option<Difference> {
        let good = kept(&sent(), &record(|_| {})).0;
        difference(
            &sent(),
            false,
            &record(|row| {
                row.insert(name.to_owned(), value);
            }),
            &good,
        )
    }

    #[test]
    fn what_is_stored_in_another_form_is_no_difference() {
        for (name, value) in [
            ("to", json!("442079460123")),
            ("to", json!("+442079460123")),
            ("to", json!(442_079_460_123.0)),
            ("time", json!(1_795_338_017.123)),
            ("time", json!("2026-11-22T09:00:17.123Z")),
            ("time", json!("2026-11-22 14:30:17.123+05:30")),
            ("custom", json!({"n": "Zoë 📞 a+b %2B & <i>"})),
        ] {
            assert_eq!(told(name, value.clone()), None, "{name} {value}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (name, value, mistake) in [
            ("to", json!(-302_171_365), "32-bit column or integer"),
            ("to", json!(2_147_483_647), "cut at its largest"),
            ("to", json!(442_079_444_992_u64), "32-bit float"),
            ("time", json!(1_795_338_017), "as seconds"),
            (
                "time",
                json!("2026-11-22 09:00:17"),
                "without the milliseconds",
            ),
            ("time", json!(TIME / 60_000 * 60_000), "whole minutes"),
            (
                "custom",
                json!("{\"n\":\"ZoÃ« ð\u{9f}\u{93}\u{9e} a+b %2B & <i>\"}"),
                "mojibake",
            ),
            ("custom", json!(r#"{"n":"Zoë ? a+b %2B & <i>"}"#), "utf8mb4"),
            (
                "custom",
                json!(r#"{"n":"Zo  a+b %2B & <i>"}"#),
                "other than ASCII",
            ),
            (
                "custom",
                json!(r#"{"n":"Zo?? ???? a+b %2B & <i>"}"#),
                "other than ASCII",
            ),
            (
                "custom",
                json!(r#"{"n":"Zoë 📞 a b + & <i>"}"#),
                "lost plus",
            ),
            (
                "custom",
                json!(r#"{"n":"Zoë 📞 a+b + & <i>"}"#),
                "decoded twice",
            ),
            (
                "custom",
                json!(r#"{"n":"Zoë+📞+a+b+%2B+&+<i>"}"#),
                "stays a plus",
            ),
            (
                "custom",
                json!(r#"{"n":"Zoë 📞 a+b %2B &amp; &lt;i&gt;"}"#),
                "as HTML",
            ),
            (
                "custom",
                json!(r#"{"n":"Zoë 📞 a+b %2B & "}"#),
                "tags are stripped",
            ),
            ("custom", json!(r#"{"n":"Zoë 📞"#), "cut at 11 characters"),
            (
                "custom",
                json!(r#"{\"n\":\"Zoë 📞 a+b %2B & <i>\"}"#),
                "JSON escapes",
            ),
            ("custom", json!(r#"{"n":"Zoë 📞 a+b %2B "#), "cut at &"),
            ("time", json!("2026-11-22T14:30:17.123Z"), "marked as UTC"),
            ("time", json!(TIME * 1_000), "multiplied by 1000"),
            ("to", json!(2_222_223), "the value of `appid`"),
            ("to", json!("4.42079e+11"), "a float"),
            ("status", json!("answered"), "`status` was sent as"),
            ("request_id", json!("pbwcgw"), "lower case"),
            ("request_id", Value::Null, "`request_id` is not stored"),
        ] {
            let told = told(name, value.clone())
                .unwrap_or_else(|| panic!("{name} {value}"))
                .text;
            assert!(told.contains(mistake), "{name} {value}: {told}");
        }
    }

    #[test]
    fn an_object_in_a_table_may_have_the_notation_of_a_language() {
        let sent = json!({"cmiuuid": "0f6c9a52-31de", "extra_params": {"a": "b", "c": null}});
        for shown in [
            "{'a': 'b', 'c': None}",
            r#"{"a"=>"b", "c"=>nil}"#,
            r#"{"a": "b", "c": null}"#,
        ] {
            let record = Record {
                text: format!("cmiuuid 0f6c9a52-31de\nextra_params {shown}"),
                ..Record::default()
            };
            assert!(
                kept(sent.as_object().unwrap(), &record)
                    .0
                    .contains("extra_params"),
                "{shown}"
            );
        }
    }

    #[test]
    fn a_field_that_is_never_stored_is_not_judged() {
        let row = |row: &mut Fields| {
            row.shift_remove("to");
        };
        let good = kept(&sent(), &record(row)).0;
        assert_eq!(difference(&sent(), false, &record(row), &good), None);
        let by_get = difference(&sent(), true, &record(row), &BTreeSet::from(["to"]));
        let by_get = by_get.expect("a difference");
        assert_eq!(
            (by_get.cause, by_get.text.as_str()),
            (Cause::Inexact, "`to` is not stored by GET")
        );
    }
}
