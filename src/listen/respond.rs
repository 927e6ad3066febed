//! Judges a request and decides the answer, without I/O.
//!
//! [`judge`](crate::cdr::judge) makes the remarks on the payload, this module those on the request: method, content type
//! and framing.

use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;

use bytes::Bytes;
use regex_lite::Regex;

use super::fault::Delay;
use super::server::IncomingRequest;
use crate::cdr::judge::{Judgement, judge_json, judge_pairs};
use crate::cdr::remark::{self, Code, Remark};
use crate::cdr::schema::{self, Kind};
use crate::net::query::{self, Decoded};
use crate::net::{Header, Request, Response, compression, header};
use crate::seed::Seed;
use crate::untrusted::{beginning, pattern};

const ALLOWED: &str = "GET, POST, HEAD, OPTIONS";

const JSON: &str = "application/json";

const TEXT: Header = Header::from_static("content-type", "text/plain; charset=utf-8");

const UNREADABLE: [Code; 4] = [Code::Encoded, Code::NotJson, Code::JsLiteral, Code::Empty];

/// Longest quotation of received text in a remark or answer, in characters.
const MAX_QUOTED: usize = 60;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponsePolicy {
    pub status: u16,
    pub body: Bytes,
    /// Headers of `--header`, sent in addition to those that the server sets.
    pub headers: Vec<Header>,
    pub delay: Delay,
    pub strict: bool,
    pub seed: Seed,
}

/// TeleCMI's own example handlers answer `200 got it` at once. \[doc by example\]
impl Default for ResponsePolicy {
    fn default() -> Self {
        Self {
            status: 200,
            body: "got it".into(),
            headers: Vec::new(),
            delay: Delay::default(),
            strict: false,
            seed: Seed(0),
        }
    }
}

/// A `Decision` is the judgement and regular answer of a request, before faults and forwarding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub judgement: Judgement,
    pub response: Response,
    pub refused: bool,
}

impl ResponsePolicy {
    pub fn decide(&self, incoming: &IncomingRequest) -> Decision {
        let request = &incoming.request;
        let (mut judgement, response) = match (&incoming.error, &*request.method) {
            // The body of a request with an HTTP error may be incomplete, and is not judged.
            (Some(error), _) => {
                let text = error.to_string();
                let response = refusal(error.status(), &text);
                (unreadable(Code::BadRequest, text), Some(response))
            }
            (None, "GET" | "POST") => {
                let why = "not a proxy: the request target must be a path";
                let is_path = request.target.starts_with('/');
                (judge(request), (!is_path).then(|| not_allowed(why)))
            }
            (None, "HEAD") => (no_cdr(None), Some(self.accepted(Bytes::new()))),
            (None, "OPTIONS") => {
                let response = Response::new(204, Vec::new(), "").with("allow", ALLOWED);
                (no_cdr(None), Some(response))
            }
            (None, other) => {
                let method = beginning(other, MAX_QUOTED);
                let text = format!("{method}: TeleCMI sends POST or GET");
                let refused = not_allowed(&format!("{method} is not a method TeleCMI uses"));
                (no_cdr(Some((Code::BadRequest, &text))), Some(refused))
            }
        };
        let remarks = &mut judgement.verdict.remarks;
        if incoming.is_ambiguous() {
            let text = "ambiguous framing: Transfer-Encoding and Content-Length together";
            remarks.push(Remark::new(Code::AmbiguousFraming, text));
        }
        remark::bound(remarks);
        let departs = remarks.iter().any(|remark| remark.code.departs());
        let response = response.unwrap_or_else(|| self.response(remarks));
        Decision {
            response,
            refused: self.strict && departs,
            judgement,
        }
    }

    fn response(&self, remarks: &[Remark]) -> Response {
        let is_unreadable = |remark: &&Remark| UNREADABLE.contains(&remark.code);
        if let Some(remark) = remarks.iter().find(is_unreadable) {
            return refusal(400, &sentence(remark));
        }
        let departures = remarks.iter().filter(|remark| remark.code.departs());
        let departures: Vec<_> = departures.collect();
        if !self.strict || departures.is_empty() {
            return self.accepted(self.body.clone());
        }
        let is = |code| move |remark: &&Remark| remark.code == code;
        let status = if departures.iter().any(is(Code::AmbiguousFraming)) {
            400
        } else if departures.iter().all(is(Code::ContentType)) {
            415
        } else {
            422
        };
        let sentences: Vec<_> = departures.into_iter().map(sentence).collect();
        refusal(status, &sentences.join("\n"))
    }

    fn accepted(&self, body: Bytes) -> Response {
        let mut headers = self.headers.clone();
        if !body.is_empty() && header(&headers, "content-type").is_none() {
            headers.push(TEXT);
        }
        Response::new(self.status, headers, body)
    }
}

/// The `User-Agent` of `listen --healthcheck`.
pub(crate) const HEALTHCHECK: &str = "telecmi-cdr-healthcheck";

/// The paths that browsers and crawlers request by themselves, and the paths of health checks.
static PROBE_PATH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix) ^/\.well-known/ | /(?:favicon|apple-touch-icon)[^/]*$ | ^/(?:robots|ads|humans|security)\.txt$
        | ^/(?:sitemap\.xml|manifest\.json|site\.webmanifest|browserconfig\.xml)$
        | /_?health(?:z|[-_]?check)?/?$ | /health/[^/]*$
        | ^/(?:-/)?(?:livez?|liveness|readyz?|readiness|ping|status|up|alive|heartbeat|healthy)/?$",
    )
});

/// The `User-Agent` of load balancers, monitors and crawlers.
static PROBE_AGENT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix) health[-_\ ]?(?:check|probe) | kube-probe | GoogleHC | Envoy/HC | uptime | monitor | pingdom | pinger
        | bot\b | StatusCake | Site24x7 | Synthetics | updown\.io | Load\ Balancer\ Agent | Traffic-Manager
        | Blackbox\ Exporter | check_http | AlwaysOn | zabbix | WhatsApp | facebookexternalhit",
    )
});

/// Returns whether a request is a health check or a browser's request for an icon, and so no webhook.
pub(crate) fn is_probe(request: &Request) -> bool {
    let agent = header(&request.headers, "user-agent").unwrap_or_default();
    let query = query::decode(request.query().unwrap_or_default());
    matches!(&*request.method, "GET" | "HEAD")
        && request.body.is_empty()
        && schema::first_documented(&query.pairs).is_none()
        && (PROBE_PATH.is_match(request.path()) || PROBE_AGENT.is_match(&agent))
}

fn not_allowed(why: &str) -> Response {
    refusal(405, why).with("allow", ALLOWED)
}

fn refusal(status: u16, why: &str) -> Response {
    Response::plain(status, format!("{}\n", why.trim_end()))
}

pub(crate) fn sentence(remark: &Remark) -> String {
    match &remark.field {
        Some(field) => format!("{}: {}", field.cleaned(), remark.text.cleaned()),
        None => remark.text.cleaned().into_owned(),
    }
}

fn unreadable(code: Code, text: impl Into<String>) -> Judgement {
    Judgement::unreadable(vec![Remark::new(code, text)])
}

/// Returns a judgement of [`Kind::Unknown`], for a request without a CDR.
fn no_cdr(remark: Option<(Code, &str)>) -> Judgement {
    let remark = remark.map(|(code, text)| Remark::new(code, text));
    let mut judgement = Judgement::unreadable(Vec::from_iter(remark));
    judgement.verdict.kind = Kind::Unknown;
    judgement
}

pub(crate) fn judge(request: &Request) -> Judgement {
    if request.method == "GET" {
        return judge_query(request);
    }
    let body = &request.body.0;
    if let Some(coding) = compression(&request.headers, body) {
        let coding = beginning(&coding, MAX_QUOTED);
        let text = format!("compressed ({coding}): kept without decompressing");
        return unreadable(Code::Encoded, text);
    }
    let content_type = header(&request.headers, "content-type").unwrap_or_default();
    let content_type = content_type.to_ascii_lowercase();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let looks_like_json = body.trim_ascii_start().starts_with(b"{");
    let remark = match essence {
        JSON => None,
        _ if essence.ends_with("+json") => None,
        "" => Some(format!("no content type; {JSON} is expected")),
        "multipart/form-data" => {
            let parts = parts(&String::from_utf8_lossy(body));
            return unreadable(Code::Encoded, format!("multipart: {parts}"));
        }
        "application/x-www-form-urlencoded" if !looks_like_json => {
            let mut judgement = judge_decoded(query::decode(&String::from_utf8_lossy(body)), 0);
            let remark = Remark::new(Code::ContentType, "form-encoded; TeleCMI sends JSON");
            judgement.verdict.remarks.insert(0, remark);
            return judgement;
        }
        other => {
            let other = beginning(other, MAX_QUOTED);
            Some(format!("content type {other}; {JSON} is expected"))
        }
    };
    let judged = |query| judge_pairs(&query::decode(query).pairs).verdict;
    let has_cdr = |query| judged(query).kind.is_cdr();
    if body.is_empty() && request.query().is_some_and(has_cdr) {
        let text = "an empty body; the CDR is in the query, where only a GET has it";
        return unreadable(Code::Empty, text);
    }
    let mut judgement = judge_json(body);
    let remark = remark.map(|text| Remark::new(Code::ContentType, text));
    judgement.verdict.remarks.splice(..0, remark);
    judgement
}

/// Lists the names of the parts of a multipart body by a text search, without parsing the body.
fn parts(body: &str) -> String {
    const MAX_LISTED: usize = 20;
    let names = body.split("; name=\"").skip(1);
    let names = names.filter_map(|rest| Some(rest.split_once('"')?.0));
    let listed: Vec<_> = names.take(MAX_LISTED).collect();
    if listed.is_empty() {
        "no parts".to_owned()
    } else {
        format!("parts {}", beginning(&listed.join(", "), 4 * MAX_QUOTED))
    }
}

/// Judges the query parameters from index `first` on; earlier parameters, such as a token, belong to the configured
/// URL.
fn judge_decoded(decoded: Decoded, first: usize) -> Judgement {
    let mut judgement = judge_pairs(&decoded.pairs[first..]);
    let faults = decoded.faults.into_iter();
    let faults = faults.map(|fault| Remark::new(Code::BadQuery, fault));
    judgement.verdict.remarks.extend(faults);
    judgement
}

fn judge_query(request: &Request) -> Judgement {
    let decoded = query::decode(request.query().unwrap_or_default());
    let Some(first) = schema::first_documented(&decoded.pairs) else {
        return no_cdr(Some(if judge_json(&request.body.0).verdict.kind.is_cdr() {
            let text = "no CDR in the query; the CDR is in the body, where only a POST has it";
            (Code::BadRequest, text)
        } else {
            let text = "no CDR in the query: perhaps a health check or a browser";
            (Code::NoCdr, text)
        }));
    };
    let mut judgement = judge_decoded(decoded, first);
    if !request.body.is_empty() {
        let remark = Remark::new(Code::BadRequest, "a GET with a body, which is not read");
        judgement.verdict.remarks.push(remark);
    }
    judgement
}

/// Implements `--trust-proxy`: returns the sender's address from the first proxy header with a valid address.
///
/// Any sender can forge these headers, so records show both this address and the peer's.
pub(crate) fn claimed(headers: &[Header]) -> Option<String> {
    const NAMES: &str = "X-Forwarded-For Forwarded X-Real-IP CF-Connecting-IP";
    NAMES.split(' ').find_map(|name| {
        let value = header(headers, name)?;
        let first = value.split(',').next()?;
        address(match name {
            "Forwarded" => forwarded_for(first)?,
            "X-Forwarded-For" => first,
            _ => &value,
        })
    })
}

fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_for = name.trim().eq_ignore_ascii_case("for");
        is_for.then(|| value.trim().trim_matches('"'))
    })
}

fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let inner = text.strip_prefix('[');
    let bracketed = inner.and_then(|text| text.strip_suffix(']'));
    let ip = bracketed.unwrap_or(text).parse();
    let ip = ip.map(|ip: IpAddr| ip.to_string());
    let with_port = || text.parse().map(|address: SocketAddr| address.to_string());
    ip.or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_told_from_webhooks() {
        let is_probe = |method: &str, target: &str, agent: &str| {
            let headers = vec![Header::new("User-Agent", agent)];
            is_probe(&Request::new(method, target, headers, ""))
        };
        for path in [
            "/favicon.ico?v=2",
            "/favicon-32x32.png",
            "/hook/favicon.svg",
            "/apple-touch-icon-120x120.png",
            "/robots.txt",
            "/.well-known/appspecific/com.chrome.devtools.json",
            "/healthz?verbose",
            "/HEALTH/",
            "/actuator/health",
            "/health-check",
            "/up",
        ] {
            assert!(is_probe("GET", path, "x"), "{path}");
        }
        for agent in [
            "kube-probe/1.29",
            "ELB-HealthChecker/2.0",
            "GoogleHC/1.0",
            "GoogleStackdriverMonitoring-UptimeChecks(https://cloud.example)",
            "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.example.com/)",
            "Pingdom.com_bot_version_1.4_(http://www.example.com/)",
            "Amazon-Route53-Health-Check-Service (ref x)",
            "Mozilla/5.0 (compatible;Cloudflare-Healthchecks/1.0)",
            "Consul Health Check",
            "Edge Health Probe",
            "Slackbot-LinkExpanding 1.0",
        ] {
            assert!(is_probe("HEAD", "/webhook/cdr", agent), "{agent}");
            assert!(!is_probe("GET", "/?leg=a&status=missed", agent), "{agent}");
            assert!(!is_probe("POST", "/healthz", agent), "{agent}");
        }
        for path in ["/webhook/cdr", "/calls/status", "/healthy-calls", "/upload"] {
            assert!(!is_probe("GET", path, "curl/8.5.0"), "{path}");
        }
    }

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
