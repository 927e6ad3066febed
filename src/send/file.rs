//! What a file holds: a CDR, an array of them, one a line, a capture, a HAR, or a sample pasted from TeleCMI's page.
//!
//! In: the bytes of a file that may be hostile. Out: items to send. JSON is kept byte for byte.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::source::Item;
use crate::error::Error;
use crate::json::{self, Document};
use crate::wire::{Header, Octets, Request, record};

/// What was read, and what the reader should know about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holding {
    /// The things to send, in order.
    pub items: Vec<Item>,
    /// What was skipped or is not whole, a sentence each.
    pub warnings: Vec<String>,
}

impl Holding {
    /// Takes one thing more. Half a request is sent as it stands, but not without a word.
    fn add(&mut self, item: Option<Item>, place: &str) {
        if let Some(Item::Captured(request)) = &item
            && !request.complete
        {
            self.warnings.push(format!(
                "{place}: the body of this request was not captured whole: only a part is sent"
            ));
        }
        self.items.extend(item);
    }
}

/// Reads a file's bytes; `name` stands in errors.
pub fn read(bytes: &[u8], name: &str) -> Result<Holding, Error> {
    let input = |place: String, what: &str| Error::Input { place, what: what.to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|_| input(name.to_owned(), "not UTF-8 text"))?;
    let text = text.trim_start_matches('\u{feff}').trim_end();
    if text.trim_start().is_empty() {
        return Err(input(name.to_owned(), "empty"));
    }
    let mut holding = Holding::default();
    match json::document(text.as_bytes()) {
        Ok(document) => {
            read_document(text, &document, name, &mut holding)
                .map_err(|what| input(name.to_owned(), &what))?;
        }
        Err(fault) => {
            let first = text.trim_start().lines().next().unwrap_or_default();
            if matches!(json::document(first.as_bytes()), Ok(Document::Object(_))) {
                read_lines(text, name, &mut holding)?;
            } else {
                let literals =
                    literals(text).map_err(|(line, what)| input(format!("{name}:{line}"), &what))?;
                if literals.is_empty() {
                    let what = format!("{} in column {}", fault.what, fault.column);
                    return Err(input(format!("{name}:{}", fault.line), &what));
                }
                holding.items = literals.into_iter().map(Item::Body).collect();
            }
        }
    }
    if holding.items.is_empty() {
        return Err(input(name.to_owned(), "holds nothing to send"));
    }
    Ok(holding)
}

/// One JSON text: an object, an array of objects, or a HAR.
fn read_document(
    text: &str,
    document: &Document<'_>,
    name: &str,
    holding: &mut Holding,
) -> Result<(), String> {
    match document {
        Document::Object(members) if members.iter().any(|member| member.name == "log") => {
            holding.items = har(text)?;
        }
        Document::Object(_) => holding.add(object(text)?, name),
        Document::Other("array") => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| error.to_string())?;
            for (index, element) in elements.iter().enumerate() {
                let place = format!("element {}", index + 1);
                let item = element_of(element.get()).map_err(|what| format!("{place}: {what}"))?;
                holding.add(item, &format!("{name}: {place}"));
            }
        }
        Document::Other(what) => return Err(format!("expected an object, found {what}")),
    }
    Ok(())
}

/// One element of an array, which must be an object as everything else that is sent.
fn element_of(text: &str) -> Result<Option<Item>, String> {
    match json::document(text.as_bytes()) {
        Ok(Document::Object(_)) => object(text),
        Ok(Document::Other(what)) => Err(format!("expected an object, found {what}")),
        Err(fault) => Err(fault.what.to_owned()),
    }
}

/// One object: a CDR as it stands, a capture's request, a delivery's CDR; nothing for the other records.
fn object(text: &str) -> Result<Option<Item>, String> {
    #[derive(Deserialize)]
    struct Tagged<'a> {
        r#type: Option<String>,
        #[serde(borrow)]
        cdr: Option<&'a RawValue>,
        v: Option<u8>,
    }
    // What is not tagged like a record is a payload, however odd.
    let tagged: Option<Tagged<'_>> =
        serde_json::from_str(text).ok().filter(|tagged: &Tagged<'_>| tagged.v.is_some());
    Ok(match tagged.as_ref().and_then(|tagged| tagged.r#type.as_deref()) {
        Some("exchange") => record::captured(text)?.map(|request| Item::Captured(Box::new(request))),
        Some("delivery") => tagged.and_then(|tagged| tagged.cdr).map(|cdr| Item::Body(cdr.get().into())),
        Some("listening" | "started" | "case" | "summary") => None,
        _ => Some(Item::Body(text.trim().into())),
    })
}

/// One object a line. A torn last line is skipped with a warning; any other bad line is an error.
fn read_lines(text: &str, name: &str, holding: &mut Holding) -> Result<(), Error> {
    let lines: Vec<(usize, &str)> =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).collect();
    for (place, (index, line)) in lines.iter().enumerate() {
        let item = match json::document(line.as_bytes()) {
            Ok(Document::Object(_)) => object(line),
            Ok(Document::Other(what)) => Err(format!("expected an object, found {what}")),
            Err(_) if place + 1 == lines.len() => {
                holding
                    .warnings
                    .push(format!("{name}:{}: the last line is cut off and was skipped", index + 1));
                continue;
            }
            Err(fault) => Err(format!("{} in column {}", fault.what, fault.column)),
        };
        match item {
            Ok(item) => holding.add(item, &format!("{name}:{}", index + 1)),
            Err(what) => return Err(Error::Input { place: format!("{name}:{}", index + 1), what }),
        }
    }
    Ok(())
}

/// The longest literal read: a sample has under a thousand bytes.
const LONGEST_LITERAL: usize = 1024 * 1024;

/// The JavaScript object literals in a text, as JSON. What stands between them is passed over, so that a whole page
/// can be pasted.
fn literals(text: &str) -> Result<Vec<Vec<u8>>, (usize, String)> {
    let mut literals = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let line = text[..text.len() - rest.len() + start].lines().count().max(1);
        let candidate = &rest[start..];
        let length = braced(candidate).ok_or((line, "an object that is not closed".to_owned()))?;
        if length > LONGEST_LITERAL {
            return Err((line, "an object of more than 1 MiB".to_owned()));
        }
        let value: Value = json_five::from_str(&candidate[..length])
            .map_err(|error| (line, format!("neither JSON nor a JavaScript literal: {error}")))?;
        literals.push(serde_json::to_vec(&value).unwrap_or_default());
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

/// The requests of a HAR file, as browsers and proxies write it.
fn har(text: &str) -> Result<Vec<Item>, String> {
    #[derive(Deserialize)]
    struct Har {
        log: Log,
    }
    #[derive(Deserialize)]
    struct Log {
        entries: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        request: HarRequest,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct HarRequest {
        method: String,
        url: String,
        #[serde(default)]
        headers: Vec<HarHeader>,
        post_data: Option<PostData>,
    }
    #[derive(Deserialize)]
    struct HarHeader {
        name: String,
        value: String,
    }
    #[derive(Deserialize)]
    struct PostData {
        #[serde(default)]
        text: String,
    }
    let har: Har = serde_json::from_str(text).map_err(|error| format!("looks like a HAR, but {error}"))?;
    let item = |entry: Entry| {
        let request = entry.request;
        let path = request.url.split_once("://").map_or(request.url.as_str(), |(_, rest)| rest);
        let target = path.find('/').map_or("/", |slash| &path[slash..]);
        // Names like `:authority` belong to HTTP/2, not to the request.
        let headers = request.headers.into_iter().filter(|header| !header.name.starts_with(':'));
        let headers = headers.map(|header| Header::new(header.name, header.value)).collect();
        let body = Octets::from(request.post_data.map(|data| data.text).unwrap_or_default());
        Item::Captured(Box::new(Request::new(&request.method, target, headers, body.0)))
    };
    Ok(har.log.entries.into_iter().map(item).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bodies(text: &str) -> Vec<String> {
        let items = read(text.as_bytes(), "x").unwrap().items;
        let body = |item| match item {
            Item::Body(body) => String::from_utf8(body).unwrap(),
            Item::Captured(request) => {
                format!("{} {} {:?}", request.method, request.target, request.body.text())
            }
        };
        items.into_iter().map(body).collect()
    }

    fn refused(text: &str) -> String {
        read(text.as_bytes(), "x").unwrap_err().to_string()
    }

    #[test]
    fn json_is_kept_byte_for_byte() {
        assert_eq!(bodies(" {\"a\": 1.50 }\n"), ["{\"a\": 1.50 }"]);
        assert_eq!(bodies("[{\"a\":1}, {\"b\" :2}]"), ["{\"a\":1}", "{\"b\" :2}"]);
        assert_eq!(bodies("{\"a\":1}\n\n{\"b\":2}"), ["{\"a\":1}", "{\"b\":2}"]);
    }

    #[test]
    fn the_samples_are_read_as_pasted() {
        let leg_a = include_str!("../../fixtures/docs-leg-a.js.txt");
        let leg_b = include_str!("../../fixtures/docs-leg-b.js.txt");
        let expected = [
            include_str!("../../fixtures/docs-leg-a.json").trim_end(),
            include_str!("../../fixtures/docs-leg-b.json").trim_end(),
        ];
        assert_eq!(bodies(leg_a), expected[..1]);
        assert_eq!(bodies(&format!("Leg A\n\n{leg_a}\nLeg B\n{leg_b}\nProperties")), expected);
    }

    #[test]
    fn records_and_archives_are_replayed() {
        let capture = r#"{"type":"listening","v":1,"url":"http://127.0.0.1:1"}
{"type":"exchange","v":1,"request":{"method":"GET","target":"/a?b=1","version":"HTTP/1.1","headers":[["x","y"]],"body":{"text":""},"size":0,"complete":true}}
{"type":"delivery","v":1,"cdr":{"leg":"a"}}
{"type":"summary","v":1}"#;
        assert_eq!(bodies(capture), ["GET /a?b=1 Some(\"\")", "{\"leg\":\"a\"}"]);
        let har = r#"{"log":{"entries":[{"request":{"method":"POST","url":"https://h/p?q=1","headers":[{"name":":path","value":"/"}],"postData":{"text":"{}"}}}]}}"#;
        assert_eq!(bodies(har), ["POST /p?q=1 Some(\"{}\")"]);
    }

    #[test]
    fn a_torn_last_line_is_skipped_with_a_warning() {
        let holding = read(b"{\"a\":1}\n{\"b\":", "calls.ndjson").unwrap();
        assert_eq!(holding.items.len(), 1);
        assert_eq!(holding.warnings, ["calls.ndjson:2: the last line is cut off and was skipped"]);
    }

    #[test]
    fn half_a_request_is_sent_with_a_warning() {
        let exchange = |complete: bool| {
            format!(
                r#"{{"type":"exchange","v":1,"request":{{"method":"POST","target":"/","version":"HTTP/1.1","headers":[],"body":{{"text":"{{"}},"size":9,"complete":{complete}}}}}"#
            )
        };
        let (whole, half) = (exchange(true), exchange(false));
        let warning = "the body of this request was not captured whole: only a part is sent";
        for (text, place) in [
            (format!("{whole}\n{half}"), "x:2"),
            (half.clone(), "x"),
            (format!("[{whole},{half}]"), "x: element 2"),
        ] {
            let holding = read(text.as_bytes(), "x").unwrap();
            assert_eq!(holding.warnings, [format!("{place}: {warning}")]);
        }
        assert_eq!(read(whole.as_bytes(), "x").unwrap().warnings, [""; 0]);
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_its_place() {
        insta::assert_snapshot!(refused(" "), @"x: empty");
        insta::assert_snapshot!(refused("7"), @"x: expected an object, found number");
        insta::assert_snapshot!(refused("[{\"a\":1}, 7]"), @"x: element 2: expected an object, found number");
        insta::assert_snapshot!(refused("[[]]"), @"x: element 1: expected an object, found array");
        insta::assert_snapshot!(refused("hello"), @"x:1: expected a value in column 1");
        insta::assert_snapshot!(refused("{\"a\":1}\n{bad\n{\"b\":2}"), @"x:2: expected a name in double quotes in column 2");
        insta::assert_snapshot!(refused("\n\n{ a: 'b' "), @"x:2: an object that is not closed");
        insta::assert_snapshot!(refused("{\"type\":\"summary\",\"v\":1}"), @"x: holds nothing to send");
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_panic(text in r#"[{}\[\]'",:a1 \n\\]{0,60}"#) {
            let _ = read(text.as_bytes(), "x");
        }
    }
}
