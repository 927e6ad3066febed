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
    // Without `/proc`, the ignored signals are unknown: SIGHUP then counts as ignored, the others do not.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = mask(&status);
    let mut kinds = vec![
        (SignalKind::terminate(), Stop::Terminate),
        (SignalKind::interrupt(), Stop::Interrupt),
    ];
    // A signal that was ignored at the start stays ignored: under `nohup` and, for SIGINT, in the background of a script.
    kinds.retain(|(kind, _)| !ignored.is_some_and(|ignored| ignores(ignored, *kind)));
    if hangup && ignored.is_some_and(|ignored| !ignores(ignored, SignalKind::hangup())) {
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

/// The mask of ignored signals in the text of `/proc/self/status`.
#[cfg(unix)]
fn mask(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    u64::from_str_radix(mask?.trim(), 16).ok()
}

/// Signal N is bit N - 1 of the mask `SigIgn` in /proc/self/status.
#[cfg(unix)]
fn ignores(mask: u64, kind: tokio::signal::unix::SignalKind) -> bool {
    mask >> (kind.as_raw_value() - 1) & 1 == 1
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_noticed() {
        use tokio::signal::unix::SignalKind;
        let mask_of = |bits: &str| mask(&format!("Name:\tx\nSigIgn:\t{bits}\nSigCgt:\t0\n"));
        let ignored = mask_of("0000000000001001").unwrap();
        assert!(ignores(ignored, SignalKind::hangup()));
        assert!(!ignores(ignored, SignalKind::interrupt()));
        assert!(ignores(
            mask_of("0000000000001002").unwrap(),
            SignalKind::interrupt()
        ));
        assert_eq!(mask("Name:\tx\n"), None, "what cannot be read is unknown");
    }
}
