//! A body as it came: JSON token by token over the raw bytes, coloured and indented but never re-serialised; anything
//! else line by line. Bounded, and harmless whatever it holds.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::theme::{Role, Theme};
use crate::json::{self, Kind, Token};
use crate::untrusted::{clean, is_plain};

/// As much of a body as is shown, in bytes and in lines; the rest is counted.
const MOST_BYTES: usize = 4 * 1024;
const MOST_LINES: usize = 100;

/// A body's lines.
#[must_use]
pub fn lines(body: &[u8], theme: Theme) -> Vec<String> {
    json_lines(body, theme).unwrap_or_else(|| text_lines(body))
}

fn more(bytes: usize) -> String {
    format!("… {bytes} bytes more")
}

/// The lines of a body that is JSON.
fn json_lines(body: &[u8], theme: Theme) -> Option<Vec<String>> {
    let text = json::check(body).ok()?;
    let mut lines = JsonLines {
        lines: vec![String::new()],
        text,
        theme,
        depth: 0,
        opened: false,
        cut: false,
    };
    for token in json::tokens(text) {
        lines.add(token);
    }
    Some(lines.lines)
}

/// The lines of JSON, as far as its tokens have been read.
struct JsonLines<'a> {
    lines: Vec<String>,
    text: &'a str,
    theme: Theme,
    depth: usize,
    /// Whether the last token was an opening bracket: the next one tells whether there is anything within.
    opened: bool,
    /// Whether there was more than is shown.
    cut: bool,
}

impl JsonLines<'_> {
    /// Adds the next token.
    fn add(&mut self, token: Token<'_>) {
        if self.cut {
            return;
        }
        let is_close = token.kind == Kind::Close;
        let is_within = std::mem::take(&mut self.opened);
        if is_within && !is_close {
            self.depth += 1;
            self.break_line();
        }
        if token.start > MOST_BYTES || self.lines.len() >= MOST_LINES {
            self.cut = true;
            let rest = more(self.text.len() - token.start);
            self.lines.push(self.theme.paint(Role::Faint, &rest));
            return;
        }
        if is_close && !is_within {
            self.depth = self.depth.saturating_sub(1);
            self.break_line();
        }
        let raw = bounded(token.text);
        let painted = match token.kind {
            Kind::Key => self.theme.paint(Role::Name, &raw),
            Kind::String => self.theme.paint(Role::Text, &raw),
            Kind::Number => self.theme.paint(Role::Number, &raw),
            Kind::Word => self.theme.paint(Role::Word, &raw),
            Kind::Colon => ": ".to_owned(),
            Kind::Comma | Kind::Open | Kind::Close => raw.into_owned(),
        };
        if let Some(line) = self.lines.last_mut() {
            line.push_str(&painted);
        }
        match token.kind {
            Kind::Open => self.opened = true,
            Kind::Comma => self.break_line(),
            _ => {}
        }
    }

    fn break_line(&mut self) {
        self.lines.push("  ".repeat(self.depth));
    }
}

/// One value, cut off where it is too long to be shown.
fn bounded(raw: &str) -> Cow<'_, str> {
    if raw.len() > MOST_BYTES {
        let end = (0..=MOST_BYTES)
            .rev()
            .find(|at| raw.is_char_boundary(*at))
            .unwrap_or(0);
        return format!("{}{}", clean(&raw[..end]), more(raw.len() - end)).into();
    }
    if is_plain(raw) {
        raw.into()
    } else {
        clean(raw).into()
    }
}

/// Text that is not JSON; bytes that are not text become visible too.
fn text_lines(body: &[u8]) -> Vec<String> {
    let shown = &body[..body.len().min(MOST_BYTES)];
    let mut text = String::new();
    for chunk in shown.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    let mut lines: Vec<String> = text
        .split('\n')
        .map(|line| clean(line.trim_end_matches('\r')))
        .collect();
    if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let cut: usize = lines
        .drain(MOST_LINES.min(lines.len())..)
        .map(|line| line.len() + 1)
        .sum();
    let unseen = cut + body.len() - shown.len();
    if unseen > 0 {
        lines.push(more(unseen));
    }
    lines
}

/// The pairs of a query, one a line, names in a column.
#[must_use]
pub fn pairs(pairs: &[(String, String)], theme: Theme) -> Vec<String> {
    /// Wider than the longest documented name; longer ones stand out.
    const WIDEST: usize = 24;
    let width = pairs
        .iter()
        .map(|(name, _)| clean(name).chars().count())
        .filter(|n| *n <= WIDEST)
        .max()
        .unwrap_or(0);
    let mut shown = 0;
    let mut lines = Vec::new();
    for (place, (name, value)) in pairs.iter().enumerate() {
        if lines.len() >= MOST_LINES || shown > MOST_BYTES {
            lines.push(theme.paint(
                Role::Faint,
                &format!("… {} parameters more", pairs.len() - place),
            ));
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
            text.len() < MOST_BYTES + 200 && text.contains("bytes more"),
            "{}",
            text.len()
        );
        let many = format!("[{}1]", "1,".repeat(500));
        assert_eq!(shown(many.as_bytes()).lines().count(), MOST_LINES + 1);
        assert_eq!(
            shown("x\n".repeat(200).as_bytes()).lines().last().unwrap(),
            "… 200 bytes more"
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
