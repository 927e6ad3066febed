//! Classifies a JSON object in a file (a payload, a record of this program, a HAR, or another format) and reads what the
//! object has to send.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Item, Part, har};
use crate::cdr::schema::documented;
use crate::exchange::{CapturedRequest, RECORD_TYPES};
use crate::json::{self, Document, Member};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ObjectKind<'a> {
    /// A record of this program, with its type, which a newer version may have added.
    Record(Cow<'a, str>),
    Har,
    HarEntry,
    Cdr,
    /// An object without the fields of a CDR, with the name of its format if the format is known.
    Other(Option<&'static str>),
}

/// Formats of other programs. An object belongs to the first format of which it has all members.
const FORMATS: [(&[&str], &str); 9] = [
    (&["info", "item"], "a Postman collection"),
    (&["_postman_variable_scope"], "a Postman environment"),
    (&["__export_format"], "an Insomnia export"),
    (&["requestContext"], "an event of AWS Lambda"),
    (&["Records"], "an event of AWS Lambda"),
    (&["openapi"], "an OpenAPI document"),
    (&["swagger"], "an OpenAPI document"),
    (&["count", "cdr"], "an answer of TeleCMI's REST API"),
    (&["total", "cdr"], "an answer of TeleCMI's REST API"),
];

/// Names of a CDR's fields that objects of other programs often have, too.
#[rustfmt::skip]
const COMMON_NAMES: [&str; 8] = ["direction", "filename", "record", "status", "time", "to", "type", "user"];

/// The values of `type` that make an object without other fields of a CDR a payload; payloads of other services have a
/// `type`, too.
const PAYLOAD_TYPES: [&str; 2] = ["cdr", "event"];

impl<'a> ObjectKind<'a> {
    pub fn of(members: &'a [Member<'a>]) -> Self {
        let find = |name: &str| members.iter().find(|member| member.name == name);
        let has = |name: &&str| find(name).is_some();
        let kind = find("type").filter(|member| member.is_string());
        let kind = kind.map(|member| json::unquoted(member.raw));
        let name = kind.as_deref().unwrap_or_default();
        let is_payload = PAYLOAD_TYPES.contains(&name);
        // A record has a version number in `v`; an object without `v` is a payload.
        match kind {
            Some(kind) if !is_payload && find("v").is_some_and(Member::is_number) => {
                return Self::Record(kind);
            }
            _ => {}
        }
        let raw = |name: &str| find(name).map_or("", |member| member.raw);
        let is_log_alone = members.len() == 1 && raw("log").starts_with('{');
        if har::is_log(raw("log")) || is_log_alone {
            return Self::Har;
        }
        if let Some((_, name)) = FORMATS.iter().find(|(names, _)| names.iter().all(has)) {
            return Self::Other(Some(name));
        }
        let is_field = |member: &Member| {
            !COMMON_NAMES.contains(&&*member.name) && documented(&member.name).is_some()
        };
        if is_payload || members.iter().any(is_field) {
            Self::Cdr
        } else if har::is_request(raw("request")) {
            Self::HarEntry
        } else {
            Self::Other(None)
        }
    }
}

/// Reads what an object has to send: the object itself if it is a payload, the request of an `exchange` record or of a
/// HAR's entries, or the CDR of a `delivery` record. Other records have nothing to send.
pub(super) fn read_object(
    text: &str,
    document: &Document<'_>,
    place: &str,
) -> Result<Vec<Part>, String> {
    let members = match document {
        Document::Object(members) => members,
        Document::Other(what) => return Err(format!("expected an object, found {what}")),
    };
    let body = |text: &str| Part::Item(Item::Body(Bytes::copy_from_slice(text.as_bytes())));
    Ok(match ObjectKind::of(members) {
        ObjectKind::Record(kind) => match &*kind {
            "exchange" => {
                let captured = CapturedRequest::read(text)?;
                let captured = captured.map(|captured| Part::captured(place, captured));
                captured.into_iter().collect()
            }
            "delivery" => {
                let cdr = members.iter().find(|member| member.name == "cdr");
                match cdr.map(|cdr: &Member| cdr.raw) {
                    None | Some("null") => Vec::new(),
                    Some(cdr) if cdr.starts_with('{') => vec![body(cdr)],
                    Some(_) => {
                        return Err("a delivery record whose CDR is not an object".to_owned());
                    }
                }
            }
            kind if RECORD_TYPES.contains(&kind) => Vec::new(),
            kind => return Err(format!("a record of an unknown type, {kind:?}")),
        },
        ObjectKind::Har => har::read(text, place)?,
        ObjectKind::HarEntry => vec![har::read_entry(text, place)?],
        ObjectKind::Cdr => vec![body(text.trim())],
        ObjectKind::Other(format) => {
            let what = format.unwrap_or("an object without the fields of a CDR");
            let warning = Part::Warning(place.to_owned(), format!("{what}: sent as it is"));
            vec![warning, body(text.trim())]
        }
    })
}
