//! The command as it was given, for the line that repeats it.

use std::ffi::OsString;

use crate::wire::secret;

/// The command: quoted for a shell, secrets masked, without `--seed` and
/// `--at`, which the line adds with the values they had.
#[must_use]
pub fn as_given(arguments: &[OsString]) -> String {
    let mut words = vec!["telecmi-cdr".to_owned()];
    let mut rest = arguments.iter().skip(1).map(|argument| argument.to_string_lossy());
    while let Some(word) = rest.next() {
        match word.as_ref() {
            "--seed" | "--at" => {
                rest.next();
            }
            word if word.starts_with("--seed=") || word.starts_with("--at=") => {}
            "--url" | "--header" | "-H" => {
                words.push(word.into_owned());
                words.extend(rest.next().map(|value| quoted(&masked(&value))));
            }
            word => words.push(quoted(&masked(word))),
        }
    }
    words.join(" ")
}

/// A word with what looks like a secret in it masked: a URL's parameters, a header's value.
fn masked(word: &str) -> String {
    if word.contains("://") {
        return secret::masked_url(word);
    }
    match word.split_once(':') {
        Some((name, _))
            if secret::is_secret_header(name.trim_start_matches("-H").trim_start_matches("--header=")) =>
        {
            format!("{name}: {}", secret::MASK)
        }
        _ => word.to_owned(),
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
