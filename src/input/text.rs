//! Reads files that are not one JSON text: one object per line, or JavaScript object literals.

use std::borrow::Cow;

use serde_json::Value;

use super::{Item, MAX_WARNINGS, RECORDS, Reader, error, read_object, record_type};
use crate::error::Error;
use crate::json::{self, Document};

/// Limit of one JavaScript literal in bytes. The samples on TeleCMI's page have under a thousand.
const LONGEST_LITERAL: usize = 1024 * 1024;

impl Reader<'_> {
    /// Reads a file of one object per line: CDRs or a capture. Returns `false` if the file has another format.
    ///
    /// The program that writes a capture may be killed within a line, so unreadable lines of a capture are skipped with
    /// a warning. In other files only the last line may be cut off; every other line must be valid.
    pub(super) fn lines(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        let numbered = (1..).zip(bytes.split(|byte| *byte == b'\n'));
        let is_filled = |(_, line): &(usize, &[u8])| !line.trim_ascii().is_empty();
        let mut numbered = numbered.filter(is_filled).peekable();
        let name = self.name;
        let place = |line: usize| format!("{name}:{line}");
        let (mut has_records, mut has_payloads, mut first_is_object) = (false, false, None);
        let (mut items, mut cut_off) = (Vec::new(), None);
        // A hostile file may have millions of bad lines, so that only the first [`MAX_WARNINGS`] are kept.
        let (mut bad, mut more_bad) = (Vec::new(), 0);
        let mut note = |line: usize, what: String| match bad.len() {
            0..MAX_WARNINGS => bad.push((line, what)),
            _ => more_bad += 1,
        };
        while let Some((line, bytes)) = numbered.next() {
            let document = json::document(bytes);
            first_is_object.get_or_insert(matches!(document, Ok(Document::Object(_))));
            let document = match document {
                Ok(document) => document,
                Err(fault) if numbered.peek().is_none() && is_cut_off(&fault, bytes) => {
                    cut_off = Some(line);
                    break;
                }
                Err(fault) => {
                    note(line, with_column(&fault));
                    continue;
                }
            };
            let kind = record_type(&document);
            let is_known = kind.as_deref().is_some_and(|kind| RECORDS.contains(&kind));
            has_records |= is_known;
            has_payloads |= kind.is_none();
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            match read_object(text, &document, &place(line)) {
                Ok(Some(item)) => {
                    let unknown = kind.filter(|_| !is_known).map(Cow::into_owned);
                    items.push((line, unknown, item));
                }
                Ok(None) => {}
                Err(what) => note(line, what),
            }
        }
        let is_capture = has_records && !has_payloads;
        if !is_capture && first_is_object != Some(true) {
            return Ok(false);
        }
        for (line, unknown, item) in items {
            if let Some(kind) = unknown.filter(|_| is_capture) {
                let what = format!("a record of a type that is not known here, {kind:?}");
                note(line, what);
            } else {
                self.add(item)?;
            }
        }
        bad.sort_by_key(|(line, _)| *line);
        for (line, what) in bad {
            if !is_capture {
                return Err(error(&place(line), what));
            }
            self.warn(&place(line), &format!("this line was skipped: {what}"));
        }
        self.more_warnings += more_bad;
        if let Some(line) = cut_off {
            self.warn(&place(line), "the last line is cut off and was skipped");
        }
        Ok(true)
    }

    /// Reads JavaScript object literals, as on TeleCMI's page, and skips the text between literals, so that a whole
    /// page can be pasted. Without any literal, the JSON error `fault` is reported.
    pub(super) fn literals(&mut self, bytes: &[u8], fault: &json::Error) -> Result<(), Error> {
        let name = self.name;
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|_| error(name, "not UTF-8 text"))?;
        let (mut rest, mut line) = (text, 1);
        let breaks = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count();
        while let Some(start) = rest.find('{') {
            line += breaks(&rest[..start]);
            let error = |what: &str| error(&format!("{name}:{line}"), what);
            let length =
                braced(&rest[start..]).ok_or_else(|| error("an object that is not closed"))?;
            if length > LONGEST_LITERAL {
                return Err(error("an object of more than 1 MiB"));
            }
            let (literal, behind) = rest[start..].split_at(length);
            let value: Value = json_five::from_str(literal).map_err(|fault| {
                let fault = fault.to_string();
                let what = json::plain_words(&fault);
                error(&format!("neither JSON nor a JavaScript literal: {what}"))
            })?;
            let body = serde_json::to_vec(&value).unwrap_or_default();
            self.input.items.push(Item::Body(body.into()));
            line += breaks(literal);
            rest = behind;
        }
        if self.input.items.is_empty() {
            let place = format!("{name}:{}", fault.line);
            return Err(error(&place, with_column(fault)));
        }
        Ok(())
    }
}

fn is_cut_off(fault: &json::Error, line: &[u8]) -> bool {
    let is_half_character = |error: std::str::Utf8Error| error.error_len().is_none();
    fault.is_cut_off || std::str::from_utf8(line).is_err_and(is_half_character)
}

fn with_column(fault: &json::Error) -> String {
    format!("{} in column {}", fault.message, fault.column)
}

/// The length of the braced text at the start of `text`. Braces within strings do not count.
fn braced(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth == 1 => return Some(at + 1),
            (None, '}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}
