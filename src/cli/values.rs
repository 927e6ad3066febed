//! Parsers of `--header` and of URLs, whose text may hold secrets: clap would quote the text in its errors.

use std::path::PathBuf;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::variable;
use crate::net::{Destination, Header};

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

pub fn is_url(word: &str) -> bool {
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
}
