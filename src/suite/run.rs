//! Runs the cases one after another, and checks after each that the handler still accepts a good CDR.

use std::slice;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::cases::{PROBES, allowed, matches, select};
use super::deliver::SuiteClient;
use super::event::{CaseRecord, Event, Started, SuiteSummary};
use super::requests::{CaseRequests, other_host};
use super::verdict::{Cause, Observed, judge};
use super::{Case, CaseDelivery, CaseMethod, Family, SuiteOptions};
use crate::clock::format_duration;
use crate::error::{Error, Stop};
use crate::net::Destination;
use crate::net::client::ClientOptions;

/// The timeout of *survives* cases is at least 3 seconds, unless `--max-latency` or `--timeout` is lower.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(3);

/// The timeout of *survives* cases is 20 times the latency of a good CDR.
const GOOD_LATENCIES: u32 = 20;

/// The first recovery check follows 100 ms after a failed liveness check; the delay doubles with each further check.
const FIRST_RECOVERY_WAIT: Duration = Duration::from_millis(100);

/// Runs the selected cases against a handler and reports each to `on_event`. When `stop` resolves, the run ends and the
/// summary counts the completed cases.
pub async fn run(
    options: &SuiteOptions,
    destination: &Destination,
    client_options: &ClientOptions,
    stop: impl Future<Output = Stop>,
    on_event: impl FnMut(Event),
) -> Result<SuiteSummary, Error> {
    let cases = select(&options.only, &options.skip, options.methods).map_err(Error::Usage)?;
    let mut suite = Suite::new(options, destination, client_options, on_event)?;
    let began = Instant::now();
    (suite.on_event)(Event::Started(Started {
        seed: options.seed,
        url: destination.masked().to_owned(),
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
    let summary = SuiteSummary::of(suite.records, began.elapsed(), stopped);
    (suite.on_event)(Event::Finished(Box::new(summary.clone())));
    Ok(summary)
}

struct Suite<'a, F> {
    options: &'a SuiteOptions,
    destination: &'a Destination,
    client_options: &'a ClientOptions,
    on_event: F,
    /// `limit` is the response timeout for good CDRs: the shorter of `--max-latency` and `--timeout`.
    limit: Duration,
    ordinary: SuiteClient<'a>,
    /// The client `quick` has a short timeout, for *survives* cases and liveness checks.
    quick: SuiteClient<'a>,
    /// The client `unhurried` has the full `--timeout`, for concurrent requests, whose latency is judged afterwards.
    unhurried: SuiteClient<'a>,
    /// `accepted` holds the methods by which the handler accepted a good CDR.
    accepted: Vec<CaseMethod>,
    /// `down_since` names the case after which the handler did not recover.
    down_since: Option<&'static str>,
    records: Vec<CaseRecord>,
}

/// An `Outage` begins with a failed liveness check after a case.
struct Outage {
    answer: String,
    /// `recovered_after` is the time until the handler accepted a good CDR again; `None` after the recovery timeout.
    recovered_after: Option<Duration>,
}

impl<'a, F: FnMut(Event)> Suite<'a, F> {
    fn new(
        options: &'a SuiteOptions,
        destination: &'a Destination,
        client_options: &'a ClientOptions,
        on_event: F,
    ) -> Result<Self, Error> {
        let client = |timeout| {
            let settle_delay = options.pauses.settle_delay;
            SuiteClient::new(destination, client_options, timeout, settle_delay)
        };
        let limit = options.max_latency.min(client_options.timeout);
        Ok(Self {
            options,
            destination,
            client_options,
            on_event,
            limit,
            ordinary: client(limit)?,
            quick: client(limit)?,
            unhurried: client(client_options.timeout)?,
            accepted: Vec::new(),
            down_since: None,
            records: Vec::new(),
        })
    }

    async fn ask_all(&mut self, cases: &[&'static Case]) -> Result<(), Error> {
        let probes = self.probe().await?;
        if let Some((case, observed)) = probes.iter().find(|(_, observed)| observed.unreached()) {
            let mut record = self.record(case, slice::from_ref(observed));
            self.mark_failed(&mut record, Cause::Unreachable);
            record.why = None;
            self.report(record);
            return Ok(());
        }
        // Cases are skipped for a failed probe, so the probe is reported even if `--only` does not name it.
        for (probe, observed) in &probes {
            let chosen = cases.iter().any(|case| case.name == probe.name);
            let needed = cases.iter().any(|case| case.method.needs(probe.method));
            let left_out = self
                .options
                .skip
                .iter()
                .any(|pattern| matches(pattern, probe));
            if !observed.accepted() && needed && !chosen && !left_out {
                self.report(self.record(probe, slice::from_ref(observed)));
            }
        }
        for case in cases {
            let probe = probes.iter().find(|(probe, _)| probe.name == case.name);
            let record = match (probe, self.reason_to_skip(case)) {
                (Some((_, observed)), _) => self.record(case, slice::from_ref(observed)),
                (None, Some(reason)) => CaseRecord::skipped(case, &reason),
                (None, None) => self.ask(case).await,
            };
            self.report(record);
        }
        Ok(())
    }

    /// `probe` sends a good CDR by each method that `-X` allows; the timeout of `quick` depends on the latency.
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
            let timeout = timeout.min(self.limit);
            let settle_delay = self.options.pauses.settle_delay;
            self.quick =
                SuiteClient::new(self.destination, self.client_options, timeout, settle_delay)?;
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

    async fn ask(&mut self, case: &'static Case) -> CaseRecord {
        let requests = self.requests(case);
        let client = match (case.family, case.delivery) {
            (Family::Survives, _) => &self.quick,
            (_, CaseDelivery::Concurrent(_)) => &self.unhurried,
            _ => &self.ordinary,
        };
        let observed = client.deliver(case, &requests).await;
        let mut record = self.record(case, &observed);
        let Some(outage) = self.outage(&requests).await else {
            return record;
        };
        let after = match outage.recovered_after {
            Some(after) => format!("it was back {} later", format_duration(after)),
            None => format!(
                "it did not come back within {}",
                format_duration(self.options.pauses.recovery_timeout)
            ),
        };
        let recovered = outage.recovered_after.is_some();
        record.got = format!(
            "{}; the next good CDR: {}; {after}",
            record.got, outage.answer
        );
        // A *prompt* case keeps its own cause if the handler recovered: the handler was busy, not down.
        if !(case.family == Family::Prompt && record.cause.is_some() && recovered) {
            self.mark_failed(&mut record, Cause::Stopped);
        }
        if !recovered {
            self.down_since = Some(case.name);
            (self.on_event)(Event::Note(format!(
                "the handler is down since {}: the rest is skipped",
                case.name
            )));
        }
        record
    }

    /// `outage` sends good CDRs until one is accepted or the recovery timeout passes; `None` if the first is accepted.
    async fn outage(&mut self, requests: &CaseRequests) -> Option<Outage> {
        sleep(self.options.pauses.settle_delay).await;
        let method = *self.accepted.first()?;
        let check = async |n| self.quick.send(&requests.liveness_check(n, method)).await;
        let first = check(1).await;
        if first.accepted() {
            return None;
        }
        (self.on_event)(Event::Note(
            "the handler has stopped taking good CDRs: waiting for it to come back".to_owned(),
        ));
        let began = Instant::now();
        let recovery = async {
            let mut wait = FIRST_RECOVERY_WAIT;
            for n in 2.. {
                sleep(wait).await;
                if check(n).await.accepted() {
                    break;
                }
                wait *= 2;
            }
            began.elapsed()
        };
        let recovered = timeout(self.options.pauses.recovery_timeout, recovery).await;
        Some(Outage {
            answer: first.words(),
            recovered_after: recovered.ok(),
        })
    }

    fn requests(&self, case: &Case) -> CaseRequests {
        CaseRequests::new(case, self.options, self.destination)
    }

    fn record(&self, case: &Case, observed: &[Observed]) -> CaseRecord {
        let verdict = judge(case, observed, self.options.max_latency);
        let took = observed.iter().map(|observed| observed.latency).max();
        let mut record = CaseRecord::passed(case, verdict.got, took.unwrap_or_default());
        if let Some(cause) = verdict.cause {
            self.mark_failed(&mut record, cause);
        }
        record
    }

    fn mark_failed(&self, record: &mut CaseRecord, cause: Cause) {
        record.ok = false;
        record.cause = Some(cause);
        record.advice = Some(cause.advice_for(record.name));
        record.repeat = Some(format!(
            "{} --only {} --seed {}",
            self.options.command, record.name, self.options.seed
        ));
    }

    fn report(&mut self, record: CaseRecord) {
        self.records.push(record.clone());
        (self.on_event)(Event::Case(Box::new(record)));
    }
}
