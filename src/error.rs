//! What can stop a run, and the ways a run may end.
//!
//! A refused delivery, a payload that departs from the schema, a failed forward are *outcomes*: reported and counted,
//! never an `Error`. An `Error` keeps a mode from working at all.

use std::path::PathBuf;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// What stops a run. Each variant names the address, path or line; `hint` says what to do next.
#[derive(Debug, Error)]
pub enum Error {
    /// The options contradict one another in a way that only shows when they are put together.
    #[error("{0}")]
    Usage(String),
    /// A port or address cannot be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// `host:port`, as asked for.
        address: String,
        /// Which flag chooses the port.
        flag: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that was named cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that was named cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another listener saves to the file that was named.
    #[error("another listener saves to {}", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// Standard output, or the file in its place, takes no more.
    #[error("cannot write the output: {0}")]
    Output(String),
    /// A file was read but holds nothing that can be sent.
    #[error("{place}: {what}")]
    Input {
        /// The file, with a line where there is one.
        place: String,
        /// What is wrong with it.
        what: String,
    },
    /// A program that was named cannot be started.
    #[error("cannot run {program}")]
    Run {
        /// The program, as it was named.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no tunnel.
    #[error("{what}")]
    Tunnel {
        /// Which program did what instead.
        what: String,
        /// What it said last.
        said: Vec<String>,
        /// What to do about it.
        hint: String,
    },
    /// The HTTP client could not be built, which means certificates.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// The runtime could not be started.
    #[error("cannot start")]
    Start(#[source] std::io::Error),
}

impl Error {
    /// What the reader of the message can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Bind { flag, source, .. } => Some(match source.kind() {
                std::io::ErrorKind::AddrInUse => {
                    format!("another program has this port: choose one with {flag} N, or {flag} 0 for any free one")
                }
                std::io::ErrorKind::PermissionDenied => {
                    format!("ports below 1024 need privileges: choose a higher one with {flag} N")
                }
                std::io::ErrorKind::AddrNotAvailable => {
                    "this machine has no such address: --host takes one of its own, 127.0.0.1 for itself".to_owned()
                }
                _ => "choose another address with --host and --port".to_owned(),
            }),
            Self::Read { .. } => Some("is the path right, and may the file be read?".to_owned()),
            Self::Input { .. } => Some(
                "--file takes a CDR, an array of them, one a line, a capture, or a sample pasted from TeleCMI's page".to_owned(),
            ),
            Self::Run { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => {
                    Some("is it installed, and is its folder in PATH?".to_owned())
                }
                std::io::ErrorKind::PermissionDenied => Some("may it be executed? chmod +x allows it".to_owned()),
                _ => None,
            },
            Self::Tunnel { hint, .. } => Some(hint.clone()),
            Self::Tls(_) => Some("--cacert names a PEM file to trust; http:// needs no certificates".to_owned()),
            Self::Write { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => Some("is the folder there?".to_owned()),
                std::io::ErrorKind::IsADirectory => Some("that is a folder: name a file in it".to_owned()),
                std::io::ErrorKind::PermissionDenied => {
                    Some("choose a file that you may write, in a folder that is yours".to_owned())
                }
                _ => None,
            },
            Self::Taken { .. } => Some("each listener needs a file of its own: choose another with --save".to_owned()),
            Self::Usage(_) | Self::Output(_) | Self::Start(_) => None,
        }
    }
}

/// The ways a run may end, and their exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything met its expectation (0).
    Success,
    /// At least one delivery or check failed (1).
    Failed,
    /// Wrong usage, or the run could not start (2).
    Usage,
    /// A listener's time ran out before the wanted number came (124).
    TimedOut,
    /// Ctrl-C before the end (130).
    Interrupted,
    /// SIGTERM before the end (143).
    Terminated,
    /// The failure of the command that was run, passed on: its own code.
    Command(u8),
}

impl Exit {
    /// The number the shell sees.
    #[must_use]
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

/// As the number the shell sees.
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

/// The signal that stops a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Stop {
    /// The exit that a run cut short by this has.
    #[must_use]
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
