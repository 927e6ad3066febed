//! TeleCMI's call detail records (CDRs): types, checks and generation, without I/O.
//!
//! `Cdr` is an outgoing CDR, with the documented order of fields. [`schema`] holds the documented fields as one table and
//! classifies payloads. [`judge`] checks received payloads, [`remark`] words the deviations. [`scenarios`] lists and
//! generates the scenarios, [`account`] makes the account, its numbers and identifiers, [`document`] writes the table as
//! JSON Schema and OpenAPI.
//!
//! Facts about TeleCMI carry a [`Grade`], written in brackets in doc comments: \[doc\], \[seen\], \[calc\],
//! \[inferred\], \[unknown\].

pub mod account;
pub mod document;
pub mod judge;
pub mod remark;
pub mod scenarios;
pub mod schema;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::value::{self, StrDeserializer};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::json::{self, Document};

pub type Fields = Map<String, Value>;

pub(crate) fn word<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

/// Converts a JSON value to text for display: strings lose their quotes, other values become compact JSON.
pub(crate) fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// The grade of facts from TeleCMI's own documentation or example servers.
    Doc,
    /// The grade of facts that third parties report from a live account.
    Seen,
    /// The grade of facts computed from the documented samples.
    Calc,
    /// The grade of facts that fit every sample but are stated nowhere.
    Inferred,
    /// The grade of behaviour on which no public source has a statement.
    Unknown,
    /// The grade of input that does not come from TeleCMI but from an attacker or a broken network.
    Hostile,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Leg {
    /// The agent's leg (TeleCMI calls the agent "user"), which rings first. \[seen\]
    A,
    /// The customer's leg, dialled once the agent has picked up. \[seen\]
    B,
}

impl Leg {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    pub fn who(self) -> &'static str {
        match self {
            Self::A => "agent",
            Self::B => "customer",
        }
    }
}

impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HangupReason {
    /// The endpoint of the leg hung up an answered call.
    SentBye,
    /// The other side hung up an answered call.
    RecvBye,
    /// The platform stopped the ringing of an unanswered leg.
    RecvCancel,
    /// The endpoint of the leg declined the call: busy, rejected or switched off.
    SentReject,
}

impl HangupReason {
    pub const ALL: [Self; 4] = [
        Self::SentBye,
        Self::RecvBye,
        Self::RecvCancel,
        Self::SentReject,
    ];

    pub fn meaning(self) -> &'static str {
        match self {
            Self::SentBye => "hung up here",
            Self::RecvBye => "other side hung up",
            Self::RecvCancel => "rang out",
            Self::SentReject => "declined or busy",
        }
    }

    /// The `status` of a leg follows from its hangup reason. \[inferred, strong\]
    pub fn status(self) -> Status {
        match self {
            Self::RecvCancel | Self::SentReject => Status::Missed,
            Self::SentBye | Self::RecvBye => Status::Answered,
        }
    }

    pub fn read(word: &str) -> Option<Self> {
        Self::deserialize(StrDeserializer::<value::Error>::new(word)).ok()
    }
}

impl fmt::Display for HangupReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Missed,
    /// The `status` of leg `a` is `answered` even if the customer did not answer. \[seen\]
    Answered,
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Answered => "answered",
        }
    }
}

/// A generated CDR: one leg of an outgoing call, with the fields in the documented order. The legacy CDR has nine of
/// the fields. Invalid payloads come from edits, files or suite cases, never from `Cdr`.
#[derive(Debug, Clone, Serialize)]
pub struct Cdr<'a> {
    /// The caller ID, a string or a number depending on [`Shape`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_number: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg: Option<Leg>,
    pub r#type: &'static str,
    #[serde(rename = "appid")]
    pub app_id: u64,
    /// The field `to` holds the number that was rung: the agent's device on leg `a`, the customer on leg `b`.
    /// \[inferred\]
    pub to: u64,
    /// The `cmiuuid` identifies the leg and is a UUID v4. \[calc\]
    pub cmiuuid: Uuid,
    pub status: Status,
    /// The field `user` has the form `<extension>_<appid>`. \[doc\]
    pub user: &'a str,
    /// The field `time` holds the start of the call, although TeleCMI documents "time the call was missed". \[seen,
    /// calc\]
    #[serde(serialize_with = "as_epoch_ms")]
    pub time: Timestamp,
    pub direction: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answeredsec: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hangup_reason: Option<HangupReason>,
    /// The `request_id` is common to the legs of a click2call call, and the click2call API returns it. \[seen\]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_params: Option<ExtraParams<'a>>,
    /// The field `click_to_call` is the string `true` and occurs only in the legacy CDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub click_to_call: Option<&'static str>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum ExtraParams<'a> {
    Text(&'a str),
    Json(&'a RawValue),
}

fn as_epoch_ms<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(time.epoch_ms())
}

/// The JSON types of `virtual_number` and `extra_params`, which differ between TeleCMI's documentation and live
/// accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Shape {
    /// virtual_number and extra_params as strings, as documented
    #[default]
    Docs,
    /// virtual_number as a number and extra_params as an object, as reported from live accounts
    Live,
}

impl Cdr<'_> {
    pub fn json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(640);
        // Serialising a `Cdr` cannot fail: the struct holds only strings, numbers and JSON text.
        let _ = serde_json::to_writer(&mut json, self);
        json
    }

    pub fn fields(&self) -> Fields {
        serde_json::from_slice(&self.json()).unwrap_or_default()
    }
}

/// The fields of a live event of an outgoing call in documented order, each with the CDR's field of the same meaning.
/// \[doc\]
const EVENT_FIELDS: [(&str, &str); 15] = [
    ("call_id", "call_id"),
    ("leg", "leg"),
    ("type", "type"),
    ("user", "user"),
    ("cmiuuid", "cmiuuid"),
    ("direction", "direction"),
    ("callerid", "virtual_number"),
    ("app_id", "appid"),
    ("time", "time"),
    ("custom", "custom"),
    ("extra_params", "extra_params"),
    ("request_id", "request_id"),
    ("status", "status"),
    ("to", "to"),
    ("conversation_uuid", "cmiuuid"),
];

/// Makes the live event of a leg from the leg's CDR. On leg a, `conversation_uuid` is the `cmiuuid`; leg b has that of leg
/// a. \[doc\]
pub fn live_event(cdr: &Fields, status: &str) -> Fields {
    let field = |(name, of): (&str, &str)| {
        let value = cdr.get(of)?;
        let value = match name {
            "type" => "event".into(),
            "status" => status.into(),
            "callerid" | "to" => text(value).into(),
            _ => value.clone(),
        };
        Some((name.to_owned(), value))
    };
    EVENT_FIELDS.into_iter().filter_map(field).collect()
}

/// A CDR as compact JSON, embedded verbatim in records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdrText {
    pub(crate) json: Bytes,
    /// The CDR's `leg`, if its value is a string.
    pub(crate) leg: Option<Cow<'static, str>>,
    /// The CDR's `status`, if its value is a string; of a live event, its status and the word `event`.
    pub(crate) status: Option<Cow<'static, str>>,
}

impl From<&Cdr<'_>> for CdrText {
    fn from(cdr: &Cdr<'_>) -> Self {
        Self {
            json: cdr.json().into(),
            leg: cdr.leg.map(|leg| leg.word().into()),
            status: Some(cdr.status.word().into()),
        }
    }
}

impl CdrText {
    pub fn as_bytes(&self) -> &[u8] {
        &self.json
    }

    /// Reads a CDR and keeps repeated names and the digits of numbers. Of a repeated name the last value counts, as in most
    /// parsers. Returns `None` if `json` is no object.
    pub fn read(json: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(json).ok()?;
        let Ok(Document::Object(members)) = json::document(json) else {
            return None;
        };
        let word = |name| {
            let member = members.iter().rfind(|member| member.name == name)?;
            let text = || json::unquoted(member.raw).into_owned();
            member.is_string().then(|| text().into())
        };
        Some(Self {
            json: json::compact(text).into(),
            leg: word("leg"),
            status: word("status"),
        })
    }
}

impl From<&Fields> for CdrText {
    fn from(fields: &Fields) -> Self {
        let word = |name| Some(word(fields, name)?.to_owned().into());
        Self {
            // Serialising `Fields` cannot fail: all keys are strings.
            json: serde_json::to_vec(fields).unwrap_or_default().into(),
            leg: word("leg"),
            status: word("status"),
        }
    }
}

impl Serialize for CdrText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json: &RawValue = serde_json::from_slice(&self.json).map_err(S::Error::custom)?;
        json.serialize(serializer)
    }
}
