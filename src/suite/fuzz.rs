//! `--fuzz N`: cases with one field of a good CDR changed at random, by the field's type.

use rand::RngExt as _;

use super::cases::GOOD;
use super::{Case, CaseDelivery, CaseMethod, CasePayload, Change, Family};
use crate::cdr::Grade;
use crate::cdr::schema::{FIELDS, Field, FieldType};
use crate::seed::{Rng, Seed, Stream};

/// The good CDR has the first fifteen of the documented fields.
const FIELDS_OF_GOOD: usize = 15;

const WHY: &str = "Anybody can post to a webhook, and one field with an odd value is enough: whatever it is, it must be stored or \
     refused, and neither a 5xx nor silence.";

/// JSON values for a field of any type.
const ANY: &[&str] = &["null", "true", "[]", "{}", "[1]", r#"{"a":{"b":null}}"#];

/// Ends of the ranges of 32-bit and 64-bit integers and of doubles, and numbers as text.
#[rustfmt::skip]
const NUMBERS: &[&str] = &[
    "0", "-1", "-0.0", "1.5", "2147483647", "2147483648", "-2147483649", "4294967296", "9007199254740993",
    "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e400", "-1e400", "1e-400",
    r#""""#, r#""12""#, r#""soon""#, r#""１２""#, r#""1e3""#, r#""0x10""#,
];

#[rustfmt::skip]
const TEXTS: &[&str] = &[
    "0", "-1", "1.5", r#""""#, r#"" ""#, r#""a\u0000b""#, r#""\ud800""#, r#""\u202e""#, r#""\uffff""#, r#""null""#,
    r#""{""#, r#""{\"a\":""#, r#""📞""#, r#""' OR ''='""#, r#""%00""#, r#""a\r\nX: b""#, r#""\\""#,
];

/// Encoded values of a query parameter.
#[rustfmt::skip]
const PARAMETERS: &[&str] = &[
    "", "%00", "%FF", "%zz", "%", "+", "a%0D%0Ab", "null", "undefined", "%5B%5D", "%7B", "-1", "1e400", "1.5",
    "9223372036854775808", "%F0%9F%93%9E", "%ED%A0%80", "%2500", "true",
];

/// A long value has 10 000 characters, nested JSON 500 levels; a request line of 8 KiB is usual.
const LONG: usize = 10_000;
const LEVELS: usize = 500;
const LONG_PARAMETER: usize = 5_000;

/// Case `fuzz-n` depends on the seed and n alone. The cases are leaked, as those of the table live as long.
pub fn cases(count: u64, seed: Seed) -> Vec<&'static Case> {
    let cases = (1..=count).map(|n| case(n, seed));
    cases.map(|case| &*Box::leak(Box::new(case))).collect()
}

fn case(n: u64, seed: Seed) -> Case {
    let mut rng = seed.rng(Stream::Fuzz, n);
    let field = &FIELDS[rng.random_range(0..FIELDS_OF_GOOD)];
    let method = one(&[CaseMethod::Post, CaseMethod::Get], &mut rng);
    let is_absent = rng.random_range(0..10) == 0;
    let (mut payload, mut delivery) = (GOOD, CaseDelivery::InOrder);
    if is_absent {
        payload = CasePayload::Changed(Vec::leak(vec![Change::Without(field.name)]));
    } else if method == CaseMethod::Get {
        delivery = CaseDelivery::Parameter(field.name, parameter(field.name, &mut rng).leak());
    } else {
        payload = CasePayload::Spliced(field.name, json(field, &mut rng).leak().as_bytes());
    }
    let name = String::leak(format!("fuzz-{n}"));
    Family::Tolerant.case(name, Grade::Hostile, method, payload, delivery, WHY)
}

fn one<T: Copy>(values: &[T], rng: &mut Rng) -> T {
    values[rng.random_range(0..values.len())]
}

fn json(field: &Field, rng: &mut Rng) -> String {
    let own = match field.field_type {
        FieldType::Number => NUMBERS,
        FieldType::String => TEXTS,
        FieldType::Boolean => ANY,
    };
    match rng.random_range(0..10) {
        0 => format!("\"{}\"", "x".repeat(LONG)),
        1 => ["[".repeat(LEVELS), "]".repeat(LEVELS)].concat(),
        // A repeated member: the caller writes the name before the first of the two values.
        2 => format!("{},\"{}\":{}", one(own, rng), field.name, one(own, rng)),
        3 | 4 => one(ANY, rng).to_owned(),
        _ => one(own, rng).to_owned(),
    }
}

fn parameter(name: &str, rng: &mut Rng) -> String {
    let form = rng.random_range(0..10);
    let mut value = || one(PARAMETERS, rng);
    match form {
        0 => format!("{name}={}", "9".repeat(LONG_PARAMETER)),
        1 => format!("{name}={}&{name}={}", value(), value()),
        2 => format!("{name}[]={}", value()),
        3 => name.to_owned(),
        _ => format!("{name}={}", value()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_case_depends_on_the_seed_and_its_number_alone() {
        let texts = |count, seed| {
            cases(count, Seed(seed))
                .iter()
                .map(|case| format!("{case:?}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(300, 7)[..20], texts(20, 7));
        assert_ne!(texts(20, 7), texts(20, 8));
        let distinct: HashSet<_> = texts(300, 7)
            .into_iter()
            .map(|text| text.split_once("payload").unwrap().1.to_owned())
            .collect();
        assert!(distinct.len() > 150, "{}", distinct.len());
    }

    #[test]
    fn every_field_is_changed_and_every_value_is_json() {
        let (mut fields, mut rng) = (HashSet::new(), Seed(1).rng(Stream::Fuzz, 0));
        for case in cases(300, Seed(3)) {
            match (case.payload, case.delivery) {
                (CasePayload::Spliced(name, _), _) | (_, CaseDelivery::Parameter(name, _)) => {
                    fields.insert(name)
                }
                _ => false,
            };
        }
        assert_eq!(fields.len(), FIELDS_OF_GOOD);
        for field in &FIELDS {
            for _ in 0..50 {
                let object = format!("{{\"{}\":{}}}", field.name, json(field, &mut rng));
                assert!(
                    crate::json::document(object.as_bytes()).is_ok() || object.contains("[[["),
                    "{object}"
                );
            }
        }
    }
}
