//! Tests of `listen --forward-to`: the forwarded request, the answer, and failures of the handler.

use std::net::TcpListener;

use super::peers::{answer, keeping_stub, nobody, post_json, say, stub};
use super::program::{Listener, fixture, listener, pretty_listener, program};

fn passing_to(url: &str, more: &[&str]) -> Listener {
    listener(&[&["--forward-to", url], more].concat())
}

#[test]
fn the_handler_gets_the_same_request_and_its_answer_goes_back() {
    let (url, requests) = keeping_stub(answer(
        "202 Accepted",
        "X-Handler: yes\r\nKeep-Alive: 5\r\n",
        "noted",
    ));
    let mut listener = passing_to(&format!("{url}/own?key=s3cret"), &[]);
    let request = "POST /webhook/cdr?a=%2f&b=%FF HTTP/1.1\r\nHost: abc.example\r\nX-Odd-Case: 1\r\n\
                   Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\n{\"a\r\n4\r\n\": \x01\r\n0\r\n\r\n";
    let back = say(&listener.url, request);
    assert!(
        back.starts_with("HTTP/1.1 202 Accepted\r\n") && back.ends_with("\r\n\r\nnoted"),
        "{back}"
    );
    assert!(
        back.contains("\r\nx-handler: yes\r\n") && !back.contains("keep-alive"),
        "{back}"
    );

    let got = requests.recv().expect("a request");
    let (head, body) = got.split_once("\r\n\r\n").expect("a head");
    assert_eq!(body, "{\"a\": \x01");
    assert!(
        head.starts_with("POST /own?key=s3cret&a=%2f&b=%FF HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("\r\nX-Odd-Case: 1\r\n") && head.ends_with("\r\nContent-Length: 7"),
        "{head}"
    );
    assert!(
        head.contains("\r\nX-Forwarded-Host: abc.example\r\n") && !head.contains("chunked"),
        "{head}"
    );

    let exchange = listener.running.record();
    assert_eq!(
        (
            &exchange["answer"]["status"],
            &exchange["request"]["complete"]
        ),
        (&202.into(), &true.into())
    );
    let forwarded = &exchange["answer"]["forwarded"];
    assert_eq!(
        (&forwarded["status"], &forwarded["instead_of"]),
        (&202.into(), &400.into())
    );
    assert_eq!(forwarded["url"], format!("{url}/own?key=***&a=%2f&b=%FF"));
    assert!(
        forwarded["latency_ms"]
            .as_f64()
            .is_some_and(|took| took > 0.0)
            && forwarded.get("failure").is_none()
    );
}

#[test]
fn every_method_is_passed_on() {
    let (url, requests) = keeping_stub(answer("200 OK", "", "body"));
    let listener = passing_to(&url, &[]);
    for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
        let back = say(
            &listener.url,
            format!("{method} /p?x=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
        );
        assert!(back.starts_with("HTTP/1.1 200 OK\r\n"), "{back}");
        assert_eq!(back.ends_with("body"), method != "HEAD", "{back}");
        let got = requests.recv().expect("a request");
        assert!(
            got.starts_with(&format!("{method} /p?x=1 HTTP/1.1\r\n")),
            "{got}"
        );
    }
}

#[test]
fn a_handler_that_is_not_well_is_survived_and_named() {
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n".to_owned();
    let huge = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n{}",
        "x".repeat(2_000_000)
    );
    for (handler, status, said) in [
        (nobody(), 502, "connection refused"),
        (stub(""), 502, "without answering"),
        (stub("SSH-2.0-OpenSSH_9.2\r\n"), 502, "not HTTP"),
        (
            stub("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal"),
            502,
            "in the middle of its answer",
        ),
        (
            stub("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
            502,
            "answered with 101",
        ),
        (stub(redirect), 302, ""),
        (stub(huge), 200, ""),
    ] {
        let mut listener = passing_to(&handler, &[]);
        let back = post_json(&listener.url, fixture("docs-leg-a.json"));
        let exchange = listener.running.record();
        assert!(back.starts_with(&format!("HTTP/1.1 {status} ")), "{back}");
        assert_eq!(exchange["answer"]["status"], status, "{exchange}");
        let failure = exchange["answer"]["forwarded"]["failure"]["text"]
            .as_str()
            .unwrap_or_default();
        assert!(
            failure.contains(said) && failure.is_empty() == said.is_empty(),
            "{failure}"
        );
        assert_eq!(
            exchange["answer"]["forwarded"]["complete"],
            said.is_empty(),
            "{exchange}"
        );
        assert!(!back.contains("127.0.0.1"), "{back}");
    }
}

#[test]
fn a_page_that_explains_an_error_goes_back_whole() {
    let page = "x".repeat(300_000);
    let mut listener = passing_to(&stub(answer("500 Internal Server Error", "", &page)), &[]);
    let back = post_json(&listener.url, fixture("docs-leg-a.json"));
    assert!(
        back.ends_with(&page)
            && back
                .to_ascii_lowercase()
                .contains("content-length: 300000\r\n")
    );
    assert_eq!(
        listener.running.record()["answer"]["forwarded"]["complete"],
        true
    );
}

#[test]
fn a_large_answer_goes_back_whole() {
    let page = "x".repeat(50_000_000);
    let mut listener = passing_to(&stub(answer("200 OK", "", &page)), &[]);
    let back = post_json(&listener.url, fixture("docs-leg-a.json"));
    assert!(back.starts_with("HTTP/1.1 200 ") && back.ends_with(&page));
    let exchange = listener.running.record();
    assert_eq!(exchange["answer"]["forwarded"]["complete"], true);
    assert!(exchange.to_string().len() < 1_000_000);
}

#[test]
fn an_answer_to_head_keeps_its_length() {
    let handler = stub("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    let listener = passing_to(&handler, &[]);
    let request = "HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let back = say(&listener.url, request).to_ascii_lowercase();
    assert!(back.contains("\r\ncontent-length: 1234\r\n"), "{back}");
    assert!(back.ends_with("\r\n\r\n"), "{back}");
}

#[test]
fn an_answer_in_bad_chunks_is_no_answer() {
    let handler =
        stub("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n");
    let mut listener = passing_to(&handler, &[]);
    let back = post_json(&listener.url, fixture("docs-leg-a.json"));
    assert!(back.starts_with("HTTP/1.1 502 "), "{back}");
    let forwarded = &listener.running.record()["answer"]["forwarded"];
    assert!(forwarded["failure"]["text"].is_string(), "{forwarded}");
}

#[test]
fn a_transfer_coding_is_named_in_both_directions() {
    let coded = "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n\x1fx\r\n0\r\n\r\n";
    let (url, requests) = keeping_stub(format!("HTTP/1.1 200 OK\r\n{coded}"));
    let mut listener = passing_to(&url, &[]);
    let request = format!("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{coded}");
    let back = say(&listener.url, request);
    let remark = listener.running.record()["verdict"]["remarks"][0].clone();
    assert_eq!(remark["code"], "encoded");
    let got = requests.recv().expect("a request");
    for message in [back, got] {
        let (head, body) = message.split_once("\r\n\r\n").expect("a head");
        let head = head.to_ascii_lowercase();
        assert!(
            head.contains("\r\ntransfer-encoding: gzip, chunked"),
            "{message}"
        );
        assert_eq!(body, "2\r\n\x1fx\r\n0\r\n\r\n", "{message}");
    }
}

#[test]
fn nobody_can_ask_what_was_added_for_the_handler() {
    let (url, requests) = keeping_stub(answer("200 OK", "", ""));
    let listener = passing_to(&url, &[]);
    let back = say(
        &listener.url,
        "TRACE / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    assert!(back.starts_with("HTTP/1.1 405 "), "{back}");
    assert!(requests.try_recv().is_err());
}

#[test]
fn what_is_refused_or_incomplete_is_not_passed_on() {
    let (url, requests) = keeping_stub(answer("200 OK", "", ""));
    let strict = passing_to(&url, &["--strict", "--max-body", "2KiB"]);
    assert!(post_json(&strict.url, "{\"type\":\"cdr\"}").starts_with("HTTP/1.1 422 "));
    assert!(post_json(&strict.url, "x".repeat(3_000)).starts_with("HTTP/1.1 413 "));
    assert!(post_json(&strict.url, fixture("docs-leg-a.json")).starts_with("HTTP/1.1 200 "));
    assert!(requests.recv().expect("a request").contains("\"leg\""));
    assert!(requests.try_recv().is_err());
}

#[cfg(unix)]
#[test]
fn a_handler_that_never_answers_does_not_hold_up_the_end() {
    let (silent, requests) = keeping_stub("");
    let listener = passing_to(&silent, &[]);
    let url = listener.url.clone();
    let sender = std::thread::spawn(move || post_json(&url, fixture("docs-leg-a.json")));
    requests.recv().expect("a request");
    listener.running.signal("-TERM");
    let ended = listener.running.end().expect(0);
    assert!(
        sender
            .join()
            .expect("an answer")
            .starts_with("HTTP/1.1 504 ")
    );
    let exchanges = ended.records_of("exchange");
    let text = exchanges[0]["answer"]["forwarded"]["failure"]["text"]
        .as_str()
        .expect("a failure");
    assert!(text.contains("the listener stopped"), "{text}");
}

#[test]
fn a_circle_is_refused_at_the_start_or_found_on_the_way() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("an address").port().to_string();
    drop(socket);
    let itself = format!("http://localhost:{port}/x");
    let ended = program(["listen", "--port", &port, "--forward-to", &itself])
        .run()
        .expect(2);
    let said = format!("error: --forward-to {itself} is the address of this listener\n");
    assert!(ended.stderr.starts_with(&said), "{}", ended.stderr);

    let (url, requests) = keeping_stub(answer("200 OK", "", ""));
    let listener = passing_to(&url, &[]);
    post_json(&listener.url, fixture("docs-leg-a.json"));
    let got = requests.recv().expect("a request");
    let via = got
        .lines()
        .find(|line| line.starts_with("Via: "))
        .expect("a signature");
    let again = say(
        &listener.url,
        format!("GET / HTTP/1.1\r\nHost: h\r\n{via}\r\nConnection: close\r\n\r\n"),
    );
    assert!(again.starts_with("HTTP/1.1 508 "), "{again}");
}

#[test]
fn a_person_sees_the_handlers_answer_beside_ours() {
    let url = stub(answer("500 Internal Server Error", "", "oops"));
    let mut listener = pretty_listener(&["--forward-to", &url, "--count", "1"]);
    post_json(&listener.url, fixture("docs-leg-a.json"));
    let head = listener.running.line();
    assert!(head.contains("POST /webhook/cdr  500 · "), "{head}");
    let line = super::program::masked(&listener.running.line());
    assert_eq!(
        line,
        "  → http://127.0.0.1:PORT/webhook/cdr  500 · T · without --forward-to the answer is 200\n"
    );
    assert_eq!(listener.running.line(), "    oops\n");
    listener.running.end().expect(0);
}
