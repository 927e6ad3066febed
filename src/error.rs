//! Errors that stop a run, and exit codes.
//!
//! A refused delivery, a payload that departs from the schema or a failed forward is an outcome: it is reported and
//! counted, and never an `Error`.

use std::io;
use std::path::PathBuf;

use serde::{Serialize, Serializer};
use thiserror::Error;

#[derive(Debug, Error)]
pub enum Error {
    /// Options that contradict one another, in a way that clap does not check.
    #[error("{0}")]
    Usage(String),
    #[error("cannot listen on {address}")]
    Bind {
        /// `host:port`, as given on the command line.
        address: String,
        flag: &'static str,
        source: io::Error,
    },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// Another listener has locked the capture file.
    #[error("another listener saves to {}", path.display())]
    Taken { path: PathBuf },
    /// Standard output, or the file in its place, cannot be written.
    #[error("cannot write the output: {0}")]
    Output(String),
    /// A readable file holds nothing that can be sent.
    #[error("{place}: {what}")]
    Input {
        /// The file, and the line if it is known.
        place: String,
        what: String,
    },
    #[error("cannot run {program}")]
    Run { program: String, source: io::Error },
    #[error("{what}")]
    Tunnel {
        what: String,
        /// The last lines of the tunnel program.
        said: Vec<String>,
        hint: String,
    },
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    #[error("cannot start")]
    Start(#[source] io::Error),
}

impl Error {
    pub(crate) fn hint(&self) -> Option<String> {
        use io::ErrorKind::{
            AddrInUse, AddrNotAvailable, IsADirectory, NotFound, PermissionDenied,
        };
        let hint: &str = match self {
            Self::Bind { flag, source, .. } => match source.kind() {
                AddrInUse => &format!(
                    "another program has this port: choose one with {flag} N, or {flag} 0 for any free one"
                ),
                PermissionDenied => {
                    &format!("ports below 1024 need privileges: choose a higher one with {flag} N")
                }
                AddrNotAvailable => {
                    "this machine has no such address: --host takes one of its own, 127.0.0.1 for itself"
                }
                _ => "choose another address with --host and --port",
            },
            Self::Read { .. } => "is the path right, and may the file be read?",
            Self::Input { .. } => {
                "--file takes a CDR, an array of them, one a line, a capture, or a sample pasted from TeleCMI's page"
            }
            Self::Run { source, .. } => match source.kind() {
                NotFound => "is it installed, and is its folder in PATH?",
                PermissionDenied => "may it be executed? chmod +x allows it",
                _ => return None,
            },
            Self::Tunnel { hint, .. } => hint,
            Self::Tls(_) => "--cacert names a PEM file to trust; http:// needs no certificates",
            Self::Write { source, .. } => match source.kind() {
                NotFound => "is the folder there?",
                IsADirectory => "that is a folder: name a file in it",
                PermissionDenied => "choose a file that you may write, in a folder that is yours",
                _ => return None,
            },
            Self::Taken { .. } => {
                "each listener needs a file of its own: choose another with --save"
            }
            Self::Usage(_) | Self::Output(_) | Self::Start(_) => return None,
        };
        Some(hint.to_owned())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exit {
    /// All deliveries and checks met their expectations.
    #[default]
    Success,
    /// At least one delivery or check failed.
    Failed,
    /// Wrong usage, or the run could not start.
    Usage,
    /// The time limit passed before a listener received the expected number of CDRs.
    TimedOut,
    /// Ctrl-C before the end.
    Interrupted,
    /// SIGTERM before the end.
    Terminated,
    Command(u8),
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::TimedOut => 124,
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::Command(code) => code,
        }
    }
}

impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Stop {
    pub fn exit(self) -> Exit {
        match self {
            Self::Interrupt => Exit::Interrupted,
            Self::Terminate => Exit::Terminated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let codes = [
            Exit::Success,
            Exit::Failed,
            Exit::Usage,
            Exit::TimedOut,
            Exit::Interrupted,
            Exit::Terminated,
        ]
        .map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 124, 130, 143]);
    }
}
