//! `--read-back`: asks what the handler has stored of a case's CDRs, and judges it.
//!
//! Handlers may write behind their answer. Records whose verdict is not final are held, with those behind them, and are
//! asked for again until `within` has passed.

mod asker;
mod compare;
mod reader;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use super::cases::PROBES;
use super::event::CaseRecord;
use super::handler::HandlerProcess;
use super::verdict::{Cause, Observed};
use super::{Case, CaseDelivery, CaseMethod};
use crate::cdr::{Fields, Grade, text};
use crate::error::Error;
use crate::net::client::{Client, ClientOptions};
use crate::net::query;
use crate::net::{Destination, Request};
use crate::process::Supervisor;
use asker::Asker;
use compare::Difference;
use reader::{Record, Wanted, records};

/// The fields that can be filled in: `{cmiuuid}` in a URL or a word of a command, `CDR_CMIUUID` in its environment.
pub const KEYS: [&str; 5] = ["cmiuuid", "request_id", "call_id", "user", "to"];

/// A record is recognised by the values of these fields.
#[rustfmt::skip]
const DISTINCTIVE: [&str; 9] = [
    "status", "user", "time", "to", "appid", "call_id", "request_id", "hangup_reason", "virtual_number",
];

/// A shorter `cmiuuid` is none of TeleCMI's: a handler may refuse it silently.
const SHORTEST_ID: usize = 8;

const PAUSE: Duration = Duration::from_millis(100);

/// A record shows the first 2048 characters of what is stored.
const SHOWN: usize = 2_048;

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
    /// The beginning of what the read-back gave.
    pub found: String,
    /// The delivery that is shown as evidence.
    pub observed: Observed,
    /// A fault is final if a later write cannot mend it.
    is_final: bool,
}

/// `SentCdr` is a CDR of a case, with all its deliveries and what each has sent. A CDR of a hostile case does not happen.
struct SentCdr {
    observed: Vec<Observed>,
    versions: Vec<Fields>,
    happens: bool,
    /// Other CDRs were sent at the same moment.
    is_at_once: bool,
}

/// The verdict of a record is final if no CDRs are left to ask for.
struct Held {
    record: CaseRecord,
    fault: Option<StoredFault>,
    cdrs: Vec<SentCdr>,
    until: Instant,
}

pub(super) struct ReadBack {
    asker: Asker,
    within: Duration,
    /// The request target of the handler's URL, whose own parameters are no part of a CDR.
    target: String,
    /// The fields that the handler stores of a good CDR as they were sent.
    kept: BTreeSet<&'static str>,
    /// Set if the read-back found nothing of the first good CDR; the suite then asks for no other CDR.
    is_blind: bool,
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
            is_blind: false,
            held: VecDeque::new(),
        })
    }

    /// Learns from the first accepted CDR which fields the handler stores. An error means that nothing can be asked.
    pub async fn learn(&mut self, case: &Case, observed: &Observed) -> Result<(), Error> {
        let cdrs = self.cdrs(case, std::slice::from_ref(observed));
        let Some(cdr) = cdrs.first() else {
            return Ok(());
        };
        let until = Instant::now() + self.within;
        while !self.is_blind {
            let output = self.asker.ask(cdr).await;
            let output = output.map_err(|what| Error::Usage(format!("--read-back: {what}")))?;
            if let Some(record) = cdr.records(&output).first() {
                self.kept = compare::kept(&cdr.versions[0], record);
                break;
            }
            self.is_blind = Instant::now() >= until;
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Takes the record of a case, and asks for the CDRs of a case that has passed.
    pub async fn hold(&mut self, record: CaseRecord, passed: Option<(Case, Vec<Observed>)>) {
        let is_probe = PROBES.iter().any(|probe| probe.name == record.name);
        let asked = passed.filter(|_| is_probe || !self.is_blind);
        let cdrs = asked.map(|(case, observed)| self.cdrs(&case, &observed));
        let until = Instant::now() + self.within;
        let mut held = Held {
            record,
            fault: None,
            cdrs: cdrs.unwrap_or_default(),
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

    async fn judge_held(&self, held: &mut Held) {
        let is_last = Instant::now() >= held.until;
        let fault = self.judge(&held.cdrs).await;
        if is_last || fault.as_ref().is_none_or(|fault| fault.is_final) {
            held.fault = held.fault.take().or(fault);
            held.cdrs.clear();
        }
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
                versions: vec![fields],
                happens,
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
        Some(cdrs[lost].fault(missing(cdrs, &found, lost), "", false))
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

fn duplicated(records: usize, deliveries: usize) -> Difference {
    let key = "missing unique key";
    let text = match deliveries {
        1 => format!("{records} records of one cmiuuid that was sent once: {key}"),
        n => format!("{records} records of one cmiuuid that was sent {n} times: {key}"),
    };
    Difference::new(Cause::Duplicated, key, text)
}

/// A CDR that is not stored, while another leg of its call is, was overwritten or ignored for a key that both share.
fn missing(cdrs: &[SentCdr], found: &[Option<bool>], lost: usize) -> Difference {
    let cdr = &cdrs[lost];
    if cdr.is_at_once {
        let mistake = "of CDRs at once, one that got 2xx is not stored";
        let text = format!("{mistake}: they share a variable, a connection or a key");
        return Difference::new(Cause::NotStored, mistake, text);
    }
    for other in (0..cdrs.len()).filter(|n| found[*n] == Some(true)) {
        let is_shared = |key: &&str| {
            let own = cdr.value(key);
            !own.is_empty() && cdrs[other].value(key) == own
        };
        let shared = ["call_id", "request_id"].into_iter().filter(is_shared);
        let keys = shared.collect::<Vec<_>>().join(" or ");
        if keys.is_empty() {
            continue;
        }
        let (leg, other_leg) = (cdr.value("leg"), cdrs[other].value("leg"));
        let text = if lost < other {
            format!("leg {other_leg} overwrites leg {leg}: upsert by {keys}")
        } else {
            format!("leg {leg} is ignored behind leg {other_leg}: {keys} is taken for the key")
        };
        let mistake = "the legs of a call are taken for one record";
        return Difference::new(Cause::LegLost, mistake, text);
    }
    let by = if cdr.by_get() { " by GET" } else { "" };
    let text = format!("a CDR{by} got 2xx and is not stored");
    Difference::new(Cause::NotStored, text.as_str(), text.as_str())
}

impl SentCdr {
    /// The value of a field in the first delivery, empty without the field.
    fn value(&self, name: &str) -> Cow<'_, str> {
        self.versions[0].get(name).map(text).unwrap_or_default()
    }

    fn by_get(&self) -> bool {
        self.observed[0].sent.method == "GET"
    }

    fn must_be_stored(&self) -> bool {
        let last = &self.versions[self.versions.len() - 1];
        let is = |name, value: &str| last.get(name).is_some_and(|own| text(own) == value);
        let has_status =
            is("status", "missed") || is("status", "answered") || !last.contains_key("status");
        self.happens
            && is("type", "cdr")
            && is("direction", "outbound")
            && has_status
            && self.value("cmiuuid").len() >= SHORTEST_ID
            && self.observed.iter().any(Observed::accepted)
    }

    fn records(&self, output: &str) -> Vec<Record> {
        let fields = self.versions.iter();
        let values =
            fields.flat_map(|fields| DISTINCTIVE.iter().filter_map(|name| fields.get(*name)));
        let values = values.map(|value| text(value).into_owned());
        let wanted = Wanted {
            id: self.value("cmiuuid").into_owned(),
            others: values.filter(|value| value.len() >= 4).collect(),
        };
        records(output, &wanted)
    }

    fn fault(&self, difference: Difference, output: &str, is_final: bool) -> StoredFault {
        StoredFault {
            difference,
            found: output.chars().take(SHOWN).collect(),
            observed: self.observed[0].clone(),
            is_final,
        }
    }

    /// Of a CDR that came in two versions, either may be stored.
    fn difference(&self, record: &Record, kept: &BTreeSet<&'static str>) -> Option<Difference> {
        let versions = self.versions.iter();
        let differences =
            versions.map(|fields| compare::difference(fields, self.by_get(), record, kept));
        differences.collect::<Option<Vec<_>>>()?.into_iter().next()
    }
}
