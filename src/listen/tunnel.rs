//! A tunnel: the user's own program, which lets the rest of the world reach a port of this machine.
//!
//! In: which program, and the port. Out: the public URL, and later that the program has ended, with its last words. Its
//! output is read line by line and never shown as it is.

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

/// How long a tunnel may take until there is a public URL. Those that need to be asked for take some seconds; what takes
/// longer than this waits for something that will not come.
pub const URL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long ssh may take to say where an alias leads: `ssh -G` only reads the configuration.
const LOOK_UP: Duration = Duration::from_secs(2);

/// How long the output of a program that has ended may take to be read. What it has started may hold it open.
const LAST_LINES: Duration = Duration::from_millis(200);

/// A line is cut here: no program writes such a long one for us.
const LONGEST_LINE: usize = 16 * 1024;

/// How many lines may wait to be read before the program does.
const LINES_WAITING: usize = 256;

/// Why there is no tunnel.
#[derive(Debug)]
pub enum OpenError {
    /// The program cannot be started.
    NotStarted(std::io::Error),
    /// It ended before it parsed its public URL.
    Ended(End),
    /// It parsed none in this time.
    Late(Duration, Vec<String>),
}

/// How a tunnel program ended, and what it said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// How it ended.
    pub how: Ended,
    /// Its last lines, fit to be shown.
    pub said: Vec<String>,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Of a program that ends in the middle the very last lines are the reason.
        const LINES: usize = 3;
        write!(f, "the tunnel ended {}", self.how.words())?;
        let last = &self.said[self.said.len().saturating_sub(LINES)..];
        if last.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", last.join(" / "))
        }
    }
}

/// A tunnel program that runs.
pub struct Open {
    /// The URL it has parsed, without a path.
    pub public_url: Option<String>,
    tunnel: Tunnel,
    group: ProcessGroup,
    lines: mpsc::Receiver<String>,
    log: LogTail,
}

/// What is waited for before a tunnel counts as open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Await {
    /// Its public URL, for so long.
    Url(Duration),
    /// Nothing: the URL is known.
    Nothing,
}

/// Starts a tunnel to a listener at `local`, and waits until it is open. `say` gets every line, fit to be shown.
pub async fn open(
    supervisor: &Supervisor,
    tunnel: &Tunnel,
    local: SocketAddr,
    wait: Await,
    mut say: impl FnMut(&str),
) -> Result<Open, OpenError> {
    let metrics_port = free_port().unwrap_or(0);
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
    if let Await::Url(patience) = wait {
        let host = open.host(supervisor).await;
        let opening = open.wait(local, metrics_port, &host, &mut say);
        match timeout(patience, opening).await {
            Ok(Ok(())) => {}
            Ok(Err(how)) => {
                return Err(OpenError::Ended(End {
                    how,
                    said: open.log.lines(),
                }));
            }
            // A URL without the word that it works is still a URL.
            Err(_) if open.public_url.is_some() => {}
            Err(_) => {
                open.close().await;
                return Err(OpenError::Late(patience, open.log.lines()));
            }
        }
        // It may have asked for a password. From now on Ctrl-C is for us.
        open.group.take_terminal_back();
    }
    Ok(open)
}

impl Open {
    /// Where an ssh tunnel leads to: what the alias stands for, or the alias.
    async fn host(&self, supervisor: &Supervisor) -> String {
        let Tunnel::Ssh { host, .. } = &self.tunnel else {
            return String::new();
        };
        let words = ["ssh", "-G", "--", host].map(str::to_owned);
        let found = timeout(LOOK_UP, async {
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

    /// Waits until there is a public URL and it works, or until the program ends.
    async fn wait(
        &mut self,
        local: SocketAddr,
        metrics_port: u16,
        host: &str,
        say: &mut impl FnMut(&str),
    ) -> Result<(), Ended> {
        let is_cloudflared = self.tunnel == Tunnel::Cloudflared;
        let mut agent = None;
        // Only cloudflared has a URL before it works.
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

    /// Waits for the end of the program. Waiting may be given up and taken up again.
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

    /// Ends the program and all it has started.
    pub async fn close(&mut self) {
        // The program must not wait for its output to be read.
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
        let hearing = async {
            while let Some(line) = self.lines.recv().await {
                self.log_line(&line, say);
            }
        };
        // What holds it open any longer is not the program.
        let _ = timeout(LAST_LINES, hearing).await;
    }
}

/// Asks the program's API, if it has one, for the URL or the connection.
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

/// A port that is free now, for a program that would otherwise choose one we do not know.
fn free_port() -> Option<u16> {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").ok()?;
    Some(socket.local_addr().ok()?.port())
}

fn start(supervisor: &Supervisor, words: &[String]) -> std::io::Result<ProcessGroup> {
    let (program, arguments) = words.split_first().ok_or(std::io::ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // bore tells its port in a line of its log, so that must be on; colours would only be in the way.
    command.env("NO_COLOR", "1").env("RUST_LOG", "info");
    supervisor.start(&mut command)
}

/// Everything a program prints, line by line, whichever stream it is on.
fn lines(group: &mut ProcessGroup) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(LINES_WAITING);
    let (stdout, stderr) = group.streams();
    if let Some(stdout) = stdout {
        tokio::spawn(read(stdout, sender.clone()));
    }
    if let Some(stderr) = stderr {
        tokio::spawn(read(stderr, sender));
    }
    lines
}

/// Reads a stream to its end, also when its lines are not wanted any more: the program must not be held up.
async fn read(mut stream: impl AsyncRead + Unpin, lines: mpsc::Sender<String>) {
    let mut chunk = [0; 4096];
    let mut line = Vec::new();
    loop {
        let n = stream.read(&mut chunk).await.unwrap_or(0);
        for &byte in &chunk[..n] {
            let ends = matches!(byte, b'\n' | b'\r');
            if !ends && line.len() < LONGEST_LINE {
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
        // The channel is closed with the tunnel.
        let _ = lines.send(text).await;
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
