//! A tunnel: a program of the user's that gives a port of this machine a public URL.
//!
//! In: the program and the port. Out: the public URL, and later how the program ended, with its last lines. The output of
//! the program is read line by line, and shown with secrets masked.

pub mod api;
pub mod kind;
pub mod log;
pub mod parse;

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::process::{Ended, GRACE, ProcessGroup, Supervisor};
pub use kind::Tunnel;
use log::LogTail;
use parse::Update;

/// Time for a program to print its public URL. Quick tunnels of Cloudflare's take some seconds.
pub const URL_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for `ssh -G`, which only reads the configuration.
const SSH_CONFIG_TIMEOUT: Duration = Duration::from_secs(2);

/// Time to read the rest of the output of a program that has ended. A child of the program may hold the pipe open.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// Longer lines are cut, in bytes.
const MAX_LINE: usize = 16 * 1024;

/// Lines in the channel; when the channel is full, the program blocks on its output.
const CHANNEL_CAPACITY: usize = 256;

/// Why there is no tunnel.
#[derive(Debug)]
pub enum OpenError {
    NotStarted(std::io::Error),
    /// The program ended before it printed a public URL.
    Ended(End),
    /// The program printed no public URL in this time. With its last lines.
    TimedOut(Duration, Vec<String>),
}

/// How a tunnel program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub how: Ended,
    /// The last lines, safe for a terminal.
    pub said: Vec<String>,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_LINES: usize = 3;
        let last = &self.said[self.said.len().saturating_sub(MAX_LINES)..];
        let separator = if last.is_empty() { "" } else { ": " };
        let how = self.how.words();
        write!(f, "the tunnel ended {how}{separator}{}", last.join(" / "))
    }
}

/// A running tunnel program.
pub struct Open {
    /// Without a path.
    pub public_url: Option<String>,
    tunnel: Tunnel,
    group: ProcessGroup,
    lines: mpsc::Receiver<String>,
    log: LogTail,
}

/// Starts a tunnel to a listener at `local`, and waits for its public URL for `url_timeout`; not at all without one. `say`
/// gets every line, safe for a terminal.
pub async fn open(
    supervisor: &Supervisor,
    tunnel: &Tunnel,
    local: SocketAddr,
    url_timeout: Option<Duration>,
    mut say: impl FnMut(&str),
) -> Result<Open, OpenError> {
    // For cloudflared, which would choose an unknown port.
    let metrics_port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_or(0, |address| address.port());
    let mut group = start(supervisor, &tunnel.command_line(local, metrics_port))
        .map_err(OpenError::NotStarted)?;
    let lines = lines(&mut group);
    let tunnel = tunnel.clone();
    let mut open = Open {
        public_url: None,
        tunnel,
        group,
        lines,
        log: LogTail::default(),
    };
    if let Some(limit) = url_timeout {
        let host = open.host(supervisor).await;
        let opening = open.wait(local, metrics_port, &host, &mut say);
        match timeout(limit, opening).await {
            Ok(Ok(())) => {}
            Ok(Err(how)) => {
                return Err(OpenError::Ended(End {
                    how,
                    said: open.log.lines(),
                }));
            }
            // The URL is known, though the program has not said that the tunnel is connected.
            Err(_) if open.public_url.is_some() => {}
            Err(_) => {
                open.close().await;
                return Err(OpenError::TimedOut(limit, open.log.lines()));
            }
        }
        // The program had the terminal to ask for a password; from now on Ctrl-C is for this process.
        open.group.take_terminal_back();
    }
    Ok(open)
}

impl Open {
    /// The host of an ssh tunnel, with an alias of the configuration resolved.
    async fn host(&self, supervisor: &Supervisor) -> String {
        let Tunnel::Ssh { host, .. } = &self.tunnel else {
            return String::new();
        };
        let words = ["ssh", "-G", "--", host].map(str::to_owned);
        let found = timeout(SSH_CONFIG_TIMEOUT, async {
            let mut group = start(supervisor, &words).ok()?;
            let mut lines = lines(&mut group);
            while let Some(line) = lines.recv().await {
                if let Some(name) = line.strip_prefix("hostname ") {
                    return Some(name.to_owned());
                }
            }
            None
        });
        let name = host
            .rsplit_once('@')
            .map_or(host.as_str(), |(_, name)| name);
        found
            .await
            .ok()
            .flatten()
            .unwrap_or_else(|| name.to_owned())
    }

    /// Waits until the tunnel has a public URL and is connected, or until the program ends.
    async fn wait(
        &mut self,
        local: SocketAddr,
        metrics_port: u16,
        host: &str,
        say: &mut impl FnMut(&str),
    ) -> Result<(), Ended> {
        let is_cloudflared = self.tunnel == Tunnel::Cloudflared;
        let mut agent = None;
        // Only cloudflared prints the URL before it is connected.
        let mut connected = !is_cloudflared;
        let mut asking = ask(is_cloudflared.then_some(metrics_port), agent, local, false);
        while self.public_url.is_none() || !connected {
            let update = tokio::select! {
                biased;
                Some(line) = self.lines.recv() => {
                    self.log_line(&line, say);
                    parse::update(&self.tunnel, &line, local, host)
                }
                update = &mut asking => Some(update),
                how = self.group.wait() => {
                    self.rest(say).await;
                    return Err(how);
                }
            };
            match update {
                None => continue,
                Some(Update::Url(url)) => {
                    self.public_url.get_or_insert(url);
                }
                Some(Update::Connected) => connected = true,
                Some(Update::Api(place)) => agent = Some(place),
            }
            asking = ask(
                is_cloudflared.then_some(metrics_port),
                agent,
                local,
                self.public_url.is_some(),
            );
        }
        Ok(())
    }

    /// Waits for the end of the program. Cancel-safe.
    pub async fn ended(&mut self, mut say: impl FnMut(&str)) -> End {
        let how = loop {
            tokio::select! {
                biased;
                Some(line) = self.lines.recv() => self.log_line(&line, &mut say),
                how = self.group.wait() => break how,
            }
        };
        self.rest(&mut say).await;
        End {
            how,
            said: self.log.lines(),
        }
    }

    /// Ends the program and its children.
    pub async fn close(&mut self) {
        // A program that blocks on its output could not end.
        self.lines.close();
        self.group.end(GRACE).await;
    }

    fn log_line(&mut self, line: &str, say: &mut impl FnMut(&str)) {
        if let Some(line) = self.log.push(&self.tunnel, line) {
            say(&line);
        }
    }

    /// Reads the rest of the output of a program that has ended.
    async fn rest(&mut self, say: &mut impl FnMut(&str)) {
        let reading = async {
            while let Some(line) = self.lines.recv().await {
                self.log_line(&line, say);
            }
        };
        let _ = timeout(DRAIN_TIMEOUT, reading).await;
    }
}

/// Polls the program's API, if there is one, for the URL or the connection.
fn ask(
    metrics: Option<u16>,
    agent: Option<SocketAddr>,
    local: SocketAddr,
    url_is_known: bool,
) -> Pin<Box<dyn Future<Output = Update>>> {
    match (metrics, agent) {
        (Some(port), _) if port > 0 => Box::pin(api::cloudflared(
            SocketAddr::from(([127, 0, 0, 1], port)),
            url_is_known,
        )),
        (_, Some(agent)) => Box::pin(api::ngrok(agent, local)),
        _ => Box::pin(std::future::pending()),
    }
}

fn start(supervisor: &Supervisor, words: &[String]) -> std::io::Result<ProcessGroup> {
    let (program, arguments) = words.split_first().ok_or(std::io::ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // bore prints its port in a line of its log, which is off by default.
    command.env("NO_COLOR", "1").env("RUST_LOG", "info");
    supervisor.start(&mut command)
}

/// The lines of both output streams.
fn lines(group: &mut ProcessGroup) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(CHANNEL_CAPACITY);
    let (stdout, stderr) = group.streams();
    if let Some(stdout) = stdout {
        tokio::spawn(read(stdout, sender.clone()));
    }
    if let Some(stderr) = stderr {
        tokio::spawn(read(stderr, sender));
    }
    lines
}

/// Reads a stream to its end, even when the channel is closed: otherwise the program would block.
async fn read(mut stream: impl AsyncRead + Unpin, lines: mpsc::Sender<String>) {
    let mut chunk = [0; 4096];
    let mut line = Vec::new();
    loop {
        let n = stream.read(&mut chunk).await.unwrap_or(0);
        for &byte in &chunk[..n] {
            let ends = matches!(byte, b'\n' | b'\r');
            if !ends && line.len() < MAX_LINE {
                line.push(byte);
            }
            if ends {
                send(&mut line, &lines).await;
            }
        }
        if n == 0 {
            return send(&mut line, &lines).await;
        }
    }
}

/// Sends a line that is not empty.
async fn send(line: &mut Vec<u8>, lines: &mpsc::Sender<String>) {
    if !line.is_empty() {
        let text = String::from_utf8_lossy(line).into_owned();
        line.clear();
        // An error means that the tunnel is closed.
        let _ = lines.send(text).await;
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
