//! Send and receive TeleCMI's outgoing-missed call detail records (CDRs) while you build a webhook handler.
//!
//! The README is for users, this page for contributors.
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
//! reply                    the line of a response that matters, and what to do about it
//! exchange                 a received request and its answer: written by listen, read by input and send
//! net    cdr               HTTP client, raw requests, export formats; payloads, scenarios, schema, judge
//! ndjson parse             the frame of a record, and escaping for terminals; parsers of flag values
//! process clock error seed untrusted json
//! ```
//!
//! Modules import from lower layers only; `tests/it/architecture.rs` checks this.
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
//! have the same order, and the record is in the file before the answer is sent. One thread owns the output; its queue is
//! bounded, and display lines that do not fit are dropped and counted.
//!
//! # A suite
//!
//! `suite::cases` is one table. `suite::requests` makes the bytes of a case from the seed and the case's name, so that no
//! case depends on another; `suite::verdict` judges the answers.

mod app;
mod cdr;
mod cli;
mod clock;
mod error;
mod exchange;
mod input;
mod json;
mod listen;
mod ndjson;
mod net;
mod output;
mod parse;
mod process;
mod reply;
mod seed;
mod send;
mod suite;
mod untrusted;

pub use app::run;

/// The module `internals` is for the benches, the fuzz targets and `tests/it`, and is no public interface.
#[doc(hidden)]
pub mod internals {
    pub mod cli {
        pub use crate::cli::{command, parse};
    }
    pub mod input {
        pub use crate::input::decode::to_text;
        pub use crate::input::{Item, read};
    }
    pub mod json {
        pub use crate::json::{Document, Member, check, document};
    }
    pub mod listen {
        pub use crate::listen::event::{Event, Summary};
        pub use crate::listen::server::Limits;
        pub use crate::listen::{Options, run};
    }
    pub mod ndjson {
        pub use crate::ndjson::{line, one_line, safe_json};
    }
    pub use crate::cdr::account::{Account, AccountOptions};
    pub use crate::cdr::judge::{Judgement, judge_json, judge_pairs};
    pub use crate::cdr::remark::Code;
    pub use crate::cdr::scenarios::{CATALOGUE, CallIds, GenerateOptions, choices};
    pub use crate::cdr::schema::{FIELDS, Generation, Kind};
    pub use crate::cdr::{CdrText, Fields, Shape};
    pub use crate::clock::{Clock, Timestamp};
    pub use crate::error::Stop;
    pub use crate::exchange::{Answer, CapturedRequest, Exchange};
    pub use crate::listen::redact::Redactor;
    pub use crate::listen::relate::Relations;
    pub use crate::listen::respond::ResponsePolicy;
    pub use crate::listen::server::IncomingRequest;
    pub use crate::listen::tunnel::{Tunnel, Update, program};
    pub use crate::net::client::MAX_RESPONSE_BODY;
    pub use crate::net::raw::read_response;
    pub use crate::net::{Destination, Header, Request, Response, header, query, secret};
    pub use crate::output::text::Theme;
    pub use crate::output::{body, received};
    pub use crate::reply::reply_line;
    pub use crate::seed::Seed;
    pub use crate::send::edit::{Edit, edit_object, edit_pairs};
    pub use crate::send::event::{Attempt, Delivery};
    pub use crate::send::expect::Expectation;
    pub use crate::send::retry::RetryPolicy;
    pub use crate::send::schedule::{Job, Schedule, ScheduleOptions};
    pub use crate::send::template::RequestTemplate;
    pub use crate::send::{Content, Methods, Plan};
    pub use crate::untrusted::{clean, disturbs};
}
