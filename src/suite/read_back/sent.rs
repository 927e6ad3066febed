//! A CDR that a case has sent, how its records are found, and what is wrong with them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::StoredFault;
use super::compare::{self, Difference};
use super::reader::{Record, Wanted, records};
use crate::cdr::{Fields, text};
use crate::suite::verdict::{Cause, Observed};

/// A record is recognised by the values of these fields.
#[rustfmt::skip]
const DISTINCTIVE: [&str; 9] = [
    "status", "user", "time", "to", "appid", "call_id", "request_id", "hangup_reason", "virtual_number",
];

/// A shorter `cmiuuid` is none of TeleCMI's: a handler may refuse it silently.
const SHORTEST_ID: usize = 8;

/// A record shows the first 2048 characters of what is stored.
const SHOWN: usize = 2_048;

/// `SentCdr` is a CDR of a case, with all its deliveries and what each has sent. A CDR of a hostile case does not happen.
pub(super) struct SentCdr {
    pub(super) observed: Vec<Observed>,
    pub(super) versions: Vec<Fields>,
    pub(super) happens: bool,
    /// Other CDRs were sent at the same moment.
    pub(super) is_at_once: bool,
}

impl SentCdr {
    /// The value of a field in the first delivery, empty without the field.
    pub(super) fn value(&self, name: &str) -> Cow<'_, str> {
        self.versions[0].get(name).map(text).unwrap_or_default()
    }

    pub(super) fn by_get(&self) -> bool {
        self.observed[0].sent.method == "GET"
    }

    pub(super) fn must_be_stored(&self) -> bool {
        let last = &self.versions[self.versions.len() - 1];
        let is = |name, value: &str| last.get(name).is_some_and(|own| text(own) == value);
        let has_status =
            is("status", "missed") || is("status", "answered") || !last.contains_key("status");
        self.happens
            && is("type", "cdr")
            && is("direction", "outbound")
            && has_status
            && self.value("cmiuuid").len() >= SHORTEST_ID
            && self.observed.iter().any(Observed::accepted)
    }

    pub(super) fn records(&self, output: &str) -> Vec<Record> {
        let mut others = Vec::new();
        for name in DISTINCTIVE {
            let values = self.versions.iter().filter_map(|fields| fields.get(name));
            let values = values.filter(|value| text(value).len() >= 4);
            others.extend(values.map(|value| (name, value.clone())));
        }
        others.dedup();
        let wanted = Wanted {
            id: self.value("cmiuuid").into_owned(),
            others,
        };
        records(output, &wanted)
    }

    pub(super) fn fault(
        &self,
        difference: Difference,
        output: &str,
        is_final: bool,
    ) -> StoredFault {
        StoredFault {
            difference,
            found: output.chars().take(SHOWN).collect(),
            observed: self.observed[0].clone(),
            is_final,
        }
    }

    /// Of a CDR that came in two versions, either may be stored.
    pub(super) fn difference(
        &self,
        record: &Record,
        kept: &BTreeSet<&'static str>,
    ) -> Option<Difference> {
        let versions = self.versions.iter();
        let differences =
            versions.map(|fields| compare::difference(fields, self.by_get(), record, kept));
        differences.collect::<Option<Vec<_>>>()?.into_iter().next()
    }
}

pub(super) fn duplicated(records: usize, deliveries: usize) -> Difference {
    let key = "missing unique key";
    let text = match deliveries {
        1 => format!("{records} records of one cmiuuid that was sent once: {key}"),
        n => format!("{records} records of one cmiuuid that was sent {n} times: {key}"),
    };
    Difference::new(Cause::Duplicated, key, text)
}

/// A CDR that is not stored, while another leg of its call is, was overwritten or ignored for a key that both share.
pub(super) fn missing(
    cdrs: &[SentCdr],
    found: &[Option<bool>],
    lost: usize,
    dropped: &[&str],
) -> Difference {
    let cdr = &cdrs[lost];
    if cdr.value("leg") == "b" && dropped.contains(&"b") {
        let text = "a CDR of leg b got 2xx and is not stored, even without one of leg a";
        return Difference::new(Cause::NotStored, text, text);
    }
    if cdr.is_at_once {
        let mistake = "of CDRs at once, one that got 2xx is not stored";
        let text = format!("{mistake}: they share a variable, a connection or a key");
        return Difference::new(Cause::NotStored, mistake, text);
    }
    for other in (0..cdrs.len()).filter(|n| found[*n] == Some(true)) {
        let is_shared = |key: &&str| {
            let own = cdr.value(key);
            !own.is_empty() && cdrs[other].value(key) == own
        };
        let shared = ["call_id", "request_id"].into_iter().filter(is_shared);
        let keys = shared.collect::<Vec<_>>().join(" or ");
        if keys.is_empty() {
            continue;
        }
        let (leg, other_leg) = (cdr.value("leg"), cdrs[other].value("leg"));
        let text = match lost < other {
            true if leg == other_leg => {
                format!("a second CDR of leg {leg} overwrites the first: upsert by {keys}")
            }
            false if leg == other_leg => {
                format!("a second CDR of leg {leg} is ignored: {keys} is taken for the key")
            }
            true => format!("leg {other_leg} overwrites leg {leg}: upsert by {keys}"),
            false => {
                format!("leg {leg} is ignored behind leg {other_leg}: {keys} is taken for the key")
            }
        };
        let mistake = "the legs of a call are taken for one record";
        return Difference::new(Cause::LegLost, mistake, text);
    }
    let by = if cdr.by_get() { " by GET" } else { "" };
    let text = format!("a CDR{by} got 2xx and is not stored");
    Difference::new(Cause::NotStored, text.as_str(), text.as_str())
}
