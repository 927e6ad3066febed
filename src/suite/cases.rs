//! The table of cases, a module per family, and the selection by `--only` and `--skip`.

mod accepts;
mod repeated;
mod survives;
mod tolerant;

use serde_json::{Value, json};
use strsim::jaro_winkler;
use wildmatch::WildMatch;

use super::{Case, CaseDelivery, CaseMethod, CasePayload, Family};
use crate::cdr::scenarios::CallIds;
use crate::cdr::{Fields, Grade, Shape};
use crate::send::Methods;

/// The two probes run first, and show whether the handler accepts a good CDR by POST and by GET.
pub const PROBES: [&Case; 2] = [&accepts::CASES[0], &accepts::CASES[1]];

pub fn table() -> impl Iterator<Item = &'static Case> {
    let families = [
        accepts::CASES,
        repeated::IDEMPOTENT,
        tolerant::CASES,
        survives::CASES,
        repeated::PROMPT,
        super::guards::CASES,
    ];
    families.into_iter().flatten()
}

/// The good CDR, on which most cases are based, is a call whose agent did not answer, in the documented shape.
pub(super) const GOOD: CasePayload = docs("agent-no-answer");

const fn docs(scenario: &'static str) -> CasePayload {
    CasePayload::Scenario(scenario, Shape::Docs, CallIds::Shared)
}

const fn live(scenario: &'static str) -> CasePayload {
    CasePayload::Scenario(scenario, Shape::Live, CallIds::Shared)
}

type Text = &'static str;

impl Family {
    const fn post(self, name: Text, grade: Grade, payload: CasePayload, why: Text) -> Case {
        let method = CaseMethod::Post;
        self.case(name, grade, method, payload, CaseDelivery::InOrder, why)
    }

    const fn get(self, name: Text, grade: Grade, payload: CasePayload, why: Text) -> Case {
        let method = CaseMethod::Get;
        self.case(name, grade, method, payload, CaseDelivery::InOrder, why)
    }

    pub(super) const fn case(
        self,
        name: Text,
        grade: Grade,
        method: CaseMethod,
        payload: CasePayload,
        delivery: CaseDelivery,
        why: Text,
    ) -> Case {
        Case {
            name,
            family: self,
            grade,
            method,
            payload,
            delivery,
            why,
        }
    }
}

fn compact(cdr: &Fields) -> String {
    json!(cdr).to_string()
}

fn note(text: &str) -> Value {
    json!({"note": text}).to_string().into()
}

/// `select` returns the cases that match `only`, do not match `skip`, and use one of the `methods`, in execution order.
/// A pattern that matches no case is an error.
pub fn select(
    only: &[String],
    skip: &[String],
    methods: Methods,
    fuzz: &[&'static Case],
) -> Result<Vec<&'static Case>, String> {
    let all = || table().chain(fuzz.iter().copied());
    for pattern in only.iter().chain(skip) {
        if !all().any(|case| matches(pattern, case)) {
            return Err(unknown(pattern));
        }
    }
    let chosen: Vec<_> = all()
        .filter(|case| only.is_empty() || only.iter().any(|pattern| matches(pattern, case)))
        .filter(|case| !skip.iter().any(|pattern| matches(pattern, case)))
        .filter(|case| allowed(case.method, methods))
        .collect();
    if chosen.is_empty() {
        return Err("no case is left to run: see --list-cases".to_owned());
    }
    Ok(chosen)
}

pub(super) fn allowed(method: CaseMethod, methods: Methods) -> bool {
    match method {
        CaseMethod::Post => methods != Methods::Get,
        CaseMethod::Get => methods != Methods::Post,
        CaseMethod::Both => methods == Methods::Both,
        CaseMethod::Other(_) => true,
    }
}

/// The names of former cases, and the cases that took their place.
#[rustfmt::skip]
const ALIASES: [(&str, &[&str]); 4] = [
    ("post-url-with-query", &["post-is-accepted"]),
    ("get-url-with-query", &["get-is-accepted"]),
    ("negative-numbers", &["negative-to", "negative-time"]),
    ("wrong-types-everywhere", &[
        "time-as-words", "answeredsec-as-words", "to-as-boolean", "user-as-list", "leg-as-object",
        "status-null", "cmiuuid-as-number", "type-as-list", "appid-as-object", "direction-as-number",
    ]),
];

pub(super) fn matches(pattern: &str, case: &Case) -> bool {
    let pattern = WildMatch::new(pattern);
    let has_alias =
        |(old, names): &(&str, &[&str])| pattern.matches(old) && names.contains(&case.name);
    pattern.matches(case.name)
        || pattern.matches(&case.family.to_string())
        || pattern.matches(&case.grade.to_string())
        || ALIASES.iter().any(has_alias)
}

/// The grades of cases, which `--only` and `--skip` take.
const GRADES: [Grade; 4] = [Grade::Doc, Grade::Seen, Grade::Inferred, Grade::Hostile];

/// A name less similar than this, by Jaro-Winkler, is not suggested; clap has this limit too.
const SIMILAR: f64 = 0.7;

fn unknown(pattern: &str) -> String {
    let families = Family::ALL.map(|family| family.to_string());
    let grades = GRADES.map(|grade| grade.to_string());
    let mut names = [families.as_slice(), grades.as_slice()].concat();
    names.extend(table().map(|case| case.name.to_owned()));
    let similarity = |name: &String| {
        let has_it = name.contains(pattern) && !pattern.is_empty();
        if has_it {
            1.0
        } else {
            jaro_winkler(pattern, name)
        }
    };
    // Of equally similar names, `max_by` returns the last one: the longest names come first.
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let nearest = (names.iter()).max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    let nearest = nearest.filter(|name| similarity(name) > SIMILAR);
    let question = nearest.map_or(String::new(), |name| format!(": did you mean `{name}`?"));
    let shown = crate::untrusted::clean(pattern);
    let (families, grades) = (families.join(", "), grades.join(", "));
    format!(
        "there is no case, family or grade `{shown}`{question}\n--list-cases lists the cases; \
         families: {families}; grades: {grades}"
    )
}

#[cfg(test)]
mod tests;
