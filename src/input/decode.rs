//! Converts text files to UTF-8: UTF-16 files, and byte order marks at the start of a file or of a line, which stay
//! behind when files are joined.

use std::borrow::Cow;

const MARK: &str = "\u{feff}";

/// The first bytes of compressed files, the format, and a command that unpacks such a file.
const COMPRESSED: [(&[u8], &str, &str); 5] = [
    (b"\x1f\x8b", "compressed by gzip", "gzip -dc"),
    (b"PK\x03\x04", "a zip archive", "unzip -p"),
    (b"BZh", "compressed by bzip2", "bzip2 -dc"),
    (b"\xfd7zXZ", "compressed by xz", "xz -dc"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "zstd -dc"),
];

/// A problem of a text file: the line, from one, and a sentence.
pub type Problem = (usize, Cow<'static, str>);

/// Returns the file as UTF-8 without byte order marks. Bytes without UTF-16 need not be UTF-8: a capture may have single
/// damaged lines.
pub fn to_utf8(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Problem> {
    let mut formats = COMPRESSED.iter();
    if let Some((_, format, command)) = formats.find(|(start, ..)| bytes.starts_with(start)) {
        let what = format!("{format}: unpack the file first, as {command} does");
        return Err((1, what.into()));
    }
    let bytes: Cow<'_, [u8]> = match bytes {
        [0xff, 0xfe, 0, 0, ..]
        | [0, 0, 0xfe, 0xff, ..]
        | [1..=0x7f, 0, 0, 0, ..]
        | [0, 0, 0, 1..=0x7f, ..] => {
            return Err((1, "the text is UTF-32: save the file as UTF-8".into()));
        }
        // No text has a NUL character, so a zero byte beside an ASCII character is half of a UTF-16 unit.
        [0xff, 0xfe, ..] | [1..=0x7f, 0, ..] => utf16(bytes, u16::from_le_bytes)?.into(),
        [0xfe, 0xff, ..] | [0, 1..=0x7f, ..] => utf16(bytes, u16::from_be_bytes)?.into(),
        _ => bytes.into(),
    };
    let mark = MARK.as_bytes();
    if !bytes.windows(mark.len()).any(|window| window == mark) {
        return Ok(bytes);
    }
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let unmarked = lines.flat_map(|mut line| {
        while let Some(rest) = line.strip_prefix(mark) {
            line = rest;
        }
        line
    });
    Ok(unmarked.copied().collect::<Vec<_>>().into())
}

pub fn to_text(bytes: &[u8]) -> Result<String, Problem> {
    String::from_utf8(to_utf8(bytes)?.into_owned()).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        (line_after(before), NOT_UTF8.into())
    })
}

pub(super) const NOT_UTF8: &str = "not UTF-8 text: save the file as UTF-8";

/// The number of the line that follows or continues `before`.
pub(super) fn line_after(before: &[u8]) -> usize {
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Vec<u8>, Problem> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len());
    for c in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        let broken = "not valid UTF-16 text: save the file as UTF-8";
        text.push(c.map_err(|_| (line_after(text.as_bytes()), broken.into()))?);
    }
    if !rest.is_empty() {
        let half = "the text is UTF-16 and ends within a character: save the file again";
        return Err((line_after(text.as_bytes()), half.into()));
    }
    Ok(text.into_bytes())
}
