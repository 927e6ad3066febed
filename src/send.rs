//! Sends CDRs: executes a [`Plan`] and returns a summary.
//!
//! ```text
//! Plan ─> Schedule ─> Job ─> Transport::send ─> Delivery ─> Stats, Event
//! ```
//!
//! [`plan`] holds what to send: scenarios, or the items that `input` reads from files. [`schedule`] yields jobs in
//! sending order, with the due times of [`pace`] and the requests of [`template`]; [`replay`] and [`edit`] prepare
//! captured requests. [`mod@run`] has the workers, [`deliver`] the attempts and retries, [`expect`] the conditions of
//! success, [`stats`] the counts and [`event`] the records.

pub mod deliver;
pub mod edit;
pub mod event;
pub mod expect;
pub mod pace;
pub mod plan;
pub mod replay;
pub mod run;
pub mod schedule;
pub mod stats;
pub mod template;

pub use plan::Plan;
pub use run::run;

#[cfg(test)]
mod tests;
