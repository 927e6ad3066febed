//! Checks a received payload, a JSON body or the pairs of a query string, against the documented CDR.
//!
//! [`mod@json`] tokenises JSON bodies, since `serde_json::Value` keeps neither repeated names nor the digits of numbers.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::remark::{self, Code, Remark};
use super::schema::{
    FIELDS, FIELDS_OF_OTHERS, FieldType, Generation, Kind, documented, form, records,
};
use super::{Fields, HangupReason, Leg, word};
use crate::json::{self, Document};
use crate::untrusted::{beginning, clean};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg: Option<Leg>,
    /// Remarks on the payload's notation come first, then those on documented fields in documented order, then those on
    /// undocumented fields.
    pub remarks: Vec<Remark>,
}

pub const SEPARATOR: &str = " · ";

impl Verdict {
    pub fn meaning(&self, fields: &Fields) -> String {
        format!("{}{}", self.kind_words(), self.leg_and_reason(fields))
    }

    /// The words of the kind. JSON that is no object is readable, though its kind in records is `unreadable`.
    pub fn kind_words(&self) -> &'static str {
        let mut codes = self.remarks.iter().map(|remark| remark.code);
        let is_json = codes.any(|code| code == Code::NotAnObject);
        if is_json { Kind::Unknown } else { self.kind }.words()
    }

    pub fn leg_and_reason(&self, fields: &Fields) -> String {
        let mut text = String::new();
        if let Some(leg) = self.leg {
            let _ = write!(text, "{SEPARATOR}leg {leg}");
            // On an incoming call, leg b is the agent; for PIOPIY's legs, no source names the party.
            let is_other = matches!(self.kind, Kind::Incoming | Kind::LiveEvent);
            if !is_other && self.generation != Some(Generation::Piopiy) {
                let _ = write!(text, " ({})", leg.who());
            }
        }
        if let Some(reason) = shown(fields, "hangup_reason") {
            text += SEPARATOR;
            text += &clean(&reason);
            if let Some(known) = HangupReason::read(&reason) {
                text.extend([": ", known.meaning()]);
            }
        }
        text
    }
}

/// The string or number in the field `name` for display. Strings are truncated to 60 characters.
pub fn shown<'a>(fields: &'a Fields, name: &str) -> Option<Cow<'a, str>> {
    match fields.get(name)? {
        Value::String(text) => Some(beginning(text, 60)),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: Verdict,
    /// The payload's fields; `None` if the payload is no object. Values of a query string get the documented type where
    /// their text allows it. Of a repeated name, the last value is kept.
    pub fields: Option<Fields>,
}

impl Judgement {
    pub fn unreadable(remarks: Vec<Remark>) -> Self {
        Self {
            verdict: Verdict {
                kind: Kind::Unreadable,
                generation: None,
                leg: None,
                remarks,
            },
            fields: None,
        }
    }
}

pub fn judge_json(bytes: &[u8]) -> Judgement {
    let mut remarks = Vec::new();
    let mut repeats = HashSet::new();
    let members = match json::document(bytes) {
        Ok(Document::Object(members)) => members,
        Ok(Document::Other(what)) => {
            let text = format!("JSON, but not an object: {what}");
            return Judgement::unreadable(vec![Remark::new(Code::NotAnObject, text)]);
        }
        Err(error) => return Judgement::unreadable(vec![not_json(bytes, &error)]),
    };
    let mut fields = Fields::with_capacity(members.len());
    for member in &members {
        if member.is_number()
            && let Some(text) = remark::inexact(member.raw)
        {
            remarks.push(Remark::on(&member.name, Code::InexactNumber, text));
        }
        let before = fields.insert(member.name.to_string(), member.value());
        if before.is_some() {
            remarks.extend(repeated(&mut repeats, &member.name));
        }
    }
    judge_fields(fields, remarks)
}

/// Judges the decoded pairs of a query string or form. `name[key]=value` is read as an object, in the notation of
/// Node's `qs`. \[unknown: GET is specified nowhere\]
pub fn judge_pairs(pairs: &[(String, String)]) -> Judgement {
    let mut remarks = Vec::new();
    let mut fields = Fields::new();
    let mut repeats = HashSet::new();
    for (name, text) in pairs {
        if let Some((base, keys)) = bracketed(name) {
            let object = fields.entry(base).or_insert_with(|| json!({}));
            if !put(object, &keys, text) {
                remarks.extend(repeated(&mut repeats, name));
            }
            continue;
        }
        if fields.insert(name.clone(), restored(name, text)).is_some() {
            remarks.extend(repeated(&mut repeats, name));
        }
    }
    judge_fields(fields, remarks)
}

fn repeated(known: &mut HashSet<String>, name: &str) -> Option<Remark> {
    let text = "occurs more than once; most parsers keep the last value";
    let is_new = known.insert(name.to_owned());
    is_new.then(|| Remark::on(name, Code::DuplicateKey, text))
}

fn bracketed(name: &str) -> Option<(&str, Vec<&str>)> {
    /// The default depth limit of Node's `qs`; deeper brackets are part of the last key.
    const DEEPEST: usize = 5;
    let (base, keys) = name.strip_suffix(']')?.split_once('[')?;
    documented(base).map(|_| (base, keys.splitn(DEEPEST, "][").collect()))
}

/// Sets a key in nested objects, which are created as needed. Returns false if the key was set before or its parent is
/// no object.
fn put(object: &mut Value, keys: &[&str], text: &str) -> bool {
    let (Some(object), Some((key, below))) = (object.as_object_mut(), keys.split_first()) else {
        return false;
    };
    if below.is_empty() {
        return object.insert((*key).to_owned(), text.into()).is_none();
    }
    let object = object.entry(*key).or_insert_with(|| json!({}));
    put(object, below, text)
}

/// Converts a query parameter to its documented type, if the typed value is written with the same text.
fn restored(name: &str, text: &str) -> Value {
    let same = |value: Value| {
        let written = value.to_string();
        (written == text).then_some(value)
    };
    match documented(name).map(|field| field.field_type) {
        Some(FieldType::Number) => text.parse::<u64>().ok().map(Value::from).and_then(same),
        Some(FieldType::Boolean) => text.parse::<bool>().ok().map(Value::from),
        Some(FieldType::String) | None => None,
    }
    .unwrap_or_else(|| text.into())
}

fn not_json(bytes: &[u8], error: &json::Error) -> Remark {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Remark::new(Code::Empty, "an empty body");
    }
    if looks_like_javascript(bytes) {
        let text = format!("a JavaScript literal, not JSON: {error}");
        return Remark::new(Code::JsLiteral, text);
    }
    Remark::new(Code::NotJson, format!("not JSON: {error}"))
}

/// Detects an object that starts with a bare or single-quoted name and a colon, as in the samples on TeleCMI's page.
fn looks_like_javascript(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(512)]);
    let inner = text.trim_start().strip_prefix('{');
    let name = inner.and_then(|inner| Some(inner.split_once(':')?.0.trim()));
    let quoted = name.and_then(|name| name.strip_prefix('\'')?.strip_suffix('\''));
    let is_bare = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let name = quoted.or(name).unwrap_or_default();
    !name.is_empty() && name.chars().all(is_bare)
}

fn judge_fields(fields: Fields, mut remarks: Vec<Remark>) -> Judgement {
    let (kind, mut generation, remark, _) = form(&fields);
    let leg = match word(&fields, "leg") {
        Some("a") => Some(Leg::A),
        Some("b") => Some(Leg::B),
        _ => None,
    };
    if let Some(text) = remark {
        let records = match records(&fields).unwrap_or_default() {
            1 => "1 record".to_owned(),
            n => format!("{n} records"),
        };
        let text = text.replace("{records}", &records);
        remarks.push(Remark::new(Code::OtherKind, text));
    } else {
        let found = Generation::of(&fields);
        generation = kind.is_outgoing().then_some(found);
        remark_on_fields(&mut remarks, &fields, found, kind, leg);
    }
    Judgement {
        verdict: Verdict {
            kind,
            generation,
            leg,
            remarks,
        },
        fields: Some(fields),
    }
}

fn remark_on_fields(
    remarks: &mut Vec<Remark>,
    fields: &Fields,
    generation: Generation,
    kind: Kind,
    leg: Option<Leg>,
) {
    for field in &FIELDS {
        let (must, may) = field.presence.must_and_may(generation, kind, leg);
        match fields.get(field.name) {
            None if must => remarks.push(Remark::on(field.name, Code::Missing, "not there")),
            None => {}
            Some(_) if !may => {
                let words = field.presence.words();
                let text = format!("unexpected in this CDR; documented for {words}");
                remarks.push(Remark::on(field.name, Code::Unexpected, text));
            }
            Some(value) => remarks.extend(remark::on_value(field, value, fields)),
        }
    }
    let has = |name| fields.contains_key(name);
    for (one, other) in [
        ("request_id", "extra_params"),
        ("extra_params", "request_id"),
    ] {
        if generation != Generation::Legacy && has(one) && !has(other) {
            let text = format!("missing, although {one} is present: click2call sends both");
            remarks.push(Remark::on(other, Code::Missing, text));
        }
    }
    let others = fields.keys().filter(|name| documented(name).is_none());
    for name in others {
        let (code, text) = if FIELDS_OF_OTHERS.contains(&name.as_str()) {
            (Code::Unexpected, "a field of other TeleCMI notifications")
        } else {
            (Code::Unknown, "not documented")
        };
        remarks.push(Remark::on(name, code, text));
    }
}

#[cfg(test)]
mod tests;
