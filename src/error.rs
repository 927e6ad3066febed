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
    /// `Error::Usage` is a contradiction of flags that clap does not check.
    #[error("{0}")]
    Usage(String),
    #[error("cannot listen on {address}")]
    Bind {
        /// `address` is `host:port`, as given on the command line.
        address: String,
        flag: &'static str,
        source: io::Error,
    },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("another listener is saving to {}", path.display())]
    Taken { path: PathBuf },
    #[error("cannot write the output: {0}")]
    Output(String),
    /// `Error::Input` is a readable file that holds no CDR or request to send.
    #[error("{place}: {what}")]
    Input {
        /// `place` is the file's name, followed by the line number if the line is known.
        place: String,
        what: String,
    },
    #[error("cannot run {program}")]
    Run { program: String, source: io::Error },
    #[error("{what}")]
    Tunnel {
        what: String,
        said: Vec<String>,
        hint: String,
    },
    /// `Error::Handler`: the command of `--suite -- CMD` does not listen.
    #[error("{what}")]
    Handler { what: String, said: Vec<String> },
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
                    "the port is in use: choose another with {flag} N, or a free one with {flag} 0"
                ),
                PermissionDenied => {
                    &format!("ports below 1024 need privileges: choose a higher one with {flag} N")
                }
                AddrNotAvailable => "--host must be an address of this machine, such as 127.0.0.1",
                _ => "choose another address with --host and --port",
            },
            Self::Read { .. } => "check the path, and that you may read the file",
            Self::Input { .. } => {
                "--file takes a CDR, an array of CDRs, one CDR a line, a capture, or a sample \
                 pasted from TeleCMI's page"
            }
            Self::Run { source, .. } => match source.kind() {
                NotFound => "check that the program is installed, and that its folder is in PATH",
                PermissionDenied => "check that the program is executable (chmod +x)",
                _ => return None,
            },
            Self::Tunnel { hint, .. } => hint,
            Self::Handler { .. } => {
                "the command gets its port in PORT, and its whole URL in TELECMI_CDR_URL; --url chooses another port"
            }
            Self::Tls(_) => "--cacert names a PEM file to trust; http:// needs no certificates",
            Self::Write { source, .. } => match source.kind() {
                NotFound => "check that the folder exists",
                IsADirectory => "the path is a folder: add the name of a file",
                PermissionDenied => "check that you may write the file and its folder",
                _ => return None,
            },
            Self::Taken { .. } => "each listener needs its own file: choose another with --save",
            Self::Usage(_) | Self::Output(_) | Self::Start(_) => return None,
        };
        Some(hint.to_owned())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exit {
    #[default]
    Success,
    Failed,
    Usage,
    /// `Exit::TimedOut`: the time limit passed before `listen` received the expected number of CDRs.
    TimedOut,
    Interrupted,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    Interrupt,
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
