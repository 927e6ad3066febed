//! Strings: where their text stands for itself, and what their escapes stand for.

/// How many bytes at the beginning stand for themselves in a string.
#[inline]
pub(super) fn unescaped(bytes: &[u8]) -> usize {
    /// A byte's lowest bit, in each of eight.
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    /// A byte's highest bit, in each of eight.
    const HIGHS: u64 = ONES << 7;
    let of = |byte: u8| ONES * u64::from(byte);
    // The highest bit of each byte that is nought, and perhaps of some behind the first such byte, and of some that have
    // it already.
    let noughts = |word: u64| word.wrapping_sub(ONES);
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk() {
        let word = u64::from_le_bytes(*eight);
        let control = word.wrapping_sub(of(b' '));
        let special = control | noughts(word ^ of(b'"')) | noughts(word ^ of(b'\\'));
        let special = special & !word & HIGHS;
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    let rest = &bytes[at..];
    at + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// A string's text without its quotes.
#[inline]
pub(super) fn inner(raw: &str) -> &str {
    raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()
}

/// A string's text without its quotes and escapes. Lone surrogates, which JSON's grammar allows, become U+FFFD.
#[must_use]
pub fn unquoted(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    push_unescaped(&mut text, inner(raw));
    text
}

/// Adds what stands between a string's quotes, without its escapes.
pub(super) fn push_unescaped(text: &mut String, inner: &str) {
    let bytes = inner.as_bytes();
    // What stands between these two is yet to be added.
    let (mut from, mut at) = (0, 0);
    loop {
        // Of what must be escaped only backslashes stand between the quotes.
        at += unescaped(&bytes[at..]);
        text.push_str(&inner[from..at]);
        let Some(escaped) = bytes.get(at + 1) else {
            break;
        };
        from = at + 2;
        match escaped {
            b'u' => {
                let (c, behind) = code_point(&inner[from..]);
                text.push(c);
                from = inner.len() - behind.len();
            }
            b'b' => text.push('\u{8}'),
            b'f' => text.push('\u{c}'),
            b'n' => text.push('\n'),
            b'r' => text.push('\r'),
            b't' => text.push('\t'),
            // It stands for itself.
            _ => {
                from = at + 1;
                at += 2;
                continue;
            }
        }
        at = from;
    }
}

/// What the digits of an escape stand for, and of the next one if they are a pair, and the text behind them.
fn code_point(digits: &str) -> (char, &str) {
    let (unit, behind) = code_unit(digits);
    let low = behind.strip_prefix("\\u").map(code_unit);
    let pair = low.filter(|_| (0xd800..0xdc00).contains(&unit));
    let paired = pair
        .and_then(|(low, behind)| Some((char::decode_utf16([unit, low]).next()?.ok()?, behind)));
    paired.unwrap_or_else(|| {
        (
            char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER),
            behind,
        )
    })
}

/// The number that four hexadecimal digits stand for, and the text behind them.
fn code_unit(text: &str) -> (u16, &str) {
    match text.split_at_checked(4) {
        Some((digits, behind)) => (u16::from_str_radix(digits, 16).unwrap_or(0xfffd), behind),
        None => (0xfffd, ""),
    }
}
