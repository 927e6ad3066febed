//! Runs the cases: the two probes first, then each case, until the handler is down.

mod liveness;
mod side_by_side;

use std::rc::Rc;
use std::slice;
use std::time::Duration;

use tokio::time::Instant;

use super::cases::{PROBES, allowed, matches, select};
use super::deliver::{RateLimiter, SuiteClient};
use super::event::{CaseRecord, Event, Started, Stored, SuiteSummary};
use super::explain::accepted_changes;
use super::fuzz;
use super::handler::HandlerProcess;
use super::read_back::ReadBack;
use super::remarks::{Remark, Remarks};
use super::requests::{CaseRequests, other_host};
use super::verdict::{CaseVerdict, Cause, Expects, Observed, judge};
use super::{Case, CaseDelivery, CaseMethod, Family, SuiteOptions, guards};
use crate::error::{Error, Stop};
use crate::net::client::ClientOptions;
use crate::net::secret::is_secret_name;
use crate::net::{Destination, FailureKind, Phase, Request};
use crate::reply;

/// The timeout of *survives* cases is at least 3 seconds, unless `--max-latency` or `--timeout` is lower.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(3);

/// The timeout of *survives* cases is 20 times the latency of a good CDR.
const GOOD_LATENCIES: u32 = 20;

/// Runs the selected cases against a handler and reports each to `on_event`. When `stop` resolves, the run ends and the
/// summary counts the completed cases.
pub async fn run(
    options: &SuiteOptions,
    destination: &Destination,
    client_options: &ClientOptions,
    handler: Option<&mut HandlerProcess>,
    stop: impl Future<Output = Stop>,
    on_event: impl FnMut(Event),
) -> Result<SuiteSummary, Error> {
    let (cases, left_out) = chosen(options)?;
    let mut suite = Suite::new(options, destination, client_options, handler, on_event)?;
    let began = Instant::now();
    (suite.on_event)(Event::Started(Started {
        seed: options.seed,
        url: destination.to_string(),
        at: options.at,
        cases: cases.len(),
    }));
    let stopped = {
        // The future of `ask_all` is boxed because it is large.
        let asking = Box::pin(suite.ask_all(&cases));
        tokio::select! {
            biased;
            why = stop => Some(why.exit()),
            asked = asking => {
                asked?;
                None
            }
        }
    };
    let mut summary = SuiteSummary::of(suite.records, began.elapsed(), stopped);
    summary.remarks = suite.remarks.list();
    let stored = suite.read_back.map(ReadBack::remarks);
    summary.remarks.extend(stored.unwrap_or_default());
    if options.only.is_empty() && summary.ok > 0 && has_no_secret(options, destination) {
        let text = "neither the URL nor a header has a secret, so anybody who finds the URL can post to it; --guard tests a secret";
        summary.remarks.push(Remark::of_run(text.to_owned()));
    }
    if !options.only.is_empty() {
        for flag in ["--guard", "--read-back"] {
            let cases = left_out.iter();
            let cases = cases.filter(|case| case.needed_flag() == Some(flag));
            let cases: Vec<_> = cases.map(|case| case.name).collect();
            if !cases.is_empty() {
                let text = format!("not run without {flag}");
                summary.remarks.push(Remark { text, cases });
            }
        }
    }
    summary.has_read_back = options.read_back.is_some();
    if let Some(baseline) = &options.baseline {
        baseline.apply(&mut summary);
    }
    (suite.on_event)(Event::Finished(Box::new(summary.clone())));
    Ok(summary)
}

/// Returns whether nothing that is sent looks like a secret. The last part of a path is one if it is long and has a digit.
fn has_no_secret(options: &SuiteOptions, destination: &Destination) -> bool {
    let target = destination.target();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let last = path.rsplit('/').next().unwrap_or_default();
    let in_path = last.len() >= 8 && last.contains(|c: char| c.is_ascii_digit());
    let mut headers = options.headers.iter();
    let in_header = headers.any(|header| is_secret_name(&header.name));
    let in_cdr = options.account.custom.is_some() || options.account.app_id.is_some();
    let in_url = !query.is_empty() || destination.authorization.is_some();
    options.guards.is_empty() && !(in_path || in_header || in_cdr || in_url)
}

/// Selects the cases to run, and those that are left out because they need a flag which is not given.
fn chosen(options: &SuiteOptions) -> Result<(Cases, Cases), Error> {
    let fuzz = fuzz::cases(options.fuzz, options.seed);
    let cases = select(&options.only, &options.skip, options.methods, &fuzz);
    let cases = cases.map_err(Error::Usage)?.into_iter();
    let (run, left_out): (Cases, Cases) =
        cases.partition(|case| case.missing_flag(options).is_none());
    match left_out.first().and_then(|case| case.needed_flag()) {
        Some(flag) if run.is_empty() => Err(Error::Usage(format!(
            "no case is left to run: these need {flag}"
        ))),
        _ => Ok((run, left_out)),
    }
}

type Cases = Vec<&'static Case>;

/// Returns the requests of the selected cases with their names; `None` for a request of raw bytes.
pub fn requests(
    options: &SuiteOptions,
    destination: &Destination,
) -> Result<Vec<(&'static str, Option<Request>)>, Error> {
    let (cases, _) = chosen(options)?;
    let of_case = |case: &'static Case| {
        let requests = CaseRequests::new(case, options, destination).requests(case);
        let is_raw = matches!(case.delivery, CaseDelivery::Raw(_));
        let request = move |request| (case.name, (!is_raw).then_some(request));
        requests.into_iter().map(request)
    };
    Ok(cases.into_iter().flat_map(of_case).collect())
}

struct Suite<'a, F> {
    options: &'a SuiteOptions,
    destination: &'a Destination,
    handler: Option<&'a mut HandlerProcess>,
    read_back: Option<ReadBack>,
    /// The case that was recorded last, with its answers, which `read_back` needs.
    recorded: Option<(Case, Expects, Vec<Observed>)>,
    on_event: F,
    /// The timeout of `ordinary` is `--max-latency`.
    ordinary: SuiteClient<'a>,
    /// The client `quick` has a short timeout, for *survives* cases and liveness checks.
    quick: SuiteClient<'a>,
    /// The client `unhurried` has the full `--timeout`, for concurrent requests, whose latency is judged afterwards.
    unhurried: SuiteClient<'a>,
    /// `accepted` holds the methods by which the handler accepted a good CDR.
    accepted: Vec<CaseMethod>,
    /// The latencies of the last good CDRs, of which the lowest counts.
    latencies: [Duration; 3],
    /// Whether the handler serves several requests at once; `None` if that is not known.
    serves_several: Option<bool>,
    remarks: Remarks,
    /// `down_since` names the case after which the handler did not recover.
    down_since: Option<&'static str>,
    /// The cases since the last good CDR that was accepted.
    unchecked: Vec<&'static str>,
    records: Vec<CaseRecord>,
}

impl<'a, F: FnMut(Event)> Suite<'a, F> {
    fn new(
        options: &'a SuiteOptions,
        destination: &'a Destination,
        client_options: &'a ClientOptions,
        handler: Option<&'a mut HandlerProcess>,
        on_event: F,
    ) -> Result<Self, Error> {
        let unhurried = SuiteClient::new(
            destination,
            client_options,
            client_options.timeout,
            options.pauses.settle_delay,
            Rc::new(RateLimiter::new(options.rate)),
        )?;
        let read_back = options.read_back.as_ref().map(|read_back| {
            ReadBack::new(read_back, destination, client_options, handler.as_deref())
        });
        Ok(Self {
            options,
            destination,
            handler,
            read_back: read_back.transpose()?,
            recorded: None,
            on_event,
            ordinary: unhurried.with_timeout(options.max_latency)?,
            quick: unhurried.with_timeout(options.max_latency)?,
            unhurried,
            latencies: [Duration::ZERO; 3],
            serves_several: None,
            remarks: Remarks::default(),
            accepted: Vec::new(),
            down_since: None,
            unchecked: Vec::new(),
            records: Vec::new(),
        })
    }

    async fn ask_all(&mut self, cases: &[&'static Case]) -> Result<(), Error> {
        let probes = self.probe().await?;
        if let Some((case, observed)) = probes.iter().find(|(_, observed)| observed.unreached()) {
            let mut record = self.record(case, slice::from_ref(observed));
            self.mark_failed(&mut record, Cause::Unreachable, observed);
            record.why = None;
            self.report(record).await;
            return Ok(());
        }
        let good = probes.iter().find(|(_, observed)| observed.accepted());
        if let (Some(read_back), Some((case, observed))) = (&mut self.read_back, good) {
            let requests = CaseRequests::new(case, self.options, self.destination);
            let learned = read_back.learn(case, observed, &self.ordinary, &requests);
            learned.await?;
        }
        let refused = probes.iter().find(|(_, observed)| is_refusal(observed));
        let refused = refused.map(|(probe, _)| probe.name);
        // Cases are skipped for a failed probe, so the probe is reported even if `--only` does not name it.
        let skip = &self.options.skip;
        let is_added = |(probe, observed): &&(&Case, Observed)| {
            !observed.accepted()
                && cases.iter().any(|case| case.method.needs(probe.method))
                && cases.iter().all(|case| case.name != probe.name)
                && !skip.iter().any(|pattern| matches(pattern, probe))
        };
        let added = probes.iter().filter(is_added).map(|(probe, _)| *probe);
        let cases: Vec<_> = added.chain(cases.iter().copied()).collect();
        let mut rest = cases.as_slice();
        while !rest.is_empty() {
            let (next, later) = rest.split_at(self.side_by_side(rest));
            rest = later;
            let [case] = *next else {
                self.ask_together(next).await;
                continue;
            };
            let probe = probes.iter().find(|(probe, _)| probe.name == case.name);
            let mut record = match (probe, self.reason_to_skip(case)) {
                (Some((_, observed)), _) => self.record(case, slice::from_ref(observed)),
                (None, Some(reason)) => CaseRecord::skipped(case, &reason),
                (None, None) => self.ask(case, self.requests(case)).await,
            };
            if refused == Some(case.name) {
                let text = "the good CDR is refused: finding out what the handler takes";
                (self.on_event)(Event::Note(text.to_owned()));
                let requests = self.requests(case);
                record.takes = accepted_changes(&self.ordinary, &requests, case.method).await;
            }
            self.report(record).await;
        }
        self.report_stored(true).await;
        Ok(())
    }

    /// Sends a good CDR by each method that `-X` allows; the timeout of `quick` depends on the latency.
    async fn probe(&mut self) -> Result<Vec<(&'static Case, Observed)>, Error> {
        let mut probes = Vec::with_capacity(PROBES.len());
        let mut slowest = None;
        for case in PROBES {
            if !allowed(case.method, self.options.methods) {
                continue;
            }
            let request = self.requests(case).requests(case).remove(0);
            let observed = self.ordinary.send(&request).await;
            if observed.accepted() {
                self.accepted.push(case.method);
                slowest = slowest.max(Some(observed.latency));
            }
            let unreached = observed.unreached();
            probes.push((case, observed));
            if unreached {
                break;
            }
        }
        if let Some(latency) = slowest {
            let timeout = SHORTEST_TIMEOUT.max(latency * GOOD_LATENCIES);
            let timeout = timeout.min(self.options.max_latency);
            self.quick = self.unhurried.with_timeout(timeout)?;
            self.latencies = [latency; 3];
            self.measure_if_slow().await;
        }
        Ok(probes)
    }

    fn reason_to_skip(&self, case: &Case) -> Option<String> {
        if let Some(name) = self.down_since {
            return Some(format!("the handler is down since {name}"));
        }
        let lacking = PROBES.iter().find(|probe| {
            case.method.needs(probe.method) && !self.accepted.contains(&probe.method)
        });
        if let Some(probe) = lacking {
            let (method, name) = (probe.method.name(0), probe.name);
            return Some(format!("no good CDR is taken by {method}, see {name}"));
        }
        if self.accepted.is_empty() {
            return Some("no good CDR is taken at all".to_owned());
        }
        (case.delivery == CaseDelivery::OtherHost && other_host(self.destination).is_none())
            .then(|| "only a handler on this machine has two names".to_owned())
    }

    fn client_for(&self, case: &Case) -> &SuiteClient<'a> {
        match (case.family, case.delivery) {
            (Family::Survives, _) => &self.quick,
            (_, CaseDelivery::Concurrent(_)) => &self.unhurried,
            _ => &self.ordinary,
        }
    }

    fn requests(&self, case: &Case) -> CaseRequests {
        CaseRequests::new(case, self.options, self.destination)
    }
}

/// Makes the records of cases, and reports the records in the order of the cases.
impl<F: FnMut(Event)> Suite<'_, F> {
    fn verdict(&self, case: &Case, observed: &[Observed]) -> CaseVerdict {
        let expects = case.expects_with(&self.options.account);
        judge(case, expects, observed, self.options.max_latency)
    }

    fn record(&mut self, case: &Case, observed: &[Observed]) -> CaseRecord {
        let expects = case.expects_with(&self.options.account);
        self.remarks.note(case, expects, observed);
        if self.read_back.is_some() {
            self.recorded = Some((*case, expects, observed.to_vec()));
        }
        let mut verdict = self.verdict(case, observed);
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
    fn mark_failed(&self, record: &mut CaseRecord, cause: Cause, observed: &Observed) {
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
    fn repeat(&self, case: &str) -> String {
        let only = if case.is_empty() { "" } else { " --only " };
        let SuiteOptions {
            command, seed, at, ..
        } = self.options;
        let handler = &self.options.handler_command;
        format!("{command}{only}{case} --seed {seed} --at {at}{handler}")
    }

    /// With `--read-back`, records are held in order until their verdicts are final.
    async fn report(&mut self, mut record: CaseRecord) {
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
    async fn report_stored(&mut self, wait: bool) {
        while let Some(read_back) = &mut self.read_back
            && let Some((mut record, fault)) = read_back.next(wait).await
        {
            if let Some(fault) = fault {
                record.got = format!("{}; {}", record.got, fault.difference.text);
                let (mistake, found) = (fault.difference.mistake, fault.found);
                record.stored = Some(Stored { mistake, found });
                self.mark_failed(&mut record, fault.difference.cause, &fault.observed);
                record.advice = Some(fault.difference.advice);
            }
            self.emit(record);
        }
    }

    fn emit(&mut self, record: CaseRecord) {
        self.records.push(record.clone());
        (self.on_event)(Event::Case(Box::new(record)));
    }
}

/// Returns whether a handler may refuse the payload, rather than the path, the method or the sender.
fn is_refusal(observed: &Observed) -> bool {
    match &observed.answer {
        Ok(response) => matches!(response.status, 400 | 404 | 409 | 422 | 500),
        Err(failure) => failure.kind == FailureKind::Closed && failure.phase > Phase::Tls,
    }
}
