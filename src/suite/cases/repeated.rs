//! The cases of *idempotent*, which send a CDR more than once, and of *prompt*, which send many CDRs at once. TeleCMI
//! documents neither repeated deliveries nor a response timeout. \[unknown\]

use std::time::Duration;

use super::super::{Case, CaseDelivery, CaseMethod, Family};
use super::{GOOD, docs, live};
use crate::cdr::Grade::{Hostile, Inferred, Seen};
use CaseDelivery::{
    Again, AgainAfter, AgainChanged, Concurrent, LateAgain, Race, WithIdleConnections,
};
use CaseMethod::{Both, Get, Post};
use Family::{Idempotent, Prompt};

/// Caches that stand in for a unique key keep a CDR for half a second or so.
const MOMENT: Duration = Duration::from_millis(700);

#[rustfmt::skip]
pub const IDEMPOTENT: &[Case] = &[
    Idempotent.case("duplicate", Seen, Post, GOOD, Again,
        "The same CDR can arrive twice; an INSERT with cmiuuid as its key fails on the second, \
         and the error may bring a third."),
    Idempotent.case("get-duplicate", Inferred, Get, GOOD, Again,
        "The same GET can arrive twice, and proxies repeat GETs on their own; what protects POST \
         is often missing in the GET route."),
    Idempotent.case("live-duplicate", Seen, Post, live("agent-no-answer"), Again,
        "A duplicate in live types: comparing extra_params as text works on the page's string, \
         and fails on the live object."),
    Idempotent.case("answered-duplicate", Seen, Post, docs("customer-no-answer"), Again,
        "Both legs of one call, and both again: the second leg b meets a call that leg a has \
         closed already."),
    Idempotent.case("softphone-duplicate", Seen, Post, docs("softphone-no-answer"), Again,
        "A duplicate without request_id: handlers that recognise repeats by request_id see two \
         calls with none, or fail on null."),
    Idempotent.case("legacy-duplicate", Inferred, Post, docs("legacy"), Again,
        "A duplicate of the nine-field CDR has neither call_id nor request_id; cmiuuid is all \
         there is to recognise it by."),
    Idempotent.case("late-duplicate", Seen, Post, GOOD, LateAgain(5),
        "A repeat can come after other calls; handlers that compare with the last CDR alone do \
         not recognise it."),
    Idempotent.case("get-late-duplicate", Inferred, Get, GOOD, LateAgain(5),
        "A repeat by GET after other calls; handlers that compare with the last CDR alone do not \
         recognise it."),
    Idempotent.case("duplicate-a-moment-later", Seen, Post, GOOD, AgainAfter(MOMENT),
        "A repeat can come a while later; a cache of the last half second is no unique key, and \
         only --read-back shows its second record."),
    Idempotent.case("race", Seen, Post, GOOD, Race(5),
        "Copies can arrive at the same moment; look-then-insert finds nothing five times and \
         inserts five times, unless the database itself forbids it and the handler catches that."),
    Idempotent.case("get-race", Inferred, Get, GOOD, Race(5),
        "Copies by GET at the same moment: look-then-insert finds nothing five times, and the \
         database's error becomes a 500."),
    Idempotent.case("duplicate-with-another-body", Seen, Post, GOOD, AgainChanged,
        "The same ids can come with a changed body, as when an outcome is corrected; an \
         idempotency layer that compares bodies answers 409, and the correction is lost."),
    Idempotent.case("get-duplicate-with-other-values", Inferred, Get, GOOD, AgainChanged,
        "The same ids by GET with a changed outcome; a cache or an idempotency layer keyed by \
         the URL does not see that they belong together."),
    Idempotent.case("duplicate-by-the-other-method", Inferred, Both, GOOD, Again,
        "A webhook that was switched from POST to GET repeats CDRs in strings; comparing 442… \
         with \"442…\" makes them two calls or a conflict."),
];

#[rustfmt::skip]
pub const PROMPT: &[Case] = &[
    Prompt.case("twenty-at-once", Inferred, Post, GOOD, Concurrent(20),
        "A campaign ends many calls in one moment; a handler that works one at a time lets the \
         last one wait for all, and transactions, pools and queues collide or run out."),
    Prompt.case("get-twenty-at-once", Inferred, Get, GOOD, Concurrent(20),
        "Twenty deliveries by GET at once: the same queue as by POST, often without the worker \
         that was added there."),
    Prompt.case("beside-an-idle-connection", Hostile, Post, GOOD, WithIdleConnections(1),
        "A browser, a scanner or a sender's pool keeps a connection open and says nothing; a \
         server that serves one connection at a time answers nobody until it is gone."),
    Prompt.case("beside-many-idle-connections", Hostile, Post, GOOD, WithIdleConnections(12),
        "A dozen idle connections, as any pool or scanner makes them; servers with a handful of \
         workers and no limit on waiting have none left for the CDR."),
];
