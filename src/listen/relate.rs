//! Which earlier exchange this one belongs to: the other leg of its call, the same thing again, the same identifiers
//! with another body. Pure, and bounded: the oldest is forgotten when there are too many.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use serde_json::Value;

use crate::cdr::Fields;
use crate::cdr::remark::{Code, Remark};
use crate::clock::{Moment, humane};
use crate::wire::Request;
use crate::wire::record::Relation;

/// How many CDRs are remembered. At a few hundred bytes each that is a few megabytes.
const REMEMBERED: usize = 10_000;

/// The longest identifier that is remembered, in bytes: three times as long as TeleCMI's, and no burden.
const LONGEST_ID: usize = 128;

/// One CDR that was received.
#[derive(Debug, Clone)]
struct Known {
    n: u64,
    at: Moment,
    method: String,
    leg: String,
    /// Stands for all fields and values, however they were written.
    content: u64,
    /// Stands for the bytes that carried them.
    bytes: u64,
    cmiuuid: String,
    call_id: String,
    request_id: String,
}

/// The CDRs received so far.
#[derive(Debug, Default)]
pub struct Relations {
    known: VecDeque<Known>,
    /// For each identifier, and for each way its content came, the first exchange that carried it. Keys begin with what
    /// they are.
    first: HashMap<String, u64>,
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
    /// Holds a CDR against the earlier ones and remembers it.
    pub fn relate(&mut self, n: u64, at: Moment, request: &Request, fields: &Fields) -> Related {
        let new = Known {
            n,
            at,
            method: request.method.clone(),
            leg: word(fields, "leg"),
            content: content(fields),
            bytes: hash(&(&request.target, &request.body.0)),
            cmiuuid: word(fields, "cmiuuid"),
            call_id: word(fields, "call_id"),
            request_id: word(fields, "request_id"),
        };
        let mut related = Related::default();
        let same = self
            .find("content by", &new.content_by_method())
            .or_else(|| self.find("content", &new.content()));
        if let Some(earlier) = same.or_else(|| self.find("cmiuuid", &new.cmiuuid)) {
            again(earlier, &new, &mut related);
        } else if let Some(earlier) = self.find("request_id", &new.request_id) {
            related.relations.push(same_call(earlier, &new));
        } else if let Some(earlier) = self.find("call_id", &new.call_id) {
            related.relations.push(if earlier.request_id == new.request_id {
                same_call(earlier, &new)
            } else {
                let text = format!("same call_id as #{}, but another request_id: another call", earlier.n);
                Relation { n: earlier.n, how: "shared_call_id".to_owned(), text }
            });
        }
        self.remember(new);
        related
    }

    fn find(&self, name: &str, id: &str) -> Option<&Known> {
        if id.is_empty() {
            return None;
        }
        let n = self.first.get(&format!("{name} {id}"))?;
        let place = self.known.binary_search_by_key(n, |known| known.n).ok()?;
        self.known.get(place)
    }

    fn remember(&mut self, new: Known) {
        for key in new.keys() {
            self.first.entry(key).or_insert(new.n);
        }
        self.known.push_back(new);
        if self.known.len() > REMEMBERED
            && let Some(oldest) = self.known.pop_front()
        {
            for key in oldest.keys() {
                if self.first.get(&key) == Some(&oldest.n) {
                    self.first.remove(&key);
                }
            }
        }
    }
}

impl Known {
    fn keys(&self) -> Vec<String> {
        let keys = [
            ("content by", &self.content_by_method()),
            ("content", &self.content()),
            ("cmiuuid", &self.cmiuuid),
            ("request_id", &self.request_id),
            ("call_id", &self.call_id),
        ];
        keys.into_iter().filter(|(_, id)| !id.is_empty()).map(|(name, id)| format!("{name} {id}")).collect()
    }

    /// What stands for this leg with this content; nothing without an identifier.
    fn content(&self) -> String {
        if self.cmiuuid.is_empty() { String::new() } else { format!("{:x} {}", self.content, self.cmiuuid) }
    }

    fn content_by_method(&self) -> String {
        if self.cmiuuid.is_empty() { String::new() } else { format!("{} {}", self.method, self.content()) }
    }
}

/// The same leg once more: by another method, as a duplicate, or with another body.
fn again(earlier: &Known, new: &Known, related: &mut Related) {
    let n = earlier.n;
    let after = humane(new.at.since(earlier.at));
    let (how, text, code) = if earlier.content != new.content {
        ("conflict", format!("same ids as #{n}, different body"), Some(Code::Conflict))
    } else if earlier.method == new.method {
        let how =
            if earlier.bytes == new.bytes { "identical" } else { "the same fields, written differently" };
        ("duplicate", format!("duplicate of #{n}, {after} later, {how}"), Some(Code::Duplicate))
    } else {
        ("other_method", format!("the CDR of #{n} again, by {} after {after}", new.method), None)
    };
    related.remarks.extend(code.map(|code| Remark::new(code, text.clone())));
    related.relations.push(Relation { n, how: how.to_owned(), text });
}

fn same_call(earlier: &Known, new: &Known) -> Relation {
    let n = earlier.n;
    let text = match (earlier.leg.as_str(), new.leg.as_str()) {
        ("", _) | (_, "") => format!("of the call of #{n}"),
        (before, leg) if before == leg => format!("another ring of leg {leg} of the call of #{n}"),
        (_, leg) => format!("leg {leg} of the call of #{n}"),
    };
    Relation { n, how: "same_call".to_owned(), text }
}

/// An identifier's text; nothing if it is absent, or too long to be one.
fn word(fields: &Fields, name: &str) -> String {
    let text = fields.get(name).and_then(Value::as_str).filter(|text| text.len() <= LONGEST_ID);
    text.unwrap_or_default().to_owned()
}

/// A number that stands for a request, and for its copies: a CDR that names itself is known by its fields and values,
/// whatever they were written like; anything else by its target and bytes.
pub(super) fn identity(request: &Request, cdr: Option<&Fields>) -> u64 {
    match cdr.filter(|cdr| !word(cdr, "cmiuuid").is_empty()) {
        Some(cdr) => hash(&(&request.method, content(cdr))),
        None => hash(&(&request.method, &request.target, &request.body.0)),
    }
}

/// A number that stands for all fields and values, whatever their order, and whatever types a query has taken from them.
fn content(fields: &Fields) -> u64 {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut sorted: Vec<_> = fields.iter().map(|(name, value)| (name, text(value))).collect();
    sorted.sort();
    hash(&sorted)
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cdr(cmiuuid: &str, request: &str, call: &str, leg: &str) -> Fields {
        let fields = json!({"cmiuuid": cmiuuid, "request_id": request, "call_id": call, "leg": leg});
        fields.as_object().cloned().unwrap()
    }

    /// The texts said of each CDR in turn; they come 1.2 s apart.
    fn told(cdrs: &[(&str, Fields)]) -> Vec<String> {
        let mut relations = Relations::default();
        let relate = |(n, (method, fields)): (u64, &(&str, Fields))| {
            let at = Moment::from_epoch_ms(i64::try_from(n).unwrap() * 1_200).unwrap();
            let request = Request::new(method, "/", vec![], format!("{fields:?}"));
            let related = relations.relate(n, at, &request, fields);
            let remarks: Vec<_> =
                related.remarks.iter().map(|remark| format!("!{:?}", remark.code)).collect();
            let texts: Vec<_> =
                related.relations.into_iter().map(|relation| relation.text).chain(remarks).collect();
            texts.join(" ")
        };
        (1..).zip(cdrs).map(relate).collect()
    }

    #[test]
    fn legs_find_their_call_and_copies_their_original() {
        let b = cdr("1", "r", "c", "b");
        let a = cdr("2", "r", "c", "a");
        let mut changed = b.clone();
        changed.insert("status".to_owned(), "answered".into());
        let said =
            told(&[("POST", b.clone()), ("POST", a), ("POST", b.clone()), ("GET", b), ("POST", changed)]);
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
        let said =
            told(&[("POST", first), ("POST", real), ("POST", other), ("POST", softphone), ("POST", its_leg)]);
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
        assert_eq!(told(&[("POST", posted), ("GET", got)])[1], "the CDR of #1 again, by GET after 1.20 s");
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut relations = Relations::default();
        let (at, post) = (Moment::from_epoch_ms(0).unwrap(), Request::new("POST", "/", vec![], ""));
        for n in 1..=REMEMBERED as u64 + 1 {
            relations.relate(n, at, &post, &cdr(&n.to_string(), "", "", "a"));
        }
        assert_eq!(relations.known.len(), REMEMBERED);
        assert_eq!(relations.first.len(), 3 * REMEMBERED);
        let again = relations.relate(REMEMBERED as u64 + 2, at, &post, &cdr("1", "", "", "a"));
        assert_eq!(again, Related::default());
    }

    #[test]
    fn what_is_too_long_for_an_identifier_is_not_kept() {
        let mut relations = Relations::default();
        let (at, post) = (Moment::from_epoch_ms(0).unwrap(), Request::new("POST", "/", vec![], ""));
        relations.relate(1, at, &post, &cdr(&"x".repeat(1_000_000), &"y".repeat(129), "c", "a"));
        assert_eq!(relations.first.keys().collect::<Vec<_>>(), ["call_id c"]);
    }
}
