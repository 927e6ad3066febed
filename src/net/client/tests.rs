//! Tests the HTTP client against scripted TCP servers, correct and faulty.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::net::Header;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\ngot it";

/// A timeout that only silent servers reach, even on a busy machine.
const SOON: Duration = Duration::from_secs(1);

struct Peer {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Peer {
    async fn new<F, Fut>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream));
            }
        });
        Self { url, connections }
    }

    async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::new(move |mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                read_request(&mut stream).await;
                let _ = stream.write_all(&answer).await;
            }
        })
        .await
    }

    async fn stopping_after(beginning: &'static [u8]) -> Self {
        Self::new(move |mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(beginning).await;
            let _ = stream.read_u8().await;
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    async fn post(&self, target: &str) -> Result<Response, Failure> {
        self.client(&ClientOptions::default())
            .send(&post(target))
            .await
    }

    fn client(&self, options: &ClientOptions) -> Client {
        client(&self.url, options)
    }
}

fn client(url: &str, options: &ClientOptions) -> Client {
    Client::new(&Destination::parse(url).unwrap(), options).unwrap()
}

fn post(target: &str) -> Request {
    let headers = vec![Header::new("Content-Type", "application/json")];
    Request::new("POST", target, headers, "{\"a\":1}")
}

async fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if received.len() >= end + 4 + length {
                return received;
            }
        }
        if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
            return received;
        }
    }
}

async fn written(url_prefix: &str, request: &Request) -> String {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let peer = Peer::new(move |mut stream| {
        let tell = tell.clone();
        async move {
            tell.send(read_request(&mut stream).await).unwrap();
            stream.write_all(OK).await.unwrap();
        }
    })
    .await;
    let place = peer.url.trim_start_matches("http://");
    let client = client(
        &format!("http://{url_prefix}{place}/"),
        &ClientOptions::default(),
    );
    client.send(request).await.unwrap();
    let text = String::from_utf8(told.recv().await.unwrap()).unwrap();
    text.replace(place, "PLACE")
}

fn tell(failure: &Failure) -> (Phase, FailureKind, &str) {
    (failure.phase, failure.kind, &failure.text)
}

#[tokio::test]
async fn a_request_is_written_as_it_is() {
    let mut request = post("/webhook?a[]=%ff&b");
    request.headers.push(Header::new("X-Twice", "1"));
    request.headers.push(Header::new("x-twice", "2"));
    let written = written("", &request).await;
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        written,
        format!(
            "POST /webhook?a[]=%ff&b HTTP/1.1\r\nHost: PLACE\r\nUser-Agent: telecmi-cdr/{version}\r\nAccept: */*\r\n\
             Content-Type: application/json\r\nX-Twice: 1\r\nX-Twice: 2\r\nContent-Length: 7\r\n\
             Connection: close\r\n\r\n{{\"a\":1}}"
        )
    );
}

#[tokio::test]
async fn what_a_request_brings_itself_is_kept() {
    let headers = vec![
        Header::new("Host", "cdr.test"),
        Header::new("User-Agent", "TeleCMI"),
        Header::new("Accept", "text/plain"),
        Header::new("Authorization", "Bearer own"),
        Header::new("Content-Length", "999"),
    ];
    let written = written("user:pass@", &Request::new("POST", "/", headers, "12")).await;
    assert_eq!(
        written,
        "POST / HTTP/1.1\r\nHost: cdr.test\r\nUser-Agent: TeleCMI\r\nAccept: text/plain\r\n\
         Authorization: Bearer own\r\nContent-Length: 2\r\nConnection: close\r\n\r\n12"
    );
}

#[tokio::test]
async fn userinfo_becomes_authorization_and_bodies_have_lengths() {
    let empty_post = written("user:pass@", &Request::new("POST", "/", vec![], "")).await;
    assert!(
        empty_post.contains("\r\nAuthorization: Basic dXNlcjpwYXNz\r\n"),
        "{empty_post}"
    );
    assert!(
        empty_post.contains("\r\nContent-Length: 0\r\n"),
        "{empty_post}"
    );
    let get = written("", &Request::new("GET", "/?a=1", vec![], "")).await;
    assert!(
        !get.contains("Content-Length") && !get.contains("Authorization"),
        "{get}"
    );
}

#[tokio::test]
async fn an_answer_comes_back_whole() {
    let peer = Peer::answering(
        b"HTTP/1.1 503 Busy\r\nSet-Cookie: a\r\nX-Odd: \xff\r\nSet-Cookie: b\r\nContent-Length: 3\r\n\r\n\xff\x1b[".to_vec(),
    )
    .await;
    let answer = peer.post("/").await.unwrap();
    assert_eq!(
        (answer.status, answer.size, answer.complete),
        (503, 3, true)
    );
    assert_eq!(&answer.body.0[..], b"\xff\x1b[");
    let cookies: Vec<_> = answer
        .headers
        .iter()
        .filter(|h| h.is("set-cookie"))
        .map(Header::text)
        .collect();
    assert_eq!(cookies, ["a", "b"]);
    assert!(
        answer
            .headers
            .iter()
            .any(|h| h.is("x-odd") && h.value[..] == b"\xff"[..])
    );
}

#[tokio::test]
async fn redirects_are_failures_and_nothing_is_sent_twice() {
    for status in [301, 302, 303, 307, 308] {
        let peer = Peer::answering(format!(
            "HTTP/1.1 {status} Elsewhere\r\nLocation: http://u:p@h.test/?token=abc\r\nContent-Length: 0\r\n\r\n"
        ))
        .await;
        let failure = peer.post("/").await.unwrap_err();
        let text = "redirect to http://***@h.test/?token=*** (not followed)";
        assert_eq!(tell(&failure), (Phase::Read, FailureKind::Redirect, text));
        assert_eq!(peer.connections(), 1);
    }
    let peer = Peer::answering("HTTP/1.1 304 Same\r\n\r\n").await;
    assert_eq!(peer.post("/").await.unwrap().status, 304);
}

#[tokio::test]
async fn nobody_there_is_told_without_the_token() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    drop(listener);
    let client = client(
        &format!("http://u:p@{place}/?token=abc"),
        &ClientOptions::default(),
    );
    let failure = client.send(&post("/?token=abc")).await.unwrap_err();
    let text = format!("connection refused by {place}");
    assert_eq!(
        tell(&failure),
        (Phase::Connect, FailureKind::Refused, text.as_str())
    );
}

#[tokio::test]
async fn a_host_without_address_is_told() {
    // A label of more than 63 octets (RFC 1035, section 2.3.4) fails in the resolver without a query.
    let host = format!("{}.test", "a".repeat(64));
    let client = client(
        &format!("http://{host}/?token=abc"),
        &ClientOptions::default(),
    );
    let failure = client.send(&post("/?token=abc")).await.unwrap_err();
    let text = format!("could not resolve host {host}");
    assert_eq!(
        tell(&failure),
        (Phase::Dns, FailureKind::Dns, text.as_str())
    );
}

#[tokio::test]
async fn peers_that_hang_up_are_told_apart() {
    for (answer, expected) in [
        (
            "",
            (
                Phase::Wait,
                FailureKind::Closed,
                "the peer closed the connection without answering",
            ),
        ),
        (
            "HTTP/1.1 200 O",
            (
                Phase::Read,
                FailureKind::Closed,
                "the peer closed the connection in the middle of its answer",
            ),
        ),
        (
            "SSH-2.0-x\r\n",
            (Phase::Read, FailureKind::NotHttp, "the answer is not HTTP"),
        ),
        (
            "<html>\r\n",
            (Phase::Read, FailureKind::NotHttp, "the answer is not HTTP"),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
            (
                Phase::Read,
                FailureKind::Closed,
                "the peer closed the connection in the middle of its answer",
            ),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            (
                Phase::Read,
                FailureKind::NotHttp,
                "the body of the answer is malformed",
            ),
        ),
    ] {
        let peer = Peer::answering(answer).await;
        let failure = peer.post("/").await.unwrap_err();
        assert_eq!(tell(&failure), expected, "{answer:?}");
        assert_eq!(peer.connections(), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn a_peer_that_speaks_first_is_read() {
    for (greeting, kind) in [(OK, None), (b"SSH-2.0-x\r\n", Some(FailureKind::NotHttp))] {
        let peer = Peer::new(move |mut stream| async move {
            let _ = stream.write_all(greeting).await;
            read_request(&mut stream).await;
        })
        .await;
        for _ in 0..20 {
            let failure = peer.post("/").await.err();
            assert_eq!(failure.map(|failure| failure.kind), kind);
        }
    }
}

#[tokio::test]
async fn a_reset_is_told() {
    let peer = Peer::new(|mut stream| async move {
        read_request(&mut stream).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let failure = peer.post("/").await.unwrap_err();
    let text = "the peer reset the connection without answering";
    assert_eq!(tell(&failure), (Phase::Wait, FailureKind::Closed, text));
}

#[tokio::test]
async fn every_silence_ends_and_its_phase_is_named() {
    let options = ClientOptions {
        timeout: SOON,
        ..ClientOptions::default()
    };
    let silent = Peer::stopping_after(b"").await.client(&options);
    let halting = Peer::stopping_after(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        .await
        .client(&options);
    let deaf = Peer::new(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await
    .client(&options);
    let get = Request::new("GET", "/", vec![], "");
    let large = Request::new("POST", "/", vec![], vec![b'a'; 32 << 20]);
    let small = post("/");
    let (unanswered_post, unanswered_get, unfinished, unread) = tokio::join!(
        silent.send(&small),
        silent.send(&get),
        halting.send(&small),
        deaf.send(&large)
    );
    for failure in [unanswered_post.unwrap_err(), unanswered_get.unwrap_err()] {
        assert_eq!(
            tell(&failure),
            (Phase::Wait, FailureKind::Timeout, "no answer within 1 s")
        );
    }
    let text = "the answer was not complete within 1 s";
    assert_eq!(
        tell(&unfinished.unwrap_err()),
        (Phase::Read, FailureKind::Timeout, text)
    );
    let text = format!(
        "{} did not read the whole request within 1 s",
        deaf.connector.destination.place()
    );
    assert_eq!(
        tell(&unread.unwrap_err()),
        (Phase::Send, FailureKind::Timeout, text.as_str())
    );
}

#[tokio::test]
async fn a_silent_handshake_is_a_phase_of_its_own() {
    let peer = Peer::new(|mut stream| async move {
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await;
    let options = ClientOptions {
        connect_timeout: SOON,
        insecure: true,
        ..ClientOptions::default()
    };
    let place = peer.url.trim_start_matches("http://");
    let failure = client(&format!("https://{place}"), &options)
        .send(&post("/"))
        .await
        .unwrap_err();
    let text = format!("no TLS handshake with {place} within 1 s");
    assert_eq!(
        tell(&failure),
        (Phase::Tls, FailureKind::Timeout, text.as_str())
    );
}

#[tokio::test]
async fn endless_answers_are_cut_and_full_ones_are_not() {
    let endless = Peer::new(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'a'; 4096]).await.is_ok() {}
    })
    .await;
    let answer = endless.post("/").await.unwrap();
    assert_eq!(
        (answer.body.len(), answer.complete),
        (MAX_RESPONSE_BODY, false)
    );

    let mut full =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {MAX_RESPONSE_BODY}\r\n\r\n").into_bytes();
    full.resize(full.len() + MAX_RESPONSE_BODY, b'a');
    let answer = Peer::answering(full).await.post("/").await.unwrap();
    assert_eq!(
        (answer.body.len(), answer.complete),
        (MAX_RESPONSE_BODY, true)
    );
}

#[tokio::test]
async fn a_thousand_posts_to_a_peer_that_closes_all_arrive_once() {
    for keep_alive in [false, true] {
        let peer = Peer::answering(OK).await;
        let client = peer.client(&ClientOptions {
            keep_alive,
            ..ClientOptions::default()
        });
        for n in 0..1000 {
            let outcome = client.send(&post("/")).await;
            assert!(outcome.is_ok(), "request {n}: {outcome:?}");
        }
        assert_eq!(peer.connections(), 1000);
    }
}

#[tokio::test]
async fn connections_are_used_again_only_on_request() {
    for (keep_alive, connections) in [(false, 3), (true, 1)] {
        let peer = Peer::new(|mut stream| async move {
            while !read_request(&mut stream).await.is_empty() {
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    .await;
            }
        })
        .await;
        let client = peer.client(&ClientOptions {
            keep_alive,
            ..ClientOptions::default()
        });
        for _ in 0..3 {
            client.send(&post("/")).await.unwrap();
        }
        assert_eq!(peer.connections(), connections);
    }
}

#[tokio::test]
async fn no_request_leaves_anything_in_the_next() {
    let peer = Peer::new(|mut stream| async move {
        loop {
            let request = read_request(&mut stream).await;
            if request.is_empty() {
                return;
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                request.len()
            );
            let _ = stream
                .write_all(&[head.as_bytes(), &request].concat())
                .await;
        }
    })
    .await;
    let with = |method: &str, name: &str, body: &str| {
        Request::new(method, "/", vec![Header::new(name, "1")], body.to_owned())
    };
    let requests = [
        with("POST", "x-a", "a body"),
        with("POST", "x-a", &"longer than a segment".repeat(1_000)),
        with("POST", "x-a", ""),
        with("GET", "x-a", ""),
        with("GET", "x-b", ""),
        with("GET", "x-b", "a"),
        with("PUT", "Host", "abc"),
        with("DELETE", "x-b", ""),
        post("/b"),
    ];
    for keep_alive in [false, true] {
        let options = ClientOptions {
            keep_alive,
            ..ClientOptions::default()
        };
        let client = peer.client(&options);
        for request in &requests {
            let told = client.send(request).await.unwrap();
            assert_eq!(
                Ok(told),
                peer.client(&options).send(request).await,
                "{request:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_the_peer_does_not_take_at_once_follows() {
    let peer = Peer::new(|mut stream| async move {
        let length = read_request(&mut stream).await.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{length:7}");
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let much = Request::new(
        "POST",
        "/",
        vec![Header::new("host", "x")],
        vec![b'a'; 8 * 1024 * 1024],
    );
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\nAccept: */*\r\nUser-Agent: {}\r\n\
         Connection: close\r\n\r\n",
        headers::USER_AGENT
    );
    let answer = peer
        .client(&ClientOptions::default())
        .send(&much)
        .await
        .unwrap();
    assert_eq!(
        answer.body.text().unwrap(),
        (head.len() + 8 * 1024 * 1024).to_string()
    );
}

/// Makes a peer that responds to the first request of each connection, and closes after the next one with only `last`
/// written, and a client that reuses connections.
async fn answering_once(last: &'static [u8]) -> (Peer, Client) {
    let peer = Peer::new(move |mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await;
        read_request(&mut stream).await;
        let _ = stream.write_all(last).await;
    })
    .await;
    let client = peer.client(&ClientOptions {
        keep_alive: true,
        ..ClientOptions::default()
    });
    (peer, client)
}

#[tokio::test]
async fn a_kept_connection_that_ends_is_not_tried_again() {
    let (peer, client) = answering_once(b"\r\n\r\n").await;
    client.send(&post("/")).await.unwrap();
    let failure = client.send(&post("/")).await.unwrap_err();
    let text = "the peer closed the connection without answering (on a reused connection)";
    assert_eq!(
        tell(&failure),
        (Phase::Wait, FailureKind::KeptConnectionClosed, text)
    );
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn only_the_first_reuse_fails_at_a_peer_that_closes_late() {
    let (_peer, client) = answering_once(b"").await;
    let mut failed = Vec::new();
    for n in 1..=6 {
        failed.extend(client.send(&post("/")).await.is_err().then_some(n));
    }
    assert_eq!(failed, [2]);
}

#[tokio::test]
async fn a_response_cut_on_a_kept_connection_is_an_ordinary_close() {
    let peer = Peer::new(|mut stream| async move {
        for length in [0, 9] {
            read_request(&mut stream).await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
        }
    })
    .await;
    let client = peer.client(&ClientOptions {
        keep_alive: true,
        ..ClientOptions::default()
    });
    client.send(&post("/")).await.unwrap();
    let failure = client.send(&post("/")).await.unwrap_err();
    let text = "the peer closed the connection in the middle of its answer";
    assert_eq!(tell(&failure), (Phase::Read, FailureKind::Closed, text));
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn what_cannot_be_sent_exactly_is_not_sent() {
    let client = client("http://127.0.0.1:9", &ClientOptions::default());
    let with =
        |name: &str, value: &str| Request::new("GET", "/", vec![Header::new(name, value)], "");
    for request in [
        post("/a b"),
        post("/#a"),
        post("*"),
        post("http://h/"),
        Request::new("G T", "/", vec![], ""),
        Request::new("CONNECT", "/", vec![], ""),
        with("a b", "c"),
        with("a", "b\r\nc: d"),
    ] {
        let failure = client.send(&request).await.unwrap_err();
        assert_eq!(
            (failure.phase, failure.kind),
            (Phase::Send, FailureKind::Other),
            "{}",
            failure.text
        );
    }
}

#[test]
fn proxies_come_from_the_environment_but_never_for_loopback() {
    let environment = Matcher::builder()
        .all("http://u:p@proxy.test:3128")
        .no("near.test")
        .build();
    let excluding = |excluded, url| {
        let destination = Destination::parse(url).unwrap();
        proxy_among(&environment, excluded, &destination)
    };
    let proxy = |url| excluding("", url);
    assert_eq!(
        proxy("http://cdr.test/?token=a").as_deref(),
        Some("http://proxy.test:3128")
    );
    assert_eq!(
        proxy("https://cdr.test").as_deref(),
        Some("http://proxy.test:3128")
    );
    assert_eq!(proxy("http://near.test"), None);
    assert_eq!(proxy("http://localhost:5000"), None);
    assert_eq!(proxy("http://127.0.0.1:5000"), None);
    for (excluded, is_excluded) in [
        ("*", true),
        ("other.test, 192.0.2.1:8000", true),
        ("192.0.2.1:8001", false),
    ] {
        let proxy = excluding(excluded, "http://192.0.2.1:8000/");
        assert_eq!(proxy.is_none(), is_excluded, "{excluded}");
    }
}
