//! A text's outermost level: the members of an object by name, each with its own text.

use std::borrow::Cow;
use std::ops::Range;

use super::{Fault, Kind, Token, inner, push_unescaped, scan, text};

/// One member of the outermost object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name, with escapes resolved.
    pub name: Cow<'a, str>,
    /// What its value starts with, which tells its type.
    pub kind: Kind,
    /// Its value exactly as written.
    pub raw: &'a str,
    /// Where in the text that begins.
    start: usize,
    /// Whether it is a string with escapes in it.
    is_escaped: bool,
}

/// What a text holds at its outermost level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document<'a> {
    /// An object's members in order; a repeated name appears as often as it was written.
    Object(Vec<Member<'a>>),
    /// Anything else, named: `array`, `string`, `number`, `true`, `false`, `null`.
    Other(&'a str),
}

/// Reads the outermost level of bytes, or says why they are not JSON.
pub fn document(bytes: &[u8]) -> Result<Document<'_>, Fault> {
    outermost(text(bytes)?)
}

/// Reads a text's outermost level, or says why it is not JSON.
pub fn outermost(text: &str) -> Result<Document<'_>, Fault> {
    let mut outline = Outline::default();
    scan(text, |token| outline.add(text, token))?;
    Ok(match (outline.first, outline.first_text) {
        (Kind::Open, "{") => Document::Object(outline.members),
        (Kind::Open, _) => Document::Other("array"),
        (Kind::String, _) => Document::Other("string"),
        (Kind::Number, _) => Document::Other("number"),
        (_, word) => Document::Other(word),
    })
}

/// What has been told of a text's outermost level so far.
struct Outline<'a> {
    first: Kind,
    first_text: &'a str,
    depth: usize,
    /// The place of the name of the member that is being told, and whether there are escapes in it.
    name: (Range<usize>, bool),
    /// Where the value begins that is an array or an object, while it is being told.
    nested: usize,
    members: Vec<Member<'a>>,
}

impl Default for Outline<'_> {
    fn default() -> Self {
        // As many members as a CDR has, or a few more.
        let members = Vec::with_capacity(20);
        Self { first: Kind::Word, first_text: "", depth: 0, name: (0..0, false), nested: 0, members }
    }
}

impl<'a> Outline<'a> {
    /// Takes note of the next token of the text.
    #[inline]
    fn add(&mut self, text: &'a str, token: Token) {
        let Token { kind, place, is_escaped } = token;
        match kind {
            Kind::Colon | Kind::Comma => {}
            Kind::Key if self.depth == 1 => self.name = (place, is_escaped),
            Kind::Key => {}
            Kind::Open | Kind::String | Kind::Number | Kind::Word if self.depth == 0 => {
                (self.first, self.first_text) = (kind, &text[place]);
                self.depth += usize::from(kind == Kind::Open);
            }
            Kind::Open => {
                if self.depth == 1 {
                    self.nested = place.start;
                }
                self.depth += 1;
            }
            Kind::Close => {
                self.depth -= 1;
                if self.depth == 1 {
                    self.member(text, Kind::Open, self.nested..place.end, false);
                }
            }
            Kind::String | Kind::Number | Kind::Word if self.depth == 1 => {
                self.member(text, kind, place, is_escaped);
            }
            Kind::String | Kind::Number | Kind::Word => {}
        }
    }

    #[inline]
    fn member(&mut self, text: &'a str, kind: Kind, place: Range<usize>, is_escaped: bool) {
        // An array's elements have no names.
        if self.first_text == "{" {
            let (name, name_is_escaped) = &self.name;
            let name = unquoted(&text[name.clone()], *name_is_escaped);
            let start = place.start;
            self.members.push(Member { name, kind, raw: &text[place], start, is_escaped });
        }
    }
}

impl Member<'_> {
    /// Where in the text the value's own text stands: that of a string, if it stands there as it is, and all of anything
    /// else.
    #[must_use]
    pub fn place(&self) -> Option<Range<usize>> {
        let quote = usize::from(self.kind == Kind::String);
        let end = self.start + self.raw.len();
        (!self.is_escaped).then_some(self.start + quote..end - quote)
    }

    /// Adds the text of a value that is a string.
    pub fn push_text(&self, text: &mut String) {
        push_unescaped(text, inner(self.raw));
    }
}

/// A string's text without its quotes and escapes, where it stands if it has none.
fn unquoted(raw: &str, is_escaped: bool) -> Cow<'_, str> {
    if is_escaped { super::unquoted(raw).into() } else { inner(raw).into() }
}
