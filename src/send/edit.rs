//! `--set`, `--set-json` and `--unset`: edits of a payload, which may make the payload invalid. Edits of a captured
//! request keep the bytes of all other fields.

use serde_json::Value;

use crate::cdr::schema::{self, FieldType};
use crate::json::{self, Document};
use crate::net::query::{self, Encoding};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub flag: &'static str,
    pub field: String,
    /// The JSON text that replaces the value of the field in its place, or is appended; `None` removes the field.
    pub value: Option<String>,
}

impl Edit {
    /// Parses the `FIELD=VALUE` of `--set`. The value gets the field's documented type; the value is a string if the
    /// type cannot hold it or the field is undocumented.
    pub fn set(text: &str) -> Result<Self, String> {
        let (field, value) = split(text)?;
        let documented = schema::documented(field).map(|field| field.field_type);
        let value = match (json::value(value), documented) {
            (Ok(Value::Number(_)), Some(FieldType::Number))
            | (Ok(Value::Bool(_)), Some(FieldType::Boolean)) => value.trim().to_owned(),
            _ => Value::from(value).to_string(),
        };
        Ok(Self::put("--set", field, value))
    }

    pub fn set_json(text: &str) -> Result<Self, String> {
        let (field, value) = split(text)?;
        json::value(value).map_err(|error| {
            format!("the value is not JSON: {error}; put text in double quotes, or use --set")
        })?;
        Ok(Self::put("--set-json", field, json::compact(value)))
    }

    pub fn unset(field: &str) -> Result<Self, String> {
        if field.is_empty() || field.contains('=') {
            return Err("expected a field name".to_owned());
        }
        let field = field.to_owned();
        let (flag, value) = ("--unset", None);
        Ok(Self { flag, field, value })
    }

    pub(crate) fn put(flag: &'static str, field: &str, value: String) -> Self {
        let (field, value) = (field.to_owned(), Some(value));
        Self { flag, field, value }
    }
}

fn split(text: &str) -> Result<(&str, &str), String> {
    let parts = text.split_once('=').filter(|(field, _)| !field.is_empty());
    parts.ok_or_else(|| "expected FIELD=VALUE".to_owned())
}

/// The text of one payload field: a member of a JSON object, or a parameter of a query.
struct Piece<'a> {
    name: String,
    /// The text between a payload field and the field before, such as `&` or a comma with spaces.
    lead: &'a str,
    text: String,
}

/// Applies edits to the text of a JSON object. All other text, spaces included, stays unchanged, and so does a body
/// that is no JSON object.
pub fn edit_object(body: &[u8], edits: &[Edit]) -> Vec<u8> {
    let Ok(Document::Object(members)) = json::document(body) else {
        return body.to_vec();
    };
    // `from_utf8_lossy` replaces no byte, since valid JSON is UTF-8.
    let text = String::from_utf8_lossy(body);
    let brace = text.find('{').map_or(0, |at| at + 1);
    let start = members.first().map_or(brace, |first| first.start);
    let mut end = brace;
    let mut pieces = Vec::with_capacity(members.len());
    for member in members {
        pieces.push(Piece {
            name: member.name.into_owned(),
            lead: &text[end..member.start],
            text: member.text.to_owned(),
        });
        end = member.start + member.text.len();
    }
    let lead = pieces.get(1).map_or(",", |second| second.lead);
    for edit in edits {
        apply(edit, &mut pieces, lead, str::eq, |name, value, old| {
            // The old text of the member up to its value holds the name and the spaces around the colon.
            let key = old.and_then(|old| Some(&old[..json::tokens(old).nth(2)?.start]));
            let key = key.map_or_else(|| format!("{}:", Value::from(name)), str::to_owned);
            key + value
        });
    }
    format!("{}{}{}", &text[..start], joined(&pieces), &text[end..]).into_bytes()
}

/// Applies edits to the text of a query or form. Objects are encoded like the objects in the text, or by `encoding` if
/// the text has no object.
pub fn edit_pairs(text: &str, edits: &[Edit], encoding: Encoding) -> String {
    let is_documented = |name: &str| schema::documented(name).is_some();
    let used = |(name, value): &(String, String)| match name.split_once('[') {
        Some((base, _)) if is_documented(base) => Some(Encoding::Brackets),
        None if is_documented(name) && value.starts_with(['{', '[']) => Some(Encoding::Flat),
        _ => None,
    };
    let pairs = query::decode(text).pairs;
    let encoding = pairs.iter().find_map(used).unwrap_or(encoding);
    let piece = |pair: &str| Piece {
        name: query::decode(pair).pairs.pop().unwrap_or_default().0,
        lead: "&",
        text: pair.to_owned(),
    };
    let pairs = text.split('&').filter(|_| !text.is_empty());
    let mut pieces: Vec<_> = pairs.map(piece).collect();
    let belongs = |piece: &str, name: &str| {
        let rest = piece.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
    };
    for edit in edits {
        apply(edit, &mut pieces, "&", belongs, |name, value, _| {
            let object = format!("{{{}:{value}}}", Value::from(name));
            query::encode(object.as_bytes(), encoding)
        });
    }
    joined(&pieces)
}

/// Applies one edit. The new text replaces the first occurrence of the field or is appended; further occurrences are
/// removed.
fn apply<'a>(
    edit: &Edit,
    pieces: &mut Vec<Piece<'a>>,
    lead: &'a str,
    belongs: impl Fn(&str, &str) -> bool,
    write: impl Fn(&str, &str, Option<&str>) -> String,
) {
    let name = &edit.field;
    let place = pieces.iter().position(|piece| belongs(&piece.name, name));
    let old = place.map(|place| &pieces[place]);
    let put = edit.value.as_ref().map(|value| Piece {
        name: name.clone(),
        lead: old.map_or(lead, |old| old.lead),
        text: write(name, value, old.map(|old| old.text.as_str())),
    });
    pieces.retain(|piece| !belongs(&piece.name, name));
    let place = place.unwrap_or(pieces.len());
    pieces.splice(place..place, put);
}

fn joined(pieces: &[Piece<'_>]) -> String {
    let mut text = String::new();
    for (place, piece) in pieces.iter().enumerate() {
        text += if place == 0 { "" } else { piece.lead };
        text += &piece.text;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edited_fields(edits: &[Edit]) -> String {
        let fields = br#"{"to":1,"leg":"a","status":"missed"}"#;
        String::from_utf8(edit_object(fields, edits)).unwrap()
    }

    #[test]
    fn values_take_the_documented_type() {
        let edits = [
            "to=442079460001",
            "virtual_number=44",
            "record=true",
            "appid=many",
            "note=7",
        ];
        let edits = edits.map(|text| Edit::set(text).unwrap());
        insta::assert_snapshot!(edited_fields(&edits), @r#"{"to":442079460001,"leg":"a","status":"missed","virtual_number":"44","record":true,"appid":"many","note":"7"}"#);
    }

    #[test]
    fn any_json_can_be_put_and_any_field_removed() {
        let edits = [
            Edit::set_json(r#"extra_params={"{}":null}"#).unwrap(),
            Edit::set_json("to=null").unwrap(),
            Edit::unset("leg").unwrap(),
        ];
        insta::assert_snapshot!(edited_fields(&edits), @r#"{"to":null,"status":"missed","extra_params":{"{}":null}}"#);
    }

    #[test]
    fn what_is_no_edit_is_refused() {
        assert!(Edit::set("status").is_err());
        assert!(Edit::set("=x").is_err());
        assert!(Edit::set_json("custom=none").unwrap_err().contains("--set"));
        assert!(Edit::unset("a=b").is_err());
    }

    fn edits() -> Vec<Edit> {
        vec![
            Edit::set("status=answered").unwrap(),
            Edit::set("note=n").unwrap(),
            Edit::set_json("extra_params={\"k\":1}").unwrap(),
            Edit::unset("leg").unwrap(),
        ]
    }

    fn amended(text: &str) -> String {
        String::from_utf8(edit_object(text.as_bytes(), &edits())).unwrap()
    }

    #[test]
    fn the_rest_of_an_object_stays_as_it_was_written() {
        insta::assert_snapshot!(amended(r#" {"leg": "a" , "to" : 1.50,"status"  :  "missed", "big":123456789012345678901, "a":[{"leg":1}]} "#),
            @r#" {"to" : 1.50,"status"  :  "answered", "big":123456789012345678901, "a":[{"leg":1}] , "note":"n" , "extra_params":{"k":1}} "#);
        insta::assert_snapshot!(amended("{}"), @r#"{"status":"answered","note":"n","extra_params":{"k":1}}"#);
        insta::assert_snapshot!(amended("{ }"), @r#"{"status":"answered","note":"n","extra_params":{"k":1} }"#);
        insta::assert_snapshot!(amended(r#"{"leg":1}"#), @r#"{"status":"answered","note":"n","extra_params":{"k":1}}"#);
        insta::assert_snapshot!(amended(r#"{"status":1,"x":1e999,"st\u0061tus":2}"#), @r#"{"status":"answered","x":1e999,"note":"n","extra_params":{"k":1}}"#);
        insta::assert_snapshot!(amended("{\n  \"x\": 1,\n  \"y\": 2\n}"), @r#"
        {
          "x": 1,
          "y": 2,
          "status":"answered",
          "note":"n",
          "extra_params":{"k":1}
        }
        "#);
        assert_eq!(amended("[1]"), "[1]");
    }

    #[test]
    fn a_query_keeps_its_encoding() {
        let edited = |text: &str| edit_pairs(text, &edits(), Encoding::Flat);
        insta::assert_snapshot!(edited("token=%2f&leg=a&&x=+&status=missed"), @"token=%2f&&x=+&status=answered&note=n&extra_params=%7B%22k%22%3A1%7D");
        insta::assert_snapshot!(edited("extra_params[a]=1&leg=b&extra_params%5Bb%5D=2&to=1"), @"extra_params%5Bk%5D=1&to=1&status=answered&note=n");
        insta::assert_snapshot!(edited("extra_params=%7B%7D"), @"extra_params=%7B%22k%22%3A1%7D&status=answered&note=n");
        insta::assert_snapshot!(edit_pairs("", &edits(), Encoding::Brackets), @"status=answered&note=n&extra_params%5Bk%5D=1");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_an_edit_is_what_it_says(text in r#"[{}\[\]"\\:,1ab &=%\n]{0,40}"#) {
            let _ = edit_pairs(&text, &edits(), Encoding::Brackets);
            let edited = edit_object(text.as_bytes(), &edits());
            if let Ok(json::Document::Object(before)) = json::document(text.as_bytes()) {
                let Ok(json::Document::Object(after)) = json::document(&edited) else { panic!("{text}") };
                let status = after.iter().find(|member| member.name == "status").unwrap();
                prop_assert_eq!(status.raw, "\"answered\"");
                for member in before.iter().filter(|member| member.name.len() < 3) {
                    let stays = |after: &json::Member<'_>| (&after.name, after.raw) == (&member.name, member.raw);
                    prop_assert!(after.iter().any(stays), "{}", text);
                }
            } else {
                prop_assert_eq!(edited, text.into_bytes());
            }
        }
    }
}
