//! A text's outermost level: the members of an object by name, each with its own text.

use std::borrow::Cow;
use std::ops::Range;

use super::{Fault, Kind, Token, resolved, scan};

/// One member of the outermost object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name, with escapes resolved.
    pub name: Cow<'a, str>,
    /// What its value starts with, which tells its type.
    pub kind: Kind,
    /// Its value exactly as written.
    pub raw: &'a str,
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
    let mut outline = Outline::default();
    scan(bytes, |text, token| outline.add(text, token))?;
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
    /// The place of the name of the member that is being told.
    name: Option<Range<usize>>,
    /// What the member's value is, and where it begins, once it has.
    value: Option<(Kind, usize)>,
    members: Vec<Member<'a>>,
}

impl Default for Outline<'_> {
    fn default() -> Self {
        // As many members as a CDR has, or a few more.
        let members = Vec::with_capacity(20);
        Self { first: Kind::Word, first_text: "", depth: 0, name: None, value: None, members }
    }
}

impl<'a> Outline<'a> {
    /// Takes note of the next token of the text.
    fn add(&mut self, text: &'a str, token: Token) {
        let begins = self.depth;
        match token.kind {
            Kind::Colon | Kind::Comma => return,
            Kind::Key => {
                if begins == 1 {
                    self.name = Some(token.place);
                }
                return;
            }
            Kind::Open => self.depth += 1,
            Kind::Close => self.depth -= 1,
            Kind::String | Kind::Number | Kind::Word => {}
        }
        if begins == 0 {
            (self.first, self.first_text) = (token.kind, &text[token.place.clone()]);
        }
        if begins == 1 && token.kind != Kind::Close {
            self.value = Some((token.kind, token.place.start));
        }
        if self.depth == 1
            && let Some(name) = self.name.take_if(|_| self.value.is_some())
            && let Some((kind, start)) = self.value.take()
        {
            let (name, raw) = (resolved(&text[name]), &text[start..token.place.end]);
            self.members.push(Member { name, kind, raw });
        }
    }
}
