//! Tests of `listen --inspect`: its URL, its routes, resending, and its end. The access rules have unit tests.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use super::peers::{answer, keeping_stub, post_json, say, stub};
use super::program::{DEADLINE, Listener, fixture, program};

struct Page {
    url: String,
    token: String,
}

fn inspected(arguments: &[&str]) -> (Listener, Page) {
    let fixed = ["listen", "--port", "0", "--format", "ndjson", "--inspect"];
    let mut running = program(fixed.iter().chain(arguments)).start();
    let ready = running.record();
    let page = Page::at(ready["inspect"].as_str().expect("a page"));
    let url = ready["url"].as_str().expect("a URL").to_owned();
    (Listener { running, url }, page)
}

impl Page {
    fn at(address: &str) -> Self {
        let (url, token) = address.split_once("/#").expect("a token");
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        assert!(
            token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{token}"
        );
        Self {
            url: url.to_owned(),
            token: token.to_owned(),
        }
    }

    fn request(&self, method: &str, path: &str, more: &str) -> String {
        let (host, token) = (&self.url["http://".len()..], &self.token);
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Inspector-Token: {token}\r\n{more}\r\n"
        )
    }

    fn ask(&self, method: &str, path: &str, more: &str) -> String {
        say(
            &self.url,
            self.request(method, path, &format!("Connection: close\r\n{more}")),
        )
    }

    fn body(&self, path: &str) -> String {
        let whole = say(
            &self.url,
            self.request("GET", path, "")
                .replace("HTTP/1.1", "HTTP/1.0"),
        );
        assert!(
            whole.starts_with("HTTP/1.0 200 ") || whole.starts_with("HTTP/1.1 200 "),
            "{whole}"
        );
        whole.split_once("\r\n\r\n").expect("a head").1.to_owned()
    }

    fn resend(&self, n: u64) -> String {
        self.post(&format!("/api/exchanges/{n}/resend"), "")
    }

    fn post(&self, path: &str, body: &str) -> String {
        let own = format!(
            "Origin: {}\r\nContent-Length: {}\r\nConnection: close\r\n",
            self.url,
            body.len()
        );
        say(&self.url, self.request("POST", path, &own) + body)
    }
}

fn open(page: &Page, until: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&page.url["http://".len()..]).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    stream
        .write_all(page.request("GET", "/api/events", "").as_bytes())
        .expect("written");
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(until) {
        let mut bytes = [0; 4096];
        let length = stream.read(&mut bytes).expect("an event in time");
        assert!(length > 0, "{}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&bytes[..length]);
    }
    stream
}

#[test]
fn a_person_is_told_where_the_page_is() {
    let mut running = program(["listen", "--port", "0", "--inspect", "--count", "1"]).start();
    let url = running
        .talk()
        .trim_end()
        .strip_prefix("listening on ")
        .expect("the ready line")
        .to_owned();
    let line = running.talk();
    let page = Page::at(
        line.trim_end()
            .strip_prefix("inspect     ")
            .expect("the page's line"),
    );
    assert!(page.body("/").starts_with("<!doctype html>"));
    post_json(&url, fixture("docs-leg-a.json"));
    running.end().expect(0);
}

#[test]
fn it_is_off_unless_asked_for_and_every_start_has_a_token_of_its_own() {
    // The token must not depend on the seed.
    let tokens = [(); 2].map(|()| inspected(&["--seed", "7"]).1.token);
    assert_ne!(tokens[0], tokens[1]);
    let mut running = program(["listen", "--port", "0", "--format", "ndjson"])
        .env("TELECMI_CDR_INSPECT", "0")
        .start();
    assert!(running.record()["inspect"].is_string());
    let mut running = program(["listen", "--port", "0", "--format", "ndjson"]).start();
    assert!(running.record().get("inspect").is_none());
}

#[test]
fn a_port_that_is_taken_stops_it_before_it_is_ready() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("an address").port().to_string();
    let ended = program(["listen", "--port", "0", "--inspect", &port])
        .run()
        .expect(2);
    assert_eq!(ended.stdout, "");
    let expected = format!("error: cannot listen on 127.0.0.1:{port}\n  caused by: ");
    assert!(ended.stderr.starts_with(&expected), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("choose another with --inspect N"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("listening"), "{}", ended.stderr);
}

#[test]
fn the_receivers_own_port_knows_no_page() {
    let (listener, page) = inspected(&[]);
    for path in ["/", "/page.js", "/api/events", "/api/capture"] {
        let request = page.request("GET", path, "Connection: close\r\n");
        let answered = say(&listener.url, request);
        assert!(answered.ends_with("\r\n\r\ngot it"), "{answered}");
    }
    page.ask("GET", "/", "");
    let told = page.body("/api/events?wait=0");
    assert_eq!(told.matches("event: exchange\n").count(), 4, "{told}");
}

#[test]
fn what_is_taken_away_is_what_is_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    for redact in [&[][..], &["--redact"]] {
        let file = folder.path().join(format!("{}.ndjson", redact.len()));
        let save = ["--save", file.to_str().expect("a name")];
        for _ in 0..2 {
            let before = fs::read_to_string(&file).unwrap_or_default();
            let (listener, page) = inspected(&[&save, redact].concat());
            for name in ["docs-leg-a.json", "docs-leg-b.json", "docs-leg-a.json"] {
                post_json(&listener.url, fixture(name));
            }
            let saved = fs::read_to_string(&file).expect("a capture");
            assert_eq!(page.body("/api/capture"), saved[before.len()..]);
            let record: Value =
                serde_json::from_str(saved.lines().last().expect("a line")).expect("JSON");
            assert_eq!(
                page.body("/api/exchanges/3/body"),
                record["request"]["body"]["text"]
            );
        }
    }
}

#[test]
fn an_exchange_is_sent_to_the_handler_again() {
    let (url, requests) = keeping_stub(answer("200 OK", "", "noted"));
    let (mut listener, page) = inspected(&["--forward-to", &format!("{url}/own?key=s3cret")]);
    post_json(&listener.url, fixture("docs-leg-a.json"));
    let first = requests.recv_timeout(DEADLINE).expect("a request");
    let told = page.resend(1);
    assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
    assert_eq!(
        requests.recv_timeout(DEADLINE).expect("the same again"),
        first
    );
    let told: Value =
        serde_json::from_str(told.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
    let names: Vec<_> = told
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        names,
        ["url", "status", "latency_ms", "complete", "response"]
    );
    assert_eq!(told["url"], format!("{url}/own?key=***"));
    assert_eq!(
        (&told["status"], &told["complete"]),
        (&200.into(), &true.into())
    );

    for origin in ["Origin: http://evil.example\r\n", "", "Origin: null\r\n"] {
        let refused = page.ask(
            "POST",
            "/api/exchanges/1/resend",
            &format!("{origin}Content-Length: 0\r\n"),
        );
        assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    }
    assert!(page.resend(2).starts_with("HTTP/1.1 404 "));
    assert!(requests.try_recv().is_err());
    assert_eq!(listener.running.record()["n"], 1);
    assert!(page.body("/api/events?wait=0").contains("\"newest\":1,"));
}

#[test]
fn a_body_and_a_query_are_changed_before_a_resend() {
    let (url, requests) = keeping_stub(answer("200 OK", "", "noted"));
    let (listener, page) = inspected(&["--forward-to", &url]);
    let received = || requests.recv_timeout(DEADLINE).expect("a request");
    post_json(&listener.url, r#"{"leg":"a"}"#);
    received();
    let edit = |n, text: &str| {
        let edit = serde_json::json!({ "edited": text }).to_string();
        page.post(&format!("/api/exchanges/{n}/resend"), &edit)
    };
    assert!(edit(1, "{\"leg\":\"ü\"}").starts_with("HTTP/1.1 200 "));
    let sent = received();
    assert!(
        sent.ends_with("\r\n\r\n{\"leg\":\"ü\"}") && sent.contains("Content-Length: 12\r\n"),
        "{sent}"
    );
    assert!(edit(1, "").starts_with("HTTP/1.1 200 "));
    assert!(received().contains("Content-Length: 0\r\n"));

    let get = "GET /x?leg=a&token=s3cret&to=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    say(&listener.url, get);
    assert!(received().starts_with("GET /x?leg=a&token=s3cret&to=1 "));
    assert!(edit(2, "leg=b&token=***&n=%20").starts_with("HTTP/1.1 200 "));
    assert!(received().starts_with("GET /x?leg=b&token=s3cret&n=%20 HTTP/1.1\r\n"));
    for query in ["a b", "a\r\nX: y", "ü"] {
        assert!(edit(2, query).starts_with("HTTP/1.1 400 "), "{query}");
    }
    let malformed = page.post("/api/exchanges/2/resend", "{");
    assert!(malformed.starts_with("HTTP/1.1 400 "), "{malformed}");
    let large = edit(1, &"x".repeat(1024 * 1024));
    assert!(large.starts_with("HTTP/1.1 413 "), "{large}");
    assert!(requests.try_recv().is_err());
}

#[test]
fn the_answer_is_changed_while_it_runs() {
    let (mut listener, page) = inspected(&["--body", "got it"]);
    let told = |text: &str| page.body("/api/events?wait=0").contains(text);
    assert!(told(r#""answer":{"status":200,"body":"got it"}"#));
    let mut stream = open(&page, "got it");
    let changed = page.post("/api/answer", r#"{"status":"503","body":"busy\u001b[2J"}"#);
    assert!(changed.starts_with("HTTP/1.1 204 "), "{changed}");
    assert_eq!(listener.running.talk(), "answering 503 busy\\u{1b}[2J\n");
    assert!(told(r#""answer":{"status":503,"body":"busy\u001b[2J"}"#));
    let mut event = [0; 4096];
    let length = stream.read(&mut event).expect("an event");
    assert!(
        String::from_utf8_lossy(&event[..length]).contains("event: answer\ndata: {\"status\":503,")
    );
    let request = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    let answered = say(&listener.url, request);
    assert!(
        answered.starts_with("HTTP/1.1 503 ") && answered.ends_with("busy\u{1b}[2J"),
        "{answered}"
    );
    assert_eq!(listener.running.record()["answer"]["status"], 503);

    for (body, status) in [
        ("", 400),
        ("{}", 400),
        (r#"{"status":"99","body":""}"#, 400),
        (r#"{"status":"600","body":""}"#, 400),
    ] {
        let refused = page.post("/api/answer", body);
        assert!(
            refused.starts_with(&format!("HTTP/1.1 {status} ")),
            "{refused}"
        );
    }
    let new = r#"{"status":"200","body":""}"#;
    for more in ["", "Origin: http://evil.example\r\n", "Origin: null\r\n"] {
        let own = format!(
            "{more}Connection: close\r\nContent-Length: {}\r\n",
            new.len()
        );
        let refused = say(&page.url, page.request("POST", "/api/answer", &own) + new);
        assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    }
    let own = format!("Origin: {}\r\nX-Forwarded-For: 192.0.2.7\r\n", page.url);
    assert!(
        page.ask("POST", "/api/answer", &own)
            .starts_with("HTTP/1.1 403 ")
    );
    assert!(
        page.ask("GET", "/api/answer", "")
            .starts_with("HTTP/1.1 405 ")
    );
    assert!(told(r#"{"status":503,"#));
}

#[test]
fn a_handler_that_is_not_well_is_told_of() {
    let (listener, page) = inspected(&["--forward-to", &stub("")]);
    post_json(&listener.url, fixture("docs-leg-a.json"));
    let told = page.resend(1);
    assert!(
        told.contains("\"failure\":{") && told.contains("\"complete\":false"),
        "{told}"
    );
    let (listener, page) = inspected(&[
        "--forward-to",
        &stub(answer("500 Oops", "", "no database\nat line 7")),
    ]);
    post_json(&listener.url, fixture("docs-leg-a.json"));
    assert!(page.resend(1).contains("\"said\":\"no database\""));
}

#[test]
fn streams_end_with_the_listener() {
    let (listener, page) = inspected(&["--count", "1"]);
    let mut streams: Vec<_> = (0..20).map(|_| open(&page, "event: hello\n")).collect();
    post_json(&listener.url, fixture("docs-leg-a.json"));
    listener.running.end().expect(0);
    for stream in &mut streams {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).expect("an end");
        assert!(
            rest.contains("id: 1\n") && rest.contains("event: end\ndata: {}\n\n"),
            "{rest}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_streams_too() {
    let (listener, page) = inspected(&[]);
    let mut stream = open(&page, "event: hello\n");
    listener.running.signal("-INT");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("an end");
    assert!(rest.contains("event: end\n"), "{rest}");
    listener.running.end().expect(0);
}

#[test]
fn what_comes_through_a_proxy_is_refused_even_with_the_token() {
    let (_listener, page) = inspected(&[]);
    assert!(page.ask("GET", "/api/capture", "").contains(" 200 OK"));
    for header in [
        "X-Forwarded-For: 192.0.2.7",
        "CF-Connecting-IP: 192.0.2.7",
        "Cdn-Loop: x",
        "Fly-Client-IP: 192.0.2.7",
        "Tailscale-User-Login: x",
        "X-Amzn-Trace-Id: 1",
        "X-Azure-ClientIP: 192.0.2.7",
        "X-Client-IP: 192.0.2.7",
        "X-Cluster-Client-Ip: 192.0.2.7",
        "X-Envoy-External-Address: 192.0.2.7",
        "Cf-Ray: 1",
        "True-Client-IP: 192.0.2.7",
        "Ngrok-Agent-Ips: 192.0.2.7",
        "Fastly-Client-IP: 192.0.2.7",
        "X-Original-Host: abc.example",
        "X-Original-Forwarded-For: 192.0.2.7",
        "Akamai-Origin-Hop: 1",
        "Client-IP: 192.0.2.7",
        "CloudFront-Viewer-Country: IN",
        "DO-Connecting-IP: 192.0.2.7",
        "Incap-Client-IP: 192.0.2.7",
        "Surrogate-Capability: abc",
        "WL-Proxy-Client-IP: 192.0.2.7",
        "X-Appengine-User-IP: 192.0.2.7",
        "X-ARR-LOG-ID: 1",
        "X-Cloud-Trace-Context: 1",
        "X-MS-Forwarded-Client-IP: 192.0.2.7",
        "X-NF-Client-Connection-IP: 192.0.2.7",
        "X-ProxyUser-IP: 192.0.2.7",
        "X-Remote-Addr: 192.0.2.7",
        "X-Rewrite-URL: /",
        "X-Sucuri-ClientIP: 192.0.2.7",
        "X-Varnish: 1",
        "X-Vercel-Forwarded-For: 192.0.2.7",
    ] {
        let answer = page.ask("GET", "/api/capture", &format!("{header}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 403 "), "{header}: {answer}");
    }
}
