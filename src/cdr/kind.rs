//! Classifies a payload by its fields: the kind, and for a CDR the generation.

use serde::Serialize;
use serde_json::Value;

use super::schema::documented;
use super::{Fields, word};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    OutgoingMissed,
    OutgoingAnswered,
    Incoming,
    /// A live event: the payload's `type` is `event`.
    LiveEvent,
    /// A record of TeleCMI's REST API, which no webhook sends.
    RestRecord,
    Unknown,
    Unreadable,
}

impl Kind {
    pub fn words(self) -> &'static str {
        match self {
            Self::OutgoingMissed => "outgoing missed",
            Self::OutgoingAnswered => "outgoing answered",
            Self::Incoming => "incoming call",
            Self::LiveEvent => "live event",
            Self::RestRecord => "REST record",
            Self::Unknown => "no CDR",
            Self::Unreadable => "unreadable",
        }
    }

    pub fn is_cdr(self) -> bool {
        matches!(
            self,
            Self::OutgoingMissed | Self::OutgoingAnswered | Self::Incoming
        )
    }

    pub(super) fn is_outgoing(self) -> bool {
        matches!(self, Self::OutgoingMissed | Self::OutgoingAnswered)
    }

    /// Classifies a payload by its fields. Missing and mistyped fields do not change the kind, since they get remarks.
    pub(super) fn of(fields: &Fields) -> Self {
        let may_be =
            |word: Option<&str>, expected: &str| word.is_none_or(|found| found == expected);
        let (sort, direction) = (word(fields, "type"), word(fields, "direction"));
        if sort == Some("event") {
            return Self::LiveEvent;
        }
        let is_list = fields.get("cdr").is_some_and(Value::is_array);
        if is_list
            || fields.contains_key("cmiuid")
            || (fields.contains_key("billedsec") && !fields.contains_key("cmiuuid"))
        {
            return Self::RestRecord;
        }
        if direction == Some("inbound") && may_be(sort, "cdr") {
            return Self::Incoming;
        }
        if !resembles_cdr(fields) || !may_be(sort, "cdr") || !may_be(direction, "outbound") {
            return Self::Unknown;
        }
        match word(fields, "status") {
            None | Some("missed") => Self::OutgoingMissed,
            Some("answered") => Self::OutgoingAnswered,
            Some(_) => Self::Unknown,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Generation {
    /// The CDR as documented today. \[doc\]
    Docs,
    /// The CDR with the types that third parties report from live accounts. \[seen\]
    Live,
    /// The CDR of nine fields, among them `click_to_call`. \[doc\]
    Legacy,
}

impl Generation {
    pub(super) fn of(fields: &Fields) -> Self {
        let number = fields.get("virtual_number").is_some_and(Value::is_number);
        let object = fields.get("extra_params").is_some_and(Value::is_object);
        if !fields.contains_key("leg")
            && !fields.contains_key("call_id")
            && (fields.contains_key("click_to_call") || !fields.contains_key("virtual_number"))
        {
            Self::Legacy
        } else if number || object || matches!(word(fields, "custom"), Some("none" | "false")) {
            Self::Live
        } else {
            Self::Docs
        }
    }
}

/// The minimum number of documented fields: a payload with fewer is not compared with the documented CDR.
const RESEMBLES: usize = 4;

pub(super) fn resembles_cdr(fields: &Fields) -> bool {
    let documented = fields.keys().filter(|name| documented(name).is_some());
    documented.count() >= RESEMBLES
}
