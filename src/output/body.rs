//! Renders a body as lines, each with a line break: JSON token by token, coloured and indented but not serialised again;
//! other bodies line by line. The length is bounded, and control characters are escaped.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::LazyLock;

use regex_lite::{Captures, Regex};

use super::text::{Role, Theme};
use crate::json::{self, Kind};
use crate::reply::MESSAGES;
use crate::untrusted::{clean, disturbs, pattern};

/// Of a body, at most 4 KiB and 100 lines are shown; the remaining bytes or lines are counted.
const MAX_BYTES: usize = 4 * 1024;
const MAX_LINES: usize = 100;

/// Longest body in bytes that is shown even if it is not text.
const MAX_BINARY: usize = 64;

/// Without `--verbose`, this many characters of a line are shown.
pub const MAX_LINE: usize = 300;

/// JSON in one line without spaces: the first `MAX_LINE` characters, or more if the message ends later. A message far
/// behind them, as behind a stack trace, is a line of its own. Returns `None` for a body that is not JSON.
pub fn compact_json(body: &[u8]) -> Option<String> {
    let text = json_text(body)?;
    let (mut compact, mut key, mut best, mut message) = (String::new(), None, usize::MAX, 0..0);
    for token in json::tokens(text) {
        let start = compact.len();
        compact += &clean(&readable(token.text));
        match (token.kind, key) {
            (Kind::Key, _) => {
                let name = json::unquoted(token.text);
                // `exception`, the first of `MESSAGES`, is a class or a stack trace.
                let rank = MESSAGES[1..].iter().position(|message| *message == name);
                key = rank.map(|rank| (rank, start));
            }
            (Kind::String, Some((rank, start))) if rank < best => {
                (best, message) = (rank, start..compact.len());
            }
            (Kind::Colon | Kind::Open | Kind::String, _) => {}
            _ => key = None,
        }
    }
    let to_its_end = compact[..message.end].chars().count();
    Some(if message.start > 2 * MAX_LINE {
        let message = cut(&compact[message], MAX_LINE);
        format!("{}\n{message}\n", cut(&compact, MAX_LINE))
    } else {
        cut(&compact, to_its_end.clamp(MAX_LINE, MAX_BYTES)).into_owned() + "\n"
    })
}

pub fn compressed(size: u64, names: &str) -> String {
    format!("{size} bytes, compressed ({}), not shown\n", clean(names))
}

/// The first `most` characters of a line, and the number of the others.
pub fn cut(line: &str, most: usize) -> Cow<'_, str> {
    let Some((end, _)) = line.char_indices().nth(most) else {
        return line.into();
    };
    let more = line[end..].chars().count();
    format!("{}… {more} characters more (-v shows them)", &line[..end]).into()
}

pub fn lines(body: &[u8], theme: Theme, indent: &str) -> String {
    match json_text(body) {
        Some(text) => json_lines(text, theme, indent),
        None => indented(&text_lines(body), indent).collect(),
    }
}

fn more(bytes: usize) -> String {
    format!("… {bytes} more bytes")
}

fn json_text(body: &[u8]) -> Option<&str> {
    // A look at the first byte takes less time than the error of `json::check`.
    let first = body.trim_ascii_start().first()?;
    let may_be_json = b"{[\"-0123456789tfn".contains(first);
    may_be_json.then(|| json::check(body).ok())?
}

/// Renders a JSON text, which `json::check` must have accepted.
pub fn json_lines(text: &str, theme: Theme, indent: &str) -> String {
    let mut out = String::with_capacity(2 * text.len().min(MAX_BYTES));
    out += indent;
    let mut line_break = format!("\n{indent}");
    let (mut lines, mut after_open) = (1, false);
    for token in json::tokens(text) {
        let is_close = token.kind == Kind::Close;
        if after_open && !is_close {
            line_break += "  ";
            out += &line_break;
            lines += 1;
        }
        if token.start > MAX_BYTES || lines >= MAX_LINES {
            let more = more(text.len() - token.start);
            let _ = write!(out, "\n{indent}{}", theme.paint(Role::Faint, more));
            break;
        }
        if is_close && !after_open {
            line_break.truncate(line_break.len().saturating_sub(2));
            out += &line_break;
            lines += 1;
        }
        let mut paint = |role| {
            let _ = write!(out, "{}", theme.paint(role, bounded(&readable(token.text))));
        };
        match token.kind {
            Kind::Colon => out += ": ",
            Kind::Comma => out.extend([",", &line_break]),
            Kind::Open | Kind::Close => out += token.text,
            Kind::Key => paint(Role::Name),
            Kind::String => paint(Role::Text),
            Kind::Number => paint(Role::Number),
            Kind::Word => paint(Role::Word),
        }
        lines += usize::from(token.kind == Kind::Comma);
        after_open = token.kind == Kind::Open;
    }
    out + "\n"
}

/// Replaces the escapes of characters that can be shown and are not ASCII, such as `\u092a`, also in a string that holds
/// a JSON object, as `custom` does.
fn readable(raw: &str) -> Cow<'_, str> {
    static ESCAPE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.")
    });
    if !raw.contains("\\u") {
        return raw.into();
    }
    let inner = json::unquoted(raw);
    let is_object = inner.starts_with('{') && json::check(inner.as_bytes()).is_ok();
    if is_object && inner.contains("\\u") && !inner.contains('\u{fffd}') {
        return serde_json::Value::from(&*readable(&inner))
            .to_string()
            .into();
    }
    ESCAPE.replace_all(raw, |escape: &Captures<'_>| {
        let escape = &escape[0];
        let quoted = format!("\"{escape}\"");
        let decoded = json::unquoted(&quoted);
        let is_shown = |c: char| !c.is_ascii() && c != '\u{fffd}' && !disturbs(c);
        if decoded.chars().all(is_shown) {
            decoded.into_owned()
        } else {
            escape.to_owned()
        }
    })
}

fn bounded(raw: &str) -> Cow<'_, str> {
    if raw.len() <= MAX_BYTES {
        return clean(raw);
    }
    let is_boundary = |at: &usize| raw.is_char_boundary(*at);
    let end = (0..=MAX_BYTES).rev().find(is_boundary).unwrap_or(0);
    format!("{}{}", clean(&raw[..end]), more(raw.len() - end)).into()
}

/// In a body that is not JSON, bytes that are not UTF-8 are shown as `\xff`. A body of which they and control characters
/// are more than a quarter is named only.
fn text_lines(body: &[u8]) -> String {
    let shown = &body[..body.len().min(MAX_BYTES)];
    let invalid: usize = shown.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    let is_control = |byte: &&u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    let controls = shown.iter().filter(is_control);
    if body.len() > MAX_BINARY && 4 * (invalid + controls.count()) > shown.len() {
        return format!("{} bytes, not text, not shown\n", body.len());
    }
    let mut text = String::with_capacity(shown.len() + 1);
    for mut line in shown.split(|byte| *byte == b'\n') {
        while let Some(rest) = line.strip_suffix(b"\r") {
            line = rest;
        }
        for chunk in line.utf8_chunks() {
            text += &clean(chunk.valid());
            for byte in chunk.invalid() {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
        text.push('\n');
    }
    pop_empty_line(&mut text, "");
    let mut ends = text.match_indices('\n').map(|(end, _)| end + 1);
    let end = ends.nth(MAX_LINES - 1).unwrap_or(text.len());
    let unseen = text.len() - end + body.len() - shown.len();
    text.truncate(end);
    if unseen > 0 {
        text += &(more(unseen) + "\n");
    }
    text
}

pub fn indented<'a>(text: &'a str, indent: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text.split_inclusive('\n');
    lines.flat_map(move |line| [indent, line])
}

/// Removes the last line of a text, whose lines end with line breaks, if it is empty but for its indent.
pub fn pop_empty_line(text: &mut String, indent: &str) {
    if text.lines().next_back() == Some(indent) {
        text.truncate(text.len() - indent.len() - 1);
    }
}

pub fn pairs(pairs: &[(String, String)], theme: Theme) -> String {
    /// `MAX_WIDTH` exceeds the longest documented field name of a CDR; longer names do not widen the column.
    const MAX_WIDTH: usize = 24;
    let widths = pairs.iter().map(|(name, _)| clean(name).chars().count());
    let short = widths.filter(|width| *width <= MAX_WIDTH);
    let width = short.max().unwrap_or(0);
    let (mut shown, mut out) = (0, String::new());
    for (place, (name, value)) in pairs.iter().enumerate() {
        if place >= MAX_LINES || shown > MAX_BYTES {
            let more = format!("… {} more parameters", pairs.len() - place);
            let _ = writeln!(out, "{}", theme.paint(Role::Faint, more));
            break;
        }
        shown += name.len() + value.len();
        let name = bounded(name);
        let padding = width.saturating_sub(name.chars().count());
        let name = theme.paint(Role::Name, name);
        let value = theme.paint(Role::Text, bounded(value));
        let _ = writeln!(out, "{name}{:padding$} = {value}", "");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::untrusted::disturbs;
    use proptest::prelude::*;

    fn shown(body: &[u8]) -> String {
        lines(body, Theme::plain(), "")
    }

    #[test]
    fn tokens_stay_as_they_were_written() {
        insta::assert_snapshot!(shown(br#"{"a":1.50,"b":[],"c":{"d":["\u0041",{}],"a":18446744073709551616},"a":null}"#), @r#"
        {
          "a": 1.50,
          "b": [],
          "c": {
            "d": [
              "\u0041",
              {}
            ],
            "a": 18446744073709551616
          },
          "a": null
        }
        "#);
    }

    #[test]
    fn what_is_not_json_is_shown_line_by_line() {
        insta::assert_snapshot!(shown(b"{\r\n a: 'b\x1b[2J',\n}\n\xff\n"), @r"
        {
         a: 'b\u{1b}[2J',
        }
        \xff
        ");
    }

    #[test]
    fn only_so_much_is_shown() {
        let long = format!("{{\"a\":\"{}\",\"b\":1}}", "x".repeat(10_000));
        let text = shown(long.as_bytes());
        assert!(
            text.len() < MAX_BYTES + 200 && text.contains("more bytes"),
            "{}",
            text.len()
        );
        let many = format!("[{}1]", "1,".repeat(500));
        assert_eq!(shown(many.as_bytes()).lines().count(), MAX_LINES + 1);
        assert_eq!(
            shown("x\n".repeat(200).as_bytes()).lines().last().unwrap(),
            "… 200 more bytes"
        );
    }

    proptest! {
        #[test]
        fn without_our_spaces_json_is_what_it_was(text in r#"[a-z\\"\[\]{},: é]{0,30}"#) {
            let body = serde_json::json!({ &text: [&text, 1.5, null] }).to_string();
            let ours: String = shown(body.as_bytes()).lines().map(str::trim_start).collect();
            prop_assert_eq!(ours.replace("\": ", "\":"), body.replace("\": ", "\":"));
        }

        #[test]
        fn nothing_disturbing_is_shown(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(!shown(&body).split('\n').any(|line| line.chars().any(disturbs)));
        }
    }
}
