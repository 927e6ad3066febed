//! Writes requests in the formats of other tools: a `curl` command, a `.http` file for editors, HAR, targets for
//! Vegeta.
//!
//! Requests are written one by one, so that memory does not grow with their number. Control characters are escaped;
//! secrets are masked by the caller. A request that a format cannot hold exactly is refused with a reason.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::{Header, Request, header, query};
use crate::clock::Timestamp;
use crate::untrusted::disturbs;
use crate::{json, ndjson};

/// The reason why an export format cannot hold a request, a clause that begins with `its`.
pub(crate) type Reason = &'static str;

/// The methods that the `.http` clients of editors support.
const HTTP_FILE_METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

fn url(request: &Request, origin: &str) -> Result<String, Reason> {
    if !request.target.starts_with('/') {
        return Err("the request target is not a path");
    }
    if request.target.contains('#') {
        return Err("the request target has a #, and the text after # would not be sent");
    }
    Ok(format!("{origin}{}", request.target))
}

fn headers(request: &Request) -> Result<Vec<(String, String)>, Reason> {
    let text = |header: Header| match std::str::from_utf8(&header.value) {
        Ok(value) => Ok((header.name.into_owned(), value.to_owned())),
        Err(_) => Err("a header value is not text"),
    };
    request.headers.iter().cloned().map(text).collect()
}

pub(crate) fn har_head() -> String {
    let creator = json!({"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")});
    format!("{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"entries\":[\n")
}

pub(crate) const HAR_SEPARATOR: &str = ",\n";

pub(crate) const HAR_TAIL: &str = "\n]}}\n";

/// Makes the HAR entry of a request to `origin` that is planned for the time `at`.
///
/// The request has not been sent: the response has status 0, as in other tools' HAR of unanswered requests, and the
/// times are 0.
pub(crate) fn har_entry(
    request: &Request,
    origin: &str,
    at: Timestamp,
    comment: &str,
) -> Result<String, Reason> {
    let url = url(request, origin)?;
    let list = |pairs: Vec<(String, String)>| -> Vec<Value> {
        let named = |(name, value)| json!({"name": name, "value": value});
        pairs.into_iter().map(named).collect()
    };
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut written = json!({
        "method": request.method,
        "url": url,
        "httpVersion": request.version,
        "cookies": [],
        "headers": list(headers(request)?),
        "queryString": list(query::decode(query).pairs),
        "headersSize": -1,
        "bodySize": request.body.len(),
    });
    let content_type = header(&request.headers, "content-type").unwrap_or_default();
    match request.body.text() {
        Some("") => {}
        Some(text) => written["postData"] = json!({"mimeType": content_type, "text": text}),
        // `postData.text` of HAR 1.2 cannot hold bytes that are not text.
        None => {
            written["postData"] = json!({
                "mimeType": content_type, "text": BASE64.encode(&request.body.0), "_encoding": "base64",
                "comment": "the text is the body in base64",
            });
        }
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
        // HAR 1.2 allows -1 only for `blocked`, `dns`, `connect` and `ssl`.
        "timings": {"blocked": -1, "dns": -1, "connect": -1, "ssl": -1, "send": 0, "wait": 0, "receive": 0},
        "comment": comment,
    });
    Ok(ndjson::safe_json(&entry))
}

/// Writes a request to `origin` for a `.http` file, after a separator line with `title`.
///
/// The format has no escapes, and clients differ in syntax: a request that a common client would misread is refused.
/// JSON is rewritten on one line, with escapes where necessary.
pub(crate) fn http_file_request(
    request: &Request,
    origin: &str,
    title: &str,
) -> Result<String, Reason> {
    if !HTTP_FILE_METHODS.contains(&&*request.method) {
        return Err("the clients for .http files do not support the method");
    }
    let url = url(request, origin)?;
    let mut path = request.path().split('/');
    if path.any(|part| matches!(part, "." | "..")) {
        return Err("the clients for .http files would normalise the path");
    }
    if !is_plain(&url) || url.contains(' ') {
        return Err("the clients for .http files would misread the request target");
    }
    let mut text = format!("### {title}\n{} {url} HTTP/1.1\n", request.method);
    for (name, value) in headers(request)? {
        if !is_plain(&value) || value.trim().is_empty() {
            return Err("the clients for .http files would misread a header");
        }
        let _ = writeln!(text, "{name}: {value}");
    }
    if !request.body.is_empty() {
        let _ = writeln!(text, "\n{}", http_file_body(&request.body.0)?);
    }
    Ok(text + "\n")
}

fn is_plain(line: &str) -> bool {
    !line.chars().any(disturbs) && !line.contains("{{")
}

fn http_file_body(bytes: &[u8]) -> Result<String, Reason> {
    if json::check(bytes).is_ok() {
        // `{{` begins a variable in a `.http` file. In JSON `{{` occurs only within strings, where an escape can
        // replace a brace.
        return Ok(ndjson::one_line(bytes).replace("{{", r"{\u007b"));
    }
    // At the beginning of a body, `.http` clients read `<`, `>`, `#` or `/` as a file's name, a script, the next
    // request or a comment.
    let begins_plainly = |text: &str| text.starts_with(|c: char| c.is_alphanumeric() || c == '%');
    match std::str::from_utf8(bytes) {
        Ok(text) if is_plain(text) && begins_plainly(text) => Ok(text.to_owned()),
        _ => Err("the body is neither JSON nor one line of plain text"),
    }
}

/// Writes a request to `origin` as a target in Vegeta's JSON format, without the line's end: the body is base64, each
/// header has a list of values.
pub(crate) fn vegeta_target(request: &Request, origin: &str) -> Result<String, Reason> {
    let headers = headers(request)?;
    let mut target = json!({"method": request.method, "url": url(request, origin)?});
    if !request.body.is_empty() {
        target["body"] = BASE64.encode(&request.body.0).into();
    }
    for (name, value) in headers {
        match &mut target["header"][canonical(&name)] {
            Value::Array(values) => values.push(value.into()),
            missing => *missing = json!([value]),
        }
    }
    Ok(ndjson::safe_json(&target))
}

/// Converts a header name to Go's canonical form, in which Vegeta looks up headers.
fn canonical(name: &str) -> String {
    let mut parts: Vec<String> = name.split('-').map(str::to_ascii_lowercase).collect();
    for first in parts.iter_mut().filter_map(|part| part.get_mut(..1)) {
        first.make_ascii_uppercase();
    }
    parts.join("-")
}

/// Writes the `curl` command that sends `request` to `origin`. `flags` are curl's options and their values.
///
/// For a captured request, curl's default headers are switched off.
pub(crate) fn curl(request: &Request, origin: &str, flags: &[&str], captured: bool) -> String {
    let is_given = |name: &str| request.headers.iter().any(|header| header.is(name));
    let is_plain = |text: &&str| !text.chars().any(disturbs);
    let plain_body = request.body.text().filter(is_plain);
    let mut words = Vec::new();
    let mut add = |word: &str| words.push(word.to_owned());
    if plain_body.is_none() {
        // A request body that is not plain text is piped from `printf`.
        add(&format!("printf '{}' |", escaped(&request.body.0)));
    }
    add("curl -sS");
    for flag in flags {
        match flag.strip_prefix('-') {
            Some(_) => add(flag),
            None => add(&quoted(flag)),
        }
    }
    if captured {
        for name in ["Accept", "User-Agent"] {
            if !is_given(name) {
                add(&format!("-H '{name}:'"));
            }
        }
        if request.version == "HTTP/1.0" {
            add("--http1.0");
        }
        if request.method == "HEAD" {
            add("--head");
        }
    }
    let target = &request.target;
    let is_rewritten = !target.starts_with('/') || target.contains("/.") || target.contains('#');
    let url = if is_rewritten {
        add(&format!("--request-target {}", quoted(target)));
        format!("{origin}/")
    } else {
        format!("{origin}{target}")
    };
    match (&*request.method, request.body.is_empty()) {
        ("GET", true) | ("POST", false) => {}
        (method, _) => add(&format!("-X {}", quoted(method))),
    }
    for header in &request.headers {
        add(&format!("-H {}", quoted(&field(header))));
    }
    if !request.body.is_empty() {
        if !is_given("content-type") {
            // curl's default `Content-Type` for a request with a body is that of a form.
            add("-H 'Content-Type:'");
        }
        match plain_body {
            // `--data-binary @name` would read a file.
            Some(text) if text.starts_with('@') => add(&format!("--data-raw {}", quoted(text))),
            Some(text) => add(&format!("--data-binary {}", quoted(text))),
            None => add("--data-binary @-"),
        }
    }
    if url.contains(['[', ']', '{', '}']) {
        // Without `-g`, curl expands brackets and braces to several URLs.
        add("-g");
    }
    add(&quoted(&url));
    words.join(" ")
}

/// Writes a header in the notation of `curl -H`, where `Name;` sends an empty value and `Name:` removes the header.
fn field(header: &Header) -> String {
    match header.text() {
        value if value.trim().is_empty() => format!("{};", header.name),
        value => format!("{}: {value}", header.name),
    }
}

/// Quotes an argument for a POSIX shell. Text with control characters or other characters that disturb a terminal is
/// written by `printf`.
fn quoted(text: &str) -> String {
    if text.chars().any(disturbs) {
        return format!("\"$(printf '{}')\"", escaped(text.as_bytes()));
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Makes a `printf` format string that writes `bytes` and that must stand between single quotes.
fn escaped(bytes: &[u8]) -> String {
    let mut format = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '%' => format.push_str("%%"),
                '\\' => format.push_str(r"\\"),
                '\'' => format.push_str(r"'\''"),
                // `printf` would take a leading dash for an option.
                c if disturbs(c) || (c == '-' && format.is_empty()) => {
                    octal(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut format);
                }
                c => format.push(c),
            }
        }
        octal(chunk.invalid(), &mut format);
    }
    format
}

fn octal(bytes: &[u8], format: &mut String) {
    for byte in bytes {
        let _ = write!(format, "\\{byte:03o}");
    }
}

#[cfg(test)]
mod tests;
