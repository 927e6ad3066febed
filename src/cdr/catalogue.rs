//! The scenarios `send` can tell, as one table, and the groups they stand in.

use super::story::{End, Follows, Plan, Ring, Story};
use super::{Grade, Leg};

/// Every scenario `send` can tell.
pub const CATALOGUE: [Story; 10] = {
    use End::{Answered, Declined, RangOut};
    use Follows::{AtOnce, First, NextRing};
    use Leg::{A, B};
    const fn story(
        name: &'static str,
        weight: u32,
        grade: Grade,
        plan: Plan,
        summary: &'static str,
    ) -> Story {
        Story {
            name,
            summary,
            plan,
            grade,
            caveat: None,
            weight,
        }
    }
    const SOFTPHONE_LEG: Option<&str> =
        Some("nobody says which leg such a CDR names: b, the customer's, is our guess");
    [
        story(
            "agent-no-answer",
            35,
            Grade::Seen,
            Plan::Click2call(&[Ring::new(A, RangOut, First)]),
            "the agent never picks up; the customer is never dialled",
        ),
        story(
            "agent-rejected",
            10,
            Grade::Inferred,
            Plan::Click2call(&[Ring::new(A, Declined, First)]),
            "the agent declines, or is busy",
        ),
        story(
            "customer-no-answer",
            25,
            Grade::Seen,
            Plan::Click2call(&[Ring::new(B, RangOut, First), Ring::new(A, Answered, AtOnce)]),
            "the agent picks up, the customer does not",
        ),
        story(
            "customer-rejected",
            12,
            Grade::Seen,
            Plan::Click2call(&[
                Ring::new(B, Declined, First),
                Ring::new(A, Answered, AtOnce),
            ]),
            "the agent picks up, the customer declines",
        ),
        story(
            "followme-ghost",
            3,
            Grade::Seen,
            Plan::Click2call(&[
                Ring::new(A, RangOut, First),
                Ring::new(A, RangOut, NextRing),
            ]),
            "with follow-me a short ghost ring is told first, then the real one",
        ),
        Story {
            caveat: SOFTPHONE_LEG,
            ..story(
                "softphone-no-answer",
                10,
                Grade::Doc,
                Plan::Softphone(&[Ring::new(B, RangOut, First)]),
                "dialled on a softphone, nobody answers: no request_id, no extra_params",
            )
        },
        Story {
            caveat: SOFTPHONE_LEG,
            ..story(
                "softphone-rejected",
                5,
                Grade::Doc,
                Plan::Softphone(&[Ring::new(B, Declined, First)]),
                "dialled on a softphone, and declined",
            )
        },
        story(
            "docs-leg-a",
            0,
            Grade::Doc,
            Plan::Documented(A),
            "the documented sample of leg a, value for value",
        ),
        story(
            "docs-leg-b",
            0,
            Grade::Doc,
            Plan::Documented(B),
            "the documented sample of leg b, value for value",
        ),
        story(
            "legacy",
            0,
            Grade::Doc,
            Plan::Legacy,
            "the older nine-field body with click_to_call",
        ),
    ]
};

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
