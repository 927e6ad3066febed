//! The requests of a case. Pure: the same seed, time and name give the same bytes, whatever was sent before.

use std::time::Duration;

use rand::Rng as _;
use serde_json::{Value, json};

use super::{
    BodyEncoding, CallIds, Case, CaseDelivery, CaseMethod, CasePayload, Change, OtherKind, RawBody,
    SuiteOptions,
};
use crate::cdr::scenarios::{self, GenerateOptions};
use crate::cdr::{Fields, Payload, Shape, edit::Edit};
use crate::net::{Header, Request, query};
use crate::seed::{Seed, Stream};

use crate::send::template::RequestTemplate;

/// The calls of a case begin within this span before the suite's time.
const SPREAD_MS: u64 = 3_600_000;

/// The number of the first call of the liveness checks.
const FIRST_LIVENESS_CALL: u64 = 1_000;

#[derive(Debug, Clone)]
pub struct CaseRequests {
    /// Shape and call ids are replaced by those of each payload.
    options: GenerateOptions,
    template: RequestTemplate,
    /// `Host` with the other name of this machine, if the handler is on it.
    other_host: Option<String>,
}

/// A stable number for a name: FNV-1a, written out because the standard library's hashes may change.
fn number_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl CaseRequests {
    /// `target` is the path and query of the handler's URL, `authority` its host and port.
    #[must_use]
    pub fn new(case: &Case, options: &SuiteOptions, target: &str, authority: &str) -> Self {
        let number = number_of(case.name);
        let seed = Seed(options.seed.rng(Stream::Case, number).next_u64());
        let at = options.at.before(Duration::from_millis(number % SPREAD_MS));
        Self {
            options: GenerateOptions {
                account: options.account.clone(),
                shape: Shape::Docs,
                call_ids: CallIds::Shared,
                at,
                seed,
            },
            template: RequestTemplate {
                target: target.to_owned(),
                headers: options.headers.clone(),
                ..RequestTemplate::default()
            },
            other_host: other_name(authority),
        }
    }

    #[must_use]
    pub fn knows_another_host(&self) -> bool {
        self.other_host.is_some()
    }

    /// The requests of a case in the order of sending; the copies of a race are one request.
    #[must_use]
    pub fn requests(&self, case: &Case) -> Vec<Request> {
        if let CasePayload::Query(text) = case.payload {
            return vec![self.template_with(text).get(None)];
        }
        let mut payloads = self.payloads(case.payload);
        match case.delivery {
            CaseDelivery::Reversed => payloads.reverse(),
            CaseDelivery::LateAgain(others) => {
                payloads.extend((1..).take(others).map(|n| self.good(n).into()));
                payloads.extend(self.payloads(case.payload));
            }
            CaseDelivery::AgainChanged => payloads.push(self.corrected().into()),
            CaseDelivery::Again | CaseDelivery::AgainByGet => {
                payloads.extend(self.payloads(case.payload));
            }
            CaseDelivery::Concurrent(calls) => {
                payloads.extend((1..).take(calls - 1).map(|n| self.good(n).into()));
            }
            _ => {}
        }
        let method = |n: usize| {
            if case.method == CaseMethod::Get || (case.method == CaseMethod::Both && n > 0) {
                "GET"
            } else {
                "POST"
            }
        };
        payloads
            .into_iter()
            .enumerate()
            .map(|(n, payload)| self.request(case.delivery, method(n), payload))
            .collect()
    }

    /// A good CDR to check that the handler is alive; each `n` is another call.
    #[must_use]
    pub fn liveness_check(&self, n: u64, method: CaseMethod) -> Request {
        let payload = self.good(FIRST_LIVENESS_CALL + n).into();
        self.request(
            CaseDelivery::InOrder,
            if method == CaseMethod::Get {
                "GET"
            } else {
                "POST"
            },
            payload,
        )
    }

    fn template_with(&self, query: &str) -> RequestTemplate {
        RequestTemplate {
            target: query::merge(&self.template.target, query),
            ..self.template.clone()
        }
    }

    fn request(&self, delivery: CaseDelivery, method: &str, payload: Payload) -> Request {
        let mut template = self.template.clone();
        match delivery {
            CaseDelivery::ExtraQuery(text) => template = self.template_with(text),
            CaseDelivery::Brackets => template.encoding = query::Encoding::Brackets,
            _ => {}
        }
        let mut request = if method == "GET" {
            template.get(payload.fields.as_ref())
        } else {
            template.post(payload.body)
        };
        match delivery {
            CaseDelivery::Pluses => request.target = request.target.replace("%20", "+"),
            CaseDelivery::ContentType(content_type) => {
                request.headers.retain(|header| !header.is("content-type"));
                request
                    .headers
                    .extend(content_type.map(|text| Header::new("Content-Type", text)));
            }
            CaseDelivery::OtherHost => {
                request.headers.retain(|header| !header.is("host"));
                request.headers.extend(
                    self.other_host
                        .as_ref()
                        .map(|host| Header::new("host", host)),
                );
            }
            CaseDelivery::By("PUT") => request.method = "PUT".into(),
            CaseDelivery::By(method) => {
                request = Request::new(method, template.target, template.headers, Vec::new());
            }
            _ => {}
        }
        request
    }

    fn payloads(&self, payload: CasePayload) -> Vec<Payload> {
        match payload {
            CasePayload::Scenario(name, shape, call_ids) => self
                .scenario(name, 0, shape, call_ids)
                .into_iter()
                .map(Payload::from)
                .collect(),
            CasePayload::Changed(changes) => {
                let mut fields = self.good(0);
                for change in changes {
                    change.apply(&mut fields);
                }
                vec![fields.into()]
            }
            CasePayload::DocumentedPair => {
                let first = self.documented("docs-leg-a", 0);
                let mut second = self.documented("docs-leg-b", 1);
                second.insert("call_id".to_owned(), first["call_id"].clone());
                vec![first.into(), second.into()]
            }
            CasePayload::Other(kind) => vec![self.other(kind).into()],
            CasePayload::Encoded(encoding) => vec![self.encoded(encoding)],
            CasePayload::RawBody(RawBody::Text(text)) => vec![raw(text.into(), None)],
            CasePayload::RawBody(RawBody::Arrays(depth)) => {
                vec![raw(
                    ["[".repeat(depth), "]".repeat(depth)].concat().into(),
                    None,
                )]
            }
            CasePayload::Query(_) => Vec::new(),
        }
    }

    /// The CDRs of call `n` of this case, for a scenario.
    fn scenario(&self, name: &str, n: u64, shape: Shape, call_ids: CallIds) -> Vec<Fields> {
        if name.starts_with("docs-") {
            return vec![self.documented(name, n)];
        }
        let options = GenerateOptions {
            shape,
            call_ids,
            ..self.options.clone()
        };
        let choices = scenarios::choices(name);
        let choice = choices.first();
        let cdrs = choice.map(|choice| scenarios::generate(*choice, n, &options).1);
        let cdrs = cdrs.unwrap_or_default().into_iter();
        cdrs.map(|generated| generated.cdr.fields()).collect()
    }

    /// The good CDR of call `n`: the agent did not answer.
    fn good(&self, n: u64) -> Fields {
        self.scenario("agent-no-answer", n, Shape::Docs, CallIds::Shared)
            .pop()
            .unwrap_or_default()
    }

    /// A documented sample with the identifiers of call `n`: its own identifiers would make it a duplicate.
    fn documented(&self, name: &str, n: u64) -> Fields {
        let choices = scenarios::choices(name);
        let choice = choices.first();
        let sample =
            choice.map(|choice| scenarios::generate(*choice, n, &self.options).1.remove(0));
        let mut fields = sample.map(|sample| sample.cdr.fields()).unwrap_or_default();
        let own = self.good(n);
        for name in ["call_id", "cmiuuid", "request_id"] {
            fields.insert(name.to_owned(), own[name].clone());
        }
        fields
    }

    /// The good CDR with the same ids and another outcome.
    fn corrected(&self) -> Fields {
        let mut fields = self.good(0);
        fields.insert("hangup_reason".to_owned(), "sent_reject".into());
        fields.insert("custom".to_owned(), r#"{"crm":"corrected"}"#.into());
        fields
    }

    fn other(&self, kind: OtherKind) -> Fields {
        let good = self.good(0);
        let field = |name: &str| good[name].clone();
        let text = |name: &str| match &good[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let file = format!("{}_{}.mp3", good["time"], good["appid"]);
        let team = format!("sales_{}", good["appid"]);
        let value = match kind {
            OtherKind::Event => json!({
                "type": "event", "direction": "outbound", "status": "started", "app_id": field("appid"),
                "callerid": text("virtual_number"), "to": text("to"), "time": field("time"),
                "cmiuuid": field("cmiuuid"), "conversation_uuid": field("call_id"), "user": field("user"),
                "leg": "a", "request_id": field("request_id"),
            }),
            OtherKind::IncomingEvent => json!({
                "type": "event", "direction": "outbound", "status": "answered", "app_id": field("appid"),
                "from": text("to"), "to": text("virtual_number"), "time": field("time"),
                "cmiuuid": field("cmiuuid"), "conversation_uuid": field("call_id"), "user": field("user"),
                "leg": "b",
            }),
            OtherKind::IncomingMissed => json!({
                "type": "cdr", "appid": field("appid"), "from": field("to"),
                "to": text("virtual_number").parse::<u64>().unwrap_or_default(), "cmiuuid": field("cmiuuid"),
                "status": "missed", "time": field("time"), "direction": "inbound", "waitedsec": 21,
                "team": team, "voicemail": false,
            }),
            OtherKind::IncomingAnswered => json!({
                "type": "cdr", "appid": field("appid"), "from": field("to"),
                "to": text("virtual_number").parse::<u64>().unwrap_or_default(), "cmiuuid": field("cmiuuid"),
                "user": field("user"), "status": "answered", "time": field("time"), "direction": "inbound",
                "answeredsec": 34, "record": true, "filename": file, "team": team,
            }),
            OtherKind::Recorded => {
                let mut fields = good.clone();
                for (name, value) in [
                    ("leg", json!("b")),
                    ("status", json!("answered")),
                    ("hangup_reason", json!("recv_bye")),
                    ("answeredsec", json!(34)),
                    ("record", json!(true)),
                    ("filename", json!(file)),
                ] {
                    fields.insert(name.to_owned(), value);
                }
                Value::Object(fields)
            }
            OtherKind::Rest => json!({
                "cmiuid": field("cmiuuid"), "agent": field("user"), "duration": 34, "billedsec": 0,
                "to": field("to"), "time": field("time"),
            }),
        };
        match value {
            Value::Object(fields) => fields,
            _ => Fields::new(),
        }
    }

    fn encoded(&self, encoding: BodyEncoding) -> Payload {
        let fields = self.good(0);
        raw(encoding.encode(&fields), Some(fields))
    }
}

fn raw(body: Vec<u8>, fields: Option<Fields>) -> Payload {
    Payload {
        body: body.into(),
        fields,
    }
}

impl Change {
    fn apply(self, fields: &mut Fields) {
        let put = |fields: &mut Fields, name: &str, value: Value| {
            Edit::Put(name.to_owned(), value).apply(fields);
        };
        match self {
            // A test holds the table to valid JSON.
            Self::Put(name, text) => {
                put(fields, name, serde_json::from_str(text).unwrap_or_default());
            }
            Self::Fill(name, text, length) => {
                let long: String = text.chars().cycle().take(length).collect();
                put(fields, name, json!({"note": long}).to_string().into());
            }
            Self::AsText(name) => {
                let text = fields.get(name).map(Value::to_string).unwrap_or_default();
                put(fields, name, text.into());
            }
            Self::InSeconds => {
                let ms = fields
                    .get("time")
                    .and_then(Value::as_i64)
                    .unwrap_or_default();
                put(fields, "time", (ms / 1_000).into());
            }
            Self::Plus(name) => {
                let digits = fields
                    .get(name)
                    .map(|value| value.to_string().replace('"', ""));
                put(
                    fields,
                    name,
                    format!("+{}", digits.unwrap_or_default()).into(),
                );
            }
            Self::Without(name) => Edit::Remove(name.to_owned()).apply(fields),
        }
    }
}

impl BodyEncoding {
    fn encode(self, fields: &Fields) -> Vec<u8> {
        let plain = || String::from_utf8(bytes(fields)).unwrap_or_default();
        let custom = fields
            .get("custom")
            .map(Value::to_string)
            .unwrap_or_default();
        match self {
            Self::Indented => serde_json::to_vec_pretty(fields).unwrap_or_default(),
            Self::Surrounded => format!("\r\n\t {} \n\n", plain()).into_bytes(),
            Self::Reordered => bytes(
                &fields
                    .iter()
                    .rev()
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect(),
            ),
            Self::Escaped => escaped(fields).into_bytes(),
            Self::ByteOrderMark => format!("\u{feff}{}", plain()).into_bytes(),
            Self::Utf16 => plain().encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Self::Repeated => plain()
                .replacen('{', r#"{"appid":1,"status":"answered","#, 1)
                .into_bytes(),
            Self::JavaScript => javascript(fields).into_bytes(),
            Self::Form => query::encode(fields, query::Encoding::Flat).into_bytes(),
            Self::CutOff => {
                let mut body = plain().into_bytes();
                body.truncate(body.len() / 2);
                body
            }
            Self::TrailingComma => {
                format!("{},}}", plain().strip_suffix('}').unwrap_or_default()).into_bytes()
            }
            Self::Twice => format!("{}\n{}", plain(), plain()).into_bytes(),
            Self::InArray => format!("[{},{}]", plain(), plain()).into_bytes(),
            Self::InString => serde_json::to_vec(&plain()).unwrap_or_default(),
            Self::NotUtf8 => spliced(&plain(), &custom, b"\"\xff\xfe\xe9\""),
            Self::Nul => spliced(&plain(), &custom, b"\"a\0b\""),
            Self::Digits(digits) => {
                let to = fields.get("to").map(Value::to_string).unwrap_or_default();
                spliced(&plain(), &to, "9".repeat(digits).as_bytes())
            }
            Self::Deep(depth) => {
                let nested = [r#"{"a":"#.repeat(depth), "1".to_owned(), "}".repeat(depth)].concat();
                let params = fields
                    .get("extra_params")
                    .map(Value::to_string)
                    .unwrap_or_default();
                spliced(&plain(), &params, nested.as_bytes())
            }
        }
    }
}

fn bytes(fields: &Fields) -> Vec<u8> {
    // A map with string keys always serialises.
    serde_json::to_vec(fields).unwrap_or_default()
}

fn spliced(text: &str, part: &str, bytes: &[u8]) -> Vec<u8> {
    let (before, after) = text.split_once(part).unwrap_or((text, ""));
    [before.as_bytes(), bytes, after.as_bytes()].concat()
}

/// JSON in which every character of a text is a `\u` escape.
fn escaped(fields: &Fields) -> String {
    let escape = |text: &str| {
        let letters = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
        format!("\"{}\"", letters.collect::<String>())
    };
    let pairs = fields.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{}:{}", escape(name), escape(text)),
        other => format!("{}:{other}", escape(name)),
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

/// The fields as on TeleCMI's page: bare names, single quotes, a comma at the end.
fn javascript(fields: &Fields) -> String {
    let lines = fields.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name}: '{text}',\n"),
        other => format!("{name}: {other},\n"),
    });
    format!("{{\n{}}}\n", lines.collect::<String>())
}

/// `localhost:80` for `127.0.0.1:80`, and the reverse; no other host has a second name.
fn other_name(authority: &str) -> Option<String> {
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
