//! A request as a `curl` command.

use std::fmt::Write as _;

use crate::net::{Header, Request, secret};
use crate::untrusted::disturbs;

/// The `curl` command that sends the same bytes to an origin. A secret header's value is left to the reader. `flags` are
/// curl's own, as they stand. curl adds no headers to a captured request.
pub(crate) fn curl(request: &Request, origin: &str, flags: &[&str], captured: bool) -> String {
    let is_given = |name: &str| request.headers.iter().any(|header| header.is(name));
    let is_plain = |text: &&str| !text.chars().any(disturbs);
    let plain_body = request.body.text().filter(is_plain);
    let mut words = Vec::new();
    let mut add = |word: &str| words.push(word.to_owned());
    if plain_body.is_none() {
        // A body that no argument can hold goes through a pipe.
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
    let target = secret::masked_url(&request.target);
    let is_rewritten = !target.starts_with('/') || target.contains("/.") || target.contains('#');
    let url = if is_rewritten {
        add(&format!("--request-target {}", quoted(&target)));
        format!("{origin}/")
    } else {
        format!("{origin}{target}")
    };
    if !matches!(
        (&*request.method, request.body.is_empty()),
        ("GET", true) | ("POST", false)
    ) {
        add(&format!("-X {}", quoted(&request.method)));
    }
    for header in secret::masked_headers(request.headers.clone()) {
        add(&format!("-H {}", quoted(&field(&header))));
    }
    if !request.body.is_empty() {
        if !is_given("content-type") {
            // By default curl calls every body a form.
            add("-H 'Content-Type:'");
        }
        match plain_body {
            // After an `@`, `--data-binary` would read a file.
            Some(text) if text.starts_with('@') => add(&format!("--data-raw {}", quoted(text))),
            Some(text) => add(&format!("--data-binary {}", quoted(text))),
            None => add("--data-binary @-"),
        }
    }
    if url.contains(['[', ']', '{', '}']) {
        // By default curl expands these as a pattern of several URLs.
        add("-g");
    }
    add(&quoted(&url));
    words.join(" ")
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
    if text.chars().any(disturbs) {
        return format!("\"$(printf '{}')\"", escaped(text.as_bytes()));
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The format from which `printf` makes these bytes, between single quotes.
fn escaped(bytes: &[u8]) -> String {
    let mut format = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '%' => format.push_str("%%"),
                '\\' => format.push_str(r"\\"),
                '\'' => format.push_str(r"'\''"),
                // A leading dash would begin an option.
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
        // Writing to a String cannot fail.
        let _ = write!(format, "\\{byte:03o}");
    }
}
