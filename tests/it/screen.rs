//! Tests of the text on a terminal: the program runs on a pty, and an independent terminal emulator reads the bytes.

use std::io::Read as _;
use std::num::NonZeroU16;
use std::process::Child;
use std::sync::mpsc;
use std::thread;

use vt100::{Callbacks, Color, Parser};

use super::peers::{answer, post, post_json, say, stub};
use super::program::{DEADLINE, binary, fixture};

/// Escape sequences for clear, home, colours, a bell, a title, a link, the clipboard; a forged line, bidirectional and
/// invisible characters, and 8-bit CSI.
const HOSTILE: &str = "\u{1b}[2J\u{1b}[H\u{1b}[7;45;97mFORGED\u{7}\u{1b}]0;TITLE\u{7}\u{1b}]8;;http://h\u{7}\u{1b}]52;c;eA==\u{7}\
    \r\n00:00:00.000  #9  POST /forged  200\u{2028}\u{202e}\u{200b}\u{9b}1A\u{8}\u{8}\u{c}";

const OBSCURE: &str = "FORGED\t\u{202e}\u{2066}\u{200b}\u{9b}2J\u{85}\u{2028}";

const NAMES: [&str; 6] = ["प्रिया शर्मा", "தமிழ்ச்செல்வி", "مريم", "Zoë", "北京", "😀"];

#[derive(Default)]
struct Tricks(Vec<String>);

impl Callbacks for Tricks {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.0.push("a bell".to_owned());
    }
    fn visual_bell(&mut self, _: &mut vt100::Screen) {
        self.0.push("a flash".to_owned());
    }
    fn resize(&mut self, _: &mut vt100::Screen, _: (u16, u16)) {
        self.0.push("another size".to_owned());
    }
    fn set_window_icon_name(&mut self, _: &mut vt100::Screen, _: &[u8]) {
        self.0.push("an icon's name".to_owned());
    }
    fn set_window_title(&mut self, _: &mut vt100::Screen, _: &[u8]) {
        self.0.push("a title".to_owned());
    }
    fn copy_to_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8], _: &[u8]) {
        self.0.push("the clipboard".to_owned());
    }
    fn paste_from_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8]) {
        self.0.push("the clipboard's content".to_owned());
    }
    fn unhandled_control(&mut self, _: &mut vt100::Screen, byte: u8) {
        self.0.push(format!("control {byte:#x}"));
    }
    fn unhandled_escape(&mut self, _: &mut vt100::Screen, _: Option<u8>, _: Option<u8>, byte: u8) {
        self.0.push(format!("escape {byte:#x}"));
    }
    fn unhandled_csi(
        &mut self,
        _: &mut vt100::Screen,
        _: Option<u8>,
        _: Option<u8>,
        _: &[&[u16]],
        c: char,
    ) {
        self.0.push(format!("control sequence {c}"));
    }
    fn unhandled_osc(&mut self, _: &mut vt100::Screen, parameters: &[&[u8]]) {
        self.0.push(format!("system command {parameters:?}"));
    }
}

struct Terminal {
    child: Child,
    bytes: mpsc::Receiver<Vec<u8>>,
    parser: Parser<Tricks>,
    raw: Vec<u8>,
}

const ROWS: u16 = 900;

impl Terminal {
    #[track_caller]
    fn new(columns: u16, arguments: &[&str]) -> Self {
        let (mut pty, pts) = pty_process::blocking::open().expect("a pty");
        pty.resize(pty_process::Size::new(ROWS, columns))
            .expect("a size");
        let child = pty_process::blocking::Command::new(binary())
            .args(arguments)
            .env_clear()
            .env("TERM", "xterm-256color")
            .spawn(pts)
            .expect("the program starts");
        let (send, bytes) = mpsc::channel();
        thread::spawn(move || {
            let mut chunk = vec![0; 64 * 1024];
            // At the end of the program, reading a pty is an error on Linux and an end of file on other systems.
            while let Ok(count @ 1..) = pty.read(&mut chunk) {
                if send.send(chunk[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let size = |n| NonZeroU16::new(n).expect("a size");
        let parser = Parser::new_with_callbacks(size(ROWS), size(columns), 0, Tricks::default());
        Self {
            child,
            bytes,
            parser,
            raw: Vec::new(),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.parser.process(bytes);
    }

    #[track_caller]
    fn listener(columns: u16, arguments: &[&str]) -> (Self, String) {
        let fixed = ["listen", "--port", "0", "--timeout", "25s"];
        let mut terminal = Self::new(columns, &[&fixed, arguments].concat());
        loop {
            let line = terminal
                .rows()
                .into_iter()
                .find_map(|row| Some(row.strip_prefix("listening on ")?.to_owned()));
            if let Some(url) =
                line.filter(|_| terminal.rows().iter().any(|row| row.starts_with("try: ")))
            {
                return (terminal, url);
            }
            let bytes = terminal.bytes.recv_timeout(DEADLINE).expect("a ready line");
            terminal.take(&bytes);
        }
    }

    fn rows(&self) -> Vec<String> {
        let (_, columns) = self.parser.screen().size();
        self.parser.screen().rows(0, columns.get()).collect()
    }

    #[track_caller]
    fn end(mut self) -> Seen {
        loop {
            match self.bytes.recv_timeout(DEADLINE) {
                Ok(bytes) => self.take(&bytes),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!("no end in time; so far:\n{}", self.rows().join("\n"))
                }
            }
        }
        let code = self.child.wait().expect("a status").code();
        let rows = self.rows();
        let all = rows.join("\n").trim_end().to_owned();
        let seen = Seen { code, rows };
        assert!(!all.contains("panicked"), "{all}");
        assert_eq!(self.parser.callbacks().0, [""; 0], "{all}");
        let last = seen
            .rows
            .iter()
            .rposition(|row| !row.is_empty())
            .expect("a line");
        assert_eq!(
            self.parser.screen().cursor_position(),
            (u16::try_from(last + 1).expect("few rows"), 0),
            "{all}"
        );
        let broken = self.check_cells(&all);
        let newlines = self.raw.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(
            newlines + broken,
            last + 1,
            "lines were moved or erased:\n{all}"
        );
        seen
    }

    #[track_caller]
    fn check_cells(&self, all: &str) -> usize {
        let screen = self.parser.screen();
        let (rows, columns) = screen.size();
        let (mut line, mut broken) = (String::new(), 0);
        for (row, text) in (0..rows.get()).zip(self.rows()) {
            line.push_str(&text);
            if screen.row_wrapped(row) {
                let ours = [
                    "sending ",
                    "repeat: ",
                    "try: ",
                    "listening on ",
                    "    telecmi-cdr ",
                ]
                .iter()
                .any(|word| line.starts_with(word));
                assert!(ours, "the terminal broke row {row}:\n{all}");
                broken += 1;
            } else {
                line.clear();
            }
            for column in 0..columns.get() {
                let Some(cell) = screen.cell(row, column) else {
                    continue;
                };
                let ours = matches!(cell.fgcolor(), Color::Default | Color::Idx(1..=6));
                let plain = !(cell.inverse() || cell.underline() || cell.italic());
                assert!(
                    ours && plain && cell.bgcolor() == Color::Default,
                    "row {row}, column {column}:\n{all}"
                );
            }
        }
        broken
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Seen {
    code: Option<i32>,
    rows: Vec<String>,
}

impl Seen {
    #[track_caller]
    fn starts_with(&self, ours: &[&str]) -> usize {
        let mut copied = false;
        let is_head = |row: &str| {
            let (time, rest) = row.split_once("  #").unwrap_or_default();
            time.len() == "09:12:31.402".len() && rest.starts_with(|c: char| c.is_ascii_digit())
        };
        for row in &self.rows {
            let is_ours = row.is_empty()
                || row.starts_with("  ")
                || is_head(row)
                || ours.iter().any(|beginning| row.starts_with(beginning))
                || copied;
            copied =
                row.starts_with("repeat: ") || (copied && !row.is_empty() && !row.starts_with(' '));
            assert!(is_ours, "{row:?} in\n{}", self.rows.join("\n"));
        }
        self.rows.iter().filter(|row| is_head(row)).count()
    }

    fn text(&self) -> String {
        self.rows.iter().map(|row| row.trim_start()).collect()
    }
}

fn percent(text: &str) -> String {
    percent_encoding::percent_encode(text.as_bytes(), percent_encoding::NON_ALPHANUMERIC)
        .to_string()
}

fn write_everywhere(url: &str) -> usize {
    let request = |first: &str, headers: &str| {
        say(
            url,
            format!("{first} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n"),
        );
    };
    let names = NAMES.join(" ");
    let hostile = percent(HOSTILE);
    let json = serde_json::json!({
        HOSTILE: HOSTILE, "type": "cdr", "direction": "outbound", "status": "missed", "leg": HOSTILE,
        "user": format!("202_{HOSTILE}"), "hangup_reason": HOSTILE, "to": format!("{HOSTILE}{}", "9".repeat(900)),
        "virtual_number": names, "custom": "x".repeat(900), "deep": {HOSTILE: [HOSTILE, names]},
    });
    let raw = format!("{{\"type\":\"{OBSCURE}\", \"{OBSCURE}\": \"{names}\"}}");
    let part = format!(
        "--x\r\nContent-Disposition: form-data; name=\"{OBSCURE}\"; filename=\"{HOSTILE}\"\r\n\r\n{HOSTILE}\r\n--x--\r\n"
    );
    request(&format!("GE{HOSTILE} /"), "");
    request(&format!("GET /{HOSTILE}?{OBSCURE}={HOSTILE}"), "");
    request(&format!("GET /{OBSCURE}?{OBSCURE}={OBSCURE}"), "");
    request("GET /", &format!("X-{HOSTILE}: 1\r\n"));
    request("GET /", &format!("X-A: {HOSTILE}\r\n"));
    request(
        "GET /",
        &format!(
            "X-A: {OBSCURE}\r\nX-Name: {names}\r\nX-Long: {}\r\n",
            "x".repeat(900)
        ),
    );
    say(url, format!("GET / HTTP/1.{HOSTILE}\r\nHost: h\r\n\r\n"));
    request(
        &format!("POST /{hostile}/{}", "x".repeat(900)),
        "Content-Length: 0\r\n",
    );
    request(
        &format!(
            "GET /{hostile}?{hostile}={hostile}&leg={hostile}&name={}&{}=1",
            percent(&names),
            "x".repeat(900)
        ),
        "",
    );
    request(&format!("HACK{} /", "K".repeat(600)), "");
    post_json(url, json.to_string());
    post_json(url, raw);
    post_json(
        url,
        format!("{{ {HOSTILE}: '{HOSTILE}', name: '{names}' }}"),
    );
    post_json(url, format!("{HOSTILE}{}", "y".repeat(900)));
    post(
        url,
        "Content-Type: application/x-www-form-urlencoded\r\n",
        format!("{hostile}={hostile}&leg={hostile}"),
    );
    post(
        url,
        "Content-Type: multipart/form-data; boundary=x\r\n",
        part,
    );
    post(url, &format!("Content-Type: {OBSCURE}\r\n"), "{}");
    post(url, &format!("Content-Encoding: {OBSCURE}\r\n"), "{}");
    say(url, format!("{HOSTILE}\r\n\r\n"));
    15
}

#[test]
fn strangers_cannot_touch_the_terminal_of_a_listener() {
    let (terminal, url) = Terminal::listener(96, &["-v", "--color", "always", "--count", "2"]);
    let least = write_everywhere(&url);
    post_json(&url, fixture("docs-leg-a.json"));
    let seen = terminal.end();
    let blocks = seen.starts_with(&[
        "listening on http",
        "try: ",
        "! ",
        "retries",
        "1 request failed: 1 retried, ",
        "Intervals",
        "Requests",
        "received all expected CDRs · ",
    ]);
    assert!(
        blocks >= least,
        "{blocks} blocks in\n{}",
        seen.rows.join("\n")
    );
    assert_eq!(seen.code, Some(0));
    let text = seen.text();
    for name in NAMES {
        assert!(text.contains(name), "{name} in\n{}", seen.rows.join("\n"));
    }
    assert!(
        text.contains(r"\u{1b}[2J\u{1b}[H\u{1b}[7;45;97mFORGED\u{7}"),
        "{text}"
    );
}

#[test]
fn a_tunnel_cannot_touch_the_terminal_of_a_listener() {
    let long = format!("{}FORGED", "y".repeat(96 - "tunnel: ".len()));
    let line = format!("echo {long}; echo https://h.example; exec sleep 1000");
    let flags = [
        "listen",
        "--port",
        "0",
        "-v",
        "--timeout",
        "2s",
        "--tunnel-cmd",
        &line,
    ];
    let seen = Terminal::new(96, &flags).end();
    seen.starts_with(&[
        "tunnel: yyy",
        "tunnel: https",
        "listening on",
        "public URL",
        "in TeleCMI",
        "try: ",
        "timed out",
    ]);
    assert!(seen.text().contains("FORGED"), "{}", seen.rows.join("\n"));
    assert_eq!(seen.code, Some(0));
}

#[test]
fn the_demo_recommends_no_receiver_that_is_gone() {
    let text = Terminal::new(96, &["send", "--demo"]).end().text();
    assert!(
        text.contains("listening on") && !text.contains("try: "),
        "{text}"
    );
}

#[test]
fn a_narrow_terminal_is_enough() {
    let (terminal, url) = Terminal::listener(37, &["-v", "--count", "2"]);
    write_everywhere(&url);
    post_json(&url, fixture("docs-leg-a.json"));
    terminal.end();
}

#[test]
fn a_handler_cannot_touch_the_terminal_of_a_sender() {
    let names = NAMES.join(" ");
    let sent = |url: &str, more: &[&str]| {
        let fixed = [
            "send",
            "--seed",
            "7",
            "--at",
            "2026-11-22T09:00:00Z",
            "--color",
            "always",
            "--url",
            url,
        ];
        Terminal::new(72, &[&fixed, more].concat()).end()
    };
    let ours = [
        "sending 1 delivery",
        "✓ #1",
        "✗ #1",
        "hint: ",
        "error: ",
        "repeat: ",
        "warning: ",
        "1 of 1 failed",
    ];
    for raw in [
        format!("HTTP/1.1 500 {HOSTILE}\r\ncontent-length: 0\r\n\r\n"),
        format!(
            "HTTP/1.1 500 {OBSCURE}\r\nx-a: {OBSCURE}\r\nx-name: {names}\r\ncontent-length: 0\r\n\r\n"
        ),
        format!("HTTP/1.1 200 OK\r\nx-{HOSTILE}: {HOSTILE}\r\ncontent-length: 0\r\n\r\n"),
        answer(
            "200 OK",
            &format!("x-long: {}\r\n", "x".repeat(900)),
            &format!("{HOSTILE} {names}"),
        ),
        answer(
            "500 No",
            "content-type: application/json\r\n",
            &serde_json::json!({HOSTILE: HOSTILE, "x": "x".repeat(900)}).to_string(),
        ),
        answer(
            "404 No",
            "content-type: text/html\r\n",
            &format!("<title>{HOSTILE}{HOSTILE}</title>"),
        ),
        answer(
            "302 Found",
            &format!("location: /{OBSCURE}{}\r\n", "x".repeat(900)),
            "",
        ),
        answer(
            "302 Found",
            &format!("location: {}\r\n", percent(HOSTILE)),
            "",
        ),
        format!("{HOSTILE}\r\n\r\n"),
    ] {
        let url = stub(raw);
        for flags in [&["-v"][..], &[], &["--expect-body", "other"]] {
            let seen = sent(&url, flags);
            seen.starts_with(&ours);
            assert!(matches!(seen.code, Some(0 | 1)), "{}", seen.rows.join("\n"));
        }
    }
    let verbose = sent(&stub(answer("200 OK", "", &names)), &["-v"]);
    for name in NAMES {
        assert!(
            verbose.text().contains(name),
            "{name} in\n{}",
            verbose.rows.join("\n")
        );
    }
}

#[test]
fn a_handler_cannot_touch_the_terminal_of_a_suite() {
    for raw in [
        answer("500 No", &format!("x-a: {OBSCURE}\r\n"), HOSTILE),
        answer(
            "302 Found",
            &format!("location: http://h/{OBSCURE}{}\r\n", "x".repeat(900)),
            "",
        ),
        format!("{HOSTILE}\r\n\r\n"),
    ] {
        let url = stub(raw);
        let fixed = [
            "send",
            "--suite",
            "--only",
            "post-agent-no-answer,duplicate",
            "--color",
            "always",
            "--url",
            &url,
        ];
        let seen = Terminal::new(72, &fixed).end();
        assert_eq!(seen.code, Some(1), "{}", seen.rows.join("\n"));
        assert!(
            !seen
                .rows
                .iter()
                .any(|row| row.starts_with("FORGED") || row.starts_with("00:00"))
        );
    }
}

#[test]
fn a_file_cannot_touch_the_terminal_of_a_sender() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = "\u{1b}[2J\u{1b}]0;TITLE\u{7}FORGED\r\n✓ #1 POST forged\u{202e}";
    let missing = folder.path().join(name);
    let present = folder.path().join(format!("{name}{}", "x".repeat(100)));
    for content in [
        format!("{{\"a\":1}}\n{HOSTILE}\n{{\"a\":1}}"),
        format!("{{ {HOSTILE} }}"),
        format!("[{{\"{HOSTILE}"),
    ] {
        std::fs::write(&present, content).expect("a file");
        for path in [&missing, &present] {
            let path = path.to_str().expect("text");
            let seen = Terminal::new(
                72,
                &["send", "--url", "http://127.0.0.1:9/", "--file", path],
            )
            .end();
            seen.starts_with(&["error: "]);
            assert_eq!(seen.code, Some(2), "{}", seen.rows.join("\n"));
        }
    }
}
