//! Runs the cases, and checks between them that the handler still accepts a good CDR.

use std::fmt::Write as _;
use std::rc::Rc;
use std::slice;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use super::cases::{PROBES, allowed, matches, select};
use super::deliver::{Pacer, SuiteClient};
use super::event::{CaseRecord, Event, Reply, Started, Stored, SuiteSummary};
use super::explain::accepted_changes;
use super::handler::HandlerProcess;
use super::read_back::{ReadBack, StoredFault};
use super::remarks::{Remark, Remarks};
use super::requests::{CaseRequests, other_host};
use super::verdict::{Cause, Observed, judge};
use super::{Case, CaseDelivery, CaseMethod, Family, Needs, SuiteOptions};
use super::{fuzz, guards};
use crate::advice;
use crate::clock::format_duration;
use crate::error::{Error, Stop};
use crate::net::client::ClientOptions;
use crate::net::secret::is_secret_name;
use crate::net::{Destination, FailureKind, Phase, Request};

/// The timeout of *survives* cases is at least 3 seconds, unless `--max-latency` or `--timeout` is lower.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(3);

/// The timeout of *survives* cases is 20 times the latency of a good CDR.
const GOOD_LATENCIES: u32 = 20;

/// The first recovery check follows 100 ms after a failed liveness check; the delay doubles with each further check.
const FIRST_RECOVERY_WAIT: Duration = Duration::from_millis(100);

/// A handler whose good CDR takes this long is slow: its liveness is checked after fewer cases, and if it serves several
/// requests at once, cases run side by side.
const SLOW: Duration = Duration::from_millis(100);

/// At most this many cases run side by side.
const SIDE_BY_SIDE: usize = 8;

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
    let cases = chosen(options)?;
    let mut suite = Suite::new(options, destination, client_options, handler, on_event)?;
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
    let mut summary = SuiteSummary::of(suite.records, began.elapsed(), stopped);
    summary.remarks = suite.remarks.list();
    if options.only.is_empty() && summary.ok > 0 && has_no_secret(options, destination) {
        let text = "neither the URL nor a header has a secret, so anybody who finds the URL can post to it; --guard tests a secret";
        summary.remarks.push(Remark {
            text: text.to_owned(),
            cases: Vec::new(),
        });
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
    let (path, query) = destination
        .target()
        .split_once('?')
        .unwrap_or((destination.target(), ""));
    let last = path.rsplit('/').next().unwrap_or_default();
    let in_path = last.len() >= 8 && last.contains(|c: char| c.is_ascii_digit());
    let in_header = options
        .headers
        .iter()
        .any(|header| is_secret_name(&header.name));
    let in_cdr = options.account.custom.is_some() || options.account.app_id.is_some();
    let in_url = !query.is_empty() || destination.authorization().is_some();
    options.guards.is_empty() && !(in_path || in_header || in_cdr || in_url)
}

/// Selects the cases, without those that need a flag which is not given.
fn chosen(options: &SuiteOptions) -> Result<Vec<&'static Case>, Error> {
    let fuzz = fuzz::cases(options.fuzz, options.seed);
    let cases = select(&options.only, &options.skip, options.methods, &fuzz);
    let cases = cases.map_err(Error::Usage)?;
    let needs = cases.first().and_then(|case| case.needs());
    let is_given = |case: &&Case| match case.needs() {
        Some(Needs::Guard) => !options.guards.is_empty(),
        Some(Needs::ReadBack) => options.read_back.is_some(),
        None => true,
    };
    let cases: Vec<_> = cases.into_iter().filter(is_given).collect();
    match needs {
        Some(needs) if cases.is_empty() => {
            let flag = needs.flag();
            Err(Error::Usage(format!(
                "no case is left to run: these need {flag}"
            )))
        }
        _ => Ok(cases),
    }
}

/// Returns the requests of the selected cases with their names; `None` for a request of raw bytes.
pub fn requests(
    options: &SuiteOptions,
    destination: &Destination,
) -> Result<Vec<(&'static str, Option<Request>)>, Error> {
    let cases = chosen(options)?;
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
    client_options: &'a ClientOptions,
    handler: Option<&'a mut HandlerProcess>,
    read_back: Option<ReadBack>,
    /// The case that was recorded last, with its answers, which `read_back` needs.
    recorded: Option<(Case, Vec<Observed>)>,
    on_event: F,
    pacer: Rc<Pacer>,
    /// `limit` is the response timeout for good CDRs: the shorter of `--max-latency` and `--timeout`.
    limit: Duration,
    ordinary: SuiteClient<'a>,
    /// The client `quick` has a short timeout, for *survives* cases and liveness checks.
    quick: SuiteClient<'a>,
    /// The client `unhurried` has the full `--timeout`, for concurrent requests, whose latency is judged afterwards.
    unhurried: SuiteClient<'a>,
    /// `accepted` holds the methods by which the handler accepted a good CDR.
    accepted: Vec<CaseMethod>,
    /// The highest latency of a good CDR among the probes, later the lowest of `latencies`.
    latency: Duration,
    /// The latencies of the last liveness checks.
    latencies: [Duration; 3],
    /// Whether the handler serves several requests at once; `None` if that is not known.
    serves_several: Option<bool>,
    remarks: Remarks,
    /// `down_since` names the case after which the handler did not recover.
    down_since: Option<&'static str>,
    records: Vec<CaseRecord>,
}

/// An `Outage` begins with a failed liveness check after a case.
struct Outage {
    first: Observed,
    /// `recovered_after` is the time until the handler accepted a good CDR again; `None` after the recovery timeout.
    recovered_after: Option<Duration>,
    /// How the command of `-- CMD` ended, if the suite started it again.
    restarted: Option<String>,
}

impl<'a, F: FnMut(Event)> Suite<'a, F> {
    fn new(
        options: &'a SuiteOptions,
        destination: &'a Destination,
        client_options: &'a ClientOptions,
        handler: Option<&'a mut HandlerProcess>,
        on_event: F,
    ) -> Result<Self, Error> {
        let pacer = Rc::new(Pacer::new(options.rate));
        let client = |timeout| {
            let settle_delay = options.pauses.settle_delay;
            SuiteClient::new(destination, client_options, timeout, settle_delay, &pacer)
        };
        let read_back = options.read_back.as_ref().map(|read_back| {
            ReadBack::new(read_back, destination, client_options, handler.as_deref())
        });
        let limit = options.max_latency.min(client_options.timeout);
        Ok(Self {
            options,
            destination,
            client_options,
            handler,
            read_back: read_back.transpose()?,
            recorded: None,
            on_event,
            limit,
            ordinary: client(limit)?,
            quick: client(limit)?,
            unhurried: client(client_options.timeout)?,
            pacer: Rc::clone(&pacer),
            latency: Duration::ZERO,
            latencies: [Duration::ZERO; 3],
            serves_several: None,
            remarks: Remarks::default(),
            accepted: Vec::new(),
            down_since: None,
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
            read_back.learn(case, observed).await?;
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
                let record = self.record(probe, slice::from_ref(observed));
                self.report(record).await;
            }
        }
        let takes = match probes.iter().find(|(_, observed)| is_refusal(observed)) {
            Some((probe, _)) => Some((probe.name, self.accepted_changes(probe).await)),
            None => None,
        };
        let mut rest = cases;
        while let [case, ..] = rest {
            let probe = probes.iter().find(|(probe, _)| probe.name == case.name);
            let together = match (probe, self.reason_to_skip(case)) {
                (None, None) => self.side_by_side(rest),
                _ => 1,
            };
            if together > 1 {
                self.ask_together(&rest[..together]).await;
            } else {
                let mut record = match (probe, self.reason_to_skip(case)) {
                    (Some((_, observed)), _) => self.record(case, slice::from_ref(observed)),
                    (None, Some(reason)) => CaseRecord::skipped(case, &reason),
                    (None, None) => self.ask(case, self.requests(case)).await,
                };
                if let Some((name, takes)) = &takes
                    && *name == case.name
                {
                    record.takes.clone_from(takes);
                }
                self.report(record).await;
            }
            rest = &rest[together..];
        }
        self.report_stored(true).await;
        Ok(())
    }

    /// Sends the good CDR with changes, if the handler refuses the good CDR, and says which changes it accepts.
    async fn accepted_changes(&mut self, probe: &Case) -> Option<String> {
        (self.on_event)(Event::Note(
            "the good CDR is refused: finding out what the handler takes".to_owned(),
        ));
        let requests = self.requests(probe);
        accepted_changes(&self.ordinary, &requests, probe.method).await
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
            let (destination, options) = (self.destination, self.client_options);
            self.quick =
                SuiteClient::new(destination, options, timeout, settle_delay, &self.pacer)?;
            self.latency = latency;
            self.latencies = [latency; 3];
            if self.is_slow() && self.options.rate.is_none() {
                self.measure().await;
            }
        }
        Ok(probes)
    }

    /// A handler may become slow in the course of a run: the lowest of the last latencies counts.
    async fn adapt(&mut self, latency: Duration) {
        self.latencies.rotate_left(1);
        self.latencies[0] = latency;
        self.latency = self.latencies.iter().min().copied().unwrap_or_default();
        if self.is_slow() && self.serves_several.is_none() && self.options.rate.is_none() {
            self.measure().await;
        }
    }

    fn is_slow(&self) -> bool {
        self.latency >= SLOW || self.options.rate.is_some()
    }

    /// Sends several good CDRs at once, which take about as long as one if the handler serves them at once. The lowest of
    /// their latencies counts, so that a busy machine makes no handler slow.
    async fn measure(&mut self) {
        let Some(method) = self.accepted.first() else {
            return;
        };
        let requests = self.requests(PROBES[0]);
        let copies = (1..=SIDE_BY_SIDE as u64).map(|n| requests.liveness_check(n, *method));
        let copies: Vec<_> = copies.collect();
        let began = Instant::now();
        let observed = self.unhurried.send_together(&copies).await;
        let all_accepted = observed.iter().all(Observed::accepted);
        self.serves_several = Some(all_accepted && began.elapsed() < self.latency * 3);
        let lowest = observed.iter().map(|observed| observed.latency).min();
        self.latency = lowest.unwrap_or_default().min(self.latency);
        self.latencies = [self.latency; 3];
    }

    /// Returns how many of the next cases run side by side: cases that only wait, and all of a slow handler, if the
    /// handler serves several requests at once.
    fn side_by_side(&self, cases: &[&Case]) -> usize {
        if self.serves_several != Some(true) || self.options.rate.is_some() {
            return 1;
        }
        let fits = |case: &&&Case| {
            let is_alike = case.family == cases[0].family && self.reason_to_skip(case).is_none();
            let is_probe = PROBES.iter().any(|probe| probe.name == case.name);
            is_alike && !is_probe && (only_waits(case) || (self.is_slow() && is_single(case)))
        };
        cases
            .iter()
            .take(SIDE_BY_SIDE)
            .take_while(fits)
            .count()
            .max(1)
    }

    /// A case that fails beside others runs again alone, so that no case is blamed for another.
    async fn ask_together(&mut self, cases: &[&'static Case]) {
        let sources: Vec<_> = cases.iter().map(|case| self.requests(case)).collect();
        let running = cases.iter().zip(&sources);
        let running = running.map(|(case, source)| self.client_for(case).deliver(case, source));
        let observed = join_all(running).await;
        let mut answered: Vec<_> = cases.iter().zip(sources).zip(observed).collect();
        // The case whose connection broke comes first: if the handler is down, that case is to blame.
        answered.sort_by_key(|(_, observed)| !observed.iter().any(broke_off));
        for ((case, source), observed) in answered {
            let record = match self.down_since {
                Some(name) => CaseRecord::skipped(case, &down_since(name)),
                None => self.record(case, &observed),
            };
            let record = if record.failed() {
                self.ask(case, source.renewed()).await
            } else if observed.iter().all(Observed::accepted) || record.skipped.is_some() {
                record
            } else {
                self.check_after(case, &source, record).await
            };
            self.report(record).await;
        }
    }

    fn reason_to_skip(&self, case: &Case) -> Option<String> {
        if let Some(name) = self.down_since {
            return Some(down_since(name));
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

    async fn ask(&mut self, case: &'static Case, requests: CaseRequests) -> CaseRecord {
        let observed = self.client_for(case).deliver(case, &requests).await;
        let record = self.record(case, &observed);
        if only_waits(case) && self.serves_several.is_none() {
            self.serves_several = Some(record.ok);
        }
        let accepted = !observed.is_empty() && observed.iter().all(Observed::accepted);
        // The answers of a slow handler to the next cases show that the handler still works.
        if self.is_slow() && accepted {
            return record;
        }
        self.check_after(case, &requests, record).await
    }

    /// Sends a good CDR after a case. If the handler does not accept that, the case is blamed, and runs again by itself
    /// once the handler is back.
    async fn check_after(
        &mut self,
        case: &'static Case,
        requests: &CaseRequests,
        mut record: CaseRecord,
    ) -> CaseRecord {
        let deliveries = self.pacer.requests();
        let Some(outage) = self.outage(case, requests).await else {
            return record;
        };
        self.read_back.iter_mut().for_each(ReadBack::forget);
        let recovered = outage.recovered_after.is_some();
        let after = match outage.recovered_after {
            _ if outage.restarted.is_some() => {
                let ended = outage.restarted.as_deref().unwrap_or_default();
                format!("{ended}, and was started again")
            }
            Some(after) => format!("it was back {} later", format_duration(after)),
            None => format!(
                "it did not come back within {}",
                format_duration(self.options.pauses.recovery_timeout)
            ),
        };
        record.got = format!(
            "{}; the next good CDR: {}; {after}",
            record.got,
            outage.first.words()
        );
        // A *prompt* case keeps its own cause if the handler recovered: the handler was busy, not down.
        if !(case.family == Family::Prompt && record.cause.is_some() && recovered) {
            let cause = match outage.first.answer {
                Ok(_) => Cause::Refusing,
                Err(_) => Cause::Stopped,
            };
            record.then = Some(Box::new(Reply::of(&outage.first.answer)));
            let shown = (record.sent.take(), record.reply.take());
            self.mark_failed(&mut record, cause, &outage.first);
            if shown.0.is_some() {
                (record.sent, record.reply) = shown;
            }
            let passes_alone = recovered && self.passes_alone(case, requests).await;
            if recovered {
                // The case may have ended the handler again.
                let _ = self.restart(false).await;
            }
            if passes_alone {
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
            self.down_since = Some(case.name);
            (self.on_event)(Event::Note(format!(
                "the handler is down since {}: the rest is skipped",
                case.name
            )));
        }
        record
    }

    /// Runs a case again with other identifiers, and a good CDR behind it.
    async fn passes_alone(&self, case: &Case, requests: &CaseRequests) -> bool {
        let again = requests.clone().renewed();
        let observed = self.client_for(case).deliver(case, &again).await;
        let expects = case.expects_with(&self.options.account);
        let verdict = judge(case, expects, &observed, self.options.max_latency);
        sleep(self.options.pauses.settle_delay).await;
        let Some(method) = self.accepted.first() else {
            return false;
        };
        let good = again.liveness_check(0, *method);
        verdict.cause.is_none() && self.quick.send(&good).await.accepted()
    }

    /// `outage` sends good CDRs until one is accepted or the recovery timeout passes; `None` if the first is accepted.
    async fn outage(&mut self, case: &Case, requests: &CaseRequests) -> Option<Outage> {
        let settle_delay = self.options.pauses.settle_delay;
        let is_hostile = case.family == Family::Survives;
        sleep(if is_hostile {
            settle_delay
        } else {
            settle_delay / 2
        })
        .await;
        let method = *self.accepted.first()?;
        let check = requests.liveness_check(1, method);
        let first = self.quick.send(&check).await;
        if first.accepted() {
            self.remarks.note_latency(first.latency);
            self.adapt(first.latency).await;
            return None;
        }
        if let Some(restarted) = self.restart(false).await {
            return Some(Outage {
                first,
                recovered_after: restarted.is_ok().then_some(Duration::ZERO),
                restarted: restarted.ok(),
            });
        }
        (self.on_event)(Event::Note(
            "the handler has stopped taking good CDRs: waiting for it to come back".to_owned(),
        ));
        let check = async |n| self.quick.send(&requests.liveness_check(n, method)).await;
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
        let restarted = match recovered {
            Ok(_) => None,
            Err(_) => self.restart(true).await.and_then(Result::ok),
        };
        let recovered_after = recovered
            .ok()
            .or(restarted.is_some().then_some(Duration::ZERO));
        Some(Outage {
            first,
            recovered_after,
            restarted,
        })
    }

    /// Starts the handler of `-- CMD` again if its command has ended, or with `always`, and says how the command ended.
    async fn restart(&mut self, always: bool) -> Option<Result<String, ()>> {
        let handler = self.handler.as_mut()?;
        let ended = handler.ended().await;
        if ended.is_none() && !always {
            return None;
        }
        let words = ended.map_or("the command hung".to_owned(), |ended| {
            format!("the command ended {}", ended.words())
        });
        let restarted = handler.restart().await;
        if let Err(error) = &restarted {
            (self.on_event)(Event::Note(error.to_string()));
        }
        Some(restarted.map(|()| words).map_err(drop))
    }

    fn requests(&self, case: &Case) -> CaseRequests {
        CaseRequests::new(case, self.options, self.destination)
    }

    fn record(&mut self, case: &Case, observed: &[Observed]) -> CaseRecord {
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

    fn mark_failed(&self, record: &mut CaseRecord, cause: Cause, observed: &Observed) {
        record.ok = false;
        record.cause = Some(cause);
        let advice = cause.advice_on(&observed.sent, &observed.answer);
        let status = observed.answer.as_ref().map(|response| response.status);
        record.advice = Some(match (record.name, status) {
            ("get-is-accepted", Ok(404)) if self.accepted.contains(&CaseMethod::Post) => {
                advice::GET_IS_NOT_ROUTED
            }
            _ => advice,
        });
        record.show(observed, self.destination);
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
            if let Some(StoredFault {
                difference,
                found,
                observed,
                ..
            }) = fault
            {
                record.got = format!("{}; {}", record.got, difference.text);
                let mistake = difference.mistake;
                record.stored = Some(Stored { mistake, found });
                self.mark_failed(&mut record, difference.cause, &observed);
            }
            self.emit(record);
        }
    }

    fn emit(&mut self, record: CaseRecord) {
        self.records.push(record.clone());
        (self.on_event)(Event::Case(Box::new(record)));
    }
}

fn down_since(case: &str) -> String {
    format!("the handler is down since {case}")
}

/// Returns whether a handler may refuse the payload, rather than the path, the method or the sender.
fn is_refusal(observed: &Observed) -> bool {
    match &observed.answer {
        Ok(response) => matches!(response.status, 400 | 404 | 409 | 422 | 500),
        Err(failure) => failure.kind == FailureKind::Closed && failure.phase > Phase::Tls,
    }
}

/// Returns whether a connection was open and ended without a response.
fn broke_off(observed: &Observed) -> bool {
    observed.answer.is_err() && !observed.unreached()
}

/// Returns whether a case takes time without work for the handler.
fn only_waits(case: &Case) -> bool {
    matches!(case.delivery, CaseDelivery::Raw(script) if script.holds_connection() || script.takes_time())
}

/// Returns whether a case sends its requests one after another.
fn is_single(case: &Case) -> bool {
    use CaseDelivery::{AtOnce, Concurrent, Race, Raw, WithIdleConnections};
    !matches!(
        case.delivery,
        AtOnce | Concurrent(_) | Race(_) | Raw(_) | WithIdleConnections(_)
    )
}
