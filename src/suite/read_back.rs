//! `--read-back`: asks what the handler has stored of a case's CDRs, and judges it.
//!
//! Handlers may write behind their answer. Records whose verdict is not final are held, with those behind them, and are
//! asked for again until `within` has passed.

mod compare;
mod reader;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use percent_encoding::utf8_percent_encode;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::event::{CaseRecord, Stored};
use super::handler::HandlerProcess;
use super::verdict::{Cause, Observed};
use super::{Case, CaseDelivery, CaseMethod};
use crate::cdr::{Fields, Grade, text};
use crate::error::Error;
use crate::net::client::{Client, ClientOptions, MAX_RESPONSE_BODY};
use crate::net::query::{self, ESCAPED};
use crate::net::{Destination, Request};
use crate::process::{GRACE, Supervisor};
use compare::Difference;
use reader::{Record, Wanted, records};

/// The fields that can be filled in: `{cmiuuid}` in a URL or a word of a command, `CDR_CMIUUID` in its environment.
pub const KEYS: [&str; 5] = ["cmiuuid", "request_id", "call_id", "user", "to"];

/// A record is recognised by these values.
const DISTINCTIVE: [&str; 9] = [
    "status",
    "user",
    "time",
    "to",
    "appid",
    "call_id",
    "request_id",
    "hangup_reason",
    "virtual_number",
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
    pub cause: Cause,
    /// What was sent and what is stored.
    pub text: String,
    pub stored: Stored,
    /// The delivery that is shown as evidence.
    pub observed: Observed,
    /// A fault is final if a later write cannot mend it.
    is_final: bool,
}

/// `SentCdr` is a CDR of a case, with all its deliveries.
struct SentCdr {
    /// The values of [`KEYS`].
    keys: [String; 5],
    /// The first delivery.
    observed: Observed,
    versions: Vec<Fields>,
    by_get: bool,
    deliveries: usize,
    accepted: usize,
    refused: usize,
    must_be_stored: bool,
}

struct Held {
    record: CaseRecord,
    pending: Option<Pending>,
}

struct Pending {
    cdrs: Vec<SentCdr>,
    until: Instant,
}

enum Asker {
    Url(Box<Client>, Box<Destination>),
    Command(Vec<String>, Rc<Supervisor>, Duration),
}

pub(super) struct ReadBack {
    asker: Asker,
    within: Duration,
    /// The request target of the handler's URL, whose own parameters are no part of a CDR.
    target: String,
    /// The fields that the handler stores of a good CDR as they were sent.
    kept: BTreeSet<&'static str>,
    /// Nothing is read back if nothing was found of the first good CDR.
    is_blind: bool,
    pending: Option<Pending>,
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
            pending: None,
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
        loop {
            let output = self.asker.ask(cdr).await;
            let output = output.map_err(|what| Error::Usage(format!("--read-back: {what}")))?;
            if let Some(record) = cdr.records(&output).first() {
                self.kept = compare::kept(&cdr.versions[0], record);
                return Ok(());
            }
            if Instant::now() >= until {
                self.is_blind = true;
                return Ok(());
            }
            sleep(PAUSE).await;
        }
    }

    /// Asks for the CDRs of a case that has passed. A fault that a later write may mend is kept for [`ReadBack::hold`].
    pub async fn check(&mut self, case: &Case, observed: &[Observed]) -> Option<StoredFault> {
        let is_probe = super::cases::PROBES
            .iter()
            .any(|probe| probe.name == case.name);
        if self.is_blind && !is_probe {
            return None;
        }
        let cdrs = self.cdrs(case, observed);
        let fault = self.judge(&cdrs).await?;
        if fault.is_final || self.is_blind {
            return Some(fault);
        }
        let until = Instant::now() + self.within;
        self.pending = Some(Pending { cdrs, until });
        None
    }

    /// Takes the record of the case that was checked last.
    pub fn hold(&mut self, record: CaseRecord) {
        let pending = self.pending.take();
        self.held.push_back(Held { record, pending });
    }

    /// After a restart, a handler may have lost what it kept in memory.
    pub fn forget(&mut self) {
        self.pending = None;
        self.held.iter_mut().for_each(|held| held.pending = None);
    }

    /// Returns the next record whose verdict is final, and its fault. With `wait`, waits for it.
    pub async fn next(&mut self, wait: bool) -> Option<(CaseRecord, Option<StoredFault>)> {
        loop {
            let Some(pending) = self.held.front_mut()?.pending.take() else {
                return self.held.pop_front().map(|held| (held.record, None));
            };
            let is_last = Instant::now() >= pending.until;
            let fault = self.judge(&pending.cdrs).await;
            if fault.as_ref().is_none_or(|fault| fault.is_final) || is_last {
                return self.held.pop_front().map(|held| (held.record, fault));
            }
            self.held.front_mut()?.pending = Some(pending);
            if !wait {
                return None;
            }
            sleep(PAUSE).await;
        }
    }

    fn cdrs(&self, case: &Case, observed: &[Observed]) -> Vec<SentCdr> {
        let is_known = match case.delivery {
            CaseDelivery::Raw(script) => script.is_good_http() && !script.holds_connection(),
            _ => !matches!(case.method, CaseMethod::Other(_)),
        };
        if !is_known {
            return Vec::new();
        }
        let happens = !matches!(case.grade, Grade::Hostile | Grade::Unknown);
        let mut cdrs: Vec<SentCdr> = Vec::new();
        for observed in observed {
            let Some(fields) = self.fields(&observed.sent) else {
                continue;
            };
            let keys = KEYS.map(|name| {
                fields
                    .get(name)
                    .map(|value| text(value).into_owned())
                    .unwrap_or_default()
            });
            let known = cdrs
                .iter()
                .position(|cdr| cdr.keys[0] == keys[0] && !keys[0].is_empty());
            let place = known.unwrap_or(cdrs.len());
            if known.is_none() {
                cdrs.push(SentCdr::new(keys, observed));
            }
            cdrs[place].add(fields, observed, happens);
        }
        cdrs
    }

    /// The fields of a CDR as far as they can be read: by POST those whose JSON is valid, by GET the decoded parameters.
    fn fields(&self, request: &Request) -> Option<Fields> {
        if request.method == "POST" {
            let raw: BTreeMap<String, &RawValue> = serde_json::from_slice(&request.body.0).ok()?;
            let read = |(name, raw): (String, &RawValue)| {
                Some((name, serde_json::from_str(raw.get()).ok()?))
            };
            return Some(raw.into_iter().filter_map(read).collect());
        }
        let query = request.target.strip_prefix(&self.target)?;
        let pairs = query::decode(query.trim_start_matches(['?', '&']))
            .pairs
            .into_iter();
        Some(
            pairs
                .map(|(name, value)| (name, Value::String(value)))
                .collect(),
        )
    }

    async fn judge(&self, cdrs: &[SentCdr]) -> Option<StoredFault> {
        let mut found = Vec::with_capacity(cdrs.len());
        for cdr in cdrs {
            let is_refused = cdr.refused == cdr.deliveries;
            if !cdr.must_be_stored && !is_refused {
                found.push(None);
                continue;
            }
            let output = match self.asker.ask(cdr).await {
                Ok(output) => output,
                Err(_) if is_refused => String::new(),
                Err(what) => {
                    let text = format!("the read-back failed: {what}");
                    let difference =
                        Difference::new(Cause::NotStored, "the read-back failed", text);
                    return Some(cdr.fault(difference, "", false));
                }
            };
            let difference = match cdr.records(&output).as_slice() {
                [] => {
                    found.push(Some(false));
                    continue;
                }
                _ if is_refused => {
                    let text = "something is stored of a CDR that was refused";
                    Some(Difference::new(Cause::KeptRefused, text, text))
                }
                [record] => cdr.difference(record, &self.kept),
                many => {
                    let times = match cdr.deliveries {
                        1 => "once".to_owned(),
                        n => format!("{n} times"),
                    };
                    let count = many.len();
                    let text = format!(
                        "{count} records of one cmiuuid that was sent {times}: missing unique key"
                    );
                    Some(Difference::new(
                        Cause::Duplicated,
                        "missing unique key",
                        text,
                    ))
                }
            };
            if let Some(difference) = difference {
                return Some(cdr.fault(difference, &output, true));
            }
            found.push(Some(true));
        }
        let is_lost =
            |(cdr, found): (&SentCdr, &Option<bool>)| cdr.must_be_stored && *found == Some(false);
        let lost = cdrs.iter().zip(&found).position(is_lost)?;
        Some(cdrs[lost].fault(missing(cdrs, &found, lost), "", false))
    }
}

/// A CDR that is not stored, while another leg of its call is, was overwritten or ignored for a key that both share.
fn missing(cdrs: &[SentCdr], found: &[Option<bool>], lost: usize) -> Difference {
    let cdr = &cdrs[lost];
    let shared = |other: &SentCdr| {
        let keys = [("call_id", 2), ("request_id", 1)].into_iter();
        let keys = keys
            .filter(|(_, key)| other.keys[*key] == cdr.keys[*key] && !cdr.keys[*key].is_empty());
        keys.map(|(name, _)| name).collect::<Vec<_>>().join(" or ")
    };
    let others = (0..cdrs.len()).filter(|other| *other != lost && found[*other] == Some(true));
    let mut others = others.map(|other| (other, shared(&cdrs[other])));
    let Some((other, keys)) = others.find(|(_, keys)| !keys.is_empty()) else {
        let by = if cdr.by_get { " by GET" } else { "" };
        let text = format!("a CDR{by} got 2xx and is not stored");
        return Difference::new(Cause::NotStored, &text, text.as_str());
    };
    let leg = |cdr: &SentCdr| cdr.versions[0].get("leg").map(|leg| text(leg).into_owned());
    let own = leg(cdr).unwrap_or_default();
    let other_leg = leg(&cdrs[other]).unwrap_or_default();
    let text = if lost < other {
        format!("leg {other_leg} overwrites leg {own}: upsert by {keys}")
    } else {
        format!("leg {own} is ignored behind leg {other_leg}: {keys} is taken for the key")
    };
    Difference::new(
        Cause::LegLost,
        "the legs of a call are taken for one record",
        text,
    )
}

impl SentCdr {
    fn new(keys: [String; 5], observed: &Observed) -> Self {
        Self {
            keys,
            observed: observed.clone(),
            versions: Vec::new(),
            by_get: observed.sent.method == "GET",
            deliveries: 0,
            accepted: 0,
            refused: 0,
            must_be_stored: false,
        }
    }

    fn add(&mut self, fields: Fields, observed: &Observed, happens: bool) {
        let is = |name: &str, values: &[&str]| {
            fields
                .get(name)
                .is_some_and(|value| values.contains(&&*text(value)))
        };
        let is_cdr = is("type", &["cdr"]) && is("direction", &["outbound"]);
        let has_status = is("status", &["missed", "answered"]) || !fields.contains_key("status");
        self.deliveries += 1;
        self.accepted += usize::from(observed.accepted());
        let status = observed
            .answer
            .as_ref()
            .map_or(0, |response| response.status);
        self.refused += usize::from((400..500).contains(&status));
        self.must_be_stored = happens
            && is_cdr
            && has_status
            && self.keys[0].len() >= SHORTEST_ID
            && self.accepted > 0;
        self.versions.push(fields);
    }

    fn records(&self, output: &str) -> Vec<Record> {
        let values = self
            .versions
            .iter()
            .flat_map(|fields| DISTINCTIVE.iter().filter_map(|name| fields.get(*name)));
        let values = values.map(|value| text(value).into_owned());
        let others: Vec<String> = values
            .filter(|value| value.len() >= 4)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        records(
            output,
            &Wanted {
                id: &self.keys[0],
                others: &others,
            },
        )
    }

    fn fault(&self, difference: Difference, output: &str, is_final: bool) -> StoredFault {
        StoredFault {
            cause: difference.cause,
            text: difference.text,
            stored: Stored {
                mistake: difference.mistake,
                found: output.chars().take(SHOWN).collect(),
            },
            observed: self.observed.clone(),
            is_final,
        }
    }

    /// Of a CDR that came in two versions, either may be stored.
    fn difference(&self, record: &Record, kept: &BTreeSet<&'static str>) -> Option<Difference> {
        if !self.must_be_stored {
            return None;
        }
        let versions = self.versions.iter();
        let differences =
            versions.map(|fields| compare::difference(fields, self.by_get, record, kept));
        differences.reduce(|first, next| first.and_then(|first| next.map(|_| first)))?
    }
}

impl Asker {
    /// Returns what is stored of a CDR, empty for 404 and 410.
    async fn ask(&self, cdr: &SentCdr) -> Result<String, String> {
        let keys = || KEYS.into_iter().zip(&cdr.keys);
        match self {
            Self::Url(client, url) => {
                let mut target = url.target().to_owned();
                let asked = keys().filter(|(name, _)| target.contains(&format!("{{{name}}}")));
                if asked.clone().count() > 0 && asked.clone().all(|(_, value)| value.is_empty()) {
                    return Ok(String::new());
                }
                for (name, value) in keys() {
                    let value = utf8_percent_encode(value, ESCAPED).to_string();
                    target = target.replace(&format!("{{{name}}}"), &value);
                }
                let request = Request::new("GET", target, Vec::new(), "");
                let response = client
                    .send(&request)
                    .await
                    .map_err(|failure| failure.text)?;
                match response.status {
                    200..300 => Ok(String::from_utf8_lossy(&response.body.0).into_owned()),
                    404 | 410 => Ok(String::new()),
                    status => Err(format!("{} answered {status}", url.masked())),
                }
            }
            Self::Command(words, supervisor, limit) => {
                let fill = |word: &String| {
                    keys().fold(word.clone(), |word, (name, value)| {
                        word.replace(&format!("{{{name}}}"), value)
                    })
                };
                // A process argument and a variable hold no NUL.
                let words: Vec<String> = words
                    .iter()
                    .map(|word| fill(word).replace('\0', ""))
                    .collect();
                let mut command = Command::new(&words[0]);
                let variable = |(name, value): (&str, &String)| {
                    (
                        format!("CDR_{}", name.to_uppercase()),
                        value.replace('\0', ""),
                    )
                };
                command.args(&words[1..]).envs(keys().map(variable));
                let run = run(&mut command, supervisor);
                let ended = timeout(*limit, run).await;
                ended
                    .unwrap_or_else(|_| Err("still runs".to_owned()))
                    .map_err(|what| format!("{} {what}", words[0]))
            }
        }
    }
}

async fn run(command: &mut Command, supervisor: &Supervisor) -> Result<String, String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let group = supervisor.start(command);
    let mut group = group.map_err(|error| format!("cannot be run: {error}"))?;
    let (stdout, stderr) = group.streams();
    let (output, said) = tokio::join!(read(stdout), read(stderr));
    let ended = group.wait().await;
    group.end(GRACE).await;
    if ended.code == Some(0) {
        return Ok(output);
    }
    let said = said
        .lines()
        .last()
        .map_or(String::new(), |line| format!(": {line}"));
    Err(format!("ended {}{said}", ended.words()))
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What was read before an error counts.
        let _ = stream
            .take(MAX_RESPONSE_BODY as u64)
            .read_to_end(&mut bytes)
            .await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
