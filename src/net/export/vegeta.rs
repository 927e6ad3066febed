//! Requests as targets for Vegeta, in its JSON format: one object a line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Reason;
use crate::ndjson;
use crate::net::Request;

/// A target of Vegeta: the body in base64, each header with all of its values.
#[derive(Serialize)]
struct Target<'a> {
    method: &'a str,
    url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    body: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    header: Map<String, Value>,
}

/// A request at an origin as one target, without the line's end.
pub fn target(request: &Request, origin: &str) -> Result<String, Reason> {
    let mut header = Map::new();
    for (name, value) in super::headers(request)? {
        let values = header
            .entry(canonical(&name))
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Some(values) = values.as_array_mut() {
            values.push(value.into());
        }
    }
    let target = Target {
        method: &request.method,
        url: super::url(request, origin)?,
        body: BASE64.encode(&request.body.0),
        header,
    };
    Ok(ndjson::safe_json(&target))
}

/// A header's name in Go's canonical form, by which Vegeta knows its own headers.
fn canonical(name: &str) -> String {
    let mut begins = true;
    let letter = |c: char| {
        let written = if begins {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        };
        begins = c == '-';
        written
    };
    name.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Header;

    #[test]
    fn a_target_is_one_line_with_its_body_in_base64() {
        let headers = [
            "content-type: application/json",
            "x-b: 1",
            "X-B: 2",
            "authorization: Bearer hush",
        ]
        .map(|line| {
            line.split_once(": ")
                .map(|(name, value)| Header::new(name, value))
                .unwrap()
        });
        let post = Request::new(
            "POST",
            "/cdr?token=hush",
            headers.to_vec(),
            b"{}\xff\n".as_slice(),
        );
        insta::assert_snapshot!(target(&post, "http://h").unwrap(), @r#"{"method":"POST","url":"http://h/cdr?token=***","body":"e33/Cg==","header":{"Content-Type":["application/json"],"X-B":["1","2"],"Authorization":["***"]}}"#);
        let get = Request::new("GET", "/?a=1", vec![], "");
        insta::assert_snapshot!(target(&get, "http://h").unwrap(), @r#"{"method":"GET","url":"http://h/?a=1"}"#);
        let whole = Request::new("OPTIONS", "*", vec![], "");
        assert_eq!(target(&whole, "http://h"), Err("its target is no path"));
    }
}
