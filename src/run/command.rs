//! `listen … -- CMD`: a program beside the listener, which the run lasts as long as.
//!
//! In: its words, the listener's URL, and everything that may cut a run short. Out: why the run is over, and how the
//! program ended. Its output passes through, signals are passed on, and its own failure comes before ours.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::watch;

use super::gone;
use super::signals::Signals;
use crate::error::Error;
use crate::listen::event::Ending;
use crate::process::{Ended, Family, GRACE, Household, Signal};
use crate::show::streams::StreamState;

/// How long the command may take to end once a signal was passed on: as long as we take ourselves.
const AFTER_A_SIGNAL: Duration = Duration::from_secs(3);

/// Where the command learns where to send to.
const URL: &str = "TELECMI_CDR_URL";

/// Where it learns what the rest of the world sends to.
const PUBLIC_URL: &str = "TELECMI_CDR_PUBLIC_URL";

/// Starts the command. Where our output is `records`, its own goes to standard error, so that ours can be read.
pub fn start(
    household: &Household,
    words: &[OsString],
    (url, public_url): &(String, Option<String>),
    records: bool,
) -> Result<Family, Error> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| Error::Usage("there is no command".to_owned()))?;
    let mut command = Command::new(program);
    command.args(arguments).env(URL, url).env_remove(PUBLIC_URL);
    if let Some(public_url) = public_url {
        command.env(PUBLIC_URL, public_url);
    }
    if records {
        command.stdout(std::io::stderr());
    }
    let named = || program.to_string_lossy().into_owned();
    household.start(&mut command).map_err(|source| Error::Run {
        program: named(),
        source,
    })
}

/// The address under which this machine reaches a listener: one that listens everywhere is also here.
pub fn local(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        std::net::IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// How long a run with a command may last.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// All in all.
    pub timeout: Option<Duration>,
    /// For how long more is listened for when the command is done.
    pub settle: Duration,
}

/// Waits for the end of a command, or ends it when somebody or something wants the run to stop. Gives why the run is over, and
/// how the command ended.
pub async fn course(
    family: &mut Family,
    mut signals: Signals,
    mut state: watch::Receiver<StreamState>,
    patience: Patience,
) -> (Ending, Ended) {
    let done = async {
        family.wait().await;
        tokio::time::sleep(patience.settle).await;
    };
    let ending = tokio::select! {
        () = done => Ending::CommandEnded,
        stop = signals.first() => stop.into(),
        () = gone(&mut state) => Ending::Interrupted,
        () = crate::listen::deadline(patience.timeout) => Ending::TimedOut,
    };
    let ended = match ending {
        // What it has left behind may still be sending: that is ended with everything else.
        Ending::CommandEnded => family.wait().await,
        Ending::Interrupted if *state.borrow() == StreamState::Open => {
            family.tell(Signal::Interrupt);
            family.end_within(AFTER_A_SIGNAL).await
        }
        Ending::Terminated => family.end(AFTER_A_SIGNAL).await,
        _ => family.end(GRACE).await,
    };
    (ending, ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_everywhere_is_reached_here() {
        for (address, here) in [
            ("0.0.0.0:8237", "127.0.0.1:8237"),
            ("[::]:1", "[::1]:1"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            assert_eq!(local(address.parse().unwrap()).to_string(), here);
        }
    }
}
