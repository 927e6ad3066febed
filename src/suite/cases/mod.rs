//! The one table of cases, family by family. Every case is a value; nothing here does anything.

mod accepts;
mod idempotent;
mod prompt;
mod survives;
mod tolerant;

use super::{Case, CaseDelivery, CaseMethod, CasePayload, Family};
use crate::cdr::scenarios::CallIds;
use crate::cdr::{Grade, Shape};

/// The case that asks whether POST works at all.
pub const POST_PROBE: &Case = &accepts::CASES[0];

/// The case that asks whether GET works at all.
pub const GET_PROBE: &Case = &accepts::CASES[1];

/// All cases, in the order they are run.
pub fn table() -> impl Iterator<Item = &'static Case> {
    let families = [
        accepts::CASES,
        idempotent::CASES,
        tolerant::CASES,
        tolerant::typed::CASES,
        tolerant::forms::CASES,
        survives::CASES,
        survives::protocol::CASES,
        prompt::CASES,
    ];
    families.into_iter().flatten()
}

/// The plainest CDR there is: the agent did not answer. What is said to be *good* is this.
const GOOD: CasePayload = CasePayload::Scenario("agent-no-answer", Shape::Docs, CallIds::Shared);

/// A case of a family.
const fn case(
    family: Family,
    name: &'static str,
    grade: Grade,
    method: CaseMethod,
    payload: CasePayload,
    delivery: CaseDelivery,
    why: &'static str,
) -> Case {
    Case {
        name,
        family,
        grade,
        method,
        payload,
        delivery,
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Expects;
    use super::super::{Change, OtherKind};
    use super::*;
    use crate::cdr::scenarios::CATALOGUE;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_kebab_and_no_family() {
        let mut names = HashSet::new();
        for case in table() {
            assert!(names.insert(case.name), "{} is there twice", case.name);
            let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(case.name.chars().all(kebab), "{}", case.name);
            assert!(
                Family::ALL.iter().all(|family| family.name() != case.name),
                "{}",
                case.name
            );
            assert!(
                case.name.len() <= 32,
                "{} does not fit its column",
                case.name
            );
        }
        assert!(names.len() >= 60);
    }

    #[test]
    fn every_why_says_something() {
        for case in table() {
            assert!(
                case.why.len() > 50 && case.why.ends_with('.'),
                "{}: {}",
                case.name,
                case.why
            );
            assert!(!case.why.contains("  "), "{}: {}", case.name, case.why);
        }
    }

    #[test]
    fn every_story_is_told_by_post_and_by_get() {
        for story in CATALOGUE {
            for method in [CaseMethod::Post, CaseMethod::Get] {
                let told = table().any(|case| {
                    case.family == Family::Accepts
                        && case.method == method
                        && case.payload
                            == CasePayload::Scenario(story.name, Shape::Docs, CallIds::Shared)
                });
                assert!(told, "{} is not told by {method:?}", story.name);
            }
            let typed = matches!(
                story.plan,
                crate::cdr::scenarios::Plan::Click2call(_)
                    | crate::cdr::scenarios::Plan::Softphone(_)
            );
            let live = CasePayload::Scenario(story.name, Shape::Live, CallIds::Shared);
            assert!(
                !typed || table().any(|case| case.payload == live),
                "{} is not told live",
                story.name
            );
        }
    }

    #[test]
    fn what_is_expected_follows_the_grade() {
        for case in table().filter(|case| case.family == Family::Tolerant) {
            let happens = matches!(case.grade, Grade::Doc | Grade::Seen | Grade::Calc);
            let expected = if happens {
                Expects::Accepted
            } else {
                Expects::Answered
            };
            assert_eq!(case.expects(), expected, "{}", case.name);
        }
        assert!(
            table()
                .filter(|case| case.family == Family::Accepts)
                .all(|case| case.expects() == Expects::Accepted)
        );
    }

    #[test]
    fn changes_are_json_and_relatives_are_there() {
        for case in table() {
            let CasePayload::Changed(changes) = case.payload else {
                continue;
            };
            for change in changes {
                if let Change::Put(_, text) = change {
                    assert!(
                        serde_json::from_str::<serde_json::Value>(text).is_ok(),
                        "{}: {text}",
                        case.name
                    );
                }
            }
        }
        for kind in [
            OtherKind::Event,
            OtherKind::IncomingEvent,
            OtherKind::IncomingMissed,
            OtherKind::IncomingAnswered,
            OtherKind::Recorded,
            OtherKind::Rest,
        ] {
            assert!(
                table().any(|case| case.payload == CasePayload::Other(kind)),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn the_probes_are_where_they_are_looked_for() {
        assert_eq!(
            (POST_PROBE.name, GET_PROBE.name),
            ("post-is-accepted", "get-is-accepted")
        );
    }
}
