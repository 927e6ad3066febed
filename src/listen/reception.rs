//! One request from its arrival to its reply: decided, held back, written down at the desk, answered.

use std::sync::Arc;

use tokio::sync::watch;

use super::answer::{Decision, Manner};
use super::desk::Desk;
use super::door::{Arrival, Reply};
use super::fault::Faults;
use crate::wire::record::Answer;

/// What all requests of a run meet with.
pub struct Reception {
    /// Where what came is written down.
    pub desk: Arc<Desk>,
    /// What requests are answered.
    pub manner: Manner,
    /// Which of them fail on purpose.
    pub faults: Faults,
}

/// What one request met with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What goes back to the sender.
    pub reply: Reply,
    /// The same as the record tells it.
    pub answer: Answer,
}

impl Outcome {
    /// The answer that was decided, and nothing else.
    #[must_use]
    pub fn answered(decision: &Decision) -> Self {
        let response = decision.response.clone();
        let answer = Answer { status: Some(response.status), ..Answer::default() };
        Self { reply: Reply::Respond(response), answer }
    }
}

impl Reception {
    /// Receives one request. Whatever is waited for ends when the listener does, so that nothing that came is lost.
    pub async fn receive(&self, arrival: Arrival, mut closed: watch::Receiver<bool>) -> Reply {
        let desk = &self.desk;
        let began = desk.clock.elapsed();
        let decision = self.manner.decide(&arrival);
        let n = desk.next_arrival();
        let delay = self.manner.delay.of(n, self.manner.seed);
        if !delay.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                // That nobody is left to say it means the same.
                _ = closed.wait_for(|closed| *closed) => {}
            }
        }
        // What is not even sound HTTP fails by itself.
        let fault = self.faults.strike(n, self.manner.seed).filter(|_| arrival.trouble.is_none());
        let outcome = match fault {
            Some(fault) => fault.befall(&decision.response),
            None => Outcome::answered(&decision),
        };
        let took = desk.clock.elapsed().saturating_sub(began);
        desk.record(arrival, decision, outcome, took)
    }
}
