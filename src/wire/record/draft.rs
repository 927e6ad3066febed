//! An exchange's record in two steps: what is known before its place in the order is, and then the rest.
//!
//! Whoever writes exchanges down one after the other holds a lock meanwhile. The request, the fields and the answer,
//! which make up nearly all of a record, are written before; its number, the verdict and the relations afterwards.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::page::Page;
use super::writer::Inside;
use super::{Exchange, begin};

/// What the record of an exchange says, but for its number, its verdict and its relations.
#[derive(Debug, Default)]
pub struct Draft {
    /// From the members behind the number to the end of the line.
    json: Page,
    /// Where the verdict belongs.
    verdict: usize,
    /// Where the relations belong.
    related: usize,
}

impl Draft {
    /// Drafts the record of an exchange, in a buffer that may have served before. Nothing but its number, its verdict and
    /// its relations may change afterwards.
    #[must_use]
    pub fn of<V: Serialize, C: Serialize>(exchange: &Exchange<V, C>, buffer: Vec<u8>) -> Self {
        let mut json = Page::over(buffer);
        // The fields say once more what the body says, whose quotes are escaped.
        json.room(512 + 5 * exchange.request.body.len() / 2);
        // What is written are text, numbers and maps with text for keys: nothing that JSON cannot hold.
        let mut inside = Inside::begun(&mut json);
        let _ = exchange.before_the_verdict(&mut inside);
        let verdict = inside.written();
        let _ = exchange.before_the_relations(&mut inside);
        let related = inside.written();
        let _ = exchange.behind_the_relations(&mut inside);
        inside.add(b"}\n");
        Self {
            json,
            verdict,
            related,
        }
    }

    /// How many bytes are written already.
    #[must_use]
    pub fn size(&self) -> usize {
        self.json.len()
    }

    /// The buffer, for the next draft.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.json.into_room()
    }

    /// Adds the whole record of the exchange that this is a draft of, as a line.
    pub fn complete<V: Serialize, C: Serialize>(
        &self,
        exchange: &Exchange<V, C>,
        lines: &mut Vec<u8>,
    ) {
        let json = self.json.written();
        lines.reserve(json.len() + 512);
        let mut page = Page::behind(std::mem::take(lines));
        begin(&mut page, "exchange");
        let mut inside = Inside::begun(&mut page);
        let _ = inside.serialize_field("n", &exchange.n);
        inside.add(&json[..self.verdict]);
        let _ = inside.serialize_field("verdict", &exchange.verdict);
        inside.add(&json[self.verdict..self.related]);
        let _ = exchange.relations(&mut inside);
        inside.add(&json[self.related..]);
        *lines = page.done();
    }
}

/// All members of a record, in their order.
impl<V: Serialize, C: Serialize> Serialize for Exchange<V, C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_struct("Exchange", 11)?;
        record.serialize_field("n", &self.n)?;
        self.before_the_verdict(&mut record)?;
        record.serialize_field("verdict", &self.verdict)?;
        self.before_the_relations(&mut record)?;
        self.relations(&mut record)?;
        self.behind_the_relations(&mut record)?;
        record.end()
    }
}

impl<V: Serialize, C: Serialize> Exchange<V, C> {
    fn before_the_verdict<S: SerializeStruct>(&self, record: &mut S) -> Result<(), S::Error> {
        record.serialize_field("received_at", &self.received_at)?;
        record.serialize_field("peer", &self.peer)?;
        if self.claimed.is_some() {
            record.serialize_field("claimed", &self.claimed)?;
        }
        record.serialize_field("request", &self.request)
    }

    fn before_the_relations<S: SerializeStruct>(&self, record: &mut S) -> Result<(), S::Error> {
        if self.cdr.is_some() {
            record.serialize_field("cdr", &self.cdr)?;
        }
        Ok(())
    }

    fn relations<S: SerializeStruct>(&self, record: &mut S) -> Result<(), S::Error> {
        if !self.related.is_empty() {
            record.serialize_field("related", &self.related)?;
        }
        Ok(())
    }

    fn behind_the_relations<S: SerializeStruct>(&self, record: &mut S) -> Result<(), S::Error> {
        if self.uncounted.is_some() {
            record.serialize_field("uncounted", &self.uncounted)?;
        }
        record.serialize_field("answer", &self.answer)?;
        record.serialize_field("took_ms", &self.took_ms)
    }
}
