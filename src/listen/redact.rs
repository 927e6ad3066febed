//! Redacting: an exchange as it may be shown to strangers, which still tells who called whom again.
//!
//! In: an exchange. Out: its record with every telephone number and app id replaced by a mask. The same number has the
//! same mask throughout, two numbers never share one, and a mask is never masked again; an app id's only where it is
//! known, since it looks like any other. With and without its country code a number is two numbers, since nobody can tell.
//!
//! Masked are: numbers in fields that are named for them, wherever else they stand; digits that look like a number by
//! themselves; app ids; secrets in the target and the headers. Kept are identifiers and times, and whatever is no number: names,
//! words in `custom`, tokens in the path, extensions, the sender's address.

pub mod digits;
pub mod known;
pub mod masks;
pub mod scan;

use std::io::{self, Read};

use serde_json::{Map, Value};

use crate::exchange::Exchange;
use crate::wire::secret::{self, is_secret_name, masked_headers, masked_url};
use crate::wire::{Body, Header, Request, header};
use known::{Known, SHORTEST_KNOWN};
use masks::Masks;
use scan::{Form, Pieces, Run, SHORTEST_ALONE, Text, Unit, is_time};

/// What tells of the run rather than of what came: it is as we wrote it.
const OURS: [&str; 5] = ["n", "received_at", "peer", "request", "took_ms"];

/// Masks exchanges, and remembers its masks. A clone goes on by itself, and gives the same masks to the same exchanges.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    masks: Masks,
}

impl Redactor {
    /// Goes on after the masks that a file holds already.
    pub fn resume(&mut self, file: impl Read) -> io::Result<()> {
        self.masks.resume(file)
    }

    /// The record of an exchange, masked.
    #[must_use]
    pub fn redacted(&mut self, exchange: &Exchange) -> Value {
        let mut known = Known::default();
        let request = &exchange.request;
        known.learn(Text::new(request.target.as_bytes(), Form::Url));
        for Header { name, value } in &request.headers {
            known.learn(Text::new(
                &[name.as_bytes(), b": ", value].concat(),
                Form::Text,
            ));
        }
        known.learn(body_of(request));
        for mask in &known.masks {
            self.masks.is_mask(mask);
        }
        let apps = std::mem::take(&mut known.apps);
        (known.stand_ins, known.apps) = apps
            .into_iter()
            .partition(|app| self.masks.is_stand_in(app));
        self.masks.apps(&known.apps);
        let exchange = Exchange {
            request: self.request(request, &known),
            ..exchange.clone()
        };
        let mut record = serde_json::to_value(exchange).unwrap_or_default();
        for (name, value) in record.as_object_mut().into_iter().flatten() {
            if !OURS.contains(&name.as_str()) {
                self.value(value, &known);
            }
            // The target's secrets stand among the fields once more.
            if name == "cdr"
                && request.method == "GET"
                && let Value::Object(fields) = value
            {
                hide_secrets(fields);
            }
        }
        record
    }

    fn request(&mut self, request: &Request, known: &Known) -> Request {
        let mut masked = request.clone();
        masked.method = self.text(&request.method, Form::Text, known).into();
        masked.target = self.text(&masked_url(&request.target), Form::Url, known);
        if is_compressed(request) {
            // What cannot be read cannot be masked.
            masked.body = Body::default();
            masked.complete = false;
        } else {
            masked.body = self.bytes(body_of(request), known).into();
            masked.size =
                request.size.saturating_sub(request.body.len() as u64) + masked.body.len() as u64;
        }
        masked.headers = masked_headers(&request.headers);
        for header in &mut masked.headers {
            if header.is("content-length") {
                if header.text().trim().parse() == Ok(request.size) {
                    header.value = masked.size.to_string().into();
                }
                continue;
            }
            header.name = self.text(&header.name, Form::Text, known);
            header.value = self
                .bytes(Text::new(&header.value, Form::Text), known)
                .into();
        }
        masked
    }

    /// Masks a value and all that is in it; numbers stay numbers.
    fn value(&mut self, value: &mut Value, known: &Known) {
        match value {
            Value::String(text) => *text = self.text(text, Form::Text, known),
            Value::Number(number) => {
                let text = number.to_string();
                let masked = self.text(&text, Form::Text, known);
                if masked != text {
                    *value = serde_json::from_str(&masked).unwrap_or(Value::String(masked));
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item, known)),
            Value::Object(members) => {
                let mut masked = Map::new();
                for (name, mut value) in std::mem::take(members) {
                    self.value(&mut value, known);
                    masked.insert(self.text(&name, Form::Text, known), value);
                }
                *members = masked;
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn text(&mut self, text: &str, form: Form, known: &Known) -> String {
        let masked = self.bytes(Text::new(text.as_bytes(), form), known);
        // Only digits and what stands between them were replaced, by digits.
        String::from_utf8_lossy(&masked).into_owned()
    }

    fn bytes(&mut self, text: Text<'_>, known: &Known) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.bytes.len() + 16);
        let mut before = Unit::Other(b' ');
        let (mut at, mut id_end) = (0, 0);
        let mut pieces = Pieces::default();
        while let Some((unit, length)) = text.unit(at) {
            let begins_word = matches!(before, Unit::Other(_)) && !matches!(unit, Unit::Other(_));
            let mut end = at + length;
            let mut mask = None;
            if begins_word && let Some(uuid) = text.uuid(at) {
                end = uuid;
            } else {
                if begins_word && let Some(id) = text.request_id(at) {
                    id_end = id;
                }
                if let Unit::Digit(_) = unit {
                    let is_glued = matches!(before, Unit::Letter(_));
                    let around = Around {
                        before,
                        is_glued,
                        is_id: at < id_end,
                    };
                    (mask, end) = self.digits(text, at, &mut pieces, &around, known);
                }
            }
            match mask {
                Some(mask) => out.extend_from_slice(mask.as_bytes()),
                None => out.extend_from_slice(&text.bytes[at..end]),
            }
            // Of what was passed over whole, a letter or a digit comes last.
            before = if end == at + length {
                unit
            } else {
                Unit::Digit(b'0')
            };
            at = end;
        }
        out
    }

    /// What stands in the place of the digits from here on, if they are not kept, and where they end.
    fn digits(
        &mut self,
        text: Text<'_>,
        at: usize,
        pieces: &mut Pieces,
        around: &Around,
        known: &Known,
    ) -> (Option<String>, usize) {
        let run = text.run(at);
        if text.is_mask(&run) {
            self.masks.is_mask(&text.digits(run.place.clone()));
            return (None, run.place.end);
        }
        if (around.before == Unit::Other(b'+') || !known.is_nothing())
            && let Some(end) = written_out(text, &run, pieces, around, known)
        {
            return (Some(self.masks.number(&text.digits(at..end))), end);
        }
        (self.alone(text, &run, around, known), run.place.end)
    }

    /// What stands in the place of digits that stand together.
    fn alone(
        &mut self,
        text: Text<'_>,
        run: &Run,
        around: &Around,
        known: &Known,
    ) -> Option<String> {
        let (length, end) = (run.digits.length, run.place.end);
        let is_cut = text.is_cut_at(end) && length >= 4;
        if length < SHORTEST_KNOWN && !is_cut {
            return None;
        }
        let digits = &*text.digits(run.place.clone());
        let is_long = length >= SHORTEST_ALONE;
        let is_glued = around.is_glued || matches!(text.unit(end), Some((Unit::Letter(_), _)));
        if known.is_number(text, run) && (is_long || !around.is_id) {
            return Some(self.masks.number(digits));
        }
        if !is_glued && (self.masks.knows_app(digits) || known.apps.contains(digits)) {
            return Some(self.masks.app(digits));
        }
        if !is_glued && known.stand_ins.contains(digits) {
            return None;
        }
        let looks_like_one = length >= 10 || (is_long && !is_glued);
        let is_number = (looks_like_one && !around.is_id && !is_time(digits))
            || is_cut
            || known.is_within(digits);
        is_number.then(|| self.masks.number(digits))
    }
}

/// Hides the values of fields with telling names.
pub(super) fn hide_secrets(fields: &mut Map<String, Value>) {
    for (name, value) in fields {
        if is_secret_name(name) {
            *value = secret::MASK.into();
        } else if let Value::Object(inner) = value {
            hide_secrets(inner);
        }
    }
}

/// What digits stand in.
struct Around {
    before: Unit,
    /// Whether a letter stands right before them.
    is_glued: bool,
    /// Whether they are a part of what looks like a `request_id`.
    is_id: bool,
}

/// Where a number ends that is written with its plus sign, or in pieces and known.
fn written_out(
    text: Text<'_>,
    first: &Run,
    pieces: &mut Pieces,
    around: &Around,
    known: &Known,
) -> Option<usize> {
    /// With a plus sign fewer digits will do.
    const SHORTEST: usize = 7;
    if known.is_number(text, first) {
        return None;
    }
    let (mut length, mut end) = (0, first.place.end);
    for (joined, piece_end) in pieces.from(text, first.place.start) {
        (length, end) = (joined.length, piece_end);
        if end != first.place.end && known.is_like_a_number(joined) {
            return Some(end);
        }
    }
    if around.before != Unit::Other(b'+') {
        return None;
    }
    if first.digits.length >= SHORTEST_ALONE {
        return Some(first.place.end);
    }
    let least = if text.is_cut_at(end) { 4 } else { SHORTEST };
    (length >= least).then_some(end)
}

fn body_of(request: &Request) -> Text<'_> {
    let body = &request.body.0;
    let content_type = header(&request.headers, "content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is_form = content_type.starts_with("application/x-www-form-urlencoded")
        && !body.trim_ascii_start().starts_with(b"{");
    let form = if is_form { Form::Url } else { Form::Text };
    let is_cut = !request.complete || request.size > body.len() as u64;
    Text {
        is_cut,
        ..Text::new(body, form)
    }
}

fn is_compressed(request: &Request) -> bool {
    header(&request.headers, "content-encoding")
        .is_some_and(|coding| !coding.trim().eq_ignore_ascii_case("identity"))
}

#[cfg(test)]
mod tests;
