//! JSON syntax errors with line and column, in plain words.

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
        let mistake = text
            .split_at_checked(offset)
            .and_then(|(before, rest)| frequent_mistake(before, rest, message));
        Self {
            line,
            column,
            message: mistake.unwrap_or_else(|| plain_words(message)).to_owned(),
            is_cut_off: error.is_eof(),
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

pub(crate) fn plain_words(message: &str) -> &str {
    let says = |part| message.contains(part);
    match message {
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
    }
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
