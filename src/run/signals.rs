//! Ctrl-C and SIGTERM. tokio keeps a handler for the life of the process, so the second one is handled here too.

use tokio::sync::watch;

use crate::error::Stop;

/// The signals that have come: none, one, or more.
#[derive(Debug, Clone)]
pub struct Signals {
    come: watch::Receiver<Vec<Stop>>,
}

impl Signals {
    /// Starts to take signals. Needs a runtime.
    #[must_use]
    pub fn new() -> Self {
        let (sender, come) = watch::channel(Vec::new());
        tokio::spawn(async move {
            loop {
                let stop = next().await;
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

#[cfg(unix)]
async fn next() -> Stop {
    use std::sync::LazyLock;
    use tokio::signal::unix::{Signal, SignalKind, signal};
    use tokio::sync::Mutex;

    type Pair = (Option<Signal>, Option<Signal>);
    static TAKEN: LazyLock<Mutex<Pair>> = LazyLock::new(|| {
        Mutex::new((signal(SignalKind::interrupt()).ok(), signal(SignalKind::terminate()).ok()))
    });
    let mut taken = TAKEN.lock().await;
    let (interrupt, terminate) = &mut *taken;
    let come = async |signal: &mut Option<Signal>| match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    };
    tokio::select! {
        () = come(interrupt) => Stop::Interrupt,
        () = come(terminate) => Stop::Terminate,
    }
}

#[cfg(not(unix))]
async fn next() -> Stop {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    Stop::Interrupt
}
