//! The flags that make a listener fail on purpose.

use std::path::PathBuf;

use clap::Args;

use crate::cli::values;
use crate::listen::fault::{Fault, Faults};

/// The flags that make a listener fail on purpose.
#[derive(Debug, Args)]
#[command(next_help_heading = "Failing on purpose")]
pub struct FailingArgs {
    /// Let the first N requests fail
    #[arg(long, value_name = "N", value_parser = values::count)]
    fail_first: Option<u64>,
    /// How: status (503), status:NNN, reset, empty, hang, slow or garbage; alone, all requests fail
    #[arg(long, value_name = "KIND")]
    fault: Option<Fault>,
    /// Let this share of them fail, by chance: 0.1 or 10%
    #[arg(long, value_name = "P", value_parser = values::share)]
    fault_rate: Option<f64>,
    /// Write, at the end, what came back after which failure
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

impl FailingArgs {
    /// Which requests fail, and how.
    pub(crate) fn faults(&self) -> Faults {
        let all = self.fault.is_some() && self.fail_first.is_none();
        Faults {
            fault: self.fault.unwrap_or_default(),
            first: self.fail_first.unwrap_or(0),
            rate: self.fault_rate.unwrap_or(if all { 1.0 } else { 0.0 }),
        }
    }
}
