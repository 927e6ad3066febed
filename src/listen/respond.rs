//! What a request is answered: judge it, then decide. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;

use super::server::{IncomingRequest, Reply, RequestError};
use crate::cdr::judge::{Judgement, Kind, judge_json, judge_pairs};
use crate::cdr::remark::{self, Code, Remark};
use crate::cdr::schema;
use crate::clock::read_duration;
use crate::exchange::Answer;
use crate::net::{Header, Request, Response, header, query};
use crate::seed::{Seed, Stream};
use crate::untrusted::beginning;

/// The methods that are answered; the first two carry CDRs.
const ALLOWED: &str = "GET, POST, HEAD, OPTIONS";

/// The content type of what TeleCMI sends.
const JSON: &str = "application/json";

/// As much of a stranger's words as stands in a sentence of ours.
const QUOTED: usize = 60;

/// How requests are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponsePolicy {
    /// The status of a good answer.
    pub status: u16,
    /// Its body.
    pub body: String,
    /// Its headers, besides those HTTP needs.
    pub headers: Vec<Header>,
    /// How long an answer is held back.
    pub delay: Delay,
    /// Whether departures from the documented schema are refused.
    pub strict: bool,
    /// Where chance comes from.
    pub seed: Seed,
}

/// `200 got it`, at once, as TeleCMI's own example handlers answer. \[doc by example\]
impl Default for ResponsePolicy {
    fn default() -> Self {
        Self {
            status: 200,
            body: "got it".to_owned(),
            headers: Vec::new(),
            delay: Delay::default(),
            strict: false,
            seed: Seed(0),
        }
    }
}

/// How long an answer is held back: always the same, or between two bounds by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delay {
    least: Duration,
    most: Duration,
}

impl Delay {
    /// Whether the delay differs from answer to answer.
    #[must_use]
    pub fn is_by_chance(self) -> bool {
        self.least != self.most
    }

    /// The delay of the nth answer.
    #[must_use]
    pub fn of(self, n: u64, seed: Seed) -> Duration {
        if !self.is_by_chance() {
            return self.least;
        }
        let share = seed.rng(Stream::Delay, n).random_range(0.0..=1.0);
        self.least + self.most.saturating_sub(self.least).mul_f64(share)
    }
}

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let (least, most) = (read_duration(least)?, read_duration(most)?);
        if least > most {
            return Err("the first duration is longer than the second".to_owned());
        }
        Ok(Self { least, most })
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}..{:?}", self.least, self.most)
    }
}

/// What was decided about one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What arrived.
    pub judgement: Judgement,
    /// What is answered.
    pub response: Response,
    /// Whether it was refused because it departs from the schema.
    pub refused: bool,
}

/// What one request met with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What goes back to the sender.
    pub reply: Reply,
    /// The same as the record tells it.
    pub answer: Answer,
}

impl Outcome {
    /// The answer that was decided, and nothing else.
    #[must_use]
    pub fn decided(decision: &Decision) -> Self {
        let response = decision.response.clone();
        let answer = Answer {
            status: Some(response.status),
            ..Answer::default()
        };
        Self {
            reply: Reply::Respond(response),
            answer,
        }
    }
}

impl ResponsePolicy {
    /// Judges a request and decides its answer.
    #[must_use]
    pub fn decide(&self, incoming: &IncomingRequest) -> Decision {
        let request = &incoming.request;
        let mut judgement = judge(request, incoming.error.as_ref());
        let remarks = &mut judgement.verdict.remarks;
        if incoming.ambiguous_framing {
            let text = "ambiguous framing: Transfer-Encoding and Content-Length together";
            remarks.push(Remark::new(Code::AmbiguousFraming, text));
        }
        if let Some(error) = &incoming.error {
            remarks.insert(0, Remark::new(Code::BadRequest, error.to_string()));
        }
        remark::bound(&mut judgement.verdict.remarks);
        let departs = judgement
            .verdict
            .remarks
            .iter()
            .any(|remark| remark.code.departs());
        let response = match &incoming.error {
            Some(error) => refusal(error.status(), &error.to_string()),
            None => self.response(request, &judgement.verdict.remarks),
        };
        Decision {
            judgement,
            response,
            refused: self.strict && departs,
        }
    }

    fn response(&self, request: &Request, remarks: &[Remark]) -> Response {
        match &*request.method {
            "HEAD" => return self.good(""),
            "OPTIONS" => return Response::new(204, vec![Header::new("allow", ALLOWED)], ""),
            "GET" | "POST" if request.target.starts_with('/') => {}
            "GET" | "POST" => return not_allowed("this is no proxy: ask for a path"),
            other => {
                return not_allowed(&format!(
                    "{} is not a method TeleCMI uses",
                    beginning(other, QUOTED)
                ));
            }
        }
        if let Some(remark) = remarks.iter().find(|remark| is_unreadable(remark.code)) {
            return refusal(400, &sentence(remark));
        }
        let departures: Vec<_> = remarks
            .iter()
            .filter(|remark| remark.code.departs())
            .collect();
        if self.strict && !departures.is_empty() {
            let status = if departures
                .iter()
                .any(|remark| remark.code == Code::AmbiguousFraming)
            {
                400
            } else if departures
                .iter()
                .all(|remark| remark.code == Code::ContentType)
            {
                415
            } else {
                422
            };
            let sentences: Vec<_> = departures.into_iter().map(sentence).collect();
            return refusal(status, &sentences.join("\n"));
        }
        self.good(&self.body)
    }

    fn good(&self, body: &str) -> Response {
        let mut headers = self.headers.clone();
        if !body.is_empty() && header(&headers, "content-type").is_none() {
            let value = Bytes::from_static(b"text/plain; charset=utf-8");
            headers.push(Header {
                name: "content-type".to_owned(),
                value,
            });
        }
        Response::new(self.status, headers, body.to_owned())
    }
}

/// Whether the remark says that a body cannot be read as what it claims to be.
fn is_unreadable(code: Code) -> bool {
    matches!(
        code,
        Code::Encoded | Code::NotJson | Code::JsLiteral | Code::Empty
    )
}

/// The answer to what is not done here, with what is.
fn not_allowed(why: &str) -> Response {
    let mut response = refusal(405, why);
    response.headers.push(Header::new("allow", ALLOWED));
    response
}

/// An answer that says in a line what was wrong.
fn refusal(status: u16, why: &str) -> Response {
    Response::plain(status, format!("{}\n", why.trim_end()))
}

fn sentence(remark: &Remark) -> String {
    match &remark.field {
        Some(field) => format!("{}: {}", field.cleaned(), remark.text.cleaned()),
        None => remark.text.cleaned(),
    }
}

/// Judges a request, whatever its method.
fn judge(request: &Request, error: Option<&RequestError>) -> Judgement {
    match &*request.method {
        // A body that did not come whole is judged by nobody; why it did not is the remark.
        _ if error.is_some() => Judgement::unreadable(Vec::new()),
        "POST" => judge_body(request),
        "GET" => judge_query(request),
        "HEAD" | "OPTIONS" => nothing(Vec::new()),
        other => {
            let text = format!("{}: TeleCMI sends POST or GET", beginning(other, QUOTED));
            nothing(vec![Remark::new(Code::BadRequest, text)])
        }
    }
}

/// The judgement on a request that carries no CDR and need not.
fn nothing(remarks: Vec<Remark>) -> Judgement {
    let mut judgement = Judgement::unreadable(remarks);
    judgement.verdict.kind = Kind::Unknown;
    judgement
}

fn judge_body(request: &Request) -> Judgement {
    let body = &request.body.0;
    if let Some(coding) =
        header(&request.headers, "content-encoding").filter(|coding| coding != "identity")
    {
        let text = format!(
            "compressed ({}): kept as it came, not unpacked",
            beginning(&coding, QUOTED)
        );
        return Judgement::unreadable(vec![Remark::new(Code::Encoded, text)]);
    }
    let content_type = request
        .headers
        .iter()
        .find(|header| header.is("content-type"));
    // Nearly always it says so in these very bytes.
    if content_type.is_some_and(|header| header.value == JSON) {
        return judge_as_json(request, None);
    }
    let content_type = content_type
        .map(Header::text)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let looks_like_json = body.trim_ascii_start().starts_with(b"{");
    let remark = match essence {
        JSON => None,
        _ if essence.ends_with("+json") => None,
        "" => Some(format!("no content type; {JSON} is expected")),
        "multipart/form-data" => {
            let text = format!("multipart: {}", parts(&String::from_utf8_lossy(body)));
            return Judgement::unreadable(vec![Remark::new(Code::Encoded, text)]);
        }
        "application/x-www-form-urlencoded" if !looks_like_json => return judge_form(body),
        other => Some(format!(
            "content type {}; {JSON} is expected",
            beginning(other, QUOTED)
        )),
    };
    judge_as_json(request, remark)
}

/// Judges a body that should be JSON, whatever there is to say of its content type.
fn judge_as_json(request: &Request, of_its_type: Option<String>) -> Judgement {
    let body = &request.body.0;
    if body.is_empty()
        && request.query().is_some_and(|query| {
            judge_pairs(&query::decode(query).pairs)
                .verdict
                .kind
                .is_cdr()
        })
    {
        let text = "an empty body; there is a CDR in the query, where only a GET has one";
        return Judgement::unreadable(vec![Remark::new(Code::Empty, text)]);
    }
    let mut judgement = judge_json(body);
    if let Some(text) = of_its_type {
        judgement
            .verdict
            .remarks
            .insert(0, Remark::new(Code::ContentType, text));
    }
    judgement
}

fn judge_form(body: &[u8]) -> Judgement {
    let decoded = query::decode(&String::from_utf8_lossy(body));
    let mut judgement = judge_pairs(&decoded.pairs);
    let text = "form-encoded; TeleCMI sends JSON";
    judgement
        .verdict
        .remarks
        .insert(0, Remark::new(Code::ContentType, text));
    let faults = decoded
        .faults
        .into_iter()
        .map(|fault| Remark::new(Code::BadQuery, fault));
    judgement.verdict.remarks.extend(faults);
    judgement
}

/// The names of a multipart body's parts, as far as they can be told without unpacking it.
fn parts(body: &str) -> String {
    /// More parts than this are not listed.
    const MOST: usize = 20;
    let names = body
        .split("; name=\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .map(|(name, _)| name);
    let listed: Vec<_> = names.take(MOST).collect();
    if listed.is_empty() {
        "no parts".to_owned()
    } else {
        format!("parts {}", beginning(&listed.join(", "), 4 * QUOTED))
    }
}

fn judge_query(request: &Request) -> Judgement {
    let decoded = query::decode(request.query().unwrap_or_default());
    let Some(first) = schema::first_documented(&decoded.pairs) else {
        return nothing(vec![if judge_json(&request.body.0).verdict.kind.is_cdr() {
            Remark::new(
                Code::BadRequest,
                "no CDR in the query, but one in the body, where only a POST has one",
            )
        } else {
            Remark::new(
                Code::NoCdr,
                "no CDR in the query: a health check, or a person's browser?",
            )
        }]);
    };
    let mut judgement = judge_pairs(&decoded.pairs[first..]);
    let remarks = &mut judgement.verdict.remarks;
    remarks.extend(
        decoded
            .faults
            .into_iter()
            .map(|fault| Remark::new(Code::BadQuery, fault)),
    );
    if !request.body.is_empty() {
        remarks.push(Remark::new(
            Code::BadRequest,
            "a GET with a body, which is not read",
        ));
    }
    judgement
}
