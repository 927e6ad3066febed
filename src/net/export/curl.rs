//! Writes a request as a `curl` command.

use std::fmt::Write as _;

use crate::net::{Header, Request};
use crate::untrusted::disturbs;

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
    if !matches!(
        (&*request.method, request.body.is_empty()),
        ("GET", true) | ("POST", false)
    ) {
        add(&format!("-X {}", quoted(&request.method)));
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
