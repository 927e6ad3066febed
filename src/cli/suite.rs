//! The flags of `send --suite`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cdr::account::AccountOptions;
use crate::cli::values::HeaderSource;
use crate::clock::Timestamp;
use crate::seed::Seed;
use crate::send::plan::Methods;
use crate::show::Voice;
use crate::wire::client::{ClientOptions, Destination};

/// The flags of `send` that belong to its suite.
#[derive(Debug, Args)]
#[command(next_help_heading = "Suite")]
pub(super) struct SuiteArgs {
    /// Test the handler by named cases, and tell what broke
    #[arg(long, conflicts_with_all = ["demo", "file", "scenario", "click2call", "shape", "call_id", "set", "set_json", "unset",
          "get_encoding", "count", "duration", "rate", "concurrency", "speed", "duplicate", "race", "shuffle", "late", "drop",
          "retry", "keep_alive", "expect_status", "expect_body", "compare", "dry_run", "print"])]
    pub suite: bool,
    /// Only these cases: names, globs, or families: accepts, idempotent, tolerant, survives, prompt; repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "suite")]
    pub only: Vec<String>,
    /// Not these cases; repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "suite")]
    pub skip: Vec<String>,
    /// Write the result as JUnit XML, too
    #[arg(long, value_name = "FILE", requires = "suite")]
    pub junit: Option<PathBuf>,
    /// List the cases with what each stands for
    #[arg(long)]
    pub list_cases: bool,
}

/// What the user wants of `send --suite`, as plain values.
#[derive(Debug)]
pub struct SuiteRun {
    /// The handler.
    pub destination: Destination,
    /// By which methods it is asked.
    pub methods: Methods,
    /// Only these cases.
    pub only: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
    /// Where the result goes as JUnit XML.
    pub junit: Option<PathBuf>,
    /// Headers to add.
    pub headers: Vec<HeaderSource>,
    /// How requests are carried, but for the certificates.
    pub client: ClientOptions,
    /// A file with certificates to trust.
    pub cacert: Option<PathBuf>,
    /// What was said of the account.
    pub account: AccountOptions,
    /// What the bytes follow from.
    pub seed: Seed,
    /// When the calls happened, if it was said.
    pub at: Option<Timestamp>,
    /// How long an answer may take, if it was said.
    pub max_latency: Option<Duration>,
    /// Where output goes instead of standard output.
    pub output: Option<PathBuf>,
    /// The command as it was given, secrets masked, without what chose the cases and the seed.
    pub command: String,
    /// How it is shown.
    pub voice: Voice,
}
