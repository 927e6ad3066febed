//! Digits in text of any kind: what is a telephone number, what is an identifier or a time, and where a word ends. Pure.
//!
//! JSON, JavaScript, query strings, forms and their mixtures are all read the same way, unit by unit, where an escape of
//! whatever nesting is one unit. So `%22919…`, `\n919…` and `\\u0039` mislead nobody.

use std::collections::VecDeque;
use std::ops::Range;

use super::digits::Digits;
use super::masks::NUMBER;

/// What a percent sign is in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The beginning of an escape; a plus sign is a space.
    Url,
    /// Perhaps the beginning of an escape, in an address that is quoted.
    Text,
}

/// One character, or the escape that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A digit, however it is written.
    Digit(u8),
    /// A letter as itself.
    Letter(u8),
    /// Anything else; an escaped letter too, since an escape ends a word.
    Other(u8),
}

/// A piece of text under the scanner.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// The bytes, UTF-8 or not.
    pub bytes: &'a [u8],
    /// What a percent sign is in them.
    pub form: Form,
    /// Whether the text was cut off, so that digits at its end may be the beginning of a number.
    pub is_cut: bool,
}

/// Digits that stand together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The digits.
    pub digits: Digits,
    /// Where they stand.
    pub place: Range<usize>,
}

/// The shortest number that is recognised as such by itself.
pub const SHORTEST_ALONE: usize = 8;

/// The longest digits that are remembered. Longer ones are no number, but are masked all the same.
pub const LONGEST_KNOWN: usize = 32;

impl<'a> Text<'a> {
    /// A whole text.
    #[must_use]
    pub fn new(bytes: &'a [u8], form: Form) -> Self {
        Self {
            bytes,
            form,
            is_cut: false,
        }
    }

    /// The unit that begins here, and its length in bytes; nothing at the end.
    #[must_use]
    pub fn unit(&self, at: usize) -> Option<(Unit, usize)> {
        let (byte, length, is_escaped) = self.unescaped(at)?;
        if byte == b'\\' {
            return Some(self.backslash(at, length));
        }
        let unit = match byte {
            b'0'..=b'9' => Unit::Digit(byte),
            _ if byte.is_ascii_alphabetic() && !is_escaped => Unit::Letter(byte),
            _ => Unit::Other(byte),
        };
        Some((unit, length))
    }

    /// A byte or what a percent escape stands for, escaped again and again as it may be.
    fn unescaped(&self, at: usize) -> Option<(u8, usize, bool)> {
        let mut byte = *self.bytes.get(at)?;
        let mut length = 1;
        if byte == b'%' && self.form == Form::Text && self.is_rather_a_number(at) {
            return Some((byte, length, false));
        }
        while byte == b'%'
            && let Some(inner) = self.hexadecimal(at + length, 2)
        {
            byte = inner.try_into().unwrap_or(b'?');
            length += 2;
        }
        Some((byte, length, length > 1))
    }

    /// Whether the two digits after a percent sign are needed to make a number of what follows.
    fn is_rather_a_number(&self, at: usize) -> bool {
        let after = &self.bytes[at + 1..];
        let digits = after
            .iter()
            .take(SHORTEST_ALONE + 2)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        (SHORTEST_ALONE..SHORTEST_ALONE + 2).contains(&digits)
    }

    /// Backslashes, as many as there are, and what they escape.
    fn backslash(&self, at: usize, first: usize) -> (Unit, usize) {
        let mut length = first;
        while let Some((b'\\', more, _)) = self.unescaped(at + length) {
            length += more;
        }
        match self.unescaped(at + length) {
            Some((b'u', 1, _)) => match self.hexadecimal(at + length + 1, 4) {
                Some(code @ 0x30..=0x39) => {
                    (Unit::Digit(code.try_into().unwrap_or(b'0')), length + 5)
                }
                Some(code) => (Unit::Other(code.try_into().unwrap_or(b'?')), length + 5),
                None => (Unit::Other(b'\\'), length),
            },
            Some((b'n' | b'r', 1, _)) => (Unit::Other(b'\n'), length + 1),
            Some((b'b' | b'f' | b't', 1, _)) => (Unit::Other(b'\t'), length + 1),
            _ => (Unit::Other(b'\\'), length),
        }
    }

    /// The code that an escape ends in, unless that is the beginning of a mask.
    fn hexadecimal(&self, at: usize, digits: usize) -> Option<u32> {
        if (at..at + digits).any(|at| {
            self.bytes
                .get(at..)
                .is_some_and(|rest| rest.starts_with(NUMBER.prefix.as_bytes()))
        }) {
            return None;
        }
        let digits = self
            .bytes
            .get(at..at + digits)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }

    /// The digits that stand together from here on.
    #[must_use]
    pub fn run(&self, at: usize) -> Run {
        let mut run = Run {
            digits: Digits::default(),
            place: at..at,
        };
        while let Some((Unit::Digit(digit), length)) = self.unit(run.place.end) {
            run.digits.push(digit);
            run.place.end += length;
        }
        run
    }

    /// The digits in a place, whatever stands between them.
    #[must_use]
    pub fn digits(&self, place: Range<usize>) -> String {
        let mut digits = String::new();
        let mut at = place.start;
        while let Some((unit, length)) = self.unit(at).filter(|_| at < place.end) {
            if let Unit::Digit(digit) = unit {
                digits.push(char::from(digit));
            }
            at += length;
        }
        digits
    }

    /// Whether a run is a number's mask.
    #[must_use]
    pub fn is_mask(&self, run: &Run) -> bool {
        NUMBER.is_as_long(run.digits.length)
            && NUMBER.count(&self.digits(run.place.clone())).is_some()
    }

    /// The run after this one, if what is between is what people write within a number: spaces, dashes, dots, brackets.
    fn next_piece(&self, run: &Run) -> Option<Run> {
        /// `) ` or ` (` is as far as the next digits are.
        const WIDEST: usize = 3;
        let mut next = run.place.end;
        for _ in 0..WIDEST {
            match self.unit(next) {
                Some((Unit::Other(b' ' | b'-' | b'.' | b'(' | b')' | b'/'), length)) => {
                    next += length;
                }
                Some((Unit::Other(b'+'), length)) if self.form == Form::Url => next += length,
                _ => break,
            }
        }
        Some(self.run(next)).filter(|run| run.digits.length > 0)
    }

    /// Whether what ends here was cut off by whoever quoted it.
    #[must_use]
    pub fn is_cut_at(&self, at: usize) -> bool {
        (self.is_cut && at == self.bytes.len()) || self.bytes[at..].starts_with("…".as_bytes())
    }

    /// The end of the identifier that begins here, if one does: a UUID of whatever version.
    #[must_use]
    pub fn uuid(&self, at: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..at + 36)?;
        let is_one = bytes.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
        let ends = self
            .bytes
            .get(at + 36)
            .is_none_or(|byte| !byte.is_ascii_alphanumeric());
        (is_one && ends).then_some(at + 36)
    }

    /// The end of the word of letters and digits that begins here, if it is as long as a `request_id`.
    #[must_use]
    pub fn request_id(&self, at: usize) -> Option<usize> {
        let word = self.bytes[at..]
            .iter()
            .take(44)
            .take_while(|byte| byte.is_ascii_alphanumeric())
            .count();
        (word == 43).then_some(at + word)
    }
}

/// The pieces of a number as people write it. Wherever one may begin, each is read once.
#[derive(Debug, Default)]
pub struct Pieces {
    runs: VecDeque<Run>,
    is_whole: bool,
}

impl Pieces {
    /// The pieces of what may be one number, from its first digit on, and what they are together.
    pub fn from(&mut self, text: Text<'_>, at: usize) -> impl Iterator<Item = (Digits, usize)> {
        /// `+33 1 99 00 00 00` has six.
        const MOST: usize = 7;
        while self.runs.front().is_some_and(|run| run.place.start < at) {
            self.runs.pop_front();
        }
        if self.runs.front().is_none_or(|run| run.place.start != at) {
            *self = Self {
                runs: VecDeque::from([text.run(at)]),
                is_whole: false,
            };
        }
        let mut joined = Some(Digits::default());
        (0..MOST).map_while(move |piece| {
            if piece >= self.runs.len() && !self.is_whole {
                let next = self.runs.back().and_then(|last| text.next_piece(last));
                self.is_whole = next.is_none();
                self.runs.extend(next);
            }
            let run = self.runs.get(piece)?;
            joined = if piece == 0 {
                Some(run.digits)
            } else {
                joined?.and(run.digits).filter(|_| !text.is_mask(run))
            };
            Some((joined?, run.place.end))
        })
    }
}

/// Whether digits are a time rather than a number: milliseconds or seconds since 1970, a date, a date with its time.
#[must_use]
pub fn is_time(digits: &str) -> bool {
    match digits.len() {
        13 | 10 => digits.starts_with('1'),
        8 => is_date(digits),
        14 => {
            is_date(&digits[..8])
                && &digits[8..10] < "24"
                && &digits[10..12] < "60"
                && &digits[12..] < "60"
        }
        _ => false,
    }
}

fn is_date(digits: &str) -> bool {
    let (month, day) = (&digits[4..6], &digits[6..]);
    matches!(&digits[..2], "19" | "20")
        && ("01"..="12").contains(&month)
        && ("01"..="31").contains(&day)
}
