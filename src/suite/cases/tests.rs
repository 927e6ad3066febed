use super::super::Change;
use super::super::verdict::Expects;
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
            Family::ALL
                .iter()
                .all(|family| family.to_string() != case.name),
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

fn sends(case: &Case, name: &str, shape: Shape) -> bool {
    matches!(case.payload, CasePayload::Scenario(scenario, its, CallIds::Shared) if scenario == name && its == shape)
}

#[test]
fn every_story_is_told_by_post_and_by_get() {
    for story in CATALOGUE {
        for method in [CaseMethod::Post, CaseMethod::Get] {
            let told = table().any(|case| {
                case.family == Family::Accepts
                    && case.method == method
                    && sends(case, story.name, Shape::Docs)
            });
            assert!(told, "{} is not told by {method:?}", story.name);
        }
        let typed = matches!(
            story.plan,
            crate::cdr::scenarios::Plan::Click2call(_) | crate::cdr::scenarios::Plan::Softphone(_)
        );
        assert!(
            !typed || table().any(|case| sends(case, story.name, Shape::Live)),
            "{} is not told live",
            story.name
        );
    }
}

#[test]
fn what_is_expected_follows_the_grade() {
    for case in table().filter(|case| case.family == Family::Tolerant) {
        let is_cdr = !matches!(case.payload, CasePayload::Object(_));
        let adds_field = case.name.starts_with("unknown-") && case.name.ends_with("-field");
        let happens = is_cdr && matches!(case.grade, Grade::Doc | Grade::Seen | Grade::Calc);
        let happens = happens || adds_field || case.name == "content-type-with-charset";
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
            .all(|case| case.expects() == Expects::Accepted
                || (case.expects() == Expects::Sample && case.name.contains("docs-leg-")))
    );
}

#[test]
fn changes_are_json_and_relatives_are_there() {
    for case in table() {
        let CasePayload::Changed(changes) = case.payload else {
            continue;
        };
        for change in changes {
            if let Change::Json(_, text) = change {
                assert!(
                    serde_json::from_str::<Value>(text).is_ok(),
                    "{}: {text}",
                    case.name
                );
            }
        }
    }
    for name in [
        "live-event",
        "incoming-live-event",
        "incoming-missed",
        "incoming-answered",
        "outgoing-answered",
        "rest-record",
    ] {
        assert!(table().any(|case| case.name == name), "{name}");
    }
}

#[test]
fn the_probes_are_where_they_are_looked_for() {
    assert_eq!(
        PROBES.map(|probe| (probe.name, probe.method)),
        [
            ("post-is-accepted", CaseMethod::Post),
            ("get-is-accepted", CaseMethod::Get)
        ]
    );
}

fn names(only: &[&str], skip: &[&str], methods: Methods) -> Result<Vec<&'static str>, String> {
    let owned = |patterns: &[&str]| patterns.iter().map(|&p| p.to_owned()).collect::<Vec<_>>();
    let chosen = select(&owned(only), &owned(skip), methods, &[])?;
    Ok(chosen.into_iter().map(|case| case.name).collect())
}

#[test]
fn names_families_and_globs_choose() {
    assert_eq!(
        names(&["duplicate"], &[], Methods::Both).unwrap(),
        ["duplicate"]
    );
    let prompt = names(&["prompt"], &[], Methods::Both).unwrap();
    assert!(prompt.len() >= 2);
    let legs = names(&["get-*"], &["get-is-accepted"], Methods::Both).unwrap();
    assert!(legs.len() > 5 && legs.iter().all(|name| name.starts_with("get-")));
    assert_eq!(
        names(&[], &[], Methods::Both).unwrap().len(),
        table().count()
    );
}

#[test]
fn a_former_name_chooses_what_took_its_place() {
    assert_eq!(
        names(
            &["negative-numbers", "post-url-with-query"],
            &[],
            Methods::Both
        )
        .unwrap(),
        ["post-is-accepted", "negative-to", "negative-time"]
    );
    let all = names(&[], &["wrong-types-everywhere"], Methods::Both).unwrap();
    assert!(!all.contains(&"user-as-list"));
}

#[test]
fn methods_leave_out_what_they_cannot_ask() {
    let post = names(&[], &[], Methods::Post).unwrap();
    assert!(post.contains(&"post-is-accepted") && !post.contains(&"get-is-accepted"));
    let get = names(&[], &[], Methods::Get).unwrap();
    assert!(!get.contains(&"post-is-accepted") && get.contains(&"get-is-accepted"));
}

#[test]
fn what_fits_nothing_is_a_mistake_with_a_suggestion() {
    assert!(
        names(&["dupplicate"], &[], Methods::Both)
            .unwrap_err()
            .contains("did you mean `duplicate`")
    );
    assert!(
        names(&[], &["survive"], Methods::Both)
            .unwrap_err()
            .contains("did you mean `survives`")
    );
    assert!(
        !names(&["x*y*z"], &[], Methods::Both)
            .unwrap_err()
            .contains("did you mean")
    );
    assert!(
        names(&["prompt"], &["prompt"], Methods::Both)
            .unwrap_err()
            .contains("no case is left")
    );
}
