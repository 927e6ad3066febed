//! Reads files that are not one JSON text: one object per line, or JavaScript object literals.

use serde_json::Value;
use serde_json::value::RawValue;

use super::decode::{NOT_UTF8, line_after};
use super::object::{ObjectKind, read_object};
use super::{MAX_WARNINGS, Reader, error};
use crate::error::Error;
use crate::json::{self, Document};

/// Limit of one JavaScript literal in bytes. The samples on TeleCMI's page have under a thousand.
const LONGEST_LITERAL: usize = 1024 * 1024;

impl Reader<'_> {
    /// Reads a file of one object per line: CDRs or a capture. Returns `false` if the file has another format.
    ///
    /// The program that writes a capture may be killed within a line, so unreadable lines of a capture are skipped with
    /// a warning. In other files only the last line may be cut off; every other line must be valid.
    pub(super) fn lines(&mut self, bytes: &[u8], is_torn: bool) -> Result<bool, Error> {
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
                Err(fault) if is_torn && numbered.peek().is_none() && is_cut_off(&fault, bytes) => {
                    cut_off = Some(line);
                    break;
                }
                Err(fault) => {
                    note(line, with_column(&fault));
                    continue;
                }
            };
            if let Document::Object(members) = &document {
                let is_record = matches!(ObjectKind::of(members), ObjectKind::Record(_));
                has_records |= is_record;
                has_payloads |= !is_record;
            }
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            match read_object(text, &document, &place(line)) {
                Ok(parts) => items.push(parts),
                Err(what) => note(line, what),
            }
        }
        let is_capture = has_records && !has_payloads;
        if !is_capture && first_is_object != Some(true) {
            return Ok(false);
        }
        for parts in items {
            self.add(parts)?;
        }
        for (line, what) in bad {
            if !is_capture {
                let encoding = if std::str::from_utf8(bytes).is_err() {
                    ": save the file as UTF-8"
                } else {
                    ""
                };
                return Err(error(&place(line), what + encoding));
            }
            self.warn(&place(line), &format!("this line was skipped: {what}"));
        }
        self.more_warnings += more_bad;
        if let Some(line) = cut_off {
            self.warn(&place(line), "the last line is cut off and was skipped");
        }
        Ok(true)
    }

    /// Reads JSON objects that follow one another, such as a capture that was indented by `jq`. Returns `false` if the
    /// file has another format.
    pub(super) fn values(&mut self, bytes: &[u8], is_torn: bool) -> Result<bool, Error> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Ok(false);
        };
        let text = text.replace("}\u{feff}{", "}\n{");
        let mut values = serde_json::Deserializer::from_str(&text).into_iter::<&RawValue>();
        let (mut found, mut is_cut_off) = (Vec::new(), false);
        loop {
            let end = values.byte_offset();
            let start = end + text[end..].len() - text[end..].trim_ascii_start().len();
            match values.next() {
                None => break,
                Some(Ok(value)) if value.get().starts_with('{') => found.push((start, value)),
                Some(Err(error)) if error.is_eof() && is_torn && !found.is_empty() => {
                    is_cut_off = true;
                    break;
                }
                Some(_) => return Ok(false),
            }
        }
        let last = found.last();
        let end = last.map_or(0, |(start, value)| start + value.get().len());
        let (mut line, mut counted) = (1, 0);
        for (start, value) in found {
            line += breaks(&text[counted..start]);
            counted = start;
            self.object(value.get(), &format!("{}:{line}", self.name))?;
        }
        if is_cut_off {
            let line = line + breaks(text[counted..end].trim_end());
            let what = "the last object is cut off and was skipped";
            self.warn(&format!("{}:{}", self.name, line + 1), what);
        }
        Ok(true)
    }

    /// Reads JavaScript object literals, as on TeleCMI's page, and skips the text between literals with a warning, so
    /// that a whole page can be pasted. Without any literal, the JSON error `fault` is reported.
    pub(super) fn literals(&mut self, bytes: &[u8], fault: &json::Error) -> Result<(), Error> {
        let name = self.name;
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = line_after(&bytes[..error.valid_up_to()]);
            super::error(&format!("{name}:{line}"), NOT_UTF8)
        })?;
        let (mut rest, mut line, mut depth) = (text, 1, 0);
        while let Some(start) = rest.find('{') {
            depth += rest[..start].matches('[').count();
            depth = depth.saturating_sub(rest[..start].matches(']').count());
            self.skipped(&rest[..start], line);
            line += breaks(&rest[..start]);
            let place = format!("{name}:{line}");
            let error = |what: &str| error(&place, what);
            let length =
                braced(&rest[start..]).ok_or_else(|| error("an object that is not closed"))?;
            if length > LONGEST_LITERAL {
                return Err(error("an object of more than 1 MiB"));
            }
            let (literal, behind) = rest[start..].split_at(length);
            if json::check(literal.as_bytes()).is_ok() {
                self.object(literal, &place)?;
            } else {
                let value: Value = json_five::from_str(literal).map_err(|fault| {
                    let fault = fault.to_string();
                    let line = line + fault_line(&fault);
                    let what = if fault.contains("max depth") {
                        "neither JSON nor a JavaScript literal: nested too deeply"
                    } else {
                        "neither JSON nor a JavaScript literal"
                    };
                    super::error(&format!("{name}:{line}"), what)
                })?;
                if nulls(&value) > literal.matches("null").count() {
                    return Err(error("a number that JSON does not have, such as Infinity"));
                }
                self.object(&value.to_string(), &place)?;
            }
            line += breaks(literal);
            rest = behind;
        }
        if self.input.items.is_empty() && rest.len() == text.len() {
            let place = format!("{name}:{}", fault.line);
            return Err(error(&place, with_column(fault)));
        }
        self.skipped(rest, line);
        if depth > rest.matches(']').count() {
            let place = format!("{name}:{}", line + breaks(rest));
            self.warn(&place, "the array is not closed: the file may be cut off");
        }
        Ok(())
    }

    /// Warns of text between literals, but not of the punctuation of a JavaScript array or the record separators of a
    /// JSON text sequence (RFC 7464).
    fn skipped(&mut self, text: &str, line: usize) {
        let is_separator = |c: char| c.is_whitespace() || "[](),;\u{1e}".contains(c);
        let before = text.len() - text.trim_start_matches(is_separator).len();
        if before < text.len() {
            let place = format!("{}:{}", self.name, line + breaks(&text[..before]));
            self.warn(&place, "text that is not JSON was skipped");
        }
    }
}

fn breaks(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// Counts the nulls in a JSON value, which include `Infinity` and `NaN` of a JavaScript literal.
fn nulls(value: &Value) -> usize {
    match value {
        Value::Null => 1,
        Value::Array(values) => values.iter().map(nulls).sum(),
        Value::Object(fields) => fields.values().map(nulls).sum(),
        _ => 0,
    }
}

/// The number of line breaks before an error of the JavaScript parser, whose message ends with `line 1 column 2 (char 1)`.
fn fault_line(message: &str) -> usize {
    let place = message.rsplit_once("line ").map(|(_, place)| place);
    let line = place.and_then(|place| place.split(' ').next()?.parse().ok());
    line.map_or(0, |line: usize| line.saturating_sub(1))
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
