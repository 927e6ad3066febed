//! The table of documented CDR fields, from which the judge, `--set`, the schemas of `--generate` and the README are
//! made, and the kinds of payloads that these fields tell apart.

use serde::Serialize;
use serde_json::Value;
use strsim::levenshtein;

use super::{Fields, Grade, word};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    String,
    /// TeleCMI's numbers are integers; the fields `to` and `time` do not fit 32 bits.
    Number,
    Boolean,
}

impl FieldType {
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Always,
    NotLegacy,
    /// A field that occurs only in calls placed through click2call; in other calls the field is absent, not null.
    /// \[doc\]
    Click2call,
    Answered,
    /// A field that occurs only in answered CDRs of leg `b`, and not in all of these.
    Recorded,
    Legacy,
}

impl Presence {
    pub fn words(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::NotLegacy => "always, but not in legacy CDRs",
            Self::Click2call => "click2call calls",
            Self::Answered => "answered CDRs",
            Self::Recorded => "answered CDRs of leg b",
            Self::Legacy => "legacy CDRs",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub field_type: FieldType,
    pub presence: Presence,
    pub meaning: &'static str,
    pub grade: Grade,
}

const fn field(
    name: &'static str,
    field_type: FieldType,
    presence: Presence,
    grade: Grade,
    meaning: &'static str,
) -> Field {
    Field {
        name,
        field_type,
        presence,
        meaning,
        grade,
    }
}

/// The fields of outgoing CDRs: the fifteen of the documented missed CDR, in order, then those of answered and legacy
/// CDRs.
#[rustfmt::skip]
pub const FIELDS: [Field; 19] = {
    use FieldType::{Boolean, Number, String};
    use Grade::{Doc, Inferred, Seen};
    use Presence::{Always, Answered, Click2call, Legacy, NotLegacy, Recorded};
    [
        field("virtual_number", String, NotLegacy, Doc, "the caller ID of the call; a number in live CDRs"),
        field("call_id", String, NotLegacy, Doc, "identifies the call; sources disagree \
            whether its legs share it"),
        field("custom", String, NotLegacy, Doc, "your parameters from the dashboard; `none` \
            or `false` in live CDRs when unset"),
        field("leg", String, NotLegacy, Doc, "`a` is the agent, `b` the customer"),
        field("type", String, Always, Doc, "`cdr`; `event` in a live event"),
        field("appid", Number, Always, Doc, "your app id"),
        field("to", Number, Always, Inferred, "the number that was rung; does not fit 32 bits"),
        field("cmiuuid", String, Always, Doc, "identifies the leg"),
        field("status", String, Always, Doc, "`missed`"),
        field("user", String, Always, Doc, "`<extension>_<appid>`"),
        field("time", Number, Always, Seen, "the start of the call, in epoch milliseconds"),
        field("direction", String, Always, Doc, "`outbound`"),
        field("hangup_reason", String, NotLegacy, Doc, "`recv_cancel` rang out, `sent_reject` declined; `sent_bye` and `recv_bye` need an answered call"),
        field("request_id", String, Click2call, Doc, "identifies a click2call call; both legs have it"),
        field("extra_params", String, Click2call, Doc, "your click2call parameters as JSON \
            text; an object in live CDRs"),
        field("answeredsec", Number, Answered, Doc, "how long the leg was answered, in seconds"),
        field("record", Boolean, Recorded, Doc, "whether the call was recorded"),
        field("filename", String, Recorded, Doc, "the recording's name"),
        field("click_to_call", String, Legacy, Doc, "`true`, as a string"),
    ]
};

/// The fields of TeleCMI's other notifications, which a missed CDR does not have. \[doc\]
pub const FIELDS_OF_OTHERS: [&str; 12] = [
    "from",
    "team",
    "voicemail",
    "waitedsec",
    "conversation_uuid",
    "app_id",
    "callerid",
    "cmiuid",
    "agent",
    "duration",
    "billedsec",
    "name",
];

pub fn documented(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

/// Returns the documented field whose name is most similar to `name`, with at most three different characters.
pub fn similar(name: &str) -> Option<&'static str> {
    let distance = |field: &&Field| levenshtein(field.name, name);
    let nearest = FIELDS.iter().min_by_key(distance)?;
    (distance(&nearest) <= 3.min(name.len() / 2)).then_some(nearest.name)
}

/// Returns the text of a warning about a field that the documented CDR does not have, with the most similar field.
pub fn unknown(name: &str) -> String {
    let advice = similar(name).map(|similar| format!(": did you mean {similar}?"));
    format!(
        "not a field of the documented CDR{}",
        advice.unwrap_or_default()
    )
}

/// The index of the first parameter of a query or form that is a documented field. Earlier parameters, such as a token,
/// belong to the webhook's URL.
pub fn first_documented(pairs: &[(String, String)]) -> Option<usize> {
    let is_documented =
        |name: &str| documented(name.split_once('[').map_or(name, |(base, _)| base)).is_some();
    pairs.iter().position(|(name, _)| is_documented(name))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_begins_with_the_documented_fifteen() {
        let names: Vec<_> = FIELDS[..15].iter().map(|field| field.name).collect();
        assert_eq!(
            names.join(" "),
            "virtual_number call_id custom leg type appid to cmiuuid status user time direction \
             hangup_reason request_id extra_params"
        );
        let legacy = FIELDS
            .iter()
            .filter(|f| matches!(f.presence, Presence::Always | Presence::Legacy));
        assert_eq!(legacy.count(), 9);
    }
}
