//! The `exchange` record has one received request and its answer. `listen` writes the record; replay reads the request
//! from a capture.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cdr::Fields;
use crate::cdr::judge::Verdict;
use crate::cdr::remark::{Code, Remark};
use crate::clock::Timestamp;
use crate::json;
use crate::ndjson::{VERSION, as_ms};
use crate::net::{Failure, Request, Response};
use crate::untrusted::Untrusted;

#[rustfmt::skip]
pub(crate) const RECORD_TYPES: [&str; 6] = ["exchange", "delivery", "listening", "started", "case", "summary"];

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exchange {
    /// Exchanges are numbered from 1, in the order of recording.
    pub n: u64,
    pub received_at: Timestamp,
    pub peer: SocketAddr,
    /// With `--trust-proxy`, the sender's address from a proxy's headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed: Option<String>,
    pub request: Request,
    pub verdict: Verdict,
    /// The fields of the CDR. Fields of a query string get their documented types where their text allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdr: Option<Fields>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Relation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncounted: Option<Untrusted>,
    pub answer: Answer,
    /// Milliseconds from the end of the request to the answer.
    pub took_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Relation {
    pub n: u64,
    /// The relation to the earlier exchange: `retry`, `duplicate`, `conflict`, `other_method`, `same_call` or
    /// `shared_call_id`.
    pub how: &'static str,
    pub text: String,
}

impl Relation {
    /// Returns the remark on a duplicate or conflict.
    pub(crate) fn remark(&self) -> Option<Remark> {
        let code = match self.how {
            "conflict" => Code::Conflict,
            "duplicate" => Code::Duplicate,
            _ => return None,
        };
        Some(Remark::new(code, self.text.clone()))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Answer {
    /// The status of the answer; absent if the sender got no HTTP response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The injected fault, as `--fault` names it without a status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<Forwarded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsaved: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forwarded {
    pub url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(rename = "latency_ms", serialize_with = "as_ms")]
    pub latency: Duration,
    pub complete: bool,
    /// The line of the handler's response body that says what went wrong, for a status of 400 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<Untrusted>,
    /// The handler's response, with at most `MAX_RESPONSE_BODY` bytes of its body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// The status that `listen` would have answered without `--forward-to`; absent if the inspector sent the request
    /// again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedRequest {
    pub request: Request,
    /// The time of the request is absent if the capture has no readable time.
    pub at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct CapturedLine<'a> {
    r#type: String,
    v: u64,
    received_at: Option<serde_json::Value>,
    #[serde(borrow)]
    request: Option<&'a RawValue>,
}

impl CapturedRequest {
    /// Reads a line of a capture. Returns `None` for a record of another type; the error says why the line is no
    /// record.
    pub fn read(line: &str) -> Result<Option<Self>, String> {
        let record = serde_json::from_str(line);
        let record: CapturedLine<'_> =
            record.map_err(|error| json::Error::new(line, &error).message)?;
        let v = record.v;
        if v != u64::from(VERSION) {
            let text = format!("a record of version {v}; this program reads version {VERSION}");
            return Err(text);
        }
        if record.r#type != "exchange" {
            return Ok(None);
        }
        let request = record.request;
        let request = request.ok_or("an exchange record without a request")?;
        let request = serde_json::from_str(request.get()).map_err(|error| {
            // serde_json counts lines and columns from the beginning of `request`, not of the capture's line.
            let cause = json::Error::new(request.get(), &error).message;
            format!("its request: {cause}")
        })?;
        let at = record.received_at;
        let at = at.and_then(|at| at.as_str()?.parse().ok());
        Ok(Some(Self { request, at }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cdr::judge::judge_json;
    use crate::ndjson;
    use crate::net::Header;

    #[test]
    fn a_captured_request_is_read_back() {
        let request = Request::new(
            "POST",
            "/cdr?token=x",
            vec![Header::new("x-a", "1")],
            &b"\xff"[..],
        );
        let exchange: Exchange = Exchange {
            n: 1,
            received_at: Timestamp::from_epoch_ms(1_650_628_175_336).unwrap(),
            peer: ([127, 0, 0, 1], 4000).into(),
            claimed: None,
            request: request.clone(),
            verdict: judge_json(b"").verdict,
            cdr: None,
            related: Vec::new(),
            uncounted: None,
            answer: Answer {
                status: Some(200),
                ..Answer::default()
            },
            took_ms: 0.25,
        };
        let written = String::from_utf8(ndjson::line("exchange", &exchange)).unwrap();
        let at = Some(exchange.received_at);
        assert_eq!(
            CapturedRequest::read(&written),
            Ok(Some(CapturedRequest { request, at }))
        );
        assert_eq!(
            CapturedRequest::read(r#"{"type":"summary","v":1,"exit":0}"#),
            Ok(None)
        );
        assert!(
            CapturedRequest::read(r#"{"type":"exchange","v":2}"#)
                .unwrap_err()
                .contains("version 2")
        );
        assert!(CapturedRequest::read("{").is_err());
    }
}
