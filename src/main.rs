//! The program. Its parts are in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    telecmi_cdr::run(std::env::args_os()).into()
}
