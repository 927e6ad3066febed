//! The binary `telecmi-cdr`; the code is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    telecmi_cdr::run(std::env::args_os()).code().into()
}
