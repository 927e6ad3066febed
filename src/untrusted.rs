//! Holds text from requests, responses and files, and escapes it for the terminal.
//!
//! [`Untrusted`] has no `Display`, so that received text can only be shown through [`Untrusted::cleaned`]. The stored
//! text is unchanged, for saving, forwarding and JSON.

use std::borrow::Cow;

use regex_lite::Regex;
use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Untrusted(String);

impl Untrusted {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// `as_it_came` returns the unchanged text, for comparing, saving and forwarding; never for a terminal.
    pub fn as_it_came(&self) -> &str {
        &self.0
    }

    pub fn cleaned(&self) -> Cow<'_, str> {
        clean(&self.0)
    }
}

/// Compiles a pattern of the program's own.
///
/// # Panics
///
/// If the pattern is invalid.
pub(crate) fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

/// `clean` escapes each character that could disturb a terminal as `\u{…}`; other characters do not change.
pub fn clean(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if disturbs(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out.into()
}

/// `clean_lines` cleans each line of a text of the program's own, whose line breaks stay.
pub(crate) fn clean_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(clean).collect();
    lines.join("\n")
}

/// Text is plain if it consists of printable ASCII, which needs no escaping.
pub(crate) fn is_plain(text: &str) -> bool {
    // Without an early exit within 32 bytes, the compiler compares them at once.
    let is_printable = |bytes: &[u8]| {
        let each = bytes.iter().map(|byte| matches!(byte, b' '..=b'~'));
        each.fold(true, |all, one| all & one)
    };
    text.as_bytes().chunks(32).all(is_printable)
}

/// `beginning` returns the first `most` characters of a text, followed by `…` if there are more.
pub(crate) fn beginning(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// A disturbing character could move the cursor, hide, reorder or forge text: control characters (newline and tab too),
/// line and paragraph separators, bidirectional and other format controls, zero-width characters and invisible fillers.
///
/// Hindi and Tamil names need combining marks and the joiners U+200C and U+200D. Combining marks are not escaped; the
/// joiners are, because they are invisible.
pub fn disturbs(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{13430}'..='\u{1343f}' | '\u{16fe4}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forged_lines_and_escape_codes_become_visible() {
        assert_eq!(
            clean("a\nb\t\u{1b}[2J\u{7f}\u{9b}"),
            "a\\u{a}b\\u{9}\\u{1b}[2J\\u{7f}\\u{9b}"
        );
        assert_eq!(
            clean("\u{202e}txt.exe\u{200b}"),
            "\\u{202e}txt.exe\\u{200b}"
        );
    }

    #[test]
    fn what_is_plain_disturbs_nobody() {
        let plain: Vec<char> = ('\0'..='\u{ff}')
            .filter(|c| is_plain(&c.to_string()))
            .collect();
        assert_eq!(plain, (' '..='~').collect::<Vec<_>>());
        assert!(!plain.into_iter().any(disturbs));
        for length in 0..100 {
            let text = "~".repeat(length);
            assert!(is_plain(&text), "{length}");
            for at in 0..length {
                assert!(
                    !is_plain(&format!("{}\u{7f}{}", &text[..at], &text[at + 1..])),
                    "{at} of {length}"
                );
            }
        }
    }

    #[test]
    fn names_stay_readable() {
        for name in ["प्रिया", "தமிழ்", "Zoë", "北京"] {
            assert_eq!(clean(name), name);
        }
    }

    /// The ranges in `DISTURBING` come from Unicode's tables, not from `disturbs`, in ascending order: general
    /// categories Cc, Cf, Zl and Zp, `Default_Ignorable_Code_Point`, and three letters and symbols that are blank by
    /// definition. The prepended marks in Cf, such as the Arabic number sign, are visible and left out.
    const DISTURBING: [(u32, u32); 38] = [
        (0x00, 0x1f),
        (0x7f, 0x9f),
        (0xad, 0xad),
        (0x34f, 0x34f),
        (0x61c, 0x61c),
        (0x115f, 0x115f),
        (0x1160, 0x1160),
        (0x17b4, 0x17b5),
        (0x180b, 0x180d),
        (0x180e, 0x180e),
        (0x180f, 0x180f),
        (0x200b, 0x200f),
        (0x2028, 0x2028),
        (0x2029, 0x2029),
        (0x202a, 0x202e),
        (0x2060, 0x2064),
        (0x2065, 0x2065),
        (0x2066, 0x206f),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xfe00, 0xfe0f),
        (0xfeff, 0xfeff),
        (0xffa0, 0xffa0),
        (0xfff0, 0xfff8),
        (0xfff9, 0xfffb),
        (0x13430, 0x1343f),
        (0x16fe4, 0x16fe4),
        (0x1bca0, 0x1bca3),
        (0x1d159, 0x1d159),
        (0x1d173, 0x1d17a),
        (0xe0000, 0xe0000),
        (0xe0001, 0xe0001),
        (0xe0002, 0xe001f),
        (0xe0020, 0xe007f),
        (0xe0080, 0xe00ff),
        (0xe0100, 0xe01ef),
        (0xe01f0, 0xe0ffe),
        (0xe0fff, 0xe0fff),
    ];

    #[test]
    fn every_scalar_value_is_harmless_afterwards() {
        let mut ranges = DISTURBING.iter().peekable();
        let mut disturbing = |c: char| {
            while ranges.next_if(|(_, last)| *last < u32::from(c)).is_some() {}
            ranges
                .peek()
                .is_some_and(|(first, _)| *first <= u32::from(c))
        };
        let all: String = ('\0'..=char::MAX).collect();
        assert_eq!(all.chars().count(), 1_112_064);
        let mut expected = String::with_capacity(all.len());
        for c in all.chars() {
            if disturbing(c) {
                expected.extend(c.escape_unicode());
            } else {
                expected.push(c);
            }
        }
        let cleaned = clean(&all);
        let differs = cleaned
            .chars()
            .zip(expected.chars())
            .position(|(ours, theirs)| ours != theirs);
        let around = differs.map(|at| {
            cleaned
                .chars()
                .skip(at.saturating_sub(20))
                .take(40)
                .collect::<String>()
        });
        assert!(
            cleaned == expected,
            "different at {:?}",
            around.map(|text| text.escape_unicode().to_string())
        );
    }

    proptest! {
        #[test]
        fn cleaning_leaves_nothing_disturbing_and_is_idempotent(text in any::<String>()) {
            let once = clean(&text);
            prop_assert!(!once.chars().any(disturbs));
            prop_assert!(!is_plain(&text) || once == text);
            prop_assert_eq!(clean(&once), &*once);
        }
    }
}
