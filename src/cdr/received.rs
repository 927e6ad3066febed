//! An object as it was received: its members by name, in order, ready to be looked at and written down.
//!
//! One piece of text holds all of it, so that taking it in and letting it go costs next to nothing. The documented fields
//! are found by their places in the table of all.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Fields;
use super::schema::{self, FIELDS};
use crate::json::{Kind, Member};

/// See the module.
#[derive(Clone, Default)]
pub struct Received {
    /// The JSON that was received, if it was JSON, and behind it what does not stand there as it is.
    text: String,
    entries: Vec<Entry>,
    /// For each documented name, which entry has it, counted from one; nought if none has.
    places: [u32; FIELDS.len()],
}

/// One member.
#[derive(Clone)]
struct Entry {
    /// The name's place in the table of documented fields, if it has one.
    place: Option<u8>,
    /// Where in the text the name stands, if it is not documented.
    name: Range<usize>,
    /// Where the value's own text stands.
    value: Range<usize>,
    held: Held,
}

/// What a value is, besides its text.
#[derive(Clone)]
enum Held {
    Text,
    Whole(u64),
    Other(Box<Value>),
}

/// A value that was found in an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Found<'a> {
    /// A string.
    Text(&'a str),
    /// A whole number that is not negative, and its digits.
    Whole(u64, &'a str),
    /// Anything else.
    Other(&'a Value),
}

impl<'a> Found<'a> {
    /// The text of a string.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Whole(..) | Self::Other(_) => None,
        }
    }

    /// The whole number that it is, if it is one.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Self::Text(_) => None,
            Self::Whole(number, _) => i64::try_from(number).ok(),
            Self::Other(value) => value.as_i64(),
        }
    }

    /// Its text: that of a string, and anything else as compact JSON.
    #[must_use]
    pub fn text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) | Self::Whole(_, text) => text.into(),
            Self::Other(value) => value.to_string().into(),
        }
    }

    /// Whether it is a number.
    #[must_use]
    pub fn is_number(self) -> bool {
        matches!(self, Self::Whole(..) | Self::Other(Value::Number(_)))
    }

    /// The same as a value of its own.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self {
            Self::Text(text) => text.into(),
            Self::Whole(number, _) => number.into(),
            Self::Other(value) => value.clone(),
        }
    }
}

impl Serialize for Found<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Whole(number, _) => serializer.serialize_u64(*number),
            Self::Other(value) => value.serialize(serializer),
        }
    }
}

impl Received {
    /// How many members there are, each name counted once.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of the member of that name.
    #[must_use]
    #[expect(
        clippy::inline_always,
        reason = "of a name that is known when this is built, the place is too"
    )]
    #[inline(always)]
    pub fn get(&self, name: &str) -> Option<Found<'_>> {
        schema::place(name).map_or_else(|| self.other(name), |place| self.documented(place))
    }

    fn other(&self, name: &str) -> Option<Found<'_>> {
        self.others()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// The value of the documented field in that place of the table of all.
    #[must_use]
    #[inline]
    pub fn documented(&self, place: usize) -> Option<Found<'_>> {
        let before = self.places[place].checked_sub(1)?;
        self.entries
            .get(before as usize)
            .map(|entry| self.value(entry))
    }

    /// The names and values of all fields that are not documented, in order.
    pub fn others(&self) -> impl Iterator<Item = (&str, Found<'_>)> {
        // Where there are none, as nearly always, none are looked for.
        let number = self.len() - self.resemblance();
        let others = self
            .entries
            .iter()
            .filter(|entry| entry.place.is_none())
            .take(number);
        others.map(|entry| (self.name(entry), self.value(entry)))
    }

    /// How many documented fields there are.
    #[must_use]
    pub fn resemblance(&self) -> usize {
        self.places.iter().filter(|place| **place > 0).count()
    }

    /// Whether there is a member of that name.
    #[must_use]
    #[expect(
        clippy::inline_always,
        reason = "of a name that is known when this is built, the place is too"
    )]
    #[inline(always)]
    pub fn contains_key(&self, name: &str) -> bool {
        schema::place(name).map_or_else(
            || self.other(name).is_some(),
            |place| self.places[place] > 0,
        )
    }

    /// The text of the member of that name, if it is one.
    #[must_use]
    #[expect(
        clippy::inline_always,
        reason = "of a name that is known when this is built, the place is too"
    )]
    #[inline(always)]
    pub fn word(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Found::as_str)
    }

    /// All names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Found<'_>)> {
        self.entries
            .iter()
            .map(|entry| (self.name(entry), self.value(entry)))
    }

    fn name<'a>(&'a self, entry: &Entry) -> &'a str {
        entry.place.map_or_else(
            || &self.text[entry.name.clone()],
            |place| FIELDS[usize::from(place)].name,
        )
    }

    #[inline]
    fn value<'a>(&'a self, entry: &'a Entry) -> Found<'a> {
        let text = &self.text[entry.value.clone()];
        match &entry.held {
            Held::Text => Found::Text(text),
            Held::Whole(number) => Found::Whole(*number, text),
            Held::Other(value) => Found::Other(value),
        }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl PartialEq for Received {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Received {}

impl Serialize for Received {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for entry in &self.entries {
            match entry.place {
                Some(place) => map.serialize_key(&Documented(FIELDS[usize::from(place)].name))?,
                None => map.serialize_key(self.name(entry))?,
            }
            map.serialize_value(&self.value(entry))?;
        }
        map.end()
    }
}

/// The name of a documented field. It is written like a variant's, in which nobody looks for what is to be escaped.
struct Documented(&'static str);

impl Serialize for Documented {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit_variant("Documented", 0, self.0)
    }
}

impl From<&Fields> for Received {
    fn from(fields: &Fields) -> Self {
        let mut gathering = Gathering::of("");
        for (name, value) in fields {
            gathering.add(name, |text| {
                let whole = value.as_u64();
                let digits = whole.map(|whole| whole.to_string());
                let place = push(
                    text,
                    digits.as_deref().or(value.as_str()).unwrap_or_default(),
                );
                let held = match (value, whole) {
                    (Value::String(_), _) => Held::Text,
                    (_, Some(number)) => Held::Whole(number),
                    _ => Held::Other(Box::new(value.clone())),
                };
                (place, held)
            });
        }
        gathering.done()
    }
}

impl From<&Received> for Fields {
    fn from(received: &Received) -> Self {
        received
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_value()))
            .collect()
    }
}

/// An object whose members are still being added.
#[derive(Default)]
pub struct Gathering {
    received: Received,
    /// Where the other names stand.
    others: HashMap<String, usize>,
}

impl Gathering {
    /// Nothing yet of a JSON text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        /// As many members as any documented CDR has. They fit into a kilobyte, up to which room is had for next to
        /// nothing.
        const MEMBERS: usize = 18;
        // What has escapes stands there twice.
        let mut own = String::with_capacity(text.len() + text.len() / 4);
        own.push_str(text);
        let received = Received {
            text: own,
            entries: Vec::with_capacity(MEMBERS),
            ..Received::default()
        };
        Self {
            received,
            ..Self::default()
        }
    }

    /// The object.
    #[must_use]
    pub fn done(self) -> Received {
        self.received
    }

    /// Adds a member of the JSON text. If there is one of that name its value takes the other's place, and the answer is
    /// true.
    #[inline]
    pub fn member(&mut self, member: &Member<'_>) -> bool {
        self.add(&member.name, |text| {
            let place = member.place().unwrap_or_else(|| {
                let begin = text.len();
                member.push_text(text);
                begin..text.len()
            });
            (place, held(member))
        })
    }

    /// Adds a member whose value's text is found or added by `find`.
    #[inline]
    fn add(&mut self, name: &str, find: impl FnOnce(&mut String) -> (Range<usize>, Held)) -> bool {
        let Received {
            text,
            entries,
            places,
        } = &mut self.received;
        let documented = schema::place(name);
        let (before, name) = if let Some(place) = documented {
            let before = places[place].checked_sub(1).map(|before| before as usize);
            if before.is_none() {
                // There are not as many members as that: no text is so long.
                places[place] = u32::try_from(entries.len() + 1).unwrap_or_default();
            }
            (before, 0..0)
        } else {
            let before = self.others.get(name).copied();
            if before.is_none() {
                self.others.insert(name.to_owned(), entries.len());
            }
            (before, push(text, name))
        };
        let place = documented.and_then(|place| u8::try_from(place).ok());
        let (value, held) = find(text);
        let entry = Entry {
            place,
            name,
            value,
            held,
        };
        match before {
            Some(before) => entries[before] = entry,
            None => entries.push(entry),
        }
        before.is_some()
    }
}

/// Adds a text, and gives its place.
fn push(text: &mut String, more: &str) -> Range<usize> {
    let begin = text.len();
    text.push_str(more);
    begin..text.len()
}

/// What a member's value is. Of one that JSON's grammar allows and no value can hold, like `1e999` or half a surrogate
/// pair, the nearest: of its type, so that nothing false is said of that.
fn held(member: &Member<'_>) -> Held {
    let read = || serde_json::from_str(member.raw);
    let other = |value| Held::Other(Box::new(value));
    match (member.kind, member.raw.as_bytes().first()) {
        (Kind::String, _) => Held::Text,
        // Nearly every number is a whole one.
        (Kind::Number, _) => match member.raw.parse() {
            Ok(number) => Held::Whole(number),
            Err(_) => other(read().unwrap_or_else(|_| f64::MAX.into())),
        },
        (_, Some(b'[')) => other(read().unwrap_or_else(|_| Value::Array(Vec::new()))),
        _ => other(read().unwrap_or_else(|_| Value::Object(Fields::new()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn received(text: &str) -> Received {
        let mut gathering = Gathering::of(text);
        assert_eq!(
            json::members(text, |member| _ = gathering.member(&member)),
            Ok(None)
        );
        gathering.done()
    }

    #[test]
    fn of_a_repeated_name_the_last_value_takes_the_first_place() {
        let text =
            r#"{"x":1,"leg":"a","to":442079460000,"x":[1.50],"l\u0065g":"b\n","\u0078":{"y":-1}}"#;
        let received = received(text);
        let written = r#"{"x":{"y":-1},"leg":"b\n","to":442079460000}"#;
        assert_eq!(serde_json::to_string(&received).unwrap(), written);
        let fields: Fields = serde_json::from_str(text).unwrap();
        assert_eq!(
            (Received::from(&fields), Fields::from(&received)),
            (received, fields)
        );
    }

    #[test]
    fn values_are_found_by_documented_names_and_others() {
        let received = received(r#"{"leg":"","x":"\"","to":7,"time":-7,"record":true}"#);
        let texts =
            ["leg", "x", "to", "time", "record"].map(|name| received.get(name).unwrap().text());
        assert_eq!(texts, ["", "\"", "7", "-7", "true"]);
        let numbers =
            ["to", "time", "record", "x"].map(|name| received.get(name).unwrap().as_i64());
        assert_eq!(numbers, [Some(7), Some(-7), None, None]);
        assert!(
            received.get("type").is_none()
                && received.get("y").is_none()
                && received.get("").is_none()
        );
    }
}
