//! The one table of cases, family by family. Every case is a value; nothing here does anything.

mod accepts;
mod idempotent;
mod prompt;
mod survives;
mod tolerant;

use super::{Case, Delivery, Family, Method, Payload};
use crate::cdr::story::CallIds;
use crate::cdr::{Grade, Shape};

/// The case that asks whether POST works at all.
pub const POST_PROBE: &Case = &accepts::CASES[0];

/// The case that asks whether GET works at all.
pub const GET_PROBE: &Case = &accepts::CASES[1];

/// All cases, in the order they are run.
pub fn table() -> impl Iterator<Item = &'static Case> {
    let families: [&[Case]; 7] = [
        &accepts::CASES,
        &idempotent::CASES,
        &tolerant::CASES,
        &tolerant::MISTAKEN,
        &survives::CASES,
        &survives::ODDER,
        &prompt::CASES,
    ];
    families.into_iter().flatten()
}

/// The plainest CDR there is: the agent did not answer. What is said to be *good* is this.
const GOOD: Payload = Payload::Story("agent-no-answer", Shape::Docs, CallIds::Shared);

/// A case of a family.
const fn case(
    family: Family,
    name: &'static str,
    grade: Grade,
    method: Method,
    payload: Payload,
    delivery: Delivery,
    why: &'static str,
) -> Case {
    Case { name, family, grade, method, payload, delivery, why }
}
