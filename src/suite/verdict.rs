//! Judges the answers to a case, without I/O: the expected answer, and the cause and the advice of a failure.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{Case, CaseDelivery, CasePayload, Change, Family};
use crate::cdr::account::AccountOptions;
use crate::cdr::{Grade, schema};
use crate::clock::format_duration;
use crate::net::raw::Script;
use crate::net::{Failure, FailureKind, Phase, Request, Response};
use crate::reply;
use crate::send::expect::status_words;

/// [`Case::expects`] derives the expected answer from the family, the grade and the delivery of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expects {
    Accepted,
    /// `Expects::Sample` is any answer: the documented sample has the app id of another account and an old time, which
    /// a handler may refuse.
    Sample,
    SameAgain,
    /// `Expects::AcceptedOrLength` is 2xx, or 411, by which a handler asks for a `Content-Length` (RFC 9112, 6.3).
    AcceptedOrLength,
    /// `Expects::Answered` is any status below 500, or 501 or 505, because TeleCMI is not known to send such requests.
    Answered,
    /// `Expects::AnsweredOrClosed` also allows a closed connection, because the request is not valid HTTP.
    AnsweredOrClosed,
    /// `Expects::AcceptedMeanwhile` is 2xx to a good CDR while a script holds another connection open.
    AcceptedMeanwhile,
    Prompt,
    /// `Expects::Refused` is no 2xx, and no failure of the handler.
    Refused,
}

impl Expects {
    pub fn words(self, case: &Case) -> String {
        let words = match self {
            Self::Accepted => "2xx",
            Self::Sample => "any answer, since a handler may refuse another account or an old call",
            Self::AcceptedOrLength => "2xx, or 411",
            Self::Answered if matches!(case.payload, CasePayload::Object(_)) => {
                "any answer below 500, since it is no CDR of an outgoing call"
            }
            Self::SameAgain => "2xx, and the same status class for the copy",
            Self::Answered if case.family == Family::Tolerant => {
                "any answer below 500, since it is not known to happen"
            }
            Self::Answered => "any answer below 500",
            Self::AnsweredOrClosed => "any answer below 500, or a close",
            Self::AcceptedMeanwhile => "2xx to a good CDR meanwhile",
            Self::Prompt => "2xx to all in time",
            Self::Refused => "401, 403 or any other refusal",
        };
        let after = (case.family == Family::Survives).then_some("; then 2xx to a good CDR");
        format!("{words}{}", after.unwrap_or_default())
    }
}

impl Case {
    pub fn expects(&self) -> Expects {
        match (self.family, self.delivery) {
            (Family::Accepts, _) => match self.payload {
                CasePayload::Scenario(name, ..) if name.starts_with("docs-") => Expects::Sample,
                _ => Expects::Accepted,
            },
            (Family::Idempotent, _) => Expects::SameAgain,
            (Family::Tolerant, _) => match self.grade {
                _ if matches!(self.payload, CasePayload::Object(_)) => Expects::Answered,
                Grade::Inferred if self.adds_field() => Expects::Accepted,
                _ if matches!(self.delivery, CaseDelivery::ContentType(Some(_))) => {
                    Expects::Accepted
                }
                Grade::Doc | Grade::Seen | Grade::Calc => Expects::Accepted,
                Grade::Inferred | Grade::Unknown | Grade::Hostile => Expects::Answered,
            },
            (Family::Survives, CaseDelivery::Raw(script)) if script.holds_connection() => {
                Expects::AcceptedMeanwhile
            }
            (Family::Survives, CaseDelivery::Raw(Script::Dripped(_))) => Expects::Accepted,
            (Family::Survives, CaseDelivery::Raw(Script::Chunked(_))) => Expects::AcceptedOrLength,
            (Family::Survives, CaseDelivery::Raw(script)) if !script.is_good_http() => {
                Expects::AnsweredOrClosed
            }
            (Family::Survives, _) => Expects::Answered,
            (Family::Prompt, _) => Expects::Prompt,
            (Family::Guard, _) => Expects::Refused,
        }
    }

    /// A field that a flag sets may be the handler's secret, so that a case which changes the field may be refused.
    pub fn expects_with(&self, account: &AccountOptions) -> Expects {
        let given = [
            ("custom", account.custom.is_some()),
            ("appid", account.app_id.is_some()),
            ("user", account.agent.is_some()),
            ("virtual_number", account.virtual_number.is_some()),
            ("to", account.customer.is_some()),
        ];
        let mut given = given.into_iter().filter(|(_, given)| *given);
        let changes_given = given.any(|(name, _)| self.changes(name));
        match self.expects() {
            Expects::Accepted | Expects::AcceptedOrLength | Expects::SameAgain if changes_given => {
                Expects::Answered
            }
            expects => expects,
        }
    }

    fn changes(&self, field: &str) -> bool {
        match self.payload {
            CasePayload::Changed(changes) => changes.iter().any(|change| change.name() == field),
            CasePayload::Scenario("legacy", ..) => matches!(field, "custom" | "virtual_number"),
            _ => false,
        }
    }

    /// A handler may drop a CDR that TeleCMI is not known to send, unless it is a good one with another text in `custom`.
    pub fn may_be_dropped(&self, expects: Expects) -> bool {
        let changes_text = matches!(
            self.payload,
            CasePayload::Changed([Change::Text("custom", _)])
        );
        !changes_text
            && matches!(
                expects,
                Expects::Answered | Expects::AnsweredOrClosed | Expects::Sample
            )
    }

    fn adds_field(&self) -> bool {
        let is_added = |change: &Change| schema::documented(change.name()).is_none();
        matches!(self.payload, CasePayload::Changed(changes) if changes.iter().all(is_added))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    pub sent: Request,
    pub answer: Result<Response, Failure>,
    pub latency: Duration,
}

impl Observed {
    pub fn accepted(&self) -> bool {
        matches!(&self.answer, Ok(response) if (200..300).contains(&response.status))
    }

    /// Any answer but a failure of the handler.
    pub fn answered(&self) -> bool {
        matches!(&self.answer, Ok(response) if response.status < 500)
    }

    /// A request is `unreached` if it failed before the connection was established, TLS included.
    pub fn unreached(&self) -> bool {
        matches!(&self.answer, Err(failure) if failure.phase <= Phase::Tls)
    }

    pub fn words(&self) -> String {
        match &self.answer {
            Ok(response) => status_words(response.status),
            Err(failure) => failure.text.clone(),
        }
    }
}

/// The variants of `Cause` are ranked, the worst failure first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Unreachable,
    /// `Cause::Stopped`: the handler did not accept a good CDR after the case.
    Stopped,
    /// `Cause::Refusing`: the handler answers after the case, but does not accept good CDRs.
    Refusing,
    /// `Cause::Blocked`: the handler did not accept a good CDR while another connection was open.
    Blocked,
    /// `Cause::Unanswered`: the handler closed the connection or timed out instead of responding.
    Unanswered,
    ServerError,
    /// `Cause::NotStored`: a CDR that was accepted cannot be read back.
    NotStored,
    /// `Cause::LegLost`: of the legs of a call, one cannot be read back.
    LegLost,
    Duplicated,
    Inexact,
    TextChanged,
    /// `Cause::KeptRefused`: a CDR that was refused can be read back.
    KeptRefused,
    /// `Cause::Unguarded`: a CDR without the right secret was accepted.
    Unguarded,
    Refused,
    /// `Cause::Differs`: the handler accepted the original and refused a copy.
    Differs,
    Slow,
}

impl Cause {
    pub fn words(self) -> &'static str {
        self.words_and_advice().0
    }

    pub fn advice(self) -> &'static str {
        self.words_and_advice().1
    }

    #[rustfmt::skip]
    fn words_and_advice(self) -> (&'static str, &'static str) {
        match self {
            Self::Unreachable => ("nobody is there",
                "is the handler running, and are host and port right?"),
            Self::Stopped => ("the handler crashed or hung",
                "look at the end of its log for the exception that ended the process, or its loop"),
            Self::Refusing => ("the handler answers, but refuses every good CDR since",
                "look for what the case leaves behind: an aborted transaction, a lock, a connection or file that stays open"),
            Self::Blocked => ("one silent connection blocks everybody",
                "serve connections beside one another (threads, workers, async) and give silent ones a timeout, or put a proxy in front that buffers (gunicorn wants one)"),
            Self::Unanswered => ("no answer where one was due",
                "an exception in a bare server closes the connection: catch it, and answer 400"),
            Self::ServerError => ("the handler failed (5xx)",
                "its own log has the traceback: catch what the input can cause, and answer 2xx or 4xx"),
            Self::NotStored => ("a CDR that got 2xx is not stored",
                "answer 2xx once the CDR is stored, by GET too; if it is stored later, raise --read-back-within; if nothing is found at all, is the --read-back right?"),
            Self::LegLost => ("a leg of a call is lost",
                "key records by cmiuuid, which names a leg: the legs of a call share call_id, request_id, user and time"),
            Self::Duplicated => ("a CDR is stored more than once",
                "give cmiuuid a unique key, and let the database ignore or update a second insert"),
            Self::Inexact => ("a number is not stored as it was sent",
                "`to` and `time` need 64 bits: BIGINT or text, and no float; time is in milliseconds"),
            Self::TextChanged => ("a text is not stored as it was sent",
                "store a text as it came: UTF-8 (MySQL: utf8mb4), a query decoded once, nothing cut, escaped or changed"),
            Self::KeptRefused => ("what was refused is stored all the same",
                "check before the first write, or write in one transaction that a refusal rolls back"),
            Self::Unguarded => ("a CDR without the secret is taken",
                "anybody who finds the URL can post: compare the secret before anything else, and answer 401 or 403"),
            Self::Refused => ("a CDR that TeleCMI sends is refused",
                "find the check that says no, and let this form pass"),
            Self::Differs => ("a copy is answered differently",
                "make the write an upsert by cmiuuid, and answer a repeat as the first time"),
            Self::Slow => ("too slow",
                "answer first and work afterwards, or let more than one worker serve"),
        }
    }

    /// Advice follows the answer; causes that are no matter of one answer have advice of their own.
    pub fn advice_on(self, sent: &Request, answer: &Result<Response, Failure>) -> &'static str {
        use Cause::{Refused, Refusing, ServerError, Unanswered, Unreachable};
        let is_of_one_answer = matches!(
            self,
            Refused | Refusing | ServerError | Unanswered | Unreachable
        );
        let by_answer = match answer {
            Ok(response) => reply::advice_on_response(&sent.method, response),
            Err(failure) => reply::advice_on_failure(failure),
        };
        let by_answer = by_answer.filter(|_| is_of_one_answer);
        by_answer.unwrap_or_else(|| self.advice())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseVerdict {
    pub got: String,
    pub cause: Option<Cause>,
    /// The index of the first request with the worst answer.
    pub failed: Option<usize>,
}

pub fn judge(
    case: &Case,
    expects: Expects,
    observed: &[Observed],
    max_latency: Duration,
) -> CaseVerdict {
    let answers = observed.iter().enumerate();
    let causes = answers.filter_map(|(n, observed)| Some((cause_of(expects, n, observed)?, n)));
    let worst = causes.min();
    let mut cause = worst.map(|(cause, _)| cause);
    let slowest = observed.iter().map(|observed| observed.latency).max();
    let slowest = slowest.unwrap_or_default();
    let mut got = summed(observed);
    match expects {
        Expects::Prompt if slowest > max_latency => {
            // `Cause::Unanswered` may be a timeout, by which the client ended a slow request.
            if cause.is_none_or(|cause| cause == Cause::Unanswered) {
                cause = Some(Cause::Slow);
            }
            if observed.iter().any(Observed::accepted) {
                let (slowest, most) = (format_duration(slowest), format_duration(max_latency));
                got = format!("{got}; the slowest took {slowest}, allowed are {most}");
            }
        }
        Expects::AcceptedMeanwhile => {
            got = format!("{got} meanwhile");
            // The probes have shown that the handler accepts good CDRs: the held connection must be the reason.
            cause = cause.map(|_| Cause::Blocked);
        }
        _ => {}
    }
    // The idle connections are the only load that can delay the single request of `CaseDelivery::WithIdleConnections`.
    if matches!(case.delivery, CaseDelivery::WithIdleConnections(_))
        && matches!(cause, Some(Cause::Slow | Cause::Unanswered))
    {
        cause = Some(Cause::Blocked);
    }
    // If the originals were refused as their copies are, the refusal is the fault.
    let accepted: Vec<bool> = observed.iter().map(Observed::accepted).collect();
    let (originals, copies) = accepted.split_at(observed.len() / 2);
    if cause == Some(Cause::Differs) && originals == copies {
        cause = Some(Cause::Refused);
    }
    let failed = worst.map(|(_, n)| n);
    CaseVerdict { got, cause, failed }
}

/// `cause_of` returns `None` for an expected answer; `n` is the index of the request within the case.
fn cause_of(expects: Expects, n: usize, observed: &Observed) -> Option<Cause> {
    if expects == Expects::Sample {
        return None;
    }
    let lenient = matches!(expects, Expects::Answered | Expects::AnsweredOrClosed);
    let refused = match expects {
        _ if lenient || expects == Expects::Refused => None,
        Expects::SameAgain if n > 0 => Some(Cause::Differs),
        _ => Some(Cause::Refused),
    };
    match &observed.answer {
        Ok(response) => match response.status {
            200..300 if expects == Expects::Refused => Some(Cause::Unguarded),
            200..300 => None,
            411 if expects == Expects::AcceptedOrLength => None,
            // By 501 or 505, the handler says that it does not support the method, the transfer coding or the HTTP
            // version (RFC 9110, 15.6).
            501 | 505 if lenient => None,
            500.. => Some(Cause::ServerError),
            _ => refused,
        },
        Err(failure) => match failure.kind {
            FailureKind::Redirect => refused,
            FailureKind::Timeout => Some(Cause::Unanswered),
            _ if expects == Expects::AnsweredOrClosed && !observed.unreached() => None,
            _ => Some(Cause::Unanswered),
        },
    }
}

/// Equal consecutive answers are joined with a count: `200 OK ×2`.
fn summed(observed: &[Observed]) -> String {
    if observed.is_empty() {
        return "reset on purpose".to_owned();
    }
    let words: Vec<_> = observed.iter().map(Observed::words).collect();
    let runs = words.chunk_by(|one, next| one == next);
    let runs = runs.map(|run| match run.len() {
        1 => run[0].clone(),
        count => format!("{} ×{count}", run[0]),
    });
    runs.collect::<Vec<_>>().join(", then ")
}

#[cfg(test)]
mod tests {
    use super::super::cases::table;
    use super::*;

    const MOST: Duration = Duration::from_secs(5);

    fn case(name: &str) -> &'static Case {
        table().find(|case| case.name == name).expect("a case")
    }

    fn status(status: u16) -> Observed {
        Observed {
            sent: Request::new("POST", "/cdr", Vec::new(), ""),
            answer: Ok(Response::new(status, Vec::new(), "")),
            latency: Duration::from_millis(3),
        }
    }

    fn failed(kind: FailureKind, phase: Phase) -> Observed {
        let failure = Failure {
            phase,
            kind,
            text: "no good".to_owned(),
            hint: None,
        };
        Observed {
            sent: Request::new("POST", "/cdr", Vec::new(), ""),
            answer: Err(failure),
            latency: Duration::from_millis(3),
        }
    }

    fn cause(name: &str, observed: &[Observed]) -> Option<Cause> {
        judge(case(name), case(name).expects(), observed, MOST).cause
    }

    #[test]
    fn what_happens_must_be_accepted_and_oddities_only_answered() {
        assert_eq!(cause("custom-none", &[status(204)]), None);
        assert_eq!(cause("custom-none", &[status(400)]), Some(Cause::Refused));
        assert_eq!(cause("time-in-seconds", &[status(422)]), None);
        assert_eq!(
            cause("unknown-text-field", &[status(422)]),
            Some(Cause::Refused)
        );
        assert_eq!(cause("dangerous-field-names", &[status(422)]), None);
        assert_eq!(cause("live-event", &[status(422)]), None);
        assert_eq!(cause("post-docs-leg-a", &[status(401)]), None);
        assert_eq!(
            cause("post-docs-leg-a-yours", &[status(401)]),
            Some(Cause::Refused)
        );
        assert_eq!(
            cause("time-in-seconds", &[status(500)]),
            Some(Cause::ServerError)
        );
        assert_eq!(
            cause(
                "post-is-accepted",
                &[failed(FailureKind::Redirect, Phase::Read)]
            ),
            Some(Cause::Refused)
        );
        assert_eq!(
            cause("html", &[failed(FailureKind::Redirect, Phase::Read)]),
            None
        );
    }

    #[test]
    fn a_close_is_an_answer_only_to_what_is_no_http() {
        let closed = failed(FailureKind::Closed, Phase::Wait);
        let silent = failed(FailureKind::Timeout, Phase::Wait);
        assert_eq!(
            cause("null", std::slice::from_ref(&closed)),
            Some(Cause::Unanswered)
        );
        assert_eq!(cause("chunked", &[status(411)]), None);
        assert_eq!(cause("chunked", &[status(400)]), Some(Cause::Refused));
        assert_eq!(cause("byte-by-byte", &[status(400)]), Some(Cause::Refused));
        assert_eq!(
            cause("chunked", std::slice::from_ref(&closed)),
            Some(Cause::Unanswered)
        );
        assert_eq!(cause("cut-short", &[closed]), None);
        assert_eq!(cause("cut-short", &[silent]), Some(Cause::Unanswered));
        assert_eq!(cause("cut-short", &[status(500)]), Some(Cause::ServerError));
        assert_eq!(cause("options", &[status(501)]), None);
        assert_eq!(
            cause("get-is-accepted", &[status(501)]),
            Some(Cause::ServerError)
        );
        assert_eq!(cause("reset-mid-body", &[]), None);
    }

    #[test]
    fn a_copy_is_held_against_its_original() {
        assert_eq!(cause("duplicate", &[status(200), status(204)]), None);
        assert_eq!(
            cause("duplicate", &[status(200), status(409)]),
            Some(Cause::Differs)
        );
        assert_eq!(
            cause("duplicate", &[status(200), status(500)]),
            Some(Cause::ServerError)
        );
        let refused_leg = [status(200), status(422), status(200), status(422)];
        assert_eq!(
            cause("answered-duplicate", &refused_leg),
            Some(Cause::Refused)
        );
        assert_eq!(
            cause("duplicate", &[status(400), status(400)]),
            Some(Cause::Refused)
        );
    }

    #[test]
    fn slowness_is_not_taken_for_death() {
        let slow = Observed {
            latency: Duration::from_secs(6),
            ..status(200)
        };
        let verdict = judge(
            case("twenty-at-once"),
            Expects::Prompt,
            &[status(200), slow.clone()],
            MOST,
        );
        assert_eq!(verdict.cause, Some(Cause::Slow));
        assert_eq!(
            verdict.got,
            "200 OK ×2; the slowest took 6.00 s, allowed are 5.00 s"
        );
        assert_eq!(
            cause("beside-an-idle-connection", &[slow]),
            Some(Cause::Blocked)
        );
        assert_eq!(
            cause("stalled-body", &[failed(FailureKind::Timeout, Phase::Wait)]),
            Some(Cause::Blocked)
        );
    }

    #[test]
    fn answers_are_summed_up() {
        let observed = [status(200), status(200), status(500)];
        assert_eq!(
            summed(&observed),
            "200 OK ×2, then 500 Internal Server Error"
        );
    }
}
