//! Suite printing tests.
