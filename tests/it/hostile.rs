//! Property tests of `listen` with arbitrary bytes: each connection ends in time with a recorded outcome, and the next
//! valid request is answered. The client is a bare socket.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use telecmi_cdr::internals::{
    Clock, Stop,
    listen::{self, Event, Limits, Options, Summary},
};

use super::program::{DEADLINE, fixture};

/// The time limits of the listener for a head, a body and writing an answer.
const PATIENCE: Duration = Duration::from_millis(120);

/// The maximum time for the answer to a valid request.
const AT_ONCE: Duration = Duration::from_secs(1);

struct Stand {
    address: SocketAddr,
    events: mpsc::Receiver<Event>,
    stop: Option<tokio::sync::oneshot::Sender<Stop>>,
    run: thread::JoinHandle<Summary>,
}

impl Stand {
    fn new() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        socket.set_nonblocking(true).expect("a mode");
        let address = socket.local_addr().expect("an address");
        let (tell, events) = mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let run = thread::spawn(move || {
            let limits = Limits {
                max_body: 64 * 1024,
                header_timeout: PATIENCE,
                body_timeout: PATIENCE,
                write_timeout: PATIENCE,
                ..Limits::default()
            };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(socket).expect("a listener");
                let stopped = async { stopped.await.unwrap_or(Stop::Terminate) };
                let tell = move |event| tell.send(event).is_ok();
                listen::run(
                    Options {
                        limits,
                        ..Options::default()
                    },
                    listener,
                    Clock::start(),
                    stopped,
                    tell,
                )
                .await
            })
        });
        Self {
            address,
            events,
            stop: Some(stop),
            run,
        }
    }

    fn end(mut self) -> (HashSet<String>, Vec<String>, Summary) {
        drop(self.stop.take());
        let summary = self.run.join().expect("no panic");
        let (mut peers, mut mishaps) = (HashSet::new(), Vec::new());
        for event in self.events.try_iter() {
            match event {
                Event::Exchange(exchange, _) => {
                    assert!(exchange.answer.status.is_some(), "{exchange:?}");
                    peers.insert(exchange.peer.to_string());
                }
                Event::ConnectionErrors(errors) => mishaps.push(errors.text),
                _ => {}
            }
        }
        (peers, mishaps, summary)
    }
}

#[derive(Debug, Clone, Copy)]
enum Leaving {
    Politely,
    Never,
    Rudely,
}

#[derive(Debug, Clone)]
struct Stranger {
    bytes: Vec<u8>,
    pieces: usize,
    leaving: Leaving,
}

fn visit(address: SocketAddr, stranger: &Stranger) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let own = stream.local_addr().expect("an address").to_string();
    stream.set_nodelay(true).expect("an option");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    for piece in stranger
        .bytes
        .chunks(stranger.bytes.len().div_ceil(stranger.pieces).max(1))
    {
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    let clock = Clock::start();
    match stranger.leaving {
        Leaving::Rudely => return own,
        Leaving::Politely => drop(stream.shutdown(Shutdown::Write)),
        Leaving::Never => {}
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(
        clock.elapsed() < PATIENCE * 3 + Duration::from_secs(8),
        "it took {:?}",
        clock.elapsed()
    );
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1."),
        "{:?}",
        String::from_utf8_lossy(&answer)
    );
    own
}

fn ask_well(address: SocketAddr, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let own = stream.local_addr().expect("an address").to_string();
    stream.set_read_timeout(Some(AT_ONCE)).expect("a deadline");
    let head = "POST /webhook/cdr HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/json";
    let head = format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len());
    stream
        .write_all(&[head.as_bytes(), body].concat())
        .expect("written");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("an answer at once");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("got it"),
        "{answer}"
    );
    own
}

const WORDS: &[&str] = &[
    "GET ",
    "POST ",
    "HEAD ",
    "OPTIONS ",
    "CONNECT ",
    "PUT ",
    "/ ",
    "/webhook/cdr?a=1&a=%ff ",
    "* ",
    "h:80 ",
    "http://h/ ",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/0.9",
    "HTTP/2.0",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    " ",
    "\0",
    "Host: h\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 18446744073709551616\r\n",
    "Content-Length: -1\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Expect: 100-continue\r\n",
    "Connection: keep-alive\r\n",
    "Connection: close\r\n",
    "Upgrade: h2c\r\n",
    "Content-Type: multipart/form-data; boundary=x\r\n",
    "Content-Encoding: gzip\r\n",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "ffffffffffffffff\r\n",
    "zz\r\n",
    "{\"type\":\"cdr\"}",
    "hello",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\u{16}\u{3}\u{1}\u{2}",
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
];

const KINDS: &[&str] = &[
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "\u{ff}",
];

fn strangers() -> impl Strategy<Value = Stranger> {
    let word = prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec());
    let noise = prop::collection::vec(any::<u8>(), 0..40);
    let words = prop::collection::vec(prop_oneof![6 => word, 1 => noise], 0..14)
        .prop_map(|pieces| pieces.concat());
    let body = prop::collection::vec(any::<u8>(), 0..400);
    let whole = (body, prop::sample::select(KINDS), -3_i64..3).prop_map(|(body, kind, lie)| {
        let length = (i64::try_from(body.len()).expect("short") + lie).max(0);
        let head = format!(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        );
        [head.as_bytes(), &body].concat()
    });
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        words.boxed(),
        whole.boxed()
    ];
    let leaving = prop_oneof![4 => Just(Leaving::Politely), 1 => Just(Leaving::Never), 1 => Just(Leaving::Rudely)];
    (bytes, 1_usize..20, leaving).prop_map(|(bytes, pieces, leaving)| Stranger {
        bytes,
        pieces,
        leaving,
    })
}

/// `PROPTEST_CASES` sets the number of cases.
#[test]
fn any_bytes_end_in_a_stated_outcome_and_harm_nobody_else() {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(48);
    let stand = Stand::new();
    let address = stand.address;
    let body = fixture("docs-leg-a.json");
    let visitors = std::cell::RefCell::new(Vec::new());
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let tried = runner.run(&prop::collection::vec(strangers(), 1..12), |strangers| {
        let visits: Vec<_> = strangers
            .iter()
            .cloned()
            .map(|stranger| thread::spawn(move || visit(address, &stranger)))
            .collect();
        ask_well(address, &body);
        for (visit, stranger) in visits.into_iter().zip(&strangers) {
            let own = visit
                .join()
                .map_err(|_| TestCaseError::fail("a visit failed"))?;
            let may_be_unheard =
                stranger.bytes.is_empty() || matches!(stranger.leaving, Leaving::Rudely);
            visitors.borrow_mut().push((own, may_be_unheard));
        }
        ask_well(address, &body);
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{error}"));
    let (peers, mishaps, summary) = stand.end();
    let visitors = visitors.into_inner();
    let without: Vec<_> = visitors
        .iter()
        .filter(|(own, _)| !peers.contains(own))
        .collect();
    let heard = without
        .iter()
        .filter(|(_, may_be_unheard)| !may_be_unheard)
        .count() as u64;
    assert!(
        heard <= summary.malformed,
        "{heard} of {}, {}: {mishaps:?}",
        visitors.len(),
        summary.malformed
    );
    assert!(
        !mishaps.iter().any(|mishap| mishap.contains("bug")),
        "{mishaps:?}"
    );
}

#[test]
fn every_connection_that_brings_no_request_is_counted() {
    let long = [
        b"GET / HTTP/1.1\r\nHost: h\r\nX: ",
        vec![b'x'; 40 * 1024].as_slice(),
    ]
    .concat();
    let ways: [(&[u8], Leaving); 8] = [
        (b"GET / HT", Leaving::Politely),
        (b"POST / HTTP/1.1\r\nHost: h\r\n", Leaving::Never),
        (b"G", Leaving::Never),
        (b"hello\r\n\r\n", Leaving::Politely),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            Leaving::Politely,
        ),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Leaving::Politely),
        (b"GET /\r\n", Leaving::Politely),
        (&long, Leaving::Politely),
    ];
    for (bytes, leaving) in ways {
        let stand = Stand::new();
        visit(
            stand.address,
            &Stranger {
                bytes: bytes.to_vec(),
                pieces: 3,
                leaving,
            },
        );
        ask_well(stand.address, &fixture("docs-leg-a.json"));
        let (_, mishaps, summary) = stand.end();
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
        assert_eq!(
            (summary.exchanges, summary.malformed),
            (1, 1),
            "{start:?}: {mishaps:?}"
        );
        assert_eq!(mishaps.len(), 1, "{start:?}: {mishaps:?}");
    }
}
