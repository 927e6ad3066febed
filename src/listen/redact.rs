//! Implements `--redact`: replaces telephone numbers and app ids in the record of an exchange by pseudonyms.
//!
//! A number has one pseudonym in the whole capture file, two numbers never share one, and a pseudonym is never replaced
//! again. A number with its country code and the same number without it count as two.
//!
//! Replaced: numbers in fields named for them (`to`, `caller_id`) and their other occurrences in the exchange, digit
//! runs that look like a number by themselves, app ids, secrets in the target, the headers and named fields. Kept: identifiers,
//! times, names, words in `custom`, tokens in the path, extensions, the sender's address. A compressed, binary or
//! partly encoded body is left out.

mod decode;
mod numbers;

use std::io::{self, BufRead as _, BufReader, Read};
use std::ops::Range;
use std::sync::LazyLock;

use regex_lite::Regex;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::exchange::{CapturedRequest, Exchange};
use crate::net::secret::{self, is_secret_name, masked_request, masked_url};
use crate::net::{Body, Request, header};
use crate::untrusted::pattern;
use decode::{Decoded, Form};
use numbers::{APP, Known, NUMBER, Pseudonyms, fields, part_name};

/// Fewest digits of a telephone number without a plus sign or a field name before the digits.
const SHORTEST_ALONE: usize = 8;
/// Fewest digits of a telephone number directly before or after a letter.
const SHORTEST_BETWEEN_LETTERS: usize = 9;
/// Fewest digits of a telephone number at the end of a shortened value.
const SHORTEST_CUT: usize = 4;
/// A `request_id` consists of 43 letters and digits.
const REQUEST_ID: usize = 43;

/// The redactor reads at most 64 MiB of a capture's line at once, so that an endless line does not fill the memory.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// These members of a record are copied: `request` is redacted separately, the others hold no text of the sender.
const NOT_REDACTED: [&str; 5] = ["n", "received_at", "peer", "request", "took_ms"];

static UUID: LazyLock<Regex> = LazyLock::new(|| {
    pattern("^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?:[^0-9A-Za-z]|$)")
});
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        "^(?:1[0-9]{9}|1[0-9]{12}\
         |(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:(?:[01][0-9]|2[0-3])(?:[0-5][0-9]){2})?)$",
    )
});

static PLAIN_CODINGS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)^(?:[\s,]|identity|chunked|7bit|8bit)*$"));
/// Matches a body that is in base64, or that has a part in base64 or quoted-printable.
static ENCODED: LazyLock<Regex> = LazyLock::new(|| {
    // `eyJ`, `ewo` and `W3s` are the base64 of `{"`, of `{` with a line feed, and of `[{`.
    pattern(
        r"(?i:content-transfer-encoding:\s*(?:base64|quoted-printable)|;base64,)|^\s*(?:eyJ|ewo|W3s)[0-9A-Za-z+/_\s-]*=*\s*$",
    )
});

/// Matches a bracket, a separator, a string or a word. A string whose first quote has a backslash before it ends at the
/// next such quote.
static VALUE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?s)^\s*(?:([\[{])|([\]}])|[,:;]|"((?:[^"\\]|\\.)*)"?|'((?:[^'\\]|\\.)*)'?|\\"(.*?)(?:\\"|$)|\\'(.*?)(?:\\'|$)|\\?([^\s"'\\,;&{}\[\]<>][^"'\\\r\n,;&{}\[\]<>]*))"#,
    )
});

/// A `Redactor` holds the pseudonyms of one capture file. A clone that redacts the same exchanges gives the same
/// pseudonyms.
#[derive(Debug, Clone)]
pub struct Redactor {
    numbers: Pseudonyms,
    apps: Pseudonyms,
}

impl Default for Redactor {
    fn default() -> Self {
        Self {
            numbers: Pseudonyms::new(NUMBER),
            apps: Pseudonyms::new(APP),
        }
    }
}

impl Redactor {
    pub fn resume(&mut self, file: impl Read) -> io::Result<()> {
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = file.by_ref().take(LONGEST_LINE);
            if limited.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            self.reserve_all(&line);
            let text = str::from_utf8(&line).unwrap_or_default();
            if text.contains("base64")
                && let Ok(Some(CapturedRequest { request, .. })) = CapturedRequest::read(text)
            {
                self.reserve_all(&request.body.0);
                for header in &request.headers {
                    self.reserve_all(&header.value);
                }
            }
        }
    }

    /// Reserves each suffix of a digit run that has the form of a pseudonym.
    fn reserve_all(&mut self, written: &[u8]) {
        /// Pseudonyms of app ids have 7 to 9 digits, pseudonyms of telephone numbers 12 to 15.
        const LENGTHS: Range<usize> = 7..16;
        for run in written.split(|byte| !byte.is_ascii_digit()) {
            let run = str::from_utf8(run).unwrap_or_default();
            // An escape such as `%22` may put digits before a pseudonym.
            for length in LENGTHS.filter(|length| *length <= run.len()) {
                let end = &run[run.len() - length..];
                let _ = self.numbers.reserve(end) || self.apps.reserve(end);
            }
        }
    }

    pub fn redacted(&mut self, exchange: &Exchange) -> Value {
        let request = &exchange.request;
        let body = body(request);
        let known = self.known(exchange, body.as_ref());
        let before = self.numbers.given();
        let mut redacted = self.request(request, body.as_ref(), &known);
        if self.numbers.given() > before {
            // A number that is found in a header may also stand in the target, which is redacted before the headers.
            redacted = self.request(request, body.as_ref(), &known);
        }
        let mut exchange = Exchange {
            request: redacted,
            ..exchange.clone()
        };
        if let Some(forwarded) = &mut exchange.answer.forwarded {
            forwarded.url = self.text(&forwarded.url, Form::Url, &known);
            if let Some(response) = &mut forwarded.response
                && !response.body.text().is_some_and(is_plain)
            {
                response.body = Body::default();
                response.complete = false;
            }
        }
        let mut record = serde_json::to_value(exchange).unwrap_or_default();
        if body.is_none() {
            record["request"]["omitted"] = "the body is not plain text".into();
        }
        for (name, value) in record.as_object_mut().into_iter().flatten() {
            if NOT_REDACTED.contains(&name.as_str()) {
                continue;
            }
            self.value(value, &known);
            if name == "cdr" {
                hide_secrets(name, value);
            }
        }
        record
    }

    /// Collects the numbers and app ids of a request and of the handler's response, and reserves the pseudonyms in them
    /// before new ones are given.
    fn known(&mut self, exchange: &Exchange, body: Option<&Decoded<'_>>) -> Known {
        let request = &exchange.request;
        let forwarded = exchange.answer.forwarded.as_ref();
        let response = forwarded.and_then(|forwarded| forwarded.response.as_ref()?.body.text());
        let headers = request.headers.iter();
        let headers = headers.map(|header| format!("{}: {}", header.name, header.text()));
        let headers = headers.chain(response.map(str::to_owned));
        let headers = headers.collect::<Vec<_>>().join("\n");
        let target = Decoded::new(&request.target, Form::Url);
        let headers = Decoded::new(&headers, Form::Text);
        let mut known = Known::default();
        for decoded in [&target, &headers].into_iter().chain(body) {
            for digits in decoded.text.split(|c: char| !c.is_ascii_digit()) {
                self.numbers.reserve(digits);
            }
            known.learn(decoded);
        }
        // Digits that are a telephone number in another field of the exchange are replaced as such.
        known.apps.retain(|app| {
            let is_number = known.numbers.contains(app) || NUMBER.count(app).is_some();
            !is_number && !self.apps.is_pseudonym(app)
        });
        self.apps.add_apps(&known.apps);
        known
    }

    fn request(&mut self, request: &Request, body: Option<&Decoded<'_>>, known: &Known) -> Request {
        let mut redacted = masked_request(request);
        redacted.method = self.text(&request.method, Form::Text, known).into();
        // A mask of one rule may remove a separator that the other rule stops at, so both are applied repeatedly.
        for _ in 0..3 {
            redacted.target = masked_url(&self.text(&redacted.target, Form::Url, known));
        }
        if let Some(body) = body {
            redacted.body = self.decoded(body, known).into_bytes().into();
            redacted.size =
                request.size.saturating_sub(request.body.len() as u64) + redacted.body.len() as u64;
        } else {
            redacted.body = Body::default();
            redacted.complete = false;
        }
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

    fn value(&mut self, value: &mut Value, known: &Known) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item, known)),
            Value::Object(members) => {
                for (name, mut value) in std::mem::take(members) {
                    self.value(&mut value, known);
                    members.insert(self.text(&name, Form::Text, known), value);
                }
            }
            _ => {
                let text = value.to_string();
                let redacted = self.text(&text, Form::Text, known);
                // A JSON number becomes a string if its redacted text is not a valid JSON number or too large.
                if redacted != text {
                    *value = serde_json::from_str(&redacted).unwrap_or(Value::String(redacted));
                }
            }
        }
    }

    fn text(&mut self, text: &str, form: Form, known: &Known) -> String {
        self.decoded(&Decoded::new(text, form), known)
    }

    fn decoded(&mut self, decoded: &Decoded<'_>, known: &Known) -> String {
        let mut out = String::new();
        let mut at = 0;
        for secret in secrets(decoded) {
            out += &self.numbers(decoded, at..secret.start, known);
            // A number, `true`, `false` or `null` has no quotes in JSON, where `***` would be invalid: `0` replaces it.
            let is_json = serde_json::from_str::<IgnoredAny>(&decoded.text[secret.clone()]).is_ok();
            out += if is_json { "0" } else { secret::MASK };
            at = secret.end;
        }
        out + &self.numbers(decoded, at..decoded.text.len(), known)
    }

    fn numbers(&mut self, decoded: &Decoded<'_>, range: Range<usize>, known: &Known) -> String {
        let mut out = String::new();
        let (mut at, mut copied) = (range.start, range.start);
        while let Some(digit) = decoded.text[at..range.end].find(is_digit) {
            let start = at + digit;
            let (pseudonym, end) = self.number(decoded, start, copied, known);
            // The groups of a number may go on in the secret after the range.
            let end = end.min(range.end);
            if let Some(pseudonym) = pseudonym {
                out.push_str(decoded.original(copied..start));
                out.push_str(&pseudonym);
                copied = end;
            }
            at = end;
        }
        out + decoded.original(copied..range.end)
    }

    /// Returns the pseudonym of the number at `start`, if there is a number, and the end of the digits, number or UUID.
    /// `replaced` is the end of the previously replaced number.
    fn number(
        &mut self,
        decoded: &Decoded<'_>,
        start: usize,
        replaced: usize,
        known: &Known,
    ) -> (Option<String>, usize) {
        let digits = digits(&decoded.text[start..]);
        let end = start + digits.len();
        let word = word(&decoded.text, start);
        if let Some(uuid) = UUID.find(&decoded.text[word.start..]) {
            return (None, word.start + uuid.end());
        }
        if self.numbers.reserve(digits) {
            return (None, end);
        }
        let is_letter = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphabetic());
        let is_between_letters =
            is_letter(decoded.byte_before(start)) || is_letter(decoded.byte(end));
        let apps = &self.apps;
        if apps.is_pseudonym(digits) && !is_between_letters && !known.numbers.contains(digits) {
            return (None, end);
        }
        // An app id before a letter keeps its digits, unless a number has them.
        let is_app = |digits: &str| apps.has(digits) || known.apps.contains(digits);
        let ends_number = |digits: &str, end| {
            (apps.is_pseudonym(digits) || is_app(digits)) && !is_letter(decoded.byte(end))
        };
        if let Some((digits, end)) = known.in_pieces(decoded, start, &self.numbers, ends_number) {
            return (Some(self.numbers.of(&digits)), end);
        }
        let is_long = digits.len() >= SHORTEST_ALONE;
        // A word with a replaced number in it may have another length after redaction, so its length tells nothing
        // about a `request_id`.
        let is_in_request_id = word.len() == REQUEST_ID
            && word.start >= replaced
            && !decoded.is_cut_at(word.end)
            && !known.is_within(&decoded.text[word]);
        let is_known = known.numbers.contains(digits) && (is_long || !is_in_request_id);
        if is_app(digits) && !is_known && !is_between_letters {
            return (Some(self.apps.of(digits)), end);
        }
        let looks_like_number =
            digits.len() >= SHORTEST_BETWEEN_LETTERS || (is_long && !is_between_letters);
        let is_number = is_known
            || (looks_like_number && !is_in_request_id && !TIME.is_match(digits))
            || (digits.len() >= SHORTEST_CUT && decoded.is_cut_at(end))
            || known.is_within(digits);
        (is_number.then(|| self.numbers.of(digits)), end)
    }
}

pub(super) fn hide_secrets(name: &str, value: &mut Value) {
    match value {
        _ if is_secret_name(name) => *value = secret::MASK.into(),
        Value::Array(items) => items.iter_mut().for_each(|item| hide_secrets("", item)),
        Value::Object(fields) => fields.iter_mut().for_each(|(k, v)| hide_secrets(k, v)),
        _ => {}
    }
}

/// Finds the values of fields with secret names, in order. The value of a part of multipart follows an empty line.
fn secrets(decoded: &Decoded<'_>) -> Vec<Range<usize>> {
    let text = &decoded.text;
    let (mut found, mut end) = (Vec::new(), 0);
    for (name, at) in fields(decoded) {
        if at <= end || !is_secret_name(name) {
            continue;
        }
        let (before, value) = text.split_at(at);
        let value = value.trim_start();
        let is_word = !value.starts_with(['"', '\'', '[', '{', '\\']);
        let length = match before.as_bytes() {
            [.., b'\n'] if part_name(text, at).is_some() => {
                value.find("\r\n--").or_else(|| value.find("\n--"))
            }
            [.., b'\n'] => continue,
            [.., b'='] if is_word => value.find(['"', '\'', '\r', '\n', '&', ';', '<']),
            [.., last, b'>'] if is_word && *last != b'=' => value.find('<'),
            _ => {
                end = push_values(text, at, &mut found);
                continue;
            }
        };
        let start = text.len() - value.len();
        end = start + length.unwrap_or(value.len());
        found.extend((end > start).then_some(start..end));
    }
    found
}

/// Adds the strings and words of a value at `at`, which may be an array or object, and returns the end of the value.
fn push_values(text: &str, mut at: usize, found: &mut Vec<Range<usize>>) -> usize {
    let mut depth = 0;
    while let Some(value) = VALUE.captures(&text[at..]) {
        let content = (3..8).find_map(|group| value.get(group));
        let content = content.map(|content| at + content.start()..at + content.end());
        depth += i32::from(value.get(1).is_some()) - i32::from(value.get(2).is_some());
        at += value[0].len();
        let is_name = depth > 0 && text[at..].trim_start().starts_with(':');
        found.extend(content.filter(|content| !is_name && !content.is_empty()));
        if depth <= 0 {
            break;
        }
    }
    at
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn digits(text: &str) -> &str {
    &text[..text.find(|c| !is_digit(c)).unwrap_or(text.len())]
}

/// Returns the run of letters and digits around `at`. A run longer than a `request_id` is shortened to a part that is
/// longer too.
fn word(text: &str, at: usize) -> Range<usize> {
    let (before, after) = text.as_bytes().split_at(at);
    let is_in_word = |byte: &&u8| byte.is_ascii_alphanumeric();
    let before = before.iter().rev().take(REQUEST_ID).take_while(is_in_word);
    let after = after.iter().take(REQUEST_ID + 1).take_while(is_in_word);
    at - before.count()..at + after.count()
}

fn is_plain(text: &str) -> bool {
    !text.contains('\0') && !ENCODED.is_match(text)
}

/// Decodes a request body. Returns `None` if the body is compressed, binary, UTF-16 or partly base64, where numbers
/// cannot be found.
fn body(request: &Request) -> Option<Decoded<'_>> {
    let is_cut = !request.complete || request.size > request.body.len() as u64;
    let is_encoded = |name| {
        let codings = header(&request.headers, name);
        codings.is_some_and(|codings| !PLAIN_CODINGS.is_match(&codings))
    };
    let body = &request.body.0;
    let text = match str::from_utf8(body) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && is_cut => {
            str::from_utf8(&body[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    if is_encoded("content-encoding")
        || is_encoded("transfer-encoding")
        || is_encoded("content-transfer-encoding")
        || !is_plain(text)
    {
        return None;
    }
    let content_type = header(&request.headers, "content-type").unwrap_or_default();
    let is_form = content_type
        .to_ascii_lowercase()
        .starts_with("application/x-www-form-urlencoded");
    let form = if is_form && !text.trim_ascii_start().starts_with('{') {
        Form::Url
    } else {
        Form::Text
    };
    let mut decoded = Decoded::new(text, form);
    decoded.is_cut = is_cut;
    Some(decoded)
}

#[cfg(test)]
mod tests;
