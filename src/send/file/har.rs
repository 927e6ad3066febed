//! A HAR file, as browsers and proxies write it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::Value;

use crate::send::replay::{Place, Recording};
use crate::wire::{Header, Request};

/// The requests of a HAR file, as browsers and proxies write it.
pub(super) fn read(text: &str) -> Result<Vec<Recording>, String> {
    #[derive(Deserialize)]
    struct Har {
        log: Log,
    }
    #[derive(Deserialize)]
    struct Log {
        entries: Vec<Entry>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry {
        started_date_time: Option<Value>,
        request: HarRequest,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct HarRequest {
        method: String,
        url: String,
        #[serde(default)]
        headers: Vec<HarHeader>,
        post_data: Option<PostData>,
    }
    #[derive(Deserialize)]
    struct HarHeader {
        name: String,
        value: String,
    }
    #[derive(Deserialize)]
    struct PostData {
        #[serde(default)]
        text: String,
        /// How we write bytes that are no text; HAR itself has no word for that in a request.
        #[serde(rename = "_encoding")]
        encoding: Option<String>,
    }
    let har: Har =
        serde_json::from_str(text).map_err(|error| format!("looks like a HAR, but {error}"))?;
    let body = |data: PostData| match data.encoding.as_deref() {
        Some("base64") => BASE64
            .decode(data.text)
            .map_err(|error| format!("a body is no base64: {error}")),
        _ => Ok(data.text.into_bytes()),
    };
    let recording = |(index, entry): (usize, Entry)| {
        let request = entry.request;
        let (authority, target) = taken_apart(&request.url);
        // Names like `:authority` belong to HTTP/2, not to the request.
        let headers = request
            .headers
            .into_iter()
            .filter(|header| !header.name.starts_with(':'));
        let mut headers: Vec<_> = headers
            .map(|header| Header::new(header.name, header.value))
            .collect();
        if !headers.iter().any(|header| header.is("Host")) {
            headers.insert(0, Header::new("Host", authority));
        }
        let body = request.post_data.map(body).transpose()?.unwrap_or_default();
        let at = entry.started_date_time.as_ref().and_then(Value::as_str);
        Ok(Recording {
            request: Request::new(&request.method, target, headers, body),
            at: at.and_then(|at| at.parse().ok()),
            place: Place::Entry(index + 1),
        })
    };
    har.log
        .entries
        .into_iter()
        .enumerate()
        .map(recording)
        .collect()
}

/// Host and port of a URL, and path and query as they go onto the request line.
fn taken_apart(url: &str) -> (&str, String) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    (
        host,
        if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/{target}")
        },
    )
}
