//! Which earlier exchange this one belongs to: the other leg of its call, the same thing again, the same identifiers
//! with another body. Pure, and bounded: the oldest is forgotten when there are too many.
//!
//! Of a CDR no text is remembered, only numbers of 64 bits that stand for its identifiers, its leg and its content. That
//! is as good as the text: that any two of all that are remembered get the same number by chance is less likely than one
//! in 10^10, and nobody outside can bring it about, because the numbers differ from run to run.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::num::NonZeroU64;

use crate::cdr::received::{Found, Received};
use crate::cdr::remark::{Code, Remark};
use crate::cdr::schema::FIELDS;
use crate::clock::{Timestamp, format_duration};
use crate::exchange::Relation;
use crate::wire::Request;

/// How many CDRs are remembered. At two hundred bytes each that is two megabytes.
const REMEMBERED: usize = 10_000;

/// The longest identifier that is remembered, in bytes: three times as long as TeleCMI's, and no burden.
const LONGEST_ID: usize = 128;

/// A number that stands for a text.
type Mark = NonZeroU64;

/// One CDR that was received.
#[derive(Debug, Clone)]
struct Known {
    n: u64,
    at: Timestamp,
    traces: Traces,
}

/// What is remembered of a CDR, whatever its place in the order.
#[derive(Debug, Clone)]
pub struct Traces {
    leg: Option<Mark>,
    /// Stands for the bytes that carried it.
    bytes: Mark,
    /// What it is found by: its content, and each of its identifiers.
    ids: Ids,
}

/// What a CDR is found by, each where it is there. A content is that of the leg that is named: without a name there is
/// none.
#[derive(Debug, Clone, Copy)]
struct Ids {
    /// All fields and values, however they were written, and the method they came by.
    content_by_method: Option<Mark>,
    content: Option<Mark>,
    cmiuuid: Option<Mark>,
    request_id: Option<Mark>,
    call_id: Option<Mark>,
}

impl Ids {
    fn all(&self) -> impl Iterator<Item = Mark> {
        let all = [
            self.content_by_method,
            self.content,
            self.cmiuuid,
            self.request_id,
            self.call_id,
        ];
        all.into_iter().flatten()
    }
}

/// Makes the numbers that stand for texts.
#[derive(Debug, Clone, Default)]
pub struct Marks(RandomState);

/// What a text is. It tells the numbers of equal texts apart, and need not be secret for that: to bring it about that two
/// numbers are the same, one would have to know by how much they differ.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Leg,
    Bytes,
    Cmiuuid,
    RequestId,
    CallId,
    Content,
    ContentByGet,
    ContentByPost,
}

impl Kind {
    /// A content by the method it came by: only these two carry a CDR.
    fn content_by(method: &str) -> Self {
        if method == "GET" {
            Self::ContentByGet
        } else {
            Self::ContentByPost
        }
    }

    fn mark(self, hash: u64) -> Mark {
        // Nought is no less likely than any other number, and counts as the one after it.
        NonZeroU64::new(hash.wrapping_add(self as u64)).unwrap_or(NonZeroU64::MIN)
    }
}

impl Marks {
    fn hash(&self, texts: &[&[u8]]) -> u64 {
        let mut hasher = self.0.build_hasher();
        for text in texts {
            hasher.write(text);
        }
        hasher.finish()
    }

    /// The number that stands for a text of this kind.
    fn of(&self, kind: Kind, text: &str) -> Mark {
        kind.mark(self.hash(&[text.as_bytes()]))
    }

    /// What will be remembered of a CDR.
    #[must_use]
    pub fn traces(&self, request: &Request, cdr: &Received) -> Traces {
        let id = |kind, text| usable(text).map(|text| self.of(kind, text));
        let cmiuuid = id(Kind::Cmiuuid, cdr.word("cmiuuid"));
        let content = cmiuuid.map(|_| self.content(cdr));
        Traces {
            leg: id(Kind::Leg, cdr.word("leg")),
            bytes: Kind::Bytes.mark(self.bytes(request)),
            ids: Ids {
                content_by_method: content
                    .map(|content| Kind::content_by(&request.method).mark(content)),
                content: content.map(|content| Kind::Content.mark(content)),
                cmiuuid,
                request_id: id(Kind::RequestId, cdr.word("request_id")),
                call_id: id(Kind::CallId, cdr.word("call_id")),
            },
        }
    }

    /// The number that stands for a request, and for its copies: a CDR that names itself is known by its fields and
    /// values, whatever they were written like; anything else by its target and bytes.
    pub(super) fn identity(&self, request: &Request, cdr: Option<&Received>) -> Mark {
        if let Some(cdr) = cdr.filter(|cdr| usable(cdr.word("cmiuuid")).is_some()) {
            return Kind::content_by(&request.method).mark(self.content(cdr));
        }
        let bytes = self.bytes(request).to_ne_bytes();
        Kind::Bytes.mark(self.hash(&[&bytes, request.method.as_bytes()]))
    }

    /// A number that stands for a request's target and body.
    fn bytes(&self, request: &Request) -> u64 {
        let (target, body) = (request.target.as_bytes(), &request.body.0);
        // The length tells where the body ends.
        self.hash(&[body, target, &body.len().to_ne_bytes()])
    }

    /// A number that stands for all fields and values, whatever their order, and whatever types a query has taken from
    /// them.
    fn content(&self, cdr: &Received) -> u64 {
        /// Stands in no text, and for no documented field.
        const END: u8 = 0xff;
        let mut written = Vec::with_capacity(512);
        for (name, place) in (0..).zip(0..FIELDS.len()) {
            if let Some(value) = cdr.documented(place) {
                written.push(name);
                match value {
                    Found::Text(text) | Found::Whole(_, text) => {
                        written.extend_from_slice(text.as_bytes());
                    }
                    Found::Other(_) => written.extend_from_slice(value.text().as_bytes()),
                }
                written.push(END);
            }
        }
        let mut others: Vec<_> = cdr.others().collect();
        others.sort_unstable_by_key(|(name, _)| *name);
        for (name, value) in others {
            for text in [name, &value.text()] {
                written.push(END);
                written.extend_from_slice(text.as_bytes());
            }
        }
        self.hash(&[&written])
    }
}

/// Takes a mark for its own hash.
#[derive(Debug, Default)]
struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, mark: u64) {
        self.0 = mark;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

/// The CDRs received so far.
#[derive(Debug, Default)]
pub struct Relations {
    marks: Marks,
    known: VecDeque<Known>,
    /// For each identifier, and for each way its content came, the first exchange that carried it.
    first: HashMap<Mark, u64, BuildHasherDefault<Ready>>,
}

/// What is new to say about an exchange, now that it is held against the earlier ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Related {
    /// Which exchanges it belongs to.
    pub relations: Vec<Relation>,
    /// What is odd about that.
    pub remarks: Vec<Remark>,
}

impl Relations {
    /// Makes the traces by which CDRs are found here.
    #[must_use]
    pub fn marks(&self) -> Marks {
        self.marks.clone()
    }

    /// Holds a CDR, which has left these traces, against the earlier ones and remembers them.
    pub fn relate(
        &mut self,
        n: u64,
        at: Timestamp,
        method: &str,
        cdr: &Received,
        traces: Traces,
    ) -> Related {
        let new = Known { n, at, traces };
        let (ids, leg) = (&new.traces.ids, || usable(cdr.word("leg")));
        let mut related = Related::default();
        let same = self
            .find(ids.content_by_method)
            .or_else(|| self.find(ids.content));
        if let Some(earlier) = same.or_else(|| self.find(ids.cmiuuid)) {
            again(earlier, &new, method, &mut related);
        } else if let Some(earlier) = self.find(ids.request_id) {
            related.relations.push(same_call(earlier, &new, leg()));
        } else if let Some(earlier) = self.find(ids.call_id) {
            related
                .relations
                .push(if earlier.traces.ids.request_id == ids.request_id {
                    same_call(earlier, &new, leg())
                } else {
                    let text = format!(
                        "same call_id as #{}, but another request_id: another call",
                        earlier.n
                    );
                    Relation {
                        n: earlier.n,
                        how: "shared_call_id".to_owned(),
                        text,
                    }
                });
        }
        self.remember(new);
        related
    }

    fn find(&self, id: Option<Mark>) -> Option<&Known> {
        let n = self.first.get(&id?)?;
        let place = self.known.binary_search_by_key(n, |known| known.n).ok()?;
        self.known.get(place)
    }

    fn remember(&mut self, new: Known) {
        if self.known.len() == REMEMBERED
            && let Some(oldest) = self.known.pop_front()
        {
            for id in oldest.traces.ids.all() {
                if self.first.get(&id) == Some(&oldest.n) {
                    self.first.remove(&id);
                }
            }
        }
        for id in new.traces.ids.all() {
            self.first.entry(id).or_insert(new.n);
        }
        self.known.push_back(new);
    }
}

/// The same leg once more: by another method, as a duplicate, or with another body.
fn again(earlier: &Known, new: &Known, method: &str, related: &mut Related) {
    let n = earlier.n;
    let after = format_duration(new.at.since(earlier.at));
    let (how, text, code) = if earlier.traces.ids.content != new.traces.ids.content {
        (
            "conflict",
            format!("same ids as #{n}, different body"),
            Some(Code::Conflict),
        )
    } else if earlier.traces.ids.content_by_method == new.traces.ids.content_by_method {
        let how = if earlier.traces.bytes == new.traces.bytes {
            "identical"
        } else {
            "the same fields, written differently"
        };
        (
            "duplicate",
            format!("duplicate of #{n}, {after} later, {how}"),
            Some(Code::Duplicate),
        )
    } else {
        (
            "other_method",
            format!("the CDR of #{n} again, by {method} after {after}"),
            None,
        )
    };
    related
        .remarks
        .extend(code.map(|code| Remark::new(code, text.clone())));
    related.relations.push(Relation {
        n,
        how: how.to_owned(),
        text,
    });
}

/// Another leg, or another ring, of a call; `leg` is the new one's.
fn same_call(earlier: &Known, new: &Known, leg: Option<&str>) -> Relation {
    let n = earlier.n;
    let text = match (earlier.traces.leg, leg) {
        (None, _) | (_, None) => format!("of the call of #{n}"),
        (before, Some(leg)) if before == new.traces.leg => {
            format!("another ring of leg {leg} of the call of #{n}")
        }
        (_, Some(leg)) => format!("leg {leg} of the call of #{n}"),
    };
    Relation {
        n,
        how: "same_call".to_owned(),
        text,
    }
}

/// An identifier's text, unless it is empty, or too long to be one.
fn usable(text: Option<&str>) -> Option<&str> {
    text.filter(|text| (1..=LONGEST_ID).contains(&text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cdr::Fields;
    use serde_json::json;

    fn cdr(cmiuuid: &str, request: &str, call: &str, leg: &str) -> Fields {
        let fields =
            json!({"cmiuuid": cmiuuid, "request_id": request, "call_id": call, "leg": leg});
        fields.as_object().cloned().unwrap()
    }

    fn relate(
        relations: &mut Relations,
        n: u64,
        at: Timestamp,
        request: &Request,
        fields: &Fields,
    ) -> Related {
        let cdr = fields.into();
        let traces = relations.marks().traces(request, &cdr);
        relations.relate(n, at, &request.method, &cdr, traces)
    }

    /// The texts said of each CDR in turn; they come 1.2 s apart.
    fn told(cdrs: &[(&str, Fields)]) -> Vec<String> {
        let mut relations = Relations::default();
        let told = |(n, (method, fields)): (u64, &(&str, Fields))| {
            let at = Timestamp::from_epoch_ms(i64::try_from(n).unwrap() * 1_200).unwrap();
            let request = Request::new(method, "/", vec![], format!("{fields:?}"));
            let related = relate(&mut relations, n, at, &request, fields);
            let remarks: Vec<_> = related
                .remarks
                .iter()
                .map(|remark| format!("!{:?}", remark.code))
                .collect();
            let texts: Vec<_> = related
                .relations
                .into_iter()
                .map(|relation| relation.text)
                .chain(remarks)
                .collect();
            texts.join(" ")
        };
        (1..).zip(cdrs).map(told).collect()
    }

    #[test]
    fn legs_find_their_call_and_copies_their_original() {
        let b = cdr("1", "r", "c", "b");
        let a = cdr("2", "r", "c", "a");
        let mut changed = b.clone();
        changed.insert("status".to_owned(), "answered".into());
        let said = told(&[
            ("POST", b.clone()),
            ("POST", a),
            ("POST", b.clone()),
            ("GET", b),
            ("POST", changed),
        ]);
        insta::assert_snapshot!(said.join("\n"), @"

        leg a of the call of #1
        duplicate of #1, 2.40 s later, identical !Duplicate
        the CDR of #1 again, by GET after 3.60 s
        same ids as #1, different body !Conflict
        ");
    }

    #[test]
    fn a_ghost_is_another_ring_and_a_shared_call_id_no_proof() {
        let first = cdr("1", "r", "c", "a");
        let real = cdr("2", "r", "c", "a");
        let other = cdr("3", "s", "c", "b");
        let softphone = cdr("4", "", "d", "b");
        let its_leg = cdr("5", "", "d", "a");
        let said = told(&[
            ("POST", first),
            ("POST", real),
            ("POST", other),
            ("POST", softphone),
            ("POST", its_leg),
        ]);
        insta::assert_snapshot!(said.join("\n"), @"

        another ring of leg a of the call of #1
        same call_id as #1, but another request_id: another call

        leg a of the call of #4
        ");
    }

    #[test]
    fn copies_point_at_the_first_and_conflicts_do_not_hide_it() {
        let original = cdr("1", "r", "c", "a");
        let mut other = original.clone();
        other.insert("x".to_owned(), 1.into());
        let said = told(&[
            ("POST", original.clone()),
            ("POST", original.clone()),
            ("POST", other),
            ("GET", original.clone()),
            ("POST", original),
        ]);
        insta::assert_snapshot!(said.join("\n"), @"

        duplicate of #1, 1.20 s later, identical !Duplicate
        same ids as #1, different body !Conflict
        the CDR of #1 again, by GET after 3.60 s
        duplicate of #1, 4.80 s later, identical !Duplicate
        ");
    }

    #[test]
    fn types_that_a_query_has_taken_do_not_matter() {
        let mut posted = cdr("1", "r", "c", "a");
        posted.insert("virtual_number".to_owned(), 44.into());
        posted.insert("extra_params".to_owned(), json!({"a": "b"}));
        let mut got = posted.clone();
        got.insert("virtual_number".to_owned(), "44".into());
        got.insert("extra_params".to_owned(), r#"{"a":"b"}"#.into());
        assert_eq!(
            told(&[("POST", posted), ("GET", got)])[1],
            "the CDR of #1 again, by GET after 1.20 s"
        );
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut relations = Relations::default();
        let (at, post) = (
            Timestamp::from_epoch_ms(0).unwrap(),
            Request::new("POST", "/", vec![], ""),
        );
        for n in 1..=REMEMBERED as u64 + 1 {
            relate(
                &mut relations,
                n,
                at,
                &post,
                &cdr(&n.to_string(), "", "", "a"),
            );
        }
        assert_eq!(relations.known.len(), REMEMBERED);
        assert_eq!(relations.first.len(), 3 * REMEMBERED);
        let again = relate(
            &mut relations,
            REMEMBERED as u64 + 2,
            at,
            &post,
            &cdr("1", "", "", "a"),
        );
        assert_eq!(again, Related::default());
    }

    #[test]
    fn what_is_too_long_for_an_identifier_is_not_kept() {
        let mut relations = Relations::default();
        let (at, post) = (
            Timestamp::from_epoch_ms(0).unwrap(),
            Request::new("POST", "/", vec![], ""),
        );
        let long = cdr(&"x".repeat(1_000_000), &"y".repeat(129), "c", "a");
        relate(&mut relations, 1, at, &post, &long);
        let call = relations.marks.of(Kind::CallId, "c");
        assert_eq!(relations.first.keys().collect::<Vec<_>>(), [&call]);
    }
}
