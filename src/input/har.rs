//! Reads the requests of a HAR file, the format in which browsers and proxies export traffic.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::exchange::CapturedRequest;
use crate::json::Document;
use crate::net::{Header, Request, query};

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

#[derive(Deserialize, Default)]
#[serde(default)]
struct PostData {
    text: String,
    /// The `params` of a form in HAR's `postData` are used only if `postData.text` is empty.
    params: Vec<Pair>,
    /// HAR 1.2 defines `encoding` for responses only; `net::export` writes `_encoding`.
    #[serde(alias = "_encoding")]
    encoding: Option<String>,
}

/// Reads the request of each HAR entry; an entry without an HTTP request gives `None`. The whole result is `None` if
/// the object has no `log.entries` and other members than `log`.
pub(super) fn read(
    text: &str,
    document: &Document<'_>,
) -> Result<Option<Vec<Option<CapturedRequest>>>, String> {
    let Document::Object(members) = document else {
        return Ok(None);
    };
    let is_har = matches!(&members[..], [only] if only.name == "log");
    let broken = |error| format!("looks like a HAR, but {error}");
    let har: Har<'_> = match serde_json::from_str(text) {
        Ok(har) => har,
        Err(error) if is_har => return Err(broken(error)),
        Err(_) => return Ok(None),
    };
    let entries: Vec<Entry> = serde_json::from_str(har.log.entries.get()).map_err(broken)?;
    let requests = entries.into_iter().map(captured);
    requests.collect::<Result<_, _>>().map(Some)
}

/// Reads the request of a HAR entry. Returns `None` for a `data:` or `blob:` URL, which browsers record too.
fn captured(entry: Entry) -> Result<Option<CapturedRequest>, String> {
    let request = entry.request;
    let Some((authority, target)) = split_url(&request.url) else {
        return Ok(None);
    };
    let header = |Pair { name, value }| Header::new(name, value);
    let mut headers: Vec<_> = request.headers.into_iter().map(header).collect();
    // Names like `:authority` are pseudo-headers of HTTP/2 (RFC 9113, section 8.3).
    headers.retain(|header| !header.name.starts_with(':'));
    if !headers.iter().any(|header| header.is("Host")) {
        headers.insert(0, Header::new("Host", authority));
    }
    let data = request.post_data.unwrap_or_default();
    let body = if data.encoding.as_deref() == Some("base64") {
        let bytes = BASE64.decode(data.text);
        bytes.map_err(|error| format!("a body is no base64: {error}"))?
    } else if data.text.is_empty() {
        let pair = |pair: &Pair| query::pair(&pair.name, &pair.value);
        let pairs: Vec<_> = data.params.iter().map(pair).collect();
        pairs.join("&").into_bytes()
    } else {
        data.text.into_bytes()
    };
    let at = entry.started_date_time;
    Ok(Some(CapturedRequest {
        request: Request::new(&request.method, target, headers, body),
        at: at.and_then(|at| at.as_str()?.parse().ok()),
    }))
}

/// Splits an http or https URL into its authority, without userinfo, and the request target.
fn split_url(url: &str) -> Option<(&str, String)> {
    let (scheme, rest) = url.split_once("://")?;
    if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
        return None;
    }
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let slash = if target.starts_with('/') { "" } else { "/" };
    Some((host, format!("{slash}{target}")))
}
