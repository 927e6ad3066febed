//! The table of documented CDR fields, from which the judge, `--set`, the schemas of `--generate` and the README are
//! made, and the kinds of payloads that these fields tell apart.

use serde::Serialize;
use serde_json::Value;
use strsim::levenshtein;

use super::{Fields, Grade, Leg, word};

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

    /// Returns whether a CDR must have the field, and whether the CDR may have the field.
    pub(super) fn must_and_may(
        self,
        generation: Generation,
        kind: Kind,
        leg: Option<Leg>,
    ) -> (bool, bool) {
        let legacy = generation == Generation::Legacy;
        let answered = kind == Kind::OutgoingAnswered;
        match self {
            Self::Always => (true, true),
            Self::NotLegacy => (!legacy, !legacy),
            Self::Click2call => (false, !legacy),
            Self::Answered => (answered, answered),
            Self::Recorded => (false, answered && leg != Some(Leg::A)),
            Self::Legacy => (legacy, legacy),
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
#[rustfmt::skip]
pub const FIELDS_OF_OTHERS: [&str; 12] = [
    "from", "team", "voicemail", "waitedsec", "conversation_uuid", "app_id", "callerid", "cmiuid", "agent", "duration",
    "billedsec", "name",
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
    /// A record of TeleCMI's REST API, or its envelope, an object with a list of records. By one source, an envelope has
    /// come by webhook.
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
}

/// A row of [`FORMS`]: the kind, and the condition. Payloads with a remark are not judged field by field; only these have
/// their generation in the row. `{records}` in a remark is their number.
type Form = (
    Kind,
    Option<Generation>,
    Option<&'static str>,
    fn(&Fields) -> bool,
);

/// The table that classifies payloads: the first row whose condition holds gives the [`Kind`]. Missing and mistyped
/// fields do not change the kind, since they get remarks.
#[rustfmt::skip]
const FORMS: [Form; 12] = {
    use Kind::{Incoming, LiveEvent, OutgoingAnswered, OutgoingMissed, RestRecord, Unknown};
    const PIOPIY: Option<Generation> = Some(Generation::Piopiy);
    [
        (LiveEvent, PIOPIY, Some("a live event of PIOPIY, not a CDR"), is_piopiy_event),
        (LiveEvent, None, Some("a live event, not a CDR"), is_event),
        (RestRecord, None, Some("REST envelope with {records}, not a webhook"), is_envelope),
        (RestRecord, None, Some("a record of the REST API, not a webhook"), is_rest_record),
        (RestRecord, None, Some("an answer of the REST API, not a webhook"), is_rest_answer),
        (Incoming, PIOPIY, Some("a CDR of PIOPIY, for an incoming call"), |fields| {
            is_piopiy(fields) && is_incoming(fields)
        }),
        (OutgoingAnswered, PIOPIY, Some(PIOPIY_CDR), |f| is_piopiy(f) && is_answered(f)),
        (OutgoingMissed, PIOPIY, Some(PIOPIY_CDR), |f| is_piopiy(f) && is_missed(f)),
        (Incoming, None, Some(INCOMING), is_incoming),
        (Unknown, None, Some(UNKNOWN), |fields| !resembles_cdr(fields)),
        (OutgoingMissed, None, None, |f| is_outgoing(f) && is_missed(f)),
        (OutgoingAnswered, None, None, |f| is_outgoing(f) && is_answered(f)),
    ]
};

const PIOPIY_CDR: &str = "a CDR of PIOPIY, whose fields are not those of CHUB";
const INCOMING: &str = "the CDR of an incoming call, for which TeleCMI has another webhook";
const UNKNOWN: &str =
    "not a TeleCMI notification that this version knows: fewer than 4 documented fields";

/// Returns the row of [`FORMS`] that names a payload.
pub(super) fn form(fields: &Fields) -> Form {
    let mut rows = FORMS.into_iter();
    let found = rows.find(|(.., applies)| applies(fields));
    found.unwrap_or((Kind::Unknown, None, None, |_| true))
}

/// Returns the number of records in a REST envelope: a list named `cdr`, or a list of CDRs of another name.
pub(super) fn records(fields: &Fields) -> Option<usize> {
    let mut lists = fields
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_array()?)));
    let is_envelope = |(name, list): &(&String, &Vec<Value>)| {
        let has_records = !list.is_empty() && list.iter().all(is_record);
        *name == "cdr" || (has_records && !resembles_cdr(fields))
    };
    lists.find(is_envelope).map(|(_, list)| list.len())
}

fn is_record(value: &Value) -> bool {
    let fields = value.as_object();
    fields.is_some_and(|fields| resembles_cdr(fields) || is_rest_record(fields))
}

fn is_envelope(fields: &Fields) -> bool {
    records(fields).is_some()
}

/// Answers of the REST API have a `code`, or a list or a record in `cdr` or another object, and webhooks have neither.
/// \[inferred\]
fn is_rest_answer(fields: &Fields) -> bool {
    let is_number = |code: &Value| code.as_u64().is_some_and(|code| (100..600).contains(&code));
    let has_record =
        fields.get("cdr").is_some_and(Value::is_object) || fields.values().any(is_record);
    (has_record || fields.get("code").is_some_and(is_number)) && !resembles_cdr(fields)
}

fn is_missed(fields: &Fields) -> bool {
    may_have(fields, "status", "missed")
}

fn is_answered(fields: &Fields) -> bool {
    word(fields, "status") == Some("answered")
}

fn is_piopiy_event(fields: &Fields) -> bool {
    is_event(fields) && fields.contains_key("appid")
}

fn may_have(fields: &Fields, name: &str, expected: &str) -> bool {
    word(fields, name).is_none_or(|found| found == expected)
}

/// Live events of PIOPIY's later revision have no `type`, and a `status` such as `in_answered`. \[doc\]
fn is_event(fields: &Fields) -> bool {
    let status = word(fields, "status").unwrap_or_default();
    let is_named = status.starts_with("in_") || status.starts_with("out_");
    word(fields, "type") == Some("event") || (is_named && !fields.contains_key("type"))
}

fn is_rest_record(fields: &Fields) -> bool {
    let has = |name| fields.contains_key(name);
    has("cmiuid") || (has("billedsec") && !has("cmiuuid"))
}

/// CDRs of PIOPIY have a `duration` and none of the fields that all CDRs of CHUB have in common. \[doc\]
fn is_piopiy(fields: &Fields) -> bool {
    let has = |name| fields.contains_key(name);
    let is_cdr = has("duration") && has("cmiuuid") && may_have(fields, "type", "cdr");
    is_cdr && !["user", "virtual_number", "call_id"].into_iter().any(has)
}

fn is_incoming(fields: &Fields) -> bool {
    word(fields, "direction") == Some("inbound") && may_have(fields, "type", "cdr")
}

fn is_outgoing(fields: &Fields) -> bool {
    may_have(fields, "type", "cdr") && may_have(fields, "direction", "outbound")
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
    /// A payload of PIOPIY, another product of TeleCMI. \[doc\]
    Piopiy,
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

fn resembles_cdr(fields: &Fields) -> bool {
    let mut documented = fields.keys().filter(|name| documented(name).is_some());
    documented.nth(RESEMBLES - 1).is_some()
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
