//! Reads the requests of a HAR file, the format in which browsers and proxies export traffic.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Part;
use crate::exchange::CapturedRequest;
use crate::json;
use crate::net::{Header, Request, header, query};

#[derive(Deserialize)]
struct Har<'a> {
    #[serde(borrow)]
    log: Log<'a>,
}

#[derive(Deserialize)]
struct Log<'a> {
    #[serde(borrow)]
    entries: Vec<&'a RawValue>,
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
    headers: Option<Vec<Pair>>,
    query_string: Option<Vec<Pair>>,
    post_data: Option<PostData>,
    body_size: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pair {
    name: String,
    value: Option<String>,
    file_name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct PostData {
    mime_type: Option<String>,
    text: Option<String>,
    /// The `params` of a form in HAR's `postData` are used only if `postData.text` is empty.
    params: Option<Vec<Pair>>,
    /// HAR 1.2 defines `encoding` for responses only; `net::export` writes `_encoding`.
    #[serde(alias = "_encoding")]
    encoding: Option<String>,
    /// Playwright names a file beside the HAR that has the body.
    #[serde(rename = "_file", alias = "_sha1")]
    file: Option<String>,
}

pub(super) fn is_log(log: &str) -> bool {
    #[derive(Deserialize)]
    struct Log {
        #[serde(rename = "entries")]
        _entries: IgnoredAny,
    }
    serde_json::from_str::<Log>(log).is_ok()
}

pub(super) fn is_request(request: &str) -> bool {
    #[derive(Deserialize)]
    struct Request {
        #[serde(rename = "method")]
        _method: IgnoredAny,
        #[serde(rename = "url")]
        _url: IgnoredAny,
    }
    serde_json::from_str::<Request>(request).is_ok()
}

pub(super) fn read(text: &str, place: &str) -> Result<Vec<Part>, String> {
    let har = serde_json::from_str::<Har<'_>>(text);
    let har = har.map_err(|error| {
        let fault = json::Error::new(text, &error);
        format!("looks like a HAR, but {fault}")
    })?;
    let entries = (1..).zip(har.log.entries);
    let read = |(n, entry): (usize, &RawValue)| {
        let part = read_entry(entry.get(), &format!("{place}: entry {n}"));
        part.map_err(|what| format!("entry {n}: {what}"))
    };
    entries.map(read).collect()
}

/// Reads the request of a HAR entry. An entry without an HTTP request, such as one with a `data:` or `blob:` URL, which
/// browsers record too, gives a warning. A request whose body the entry does not hold is an error.
pub(super) fn read_entry(text: &str, place: &str) -> Result<Part, String> {
    let entry = serde_json::from_str(text).map_err(|error| {
        // The line and column of serde_json count from the beginning of the entry.
        let fault = json::Error::new(text, &error).message;
        format!("not an entry of a HAR: {fault}")
    });
    let Entry {
        started_date_time,
        request,
    } = entry?;
    let url = split_url(&request.url).filter(|(authority, _)| !authority.is_empty());
    let Some((authority, target)) = url.filter(|_| request.method != "CONNECT") else {
        let what = "this entry was skipped: no HTTP request".to_owned();
        return Ok(Part::Warning(place.to_owned(), what));
    };
    let pairs = request.headers.unwrap_or_default().into_iter();
    let headers = pairs.map(|pair| Header::new(pair.name, pair.value.unwrap_or_default()));
    // Names like `:authority` are pseudo-headers of HTTP/2 (RFC 9113, section 8.3).
    let headers = headers.filter(|header| !header.name.starts_with(':'));
    let mut headers: Vec<_> = headers.collect();
    let body = body(request.post_data.unwrap_or_default())?;
    let length = header(&headers, "content-length").and_then(|length| length.parse().ok());
    let length: i64 = length.or(request.body_size).unwrap_or(0);
    if body.is_empty() && length > 0 {
        return Err(format!(
            "the file does not hold the body of {length} bytes: export the request again with its content"
        ));
    }
    if header(&headers, "host").is_none() {
        headers.insert(0, Header::new("Host", authority));
    }
    // Some tools write the query in `queryString` only.
    let query = form(&request.query_string.unwrap_or_default());
    let target = if target.contains('?') {
        target
    } else {
        query::merge(&target, &query)
    };
    let is_complete = usize::try_from(length).is_ok_and(|length| body.len() >= length);
    let captured = CapturedRequest {
        request: Request {
            complete: is_complete || length < 0,
            ..Request::new(&request.method, target, headers, body)
        },
        at: started_date_time.and_then(|at| at.as_str()?.parse().ok()),
    };
    Ok(Part::captured(place, captured))
}

fn body(data: PostData) -> Result<Vec<u8>, String> {
    let text = data.text.unwrap_or_default();
    let params = data.params.unwrap_or_default();
    if let Some(file) = data.file.filter(|_| text.is_empty()) {
        let what = format!("the body is in the file {file:?}");
        return Err(format!("{what}: export the request again with its content"));
    }
    let mime_type = data.mime_type.unwrap_or_default().to_ascii_lowercase();
    match data.encoding.as_deref() {
        Some("base64") => {
            let text: String = text.split_ascii_whitespace().collect();
            let bytes = BASE64.decode(text);
            return bytes.map_err(|_| "its body is not valid base64".to_owned());
        }
        None | Some("" | "utf-8" | "utf8") => {}
        Some(other) => {
            let what = "its body has the unknown encoding";
            return Err(format!("{what} {other:?}: only base64 is known"));
        }
    }
    if !text.is_empty() || params.is_empty() {
        return Ok(text.into_bytes());
    }
    let is_form =
        mime_type.is_empty() || mime_type.starts_with("application/x-www-form-urlencoded");
    if !is_form || params.iter().any(|param| param.file_name.is_some()) {
        let what = "the body cannot be built from postData.params, only a URL-encoded form can: \
            export the request again with postData.text";
        return Err(what.to_owned());
    }
    Ok(form(&params).into_bytes())
}

fn form(pairs: &[Pair]) -> String {
    let pair = |pair: &Pair| query::pair(&pair.name, pair.value.as_deref().unwrap_or_default());
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
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
