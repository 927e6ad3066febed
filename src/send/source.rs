//! Where requests come from: stories, or what a file holds. A lazy iterator of calls.

use std::borrow::Borrow;
use std::time::Duration;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::Plan;
use super::replay::{Recording, Timeline};
use crate::cdr::edit::Edit;
use crate::cdr::story::{self, Choice, Setting, Story};
use crate::cdr::text::CdrText;
use crate::cdr::{Fields, Payload};
use crate::wire::{Header, Request, query};

/// What a delivery tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// A story of the catalogue, by name.
    Story(&'static str),
    /// Something from a file.
    File,
    /// A case of the handler suite.
    Suite,
}

impl Scenario {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Story(name) => name,
            Self::File => "file",
            Self::Suite => "suite",
        }
    }
}

impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What to send, before it is known how often and when.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// These stories, in this setting.
    Stories(Vec<Choice>, Setting),
    /// These things from a file.
    File(Vec<Item>),
}

/// One thing a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A body: the bytes of one JSON value.
    Body(Bytes),
    /// A captured request, to be sent as it was.
    Captured(Box<Recording>),
}

/// Where a request comes from, on which it depends how it is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was made here, and is sent as a proper client does it.
    Made,
    /// It was captured, and is sent exactly as it was.
    Captured,
}

/// Which methods carry a CDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Methods {
    /// POST alone.
    #[default]
    Post,
    /// GET alone.
    Get,
    /// Each CDR twice, POST then GET.
    Both,
}

impl Methods {
    /// The methods, in order.
    #[must_use]
    pub fn each(self) -> &'static [&'static str] {
        match self {
            Self::Post => &["POST"],
            Self::Get => &["GET"],
            Self::Both => &["POST", "GET"],
        }
    }
}

/// The headers of all requests that are made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letterhead {
    /// The user's own.
    own: Vec<Header>,
    /// Those, and what a body is.
    of_a_body: Vec<Header>,
}

impl Letterhead {
    /// The user's own headers.
    #[must_use]
    pub fn own(&self) -> &[Header] {
        &self.own
    }
}

impl From<Vec<Header>> for Letterhead {
    fn from(own: Vec<Header>) -> Self {
        let usual = [Header::new("content-type", "application/json")];
        let missing = usual
            .into_iter()
            .filter(|header| !own.iter().any(|own| own.is(&header.name)));
        let of_a_body = missing.chain(own.iter().cloned()).collect();
        Self { own, of_a_body }
    }
}

impl Default for Letterhead {
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

/// How CDRs are made into requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// Path and query of the URL.
    pub target: String,
    /// Which methods carry each CDR.
    pub methods: Methods,
    /// How objects are written in a query.
    pub encoding: query::Encoding,
    /// The user's own headers.
    pub headers: Letterhead,
    /// The deliberate changes.
    pub edits: Vec<Edit>,
    /// The `Host` that a captured request gets in place of its own, where its own would be refused.
    pub host: Option<String>,
    /// The header that the URL's user and password have become, for captured requests; others get it from the client.
    pub authorization: Option<Header>,
}

/// One call before anything of it is made: what follows from the order of the calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// Its number, from zero.
    pub n: u64,
    /// What there is to tell of it.
    pub matter: Matter,
    /// How many CDRs tell of it.
    pub cdrs: usize,
    /// How many requests carry each of them.
    pub methods: usize,
    /// The story's own gap before each CDR; empty where no gap is kept.
    pub gaps: Vec<Duration>,
    /// When it was captured, counted from the first of the capture; rounds follow one another.
    pub recorded: Option<Duration>,
}

/// What there is to tell of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    /// A story.
    Story(&'static Story),
    /// What stands at this place of the file, from zero.
    Item(usize),
}

impl Matter {
    /// What its deliveries tell of.
    #[must_use]
    pub fn scenario(self) -> Scenario {
        match self {
            Self::Story(story) => Scenario::Story(story.name),
            Self::Item(_) => Scenario::File,
        }
    }
}

/// One CDR, ready to be made into requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// The CDR, if it is an object.
    pub cdr: Option<CdrText>,
    sheet: Sheet,
}

/// What a letter's requests are made of.
#[derive(Debug, Clone, PartialEq)]
enum Sheet {
    /// The body of a POST, and the fields for everything else that needs them.
    Made(Bytes, Option<Fields>),
    /// The only request there is.
    Captured(Request),
}

impl Letter {
    /// A letter that was captured: its request as it will leave.
    pub(super) fn captured(request: Request, cdr: Option<CdrText>) -> Self {
        Self {
            cdr,
            sheet: Sheet::Captured(request),
        }
    }

    /// Where its requests come from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match self.sheet {
            Sheet::Made(..) => Origin::Made,
            Sheet::Captured(_) => Origin::Captured,
        }
    }
}

/// The calls of a run, one after another: `rounds` times through the content, or without end.
#[derive(Debug)]
pub struct Calls<P> {
    plan: P,
    n: u64,
    timeline: Timeline,
}

impl<P: Borrow<Plan>> Calls<P> {
    /// The calls of a plan.
    #[must_use]
    pub fn new(plan: P) -> Self {
        Self {
            plan,
            n: 0,
            timeline: Timeline::default(),
        }
    }
}

impl<P: Borrow<Plan>> Iterator for Calls<P> {
    type Item = Outline;

    fn next(&mut self) -> Option<Outline> {
        let Plan {
            content,
            envelope,
            rounds,
            rules,
            ..
        } = self.plan.borrow();
        let length = match content {
            Content::Stories(choices, _) => choices.len() as u64,
            Content::File(items) => items.len() as u64,
        };
        if length == 0 || rounds.is_some_and(|rounds| self.n / length >= rounds) {
            return None;
        }
        let n = self.n;
        self.n += 1;
        let place = usize::try_from(n % length).unwrap_or(0);
        let methods = envelope.methods.each().len();
        Some(match content {
            Content::Stories(choices, setting) => {
                let story = choices[place].story(n, setting.seed);
                // They are drawn with everything else of the call.
                let gaps = || {
                    story::tell(Choice::Story(story), n, setting)
                        .1
                        .iter()
                        .map(|told| told.gap)
                        .collect()
                };
                let gaps = rules.speed.map_or_else(Vec::new, |_| gaps());
                let matter = Matter::Story(story);
                Outline {
                    n,
                    matter,
                    cdrs: story.cdrs(),
                    methods,
                    gaps,
                    recorded: None,
                }
            }
            Content::File(items) => {
                if place == 0 {
                    self.timeline.next_round();
                }
                let (at, methods) = match &items[place] {
                    Item::Body(_) => (None, methods),
                    Item::Captured(recording) => (recording.at, 1),
                };
                let recorded = self.timeline.place(at);
                Outline {
                    n,
                    matter: Matter::Item(place),
                    cdrs: 1,
                    methods,
                    gaps: Vec::new(),
                    recorded,
                }
            }
        })
    }
}

impl Envelope {
    /// One CDR of a story.
    #[must_use]
    pub fn told(&self, payload: &Payload<'_>, story: &Story, setting: &Setting) -> Letter {
        let body = Bytes::from(payload.json(story.shape(setting.shape)));
        let cdr = if setting.quotes_json() {
            CdrText::read(body.clone())
        } else {
            Some(CdrText::told(body.clone(), payload.brief()))
        };
        self.made(body, cdr)
    }

    /// What a file holds.
    #[must_use]
    pub fn item(&self, item: &Item) -> Letter {
        match item {
            Item::Body(body) => self.made(body.clone(), CdrText::read(body.clone())),
            Item::Captured(recording) => self.again(&recording.request),
        }
    }

    /// A CDR with the user's edits.
    fn made(&self, mut body: Bytes, mut cdr: Option<CdrText>) -> Letter {
        let read = !self.edits.is_empty() || self.methods != Methods::Post;
        let mut fields = cdr.as_ref().filter(|_| read).map(CdrText::fields);
        if let Some(fields) = fields.as_mut().filter(|_| !self.edits.is_empty()) {
            self.edits.iter().for_each(|edit| edit.apply(fields));
            let edited = CdrText::from(&*fields);
            body = edited.text().clone();
            cdr = Some(edited);
        }
        Letter {
            cdr,
            sheet: Sheet::Made(body, fields),
        }
    }

    /// The request that carries a letter by one of the methods, counted from zero.
    #[must_use]
    pub fn request(&self, letter: &Letter, method: usize) -> Request {
        match &letter.sheet {
            Sheet::Made(body, fields) => match self.methods.each()[method] {
                "GET" => self.get(fields.as_ref()),
                _ => self.post(body.clone()),
            },
            Sheet::Captured(request) => request.clone(),
        }
    }

    /// A POST of this JSON body.
    #[must_use]
    pub fn post(&self, body: impl Into<Bytes>) -> Request {
        Request::new(
            "POST",
            self.target.clone(),
            self.headers.of_a_body.clone(),
            body,
        )
    }

    /// A GET with these fields in its query.
    #[must_use]
    pub fn get(&self, fields: Option<&Fields>) -> Request {
        let query = fields
            .map(|fields| query::encode(fields, self.encoding))
            .unwrap_or_default();
        Request::new(
            "GET",
            query::merge(&self.target, &query),
            self.headers.own.clone(),
            Vec::new(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_and_a_body_tell_the_same_number() {
        // Read, written and read again it would be the next number that a computer has.
        let item = Item::Body("{\"big\":123456789012345678901234}".into());
        let edits = vec![Edit::set("leg=b").unwrap()];
        let envelope = Envelope {
            methods: Methods::Both,
            edits,
            ..Envelope::default()
        };
        let letter = envelope.item(&item);
        let (post, get) = (envelope.request(&letter, 0), envelope.request(&letter, 1));
        assert_eq!(
            post.body.text(),
            Some(r#"{"big":1.2345678901234567e+23,"leg":"b"}"#)
        );
        assert_eq!(get.target, "?big=1.2345678901234567e%2B23&leg=b");
    }
}
