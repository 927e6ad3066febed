//! The flags of `send --suite`.

use std::path::PathBuf;

use clap::Args;

/// The flags of `send` that belong to its suite.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Suite")]
pub struct SuiteArgs {
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
