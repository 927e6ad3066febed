//! Scenarios: what happened on the phone, and the CDRs that it makes, in the order of delivery.

use std::time::Duration;

use rand::RngExt as _;
use uuid::Uuid;

use super::account::{
    Account, DOCUMENTED_APP_ID, DOCUMENTED_CUSTOM, DOCUMENTED_EXTRA_PARAMS, LIVE_CUSTOM,
};
use super::ids::{self, CallId};
use super::{
    Cdr, ExtraParams, Grade, HangupReason, Leg, LegacyCdr, OutgoingCdr, Shape, Status,
    VirtualNumber,
};
use crate::clock::Timestamp;
use crate::seed::{Rng, Seed, Stream};

/// A scenario: a name, what happened, and the CDRs it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// The name people type.
    pub name: &'static str,
    /// What happened, in one clause.
    pub summary: &'static str,
    /// The CDRs, in the order they are delivered.
    pub plan: Plan,
    /// How well it is known that TeleCMI behaves like this.
    pub grade: Grade,
    /// What is not known, where something is not.
    pub caveat: Option<&'static str>,
    /// How often it happens among a hundred calls of the mixture.
    pub weight: u32,
}

/// What a story delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// The legs of a call placed through click2call.
    Click2call(&'static [LegEvent]),
    /// The legs of a call dialled on a softphone: no `request_id`, no `extra_params`. \[doc\]
    Softphone(&'static [LegEvent]),
    /// One of the documented samples, as it stands.
    Documented(Leg),
    /// The nine-field body.
    Legacy,
}

/// One leg that rang.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegEvent {
    /// Whose phone.
    pub leg: Leg,
    /// How it ended.
    pub end: LegOutcome,
    /// When its CDR follows the one before.
    pub follows: Gap,
}

/// How a leg ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegOutcome {
    /// The call was not answered.
    RangOut,
    /// It was declined, or busy.
    Declined,
    /// It was answered, and ended when the other leg failed.
    Answered,
}

/// When a CDR follows the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// Nothing comes before it.
    First,
    /// Within a second or two: both legs end together.
    AtOnce,
    /// After ringing again for 10 to 40 seconds.
    NextRing,
}

impl LegEvent {
    pub(super) const fn new(leg: Leg, end: LegOutcome, follows: Gap) -> Self {
        Self { leg, end, follows }
    }

    /// `a missed recv_cancel`, as the catalogue lists it.
    #[must_use]
    pub fn words(&self) -> String {
        let (status, reason) = self.end.words();
        format!("{} {status} {reason}", self.leg)
    }
}

impl LegOutcome {
    fn words(self) -> (Status, HangupReason) {
        match self {
            Self::RangOut => (Status::Missed, HangupReason::RecvCancel),
            Self::Declined => (Status::Missed, HangupReason::SentReject),
            Self::Answered => (Status::Answered, HangupReason::RecvBye),
        }
    }
}

/// Every scenario `send` can generate.
#[rustfmt::skip]
pub const CATALOGUE: [Scenario; 10] = {
    use LegOutcome::{Answered, Declined, RangOut};
    use Gap::{AtOnce, First, NextRing};
    use Leg::{A, B};
    use Plan::{Click2call, Documented, Legacy, Softphone};
    const SOFTPHONE_LEG: &str = "nobody says which leg such a CDR names: b, the customer's, is our guess";
    [
        story("agent-no-answer", 35, Grade::Seen, Click2call(&[LegEvent::new(A, RangOut, First)]),
            "the agent never picks up; the customer is never dialled"),
        story("agent-rejected", 10, Grade::Inferred, Click2call(&[LegEvent::new(A, Declined, First)]),
            "the agent declines, or is busy"),
        story("customer-no-answer", 25, Grade::Seen,
            Click2call(&[LegEvent::new(B, RangOut, First), LegEvent::new(A, Answered, AtOnce)]),
            "the agent picks up, the customer does not"),
        story("customer-rejected", 12, Grade::Seen,
            Click2call(&[LegEvent::new(B, Declined, First), LegEvent::new(A, Answered, AtOnce)]),
            "the agent picks up, the customer declines"),
        story("followme-ghost", 3, Grade::Seen,
            Click2call(&[LegEvent::new(A, RangOut, First), LegEvent::new(A, RangOut, NextRing)]),
            "with follow-me a short ghost ring is told first, then the real one"),
        story("softphone-no-answer", 10, Grade::Doc, Softphone(&[LegEvent::new(B, RangOut, First)]),
            "dialled on a softphone, nobody answers: no request_id, no extra_params")
            .with_caveat(SOFTPHONE_LEG),
        story("softphone-rejected", 5, Grade::Doc, Softphone(&[LegEvent::new(B, Declined, First)]),
            "dialled on a softphone, and declined")
            .with_caveat(SOFTPHONE_LEG),
        story("docs-leg-a", 0, Grade::Doc, Documented(A),
            "the documented sample of leg a, value for value"),
        story("docs-leg-b", 0, Grade::Doc, Documented(B),
            "the documented sample of leg b, value for value"),
        story("legacy", 0, Grade::Doc, Legacy, "the older nine-field body with click_to_call"),
    ]
};

const fn story(
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
        caveat: None,
        weight,
    }
}

/// The names that stand for several scenarios, and what they stand for.
pub const GROUPS: [(&str, &str); 4] = [
    ("all", "every scenario, one after another"),
    (
        "click2call",
        "the scenarios of calls placed through click2call",
    ),
    ("softphone", "the scenarios of calls dialled on a softphone"),
    (
        "mix",
        "for each call one scenario, weighted as calls really end",
    ),
];

/// What call n tells: one story, or one drawn from the mixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScenarioChoice {
    /// This one.
    Scenario(&'static Scenario),
    /// One drawn for each call.
    Mixture,
}

impl Scenario {
    const fn with_caveat(mut self, caveat: &'static str) -> Self {
        self.caveat = Some(caveat);
        self
    }

    /// How many CDRs a call of it makes.
    #[must_use]
    pub fn cdrs(&self) -> usize {
        match self.plan {
            Plan::Click2call(rings) | Plan::Softphone(rings) => rings.len(),
            Plan::Documented(_) | Plan::Legacy => 1,
        }
    }
}

impl ScenarioChoice {
    /// The story of call `n`.
    #[must_use]
    pub fn story(self, n: u64, seed: Seed) -> &'static Scenario {
        match self {
            Self::Scenario(story) => story,
            Self::Mixture => drawn(seed, n),
        }
    }

    /// How many CDRs a call of it makes, at the most.
    #[must_use]
    pub fn most_cdrs(self) -> u64 {
        match self {
            Self::Scenario(story) => story.cdrs() as u64,
            Self::Mixture => CATALOGUE
                .iter()
                .map(|story| story.cdrs() as u64)
                .max()
                .unwrap_or(0),
        }
    }

    /// Whether it may ring the customer, so that the customer's number matters.
    #[must_use]
    pub fn rings_customer(self) -> bool {
        match self {
            Self::Mixture => true,
            Self::Scenario(story) => match story.plan {
                Plan::Click2call(rings) | Plan::Softphone(rings) => {
                    rings.iter().any(|ring| ring.leg == Leg::B)
                }
                Plan::Documented(_) => false,
                Plan::Legacy => true,
            },
        }
    }
}

/// The choices that a scenario's or group's name stands for; none if there is no such name.
#[must_use]
pub fn choices(name: &str) -> Vec<ScenarioChoice> {
    let belongs = |story: &Scenario| match name {
        "all" => true,
        "click2call" => matches!(story.plan, Plan::Click2call(_)),
        "softphone" => matches!(story.plan, Plan::Softphone(_)),
        _ => story.name == name,
    };
    if name == "mix" {
        return vec![ScenarioChoice::Mixture];
    }
    CATALOGUE
        .iter()
        .filter(|story| belongs(story))
        .map(ScenarioChoice::Scenario)
        .collect()
}

/// Whether the legs of a call carry one `call_id` or two. Which is true is disputed, see the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum CallIds {
    /// One, as on the page
    #[default]
    Shared,
    /// One each
    PerLeg,
}

/// Everything but rng that the payloads follow from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerateOptions {
    /// Who calls.
    pub account: Account,
    /// How the fields are typed.
    pub shape: Shape,
    /// How many `call_id`s a call has.
    pub call_ids: CallIds,
    /// When every call of the run starts, which is the `time` of its CDRs.
    pub at: Timestamp,
    /// The seed.
    pub seed: Seed,
}

/// One CDR of a story, and how long after the one before it is told.
#[derive(Debug, Clone)]
pub struct GeneratedCdr<'a> {
    /// The CDR to deliver.
    pub cdr: Cdr<'a>,
    /// The story's own gap before it.
    pub gap: Duration,
}

/// Tells call `n`: which story it was, and its CDRs in order. The same setting and `n` give the same bytes.
#[must_use]
pub fn generate(
    choice: ScenarioChoice,
    n: u64,
    setting: &GenerateOptions,
) -> (&'static Scenario, Vec<GeneratedCdr<'_>>) {
    let story = choice.story(n, setting.seed);
    let told = match story.plan {
        Plan::Click2call(rings) => Call::new(n, setting).generate(rings, true),
        Plan::Softphone(rings) => Call::new(n, setting).generate(rings, false),
        Plan::Documented(leg) => alone(Cdr::Outgoing(documented(leg))),
        Plan::Legacy => alone(Cdr::Legacy(Call::new(n, setting).legacy())),
    };
    (story, told)
}

fn alone(cdr: Cdr<'_>) -> Vec<GeneratedCdr<'_>> {
    vec![GeneratedCdr {
        cdr,
        gap: Duration::ZERO,
    }]
}

fn drawn(seed: Seed, n: u64) -> &'static Scenario {
    let total: u32 = CATALOGUE.iter().map(|story| story.weight).sum();
    let mut ticket = seed.rng(Stream::Mixture, n).random_range(0..total);
    CATALOGUE
        .iter()
        .find(|story| {
            let hit = ticket < story.weight;
            ticket = ticket.saturating_sub(story.weight);
            hit
        })
        .unwrap_or(&CATALOGUE[0])
}

/// One of the two samples on TeleCMI's page, value for value. They are two calls, not the legs of one. \[calc\]
#[must_use]
pub fn documented(leg: Leg) -> OutgoingCdr<'static> {
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
    OutgoingCdr {
        virtual_number: VirtualNumber::new(440_000_000_000, Shape::Docs),
        call_id: Uuid::from_u128(0xc4504776_d91e_123b_29a7_56000429abc3),
        custom: DOCUMENTED_CUSTOM,
        leg,
        r#type: "cdr",
        app_id: DOCUMENTED_APP_ID,
        to,
        cmiuuid: Uuid::from_u128(cmiuuid),
        status: Status::Missed,
        user: "202_2222223",
        // A constant of the year 2022.
        time: Timestamp::from_epoch_ms(time)
            .unwrap_or_else(|| unreachable!("2022 is a valid year")),
        direction: "outbound",
        answeredsec: None,
        hangup_reason,
        request_id: Some(request_id.to_owned()),
        extra_params: Some(ExtraParams::new(DOCUMENTED_EXTRA_PARAMS, Shape::Docs)),
    }
}

/// One call as it is told: what all of its legs share.
struct Call<'a> {
    setting: &'a GenerateOptions,
    rng: Rng,
    serial: u64,
    customer: u64,
    request_id: String,
    /// How long the leg rang that ended the call.
    ring: Duration,
}

impl<'a> Call<'a> {
    fn new(n: u64, setting: &'a GenerateOptions) -> Self {
        let mut rng = setting.seed.rng(Stream::Call, n);
        let customer = setting.account.customer(&mut rng);
        let request_id = ids::request_id(&mut rng);
        let ring = Duration::from_millis(rng.random_range(10_000..60_000));
        Self {
            setting,
            rng,
            serial: n,
            customer,
            request_id,
            ring,
        }
    }

    fn generate(&mut self, rings: &[LegEvent], click2call: bool) -> Vec<GeneratedCdr<'a>> {
        (0_u64..)
            .zip(rings)
            .map(|(leg, ring)| self.generate_leg(leg, *ring, click2call))
            .collect()
    }

    fn generate_leg(&mut self, index: u64, ring: LegEvent, click2call: bool) -> GeneratedCdr<'a> {
        let gap = match ring.follows {
            Gap::First => Duration::ZERO,
            Gap::AtOnce => Duration::from_millis(self.rng.random_range(400..2_000)),
            Gap::NextRing => Duration::from_millis(self.rng.random_range(10_000..40_000)),
        };
        // Legs of one call start together \[seen\]; only a second ring of the same phone starts later.
        let time = match ring.follows {
            Gap::NextRing => self
                .setting
                .at
                .after(Duration::from_millis(self.rng.random_range(2_000..5_000))),
            Gap::First | Gap::AtOnce => self.setting.at,
        };
        let (status, hangup_reason) = ring.end.words();
        let GenerateOptions { account, shape, .. } = self.setting;
        let cdr = Cdr::Outgoing(OutgoingCdr {
            virtual_number: VirtualNumber::new(account.virtual_number, *shape),
            call_id: self.call_id(index),
            custom: self.custom(),
            leg: ring.leg,
            r#type: "cdr",
            app_id: account.app_id,
            to: if ring.leg == Leg::A {
                account.device
            } else {
                self.customer
            },
            cmiuuid: ids::cmiuuid(&mut self.rng),
            status,
            user: &account.user,
            time,
            direction: "outbound",
            // The agent listens while the customer's phone rings.
            answeredsec: (status == Status::Answered).then_some(self.ring.as_secs()),
            hangup_reason,
            request_id: click2call.then(|| self.request_id.clone()),
            extra_params: click2call.then(|| ExtraParams::new(&account.extra_params, *shape)),
        });
        GeneratedCdr { cdr, gap }
    }

    fn call_id(&self, leg: u64) -> Uuid {
        // Four serial numbers a call, so that no leg's identifier is another call's.
        let own = match self.setting.call_ids {
            CallIds::Shared => 0,
            CallIds::PerLeg => leg,
        };
        CallId::new(
            self.setting.at,
            self.serial * 4 + own,
            self.setting.account.server,
        )
        .uuid()
    }

    fn custom(&self) -> &'a str {
        let unset = match self.setting.shape {
            Shape::Docs => DOCUMENTED_CUSTOM,
            Shape::Live => LIVE_CUSTOM,
        };
        self.setting.account.custom.as_deref().unwrap_or(unset)
    }

    fn legacy(&mut self) -> LegacyCdr<'a> {
        LegacyCdr {
            r#type: "cdr",
            app_id: self.setting.account.app_id,
            to: self.customer,
            cmiuuid: ids::cmiuuid(&mut self.rng),
            status: Status::Missed,
            user: &self.setting.account.user,
            time: self.setting.at,
            direction: "outbound",
            click_to_call: "true",
        }
    }
}

#[cfg(test)]
mod tests;
