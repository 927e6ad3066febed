//! Deliberate changes to what was captured, made in its text: whatever is not changed stays byte for byte.

use crate::cdr::Fields;
use crate::cdr::edit::Edit;
use crate::cdr::schema;
use crate::json::{self, Kind};
use crate::net::query::{self, Encoding};

/// A piece of text that states one field.
struct Piece<'a> {
    /// The field's name.
    name: String,
    /// What stands between it and the piece before it.
    lead: &'a str,
    /// The piece itself.
    text: String,
}

/// The text of a JSON object after the edits. Text that is none stays as it is.
#[must_use]
pub fn object(body: &[u8], edits: &[Edit]) -> Vec<u8> {
    let Some((start, mut pieces, end)) = members(body) else {
        return body.to_vec();
    };
    let lead = pieces.get(1).map_or(",", |second| second.lead);
    for edit in edits {
        apply(edit, &mut pieces, lead, str::eq, |name, value, old| {
            let key = old.and_then(|old| {
                // Up to the value, so that the name stays as it was written, and the space around the colon too.
                Some(old[..json::tokens(old).nth(2)?.start].to_owned())
            });
            let key = key.unwrap_or_else(|| format!("{}:", serde_json::Value::from(name)));
            format!("{key}{value}")
        });
    }
    format!("{start}{}{end}", joined(&pieces)).into_bytes()
}

/// An object taken apart: what stands before its members, the members, and what stands behind them.
fn members(body: &[u8]) -> Option<(&str, Vec<Piece<'_>>, &str)> {
    let text = json::check(body).ok()?;
    let start = json::tokens(text)
        .next()
        .filter(|token| token.text == "{")?
        .end();
    let (mut depth, mut key, mut ends) = (0_usize, None, start);
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let mut first = start;
    for token in json::tokens(text) {
        match token.kind {
            Kind::Key if depth == 1 => key = Some(token),
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            _ => {}
        }
        let is_value = !matches!(token.kind, Kind::Key | Kind::Colon | Kind::Comma);
        if let Some(name) = key.filter(|_| is_value && depth == 1) {
            if pieces.is_empty() {
                first = name.start;
            }
            pieces.push(Piece {
                name: json::unquoted(name.text).into_owned(),
                lead: &text[ends..name.start],
                text: text[name.start..token.end()].to_owned(),
            });
            ends = token.end();
            key = None;
        }
    }
    Some((&text[..first], pieces, &text[ends..]))
}

/// The text of a query or a form after the edits. Objects are written as those that are there, or else as `encoding` says.
#[must_use]
pub fn pairs(text: &str, edits: &[Edit], encoding: Encoding) -> String {
    let encoding = encoding_of(text).unwrap_or(encoding);
    let piece = |pair: &str| {
        let name = query::decode(pair)
            .pairs
            .pop()
            .map(|(name, _)| name)
            .unwrap_or_default();
        Piece {
            name,
            lead: "&",
            text: pair.to_owned(),
        }
    };
    let mut pieces: Vec<_> = text
        .split('&')
        .filter(|_| !text.is_empty())
        .map(piece)
        .collect();
    let belongs = |piece: &str, name: &str| {
        piece
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
    };
    for edit in edits {
        apply(edit, &mut pieces, "&", belongs, |name, value, _| {
            let field = Fields::from_iter([(name.to_owned(), value.clone())]);
            query::encode(&field, encoding)
        });
    }
    joined(&pieces)
}

/// How the objects in a query are written, if there are any.
fn encoding_of(text: &str) -> Option<Encoding> {
    let documented = |name: &str| schema::documented(name).is_some();
    query::decode(text)
        .pairs
        .iter()
        .find_map(|(name, value)| match name.split_once('[') {
            Some((base, _)) if documented(base) => Some(Encoding::Brackets),
            None if documented(name) && value.starts_with(['{', '[']) => Some(Encoding::Flat),
            _ => None,
        })
}

/// Makes one change: in place of the first piece that belongs to the field, others of it dropped, or last.
fn apply<'a>(
    edit: &Edit,
    pieces: &mut Vec<Piece<'a>>,
    lead: &'a str,
    belongs: impl Fn(&str, &str) -> bool,
    write: impl Fn(&str, &serde_json::Value, Option<&str>) -> String,
) {
    let (Edit::Put(name, _) | Edit::Remove(name)) = edit;
    let place = pieces.iter().position(|piece| belongs(&piece.name, name));
    let put = match edit {
        Edit::Put(name, value) => {
            let old = place.map(|place| &pieces[place]);
            Some(Piece {
                name: name.clone(),
                lead: old.map_or(lead, |old| old.lead),
                text: write(name, value, old.map(|old| old.text.as_str())),
            })
        }
        Edit::Remove(_) => None,
    };
    pieces.retain(|piece| !belongs(&piece.name, name));
    let place = place.unwrap_or(pieces.len());
    pieces.splice(place..place, put);
}

/// The pieces with what stands between them.
fn joined(pieces: &[Piece<'_>]) -> String {
    let rest = pieces
        .iter()
        .skip(1)
        .flat_map(|piece| [piece.lead, piece.text.as_str()]);
    pieces
        .iter()
        .take(1)
        .map(|piece| piece.text.as_str())
        .chain(rest)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edits() -> Vec<Edit> {
        vec![
            Edit::set("status=answered").unwrap(),
            Edit::set("note=n").unwrap(),
            Edit::set_json("extra_params={\"k\":1}").unwrap(),
            Edit::unset("leg").unwrap(),
        ]
    }

    fn amended(text: &str) -> String {
        String::from_utf8(object(text.as_bytes(), &edits())).unwrap()
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
        let edited = |text: &str| pairs(text, &edits(), Encoding::Flat);
        insta::assert_snapshot!(edited("token=%2f&leg=a&&x=+&status=missed"), @"token=%2f&&x=+&status=answered&note=n&extra_params=%7B%22k%22%3A1%7D");
        insta::assert_snapshot!(edited("extra_params[a]=1&leg=b&extra_params%5Bb%5D=2&to=1"), @"extra_params%5Bk%5D=1&to=1&status=answered&note=n");
        insta::assert_snapshot!(edited("extra_params=%7B%7D"), @"extra_params=%7B%22k%22%3A1%7D&status=answered&note=n");
        insta::assert_snapshot!(pairs("", &edits(), Encoding::Brackets), @"status=answered&note=n&extra_params%5Bk%5D=1");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_an_edit_is_what_it_says(text in r#"[{}\[\]"\\:,1ab &=%\n]{0,40}"#) {
            let _ = pairs(&text, &edits(), Encoding::Brackets);
            let edited = object(text.as_bytes(), &edits());
            if let Ok(json::Document::Object(before)) = json::document(text.as_bytes()) {
                let Ok(json::Document::Object(after)) = json::document(&edited) else { panic!("{text}") };
                let status = after.iter().find(|member| member.name == "status").unwrap();
                prop_assert_eq!(status.raw, "\"answered\"");
                for member in before.iter().filter(|member| member.name.len() < 3) {
                    prop_assert!(after.contains(member), "{}", text);
                }
            } else {
                prop_assert_eq!(edited, text.into_bytes());
            }
        }
    }
}
