//! Send and receive TeleCMI's outgoing-missed call detail records (CDRs) while you build a webhook handler.
//!
//! The README says what the program is for; this page is for those who change it.
//!
//! # Layers
//!
//! ```text
//! app                      signals, child processes, ready file, exit codes
//! cli                      flags -> options
//! output                   events -> text, lines, NDJSON, JUnit
//! suite                    cases, requests, verdicts, report
//! send   listen            the two modes; neither imports the other
//! input                    files -> CDRs, captured requests, HAR entries
//! exchange                 a received request and its answer: written by listen, read by input and send
//! net    cdr               HTTP client, raw requests, export formats; payloads, scenarios, schema, judge
//! ndjson                   the frame of a record, and escaping for terminals
//! process clock error seed untrusted json
//! ```
//!
//! Imports go down; `tests/it/architecture.rs` holds the sources to that.
//!
//! # A CDR that is sent
//!
//! ```text
//! arguments -> cli -> send::Plan -> Schedule -> Job -> Transport::send -> Response or Failure
//!                                                         net::client         |
//!                                    Stats, Event -> output::queue <- Delivery +
//! ```
//!
//! All deliveries are tasks of one `current_thread` runtime: as many workers as `--concurrency`, which take jobs from one
//! schedule. Payload n is a pure function of the seed, the time and n, so concurrency changes no bytes. `--print` walks
//! through the same jobs without sending them.
//!
//! # A CDR that is received
//!
//! ```text
//! accept -> listen::server -> IncomingRequest -> pipeline: judge, delay, fault, forward
//!           limits, raw head                        |
//!                           answer <- Recorder::record: number, relate, save, count -> Event -> output::queue, history
//! ```
//!
//! `Recorder::record` is one synchronous step under one lock: the numbers, the capture file, the output and the inspector
//! have the same order, and the line is on file before the answer is sent. One thread owns the output; its queue is
//! bounded, and display lines that do not fit are dropped and counted.
//!
//! # A suite
//!
//! `suite::cases` is one table. `suite::requests` makes the bytes of a case from the seed and the case's name, so that no
//! case depends on another; `suite::verdict` judges the answers.

mod app;
pub mod cdr;
pub mod cli;
pub mod clock;
pub mod error;
pub mod exchange;
pub mod input;
pub mod json;
pub mod listen;
pub mod ndjson;
pub mod net;
pub mod output;
pub mod process;
pub mod seed;
pub mod send;
pub mod suite;
pub mod untrusted;

pub use app::run;
