//! Judges a request and decides the answer. Pure.

use std::net::{IpAddr, SocketAddr};

use super::fault::Delay;
use super::server::{IncomingRequest, RequestError};
use crate::cdr::judge::{Judgement, Kind, judge_json, judge_pairs};
use crate::cdr::remark::{self, Code, Remark};
use crate::cdr::schema;
use crate::net::{Header, Request, Response, header, query};
use crate::seed::Seed;
use crate::untrusted::beginning;

const ALLOWED: &str = "GET, POST, HEAD, OPTIONS";

const JSON: &str = "application/json";

/// Upper length of received text in a sentence, in characters.
const MAX_QUOTED: usize = 60;

/// How requests are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponsePolicy {
    /// The status of an accepted request.
    pub status: u16,
    pub body: String,
    /// Besides those of HTTP itself.
    pub headers: Vec<Header>,
    pub delay: Delay,
    /// Whether departures from the documented schema are refused.
    pub strict: bool,
    /// For delays and faults.
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

/// The judgement on a request and its regular answer, without fault and handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub judgement: Judgement,
    pub response: Response,
    /// Whether `--strict` refuses the request.
    pub refused: bool,
}

impl ResponsePolicy {
    /// Judges a request and decides its answer.
    #[must_use]
    pub fn decide(&self, incoming: &IncomingRequest) -> Decision {
        let request = &incoming.request;
        let mut judgement = judge(request, incoming.error.as_ref());
        let remarks = &mut judgement.verdict.remarks;
        if incoming.is_ambiguous() {
            let text = "ambiguous framing: Transfer-Encoding and Content-Length together";
            remarks.push(Remark::new(Code::AmbiguousFraming, text));
        }
        if let Some(error) = &incoming.error {
            remarks.insert(0, Remark::new(Code::BadRequest, error.to_string()));
        }
        remark::bound(remarks);
        let departs = remarks.iter().any(|remark| remark.code.departs());
        let response = match &incoming.error {
            Some(error) => refusal(error.status(), &error.to_string()),
            None => self.response(request, remarks),
        };
        Decision {
            judgement,
            response,
            refused: self.strict && departs,
        }
    }

    fn response(&self, request: &Request, remarks: &[Remark]) -> Response {
        match &*request.method {
            "HEAD" => return self.accepted(""),
            "OPTIONS" => return Response::new(204, vec![Header::new("allow", ALLOWED)], ""),
            "GET" | "POST" if request.target.starts_with('/') => {}
            "GET" | "POST" => return not_allowed("this is no proxy: ask for a path"),
            other => {
                let method = beginning(other, MAX_QUOTED);
                return not_allowed(&format!("{method} is not a method TeleCMI uses"));
            }
        }
        if let Some(remark) = remarks.iter().find(|remark| is_unreadable(remark.code)) {
            return refusal(400, &sentence(remark));
        }
        let departures = remarks.iter().filter(|remark| remark.code.departs());
        let departures: Vec<_> = departures.collect();
        if self.strict && !departures.is_empty() {
            let mut codes = departures.iter().map(|remark| remark.code);
            let status = if codes.clone().any(|code| code == Code::AmbiguousFraming) {
                400
            } else if codes.all(|code| code == Code::ContentType) {
                415
            } else {
                422
            };
            let sentences: Vec<_> = departures.into_iter().map(sentence).collect();
            return refusal(status, &sentences.join("\n"));
        }
        self.accepted(&self.body)
    }

    fn accepted(&self, body: &str) -> Response {
        let mut headers = self.headers.clone();
        if !body.is_empty() && header(&headers, "content-type").is_none() {
            headers.push(Header::new("content-type", "text/plain; charset=utf-8"));
        }
        Response::new(self.status, headers, body.to_owned())
    }
}

fn is_unreadable(code: Code) -> bool {
    matches!(
        code,
        Code::Encoded | Code::NotJson | Code::JsLiteral | Code::Empty
    )
}

fn not_allowed(why: &str) -> Response {
    let mut response = refusal(405, why);
    response.headers.push(Header::new("allow", ALLOWED));
    response
}

fn refusal(status: u16, why: &str) -> Response {
    Response::plain(status, format!("{}\n", why.trim_end()))
}

fn sentence(remark: &Remark) -> String {
    match &remark.field {
        Some(field) => format!("{}: {}", field.cleaned(), remark.text.cleaned()),
        None => remark.text.cleaned(),
    }
}

fn judge(request: &Request, error: Option<&RequestError>) -> Judgement {
    match &*request.method {
        // An incomplete body is not judged; the caller adds the error as a remark.
        _ if error.is_some() => Judgement::unreadable(Vec::new()),
        "POST" => judge_body(request),
        "GET" => judge_query(request),
        "HEAD" | "OPTIONS" => no_cdr(Vec::new()),
        other => {
            let text = format!(
                "{}: TeleCMI sends POST or GET",
                beginning(other, MAX_QUOTED)
            );
            no_cdr(vec![Remark::new(Code::BadRequest, text)])
        }
    }
}

/// The judgement on a request from which no CDR is expected.
fn no_cdr(remarks: Vec<Remark>) -> Judgement {
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
            beginning(&coding, MAX_QUOTED)
        );
        return Judgement::unreadable(vec![Remark::new(Code::Encoded, text)]);
    }
    let content_type = request
        .headers
        .iter()
        .find(|header| header.is("content-type"));
    // The usual spelling needs no parsing.
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
            beginning(other, MAX_QUOTED)
        )),
    };
    judge_as_json(request, remark)
}

/// `content_type` is the text of a remark about the content type.
fn judge_as_json(request: &Request, content_type: Option<String>) -> Judgement {
    let body = &request.body.0;
    let has_cdr = |query| {
        let judgement = judge_pairs(&query::decode(query).pairs);
        judgement.verdict.kind.is_cdr()
    };
    if body.is_empty() && request.query().is_some_and(has_cdr) {
        let text = "an empty body; there is a CDR in the query, where only a GET has one";
        return Judgement::unreadable(vec![Remark::new(Code::Empty, text)]);
    }
    let mut judgement = judge_json(body);
    let remark = content_type.map(|text| Remark::new(Code::ContentType, text));
    judgement.verdict.remarks.splice(..0, remark);
    judgement
}

fn judge_form(body: &[u8]) -> Judgement {
    let decoded = query::decode(&String::from_utf8_lossy(body));
    let mut judgement = judge_pairs(&decoded.pairs);
    let text = "form-encoded; TeleCMI sends JSON";
    let remarks = &mut judgement.verdict.remarks;
    remarks.insert(0, Remark::new(Code::ContentType, text));
    remarks.extend(bad_query(decoded.faults));
    judgement
}

/// The names of a multipart body's parts, found without parsing the body.
fn parts(body: &str) -> String {
    const MAX_LISTED: usize = 20;
    let names = body
        .split("; name=\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .map(|(name, _)| name);
    let listed: Vec<_> = names.take(MAX_LISTED).collect();
    if listed.is_empty() {
        "no parts".to_owned()
    } else {
        format!("parts {}", beginning(&listed.join(", "), 4 * MAX_QUOTED))
    }
}

fn bad_query(faults: Vec<String>) -> impl Iterator<Item = Remark> {
    let faults = faults.into_iter();
    faults.map(|fault| Remark::new(Code::BadQuery, fault))
}

fn judge_query(request: &Request) -> Judgement {
    let decoded = query::decode(request.query().unwrap_or_default());
    let Some(first) = schema::first_documented(&decoded.pairs) else {
        let (code, text) = if judge_json(&request.body.0).verdict.kind.is_cdr() {
            let text = "no CDR in the query, but one in the body, where only a POST has one";
            (Code::BadRequest, text)
        } else {
            let text = "no CDR in the query: a health check, or a person's browser?";
            (Code::NoCdr, text)
        };
        return no_cdr(vec![Remark::new(code, text)]);
    };
    let mut judgement = judge_pairs(&decoded.pairs[first..]);
    let remarks = &mut judgement.verdict.remarks;
    remarks.extend(bad_query(decoded.faults));
    if !request.body.is_empty() {
        let text = "a GET with a body, which is not read";
        remarks.push(Remark::new(Code::BadRequest, text));
    }
    judgement
}

/// An address, with a port if the header has one.
#[must_use]
pub fn claimed(headers: &[Header]) -> Option<String> {
    let first_of = |name| {
        header(headers, name).map(|value| value.split(',').next().unwrap_or_default().to_owned())
    };
    first_of("X-Forwarded-For")
        .and_then(|first| address(&first))
        .or_else(|| first_of("Forwarded").and_then(|first| address(forwarded_for(&first)?)))
        .or_else(|| header(headers, "X-Real-IP").and_then(|value| address(&value)))
        .or_else(|| header(headers, "CF-Connecting-IP").and_then(|value| address(&value)))
}

/// The value of `for=` in an element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("for")
            .then(|| value.trim().trim_matches('"'))
    })
}

/// Parses and formats an address, so that no other text gets through.
fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(ip) => Some(ip.to_string()),
        Err(_) => text
            .parse::<SocketAddr>()
            .ok()
            .map(|address| address.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&str, &str)]) -> Option<String> {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| Header::new(*name, *value))
            .collect();
        claimed(&headers)
    }

    #[test]
    fn addresses_are_read_in_all_their_spellings() {
        for (name, value, claimed) in [
            ("x-forwarded-for", "203.0.113.9", "203.0.113.9"),
            ("X-Forwarded-For", " 203.0.113.9 , 10.0.0.1", "203.0.113.9"),
            ("X-Forwarded-For", "203.0.113.9:4711", "203.0.113.9:4711"),
            ("X-Forwarded-For", "2001:db8::1", "2001:db8::1"),
            ("X-Forwarded-For", "[2001:DB8:0::1]", "2001:db8::1"),
            (
                "Forwarded",
                "proto=https;FOR=\"[2001:db8::1]:80\", for=10.0.0.1",
                "[2001:db8::1]:80",
            ),
            (
                "Forwarded",
                "for=192.0.2.60;proto=http;by=203.0.113.43",
                "192.0.2.60",
            ),
            ("X-Real-IP", "203.0.113.9", "203.0.113.9"),
            ("CF-Connecting-IP", "203.0.113.9", "203.0.113.9"),
        ] {
            assert_eq!(
                of(&[(name, value)]).as_deref(),
                Some(claimed),
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn what_is_no_address_claims_nothing() {
        for (name, value) in [
            ("X-Forwarded-For", ""),
            ("X-Forwarded-For", "unknown"),
            ("X-Forwarded-For", "203.0.113.9\u{1b}[2J"),
            ("X-Forwarded-For", "localhost"),
            ("X-Forwarded-For", "203.0.113.9:99999"),
            ("Forwarded", "for=_hidden"),
            ("Forwarded", "by=203.0.113.9"),
            ("X-Client-IP", "203.0.113.9"),
        ] {
            assert_eq!(of(&[(name, value)]), None, "{name}: {value}");
        }
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn the_first_that_names_an_address_counts() {
        let all = [
            ("CF-Connecting-IP", "192.0.2.4"),
            ("X-Real-IP", "192.0.2.3"),
            ("Forwarded", "for=192.0.2.2"),
            ("X-Forwarded-For", "192.0.2.1"),
        ];
        assert_eq!(of(&all).as_deref(), Some("192.0.2.1"));
        assert_eq!(of(&all[..3]).as_deref(), Some("192.0.2.2"));
        assert_eq!(
            of(&[("X-Forwarded-For", "unknown"), all[1]]).as_deref(),
            Some("192.0.2.3")
        );
    }
}
