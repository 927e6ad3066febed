//! Digits by their value, so that many can be compared in a short time. Pure.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};

/// The most digits that a telephone number has, by E.164. Of more only the number is known here.
pub const LONGEST_NUMBER: usize = 15;

/// Digits, zeros at their beginning included.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Digits {
    /// How many there are.
    pub length: usize,
    /// Their value, if there are no more than a number has.
    pub value: u64,
}

impl Digits {
    /// One digit more.
    pub fn push(&mut self, digit: u8) {
        self.length += 1;
        if self.length <= LONGEST_NUMBER {
            self.value = self.value * 10 + u64::from(digit.wrapping_sub(b'0'));
        }
    }

    /// These digits and then others, if that is no more than a number has.
    #[must_use]
    pub fn and(self, others: Self) -> Option<Self> {
        let length = self.length + others.length;
        (length <= LONGEST_NUMBER).then(|| Self {
            length,
            value: self.value * power(others.length) + others.value,
        })
    }

    /// As many of the last digits.
    #[must_use]
    pub fn end(self, length: usize) -> Self {
        Self {
            length,
            value: self.value % power(length),
        }
    }
}

impl From<&[u8]> for Digits {
    fn from(text: &[u8]) -> Self {
        let mut digits = Self::default();
        for digit in text {
            digits.push(*digit);
        }
        digits
    }
}

/// Ten to the power of as many digits as a number may have.
const POWERS: [u64; LONGEST_NUMBER + 1] = {
    let mut powers = [1; LONGEST_NUMBER + 1];
    let mut exponent = 1;
    while exponent <= LONGEST_NUMBER {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

fn power(exponent: usize) -> u64 {
    POWERS[exponent.min(LONGEST_NUMBER)]
}

/// A set of digits, none longer than a number.
#[derive(Debug, Default)]
pub struct Set {
    keys: HashSet<u64, Seed>,
    /// Which lengths there are, a bit each.
    lengths: u32,
}

impl Set {
    /// Takes digits in, if they are not too long.
    pub fn insert(&mut self, digits: Digits) {
        if digits.length <= LONGEST_NUMBER {
            self.lengths |= 1 << digits.length;
            self.keys.insert(power(digits.length) + digits.value);
        }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether any digits in it are so long.
    #[must_use]
    pub fn has_length(&self, length: usize) -> bool {
        length <= LONGEST_NUMBER && self.lengths & (1 << length) != 0
    }

    /// Whether these digits are in it.
    #[must_use]
    pub fn contains(&self, digits: Digits) -> bool {
        self.has_length(digits.length) && self.keys.contains(&(power(digits.length) + digits.value))
    }
}

/// Hashes numbers fast, and not as a stranger could foresee.
#[derive(Debug, Clone)]
struct Seed(u64);

impl Default for Seed {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0) | 1)
    }
}

impl BuildHasher for Seed {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding(self.0)
    }
}

/// Multiplies by the seed and folds the product.
struct Folding(u64);

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let bytes = (u128::from(self.0) * u128::from(number)).to_le_bytes();
        let (low, high) = bytes.split_at(8);
        let half = |half: &[u8]| half.try_into().map_or(0, u64::from_le_bytes);
        self.0 = half(low) ^ half(high);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
