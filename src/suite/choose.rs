//! Which cases are run: names, families and globs.

use strsim::levenshtein;
use wildmatch::WildMatch;

use super::cases::table;
use super::{Case, CaseMethod, Family};
use crate::send::plan::Methods;

/// The cases that the patterns choose and that the methods allow, in the order of the table.
///
/// A pattern that fits nothing is a mistake, and the error says which name is meant perhaps.
pub fn select(
    only: &[String],
    skip: &[String],
    methods: Methods,
) -> Result<Vec<&'static Case>, String> {
    for pattern in only.iter().chain(skip) {
        if !table().any(|case| fits(pattern, case)) {
            return Err(unknown(pattern));
        }
    }
    let chosen: Vec<_> = table()
        .filter(|case| only.is_empty() || only.iter().any(|pattern| fits(pattern, case)))
        .filter(|case| !skip.iter().any(|pattern| fits(pattern, case)))
        .filter(|case| allowed(case.method, methods))
        .collect();
    if chosen.is_empty() {
        return Err("no case is left to run: see --list-cases".to_owned());
    }
    Ok(chosen)
}

/// Whether a case can be asked by these methods alone.
fn allowed(method: CaseMethod, methods: Methods) -> bool {
    match method {
        CaseMethod::Post => methods != Methods::Get,
        CaseMethod::Get => methods != Methods::Post,
        CaseMethod::Both => methods == Methods::Both,
        CaseMethod::Other => true,
    }
}

/// Whether a pattern matches the name of a case or of its family.
fn fits(pattern: &str, case: &Case) -> bool {
    let pattern = WildMatch::new(pattern);
    pattern.matches(case.name) || pattern.matches(case.family.name())
}

/// The error for a pattern that matches no case.
fn unknown(pattern: &str) -> String {
    let names = table()
        .map(|case| case.name)
        .chain(Family::ALL.map(Family::name));
    let nearest = names.min_by_key(|name| levenshtein(pattern, name));
    let shown = crate::untrusted::clean(pattern);
    match nearest {
        Some(name) if levenshtein(pattern, name) <= name.len().div_ceil(2) => {
            format!(
                "there is no case `{shown}`: did you mean `{name}`? --list-cases names them all"
            )
        }
        _ => format!("there is no case `{shown}`: --list-cases names them all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str], skip: &[&str], methods: Methods) -> Result<Vec<&'static str>, String> {
        let owned = |patterns: &[&str]| patterns.iter().map(|&p| p.to_owned()).collect::<Vec<_>>();
        let chosen = select(&owned(only), &owned(skip), methods)?;
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
}
