//! Decodes text in which numbers are searched: resolves escapes, maps digits of other scripts to ASCII, and keeps one
//! byte per character.
//!
//! JSON, JavaScript, query strings, forms and their mixtures are decoded by the same rules, with escapes nested at any
//! depth, so that digits are found in `%22919…`, `\n919…` and `\\u0039`.

use std::ops::Range;
use std::sync::LazyLock;

use regex_lite::Regex;

use super::digits;
use super::numbers::{APP, NUMBER};
use crate::untrusted::pattern;

/// `OTHER` stands in [`Decoded::text`] for a character without ASCII equivalent, and for an escaped letter, since an
/// escape ends a word.
const OTHER: u8 = 1;
/// `ELLIPSIS` stands in the decoded text for `…`, which follows a shortened value.
const ELLIPSIS: u8 = 2;
/// `PLUS_OR_SPACE` stands for `+` in a URL or form, where `+` may encode a space.
pub(super) const PLUS_OR_SPACE: u8 = 3;

/// The zero of each set of decimal digits (category Nd of Unicode 16, superscripts, subscripts, circled digits),
/// ascending; the digits one to nine follow each zero.
const ZEROS: &str = "\u{660}\u{6f0}\u{7c0}\u{966}\u{9e6}\u{a66}\u{ae6}\u{b66}\u{be6}\u{c66}\u{ce6}\u{d66}\u{de6}\
    \u{e50}\u{ed0}\u{f20}\u{1040}\u{1090}\u{17e0}\u{1810}\u{1946}\u{19d0}\u{1a80}\u{1a90}\
    \u{1b50}\u{1bb0}\u{1c40}\u{1c50}\u{2070}\u{2080}\u{245f}\u{a620}\u{a8d0}\u{a900}\u{a9d0}\u{a9f0}\u{aa50}\u{abf0}\
    \u{ff10}\u{104a0}\u{10d30}\u{10d40}\u{11066}\u{110f0}\u{11136}\u{111d0}\u{112f0}\u{11450}\
    \u{114d0}\u{11650}\u{116c0}\u{116d0}\u{116da}\u{11730}\u{118e0}\u{11950}\u{11bf0}\u{11c50}\
    \u{11d50}\u{11da0}\u{11f50}\u{16a60}\u{16ac0}\u{16b50}\u{16d70}\u{1ccf0}\u{1d7ce}\u{1d7d8}\
    \u{1d7e2}\u{1d7ec}\u{1d7f6}\u{1e140}\u{1e2f0}\u{1e4f0}\u{1e5f1}\u{1e950}\u{1fbf0}";

/// A percent escape, whose percent sign may be escaped too, as in `%2522`.
static PERCENT: LazyLock<Regex> = LazyLock::new(|| pattern("^%(?:25)*([0-9A-Fa-f]{2})"));
/// One or more backslashes, and the escaped letter or `uXXXX` code after them.
static BACKSLASHES: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\\+(?:[bfnrt]|u([0-9A-Fa-f]{4}))?"));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// In a URL or form, `%` begins an escape, and `+` may encode a space.
    Url,
    /// In other text, `%` may begin an escape, since the text may quote a URL.
    Text,
}

pub(super) struct Decoded<'a> {
    source: &'a str,
    /// The decoded text is ASCII, one byte for each character or escape of `source`.
    pub(super) text: String,
    /// `letters` is `text` with the letters of escapes such as `%61` and `\u0061`, for the names of fields.
    pub(super) letters: String,
    /// `places` has the index in `source` of each byte of `text`, then the length of `source`.
    places: Vec<usize>,
    pub(super) is_cut: bool,
}

impl<'a> Decoded<'a> {
    pub(super) fn new(source: &'a str, form: Form) -> Self {
        let text = match form {
            Form::Url => source.replace('+', "\x03"),
            Form::Text => source.to_owned(),
        };
        let places: Vec<_> = (0..=source.len()).collect();
        let (bytes, places) = resolve(&text, &places, b'%', &PERCENT, |text, _, code| {
            let digits = digits(&text[1..]);
            // `100%98765432` is a percentage and a number of eight digits, rather than an escape and six digits.
            let is_number = form == Form::Text
                && matches!(digits.len(), 8 | 9)
                && APP.count(&digits[2..]).is_none();
            if is_number {
                None
            } else {
                u8::try_from(code?).ok()
            }
        });
        let (text, places) = simplified_characters(&bytes, &places);
        let (text, places) = resolve(&text, &places, b'\\', &BACKSLASHES, |_, escape, code| {
            Some(match (code, escape.chars().last()) {
                (Some(code), _) => char::from_u32(code).map_or(OTHER, simplified),
                (None, Some('n' | 'r')) => b'\n',
                (None, Some('b' | 'f' | 't')) => b'\t',
                (None, _) => b'\\',
            })
        });
        let letters: String = text.into_iter().map(char::from).collect();
        let outside_escapes = |(at, c): (usize, char)| match places[at + 1] - places[at] {
            2.. if c.is_ascii_alphabetic() => char::from(OTHER),
            _ => c,
        };
        Self {
            source,
            text: letters.char_indices().map(outside_escapes).collect(),
            letters,
            places,
            is_cut: false,
        }
    }

    pub(super) fn original(&self, range: Range<usize>) -> &'a str {
        &self.source[self.places[range.start]..self.places[range.end]]
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    pub(super) fn byte_before(&self, at: usize) -> Option<u8> {
        at.checked_sub(1).and_then(|before| self.byte(before))
    }

    /// Returns whether a shortened value ends at index `at`, so that further digits may be missing.
    pub(super) fn is_cut_at(&self, at: usize) -> bool {
        (self.is_cut && at == self.text.len()) || self.byte(at) == Some(ELLIPSIS)
    }
}

/// Replaces each escape by the byte that `meaning` returns. `meaning` gets the text from the escape on, the escape, and
/// the code in its hexadecimal digits. `places` is as in [`Decoded`].
fn resolve(
    text: &str,
    places: &[usize],
    first: u8,
    escape: &Regex,
    meaning: impl Fn(&str, &str, Option<u32>) -> Option<u8>,
) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut byte_places) = (Vec::new(), Vec::new());
    let mut copied = 0;
    for (start, _) in text.match_indices(char::from(first)) {
        let rest = &text[start..];
        if start < copied {
            continue;
        }
        let Some(groups) = escape.captures(rest) else {
            continue;
        };
        let digits = groups.get(1);
        let code = digits.and_then(|digits| u32::from_str_radix(digits.as_str(), 16).ok());
        let Some(byte) = meaning(rest, &groups[0], code) else {
            continue;
        };
        // In `%9100000…` and `%1000001` the digits belong to a pseudonym, not to a percent escape.
        let is_pseudonym = |at: usize| {
            let rest = &rest[at..];
            rest.starts_with(NUMBER.prefix) || APP.count(self::digits(rest)).is_some()
        };
        let (byte, length) = match digits {
            Some(digits) if digits.range().any(is_pseudonym) => (first, digits.start()),
            _ => (byte, groups[0].len()),
        };
        bytes.extend(&text.as_bytes()[copied..start]);
        byte_places.extend(&places[copied..=start]);
        bytes.push(byte);
        copied = start + length;
    }
    bytes.extend(&text.as_bytes()[copied..]);
    byte_places.extend(&places[copied..]);
    (bytes, byte_places)
}

fn simplified_characters(bytes: &[u8], places: &[usize]) -> (String, Vec<usize>) {
    let (mut text, mut text_places) = (String::new(), Vec::new());
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        let characters = chunk.valid().chars().map(|c| (simplified(c), c.len_utf8()));
        let others = chunk.invalid().iter().map(|_| (OTHER, 1));
        for (byte, length) in characters.chain(others) {
            text.push(byte.into());
            text_places.push(places[at]);
            at += length;
        }
    }
    text_places.extend(places.last());
    (text, text_places)
}

fn simplified(c: char) -> u8 {
    match c {
        '…' => ELLIPSIS,
        '\u{ff0b}' => b'+',
        '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' => {
            b'-'
        }
        '\u{b7}' | '\u{2022}' | '\u{2024}' | '\u{ff0e}' => b'.',
        '\u{b9}' => b'1',
        '\u{b2}' => b'2',
        '\u{b3}' => b'3',
        '\u{24ea}' => b'0',
        '\u{66b}' | '\u{66c}' => b',',
        '\u{ff08}' => b'(',
        '\u{ff09}' => b')',
        '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => b' ',
        _ if !c.is_ascii() && c.is_whitespace() => b' ',
        _ => {
            let ascii = if c.is_ascii() { Some(c) } else { decimal(c) };
            ascii.and_then(|c| u8::try_from(c).ok()).unwrap_or(OTHER)
        }
    }
}

fn decimal(c: char) -> Option<char> {
    let zero = ZEROS.chars().rev().find(|zero| *zero <= c)?;
    char::from_digit(u32::from(c) - u32::from(zero), 10)
}
