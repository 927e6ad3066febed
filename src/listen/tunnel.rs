//! Runs a tunnel program (cloudflared, ngrok, bore, ssh or any other), which gives the listener a public URL.
//!
//! The program's output is read line by line, and shown with secrets masked.

pub mod program;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::error::Error;
use crate::process::{Ended, GRACE, ProcessGroup, Supervisor};
pub use program::{Tunnel, Update};

/// Time for a tunnel program to print its public URL. Quick tunnels of Cloudflare's take some seconds.
pub const URL_TIMEOUT: Duration = Duration::from_secs(30);

const SSH_CONFIG_TIMEOUT: Duration = Duration::from_secs(2);

/// Time to read the rest of the output of a tunnel program that has ended. A child of the program may hold the pipe
/// open.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// Of a line of the tunnel program's output, 16 KiB are kept.
const MAX_LINE: usize = 16 * 1024;

/// Limit of output lines in the channel; when the channel is full, the tunnel program blocks on its output.
const CHANNEL_CAPACITY: usize = 256;

/// An error message quotes the last `LINES_IN_ERROR` lines of the tunnel program's output, a warning the last
/// `LINES_IN_WARNING`.
const LINES_IN_ERROR: usize = 12;
const LINES_IN_WARNING: usize = 3;

pub struct Open {
    pub public_url: Option<String>,
    tunnel: Tunnel,
    group: ProcessGroup,
    lines: mpsc::Receiver<String>,
    said: Vec<String>,
}

/// Starts a tunnel to a listener at `local`, and waits up to `url_timeout` for the public URL; `None` does not wait.
/// `say` gets each line of output, masked and safe for a terminal.
pub async fn open(
    supervisor: &Supervisor,
    tunnel: &Tunnel,
    local: SocketAddr,
    url_timeout: Option<Duration>,
    mut say: impl FnMut(&str),
) -> Result<Open, Error> {
    let command_line = tunnel.command_line(local);
    let mut group = start(supervisor, &command_line).map_err(|error| Error::Tunnel {
        what: format!("cannot run {tunnel}: {error}"),
        said: Vec::new(),
        hint: tunnel.hint_if_missing(local),
    })?;
    let mut open = Open {
        public_url: None,
        tunnel: tunnel.clone(),
        lines: lines(&mut group),
        group,
        said: Vec::new(),
    };
    let Some(limit) = url_timeout else {
        return Ok(open);
    };
    let host = ssh_host(supervisor, tunnel).await;
    let what = match timeout(limit, open.wait(local, &host, &mut say)).await {
        Ok(Err(how)) => format!(
            "{tunnel} ended {} before it printed its public URL",
            how.words()
        ),
        Err(_) if open.public_url.is_none() => {
            open.close().await;
            let seconds = limit.as_secs();
            format!("{tunnel} has printed no public URL within {seconds} s")
        }
        // At a timeout the URL may be known, though the tunnel program has not said that the tunnel is connected.
        Ok(Ok(())) | Err(_) => {
            // A tunnel program that asks for a password becomes the foreground process group; from now on Ctrl-C must
            // reach this process.
            open.group.take_terminal_back();
            return Ok(open);
        }
    };
    Err(Error::Tunnel {
        what,
        said: open.said,
        hint: tunnel.hint(local),
    })
}

impl Open {
    async fn wait(
        &mut self,
        local: SocketAddr,
        host: &str,
        say: &mut impl FnMut(&str),
    ) -> Result<(), Ended> {
        // Only cloudflared prints the URL before the tunnel is connected.
        let mut is_connected = self.tunnel != Tunnel::Cloudflared;
        while self.public_url.is_none() || !is_connected {
            let line = self.next_line(say).await?;
            match program::update(&self.tunnel, &line, local, host) {
                None => {}
                Some(Update::Url(url)) => {
                    self.public_url.get_or_insert(url);
                }
                Some(Update::Connected) => is_connected = true,
            }
        }
        Ok(())
    }

    /// Returns the next line of the tunnel program's output, or, when all output has been read, how the program ended.
    /// Cancel-safe.
    async fn next_line(&mut self, say: &mut impl FnMut(&str)) -> Result<String, Ended> {
        tokio::select! {
            biased;
            Some(line) = self.lines.recv() => {
                self.log_line(&line, say);
                Ok(line)
            }
            how = self.group.wait() => {
                let reading = async {
                    while let Some(line) = self.lines.recv().await {
                        self.log_line(&line, say);
                    }
                };
                let _ = timeout(DRAIN_TIMEOUT, reading).await;
                Err(how)
            }
        }
    }

    fn log_line(&mut self, line: &str, say: &mut impl FnMut(&str)) {
        if let Some(line) = program::shown(&self.tunnel, line) {
            say(&line);
            if self.said.len() == LINES_IN_ERROR {
                self.said.remove(0);
            }
            self.said.push(line);
        }
    }

    /// Waits until the tunnel program ends, and returns a message that quotes its last lines. Cancel-safe.
    pub async fn ended(&mut self, mut say: impl FnMut(&str)) -> String {
        let how = loop {
            if let Err(how) = self.next_line(&mut say).await {
                break how.words();
            }
        };
        let last = &self.said[self.said.len().saturating_sub(LINES_IN_WARNING)..];
        let separator = if last.is_empty() { "" } else { ": " };
        format!("the tunnel ended {how}{separator}{}", last.join(" / "))
    }

    pub async fn close(&mut self) {
        // With the channel closed, `read` discards the output: a tunnel program that blocks on a full pipe could not end.
        self.lines.close();
        self.group.end(GRACE).await;
    }
}

async fn ssh_host(supervisor: &Supervisor, tunnel: &Tunnel) -> String {
    let Tunnel::Ssh { host, .. } = tunnel else {
        return String::new();
    };
    let resolving = async {
        let words = ["ssh", "-G", "--", host].map(str::to_owned);
        let mut group = start(supervisor, &words).ok()?;
        let mut lines = lines(&mut group);
        while let Some(line) = lines.recv().await {
            if let Some(name) = line.strip_prefix("hostname ") {
                return Some(name.to_owned());
            }
        }
        None
    };
    let resolved = timeout(SSH_CONFIG_TIMEOUT, resolving).await.ok().flatten();
    resolved.unwrap_or_else(|| host.rsplit('@').next().unwrap_or_default().to_owned())
}

fn start(supervisor: &Supervisor, words: &[String]) -> std::io::Result<ProcessGroup> {
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // bore prints its port in a line of its log, which is off by default.
    command.env("NO_COLOR", "1").env("RUST_LOG", "info");
    supervisor.start(&mut command)
}

fn lines(group: &mut ProcessGroup) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(CHANNEL_CAPACITY);
    let (stdout, stderr) = group.streams();
    let _ = stdout.map(|stdout| tokio::spawn(read(stdout, sender.clone())));
    let _ = stderr.map(|stderr| tokio::spawn(read(stderr, sender)));
    lines
}

/// Reads an output stream to its end, even when the channel is closed: otherwise the tunnel program would block.
async fn read(mut stream: impl AsyncRead + Unpin, lines: mpsc::Sender<String>) {
    let mut chunk = [0; 4096];
    let mut line = Vec::new();
    loop {
        let n = stream.read(&mut chunk).await.unwrap_or(0);
        // The end of the output stream also ends a line that has no line break.
        for &byte in if n == 0 { b"\n" } else { &chunk[..n] } {
            if !matches!(byte, b'\n' | b'\r') {
                if line.len() < MAX_LINE {
                    line.push(byte);
                }
            } else if !line.is_empty() {
                // Sending to a closed channel fails, which discards the line.
                // Some programs escape the slashes of a URL in JSON, once or twice.
                let text = String::from_utf8_lossy(&line);
                let text = text.replace(r"\\/", "/").replace(r"\/", "/");
                let _ = lines.send(text).await;
                line.clear();
            }
        }
        if n == 0 {
            return;
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
