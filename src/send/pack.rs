//! Parcels, each made when its turn comes. Pure: whoever has taken a batch from the schedule makes what is in it, while
//! others take theirs.

use std::time::Duration;

use super::Plan;
use super::pace::{Batch, Turn};
use super::source::{Content, Letter, Matter, Origin, Outline, Scenario};
use crate::cdr::story::{self, Choice, Told};
use crate::cdr::text::CdrText;
use crate::wire::Request;

/// One delivery to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    /// Its number, from one, in the order of leaving.
    pub n: u64,
    /// The number of its call, from one.
    pub call: u64,
    /// What it tells of.
    pub scenario: Scenario,
    /// Zero for the first delivery of a CDR, then counting its copies.
    pub copy: u32,
    /// The CDR, if it is an object.
    pub cdr: Option<CdrText>,
    /// What is sent.
    pub request: Request,
    /// Where that comes from.
    pub origin: Origin,
}

/// Parcels that leave together: one, or the copies of a race.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When it should leave, since the start of the run, if there is a schedule.
    pub due: Option<Duration>,
    /// How long after the step before it, at the least.
    pub gap: Duration,
    /// The first parcel.
    pub parcel: Parcel,
    /// How many there are; the others are like the first but for their numbers.
    pub count: u32,
}

impl Step {
    /// What leaves.
    pub fn parcels(self) -> impl Iterator<Item = Parcel> {
        let copies = std::iter::repeat_n(self.parcel, self.count as usize);
        (0..).zip(copies).map(|(more, parcel)| Parcel {
            n: parcel.n + u64::from(more),
            copy: parcel.copy + more,
            ..parcel
        })
    }
}

/// The steps of one batch, in order.
pub struct Steps<'a> {
    plan: &'a Plan,
    call: Outline,
    turns: std::vec::IntoIter<Turn>,
    /// The CDRs of the call, if it is a story.
    told: Vec<Told<'a>>,
    /// The CDR whose turn it was last, and which of the call it is.
    letter: Option<(usize, Letter)>,
}

impl<'a> Steps<'a> {
    /// The steps of a batch out of this plan's schedule.
    #[must_use]
    pub fn new(plan: &'a Plan, batch: Batch) -> Self {
        let Batch { call, turns } = batch;
        let told = match (call.matter, &plan.content) {
            (Matter::Story(story), Content::Stories(_, setting)) => {
                story::tell(Choice::Story(story), call.n, setting).1
            }
            _ => Vec::new(),
        };
        Self {
            plan,
            call,
            turns: turns.into_iter(),
            told,
            letter: None,
        }
    }

    /// One CDR of the call.
    fn letter(&self, cdr: usize) -> Option<Letter> {
        let envelope = &self.plan.envelope;
        match (self.call.matter, &self.plan.content) {
            (Matter::Story(story), Content::Stories(_, setting)) => {
                Some(envelope.told(&self.told.get(cdr)?.payload, story, setting))
            }
            (Matter::Item(place), Content::File(items)) => Some(envelope.item(items.get(place)?)),
            // No schedule of this plan says so.
            _ => None,
        }
    }
}

impl Iterator for Steps<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let turn = self.turns.next()?;
        let (_, letter) = match self.letter.take().filter(|(cdr, _)| *cdr == turn.cdr) {
            Some(known) => self.letter.insert(known),
            None => self.letter.insert((turn.cdr, self.letter(turn.cdr)?)),
        };
        let parcel = Parcel {
            n: turn.n,
            call: self.call.n + 1,
            scenario: self.call.matter.scenario(),
            copy: turn.copy,
            request: self.plan.envelope.request(letter, turn.method),
            origin: letter.origin(),
            cdr: letter.cdr.clone(),
        };
        Some(Step {
            due: turn.due,
            gap: turn.gap,
            parcel,
            count: turn.count,
        })
    }
}
