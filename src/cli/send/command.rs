//! The command as it was given, for the line that repeats it.

use std::ffi::OsString;

use crate::net::secret;

/// Flags that the line of a run adds with the values they had.
pub const OF_A_RUN: [&str; 2] = ["--seed", "--at"];

/// Flags that the line of a case adds, or that would overwrite the first report.
pub const OF_THE_SUITE: [&str; 6] = ["--seed", "--only", "--skip", "--junit", "--output", "-o"];

/// The command: quoted for a shell, secrets masked, without these flags and their values.
#[must_use]
pub fn as_given(arguments: &[OsString], without: &[&str]) -> String {
    let mut words = vec!["telecmi-cdr".to_owned()];
    let mut rest = arguments
        .iter()
        .skip(1)
        .map(|argument| argument.to_string_lossy());
    while let Some(word) = rest.next() {
        if let Some((kept, value)) = cut(&word, without) {
            words.extend(kept);
            if value.is_empty() {
                rest.next();
            }
            continue;
        }
        match word.as_ref() {
            word if without.contains(&word) => {
                rest.next();
            }
            word if word
                .split_once('=')
                .is_some_and(|(flag, _)| without.contains(&flag)) => {}
            "--url" | "--header" | "-H" => {
                words.push(word.into_owned());
                words.extend(rest.next().map(|value| quoted(&masked(&value))));
            }
            word => words.push(quoted(&masked(word))),
        }
    }
    words.join(" ")
}

/// Short flags that take no value, after which another flag may stand in the same word.
const WITHOUT_A_VALUE: &str = "kqv";

/// A word of short flags, one of which is to go: what is left of it, and the value attached to the one that goes.
fn cut<'a>(word: &'a str, without: &[&str]) -> Option<(Option<String>, &'a str)> {
    let flags = word
        .strip_prefix('-')
        .filter(|flags| !flags.starts_with('-'))?;
    let at = flags.find(|c| !WITHOUT_A_VALUE.contains(c))?;
    let (before, last) = flags.split_at(at);
    let (flag, value) = last.split_at(last.chars().next()?.len_utf8());
    let kept = (!before.is_empty()).then(|| format!("-{before}"));
    without
        .contains(&format!("-{flag}").as_str())
        .then_some((kept, value))
}

/// A word with what looks like a secret in it masked: a URL's parameters, a header's value.
fn masked(word: &str) -> String {
    if word.contains("://") {
        return secret::masked_url(word);
    }
    match word.split_once(':') {
        Some((name, _))
            if secret::is_secret_name(
                name.trim_start_matches("-H")
                    .trim_start_matches("--header="),
            ) =>
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

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated(arguments: &str) -> String {
        let arguments: Vec<OsString> = arguments.split(' ').map(OsString::from).collect();
        as_given(&arguments, &OF_THE_SUITE)
    }

    #[test]
    fn what_the_line_adds_itself_is_left_out_however_it_is_written() {
        for given in [
            "t send -o out -k",
            "t send -oout -k",
            "t send -o=out -k",
            "t send -koout",
            "t send -ko out",
            "t send --output out -k",
            "t send --seed=7 --output=out -k --only a",
        ] {
            assert_eq!(repeated(given), "telecmi-cdr send -k", "{given}");
        }
        for kept in [
            "-X post -sall",
            "-fout -Ho:x",
            "--only-this",
            "-",
            "-kv",
            "-é",
        ] {
            assert_eq!(
                repeated(&format!("t {kept}")),
                format!("telecmi-cdr {kept}").replace("-é", "'-é'")
            );
        }
    }
}
