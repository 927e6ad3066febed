//! Mode one: a plan in, deliveries and a summary out.
//!
//! ```text
//! Plan ─> Schedule ─> Job ─> Transport::send ─> Delivery ─> Stats, Event
//! ```
//!
//! [`plan`] says what to send; `input` reads it from files, [`replay`] and [`edit`] send captures again. [`schedule`]
//! yields jobs in their order, with
//! the due times of [`pace`] and the requests of [`template`]. [`mod@run`] has the workers, [`deliver`] their attempts,
//! [`expect`] what counts as delivered, [`stats`] the counts and [`event`] the records.

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
