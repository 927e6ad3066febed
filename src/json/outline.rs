//! A text's outermost level: the members of an object by name, each with its own text.

use std::borrow::Cow;
use std::ops::Range;

use super::string::{inner, push_unescaped};
use super::{Fault, Kind, Token, scan, text};

/// One member of the outermost object.
#[derive(Debug, Clone)]
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

/// Reads a text's outermost level, or says why it is not JSON.
pub fn document(bytes: &[u8]) -> Result<Document<'_>, Fault> {
    // As many as a CDR has, or a few more.
    let mut all = Vec::with_capacity(20);
    let other = members(text(bytes)?, |member| all.push(member))?;
    Ok(other.map_or(Document::Object(all), Document::Other))
}

/// Tells the members of an object as they are read, before it is known whether all of the text is JSON. If it is, and no
/// object, then the answer is what else, as [`Document::Other`] has it.
pub fn members<'a>(text: &'a str, tell: impl FnMut(Member<'a>)) -> Result<Option<&'a str>, Fault> {
    let mut outline = Outline {
        text,
        other: None,
        depth: 0,
        name: (0..0, false),
        nested: 0,
        tell,
    };
    scan(text, |token| outline.add(token))?;
    Ok(outline.other)
}

/// What has been told of a text's outermost level so far.
struct Outline<'a, F> {
    text: &'a str,
    /// What it is, if it is no object.
    other: Option<&'a str>,
    depth: usize,
    /// The place of the name of the member that is being told, and whether there are escapes in it.
    name: (Range<usize>, bool),
    /// Where the value begins that is an array or an object, while it is being told.
    nested: usize,
    tell: F,
}

impl<'a, F: FnMut(Member<'a>)> Outline<'a, F> {
    /// Takes note of the next token of the text.
    #[inline]
    fn add(&mut self, token: Token) {
        let Token {
            kind,
            place,
            is_escaped,
        } = token;
        match kind {
            Kind::Colon | Kind::Comma => {}
            Kind::Key => {
                if self.depth == 1 {
                    self.name = (place, is_escaped);
                }
            }
            Kind::Open => {
                match self.depth {
                    0 => self.other = (&self.text[place] == "[").then_some("array"),
                    1 => self.nested = place.start,
                    _ => {}
                }
                self.depth += 1;
            }
            Kind::Close => {
                self.depth -= 1;
                if self.depth == 1 {
                    self.member(Kind::Open, self.nested..place.end, false);
                }
            }
            Kind::String | Kind::Number | Kind::Word => match (self.depth, kind) {
                (0, Kind::String) => self.other = Some("string"),
                (0, Kind::Number) => self.other = Some("number"),
                (0, _) => self.other = Some(&self.text[place]),
                (1, _) => self.member(kind, place, is_escaped),
                _ => {}
            },
        }
    }

    #[inline]
    fn member(&mut self, kind: Kind, place: Range<usize>, is_escaped: bool) {
        // An array's elements have no names.
        if self.other.is_none() {
            let (name, name_is_escaped) = &self.name;
            let name = unquoted(&self.text[name.clone()], *name_is_escaped);
            let start = place.start;
            (self.tell)(Member {
                name,
                kind,
                raw: &self.text[place],
                start,
                is_escaped,
            });
        }
    }
}

/// Wherever they stand.
impl PartialEq for Member<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.raw == other.raw
    }
}

impl Eq for Member<'_> {}

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
    if is_escaped {
        super::unquoted(raw).into()
    } else {
        inner(raw).into()
    }
}
