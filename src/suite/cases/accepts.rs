//! The cases of *accepts*: every scenario by POST and GET and in both shapes, with legs in order, reversed and at once.

use super::super::{Case, CaseDelivery, CaseMethod, CasePayload, Change, Family};
use super::{GOOD, docs, live};
use crate::cdr::Grade::{Doc, Inferred, Seen};
use crate::cdr::Shape::{Docs, Live};
use crate::cdr::scenarios::CallIds::PerLeg;
use CaseDelivery::{AtOnce, Brackets, OtherHost, Reversed};
use CaseMethod::{Get, Post};
use CasePayload::{Changed, DocumentedPair, Scenario, Yours};
use Change::Json;
use Family::Accepts;

const NO_ANSWER: &str = "The agent never picks up: one CDR of leg a, and no leg b ever; handlers that wait for both legs keep \
     such calls open for ever, or fail.";
const REJECTED: &str = "The agent declines or is busy: hangup_reason is sent_reject; handlers that know recv_cancel alone \
     lose the call.";
const CUSTOMER: &str = "The customer does not answer: leg b missed comes first, then leg a with status answered; \
     handlers for missed calls fail on the second, or store it as a second call.";
const CUSTOMER_DECLINED: &str = "The customer declines: leg b missed with sent_reject, then leg a answered; handlers that key on \
     call_id overwrite one leg with the other, or fail on a duplicate key.";
const GHOST: &str = "With follow-me a short first ring is reported as missed, and the real outcome follows with a new cmiuuid; \
     handlers that allow one leg a for each call fail on the second.";
const SOFTPHONE: &str = "Dialled on a softphone there is no request_id and no extra_params, absent and not null; \
     record[\"request_id\"] is the most frequent crash.";
const SOFTPHONE_DECLINED: &str = "A softphone call that was declined: no request_id, no extra_params, and sent_reject; handlers that \
     look the call up by its request_id find nothing to look up.";
const SAMPLE_A: &str = "The sample of leg a on TeleCMI's page as valid JSON, with fresh identifiers but its own appid and \
     time; what every tutorial is written against, and what a handler for one account may refuse.";
const SAMPLE_B: &str = "The sample of leg b on TeleCMI's page as valid JSON, with fresh identifiers but its own appid and \
     time; it is missed and rejected, which handlers written for leg a alone do not expect.";
const YOURS: &str = "The sample on TeleCMI's page with your account and the time of today, as TeleCMI would send it to \
     you; handlers that check the appid, custom or the age of a call must take it.";
const LEGACY: &str = "The older generation has nine fields, among them click_to_call, and neither call_id nor leg; handlers \
     that need either one fail on accounts of that generation.";
const LIVE: &str = "Live accounts send virtual_number as a number, extra_params as an object and custom as \"false\"; \
     handlers built from the page call text functions on them.";

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Accepts.post("post-is-accepted", Doc, GOOD,
        "TeleCMI delivers CDRs by POST of one JSON object, most often that of an agent who did \
         not answer: leg a, missed, and no leg b ever; while the handler refuses this CDR, no \
         other case can be judged."),
    Accepts.get("get-is-accepted", Doc, GOOD,
        "The dashboard offers GET beside POST, and the CDR is then in the query; most handlers \
         route POST alone and answer 404 or 405, so if your dashboard says GET every CDR is lost."),
    Accepts.post("post-agent-no-answer", Seen, docs("agent-no-answer"), NO_ANSWER),
    Accepts.post("post-agent-rejected", Inferred, docs("agent-rejected"), REJECTED),
    Accepts.post("post-customer-no-answer", Seen, docs("customer-no-answer"), CUSTOMER),
    Accepts.post("post-customer-rejected", Seen, docs("customer-rejected"), CUSTOMER_DECLINED),
    Accepts.post("post-followme-ghost", Seen, docs("followme-ghost"), GHOST),
    Accepts.post("post-softphone-no-answer", Doc, docs("softphone-no-answer"), SOFTPHONE),
    Accepts.post("post-softphone-rejected", Doc, docs("softphone-rejected"), SOFTPHONE_DECLINED),
    Accepts.post("post-docs-leg-a", Doc, docs("docs-leg-a"), SAMPLE_A),
    Accepts.post("post-docs-leg-b", Doc, docs("docs-leg-b"), SAMPLE_B),
    Accepts.post("post-docs-leg-a-yours", Doc, Yours("docs-leg-a"), YOURS),
    Accepts.post("post-docs-leg-b-yours", Doc, Yours("docs-leg-b"), YOURS),
    Accepts.post("post-legacy", Doc, docs("legacy"), LEGACY),
    Accepts.get("get-agent-no-answer", Inferred, docs("agent-no-answer"), NO_ANSWER),
    Accepts.get("get-agent-rejected", Inferred, docs("agent-rejected"), REJECTED),
    Accepts.get("get-customer-no-answer", Inferred, docs("customer-no-answer"), CUSTOMER),
    Accepts.get("get-customer-rejected", Inferred, docs("customer-rejected"), CUSTOMER_DECLINED),
    Accepts.get("get-followme-ghost", Inferred, docs("followme-ghost"), GHOST),
    Accepts.get("get-softphone-no-answer", Inferred, docs("softphone-no-answer"), SOFTPHONE),
    Accepts.get("get-softphone-rejected", Inferred, docs("softphone-rejected"),
        SOFTPHONE_DECLINED),
    Accepts.get("get-docs-leg-a", Inferred, docs("docs-leg-a"), SAMPLE_A),
    Accepts.get("get-docs-leg-b", Inferred, docs("docs-leg-b"), SAMPLE_B),
    Accepts.get("get-docs-leg-a-yours", Inferred, Yours("docs-leg-a"), YOURS),
    Accepts.get("get-docs-leg-b-yours", Inferred, Yours("docs-leg-b"), YOURS),
    Accepts.get("get-legacy", Inferred, docs("legacy"), LEGACY),
    Accepts.post("live-agent-no-answer", Seen, live("agent-no-answer"), LIVE),
    Accepts.post("live-agent-rejected", Inferred, live("agent-rejected"), LIVE),
    Accepts.post("live-customer-no-answer", Seen, live("customer-no-answer"), LIVE),
    Accepts.post("live-customer-rejected", Seen, live("customer-rejected"), LIVE),
    Accepts.post("live-followme-ghost", Seen, live("followme-ghost"), LIVE),
    Accepts.post("live-softphone-no-answer", Seen, live("softphone-no-answer"), LIVE),
    Accepts.post("live-softphone-rejected", Inferred, live("softphone-rejected"), LIVE),
    Accepts.get("get-live", Inferred, live("customer-no-answer"),
        "A live object in a flat query is its JSON text; handlers that parse custom, which then \
         says false, as an object fail."),
    Accepts.case("get-brackets", Inferred, Get,
        Changed(&[Json("extra_params", r#"{"click2call":"true","campaign":7}"#)]), Brackets,
        "Written as Node's qs writes objects, extra_params comes as \
         extra_params[click2call]=true; Express hands on an object where JSON.parse expects text, \
         other frameworks a field of that odd name."),
    Accepts.case("post-legs-reversed", Seen, Post, docs("customer-no-answer"), Reversed,
        "Deliveries overtake one another, so the answered leg a can come before the missed leg b; \
         handlers that expect missed first fail, or drop the late one."),
    Accepts.case("get-legs-reversed", Inferred, Get, docs("customer-no-answer"), Reversed,
        "By GET, too, the answered leg a can come before the missed leg b; handlers that update \
         the row of leg b find none yet."),
    Accepts.case("post-legs-at-once", Seen, Post, docs("customer-rejected"), AtOnce,
        "Both legs end together and can arrive at the same moment; two handlers that look and \
         then insert collide on the shared request_id or call_id."),
    Accepts.case("get-legs-at-once", Inferred, Get, docs("customer-rejected"), AtOnce,
        "Both legs at the same moment by GET: the same race as by POST, often in code that was \
         copied and lost its transaction."),
    Accepts.post("post-legs-two-call-ids", Seen, Scenario("customer-no-answer", Docs, PerLeg),
        "Whether legs share their call_id is disputed, and live reports differ; handlers that join \
         legs by call_id miss the other leg, only request_id relates them."),
    Accepts.get("get-legs-two-call-ids", Inferred, Scenario("customer-no-answer", Docs, PerLeg),
        "By GET with a call_id for each leg: handlers that join legs by call_id miss the other \
         leg, only request_id relates them."),
    Accepts.case("live-legs-reversed", Seen, Post, live("customer-rejected"), Reversed,
        "The answered leg a first and in live types, with answeredsec and an object in \
         extra_params: a live account can send all of these at once."),
    Accepts.post("live-legs-two-call-ids", Seen, Scenario("customer-rejected", Live, PerLeg),
        "Live types and a call_id for each leg: handlers that take call_id for the call's key \
         end up with two calls of one leg each."),
    Accepts.post("documented-pair", Doc, DocumentedPair,
        "The two samples on TeleCMI's page share their call_id but are two calls a minute apart; \
         handlers that make call_id unique refuse the second."),
    Accepts.get("get-documented-pair", Inferred, DocumentedPair,
        "The page's two samples by GET, with the call_id that they share; handlers that make \
         call_id unique refuse the second."),
    Accepts.case("post-other-host-name", Seen, Post, GOOD, OtherHost,
        "127.0.0.1 and localhost are this machine both, and a tunnel may send either as Host; \
         servers bound to one name answer 400 or 404 to the other, TeleCMI's .NET example among \
         them."),
];
