//! JSON syntax errors with line and column, in plain words.

use serde::de::IgnoredAny;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at line {line} column {column}")]
pub struct Error {
    pub line: usize,
    /// The column of a JSON syntax error, in bytes and from one.
    pub column: usize,
    pub message: String,
    pub is_cut_off: bool,
}

impl Error {
    pub(crate) fn new(text: &str, error: &serde_json::Error) -> Self {
        let line = error.line();
        // serde_json's column is 0 at a line break and at the end of an empty text.
        let column = error.column().max(1);
        let long = error.to_string();
        let place = format!(" at line {line} column {}", error.column());
        let message = long.strip_suffix(&place).unwrap_or(&long);
        let lines = text.split_inclusive('\n').take(line.saturating_sub(1));
        let offset = lines.map(str::len).sum::<usize>() + column - 1;
        // A number that ends behind its sign, point or exponent is cut off, too: one more digit makes the error an EOF.
        let ends_in_number = || {
            let longer = format!("{text}0");
            let longer = serde_json::from_str::<IgnoredAny>(&longer);
            longer.is_err_and(|error| error.is_eof())
        };
        let is_cut_off = error.is_eof() || message == "invalid number" && ends_in_number();
        let parts = text.split_at_checked(offset);
        let mistake = parts.and_then(|(before, rest)| frequent_mistake(before, rest, message));
        Self {
            line,
            column,
            message: mistake.map_or_else(|| plain_words(message), str::to_owned),
            is_cut_off,
        }
    }

    pub(super) fn at(bytes: &[u8], place: usize, message: impl Into<String>) -> Self {
        let before = &bytes[..place];
        let line_start = before.iter().rposition(|byte| *byte == b'\n');
        Self {
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            column: place - line_start.map_or(0, |start| start + 1) + 1,
            message: message.into(),
            is_cut_off: false,
        }
    }
}

fn plain_words(message: &str) -> String {
    let says = |part| message.contains(part);
    let words = match message {
        _ if says("invalid type") || says("unknown variant") => return wrong_type(message),
        _ if says("surrogate") || says("end of hex escape") => "half of a surrogate pair",
        _ if says("EOF while parsing a string") => "a string without its closing quote",
        _ if says("EOF while parsing") => "the text ends in the middle of a value",
        _ if says("control character") => "a control character inside a string",
        _ if says("expected `,` or `]`") => "expected a comma or the closing bracket",
        _ if says("expected `,` or `}`") => "expected a comma or the closing brace",
        _ if says("expected `:`") => "expected a colon after the name",
        _ if says("expected ident") => "expected true, false or null",
        _ if says("expected value") => "expected a value",
        _ if says("invalid escape") => "an escape that JSON does not have",
        _ if says("invalid number") => "a number that JSON does not allow",
        _ if says("key must be a string") => "expected a name in double quotes",
        _ if says("max depth") => "nested too deeply",
        _ if says("number out of range") => "a number that is too large",
        _ if says("recursion limit exceeded") => "nested deeper than 127 levels",
        _ if says("trailing characters") => "more text after the end of the value",
        _ => message,
    };
    words.to_owned()
}

/// Words serde's message on a value of a wrong type, without the value, which may be a secret.
fn wrong_type(message: &str) -> String {
    let (found, expected) = message.split_once(", expected ").unwrap_or_default();
    let expected = match expected {
        "a sequence" => "an array",
        "i64" | "u64" => "a whole number",
        _ if expected.starts_with("struct") => "an object",
        _ => expected,
    };
    let found = found.strip_prefix("invalid type: ").unwrap_or("string");
    let found = match found.split(' ').next().unwrap_or_default() {
        "map" => "object",
        "sequence" => "array",
        "integer" | "floating" => "number",
        word => word,
    };
    format!("expected {expected}, found {found}")
}

fn frequent_mistake(before: &str, rest: &str, message: &str) -> Option<&'static str> {
    let is_name = message == "key must be a string";
    let is_behind_comma = before.trim_ascii_end().ends_with(',');
    match rest.chars().next()? {
        '}' if is_behind_comma => Some("a comma before the closing brace"),
        ']' if is_behind_comma => Some("a comma before the closing bracket"),
        '\'' if is_name => Some("a name in single quotes"),
        '\'' if message == "expected value" => Some("a string in single quotes"),
        '\u{feff}' if before.is_empty() => {
            Some("the text starts with a byte order mark, which JSON forbids")
        }
        _ => None,
    }
}
