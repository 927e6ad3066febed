//! What the names of fields say: which digits are a telephone number, or an app id, wherever else they stand. Pure.

use std::collections::{BTreeSet, HashSet};

use super::digits::{Digits, LONGEST_NUMBER, Set};
use super::masks::NUMBER;
use super::scan::{LONGEST_KNOWN, Pieces, Run, SHORTEST_ALONE, Text, Unit, is_time};

/// The shortest number that is known by the name of its field.
pub const SHORTEST_KNOWN: usize = 5;

/// What is known of a text's numbers by the names of its fields.
#[derive(Debug, Default)]
pub struct Known {
    numbers: Set,
    /// Those with more digits than a number has.
    longer: HashSet<String>,
    /// The numbers and their ends, which are what they are at home.
    ends: Set,
    /// App ids.
    pub apps: BTreeSet<String>,
    /// App ids that stand for others.
    pub stand_ins: BTreeSet<String>,
    /// What may be the masks of numbers.
    pub masks: Vec<String>,
}

/// What the name of a field says of its value.
enum Role {
    Number,
    App,
    /// `<extension>_<appid>`, or a recording's name that ends so.
    User,
}

impl Known {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.numbers.is_empty() && self.longer.is_empty()
    }

    /// Whether a run is a number that was named.
    #[must_use]
    pub fn is_number(&self, text: Text<'_>, run: &Run) -> bool {
        if (..=LONGEST_NUMBER).contains(&run.digits.length) {
            return self.numbers.contains(run.digits);
        }
        !self.longer.is_empty()
            && run.digits.length <= LONGEST_KNOWN
            && self.longer.contains(&text.digits(run.place.clone()))
    }

    /// Whether this is such a number, or the end of one.
    #[must_use]
    pub fn is_like_a_number(&self, digits: Digits) -> bool {
        self.ends.contains(digits)
    }

    /// Whether there is such a number within these digits.
    #[must_use]
    pub fn is_within(&self, digits: &str) -> bool {
        let lengths: Vec<_> = (SHORTEST_ALONE..=LONGEST_NUMBER)
            .filter(|length| self.numbers.has_length(*length))
            .collect();
        let mut window = Digits::default();
        !lengths.is_empty()
            && digits.bytes().any(|digit| {
                window = window.end(window.length.min(LONGEST_NUMBER - 1));
                window.push(digit);
                let mut lengths = lengths
                    .iter()
                    .take_while(|length| **length <= window.length);
                lengths.any(|length| self.numbers.contains(window.end(*length)))
            })
    }

    /// Learns what the names in a text say.
    pub fn learn(&mut self, text: Text<'_>) {
        /// No name that we know is longer.
        const LONGEST_NAME: usize = 40;
        let mut at = 0;
        let mut name = String::new();
        let mut is_within_digits = false;
        while let Some((unit, length)) = text.unit(at) {
            if unit == Unit::Digit(b'9') && !is_within_digits {
                let run = text.run(at);
                if text.is_mask(&run) {
                    self.masks.push(text.digits(run.place));
                }
            }
            is_within_digits = matches!(unit, Unit::Digit(_));
            match unit {
                Unit::Letter(byte) | Unit::Digit(byte) | Unit::Other(byte)
                    if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') =>
                {
                    if name.len() <= LONGEST_NAME {
                        name.push(char::from(byte.to_ascii_lowercase()));
                    }
                }
                _ if name.is_empty() => {}
                _ => {
                    match role(&name) {
                        Some(Role::Number) => self.number(text, at),
                        Some(Role::App) => self.app(text, at),
                        Some(Role::User) => self.user(text, at),
                        None => {}
                    }
                    name.clear();
                }
            }
            at += length;
        }
    }

    fn number(&mut self, text: Text<'_>, at: usize) {
        let Some(at) = value(text, at) else { return };
        let first = text.run(at);
        let mut place = first.place.clone();
        if first.digits.length < SHORTEST_ALONE {
            place.end = Pieces::default()
                .from(text, at)
                .last()
                .map_or(place.end, |(_, end)| end);
        }
        let all = text.digits(place.clone());
        // The range of a report, from one day to another.
        let is_range = place != first.place && first.digits.length == 4 && is_time(&all);
        if is_range
            || !(SHORTEST_KNOWN..=LONGEST_KNOWN).contains(&all.len())
            || NUMBER.count(&all).is_some()
        {
            return;
        }
        let window = Digits::from(&all.as_bytes()[all.len().saturating_sub(LONGEST_NUMBER)..]);
        for length in SHORTEST_ALONE..window.length {
            self.ends.insert(window.end(length));
        }
        if all.len() <= LONGEST_NUMBER {
            self.ends.insert(window);
            self.numbers.insert(window);
        } else {
            self.longer.insert(all);
        }
    }

    fn app(&mut self, text: Text<'_>, at: usize) {
        let digits = value(text, at).map(|at| text.digits(text.run(at).place));
        self.apps
            .extend(digits.filter(|digits| digits.len() >= SHORTEST_KNOWN));
    }

    fn user(&mut self, text: Text<'_>, mut at: usize) {
        /// As far as a user or a recording's name goes.
        const LONGEST: usize = 80;
        let (mut is_value, mut after_underscore) = (false, false);
        for _ in 0..LONGEST {
            match text.unit(at) {
                None | Some((Unit::Other(b',' | b'&' | b';' | b'}' | b'\n'), _)) => return,
                Some((Unit::Digit(_), _)) if is_value && after_underscore => {
                    let run = text.run(at);
                    at = run.place.end;
                    after_underscore = false;
                    if run.digits.length >= SHORTEST_KNOWN {
                        self.apps.insert(text.digits(run.place));
                    }
                }
                Some((unit, length)) => {
                    is_value |= matches!(unit, Unit::Other(b':' | b'=' | b'>'));
                    after_underscore = unit == Unit::Other(b'_');
                    at += length;
                }
            }
        }
    }
}

/// Where the digits of a field's value begin, a little after its name: `":"`, `=`, `%22%3A%22`, `>`, `: +(`.
fn value(text: Text<'_>, mut at: usize) -> Option<usize> {
    const WIDEST: usize = 16;
    let mut is_value = false;
    for _ in 0..WIDEST {
        match text.unit(at)? {
            (Unit::Digit(_), _) => return is_value.then_some(at),
            (Unit::Letter(_), _) => return None,
            (Unit::Other(byte), length) => {
                is_value |= matches!(byte, b':' | b'=' | b'>' | b'\n');
                at += length;
            }
        }
    }
    None
}

/// What a name in lower case says.
fn role(name: &str) -> Option<Role> {
    const NUMBERS: &[&str] = &[
        "ani",
        "called",
        "callee",
        "caller",
        "cid",
        "cli",
        "contact",
        "destination",
        "did",
        "dnis",
        "from",
        "source",
        "tel",
        "to",
        "whatsapp",
    ];
    const ENDINGS: &[&str] = &[
        "callerid",
        "caller_id",
        "caller-id",
        "mobile",
        "msisdn",
        "number",
        "phone",
        "telephone",
        "phone_no",
        "phoneno",
        "_to",
        "_from",
    ];
    match name {
        "appid" | "app_id" | "app-id" => Some(Role::App),
        "user" | "filename" => Some(Role::User),
        _ if NUMBERS.contains(&name) || ENDINGS.iter().any(|ending| name.ends_with(ending)) => {
            Some(Role::Number)
        }
        _ => None,
    }
}
