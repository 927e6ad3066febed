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
        serde_json::from_slice::<Fields>(&text).is_ok().then_some(Self {
            text,
            is_compact: false,
            brief: None,
        })
    }

    /// The CDR in a text that was made from fields here.
    #[must_use]
    pub fn made(text: Bytes) -> Self {
        Self { text, is_compact: true, brief: None }
    }

    /// The CDR in the text of a payload, of which somebody knows what a line about it says.
    #[must_use]
    pub fn told(text: Bytes, brief: Brief<'static>) -> Self {
        Self { text, is_compact: true, brief: Some(brief) }
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
            let word =
                |name| fields.get(name).and_then(|value| value.as_str()).map(|text| text.to_owned().into());
            Brief { leg: word("leg"), status: word("status") }
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
fn only_text<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'a, str>>, D::Error> {
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

/// A JSON object that is being written.
#[derive(Debug)]
pub(super) struct Object(Vec<u8>);

impl Default for Object {
    fn default() -> Self {
        /// Room for any payload whose texts are not longer than the documented ones.
        const USUAL: usize = 512;
        Self(Vec::with_capacity(USUAL))
    }
}

impl Object {
    /// Adds a word of ours, in which nothing has to be escaped.
    pub fn word(&mut self, name: &'static str, word: &'static str) {
        self.name(name);
        self.quoted(word);
    }

    /// Adds a text.
    pub fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        self.string(text);
    }

    /// Adds a number.
    pub fn number(&mut self, name: &'static str, number: impl Serialize) {
        self.json(name, &number);
    }

    /// Adds any value.
    pub fn json<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        self.name(name);
        // Numbers and JSON that was parsed before cannot fail to serialise.
        let _ = serde_json::to_writer(&mut self.0, value);
    }

    /// The object, complete.
    pub fn finish(mut self) -> Vec<u8> {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        self.0
    }

    fn name(&mut self, name: &'static str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.quoted(name);
        self.0.push(b':');
    }

    fn quoted(&mut self, text: &str) {
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }

    fn string(&mut self, text: &str) {
        // Nearly every text stands in JSON as it is. All bytes are looked at, which is done to many at once.
        let stands = |byte: &u8| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..);
        if text.as_bytes().iter().fold(true, |plain, byte| plain & stands(byte)) {
            self.quoted(text);
        } else {
            // Text cannot fail to serialise.
            let _ = serde_json::to_writer(&mut self.0, text);
        }
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
        let text = "{ \"to\" : 1.50,\n\"leg\":\"\\u0061\", \"to\":2, \"big\":123456789012345678901 }";
        let cdr = CdrText::read(text.into()).unwrap();
        assert_eq!(written(&cdr), r#"{"to":2,"leg":"a","big":1.2345678901234567e+20}"#);
        assert_eq!(cdr.text(), text);
        assert_eq!(written(&CdrText::from(&cdr.fields())), written(&cdr));
    }

    #[test]
    fn a_line_about_it_says_what_the_fields_say() {
        for (text, leg, status) in [
            (r#"{"leg":"a","x":{"leg":"b"},"status":"mis\u0073ed"}"#, Some("a"), Some("missed")),
            (r#"{"leg":1,"status":null}"#, None, None),
            (r#"{"leg":"a","leg":"b"}"#, Some("b"), None),
        ] {
            let cdr = CdrText::read(text.into()).unwrap();
            let brief = cdr.brief();
            assert_eq!((brief.leg.as_deref(), brief.status.as_deref()), (leg, status), "{text}");
        }
    }

    #[test]
    fn an_object_is_written_as_its_fields_would_be() {
        let mut object = Object::default();
        let texts = ["", "a b", "\"", "\\", "\n", "\u{7f}", "\u{202e}é", "{\"x\":1}"];
        for (name, text) in ["a", "b", "c", "d", "e", "f", "g", "h"].into_iter().zip(texts) {
            object.text(name, text);
        }
        object.word("w", "missed");
        object.number("n", -7);
        let json = object.finish();
        let fields: Fields = serde_json::from_slice(&json).unwrap();
        assert_eq!(String::from_utf8(json).unwrap(), serde_json::to_string(&fields).unwrap());
        assert_eq!((fields.len(), fields["n"].as_i64()), (texts.len() + 2, Some(-7)));
        assert_eq!(Object::default().finish(), b"{}");
    }

    #[test]
    fn only_an_object_is_a_cdr() {
        for text in ["[1]", "\"{}\"", "{", "", "{\"to\":1e400}"] {
            assert_eq!(CdrText::read(text.into()), None, "{text}");
        }
    }
}
