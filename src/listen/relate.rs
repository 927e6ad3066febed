//! Relates a CDR to an earlier exchange: another leg of the same call, a copy, or the same identifiers with another
//! body.
//!
//! Only fingerprints are kept, 64-bit hashes with a key of this run: the probability of any collision is below 10^-10,
//! and no sender can provoke a collision. The oldest CDR is dropped first.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, Hash};
use std::num::NonZeroU64;

use crate::cdr::remark::Remark;
use crate::cdr::{self, Fields};
use crate::clock::{Timestamp, format_duration};
use crate::exchange::Relation;
use crate::net::Request;

/// Limit of CDRs whose fingerprints are kept, at about 200 bytes each.
const REMEMBERED: usize = 10_000;

/// Identifiers of more than 128 bytes are ignored. TeleCMI's identifiers have at most 43 bytes.
const MAX_ID_BYTES: usize = 128;

/// An `Option<NonZeroU64>` takes half the memory of an `Option<u64>`.
pub(super) type Fingerprint = NonZeroU64;

fn id<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    cdr::word(fields, name).filter(|id| (1..=MAX_ID_BYTES).contains(&id.len()))
}

/// Returns the sorted fields of a CDR with values as text, since a query string has other JSON types than a body.
fn content(fields: &Fields) -> Vec<(&str, Cow<'_, str>)> {
    let text = |(name, value)| (String::as_str(name), cdr::text(value));
    let mut content: Vec<_> = fields.iter().map(text).collect();
    content.sort_unstable();
    content
}

#[derive(Debug)]
struct Seen {
    n: u64,
    at: Timestamp,
    leg: Option<Fingerprint>,
    bytes: Fingerprint,
    copy: Option<Fingerprint>,
    content: Option<Fingerprint>,
    cmiuuid: Option<Fingerprint>,
    request_id: Option<Fingerprint>,
    call_id: Option<Fingerprint>,
}

impl Seen {
    /// The fingerprints by which an earlier CDR is found are ordered by relation, the closest first.
    fn keys(&self) -> impl Iterator<Item = Fingerprint> + use<> {
        let ids = [self.cmiuuid, self.request_id, self.call_id];
        [self.copy, self.content].into_iter().chain(ids).flatten()
    }
}

#[derive(Debug, Default)]
pub struct Relations {
    hasher: RandomState,
    seen: VecDeque<Seen>,
    /// The number of CDRs that were dropped from `seen`.
    dropped: usize,
    /// For each fingerprint, the number of CDRs before the first CDR that has it.
    first: HashMap<Fingerprint, usize>,
}

impl Relations {
    /// Relates a CDR to an earlier CDR, and keeps its fingerprints. A duplicate or conflict gets a remark.
    ///
    /// Also returns a hash by which copies of a request are recognised: of method and fields for a CDR with a `cmiuuid`,
    /// of method, target and body for any other request. Each hash includes the name of its kind, so that equal values
    /// of different kinds do not match.
    pub fn relate(
        &mut self,
        n: u64,
        at: Timestamp,
        request: &Request,
        cdr: Option<&Fields>,
    ) -> (Fingerprint, Option<Relation>, Option<Remark>) {
        let hasher = &self.hasher;
        let (method, body) = (&request.method, &request.body.0);
        let of_request = || fingerprint(hasher, ("request", method, &request.target, body));
        let Some(cdr) = cdr else {
            return (of_request(), None, None);
        };
        let of = |name| id(cdr, name).map(|id| fingerprint(hasher, (name, id)));
        let cmiuuid = of("cmiuuid");
        // Duplicates are recognised only among CDRs with a `cmiuuid`, which all of TeleCMI's have.
        let content = cmiuuid.map(|_| fingerprint(hasher, ("content", content(cdr))));
        let new = Seen {
            n,
            at,
            leg: of("leg"),
            bytes: fingerprint(hasher, ("bytes", &request.target, body)),
            copy: content.map(|content| fingerprint(hasher, ("copy", method, content))),
            content,
            cmiuuid,
            request_id: of("request_id"),
            call_id: of("call_id"),
        };
        let identity = new.copy.unwrap_or_else(of_request);
        let place = new.keys().find_map(|key| self.first.get(&key));
        let earlier = place.and_then(|place| self.seen.get(place - self.dropped));
        let relation = earlier.map(|earlier| relation(earlier, &new, method, id(cdr, "leg")));
        let remark = relation.as_ref().and_then(Relation::remark);
        self.remember(new);
        (identity, relation, remark)
    }

    fn remember(&mut self, new: Seen) {
        if self.seen.len() == REMEMBERED
            && let Some(oldest) = self.seen.pop_front()
        {
            for key in oldest.keys() {
                if self.first.get(&key) == Some(&self.dropped) {
                    self.first.remove(&key);
                }
            }
            self.dropped += 1;
        }
        let place = self.dropped + self.seen.len();
        for key in new.keys() {
            self.first.entry(key).or_insert(place);
        }
        self.seen.push_back(new);
    }
}

fn fingerprint(hasher: &RandomState, value: impl Hash) -> Fingerprint {
    NonZeroU64::new(hasher.hash_one(value)).unwrap_or(NonZeroU64::MIN)
}

fn relation(earlier: &Seen, new: &Seen, method: &str, leg: Option<&str>) -> Relation {
    let n = earlier.n;
    let after = || format_duration(new.at.since(earlier.at));
    let has_same_id = new.cmiuuid.is_some() && earlier.cmiuuid == new.cmiuuid;
    let (how, text) = if has_same_id && earlier.content != new.content {
        ("conflict", format!("same ids as #{n}, different body"))
    } else if has_same_id && earlier.copy != new.copy {
        let text = format!("the CDR of #{n} again, by {method} after {}", after());
        ("other_method", text)
    } else if has_same_id {
        let copy = if earlier.bytes == new.bytes {
            "identical"
        } else {
            "the same fields, written differently"
        };
        let text = format!("duplicate of #{n}, {} later, {copy}", after());
        ("duplicate", text)
    } else if earlier.request_id != new.request_id {
        let text = format!("same call_id as #{n}, but another request_id: another call");
        ("shared_call_id", text)
    } else {
        let call = format!("of the call of #{n}");
        let text = match leg {
            Some(leg) if earlier.leg == new.leg => format!("another ring of leg {leg} {call}"),
            Some(leg) if earlier.leg.is_some() => format!("leg {leg} {call}"),
            _ => call,
        };
        ("same_call", text)
    };
    Relation { n, how, text }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    ) -> Option<(Relation, Option<Remark>)> {
        let (_, relation, remark) = relations.relate(n, at, request, Some(fields));
        Some((relation?, remark))
    }

    fn told(cdrs: &[(&str, Fields)]) -> Vec<String> {
        let mut relations = Relations::default();
        let told = |(n, (method, fields)): (u64, &(&str, Fields))| {
            let at = Timestamp::from_epoch_ms(i64::try_from(n).unwrap() * 1_200).unwrap();
            let request = Request::new(method, "/", vec![], format!("{fields:?}"));
            let related = relate(&mut relations, n, at, &request, fields);
            let Some((relation, remark)) = related else {
                return String::new();
            };
            let remark = remark.map(|remark| format!("!{:?}", remark.code));
            let texts: Vec<_> = [relation.text].into_iter().chain(remark).collect();
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
        assert_eq!(relations.seen.len(), REMEMBERED);
        assert_eq!(relations.first.len(), 3 * REMEMBERED);
        let again = relate(
            &mut relations,
            REMEMBERED as u64 + 2,
            at,
            &post,
            &cdr("1", "", "", "a"),
        );
        assert_eq!(again, None);
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
        let call = fingerprint(&relations.hasher, ("call_id", "c"));
        assert_eq!(relations.first.keys().collect::<Vec<_>>(), [&call]);
    }
}
