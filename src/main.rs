//! The front door: arguments in, exit code out. Everything else is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    telecmi_cdr::run(std::env::args_os()).into()
}
