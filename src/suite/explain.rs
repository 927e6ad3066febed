//! Finds out which change of one field makes a handler take the good CDR that it refuses.

use serde_json::{Value, json};

use super::CaseMethod;
use super::deliver::SuiteClient;
use super::requests::CaseRequests;
use crate::cdr::Fields;

/// The calls of these requests are numbered from 2000, above those of liveness checks.
const FIRST_CALL: u64 = 2_000;

/// A field, the words for its replaced value, and the value.
type Replacement = (&'static str, &'static str, fn(&Fields) -> Value);

#[rustfmt::skip]
const REPLACEMENTS: &[Replacement] = &[
    ("to", "below 2 147 483 648", |_| json!(2_079_460_000)),
    ("to", "a text", |cdr| json!(cdr["to"].to_string())),
    ("time", "in seconds", |cdr| json!(cdr["time"].as_i64().unwrap_or_default() / 1_000)),
    ("time", "a text", |cdr| json!(cdr["time"].to_string())),
    ("appid", "a text", |cdr| json!(cdr["appid"].to_string())),
    ("virtual_number", "a number", |_| json!(442_079_460_000_u64)),
    ("virtual_number", "with a plus", |cdr| json!(format!("+{}", cdr["virtual_number"].as_str().unwrap_or_default()))),
    ("status", "answered", |_| json!("answered")),
    ("status", "no-answer", |_| json!("no-answer")),
    ("status", "busy", |_| json!("busy")),
    ("status", "failed", |_| json!("failed")),
    ("hangup_reason", "sent_bye", |_| json!("sent_bye")),
    ("hangup_reason", "recv_bye", |_| json!("recv_bye")),
    ("hangup_reason", "sent_reject", |_| json!("sent_reject")),
    ("leg", "b", |_| json!("b")),
    ("custom", "none", |_| json!("none")),
    ("custom", "an object", |_| json!({"crm": "true"})),
    ("extra_params", "an object", |_| json!({"click2call": "true"})),
    ("user", "an extension alone", |_| json!("101")),
    ("call_id", "a UUID of RFC 9562", |cdr| json!(rfc_variant(&cdr["call_id"]))),
    ("answeredsec", "there", |_| json!(12)),
    ("record", "there", |_| json!(true)),
    ("filename", "there", |cdr| json!(format!("{}_{}.mp3", cdr["time"], cdr["appid"]))),
];

/// Sends the good CDR with one field changed at a time. Returns the changes that the handler accepted, in words.
pub async fn accepted_changes(
    client: &SuiteClient<'_>,
    source: &CaseRequests,
    method: CaseMethod,
) -> Option<String> {
    let mut calls = FIRST_CALL..;
    let good = source.altered(calls.next()?, method, |_| {});
    if client.send(&good).await.accepted() {
        let text = "accepted when it is of another call; the same --seed and --at send the same call again";
        return Some(text.to_owned());
    }
    let (mut replaced, mut accepted) = (Vec::new(), Vec::new());
    for group in REPLACEMENTS.chunk_by(|one, next| one.0 == next.0) {
        let mut words = Vec::new();
        for (field, word, value) in group {
            let request = source.altered(calls.next()?, method, |cdr| {
                let value = value(cdr);
                cdr.insert((*field).to_owned(), value);
            });
            if client.send(&request).await.accepted() {
                words.push(*word);
            }
        }
        if let Some((last, others)) = words.split_last() {
            let field = group[0].0;
            let or = if others.is_empty() { "" } else { " or " };
            accepted.push(format!("`{field}` is {}{or}{last}", others.join(", ")));
            replaced.push(field);
        }
    }
    let names = serde_json::from_slice::<Fields>(&good.body.0).unwrap_or_default();
    let is_left = |name: &&String| !replaced.contains(&name.as_str());
    for name in names.keys().filter(is_left) {
        let request = source.altered(calls.next()?, method, |cdr| drop(cdr.shift_remove(name)));
        if client.send(&request).await.accepted() {
            accepted.push(format!("`{name}` is absent"));
        }
    }
    (!accepted.is_empty()).then(|| format!("accepted when {}", accepted.join(", or when ")))
}

/// A call_id's fourth group has other variant bits than RFC 9562 wants; this one has the RFC's.
fn rfc_variant(call_id: &Value) -> String {
    let mut text = call_id.as_str().unwrap_or_default().to_owned();
    if text.len() == 36 {
        text.replace_range(19..20, "8");
    }
    text
}
