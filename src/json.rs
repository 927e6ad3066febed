//! JSON text as it came: tokens over the raw bytes, nothing rounded, reordered or dropped.
//!
//! `serde_json` reads values; this module reads *text*. The judge needs repeated keys and the digits of numbers as they
//! were written, the printer needs every token in its place, and both must agree on what is JSON at all. So there is
//! one strict scanner of RFC 8259: conforming text is always accepted, other text never, and [`DEEPEST`] levels of
//! nesting are the limit. It keeps its own stack, so hostile nesting costs memory in proportion and nothing else.

mod outline;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

pub use outline::{Document, Member, document};

/// How many levels of arrays and objects are read. The value is serde_json's own limit.
pub const DEEPEST: usize = 127;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{` or `[`.
    Open,
    /// `}` or `]`.
    Close,
    /// `:`.
    Colon,
    /// `,`.
    Comma,
    /// A member's name, with its quotes.
    Key,
    /// A string value, with its quotes.
    String,
    /// A number, as it was written.
    Number,
    /// `true`, `false` or `null`.
    Word,
}

/// One token: what it is, and where it stands in the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its bytes' place.
    pub place: Range<usize>,
}

/// Why a text is not JSON, and where: line and column count from one, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// What was wrong there, in our own words only.
    pub what: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.what, self.line, self.column)
    }
}

/// What the scanner may meet next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    KeyOrEnd,
    Key,
    Colon,
    CommaOrEnd,
    Nothing,
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The closing bracket each open level waits for.
    open: Vec<u8>,
    expect: Expect,
}

/// Reads a whole text into tokens, or says why it is not JSON.
pub fn tokens(bytes: &[u8]) -> Result<Vec<Token>, Fault> {
    // What is written by programs has a token in eight bytes or so.
    let mut tokens = Vec::with_capacity(bytes.len() / 8 + 2);
    scan(bytes, |_, token| tokens.push(token))?;
    Ok(tokens)
}

/// Tells every token of a text, with the text, or says why it is not JSON.
fn scan<'a>(bytes: &'a [u8], tell: impl FnMut(&'a str, Token)) -> Result<(), Fault> {
    let mut scanner = Scanner { bytes, at: 0, open: Vec::new(), expect: Expect::Value };
    scanner.run(tell).map_err(|(at, what)| fault(bytes, at, what))
}

fn fault(bytes: &[u8], at: usize, what: &'static str) -> Fault {
    let before = &bytes[..at.min(bytes.len())];
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    Fault {
        line: before.iter().filter(|b| **b == b'\n').count() + 1,
        column: String::from_utf8_lossy(&before[line_start..]).chars().count() + 1,
        what,
    }
}

type Trouble = (usize, &'static str);

impl<'a> Scanner<'a> {
    fn run(&mut self, mut tell: impl FnMut(&'a str, Token)) -> Result<(), Trouble> {
        let text = match std::str::from_utf8(self.bytes) {
            Ok(text) => text,
            Err(error) => return Err((error.valid_up_to(), "the text is not UTF-8")),
        };
        if self.bytes.starts_with("\u{feff}".as_bytes()) {
            return Err((0, "the text starts with a byte order mark, which JSON forbids"));
        }
        let mut is_empty = true;
        loop {
            self.skip_space();
            let Some(&byte) = self.bytes.get(self.at) else {
                break;
            };
            let start = self.at;
            let kind = self.step(byte)?;
            tell(text, Token { kind, place: start..self.at });
            is_empty = false;
        }
        match self.expect {
            Expect::Nothing => Ok(()),
            _ if is_empty => Err((self.at, "there is no text")),
            _ => Err((self.at, "the text ends in the middle of a value")),
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Reads one token that starts with `byte` and moves on to what may follow it.
    fn step(&mut self, byte: u8) -> Result<Kind, Trouble> {
        use Expect::{Colon, CommaOrEnd, Key, KeyOrEnd, Nothing, Value, ValueOrEnd};
        match (self.expect, byte) {
            (Key | KeyOrEnd, b'"') => {
                self.string()?;
                self.expect = Colon;
                Ok(Kind::Key)
            }
            (Colon, b':') => {
                self.at += 1;
                self.expect = Value;
                Ok(Kind::Colon)
            }
            (CommaOrEnd, b',') => {
                self.at += 1;
                self.expect = if self.open.last() == Some(&b'}') { Key } else { Value };
                Ok(Kind::Comma)
            }
            (CommaOrEnd | KeyOrEnd | ValueOrEnd, b'}' | b']') if self.open.last() == Some(&byte) => {
                self.at += 1;
                self.open.pop();
                self.value_ended();
                Ok(Kind::Close)
            }
            (Value | ValueOrEnd, _) => self.value(byte),
            (Key, b'}') => Err((self.at, "a comma before the closing brace")),
            (Key | KeyOrEnd, b'\'') => Err((self.at, "a name in single quotes")),
            (Key | KeyOrEnd, _) => Err((self.at, "expected a name in double quotes")),
            (Colon, _) => Err((self.at, "expected a colon after the name")),
            (CommaOrEnd, _) => Err((self.at, "expected a comma or the closing bracket")),
            (Nothing, _) => Err((self.at, "more text after the end of the value")),
        }
    }

    fn value(&mut self, byte: u8) -> Result<Kind, Trouble> {
        let kind = match byte {
            b'{' | b'[' => return self.open(byte),
            b'"' => self.string().map(|()| Kind::String),
            b'-' | b'0'..=b'9' => self.number().map(|()| Kind::Number),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            b'\'' => Err((self.at, "a string in single quotes")),
            b']' if self.open.last() == Some(&b']') => Err((self.at, "a comma before the closing bracket")),
            _ => Err((self.at, "expected a value")),
        }?;
        self.value_ended();
        Ok(kind)
    }

    fn open(&mut self, byte: u8) -> Result<Kind, Trouble> {
        if self.open.len() == DEEPEST {
            return Err((self.at, "nested deeper than 127 levels"));
        }
        self.at += 1;
        let (close, expect) =
            if byte == b'{' { (b'}', Expect::KeyOrEnd) } else { (b']', Expect::ValueOrEnd) };
        self.open.push(close);
        self.expect = expect;
        Ok(Kind::Open)
    }

    fn value_ended(&mut self) {
        self.expect = if self.open.is_empty() { Expect::Nothing } else { Expect::CommaOrEnd };
    }

    fn word(&mut self, word: &'static [u8]) -> Result<Kind, Trouble> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(Kind::Word)
        } else {
            Err((self.at, "expected true, false or null"))
        }
    }

    fn string(&mut self) -> Result<(), Trouble> {
        let start = self.at;
        self.at += 1;
        loop {
            self.at += unescaped::<false>(&self.bytes[self.at..]);
            match self.bytes.get(self.at) {
                None => return Err((start, "a string without its closing quote")),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(b'\n' | b'\r') => return Err((self.at, "a line break inside a string")),
                Some(_) => return Err((self.at, "a control character inside a string")),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Trouble> {
        let digits = self.bytes.get(self.at + 2..self.at + 6);
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') if digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) => self.at += 6,
            _ => return Err((self.at, "an escape that JSON does not have")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Trouble> {
        const WRONG: &str = "a number that JSON does not allow";
        let start = self.at;
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        let whole = self.digits();
        if whole == 0 || (whole > 1 && self.bytes[self.at - whole] == b'0') {
            return Err((start, WRONG));
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err((start, WRONG));
            }
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err((start, WRONG));
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at - start
    }
}

/// How many bytes at the beginning stand for themselves in a string: of those that are printable ASCII, or of all.
#[must_use]
pub fn unescaped<const PRINTABLE: bool>(bytes: &[u8]) -> usize {
    /// A byte's lowest bit, in each of eight.
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    /// A byte's highest bit, in each of eight.
    const HIGHS: u64 = ONES << 7;
    // The highest bit of each byte that is nought, and perhaps of some behind the first such byte.
    let noughts = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let of = |byte: u8| ONES * u64::from(byte);
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk() {
        let word = u64::from_le_bytes(*eight);
        let control = word.wrapping_sub(of(b' ')) & !word & HIGHS;
        let mut special = control | noughts(word ^ of(b'"')) | noughts(word ^ of(b'\\'));
        if PRINTABLE {
            special |= noughts(word ^ of(0x7f)) | (word & HIGHS);
        }
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let is_special =
        |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f) || PRINTABLE && matches!(byte, 0x7f..);
    let rest = &bytes[at..];
    at + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// Whether a text is JSON.
#[must_use]
pub fn is_json(text: &str) -> bool {
    scan(text.as_bytes(), |_, _| {}).is_ok()
}

/// A string's text without its quotes and escapes, where it stands if it has none.
fn resolved(raw: &str) -> Cow<'_, str> {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    if is_unescaped(inner) { inner.into() } else { unquoted(raw).into() }
}

/// Whether a string's text holds no escapes.
fn is_unescaped(inner: &str) -> bool {
    unescaped::<false>(inner.as_bytes()) == inner.len()
}

/// A string's text without its quotes and escapes. Lone surrogates, which JSON's grammar allows, become U+FFFD.
#[must_use]
pub fn unquoted(raw: &str) -> String {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    if is_unescaped(inner) {
        return inner.to_owned();
    }
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.bytes().position(|byte| byte == b'\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut after = rest.chars();
        let resolved = match after.next().unwrap_or('\\') {
            'u' => {
                let (unit, behind) = code_unit(after.as_str());
                let low = behind.strip_prefix("\\u").map(code_unit);
                let pair = low.filter(|_| (0xd800..0xdc00).contains(&unit));
                let paired = pair
                    .and_then(|(low, behind)| Some((char::decode_utf16([unit, low]).next()?.ok()?, behind)));
                let (c, behind) = paired.unwrap_or_else(|| {
                    (char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER), behind)
                });
                text.push(c);
                rest = behind;
                continue;
            }
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            same => same,
        };
        text.push(resolved);
        rest = after.as_str();
    }
    text.push_str(rest);
    text
}

/// The number that four hexadecimal digits stand for, and the text behind them.
fn code_unit(text: &str) -> (u16, &str) {
    match text.split_at_checked(4) {
        Some((digits, behind)) => (u16::from_str_radix(digits, 16).unwrap_or(0xfffd), behind),
        None => (0xfffd, ""),
    }
}

#[cfg(test)]
mod tests;
