//! A record's JSON in one pass: compact, as `serde_json` has it, and with everything escaped that could disturb a terminal.

use serde::ser::{self, Error as _, Serialize};
use serde_json::{Error, Value};

use super::page::Page;
use super::text::string;

/// Writes values behind each other.
pub(super) struct Writer<'a>(pub &'a mut Page);

/// The name under which `serde_json` serialises text that is JSON already.
const RAW: &str = "$serde_json::private::RawValue";

/// Something with members, or elements.
pub(super) struct Inside<'a> {
    page: &'a mut Page,
    /// What comes before the next one: what opens all of it, and then a comma.
    before: u8,
    /// Whether it is text that is JSON already.
    is_raw: bool,
    /// What closes all of it; nought where nothing does.
    close: [u8; 2],
}

impl<'a> Inside<'a> {
    #[inline]
    fn new(page: &'a mut Page, open: u8, close: [u8; 2]) -> Self {
        Self {
            page,
            before: open,
            is_raw: false,
            close,
        }
    }

    /// More members of something that has begun already and is ended elsewhere.
    pub fn begun(page: &'a mut Page) -> Self {
        Self {
            page,
            before: b',',
            is_raw: false,
            close: [0, 0],
        }
    }

    /// Adds members that are written already, each with its comma.
    pub fn add(&mut self, members: &[u8]) {
        self.page.add(members);
    }

    /// How much is written.
    pub fn written(&self) -> usize {
        self.page.len()
    }

    /// What comes before the next one.
    #[inline]
    fn before(&mut self) -> u8 {
        std::mem::replace(&mut self.before, b',')
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let before = self.before();
        self.page.push(before);
        value.serialize(Writer(self.page))
    }

    #[expect(
        clippy::inline_always,
        reason = "it is known there how long the name is"
    )]
    #[inline(always)]
    fn member<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        if self.is_raw {
            return self.raw(value);
        }
        let before = self.before();
        self.page.add_name(before, name);
        value.serialize(Writer(self.page))
    }

    #[cold]
    fn raw<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let Value::String(json) = serde_json::to_value(value)? else {
            return Err(Error::custom("raw JSON that is no text"));
        };
        super::push_line(self.page, &json);
        Ok(())
    }

    #[inline]
    fn close(self) {
        // Nothing has opened what has nothing in it.
        if self.before != b',' {
            self.page.push(self.before);
        }
        for close in self.close {
            if close != 0 {
                self.page.push(close);
            }
        }
    }
}

/// Numbers, true and false as `serde_json` writes them.
macro_rules! as_elsewhere {
    ($($method:ident: $type:ty),*) => {
        $(
            #[inline]
            fn $method(self, value: $type) -> Result<(), Error> {
                serde_json::to_writer(self.0, &value)
            }
        )*
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
        self.0.add(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        // A word of ours, in which there is nothing to escape.
        self.0.add_word(variant);
        Ok(())
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
        let mut inside = Inside::new(self.0, b'{', [b'}', 0]);
        inside.member(variant, value)?;
        inside.close();
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Inside<'a>, Error> {
        Ok(Inside::new(self.0, b'[', [b']', 0]))
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
        Ok(Inside::new(self.0, b'[', *b"]}"))
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Inside<'a>, Error> {
        Ok(Inside::new(self.0, b'{', [b'}', 0]))
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Inside<'a>, Error> {
        if name == RAW {
            return Ok(Inside {
                is_raw: true,
                ..Inside::begun(self.0)
            });
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
        Ok(Inside::new(self.0, b'{', *b"}}"))
    }
}

fn begin_variant(page: &mut Page, variant: &str) {
    page.add_name(b'{', variant);
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

            // It is known there how long the name is.
            #[inline(always)]
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
        let begin = self.page.len() + 1;
        self.element(key)?;
        // A number's name is its digits, as text.
        if self.page.written().get(begin) != Some(&b'"') {
            let digits = self.page.written()[begin..].to_vec();
            self.page.cut(begin);
            self.page.push(b'"');
            self.page.add(&digits);
            self.page.push(b'"');
        }
        Ok(())
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.page.push(b':');
        value.serialize(Writer(self.page))
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}
