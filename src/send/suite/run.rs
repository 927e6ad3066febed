//! The loop: probe the handler, ask case after case, and see after each whether the handler is still there.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::cases::{GET_PROBE, POST_PROBE};
use super::deliver::Network;
use super::event::{CaseRecord, Event, Started, SuiteSummary};
use super::teller::Teller;
use super::verdict::{Cause, Observed, judge};
use super::{Case, Delivery, Family, Method, SuiteOptions, select};
use crate::clock::{Clock, format_duration};
use crate::error::{Error, Stop};
use crate::send::plan::Methods;
use crate::wire::client::{ClientOptions, Destination};

/// Nonsense needs no work, so its answer comes quickly: this long is waited for it at least, which a busy machine needs.
const LEAST_PATIENCE: Duration = Duration::from_secs(3);

/// And this many times as long as a good CDR took.
const TIMES_A_GOOD_ONE: u32 = 20;

/// The first wait of a recovery; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Runs the chosen cases against a handler, tells each as it is done, and gives the summary.
///
/// When `stop` resolves nothing new leaves, and the summary counts what was done until then.
pub async fn run(
    options: &SuiteOptions,
    destination: &Destination,
    client_options: &ClientOptions,
    clock: Clock,
    stop: impl Future<Output = Stop>,
    mut tell: impl FnMut(Event),
) -> Result<SuiteSummary, Error> {
    let cases = select(&options.only, &options.skip, options.methods).map_err(Error::Usage)?;
    let mut suite = Suite::new(options, destination, client_options, clock)?;
    let began = clock.elapsed();
    tell(Event::Started(Started {
        seed: options.seed,
        url: destination.masked().to_owned(),
        at: options.at,
        cases: cases.len(),
    }));
    let mut records = Vec::with_capacity(cases.len());
    let stopped = {
        // Boxed, because a case under way is a large value.
        let asking = Box::pin(suite.ask_all(&cases, |event| {
            if let Event::Case(record) = &event {
                records.push(record.as_ref().clone());
            }
            tell(event);
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
    tell(Event::Finished(Box::new(summary.clone())));
    Ok(summary)
}

/// What the probes found out.
#[derive(Debug, Clone, Copy)]
struct Works {
    post: bool,
    get: bool,
}

/// A run under way.
struct Suite<'a> {
    options: &'a SuiteOptions,
    destination: &'a Destination,
    client_options: &'a ClientOptions,
    clock: Clock,
    /// For what really happens.
    ordinary: Network<'a>,
    /// For nonsense, and for asking whether the handler is still there.
    brisk: Network<'a>,
    /// For crowds, where how long it takes is the question.
    patient: Network<'a>,
    works: Works,
    /// The case after which the handler was gone for good.
    down_since: Option<&'static str>,
}

/// Whether a handler is there after a case.
enum Afterwards {
    /// It is.
    There,
    /// It was gone, and came back after so long.
    Back(String, Duration),
    /// It is gone.
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
        let network = |patience| {
            Network::new(
                destination,
                client_options,
                patience,
                options.pauses.settling,
                clock,
            )
        };
        Ok(Self {
            options,
            destination,
            client_options,
            clock,
            ordinary: network(limit)?,
            brisk: network(limit)?,
            patient: network(client_options.timeout)?,
            works: Works {
                post: false,
                get: false,
            },
            down_since: None,
        })
    }

    /// Asks all cases, the probes first.
    async fn ask_all(
        &mut self,
        cases: &[&'static Case],
        mut tell: impl FnMut(Event),
    ) -> Result<(), Error> {
        let probes = self.probe().await?;
        if let Some((case, observed)) = probes.iter().find(|(_, observed)| observed.unreached()) {
            let mut record = self.record(case, std::slice::from_ref(observed));
            record.cause = Some(Cause::Unreachable);
            record.advice = Some(Cause::Unreachable.advice());
            // The fact behind the case has nothing to do with it.
            record.why = None;
            tell(Event::Case(Box::new(record)));
            return Ok(());
        }
        // Whoever asked for other cases must hear why they are skipped.
        for (probe, observed) in &probes {
            let missed = cases.iter().any(|case| needs(case.method, probe.method));
            let unwanted = cases.contains(probe)
                || select(&[probe.name.to_owned()], &self.options.skip, Methods::Both).is_err();
            if !observed.accepted() && missed && !unwanted {
                tell(Event::Case(Box::new(
                    self.record(probe, std::slice::from_ref(observed)),
                )));
            }
        }
        for case in cases {
            let record = match probes.iter().find(|(probe, _)| probe == case) {
                Some((_, observed)) => self.record(case, std::slice::from_ref(observed)),
                None => match self.reason_to_skip(case) {
                    Some(reason) => CaseRecord::skipped(case, &reason),
                    None => self.ask(case, &mut tell).await,
                },
            };
            tell(Event::Case(Box::new(record)));
        }
        Ok(())
    }

    /// Finds out by which methods the handler takes a good CDR, and how quick it is.
    async fn probe(&mut self) -> Result<Vec<(&'static Case, Observed)>, Error> {
        let wanted: &[&'static Case] = match self.options.methods {
            Methods::Post => &[POST_PROBE],
            Methods::Get => &[GET_PROBE],
            Methods::Both => &[POST_PROBE, GET_PROBE],
        };
        let mut probes = Vec::with_capacity(wanted.len());
        for case in wanted {
            let request = self.teller(case).requests(case).remove(0);
            let observed = self.ordinary.carry(&request).await;
            let gone = observed.unreached();
            match case.method {
                Method::Get => self.works.get = observed.accepted(),
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
            let patience = LEAST_PATIENCE.max(latency * TIMES_A_GOOD_ONE).min(limit);
            let settling = self.options.pauses.settling;
            self.brisk = Network::new(
                self.destination,
                self.client_options,
                patience,
                settling,
                self.clock,
            )?;
        }
        Ok(probes)
    }

    /// Why a case makes no sense here, if it does not.
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
        if case.delivery == Delivery::OtherHost && !self.teller(case).knows_another_host() {
            return Some("only a handler on this machine has two names".to_owned());
        }
        None
    }

    /// Asks one case, and whether the handler has survived it.
    async fn ask(&mut self, case: &'static Case, tell: &mut impl FnMut(Event)) -> CaseRecord {
        let teller = self.teller(case);
        let network = match (case.family, case.delivery) {
            (Family::Survives, _) => &self.brisk,
            (_, Delivery::Crowd(_)) => &self.patient,
            _ => &self.ordinary,
        };
        let observed = network.deliver(case, &teller).await;
        let mut record = self.record(case, &observed);
        let (words, back) = match self.afterwards(&teller, tell).await {
            Afterwards::There => return record,
            Afterwards::Back(words, after) => (words, Some(after)),
            Afterwards::Gone(words) => (words, None),
        };
        let after = match back {
            Some(after) => format!("it was back {} later", format_duration(after)),
            None => format!(
                "it did not come back within {}",
                format_duration(self.options.pauses.recovery)
            ),
        };
        record.got = format!("{}; the next good CDR: {words}; {after}", record.got);
        // A crowd may still be worked off: then slowness is the cause, and not a crash.
        if !(case.family == Family::Prompt && record.cause.is_some() && back.is_some()) {
            self.blame(&mut record, Cause::Stopped);
        }
        if back.is_none() {
            self.down_since = Some(case.name);
            tell(Event::Note(format!(
                "the handler is down since {}: the rest is skipped",
                case.name
            )));
        }
        record
    }

    /// Asks whether a good CDR is taken now. If not, waits for that, but not for ever.
    async fn afterwards(&self, teller: &Teller, tell: &mut impl FnMut(Event)) -> Afterwards {
        sleep(self.options.pauses.settling).await;
        let method = if self.works.post {
            Method::Post
        } else {
            Method::Get
        };
        let first = self.brisk.carry(&teller.afterwards(1, method)).await;
        if first.accepted() {
            return Afterwards::There;
        }
        tell(Event::Note(
            "the handler has stopped taking good CDRs: waiting for it to come back".to_owned(),
        ));
        let began = self.clock.elapsed();
        let recovery = async {
            let mut wait = FIRST_WAIT;
            for n in 2.. {
                sleep(wait).await;
                if self
                    .brisk
                    .carry(&teller.afterwards(n, method))
                    .await
                    .accepted()
                {
                    break;
                }
                wait *= 2;
            }
        };
        match timeout(self.options.pauses.recovery, recovery).await {
            Ok(()) => Afterwards::Back(first.words(), self.clock.elapsed().saturating_sub(began)),
            Err(_) => Afterwards::Gone(first.words()),
        }
    }

    fn teller(&self, case: &Case) -> Teller {
        Teller::new(
            case,
            self.options,
            self.destination.target(),
            self.destination.authority(),
        )
    }

    /// The record of what came back for a case.
    fn record(&self, case: &Case, observed: &[Observed]) -> CaseRecord {
        let verdict = judge(case, observed, self.options.max_latency);
        let mut record = CaseRecord {
            name: case.name,
            family: case.family,
            grade: case.grade,
            ok: true,
            expected: case.expects().words(case),
            got: verdict.got,
            took: observed
                .iter()
                .map(|observed| observed.latency)
                .max()
                .unwrap_or_default(),
            skipped: None,
            cause: None,
            why: Some(case.why),
            advice: None,
            repeat: None,
        };
        if let Some(cause) = verdict.cause {
            self.blame(&mut record, cause);
        }
        record
    }

    /// Marks a case as failed.
    fn blame(&self, record: &mut CaseRecord, cause: Cause) {
        record.ok = false;
        record.cause = Some(cause);
        record.advice = Some(cause.advice_for(record.name));
        record.repeat = Some(format!(
            "{} --only {} --seed {}",
            self.options.command, record.name, self.options.seed
        ));
    }
}

/// Whether a case that travels by `method` needs a probe's method to work.
fn needs(method: Method, probe: Method) -> bool {
    method == probe || method == Method::Both
}
