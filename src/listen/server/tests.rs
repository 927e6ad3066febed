//! Tests the server by a client that writes raw bytes and shares no code with the server.

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::net::{Header, Response, header};

mod on_purpose;

const DEADLINE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(150);

async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(DEADLINE, what)
        .await
        .expect("it hangs")
}

struct Stand {
    address: SocketAddr,
    requests: mpsc::UnboundedReceiver<IncomingRequest>,
    errors: mpsc::UnboundedReceiver<ConnectionError>,
    /// Each permit of `gate` lets one request for `/wait` be answered.
    gate: Arc<tokio::sync::Semaphore>,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Stand {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived, requests) = mpsc::unbounded_channel();
        let (failed, errors) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let guard = Arc::clone(&gate);
        let answer = move |incoming: IncomingRequest| {
            let _ = arrived.send(incoming.clone());
            answer(incoming, Arc::clone(&guard)).boxed()
        };
        let error = move |_, error| drop(failed.send(error));
        let server = Server {
            limits,
            clock: Clock::start(),
            routes: None,
            handler: Box::new(answer),
            on_error: Box::new(error),
            stop: stop.clone(),
            is_full: AtomicBool::new(false),
        };
        let served = tokio::spawn(server.serve(listener));
        Self {
            address,
            requests,
            errors,
            gate,
            stop,
            served,
        }
    }

    async fn connect(&self) -> Peer {
        Peer(soon(TcpStream::connect(self.address)).await.unwrap())
    }

    async fn send(&self, bytes: impl AsRef<[u8]>) -> Peer {
        let mut peer = self.connect().await;
        peer.write(bytes).await;
        peer
    }

    async fn incoming(&mut self) -> IncomingRequest {
        soon(self.requests.recv()).await.unwrap()
    }

    async fn error(&mut self) -> RequestError {
        self.incoming().await.error.expect("error")
    }

    async fn connection_error(&mut self) -> ConnectionError {
        soon(self.errors.recv()).await.unwrap()
    }

    async fn close(mut self) {
        self.stop.cancel();
        soon(&mut self.served).await.unwrap();
        assert_eq!(self.requests.recv().await, None);
        assert_eq!(self.errors.recv().await, None);
    }
}

async fn answer(incoming: IncomingRequest, gate: Arc<tokio::sync::Semaphore>) -> Reply {
    let path = incoming.request.path();
    if path == "/wait" {
        gate.acquire().await.unwrap().forget();
    }
    let fault = match path {
        "/hang-up" => Some(Fault::Empty),
        "/reset" => Some(Fault::Reset),
        "/ignore" => Some(Fault::Hang),
        "/babble" => Some(Fault::Garbage),
        "/drip" | "/drip-much" => Some(Fault::Slow),
        "/panic" => panic!("asked for"),
        _ => None,
    };
    let body = match path {
        "/much" | "/drip-much" => vec![b'x'; 64 * 1024 * 1024],
        _ => b"got it".to_vec(),
    };
    let status = incoming.error.as_ref().map_or(200, RequestError::status);
    let headers = match path {
        "/drip" => vec![Header::new("x-a", "1")],
        _ => vec![
            Header::new("X-Path", path),
            Header::new("Content-Length", "999"),
            Header::new("bad name", "left out"),
        ],
    };
    Reply::new(Response::new(status, headers, body), fault)
}

struct Peer(TcpStream);

impl Peer {
    async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.0.write_all(bytes.as_ref())).await.unwrap();
    }

    async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        soon(self.0.read_to_end(&mut bytes)).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    async fn until(&mut self, text: &str) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(text.as_bytes()) {
            let byte = soon(self.0.read_u8()).await;
            bytes.push(byte.unwrap_or_else(|_| {
                panic!("no {text:?} in {:?}", String::from_utf8_lossy(&bytes))
            }));
        }
        String::from_utf8(bytes).unwrap()
    }

    async fn ends_silently(&mut self) {
        let mut byte = [0];
        let read = soon(self.0.read(&mut byte)).await;
        assert!(!matches!(read, Ok(1..)), "an answer");
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

#[tokio::test]
async fn a_request_is_seen_as_it_came() {
    let mut stand = Stand::new().await;
    let mut peer = stand
        .send("POST /a?b=%ff#c HTTP/1.1\r\nhoST: x\r\nX-A: 1\r\nContent-Length: 5\r\nX-a:  2 \r\n\r\nhello")
        .await;
    let answer = peer.until("got it").await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\nx-path: /a\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("\r\ncontent-length: 6\r\ndate: "),
        "{answer}"
    );
    let incoming = stand.incoming().await;
    let fields = ["hoST", "X-A", "Content-Length", "X-a"]
        .into_iter()
        .zip(["x", "1", "5", "2"]);
    let headers: Vec<_> = fields
        .map(|(name, value)| Header::new(name, value))
        .collect();
    let expected = crate::net::Request::new("POST", "/a?b=%ff#c", headers, "hello");
    assert_eq!(incoming.request, expected);
    assert_eq!(
        (incoming.peer, incoming.error),
        (peer.0.local_addr().unwrap(), None)
    );
    stand.close().await;
}

#[tokio::test]
async fn w1_one_host_is_needed() {
    let mut stand = Stand::new().await;
    for (request, error) in [
        ("GET / HTTP/1.1\r\n\r\n", RequestError::NoHost),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            RequestError::SeveralHosts,
        ),
    ] {
        let answer = stand.send(request).await.rest().await;
        assert_eq!(status(&answer), "400");
        assert!(answer.contains("connection: close"));
        assert_eq!(stand.error().await, error);
    }
    stand.close().await;
}

#[tokio::test]
async fn w2_http_1_0_is_served_as_such() {
    let mut stand = Stand::new().await;
    let answer = stand.send("GET /old HTTP/1.0\r\n\r\n").await.rest().await;
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    assert_eq!(stand.incoming().await.request.version, "HTTP/1.0");

    let kept = "GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let mut peer = stand.send(kept).await;
    assert!(
        peer.until("got it")
            .await
            .contains("connection: keep-alive")
    );
    peer.write(kept).await;
    peer.until("got it").await;
    assert_eq!(stand.incoming().await.error, None);
    assert_eq!(stand.incoming().await.error, None);
    stand.close().await;
}

#[tokio::test]
async fn w3_what_is_not_http_1_is_closed() {
    let mut stand = Stand::new().await;
    let mut tls = stand
        .send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        .await;
    assert_eq!(
        stand.connection_error().await,
        ConnectionError::LooksLikeTls
    );
    tls.ends_silently().await;

    for preface in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n"] {
        let mut peer = stand.send(preface).await;
        peer.0.shutdown().await.unwrap();
        assert_eq!(
            stand.connection_error().await,
            ConnectionError::LooksLikeHttp2
        );
    }
    for garbage in [
        "\0\x01\x02garbage\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
    ] {
        let mut peer = stand.send(garbage).await;
        peer.0.shutdown().await.unwrap();
        assert_eq!(status(&peer.rest().await), "400");
        let error = stand.connection_error().await;
        assert!(matches!(error, ConnectionError::Garbage(_)), "{error:?}");
    }
    drop(stand.connect().await);
    drop(stand.send("GET / HT").await);
    assert_eq!(stand.connection_error().await, ConnectionError::HeadCut);
    stand.close().await;
}

#[tokio::test]
async fn w4_heads_and_targets_have_a_largest_size() {
    let mut stand = Stand::new().await;
    let long = "x".repeat(MAX_HEAD);
    let many = "X: y\r\n".repeat(MAX_HEADERS + 1);
    for head in [
        format!("GET / HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{many}\r\n"),
    ] {
        let mut peer = stand.send(head).await;
        assert_eq!(status(&peer.until("\r\n\r\n").await), "431");
        drop(peer);
        assert_eq!(
            stand.connection_error().await,
            ConnectionError::HeadTooLarge
        );
    }
    let target = format!("/{}", "x".repeat(RequestError::MAX_TARGET));
    let answer = stand
        .send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"))
        .await
        .rest()
        .await;
    assert_eq!(status(&answer), "414");
    let incoming = stand.incoming().await;
    assert_eq!(
        (incoming.error, incoming.request.target),
        (Some(RequestError::TargetTooLong), target)
    );
    let fields = "X: y\r\n".repeat(99);
    stand
        .send(format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n"))
        .await
        .until("got it")
        .await;
    assert_eq!(stand.incoming().await.request.headers.len(), 100);
    stand.close().await;
}

#[tokio::test]
async fn w5_a_broken_body_is_shown_as_far_as_it_came() {
    let mut stand = Stand::new().await;
    for (rest, kept) in [
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nwrong", "abc"),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "abc"),
        ("Content-Length: 9\r\n\r\nabc", "abc"),
    ] {
        let mut peer = stand
            .send(format!("DELETE /any HTTP/1.1\r\nHost: x\r\n{rest}"))
            .await;
        peer.0.shutdown().await.unwrap();
        assert_eq!(status(&peer.rest().await), "400");
        let incoming = stand.incoming().await;
        assert!(
            matches!(incoming.error, Some(RequestError::BodyBroken(_))),
            "{incoming:?}"
        );
        assert_eq!(incoming.request.body.text(), Some(kept));
        assert_eq!(
            (incoming.request.size, incoming.request.complete),
            (3, false)
        );
    }
    stand.close().await;
}

#[tokio::test]
async fn w5_a_malformed_request_is_shown_too() {
    let mut stand = Stand::new().await;
    for (target, field) in [
        ("/unclear?a=b", "Content-Length: 5x"),
        ("/unclear?a=b", "Content-Length: 5\r\nContent-Length: 6"),
        ("/unclear?a=b", "Transfer-Encoding: gzip"),
        ("/bad", "Bad Name: x"),
        ("/bad<b>", "X: y"),
    ] {
        let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n");
        let mut peer = stand.send(head).await;
        let answer = peer.until("\r\n\r\n").await;
        assert_eq!(status(&answer), "400");
        peer.write("hello").await;
        peer.0.shutdown().await.unwrap();
        let incoming = stand.incoming().await;
        assert!(
            matches!(incoming.error, Some(RequestError::Malformed(_))),
            "{incoming:?}"
        );
        assert_eq!(incoming.request.target, target);
        assert_eq!(incoming.request.body.text(), Some("hello"));
        assert!(!incoming.request.complete);
    }
    stand.close().await;
}

#[tokio::test]
async fn w5_a_sender_that_vanishes_is_still_an_arrival() {
    let mut stand = Stand::new().await;
    for expect in ["", "Expect: 100-continue\r\n"] {
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\n{expect}Content-Length: 9\r\n\r\n");
        let peer = stand.send(head).await;
        peer.0.set_zero_linger().unwrap();
        drop(peer);
        let incoming = stand.incoming().await;
        assert!(
            matches!(incoming.error, Some(RequestError::BodyBroken(_))),
            "{incoming:?}"
        );
        let error = stand.connection_error().await;
        assert!(matches!(error, ConnectionError::AnswerLost(_)), "{error:?}");
    }
    stand.close().await;
}

#[tokio::test]
async fn a_peer_that_ends_its_side_is_answered() {
    let mut stand = Stand::new().await;
    let mut peer = stand.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    peer.0.shutdown().await.unwrap();
    stand.incoming().await;
    stand.gate.add_permits(1);
    assert_eq!(status(&peer.rest().await), "200");
    stand.close().await;
}

#[tokio::test]
async fn w6_a_length_stated_twice_is_noticed() {
    let mut stand = Stand::new().await;
    for fields in [
        "Content-Length: 9\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 9",
    ] {
        let plain = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut peer = stand.send(plain).await;
        peer.until("got it").await;
        assert!(!stand.incoming().await.is_ambiguous());
        peer.write(format!(
            "\r\nPOST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        ))
        .await;
        assert_eq!(status(&peer.rest().await), "200");
        let incoming = stand.incoming().await;
        assert!(incoming.is_ambiguous());
        assert_eq!(
            header(&incoming.request.headers, "content-length").unwrap(),
            "9"
        );
        assert_eq!(
            (incoming.request.body.text(), incoming.error),
            (Some("hello"), None)
        );
    }
    stand.close().await;
}

#[tokio::test]
async fn w6_nothing_is_smuggled_behind_a_length_that_does_not_count() {
    let mut stand = Stand::new().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for (length, body) in [
        (6, format!("0\r\n\r\n{smuggled}")),
        (3, format!("1\r\nx\r\n0\r\n\r\n{smuggled}")),
    ] {
        let head =
            format!("Host: x\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let answers = stand
            .send(format!("POST / HTTP/1.1\r\n{head}{body}"))
            .await
            .rest()
            .await;
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
        assert!(stand.incoming().await.is_ambiguous());
    }
    stand.close().await;
}

#[tokio::test]
async fn r0_wherever_a_connection_dies_that_is_told() {
    let mut stand = Stand::new().await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    let request = format!("{head}hello");
    for cut in 1..=request.len() {
        for abrupt in [false, true] {
            let peer = stand.send(&request[..cut]).await;
            if abrupt {
                peer.0.set_zero_linger().unwrap();
            }
            drop(peer);
            let arrived = loop {
                tokio::select! {
                    _ = stand.requests.recv() => break true,
                    error = stand.errors.recv() => match error.unwrap() {
                        ConnectionError::AnswerLost(_) => {}
                        _ => break false,
                    },
                    () = sleep(DEADLINE) => panic!("nothing was told of {:?}", &request[..cut]),
                }
            };
            // The server may see a reset before bytes that the client sent earlier.
            assert!(
                arrived == (cut >= head.len()) || (!arrived && abrupt),
                "{:?}",
                &request[..cut]
            );
        }
    }
    stand.send(request).await.until("got it").await;
}

#[tokio::test]
async fn w7_the_body_is_asked_for_only_when_it_is_wanted() {
    let mut stand = Stand::with(|limits| limits.max_body = 10).await;
    let head = |length| {
        format!(
            "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let mut peer = stand.send(head(5)).await;
    assert_eq!(status(&peer.until("\r\n\r\n").await), "100");
    peer.write("hello").await;
    assert_eq!(status(&peer.until("got it").await), "200");
    assert_eq!(stand.incoming().await.request.body.text(), Some("hello"));

    let answer = stand.send(head(11)).await.rest().await;
    assert_eq!(status(&answer), "413");
    assert!(answer.contains("connection: close"));
    let incoming = stand.incoming().await;
    assert_eq!(incoming.error, Some(RequestError::TooLarge { limit: 10 }));
    assert_eq!(
        (incoming.request.size, incoming.request.complete),
        (0, false)
    );
    stand.close().await;
}

#[tokio::test]
async fn w8_pipelined_requests_are_answered_in_order() {
    let mut stand = Stand::new().await;
    let requests: Vec<_> = (0..20)
        .map(|n| {
            format!(
                "POST /{n} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nbody{}",
                n % 10
            )
        })
        .collect();
    let mut peer = stand.send(requests.concat()).await;
    for n in 0..20 {
        let answer = peer.until("got it").await;
        assert!(answer.contains(&format!("x-path: /{n}\r\n")), "{answer}");
        let request = stand.incoming().await.request;
        assert_eq!(request.target, format!("/{n}"));
        assert_eq!(
            request.body.text(),
            Some(format!("body{}", n % 10).as_str())
        );
        assert_eq!(header(&request.headers, "Host").unwrap(), "x");
    }
    stand.close().await;
}

#[tokio::test]
async fn w9_odd_methods_and_targets_harm_nobody() {
    let mut stand = Stand::new().await;
    for (line, target) in [
        ("CONNECT example.com:443", "example.com:443"),
        ("GET http://example.com/x?y", "http://example.com/x?y"),
        ("GET http://example.com", "http://example.com"),
        ("GET example.com", "example.com"),
        ("OPTIONS *", "*"),
        ("BREW //double", "//double"),
    ] {
        let mut peer = stand
            .send(format!(
                "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            ))
            .await;
        let answer = peer.rest().await;
        assert_eq!(status(&answer), "200", "{line}");
        let incoming = stand.incoming().await;
        assert_eq!(
            (incoming.request.target.as_str(), incoming.error),
            (target, None)
        );
    }
    let mut peer = stand
        .send("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    let answer = peer.rest().await;
    assert!(
        answer.contains("content-length: 6\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    stand.incoming().await;
    stand.close().await;
}

#[tokio::test]
async fn an_offer_to_upgrade_is_ignored() {
    let mut stand = Stand::new().await;
    let mut peer = stand.connect().await;
    for _ in 0..2 {
        // Java's HttpClient sends these headers with its first request.
        peer.write("POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi")
            .await;
        assert_eq!(status(&peer.until("got it").await), "200");
        assert_eq!(stand.incoming().await.request.body.text(), Some("hi"));
    }
    stand.close().await;
}

#[tokio::test]
async fn w10_a_head_has_its_time() {
    let mut stand = Stand::with(|limits| limits.header_timeout = SHORT).await;
    for head in ["", "GET / HTTP/1.1\r\nHost:"] {
        let mut peer = stand.send(head).await;
        assert_eq!(stand.connection_error().await, ConnectionError::HeadTimeout);
        peer.ends_silently().await;
    }
    let mut used = stand.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    used.until("got it").await;
    used.ends_silently().await;
    stand.incoming().await;
    stand.close().await;
}

#[tokio::test]
async fn w10_a_body_has_its_time() {
    let mut stand = Stand::with(|limits| limits.body_timeout = SHORT).await;
    let mut peer = stand
        .send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        .await;
    let answer = peer.rest().await;
    assert_eq!(status(&answer), "408");
    assert!(answer.contains("connection: close"));
    let incoming = stand.incoming().await;
    assert_eq!(incoming.error, Some(RequestError::BodyTimeout));
    assert_eq!(
        (incoming.request.size, incoming.request.complete),
        (3, false)
    );
    stand.close().await;
}

#[tokio::test]
async fn w10_an_answer_has_its_time() {
    let mut stand = Stand::with(|limits| limits.write_timeout = SHORT).await;
    let _peer = stand.send("GET /much HTTP/1.1\r\nHost: x\r\n\r\n").await;
    stand.incoming().await;
    assert_eq!(stand.connection_error().await, ConnectionError::NotRead);
    stand.close().await;
}

/// The client reads 1 MiB in each 20 ms, and so 64 MiB in more than `write_timeout`.
#[tokio::test]
async fn w10_an_answer_that_is_read_has_all_the_time_it_needs() {
    let mut stand = Stand::with(|limits| limits.write_timeout = Duration::from_secs(1)).await;
    let mut peer = stand.send("GET /much HTTP/1.1\r\nHost: x\r\n\r\n").await;
    stand.incoming().await;
    let mut piece = vec![0; 1024 * 1024];
    for _ in 0..64 {
        soon(peer.0.read_exact(&mut piece)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(peer);
    stand.close().await;
}

#[tokio::test]
async fn w11_the_longest_idle_makes_room() {
    let mut stand = Stand::with(|limits| limits.connections = 3).await;
    let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut first = stand.send(request).await;
    first.until("got it").await;
    let mut second = stand.send(request).await;
    second.until("got it").await;
    let mut busy = stand.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    for _ in 0..3 {
        stand.incoming().await;
    }
    first.write(request).await;
    first.until("got it").await;

    stand.send(request).await.until("got it").await;
    second.ends_silently().await;
    first.write(request).await;
    first.until("got it").await;
    stand.gate.add_permits(1);
    busy.until("got it").await;
    for _ in 0..3 {
        stand.incoming().await;
    }
    stand.close().await;
}

#[tokio::test]
async fn w11_a_head_that_has_arrived_before_an_eviction_is_read() {
    let mut stand = Stand::with(|limits| limits.connections = 1).await;
    let mut idle = stand.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    idle.until("got it").await;
    stand.incoming().await;
    tokio::time::pause();
    tokio::time::advance(MIN_IDLE).await;
    tokio::time::resume();
    // The server's tasks run only at the next `await`: the connection is accepted before the head is read.
    let new = std::net::TcpStream::connect(stand.address).unwrap();
    idle.0.try_write(b"GET / HTTP/1.1\r\n").unwrap();
    tokio::task::yield_now().await;
    idle.write("Host: x\r\n\r\n").await;
    idle.until("got it").await;
    stand.incoming().await;
    drop((idle, new));
    stand.close().await;
}

#[tokio::test]
async fn w11_when_all_are_busy_the_next_one_waits() {
    let mut stand = Stand::with(|limits| limits.connections = 2).await;
    let request = "GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut peers = Vec::new();
    for _ in 0..5 {
        peers.push(stand.send(request).await);
    }
    for _ in &peers {
        stand.incoming().await;
        stand.gate.add_permits(1);
    }
    for mut peer in peers {
        assert_eq!(status(&peer.rest().await), "200");
    }
    stand.close().await;
}

#[tokio::test]
async fn w11_whoever_stalls_makes_room_too() {
    let change = |limits: &mut Limits| {
        limits.connections = 1;
        limits.stalling = SHORT;
    };
    let good = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut stand = Stand::with(change).await;
    let mut slow = stand
        .send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        .await;
    stand.send(good).await.until("got it").await;
    assert_eq!(status(&slow.rest().await), "408");
    let incoming = stand.incoming().await;
    assert_eq!(
        (incoming.error, incoming.request.size),
        (Some(RequestError::BodyTimeout), 3)
    );
    stand.incoming().await;
    stand.close().await;

    let mut stand = Stand::with(change).await;
    let _unread = stand.send("GET /much HTTP/1.1\r\nHost: x\r\n\r\n").await;
    stand.incoming().await;
    stand.send(good).await.until("got it").await;
    assert_eq!(stand.connection_error().await, ConnectionError::NotRead);
    stand.incoming().await;
    stand.close().await;
}

#[tokio::test]
async fn w11_a_steady_drip_makes_room_too() {
    let mut stand = Stand::with(|limits| {
        limits.connections = 1;
        limits.stalling = SHORT;
        limits.body_timeout = 2 * DEADLINE;
    })
    .await;
    let mut drip = stand
        .send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        .await;
    let dripping = async {
        while drip.0.write_all(&[b'x'; 256]).await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    let good = async {
        let mut good = stand.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        good.until("got it").await
    };
    tokio::select! {
        _ = good => {}
        () = dripping => panic!("reset before the other request was answered"),
    }
    assert_eq!(stand.error().await, RequestError::BodyTimeout);
    stand.incoming().await;
    stand.close().await;
}

#[tokio::test]
async fn w11_whoever_always_has_one_more_request_makes_room_too() {
    let mut stand = Stand::with(|limits| limits.connections = 1).await;
    let mut busy = stand.connect().await;
    let answered = async {
        busy.write("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n").await;
        busy.until("got it").await;
        let mut second = stand.send("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n").await;
        loop {
            busy.write("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n").await;
            if busy.until("got it").await.contains("connection: close") {
                drop(busy);
                return second.until("got it").await;
            }
        }
    };
    assert!(soon(answered).await.contains("x-path: /2"));
    while stand.incoming().await.request.target != "/2" {}
    stand.close().await;
}

#[tokio::test]
async fn w11_a_place_is_taken_until_its_request_has_been_decided() {
    let mut stand = Stand::with(|limits| limits.connections = 1).await;
    let peer = stand.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    stand.incoming().await;
    peer.0.set_zero_linger().unwrap();
    drop(peer);
    let mut next = stand.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n").await;
    tokio::time::timeout(SHORT, stand.requests.recv())
        .await
        .unwrap_err();
    stand.gate.add_permits(1);
    next.until("got it").await;
    assert_eq!(stand.incoming().await.request.target, "/next");
    let error = stand.connection_error().await;
    assert!(matches!(error, ConnectionError::AnswerLost(_)), "{error:?}");
    stand.close().await;
}

#[test]
fn w11_there_are_no_more_connections_than_descriptors() {
    let connections = |descriptors, each| Limits::default().within(descriptors, each).connections;
    assert_eq!(
        [None, Some(1024), Some(u64::MAX)].map(|number| connections(number, 2)),
        [256; 3]
    );
    assert_eq!(
        (connections(Some(256), 1), connections(Some(256), 2)),
        (224, 112)
    );
    assert_eq!(connections(Some(10), 1), 4);
}

#[test]
fn w11_only_the_systems_refusals_make_the_loop_pause() {
    // The errors EMFILE (24) and ENFILE (23) have no stable `ErrorKind`.
    for (code, own) in [(24, false), (23, false), (103, true), (104, true)] {
        let error = io::Error::from_raw_os_error(code);
        assert_eq!(concerns_one_connection(&error), own, "{error}");
    }
}

#[tokio::test]
async fn w12_a_large_body_is_refused_so_that_the_sender_hears_it() {
    let mut stand = Stand::with(|limits| limits.max_body = 100_000).await;
    // The body is larger than `DRAINED`: the lingering close reads the rest.
    let body = vec![b'x'; 24 * 1024 * 1024];
    for chunked in [false, true] {
        let framing = if chunked {
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len())
        } else {
            format!("Content-Length: {}\r\n\r\n", body.len())
        };
        let mut peer = stand
            .send(format!("POST / HTTP/1.1\r\nHost: x\r\n{framing}"))
            .await;
        peer.write(&body).await;
        assert_eq!(status(&peer.until("got it").await), "413");
        drop(peer);
        let incoming = stand.incoming().await;
        assert_eq!(
            incoming.error,
            Some(RequestError::TooLarge { limit: 100_000 })
        );
        assert_eq!(incoming.request.body.len(), message::KEPT);
        assert!(incoming.request.size > 100_000 && !incoming.request.complete);
    }
    stand.close().await;
}

#[tokio::test]
async fn w12_the_size_of_a_large_body_is_known_if_it_ends() {
    let mut stand = Stand::with(|limits| limits.max_body = 10).await;
    for (length, complete) in [(10, true), (11, false)] {
        let body = "x".repeat(length);
        let mut peer = stand
            .send(format!(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
            ))
            .await;
        peer.until("got it").await;
        let request = stand.incoming().await.request;
        assert_eq!((request.size, request.complete), (length as u64, complete));
        assert_eq!(request.body.text(), Some(body.as_str()));
    }
    stand.close().await;
}

#[tokio::test]
async fn w13_what_is_in_flight_is_finished() {
    let mut stand = Stand::new().await;
    let mut idle = stand.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    idle.until("got it").await;
    let mut busy = stand.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    for _ in 0..2 {
        stand.incoming().await;
    }
    stand.stop.cancel();
    idle.ends_silently().await;
    stand.gate.add_permits(1);
    let answer = busy.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"),
        "{answer}"
    );
    stand.close().await;
}

#[tokio::test]
async fn a_stop_waits_until_a_tunnel_has_passed_on_the_answer() {
    let mut stand = Stand::with(|limits| limits.tunnelled = true).await;
    let mut idle = stand.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    idle.until("got it").await;
    stand.incoming().await;
    stand.stop.cancel();
    idle.ends_silently().await;
    tokio::task::yield_now().await;
    assert!(!stand.served.is_finished());
    drop(idle);
    stand.close().await;
}

#[tokio::test]
async fn w13_nothing_keeps_the_door_open() {
    let mut stand = Stand::with(|limits| limits.grace = Duration::from_secs(1)).await;
    let _half = stand.send("GET / HTTP/1.1\r\nHost:").await;
    let _stuck = stand.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    stand.incoming().await;
    let mut slow = stand
        .send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\nabc")
        .await;
    slow.until("100 Continue\r\n\r\n").await;
    let stopped = Instant::now();
    stand.stop.cancel();
    // When the server stops, reading the body ends after half of `Limits::grace`, so that time is left for the answer.
    assert_eq!(status(&slow.until("got it").await), "503");
    assert_eq!(stand.error().await, RequestError::Stopping);
    assert_eq!(stand.connection_error().await, ConnectionError::HeadCut);
    drop(slow);
    stand.close().await;
    assert!(stopped.elapsed() < DEADLINE / 4);
}

#[tokio::test]
async fn a_panic_ends_one_connection_only() {
    let mut stand = Stand::new().await;
    let mut peer = stand.send("GET /panic HTTP/1.1\r\nHost: x\r\n\r\n").await;
    peer.ends_silently().await;
    assert_eq!(stand.connection_error().await, ConnectionError::Panicked);
    stand
        .send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .until("got it")
        .await;
    for _ in 0..2 {
        stand.incoming().await;
    }
    stand.close().await;
}
