//! The same CDR again: TeleCMI's guarantees are unknown, and handlers written against live traffic expect repeats.

use super::super::{CallIds, Case, CaseDelivery, CaseMethod, CasePayload, Family};
use super::GOOD;
use crate::cdr::Grade::{self, Inferred, Seen};
use crate::cdr::Shape::{Docs, Live};
use CaseDelivery::{Again, AgainByGet, AgainChanged, LateAgain, Race};
use CaseMethod::{Both, Get, Post};

const fn again(
    name: &'static str,
    grade: Grade,
    method: CaseMethod,
    payload: CasePayload,
    delivery: CaseDelivery,
    why: &'static str,
) -> Case {
    super::case(
        Family::Idempotent,
        name,
        grade,
        method,
        payload,
        delivery,
        why,
    )
}

/// The cases.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    again("duplicate", Seen, Post, GOOD, Again,
        "The same CDR can arrive twice; an INSERT with cmiuuid as its key fails on the second, \
         and the error may bring a third."),
    again("get-duplicate", Inferred, Get, GOOD, Again,
        "The same GET can arrive twice, and proxies repeat GETs on their own; what protects POST \
         is often missing in the GET route."),
    again("live-duplicate", Seen, Post, CasePayload::Scenario("agent-no-answer", Live, CallIds::Shared),
        Again,
        "A duplicate in live types: comparing extra_params as text works on the page's string, \
         and fails on the live object."),
    again("answered-duplicate", Seen, Post,
        CasePayload::Scenario("customer-no-answer", Docs, CallIds::Shared), Again,
        "Both legs of one call, and both again: the second leg b meets a call that leg a has \
         closed already."),
    again("softphone-duplicate", Seen, Post,
        CasePayload::Scenario("softphone-no-answer", Docs, CallIds::Shared), Again,
        "A duplicate without request_id: handlers that recognise repeats by request_id see two \
         calls with none, or fail on null."),
    again("legacy-duplicate", Inferred, Post, CasePayload::Scenario("legacy", Docs, CallIds::Shared),
        Again,
        "A duplicate of the nine-field CDR has neither call_id nor request_id; cmiuuid is all \
         there is to recognise it by."),
    again("late-duplicate", Seen, Post, GOOD, LateAgain(5),
        "A repeat can come after other calls; handlers that compare with the last CDR alone do \
         not recognise it."),
    again("get-late-duplicate", Inferred, Get, GOOD, LateAgain(5),
        "A repeat by GET after other calls; handlers that compare with the last CDR alone do not \
         recognise it."),
    again("race", Seen, Post, GOOD, Race(5),
        "Copies can arrive at the same moment; look-then-insert finds nothing five times and \
         inserts five times, unless the database itself forbids it and the handler catches that."),
    again("get-race", Inferred, Get, GOOD, Race(5),
        "Copies by GET at the same moment: look-then-insert finds nothing five times, and the \
         database's objection becomes a 500."),
    again("duplicate-with-another-body", Seen, Post, GOOD, AgainChanged,
        "The same ids can come with a changed body, as when an outcome is corrected; an \
         idempotency layer that compares bodies answers 409, and the correction is lost."),
    again("get-duplicate-with-other-values", Inferred, Get, GOOD, AgainChanged,
        "The same ids by GET with a changed outcome; a cache or an idempotency layer keyed by \
         the URL does not see that they belong together."),
    again("duplicate-by-the-other-method", Inferred, Both, GOOD, AgainByGet,
        "A webhook that was switched from POST to GET repeats CDRs in strings; comparing 442… \
         with \"442…\" makes them two calls or a conflict."),
];
