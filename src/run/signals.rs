//! Ctrl-C and SIGTERM. tokio keeps a handler for the life of the process, so the second one is handled here too.

use tokio::sync::watch;

use crate::error::Stop;

/// The signals that have come: none, one, or more.
#[derive(Debug, Clone)]
pub struct Signals {
    come: watch::Receiver<Vec<Stop>>,
}

impl Signals {
    /// Takes signals from now on: whoever has read that we are ready may send one at once. Needs a runtime.
    #[must_use]
    pub fn new() -> Self {
        let (sender, come) = watch::channel(Vec::new());
        let mut taken = Taken::new();
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
}

#[cfg(unix)]
impl Taken {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
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
        }
    }
}

/// The system's side. What cannot be taken never comes.
#[cfg(windows)]
struct Taken {
    interrupt: Option<tokio::signal::windows::CtrlC>,
}

#[cfg(windows)]
impl Taken {
    fn new() -> Self {
        Self { interrupt: tokio::signal::windows::ctrl_c().ok() }
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
