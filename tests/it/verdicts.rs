//! The same response bytes must give the same verdict in `send`, with `--race`, `--keep-alive` and `--file`, and in
//! `listen --forward-to`.

use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::peers::{post_json, read_request};
use super::program::{DEADLINE, Ended, listener, program};

const NOT_HTTP: &str = "the answer is not HTTP";
const DAMAGED: &str = "the body of the answer is malformed";
const UNANSWERED: &str = "the peer closed the connection without answering";
const CUT_SHORT: &str = "the peer closed the connection in the middle of its answer";

/// Response bytes before a close, with the expected status or the end of the failure text.
const ANSWERS: [(&str, &str); 30] = [
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200"),
    ("HTTP/1.0 200 OK\r\n\r\nok", "200"),
    ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200"),
    ("HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", "299"),
    ("HTTP/1.1 200 OK\r\n\r\nok", "200"),
    ("HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "200"),
    ("HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n", "204"),
    (
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Ok\r\nContent-Length: 0\r\n\r\n",
        "201",
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 6, 6\r\n\r\ngot it",
        "200",
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "200",
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r\nok\r\n0\r\n\r\n",
        "200",
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: notchunked\r\n\r\nok",
        "200",
    ),
    ("HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", NOT_HTTP),
    ("HTTP/1.1 200OK\r\nContent-Length: 2\r\n\r\nok", NOT_HTTP),
    ("HTTP/1.1 99999 OK\r\nContent-Length: 2\r\n\r\nok", NOT_HTTP),
    ("HTTP/1.9 200 OK\r\nContent-Length: 2\r\n\r\nok", NOT_HTTP),
    ("HTTP/2 200\r\n\r\n", NOT_HTTP),
    ("SSH-2.0-OpenSSH_9.6\r\n", NOT_HTTP),
    ("HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nok", NOT_HTTP),
    ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok", NOT_HTTP),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 11111111111111111111111\r\n\r\nok",
        NOT_HTTP,
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 1\r\n\r\nok",
        NOT_HTTP,
    ),
    (
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\nok",
        NOT_HTTP,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\nok\r\n0\r\n\r\n",
        DAMAGED,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
        CUT_SHORT,
    ),
    ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", CUT_SHORT),
    ("HTTP/1.1 200 O", CUT_SHORT),
    ("HTTP/1.1 100 Continue\r\n\r\n", UNANSWERED),
    ("", UNANSWERED),
    (
        "\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{28}",
        "uses TLS: try https://",
    ),
];

fn handler(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("an address").port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in socket.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    port
}

fn send(url: &str, flags: &[&str], input: &str) -> Ended {
    let fixed = ["send", "--url", url, "--seed", "1", "--format", "ndjson"];
    program(fixed.iter().chain(flags)).input(input).run()
}

fn verdict(ended: &Ended) -> String {
    let attempt = &ended.records_of("delivery")[0]["attempts"][0];
    of(&attempt["status"], &attempt["failure"])
}

fn of(status: &Value, failure: &Value) -> String {
    match status.as_u64() {
        Some(status) => status.to_string(),
        None => failure["text"].as_str().expect("a text").to_owned(),
    }
}

fn captured() -> String {
    let request = json!({
        "method": "POST", "target": "/", "version": "HTTP/1.1", "body": {"text": "{}"}, "size": 2,
        "complete": true, "headers": [["Host", "cdr.test"], ["Content-Length", "2"]],
    });
    json!({"type": "exchange", "v": 1, "request": request}).to_string()
}

#[test]
fn every_way_comes_to_the_same_verdict() {
    for (answer, expected) in ANSWERS {
        let port = handler(move |mut stream| {
            read_request(&mut stream);
            let _ = stream.write_all(answer.as_bytes());
        });
        let (address, name) = (
            format!("http://127.0.0.1:{port}/"),
            format!("http://localhost:{port}/"),
        );
        let capture = captured();
        for (url, flags, input) in [
            (&address, &["--count", "1"][..], ""),
            (&name, &["--count", "1"], ""),
            (&address, &["--race", "2"], ""),
            (&address, &["--keep-alive"], ""),
            (&address, &["--file", "-"], &capture),
        ] {
            let got = verdict(&send(url, flags, input));
            assert!(got.ends_with(expected), "{answer:?} {flags:?}: {got}");
        }
        let mut passing = listener(&["--forward-to", &address]);
        post_json(&passing.url, "{}");
        let forwarded = passing.running.record()["answer"]["forwarded"].clone();
        let got = of(&forwarded["status"], &forwarded["failure"]);
        assert!(got.ends_with(expected), "{answer:?} forwarded: {got}");
    }
}

#[test]
fn two_equal_lengths_are_not_waited_behind() {
    let port = handler(|mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6, 6\r\n\r\ngot it");
        let _ = stream.read(&mut [0]);
    });
    let url = format!("http://127.0.0.1:{port}/");
    for flags in [
        &["--timeout", "2s"][..],
        &["--timeout", "2s", "--race", "2"],
    ] {
        send(&url, flags, "").expect(0);
    }
}

#[test]
fn a_race_sends_the_very_request_that_is_sent_alone() {
    let (seen, requests) = std::sync::mpsc::channel();
    let port = handler(move |mut stream| {
        let request = read_request(&mut stream);
        let _ = seen.send(String::from_utf8(request).expect("text"));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let url = format!("http://127.0.0.1:{port}/a/../b?x='%7e");
    let flags = ["-H", "X-Own: 1", "--at", "2026-11-22T09:00:00Z"];
    send(&url, &flags, "").expect(0);
    let alone = requests.recv().expect("a request");
    assert!(
        alone.starts_with("POST /a/../b?x='%7e HTTP/1.1\r\n"),
        "{alone}"
    );
    for header in [
        "Accept: */*",
        "Connection: close",
        "X-Own: 1",
        "Content-Type: application/json",
    ] {
        assert!(alone.contains(&format!("\r\n{header}\r\n")), "{alone}");
    }
    send(&url, &[&flags[..], &["--race", "2"]].concat(), "").expect(0);
    for _ in 0..2 {
        assert_eq!(requests.recv().expect("a request"), alone);
    }
}

#[test]
fn a_peer_that_closes_without_saying_so_sees_every_request_once() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let port = handler(move |mut stream| {
        if !read_request(&mut stream).is_empty() {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let url = format!("http://127.0.0.1:{port}/");
    let flags = [
        "--keep-alive",
        "-n",
        "1000",
        "-c",
        "8",
        "-s",
        "agent-no-answer",
    ];
    let ended = send(&url, &flags, "").expect(0);
    let summary = &ended.records_of("summary")[0];
    let deliveries = summary["deliveries"].as_u64().expect("a count");
    assert_eq!(summary["failed"], 0);
    assert_eq!(seen.load(Ordering::SeqCst) as u64, deliveries);
}

#[cfg(unix)]
#[test]
fn a_peer_that_reads_and_resets_sees_one_request_and_one_fails() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let port = handler(move |mut stream| {
        // Closing a socket with unread bytes resets the connection.
        if stream.read(&mut [0; 16]).is_ok_and(|n| n > 0) {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let url = format!("http://127.0.0.1:{port}/");
    let ended = send(&url, &["--keep-alive"], "").expect(1);
    assert_eq!(
        verdict(&ended),
        "the peer reset the connection without answering"
    );
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    assert_eq!(ended.records_of("summary")[0]["failed"], 1);
}

#[test]
fn a_request_lost_with_a_kept_connection_is_told_and_sent_again_on_request_only() {
    for (flags, requests) in [
        (&[][..], 2),
        (&["--retry", "1", "--retry-interval", "1ms"], 3),
    ] {
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        let port = handler(move |mut stream| {
            for _ in 0..2 {
                let request = read_request(&mut stream);
                if !request.is_empty() && count.fetch_add(1, Ordering::SeqCst) != 1 {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                } else {
                    return;
                }
            }
        });
        let url = format!("http://127.0.0.1:{port}/");
        let ended = send(&url, &[&["--keep-alive", "-n", "2"], flags].concat(), "");
        let deliveries = ended.records_of("delivery");
        let attempt = &deliveries[1]["attempts"][0];
        assert_eq!(attempt["failure"]["kind"], "kept_connection_closed");
        assert_eq!(seen.load(Ordering::SeqCst), requests);
        assert_eq!(deliveries[1]["ok"], !flags.is_empty());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_address_that_swallows_everything_does_not_stop_the_other_family() {
    // Linux drops SYN packets to a listener whose accept queue is full.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let _inside = runtime.enter();
    // Another program may have the port of the one family in the other.
    let (socket, full, port) = loop {
        let Ok(socket) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
            return;
        };
        let port = socket.local_addr().expect("an address").port();
        let full = tokio::net::TcpSocket::new_v4().expect("a socket");
        if full.bind(([127, 0, 0, 1], port).into()).is_ok() {
            break (socket, full, port);
        }
    };
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    thread::spawn(move || {
        for mut stream in socket.incoming().map_while(Result::ok) {
            read_request(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let _full = full.listen(0).expect("a listener");
    let waiting: Vec<_> = (0..3)
        .map(|_| TcpStream::connect_timeout(&address, DEADLINE / 100))
        .collect();
    let url = format!("http://localhost:{port}/");
    let capture = captured();
    for (flags, input) in [
        (&["--count", "1"][..], ""),
        (&["--race", "2"], ""),
        (&["--file", "-"], &capture),
    ] {
        let got = verdict(&send(&url, flags, input));
        assert_eq!(got, "200", "{flags:?}");
    }
    drop(waiting);
}
