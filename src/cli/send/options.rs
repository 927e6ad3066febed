//! What the user wants of `send`, as plain values.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use crate::cdr::Shape;
use crate::cdr::account::AccountOptions;
use crate::cdr::edit::Edit;
use crate::cdr::scenarios::{CallIds, ScenarioChoice};
use crate::cli::suite::SuiteArgs;
use crate::cli::values::HeaderSource;
use crate::clock::Timestamp;
use crate::net::client::{ClientOptions, Destination};
use crate::net::query::Encoding;
use crate::output::OutputOptions;
use crate::send::deliver::RetryPolicy;
use crate::send::expect::Expectation;
use crate::send::plan::Methods;
use crate::send::schedule::ScheduleOptions;

/// How `--print` writes what would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Print {
    /// One CDR a line
    Json,
    /// One curl command a line
    Curl,
    /// A .http file for editors and their REST clients
    Http,
    /// A HAR 1.2 document
    Har,
    /// Targets for Vegeta, one JSON object a line
    Vegeta,
}

/// What there is to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// These stories.
    Stories(Vec<ScenarioChoice>),
    /// What this file holds; `-` is standard input.
    File(PathBuf),
}

/// What the user wants of `send`.
#[derive(Debug)]
pub struct SendOptions {
    /// Where it goes; none is the demo's own receiver.
    pub destination: Option<Destination>,
    /// What there is to send.
    pub source: Source,
    /// Which methods carry it.
    pub methods: Methods,
    /// Whether that was asked for.
    pub method_was_said: bool,
    /// How objects go into a query.
    pub encoding: Encoding,
    /// Headers to add.
    pub headers: Vec<HeaderSource>,
    /// How requests are carried, but for the certificates.
    pub client: ClientOptions,
    /// A file with certificates to trust.
    pub cacert: Option<PathBuf>,
    /// What was said of the account.
    pub account: AccountOptions,
    /// How fields are typed.
    pub shape: Shape,
    /// How many `call_id`s a call has.
    pub call_ids: CallIds,
    /// Deliberate changes.
    pub edits: Vec<Edit>,
    /// When the calls start, if it was said.
    pub at: Option<Timestamp>,
    /// How many times through the scenarios; none is without end.
    pub rounds: Option<u64>,
    /// For how long.
    pub duration: Option<Duration>,
    /// When each delivery leaves and how often; holds the seed.
    pub rules: ScheduleOptions,
    /// Calls under way at once.
    pub concurrency: usize,
    /// How often a delivery is tried again.
    pub patience: RetryPolicy,
    /// What counts as delivered.
    pub expectation: Expectation,
    /// Whether the answers to POST and GET must agree.
    pub compare: bool,
    /// Whether large runs against other machines are meant.
    pub yes: bool,
    /// Print instead of sending.
    pub print: Option<Print>,
    /// Where output goes instead of standard output.
    pub output: Option<PathBuf>,
    /// The command as it was given, secrets masked, without `--seed` and `--at`.
    pub command: String,
    /// How it is shown.
    pub output_options: OutputOptions,
    /// Which cases, if this is the suite.
    pub suite: Option<SuiteArgs>,
}
