//! Encodes, merges and decodes query strings.
//!
//! TeleCMI's dashboard offers GET, and no document specifies the query \[unknown\]. A flat query with the names of the
//! JSON fields is likely \[inferred\]; brackets are how Node's `qs` writes objects.

use std::collections::HashSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::value::RawValue;

use crate::json;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Encoding {
    // Objects as JSON text: extra_params={"crm":"true"}
    #[default]
    Flat,
    // Objects with a parameter for each member: extra_params[crm]=true
    Brackets,
}

/// The percent-encoded characters of a query: all but RFC 3986's unreserved ones. A space becomes `%20`, since `+` is a
/// space in forms only.
pub(crate) const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes the members of a JSON object as a query string, in order. Strings are written without quotes, other values
/// as compact JSON text, with the digits of numbers. Other bytes than a JSON object give no query.
pub fn encode(object: &[u8], encoding: Encoding) -> String {
    let mut pairs = Vec::new();
    for member in json::members_of(object) {
        push(&mut pairs, &member.name, member.raw, encoding);
    }
    pairs.join("&")
}

fn push(pairs: &mut Vec<String>, name: &str, value: &str, encoding: Encoding) {
    let first = value.as_bytes().first();
    let before = pairs.len();
    if encoding == Encoding::Brackets && first == Some(&b'{') {
        for member in json::members_of(value.as_bytes()) {
            let name = format!("{name}[{}]", member.name);
            push(pairs, &name, member.raw, encoding);
        }
    } else if encoding == Encoding::Brackets {
        let items = serde_json::from_str::<Vec<&RawValue>>(value);
        for (index, item) in items.iter().flatten().enumerate() {
            push(pairs, &format!("{name}[{index}]"), item.get(), encoding);
        }
    }
    if pairs.len() == before {
        pairs.push(match first {
            Some(b'"') => pair(name, &json::unquoted(value)),
            _ => pair(name, &json::compact(value)),
        });
    }
}

pub(crate) fn pair(name: &str, value: &str) -> String {
    let escape = |text| utf8_percent_encode(text, ESCAPED);
    format!("{}={}", escape(name), escape(value))
}

/// Appends `query` to the query of a request target.
pub fn merge(target: &str, query: &str) -> String {
    let joint = match target.split_once('?') {
        _ if query.is_empty() => "",
        None => "?",
        Some((_, existing)) if existing.is_empty() || existing.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{target}{joint}{query}")
}

/// Rebases the target of a captured request to a URL whose path and query are `base`.
///
/// The URL's path replaces the captured one unless it is empty or `/`. The URL's query comes first and replaces
/// captured parameters of the same names, such as a token. The other captured parameters stay byte for byte.
pub fn onto(base: &str, captured: &str) -> String {
    let (base_path, base_query) = base.split_once('?').unwrap_or((base, ""));
    let query_start = captured.find('?').unwrap_or(captured.len());
    let (captured_path, query) = captured.split_at(query_start);
    let path = match base_path {
        "" | "/" => captured_path,
        own => own,
    };
    if base_query.is_empty() {
        return format!("{path}{query}");
    }
    let names = |pairs: &str| -> HashSet<String> {
        let pairs = decode(pairs).pairs.into_iter();
        pairs.map(|(name, _)| name).collect()
    };
    let own_names = names(base_query);
    let is_kept = |pair: &&str| !pair.is_empty() && names(pair).is_disjoint(&own_names);
    let query = query.strip_prefix('?').unwrap_or_default();
    let mut pairs = vec![base_query];
    pairs.extend(query.split('&').filter(is_kept));
    format!("{path}?{}", pairs.join("&"))
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decoded {
    pub pairs: Vec<(String, String)>,
    pub faults: Vec<String>,
}

/// Decodes a query string or a form. Decoding never fails: a broken percent-escape is kept as text, and reported as a
/// fault.
pub fn decode(query: &str) -> Decoded {
    // Faults are counted, not listed, since a query can hold half a million of each kind.
    let (mut nameless, mut broken, mut not_utf8, mut nul) = (0, 0, 0, 0);
    let mut part = |text: &str| {
        let spaced = text.replace('+', " ");
        let is_broken = |escape: &str| {
            let digits = escape.bytes().take(2);
            digits.filter(u8::is_ascii_hexdigit).count() < 2
        };
        broken += usize::from(spaced.split('%').skip(1).any(is_broken));
        let decoded = percent_decode_str(&spaced);
        not_utf8 += usize::from(decoded.clone().decode_utf8().is_err());
        let text = decoded.decode_utf8_lossy().into_owned();
        nul += usize::from(text.contains('\0'));
        text
    };
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        nameless += usize::from(name.is_empty());
        pairs.push((part(name), part(value)));
    }
    let faults = [
        (nameless, "a parameter without a name"),
        (broken, "a percent sign without two hexadecimal digits"),
        (not_utf8, "escapes that are not UTF-8"),
        (nul, "a NUL character"),
    ];
    let sentence = |(times, fault): (usize, &str)| match times {
        0 => None,
        1 => Some(fault.to_owned()),
        _ => Some(format!("{fault}, {times} times")),
    };
    Decoded {
        pairs,
        faults: faults.into_iter().filter_map(sentence).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    #[test]
    fn objects_are_text_or_brackets() {
        let object = r#"{"to":442079460001,"custom":"a b&c=d/ü", "extra_params":{"crm": "1","n":{"x":[2.50]}}}"#;
        assert_eq!(
            encode(object.as_bytes(), Encoding::Flat),
            "to=442079460001&custom=a%20b%26c%3Dd%2F%C3%BC&extra_params=%7B%22crm%22%3A%221%22%2C%22n%22%3A%7B%22x%22%3A%5B2.50%5D%7D%7D"
        );
        let brackets = encode(object.as_bytes(), Encoding::Brackets);
        assert!(
            brackets.ends_with("&extra_params%5Bcrm%5D=1&extra_params%5Bn%5D%5Bx%5D%5B0%5D=2.50")
        );
    }

    #[test]
    fn a_query_that_is_there_is_kept() {
        for (target, merged) in [
            ("/cdr", "/cdr?a=1"),
            ("/cdr?", "/cdr?a=1"),
            ("/cdr?token=x", "/cdr?token=x&a=1"),
            ("/cdr?token=x&", "/cdr?token=x&a=1"),
        ] {
            assert_eq!(merge(target, "a=1"), merged);
        }
    }

    #[test]
    fn a_captured_target_is_sent_on_to_a_url() {
        for (base, captured, expected) in [
            (
                "/",
                "/webhook/cdr?token=x&to=1",
                "/webhook/cdr?token=x&to=1",
            ),
            ("", "/a//b/../c?", "/a//b/../c?"),
            ("/", "*", "*"),
            ("/?", "http://h/p?q", "http://h/p?q"),
            ("/own", "/webhook/cdr?a=%2f&&b", "/own?a=%2f&&b"),
            ("/own", "http://h/p?q=1", "/own?q=1"),
            ("/own", "/webhook", "/own"),
            ("/own", "/webhook?", "/own?"),
            (
                "/own?token=y&x=1",
                "/p?token=x&to=1",
                "/own?token=y&x=1&to=1",
            ),
            (
                "/?to%6ben=y&x=1&x=2",
                "/p?token=x&&a=%2f",
                "/p?to%6ben=y&x=1&x=2&a=%2f",
            ),
            ("/?x=1", "/p", "/p?x=1"),
            ("/?x=1", "/p?", "/p?x=1"),
        ] {
            assert_eq!(onto(base, captured), expected, "{captured} onto {base}");
        }
    }

    #[test]
    fn broken_encoding_is_kept_and_reported() {
        let decoded = decode("a=%ff&b=%00&c=1+2&d=%zz&=x&e&f=100%");
        let values: Vec<_> = decoded
            .pairs
            .iter()
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(values, ["\u{fffd}", "\0", "1 2", "%zz", "x", "", "100%"]);
        insta::assert_snapshot!(decoded.faults.join("\n"), @r"
        a parameter without a name
        a percent sign without two hexadecimal digits, 2 times
        escapes that are not UTF-8
        a NUL character
        ");
    }

    proptest! {
        #[test]
        fn a_url_without_path_and_query_changes_no_target(target in ".{0,40}") {
            prop_assert_eq!(onto("/", &target), target);
        }

        #[test]
        fn what_is_encoded_comes_back(pairs in proptest::collection::vec((".{1,8}", ".{0,16}"), 0..6)) {
            let fields: Map<String, Value> = pairs.iter().map(|(n, v)| (n.clone(), v.as_str().into())).collect();
            let decoded = decode(&encode(json!(fields).to_string().as_bytes(), Encoding::Flat));
            let expected: Vec<_> = fields.into_iter().map(|(n, v)| (n, v.as_str().unwrap().to_owned())).collect();
            prop_assert_eq!(decoded.pairs, expected);
        }
    }
}
