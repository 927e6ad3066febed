//! The command as it was given, for the line that repeats it.

use std::ffi::OsString;

use crate::wire::secret;

/// Flags that the line of a run adds with the values they had.
pub const OF_A_RUN: [&str; 2] = ["--seed", "--at"];

/// Flags that the line of a case adds, or that would overwrite the first report.
pub const OF_THE_SUITE: [&str; 6] = ["--seed", "--only", "--skip", "--junit", "--output", "-o"];

/// The command: quoted for a shell, secrets masked, without these flags and their values.
#[must_use]
pub fn as_given(arguments: &[OsString], without: &[&str]) -> String {
    let mut words = vec!["telecmi-cdr".to_owned()];
    let mut rest = arguments.iter().skip(1).map(|argument| argument.to_string_lossy());
    while let Some(word) = rest.next() {
        match word.as_ref() {
            word if without.contains(&word) => {
                rest.next();
            }
            word if word.split_once('=').is_some_and(|(flag, _)| without.contains(&flag)) => {}
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
