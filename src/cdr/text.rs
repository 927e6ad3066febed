//! A CDR as the JSON text it is sent as. Its fields are read where somebody asks for them; in a fast run nobody does.

use bytes::Bytes;
use serde::{Serialize, Serializer};
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
}

impl CdrText {
    /// The CDR in a text that somebody else wrote, if it is a JSON object.
    #[must_use]
    pub fn read(text: Bytes) -> Option<Self> {
        serde_json::from_slice::<Fields>(&text).is_ok().then_some(Self { text, is_compact: false })
    }

    /// The CDR in a text that was made from fields here.
    #[must_use]
    pub fn made(text: Bytes) -> Self {
        Self { text, is_compact: true }
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
    fn only_an_object_is_a_cdr() {
        for text in ["[1]", "\"{}\"", "{", "", "{\"to\":1e400}"] {
            assert_eq!(CdrText::read(text.into()), None, "{text}");
        }
    }
}
