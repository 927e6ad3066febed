//! Any bytes at all: whatever a stranger writes to the port ends in a stated outcome, in time, and the next good request is
//! answered at once. The peer here is a bare socket that shares no code with the program.

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

/// How long a head, a body and the reading of an answer may take here.
const PATIENCE: Duration = Duration::from_millis(120);

/// A good request is answered in less than this, whatever came before it.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A listener in this process, with little patience.
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

    /// Stops it, and gives who made an exchange, what was wrong with all others, and the summary.
    fn end(mut self) -> (HashSet<String>, Vec<String>, Summary) {
        drop(self.stop.take());
        let summary = self.run.join().expect("no panic");
        let (mut peers, mut mishaps) = (HashSet::new(), Vec::new());
        for event in self.events.try_iter() {
            match event {
                Event::Exchange(exchange, _) => {
                    assert!(exchange.answer.status.is_some(), "{exchange:?}");
                    peers.insert(exchange.peer.clone());
                }
                Event::ConnectionErrors(errors) => mishaps.push(errors.text),
                _ => {}
            }
        }
        (peers, mishaps, summary)
    }
}

/// How a stranger leaves.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// Ends its side and waits for the answer.
    Politely,
    /// Waits for whatever comes.
    Never,
    /// Closes at once, with our answer unread.
    Rudely,
}

/// What one stranger does.
#[derive(Debug, Clone)]
struct Stranger {
    bytes: Vec<u8>,
    /// In how many pieces the bytes leave.
    pieces: usize,
    leaving: Leaving,
}

/// Does it; gives the stranger's address once the connection is over.
fn visit(address: SocketAddr, stranger: &Stranger) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let own = stream.local_addr().expect("an address").to_string();
    stream.set_nodelay(true).expect("an option");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    for piece in stranger
        .bytes
        .chunks(stranger.bytes.len().div_ceil(stranger.pieces).max(1))
    {
        // A receiver that has heard enough may close.
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
    // A reset ends the connection too.
    let _ = stream.read_to_end(&mut answer);
    // A head, a body, an answer, each with its time, and some for a machine that has other work.
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

/// Posts a good CDR, which must be answered at once.
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

/// Pieces that requests are made of, right and wrong.
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

/// What bodies claim to be.
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

/// `PROPTEST_CASES` makes it as thorough as one likes.
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
        // Asked while they are still at it, and again when they have gone.
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
    // Whoever made no exchange is counted, but for those who said nothing, or closed before they were heard.
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

/// Each way to fail before there is a request, by itself, so that none hides behind another.
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
