use super::super::client::tls_tests::Authority;
use super::super::failure::peer_closed;
use super::super::{Header, Request};
use super::script::message;
use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ngot it";

const SOON: Duration = Duration::from_millis(300);

const NEVER: Duration = Duration::from_secs(3600);

fn destination(place: impl std::fmt::Display) -> Destination {
    Destination::parse(&format!("http://{place}/webhook?token=abc")).unwrap()
}

fn request() -> Request {
    let headers = vec![
        Header::new("User-Agent", "t"),
        Header::new("Content-Type", "application/json"),
    ];
    Request::new("POST", "/webhook?token=abc", headers, "{\"a\":1}")
}

fn whole(request: &Request, there: &Destination) -> RawRequest {
    let mut raw = Script::HalfClosed.steps(request, there);
    raw.steps.truncate(1);
    raw
}

/// Formats the bytes of a request's steps as text, with steps that send no bytes in angle brackets.
fn script(request: &RawRequest) -> String {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let step = |step: &Step| match step {
        Step::Send(bytes) => text(bytes),
        Step::Drip { bytes, .. } => format!("<drip>{}", text(bytes)),
        Step::AwaitContinue(_) => "<continue?>".to_owned(),
        Step::HalfClose => "<half-close>".to_owned(),
        Step::Reset => "<reset>".to_owned(),
    };
    request.steps.iter().map(step).collect()
}

#[test]
fn scripts_send_what_they_promise() {
    let there = destination("cdr.test");
    let head = "POST /webhook?token=abc HTTP/1.1\nHost: cdr.test\nAccept: */*\nUser-Agent: t\nContent-Type: application/json\n";
    let length = |n: usize| format!("{head}Content-Length: {n}\nConnection: close\n\n");
    for (raw, expected) in [
        (whole(&request(), &there), length(7) + "{\"a\":1}"),
        (
            Script::CutShort.steps(&request(), &there),
            length(7) + "{\"a<half-close>",
        ),
        (
            Script::Stalled.steps(&request(), &there),
            length(7) + "{\"a",
        ),
        (
            Script::Reset.steps(&request(), &there),
            length(7) + "{\"a<reset>",
        ),
        (
            Script::TooLong.steps(&request(), &there),
            length(3).replace("Connection: close\n", "") + "{\"a\":1}",
        ),
        (
            Script::Dripped(SOON).steps(&request(), &there),
            format!("<drip>{}{{\"a\":1}}", length(7)),
        ),
        (
            Script::HalfClosed.steps(&request(), &there),
            length(7) + "{\"a\":1}<half-close>",
        ),
        (RawRequest::new("POST", []), String::new()),
        (
            Script::Chunked(4).steps(&request(), &there),
            format!(
                "{head}Transfer-Encoding: chunked\nConnection: close\n\n4\n{{\"a\"\n3\n:1}}\n0\n\n"
            ),
        ),
        (
            Script::ExpectContinue(SOON).steps(&request(), &there),
            format!(
                "{head}Expect: 100-continue\nContent-Length: 7\nConnection: close\n\n<continue?>{{\"a\":1}}"
            ),
        ),
        (
            Script::Http10.steps(&request(), &there),
            (length(7) + "{\"a\":1}")
                .replace("HTTP/1.1", "HTTP/1.0")
                .replace("Host: cdr.test\n", ""),
        ),
        (
            Script::Pipelined.steps(&request(), &there),
            (length(7).replace("Connection: close\n", "") + "{\"a\":1}").repeat(2),
        ),
    ] {
        assert_eq!(script(&raw), expected);
    }
}

#[test]
fn a_head_is_written_as_it_is_told() {
    let odd = Header {
        name: "a b".into(),
        value: Bytes::from_static(b"\xff\x00"),
    };
    let request = Request::new("G@T", "/a b?'", vec![], "");
    assert_eq!(
        message(&request, "HTTP/9", &[odd], b"")[..],
        b"G@T /a b?' HTTP/9\r\na b: \xff\0\r\n\r\n"[..]
    );
    let there = Destination::parse("http://u:p@[::1]:81/").unwrap();
    let get = Request::new("GET", "/x", vec![Header::new("content-length", "5")], "");
    assert_eq!(
        script(&whole(&get, &there)),
        format!(
            "GET /x HTTP/1.1\nHost: [::1]:81\nUser-Agent: {}\nAccept: */*\nAuthorization: Basic dTpw\nConnection: close\n\n",
            super::super::headers::USER_AGENT
        )
    );
}

async fn peer<F, Fut, T>(serve: F) -> (Destination, oneshot::Receiver<T>)
where
    F: FnOnce(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = tell.send(serve(stream).await);
    });
    (destination(address), told)
}

async fn read_until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut received = Vec::new();
    while !received.ends_with(end) {
        if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
            break;
        }
    }
    received
}

fn writer(there: &Destination, timeout: Duration) -> RawClient {
    let options = ClientOptions {
        timeout,
        ..ClientOptions::default()
    };
    RawClient::new(there, &options).unwrap()
}

async fn perform(there: &Destination, raw: &RawRequest) -> Result<Option<Response>, Failure> {
    writer(there, Duration::from_secs(15)).run(raw).await
}

fn status(outcome: &Result<Option<Response>, Failure>) -> Option<u16> {
    Some(outcome.as_ref().ok()?.as_ref()?.status)
}

#[tokio::test]
async fn a_half_closed_request_is_still_answered() {
    let (there, seen) = peer(|mut stream| async move {
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.unwrap();
        stream.write_all(OK).await.unwrap();
        received
    })
    .await;
    let outcome = perform(&there, &Script::HalfClosed.steps(&request(), &there)).await;
    let answer = outcome.unwrap().unwrap();
    assert_eq!(
        (answer.status, answer.body.text(), answer.complete),
        (200, Some("got it"), true)
    );
    assert!(seen.await.unwrap().ends_with(b"\r\n\r\n{\"a\":1}"));
}

#[tokio::test]
async fn endings_without_an_answer_are_told_apart() {
    let (there, _seen) =
        peer(|mut stream| async move { read_until(&mut stream, b"}").await }).await;
    let outcome = perform(&there, &whole(&request(), &there)).await;
    assert_eq!(outcome, Err(peer_closed(Phase::Wait, "closed")));

    let (there, _seen) = peer(|mut stream| async move {
        read_until(&mut stream, b"}").await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let outcome = perform(&there, &whole(&request(), &there)).await;
    assert_eq!(outcome, Err(peer_closed(Phase::Wait, "reset")));

    let (there, _seen) = peer(|mut stream| async move { stream.read_u8().await }).await;
    let outcome = writer(&there, SOON).run(&RawRequest::new("POST", [])).await;
    assert!(matches!(&outcome, Err(failure) if failure.phase == Phase::Wait));
    assert_eq!(outcome.unwrap_err().text, "no answer within 300 ms");

    let (there, _seen) =
        peer(|mut stream| async move { stream.write_all(b"SSH-2.0-x\r\n").await }).await;
    let outcome = perform(&there, &RawRequest::new("POST", [])).await;
    assert_eq!(outcome.unwrap_err().kind, FailureKind::NotHttp);

    let (there, _seen) =
        peer(|mut stream| async move { stream.write_all(b"HTTP/1.1 20").await }).await;
    let outcome = perform(&there, &RawRequest::new("POST", [])).await;
    let text = "the peer closed the connection in the middle of its answer";
    assert_eq!(outcome.unwrap_err().text, text);
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let torn = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ngot";
    let (there, _seen) = peer(move |mut stream| async move {
        read_until(&mut stream, b"}").await;
        stream.write_all(torn).await
    })
    .await;
    let outcome = perform(&there, &whole(&request(), &there)).await;
    let failure = outcome.unwrap_err();
    assert_eq!(
        (failure.phase, failure.kind),
        (Phase::Read, FailureKind::Closed)
    );
    assert_eq!(
        failure.text,
        "the peer closed the connection in the middle of its answer"
    );

    for unending in [&torn[..], b"HTTP/1.1 200 OK\r\n\r\ngot"] {
        let (there, _seen) = peer(move |mut stream| async move {
            stream.write_all(unending).await.unwrap();
            stream.read_u8().await
        })
        .await;
        let outcome = writer(&there, SOON).run(&RawRequest::new("POST", [])).await;
        let failure = outcome.unwrap_err();
        assert_eq!(
            (failure.phase, failure.kind),
            (Phase::Read, FailureKind::Timeout)
        );
        assert_eq!(failure.text, "the answer was not complete within 300 ms");
    }
}

#[tokio::test]
async fn nobody_there_is_a_failure_before_anything_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = destination(listener.local_addr().unwrap());
    drop(listener);
    let failure = writer(&there, NEVER).open().await.err().unwrap();
    assert_eq!(
        (failure.phase, failure.kind),
        (Phase::Connect, FailureKind::Refused)
    );
    assert_eq!(
        failure.text,
        format!("connection refused by {}", there.place())
    );
}

#[tokio::test]
async fn a_reset_reaches_the_peer_as_one() {
    let (there, seen) = peer(|mut stream| async move {
        let mut received = Vec::new();
        let error = stream.read_to_end(&mut received).await.unwrap_err();
        (received, error.kind())
    })
    .await;
    let outcome = perform(&there, &Script::Reset.steps(&request(), &there)).await;
    assert_eq!(outcome, Ok(None));
    let (received, kind) = seen.await.unwrap();
    assert!(received.ends_with(b"\r\n\r\n{\"a"));
    assert_eq!(kind, io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_body_waits_for_continue() {
    let (there, seen) = peer(|mut stream| async move {
        let head = read_until(&mut stream, b"\r\n\r\n").await;
        stream
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .await
            .unwrap();
        let body = read_until(&mut stream, b"}").await;
        stream.write_all(OK).await.unwrap();
        (head, body)
    })
    .await;
    let raw = Script::ExpectContinue(NEVER).steps(&request(), &there);
    assert_eq!(status(&perform(&there, &raw).await), Some(200));
    let (head, body) = seen.await.unwrap();
    assert!(head.ends_with(b"\r\n\r\n"));
    assert_eq!(body, b"{\"a\":1}");
}

#[tokio::test]
async fn the_body_comes_unasked_in_the_end_and_not_after_a_refusal() {
    let (there, _seen) = peer(|mut stream| async move {
        read_until(&mut stream, b"}").await;
        stream.write_all(OK).await
    })
    .await;
    let raw = Script::ExpectContinue(Duration::from_millis(1)).steps(&request(), &there);
    assert_eq!(status(&perform(&there, &raw).await), Some(200));

    let (there, seen) = peer(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        stream
            .write_all(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        read_until(&mut stream, b"}").await
    })
    .await;
    let raw = Script::ExpectContinue(NEVER).steps(&request(), &there);
    assert_eq!(status(&perform(&there, &raw).await), Some(417));
    assert_eq!(seen.await.unwrap(), b"");
}

#[tokio::test]
async fn a_drip_arrives_whole_and_an_early_answer_ends_it() {
    let (there, seen) = peer(|mut stream| async move {
        let received = read_until(&mut stream, b"}").await;
        stream.write_all(OK).await.unwrap();
        received
    })
    .await;
    let raw = Script::Dripped(Duration::ZERO).steps(&request(), &there);
    assert_eq!(status(&perform(&there, &raw).await), Some(200));
    assert_eq!(
        script(&raw).replace('\n', "\r\n").into_bytes(),
        [b"<drip>", &seen.await.unwrap()[..]].concat()
    );

    let (there, _seen) = peer(|mut stream| async move {
        stream.read_u8().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 408 Slow\r\nContent-Length: 0\r\n\r\n")
            .await
    })
    .await;
    let raw = Script::Dripped(NEVER).steps(&request(), &there);
    assert_eq!(status(&perform(&there, &raw).await), Some(408));
}

#[tokio::test]
async fn an_answer_is_found_although_the_peer_stopped_reading() {
    let (there, _seen) = peer(|mut stream| async move {
        stream.read_u8().await.unwrap();
        let answer = b"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let mut large = request();
    large.body = vec![b'a'; 8 << 20].into();
    let outcome = perform(&there, &whole(&large, &there)).await;
    assert_eq!(status(&outcome), Some(413));
}

#[tokio::test]
async fn a_peer_that_does_not_take_a_request_is_told_from_one_that_does_not_answer() {
    let mut large = request();
    large.body = vec![b'a'; 32 << 20].into();
    for (request, phase, text) in [
        (
            large,
            Phase::Send,
            "did not read the whole request within 300 ms",
        ),
        (request(), Phase::Wait, "no answer within 300 ms"),
    ] {
        let (there, _seen) = peer(|stream| async move {
            std::future::pending::<()>().await;
            drop(stream);
        })
        .await;
        let raw = RawRequest::exact(&request).unwrap();
        let failure = writer(&there, SOON).send(&raw).await.unwrap_err();
        assert_eq!((failure.phase, failure.kind), (phase, FailureKind::Timeout));
        assert!(failure.text.ends_with(text), "{}", failure.text);
    }
}

#[tokio::test]
async fn the_answer_to_head_ends_with_its_head() {
    let (there, _seen) = peer(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
            .await
            .unwrap();
        stream.read_u8().await
    })
    .await;
    let head = Request::new("HEAD", "/", vec![], "");
    for raw in [RawRequest::exact(&head).unwrap(), whole(&head, &there)] {
        assert_eq!(raw.method, "HEAD");
    }
    let answer = writer(&there, NEVER)
        .send(&RawRequest::exact(&head).unwrap())
        .await
        .unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

#[tokio::test]
async fn open_connections_are_released_together() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = destination(listener.local_addr().unwrap());
    let writer = writer(&there, Duration::from_secs(15));
    let mut mine = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..5 {
        let (open, accepted) = tokio::join!(writer.open(), listener.accept());
        mine.push(open.unwrap());
        theirs.push(accepted.unwrap().0);
    }
    for stream in &theirs {
        let nothing = stream.try_read(&mut [0]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    }
    let raw = whole(&request(), &there);
    let performing = mine
        .into_iter()
        .map(|stream| writer.run_on(stream, &raw, writer.timeout));
    let answering = theirs.into_iter().map(|mut stream| async move {
        read_until(&mut stream, b"}").await;
        stream.write_all(OK).await
    });
    let (outcomes, _) = tokio::join!(
        futures_util::future::join_all(performing),
        futures_util::future::join_all(answering)
    );
    assert!(
        outcomes.iter().all(|outcome| status(outcome) == Some(200)),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn redirects_are_failures_here_too() {
    let (there, _seen) = peer(|mut stream| async move {
        stream
            .write_all(b"HTTP/1.1 302 Found\r\nLocation: /x?token=abc\r\nContent-Length: 0\r\n\r\n")
            .await
    })
    .await;
    let failure = perform(&there, &RawRequest::new("POST", []))
        .await
        .unwrap_err();
    assert_eq!(failure.text, "redirect to /x?token=*** (not followed)");
}

#[tokio::test]
async fn scripts_are_played_over_tls() {
    let authority = Authority::new("ours");
    let options = ClientOptions {
        certificates: authority.trusted(),
        ..ClientOptions::default()
    };
    for (host, expected) in [
        ("localhost", Ok(200)),
        (
            "other.test",
            Err(
                "certificate of localhost: wrong host, the certificate is for other.test"
                    .to_owned(),
            ),
        ),
    ] {
        let port = authority.peer(host, 2999).await.port();
        let there = Destination::parse(&format!("https://localhost:{port}/")).unwrap();
        let raw = whole(&request(), &there);
        let result = RawClient::new(&there, &options).unwrap().send(&raw).await;
        assert_eq!(
            result
                .map(|answer| answer.status)
                .map_err(|failure| failure.text),
            expected
        );
    }
}

fn written(request: &Request) -> String {
    let raw = RawRequest::exact(request).unwrap();
    let [Step::Send(bytes)] = raw.steps.as_slice() else {
        panic!("{raw:?}")
    };
    String::from_utf8_lossy(bytes).replace("\r\n", "\n")
}

#[test]
fn a_request_is_written_as_it_stands() {
    let headers = vec![
        Header::new("X-b", "2"),
        Header::new("host", "cdr.test"),
        Header::new("x-B", ""),
        Header::new("Content-LENGTH", "2"),
    ];
    let mut request = Request::new("PuT", "http://h/a//../b?'=#c", headers, "{}");
    let head =
        "PuT http://h/a//../b?'=#c HTTP/1.1\nX-b: 2\nhost: cdr.test\nx-B: \nContent-LENGTH: 2\n\n";
    assert_eq!(written(&request), format!("{head}{{}}"));
    request.version = "HTTP/1.0".into();
    assert_eq!(
        written(&request),
        format!("{head}{{}}").replace("HTTP/1.1", "HTTP/1.0")
    );
}

#[test]
fn chunks_stay_chunks() {
    for (coding, body, expected) in [
        ("chunked", "0123456789abcdef", "10\n0123456789abcdef\n0\n\n"),
        ("gzip, Chunked", "", "0\n\n"),
        ("chunked, gzip", "ab", "ab"),
    ] {
        let request = Request::new(
            "POST",
            "/",
            vec![Header::new("transfer-encoding", coding)],
            body.to_owned(),
        );
        let head = format!("POST / HTTP/1.1\ntransfer-encoding: {coding}\n\n");
        assert_eq!(written(&request), head + expected);
    }
}

#[test]
fn what_would_become_another_request_is_refused() {
    let request = |method: &str, target: &str, name: &str, value: &str| {
        Request::new(method, target, vec![Header::new(name, value)], "")
    };
    for (method, target, name, value) in [
        ("", "/", "a", "b"),
        ("P OST", "/", "a", "b"),
        ("POST\r\n", "/", "a", "b"),
        ("GET", "", "a", "b"),
        ("GET", "/ HTTP/1.1", "a", "b"),
        ("GET", "/\n", "a", "b"),
        ("GET", "/\0", "a", "b"),
        ("GET", "/", "", "b"),
        ("GET", "/", "a:", "b"),
        ("GET", "/", " a", "b"),
        ("GET", "/", "é", "b"),
        ("GET", "/", "a", "b\r\nEvil: 1"),
        ("GET", "/", "a", "b\rc"),
        ("GET", "/", "a", "\0"),
    ] {
        let request = request(method, target, name, value);
        assert!(RawRequest::exact(&request).is_err(), "{request:?}");
    }
    let mut newer = request("GET", "/", "a", "b");
    assert_eq!(check(&newer), Ok(()));
    newer.version = "HTTP/1.1\r\nEvil: 1".into();
    assert!(check(&newer).is_err());
    assert_eq!(
        check(&request("GET", "*", "x-ü'".trim_end_matches("ü'"), "ü\t\"")),
        Ok(())
    );
}

proptest! {
    #[test]
    fn no_line_is_smuggled_in(
        method in "[A-Z]{0,4}[ \r\n]{0,1}",
        target in "/[ -~\r\n\u{85}é]{0,12}",
        headers in proptest::collection::vec(
            ("[a-zA-Z:-]{0,5}[ \r\n]{0,1}", proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), 0x20_u8..=0xff], 0..8)),
            0..4,
        ),
        body in "[a\r\n]{0,8}",
    ) {
        let fields = headers.into_iter().map(|(name, value)| Header { name: name.into(), value: value.into() });
        let request = Request::new(&method, target, fields.collect::<Vec<_>>(), body.clone());
        if let Ok(raw) = RawRequest::exact(&request) {
            let [Step::Send(bytes)] = raw.steps.as_slice() else { panic!("{raw:?}") };
            let head = bytes.strip_suffix(body.as_bytes()).unwrap();
            let mut lines: Vec<_> = head.split(|byte| *byte == b'\n').collect();
            prop_assert_eq!(lines.split_off(lines.len() - 2), [&b"\r"[..], b""]);
            prop_assert_eq!(lines.len(), 1 + request.headers.len());
            for (line, header) in lines[1..].iter().zip(&request.headers) {
                let expected = [header.name.as_bytes(), b": ", &header.value, b"\r"].concat();
                prop_assert_eq!(*line, expected);
            }
            prop_assert_eq!(lines[0].iter().filter(|byte| **byte == b' ').count(), 2);
            prop_assert!(!bytes[..head.len() - 4].windows(2).any(|pair| pair == b"\n\n"));
        }
    }
}
