//! What can stop a run, and the ways a run may end.
//!
//! A refused delivery, a payload that departs from the schema, a failed forward are *outcomes*: reported and counted,
//! never an `Error`. An `Error` keeps a mode from working at all.

use std::io;
use std::path::PathBuf;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// What stops a run. Each variant names the address, path or line.
#[derive(Debug, Error)]
pub enum Error {
    /// Options that contradict one another, as only shows when they are put together.
    #[error("{0}")]
    Usage(String),
    #[error("cannot listen on {address}")]
    Bind {
        /// `host:port`, as asked for.
        address: String,
        /// The flag that chooses the port.
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
    /// Writing to standard output, or to the file in its place, fails.
    #[error("cannot write the output: {0}")]
    Output(String),
    /// A file that was read holds nothing that can be sent.
    #[error("{place}: {what}")]
    Input {
        /// The file, with a line where there is one.
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
    /// The runtime could not be started.
    #[error("cannot start")]
    Start(#[source] io::Error),
}

impl Error {
    /// What the user can do about it.
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

/// The ways a run may end, and their exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exit {
    /// Everything met its expectation.
    #[default]
    Success,
    /// At least one delivery or check failed.
    Failed,
    /// Wrong usage, or the run could not start.
    Usage,
    /// A listener's time ran out before the wanted number came.
    TimedOut,
    /// Ctrl-C before the end.
    Interrupted,
    /// SIGTERM before the end.
    Terminated,
    /// The exit code of the command that was run.
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

/// The signal that stops a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Stop {
    /// The exit of a run that is cut short by this signal.
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
