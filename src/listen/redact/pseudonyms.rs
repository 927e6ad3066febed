//! Pseudonyms of telephone numbers and app ids consist of a fixed prefix and a count.
//!
//! Digits in the input that have the form of a pseudonym are reserved: no number gets them as its pseudonym.

use std::collections::{BTreeSet, HashMap};

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
    pub(super) fn remembered(&self) -> usize {
        self.given.len()
    }

    pub(super) fn skip_to_the_last(&mut self) {
        self.last = self.shape.end - 2;
    }
}
