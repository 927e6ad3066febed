//! Tests of the binary: exit codes, standard output and standard error. Some check rules on the sources.

mod answering;
mod architecture;
mod blocks;
#[cfg(unix)]
mod command;
mod content;
mod dependencies;
mod ends;
mod exporting;
mod failing;
mod faults;
mod files;
mod fixtures;
mod forwarding;
mod fuzzed;
mod generating;
mod helping;
mod hostile;
mod inspecting;
mod kinds;
mod limits;
mod listening;
mod pacing;
mod peers;
mod people;
mod program;
mod promises;
mod readme;
mod replay;
mod replies;
mod retries;
mod round_trip;
mod saving;
#[cfg(unix)]
mod screen;
mod secrets;
mod sending;
#[cfg(unix)]
mod siege;
mod suite;
mod suite_handler;
mod suite_stored;
mod targets;
#[cfg(unix)]
mod terminal;
mod trust;
#[cfg(unix)]
mod tunnel;
mod usage;
mod verdicts;
mod waiting;
