//! Masks: which stands for whom, and which are nobody's to have any more.
//!
//! In: a number or an app id. Out: its mask, which is no other's. What looks like a mask and was not given here is passed
//! over, it alone, however far off it is.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead, BufReader, Read};

use super::scan::LONGEST_KNOWN;
use crate::exchange::CapturedRequest;

/// What a number's mask begins with: a country code and zeros, which no subscriber has.
pub const NUMBER: Shape = Shape {
    prefix: "9100000",
    least: 5,
    most: 8,
};

/// What the app ids that stand for others begin with.
pub const APP: Shape = Shape {
    prefix: "1000",
    least: 3,
    most: 5,
};

/// As many numbers are remembered. Beyond that a number that is new gets a new mask each time, which no other gets.
const REMEMBERED: usize = 500_000;

/// No line of a capture is longer; a longer one is read in pieces.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// How masks of one kind look: the prefix and a count.
#[derive(Debug, Clone)]
pub struct Shape {
    /// What all of them begin with.
    pub prefix: &'static str,
    /// How many digits the count has at least, zeros before it.
    least: usize,
    /// How many it has at most.
    most: usize,
}

impl Shape {
    /// The mask with this count.
    fn mask(&self, count: u64) -> String {
        format!("{}{count:0least$}", self.prefix, least = self.least)
    }

    /// The count in a mask, if these digits are one: exactly what `Shape::mask` writes.
    #[must_use]
    pub fn count(&self, digits: &str) -> Option<u64> {
        let count = digits.strip_prefix(self.prefix)?;
        let is_one = count.len() == self.least
            || ((self.least..=self.most).contains(&count.len()) && !count.starts_with('0'));
        is_one.then(|| count.parse().ok()).flatten()
    }

    /// Whether digits are as long as a mask may be.
    #[must_use]
    pub fn is_as_long(&self, length: usize) -> bool {
        (self.prefix.len() + self.least..=self.prefix.len() + self.most).contains(&length)
    }

    /// The first count that is too large.
    fn end(&self) -> u64 {
        (0..self.most).fold(1, |end, _| end * 10)
    }
}

/// A set of counts, a bit each: some megabytes, whatever comes.
#[derive(Debug, Clone, Default)]
struct Counts(Vec<u64>);

impl Counts {
    fn insert(&mut self, count: u64) {
        let Ok(place) = usize::try_from(count / 64) else {
            return;
        };
        if place >= self.0.len() {
            self.0.resize(place + 1, 0);
        }
        self.0[place] |= 1 << (count % 64);
    }

    fn contains(&self, count: u64) -> bool {
        let word = usize::try_from(count / 64)
            .ok()
            .and_then(|place| self.0.get(place));
        word.is_some_and(|word| word & (1 << (count % 64)) != 0)
    }
}

/// The masks of one kind.
#[derive(Debug, Clone)]
struct Series {
    shape: Shape,
    /// What was masked, and the count in its mask.
    given: HashMap<String, u64>,
    /// The last count that was given.
    last: u64,
    /// Those that are not to be given.
    taken: Counts,
}

impl Series {
    fn new(shape: Shape) -> Self {
        Self {
            shape,
            given: HashMap::new(),
            last: 0,
            taken: Counts::default(),
        }
    }

    /// The count in the mask of these digits. Should there be none left, which takes a file of gigabytes, zero is for all
    /// that are new.
    fn count(&mut self, digits: &str) -> u64 {
        if let Some(count) = self.given.get(digits) {
            return *count;
        }
        let end = self.shape.end();
        let Some(count) = (self.last + 1..end).find(|count| !self.taken.contains(*count)) else {
            self.last = end;
            return 0;
        };
        self.last = count;
        if self.given.len() < REMEMBERED && digits.len() <= LONGEST_KNOWN {
            self.given.insert(digits.to_owned(), count);
        }
        count
    }
}

/// All masks of a run.
#[derive(Debug, Clone)]
pub struct Masks {
    numbers: Series,
    apps: Series,
    /// The counts of the app ids that stand for others; without having been given, one is as good as another.
    stand_ins: Counts,
}

impl Default for Masks {
    fn default() -> Self {
        Self {
            numbers: Series::new(NUMBER),
            apps: Series::new(APP),
            stand_ins: Counts::default(),
        }
    }
}

impl Masks {
    /// Goes on after the masks that a file holds already.
    pub fn resume(&mut self, file: impl Read) -> io::Result<()> {
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            if file
                .by_ref()
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line)?
                == 0
            {
                return Ok(());
            }
            self.pass_over(&line);
            let text = str::from_utf8(&line).unwrap_or_default();
            // What is no text is not there to be seen.
            if text.contains("base64")
                && let Ok(Some(captured)) = CapturedRequest::read(text)
            {
                self.pass_over(&captured.request.body.0);
                for header in &captured.request.headers {
                    self.pass_over(&header.value);
                }
            }
        }
    }

    /// Takes note of whatever may be a mask in what was written.
    fn pass_over(&mut self, written: &[u8]) {
        /// What all masks are as long as, or longer.
        const SHORTEST: usize = 7;
        for run in written
            .split(|byte| !byte.is_ascii_digit())
            .filter(|run| run.len() >= SHORTEST)
        {
            let run = str::from_utf8(run).unwrap_or_default();
            if let Some(count) = APP.count(run) {
                self.stand_ins.insert(count);
            }
            // An escape's digits may stand before it, as in `%22`.
            for start in run.len().saturating_sub(15)..=run.len() - SHORTEST {
                if let Some(count) = NUMBER.count(&run[start..]) {
                    self.numbers.taken.insert(count);
                } else if let Some(count) = APP.count(&run[start..]) {
                    self.apps.taken.insert(count);
                }
            }
        }
    }

    /// Whether these digits are a number's mask already. If so, no number gets it from now on.
    pub fn is_mask(&mut self, digits: &str) -> bool {
        let count = NUMBER.count(digits);
        if let Some(count) = count {
            self.numbers.taken.insert(count);
        }
        count.is_some()
    }

    /// The mask of a number.
    pub fn number(&mut self, digits: &str) -> String {
        let count = self.numbers.count(digits);
        NUMBER.mask(count)
    }

    /// Finds app ids that stand for these. What only looks as if it did, nobody gets; but the next one may stay as it is.
    pub fn apps(&mut self, apps: &BTreeSet<String>) {
        let is_new = |app: &&String| !self.apps.given.contains_key(*app);
        let alike: Vec<_> = apps
            .iter()
            .filter(is_new)
            .filter_map(|app| Some((APP.count(app)?, app)))
            .collect();
        for (count, _) in &alike {
            self.apps.taken.insert(*count);
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

    /// The app id that stands for another.
    pub fn app(&mut self, digits: &str) -> String {
        let count = self.apps.count(digits);
        self.stand_ins.insert(count);
        APP.mask(count)
    }

    /// Whether an app id has got one that stands for it.
    #[must_use]
    pub fn knows_app(&self, digits: &str) -> bool {
        self.apps.given.contains_key(digits)
    }

    /// Whether an app id stands for another already.
    #[must_use]
    pub fn is_stand_in(&self, digits: &str) -> bool {
        APP.count(digits)
            .is_some_and(|count| self.stand_ins.contains(count))
            && !self.knows_app(digits)
    }
}

#[cfg(test)]
impl Masks {
    /// How many numbers are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.numbers.given.len()
    }

    /// Leaves one mask of each kind.
    pub fn skip_to_the_last(&mut self) {
        for series in [&mut self.numbers, &mut self.apps] {
            series.last = series.shape.end() - 2;
        }
    }
}
