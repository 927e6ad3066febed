//! The text of a sender's deliveries, which each thread that delivers makes by itself, so that none waits for another
//! but to hand it over.

use super::theme::Theme;
use super::{Voice, fold, sent};
use crate::ndjson;
use crate::send::event::Event;

/// Above so many deliveries a person at a terminal sees a progress bar and the failures, not every line.
const MANY: u64 = 50;

/// Whether so many deliveries, or nobody knows how many, are too many for a person to see each.
#[must_use]
pub fn too_many(planned: Option<u64>) -> bool {
    planned.is_none_or(|planned| planned > MANY)
}

/// How deliveries are shown.
#[derive(Debug, Clone)]
pub struct Lines {
    pub(super) voice: Voice,
    pub(super) theme: Theme,
    pub(super) out_is_terminal: bool,
    /// Whether there are too many to see each.
    pub(super) too_many: bool,
}

impl Lines {
    /// What is written of an event, if it is a delivery and anything is.
    #[must_use]
    pub fn of(&self, event: &Event<'_>) -> Option<Vec<u8>> {
        let Event::Delivery(delivery) = event else {
            return None;
        };
        if self.voice.ndjson {
            return Some(ndjson::line("delivery", delivery));
        }
        if delivery.ok && self.too_many && self.out_is_terminal && !self.voice.verbose {
            return None;
        }
        let text = sent::delivery(delivery, &self.theme, self.voice.verbose);
        Some(fold::fitted(text, self.out_is_terminal).into_bytes())
    }
}
