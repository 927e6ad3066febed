//! The programs beside a listener: a tunnel first, so that its URL is known, and then the command; and what became
//! of both, for the summary.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::command;
use super::signals::Signals;
use crate::cli::listen::ListenOptions;
use crate::error::{Error, Exit, Stop};
use crate::listen::event::{Ending, Summary};
use crate::listen::tunnel::{self, Await, Open, PATIENCE, Trouble, Tunnel};
use crate::process::{Ended, Family, GRACE, Household};
use crate::show::Show;

/// The programs that run beside a listener.
#[derive(Default)]
pub struct Beside {
    /// The tunnel, even if it has ended.
    pub tunnel: Option<Open>,
    /// The command.
    pub command: Option<Family>,
}

/// Why they are not all running.
pub enum Halt {
    /// One could not be started.
    Trouble(Error),
    /// Somebody wanted the run to stop meanwhile.
    Stopped(Stop),
}

impl Beside {
    /// Opens the tunnel and starts the command, as far as they are wanted, for a listener at this address; notes where the rest
    /// of the world can send to.
    pub async fn start(
        household: &Household,
        options: &mut ListenOptions,
        address: SocketAddr,
        show: &mut Show,
        mut signals: Signals,
    ) -> Result<Self, Halt> {
        let mut beside = Self::default();
        let local = command::local(address);
        if let Some(kind) = &options.tunnel {
            let wait = if options.public_url.is_some() {
                Await::Nothing
            } else {
                Await::Url(PATIENCE)
            };
            let verbose = options.output_options.verbose;
            let say = |line: &str| {
                if verbose {
                    show.tunnel_said(line);
                }
            };
            let opened = tokio::select! {
                opened = tunnel::open(household, kind, local, wait, say) => opened,
                stop = signals.first() => return Err(Halt::Stopped(stop)),
            };
            let open = opened.map_err(|trouble| Halt::Trouble(explained(kind, local, trouble)))?;
            if let Some(url) = &open.public_url {
                options.options.public_url = Some(url.clone());
            }
            beside.tunnel = Some(open);
        }
        if !options.command.is_empty() {
            let public_url = options
                .public_url
                .clone()
                .or_else(|| options.options.public_url.clone());
            let urls = (format!("http://{local}"), public_url);
            let records = options.output_options.ndjson();
            let started = command::start(household, &options.command, &urls, records);
            beside.command = Some(started.map_err(Halt::Trouble)?);
        }
        Ok(beside)
    }

    /// Ends them, with everything they have started.
    pub async fn end(&mut self) {
        let command = async {
            if let Some(family) = &mut self.command {
                family.end(GRACE).await;
            }
        };
        let tunnel = async {
            if let Some(open) = &mut self.tunnel {
                open.close().await;
            }
        };
        tokio::join!(command, tunnel);
    }
}

/// What became of the programs beside the listener.
#[derive(Debug, Default)]
pub struct Companions {
    command: OnceLock<Ended>,
    tunnel_ended: AtomicBool,
}

impl Companions {
    /// Notes how the command ended. It ends once.
    pub fn command_ended(&self, ended: Ended) {
        let _ = self.command.set(ended);
    }

    /// Notes that the tunnel ended before the listener.
    pub fn tunnel_ended(&self) {
        self.tunnel_ended.store(true, Ordering::Relaxed);
    }

    /// Adds it to the listener's summary: the command's own failure first, then ours.
    pub fn amend(&self, mut summary: Summary) -> Summary {
        summary.tunnel_ended = self.tunnel_ended.load(Ordering::Relaxed);
        if let Some(ended) = self.command.get() {
            summary.command = Some(*ended);
            summary.exit = match (summary.ending, ended.shell_code()) {
                (Ending::TimedOut, _) => Exit::TimedOut,
                (Ending::Interrupted, _) => Stop::Interrupt.exit(),
                (Ending::Terminated, _) => Stop::Terminate.exit(),
                (_, 0) => summary.exit,
                (_, code) => Exit::Command(code),
            };
        }
        summary
    }
}

fn explained(kind: &Tunnel, local: SocketAddr, trouble: Trouble) -> Error {
    match trouble {
        Trouble::NotStarted(source) => Error::Tunnel {
            what: format!("cannot run {kind}: {source}"),
            said: Vec::new(),
            hint: kind.hint_if_missing(local),
        },
        Trouble::Ended(end) => Error::Tunnel {
            what: format!(
                "{kind} ended {} before it told its public URL",
                end.how.words()
            ),
            said: end.said,
            hint: kind.hint(local),
        },
        Trouble::Late(patience, said) => Error::Tunnel {
            what: format!("{kind} has told no public URL in {} s", patience.as_secs()),
            said,
            hint: kind.hint(local),
        },
    }
}
