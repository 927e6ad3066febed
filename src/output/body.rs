//! Renders a body as lines: JSON token by token, coloured and indented but not serialised again; other bodies line by line.
//! The length is bounded, and control characters are escaped.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::LazyLock;

use regex_lite::{Captures, Regex};

use super::text::{Role, Theme};
use crate::json::{self, Kind};
use crate::reply::MESSAGES;
use crate::untrusted::{clean, disturbs, is_plain, pattern};

/// Of a body, at most 4 KiB and 100 lines are shown; the remaining bytes or lines are counted.
const MAX_BYTES: usize = 4 * 1024;
const MAX_LINES: usize = 100;

/// Longest body in bytes that is shown even if it is not text.
const MAX_BINARY: usize = 64;

/// Without `--verbose`, this many characters of a line are shown.
pub const MAX_LINE: usize = 300;

/// JSON in one line without spaces: the first `MAX_LINE` characters, or more if the message ends later. A message far
/// behind them, as behind a stack trace, is a line of its own. Returns `None` for a body that is not JSON.
pub fn compact_json(body: &[u8]) -> Option<Vec<String>> {
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
        vec![cut(&compact, MAX_LINE), cut(&compact[message], MAX_LINE)]
    } else {
        vec![cut(&compact, to_its_end.clamp(MAX_LINE, MAX_BYTES))]
    })
}

pub fn compressed(size: u64, names: &str) -> String {
    format!("{size} bytes, compressed ({}), not shown", clean(names))
}

/// The first `most` characters of a line, and the number of the others.
pub fn cut(line: &str, most: usize) -> String {
    match line.char_indices().nth(most) {
        None => line.to_owned(),
        Some((end, _)) => {
            let more = line[end..].chars().count();
            format!("{}… {more} characters more (-v shows them)", &line[..end])
        }
    }
}

pub fn lines(body: &[u8], theme: Theme) -> Vec<String> {
    json_lines(body, theme).unwrap_or_else(|| text_lines(body))
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

/// `json_lines` returns `None` for a body that is not JSON.
fn json_lines(body: &[u8], theme: Theme) -> Option<Vec<String>> {
    let text = json_text(body)?;
    let mut lines = vec![String::new()];
    let mut depth = 0_usize;
    let mut after_open = false;
    for token in json::tokens(text) {
        let is_close = token.kind == Kind::Close;
        if after_open && !is_close {
            depth += 1;
            lines.push("  ".repeat(depth));
        }
        if token.start > MAX_BYTES || lines.len() >= MAX_LINES {
            lines.push(theme.paint(Role::Faint, &more(text.len() - token.start)));
            break;
        }
        if is_close && !after_open {
            depth = depth.saturating_sub(1);
            lines.push("  ".repeat(depth));
        }
        let readable = readable(token.text);
        let raw = bounded(&readable);
        let painted = match token.kind {
            Kind::Key => theme.paint(Role::Name, &raw),
            Kind::String => theme.paint(Role::Text, &raw),
            Kind::Number => theme.paint(Role::Number, &raw),
            Kind::Word => theme.paint(Role::Word, &raw),
            Kind::Colon => ": ".to_owned(),
            Kind::Comma | Kind::Open | Kind::Close => raw.into_owned(),
        };
        if let Some(line) = lines.last_mut() {
            line.push_str(&painted);
        }
        after_open = token.kind == Kind::Open;
        if token.kind == Kind::Comma {
            lines.push("  ".repeat(depth));
        }
    }
    Some(lines)
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
    if raw.len() > MAX_BYTES {
        let is_boundary = |at: &usize| raw.is_char_boundary(*at);
        let end = (0..=MAX_BYTES).rev().find(is_boundary).unwrap_or(0);
        return format!("{}{}", clean(&raw[..end]), more(raw.len() - end)).into();
    }
    if is_plain(raw) {
        raw.into()
    } else {
        clean(raw).into()
    }
}

/// In a body that is not JSON, bytes that are not UTF-8 are shown as `\xff`. A body of which they and control characters
/// are more than a quarter is named only.
fn text_lines(body: &[u8]) -> Vec<String> {
    let shown = &body[..body.len().min(MAX_BYTES)];
    let invalid: usize = shown.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    let is_control = |byte: &&u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    let controls = shown.iter().filter(is_control);
    if body.len() > MAX_BINARY && 4 * (invalid + controls.count()) > shown.len() {
        return vec![format!("{} bytes, not text, not shown", body.len())];
    }
    let mut text = String::new();
    for chunk in shown.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    let line = |line: &str| clean(line.trim_end_matches('\r'));
    let mut lines: Vec<String> = text.split('\n').map(line).collect();
    lines.pop_if(|last| last.is_empty());
    let more_lines = lines.drain(MAX_LINES.min(lines.len())..);
    let cut: usize = more_lines.map(|line| line.len() + 1).sum();
    let unseen = cut + body.len() - shown.len();
    if unseen > 0 {
        lines.push(more(unseen));
    }
    lines
}

pub fn pairs(pairs: &[(String, String)], theme: Theme) -> Vec<String> {
    /// `MAX_WIDTH` exceeds the longest documented field name of a CDR; longer names do not widen the column.
    const MAX_WIDTH: usize = 24;
    let widths = pairs.iter().map(|(name, _)| clean(name).chars().count());
    let short = widths.filter(|width| *width <= MAX_WIDTH);
    let width = short.max().unwrap_or(0);
    let mut shown = 0;
    let mut lines = Vec::new();
    for (place, (name, value)) in pairs.iter().enumerate() {
        if lines.len() >= MAX_LINES || shown > MAX_BYTES {
            let more = format!("… {} more parameters", pairs.len() - place);
            lines.push(theme.paint(Role::Faint, &more));
            break;
        }
        shown += name.len() + value.len();
        let name = bounded(name);
        let padding = " ".repeat(width.saturating_sub(name.chars().count()));
        lines.push(format!(
            "{}{padding} = {}",
            theme.paint(Role::Name, &name),
            theme.paint(Role::Text, &bounded(value))
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::untrusted::disturbs;
    use proptest::prelude::*;

    fn shown(body: &[u8]) -> String {
        lines(body, Theme::plain()).join("\n")
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
