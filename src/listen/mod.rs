//! Mode two.
pub mod event;
