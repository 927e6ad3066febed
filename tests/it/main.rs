//! The program from outside: its binary, its exit codes, its two streams. And the house rules, read from the sources.

mod architecture;
mod fixtures;
mod listening;
mod program;
mod round_trip;
mod sending;
mod usage;
