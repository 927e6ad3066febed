//! What the names of fields say: which digits are a telephone number, or an app id, wherever else they stand. Pure.

use std::collections::{BTreeSet, HashSet};

use super::masks::NUMBER;
use super::scan::{LONGEST_KNOWN, LONGEST_NUMBER, SHORTEST_ALONE, Text, Unit, is_time};

/// The shortest number that is known by the name of its field.
const SHORTEST_KNOWN: usize = 5;

/// What is known of a text's numbers by the names of its fields.
#[derive(Debug, Default)]
pub struct Known {
    numbers: HashSet<String>,
    /// The ends of these numbers, which are what they are at home.
    ends: HashSet<String>,
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
        self.numbers.is_empty()
    }

    /// Whether this is a number that was named.
    #[must_use]
    pub fn is_number(&self, digits: &str) -> bool {
        self.numbers.contains(digits)
    }

    /// Whether this is such a number, or the end of one.
    #[must_use]
    pub fn is_like_a_number(&self, digits: &str) -> bool {
        self.is_number(digits) || self.ends.contains(digits)
    }

    /// Whether there is such a number within these digits.
    #[must_use]
    pub fn is_within(&self, digits: &str) -> bool {
        let ends = |start: usize| (start + SHORTEST_ALONE)..=digits.len().min(start + LONGEST_NUMBER);
        (0..digits.len()).any(|start| ends(start).any(|end| self.numbers.contains(&digits[start..end])))
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
                if NUMBER.count(&run.digits).is_some() {
                    self.masks.push(run.digits);
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
        let runs = text.sequence(at);
        let mut digits = runs[0].digits.clone();
        if digits.len() < SHORTEST_ALONE {
            digits = runs.iter().map(|run| run.digits.as_str()).collect();
            // The range of a report, from one day to another.
            if runs.len() > 1 && runs[0].digits.len() == 4 && is_time(&digits) {
                return;
            }
        }
        if !(SHORTEST_KNOWN..=LONGEST_KNOWN).contains(&digits.len()) || NUMBER.count(&digits).is_some() {
            return;
        }
        let ends = (1..(digits.len() + 1).saturating_sub(SHORTEST_ALONE).min(LONGEST_NUMBER))
            .map(|start| digits[start..].to_owned());
        self.ends.extend(ends);
        self.numbers.insert(digits);
    }

    fn app(&mut self, text: Text<'_>, at: usize) {
        let digits = value(text, at).map(|at| text.run(at).digits);
        self.apps.extend(digits.filter(|digits| digits.len() >= SHORTEST_KNOWN));
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
                    if run.digits.len() >= SHORTEST_KNOWN {
                        self.apps.insert(run.digits);
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
