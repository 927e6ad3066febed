//! Splits valid JSON text into tokens.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Open,
    Close,
    Colon,
    Comma,
    Key,
    String,
    Number,
    Word,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub kind: Kind,
    pub start: usize,
    pub text: &'a str,
}

/// Splits a JSON text, which [`check`](super::check) must have accepted, into tokens.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text[at..].trim_ascii_start();
        let start = text.len() - rest.len();
        let (kind, length) = match rest.as_bytes().first()? {
            b'{' | b'[' => (Kind::Open, 1),
            b'}' | b']' => (Kind::Close, 1),
            b':' => (Kind::Colon, 1),
            b',' => (Kind::Comma, 1),
            b'"' => {
                let length = string_length(rest);
                let is_key = rest[length..].trim_ascii_start().starts_with(':');
                (if is_key { Kind::Key } else { Kind::String }, length)
            }
            first => {
                let end = |c: char| matches!(c, ',' | ']' | '}') || c.is_ascii_whitespace();
                let kind = match first {
                    b'-' | b'0'..=b'9' => Kind::Number,
                    _ => Kind::Word,
                };
                (kind, rest.find(end).unwrap_or(rest.len()))
            }
        };
        at = start + length;
        Some(Token {
            kind,
            start,
            text: &rest[..length],
        })
    })
}

fn string_length(text: &str) -> usize {
    let mut is_escaped = true;
    let end = text.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 1)
}
