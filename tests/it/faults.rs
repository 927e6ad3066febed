//! Tests of `listen --fault` and `--fail-first`, seen from the client and in the output.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use super::peers::{post_json, say};
use super::program::{DEADLINE, Listener, fixture, listener, pretty_listener, program};

#[track_caller]
fn posted(url: &str) -> TcpStream {
    let body = fixture("docs-leg-a.json");
    let mut stream = TcpStream::connect(url.strip_prefix("http://").expect("a plain URL"))
        .expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    let head = format!(
        "POST /cdr HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("written");
    stream.write_all(&body).expect("written");
    stream
}

fn outcome(mut stream: TcpStream) -> (String, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes);
    (
        String::from_utf8_lossy(&bytes).into_owned(),
        end.err().map(|error| error.kind()),
    )
}

fn status(url: &str) -> String {
    let answer = post_json(url, fixture("docs-leg-a.json"));
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_count_that_the_failed_requests_reach_is_warned_about() {
    let warned = |flags: &[&str]| {
        let listen = [
            "listen",
            "--port",
            "0",
            "--timeout",
            "10ms",
            "-q",
            "--fail-first",
            "2",
        ];
        let ended = program(listen.iter().chain(flags)).run();
        ended.stderr.contains("warning: --fail-first 2: --count 2 counts failed CDRs too, so listening stops before a \
                               CDR is accepted; a higher --count waits for one\n")
    };
    assert!(warned(&["--count", "2"]));
    for flags in [
        &["--count", "3"][..],
        &["--count", "2", "--settle", "1ms"],
        &["--count", "2", "--expect", "leg=b"],
    ] {
        assert!(!warned(flags), "{flags:?}");
    }
}

#[test]
fn each_kind_is_what_it_is_called_and_is_told_so() {
    let nothing = String::new;
    for (kind, said, end, shown) in [
        (
            "reset",
            nothing(),
            Some(ErrorKind::ConnectionReset),
            "✗ reset (injected) · ",
        ),
        ("empty", nothing(), None, "✗ empty (injected) · "),
        ("hang", nothing(), None, "✗ hang (injected) · "),
        (
            "slow",
            "HTTP/1.1 200 OK\r\n".to_owned(),
            None,
            "200, slow (injected) · ",
        ),
        (
            "garbage",
            "\0\u{fffd}\u{fffd} this is no HTTP".to_owned(),
            None,
            "✗ garbage (injected) · ",
        ),
    ] {
        let Listener { running, url } = pretty_listener(&["--fault", kind, "--count", "1"]);
        let (bytes, ended) = outcome(posted(&url));
        assert!(
            bytes.starts_with(&said) && bytes.is_empty() == said.is_empty(),
            "{kind}: {bytes:?}"
        );
        assert_eq!(ended, end, "{kind}");
        let ended = running.end().expect(0);
        assert!(
            ended.stdout.contains(&format!("POST /cdr  {shown}")),
            "{}",
            ended.stdout
        );
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn a_status_is_a_proper_answer() {
    for (kind, line) in [
        ("status", "503 Service Unavailable"),
        ("status:429", "429 Too Many Requests"),
    ] {
        let mut listener = listener(&["--fault", kind, "--count", "1"]);
        let answer = post_json(&listener.url, fixture("docs-leg-a.json"));
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {line}\r\n")),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\nfailing on purpose\n"), "{answer}");
        let told = &listener.running.record()["answer"];
        let status: u16 = line[..3].parse().expect("a status");
        assert_eq!(
            (&told["status"], &told["fault"]),
            (&status.into(), &"status".into())
        );
        let ended = listener.running.end().expect(0);
        assert_eq!(ended.records_of("summary")[0]["malformed"], 0);
    }
}

#[test]
fn the_first_fail_and_then_all_is_well() {
    let listener = listener(&["--fail-first", "2", "--count", "4"]);
    let met: Vec<_> = (0..4).map(|_| status(&listener.url)).collect();
    assert_eq!(met, ["503", "503", "200", "200"]);
    let ended = listener.running.end().expect(0);
    let faults: Vec<_> = ended
        .records_of("exchange")
        .iter()
        .map(|record| record["answer"]["fault"].clone())
        .collect();
    assert_eq!(
        faults,
        [
            "status".into(),
            "status".into(),
            serde_json::Value::Null,
            serde_json::Value::Null
        ]
    );
}

#[test]
fn chance_follows_from_the_seed() {
    let met = |seed| {
        let arguments = [
            "--fail-first",
            "1",
            "--fault",
            "empty",
            "--fault-rate",
            "50%",
            "--count",
            "20",
            "--seed",
            seed,
        ];
        let listener = listener(&arguments);
        let met: Vec<_> = (0..20).map(|_| status(&listener.url)).collect();
        assert_eq!(listener.running.end().expect(0).stderr, "");
        met.join(" ")
    };
    let seven = met("7");
    assert_eq!(seven, met("7"));
    assert_ne!(seven, met("8"));
    assert!(seven.starts_with(' ') && seven.contains("200"), "{seven}");
}

#[test]
fn a_seed_that_was_not_given_is_told_if_it_decides_something() {
    for (arguments, told) in [
        (&["--fault-rate", "0.5"][..], true),
        (&["--delay", "1ms..2ms"], true),
        (&["--fault-rate", "0.5", "--seed", "3"], false),
        (&["--fault", "reset"], false),
    ] {
        let fixed = ["listen", "--port", "0", "--timeout", "10ms"];
        let ended = program(fixed.iter().chain(arguments)).run().expect(0);
        let seed = ended
            .stderr
            .lines()
            .find_map(|line| line.strip_prefix("seed "));
        assert_eq!(seed.is_some(), told, "{arguments:?}: {}", ended.stderr);
        if let Some((seed, again)) = seed.and_then(|line| line.split_once(':')) {
            assert_eq!(again, format!(" repeat this run with --seed {seed}"));
        }
    }
}

#[test]
fn a_request_that_is_unsound_fails_by_itself() {
    let listener = listener(&["--fault", "reset", "--count", "1"]);
    let answer = say(&listener.url, "GET / HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    drop(posted(&listener.url));
    let ended = listener.running.end().expect(0);
    let exchanges = ended.records_of("exchange");
    assert_eq!(
        (
            exchanges[0]["answer"]["status"].clone(),
            exchanges[0]["answer"].get("fault")
        ),
        (400.into(), None)
    );
    assert_eq!(exchanges[1]["answer"]["fault"], "reset");
}

/// On other systems a process may not have that many sockets.
#[cfg(target_os = "linux")]
#[test]
fn who_is_left_hanging_is_shown_at_once_and_blocks_nobody() {
    const MANY: usize = 300;
    let mut listener = listener(&["--fault", "hang", "--fail-first", "300", "--count", "301"]);
    let mut hanging = Vec::new();
    for _ in 0..MANY {
        hanging.push(posted(&listener.url));
    }
    for _ in 0..MANY {
        assert_eq!(listener.running.record()["answer"]["fault"], "hang");
    }
    assert_eq!(status(&listener.url), "200");
    let ended = listener.running.end().expect(0);
    assert_eq!(ended.records_of("summary")[0]["counted"], 301);
    for stream in hanging {
        assert_eq!(outcome(stream), (String::new(), None));
    }
}

#[cfg(unix)]
#[test]
fn nothing_of_this_holds_up_the_end() {
    for kind in ["hang", "slow"] {
        let mut listener = listener(&["--fault", kind]);
        let stream = posted(&listener.url);
        assert_eq!(listener.running.record()["answer"]["fault"], kind);
        listener.running.signal("-INT");
        listener.running.end().expect(0);
        let (said, end) = outcome(stream);
        assert_eq!(
            (said.ends_with("\r\n\r\ngot it"), end),
            (kind == "slow", None),
            "{said:?}"
        );
    }
}
