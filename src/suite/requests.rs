//! Builds the requests of a case. The bytes depend on the options and the case's name only, not on earlier cases.

use std::time::Duration;

use bytes::Bytes;
use rand::Rng as _;
use serde_json::json;

use super::guards::Guard;
use super::{Case, CaseDelivery, CaseMethod, CasePayload, Change, SuiteOptions};
use crate::cdr::account::{Account, AccountOptions};
use crate::cdr::scenarios::{self, CallIds, GenerateOptions};
use crate::cdr::{Fields, Shape};
use crate::net::{Destination, Header, Request, query};
use crate::seed::{Seed, Stream};
use crate::send::template::RequestTemplate;
use crate::untrusted::beginning;

fn body(cdr: &Fields) -> Bytes {
    json!(cdr).to_string().into()
}

/// The calls of a case begin 10 to 50 seconds before [`SuiteOptions::at`], as if they had just stopped ringing.
const RING_MS: std::ops::Range<u64> = 10_000..50_000;

/// The time between the two documented samples, which share a `call_id`. \[calc\]
const BETWEEN_SAMPLES: Duration = Duration::from_millis(62_274);

/// At most this many characters of a changed value are shown.
const SHOWN_CHARS: usize = 40;

/// The calls of liveness checks are numbered from 1000, above the numbers of the cases' own calls.
const FIRST_LIVENESS_CALL: u64 = 1_000;

/// [`CaseDelivery::AgainChanged`] makes these changes to its second CDR, without `custom` if `--custom` sets that.
const CORRECTION: &[Change] = &[
    Change::Text("hangup_reason", "sent_reject"),
    Change::Text("custom", r#"{"crm":"corrected"}"#),
];

#[derive(Debug, Clone)]
pub struct CaseRequests {
    /// `options.shape` and `options.call_ids` are replaced by those of each payload.
    options: GenerateOptions,
    account: AccountOptions,
    template: RequestTemplate,
    other_host: Option<String>,
    guards: Vec<Guard>,
}

impl CaseRequests {
    pub fn new(case: &Case, options: &SuiteOptions, destination: &Destination) -> Self {
        let number = number_of(case.name);
        let mut account = Account::new(&options.account, options.seed);
        // The calls of two cases may begin in the same millisecond: the clock sequence keeps their `call_id`s apart.
        account.server.clock_sequence = clock_sequence(number);
        let ring = RING_MS.start + number % (RING_MS.end - RING_MS.start);
        Self {
            options: GenerateOptions {
                account,
                shape: Shape::Docs,
                call_ids: CallIds::Shared,
                at: options.at.before(Duration::from_millis(ring)),
                seed: Seed(options.seed.rng(Stream::Case, number).next_u64()),
                with_events: false,
            },
            account: options.account.clone(),
            template: RequestTemplate {
                target: destination.target().to_owned(),
                headers: options.headers.clone(),
                ..RequestTemplate::default()
            },
            other_host: other_host(destination),
            guards: options.guards.clone(),
        }
    }

    /// Returns the same case with other identifiers, for a repetition that must not be a duplicate.
    pub fn renewed(mut self) -> Self {
        let seed = self.options.seed.rng(Stream::Case, 1).next_u64();
        self.options.seed = Seed(seed);
        self.options.account.server.clock_sequence = clock_sequence(seed);
        self
    }

    pub fn requests(&self, case: &Case) -> Vec<Request> {
        let mut payloads = self.payloads(case.payload);
        let again = payloads.clone();
        let others = |count| (1..).take(count).map(|n| body(&self.good(n)));
        match case.delivery {
            CaseDelivery::Reversed => payloads.reverse(),
            CaseDelivery::Again | CaseDelivery::AgainAfter(_) => payloads.extend(again),
            CaseDelivery::Forged(_) => payloads.extend(others(self.guards.len().saturating_sub(1))),
            CaseDelivery::LateAgain(count) => payloads.extend(others(count).chain(again)),
            CaseDelivery::AgainChanged => {
                let changes = CORRECTION.len() - usize::from(self.account.custom.is_some());
                payloads.push(body(&self.changed(&CORRECTION[..changes])));
            }
            CaseDelivery::Concurrent(calls) => payloads.extend(others(calls - 1)),
            _ => {}
        }
        let request = |(n, payload)| {
            let mut request = self.request(case.delivery, case.method.name(n), &payload);
            if let CaseDelivery::Forged(forgery) = case.delivery {
                let guard = self.guards.get(n).into_iter();
                guard.for_each(|guard| guard.forge(&mut request, forgery));
            }
            request
        };
        payloads.into_iter().enumerate().map(request).collect()
    }

    pub fn liveness_check(&self, n: u64, method: CaseMethod) -> Request {
        let good = self.good(FIRST_LIVENESS_CALL + n);
        self.request(CaseDelivery::InOrder, method.name(0), &body(&good))
    }

    /// Returns the good CDR of call `n` with a change, as a request of its own.
    pub fn altered(&self, n: u64, method: CaseMethod, alter: impl FnOnce(&mut Fields)) -> Request {
        let mut cdr = self.good(n);
        alter(&mut cdr);
        self.request(CaseDelivery::InOrder, method.name(0), &body(&cdr))
    }

    /// Names what a case changes of a good delivery, if it is a field, a parameter or a header.
    pub fn change(&self, case: &Case) -> Option<String> {
        let short = |text: &str| beginning(text, SHOWN_CHARS).into_owned();
        match (case.delivery, case.payload) {
            (CaseDelivery::Parameter(_, text), _) => Some(format!("{} in the query", short(text))),
            (CaseDelivery::ContentType(None), _) => Some("without Content-Type".to_owned()),
            (CaseDelivery::ContentType(Some(text)), _) => Some(format!("Content-Type: {text}")),
            (CaseDelivery::OtherHost, _) => Some(format!("Host: {}", self.other_host.as_ref()?)),
            (_, CasePayload::Spliced(name, json)) => Some(format!(
                "`{name}` is {}",
                short(&String::from_utf8_lossy(json))
            )),
            (_, CasePayload::Changed(changes)) => {
                let changed = self.changed(changes);
                let names = changes.iter().map(Change::name);
                let named = names.map(|name| match changed.get(name) {
                    Some(value) => format!("`{name}` is {}", short(&value.to_string())),
                    None => format!("without `{name}`"),
                });
                Some(named.collect::<Vec<_>>().join(", "))
            }
            _ => None,
        }
    }

    fn request(&self, delivery: CaseDelivery, method: &'static str, payload: &Bytes) -> Request {
        let mut template = self.template.clone();
        if delivery == CaseDelivery::Brackets {
            template.encoding = query::Encoding::Brackets;
        }
        let mut request = match method {
            "POST" | "PUT" => template.post(payload.clone()),
            _ => template.get(payload),
        };
        request.method = method.into();
        match delivery {
            CaseDelivery::Parameter(name, text) => {
                let query = query::encode(payload, template.encoding);
                let mut pairs: Vec<_> = query.split('&').collect();
                let start = format!("{name}=");
                let is_own = |pair: &&mut &str| !name.is_empty() && pair.starts_with(&start);
                match pairs.iter_mut().find(is_own) {
                    Some(pair) => *pair = text,
                    None => pairs.push(text),
                }
                request.target = query::merge(&template.target, &pairs.join("&"));
            }
            CaseDelivery::Pluses => request.target = request.target.replace("%20", "+"),
            CaseDelivery::ContentType(text) => set_header(&mut request, "Content-Type", text),
            CaseDelivery::OtherHost => set_header(&mut request, "host", self.other_host.as_deref()),
            _ => {}
        }
        request
    }

    fn payloads(&self, payload: CasePayload) -> Vec<Bytes> {
        match payload {
            CasePayload::Scenario(name, shape, call_ids) => {
                let cdrs = self.scenario(name, 0, shape, call_ids);
                cdrs.iter().map(body).collect()
            }
            CasePayload::Changed(changes) => vec![body(&self.changed(changes))],
            CasePayload::Spliced(name, json) => vec![spliced(&self.good(0), name, json).into()],
            CasePayload::Yours(name) => vec![body(&self.yours(name, 0))],
            CasePayload::DocumentedPair => {
                let mut first = self.yours("docs-leg-a", 0);
                let earlier = self.options.at.before(BETWEEN_SAMPLES);
                first.insert("time".to_owned(), earlier.epoch_ms().into());
                let mut second = self.yours("docs-leg-b", 1);
                second.insert("call_id".to_owned(), first["call_id"].clone());
                vec![body(&first), body(&second)]
            }
            CasePayload::Object(object) => vec![object(&self.good(0)).to_string().into()],
            CasePayload::Body(make) => vec![make(&self.good(0)).into()],
            CasePayload::Text(text) => vec![text.into()],
        }
    }

    fn scenario(&self, name: &str, n: u64, shape: Shape, call_ids: CallIds) -> Vec<Fields> {
        let options = GenerateOptions {
            shape,
            call_ids,
            ..self.options.clone()
        };
        let choices = scenarios::choices(name).into_iter();
        let cdrs = choices.flat_map(|choice| scenarios::generate(choice, n, &options).1);
        let mut cdrs: Vec<Fields> = cdrs.map(|generated| generated.cdr.fields()).collect();
        // The documented samples have fixed identifiers, which would be duplicates in the next case or run.
        if name.starts_with("docs-") {
            let good = self.good(n);
            for id in ["call_id", "cmiuuid", "request_id"] {
                cdrs[0].insert(id.to_owned(), good[id].clone());
            }
        }
        cdrs
    }

    fn documented(&self, scenario: &str, n: u64) -> Fields {
        let cdrs = self.scenario(scenario, n, Shape::Docs, CallIds::Shared);
        cdrs.into_iter().next().unwrap_or_default()
    }

    /// Returns a documented sample with what TeleCMI would send of the user's account, and the user's own values.
    fn yours(&self, scenario: &str, n: u64) -> Fields {
        let mut cdr = self.documented(scenario, n);
        let good = self.good(n);
        let flags = [
            ("virtual_number", self.account.virtual_number.is_some()),
            ("custom", self.account.custom.is_some()),
            ("extra_params", self.account.extra_params.is_some()),
        ];
        let given = flags.into_iter().filter(|(_, given)| *given);
        for name in given.map(|(name, _)| name).chain(["appid", "user", "time"]) {
            cdr.insert(name.to_owned(), good[name].clone());
        }
        if let Some(customer) = self.account.customer.filter(|_| cdr["leg"] == "b") {
            cdr.insert("to".to_owned(), customer.into());
        }
        cdr
    }

    fn good(&self, n: u64) -> Fields {
        self.documented("agent-no-answer", n)
    }

    fn changed(&self, changes: &[Change]) -> Fields {
        let mut cdr = self.good(0);
        for change in changes {
            let (name, value) = match *change {
                Change::Text(name, text) => (name, text.into()),
                // A unit test parses every `Change::Json` of the table, so that `from_str` cannot fail here.
                Change::Json(name, json) => (name, serde_json::from_str(json).unwrap_or_default()),
                Change::Computed(name, value) => (name, value(&cdr)),
                Change::Without(name) => {
                    cdr.shift_remove(name);
                    continue;
                }
            };
            cdr.insert(name.to_owned(), value);
        }
        cdr
    }
}

/// The compact JSON of a CDR in which `json` is the value of a field.
pub fn spliced(cdr: &Fields, name: &str, json: &[u8]) -> Vec<u8> {
    let body = json!(cdr).to_string();
    let start = format!("{}:", json!(name));
    let member = format!("{start}{}", json!(cdr.get(name)));
    let (before, after) = body.split_once(&member).unwrap_or((&body, ""));
    [before.as_bytes(), start.as_bytes(), json, after.as_bytes()].concat()
}

/// `number_of` hashes a case's name by FNV-1a, which unlike `DefaultHasher` is the same in every Rust release.
fn number_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A clock sequence has 14 bits (RFC 9562, section 5.1).
fn clock_sequence(number: u64) -> u16 {
    u16::try_from(number >> 50).unwrap_or_default()
}

fn set_header(request: &mut Request, name: &str, value: Option<&str>) {
    let headers = &mut request.headers;
    headers.retain(|header| !header.is(name));
    headers.extend(value.map(|value| Header::new(name, value)));
}

/// `other_host` swaps `127.0.0.1` and `localhost` in the authority, and returns `None` for other hosts.
pub(super) fn other_host(destination: &Destination) -> Option<String> {
    let authority = destination.authority();
    let (host, port) = authority.split_at(authority.rfind(':').unwrap_or(authority.len()));
    match host {
        "127.0.0.1" => Some(format!("localhost{port}")),
        "localhost" => Some(format!("127.0.0.1{port}")),
        _ => None,
    }
}
