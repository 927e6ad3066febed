//! Show
pub mod body;
pub mod outlet;
pub mod received;
pub mod sent;
pub mod theme;
