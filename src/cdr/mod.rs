//! TeleCMI's call detail records (CDRs): types, checks and generation, without I/O.
//!
//! The types of an outgoing CDR, in the documented order of fields. [`schema`] holds the documented fields as one table.
//! [`judge`] checks received payloads: [`kind`] classifies them, [`remark`] words the deviations. [`scenarios`] lists and
//! generates the scenarios, [`account`] makes the account and its numbers, [`ids`] makes identifiers, [`document`] writes
//! the table as JSON Schema and OpenAPI.
//!
//! Facts about TeleCMI carry a [`Grade`], written in brackets in doc comments: \[doc\], \[seen\], \[calc\],
//! \[inferred\], \[unknown\].

pub mod account;
pub mod document;
pub mod ids;
pub mod judge;
pub mod kind;
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

/// A payload's fields by name, in order.
pub type Fields = Map<String, Value>;

pub(crate) fn word<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

/// A string without its quotes, anything else as compact JSON.
pub(crate) fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

/// How well a fact about TeleCMI is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// TeleCMI's own documentation or example servers.
    Doc,
    /// Reported by third parties from a live account.
    Seen,
    /// Computed from the documented samples.
    Calc,
    /// Fits every sample, but is stated nowhere.
    Inferred,
    /// Not stated in public.
    Unknown,
    /// Not from TeleCMI: sent by an attacker or a broken network.
    Hostile,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A side of the call. \[doc\]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Leg {
    /// The agent (TeleCMI's "user"), rung first. \[seen\]
    A,
    /// The customer, dialled once the agent has picked up. \[seen\]
    B,
}

impl Leg {
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

/// Why a leg ended. \[doc\]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HangupReason {
    /// This endpoint hung up an answered call.
    SentBye,
    /// The other side hung up an answered call.
    RecvBye,
    /// The platform stopped the ringing without an answer.
    RecvCancel,
    /// The endpoint declined: busy, rejected or off.
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

    /// The status of a leg that ended for this reason. \[inferred, strong\]
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
    /// Not answered. \[doc\]
    Missed,
    /// Leg `a` of a call whose customer did not answer. \[seen\]
    Answered,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A generated CDR: one leg of an outgoing call, with the fields in the documented order. The legacy CDR has nine of
/// them. Invalid payloads come from edits, files or suite cases, never from this type.
#[derive(Debug, Clone, Serialize)]
pub struct Cdr<'a> {
    /// The caller ID, a string or a number by [`Shape`]. Not in the legacy CDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_number: Option<Value>,
    /// Not in the legacy CDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<Uuid>,
    /// The custom parameters of the account's dashboard. Not in the legacy CDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<&'a str>,
    /// Not in the legacy CDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg: Option<Leg>,
    pub r#type: &'static str,
    #[serde(rename = "appid")]
    pub app_id: u64,
    /// The number that was rung: the agent's device on leg `a`, the customer on leg `b`. \[inferred\]
    pub to: u64,
    /// The leg's identifier, a UUID v4. \[calc\]
    pub cmiuuid: Uuid,
    pub status: Status,
    /// `<extension>_<appid>`. \[doc\]
    pub user: &'a str,
    /// The start of the call, although TeleCMI documents "time the call was missed". \[seen, calc\]
    #[serde(serialize_with = "as_epoch_ms")]
    pub time: Timestamp,
    pub direction: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answeredsec: Option<u64>,
    /// Not in the legacy CDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hangup_reason: Option<HangupReason>,
    /// Common to the legs of a click2call call; returned by the click2call API. \[seen\]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_params: Option<ExtraParams<'a>>,
    /// The string `true`. Only in the legacy CDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub click_to_call: Option<&'static str>,
}

/// `extra_params`: text or an object, by [`Shape`].
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum ExtraParams<'a> {
    Text(&'a str),
    Json(&'a RawValue),
}

fn as_epoch_ms<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(time.epoch_ms())
}

/// How the fields are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Shape {
    // `virtual_number` and `extra_params` are strings. [doc]
    /// As documented
    #[default]
    Docs,
    // `virtual_number` is a number, `extra_params` an object. [seen]
    /// As seen live
    Live,
}

impl Cdr<'_> {
    pub fn json(&self) -> Vec<u8> {
        // Serialising cannot fail: the struct holds only strings, numbers and JSON text.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub fn fields(&self) -> Fields {
        serde_json::from_slice(&self.json()).unwrap_or_default()
    }
}

/// A CDR as compact JSON, embedded verbatim in records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdrText(Bytes);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LegAndStatus {
    pub leg: Value,
    pub status: Value,
}

impl CdrText {
    /// `json` must be the compact JSON of an object.
    pub(crate) fn new(json: Bytes) -> Self {
        Self(json)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn leg_and_status(&self) -> LegAndStatus {
        serde_json::from_slice(&self.0).unwrap_or_default()
    }
}

impl From<&Fields> for CdrText {
    fn from(fields: &Fields) -> Self {
        // Serialising cannot fail: all keys are strings.
        Self(serde_json::to_vec(fields).unwrap_or_default().into())
    }
}

impl Serialize for CdrText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json: &RawValue = serde_json::from_slice(&self.0).map_err(S::Error::custom)?;
        json.serialize(serializer)
    }
}
