//! Send and receive TeleCMI's outgoing-missed call detail records (CDRs).
pub mod cdr;
pub mod clock;
pub mod error;
pub mod json;
pub mod listen;
pub mod seed;
pub mod send;
pub mod show;
pub mod untrusted;
pub mod wire;
