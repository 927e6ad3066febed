//! Telephone numbers and app ids of one exchange that are known by the names of their fields.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use regex_lite::Regex;

use super::decode::Decoded;
use super::pseudonyms::NUMBER;
use super::{LONGEST_NUMBER, LONGEST_REMEMBERED, SHORTEST_ALONE, is_time, pattern, pieces};

/// Lower number of digits in a number that is known by the name of its field.
pub(super) const SHORTEST_KNOWN: usize = 5;

/// Names of fields whose value is a telephone number, in lower case.
const NUMBER_NAMES: &str = "ani|called|callee|caller|cid|cli|contact|destination|did|dnis|from|source|tel|to|whatsapp\
    |whatsapp_no|[a-z0-9_-]*(?:caller[_-]?id|mobile|msisdn|number|phone|telephone|phone_?no|mobile_?no|contact_?no|_to|_from)";

static NAME: LazyLock<Regex> = LazyLock::new(|| pattern("[A-Za-z0-9_-]+"));
static NUMBER_NAME: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!("^(?i)(?:{NUMBER_NAMES})$")));
static APP_NAME: LazyLock<Regex> = LazyLock::new(|| pattern("^(?i)app[_-]?id$"));
/// `user` is `<extension>_<appid>`, and the `filename` of a recording has the same ending.
static USER_NAME: LazyLock<Regex> = LazyLock::new(|| pattern("^(?i)(?:user|filename)$"));
/// The text between a name and the digits of the value: `":"`, `=`, `%22%3A%22`, `>`, `: +(`.
static BEFORE_VALUE: LazyLock<Regex> =
    LazyLock::new(|| pattern("^[^A-Za-z0-9]{0,15}[:=>\n][^A-Za-z0-9]{0,15}"));
static USER: LazyLock<Regex> = LazyLock::new(|| pattern("^[^:=>,&;}\n]*[:=>][^,&;}\n]*"));
static APP_OF_USER: LazyLock<Regex> = LazyLock::new(|| pattern("_([0-9]+)"));

#[derive(Debug, Default)]
pub(super) struct Known {
    numbers: HashSet<String>,
    /// The lengths of `numbers`.
    lengths: BTreeSet<usize>,
    /// The numbers and their last eight or more digits: a number is written without its country code too.
    ends: HashSet<String>,
    pub(super) apps: BTreeSet<String>,
    /// App ids that are pseudonyms already.
    pub(super) app_pseudonyms: BTreeSet<String>,
    /// Digits that may be pseudonyms of numbers.
    pub(super) number_pseudonyms: Vec<String>,
}

impl Known {
    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    pub(super) fn is_number(&self, digits: &str) -> bool {
        self.numbers.contains(digits)
    }

    pub(super) fn is_number_or_its_end(&self, digits: &str) -> bool {
        self.ends.contains(digits)
    }

    /// Whether a known number of eight or more digits stands within these digits.
    pub(super) fn is_within(&self, digits: &str) -> bool {
        self.lengths
            .range(SHORTEST_ALONE..=LONGEST_NUMBER)
            .any(|length| {
                (0..(digits.len() + 1).saturating_sub(*length))
                    .any(|start| self.numbers.contains(&digits[start..start + length]))
            })
    }

    /// Adds the values of fields with the names above, and the pseudonyms in the text.
    pub(super) fn learn(&mut self, decoded: &Decoded<'_>) {
        for name in NAME.find_iter(&decoded.text) {
            self.learn_pseudonyms(name.as_str());
            let after = name.end();
            if NUMBER_NAME.is_match(name.as_str()) {
                self.learn_number(decoded, after);
            } else if APP_NAME.is_match(name.as_str()) {
                self.learn_app(decoded, after);
            } else if USER_NAME.is_match(name.as_str()) {
                self.learn_user(decoded, after);
            }
        }
    }

    fn learn_pseudonyms(&mut self, word: &str) {
        let digits = word.split(|c: char| !c.is_ascii_digit());
        let pseudonyms = digits.filter(|digits| NUMBER.count(digits).is_some());
        self.number_pseudonyms.extend(pseudonyms.map(str::to_owned));
    }

    fn learn_number(&mut self, decoded: &Decoded<'_>, after: usize) {
        let Some(at) = value(decoded, after) else {
            return;
        };
        let first = decoded.digits_end(at) - at;
        let mut digits = decoded.text[at..at + first].to_owned();
        if first < SHORTEST_ALONE
            && let Some((joined, _)) = pieces(decoded, at).last()
        {
            // `2026-11-22` in a field `from` is a date.
            if joined.len() > first && first == 4 && is_time(&joined) {
                return;
            }
            digits = joined;
        }
        if !(SHORTEST_KNOWN..=LONGEST_REMEMBERED).contains(&digits.len())
            || NUMBER.count(&digits).is_some()
        {
            return;
        }
        let window = &digits[digits.len().saturating_sub(LONGEST_NUMBER)..];
        let ends = (SHORTEST_ALONE..=window.len()).map(|length| &window[window.len() - length..]);
        self.ends.extend(ends.map(str::to_owned));
        if digits.len() <= LONGEST_NUMBER {
            self.ends.insert(digits.clone());
        }
        self.lengths.insert(digits.len());
        self.numbers.insert(digits);
    }

    fn learn_app(&mut self, decoded: &Decoded<'_>, after: usize) {
        if let Some(at) = value(decoded, after) {
            self.add_app(decoded, at);
        }
    }

    fn add_app(&mut self, decoded: &Decoded<'_>, at: usize) {
        let digits = &decoded.text[at..decoded.digits_end(at)];
        if digits.len() >= SHORTEST_KNOWN {
            self.apps.insert(digits.to_owned());
        }
    }

    fn learn_user(&mut self, decoded: &Decoded<'_>, after: usize) {
        /// Characters from the name to the end of the value.
        const LONGEST: usize = 80;
        let end = decoded.text.len().min(after + LONGEST);
        if let Some(value) = USER.find(&decoded.text[after..end]) {
            let separator = value.as_str().find([':', '=', '>']).unwrap_or(0);
            for found in APP_OF_USER.captures_iter(&value.as_str()[separator..]) {
                // The digits may go on behind the limit.
                let start = after + separator + found.get(1).map_or(0, |digits| digits.start());
                self.add_app(decoded, start);
            }
        }
    }
}

/// The place of the first digit of a field's value, at most 16 characters after its name.
fn value(decoded: &Decoded<'_>, after: usize) -> Option<usize> {
    let end = decoded.text.len().min(after + 16);
    let at = after + BEFORE_VALUE.find(&decoded.text[after..end])?.end();
    decoded.byte(at)?.is_ascii_digit().then_some(at)
}
