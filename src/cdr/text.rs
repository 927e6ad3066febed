//! A CDR as the JSON text it is sent as. Its fields are read where somebody asks for them; in a fast run nobody does.

use std::borrow::Cow;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::Fields;

/// A JSON object that is a CDR, shared with the request that carries it.
///
/// A record tells its fields compactly, whatever the space in the text, and a name that is there twice once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdrText {
    text: Bytes,
    /// Whether the text is just what its fields would be written as.
    is_compact: bool,
    /// What a line about it says, if that is known beforehand.
    brief: Option<Brief<'static>>,
}

impl CdrText {
    /// The CDR in a text that somebody else wrote, if it is a JSON object.
    #[must_use]
    pub fn read(text: Bytes) -> Option<Self> {
        serde_json::from_slice::<Fields>(&text)
            .is_ok()
            .then_some(Self {
                text,
                is_compact: false,
                brief: None,
            })
    }

    /// The CDR in a text that was made from fields here.
    #[must_use]
    pub fn made(text: Bytes) -> Self {
        Self {
            text,
            is_compact: true,
            brief: None,
        }
    }

    /// The CDR in the text of a payload, of which somebody knows what a line about it says.
    #[must_use]
    pub fn told(text: Bytes, brief: Brief<'static>) -> Self {
        Self {
            text,
            is_compact: true,
            brief: Some(brief),
        }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// The fields by name, in order.
    #[must_use]
    pub fn fields(&self) -> Fields {
        // Whoever made one of these knew that it is an object.
        serde_json::from_slice(&self.text).unwrap_or_default()
    }

    /// What a line about it says.
    #[must_use]
    pub fn brief(&self) -> Brief<'_> {
        if let Some(brief) = &self.brief {
            return brief.clone();
        }
        serde_json::from_slice(&self.text).unwrap_or_else(|_| {
            // A name is there twice; then the last one counts, as everywhere.
            let fields = self.fields();
            let word = |name| {
                fields
                    .get(name)
                    .and_then(|value| value.as_str())
                    .map(|text| text.to_owned().into())
            };
            Brief {
                leg: word("leg"),
                status: word("status"),
            }
        })
    }
}

/// What a line about a CDR says of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Brief<'a> {
    /// Its leg, if that is text.
    #[serde(borrow, default, deserialize_with = "only_text")]
    pub leg: Option<Cow<'a, str>>,
    /// Its status, if that is text.
    #[serde(borrow, default, deserialize_with = "only_text")]
    pub status: Option<Cow<'a, str>>,
}

/// A text; any other value is none.
fn only_text<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cow<'a, str>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value<'a> {
        Text(#[serde(borrow)] Cow<'a, str>),
        Other(IgnoredAny),
    }
    Ok(match Value::deserialize(deserializer)? {
        Value::Text(text) => Some(text),
        Value::Other(_) => None,
    })
}

/// A value as it is written in JSON: escaped once, and not in every CDR that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written(Cow<'static, str>);

impl Written {
    /// A value of ours, as it is written.
    #[must_use]
    pub const fn known(json: &'static str) -> Self {
        Self(Cow::Borrowed(json))
    }

    /// A text, in quotes.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self(serde_json::Value::from(text).to_string().into())
    }

    /// Somebody's JSON as it was said, if it is some.
    #[must_use]
    pub fn json(text: &str) -> Option<Self> {
        let json: Box<RawValue> = serde_json::from_str(text).ok()?;
        Some(Self(String::from(Box::<str>::from(json)).into()))
    }

    /// What is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// JSON that is being written, piece by piece: nobody looks whether the pieces fit, so that a piece is a few moves.
#[derive(Debug)]
pub(super) struct Pieces(Vec<u8>);

impl Default for Pieces {
    fn default() -> Self {
        /// Room for any payload whose texts are not longer than the documented ones.
        const USUAL: usize = 512;
        Self(Vec::with_capacity(USUAL))
    }
}

impl Pieces {
    /// Adds a piece whose length is known to the compiler.
    #[inline]
    pub fn put<const LENGTH: usize>(&mut self, piece: &[u8; LENGTH]) {
        self.0.extend_from_slice(piece);
    }

    /// Adds a piece.
    #[inline]
    pub fn add(&mut self, piece: &str) {
        self.0.extend_from_slice(piece.as_bytes());
    }

    /// Adds a number.
    pub fn number(&mut self, number: impl Serialize) {
        // A number cannot fail to serialise.
        let _ = serde_json::to_writer(&mut self.0, &number);
    }

    /// All of it.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

impl From<&Fields> for CdrText {
    fn from(fields: &Fields) -> Self {
        // A map with string keys always serialises.
        Self::made(serde_json::to_vec(fields).unwrap_or_default().into())
    }
}

impl Serialize for CdrText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_slice::<&RawValue>(&self.text) {
            Ok(text) if self.is_compact => text.serialize(serializer),
            _ => self.fields().serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cdr: &CdrText) -> String {
        serde_json::to_string(cdr).unwrap()
    }

    #[test]
    fn a_record_tells_the_fields_and_not_the_text() {
        let text =
            "{ \"to\" : 1.50,\n\"leg\":\"\\u0061\", \"to\":2, \"big\":123456789012345678901 }";
        let cdr = CdrText::read(text.into()).unwrap();
        assert_eq!(
            written(&cdr),
            r#"{"to":2,"leg":"a","big":1.2345678901234567e+20}"#
        );
        assert_eq!(cdr.text(), text);
        assert_eq!(written(&CdrText::from(&cdr.fields())), written(&cdr));
    }

    #[test]
    fn a_line_about_it_says_what_the_fields_say() {
        for (text, leg, status) in [
            (
                r#"{"leg":"a","x":{"leg":"b"},"status":"mis\u0073ed"}"#,
                Some("a"),
                Some("missed"),
            ),
            (r#"{"leg":1,"status":null}"#, None, None),
            (r#"{"leg":"a","leg":"b"}"#, Some("b"), None),
        ] {
            let cdr = CdrText::read(text.into()).unwrap();
            let brief = cdr.brief();
            assert_eq!(
                (brief.leg.as_deref(), brief.status.as_deref()),
                (leg, status),
                "{text}"
            );
        }
    }

    #[test]
    fn a_text_is_written_as_it_would_be_in_an_object() {
        for text in [
            "",
            "a b",
            "\"",
            "\\",
            "\n",
            "\u{7f}",
            "\u{202e}é",
            "{\"x\":1}",
        ] {
            assert_eq!(
                Written::text(text).as_str(),
                serde_json::to_string(text).unwrap()
            );
        }
        assert_eq!(
            Written::json(" {\"a\": 1.50} \n").unwrap().as_str(),
            "{\"a\": 1.50}"
        );
        assert_eq!(Written::json("none"), None);
    }

    #[test]
    fn only_an_object_is_a_cdr() {
        for text in ["[1]", "\"{}\"", "{", "", "{\"to\":1e400}"] {
            assert_eq!(CdrText::read(text.into()), None, "{text}");
        }
    }
}
