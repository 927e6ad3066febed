//! Runs the program in tests, with an empty environment and a deadline.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use telecmi_cdr::internals::Clock;

/// The deadline of every wait; only a hanging program reaches it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The program under test: `CDR_BIN` if set, else the binary that cargo built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        std::env::var_os("CDR_BIN")
            .map_or_else(|| env!("CARGO_BIN_EXE_telecmi-cdr").into(), PathBuf::from)
    })
}

pub struct Program {
    command: Command,
    input: Option<Vec<u8>>,
}

#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

pub fn program<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Program {
    #[allow(unused_mut, reason = "not changed on Windows")]
    let mut command = Command::new(binary());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::arg0(&mut command, "telecmi-cdr");
    prepared(command, arguments)
}

/// Runs the program by a shell line, in which `"$0" "$@"` is the program with its arguments.
#[cfg(unix)]
pub fn shell<S: AsRef<OsStr>>(line: &str, arguments: impl IntoIterator<Item = S>) -> Program {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).arg(binary());
    prepared(command, arguments)
}

fn prepared<S: AsRef<OsStr>>(
    mut command: Command,
    arguments: impl IntoIterator<Item = S>,
) -> Program {
    command
        .env_clear()
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Windows needs these variables for sockets and temporary files.
    for name in ["SystemRoot", "TEMP", "TMP"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    Program {
        command,
        input: None,
    }
}

impl Program {
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    #[cfg(unix)]
    pub fn descriptors(mut self, most: u32) -> Self {
        let mut limited = Command::new("/bin/sh");
        limited
            .arg("-c")
            .arg(format!("ulimit -n {most} && exec \"$0\" \"$@\""));
        limited
            .arg(self.command.get_program())
            .args(self.command.get_args())
            .env_clear();
        limited
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.command = limited;
        self
    }

    #[cfg(unix)]
    pub fn path(self) -> Self {
        let path = std::env::var("PATH").expect("a search path");
        self.env("PATH", &path)
    }

    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self.command.stdin(Stdio::piped());
        self
    }

    pub fn stdout(mut self, place: impl Into<Stdio>) -> Self {
        self.command.stdout(place);
        self
    }

    pub fn stderr(mut self, place: impl Into<Stdio>) -> Self {
        self.command.stderr(place);
        self
    }

    /// Makes standard output a pipe whose reader is closed, as after `| head`.
    pub fn unread(self) -> Self {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        self.stdout(writer)
    }

    #[track_caller]
    pub fn run(self) -> Ended {
        self.start().end()
    }

    #[track_caller]
    pub fn start(mut self) -> Running {
        let mut child = self.command.spawn().expect("the program starts");
        if let (Some(bytes), Some(mut stdin)) = (self.input, child.stdin.take()) {
            thread::spawn(move || stdin.write_all(&bytes));
        }
        let talk = child.stderr.take().map_or_else(|| mpsc::channel().1, lines);
        let lines = child.stdout.take().map_or_else(|| mpsc::channel().1, lines);
        // Dropping the command closes this process's copies of the child's pipes.
        drop(self.command);
        Running {
            child,
            lines,
            talk,
            seen: String::new(),
            heard: String::new(),
        }
    }
}

fn lines(stream: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8(std::mem::take(&mut line)).expect("output is UTF-8");
            if send.send(text).is_err() {
                break;
            }
        }
    });
    lines
}

pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    talk: mpsc::Receiver<String>,
    seen: String,
    heard: String,
}

impl Running {
    #[track_caller]
    pub fn line(&mut self) -> String {
        let line = self
            .lines
            .recv_timeout(DEADLINE)
            .expect("another line in time");
        self.seen.push_str(&line);
        line
    }

    #[track_caller]
    pub fn record(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    #[track_caller]
    pub fn talk(&mut self) -> String {
        let line = self
            .talk
            .recv_timeout(DEADLINE)
            .expect("another line in time");
        self.heard.push_str(&line);
        line
    }

    pub fn first_line_only(&mut self) -> Option<String> {
        let line = self.lines.recv_timeout(DEADLINE).ok();
        self.lines = mpsc::channel().1;
        line
    }

    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }

    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn memory(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a status");
        let most = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("a line");
        let kibibytes: u64 = most
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number");
        kibibytes / 1024
    }

    #[track_caller]
    pub fn end(mut self) -> Ended {
        collect(&self.talk, &mut self.heard);
        collect(&self.lines, &mut self.seen);
        let code = self.child.wait().expect("an exit status").code();
        assert_calm(&self.heard);
        Ended {
            code,
            stdout: std::mem::take(&mut self.seen),
            stderr: std::mem::take(&mut self.heard),
        }
    }
}

#[track_caller]
fn collect(lines: &mpsc::Receiver<String>, text: &mut String) {
    loop {
        match lines.recv_timeout(DEADLINE) {
            Ok(line) => text.push_str(&line),
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("no end in time; so far:\n{text}"),
        }
    }
}

#[track_caller]
fn assert_calm(stderr: &str) {
    assert!(!stderr.contains("panicked"), "{stderr}");
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !thread::panicking() {
            self.heard.extend(self.talk.try_iter());
            assert_calm(&self.heard);
        }
    }
}

impl Ended {
    #[track_caller]
    pub fn records(&self) -> Vec<Value> {
        let read =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(read).collect()
    }

    #[track_caller]
    pub fn records_of(&self, kind: &str) -> Vec<Value> {
        self.records()
            .into_iter()
            .filter(|record| record["type"] == kind)
            .collect()
    }

    pub fn whole(&self) -> String {
        let code = self.code.map_or("none".to_owned(), |code| code.to_string());
        format!(
            "exit {code}\n--- stdout\n{}--- stderr\n{}",
            self.stdout, self.stderr
        )
    }

    pub fn masked(&self) -> String {
        masked(&self.whole())
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.whole());
        self
    }
}

pub struct Listener {
    pub running: Running,
    pub url: String,
}

#[track_caller]
pub fn listener(arguments: &[&str]) -> Listener {
    let fixed = ["listen", "--port", "0", "--format", "ndjson"];
    let mut running = program(fixed.iter().chain(arguments)).start();
    let ready = running.record();
    assert_eq!(ready["type"], "listening");
    Listener {
        url: ready["url"].as_str().expect("a URL").to_owned(),
        running,
    }
}

/// Replaces what differs between runs: ports by `PORT`, times of day by `TIME`, durations by `T`, rates by `N/s`.
pub fn masked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let length = from
            .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ':'))
            .unwrap_or(from.len());
        let (number, after) = from.split_at(length);
        rest = after;
        let unit = [" µs", " ms", " s"].into_iter().find(|unit| {
            after
                .strip_prefix(unit)
                .is_some_and(|next| !next.starts_with(|c: char| c.is_alphanumeric()))
        });
        if out.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_')) {
            out.push_str(number);
        } else if let Some(unit) = unit {
            rest = &after[unit.len()..];
            let row = out
                .rsplit('\n')
                .next()
                .is_some_and(|line| line.starts_with("lat"));
            let column = row || out.len() - out.trim_end_matches(' ').len() > 1;
            out.truncate(if column {
                out.trim_end_matches(' ').len()
            } else {
                out.len()
            });
            out.push_str(if column { "       T" } else { "T" });
        } else if after.starts_with("/s") && number.contains('.') {
            out.push('N');
        } else if number.starts_with("127.0.0.1:") {
            out.push_str("127.0.0.1:PORT");
            out.push_str(if number.ends_with(':') { ":" } else { "" });
        } else if number.len() == "09:12:31.402".len() && number.matches(':').count() == 2 {
            out.push_str("TIME");
        } else {
            out.push_str(number);
        }
    }
    out + rest
}

#[track_caller]
pub fn pretty_listener(arguments: &[&str]) -> Listener {
    ready(program(["listen", "--port", "0"].iter().chain(arguments)))
}

#[track_caller]
pub fn ready(program: Program) -> Listener {
    let mut running = program.start();
    loop {
        let line = running.talk();
        if let Some(url) = line.strip_prefix("listening on ") {
            return Listener {
                url: url.trim_end().to_owned(),
                running,
            };
        }
    }
}

#[cfg(unix)]
pub fn lives(number: &str) -> bool {
    if Path::new("/proc/self/stat").exists() {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        return stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'));
    }
    Command::new("kill")
        .args(["-0", number])
        .output()
        .expect("kill runs")
        .status
        .success()
}

#[cfg(unix)]
#[track_caller]
pub fn expect_gone_soon(number: &str) {
    let asked = Clock::start();
    while lives(number) {
        assert!(asked.elapsed() < DEADLINE, "{number} was left behind");
        thread::yield_now();
    }
}

#[track_caller]
pub fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name);
    std::fs::read(path).expect("a fixture")
}
