//! Checks after a case that the handler still accepts a good CDR, and blames the case if not.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::Suite;
use super::side_by_side::holds_connection;
use crate::clock::format_duration;
use crate::suite::event::{CaseRecord, Event, Reply};
use crate::suite::read_back::ReadBack;
use crate::suite::requests::CaseRequests;
use crate::suite::verdict::{Cause, Observed};
use crate::suite::{Case, CaseMethod, Family};

/// The first recovery check follows 100 ms after a failed liveness check; the delay doubles with each further check.
const FIRST_RECOVERY_WAIT: Duration = Duration::from_millis(100);

impl<F: FnMut(Event)> Suite<'_, F> {
    pub(super) async fn ask(&mut self, case: &'static Case, requests: CaseRequests) -> CaseRecord {
        let observed = self.client_for(case).deliver(case, &requests).await;
        self.check(case, &requests, &observed, Instant::now()).await
    }

    /// Makes the record of a case that ended at `ended`, after a liveness check. A slow handler that has answered gets no
    /// check: the answers to the next cases show that the handler still works.
    pub(super) async fn check(
        &mut self,
        case: &'static Case,
        requests: &CaseRequests,
        observed: &[Observed],
        ended: Instant,
    ) -> CaseRecord {
        let record = self.record(case, observed);
        if holds_connection(case) && self.serves_several.is_none() {
            self.serves_several = Some(record.ok);
        }
        if observed.iter().all(Observed::accepted) {
            self.unchecked.clear();
        }
        self.unchecked.push(case.name);
        if self.is_slow() && !observed.is_empty() && observed.iter().all(Observed::answered) {
            return record;
        }
        self.check_after(case, requests, record, ended).await
    }

    /// Sends a good CDR after a case. If the handler does not accept that, the case is blamed, and runs again by itself
    /// once the handler is back.
    async fn check_after(
        &mut self,
        case: &'static Case,
        requests: &CaseRequests,
        mut record: CaseRecord,
        ended: Instant,
    ) -> CaseRecord {
        let deliveries = self.quick.deliveries();
        let pauses = self.options.pauses;
        let part = if case.family == Family::Survives {
            1
        } else {
            2
        };
        sleep_until(ended + pauses.settle_delay / part).await;
        let first = self.send_good(requests, 1).await;
        if first.accepted() {
            self.unchecked.clear();
            self.remarks.note_latency(first.latency);
            self.adapt(first.latency).await;
            return record;
        }
        let back = self.recovery(requests).await;
        self.read_back.iter_mut().for_each(ReadBack::forget);
        let recovered = back.is_some();
        let after = back.unwrap_or_else(|| {
            let most = format_duration(pauses.recovery_timeout);
            format!("it did not come back within {most}")
        });
        let (got, words) = (&record.got, first.words());
        record.got = format!("{got}; the next good CDR: {words}; {after}");
        if self.unchecked.len() > 1 {
            let names = self.unchecked.join(", ");
            let _ = write!(record.got, "; asked since the last good CDR: {names}");
        }
        // A *prompt* case keeps its own cause if the handler recovered: the handler was busy, not down.
        if case.family != Family::Prompt || record.cause.is_none() || !recovered {
            let cause = match first.answer {
                Ok(_) => Cause::Refusing,
                Err(_) => Cause::Stopped,
            };
            record.then = Some(Box::new(Reply::of(&first.answer)));
            self.mark_failed(&mut record, cause, &first);
            if recovered && self.passes_alone(case, requests).await {
                let _ = write!(
                    record.got,
                    "; by itself the case passes: after {deliveries} deliveries, not by this case alone"
                );
                record.repeat = Some(self.repeat(""));
            } else if !recovered {
                let _ = write!(
                    record.got,
                    "; {deliveries} deliveries came before: if the case passes on a fresh handler, their number is the reason"
                );
            }
        }
        if !recovered {
            let name = case.name;
            self.down_since = Some(name);
            let note = format!("the handler is down since {name}: the rest is skipped");
            (self.on_event)(Event::Note(note));
        }
        record
    }

    async fn send_good(&self, requests: &CaseRequests, n: u64) -> Observed {
        let method = self.accepted.first().unwrap_or(&CaseMethod::Post);
        self.quick.send(&requests.liveness_check(n, *method)).await
    }

    /// Runs a case again with other identifiers, and a good CDR behind it. If the case has ended the handler again, waits
    /// for its recovery, so that the next case is not blamed.
    async fn passes_alone(&mut self, case: &Case, requests: &CaseRequests) -> bool {
        let again = requests.clone().renewed();
        let observed = self.client_for(case).deliver(case, &again).await;
        sleep(self.options.pauses.settle_delay).await;
        let is_back = self.send_good(&again, 0).await.accepted();
        if !is_back {
            let _ = self.recovery(&again).await;
        }
        is_back && self.verdict(case, &observed).cause.is_none()
    }

    /// Sends good CDRs until one is accepted, and starts the command of `-- CMD` again if that has ended or hangs.
    /// Returns how the handler came back; `None` if it did not within the recovery timeout.
    async fn recovery(&mut self, requests: &CaseRequests) -> Option<String> {
        let began = Instant::now();
        let mut wait = FIRST_RECOVERY_WAIT;
        for n in 2.. {
            // A crashed command may close its port some time before its process ends.
            if let Some(restarted) = self.restart(false).await {
                return restarted.ok();
            }
            if n == 2 {
                let note = "the handler has stopped taking good CDRs: waiting for it to come back";
                (self.on_event)(Event::Note(note.to_owned()));
            }
            let until = began + self.options.pauses.recovery_timeout;
            sleep_until(until.min(Instant::now() + wait)).await;
            let Ok(good) = timeout_at(until, self.send_good(requests, n)).await else {
                break;
            };
            if good.accepted() {
                let after = format_duration(began.elapsed());
                return Some(format!("it was back {after} later"));
            }
            wait *= 2;
        }
        self.restart(true).await?.ok()
    }

    /// Starts the handler of `-- CMD` again if its command has ended, or with `always`, and says how the command ended.
    async fn restart(&mut self, always: bool) -> Option<Result<String, ()>> {
        let handler = self.handler.as_mut()?;
        let ended = match handler.ended().await {
            Some(ended) => format!("the command ended {}", ended.words()),
            None if always => "the command hung".to_owned(),
            None => return None,
        };
        let restarted = handler.restart().await;
        if let Err(error) = &restarted {
            (self.on_event)(Event::Note(error.to_string()));
        }
        let words = format!("{ended}, and was started again");
        Some(restarted.map(|()| words).map_err(drop))
    }
}
