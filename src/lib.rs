//! Send and receive TeleCMI's outgoing-missed call detail records (CDRs) while you build a webhook handler.
//!
//! The README says what the program is for. This is the floor plan, for those who want to change it; `tests/it/architecture.rs`
//! holds the sources to it.
//!
//! # Floors
//!
//! ```text
//!                      run                    introduces a mode to the terminal
//!                       │
//!                      cli                    the words a user may say, turned into plain options  (clap, clap_complete, clap_mangen)
//!                       │
//!                      show                   what people and programs see (colored, indicatif, terminal_size, unicode-width)
//!                       │
//!            send ──────┴────── listen        the two modes: neighbours who never call each other
//!              │                │
//!              └─── exchange ───┘              what was received and answered: written by listen, read by send
//!              │                │
//!             cdr              wire           what TeleCMI says · what crosses the network (fake · reqwest, hyper, warp)
//!              │                │
//!              └──── ndjson ────┘              the records' frame, safe for a terminal           (serde_json)
//!                       │
//!        clock, seed, error, untrusted, json, process  the ground floor                    (jiff, rand, rustix)
//! ```
//!
//! Imports go down, floors may be skipped, nothing goes up or sideways. Each foreign crate has one door, but for the
//! plain vocabulary (bytes, serde, rand's traits, tokio).
//!
//! # A run of `send`
//!
//! ```text
//! argv ─ cli ─> SendOptions
//!                   │ run::transmit reads the files that were named
//!                   v
//! send::Plan ─> Schedule ─> Job ─> Transport::send ─> Delivery ─┬─> Stats ─> Summary
//!               due times           client, raw writer           └─> Event ─> show::board
//! ```
//!
//! As many tasks as the concurrency take jobs from the one schedule. Payload n is a pure function of the seed, the time and
//! n, so concurrency changes no bytes. The transport is a parameter ([`send::deliver::Transport`]): tests pass their own and
//! pause tokio's clock.
//!
//! With `--print` nothing is sent: `run::print` walks through the same jobs, and `wire::export` writes each request for
//! another tool.
//!
//! # A run of `send --suite`
//!
//! ```text
//! suite::cases (one table) ─ choose ─> Case ─ teller ─> bytes ─ deliver ─> Observed ─ verdict ─> CaseRecord ─> show::suite, junit
//!                                       ^    seed, name          client, raw writer      │
//!                                       └──────── is a good CDR still accepted? <────────┘
//! ```
//!
//! No case depends on the one before: its bytes follow from the seed and its own name.
//!
//! # A run of `listen`
//!
//! ```text
//! TcpListener ─ listen::server ─> IncomingRequest ─ listen::pipeline ─> listen::recorder: number, relate, save, report, count ─> show
//!               limits, hyper,     ^       respond: Decision           │                        │
//!               warp               └───────────── Reply ───────────────┘               reached? ┴─> Ending
//! ```
//!
//! With `--inspect` the events go to `listen::history` too, which keeps the last exchanges; `listen::inspector` shows them in
//! a browser, on a loopback port of its own: the receiver's port is tunnelled to the world, and the page must not be.
//!
//! All connections are served on one thread.
//!
//! The recorder takes one short step for an exchange, under one lock, so that there is one order everywhere. The output is
//! written by a thread of its own behind a bounded queue: a terminal that is not read costs display lines, never requests.
//!
//! Programs beside a listener (a tunnel, a command) are started by `run::beside` once the port is bound, each at the head
//! of a [`process::ProcessGroup`] of its own, and ended after the summary, with all that they have started.
//!
//! # Words
//!
//! A *story* (or scenario) is what happened on the phone; a *CDR* is what is told of one leg; a *parcel* is one delivery to
//! make, an *attempt* one try at it, a *delivery* what came of it; an *exchange* is one request received and its answer; a
//! *verdict* says what arrived, with *remarks*; an *ending* is why a run is over.

pub mod cdr;
pub mod cli;
pub mod clock;
pub mod error;
pub mod exchange;
pub mod json;
pub mod listen;
pub mod ndjson;
pub mod process;
mod run;
pub mod seed;
pub mod send;
pub mod show;
pub mod untrusted;
pub mod wire;

pub use run::run;
