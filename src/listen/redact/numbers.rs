//! Finds the telephone numbers and app ids of one exchange by the names of their fields, and gives pseudonyms to them.
//!
//! Pseudonyms consist of a fixed prefix and a count. Digits in the input that have the form of a pseudonym are reserved,
//! so that no number gets a pseudonym that the input already holds.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use regex_lite::Regex;

use super::decode::{Decoded, PLUS_OR_SPACE};
use super::{SHORTEST_ALONE, SHORTEST_CUT, TIME, digits};
use crate::net::secret::MASK;
use crate::untrusted::pattern;

/// E.164 allows at most 15 digits in a telephone number.
const LONGEST_NUMBER: usize = 15;
/// The plus sign as HTML and XML write it.
const PLUS_ENTITIES: [&str; 4] = ["&#43;", "&#x2b;", "&#x2B;", "&plus;"];
const SHORTEST_AFTER_PLUS: usize = 7;
const LONGEST_NAME: usize = 100;
/// The head of a part of multipart is searched for its name up to this many characters before its end.
const LONGEST_HEAD: usize = 300;
const SHORTEST_KNOWN: usize = 5;
/// A telephone number with its country code has at least ten digits, but for a few small countries.
const USUAL: usize = 10;

static NUMBER_NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        "(?i)^(?:ani|called|callee|caller|cid|cli|contact|destination|did|dnis|from|source|tel|to|whatsapp|whatsapp_no\
         |.*(?:caller[_-]?id|mobile|msisdn|number|phone|telephone|phone_?no|mobile_?no|contact_?no|_to|_from))$",
    )
});
static APP_NAME: LazyLock<Regex> = LazyLock::new(|| pattern("(?i)^(?:.*[_-])?app[_-]?id$"));
/// The value of `user` is `<extension>_<appid>`; the `filename` of a recording contains `_<appid>` too.
static USER_NAME: LazyLock<Regex> = LazyLock::new(|| pattern("(?i)^(?:user|filename)$"));
static APP_ID: LazyLock<Regex> = LazyLock::new(|| pattern("^[0-9]{5,}"));
static USER: LazyLock<Regex> =
    LazyLock::new(|| pattern("^[^0-9A-Za-z]{0,8}[^,&;=}\"\n]{0,80}[0-9]*"));
static APP_OF_USER: LazyLock<Regex> = LazyLock::new(|| pattern("_([0-9]{5,})"));

/// Matches a separator and a further group of digits of a telephone number; `\x03` is [`PLUS_OR_SPACE`]. The first group
/// is an unusual separator: an HTML entity or tag, a line break, other punctuation.
static PIECE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        "^(?:[ \\t().:/_~|*'\\\\\x03-]{1,3}|,|((?:&#?[0-9A-Za-z]{1,8};|</?[A-Za-z]{1,6} ?/?>|[^0-9A-Za-z+\"]){1,4}?))([0-9]{1,16})",
    )
});
#[derive(Debug, Default)]
pub(super) struct Known {
    /// `numbers` includes the last eight or more digits of each number, since senders may omit the country code.
    pub(super) numbers: HashSet<String>,
    pub(super) apps: BTreeSet<String>,
}

impl Known {
    pub(super) fn learn(&mut self, decoded: &Decoded<'_>) {
        for (name, at) in fields(decoded) {
            let value = &decoded.text[at..];
            let is_other = |byte: &u8| !byte.is_ascii_alphanumeric();
            let start = at + value.bytes().take(16).take_while(is_other).count();
            let is_masked = decoded.text[at..start].contains(MASK);
            if NUMBER_NAME.is_match(name) && !is_masked {
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
        let mut pieces = pieces(decoded, start);
        let (first, ..) = &pieces[0];
        // A field `from` may hold a date such as `2026-11-22` instead of a telephone number.
        let is_date = |(digits, ..): &Piece| TIME.is_match(digits);
        if NUMBER.count(first).is_some() || (first.len() == 4 && pieces.iter().any(is_date)) {
            return;
        }
        if first.len() >= SHORTEST_ALONE {
            pieces.truncate(1);
        }
        for (digits, ..) in pieces {
            if digits.len() >= SHORTEST_KNOWN {
                let lengths = SHORTEST_ALONE..=digits.len().min(LONGEST_NUMBER);
                let ends = lengths.map(|length| &digits[digits.len() - length..]);
                self.numbers.extend(ends.map(str::to_owned));
                self.numbers.insert(digits);
            }
        }
    }

    /// Returns the digits and the end of a number with separators at `start`, if the number is known, has a pseudonym or
    /// follows a plus sign. After a plus sign the number ends before an app id.
    pub(super) fn in_pieces(
        &self,
        decoded: &Decoded<'_>,
        start: usize,
        given: &Pseudonyms,
        is_app: impl Fn(&str, usize) -> bool,
    ) -> Option<(String, usize)> {
        let before = decoded.text[..start].trim_end_matches([' ', '(']);
        let has_plus = before.ends_with(['+', char::from(PLUS_OR_SPACE)])
            || PLUS_ENTITIES.iter().any(|plus| before.ends_with(plus));
        let mut pieces = pieces(decoded, start);
        let alone = pieces[0].0.len().max(SHORTEST_ALONE - 1);
        let is_known = |(digits, ..): &Piece| {
            self.numbers.contains(digits) || (digits.len() > alone && given.has(digits))
        };
        if let Some(known) = pieces.iter().rposition(is_known) {
            let (digits, end, _) = pieces.swap_remove(known);
            return (known > 0).then_some((digits, end));
        }
        let is_long = pieces[0].0.len() >= SHORTEST_ALONE;
        let mut length = 0;
        let is_joined = |(digits, end, is_odd): &Piece| {
            let (before, piece) = digits.split_at(length);
            length = digits.len();
            // A country code does not begin with zero, unlike most offsets of a time zone.
            let may_be_odd = before.len() < USUAL && !before.starts_with('0');
            !is_app(piece, *end) && (before.is_empty() || !is_long) && (may_be_odd || !is_odd)
        };
        let joined = pieces.into_iter().take_while(is_joined);
        let (digits, end, _) = joined.last().filter(|_| has_plus)?;
        let is_cut = decoded.is_cut_at(end) && digits.len() >= SHORTEST_CUT;
        (is_cut || digits.len() >= SHORTEST_AFTER_PLUS).then_some((digits, end))
    }

    pub(super) fn is_within(&self, digits: &str) -> bool {
        (SHORTEST_ALONE..=LONGEST_NUMBER).any(|length| {
            let mut starts = 0..(digits.len() + 1).saturating_sub(length);
            starts.any(|start| self.numbers.contains(&digits[start..start + length]))
        })
    }
}

/// Finds the field names in a text such as JSON, a form or multipart. Each index is the end of the separator after the
/// name. Of `name[key]` both names are returned.
pub(super) fn fields<'a>(decoded: &'a Decoded<'_>) -> impl Iterator<Item = (&'a str, usize)> {
    // A mask counts as a name, so that the name before a masked value does not belong to a later separator.
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || "_-*".contains(c);
    let separators = decoded.text.match_indices([':', '=', '>', '\n']);
    separators.flat_map(move |(at, _)| {
        let before = &decoded.letters[at.saturating_sub(LONGEST_NAME)..at];
        let before = part_name(&decoded.letters, at + 1).unwrap_or(before);
        let before = before.trim_end_matches(|c| !is_in_name(c));
        let mut words = before.rsplit(|c| !is_in_name(c) && !"[]".contains(c));
        let names = words.next().unwrap_or_default().split(['[', ']']);
        names.map(move |name| (name.trim_matches('*'), at + 1))
    })
}

/// Returns the name of the part of multipart whose head ends before an empty line at `at`.
pub(super) fn part_name(text: &str, at: usize) -> Option<&str> {
    let (before, after) = text.split_at(at);
    let is_end = before.ends_with('\n') && after.starts_with(['\r', '\n']);
    let head = before[at.saturating_sub(LONGEST_HEAD)..]
        .rsplit("\n--")
        .next()?;
    let (_, name) = head.split_once(" name=").filter(|_| is_end)?;
    name.split([';', '\r', '\n']).next()
}

/// The digits from a number's start to the end of one of its groups, the position of that end in the text, and whether
/// the separator before the group is unusual.
type Piece = (String, usize, bool);

/// Returns a [`Piece`] for each of the groups of a number: `91`, `91 98`, `91 98 76`.
fn pieces(decoded: &Decoded<'_>, start: usize) -> Vec<Piece> {
    let mut digits = digits(&decoded.text[start..]).to_owned();
    let mut end = start + digits.len();
    let mut pieces = vec![(digits.clone(), end, false)];
    while let Some(piece) = PIECE.captures(&decoded.text[end..])
        && digits.len() + piece[2].len() <= LONGEST_NUMBER
        && NUMBER.count(&piece[2]).is_none()
    {
        digits += &piece[2];
        end += piece[0].len();
        pieces.push((digits.clone(), end, piece.get(1).is_some()));
    }
    pieces
}

/// Pseudonyms of telephone numbers begin with the country code 91 and zeros; no subscriber number begins with zeros.
pub(super) const NUMBER: Shape = Shape {
    prefix: "9100000",
    least: 5,
    end: 100_000_000,
};

pub(super) const APP: Shape = Shape {
    prefix: "1000",
    least: 3,
    end: 100_000,
};

/// Most entries of [`Pseudonyms::given`]. A number beyond the limit gets a new pseudonym at each occurrence.
const REMEMBERED: usize = 500_000;

/// Most digits of a key in [`Pseudonyms::given`]; the limit bounds the map's memory.
const LONGEST_REMEMBERED: usize = 32;

#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) prefix: &'static str,
    /// The count of a pseudonym is padded with zeros to `least` digits.
    least: usize,
    end: usize,
}

impl Shape {
    /// Parses the count of a pseudonym; returns `None` if `digits` do not have the form of a pseudonym.
    pub(super) fn count(self, digits: &str) -> Option<usize> {
        let count = digits.strip_prefix(self.prefix)?;
        let is_padded = count.len() > self.least && count.starts_with('0');
        if count.len() < self.least || is_padded {
            return None;
        }
        count.parse().ok().filter(|count| *count < self.end)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Pseudonyms {
    shape: Shape,
    given: HashMap<String, usize>,
    last: usize,
    /// A bit set of the counts that were given or seen in the input, of at most 12.5 MB.
    reserved: Vec<u64>,
}

impl Pseudonyms {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape,
            given: HashMap::new(),
            last: 0,
            reserved: Vec::new(),
        }
    }

    /// Reserves `digits` if they have the form of a pseudonym, and returns whether they have.
    pub(super) fn reserve(&mut self, digits: &str) -> bool {
        let count = self.shape.count(digits);
        if let Some(count) = count {
            self.reserve_count(count);
        }
        count.is_some()
    }

    fn reserve_count(&mut self, count: usize) {
        if count / 64 >= self.reserved.len() {
            self.reserved.resize(count / 64 + 1, 0);
        }
        self.reserved[count / 64] |= 1 << (count % 64);
    }

    fn is_reserved(&self, count: usize) -> bool {
        let bits = self.reserved.get(count / 64);
        bits.is_some_and(|bits| bits & (1 << (count % 64)) != 0)
    }

    pub(super) fn has(&self, digits: &str) -> bool {
        self.given.contains_key(digits)
    }

    /// The number of pseudonyms given so far.
    pub(super) fn given(&self) -> usize {
        self.given.len()
    }

    /// Returns whether `digits` are a given or reserved pseudonym, and not original digits that have a pseudonym.
    pub(super) fn is_pseudonym(&self, digits: &str) -> bool {
        let count = self.shape.count(digits);
        count.is_some_and(|count| self.is_reserved(count)) && !self.has(digits)
    }

    pub(super) fn of(&mut self, digits: &str) -> String {
        let count = match self.given.get(digits) {
            Some(count) => *count,
            None => self.next(digits),
        };
        format!(
            "{}{count:0least$}",
            self.shape.prefix,
            least = self.shape.least
        )
    }

    /// Gives the next free count. If none is free, which takes gigabytes of input, all further digits get the count 0.
    fn next(&mut self, digits: &str) -> usize {
        let mut free = self.last + 1..self.shape.end;
        let Some(count) = free.find(|count| !self.is_reserved(*count)) else {
            self.last = self.shape.end;
            return 0;
        };
        self.give(digits, count);
        count
    }

    fn give(&mut self, digits: &str, count: usize) {
        self.last = count;
        self.reserve_count(count);
        if self.given.len() < REMEMBERED && digits.len() <= LONGEST_REMEMBERED {
            self.given.insert(digits.to_owned(), count);
        }
    }

    /// Gives pseudonyms to app ids. An app id that equals the next pseudonym keeps its digits; other app ids in the
    /// form of a pseudonym are reserved.
    pub(super) fn add_apps(&mut self, apps: &BTreeSet<String>) {
        let is_new = |app: &&String| self.shape.count(app).is_some() && !self.has(app);
        let alike: Vec<_> = apps.iter().filter(is_new).collect();
        for app in &alike {
            self.reserve(app);
        }
        for app in alike {
            if self.shape.count(app) == Some(self.last + 1) {
                self.give(app, self.last + 1);
            }
            self.of(app);
        }
        for app in apps {
            self.of(app);
        }
    }
}

#[cfg(test)]
impl Pseudonyms {
    pub(super) fn skip_to_the_last(&mut self) {
        self.last = self.shape.end - 2;
    }
}
