//! Rebuilds the command line for the `repeat:` line, which repeats a run or a suite case with the same seed.

use std::ffi::OsString;

use crate::cli::values::is_url;
use crate::net::secret;

/// The flags of a run that the `repeat:` line leaves out, because the line states them itself.
const OF_A_RUN: &[&str] = &["--seed", "--at"];

/// The flags of a suite run that the `repeat:` line of a case leaves out: the line states its own `--seed`, `--at`
/// and `--only`, and a report file would be overwritten.
const OF_THE_SUITE: &[&str] = &[
    "--seed", "--at", "--only", "--skip", "--junit", "--output", "-o",
];

/// Returns the command line quoted for a shell, with secrets masked if `mask` is set.
pub fn command(arguments: &[OsString], is_suite: bool, mask: bool) -> String {
    let without = if is_suite { OF_THE_SUITE } else { OF_A_RUN };
    let mut words = vec!["telecmi-cdr".to_owned()];
    let mut rest = arguments.iter().skip(1).map(|word| word.to_string_lossy());
    while let Some(word) = rest.next() {
        match flag_with_value(&word).filter(|(_, flag, _)| without.contains(&flag.as_str())) {
            None if mask => words.push(quoted(&masked(&word))),
            None => words.push(quoted(&word)),
            Some((before, _, value)) => {
                words.extend((!before.is_empty()).then(|| format!("-{before}")));
                if value.is_empty() {
                    rest.next();
                }
            }
        }
    }
    words.join(" ")
}

/// Each word is quoted for a shell, and preceded by a space.
pub fn quoted_words(words: &[OsString]) -> String {
    let words = words.iter().map(|word| word.to_string_lossy());
    let words = words.map(|word| format!(" {}", quoted(&masked(&word))));
    words.collect::<Vec<_>>().concat()
}

/// Short flags without a value can precede another flag in one word, as in `-ko FILE`.
const WITHOUT_A_VALUE: &str = "kqv";

/// Splits a word such as `-ko FILE` or `--output=FILE` into leading short flags, a flag, and its value. The value is
/// empty if it is the next word of the command line.
fn flag_with_value(word: &str) -> Option<(&str, String, &str)> {
    if word.starts_with("--") {
        let (flag, value) = word.split_at(word.find('=').unwrap_or(word.len()));
        return Some(("", flag.to_owned(), value));
    }
    let flags = word.strip_prefix('-')?;
    let (before, last) = flags.split_at(flags.find(|c| !WITHOUT_A_VALUE.contains(c))?);
    let (flag, value) = last.split_at(last.chars().next()?.len_utf8());
    Some((before, format!("-{flag}"), value))
}

fn masked(word: &str) -> String {
    if is_url(word.trim_start_matches("--url=")) {
        return secret::masked_url(word);
    }
    let name = word.split_once(':').map_or("", |(name, _)| name);
    let header = name
        .trim_start_matches("-H")
        .trim_start_matches("--header=");
    if secret::is_secret_name(header) {
        format!("{name}: {}", secret::MASK)
    } else {
        word.to_owned()
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
        command(&arguments, true, true)
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
