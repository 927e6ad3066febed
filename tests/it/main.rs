//! The program from outside: its binary, its exit codes, its two streams. And the house rules, read from the sources.

mod answering;
mod architecture;
mod blocks;
mod content;
mod ends;
mod failing;
mod fixtures;
mod forwarding;
mod fuzzed;
mod hostile;
mod limits;
mod listening;
mod pacing;
mod peers;
mod program;
mod promises;
mod readme;
mod round_trip;
#[cfg(unix)]
mod screen;
mod secrets;
mod sending;
mod suite;
mod targets;
mod usage;
mod waiting;
