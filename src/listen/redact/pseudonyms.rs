//! Pseudonyms of telephone numbers and app ids.
//!
//! A pseudonym stands for one number. Digits that look like a pseudonym and were not given by this run are reserved: no
//! number gets them.

use std::collections::{BTreeSet, HashMap};

/// Pseudonyms of numbers: a country code and zeros, which no subscriber has.
pub(super) const NUMBER: Shape = Shape {
    prefix: "9100000",
    least: 5,
    end: 100_000_000,
};

/// Pseudonyms of app ids.
pub(super) const APP: Shape = Shape {
    prefix: "1000",
    least: 3,
    end: 100_000,
};

/// How many numbers are remembered. Any further number gets another pseudonym each time.
const REMEMBERED: usize = 500_000;

/// Upper number of digits whose pseudonym is remembered.
const LONGEST_REMEMBERED: usize = 32;

/// The form of one kind of pseudonyms: a prefix and a count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) prefix: &'static str,
    /// Lower number of digits in the count, padded with zeros.
    least: usize,
    /// One more than the largest count.
    end: usize,
}

impl Shape {
    /// The count in a pseudonym, if the digits are one.
    pub(super) fn count(self, digits: &str) -> Option<usize> {
        let count = digits.strip_prefix(self.prefix)?;
        let is_padded = count.len() > self.least && count.starts_with('0');
        if count.len() < self.least || is_padded {
            return None;
        }
        count.parse().ok().filter(|count| *count < self.end)
    }
}

/// The pseudonyms of one kind.
#[derive(Debug, Clone)]
pub(super) struct Pseudonyms {
    shape: Shape,
    /// Digits and the count in their pseudonym.
    given: HashMap<String, usize>,
    last: usize,
    /// The counts of all pseudonyms that were given or seen, one bit each: at most 12 MB, whatever is received.
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

    /// Reserves digits that have the form of a pseudonym. Whether they have.
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

    /// Whether the digits have a pseudonym.
    pub(super) fn has(&self, digits: &str) -> bool {
        self.given.contains_key(digits)
    }

    /// Whether the digits are a pseudonym, of this run or an earlier one.
    pub(super) fn is_pseudonym(&self, digits: &str) -> bool {
        let count = self.shape.count(digits);
        count.is_some_and(|count| self.is_reserved(count)) && !self.has(digits)
    }

    /// The pseudonym of these digits.
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

    /// When all counts are given, which takes a file of gigabytes, zero is for all further digits.
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

    /// Gives pseudonyms to app ids. One that looks like the next pseudonym keeps its digits; others that look like one
    /// are reserved.
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

    /// Leaves one pseudonym.
    pub(super) fn skip_to_the_last(&mut self) {
        self.last = self.shape.end - 2;
    }
}
