//! JavaScript object literals, as TeleCMI's page has them.

use serde_json::Value;

use crate::json;

/// The longest literal read: a sample has under a thousand bytes.
const LONGEST_LITERAL: usize = 1024 * 1024;

/// The JavaScript object literals in a text, as JSON. What stands between them is passed over, so that a whole page
/// can be pasted.
pub(super) fn read(text: &str) -> Result<Vec<Vec<u8>>, (usize, String)> {
    let mut literals = Vec::new();
    let (mut rest, mut line) = (text, 1);
    let breaks = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count();
    while let Some(start) = rest.find('{') {
        line += breaks(&rest[..start]);
        let candidate = &rest[start..];
        let length = braced(candidate).ok_or((line, "an object that is not closed".to_owned()))?;
        if length > LONGEST_LITERAL {
            return Err((line, "an object of more than 1 MiB".to_owned()));
        }
        let value: Value = json_five::from_str(&candidate[..length]).map_err(|error| {
            let error = error.to_string();
            let what = json::plain_words(&error);
            (
                line,
                format!("neither JSON nor a JavaScript literal: {what}"),
            )
        })?;
        literals.push(serde_json::to_vec(&value).unwrap_or_default());
        line += breaks(&candidate[..length]);
        rest = &candidate[length..];
    }
    Ok(literals)
}

/// The length of the braced text that `text` starts with, strings in it respected.
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
            (None, '}') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            (None, _) => {}
        }
    }
    None
}
