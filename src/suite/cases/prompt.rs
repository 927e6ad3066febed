//! Answers in time: a sender's patience is unknown, so it is better not tried.

use super::super::{Case, CaseDelivery, CaseMethod, Family};
use super::GOOD;
use crate::cdr::Grade::{self, Hostile, Inferred};
use CaseDelivery::{Concurrent, WithIdleConnections};
use CaseMethod::{Get, Post};

const fn prompt(
    name: &'static str,
    grade: Grade,
    method: CaseMethod,
    delivery: CaseDelivery,
    why: &'static str,
) -> Case {
    super::case(Family::Prompt, name, grade, method, GOOD, delivery, why)
}

/// The cases.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    prompt("twenty-at-once", Inferred, Post, Concurrent(20),
        "A campaign ends many calls in one moment; a handler that works before it answers, one \
         at a time, lets the last one wait for all."),
    prompt("get-twenty-at-once", Inferred, Get, Concurrent(20),
        "Twenty deliveries by GET at once: the same queue as by POST, often without the worker \
         that was added there."),
    prompt("beside-an-idle-connection", Hostile, Post, WithIdleConnections(1),
        "A browser, a scanner or a sender's pool keeps a connection open and says nothing; a \
         server that serves one connection at a time answers nobody until it is gone."),
    prompt("beside-many-idle-connections", Hostile, Post, WithIdleConnections(12),
        "A dozen idle connections, as any pool or scanner makes them; servers with a handful of \
         workers and no limit on waiting have none left for the CDR."),
];
