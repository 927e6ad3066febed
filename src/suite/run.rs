//! Runs the cases one after another, and checks after each that the handler still accepts a good CDR.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::cases::{GET_PROBE, POST_PROBE};
use super::deliver::SuiteClient;
use super::event::{CaseRecord, Event, Started, SuiteSummary};
use super::requests::CaseRequests;
use super::verdict::{Cause, Observed, judge};
use super::{Case, CaseDelivery, CaseMethod, Family, SuiteOptions, select};
use crate::clock::{Clock, format_duration};
use crate::error::{Error, Stop};
use crate::net::Destination;
use crate::net::client::ClientOptions;
use crate::send::plan::Methods;

/// The least timeout of a case of *survives*, for a busy machine.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(3);

/// The timeout of a case of *survives*, in latencies of a good CDR.
const GOOD_LATENCIES: u32 = 20;

/// The wait before the first check of a recovery; doubled for each further check.
const FIRST_RECOVERY_WAIT: Duration = Duration::from_millis(100);

/// Runs the chosen cases against a handler and reports each by `on_event`. After `stop` nothing more is sent, and the
/// summary counts the cases done until then.
pub async fn run(
    options: &SuiteOptions,
    destination: &Destination,
    client_options: &ClientOptions,
    clock: Clock,
    stop: impl Future<Output = Stop>,
    mut on_event: impl FnMut(Event),
) -> Result<SuiteSummary, Error> {
    let cases = select(&options.only, &options.skip, options.methods).map_err(Error::Usage)?;
    let mut suite = Suite::new(options, destination, client_options, clock)?;
    let began = clock.elapsed();
    on_event(Event::Started(Started {
        seed: options.seed,
        url: destination.masked().to_owned(),
        at: options.at,
        cases: cases.len(),
    }));
    let mut records = Vec::with_capacity(cases.len());
    let stopped = {
        // Boxed: the future is large.
        let asking = Box::pin(suite.ask_all(&cases, |event| {
            if let Event::Case(record) = &event {
                records.push(record.as_ref().clone());
            }
            on_event(event);
        }));
        tokio::select! {
            biased;
            why = stop => Some(why.exit()),
            asked = asking => {
                asked?;
                None
            }
        }
    };
    let elapsed = clock.elapsed().saturating_sub(began);
    let summary = SuiteSummary::of(records, elapsed, options.seed, stopped);
    on_event(Event::Finished(Box::new(summary.clone())));
    Ok(summary)
}

/// The methods by which the handler accepts a good CDR.
#[derive(Debug, Clone, Copy)]
struct Works {
    post: bool,
    get: bool,
}

struct Suite<'a> {
    options: &'a SuiteOptions,
    destination: &'a Destination,
    client_options: &'a ClientOptions,
    clock: Clock,
    ordinary: SuiteClient<'a>,
    /// With a short timeout, for *survives* and liveness checks.
    quick: SuiteClient<'a>,
    /// With the client's own timeout, for many requests at once, whose latency is judged.
    unhurried: SuiteClient<'a>,
    works: Works,
    /// The case after which the handler did not recover.
    down_since: Option<&'static str>,
}

/// Whether the handler accepts a good CDR after a case.
enum Liveness {
    Alive,
    /// The answer to the first check, and the time until a good CDR was accepted.
    Recovered(String, Duration),
    Gone(String),
}

impl<'a> Suite<'a> {
    fn new(
        options: &'a SuiteOptions,
        destination: &'a Destination,
        client_options: &'a ClientOptions,
        clock: Clock,
    ) -> Result<Self, Error> {
        let limit = options.max_latency.min(client_options.timeout);
        let network = |timeout| {
            SuiteClient::new(
                destination,
                client_options,
                timeout,
                options.pauses.settle_delay,
                clock,
            )
        };
        Ok(Self {
            options,
            destination,
            client_options,
            clock,
            ordinary: network(limit)?,
            quick: network(limit)?,
            unhurried: network(client_options.timeout)?,
            works: Works {
                post: false,
                get: false,
            },
            down_since: None,
        })
    }

    /// Runs all cases, the probes first.
    async fn ask_all(
        &mut self,
        cases: &[&'static Case],
        mut on_event: impl FnMut(Event),
    ) -> Result<(), Error> {
        let probes = self.probe().await?;
        if let Some((case, observed)) = probes.iter().find(|(_, observed)| observed.unreached()) {
            let mut record = self.record(case, std::slice::from_ref(observed));
            record.cause = Some(Cause::Unreachable);
            record.advice = Some(Cause::Unreachable.advice());
            record.why = None;
            on_event(Event::Case(Box::new(record)));
            return Ok(());
        }
        // A failed probe that was not chosen is reported all the same: cases are skipped because of it.
        for (probe, observed) in &probes {
            let missed = cases.iter().any(|case| needs(case.method, probe.method));
            let unwanted = cases.contains(probe)
                || select(&[probe.name.to_owned()], &self.options.skip, Methods::Both).is_err();
            if !observed.accepted() && missed && !unwanted {
                on_event(Event::Case(Box::new(
                    self.record(probe, std::slice::from_ref(observed)),
                )));
            }
        }
        for case in cases {
            let record = match probes.iter().find(|(probe, _)| probe == case) {
                Some((_, observed)) => self.record(case, std::slice::from_ref(observed)),
                None => match self.reason_to_skip(case) {
                    Some(reason) => CaseRecord::skipped(case, &reason),
                    None => self.ask(case, &mut on_event).await,
                },
            };
            on_event(Event::Case(Box::new(record)));
        }
        Ok(())
    }

    /// Finds out by which methods the handler accepts a good CDR, and sets the short timeout by its latency.
    async fn probe(&mut self) -> Result<Vec<(&'static Case, Observed)>, Error> {
        let wanted: &[&'static Case] = match self.options.methods {
            Methods::Post => &[POST_PROBE],
            Methods::Get => &[GET_PROBE],
            Methods::Both => &[POST_PROBE, GET_PROBE],
        };
        let mut probes = Vec::with_capacity(wanted.len());
        for case in wanted {
            let request = self.requests(case).requests(case).remove(0);
            let observed = self.ordinary.send(&request).await;
            let gone = observed.unreached();
            match case.method {
                CaseMethod::Get => self.works.get = observed.accepted(),
                _ => self.works.post = observed.accepted(),
            }
            probes.push((*case, observed));
            if gone {
                break;
            }
        }
        let slowest = probes
            .iter()
            .filter(|(_, o)| o.accepted())
            .map(|(_, o)| o.latency)
            .max();
        if let Some(latency) = slowest {
            let limit = self.options.max_latency.min(self.client_options.timeout);
            let timeout = SHORTEST_TIMEOUT.max(latency * GOOD_LATENCIES).min(limit);
            let settle_delay = self.options.pauses.settle_delay;
            self.quick = SuiteClient::new(
                self.destination,
                self.client_options,
                timeout,
                settle_delay,
                self.clock,
            )?;
        }
        Ok(probes)
    }

    /// Why a case cannot be judged with this handler.
    fn reason_to_skip(&self, case: &Case) -> Option<String> {
        if let Some(name) = self.down_since {
            return Some(format!("the handler is down since {name}"));
        }
        let lacks = |probe: &Case, works: bool| {
            (!works && needs(case.method, probe.method)).then_some(probe.name)
        };
        if let Some(probe) = lacks(POST_PROBE, self.works.post).or(lacks(GET_PROBE, self.works.get))
        {
            let method = if probe == POST_PROBE.name {
                "POST"
            } else {
                "GET"
            };
            return Some(format!("no good CDR is taken by {method}, see {probe}"));
        }
        if !self.works.post && !self.works.get {
            return Some("no good CDR is taken at all".to_owned());
        }
        if case.delivery == CaseDelivery::OtherHost && !self.requests(case).knows_another_host() {
            return Some("only a handler on this machine has two names".to_owned());
        }
        None
    }

    /// Runs one case and checks that the handler is still alive.
    async fn ask(&mut self, case: &'static Case, on_event: &mut impl FnMut(Event)) -> CaseRecord {
        let requests = self.requests(case);
        let network = match (case.family, case.delivery) {
            (Family::Survives, _) => &self.quick,
            (_, CaseDelivery::Concurrent(_)) => &self.unhurried,
            _ => &self.ordinary,
        };
        let observed = network.deliver(case, &requests).await;
        let mut record = self.record(case, &observed);
        let (words, back) = match self.liveness(&requests, on_event).await {
            Liveness::Alive => return record,
            Liveness::Recovered(words, after) => (words, Some(after)),
            Liveness::Gone(words) => (words, None),
        };
        let after = match back {
            Some(after) => format!("it was back {} later", format_duration(after)),
            None => format!(
                "it did not come back within {}",
                format_duration(self.options.pauses.recovery_timeout)
            ),
        };
        record.got = format!("{}; the next good CDR: {words}; {after}", record.got);
        // The handler may still be busy with the requests of *prompt*: a slow handler is not a crashed one.
        if !(case.family == Family::Prompt && record.cause.is_some() && back.is_some()) {
            self.mark_failed(&mut record, Cause::Stopped);
        }
        if back.is_none() {
            self.down_since = Some(case.name);
            on_event(Event::Note(format!(
                "the handler is down since {}: the rest is skipped",
                case.name
            )));
        }
        record
    }

    /// Sends a good CDR, and again until it is accepted or the recovery timeout has passed.
    async fn liveness(
        &self,
        requests: &CaseRequests,
        on_event: &mut impl FnMut(Event),
    ) -> Liveness {
        sleep(self.options.pauses.settle_delay).await;
        let method = if self.works.post {
            CaseMethod::Post
        } else {
            CaseMethod::Get
        };
        let first = self.quick.send(&requests.liveness_check(1, method)).await;
        if first.accepted() {
            return Liveness::Alive;
        }
        on_event(Event::Note(
            "the handler has stopped taking good CDRs: waiting for it to come back".to_owned(),
        ));
        let began = self.clock.elapsed();
        let recovery = async {
            let mut wait = FIRST_RECOVERY_WAIT;
            for n in 2.. {
                sleep(wait).await;
                if self
                    .quick
                    .send(&requests.liveness_check(n, method))
                    .await
                    .accepted()
                {
                    break;
                }
                wait *= 2;
            }
        };
        match timeout(self.options.pauses.recovery_timeout, recovery).await {
            Ok(()) => {
                Liveness::Recovered(first.words(), self.clock.elapsed().saturating_sub(began))
            }
            Err(_) => Liveness::Gone(first.words()),
        }
    }

    fn requests(&self, case: &Case) -> CaseRequests {
        CaseRequests::new(
            case,
            self.options,
            self.destination.target(),
            self.destination.authority(),
        )
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
}

/// Whether a case that is sent by `method` needs the probe of this method to be accepted.
fn needs(method: CaseMethod, probe: CaseMethod) -> bool {
    method == probe || method == CaseMethod::Both
}
