//! Text that came from outside, and the one way to make it harmless.
//!
//! Requests, files and answers carry text chosen by strangers. [`Untrusted`] has no `Display`, so the compiler sends
//! everybody who wants to show it through [`Untrusted::cleaned`]. The text itself stays as it came: where it is
//! saved, forwarded or written as JSON it must be exact.

use std::fmt::Write as _;

use serde::Serialize;

/// Text from outside. It can be compared and serialised, but shown only after cleaning.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Untrusted(String);

impl Untrusted {
    /// Takes text from outside into custody.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as it came. For comparing, saving and forwarding; never for a terminal.
    #[must_use]
    pub fn as_it_came(&self) -> &str {
        &self.0
    }

    /// The text with everything that could disturb a terminal made visible as `\u{…}`.
    #[must_use]
    pub fn cleaned(&self) -> String {
        clean(&self.0)
    }
}

impl From<String> for Untrusted {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Untrusted {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Makes text harmless: every disturbing character becomes visible, nothing is dropped, nothing else changes.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if disturbs(c) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a character could move the cursor, hide, reorder or forge text: control characters (newline and tab too),
/// line and paragraph separators, bidirectional controls, zero-width characters and invisible fillers.
///
/// Combining marks and the joiners U+200C and U+200D inside words would be needed for Hindi and Tamil names; the
/// marks stay, but the joiners are invisible and are shown.
#[must_use]
pub fn disturbs(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forged_lines_and_escape_codes_become_visible() {
        assert_eq!(clean("a\nb\t\u{1b}[2J\u{7f}\u{9b}"), "a\\u{a}b\\u{9}\\u{1b}[2J\\u{7f}\\u{9b}");
        assert_eq!(clean("\u{202e}txt.exe\u{200b}"), "\\u{202e}txt.exe\\u{200b}");
    }

    #[test]
    fn names_stay_readable() {
        for name in ["प्रिया", "தமிழ்", "Zoë", "北京"] {
            assert_eq!(clean(name), name);
        }
    }

    /// What Unicode calls control, format, separator and default-ignorable, by samples from each block: a list of its own,
    /// so that a gap in ours shows.
    #[test]
    fn no_kind_of_invisible_character_is_forgotten() {
        let samples = "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{180e}\u{200b}\u{200c}\u{200d}\u{200e}\
                       \u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{206f}\u{2800}\u{3164}\u{fe00}\u{fe0f}\u{feff}\u{ffa0}\
                       \u{fff9}\u{1bca0}\u{1d173}\u{e0001}\u{e0020}\u{e007f}\u{e0100}\u{e01ef}";
        let forgotten: String = samples.chars().filter(|c| !disturbs(*c)).collect();
        assert_eq!(forgotten, "");
    }

    #[test]
    fn every_scalar_value_is_harmless_afterwards() {
        for c in ('\0'..=char::MAX).filter(|c| disturbs(*c)) {
            let shown = clean(&c.to_string());
            assert!(shown.starts_with("\\u{") && !shown.contains(c), "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn cleaning_leaves_nothing_disturbing_and_is_idempotent(text in any::<String>()) {
            let once = clean(&text);
            prop_assert!(!once.chars().any(disturbs));
            prop_assert_eq!(clean(&once), once);
        }
    }
}
