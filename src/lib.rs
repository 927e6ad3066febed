//! Send and receive TeleCMI's outgoing-missed call detail records (CDRs).
pub mod clock;
pub mod error;
pub mod listen;
pub mod seed;
pub mod untrusted;
pub mod wire;
