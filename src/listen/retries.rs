//! Recognises retries, and reports on their intervals. A retry is a copy of a request after a response other than 2xx,
//! an injected fault, or no response.
//!
//! A copy after a 2xx is a duplicate, and so is a copy that was sent before the original was answered.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use serde::Serialize;

use super::relate::Fingerprint;
use crate::cdr::remark::Code;
use crate::cdr::{self, Leg};
use crate::clock::{Timestamp, format_duration};
use crate::exchange::{Exchange, Relation};
use crate::ndjson::{self, as_ms, as_optional_ms};
use crate::net::secret;

const MAX_CDRS: usize = 10_000;

/// Failed requests that are no CDRs have a limit of their own, so that they displace no CDR.
const MAX_OTHERS: usize = 1_000;

/// At most 32 attempts at one request are kept: the first 31 and the last.
const MAX_ATTEMPTS: usize = 32;

const MAX_LISTED: usize = 1_000;

const MAX_NAME: usize = 128;

#[derive(Debug, Default)]
pub struct Retries {
    histories: HashMap<Fingerprint, RetryHistory>,
    cdrs: VecDeque<Fingerprint>,
    others: VecDeque<Fingerprint>,
    /// The number of failed requests that were dropped from memory and that the report on retries would have listed.
    forgotten: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RetryHistory {
    pub method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmiuuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg: Option<Leg>,
    /// The attempts are the first failure, its retries, and duplicates that failed after a 2xx.
    pub attempts: Vec<Attempt>,
    #[serde(skip_serializing_if = "ndjson::is_zero")]
    pub left_out: u64,
    /// The number of copies of the request that are not retries.
    pub duplicates: u64,
    pub answered: bool,
    /// Time since the last failed attempt, if no retry has followed.
    #[serde(rename = "silent_ms", serialize_with = "as_optional_ms")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered_for: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    pub n: u64,
    /// The number of the attempt at one request; 1 is the original, 2 the first retry.
    pub attempt: u64,
    pub at: Timestamp,
    /// Time since the end of the previous, failed attempt.
    #[serde(rename = "after_ms", serialize_with = "as_optional_ms")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    #[serde(skip)]
    pub answered: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub failed: u64,
    pub came_back: u64,
    pub answered: u64,
    /// Statistics of the intervals before the first retry, the second, and so on.
    pub intervals: Vec<Interval>,
    pub requests: Vec<RetryHistory>,
    pub left_out: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interval {
    pub retry: u64,
    pub times: u64,
    #[serde(rename = "min_ms", serialize_with = "as_ms")]
    pub least: Duration,
    /// The median is the lower one of an even number of intervals.
    #[serde(rename = "median_ms", serialize_with = "as_ms")]
    pub median: Duration,
    #[serde(rename = "max_ms", serialize_with = "as_ms")]
    pub most: Duration,
}

impl Retries {
    /// Relates a retry to the previous failure; the relation replaces the relation and remark of a duplicate.
    pub(super) fn recognise(&self, identity: Fingerprint, exchange: &mut Exchange) {
        let history = self.histories.get(&identity);
        let Some(last) = history.and_then(|history| history.failure_before(exchange)) else {
            return;
        };
        let after = interval(exchange.received_at.since(last.answered));
        let (outcome, n, attempt) = (last.outcome(), last.n, last.attempt + 1);
        let text = format!("retried {after} after the {outcome} of #{n} (attempt {attempt})");
        let how = "retry";
        let related = &mut exchange.related;
        related.retain(|relation| relation.how != "duplicate");
        related.insert(0, Relation { n, how, text });
        let remarks = &mut exchange.verdict.remarks;
        remarks.retain(|remark| remark.code != Code::Duplicate);
    }

    pub(super) fn note(&mut self, identity: Fingerprint, exchange: &Exchange, answered: Timestamp) {
        let answer = &exchange.answer;
        // A slow answer counts as failed: the sender may have given up before the end of the answer.
        let has_failed = answer.fault.is_some() || !matches!(answer.status, Some(200..300));
        if let Some(history) = self.histories.get_mut(&identity) {
            history.note(exchange, answered, has_failed);
        } else if has_failed {
            self.remember(identity, RetryHistory::new(exchange, answered));
        }
    }

    fn remember(&mut self, identity: Fingerprint, history: RetryHistory) {
        let (order, most) = if history.is_cdr() {
            (&mut self.cdrs, MAX_CDRS)
        } else {
            (&mut self.others, MAX_OTHERS)
        };
        self.histories.insert(identity, history);
        order.push_back(identity);
        if order.len() > most
            && let Some(oldest) = order.pop_front()
            && let Some(forgotten) = self.histories.remove(&oldest)
        {
            self.forgotten += u64::from(forgotten.is_reported());
        }
    }

    pub(super) fn report(&self, now: Timestamp) -> Option<Report> {
        let reported = self.histories.values().filter(|it| it.is_reported());
        let mut histories: Vec<_> = reported.collect();
        if histories.is_empty() {
            return None;
        }
        histories.sort_unstable_by_key(|history| history.attempts[0].n);
        let count = |what: fn(&RetryHistory) -> bool| {
            histories.iter().filter(|history| what(history)).count() as u64
        };
        let listed = histories.iter().take(MAX_LISTED).map(|history| {
            let unanswered = history.attempts.last().filter(|_| !history.answered);
            RetryHistory {
                unanswered_for: unanswered.map(|last| now.since(last.answered)),
                ..RetryHistory::clone(history)
            }
        });
        Some(Report {
            failed: histories.len() as u64,
            came_back: count(RetryHistory::came_back),
            answered: count(|history| history.answered),
            intervals: intervals(&histories),
            requests: listed.collect(),
            left_out: self.forgotten + histories.len().saturating_sub(MAX_LISTED) as u64,
        })
    }
}

impl RetryHistory {
    fn new(exchange: &Exchange, answered: Timestamp) -> Self {
        let (request, cdr) = (&exchange.request, exchange.cdr.as_ref());
        let id = cdr.and_then(|cdr| cdr::word(cdr, "cmiuuid"));
        let path = || secret::masked_url(request.path());
        let beginning = |text: &str| text.chars().take(MAX_NAME).collect();
        Self {
            method: beginning(&request.method),
            path: cdr.is_none().then(|| beginning(&path())),
            cmiuuid: id.filter(|id| !id.is_empty()).map(beginning),
            leg: exchange.verdict.leg,
            attempts: vec![Attempt::new(exchange, answered, None)],
            ..Self::default()
        }
    }

    /// Returns the failed attempt that precedes `exchange`, if `exchange` is a retry.
    fn failure_before(&self, exchange: &Exchange) -> Option<&Attempt> {
        let last = self.attempts.last().filter(|_| !self.answered);
        last.filter(|last| exchange.received_at >= last.answered)
    }

    fn note(&mut self, exchange: &Exchange, answered: Timestamp, has_failed: bool) {
        let failure = self.failure_before(exchange);
        let is_retry = failure.is_some();
        let attempt = Attempt::new(exchange, answered, failure);
        self.duplicates += u64::from(!is_retry);
        if is_retry || (self.answered && has_failed) {
            self.answered = !has_failed;
            if self.attempts.len() == MAX_ATTEMPTS {
                self.attempts.pop();
                self.left_out += 1;
            }
            self.attempts.push(attempt);
        }
    }

    fn is_cdr(&self) -> bool {
        self.path.is_none()
    }

    /// Requests that are no CDRs are reported only if retried: browsers request further paths, and do not retry them.
    fn is_reported(&self) -> bool {
        self.is_cdr() || self.came_back()
    }

    fn came_back(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.after.is_some())
    }
}

impl Attempt {
    fn new(exchange: &Exchange, answered: Timestamp, before: Option<&Self>) -> Self {
        Self {
            n: exchange.n,
            attempt: before.map_or(1, |before| before.attempt + 1),
            at: exchange.received_at,
            after: before.map(|before| exchange.received_at.since(before.answered)),
            status: exchange.answer.status,
            fault: exchange.answer.fault.clone(),
            answered,
        }
    }

    /// The outcome of an attempt is its status or fault in words, such as `503`, `slow 200` or `silence`.
    pub(crate) fn outcome(&self) -> String {
        match (self.status, self.fault.as_deref()) {
            (Some(status), None | Some("status")) => status.to_string(),
            (Some(status), Some(fault)) => format!("{fault} {status}"),
            (None, Some("empty")) => "empty answer".to_owned(),
            (None, Some(fault)) => fault.to_owned(),
            (None, None) => "silence".to_owned(),
        }
    }
}

fn intervals(histories: &[&RetryHistory]) -> Vec<Interval> {
    let mut before: BTreeMap<u64, Vec<Duration>> = BTreeMap::new();
    for attempt in histories.iter().flat_map(|history| &history.attempts) {
        // Of a request's attempts beyond `MAX_ATTEMPTS` only the last is kept. The interval before that attempt cannot
        // be assigned to a retry number, and is left out.
        let is_numbered = attempt.attempt <= MAX_ATTEMPTS as u64;
        if let Some(after) = attempt.after.filter(|_| is_numbered) {
            before.entry(attempt.attempt - 1).or_default().push(after);
        }
    }
    let interval = |(retry, mut spans): (u64, Vec<Duration>)| {
        spans.sort();
        Interval {
            retry,
            times: spans.len() as u64,
            least: spans[0],
            median: spans[(spans.len() - 1) / 2],
            most: spans[spans.len() - 1],
        }
    };
    before.into_iter().map(interval).collect()
}

/// Formats an interval with tenths of a second up to two minutes: `60.1 s`, `5 m 00 s`, `2 h 05 m`.
pub(crate) fn interval(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        10..120 => format!("{:.1} s", span.as_secs_f64()),
        7_200.. => format!("{} h {:02} m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format_duration(span),
    }
}

#[cfg(test)]
mod tests;
