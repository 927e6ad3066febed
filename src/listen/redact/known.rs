//! Finds the telephone numbers and app ids of one exchange by the names of their fields.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use regex_lite::Regex;

use super::decode::{Decoded, PLUS_OR_SPACE};
use super::pseudonyms::NUMBER;
use super::{SHORTEST_ALONE, SHORTEST_CUT, TIME, digits, pattern};

/// E.164 allows at most 15 digits in a telephone number.
const LONGEST_NUMBER: usize = 15;
const SHORTEST_AFTER_PLUS: usize = 7;
const SHORTEST_KNOWN: usize = 5;
/// Most groups of digits in a telephone number; `+33 1 99 00 00 00` has six.
const MAX_PIECES: usize = 7;

static NUMBER_NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        "(?i)^(?:ani|called|callee|caller|cid|cli|contact|destination|did|dnis|from|source|tel|to|whatsapp|whatsapp_no\
         |.*(?:caller[_-]?id|mobile|msisdn|number|phone|telephone|phone_?no|mobile_?no|contact_?no|_to|_from))$",
    )
});
static APP_NAME: LazyLock<Regex> = LazyLock::new(|| pattern("(?i)^app[_-]?id$"));
/// The value of `user` is `<extension>_<appid>`; the `filename` of a recording contains `_<appid>` too.
static USER_NAME: LazyLock<Regex> = LazyLock::new(|| pattern("(?i)^(?:user|filename)$"));
static APP_ID: LazyLock<Regex> = LazyLock::new(|| pattern("^[0-9]{5,}"));
static USER: LazyLock<Regex> = LazyLock::new(|| pattern("^[^,&;}\n]{0,80}[0-9]*"));
static APP_OF_USER: LazyLock<Regex> = LazyLock::new(|| pattern("_([0-9]{5,})"));

/// Matches a separator and a further group of digits of a telephone number; `\x03` is [`PLUS_OR_SPACE`].
static PIECE: LazyLock<Regex> =
    LazyLock::new(|| pattern("^(?:[ \\t().:/_\x03-]{1,3}|,)([0-9]{1,16})"));

#[derive(Debug, Default)]
pub(super) struct Known {
    /// `numbers` includes the last eight or more digits of each number, since senders may omit the country code.
    pub(super) numbers: HashSet<String>,
    pub(super) apps: BTreeSet<String>,
}

impl Known {
    pub(super) fn learn(&mut self, decoded: &Decoded<'_>) {
        for (name, at) in fields(&decoded.text) {
            let value = &decoded.text[at..];
            let is_other = |byte: &u8| !byte.is_ascii_alphanumeric();
            let start = at + value.bytes().take(16).take_while(is_other).count();
            if NUMBER_NAME.is_match(name) {
                self.learn_number(decoded, start);
            } else if APP_NAME.is_match(name) {
                let app = APP_ID.find(&decoded.text[start..]);
                self.apps.extend(app.map(|app| app.as_str().to_owned()));
            } else if USER_NAME.is_match(name) {
                let user = USER.find(value).map_or("", |user| user.as_str());
                let apps = APP_OF_USER.captures_iter(user);
                self.apps.extend(apps.map(|app| app[1].to_owned()));
            }
        }
    }

    fn learn_number(&mut self, decoded: &Decoded<'_>, start: usize) {
        let mut digits = digits(&decoded.text[start..]).to_owned();
        if digits.len() < SHORTEST_ALONE
            && let Some((joined, _)) = pieces(decoded, start).pop()
        {
            // A field `from` may hold a date such as `2026-11-22` instead of a telephone number.
            if digits.len() == 4 && TIME.is_match(&joined) {
                return;
            }
            digits = joined;
        }
        if digits.len() < SHORTEST_KNOWN || NUMBER.count(&digits).is_some() {
            return;
        }
        let lengths = SHORTEST_ALONE..=digits.len().min(LONGEST_NUMBER);
        let ends = lengths.map(|length| &digits[digits.len() - length..]);
        self.numbers.extend(ends.map(str::to_owned));
        self.numbers.insert(digits);
    }

    /// Returns the digits and the end of a number with separators at `start`, if the number is known or follows a plus
    /// sign.
    pub(super) fn in_pieces(&self, decoded: &Decoded<'_>, start: usize) -> Option<(String, usize)> {
        let has_plus = matches!(decoded.byte_before(start), Some(b'+' | PLUS_OR_SPACE));
        let first = digits(&decoded.text[start..]);
        if self.numbers.contains(first) || (self.numbers.is_empty() && !has_plus) {
            return None;
        }
        let is_long = first.len() >= SHORTEST_ALONE;
        let pieces = pieces(decoded, start);
        let mut further = pieces.iter().skip(1);
        let known = further.find(|(digits, _)| self.numbers.contains(digits));
        let is_long_enough = |(digits, end): &&(String, usize)| {
            let is_cut = decoded.is_cut_at(*end) && digits.len() >= SHORTEST_CUT;
            is_cut || digits.len() >= SHORTEST_AFTER_PLUS
        };
        let after_plus = if is_long {
            pieces.first()
        } else {
            pieces.last()
        };
        let after_plus = after_plus.filter(|_| has_plus).filter(is_long_enough);
        known.or(after_plus).cloned()
    }

    pub(super) fn is_within(&self, digits: &str) -> bool {
        (SHORTEST_ALONE..=LONGEST_NUMBER).any(|length| {
            let mut starts = 0..(digits.len() + 1).saturating_sub(length);
            starts.any(|start| self.numbers.contains(&digits[start..start + length]))
        })
    }
}

/// Finds the field names in a text such as JSON, a form or multipart. Each index is the end of the separator after the
/// name.
fn fields(text: &str) -> impl Iterator<Item = (&str, usize)> {
    const LONGEST: usize = 100;
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let separators = text.match_indices([':', '=', '>', '\n']);
    separators.filter_map(move |(at, _)| {
        let before = &text[at.saturating_sub(LONGEST)..at];
        let before = before.trim_end_matches(|c| !is_in_name(c));
        Some((before.rsplit(|c| !is_in_name(c)).next()?, at + 1))
    })
}

/// Returns the digits at `start` alone, then joined with each further group of the same number; each with its end in
/// the text.
fn pieces(decoded: &Decoded<'_>, start: usize) -> Vec<(String, usize)> {
    let mut digits = digits(&decoded.text[start..]).to_owned();
    let mut end = start + digits.len();
    let mut pieces = vec![(digits.clone(), end)];
    while pieces.len() < MAX_PIECES
        && let Some(piece) = PIECE.captures(&decoded.text[end..])
        && digits.len() + piece[1].len() <= LONGEST_NUMBER
        && NUMBER.count(&piece[1]).is_none()
    {
        digits += &piece[1];
        end += piece[0].len();
        pieces.push((digits.clone(), end));
    }
    pieces
}
