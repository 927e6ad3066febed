//! Ctrl-C, SIGTERM, and SIGHUP where there is something to be ended well. tokio keeps a handler for the life of the process, so the
//! second one is handled here too. SIGXFSZ is caught, so that a write beyond the limit fails instead.

use tokio::sync::watch;

use crate::error::Stop;

/// What a terminal that goes away means, which is SIGHUP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// What the system makes of it.
    Left,
    /// The same as SIGTERM, because there is a report to be written, or programs to be ended; but not under `nohup`.
    Terminates,
}

/// The signals that have come: none, one, or more.
#[derive(Debug, Clone)]
pub struct Signals {
    come: watch::Receiver<Vec<Stop>>,
}

impl Signals {
    /// Takes signals from now on: one may come right after the ready line. Needs a runtime.
    #[must_use]
    pub fn new() -> Self {
        Self::taking(Hangup::Left)
    }

    /// The same, with SIGHUP as well.
    #[must_use]
    pub fn taking(hangup: Hangup) -> Self {
        let (sender, come) = watch::channel(Vec::new());
        let mut taken = Taken::new(hangup);
        tokio::spawn(async move {
            loop {
                let stop = taken.next().await;
                sender.send_modify(|come| come.push(stop));
            }
        });
        Self { come }
    }

    /// Resolves with the first signal.
    pub async fn first(&mut self) -> Stop {
        self.nth(1).await
    }

    /// Resolves with the second signal, which means: at once.
    pub async fn second(&mut self) -> Stop {
        self.nth(2).await
    }

    async fn nth(&mut self, n: usize) -> Stop {
        match self.come.wait_for(|come| come.len() >= n).await {
            Ok(come) => come[0],
            // The sender lives as long as the runtime.
            Err(_) => std::future::pending().await,
        }
    }
}

/// The system's side. What cannot be taken never comes.
#[cfg(unix)]
struct Taken {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Taken {
    fn new(hangup: Hangup) -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        // A write beyond the file size limit fails from now on, as on a full disk. SIGXFSZ would end this process.
        let file_too_long = rustix::process::Signal::XFSZ.as_raw();
        let _ = signal(SignalKind::from_raw(file_too_long));
        // To take a signal that is ignored would undo `nohup`.
        let takes_hangup = hangup == Hangup::Terminates && !is_hangup_ignored();
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
            hangup: takes_hangup
                .then(|| signal(SignalKind::hangup()).ok())
                .flatten(),
        }
    }

    async fn next(&mut self) -> Stop {
        let come = async |signal: &mut Option<tokio::signal::unix::Signal>| match signal {
            Some(signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        };
        tokio::select! {
            () = come(&mut self.interrupt) => Stop::Interrupt,
            () = come(&mut self.terminate) => Stop::Terminate,
            () = come(&mut self.hangup) => Stop::Terminate,
        }
    }
}

/// Whether SIGHUP is ignored, as it is under `nohup`; where that is unknown, it is left alone.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").map_or(true, |status| ignores_hangup(&status))
}

/// Reads the mask of ignored signals; SIGHUP is number 1, the lowest bit.
#[cfg(unix)]
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_none_or(|mask| mask & 1 == 1)
}

/// The system's side. What cannot be taken never comes.
#[cfg(windows)]
struct Taken {
    interrupt: Option<tokio::signal::windows::CtrlC>,
}

#[cfg(windows)]
impl Taken {
    fn new(_: Hangup) -> Self {
        Self {
            interrupt: tokio::signal::windows::ctrl_c().ok(),
        }
    }

    async fn next(&mut self) -> Stop {
        match &mut self.interrupt {
            Some(interrupt) => {
                interrupt.recv().await;
            }
            None => std::future::pending().await,
        }
        Stop::Interrupt
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_noticed() {
        assert!(ignores_hangup(
            "Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"
        ));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\n"));
        assert!(
            ignores_hangup("Name:\tx\n"),
            "what cannot be read is left alone"
        );
    }
}
