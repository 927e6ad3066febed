//! `--read-back`: asks what the handler has stored of a case's CDRs, and judges it.
//!
//! Handlers may write behind their answer. Records whose verdict is not final are held, with those behind them, and are
//! asked for again until `within` has passed.

mod asker;
mod compare;
mod reader;
mod sent;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::slice;
use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use super::cases::PROBES;
use super::deliver::SuiteClient;
use super::event::CaseRecord;
use super::handler::HandlerProcess;
use super::remarks::Remark;
use super::requests::CaseRequests;
use super::verdict::{Cause, Expects, Observed};
use super::{Case, CaseDelivery, CaseMethod};
use crate::cdr::{Fields, Grade, text};
use crate::error::Error;
use crate::net::client::{Client, ClientOptions};
use crate::net::query;
use crate::net::{Destination, Request};
use crate::process::Supervisor;
use asker::Asker;
use compare::Difference;
use reader::Record;
use sent::{SentCdr, duplicated, missing};

/// The fields that can be filled in: `{cmiuuid}` in a URL or a word of a command, `CDR_CMIUUID` in its environment.
pub const KEYS: [&str; 5] = ["cmiuuid", "request_id", "call_id", "user", "to"];

/// The probed changes of a good CDR that handlers are known to store nothing of.
const VARIANTS: [(&str, &str); 2] = [("leg", "b"), ("status", "answered")];

/// The calls of these CDRs are numbered from 3000, above those of other requests.
const FIRST_CALL: u64 = 3_000;

/// A handler stores nothing more if it has stored nothing for this many times `within`.
const IDLE: u32 = 5;

const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadBackSource {
    Url(Box<Destination>),
    /// The program and its arguments.
    Command(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBackOptions {
    pub source: ReadBackSource,
    pub within: Duration,
}

/// `StoredFault` is a difference between what was sent and what is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredFault {
    pub difference: Difference,
    /// The beginning of the stored records, as the read-back returned them.
    pub found: String,
    /// The delivery that is shown as evidence.
    pub observed: Observed,
    /// A fault is final if a later write cannot mend it.
    is_final: bool,
}

/// The verdict of a record is final if no CDRs are left to ask for.
struct Held {
    record: CaseRecord,
    fault: Option<StoredFault>,
    cdrs: Vec<SentCdr>,
    may_be_dropped: bool,
    is_stored: bool,
    until: Instant,
}

impl Held {
    fn must_be_stored(&self) -> bool {
        self.cdrs.iter().any(SentCdr::must_be_stored)
    }
}

pub(super) struct ReadBack {
    asker: Asker,
    within: Duration,
    /// The request target of the handler's URL, whose own parameters are no part of a CDR.
    target: String,
    /// The fields that the handler stores of a good CDR as they were sent.
    kept: BTreeSet<&'static str>,
    /// The fields of a good CDR that are stored in another form, or not at all, with what is stored.
    not_kept: Vec<String>,
    /// The values of [`VARIANTS`] with which a CDR got 2xx and was not stored.
    dropped: Vec<&'static str>,
    /// The cases whose CDR got 2xx and may be dropped.
    not_stored: Vec<&'static str>,
    /// Set if the read-back found nothing of the first good CDR; the suite then asks for no other CDR.
    is_blind: bool,
    last_stored: Instant,
    held: VecDeque<Held>,
}

impl ReadBack {
    pub fn new(
        options: &ReadBackOptions,
        destination: &Destination,
        client: &ClientOptions,
        handler: Option<&HandlerProcess>,
    ) -> Result<Self, Error> {
        let asker = match &options.source {
            ReadBackSource::Url(url) => {
                Asker::Url(Box::new(Client::new(url, client)?), url.clone())
            }
            ReadBackSource::Command(words) => {
                let supervisor = handler.map(HandlerProcess::supervisor);
                let supervisor = supervisor.unwrap_or_else(|| Rc::new(Supervisor::install()));
                Asker::Command(words.clone(), supervisor, client.timeout)
            }
        };
        Ok(Self {
            asker,
            within: options.within,
            target: destination.target().to_owned(),
            kept: BTreeSet::new(),
            not_kept: Vec::new(),
            dropped: Vec::new(),
            not_stored: Vec::new(),
            is_blind: false,
            last_stored: Instant::now(),
            held: VecDeque::new(),
        })
    }

    /// Learns from the first accepted CDR which fields the handler stores, and which variants of a CDR the handler drops.
    /// An error means that nothing can be asked.
    pub async fn learn(
        &mut self,
        case: &Case,
        observed: &Observed,
        client: &SuiteClient<'_>,
        source: &CaseRequests,
    ) -> Result<(), Error> {
        let cdrs = self.cdrs(case, slice::from_ref(observed));
        let Some(cdr) = cdrs.first() else {
            return Ok(());
        };
        let Some(record) = self.find(cdr).await? else {
            self.is_blind = true;
            return Ok(());
        };
        (self.kept, self.not_kept) = compare::kept(&cdr.versions[0], &record);
        for (n, (field, value)) in (FIRST_CALL..).zip(VARIANTS) {
            let change = |cdr: &mut Fields| drop(cdr.insert(field.to_owned(), value.into()));
            let observed = client.send(&source.altered(n, case.method, change)).await;
            let cdrs = self.cdrs(case, slice::from_ref(&observed));
            if observed.accepted() && self.find(&cdrs[0]).await?.is_none() {
                self.dropped.push(value);
            }
        }
        // A handler that stores neither has another reason than these values.
        if self.dropped.len() == VARIANTS.len() {
            self.dropped.clear();
        }
        Ok(())
    }

    /// Asks for a CDR until the handler has stored it, or `within` has passed.
    async fn find(&self, cdr: &SentCdr) -> Result<Option<Record>, Error> {
        let until = Instant::now() + self.within;
        loop {
            let output = self.asker.ask(cdr).await;
            let output = output.map_err(|what| Error::Usage(format!("--read-back: {what}")))?;
            let found = cdr.records(&output).into_iter().next();
            if found.is_some() || Instant::now() >= until {
                return Ok(found);
            }
            sleep(PAUSE).await;
        }
    }

    pub fn remarks(self) -> Vec<Remark> {
        let answered = self.dropped.contains(&"answered").then(|| {
            "an answered CDR got 2xx and is not stored, which is right for a handler of missed calls: --read-back asks for those alone"
                .to_owned()
        });
        let fields = (!self.not_kept.is_empty()).then(|| {
            let fields = self.not_kept.join(", ");
            format!("of a good CDR, these fields are not stored as they were sent, and are not compared: {fields}")
        });
        let count = self.not_stored.len();
        let dropped = (count > 0).then(|| Remark {
            text: format!("{count} of the forms that TeleCMI is not known to send got 2xx and are not stored, which is tolerated"),
            cases: self.not_stored,
        });
        let of_run = answered.into_iter().chain(fields);
        of_run.map(Remark::of_run).chain(dropped).collect()
    }

    /// Takes the record of a case, and asks for the CDRs of a case that has passed.
    pub async fn hold(
        &mut self,
        record: CaseRecord,
        passed: Option<(Case, Expects, Vec<Observed>)>,
    ) {
        let is_probe = PROBES.iter().any(|probe| probe.name == record.name);
        let asked = passed.filter(|_| is_probe || !self.is_blind);
        let may_be_dropped =
            |(case, expects, _): &(Case, Expects, _)| case.may_be_dropped(*expects);
        let until = Instant::now() + self.within;
        let mut held = Held {
            record,
            fault: None,
            is_stored: false,
            may_be_dropped: asked.as_ref().is_some_and(may_be_dropped),
            cdrs: asked.map_or(Vec::new(), |(case, _, observed)| {
                self.cdrs(&case, &observed)
            }),
            until: if self.is_blind { Instant::now() } else { until },
        };
        self.judge_held(&mut held).await;
        self.held.push_back(held);
    }

    /// After a restart, a handler may have lost what it kept in memory.
    pub fn forget(&mut self) {
        self.held.iter_mut().for_each(|held| held.cdrs.clear());
    }

    /// Returns the next record whose verdict is final, and its fault. With `wait`, waits for it.
    pub async fn next(&mut self, wait: bool) -> Option<(CaseRecord, Option<StoredFault>)> {
        let mut held = self.held.pop_front()?;
        loop {
            self.judge_held(&mut held).await;
            if held.cdrs.is_empty() {
                return Some((held.record, held.fault));
            }
            if !wait {
                self.held.push_front(held);
                return None;
            }
            sleep(PAUSE).await;
        }
    }

    async fn judge_held(&mut self, held: &mut Held) {
        let is_late = Instant::now() >= held.until;
        let is_last = is_late && (self.is_blind || !self.is_behind().await);
        let fault = self.judge(&held.cdrs).await;
        if is_last || fault.as_ref().is_none_or(|fault| fault.is_final) {
            if fault.is_none() && held.must_be_stored() {
                held.is_stored = true;
                self.last_stored = Instant::now();
            }
            let is_lost = fault.as_ref().is_some_and(|fault| !fault.is_final);
            if is_lost && held.may_be_dropped {
                self.not_stored.push(held.record.name);
            } else {
                held.fault = held.fault.take().or(fault);
            }
            held.cdrs.clear();
        }
    }

    /// Returns whether the handler may still store a CDR that is late: it stores others, but none that came later.
    async fn is_behind(&mut self) -> bool {
        let is_idle = Instant::now() >= self.last_stored + self.within * IDLE;
        if is_idle || self.held.iter().any(|held| held.is_stored) {
            return false;
        }
        let Some(later) = self.held.iter().position(Held::must_be_stored) else {
            return true;
        };
        let is_stored = self.judge(&self.held[later].cdrs).await.is_none();
        if is_stored {
            self.held[later].is_stored = true;
            self.held[later].cdrs.clear();
        }
        !is_stored
    }

    fn cdrs(&self, case: &Case, observed: &[Observed]) -> Vec<SentCdr> {
        let is_at_once = matches!(
            case.delivery,
            CaseDelivery::AtOnce | CaseDelivery::Concurrent(_)
        );
        let happens = !matches!(case.grade, Grade::Hostile | Grade::Unknown);
        let mut cdrs: Vec<SentCdr> = Vec::new();
        for observed in observed.iter().filter(|_| may_be_stored(case)) {
            let Some(fields) = self.fields(&observed.sent) else {
                continue;
            };
            let id = fields.get("cmiuuid").map(text).unwrap_or_default();
            let is_same = |cdr: &&mut SentCdr| !id.is_empty() && cdr.value("cmiuuid") == id;
            if let Some(cdr) = cdrs.iter_mut().find(is_same) {
                cdr.observed.push(observed.clone());
                cdr.versions.push(fields);
                continue;
            }
            cdrs.push(SentCdr {
                observed: vec![observed.clone()],
                happens: happens
                    && !self.dropped.iter().any(|value| {
                        *value == "answered" && fields.get("status") == Some(&json!(value))
                    }),
                versions: vec![fields],
                is_at_once,
            });
        }
        cdrs
    }

    /// The fields of a CDR as far as they can be read: by POST those whose JSON is valid, by GET the decoded parameters.
    fn fields(&self, request: &Request) -> Option<Fields> {
        if request.method != "POST" {
            let query = request.target.strip_prefix(&self.target)?;
            let pairs = query::decode(query.trim_start_matches(['?', '&'])).pairs;
            let fields = pairs.into_iter();
            return Some(fields.map(|(name, value)| (name, value.into())).collect());
        }
        let members: BTreeMap<String, &RawValue> = serde_json::from_slice(&request.body.0).ok()?;
        let valid = members.into_iter().filter_map(|(name, raw)| {
            let value = serde_json::from_str(raw.get());
            Some((name, value.ok()?))
        });
        Some(valid.collect())
    }

    async fn judge(&self, cdrs: &[SentCdr]) -> Option<StoredFault> {
        let mut found = vec![None; cdrs.len()];
        for (cdr, found) in cdrs.iter().zip(&mut found) {
            let is_refused = cdr.observed.iter().all(is_refused);
            if !cdr.must_be_stored() && !is_refused {
                continue;
            }
            let output = match self.asker.ask(cdr).await {
                Err(what) if !is_refused => {
                    let mistake = "the read-back failed";
                    let text = format!("{mistake}: {what}");
                    let failed = Difference::new(Cause::NotStored, mistake, text);
                    return Some(cdr.fault(failed, "", false));
                }
                output => output.unwrap_or_default(),
            };
            let records = cdr.records(&output);
            *found = Some(!records.is_empty());
            let difference = match records.as_slice() {
                [] => None,
                _ if is_refused => {
                    let text = "something is stored of a CDR that was refused";
                    Some(Difference::new(Cause::KeptRefused, text, text))
                }
                [record] => cdr.difference(record, &self.kept),
                many => Some(duplicated(many.len(), cdr.versions.len())),
            };
            if let Some(difference) = difference {
                return Some(cdr.fault(difference, &output, true));
            }
        }
        let mut places = 0..cdrs.len();
        let lost = places.find(|n| cdrs[*n].must_be_stored() && found[*n] == Some(false))?;
        let missing = missing(cdrs, &found, lost, &self.dropped);
        Some(cdrs[lost].fault(missing, "", false))
    }
}

/// A case of invalid HTTP, of a held connection or of another method has no CDR that must be stored.
pub(super) fn may_be_stored(case: &Case) -> bool {
    match case.delivery {
        CaseDelivery::Raw(script) => script.is_good_http() && !script.holds_connection(),
        _ => !matches!(case.method, CaseMethod::Other(_)),
    }
}

fn is_refused(observed: &Observed) -> bool {
    matches!(&observed.answer, Ok(response) if (400..500).contains(&response.status))
}
