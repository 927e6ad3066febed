//! What TeleCMI says. Pure: no input or output, no async, no terminal.
//!
//! The types of an outgoing CDR, in the documented order of fields. [`schema`] holds the documented fields as one table,
//! [`judge`] names what arrived, [`meaning`] says it in words, [`values`] and [`remark`] say what
//! is odd about it.
//! [`catalogue`] lists the scenarios and [`story`] tells them, [`account`] says who calls whom, [`ids`] makes
//! identifiers, [`edit`] changes payloads on purpose, [`text`] is a payload as it is sent, [`document`] writes the
//! table for other programs.
//!
//! Facts about TeleCMI carry a [`Grade`], written in brackets in doc comments: \[doc\], \[seen\], \[calc\],
//! \[inferred\], \[unknown\].

pub mod account;
pub mod catalogue;
pub mod document;
pub mod edit;
pub mod ids;
pub mod judge;
pub mod meaning;
pub mod remark;
pub mod schema;
pub mod story;
pub mod text;
pub mod values;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use account::Parameters;
use ids::{RequestId, Uuid};
use text::{Brief, Pieces, Written};

/// A payload's fields by name, in order.
pub type Fields = Map<String, Value>;

/// The field of that name, if it is a string.
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
    /// Third parties report it from a live account.
    Seen,
    /// Computed from the documented samples.
    Calc,
    /// Fits every sample, but nobody states it.
    Inferred,
    /// Nobody public says.
    Unknown,
    /// Not TeleCMI's doing: what a stranger or a broken network sends.
    Hostile,
}

impl Grade {
    /// The word in brackets: `doc`, `seen` …
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Doc => "doc",
            Self::Seen => "seen",
            Self::Calc => "calc",
            Self::Inferred => "inferred",
            Self::Unknown => "unknown",
            Self::Hostile => "hostile",
        }
    }
}

/// Which side of the call a CDR tells of. \[doc\]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Leg {
    /// The agent (TeleCMI's "user"), rung first. \[seen\]
    A,
    /// The customer, dialled once the agent has picked up. \[seen\]
    B,
}

impl Leg {
    /// The documented value: `a` or `b`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// Who is at the end of this leg.
    #[must_use]
    pub fn who(self) -> &'static str {
        match self {
            Self::A => "agent",
            Self::B => "customer",
        }
    }
}

/// Why a leg ended. \[doc\]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangupReason {
    /// This endpoint hung up an answered call.
    SentBye,
    /// The other side hung up an answered call.
    RecvBye,
    /// The platform stopped the ringing: nobody answered.
    RecvCancel,
    /// The endpoint declined: busy, rejected or off.
    SentReject,
}

impl HangupReason {
    /// All four documented reasons.
    pub const ALL: [Self; 4] = [
        Self::SentBye,
        Self::RecvBye,
        Self::RecvCancel,
        Self::SentReject,
    ];

    /// The documented value.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::SentBye => "sent_bye",
            Self::RecvBye => "recv_bye",
            Self::RecvCancel => "recv_cancel",
            Self::SentReject => "sent_reject",
        }
    }

    /// What happened, in two words.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::SentBye => "hung up here",
            Self::RecvBye => "other side hung up",
            Self::RecvCancel => "rang out",
            Self::SentReject => "declined or busy",
        }
    }

    /// Whether it can end a leg that nobody answered. \[inferred, strong\]
    #[must_use]
    pub fn fits_missed(self) -> bool {
        matches!(self, Self::RecvCancel | Self::SentReject)
    }

    /// Reads the documented value.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }
}

/// How a leg came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody answered. \[doc\]
    Missed,
    /// Somebody did, for this many seconds: leg `a` of a call whose customer did not. \[seen\]
    Answered {
        /// The documented `answeredsec`.
        seconds: u32,
    },
}

impl Outcome {
    /// The `status` of the leg's CDR.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Answered { .. } => "answered",
        }
    }
}

/// What only a call placed through click2call carries. \[doc\]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click2call<'a> {
    /// Ties the legs of one call together; the click2call API answered with it. \[seen\]
    pub request_id: RequestId,
    /// The caller's own parameters.
    pub extra_params: &'a Parameters,
}

/// The CDR of one leg of an outgoing call, in the documented order of fields.
///
/// It is always valid: payloads that are not come from [`edit`], from files or from suite cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingCdr<'a> {
    /// The caller ID of the call.
    pub virtual_number: u64,
    /// The call's identifier, see [`ids::CallId`].
    pub call_id: Uuid,
    /// The account's own parameters, echoed from the dashboard.
    pub custom: &'a Written,
    /// Which leg this tells of.
    pub leg: Leg,
    /// The account.
    pub app_id: u64,
    /// The number that was rung: the agent's device on leg `a`, the customer on leg `b`. \[inferred\]
    pub to: u64,
    /// The leg's identifier, a UUID v4. \[calc\]
    pub cmiuuid: Uuid,
    /// `missed`, or `answered` for the companion leg.
    pub outcome: Outcome,
    /// `<extension>_<appid>`. \[doc\]
    pub user: &'a Written,
    /// The start of the call, despite the page's "time the call was missed". \[seen, calc\]
    pub time: Timestamp,
    /// Why the leg ended.
    pub hangup_reason: HangupReason,
    /// Present when the call was placed through click2call.
    pub click2call: Option<Click2call<'a>>,
}

/// The nine-field body of an older generation, without leg and `call_id`. \[doc\]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyCdr<'a> {
    /// The account.
    pub app_id: u64,
    /// The number that was rung.
    pub to: u64,
    /// The call's identifier.
    pub cmiuuid: Uuid,
    /// `<extension>_<appid>`.
    pub user: &'a Written,
    /// The start of the call.
    pub time: Timestamp,
}

/// What one delivery carries. What it has of the account is borrowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload<'a> {
    /// The documented CDR.
    Outgoing(OutgoingCdr<'a>),
    /// The older nine-field one.
    Legacy(LegacyCdr<'a>),
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

impl Payload<'_> {
    /// The payload as compact JSON in the documented key order.
    #[must_use]
    pub fn json(&self, shape: Shape) -> Vec<u8> {
        match self {
            Self::Outgoing(cdr) => cdr.json(shape),
            Self::Legacy(cdr) => cdr.json(),
        }
    }

    /// What a line about it says.
    #[must_use]
    pub fn brief(&self) -> Brief<'static> {
        match self {
            Self::Outgoing(cdr) => Brief {
                leg: Some(cdr.leg.word().into()),
                status: Some(cdr.outcome.word().into()),
            },
            Self::Legacy(_) => Brief {
                leg: None,
                status: Some(Outcome::Missed.word().into()),
            },
        }
    }

    /// The payload as fields, for a query string or for edits.
    #[must_use]
    pub fn fields(&self, shape: Shape) -> Fields {
        match serde_json::from_slice(&self.json(shape)) {
            Ok(Value::Object(fields)) => fields,
            _ => Fields::new(),
        }
    }
}

impl OutgoingCdr<'_> {
    fn json(&self, shape: Shape) -> Vec<u8> {
        let mut json = Pieces::default();
        json.put(br#"{"virtual_number":"#);
        match shape {
            Shape::Docs => {
                json.put(b"\"");
                json.number(self.virtual_number);
                json.put(b"\"");
            }
            Shape::Live => json.number(self.virtual_number),
        }
        json.put(br#","call_id":""#);
        json.put(&self.call_id.text());
        json.put(br#"","custom":"#);
        json.add(self.custom.as_str());
        json.put(br#","leg":""#);
        json.add(self.leg.word());
        json.put(br#"","type":"cdr","appid":"#);
        json.number(self.app_id);
        json.put(br#","to":"#);
        json.number(self.to);
        json.put(br#","cmiuuid":""#);
        json.put(&self.cmiuuid.text());
        json.put(br#"","status":""#);
        json.add(self.outcome.word());
        json.put(br#"","user":"#);
        json.add(self.user.as_str());
        json.put(br#","time":"#);
        json.number(self.time.epoch_ms());
        json.put(br#","direction":"outbound""#);
        if let Outcome::Answered { seconds } = self.outcome {
            json.put(br#","answeredsec":"#);
            json.number(seconds);
        }
        json.put(br#","hangup_reason":""#);
        json.add(self.hangup_reason.word());
        json.put(b"\"");
        if let Some(click2call) = &self.click2call {
            json.put(br#","request_id":""#);
            json.put(&click2call.request_id);
            json.put(br#"","extra_params":"#);
            json.add(match shape {
                Shape::Docs => click2call.extra_params.text.as_str(),
                Shape::Live => click2call.extra_params.json.as_str(),
            });
        }
        json.put(b"}");
        json.finish()
    }
}

impl LegacyCdr<'_> {
    fn json(&self) -> Vec<u8> {
        let mut json = Pieces::default();
        json.put(br#"{"type":"cdr","appid":"#);
        json.number(self.app_id);
        json.put(br#","to":"#);
        json.number(self.to);
        json.put(br#","cmiuuid":""#);
        json.put(&self.cmiuuid.text());
        json.put(br#"","status":"missed","user":"#);
        json.add(self.user.as_str());
        json.put(br#","time":"#);
        json.number(self.time.epoch_ms());
        json.put(br#","direction":"outbound","click_to_call":"true"}"#);
        json.finish()
    }
}
