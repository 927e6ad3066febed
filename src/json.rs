//! JSON text as it came: tokens over the raw bytes, nothing rounded, reordered or dropped.
//!
//! `serde_json` reads values; this module reads *text*. The judge needs repeated keys and the digits of numbers as they
//! were written, the printer needs every token in its place, and both must agree on what is JSON at all. So there is
//! one strict scanner of RFC 8259: conforming text is always accepted, other text never, and [`DEEPEST`] levels of
//! nesting are the limit. It keeps its own stack, so hostile nesting costs memory in proportion and nothing else.

mod outline;
mod string;

use std::fmt;
use std::ops::Range;

pub use outline::{Document, Member, document, members};
use string::unescaped;
pub use string::unquoted;

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
    /// Whether it is a name or a string with escapes in it.
    pub is_escaped: bool,
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
        write!(
            f,
            "{} at line {} column {}",
            self.what, self.line, self.column
        )
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many levels are open.
    depth: usize,
    /// A bit for each of them, the innermost lowest: whether it is an object.
    objects: u128,
}

// A bit for each.
const _: () = assert!(DEEPEST <= u128::BITS as usize);

/// Bytes as text, or why they are none.
pub fn text(bytes: &[u8]) -> Result<&str, Fault> {
    let not_text =
        |error: std::str::Utf8Error| fault(bytes, error.valid_up_to(), "the text is not UTF-8");
    std::str::from_utf8(bytes).map_err(not_text)
}

/// Reads a whole text into tokens, or says why it is not JSON.
pub fn tokens(bytes: &[u8]) -> Result<Vec<Token>, Fault> {
    let text = text(bytes)?;
    // What is written by programs has a token in eight bytes or so.
    let mut tokens = Vec::with_capacity(bytes.len() / 8 + 2);
    scan(text, |token| tokens.push(token))?;
    Ok(tokens)
}

/// Tells every token of a text as it is read, or says why it is not JSON.
pub fn scan(text: &str, tell: impl FnMut(Token)) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    let mut scanner = Scanner {
        bytes,
        at: 0,
        depth: 0,
        objects: 0,
    };
    scanner
        .run(tell)
        .map_err(|(at, what)| fault(bytes, at, what))
}

fn fault(bytes: &[u8], at: usize, what: &'static str) -> Fault {
    let before = &bytes[..at.min(bytes.len())];
    let line_start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |i| i + 1);
    Fault {
        line: before.iter().filter(|b| **b == b'\n').count() + 1,
        column: String::from_utf8_lossy(&before[line_start..])
            .chars()
            .count()
            + 1,
        what,
    }
}

type Trouble = (usize, &'static str);

impl Scanner<'_> {
    fn run(&mut self, mut tell: impl FnMut(Token)) -> Result<(), Trouble> {
        if self.bytes.starts_with("\u{feff}".as_bytes()) {
            return Err((
                0,
                "the text starts with a byte order mark, which JSON forbids",
            ));
        }
        self.skip_space();
        if self.at == self.bytes.len() {
            return Err((self.at, "there is no text"));
        }
        let mut tell = |kind, start, end, is_escaped| {
            tell(Token {
                kind,
                place: start..end,
                is_escaped,
            });
        };
        loop {
            // A value begins here.
            let byte = self.next()?;
            let start = self.at;
            let (kind, is_escaped) = self.value(byte)?;
            tell(kind, start, self.at, is_escaped);
            if kind == Kind::Open {
                match (byte, self.next()?) {
                    (b'{', b'}') | (b'[', b']') => {}
                    (b'{', first) => {
                        self.name(first, &mut tell)?;
                        continue;
                    }
                    _ => continue,
                }
            }
            // It ends here, and with it perhaps what it stands in.
            if self.go_on(&mut tell)? {
                return Ok(());
            }
        }
    }

    /// Goes on behind a value to where the next one begins; true if there is none.
    #[inline]
    fn go_on(&mut self, tell: &mut impl FnMut(Kind, usize, usize, bool)) -> Result<bool, Trouble> {
        while self.depth > 0 {
            let close = self.close();
            let byte = self.next()?;
            let start = self.at;
            if byte == b',' {
                self.at += 1;
                tell(Kind::Comma, start, self.at, false);
                if close == b'}' {
                    let byte = self.next()?;
                    self.name(byte, tell)?;
                }
                return Ok(false);
            }
            if byte != close {
                return Err((start, "expected a comma or the closing bracket"));
            }
            self.at += 1;
            self.depth -= 1;
            self.objects >>= 1;
            tell(Kind::Close, start, self.at, false);
        }
        self.skip_space();
        if self.at < self.bytes.len() {
            return Err((self.at, "more text after the end of the value"));
        }
        Ok(true)
    }

    /// The bracket that the innermost open level waits for.
    fn close(&self) -> u8 {
        if self.objects & 1 == 1 { b'}' } else { b']' }
    }

    #[inline]
    fn skip_space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The byte that the next token begins with.
    #[inline]
    fn next(&mut self) -> Result<u8, Trouble> {
        self.skip_space();
        self.bytes
            .get(self.at)
            .copied()
            .ok_or((self.at, "the text ends in the middle of a value"))
    }

    /// Reads a member's name, which begins with this byte, and its colon.
    #[inline]
    fn name(
        &mut self,
        byte: u8,
        tell: &mut impl FnMut(Kind, usize, usize, bool),
    ) -> Result<(), Trouble> {
        let start = self.at;
        match byte {
            b'"' => {}
            // An empty object has been closed already.
            b'}' => return Err((start, "a comma before the closing brace")),
            b'\'' => return Err((start, "a name in single quotes")),
            _ => return Err((start, "expected a name in double quotes")),
        }
        let is_escaped = self.string()?;
        tell(Kind::Key, start, self.at, is_escaped);
        if self.next()? != b':' {
            return Err((self.at, "expected a colon after the name"));
        }
        self.at += 1;
        tell(Kind::Colon, self.at - 1, self.at, false);
        Ok(())
    }

    /// Reads a value that begins with this byte, or the bracket that opens it; says whether it is a string with escapes.
    #[inline]
    fn value(&mut self, byte: u8) -> Result<(Kind, bool), Trouble> {
        let kind = match byte {
            b'"' => return Ok((Kind::String, self.string()?)),
            b'-' | b'0'..=b'9' => self.number().map(|()| Kind::Number),
            b'{' | b'[' => self.open(byte),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            b'\'' => Err((self.at, "a string in single quotes")),
            b']' if self.depth > 0 && self.close() == byte => {
                Err((self.at, "a comma before the closing bracket"))
            }
            _ => Err((self.at, "expected a value")),
        }?;
        Ok((kind, false))
    }

    fn open(&mut self, bracket: u8) -> Result<Kind, Trouble> {
        if self.depth == DEEPEST {
            return Err((self.at, "nested deeper than 127 levels"));
        }
        self.at += 1;
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(bracket == b'{');
        Ok(Kind::Open)
    }

    fn word(&mut self, word: &'static [u8]) -> Result<Kind, Trouble> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(Kind::Word)
        } else {
            Err((self.at, "expected true, false or null"))
        }
    }

    /// Reads a string; says whether there are escapes in it.
    #[inline]
    fn string(&mut self) -> Result<bool, Trouble> {
        let (bytes, start) = (self.bytes, self.at);
        let mut is_escaped = false;
        let mut at = start + 1;
        loop {
            at += unescaped(&bytes[at..]);
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    is_escaped = true;
                    at = escape(bytes, at)?;
                }
                None => return Err((start, "a string without its closing quote")),
                Some(b'\n' | b'\r') => return Err((at, "a line break inside a string")),
                Some(_) => return Err((at, "a control character inside a string")),
            }
        }
        self.at = at + 1;
        Ok(is_escaped)
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

/// The end of the escape that begins there.
fn escape(bytes: &[u8], at: usize) -> Result<usize, Trouble> {
    let digits = bytes.get(at + 2..at + 6);
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') if digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) => {
            Ok(at + 6)
        }
        _ => Err((at, "an escape that JSON does not have")),
    }
}

/// Whether a text is JSON.
#[must_use]
pub fn is_json(text: &str) -> bool {
    scan(text, |_| {}).is_ok()
}

#[cfg(test)]
mod tests;
