//! Tests of the start and the end of `listen`: ready line, `--count`, `--timeout`, signals, ports, output.

use super::peers::{post_json, say};
use super::program::{fixture, listener, pretty_listener, program};

fn send_both_legs(url: &str) {
    for name in ["docs-leg-b.json", "docs-leg-a.json"] {
        assert!(post_json(url, fixture(name)).starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn the_ready_line_says_where() {
    let listener = pretty_listener(&["--count", "1"]);
    assert!(
        listener.url.starts_with("http://127.0.0.1:"),
        "{}",
        listener.url
    );
    post_json(&listener.url, fixture("docs-leg-a.json"));
    let ended = listener.running.end().expect(0);
    assert_eq!(ended.stderr, format!("listening on {}\n", listener.url));
}

#[test]
fn the_first_record_says_where() {
    let mut running = program([
        "listen",
        "--port",
        "0",
        "--format",
        "ndjson",
        "--timeout",
        "20s",
    ])
    .start();
    let ready = running.record();
    assert_eq!(
        (&ready["type"], &ready["v"]),
        (&"listening".into(), &1.into())
    );
    assert_eq!(ready["version"], env!("CARGO_PKG_VERSION"));
    assert!(ready["pid"].is_u64() && ready["url"].is_string(), "{ready}");
}

#[test]
fn it_stops_when_the_wanted_number_has_come() {
    let listener = listener(&["--count", "2", "--timeout", "20s"]);
    send_both_legs(&listener.url);
    let ended = listener.running.end().expect(0);
    assert_eq!(ended.stderr, "");
    let summary = &ended.records_of("summary")[0];
    for (field, value) in [
        ("exchanges", 2),
        ("cdrs", 2),
        ("counted", 2),
        ("wanted", 2),
        ("exit", 0),
    ] {
        assert_eq!(summary[field], value, "{field} in {summary}");
    }
    assert_eq!(summary["ending"], "counted");
}

#[test]
fn only_cdrs_count() {
    let listener = listener(&["--count", "1"]);
    say(
        &listener.url,
        "GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    post_json(&listener.url, "{");
    post_json(&listener.url, fixture("broken/live-event.json"));
    post_json(&listener.url, fixture("docs-leg-a.json"));
    let ended = listener.running.end().expect(0);
    let summary = &ended.records_of("summary")[0];
    assert_eq!(
        (&summary["exchanges"], &summary["counted"]),
        (&4.into(), &1.into())
    );
}

#[test]
fn time_without_a_number_is_no_failure() {
    let ended = program(["listen", "--port", "0", "--timeout", "10ms"])
        .run()
        .expect(0);
    insta::assert_snapshot!(ended.masked(), @"
    exit 0
    --- stdout
    timed out · 0 requests · 0 CDRs · 0 remarks
    --- stderr
    listening on http://127.0.0.1:PORT
    ");
}

#[test]
fn time_before_the_number_is_124() {
    let ended = program(["listen", "--port", "0", "--timeout", "10ms", "-n", "2"])
        .run()
        .expect(124);
    insta::assert_snapshot!(ended.masked(), @"
    exit 124
    --- stdout
    timed out · 0 requests · 0 of 2 CDRs · 0 remarks
    --- stderr
    listening on http://127.0.0.1:PORT
    ");
}

#[cfg(unix)]
mod signals {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use crate::program::{listener, pretty_listener};

    #[test]
    fn a_person_may_stop_an_open_ended_listener() {
        let listener = pretty_listener(&[]);
        listener.running.signal("-INT");
        insta::assert_snapshot!(listener.running.end().expect(0).masked(), @"
        exit 0
        --- stdout
        interrupted · 0 requests · 0 CDRs · 0 remarks
        --- stderr
        listening on http://127.0.0.1:PORT
        ");
    }

    #[test]
    fn before_the_wanted_number_it_is_an_interruption() {
        for (signal, code, ending) in [("-INT", 130, "interrupted"), ("-TERM", 143, "terminated")] {
            let listener = listener(&["--count", "1"]);
            listener.running.signal(signal);
            let ended = listener.running.end().expect(code);
            let summary = &ended.records_of("summary")[0];
            assert_eq!(
                (&summary["ending"], &summary["exit"]),
                (&ending.into(), &code.into())
            );
        }
    }

    #[test]
    fn a_second_signal_waits_for_nobody() {
        let listener = listener(&[]);
        let address = listener
            .url
            .strip_prefix("http://")
            .expect("a plain URL")
            .to_owned();
        let mut sender = TcpStream::connect(&address).expect("a connection");
        sender
            .write_all(
                b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
            )
            .expect("written");
        let mut interim = [0; 12];
        sender.read_exact(&mut interim).expect("an answer");
        assert_eq!(&interim, b"HTTP/1.1 100");

        listener.running.signal("-INT");
        // The listener has handled the first signal when it accepts no more connections.
        while TcpStream::connect(&address).is_ok() {}
        listener.running.signal("-INT");
        listener.running.end().expect(130);
    }
}

#[test]
fn a_port_that_is_taken_stops_it_before_it_is_ready() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("an address").port().to_string();
    for format in ["pretty", "ndjson"] {
        let ended = program(["listen", "--port", &port, "--format", format])
            .run()
            .expect(2);
        assert_eq!(ended.stdout, "");
        assert!(ended.stderr.starts_with(&format!(
            "error: cannot listen on 127.0.0.1:{port}\n  caused by: "
        )));
        assert!(
            ended
                .stderr
                .contains("\n  hint: the port is in use: choose another with --port N")
        );
    }
}

#[test]
fn a_host_that_is_not_ours_is_named() {
    // 192.0.2.1 is in TEST-NET-1 (RFC 5737), which belongs to no machine.
    let ended = program(["listen", "--port", "0", "--host", "192.0.2.1"])
        .run()
        .expect(2);
    assert!(
        ended
            .stderr
            .contains("error: cannot listen on 192.0.2.1:0\n"),
        "{}",
        ended.stderr
    );
    assert!(
        ended
            .stderr
            .contains("hint: --host must be an address of this machine"),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_address_open_to_the_network_is_warned_about_once() {
    let ended = program([
        "listen",
        "--port",
        "0",
        "--host",
        "0.0.0.0",
        "--timeout",
        "10ms",
    ])
    .run()
    .expect(0);
    let warning = "warning: any machine that reaches this address can send requests\n";
    assert_eq!(ended.stderr.matches("warning").count(), 1);
    assert!(ended.stderr.starts_with(warning), "{}", ended.stderr);
}

#[test]
fn connections_that_bring_no_request_are_counted_and_told_with_a_hint() {
    let mut listener = listener(&["--count", "1", "--timeout", "20s"]);
    say(
        &listener.url,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    );
    let line = listener.running.talk();
    assert!(line.ends_with(": looks like TLS: use http://\n"), "{line}");
    say(&listener.url, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    post_json(&listener.url, fixture("docs-leg-a.json"));
    let ended = listener.running.end().expect(0);
    assert!(
        ended.stderr.contains("looks like HTTP/2: use HTTP/1.1"),
        "{}",
        ended.stderr
    );
    let summary = &ended.records_of("summary")[0];
    assert_eq!(
        (&summary["malformed"], &summary["exchanges"]),
        (&2.into(), &1.into())
    );
}

#[test]
fn quiet_leaves_only_the_data() {
    let ended = program(["listen", "--port", "0", "--timeout", "10ms", "--quiet"])
        .run()
        .expect(0);
    assert_eq!(ended.stderr, "");
    assert!(ended.stdout.contains("timed out"), "{}", ended.stdout);
}

#[test]
fn a_reader_that_has_gone_is_a_quiet_success() {
    let ended = program([
        "listen",
        "--port",
        "0",
        "--format",
        "ndjson",
        "--timeout",
        "20s",
    ])
    .unread()
    .run();
    assert_eq!(ended.expect(0).stderr, "");
    let listener =
        super::program::ready(program(["listen", "--port", "0", "--timeout", "20s"]).unread());
    post_json(&listener.url, fixture("docs-leg-a.json"));
    let ended = listener.running.end().expect(0);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure_with_a_line() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("a device");
    let ended = program(["listen", "--port", "0", "--format", "ndjson", "--quiet"])
        .stdout(full)
        .run()
        .expect(1);
    insta::assert_snapshot!(ended.stderr, @"error: cannot write the output: No space left on device (os error 28)");
}
