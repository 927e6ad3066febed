//! The child processes of `listen`: the tunnel, and the command after `--`, which gets the tunnel's URL.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::watch;

use crate::cli::listen::ListenOptions;
use crate::error::{Error, Exit, Stop};
use crate::listen;
use crate::listen::event::{Ending, Summary};
use crate::listen::tunnel::{self, Open, URL_TIMEOUT};
use crate::output::Show;
use crate::output::streams::StreamState;
use crate::process::{Ended, GRACE, ProcessGroup, Signal, Supervisor};

/// After SIGINT or SIGTERM, the command of `listen -- CMD` has 3 seconds to exit before SIGKILL, as long as the
/// listener has for its open requests.
const AFTER_A_SIGNAL: Duration = Duration::from_secs(3);

/// `listen -- CMD` passes the listener's URL and the public URL to the command in these environment variables.
const URL: &str = "TELECMI_CDR_URL";
const PUBLIC_URL: &str = "TELECMI_CDR_PUBLIC_URL";

#[derive(Default)]
pub struct Children {
    pub tunnel: Option<Open>,
    pub command: Option<ProcessGroup>,
    /// Dropping `supervisor` kills the remaining child processes, so the field is declared last and dropped last.
    supervisor: Option<Supervisor>,
}

impl Children {
    pub async fn start(
        given: &ListenOptions,
        options: &mut listen::Options,
        address: SocketAddr,
        show: &mut Show,
    ) -> Result<Self, Error> {
        let mut children = Self::default();
        let kind = given.tunnel();
        if kind.is_none() && given.command.is_empty() {
            return Ok(children);
        }
        let supervisor = children.supervisor.insert(Supervisor::install());
        let local = local(address);
        if let Some(kind) = &kind {
            let url_timeout = given.public_url.is_none().then_some(URL_TIMEOUT);
            let say = |line: &str| {
                if given.output_options.verbose {
                    show.tunnel_said(line);
                }
            };
            let open = tunnel::open(supervisor, kind, local, url_timeout, say).await?;
            if let Some(url) = &open.public_url {
                options.public_url = Some(url.clone());
            }
            children.tunnel = Some(open);
        }
        if let Some((program, arguments)) = given.command.split_first() {
            let mut command = Command::new(program);
            command.args(arguments).env(URL, format!("http://{local}"));
            // `options.public_url` has its secrets masked, but the command needs the unmasked `given.public_url`.
            match given.public_url.as_ref().or(options.public_url.as_ref()) {
                Some(url) => command.env(PUBLIC_URL, url),
                None => command.env_remove(PUBLIC_URL),
            };
            if given.output_options.ndjson() {
                // With `--format ndjson`, standard output holds records only: the command writes to standard error.
                command.stdout(std::io::stderr());
            }
            let started = supervisor.start(&mut command);
            children.command = Some(started.map_err(|source| Error::Run {
                program: program.to_string_lossy().into_owned(),
                source,
            })?);
        }
        Ok(children)
    }

    pub async fn end(&mut self) {
        let command = async {
            if let Some(group) = &mut self.command {
                group.end(GRACE).await;
            }
        };
        let tunnel = async {
            if let Some(open) = &mut self.tunnel {
                open.close().await;
            }
        };
        tokio::join!(command, tunnel);
    }

    /// `Children::end_orphans` ends daemons that the tunnel or the command started outside their process groups.
    pub async fn end_orphans(self) {
        if let Some(supervisor) = self.supervisor {
            supervisor.end().await;
        }
    }
}

/// A listener on an unspecified address (`0.0.0.0`, `::`) is reached from this machine by the loopback address.
pub fn local(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Runs the command of `listen -- CMD` until its exit and the time of `--settle`; the future `stop` or the `timeout`
/// ends the command earlier.
pub async fn run_command(
    group: &mut ProcessGroup,
    stop: impl Future<Output = Stop>,
    state: watch::Receiver<StreamState>,
    timeout: Option<Duration>,
    settle: Duration,
) -> (Ending, Ended) {
    let done = async {
        group.wait().await;
        tokio::time::sleep(settle).await;
    };
    let ending = tokio::select! {
        () = done => Ending::CommandEnded,
        stop = stop => stop.into(),
        () = tokio::time::sleep(timeout.unwrap_or(Duration::MAX)) => Ending::TimedOut,
    };
    let ended = match ending {
        // Child processes of the command may still be sending CDRs after its exit; `Children::end` ends these processes
        // later.
        Ending::CommandEnded => group.wait().await,
        // `Ending::Interrupted` also stands for a closed standard output; only Ctrl-C is forwarded to the command as
        // SIGINT.
        Ending::Interrupted if *state.borrow() == StreamState::Open => {
            group.signal(Signal::INT);
            group.end_within(AFTER_A_SIGNAL).await
        }
        Ending::Terminated => group.end(AFTER_A_SIGNAL).await,
        _ => group.end(GRACE).await,
    };
    (ending, ended)
}

pub fn add_command(summary: &mut Summary, ended: Ended) {
    summary.command = Some(ended);
    summary.exit = match (summary.ending, ended.shell_code()) {
        (Ending::TimedOut, _) => Exit::TimedOut,
        (Ending::Interrupted, _) => Exit::Interrupted,
        (Ending::Terminated, _) => Exit::Terminated,
        (_, 0) => summary.exit,
        (_, code) => Exit::Command(code),
    };
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
