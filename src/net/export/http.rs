//! Requests as a `.http` file, which editors and their REST clients send one by one.
//!
//! The format has no escapes, and each client has a syntax of its own: a request that a common client would misread is
//! left out. JSON is rewritten with escapes where necessary.

use std::fmt::Write as _;

use super::Reason;
use crate::json;
use crate::ndjson;
use crate::net::Request;
use crate::untrusted::disturbs;

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// A request at an origin, after a separator line with a title.
pub fn request(request: &Request, origin: &str, title: &str) -> Result<String, Reason> {
    if !METHODS.contains(&&*request.method) {
        return Err("its method is not one that editors know");
    }
    let url = super::url(request, origin)?;
    let path = request.path();
    if path.split('/').any(|part| matches!(part, "." | "..")) {
        return Err("its path would be shortened before it is sent");
    }
    if !is_plain(&url) || url.contains(' ') {
        return Err("its target has characters that editors take for something else");
    }
    let mut text = format!("### {title}\n{} {url} HTTP/1.1\n", request.method);
    for (name, value) in super::headers(request)? {
        if !is_plain(&value) || value.trim().is_empty() {
            return Err("its headers have characters that editors take for something else");
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {value}");
    }
    if !request.body.is_empty() {
        text.push('\n');
        text.push_str(&body(&request.body.0)?);
        text.push('\n');
    }
    text.push('\n');
    Ok(text)
}

/// Whether every client reads the line as plain text.
fn is_plain(line: &str) -> bool {
    !line.chars().any(disturbs) && !line.contains("{{")
}

/// The body on a line of its own.
fn body(bytes: &[u8]) -> Result<String, Reason> {
    if json::check(bytes).is_ok() {
        // Two braces begin a variable. In JSON they stand only inside text, where one can be an escape.
        return Ok(ndjson::one_line(bytes).replace("{{", r"{\u007b"));
    }
    match std::str::from_utf8(bytes) {
        // Other characters may begin a file's name, a script, a comment or the next request.
        Ok(text)
            if is_plain(text) && text.starts_with(|c: char| c.is_alphanumeric() || c == '%') =>
        {
            Ok(text.to_owned())
        }
        _ => Err("its body is neither JSON nor one plain line of text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Header;

    fn post(
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> Result<String, Reason> {
        let headers = headers
            .iter()
            .map(|(name, value)| Header::new(*name, *value))
            .collect::<Vec<_>>();
        request(
            &Request::new("POST", target, headers, body),
            "http://h",
            "1. a title",
        )
    }

    #[test]
    fn a_request_stands_behind_its_separator() {
        let headers = [("content-type", "application/json"), ("x-api-key", "hush")];
        insta::assert_snapshot!(post("/cdr?token=hush&a=1", &headers, "{\"a\":\n 1}\n").unwrap(), @r#"
        ### 1. a title
        POST http://h/cdr?token=***&a=1 HTTP/1.1
        content-type: application/json
        x-api-key: ***

        {"a":  1}
        "#);
        let get = Request::new("GET", "/?a=1", vec![], "");
        insta::assert_snapshot!(request(&get, "http://h", "2. another").unwrap(), @r"
        ### 2. another
        GET http://h/?a=1 HTTP/1.1
        ");
    }

    #[test]
    fn json_keeps_its_meaning_where_its_bytes_would_be_taken_for_something_else() {
        let body = "{\"custom\":\"{{$guid}} {{{ \u{202e}\"}";
        let text = post("/", &[], body).unwrap();
        let written = text.lines().nth(3).unwrap();
        assert!(
            !written.contains("{{") && !written.chars().any(disturbs),
            "{written}"
        );
        let [written, meant] =
            [written, body].map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
        assert_eq!(written, meant);
    }

    #[test]
    fn what_an_editor_would_take_for_something_else_is_left_out() {
        for body in [
            "< /etc/passwd",
            "### next",
            "# a comment",
            "// a comment",
            "@a = 1",
            "{{x}}",
            "a{{x}}",
            "a\nb",
            " a",
            "?? x",
            "> x",
            "\u{1b}",
        ] {
            assert!(post("/", &[], body).is_err(), "{body}");
        }
        assert!(post("/", &[], b"\xff".as_slice()).is_err());
        assert!(post("/", &[], "a=1&b=%20").is_ok());
        for target in [
            "*",
            "http://h/",
            "/a/../b",
            "/./a",
            "/a#b",
            "/{{x}}",
            "/a b",
        ] {
            assert!(post(target, &[], "").is_err(), "{target}");
        }
        assert!(post("/.well-known/a..b/...", &[], "").is_ok());
        for header in ["{{x}}", "a\tb", "\u{202e}", ""] {
            assert!(post("/", &[("x-a", header)], "").is_err(), "{header}");
        }
        let odd = Request::new("BREW", "/", vec![], "");
        assert!(request(&odd, "http://h", "").is_err());
    }
}
