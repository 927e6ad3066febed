//! A request as other tools write it.

use std::fmt::Write as _;

use super::{Header, Request};

/// The request as a `curl` command that sends the same bytes. `url` is the whole address, without secrets that must
/// not be shown; a secret header's value is left to the reader.
#[must_use]
pub fn curl(request: &Request, url: &str) -> String {
    let mut command = String::from("curl -sS");
    match (request.method.as_str(), request.body.is_empty()) {
        ("GET", true) | ("POST", false) => {}
        (method, _) => {
            command.push_str(" -X ");
            command.push_str(&quoted(method));
        }
    }
    for header in &request.headers {
        command.push_str(" -H ");
        command.push_str(&quoted(&masked(header)));
    }
    if !request.body.is_empty() {
        command.push_str(" --data-binary ");
        // NUL cannot stand in an argument and other bytes may not survive a terminal.
        command.push_str(&match request.body.text() {
            Some(text) if !text.contains('\0') => quoted(text),
            _ => "@BODY.bin".to_owned(),
        });
    }
    command.push(' ');
    command.push_str(&quoted(url));
    command
}

fn masked(header: &Header) -> String {
    if super::secret::is_secret_header(&header.name) {
        format!("{}: ***", header.name)
    } else {
        format!("{}: {}", header.name, header.text())
    }
}

/// Quotes an argument for a POSIX shell; text that would disturb a terminal becomes an ANSI-C string.
fn quoted(text: &str) -> String {
    if text.chars().any(crate::untrusted::disturbs) {
        let mut escaped = String::from("$'");
        for c in text.chars() {
            match c {
                '\'' | '\\' => escaped.extend(['\\', c]),
                c if crate::untrusted::disturbs(c) => {
                    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                        // Writing to a String cannot fail.
                        let _ = write!(escaped, "\\x{byte:02x}");
                    }
                }
                c => escaped.push(c),
            }
        }
        return escaped + "'";
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_and_a_get() {
        let headers = vec![
            Header::new("content-type", "application/json"),
            Header::new("authorization", "Bearer hush"),
        ];
        let post = Request::new("POST", "/cdr", headers, r#"{"a":"it's"}"#);
        insta::assert_snapshot!(curl(&post, "http://127.0.0.1:5000/cdr"), @r#"curl -sS -H 'content-type: application/json' -H 'authorization: ***' --data-binary '{"a":"it'\''s"}' 'http://127.0.0.1:5000/cdr'"#);
        let get = Request::new("GET", "/cdr?a=1", vec![], "");
        insta::assert_snapshot!(curl(&get, "http://127.0.0.1:5000/cdr?a=1"), @"curl -sS 'http://127.0.0.1:5000/cdr?a=1'");
    }

    #[test]
    fn control_characters_are_escaped_for_the_shell() {
        let request = Request::new("POST", "/", vec![], "a\u{1b}'\n");
        insta::assert_snapshot!(curl(&request, "http://h/"), @r"curl -sS --data-binary $'a\x1b\'\x0a' 'http://h/'");
    }
}
