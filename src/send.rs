//! Sends CDRs: executes a [`Plan`] and returns a summary.
//!
//! ```text
//! Plan ─> Schedule ─> Job ─> Transport::send ─> Delivery ─> Stats, Event
//! ```
//!
//! [`Plan`] holds what to send: scenarios, or the items that `input` reads from files. [`schedule`] yields jobs in
//! sending order, with the due times of [`pace`] and the requests of [`template`]; [`replay`] and [`edit`] prepare
//! captured requests. [`mod@run`] has the workers, [`deliver`] the attempts, [`retry`] the waits between attempts,
//! [`expect`] the conditions of success, [`stats`] the counts and [`event`] the records.

pub mod deliver;
pub mod edit;
pub mod event;
pub mod expect;
pub mod pace;
pub mod replay;
pub mod retry;
pub mod run;
pub mod schedule;
pub mod stats;
pub mod template;

use std::time::Duration;

use crate::cdr::scenarios::{GenerateOptions, ScenarioChoice};
use crate::clock::Timestamp;
use crate::input::Item;
use crate::seed::Seed;
use expect::Expectation;
use retry::RetryPolicy;
pub use run::run;
use schedule::ScheduleOptions;
use template::RequestTemplate;

/// The plan of a `send` run: content, request template, schedule, retries and expectation.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub content: Content,
    pub template: RequestTemplate,
    pub schedule: ScheduleOptions,
    pub retry: RetryPolicy,
    pub expectation: Expectation,
    pub seed: Seed,
    pub at: Timestamp,
    pub shown_url: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Scenarios(Vec<ScenarioChoice>, GenerateOptions),
    File(Vec<Item>),
}

/// The origin of a request, which decides whether default headers are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Template,
    Capture,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Methods {
    /// Each CDR by POST
    #[default]
    Post,
    /// Each CDR by GET
    Get,
    /// Each CDR twice, by POST and then by GET
    Both,
}

impl Methods {
    pub fn each(self) -> &'static [&'static str] {
        match self {
            Self::Post => &["POST"],
            Self::Get => &["GET"],
            Self::Both => &["POST", "GET"],
        }
    }
}

impl Plan {
    /// The number of requests of an item: a captured request keeps its method.
    fn methods(&self, item: &Item) -> usize {
        match item {
            Item::Captured(..) => 1,
            Item::Body(_) => self.template.methods.each().len(),
        }
    }

    /// The wait before the attempt with this index by `--retry-schedule`.
    fn scheduled_wait(&self, attempt: usize) -> Option<Duration> {
        let wait = *self.retry.schedule.get(attempt)?;
        Some(self.schedule.at_speed(wait).unwrap_or_default())
    }

    pub fn planned(&self) -> Option<u64> {
        let mixed = matches!(&self.content, Content::Scenarios(choices, _) if choices.contains(&ScenarioChoice::Mixture));
        let known = !mixed && self.schedule.drop == 0.0 && self.schedule.duration.is_none();
        self.most_deliveries().filter(|_| known)
    }

    /// An upper limit of the number of deliveries in the run; `None` for endless runs.
    pub fn most_deliveries(&self) -> Option<u64> {
        let requests = match &self.content {
            Content::Scenarios(choices, options) => {
                let most = |choice: &ScenarioChoice| choice.most_payloads(options.with_events);
                choices.iter().map(most).sum::<u64>() * self.template.methods.each().len() as u64
            }
            Content::File(items) => items.iter().map(|item| self.methods(item) as u64).sum(),
        };
        let in_all = requests.checked_mul(self.schedule.rounds()?)?;
        in_all.checked_mul(self.schedule.copies())
    }
}

#[cfg(test)]
mod tests;
