//! Tests of `listen --tunnel` with scripts in place of the tunnel programs, which print what the programs'
//! documentation shows.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::thread;

use telecmi_cdr::internals::Clock;

use super::peers::{post, post_json};
use super::program::{DEADLINE, Program, expect_gone_soon, fixture, lives, program};

struct StandIn {
    folder: tempfile::TempDir,
    name: &'static str,
}

impl StandIn {
    fn new(name: &'static str, script: &str) -> Self {
        let stand_in = Self {
            folder: tempfile::tempdir().expect("a folder"),
            name,
        };
        let note = stand_in.note().display().to_string();
        // The file is renamed into place, so that a reader never sees a part of it.
        let whole = format!(
            "#!/bin/sh\nnote() {{ echo \"$$ $*\" >{note}.new; mv {note}.new {note}; }}\n{script}\n"
        );
        let path = stand_in.folder.path().join(name);
        fs::write(&path, whole).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
        stand_in
    }

    fn note(&self) -> PathBuf {
        self.folder.path().join("note")
    }

    fn listen(&self, arguments: &[&str]) -> Program {
        let path = std::env::var("PATH").expect("a search path");
        let path = format!("{}:{path}", self.folder.path().display());
        let kind = if self.name == "ssh" {
            "ssh:me@alias"
        } else {
            self.name
        };
        program(
            ["listen", "--port", "0", "--tunnel", kind]
                .iter()
                .chain(arguments),
        )
        .env("PATH", &path)
    }

    #[track_caller]
    fn words(&self) -> Vec<String> {
        let asked = Clock::start();
        loop {
            if let Ok(note) = fs::read_to_string(self.note()) {
                return note.split_whitespace().map(str::to_owned).collect();
            }
            assert!(
                asked.elapsed() < DEADLINE,
                "it has never written anything down"
            );
            thread::yield_now();
        }
    }

    #[track_caller]
    fn expect_gone(&self) {
        let number = &self.words()[0];
        assert!(!lives(number), "{number} was left behind");
    }
}

const STAY: &str = "exec sleep 1000";

#[track_caller]
fn public_url(stand_in: &StandIn) -> String {
    let mut running = stand_in.listen(&["--format", "ndjson"]).start();
    let ready = running.record();
    running.signal("-TERM");
    let ended = running.end().expect(0);
    assert_eq!(ended.stderr, "");
    assert_eq!(ended.records_of("summary")[0].get("tunnel_ended"), None);
    stand_in.expect_gone();
    ready["public_url"]
        .as_str()
        .unwrap_or_else(|| panic!("{ready}"))
        .to_owned()
}

#[test]
fn cloudflared_tells_in_its_log() {
    let script = format!(
        "note \"$@\"; echo 'INF |  https://oak-elm.trycloudflare.com  |' >&2; \
         echo 'INF Registered tunnel connection connIndex=0' >&2; {STAY}"
    );
    assert_eq!(
        public_url(&StandIn::new("cloudflared", &script)),
        "https://oak-elm.trycloudflare.com"
    );
}

#[test]
fn ngrok_tells_in_its_log() {
    let record = r#"{"lvl":"info","msg":"started tunnel","name":"command_line","url":"https://ab12.ngrok.example"}"#;
    let stand_in = StandIn::new("ngrok", &format!("note \"$@\"; echo '{record}'; {STAY}"));
    assert_eq!(public_url(&stand_in), "https://ab12.ngrok.example");
}

#[test]
fn bore_tells_its_port() {
    let script = format!(
        "note \"$@\"; echo ' INFO bore_cli::client: listening at bore.example:40123'; {STAY}"
    );
    assert_eq!(
        public_url(&StandIn::new("bore", &script)),
        "http://bore.example:40123"
    );
}

#[test]
fn ssh_tells_the_port_and_where_the_alias_leads() {
    let script = format!(
        "if [ \"$1\" = -G ]; then printf 'user me\\nhostname real.example\\nport 22\\n'; exit; fi; note \"$@\"; \
         printf 'debug1: x\\r\\nAllocated port 40123 for remote forward to 127.0.0.1:1\\r\\n' >&2; {STAY}"
    );
    assert_eq!(
        public_url(&StandIn::new("ssh", &script)),
        "http://real.example:40123"
    );
}

#[test]
fn any_other_program_is_a_line_for_the_shell() {
    let line = "echo local {url}; echo public https://{port}.example; exec sleep 1000";
    let arguments = [
        "listen",
        "--port",
        "0",
        "--format",
        "ndjson",
        "--tunnel-cmd",
        line,
    ];
    let mut running = program(arguments).path().start();
    let ready = running.record();
    let port = ready["url"]
        .as_str()
        .and_then(|url| url.rsplit(':').next())
        .expect("a port");
    assert_eq!(ready["public_url"], format!("https://{port}.example"));
    running.signal("-INT");
    running.end().expect(0);
}

#[test]
fn a_person_reads_what_to_paste_and_where() {
    let said = |arguments: &[&str]| {
        let fixed = ["listen", "--port", "0", "--timeout", "10ms"];
        program(fixed.iter().chain(arguments))
            .run()
            .expect(0)
            .masked()
    };
    insta::assert_snapshot!(said(&["--public-url", "https://cdr.example"]), @r#"
    exit 0
    --- stdout
    timed out · 0 requests · 0 CDRs · 0 remarks
    --- stderr
    listening on http://127.0.0.1:PORT
    public URL  https://cdr.example/webhook/cdr
    in TeleCMI's dashboard: business number → SETTINGS →
      WEBHOOKS → type "call report" → method (POST or GET) →
      paste the URL
    "#);
    for (given, shown) in [
        (
            "https://cdr.example/",
            "public URL  https://cdr.example/webhook/cdr\n",
        ),
        (
            "https://cdr.example/own/path?a=1",
            "public URL  https://cdr.example/own/path?a=1\n",
        ),
        (
            "https://me:hush@cdr.example/own?token=hush",
            "public URL  https://***@cdr.example/own?token=***\n",
        ),
    ] {
        let said = said(&["--public-url", given]);
        assert!(said.contains(shown) && !said.contains("hush"), "{said}");
        assert!(
            said.lines().all(|line| line.chars().count() <= 72),
            "{said}"
        );
    }
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let ended = program(["listen", "--port", "0", "--tunnel", "cloudflared"])
        .env("PATH", "/nowhere")
        .run()
        .expect(2);
    insta::assert_snapshot!(ended.masked(), @"
    exit 2
    --- stdout
    --- stderr
    error: cannot run cloudflared: No such file or directory (os error 2)
      hint: install cloudflared and put it into PATH; or open a tunnel to 127.0.0.1:PORT yourself, and add --public-url URL
    ");
}

#[test]
fn one_that_ends_before_its_url_has_the_last_word() {
    let record = r#"{"lvl":"eror","msg":"failed to auth","err":"no account.\n\nERR_NGROK_4018\n"}"#;
    let script = format!(
        "note \"$@\"; printf '%s\\n' '{record}'; printf 'authtoken: 2hush \\033[2Jgone\\n' >&2; exit 1"
    );
    let stand_in = StandIn::new("ngrok", &script);
    let ended = stand_in.listen(&[]).run().expect(2);
    assert!(
        ended
            .stderr
            .contains("  it said: failed to auth: no account. ERR_NGROK_4018\n"),
        "{}",
        ended.whole()
    );
    assert!(
        ended
            .stderr
            .contains("  it said: authtoken: *** \\u{1b}[2Jgone\n"),
        "{}",
        ended.whole()
    );
    assert!(
        ended
            .stderr
            .starts_with("error: ngrok ended with 1 before it printed its public URL\n"),
        "{}",
        ended.whole()
    );
    assert!(
        ended.stderr.contains("  hint: ngrok needs an account"),
        "{}",
        ended.whole()
    );
    stand_in.expect_gone();
}

#[test]
fn a_person_need_not_wait_for_the_url() {
    let script = "trap '' TERM INT; note \"$@\"; while :; do sleep 1000; done";
    let stand_in = StandIn::new("bore", script);
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let _ = fs::remove_file(stand_in.note());
        let running = stand_in.listen(&[]).start();
        stand_in.words();
        running.signal(signal);
        let ended = running.end().expect(code);
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
        expect_gone_soon(&stand_in.words()[0]);
    }
}

#[test]
fn its_end_is_told_at_once_and_the_listener_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let held = folder.path().join("held");
    fs::write(&held, "").expect("a file");
    let script = format!(
        "note \"$@\"; echo 'listening at bore.example:1'; while [ -e {} ]; do sleep 0.01; done; \
         echo 'Error: server went away' >&2; exit 1",
        held.display()
    );
    let stand_in = StandIn::new("bore", &script);
    let mut running = stand_in
        .listen(&["--format", "ndjson", "--count", "1"])
        .start();
    let url = running.record()["url"].as_str().expect("a URL").to_owned();
    fs::remove_file(held).expect("removed");
    let warning = running.talk();
    assert_eq!(
        warning,
        "warning: the tunnel ended with 1: listening at bore.example:1 / Error: server went away\n"
    );
    post_json(&url, fixture("docs-leg-a.json"));
    let ended = running.end().expect(0);
    assert_eq!(ended.records_of("summary")[0]["tunnel_ended"], true);
}

#[test]
fn verbose_shows_what_it_says() {
    let script = format!("note \"$@\"; echo 'listening at bore.example:1'; {STAY}");
    let ended = StandIn::new("bore", &script)
        .listen(&["--verbose", "--timeout", "1s"])
        .run()
        .expect(0);
    assert!(
        ended
            .stderr
            .contains("tunnel: listening at bore.example:1\n"),
        "{}",
        ended.whole()
    );
}

#[test]
fn the_command_learns_the_public_url() {
    let script = format!("note \"$@\"; echo 'listening at bore.example:1'; {STAY}");
    let stand_in = StandIn::new("bore", &script);
    let show = "echo \"$TELECMI_CDR_URL $TELECMI_CDR_PUBLIC_URL\"";
    let ended = stand_in.listen(&["--", "sh", "-c", show]).run().expect(0);
    assert!(
        ended.stdout.contains(" http://bore.example:1\n"),
        "{}",
        ended.whole()
    );
    stand_in.expect_gone();
    let arguments = [
        "listen",
        "--port",
        "0",
        "--public-url",
        "https://h.example/?token=x",
        "--",
        "sh",
        "-c",
        show,
    ];
    let ended = program(arguments).path().run().expect(0);
    assert!(
        ended.stdout.contains(" https://h.example/?token=x\n"),
        "{}",
        ended.whole()
    );
}

#[test]
fn a_known_public_url_is_not_waited_for() {
    let arguments = [
        "listen",
        "--port",
        "0",
        "--format",
        "ndjson",
        "--timeout",
        "1s",
        "--public-url",
    ];
    let rest = ["https://named.example", "--tunnel-cmd", "exec sleep 1000"];
    let ended = program(arguments.iter().chain(&rest))
        .path()
        .run()
        .expect(0);
    assert_eq!(ended.records()[0]["public_url"], "https://named.example");
}

#[test]
fn wrong_words_about_tunnels_are_refused() {
    for (arguments, words) in [
        (
            ["--tunnel", "localtunnel"].as_slice(),
            "expected cloudflared, ngrok, bore",
        ),
        (
            &["--tunnel", "ssh:-oProxyCommand=x"],
            "not a valid host name",
        ),
        (&["--tunnel-cmd", ""], "--tunnel-cmd"),
        (
            &["--tunnel", "bore", "--tunnel-cmd", "x"],
            "cannot be used with",
        ),
        (
            &["--tunnel", "bore", "--public-url", "https://h.example"],
            "cannot be used with",
        ),
        (
            &["--public-url", "ftp://me:hush@h.example"],
            "--public-url: only http:// and https://",
        ),
    ] {
        let ended = program(["listen", "--port", "0"].iter().chain(arguments))
            .run()
            .expect(2);
        assert!(
            ended.stderr.contains(words) && !ended.stderr.contains("hush"),
            "{arguments:?}: {}",
            ended.stderr
        );
    }
}

#[test]
fn whom_a_request_claims_to_come_from_is_shown_where_that_is_wanted() {
    let headers = "Content-Type: application/json\r\nX-Forwarded-For: 203.0.113.9, 10.0.0.1\r\n";
    for (flags, claimed) in [
        ([].as_slice(), None),
        (&["--trust-proxy"], Some("203.0.113.9")),
    ] {
        let flags: Vec<_> = ["--count", "2"].iter().chain(flags).copied().collect();
        let listener = super::program::listener(&flags);
        post(&listener.url, headers, fixture("docs-leg-a.json"));
        post_json(&listener.url, fixture("docs-leg-b.json"));
        let exchanges = listener.running.end().expect(0).records_of("exchange");
        assert_eq!(
            exchanges[0]
                .get("claimed")
                .and_then(|claimed| claimed.as_str()),
            claimed
        );
        assert_eq!(exchanges[1].get("claimed"), None);
        assert!(
            exchanges[0]["peer"]
                .as_str()
                .is_some_and(|peer| peer.starts_with("127.0.0.1:"))
        );
    }
    let listener = super::program::pretty_listener(&["--count", "1", "--trust-proxy"]);
    post(&listener.url, headers, fixture("docs-leg-a.json"));
    let shown = super::program::masked(&listener.running.end().expect(0).stdout);
    assert!(
        shown.contains("  from 127.0.0.1:PORT, claimed 203.0.113.9\n"),
        "{shown}"
    );
}
