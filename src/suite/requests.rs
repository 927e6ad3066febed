//! Builds the requests of a case. The bytes depend on the options and the case's name only, not on earlier cases.

use std::time::Duration;

use bytes::Bytes;
use rand::Rng as _;

use super::{Case, CaseDelivery, CaseMethod, CasePayload, Change, SuiteOptions};
use crate::cdr::scenarios::{self, CallIds, GenerateOptions};
use crate::cdr::{Fields, Shape};
use crate::net::{Destination, Header, Request, query};
use crate::seed::{Seed, Stream};
use crate::send::template::RequestTemplate;

/// A `Payload` whose body is no JSON object has no `fields` for the query of a GET.
#[derive(Clone)]
struct Payload {
    body: Bytes,
    fields: Option<Fields>,
}

impl From<Bytes> for Payload {
    fn from(body: Bytes) -> Self {
        let fields = serde_json::from_slice(&body).ok();
        Self { body, fields }
    }
}

impl From<Fields> for Payload {
    fn from(fields: Fields) -> Self {
        Self {
            // Serialising a map with string keys cannot fail.
            body: serde_json::to_vec(&fields).unwrap_or_default().into(),
            fields: Some(fields),
        }
    }
}

/// The calls of a case begin up to one hour before [`SuiteOptions::at`].
const SPREAD_MS: u64 = 3_600_000;

/// The calls of liveness checks are numbered from 1000, above the numbers of the cases' own calls.
const FIRST_LIVENESS_CALL: u64 = 1_000;

/// [`CaseDelivery::AgainChanged`] makes these changes to its second CDR.
const CORRECTION: &[Change] = &[
    Change::Text("hangup_reason", "sent_reject"),
    Change::Text("custom", r#"{"crm":"corrected"}"#),
];

#[derive(Debug, Clone)]
pub struct CaseRequests {
    /// `options.shape` and `options.call_ids` are replaced by those of each payload.
    options: GenerateOptions,
    template: RequestTemplate,
    other_host: Option<String>,
}

impl CaseRequests {
    pub fn new(case: &Case, options: &SuiteOptions, destination: &Destination) -> Self {
        let number = number_of(case.name);
        Self {
            options: GenerateOptions {
                account: options.account.clone(),
                shape: Shape::Docs,
                call_ids: CallIds::Shared,
                at: options.at.before(Duration::from_millis(number % SPREAD_MS)),
                seed: Seed(options.seed.rng(Stream::Case, number).next_u64()),
            },
            template: RequestTemplate {
                target: destination.target().to_owned(),
                headers: options.headers.clone(),
                ..RequestTemplate::default()
            },
            other_host: other_host(destination),
        }
    }

    pub fn requests(&self, case: &Case) -> Vec<Request> {
        let mut payloads = self.payloads(case.payload);
        let again = payloads.clone();
        let others = |count| (1..).take(count).map(|n| self.good(n).into());
        match case.delivery {
            CaseDelivery::Reversed => payloads.reverse(),
            CaseDelivery::Again => payloads.extend(again),
            CaseDelivery::LateAgain(count) => payloads.extend(others(count).chain(again)),
            CaseDelivery::AgainChanged => payloads.push(self.changed(CORRECTION).into()),
            CaseDelivery::Concurrent(calls) => payloads.extend(others(calls - 1)),
            _ => {}
        }
        payloads
            .into_iter()
            .enumerate()
            .map(|(n, payload)| self.request(case.delivery, case.method.name(n), payload))
            .collect()
    }

    pub fn liveness_check(&self, n: u64, method: CaseMethod) -> Request {
        let good = self.good(FIRST_LIVENESS_CALL + n);
        self.request(CaseDelivery::InOrder, method.name(0), good.into())
    }

    fn request(&self, delivery: CaseDelivery, method: &'static str, payload: Payload) -> Request {
        let mut template = self.template.clone();
        match delivery {
            CaseDelivery::ExtraQuery(text) => {
                template.target = query::merge(&template.target, text);
            }
            CaseDelivery::Brackets => template.encoding = query::Encoding::Brackets,
            _ => {}
        }
        let mut request = match method {
            "POST" | "PUT" => template.post(payload.body),
            _ => template.get(payload.fields.as_ref()),
        };
        request.method = method.into();
        match delivery {
            CaseDelivery::Pluses => request.target = request.target.replace("%20", "+"),
            CaseDelivery::ContentType(content_type) => {
                set_header(&mut request, "Content-Type", content_type);
            }
            CaseDelivery::OtherHost => {
                set_header(&mut request, "host", self.other_host.as_deref());
            }
            _ => {}
        }
        request
    }

    fn payloads(&self, payload: CasePayload) -> Vec<Payload> {
        match payload {
            CasePayload::Scenario(name, shape, call_ids) => {
                let cdrs = self.scenario(name, 0, shape, call_ids);
                cdrs.into_iter().map(Payload::from).collect()
            }
            CasePayload::Changed(changes) => vec![self.changed(changes).into()],
            CasePayload::DocumentedPair => {
                let first = self.documented("docs-leg-a", 0);
                let mut second = self.documented("docs-leg-b", 1);
                second.insert("call_id".to_owned(), first["call_id"].clone());
                vec![first.into(), second.into()]
            }
            CasePayload::Object(object) => {
                vec![Bytes::from(object(&self.good(0)).to_string()).into()]
            }
            CasePayload::Body(body) => vec![Bytes::from(body(&self.good(0))).into()],
            CasePayload::Text(text) => vec![Bytes::from(text).into()],
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

/// `number_of` hashes a case's name by FNV-1a, which unlike `DefaultHasher` is the same in every Rust release.
fn number_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn set_header(request: &mut Request, name: &str, value: Option<&str>) {
    request.headers.retain(|header| !header.is(name));
    request
        .headers
        .extend(value.map(|value| Header::new(name, value)));
}

/// `other_host` swaps `127.0.0.1` and `localhost` in the authority, and returns `None` for other hosts.
pub(super) fn other_host(destination: &Destination) -> Option<String> {
    let authority = destination.authority();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, format!(":{port}")),
        None => (authority, String::new()),
    };
    match host {
        "127.0.0.1" => Some(format!("localhost{port}")),
        "localhost" => Some(format!("127.0.0.1{port}")),
        _ => None,
    }
}
