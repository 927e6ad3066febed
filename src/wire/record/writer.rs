//! A record's JSON in one pass: compact, as `serde_json` has it, and with everything escaped that could disturb a terminal.
//!
//! The bodies that records hold are JSON themselves, so that every few characters one must be escaped; that is what
//! takes the time when a record is written, and what is done here at once with the other escapes.

use serde::ser::{self, Error as _, Serialize};
use serde_json::{Error, Value};

use crate::untrusted::disturbs;

/// Writes values behind each other.
pub(super) struct Writer<'a>(pub &'a mut Vec<u8>);

/// The name under which `serde_json` serialises text that is JSON already.
const RAW: &str = "$serde_json::private::RawValue";

/// A byte's lowest bit, in each of eight.
const ONES: u64 = u64::from_le_bytes([1; 8]);

/// A byte's highest bit, in each of eight.
const HIGHS: u64 = ONES << 7;

/// As many bytes of text are written in one step, at most.
const BLOCK: usize = 64;

/// Room for a block, if all of it is escaped, and for what is laid there before it is known what counts of it.
type Room = [u8; 2 * BLOCK + 16];

/// Writes a string with its quotes.
fn string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    // With two quotes, and some more to escape.
    out.reserve(bytes.len() + bytes.len() / 4 + 16);
    out.push(b'"');
    if stands_for_itself(bytes) {
        out.extend_from_slice(bytes);
    } else {
        let mut at = 0;
        while at < bytes.len() {
            let end = bytes.len().min(at + BLOCK);
            at += printable(out, &bytes[at..end]);
            if at < end {
                at = characters(out, text, at, end.min(at + 8));
            }
        }
    }
    out.push(b'"');
}

/// Whether nothing is to be escaped: so it is with nearly all texts but bodies.
fn stands_for_itself(bytes: &[u8]) -> bool {
    let is_so = |eight: u64| is_printable(eight) && escaped(eight) == 0;
    let (eights, rest) = bytes.as_chunks();
    match bytes.last_chunk() {
        // The last eight are looked at whole, the first of them a second time.
        Some(last) => {
            eights.iter().all(|eight| is_so(u64::from_le_bytes(*eight))) && is_so(u64::from_le_bytes(*last))
        }
        None => is_so(filled_up(rest)),
    }
}

/// Less than eight bytes, and spaces behind them.
#[inline]
fn filled_up(rest: &[u8]) -> u64 {
    rest.iter().rev().fold(ONES * u64::from(b' '), |eight, byte| eight << 8 | u64::from(*byte))
}

/// Writes what is printable ASCII at the beginning of a block, eight bytes at a time; gives how much that is.
fn printable(out: &mut Vec<u8>, block: &[u8]) -> usize {
    let mut room: Room = [0; _];
    let mut written = 0;
    let (eights, rest) = block.as_chunks();
    for (done, eight) in eights.iter().enumerate() {
        let eight = u64::from_le_bytes(*eight);
        if !is_printable(eight) {
            out.extend_from_slice(&room[..written]);
            return 8 * done;
        }
        written = put(&mut room, written, eight) + 8;
    }
    let eight = filled_up(rest);
    let mut read = 8 * eights.len();
    if is_printable(eight) {
        // What it was filled up with has nothing to escape.
        written = put(&mut room, written, eight) + rest.len();
        read += rest.len();
    }
    out.extend_from_slice(&room[..written]);
    read
}

/// Whether all eight are printable ASCII.
#[inline]
fn is_printable(eight: u64) -> bool {
    // What is below the space does not come to 0x80, and only 0x7f does with one more. Sums that run over into the next
    // byte are those of bytes that are not ASCII.
    let spaces = eight.wrapping_add(ONES * 0x60);
    let deletes = eight.wrapping_add(ONES);
    (eight | !spaces | deletes) & HIGHS == 0
}

/// Which of eight bytes that are printable ASCII need a backslash before them: their highest bits.
#[inline]
fn escaped(eight: u64) -> u64 {
    // Only nought does not come to 0x80 here, and none of these sums runs over.
    let differs = |byte: u8| (eight ^ (ONES * u64::from(byte))).wrapping_add(ONES * 0x7f);
    !(differs(b'"') & differs(b'\\')) & HIGHS
}

/// Writes eight bytes that are printable ASCII, the lowest first, each with a backslash before it that needs one; gives
/// where the first one would stand if the last one was the eighth behind it.
#[inline]
fn put(room: &mut Room, mut at: usize, eight: u64) -> usize {
    let mut escaped = escaped(eight);
    lay(room, at, eight);
    while escaped != 0 {
        // The place of its highest bit is that of its lowest, and seven.
        let place = escaped.trailing_zeros() & !7;
        let before = at + place as usize / 8;
        lay(room, before, u64::from(b'\\'));
        lay(room, before + 1, eight >> place);
        at += 1;
        escaped &= escaped - 1;
    }
    at
}

/// Writes eight bytes, the lowest first.
#[inline]
fn lay(room: &mut Room, at: usize, eight: u64) {
    // There always is room.
    if let Some(place) = room.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = eight.to_le_bytes();
    }
}

/// Writes the characters that begin here and before `end`, one by one; gives where the next one begins.
fn characters(out: &mut Vec<u8>, text: &str, mut at: usize, end: usize) -> usize {
    for c in text[at..].chars() {
        if at >= end {
            break;
        }
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\x08' => out.extend_from_slice(b"\\b"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\x0c' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            c if disturbs(c) => super::push_escape(out, c),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        at += c.len_utf8();
    }
    at
}

/// Something with members, or elements.
pub(super) struct Inside<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
    /// Whether it is text that is JSON already.
    is_raw: bool,
    close: &'static [u8],
}

impl<'a> Inside<'a> {
    #[inline]
    fn new(out: &'a mut Vec<u8>, open: u8, close: &'static [u8]) -> Self {
        out.push(open);
        Self { out, is_first: true, is_raw: false, close }
    }

    /// More members of something that has begun already and is ended elsewhere.
    pub fn begun(out: &'a mut Vec<u8>) -> Self {
        Self { out, is_first: false, is_raw: false, close: b"" }
    }

    /// Adds members that are written already, each with its comma.
    pub fn add(&mut self, members: &[u8]) {
        self.out.extend_from_slice(members);
    }

    /// How much is written.
    pub fn written(&self) -> usize {
        self.out.len()
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
        value.serialize(Writer(self.out))
    }

    #[inline]
    fn member<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        if self.is_raw {
            let Value::String(json) = serde_json::to_value(value)? else {
                return Err(Error::custom("raw JSON that is no text"));
            };
            super::push_line(self.out, &json);
            return Ok(());
        }
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
        begin_member(self.out, name);
        value.serialize(Writer(self.out))
    }

    #[inline]
    fn close(self) {
        self.out.extend_from_slice(self.close);
    }
}

/// Numbers, true and false as `serde_json` writes them.
macro_rules! as_elsewhere {
    ($($method:ident: $type:ty),*) => {
        $(#[inline]
        fn $method(self, value: $type) -> Result<(), Error> {
            serde_json::to_writer(self.0, &value)
        })*
    };
}

impl<'a> ser::Serializer for Writer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Inside<'a>;
    type SerializeTuple = Inside<'a>;
    type SerializeTupleStruct = Inside<'a>;
    type SerializeTupleVariant = Inside<'a>;
    type SerializeMap = Inside<'a>;
    type SerializeStruct = Inside<'a>;
    type SerializeStructVariant = Inside<'a>;

    as_elsewhere! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_f32: f32, serialize_f64: f64
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        string(self.0, value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.collect_seq(value)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let mut inside = Inside::new(self.0, b'{', b"}");
        inside.member(variant, value)?;
        inside.close();
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Inside<'a>, Error> {
        Ok(Inside::new(self.0, b'[', b"]"))
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Inside<'a>, Error> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Inside<'a>, Error> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Inside<'a>, Error> {
        begin_variant(self.0, variant);
        Ok(Inside::new(self.0, b'[', b"]}"))
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Inside<'a>, Error> {
        Ok(Inside::new(self.0, b'{', b"}"))
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Inside<'a>, Error> {
        if name == RAW {
            return Ok(Inside { out: self.0, is_first: true, is_raw: true, close: b"" });
        }
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Inside<'a>, Error> {
        begin_variant(self.0, variant);
        Ok(Inside::new(self.0, b'{', b"}}"))
    }
}

/// Writes a name of ours, in which there is nothing to escape.
#[inline]
fn begin_member(out: &mut Vec<u8>, name: &str) {
    out.reserve(name.len() + 4);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn begin_variant(out: &mut Vec<u8>, variant: &str) {
    out.push(b'{');
    begin_member(out, variant);
}

/// What has elements.
macro_rules! elements {
    ($($trait:ident $method:ident),*) => {
        $(impl ser::$trait for Inside<'_> {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.element(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        })*
    };
}

elements! {
    SerializeSeq serialize_element, SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field
}

/// What has members whose names are known.
macro_rules! members {
    ($($trait:ident),*) => {
        $(impl ser::$trait for Inside<'_> {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.member(name, value)
            }

            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        })*
    };
}

members! { SerializeStruct, SerializeStructVariant }

impl ser::SerializeMap for Inside<'_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let begin = self.out.len() + usize::from(!self.is_first);
        self.element(key)?;
        // A number's name is its digits, as text.
        if self.out.get(begin) != Some(&b'"') {
            self.out.insert(begin, b'"');
            self.out.push(b'"');
        }
        Ok(())
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.out.push(b':');
        value.serialize(Writer(self.out))
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}
