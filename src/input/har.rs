//! A HAR file, as browsers and proxies write it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::exchange::CapturedRequest;
use crate::json::Member;
use crate::net::query::{self, Encoding};
use crate::net::{Header, Request};

#[derive(Deserialize)]
struct Har<'a> {
    #[serde(borrow)]
    log: Log<'a>,
}

#[derive(Deserialize)]
struct Log<'a> {
    #[serde(borrow)]
    entries: &'a RawValue,
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
    headers: Vec<Pair>,
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct PostData {
    #[serde(default)]
    text: String,
    /// A form, where there is no text.
    #[serde(default)]
    params: Vec<Pair>,
    /// HAR defines it for responses only; the exporter writes `_encoding`.
    #[serde(alias = "_encoding")]
    encoding: Option<String>,
}

/// The requests of a HAR, entry by entry, or none for an entry that is no HTTP request. None at all if the object has no
/// `log.entries`, but other members than `log`.
pub(super) fn read(
    text: &str,
    members: &[Member<'_>],
) -> Result<Option<Vec<Option<CapturedRequest>>>, String> {
    let is_har = matches!(members, [only] if only.name == "log");
    let broken = |error| format!("looks like a HAR, but {error}");
    let har: Har<'_> = match serde_json::from_str(text) {
        Ok(har) => har,
        Err(error) if is_har => return Err(broken(error)),
        Err(_) => return Ok(None),
    };
    let entries: Vec<Entry> = serde_json::from_str(har.log.entries.get()).map_err(broken)?;
    // Browsers list `data:` and `blob:` URLs too.
    let is_http = |entry: &Entry| {
        let url = entry.request.url.to_ascii_lowercase();
        url.starts_with("http://") || url.starts_with("https://")
    };
    let request = |entry| Some(entry).filter(is_http).map(captured).transpose();
    let requests = entries.into_iter().map(request);
    requests.collect::<Result<_, _>>().map(Some)
}

/// The request of an entry.
fn captured(entry: Entry) -> Result<CapturedRequest, String> {
    let HarRequest {
        method,
        url,
        headers,
        post_data,
    } = entry.request;
    let (authority, target) = split_url(&url);
    // Names like `:authority` are HTTP/2's own.
    let headers = headers
        .into_iter()
        .filter(|header| !header.name.starts_with(':'));
    let mut headers: Vec<_> = headers
        .map(|header| Header::new(header.name, header.value))
        .collect();
    if !headers.iter().any(|header| header.is("Host")) {
        headers.insert(0, Header::new("Host", authority));
    }
    let body = match post_data {
        Some(data) if data.encoding.as_deref() == Some("base64") => BASE64
            .decode(data.text)
            .map_err(|error| format!("a body is no base64: {error}"))?,
        Some(data) if data.text.is_empty() => form(data.params).into_bytes(),
        Some(data) => data.text.into_bytes(),
        None => Vec::new(),
    };
    let at = entry.started_date_time.as_ref().and_then(Value::as_str);
    Ok(CapturedRequest {
        request: Request::new(&method, target, headers, body),
        at: at.and_then(|at| at.parse().ok()),
    })
}

fn form(params: Vec<Pair>) -> String {
    let encode = |pair: Pair| {
        let field = Map::from_iter([(pair.name, pair.value.into())]);
        query::encode(&field, Encoding::Flat)
    };
    let pairs: Vec<_> = params.into_iter().map(encode).collect();
    pairs.join("&")
}

/// The authority of a URL without its userinfo, and the request target.
fn split_url(url: &str) -> (&str, String) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let slash = if target.starts_with('/') { "" } else { "/" };
    (host, format!("{slash}{target}"))
}
