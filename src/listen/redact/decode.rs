//! Decodes text for the search: escapes resolved, digits of all scripts as ASCII, one byte for each character.
//!
//! JSON, JavaScript, query strings, forms and their mixtures are decoded by the same rules, however deeply an escape is
//! nested, so that `%22919…`, `\n919…` and `\\u0039` all show their digits.

use std::ops::Range;

use super::pseudonyms::NUMBER;

/// In [`Decoded::text`]: any character that no pattern matches, and an escaped letter, since an escape ends a word.
const OTHER: u8 = 1;
/// `…`, which follows a shortened value.
const ELLIPSIS: u8 = 2;
/// `+` in a URL or form, where a plus sign may mean a space.
pub(super) const PLUS_OR_SPACE: u8 = 3;

/// The zeros of the scripts whose digits are decimal (Unicode category Nd); each is followed by one to nine.
const ZEROS: [char; 19] = [
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}',
    '\u{be6}', '\u{c66}', '\u{ce6}', '\u{d66}', '\u{e50}', '\u{ed0}', '\u{f20}', '\u{1040}',
    '\u{17e0}', '\u{1810}', '\u{ff10}',
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `%` begins an escape, `+` may be a space.
    Url,
    /// `%` may begin an escape, in a URL that is quoted.
    Text,
}

pub(super) struct Decoded<'a> {
    pub(super) source: &'a str,
    /// ASCII, one byte for each character or escape of `source`.
    pub(super) text: String,
    /// The place in `source` of each byte of `text`, and the end of `source`.
    places: Vec<usize>,
    /// Whether digits at the end may be the beginning of a longer number.
    is_cut: bool,
}

impl<'a> Decoded<'a> {
    pub(super) fn new(source: &'a str, form: Form) -> Self {
        let mut bytes = Vec::with_capacity(source.len());
        let mut places = Vec::with_capacity(source.len() + 1);
        let scanner = Scanner {
            bytes: source.as_bytes(),
            form,
        };
        let mut at = 0;
        while at < source.len() {
            let (byte, length) = scanner.unit(source, at);
            bytes.push(byte);
            places.push(at);
            at += length;
        }
        places.push(source.len());
        Self {
            source,
            text: bytes.into_iter().map(char::from).collect(),
            places,
            is_cut: false,
        }
    }

    pub(super) fn cut(self, is_cut: bool) -> Self {
        Self { is_cut, ..self }
    }

    /// The part of the source that was decoded to this part of the text.
    pub(super) fn original(&self, range: Range<usize>) -> &'a str {
        &self.source[self.places[range.start]..self.places[range.end]]
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    pub(super) fn byte_before(&self, at: usize) -> Option<u8> {
        at.checked_sub(1).and_then(|before| self.byte(before))
    }

    /// Whether the value that ends here was shortened, so that more digits may have followed.
    pub(super) fn is_cut_at(&self, at: usize) -> bool {
        (self.is_cut && at == self.text.len()) || self.byte(at) == Some(ELLIPSIS)
    }

    /// The end of the digits that begin here.
    pub(super) fn digits_end(&self, at: usize) -> usize {
        let digits = self.text.as_bytes()[at..].iter();
        at + digits.take_while(|byte| byte.is_ascii_digit()).count()
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    form: Form,
}

impl Scanner<'_> {
    /// The character or escape here as one byte, and its length in the source.
    fn unit(&self, source: &str, at: usize) -> (u8, usize) {
        let (byte, length) = self.unescaped(at);
        match byte {
            b'\\' => self.backslash(at, length),
            b'+' if length == 1 && self.form == Form::Url => (PLUS_OR_SPACE, 1),
            _ if length == 1 => {
                let c = source[at..].chars().next().unwrap_or_default();
                (simplified(c), c.len_utf8())
            }
            0x80.. => self.percent_encoded(at),
            _ if byte.is_ascii_alphabetic() => (OTHER, length),
            _ => (byte, length),
        }
    }

    /// The byte here, or the byte of the percent escape, whose percent sign may be escaped itself.
    fn unescaped(&self, at: usize) -> (u8, usize) {
        let mut byte = self.bytes[at];
        let mut length = 1;
        if byte == b'%' && self.form == Form::Text && self.is_rather_a_number(at + 1) {
            return (byte, length);
        }
        while byte == b'%'
            && let Some(code) = self.hexadecimal(at + length, 2)
        {
            byte = u8::try_from(code).unwrap_or(OTHER);
            length += 2;
        }
        (byte, length)
    }

    /// Whether `100%98765432` is a percentage and a number of eight digits, rather than an escape and six digits.
    fn is_rather_a_number(&self, at: usize) -> bool {
        let digits = self.bytes[at..].iter().take(10);
        matches!(
            digits.take_while(|byte| byte.is_ascii_digit()).count(),
            8 | 9
        )
    }

    /// Percent escapes that are one character of several bytes in UTF-8.
    fn percent_encoded(&self, at: usize) -> (u8, usize) {
        let mut encoded = Vec::new();
        let mut end = at;
        while end < self.bytes.len() && encoded.len() < 4 {
            let (byte, length) = self.unescaped(end);
            if length == 1 || byte < 0x80 {
                break;
            }
            encoded.push(byte);
            end += length;
            if let Ok(text) = std::str::from_utf8(&encoded) {
                return (text.chars().next().map_or(OTHER, simplified), end - at);
            }
        }
        (OTHER, self.unescaped(at).1)
    }

    /// Any number of backslashes and the character that they escape.
    fn backslash(&self, at: usize, first: usize) -> (u8, usize) {
        let mut end = at + first;
        while end < self.bytes.len()
            && let (b'\\', length) = self.unescaped(end)
        {
            end += length;
        }
        let backslashes = (b'\\', end - at);
        match self.bytes.get(end) {
            Some(b'u') => self.hexadecimal(end + 1, 4).map_or(backslashes, |code| {
                let byte = char::from_u32(code).map_or(OTHER, simplified);
                let is_letter = byte.is_ascii_alphabetic();
                (if is_letter { OTHER } else { byte }, end + 5 - at)
            }),
            Some(b'n' | b'r') => (b'\n', end + 1 - at),
            Some(b'b' | b'f' | b't') => (b'\t', end + 1 - at),
            _ => backslashes,
        }
    }

    /// The code of an escape. Not if a pseudonym begins in its digits: `%` before a pseudonym must not become an escape.
    fn hexadecimal(&self, at: usize, count: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + count)?;
        let is_pseudonym =
            |start: usize| self.bytes[at + start..].starts_with(NUMBER.prefix.as_bytes());
        if !digits.iter().all(u8::is_ascii_hexdigit) || (0..count).any(is_pseudonym) {
            return None;
        }
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }
}

/// The ASCII character that means the same in a telephone number.
fn simplified(c: char) -> u8 {
    match c {
        '…' => ELLIPSIS,
        '+' | '\u{ff0b}' => b'+',
        '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' => {
            b'-'
        }
        '\u{b7}' | '\u{2022}' | '\u{2024}' | '\u{ff0e}' => b'.',
        '\u{ff08}' => b'(',
        '\u{ff09}' => b')',
        '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => b' ',
        _ if !c.is_ascii() && c.is_whitespace() => b' ',
        '\u{1d7ce}'..='\u{1d7ff}' => b'0' + u8::try_from((c as u32 - 0x1d7ce) % 10).unwrap_or(0),
        _ => u8::try_from(c)
            .ok()
            .filter(u8::is_ascii)
            .or_else(|| decimal(c))
            .unwrap_or(OTHER),
    }
}

fn decimal(c: char) -> Option<u8> {
    let zero = ZEROS.iter().rev().find(|zero| **zero <= c)?;
    let value = u32::from(c) - u32::from(*zero);
    u8::try_from(value)
        .ok()
        .filter(|value| *value < 10)
        .map(|value| b'0' + value)
}
