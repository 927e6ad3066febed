//! Reads the body of a message as text: `Content-Encoding`, then the charset.

use std::borrow::Cow;
use std::io::Read;

use encoding_rs::{Encoding, UTF_8};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::{Header, fields};

/// Limit of a decompressed body in bytes.
const MAX_DECODED: u64 = 1024 * 1024;

/// The first bytes of gzip data (RFC 1952, section 2.3.1).
const GZIP: &[u8] = b"\x1f\x8b";

/// A `charset` of an HTML page stands in its first 1024 bytes (HTML, section 4.2.5.5).
const META_BYTES: usize = 1024;

/// Returns the body as UTF-8 if it is text in a known charset, otherwise its decompressed bytes. The error names the
/// compression that cannot be decoded.
pub(super) fn decoded<'a>(headers: &[Header], body: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
    let body = decompress(headers, body)?;
    Ok(match decode_charset(headers, &body) {
        Some(text) => text.into_bytes().into(),
        None => body,
    })
}

/// Decompresses a body by its `Content-Encoding`, up to `MAX_DECODED` bytes. The beginning of a cut body is
/// decompressed too.
fn decompress<'a>(headers: &[Header], body: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
    let Some(names) = compression(headers, body) else {
        return Ok(body.into());
    };
    let as_it_came = body;
    let mut body = Cow::Borrowed(body);
    for name in names.rsplit(", ") {
        let decoded = match name {
            "gzip" | "x-gzip" => read(MultiGzDecoder::new(&*body)),
            // Some servers send raw deflate data instead of the zlib format (RFC 9110, section 8.4.1.2).
            "deflate" => {
                read(ZlibDecoder::new(&*body)).or_else(|| read(DeflateDecoder::new(&*body)))
            }
            _ => None,
        };
        body = match decoded {
            Some(decoded) => decoded.into(),
            // The header is wrong: the body is plain text.
            None if std::str::from_utf8(as_it_came).is_ok() => return Ok(as_it_came.into()),
            None => return Err(names),
        };
    }
    Ok(body)
}

/// The names of a body's content encodings, then those of its transfer codings besides `chunked`; `None` if the body is
/// empty or not compressed.
pub(crate) fn compression(headers: &[Header], body: &[u8]) -> Option<String> {
    let codings = fields(headers, "transfer-encoding");
    let mut names = Vec::new();
    for header in fields(headers, "content-encoding").chain(codings) {
        let list = header.text().to_ascii_lowercase();
        names.extend(list.split(',').map(|name| name.trim().to_owned()));
    }
    names.retain(|name| !matches!(name.as_str(), "" | "identity" | "chunked"));
    if names.is_empty() && body.starts_with(GZIP) {
        names.push("gzip without Content-Encoding".to_owned());
    }
    (!body.is_empty() && !names.is_empty()).then(|| names.join(", "))
}

/// Returns what could be read before an error, or `None` if that is nothing.
fn read(decoder: impl Read) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = decoder.take(MAX_DECODED).read_to_end(&mut bytes);
    (read.is_ok() || !bytes.is_empty()).then_some(bytes)
}

/// Decodes text by its byte order mark, the `charset` of its content type, or that of an HTML page's `meta` element.
/// Returns `None` without a known charset, and for bytes that are not valid UTF-8 as they should be.
fn decode_charset(headers: &[Header], body: &[u8]) -> Option<String> {
    let content_type = super::header(headers, "content-type").unwrap_or_default();
    let page = String::from_utf8_lossy(&body[..body.len().min(META_BYTES)]);
    let in_page = || charset(&page[page.find("<meta")?..]);
    let charset = charset(&content_type).or_else(in_page);
    let (mark, _) = Encoding::for_bom(body).unzip();
    let encoding = mark.or_else(|| Encoding::for_label(charset?.as_bytes()))?;
    let (text, _, has_errors) = encoding.decode(body);
    (!has_errors || encoding != UTF_8).then(|| text.into_owned())
}

fn charset(text: &str) -> Option<&str> {
    let at = text.to_ascii_lowercase().find("charset=")?;
    let value = text[at + "charset=".len()..].trim_start_matches(['"', '\'']);
    let is_end = |c: char| !(c.is_ascii_alphanumeric() || "-_.:".contains(c));
    value.split(is_end).next()
}
