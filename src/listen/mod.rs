//! Mode two: receives CDRs, shows them and answers.

pub mod door;
