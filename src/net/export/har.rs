//! Requests as a HAR 1.2 document, written piece by piece: [`head`], an [`entry`] for each, [`TAIL`].
//!
//! The requests have not been sent, so their responses have status 0, as in other tools' HAR of unanswered requests, and
//! their times are 0.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::Reason;
use crate::clock::Timestamp;
use crate::ndjson;
use crate::net::{Request, header, query};

/// The text before the first entry.
#[must_use]
pub fn head() -> String {
    let creator = json!({"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")});
    format!("{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"entries\":[\n")
}

pub const BETWEEN: &str = ",\n";

pub const TAIL: &str = "\n]}}\n";

/// A request at an origin as one entry, with the time at which it would be sent.
pub fn entry(
    request: &Request,
    origin: &str,
    at: Timestamp,
    comment: &str,
) -> Result<String, Reason> {
    let url = super::url(request, origin)?;
    let named = |(name, value): (String, String)| json!({"name": name, "value": value});
    let headers: Vec<Value> = super::headers(request)?.into_iter().map(named).collect();
    let pairs = url
        .split_once('?')
        .map(|(_, query)| query::decode(query).pairs)
        .unwrap_or_default();
    let mut written = json!({
        "method": request.method,
        "url": url,
        "httpVersion": request.version,
        "cookies": [],
        "headers": headers,
        "queryString": pairs.into_iter().map(named).collect::<Vec<_>>(),
        "headersSize": -1,
        "bodySize": request.body.len(),
    });
    if !request.body.is_empty() {
        written["postData"] = body(request);
    }
    let entry = json!({
        "startedDateTime": at,
        "time": 0,
        "request": written,
        "response": {
            "status": 0, "statusText": "", "httpVersion": "", "cookies": [], "headers": [],
            "content": {"size": 0, "mimeType": "x-unknown"},
            "redirectURL": "", "headersSize": -1, "bodySize": -1,
        },
        "cache": {},
        // HAR 1.2 allows -1 for the first four alone.
        "timings": {"blocked": -1, "dns": -1, "connect": -1, "ssl": -1, "send": 0, "wait": 0, "receive": 0},
        "comment": comment,
    });
    Ok(ndjson::safe_json(&entry))
}

/// `postData`. HAR holds text only, so other bytes are base64, as `_encoding` states.
fn body(request: &Request) -> Value {
    let kind = header(&request.headers, "content-type").unwrap_or_default();
    match request.body.text() {
        Some(text) => json!({"mimeType": kind, "text": text}),
        None => json!({
            "mimeType": kind, "text": BASE64.encode(&request.body.0), "_encoding": "base64",
            "comment": "text is the base64 of the body",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Header;

    fn written(request: &Request) -> Value {
        let at = "2026-11-22T09:00:00Z".parse().unwrap();
        serde_json::from_str(&entry(request, "http://h", at, "1. a title").unwrap()).unwrap()
    }

    #[test]
    fn an_entry_tells_of_the_request_and_of_no_answer() {
        let headers = vec![
            Header::new("content-type", "application/json"),
            Header::new("cookie", "hush"),
        ];
        let entry = written(&Request::new(
            "POST",
            "/cdr?token=hush&a=%20b",
            headers,
            "{}",
        ));
        insta::assert_snapshot!(serde_json::to_string_pretty(&entry).unwrap(), @r#"
        {
          "startedDateTime": "2026-11-22T09:00:00.000Z",
          "time": 0,
          "request": {
            "method": "POST",
            "url": "http://h/cdr?token=***&a=%20b",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": [
              {
                "name": "content-type",
                "value": "application/json"
              },
              {
                "name": "cookie",
                "value": "***"
              }
            ],
            "queryString": [
              {
                "name": "token",
                "value": "***"
              },
              {
                "name": "a",
                "value": " b"
              }
            ],
            "headersSize": -1,
            "bodySize": 2,
            "postData": {
              "mimeType": "application/json",
              "text": "{}"
            }
          },
          "response": {
            "status": 0,
            "statusText": "",
            "httpVersion": "",
            "cookies": [],
            "headers": [],
            "content": {
              "size": 0,
              "mimeType": "x-unknown"
            },
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": -1
          },
          "cache": {},
          "timings": {
            "blocked": -1,
            "dns": -1,
            "connect": -1,
            "ssl": -1,
            "send": 0,
            "wait": 0,
            "receive": 0
          },
          "comment": "1. a title"
        }
        "#);
    }

    #[test]
    fn a_body_that_is_no_text_is_written_in_base64() {
        let post = &written(&Request::new("POST", "/", vec![], b"\xff\0".as_slice()))["request"]["postData"];
        assert_eq!(
            (&post["text"], &post["_encoding"]),
            (&json!("/wA="), &json!("base64"))
        );
        assert!(
            written(&Request::new("GET", "/", vec![], ""))["request"]
                .get("postData")
                .is_none()
        );
    }

    #[test]
    fn an_empty_document_is_one() {
        let document: Value = serde_json::from_str(&(head() + TAIL)).unwrap();
        assert_eq!(document["log"]["entries"], json!([]));
    }
}
