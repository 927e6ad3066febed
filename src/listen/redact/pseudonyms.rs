//! Pseudonyms of telephone numbers and app ids.
//!
//! A pseudonym stands for one number. Digits that look like a pseudonym and were not given by this run are reserved: no
//! number gets them.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead, BufReader, Read};

use super::LONGEST_REMEMBERED;
use crate::exchange::CapturedRequest;

/// Pseudonyms of numbers: a country code and zeros, which no subscriber has.
pub(super) const NUMBER: Shape = Shape {
    prefix: "9100000",
    least: 5,
    most: 8,
};

/// Pseudonyms of app ids.
const APP: Shape = Shape {
    prefix: "1000",
    least: 3,
    most: 5,
};

/// How many numbers are remembered. Any further number gets another pseudonym each time.
const REMEMBERED: usize = 500_000;

/// Bytes; a longer line of a capture file is read in pieces.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// The form of one kind of pseudonyms: a prefix and a count.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) prefix: &'static str,
    /// Lower number of digits in the count, padded with zeros.
    least: usize,
    most: usize,
}

impl Shape {
    fn pseudonym(&self, count: u64) -> String {
        format!("{}{count:0least$}", self.prefix, least = self.least)
    }

    /// The count in a pseudonym, if the digits are one.
    pub(super) fn count(&self, digits: &str) -> Option<u64> {
        let count = digits.strip_prefix(self.prefix)?;
        let is_one = count.len() == self.least
            || ((self.least..=self.most).contains(&count.len()) && !count.starts_with('0'));
        is_one.then(|| count.parse().ok()).flatten()
    }

    /// One more than the largest count.
    fn end(&self) -> u64 {
        (0..self.most).fold(1, |end, _| end * 10)
    }
}

/// A set of counts, one bit each: at most 12 MB, whatever is received.
#[derive(Debug, Clone, Default)]
struct Counts(Vec<u64>);

impl Counts {
    fn insert(&mut self, count: u64) {
        let Ok(index) = usize::try_from(count / 64) else {
            return;
        };
        if index >= self.0.len() {
            self.0.resize(index + 1, 0);
        }
        self.0[index] |= 1 << (count % 64);
    }

    fn contains(&self, count: u64) -> bool {
        let index = usize::try_from(count / 64).ok();
        index
            .and_then(|index| self.0.get(index))
            .is_some_and(|word| word & (1 << (count % 64)) != 0)
    }
}

/// The pseudonyms of one kind.
#[derive(Debug, Clone)]
struct Series {
    shape: Shape,
    /// Digits and the count in their pseudonym.
    given: HashMap<String, u64>,
    last: u64,
    reserved: Counts,
}

impl Series {
    fn new(shape: Shape) -> Self {
        Self {
            shape,
            given: HashMap::new(),
            last: 0,
            reserved: Counts::default(),
        }
    }

    /// The count for these digits. When all counts are given, which takes a file of gigabytes, zero is for all further
    /// digits.
    fn count(&mut self, digits: &str) -> u64 {
        if let Some(count) = self.given.get(digits) {
            return *count;
        }
        let end = self.shape.end();
        let Some(count) = (self.last + 1..end).find(|count| !self.reserved.contains(*count)) else {
            self.last = end;
            return 0;
        };
        self.last = count;
        if self.given.len() < REMEMBERED && digits.len() <= LONGEST_REMEMBERED {
            self.given.insert(digits.to_owned(), count);
        }
        count
    }
}

#[derive(Debug, Clone)]
pub(super) struct Pseudonyms {
    numbers: Series,
    apps: Series,
    /// The counts of app ids that are pseudonyms, of this run or an earlier one.
    issued_apps: Counts,
}

impl Default for Pseudonyms {
    fn default() -> Self {
        Self {
            numbers: Series::new(NUMBER),
            apps: Series::new(APP),
            issued_apps: Counts::default(),
        }
    }
}

impl Pseudonyms {
    /// Reserves the pseudonyms in a capture file.
    pub(super) fn resume(&mut self, file: impl Read) -> io::Result<()> {
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        while file
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)?
            > 0
        {
            self.reserve_all(&line);
            let text = str::from_utf8(&line).unwrap_or_default();
            if text.contains("base64")
                && let Ok(Some(captured)) = CapturedRequest::read(text)
            {
                self.reserve_all(&captured.request.body.0);
                for header in &captured.request.headers {
                    self.reserve_all(&header.value);
                }
            }
            line.clear();
        }
        Ok(())
    }

    /// Reserves all digits that may be a pseudonym.
    fn reserve_all(&mut self, written: &[u8]) {
        /// The length of the shortest pseudonym.
        const SHORTEST: usize = 7;
        for run in written
            .split(|byte| !byte.is_ascii_digit())
            .filter(|run| run.len() >= SHORTEST)
        {
            let run = str::from_utf8(run).unwrap_or_default();
            if let Some(count) = APP.count(run) {
                self.issued_apps.insert(count);
            }
            // The digits of an escape may stand before a pseudonym, as in `%22`.
            for start in run.len().saturating_sub(15)..=run.len() - SHORTEST {
                if let Some(count) = NUMBER.count(&run[start..]) {
                    self.numbers.reserved.insert(count);
                } else if let Some(count) = APP.count(&run[start..]) {
                    self.apps.reserved.insert(count);
                }
            }
        }
    }

    /// Whether the digits are the pseudonym of a number, which is reserved then.
    pub(super) fn reserve_number(&mut self, digits: &str) -> bool {
        let count = NUMBER.count(digits);
        if let Some(count) = count {
            self.numbers.reserved.insert(count);
        }
        count.is_some()
    }

    pub(super) fn number(&mut self, digits: &str) -> String {
        NUMBER.pseudonym(self.numbers.count(digits))
    }

    /// Gives pseudonyms to app ids. One that looks like the next pseudonym keeps its digits; others that look like one
    /// are reserved.
    pub(super) fn add_apps(&mut self, apps: &BTreeSet<String>) {
        let is_new = |app: &&String| !self.apps.given.contains_key(*app);
        let alike: Vec<_> = apps
            .iter()
            .filter(is_new)
            .filter_map(|app| Some((APP.count(app)?, app)))
            .collect();
        for (count, _) in &alike {
            self.apps.reserved.insert(*count);
        }
        for (count, app) in alike {
            if count == self.apps.last + 1 {
                self.apps.last = count;
                self.apps.given.insert(app.clone(), count);
            }
            self.app(app);
        }
        for app in apps {
            self.app(app);
        }
    }

    /// The pseudonym of an app id.
    pub(super) fn app(&mut self, digits: &str) -> String {
        let count = self.apps.count(digits);
        self.issued_apps.insert(count);
        APP.pseudonym(count)
    }

    /// Whether an app id has a pseudonym.
    pub(super) fn is_app(&self, digits: &str) -> bool {
        self.apps.given.contains_key(digits)
    }

    /// Whether an app id is a pseudonym.
    pub(super) fn is_app_pseudonym(&self, digits: &str) -> bool {
        APP.count(digits)
            .is_some_and(|count| self.issued_apps.contains(count))
            && !self.is_app(digits)
    }
}

#[cfg(test)]
impl Pseudonyms {
    pub(super) fn remembered(&self) -> usize {
        self.numbers.given.len()
    }

    /// Leaves one pseudonym of each kind.
    pub(super) fn skip_to_the_last(&mut self) {
        for series in [&mut self.numbers, &mut self.apps] {
            series.last = series.shape.end() - 2;
        }
    }
}
