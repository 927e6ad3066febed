//! Makes the record of a case, and reports the records in order.

use super::Suite;
use crate::reply;
use crate::suite::event::{CaseRecord, Event, Stored};
use crate::suite::verdict::{Cause, Observed, judge};
use crate::suite::{Case, CaseDelivery, CaseMethod, SuiteOptions, guards};

impl<F: FnMut(Event)> Suite<'_, F> {
    pub(super) fn record(&mut self, case: &Case, observed: &[Observed]) -> CaseRecord {
        let expects = case.expects_with(&self.options.account);
        self.remarks.note(case, expects, observed);
        if self.read_back.is_some() {
            self.recorded = Some((*case, observed.to_vec()));
        }
        let mut verdict = judge(case, expects, observed, self.options.max_latency);
        if let CaseDelivery::Forged(forgery) = case.delivery
            && let Some(taken) = guards::taken(&self.options.guards, forgery, case.method, observed)
        {
            verdict.got = format!("{}; {taken}", verdict.got);
        }
        let took = observed.iter().map(|observed| observed.latency).max();
        let mut record = CaseRecord::passed(case, expects, verdict.got, took.unwrap_or_default());
        if let Some(cause) = verdict.cause {
            record.change = self.requests(case).change(case);
            let failed = verdict.failed.and_then(|n| observed.get(n));
            if let Some(failed) = failed.or(observed.first()) {
                self.mark_failed(&mut record, cause, failed);
            }
        }
        record
    }

    /// Keeps the exchange that a record has already.
    pub(super) fn mark_failed(&self, record: &mut CaseRecord, cause: Cause, observed: &Observed) {
        record.ok = false;
        record.cause = Some(cause);
        let status = observed.answer.as_ref().map(|response| response.status);
        record.advice = Some(match (record.name, status) {
            ("get-is-accepted", Ok(404)) if self.accepted.contains(&CaseMethod::Post) => {
                reply::GET_IS_NOT_ROUTED
            }
            _ => cause.advice_on(&observed.sent, &observed.answer),
        });
        if record.sent.is_none() {
            record.show(observed, self.destination);
        }
        record.repeat = Some(self.repeat(record.name));
    }

    /// The command that repeats a case, or the whole run if there is no name.
    pub(super) fn repeat(&self, case: &str) -> String {
        let only = if case.is_empty() { "" } else { " --only " };
        let SuiteOptions {
            command, seed, at, ..
        } = self.options;
        let handler = &self.options.handler_command;
        format!("{command}{only}{case} --seed {seed} --at {at}{handler}")
    }

    /// With `--read-back`, records are held in order until their verdicts are final.
    pub(super) async fn report(&mut self, mut record: CaseRecord) {
        let log = self.handler.as_ref().map(|handler| handler.take_output());
        if record.failed() {
            record.log = log.unwrap_or_default();
        }
        let recorded = self.recorded.take();
        let Some(read_back) = &mut self.read_back else {
            return self.emit(record);
        };
        let passed = recorded.filter(|_| record.ok);
        read_back.hold(record, passed).await;
        self.report_stored(false).await;
    }

    /// Reports the cases that were held for their stored records; with `wait`, all of them.
    pub(super) async fn report_stored(&mut self, wait: bool) {
        while let Some(read_back) = &mut self.read_back
            && let Some((mut record, fault)) = read_back.next(wait).await
        {
            if let Some(fault) = fault {
                record.got = format!("{}; {}", record.got, fault.difference.text);
                let (mistake, found) = (fault.difference.mistake, fault.found);
                record.stored = Some(Stored { mistake, found });
                self.mark_failed(&mut record, fault.difference.cause, &fault.observed);
            }
            self.emit(record);
        }
    }

    fn emit(&mut self, record: CaseRecord) {
        self.records.push(record.clone());
        (self.on_event)(Event::Case(Box::new(record)));
    }
}
