//! The looks of text for people: colours, wrapped lines, and nouns in the plural.
//!
//! Colours are decided per stream: the crate `colored` decides globally, by standard output alone, and lets
//! `CLICOLOR_FORCE` override `NO_COLOR`. Lines are wrapped to the terminal's width: a line wrapped by the terminal itself
//! would put received text into column 0.

use std::borrow::Cow;
use std::fmt::{self, Display};

use colored::Colorize as _;
use terminal_size::{Width, terminal_size_of};
use textwrap::core::{Word, display_width};
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm, fill};

/// A `Role` is the meaning of a piece of text, from which `Theme` derives the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Strong,
    Faint,
    Good,
    Bad,
    Odd,
    Name,
    Text,
    Number,
    Word,
}

impl Role {
    pub fn of(success: bool) -> Self {
        if success { Self::Good } else { Self::Bad }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme(bool);

impl Theme {
    pub fn new(coloured: bool) -> Self {
        colored::control::set_override(true);
        Self(coloured)
    }

    pub fn plain() -> Self {
        Self(false)
    }

    /// `Theme::paint` does not escape: received text must have passed through `clean`.
    pub fn paint<T: Display>(self, role: Role, text: T) -> Painted<T> {
        Painted(self, role, text)
    }
}

pub struct Painted<T>(Theme, Role, T);

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Theme(is_coloured), role, text) = self;
        let string = || text.to_string();
        let painted = match role {
            _ if !is_coloured => return text.fmt(f),
            Role::Strong => string().bold(),
            Role::Faint => string().dimmed(),
            Role::Good | Role::Text => string().green(),
            Role::Bad => string().red(),
            Role::Odd => string().yellow(),
            Role::Name => string().blue(),
            Role::Number => string().cyan(),
            Role::Word => string().magenta(),
        };
        painted.fmt(f)
    }
}

/// The values of `--color`; shell completions show the variants' doc comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// Colours if the output is a terminal and NO_COLOR is not set
    #[default]
    Auto,
    /// Always colours
    Always,
    /// No colours
    Never,
}

/// Colours of a stream are decided in this order: `--color`, `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR` and `TERM`,
/// whether the stream is a terminal.
pub fn is_coloured(
    wish: Color,
    variable: impl Fn(&str) -> Option<String>,
    is_terminal: bool,
) -> bool {
    let is = |name, text: &str| variable(name).is_some_and(|value| value == text);
    let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
    match wish {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if is_set("NO_COLOR") => false,
        Color::Auto if is_set("CLICOLOR_FORCE") && !is("CLICOLOR_FORCE", "0") => true,
        Color::Auto => is_terminal && !is("CLICOLOR", "0") && !is("TERM", "dumb"),
    }
}

/// A word wider than 24 columns is broken at the end of a line; shorter words move to the next line.
const LONG_WORD: usize = 24;

const DEEPER: usize = 4;

/// `width_of` returns `None` if the stream is no terminal, or a terminal of unknown width.
#[cfg(unix)]
pub fn width_of(stream: &impl std::os::fd::AsFd) -> Option<usize> {
    terminal_size_of(stream).map(|(Width(width), _)| usize::from(width))
}

#[cfg(windows)]
pub fn width_of(stream: &impl std::os::windows::io::AsHandle) -> Option<usize> {
    terminal_size_of(stream.as_handle()).map(|(Width(width), _)| usize::from(width))
}

/// Lines break at spaces and have a hanging indent; textwrap counts colour codes as zero columns.
fn options(width: usize, indent: &str) -> Options<'_> {
    Options::new(width)
        .subsequent_indent(indent)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit)
}

fn words(line: &str) -> Box<dyn Iterator<Item = Word<'_>> + '_> {
    let words = WordSeparator::AsciiSpace.find_words(line);
    Box::new(words.flat_map(|word| match display_width(word.word) {
        ..=LONG_WORD => vec![word],
        _ => word.break_apart(1).collect(),
    }))
}

/// `wrapped` breaks long words, because received text must not reach column 0 of the next line.
pub fn wrapped(text: &str, width: usize) -> Cow<'_, str> {
    if text.lines().all(|line| display_width(line) <= width) {
        return text.into();
    }
    let line = |line: &str| {
        let spaces = line.len() - line.trim_start_matches(' ').len();
        let indent = " ".repeat((spaces + DEEPER).min(width / 2));
        let options = options(width, &indent).word_separator(WordSeparator::Custom(words));
        fill(line, options)
    };
    let lines: Vec<_> = text.split('\n').map(line).collect();
    lines.join("\n").into()
}

/// Wraps a text to the width of a terminal, if there is one.
pub fn fitted(text: String, width: Option<usize>) -> String {
    match width {
        Some(width) => wrapped(&text, width).into_owned(),
        None => text,
    }
}

/// `prose` keeps long words whole, so that URLs can be copied.
pub fn prose(text: &str, indent: &str, width: usize) -> String {
    if text.is_empty() {
        return String::new();
    }
    let options = options(width, indent).initial_indent(indent);
    fill(text, options.break_words(false)) + "\n"
}

pub fn plural(n: u64, noun: &str) -> String {
    count(n, noun, &format!("{noun}s"))
}

/// `count` formats `1 was` and `2 were`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_documented_order_decides() {
        for (wish, around, terminal, expected) in [
            (Color::Always, ["1", "-", "0", "dumb"], false, true),
            (Color::Never, ["-", "1", "-", "-"], true, false),
            (Color::Auto, ["1", "1", "-", "-"], true, false),
            (Color::Auto, ["", "1", "0", "dumb"], false, true),
            (Color::Auto, ["-", "0", "-", "-"], false, false),
            (Color::Auto, ["-", "-", "0", "-"], true, false),
            (Color::Auto, ["-", "-", "-", "dumb"], true, false),
            (Color::Auto, ["-", "-", "-", "xterm"], true, true),
            (Color::Auto, ["-", "-", "-", "xterm"], false, false),
        ] {
            let names = ["NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "TERM"];
            let variable = |name: &str| {
                let (_, value) = names
                    .iter()
                    .zip(around)
                    .find(|(known, _)| **known == name)?;
                (value != "-").then(|| value.to_owned())
            };
            assert_eq!(
                is_coloured(wish, variable, terminal),
                expected,
                "{wish:?} {around:?} {terminal}"
            );
        }
    }

    #[test]
    fn painting_puts_codes_around_text_or_nothing() {
        assert_eq!(
            Theme::new(true).paint(Role::Bad, "no").to_string(),
            "\u{1b}[31mno\u{1b}[0m"
        );
        assert_eq!(Theme::plain().paint(Role::Bad, "no").to_string(), "no");
    }

    #[test]
    fn long_lines_go_on_deeper_than_they_began() {
        insta::assert_snapshot!(wrapped("  value = one two three\nshort\n  abcdefghijklmnopqrstuvwxyz", 16), @r"
          value = one
              two three
        short
          abcdefghijklmn
              opqrstuvwx
              yz
        ");
    }

    #[test]
    fn what_fits_is_left_alone() {
        for text in ["", "\n", "a\n\n  b\n", "0123456789\n0123456789"] {
            assert_eq!(wrapped(text, 10), text);
        }
    }

    #[test]
    fn colours_take_no_room_and_wide_letters_take_two() {
        let painted = Theme::new(true).paint(Role::Bad, "0123456789").to_string();
        assert_eq!(wrapped(&painted, 10), painted);
        assert_eq!(wrapped("北京北京北", 8), "北京北京\n    北");
        // A combining mark is not separated from its letter.
        assert_eq!(wrapped("0123456789e\u{301}", 11), "0123456789e\u{301}");
    }

    proptest! {
        #[test]
        fn every_line_fits_and_nothing_is_dropped(
            lines in prop::collection::vec(("[ ]{0,9}", "[a-zé北प्र ]{0,60}"), 0..5),
            width in 8_usize..50,
        ) {
            let text: Vec<String> = lines.iter().map(|(indent, line)| format!("{indent}{line}\n")).collect();
            let text = text.concat();
            let wrapped = wrapped(&text, width);
            prop_assert!(wrapped.lines().all(|line| display_width(line) <= width), "{wrapped}");
            let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(bare(&wrapped), bare(&text));
            let starts = |text: &str| text.lines().filter(|line| !line.starts_with(' ') && !line.is_empty()).count();
            prop_assert!(starts(&wrapped) == starts(&text), "{wrapped}");
        }
    }
}
