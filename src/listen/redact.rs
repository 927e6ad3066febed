//! `--redact`: an exchange with every telephone number and app id replaced by a pseudonym.
//!
//! The same number has the same pseudonym in the whole capture file, two numbers never share one, and a pseudonym is
//! never replaced again. A number with and without its country code counts as two numbers.
//!
//! Replaced are: numbers in fields that are named for them, and these numbers elsewhere; digits that look like a number by
//! themselves; app ids; secrets in the target and the headers. Kept are identifiers and times, names, words in `custom`,
//! tokens in the path, extensions and the sender's address. A body that is not plain text is left out.

mod decode;
mod known;
mod pseudonyms;

use std::io::{self, Read};
use std::sync::LazyLock;

use regex_lite::Regex;
use serde_json::{Map, Value};

use crate::exchange::Exchange;
use crate::net::secret::{self, is_secret_name, masked_headers, masked_url};
use crate::net::{Body, Header, Request, header};
use decode::{Decoded, Form, PLUS_OR_SPACE};
use known::{Known, SHORTEST_KNOWN};
use pseudonyms::{NUMBER, Pseudonyms};

/// Upper number of digits in a telephone number (E.164).
const LONGEST_NUMBER: usize = 15;
/// Lower number of digits in a number without a plus sign, a field's name or a known number.
const SHORTEST_ALONE: usize = 8;
/// The same between letters.
const SHORTEST_BETWEEN_LETTERS: usize = 9;
/// Upper number of digits whose pseudonym is remembered.
const LONGEST_REMEMBERED: usize = 32;

/// Members of a record that hold no text of the sender, or, for `request`, are redacted apart.
const NOT_REDACTED: [&str; 5] = ["n", "received_at", "peer", "request", "took_ms"];

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

static TOKEN: LazyLock<Regex> =
    LazyLock::new(|| pattern("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Za-z]+"));
/// Separators between the digits of a number; a plus sign only where it may mean a space.
static SEPARATOR: LazyLock<Regex> = LazyLock::new(|| pattern("^(?:[ \\t().:/_\x03-]{1,3}|,)"));
static ENCODED_PART: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)content-transfer-encoding:\s*(?:base64|quoted-printable)"));

/// Replaces numbers by pseudonyms and remembers them. A clone gives the same pseudonyms to the same exchanges.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    pseudonyms: Pseudonyms,
}

impl Redactor {
    /// Continues after the pseudonyms that a capture file holds.
    pub fn resume(&mut self, file: impl Read) -> io::Result<()> {
        self.pseudonyms.resume(file)
    }

    /// The record of an exchange, redacted.
    #[must_use]
    pub fn redacted(&mut self, exchange: &Exchange) -> Value {
        let request = &exchange.request;
        let body = body_text(request);
        let known = self.known(request, body);
        let exchange = Exchange {
            request: self.request(request, body, &known),
            ..exchange.clone()
        };
        let mut record = serde_json::to_value(exchange).unwrap_or_default();
        if body.is_none() {
            record["request"]["omitted"] = "the body is not plain text".into();
        }
        for (name, value) in record.as_object_mut().into_iter().flatten() {
            if !NOT_REDACTED.contains(&name.as_str()) {
                self.value(value, &known);
            }
            // The parameters of a GET are the members of `cdr`, secrets included.
            if name == "cdr"
                && request.method == "GET"
                && let Value::Object(fields) = value
            {
                hide_secrets(fields);
            }
        }
        record
    }

    fn known(&mut self, request: &Request, body: Option<&str>) -> Known {
        let mut known = Known::default();
        known.learn(&Decoded::new(&request.target, Form::Url));
        for Header { name, value } in &request.headers {
            let line = format!("{name}: {}", String::from_utf8_lossy(value));
            known.learn(&Decoded::new(&line, Form::Text));
        }
        if let Some(body) = body {
            known.learn(&Decoded::new(body, body_form(request)).cut(is_cut(request)));
        }
        for pseudonym in &known.number_pseudonyms {
            self.pseudonyms.reserve_number(pseudonym);
        }
        let apps = std::mem::take(&mut known.apps);
        (known.app_pseudonyms, known.apps) = apps
            .into_iter()
            .partition(|app| self.pseudonyms.is_app_pseudonym(app));
        self.pseudonyms.add_apps(&known.apps);
        known
    }

    fn request(&mut self, request: &Request, body: Option<&str>, known: &Known) -> Request {
        let mut redacted = request.clone();
        redacted.method = self.text(&request.method, Form::Text, known).into();
        redacted.target = self.text(&masked_url(&request.target), Form::Url, known);
        if let Some(body) = body {
            let decoded = Decoded::new(body, body_form(request)).cut(is_cut(request));
            redacted.body = self.decoded(&decoded, known).into_bytes().into();
            redacted.size =
                request.size.saturating_sub(request.body.len() as u64) + redacted.body.len() as u64;
        } else {
            redacted.body = Body::default();
            redacted.complete = false;
        }
        redacted.headers = masked_headers(redacted.headers);
        for header in &mut redacted.headers {
            if header.is("content-length") {
                if header.text().trim().parse() == Ok(request.size) {
                    header.value = redacted.size.to_string().into();
                }
                continue;
            }
            header.name = self.text(&header.name, Form::Text, known).into();
            let value = String::from_utf8_lossy(&header.value);
            let masked = self.text(&value, Form::Text, known);
            if masked != value {
                header.value = masked.into();
            }
        }
        redacted
    }

    /// Redacts a value recursively; numbers stay numbers.
    fn value(&mut self, value: &mut Value, known: &Known) {
        match value {
            Value::String(text) => *text = self.text(text, Form::Text, known),
            Value::Number(number) => {
                let text = number.to_string();
                let redacted = self.text(&text, Form::Text, known);
                if redacted != text {
                    *value = serde_json::from_str(&redacted).unwrap_or(Value::String(redacted));
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item, known)),
            Value::Object(members) => {
                for (name, mut value) in std::mem::take(members) {
                    self.value(&mut value, known);
                    members.insert(self.text(&name, Form::Text, known), value);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn text(&mut self, text: &str, form: Form, known: &Known) -> String {
        self.decoded(&Decoded::new(text, form), known)
    }

    fn decoded(&mut self, decoded: &Decoded<'_>, known: &Known) -> String {
        let mut out = String::with_capacity(decoded.source.len() + 16);
        let mut copied = 0;
        while let Some(token) = TOKEN.find_at(&decoded.text, copied) {
            let word = decoded.word(token.range(), copied);
            let mut at = word.start;
            if !word.is_uuid {
                while let Some(digits) =
                    decoded.text[at..word.end].find(|c: char| c.is_ascii_digit())
                {
                    at += digits;
                    let (pseudonym, end) = self.digits(decoded, at, &word, known);
                    if let Some(pseudonym) = pseudonym {
                        out.push_str(decoded.original(copied..at));
                        out.push_str(&pseudonym);
                        copied = end;
                    }
                    at = end;
                    if at >= word.end {
                        break;
                    }
                }
            }
            let end = at.max(word.end);
            out.push_str(decoded.original(copied..end));
            copied = end;
        }
        out.push_str(decoded.original(copied..decoded.text.len()));
        out
    }

    /// The pseudonym of the number that begins with the digits here, and the end of the number or of the digits.
    fn digits(
        &mut self,
        decoded: &Decoded<'_>,
        at: usize,
        word: &Word,
        known: &Known,
    ) -> (Option<String>, usize) {
        let end = decoded.digits_end(at);
        let digits = &decoded.text[at..end];
        if self.pseudonyms.reserve_number(digits) {
            return (None, end);
        }
        if !known.is_number(digits) {
            let has_plus = matches!(decoded.byte_before(at), Some(b'+' | PLUS_OR_SPACE));
            if (has_plus || !known.is_empty())
                && let Some((digits, end)) = written_in_pieces(decoded, at, has_plus, known)
            {
                return (Some(self.pseudonyms.number(&digits)), end);
            }
        }
        (self.alone(decoded, at, word, known), end)
    }

    /// The pseudonym of digits without separators.
    fn alone(
        &mut self,
        decoded: &Decoded<'_>,
        at: usize,
        word: &Word,
        known: &Known,
    ) -> Option<String> {
        let end = decoded.digits_end(at);
        let digits = &decoded.text[at..end];
        let is_cut = decoded.is_cut_at(end) && digits.len() >= 4;
        if digits.len() < SHORTEST_KNOWN && !is_cut {
            return None;
        }
        let is_letter = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphabetic());
        let is_between_letters = is_letter(decoded.byte_before(at)) || is_letter(decoded.byte(end));
        let is_long = digits.len() >= SHORTEST_ALONE;
        if known.is_number(digits) && (is_long || !word.is_request_id) {
            return Some(self.pseudonyms.number(digits));
        }
        if !is_between_letters {
            if self.pseudonyms.is_app(digits) || known.apps.contains(digits) {
                return Some(self.pseudonyms.app(digits));
            }
            if known.app_pseudonyms.contains(digits) {
                return None;
            }
        }
        let looks_like_number =
            digits.len() >= SHORTEST_BETWEEN_LETTERS || (is_long && !is_between_letters);
        let is_number = (looks_like_number && !word.is_request_id && !is_time(digits))
            || is_cut
            || known.is_within(digits);
        is_number.then(|| self.pseudonyms.number(digits))
    }
}

/// Masks the values of fields with secret names.
pub(super) fn hide_secrets(fields: &mut Map<String, Value>) {
    for (name, value) in fields {
        if is_secret_name(name) {
            *value = secret::MASK.into();
        } else if let Value::Object(inner) = value {
            hide_secrets(inner);
        }
    }
}

/// A run of letters and digits, or a UUID.
struct Word {
    start: usize,
    end: usize,
    is_uuid: bool,
    /// Whether the word is as long as a `request_id`.
    is_request_id: bool,
}

impl Decoded<'_> {
    fn word(&self, token: std::ops::Range<usize>, searched_from: usize) -> Word {
        let is_alphanumeric =
            |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        // A search that began within a word finds the rest of the word.
        let is_whole =
            token.start > searched_from || !is_alphanumeric(self.byte_before(token.start));
        let is_uuid = self.text[token.clone()].contains('-')
            && is_whole
            && !is_alphanumeric(self.byte(token.end));
        let end = if is_uuid {
            token.end
        } else {
            let rest = self.text.as_bytes()[token.start..].iter();
            token.start + rest.take_while(|byte| byte.is_ascii_alphanumeric()).count()
        };
        Word {
            start: token.start,
            end,
            is_uuid,
            is_request_id: is_whole && end - token.start == 43,
        }
    }
}

/// The digits from here on, then with each further piece of what may be one number, and where they end.
fn pieces(decoded: &Decoded<'_>, at: usize) -> impl Iterator<Item = (String, usize)> {
    /// `+33 1 99 00 00 00` has six.
    const MAX_PIECES: usize = 7;
    let mut end = decoded.digits_end(at);
    let mut next = Some((decoded.text[at..end].to_owned(), end));
    (0..MAX_PIECES).map_while(move |_| {
        let (digits, _) = next.take()?;
        let this = (digits.clone(), end);
        if let Some(separator) = SEPARATOR.find(&decoded.text[end..]) {
            let start = end + separator.end();
            let piece_end = decoded.digits_end(start);
            let piece = &decoded.text[start..piece_end];
            let length = digits.len() + piece.len();
            if !piece.is_empty() && length <= LONGEST_NUMBER && NUMBER.count(piece).is_none() {
                end = piece_end;
                next = Some((digits + piece, end));
            }
        }
        Some(this)
    })
}

/// The digits and the end of a number that is written with a plus sign, or in pieces and known.
fn written_in_pieces(
    decoded: &Decoded<'_>,
    at: usize,
    has_plus: bool,
    known: &Known,
) -> Option<(String, usize)> {
    /// Lower number of digits after a plus sign.
    const SHORTEST: usize = 7;
    let mut all = pieces(decoded, at);
    let first = all.next()?;
    let mut last = first.clone();
    for piece in all {
        if known.is_number_or_its_end(&piece.0) {
            return Some(piece);
        }
        last = piece;
    }
    if !has_plus {
        return None;
    }
    if first.0.len() >= SHORTEST_ALONE {
        return Some(first);
    }
    let least = if decoded.is_cut_at(last.1) {
        4
    } else {
        SHORTEST
    };
    (last.0.len() >= least).then_some(last)
}

/// Whether digits are a time: seconds or milliseconds since 1970, a date, a date and a time.
fn is_time(digits: &str) -> bool {
    match digits.len() {
        13 | 10 => digits.starts_with('1'),
        8 => is_date(digits),
        14 => {
            is_date(&digits[..8])
                && &digits[8..10] < "24"
                && &digits[10..12] < "60"
                && &digits[12..] < "60"
        }
        _ => false,
    }
}

fn is_date(digits: &str) -> bool {
    let (month, day) = (&digits[4..6], &digits[6..]);
    matches!(&digits[..2], "19" | "20")
        && ("01"..="12").contains(&month)
        && ("01"..="31").contains(&day)
}

/// The body, unless numbers in it may be unreadable: compressed, binary, UTF-16, or a part in base64.
fn body_text(request: &Request) -> Option<&str> {
    let is_encoded = |name| {
        header(&request.headers, name).is_some_and(|codings| {
            codings.split(',').any(|coding| {
                let coding = coding.trim().to_ascii_lowercase();
                !matches!(coding.as_str(), "" | "identity" | "chunked")
            })
        })
    };
    let body = &request.body.0;
    // A shortened body may end within a character.
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && is_cut(request) => {
            std::str::from_utf8(&body[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return None,
    };
    let is_plain = !is_encoded("content-encoding")
        && !is_encoded("transfer-encoding")
        && !text.contains('\0')
        && !ENCODED_PART.is_match(text);
    is_plain.then_some(text)
}

fn body_form(request: &Request) -> Form {
    let content_type = header(&request.headers, "content-type").unwrap_or_default();
    let is_form = content_type
        .to_ascii_lowercase()
        .starts_with("application/x-www-form-urlencoded");
    if is_form && !request.body.0.trim_ascii_start().starts_with(b"{") {
        Form::Url
    } else {
        Form::Text
    }
}

fn is_cut(request: &Request) -> bool {
    !request.complete || request.size > request.body.len() as u64
}

#[cfg(test)]
mod tests;
