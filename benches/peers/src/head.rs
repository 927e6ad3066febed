//! As much of HTTP/1.1 as the peers need: where a head ends, how long the body is, whether the connection stays.

/// How long the head is, its empty line included; nothing if it has not come whole.
pub fn end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// How long the body is.
pub fn content_length(head: &[u8]) -> usize {
    value(head, b"content-length")
        .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok())
        .unwrap_or(0)
}

/// Whether this side of the connection wants no more of it.
pub fn closes(head: &[u8]) -> bool {
    value(head, b"connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"))
}

/// Whether an old sender asks for the connection to stay, and wants to hear that it does.
pub fn asks_to_stay(head: &[u8]) -> bool {
    value(head, b"connection").is_some_and(|value| value.eq_ignore_ascii_case(b"keep-alive"))
}

fn value<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (first, rest) = line.split_at_checked(name.len())?;
        let value = first.eq_ignore_ascii_case(name).then(|| rest.strip_prefix(b":"))??;
        Some(value.trim_ascii())
    })
}
