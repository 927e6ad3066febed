//! A request as a `curl` command.

use std::fmt::Write as _;

use crate::net::{Header, Request, secret};

/// The request as a `curl` command that sends the same bytes. `url` is the whole address, without secrets that must
/// not be shown; a secret header's value is left to the reader. `flags` are curl's own, as they stand.
#[must_use]
pub fn curl(request: &Request, url: &str, flags: &[&str]) -> String {
    let body = &request.body.0;
    // A body that no argument can hold goes through a pipe.
    let plain_body = request
        .body
        .text()
        .filter(|text| !text.chars().any(crate::untrusted::disturbs));
    let mut command = String::new();
    if plain_body.is_none() {
        let _ = write!(command, "printf '{}' | ", escaped(body));
    }
    command.push_str("curl -sS");
    for flag in flags {
        let _ = write!(
            command,
            " {}",
            if flag.starts_with('-') {
                (*flag).to_owned()
            } else {
                quoted(flag)
            }
        );
    }
    match (&*request.method, request.body.is_empty()) {
        ("GET", true) | ("POST", false) => {}
        (method, _) => {
            command.push_str(" -X ");
            command.push_str(&quoted(method));
        }
    }
    for header in secret::masked_headers(&request.headers) {
        command.push_str(" -H ");
        command.push_str(&quoted(&field(&header)));
    }
    if !request.body.is_empty() {
        if !request
            .headers
            .iter()
            .any(|header| header.is("content-type"))
        {
            // By default curl calls every body a form.
            command.push_str(" -H 'Content-Type:'");
        }
        match plain_body {
            // After an `@`, `--data-binary` would read a file.
            Some(text) if text.starts_with('@') => {
                command.push_str(" --data-raw ");
                command.push_str(&quoted(text));
            }
            body => {
                command.push_str(" --data-binary ");
                command.push_str(&body.map_or_else(|| "@-".to_owned(), quoted));
            }
        }
    }
    if url.contains(['[', ']', '{', '}']) {
        // By default curl expands these as a pattern of several URLs.
        command.push_str(" -g");
    }
    command.push(' ');
    command.push_str(&quoted(url));
    command
}

/// The same for a request to an origin. curl adds no headers to a captured request.
#[must_use]
pub fn curl_to(request: &Request, origin: &str, flags: &[&str], captured: bool) -> String {
    let target = secret::masked_url(&request.target);
    let mut flags = flags.to_vec();
    if captured {
        for (name, nothing) in [("Accept", "Accept:"), ("User-Agent", "User-Agent:")] {
            if !request.headers.iter().any(|header| header.is(name)) {
                flags.extend(["-H", nothing]);
            }
        }
        if request.version == "HTTP/1.0" {
            flags.push("--http1.0");
        }
        if request.method == "HEAD" {
            flags.push("--head");
        }
    }
    let rewritten = !target.starts_with('/') || target.contains("/.") || target.contains('#');
    if rewritten {
        flags.extend(["--request-target", &target]);
        return curl(request, &format!("{origin}/"), &flags);
    }
    curl(request, &format!("{origin}{target}"), &flags)
}

/// A header as curl takes it: a name with a colon and nothing behind it would leave the header out.
fn field(header: &Header) -> String {
    match header.text() {
        value if value.trim().is_empty() => format!("{};", header.name),
        value => format!("{}: {value}", header.name),
    }
}

/// Quotes an argument for any POSIX shell; text that would disturb a terminal is written by `printf`.
fn quoted(text: &str) -> String {
    if text.chars().any(crate::untrusted::disturbs) {
        return format!("\"$(printf '{}')\"", escaped(text.as_bytes()));
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The format from which `printf` makes these bytes, between single quotes.
fn escaped(bytes: &[u8]) -> String {
    let mut format = String::new();
    for chunk in bytes.utf8_chunks() {
        for (place, c) in chunk.valid().char_indices() {
            match c {
                '%' => format.push_str("%%"),
                '\\' => format.push_str(r"\\"),
                '\'' => format.push_str(r"'\''"),
                // A leading dash would begin an option.
                '-' if place == 0 && format.is_empty() => octal("-".as_bytes(), &mut format),
                c if crate::untrusted::disturbs(c) => {
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
        // Writing to a String cannot fail.
        let _ = write!(format, "\\{byte:03o}");
    }
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
        insta::assert_snapshot!(curl(&post, "http://127.0.0.1:5000/cdr", &[]), @r#"curl -sS -H 'content-type: application/json' -H 'authorization: ***' --data-binary '{"a":"it'\''s"}' 'http://127.0.0.1:5000/cdr'"#);
        let get = Request::new("GET", "/cdr?a=1", vec![], "");
        insta::assert_snapshot!(curl(&get, "http://127.0.0.1:5000/cdr?a=1", &[]), @"curl -sS 'http://127.0.0.1:5000/cdr?a=1'");
    }

    #[test]
    fn what_curl_would_take_for_something_else_is_told_apart() {
        let request = Request::new(
            "POST",
            "/",
            vec![Header::new("x-empty", "")],
            "@/etc/passwd",
        );
        insta::assert_snapshot!(curl(&request, "http://h/", &[]), @"curl -sS -H 'x-empty;' -H 'Content-Type:' --data-raw '@/etc/passwd' 'http://h/'");
        let get = Request::new("GET", "/?a[b]={c}", vec![], "");
        insta::assert_snapshot!(curl(&get, "http://h/?a[b]={c}", &[]), @"curl -sS -g 'http://h/?a[b]={c}'");
    }

    #[test]
    fn control_characters_are_escaped_for_the_shell() {
        let request = Request::new("POST", "/", vec![], "-a%\\\u{1b}'\n");
        insta::assert_snapshot!(curl(&request, "http://h/", &[]), @r"printf '\055a%%\\\033'\''\012' | curl -sS -H 'Content-Type:' --data-binary @- 'http://h/'");
        let headers = vec![Header::new("x-name", "a\u{202e}b")];
        let request = Request::new("POST", "/", headers, b"\xff\0".as_slice());
        insta::assert_snapshot!(curl(&request, "http://h/", &[]), @r#"printf '\377\000' | curl -sS -H "$(printf 'x-name: a\342\200\256b')" -H 'Content-Type:' --data-binary @- 'http://h/'"#);
    }
}
