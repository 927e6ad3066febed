//! The program as a test runs it: no environment but what the test says, a deadline on everything.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// Nothing in these tests takes this long, unless it hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// A command line to be run.
pub struct Program {
    command: Command,
    input: Option<Vec<u8>>,
}

/// What came of it.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

pub fn program<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_telecmi-cdr"));
    command.env_clear().args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Windows finds neither its sockets nor its temporary folder without these.
    for name in ["SystemRoot", "TEMP", "TMP"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    Program { command, input: None }
}

impl Program {
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self.command.stdin(Stdio::piped());
        self
    }

    /// Runs to the end.
    #[track_caller]
    pub fn run(self) -> Ended {
        self.start().end()
    }

    /// Starts it and reads its streams in the background.
    #[track_caller]
    pub fn start(mut self) -> Running {
        let mut child = self.command.spawn().expect("the program starts");
        if let (Some(bytes), Some(mut stdin)) = (self.input, child.stdin.take()) {
            thread::spawn(move || stdin.write_all(&bytes));
        }
        let stdout = child.stdout.take().expect("a pipe");
        let mut stderr = child.stderr.take().expect("a pipe");
        let (said, talk) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            let _ = said.send(text);
        });
        Running { child, lines: lines(stdout), talk, seen: String::new() }
    }
}

fn lines(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut line = Vec::new();
        while stdout.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8(std::mem::take(&mut line)).expect("output is UTF-8");
            if send.send(text).is_err() {
                break;
            }
        }
    });
    lines
}

/// A program that runs. It is killed when the test is done with it.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    talk: mpsc::Receiver<String>,
    seen: String,
}

impl Running {
    /// The next line of standard output.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let line = self.lines.recv_timeout(DEADLINE).expect("another line in time");
        self.seen.push_str(&line);
        line
    }

    /// The next record of standard output.
    #[track_caller]
    pub fn record(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Sends a signal, as a person's Ctrl-C would.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for the end.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        let talk = self.talk.recv_timeout(DEADLINE);
        let stderr = talk.unwrap_or_else(|_| panic!("no end in time; so far:\n{}", self.seen));
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            self.seen.push_str(&line);
        }
        let code = self.child.wait().expect("an exit status").code();
        Ended { code, stdout: std::mem::take(&mut self.seen), stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Standard output as records.
    #[track_caller]
    pub fn records(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(read).collect()
    }

    /// The records of one type.
    #[track_caller]
    pub fn records_of(&self, kind: &str) -> Vec<Value> {
        self.records().into_iter().filter(|record| record["type"] == kind).collect()
    }

    /// Exit code and both streams, for a snapshot.
    pub fn whole(&self) -> String {
        let code = self.code.map_or("none".to_owned(), |code| code.to_string());
        format!("exit {code}\n--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}

/// A listener that is ready, and where it listens.
pub struct Listener {
    pub running: Running,
    pub url: String,
}

/// Starts `listen --format ndjson` on any free port, and waits until it is ready.
#[track_caller]
pub fn listener(arguments: &[&str]) -> Listener {
    let fixed = ["listen", "--port", "0", "--format", "ndjson"];
    let mut running = program(fixed.iter().chain(arguments)).start();
    let ready = running.record();
    assert_eq!(ready["type"], "listening");
    Listener { url: ready["url"].as_str().expect("a URL").to_owned(), running }
}

/// A stub that answers every connection with the same bytes and closes: it shares no code with the program.
pub fn stub(answer: &'static str) -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in socket.incoming() {
            let Ok(mut stream) = stream else { break };
            thread::spawn(move || {
                read_request(&mut stream);
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    url
}

/// Reads one request whose body is announced by its length.
fn read_request(stream: &mut std::net::TcpStream) {
    let _ = stream.set_read_timeout(Some(DEADLINE));
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&seen).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
            if seen.len() >= end + 4 + length {
                return;
            }
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => seen.extend_from_slice(&chunk[..n]),
            _ => return,
        }
    }
}
