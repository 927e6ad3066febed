//! The peers that `benches/compare` holds the program against, which nobody has packaged: the least that can be done of
//! its work on the same runtime.
//!
//! ```text
//! telecmi-cdr-peers send ADDRESS CONCURRENCY COUNT BODIES    a raw sender: a body a line, keep-alive, no library
//! telecmi-cdr-peers post ADDRESS CONCURRENCY COUNT BODIES    the same with a new connection for each request
//! telecmi-cdr-peers sink                                        a raw receiver: counts bytes, answers 200
//! telecmi-cdr-peers hyper FILE                                  bare hyper: parses a CDR, appends it, answers 200
//! ```
//!
//! A sender prints `REQUESTS SECONDS FAILURES`. A receiver prints its port and runs until it is ended.

mod head;
mod receive;
mod send;

use std::io;
use std::process::ExitCode;

/// What was asked for cannot be done.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<(), Trouble> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [how @ ("send" | "post"), address, concurrency, count, bodies] => {
            let task = send::Task {
                address: address.parse()?,
                concurrency: concurrency.parse()?,
                count: count.parse()?,
                bodies: bodies_of(bodies)?,
                keep_alive: how == "send",
            };
            let sent = send::run(&task)?;
            println!("{} {:.6} {}", sent.requests, sent.took.as_secs_f64(), sent.failures);
            Ok(())
        }
        ["sink"] => receive::sink(),
        ["hyper", file] => receive::hyper(file.as_ref()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "see the module's documentation").into()),
    }
}

/// The bodies that a file holds, one a line.
fn bodies_of(path: &str) -> Result<Vec<Vec<u8>>, Trouble> {
    let text = std::fs::read(path)?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let bodies: Vec<_> = lines.map(<[u8]>::to_vec).collect();
    if bodies.is_empty() { Err("no bodies".into()) } else { Ok(bodies) }
}
