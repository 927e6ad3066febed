//! What TeleCMI sends: every story, by POST and GET, in both shapes, in every order.

use super::super::{CallIds, Case, CaseDelivery, CaseMethod, CasePayload, Change, Family};
use super::GOOD;
use crate::cdr::Grade::{self, Doc, Inferred, Seen};
use crate::cdr::Shape::{self, Docs, Live};
use CallIds::{PerLeg, Shared};
use CaseDelivery::{AtOnce, Brackets, ExtraQuery, InOrder, Reversed};
use CaseMethod::{Get, Post};

const fn accepts(
    name: &'static str,
    grade: Grade,
    method: CaseMethod,
    payload: CasePayload,
    delivery: CaseDelivery,
    why: &'static str,
) -> Case {
    super::case(Family::Accepts, name, grade, method, payload, delivery, why)
}

/// A story with one `call_id`.
const fn scenario(name: &'static str, shape: Shape) -> CasePayload {
    CasePayload::Scenario(name, shape, Shared)
}

const NO_ANSWER: &str = "The agent never picks up: one CDR of leg a, and no leg b ever; handlers that wait for both legs keep \
     such calls open for ever, or fail.";
const REJECTED: &str = "The agent declines or is busy: hangup_reason is sent_reject; handlers that know recv_cancel alone \
     lose the call.";
const CUSTOMER: &str = "The customer does not answer: leg b missed comes first, then leg a with status answered; handlers for \
     missed calls stumble over the second, or file it as a second call.";
const CUSTOMER_DECLINED: &str = "The customer declines: leg b missed with sent_reject, then leg a answered; handlers that key on \
     call_id overwrite one leg with the other, or fail on a duplicate key.";
const GHOST: &str = "With follow-me a short ghost ring is told as missed, and the real outcome follows with a new cmiuuid; \
     handlers that allow one leg a for each call fail on the second.";
const SOFTPHONE: &str = "Dialled on a softphone there is no request_id and no extra_params, absent and not null; \
     record[\"request_id\"] is the commonest crash of all.";
const SOFTPHONE_DECLINED: &str = "A softphone call that was declined: no request_id, no extra_params, and sent_reject; handlers that \
     look the call up by its request_id find nothing to look up.";
const SAMPLE_A: &str = "The sample of leg a on TeleCMI's page as valid JSON, with fresh identifiers; what every tutorial is \
     written against, so nothing should go wrong here.";
const SAMPLE_B: &str = "The sample of leg b on TeleCMI's page as valid JSON, with fresh identifiers; it is missed and \
     rejected, which handlers written for leg a alone do not expect.";
const LEGACY: &str = "The older generation has nine fields, among them click_to_call, and neither call_id nor leg; handlers \
     that need either one fail on accounts that were never moved.";
const LIVE: &str = "Live accounts send virtual_number as a number, extra_params as an object and custom as \"false\"; \
     handlers built from the page call text functions on them.";

/// The cases.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    accepts("post-is-accepted", Doc, Post, GOOD, InOrder,
        "TeleCMI delivers CDRs by POST of one JSON object, most often that of an agent who did \
         not answer: leg a, missed, and no leg b ever; while this one is not taken, nothing else \
         can be told apart."),
    accepts("get-is-accepted", Doc, Get, GOOD, InOrder,
        "The dashboard offers GET beside POST, and the CDR is then in the query; most handlers \
         route POST alone and answer 404 or 405, so if your dashboard says GET every CDR is lost."),
    accepts("post-agent-no-answer", Seen, Post, scenario("agent-no-answer", Docs), InOrder, NO_ANSWER),
    accepts("post-agent-rejected", Inferred, Post, scenario("agent-rejected", Docs), InOrder,
        REJECTED),
    accepts("post-customer-no-answer", Seen, Post, scenario("customer-no-answer", Docs), InOrder,
        CUSTOMER),
    accepts("post-customer-rejected", Seen, Post, scenario("customer-rejected", Docs), InOrder,
        CUSTOMER_DECLINED),
    accepts("post-followme-ghost", Seen, Post, scenario("followme-ghost", Docs), InOrder, GHOST),
    accepts("post-softphone-no-answer", Doc, Post, scenario("softphone-no-answer", Docs), InOrder,
        SOFTPHONE),
    accepts("post-softphone-rejected", Doc, Post, scenario("softphone-rejected", Docs), InOrder,
        SOFTPHONE_DECLINED),
    accepts("post-docs-leg-a", Doc, Post, scenario("docs-leg-a", Docs), InOrder, SAMPLE_A),
    accepts("post-docs-leg-b", Doc, Post, scenario("docs-leg-b", Docs), InOrder, SAMPLE_B),
    accepts("post-legacy", Doc, Post, scenario("legacy", Docs), InOrder, LEGACY),
    accepts("get-agent-no-answer", Inferred, Get, scenario("agent-no-answer", Docs), InOrder,
        NO_ANSWER),
    accepts("get-agent-rejected", Inferred, Get, scenario("agent-rejected", Docs), InOrder, REJECTED),
    accepts("get-customer-no-answer", Inferred, Get, scenario("customer-no-answer", Docs), InOrder,
        CUSTOMER),
    accepts("get-customer-rejected", Inferred, Get, scenario("customer-rejected", Docs), InOrder,
        CUSTOMER_DECLINED),
    accepts("get-followme-ghost", Inferred, Get, scenario("followme-ghost", Docs), InOrder, GHOST),
    accepts("get-softphone-no-answer", Inferred, Get, scenario("softphone-no-answer", Docs), InOrder,
        SOFTPHONE),
    accepts("get-softphone-rejected", Inferred, Get, scenario("softphone-rejected", Docs), InOrder,
        SOFTPHONE_DECLINED),
    accepts("get-docs-leg-a", Inferred, Get, scenario("docs-leg-a", Docs), InOrder, SAMPLE_A),
    accepts("get-docs-leg-b", Inferred, Get, scenario("docs-leg-b", Docs), InOrder, SAMPLE_B),
    accepts("get-legacy", Inferred, Get, scenario("legacy", Docs), InOrder, LEGACY),
    accepts("live-agent-no-answer", Seen, Post, scenario("agent-no-answer", Live), InOrder, LIVE),
    accepts("live-agent-rejected", Inferred, Post, scenario("agent-rejected", Live), InOrder, LIVE),
    accepts("live-customer-no-answer", Seen, Post, scenario("customer-no-answer", Live), InOrder,
        LIVE),
    accepts("live-customer-rejected", Seen, Post, scenario("customer-rejected", Live), InOrder, LIVE),
    accepts("live-followme-ghost", Seen, Post, scenario("followme-ghost", Live), InOrder, LIVE),
    accepts("live-softphone-no-answer", Seen, Post, scenario("softphone-no-answer", Live), InOrder,
        LIVE),
    accepts("live-softphone-rejected", Inferred, Post, scenario("softphone-rejected", Live), InOrder,
        LIVE),
    accepts("get-live", Inferred, Get, scenario("customer-no-answer", Live), InOrder,
        "A live object in a flat query is its JSON text; handlers that parse custom, which then \
         says false, as an object fail."),
    accepts("get-brackets", Inferred, Get,
        CasePayload::Changed(&[Change::Put("extra_params", "{\"click2call\":\"true\",\"campaign\":7}")]),
        Brackets,
        "Written as Node's qs writes objects, extra_params comes as \
         extra_params[click2call]=true; Express hands on an object where JSON.parse expects text, \
         other frameworks a field of that odd name."),
    accepts("post-url-with-query", Inferred, Post, GOOD, ExtraQuery("source=telecmi&check=1"),
        "A token or tag in the URL's query is the only secret TeleCMI allows, so such URLs are \
         common; routers that compare the raw path, query and all, answer 404."),
    accepts("get-url-with-query", Inferred, Get, GOOD, ExtraQuery("source=telecmi&check=1"),
        "A query that the URL has already is kept, and the CDR's parameters come after it; \
         handlers that take the query for the CDR alone fail on the foreign names."),
    accepts("post-legs-reversed", Seen, Post, scenario("customer-no-answer", Docs), Reversed,
        "Deliveries overtake one another, so the answered leg a can come before the missed leg \
         b; handlers that expect missed first fail, or throw the late one away."),
    accepts("get-legs-reversed", Inferred, Get, scenario("customer-no-answer", Docs), Reversed,
        "By GET, too, the answered leg a can come before the missed leg b; handlers that update \
         the row of leg b find none yet."),
    accepts("post-legs-at-once", Seen, Post, scenario("customer-rejected", Docs), AtOnce,
        "Both legs end together and can arrive at the same moment; two handlers that look and \
         then insert collide on the shared request_id or call_id."),
    accepts("get-legs-at-once", Inferred, Get, scenario("customer-rejected", Docs), AtOnce,
        "Both legs at the same moment by GET: the same race as by POST, often in code that was \
         copied and lost its transaction."),
    accepts("post-legs-two-call-ids", Seen, Post,
        CasePayload::Scenario("customer-no-answer", Docs, PerLeg), InOrder,
        "Whether legs share their call_id is disputed, and live reports differ; handlers that \
         join legs by call_id miss the partner, only request_id ties them."),
    accepts("get-legs-two-call-ids", Inferred, Get,
        CasePayload::Scenario("customer-no-answer", Docs, PerLeg), InOrder,
        "By GET with a call_id for each leg: handlers that join legs by call_id miss the \
         partner, only request_id ties them."),
    accepts("live-legs-reversed", Seen, Post, scenario("customer-rejected", Live), Reversed,
        "The answered leg a first and in live types, with answeredsec and an object in \
         extra_params: what a live account really sends on a bad day."),
    accepts("live-legs-two-call-ids", Seen, Post, CasePayload::Scenario("customer-rejected", Live, PerLeg),
        InOrder,
        "Live types and a call_id for each leg: handlers that take call_id for the call's key \
         end up with two calls of one leg each."),
    accepts("documented-pair", Doc, Post, CasePayload::DocumentedPair, InOrder,
        "The two samples on TeleCMI's page share their call_id but are two calls a minute apart; \
         handlers that make call_id unique refuse the second."),
    accepts("get-documented-pair", Inferred, Get, CasePayload::DocumentedPair, InOrder,
        "The page's two samples by GET, with the call_id that they share; handlers that make \
         call_id unique refuse the second."),
    accepts("post-other-host-name", Seen, Post, GOOD, CaseDelivery::OtherHost,
        "127.0.0.1 and localhost are this machine both, and a tunnel may send either as Host; \
         servers bound to one name answer 400 or 404 to the other, TeleCMI's .NET example among \
         them."),
];
