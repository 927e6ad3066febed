//! Tests of `listen … -- CMD` on a terminal: the command may read from the terminal.

use std::io::{Read as _, Write as _};
use std::process::Child;
use std::sync::{Arc, mpsc};
use std::thread;

use pty_process::blocking::{Command, Pty};

use super::program::{DEADLINE, binary};

struct Typist {
    child: Child,
    pty: Arc<Pty>,
    bytes: mpsc::Receiver<Vec<u8>>,
    seen: String,
}

impl Typist {
    #[track_caller]
    fn new(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Self {
        let (pty, pts) = pty_process::blocking::open().expect("a pty");
        let path = std::env::var_os("PATH").expect("a search path");
        let command = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", path)
            .env("PS1", "> ");
        let child = command.spawn(pts).expect("the program starts");
        let pty = Arc::new(pty);
        let (send, bytes) = mpsc::channel();
        let read = Arc::clone(&pty);
        thread::spawn(move || {
            let mut chunk = vec![0; 4096];
            while let Ok(count @ 1..) = (&*read).read(&mut chunk) {
                if send.send(chunk[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            pty,
            bytes,
            seen: String::new(),
        }
    }

    #[track_caller]
    fn beside(script: &str) -> Self {
        Self::new(
            binary(),
            &[
                "listen",
                "--port",
                "0",
                "--timeout",
                "25s",
                "--",
                "sh",
                "-c",
                script,
            ],
        )
    }

    fn types(&mut self, text: &str) {
        (&*self.pty).write_all(text.as_bytes()).expect("a terminal");
    }

    #[track_caller]
    fn sees(&mut self, words: &str) {
        loop {
            if let Some(at) = self.seen.find(words) {
                self.seen.drain(..at + words.len());
                return;
            }
            match self.bytes.recv_timeout(DEADLINE) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("no {words:?} ({error}); so far:\n{}", self.seen),
            }
        }
    }

    #[track_caller]
    fn ends(mut self, code: i32) {
        while let Ok(bytes) = self.bytes.recv_timeout(DEADLINE) {
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        assert_eq!(
            self.child.wait().expect("a status").code(),
            Some(code),
            "{}",
            self.seen
        );
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_command_may_ask_a_person() {
    for source in ["", "</dev/tty"] {
        let mut typist = Typist::beside(&format!("read x {source}; echo got $x; exit 7"));
        typist.types("a word\n");
        typist.sees("got a word");
        typist.sees("the command ended with 7");
        typist.ends(7);
    }
}

#[test]
fn ctrl_c_ends_whoever_has_the_terminal_and_the_run_with_it() {
    let mut typist = Typist::beside("read a; echo first $a; read b; echo never");
    typist.types("1\n");
    typist.sees("first 1");
    typist.types("\u{3}");
    typist.sees("the command ended by signal 2");
    typist.ends(130);
}

#[test]
fn a_tunnel_has_the_terminal_no_longer_than_it_takes_to_open_it() {
    let line = "read x </dev/tty; echo https://$x.example; exec sleep 1000";
    let arguments = [
        "listen",
        "--port",
        "0",
        "--timeout",
        "25s",
        "--tunnel-cmd",
        line,
    ];
    let mut typist = Typist::new(binary(), &arguments);
    typist.types("word\n");
    typist.sees("https://word.example/webhook/cdr");
    typist.types("\u{3}");
    typist.sees("interrupted");
    assert!(!typist.seen.contains("the tunnel ended"), "{}", typist.seen);
    typist.ends(0);
}

#[test]
fn the_terminal_is_given_back() {
    let listen = format!("{} listen --port 0", binary().display());
    for (flags, script, end) in [
        ("", "read x; echo first $x", "first 1"),
        (
            "--timeout 300ms",
            "trap '' TERM; read x; echo first $x; while :; do sleep 1; done",
            "timed out",
        ),
    ] {
        let line = format!("{listen} {flags} -- sh -c \"$0\"; read y; echo then $y");
        let mut typist = Typist::new("/bin/sh", &["-c", &line, script]);
        typist.types("1\n");
        typist.sees("first 1");
        typist.sees(end.strip_prefix("first 1").unwrap_or(end));
        typist.types("2\n");
        typist.sees("then 2");
        typist.ends(0);
    }
}

#[test]
fn ctrl_z_stops_both_and_both_go_on() {
    let mut typist = Typist::new("/bin/sh", &["-i"]);
    typist.sees("> ");
    typist.types(&format!(
        "{} listen --port 0 -- sh -c 'read a; echo 1st-$a; read b; echo 2nd-$b'\n",
        binary().display()
    ));
    typist.sees("listening on");
    typist.types("x\n");
    typist.sees("1st-x");
    typist.types("\u{1a}");
    typist.sees("Stopped");
    typist.sees("> ");
    typist.types("fg\n");
    typist.types("y\n");
    typist.sees("2nd-y");
    typist.sees("the command ended");
    typist.sees("> ");
    typist.types("exit 3\n");
    typist.ends(3);
}
