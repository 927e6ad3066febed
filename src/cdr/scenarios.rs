//! The catalogue of call scenarios, and the generation of their CDRs in the order of delivery.

use std::time::Duration;

use rand::RngExt as _;
use serde_json::Value;
use uuid::Uuid;

use super::account::{
    Account, CallId, DOCUMENTED_APP_ID, DOCUMENTED_CUSTOM, DOCUMENTED_EXTRA_PARAMS, LIVE_CUSTOM,
    cmiuuid, request_id,
};
use super::{Cdr, ExtraParams, Grade, HangupReason, Leg, Shape, Status};
use crate::clock::Timestamp;
use crate::seed::{Rng, Seed, Stream};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    pub name: &'static str,
    pub summary: &'static str,
    pub plan: Plan,
    pub grade: Grade,
    /// The scenario's share of the scenario group `mix`, in per cent.
    pub weight: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    Click2call(&'static [LegEnd]),
    /// The legs of a call dialled on a softphone: no `request_id`, no `extra_params`. \[doc\]
    Softphone(&'static [LegEnd]),
    Documented(Leg),
    Legacy,
}

pub type LegEnd = (Leg, HangupReason);

/// The table of all scenarios that `send` can generate. The weights add up to 100.
#[rustfmt::skip]
pub const CATALOGUE: [Scenario; 10] = {
    use HangupReason::{RecvBye, RecvCancel, SentReject};
    use Leg::{A, B};
    use Plan::{Click2call, Documented, Legacy, Softphone};
    [
        scenario("agent-no-answer", 35, Grade::Seen, Click2call(&[(A, RecvCancel)]),
            "the agent never picks up; the customer is never dialled"),
        scenario("agent-rejected", 10, Grade::Inferred, Click2call(&[(A, SentReject)]),
            "the agent declines, or is busy"),
        scenario("customer-no-answer", 25, Grade::Seen, Click2call(&[(B, RecvCancel), (A, RecvBye)]),
            "the agent picks up, the customer does not"),
        scenario("customer-rejected", 12, Grade::Seen, Click2call(&[(B, SentReject), (A, RecvBye)]),
            "the agent picks up, the customer declines"),
        scenario("followme-ghost", 3, Grade::Seen, Click2call(&[(A, RecvCancel), (A, RecvCancel)]),
            "with follow-me, a CDR of a short ghost ring comes first, then that of the real ring"),
        scenario("softphone-no-answer", 10, Grade::Doc, Softphone(&[(B, RecvCancel)]),
            "dialled on a softphone, nobody answers: no request_id, no extra_params"),
        scenario("softphone-rejected", 5, Grade::Doc, Softphone(&[(B, SentReject)]),
            "dialled on a softphone, and declined"),
        scenario("docs-leg-a", 0, Grade::Doc, Documented(A),
            "the documented sample of leg a, value for value"),
        scenario("docs-leg-b", 0, Grade::Doc, Documented(B),
            "the documented sample of leg b, value for value"),
        scenario("legacy", 0, Grade::Doc, Legacy, "the older nine-field body with click_to_call"),
    ]
};

const fn scenario(
    name: &'static str,
    weight: u32,
    grade: Grade,
    plan: Plan,
    summary: &'static str,
) -> Scenario {
    Scenario {
        name,
        summary,
        plan,
        grade,
        weight,
    }
}

pub const GROUPS: [(&str, &str); 4] = [
    ("all", "every scenario, one after another"),
    (
        "click2call",
        "the scenarios of calls placed through click2call",
    ),
    ("softphone", "the scenarios of calls dialled on a softphone"),
    (
        "mix",
        "one scenario for each call, weighted like the outcomes of real calls",
    ),
];

impl Scenario {
    pub fn caveat(&self) -> Option<&'static str> {
        let caveat = "the leg of such a CDR is undocumented; b, the customer's, is assumed";
        matches!(self.plan, Plan::Softphone(_)).then_some(caveat)
    }

    fn legs(&self) -> &'static [LegEnd] {
        match self.plan {
            Plan::Click2call(legs) | Plan::Softphone(legs) => legs,
            Plan::Documented(_) | Plan::Legacy => &[],
        }
    }

    pub fn cdrs(&self) -> usize {
        self.legs().len().max(1)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScenarioChoice {
    Scenario(&'static Scenario),
    Mixture,
}

impl ScenarioChoice {
    fn scenario(self, n: u64, seed: Seed) -> &'static Scenario {
        match self {
            Self::Scenario(scenario) => scenario,
            Self::Mixture => drawn(seed, n),
        }
    }

    /// Returns whether a flag of the generator, such as `--custom`, changes the scenario's CDRs.
    pub fn takes(self, flag: &str) -> bool {
        let Self::Scenario(scenario) = self else {
            return true;
        };
        match (scenario.plan, flag) {
            (Plan::Documented(_), _) => false,
            (Plan::Legacy, _) => matches!(flag, "to" | "app_id" | "agent"),
            (_, "to") => scenario.legs().iter().any(|(leg, _)| *leg == Leg::B),
            (plan, _) => matches!(plan, Plan::Click2call(_)) || flag != "extra_params",
        }
    }

    pub fn most_payloads(self, with_events: bool) -> u64 {
        let payloads = |scenario: &Scenario| match scenario.legs() {
            legs if with_events && !legs.is_empty() => 3 * legs.len(),
            _ => scenario.cdrs(),
        };
        let most = match self {
            Self::Scenario(scenario) => Some(payloads(scenario)),
            Self::Mixture => CATALOGUE.iter().map(payloads).max(),
        };
        most.unwrap_or_default() as u64
    }
}

/// The scenarios selected by the name of a scenario or group. An unknown name selects no scenario.
pub fn choices(name: &str) -> Vec<ScenarioChoice> {
    if name == "mix" {
        return vec![ScenarioChoice::Mixture];
    }
    let belongs = |scenario: &&Scenario| match name {
        "all" => true,
        "click2call" => matches!(scenario.plan, Plan::Click2call(_)),
        "softphone" => matches!(scenario.plan, Plan::Softphone(_)),
        _ => scenario.name == name,
    };
    let chosen = CATALOGUE.iter().filter(belongs);
    chosen.map(ScenarioChoice::Scenario).collect()
}

fn drawn(seed: Seed, n: u64) -> &'static Scenario {
    let total: u32 = CATALOGUE.iter().map(|scenario| scenario.weight).sum();
    let mut left = seed.rng(Stream::Mixture, n).random_range(0..total);
    let chosen = CATALOGUE.iter().find(|scenario| {
        let is_chosen = left < scenario.weight;
        left = left.saturating_sub(scenario.weight);
        is_chosen
    });
    chosen.unwrap_or(&CATALOGUE[0])
}

/// Whether the legs of a call share one `call_id`. Sources disagree, see docs/payload.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum CallIds {
    /// One call_id for all legs of a call, as in TeleCMI's samples
    #[default]
    Shared,
    /// One call_id for each leg of a call
    PerLeg,
}

/// Options of the generator. The options and the number of a call determine the bytes of the call's CDRs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerateOptions {
    pub account: Account,
    pub shape: Shape,
    pub call_ids: CallIds,
    /// The start of all calls of the run, used as the `time` of their CDRs.
    pub at: Timestamp,
    pub seed: Seed,
    pub with_events: bool,
}

#[derive(Debug, Clone)]
pub struct GeneratedCdr<'a> {
    pub cdr: Cdr<'a>,
    pub gap: Duration,
    /// The status and `conversation_uuid` of the live event that is sent instead of the CDR.
    pub event: Option<(&'static str, Uuid)>,
}

/// A payload of a call: the index of the CDR, the status of the leg's live event or `None` for the CDR itself, and
/// whether the phone rings before.
type Step = (usize, Option<&'static str>, bool);

/// The order of a call whose customer does not answer. \[seen\]
const OF_TWO_LEGS: [Step; 6] = [
    (1, Some("started"), false),
    (1, Some("answered"), false),
    (0, Some("started"), false),
    (0, Some("hangup"), true),
    (0, None, false),
    (1, None, false),
];

/// The order of a leg that is not answered. \[seen for the agent's leg\]
const OF_ONE_LEG: [Step; 3] = [
    (0, Some("started"), false),
    (0, None, true),
    (0, Some("hangup"), false),
];

/// Adds the live events to the CDRs of a call.
fn with_events<'a>(cdrs: &[GeneratedCdr<'a>], ring: Duration) -> Vec<GeneratedCdr<'a>> {
    let last = cdrs.last();
    let is_answered = last.is_some_and(|last| last.cdr.status == Status::Answered);
    let (steps, legs): (&[Step], _) = if is_answered {
        (&OF_TWO_LEGS, cdrs.len())
    } else {
        (&OF_ONE_LEG, 1)
    };
    let payloads = cdrs.chunks(legs.max(1)).flat_map(|cdrs| {
        steps.iter().map(move |&(index, status, rings)| {
            let GeneratedCdr { cdr, gap, .. } = &cdrs[index];
            let own = status.map_or(*gap, |_| Duration::ZERO);
            GeneratedCdr {
                cdr: cdr.clone(),
                gap: if rings { own.max(ring) } else { own },
                event: status.map(|status| (status, cdrs[legs - 1].cdr.cmiuuid)),
            }
        })
    });
    payloads.collect()
}

/// Generates call `n`: the call's scenario, and its CDRs in the order of delivery.
pub fn generate(
    choice: ScenarioChoice,
    n: u64,
    options: &GenerateOptions,
) -> (&'static Scenario, Vec<GeneratedCdr<'_>>) {
    let scenario = choice.scenario(n, options.seed);
    let cdr = match scenario.plan {
        Plan::Click2call(legs) | Plan::Softphone(legs) => {
            let mut call = Call::new(n, options);
            let cdrs = call.cdrs(legs, matches!(scenario.plan, Plan::Click2call(_)));
            if options.with_events {
                return (scenario, with_events(&cdrs, call.ring));
            }
            return (scenario, cdrs);
        }
        Plan::Documented(leg) => documented(leg),
        Plan::Legacy => Call::new(n, options).legacy(),
    };
    let (gap, event) = (Duration::ZERO, None);
    (scenario, vec![GeneratedCdr { cdr, gap, event }])
}

/// Returns one of the two samples on TeleCMI's page, value for value. The samples are two calls, not two legs of one
/// call. \[calc\]
pub fn documented(leg: Leg) -> Cdr<'static> {
    let (to, cmiuuid, time, hangup_reason, request_id) = match leg {
        Leg::A => (
            442_000_000_000,
            0x15b58236_734f_4000_a5e8_78284068f5c7,
            1_650_628_175_336,
            HangupReason::RecvCancel,
            "D8qpRb27mpXEYgEdAMY6arnQ2ONAB04Y86QrfKbOWZQ",
        ),
        Leg::B => (
            442_000_000_001,
            0x7686c396_ecdf_436d_9633_94c307f093e7,
            1_650_628_237_610,
            HangupReason::SentReject,
            "bsGsOLY9QBUc6URW5olXiGmO58cDH6X3VetRFjZjfKS",
        ),
    };
    Cdr {
        virtual_number: Some("440000000000".into()),
        call_id: Some(Uuid::from_u128(0xc4504776_d91e_123b_29a7_56000429abc3)),
        custom: Some(DOCUMENTED_CUSTOM),
        leg: Some(leg),
        r#type: "cdr",
        app_id: DOCUMENTED_APP_ID,
        to,
        cmiuuid: Uuid::from_u128(cmiuuid),
        status: Status::Missed,
        user: "202_2222223",
        time: Timestamp::from_epoch_ms(time)
            .unwrap_or_else(|| unreachable!("2022 is a valid year")),
        direction: "outbound",
        answeredsec: None,
        hangup_reason: Some(hangup_reason),
        request_id: Some(request_id.to_owned()),
        extra_params: Some(ExtraParams::Text(DOCUMENTED_EXTRA_PARAMS)),
        click_to_call: None,
    }
}

struct Call<'a> {
    options: &'a GenerateOptions,
    rng: Rng,
    n: u64,
    customer: u64,
    request_id: String,
    /// The time for which the customer's phone rings, during which the agent's leg is answered.
    ring: Duration,
}

impl<'a> Call<'a> {
    fn new(n: u64, options: &'a GenerateOptions) -> Self {
        let mut rng = options.seed.rng(Stream::Call, n);
        Self {
            options,
            n,
            customer: options.account.customer(&mut rng),
            request_id: request_id(&mut rng),
            ring: Duration::from_millis(rng.random_range(10_000..60_000)),
            rng,
        }
    }

    fn cdrs(&mut self, legs: &[LegEnd], is_click2call: bool) -> Vec<GeneratedCdr<'a>> {
        let mut cdrs = Vec::with_capacity(legs.len());
        let mut before = None;
        for (index, (leg, reason)) in (0..).zip(legs) {
            let (gap, later) = match before {
                None => (0, 0),
                // A second ring of the same phone: its CDR follows 10 to 40 seconds later.
                Some(before) if before == leg => (
                    self.rng.random_range(10_000..40_000),
                    self.rng.random_range(2_000..5_000),
                ),
                // Both legs of the call end together: the second CDR follows within two seconds.
                Some(_) => (self.rng.random_range(400..2_000), 0),
            };
            // The legs of a call have the same `time` [seen], except for a second ring of the same phone.
            let time = self.options.at.after(Duration::from_millis(later));
            before = Some(leg);
            cdrs.push(GeneratedCdr {
                cdr: self.cdr(index, *leg, *reason, time, is_click2call),
                gap: Duration::from_millis(gap),
                event: None,
            });
        }
        cdrs
    }

    fn cdr(
        &mut self,
        index: u64,
        leg: Leg,
        hangup_reason: HangupReason,
        time: Timestamp,
        is_click2call: bool,
    ) -> Cdr<'a> {
        let GenerateOptions { account, shape, .. } = self.options;
        let (virtual_number, unset_custom) = match shape {
            Shape::Docs => (account.virtual_number.to_string().into(), DOCUMENTED_CUSTOM),
            Shape::Live => (Value::from(account.virtual_number), LIVE_CUSTOM),
        };
        let extra_params = || match shape {
            Shape::Docs => ExtraParams::Text(&account.extra_params),
            // An `extra_params` value that is not JSON stays text.
            Shape::Live => serde_json::from_str(&account.extra_params)
                .map_or(ExtraParams::Text(&account.extra_params), ExtraParams::Json),
        };
        let status = hangup_reason.status();
        Cdr {
            virtual_number: Some(virtual_number),
            call_id: Some(self.call_id(index)),
            custom: Some(account.custom.as_deref().unwrap_or(unset_custom)),
            leg: Some(leg),
            to: match leg {
                Leg::A => account.device,
                Leg::B => self.customer,
            },
            status,
            time,
            // The `answeredsec` of the agent's leg is the time for which the customer's phone rings.
            answeredsec: (status == Status::Answered).then_some(self.ring.as_secs()),
            hangup_reason: Some(hangup_reason),
            request_id: is_click2call.then(|| self.request_id.clone()),
            extra_params: is_click2call.then(extra_params),
            click_to_call: None,
            ..self.legacy()
        }
    }

    fn call_id(&self, leg: u64) -> Uuid {
        let GenerateOptions { account, at, .. } = self.options;
        // Each call has four serial numbers, so that legs of different calls never share a `call_id`.
        let serial = match self.options.call_ids {
            CallIds::Shared => self.n * 4,
            CallIds::PerLeg => self.n * 4 + leg,
        };
        CallId::new(*at, serial, account.server).uuid()
    }

    fn legacy(&mut self) -> Cdr<'a> {
        let account = &self.options.account;
        Cdr {
            virtual_number: None,
            call_id: None,
            custom: None,
            leg: None,
            r#type: "cdr",
            app_id: account.app_id,
            to: self.customer,
            cmiuuid: cmiuuid(&mut self.rng),
            status: Status::Missed,
            user: &account.user,
            time: self.options.at,
            direction: "outbound",
            answeredsec: None,
            hangup_reason: None,
            request_id: None,
            extra_params: None,
            click_to_call: Some("true"),
        }
    }
}

#[cfg(test)]
mod tests;
