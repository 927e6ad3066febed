//! Receives Ctrl-C and SIGTERM, and SIGHUP for some runs. tokio never uninstalls its handlers, so the second signal is
//! handled here, too. SIGXFSZ is caught, so that a write beyond the file size limit fails instead of killing the process.

use tokio::sync::watch;

use crate::error::Stop;

#[derive(Debug, Clone)]
pub struct Signals {
    come: watch::Receiver<Vec<Stop>>,
}

impl Signals {
    /// `Signals::new` needs a tokio runtime. With `hangup`, SIGHUP counts as SIGTERM, except under `nohup`.
    pub fn new(hangup: bool) -> Self {
        let (sender, come) = watch::channel(Vec::new());
        take(&sender, hangup);
        Self { come }
    }

    pub async fn first(&mut self) -> Stop {
        self.nth(1).await
    }

    /// `Signals::second` resolves at the second signal, but returns the first one, which decides the exit code.
    pub async fn second(&mut self) -> Stop {
        self.nth(2).await
    }

    async fn nth(&mut self, n: usize) -> Stop {
        match self.come.wait_for(|come| come.len() >= n).await {
            Ok(come) => come[0],
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(unix)]
fn take(sender: &watch::Sender<Vec<Stop>>, hangup: bool) {
    use tokio::signal::unix::{SignalKind, signal};
    let file_too_long = rustix::process::Signal::XFSZ.as_raw();
    let _ = signal(SignalKind::from_raw(file_too_long));
    let mut kinds = vec![
        (SignalKind::interrupt(), Stop::Interrupt),
        (SignalKind::terminate(), Stop::Terminate),
    ];
    // Under `nohup` no handler for SIGHUP is installed, because the handler would undo `nohup`.
    if hangup && !is_hangup_ignored() {
        kinds.push((SignalKind::hangup(), Stop::Terminate));
    }
    for (kind, stop) in kinds {
        let Ok(mut signal) = signal(kind) else {
            continue;
        };
        let sender = sender.clone();
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                sender.send_modify(|come| come.push(stop));
            }
        });
    }
}

#[cfg(windows)]
fn take(sender: &watch::Sender<Vec<Stop>>, _hangup: bool) {
    let Ok(mut interrupt) = tokio::signal::windows::ctrl_c() else {
        return;
    };
    let sender = sender.clone();
    tokio::spawn(async move {
        while interrupt.recv().await.is_some() {
            sender.send_modify(|come| come.push(Stop::Interrupt));
        }
    });
}

/// Without `/proc`, SIGHUP counts as ignored, as under `nohup`.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").map_or(true, |status| ignores_hangup(&status))
}

/// SIGHUP, signal 1, is the lowest bit of the mask `SigIgn` in /proc/self/status.
#[cfg(unix)]
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_none_or(|mask| mask & 1 == 1)
}

#[cfg(all(test, unix))]
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
