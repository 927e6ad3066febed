//! Words of the command line, which may hold secrets: parses headers and URLs, which clap would quote in its errors, and
//! rebuilds the command line for the `repeat:` line, which repeats a run or a suite case with the same seed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::variable;
use crate::net::{Destination, Header, secret};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderSource {
    One(Header),
    /// `--header @FILE` reads one header per line.
    File(PathBuf),
}

/// Reads the value of a flag. The error begins with the flag, or with the environment variable if the value comes from
/// there.
pub fn of_flag<T>(
    matches: &ArgMatches,
    flag: &str,
    text: &str,
    read: fn(&str) -> Result<T, String>,
) -> Result<T, String> {
    read(text).map_err(|what| {
        let id = flag.trim_start_matches('-').replace('-', "_");
        match matches.value_source(&id) {
            Some(ValueSource::EnvVariable) => format!("{}: {what}", variable(&id)),
            _ => format!("{flag}: {what}"),
        }
    })
}

fn is_url(word: &str) -> bool {
    word.contains("://") || Destination::parse(word).is_ok()
}

pub fn header_source(text: &str) -> Result<HeaderSource, String> {
    match text.strip_prefix('@') {
        Some("") => Err("expected @FILE with the name of a file".to_owned()),
        Some(path) => Ok(HeaderSource::File(path.into())),
        None => header(text).map(HeaderSource::One),
    }
}

pub fn header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once(':').ok_or("expected 'Name: value'")?;
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        return Err("a header name has letters, digits and hyphens only".to_owned());
    }
    let value = value.trim_matches([' ', '\t']);
    if value.chars().any(|c| c.is_control() && c != '\t') {
        let what = "a header value cannot contain line breaks or other control characters";
        return Err(what.to_owned());
    }
    Ok(Header::new(name, value))
}

/// The flags of a run that the `repeat:` line leaves out, because the line states them itself.
const OF_A_RUN: &[&str] = &["--seed", "--at"];

/// The flags of a suite run that the `repeat:` line of a case leaves out: the line states its own `--seed`, `--at`
/// and `--only`, and a report file would be overwritten.
const OF_THE_SUITE: &[&str] = &[
    "--seed", "--at", "--only", "--skip", "--junit", "--output", "-o",
];

/// Returns the command of the `repeat:` line: the command line quoted for a shell, with secrets masked if `mask` is set.
pub fn repeat_command(arguments: &[OsString], is_suite: bool, mask: bool) -> String {
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
    let equals = word.find('=').filter(|_| word.starts_with("--"));
    let (flag, value) = word.split_at(equals.map_or(0, |at| at + 1));
    if is_url(value) {
        return flag.to_owned() + &secret::masked_url(value);
    }
    let flags = ["--header=", "--set=", "-H"];
    let rest = flags.iter().find_map(|flag| word.strip_prefix(flag));
    let rest = rest.unwrap_or(word);
    let end = rest.find([':', '=']).map_or(0, |at| at + 1);
    if secret::is_secret_name(rest[..end].trim_matches(['-', ':', '='])) {
        word[..word.len() - rest.len() + end].to_owned() + secret::MASK
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

    #[test]
    fn headers_hold_no_line_breaks() {
        assert_eq!(header("X-A:  b "), Ok(Header::new("X-A", "b")));
        assert!(header("X-A: b\r\nEvil: 1").is_err());
        assert!(header("X A: b").is_err() && header("no colon").is_err());
        assert_eq!(
            header_source("@h.txt"),
            Ok(HeaderSource::File("h.txt".into()))
        );
    }

    fn repeated(arguments: &str) -> String {
        let arguments: Vec<OsString> = arguments.split(' ').map(OsString::from).collect();
        repeat_command(&arguments, true, true)
    }

    #[test]
    fn secrets_of_every_flag_are_masked() {
        for (given, shown) in [
            (
                "--read-back=localhost/x?token=S3CR3T",
                "'--read-back=localhost/x?token=***'",
            ),
            ("--url=me:S3CR3T@localhost/x", "'--url=***@localhost/x'"),
            ("--header=Cookie:S3CR3T", "'--header=Cookie:***'"),
            ("-HCookie:S3CR3T", "'-HCookie:***'"),
            ("--set=password=S3CR3T", "'--set=password=***'"),
            ("token=S3CR3T", "'token=***'"),
            ("--password=S3CR3T", "'--password=***'"),
            ("--set=custom=a", "--set=custom=a"),
        ] {
            assert_eq!(
                repeated(&format!("t {given}")),
                format!("telecmi-cdr {shown}")
            );
        }
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
