//! Send and receive TeleCMI's outgoing-missed call detail records (CDRs).
pub mod cdr;
pub mod cli;
pub mod clock;
pub mod error;
pub mod json;
pub mod listen;
mod run;
pub mod seed;
pub mod send;
pub mod show;
pub mod untrusted;
pub mod wire;

pub use run::run;
