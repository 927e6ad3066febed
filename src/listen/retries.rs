//! What came back after it had not been answered well, and when. Pure: exchanges and their moments in, a report out.
//!
//! A *retry* is the same thing once more after an answer that was not 2xx, or after none. The same thing after a 2xx is a
//! duplicate, and so is a copy that was on its way before its original had been answered. Bounded: the oldest is
//! forgotten when there are too many, and of what comes back for ever the middle is left out.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;

use serde::Serialize;

use super::relate::Marks;
use crate::cdr::Leg;
use crate::cdr::remark::Code;
use crate::clock::{Timestamp, format_duration};
use crate::exchange::{Answer, Exchange, Relation};
use crate::ndjson::{self, as_ms, as_optional_ms};
use crate::wire::secret;

/// How many CDRs are remembered that met a failure.
const REMEMBERED: usize = 10_000;

/// How many other things are. They push no CDR out, however many a stranger sends.
const STRAYS: usize = 1_000;

/// How many arrivals of one thing are remembered: the first ones and the latest.
const ARRIVALS: usize = 32;

/// How many things a report names.
const NAMED: usize = 1_000;

/// The longest name of something that is kept, in characters.
const LONGEST_NAME: usize = 128;

/// Everything that met a failure, and what came of it.
#[derive(Debug, Default)]
pub struct Retries {
    marks: Marks,
    courses: HashMap<NonZeroU64, Course>,
    /// What stands for each CDR, in the order in which they failed first.
    cdrs: VecDeque<NonZeroU64>,
    /// The same for everything else.
    strays: VecDeque<NonZeroU64>,
    /// How many were forgotten that would have been told.
    forgotten: u64,
}

/// What happened to one thing that met a failure: each time it came, and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Course {
    /// The method it came by.
    pub method: String,
    /// Its path, if it is no CDR; secrets masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The CDR's own identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmiuuid: Option<String>,
    /// The CDR's leg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg: Option<Leg>,
    /// Each time it came: the first failure, the retries, and a duplicate if that failed in its turn.
    pub attempts: Vec<Attempt>,
    /// How many attempts are left out before the last one.
    #[serde(skip_serializing_if = "ndjson::is_zero")]
    pub left_out: u64,
    /// How many copies came that are no retries.
    pub duplicates: u64,
    /// Whether it was answered well in the end.
    pub answered: bool,
    /// How long it has not come back since it failed last.
    #[serde(
        rename = "silent_ms",
        serialize_with = "as_optional_ms",
        skip_serializing_if = "Option::is_none"
    )]
    pub silent: Option<Duration>,
}

/// One arrival of something, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// The exchange's number.
    pub n: u64,
    /// Which attempt it is: 1 is no retry, 2 the first one.
    pub attempt: u64,
    /// When it came.
    pub at: Timestamp,
    /// How long after the failure before it that was, counted from the answer, or from when none was given.
    #[serde(
        rename = "after_ms",
        serialize_with = "as_optional_ms",
        skip_serializing_if = "Option::is_none"
    )]
    pub after: Option<Duration>,
    /// The status it was answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The fault it met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// When it was answered.
    #[serde(skip)]
    pub answered: Timestamp,
}

/// What came back, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many things met a failure: CDRs, and whatever else came back.
    pub failed: u64,
    /// How many of them came back.
    pub came_back: u64,
    /// How many were answered well in the end.
    pub answered: u64,
    /// The intervals before the first retry, the second, and so on.
    pub intervals: Vec<Interval>,
    /// The things themselves, in the order in which they failed first.
    pub requests: Vec<Course>,
    /// How many are not among them, because there were too many.
    pub left_out: u64,
}

/// The intervals before all first retries, or all second ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// Which retry, from one.
    pub retry: u64,
    /// How many there were.
    pub times: u64,
    /// The shortest.
    #[serde(rename = "min_ms", serialize_with = "as_ms")]
    pub least: Duration,
    /// The one in the middle; of two, the shorter.
    #[serde(rename = "median_ms", serialize_with = "as_ms")]
    pub median: Duration,
    /// The longest.
    #[serde(rename = "max_ms", serialize_with = "as_ms")]
    pub most: Duration,
}

impl Retries {
    /// Lets an exchange say that it is a retry, if it is one; then it is no duplicate any more.
    pub fn recognise(&self, exchange: &mut Exchange) {
        if self.courses.is_empty() {
            return;
        }
        let course = self.courses.get(
            &self
                .marks
                .identity(&exchange.request, exchange.cdr.as_ref()),
        );
        if let Some(relation) = course.and_then(|course| course.relation(exchange)) {
            exchange
                .related
                .retain(|relation| relation.how != "duplicate");
            exchange
                .verdict
                .remarks
                .retain(|remark| remark.code != Code::Duplicate);
            exchange.related.insert(0, relation);
        }
    }

    /// Whether anything is to be noted of how an exchange was answered.
    #[must_use]
    pub fn concerns(&self, exchange: &Exchange) -> bool {
        is_failure(&exchange.answer) || !self.courses.is_empty()
    }

    /// Notes how an exchange was answered, and when.
    pub fn note(&mut self, exchange: &Exchange, answered: Timestamp) {
        let failed = is_failure(&exchange.answer);
        if !self.concerns(exchange) {
            return;
        }
        let key = self
            .marks
            .identity(&exchange.request, exchange.cdr.as_ref());
        if let Some(course) = self.courses.get_mut(&key) {
            course.again(exchange, answered, failed);
        } else if failed {
            let course = Course::new(exchange, answered);
            let (order, most) = if course.is_stray() {
                (&mut self.strays, STRAYS)
            } else {
                (&mut self.cdrs, REMEMBERED)
            };
            self.courses.insert(key, course);
            order.push_back(key);
            if order.len() > most
                && let Some(oldest) = order.pop_front()
                && let Some(forgotten) = self.courses.remove(&oldest)
            {
                self.forgotten += u64::from(forgotten.is_told());
            }
        }
    }

    /// What came back and what did not until `now`; nothing if there is nothing to tell.
    #[must_use]
    pub fn report(&self, now: Timestamp) -> Option<Report> {
        let mut courses: Vec<_> = self
            .courses
            .values()
            .filter(|course| course.is_told())
            .collect();
        courses.sort_unstable_by_key(|course| course.attempts.first().map(|first| first.n));
        if courses.is_empty() {
            return None;
        }
        let count =
            |what: fn(&Course) -> bool| courses.iter().filter(|course| what(course)).count() as u64;
        let named = courses.iter().take(NAMED).map(|course| {
            let mut course = Course::clone(course);
            let last = course.attempts.last().filter(|_| !course.answered);
            course.silent = last.map(|last| now.since(last.answered));
            course
        });
        Some(Report {
            failed: courses.len() as u64,
            came_back: count(Course::came_back),
            answered: count(|course| course.answered),
            intervals: intervals(&courses),
            requests: named.collect(),
            left_out: self.forgotten + courses.len().saturating_sub(NAMED) as u64,
        })
    }
}

impl Course {
    fn new(exchange: &Exchange, answered: Timestamp) -> Self {
        let cdr = exchange.cdr.as_ref();
        let id = cdr
            .and_then(|cdr| cdr.get("cmiuuid")?.as_str())
            .filter(|id| !id.is_empty());
        let path = cdr
            .is_none()
            .then(|| secret::masked_url(exchange.request.path()));
        let beginning = |text: &str| text.chars().take(LONGEST_NAME).collect();
        Self {
            method: beginning(&exchange.request.method),
            path: path.as_deref().map(beginning),
            cmiuuid: id.map(beginning),
            leg: exchange.verdict.leg,
            attempts: vec![Attempt::new(exchange, answered, None)],
            left_out: 0,
            duplicates: 0,
            answered: false,
            silent: None,
        }
    }

    /// The failure after which this exchange comes back, if it does.
    fn failure_before(&self, exchange: &Exchange) -> Option<&Attempt> {
        let last = self.attempts.last().filter(|_| !self.answered);
        last.filter(|last| exchange.received_at >= last.answered)
    }

    /// Says that it came back, if it did.
    fn relation(&self, exchange: &Exchange) -> Option<Relation> {
        let last = self.failure_before(exchange)?;
        let after = interval(exchange.received_at.since(last.answered));
        let (met, n, attempt) = (last.met(), last.n, last.attempt + 1);
        let text = format!("came back {after} after the {met} of #{n} (attempt {attempt})");
        Some(Relation {
            n,
            how: "retry".to_owned(),
            text,
        })
    }

    /// Notes that it came once more.
    fn again(&mut self, exchange: &Exchange, answered: Timestamp, failed: bool) {
        let failure = self.failure_before(exchange);
        let is_retry = failure.is_some();
        let attempt = Attempt::new(exchange, answered, failure);
        self.duplicates += u64::from(!is_retry);
        if is_retry || (self.answered && failed) {
            self.answered = !failed;
            self.add(attempt);
        }
    }

    fn add(&mut self, attempt: Attempt) {
        if self.attempts.len() == ARRIVALS {
            self.attempts.pop();
            self.left_out += 1;
        }
        self.attempts.push(attempt);
    }

    /// Whether it is no CDR.
    fn is_stray(&self) -> bool {
        self.path.is_some()
    }

    /// Whether a report tells of it: of a browser's stray request nobody expects that it comes back.
    fn is_told(&self) -> bool {
        !self.is_stray() || self.came_back()
    }

    /// Whether there was a retry.
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

    /// How it was answered, in a word or two.
    #[must_use]
    pub fn met(&self) -> String {
        match (self.status, self.fault.as_deref()) {
            (Some(status), None | Some("status")) => status.to_string(),
            (Some(status), Some(fault)) => format!("{fault} {status}"),
            (None, Some("empty")) => "empty answer".to_owned(),
            (None, Some(fault)) => fault.to_owned(),
            (None, None) => "silence".to_owned(),
        }
    }
}

/// Whether a sender that tries again would try again after this. A slow answer counts as failed, whatever it says: the
/// sender may have gone before it was whole.
fn is_failure(answer: &Answer) -> bool {
    answer.fault.is_some()
        || !answer
            .status
            .is_some_and(|status| (200..300).contains(&status))
}

/// Which intervals there were before each retry.
fn intervals(courses: &[&Course]) -> Vec<Interval> {
    let mut before: BTreeMap<u64, Vec<Duration>> = BTreeMap::new();
    for attempt in courses.iter().flat_map(|course| &course.attempts) {
        // What comes back oftener than is remembered has left a gap before its last retry.
        if let Some(after) = attempt.after.filter(|_| attempt.attempt <= ARRIVALS as u64) {
            before.entry(attempt.attempt - 1).or_default().push(after);
        }
    }
    let interval = |(retry, mut spans): (u64, Vec<Duration>)| {
        spans.sort();
        let median = spans[(spans.len() - 1) / 2];
        Interval {
            retry,
            times: spans.len() as u64,
            least: spans[0],
            median,
            most: spans[spans.len() - 1],
        }
    };
    before.into_iter().map(interval).collect()
}

/// An interval as people write it, with tenths of a second where others round: `60.1 s`, `5 m 00 s`, `2 h 05 m`.
#[must_use]
pub fn interval(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        10..120 => format!("{:.1} s", span.as_secs_f64()),
        7_200.. => format!("{} h {:02} m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format_duration(span),
    }
}

#[cfg(test)]
mod tests;
