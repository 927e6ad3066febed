//! Lines broken to a terminal's width by us, so that the terminal need not do it.
//!
//! A terminal goes on in column 0, where only our own words may stand. In: text that is harmless, coloured or not, and a
//! width. Out: the same text in lines that fit, what follows a break indented deeper than its line. Nothing is dropped.

use terminal_size::{Width, terminal_size_of};
use unicode_width::UnicodeWidthChar as _;

/// How much deeper a line goes on than it began. More than the parts of a block are, so that it passes for none.
const DEEPER: usize = 4;

/// The width of a stream, if it is a terminal that knows.
#[cfg(unix)]
pub fn width_of(stream: &impl std::os::fd::AsFd) -> Option<usize> {
    terminal_size_of(stream).map(|(Width(width), _)| usize::from(width))
}

/// The width of a stream, if it is a terminal that knows.
#[cfg(windows)]
pub fn width_of(stream: &impl std::os::windows::io::AsHandle) -> Option<usize> {
    terminal_size_of(stream.as_handle()).map(|(Width(width), _)| usize::from(width))
}

/// Text for a person, which has words of others in it, as it is written to standard output: none of them starts a line
/// there, because the lines fit.
#[must_use]
pub fn fitted(text: String, out_is_terminal: bool) -> String {
    match out_is_terminal
        .then(|| width_of(&std::io::stdout()))
        .flatten()
    {
        Some(width) => folded(&text, width),
        None => text,
    }
}

/// The text in lines of at most so many columns. Where there is a space late in a line, it is broken there.
#[must_use]
pub fn folded(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let spaces = line.len() - line.trim_start_matches(' ').len();
        fold(line, width, (spaces + DEEPER).min(width / 2), &mut out);
    }
    out
}

/// Appends one line, in as many as it needs; all but the first begin with so many spaces.
fn fold(line: &str, width: usize, indent: usize, out: &mut String) {
    // No character takes more columns than it has bytes.
    if line.trim_end_matches('\n').len() <= width {
        return out.push_str(line);
    }
    let mut column = 0;
    // Where the line could be broken more nicely than in the middle of a word.
    let mut space = None;
    let mut in_colour = false;
    for c in line.chars() {
        // The only escape codes are our own colours, which take no room.
        in_colour |= c == '\u{1b}';
        // Characters that terminals join into one count in full: rather a line too short than one too long.
        let wide = if in_colour { 0 } else { c.width().unwrap_or(0) };
        in_colour &= c != 'm';
        if column + wide > width && column > indent {
            let (at, before) = space.take().unwrap_or((out.len(), column));
            out.insert_str(at, &format!("\n{}", " ".repeat(indent)));
            column = indent + column - before;
        }
        out.push(c);
        column += wide;
        if c == ' ' && column > width - width / 3 && column < width {
            space = Some((out.len(), column));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::theme::{Role, Theme};
    use proptest::prelude::*;

    fn columns(line: &str) -> usize {
        line.chars()
            .filter_map(unicode_width::UnicodeWidthChar::width)
            .sum()
    }

    #[test]
    fn long_lines_go_on_deeper_than_they_began() {
        insta::assert_snapshot!(folded("  value = one two three\nshort\n  abcdefghijklmnopqrstuvwxyz", 16), @r"
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
            assert_eq!(folded(text, 10), text);
        }
    }

    #[test]
    fn colours_take_no_room_and_wide_letters_take_two() {
        let painted = Theme::new(true).paint(Role::Bad, "0123456789");
        assert_eq!(folded(&painted, 10), painted);
        assert_eq!(folded("北京北京北", 8), "北京北京\n    北");
        // A mark stays with its letter.
        assert_eq!(folded("0123456789e\u{301}", 11), "0123456789e\u{301}");
    }

    proptest! {
        #[test]
        fn every_line_fits_and_nothing_is_dropped(
            lines in prop::collection::vec(("[ ]{0,9}", "[a-zé北प्र ]{0,60}"), 0..5),
            width in 8_usize..50,
        ) {
            let text: Vec<String> = lines.iter().map(|(indent, line)| format!("{indent}{line}\n")).collect();
            let text = text.concat();
            let folded = folded(&text, width);
            prop_assert!(folded.lines().all(|line| columns(line) <= width), "{folded}");
            let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(bare(&folded), bare(&text));
            // Whatever starts in column 0 did so before.
            let starts = |text: &str| text.lines().filter(|line| !line.starts_with(' ') && !line.is_empty()).count();
            prop_assert!(starts(&folded) == starts(&text), "{folded}");
        }
    }
}
