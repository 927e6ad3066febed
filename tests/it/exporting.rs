//! Tests of `send --print`. The printed requests are parsed here by independent code; `tests/acceptance/formats/` runs
//! the real tools.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::peers::{post_json, say};
use super::program::{Ended, fixture, listener, program};

const URL: &str = "http://127.0.0.1:8237/webhook/cdr?a=1";

/// Method, URL and body, in which all formats must agree.
type Sent = (String, String, Vec<u8>);

#[track_caller]
fn print(how: &str, arguments: &[&str]) -> Ended {
    let fixed = [
        "send",
        "--print",
        how,
        "--url",
        URL,
        "--seed",
        "7",
        "--at",
        "2026-11-22T09:00:00Z",
    ];
    program(fixed.iter().chain(arguments)).run()
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn of_har(printed: &str) -> Vec<Sent> {
    let document: Value = serde_json::from_str(printed).expect("one document");
    assert_eq!(document["log"]["version"], "1.2");
    let entries = document["log"]["entries"]
        .as_array()
        .expect("entries")
        .clone();
    let sent = |entry: &Value| {
        let request = &entry["request"];
        let body = request
            .get("postData")
            .map(|data| text(&data["text"]))
            .unwrap_or_default();
        assert_eq!(request["bodySize"], body.len());
        assert_eq!(entry["response"]["status"], 0);
        (
            text(&request["method"]),
            text(&request["url"]),
            body.into_bytes(),
        )
    };
    entries.iter().map(sent).collect()
}

fn of_vegeta(printed: &str) -> Vec<Sent> {
    let sent = |line: &str| {
        let target: Value = serde_json::from_str(line).expect("a target");
        let body = target
            .get("body")
            .map(|body| BASE64.decode(text(body)).expect("base64"));
        (
            text(&target["method"]),
            text(&target["url"]),
            body.unwrap_or_default(),
        )
    };
    printed.lines().map(sent).collect()
}

fn of_http(printed: &str) -> Vec<Sent> {
    let sent = |request: &str| {
        let (_title, request) = request.split_once('\n').expect("a title");
        let (head, body) = request.split_once("\n\n").expect("an end of the head");
        let line: Vec<&str> = head
            .lines()
            .next()
            .expect("a first line")
            .split(' ')
            .collect();
        assert_eq!((line.len(), line[2]), (3, "HTTP/1.1"));
        (
            line[0].to_owned(),
            line[1].to_owned(),
            body.trim_end().as_bytes().to_vec(),
        )
    };
    printed.split("### ").skip(1).map(sent).collect()
}

#[test]
fn every_scenario_is_the_same_request_in_every_format() {
    for shape in ["docs", "live"] {
        let arguments = ["-s", "all", "-X", "both", "--shape", shape];
        let har = of_har(&print("har", &arguments).expect(0).stdout);
        assert_eq!(har.len(), 26);
        assert_eq!(
            of_vegeta(&print("vegeta", &arguments).expect(0).stdout),
            har
        );
        assert_eq!(of_http(&print("http", &arguments).expect(0).stdout), har);

        let json = print("json", &arguments).expect(0).stdout;
        for (n, ((method, url, body), cdr)) in har.iter().zip(json.lines()).enumerate() {
            let (expected, is_post) = if n % 2 == 0 {
                ("POST", true)
            } else {
                ("GET", false)
            };
            assert_eq!(method, expected);
            assert_eq!(url == URL, is_post, "{url}");
            assert!(
                url.starts_with(URL) && body == if is_post { cdr.as_bytes() } else { b"" },
                "{cdr}"
            );
        }
    }
}

#[test]
fn a_verdict_is_what_listen_says() {
    let verdict = |file: &str, more: &[&str]| {
        let file = format!("{}/fixtures/{file}", env!("CARGO_MANIFEST_DIR"));
        let flags = ["send", "--print", "verdict", "--strict", "--file", &file];
        program([&flags[..], more].concat()).run()
    };
    let good = verdict("docs-leg-a.js.txt", &[]).expect(0);
    assert_eq!(
        good.stdout,
        "#1  outgoing missed · leg a (agent) · recv_cancel: rang out\n"
    );
    let by_get = verdict("docs-leg-b.json", &["--method", "get"]).expect(0);
    assert_eq!(
        by_get.stdout,
        "#1  outgoing missed · leg b (customer) · sent_reject: declined or busy\n"
    );
    let bad = verdict("broken/time-in-seconds.json", &[]).expect(1);
    assert_eq!(
        bad.stdout,
        "#1  outgoing missed · leg a (agent) · recv_cancel: rang out · ! time: looks like seconds; documented in milliseconds\n"
    );
    let record = verdict("broken/time-in-seconds.json", &["--format", "ndjson"]).expect(1);
    let record: Value = serde_json::from_str(&record.stdout).expect("a record");
    assert_eq!(
        (
            &record["type"],
            &record["n"],
            &record["verdict"]["remarks"][0]["field"]
        ),
        (&json!("verdict"), &json!(1), &json!("time"))
    );
    let file = format!(
        "{}/fixtures/broken/time-in-seconds.json",
        env!("CARGO_MANIFEST_DIR")
    );
    print("verdict", &["--file", &file]).expect(0);
}

#[test]
fn a_har_says_when_each_request_would_leave_and_its_query_in_pairs() {
    let paced = print(
        "har",
        &["-n", "3", "--rate", "2/s", "-X", "get", "--custom", "a b&c"],
    )
    .expect(0);
    let document: Value = serde_json::from_str(&paced.stdout).expect("a document");
    let entries = document["log"]["entries"].as_array().expect("entries");
    let times: Vec<_> = entries
        .iter()
        .map(|entry| text(&entry["startedDateTime"]))
        .collect();
    assert_eq!(
        times,
        ["00.000", "00.500", "01.000"].map(|second| format!("2026-11-22T09:00:{second}Z"))
    );
    let pairs: BTreeMap<_, _> = entries[0]["request"]["queryString"]
        .as_array()
        .expect("pairs")
        .iter()
        .map(|pair| (text(&pair["name"]), text(&pair["value"])))
        .collect();
    assert_eq!(
        (pairs["a"].as_str(), pairs["custom"].as_str()),
        ("1", "a b&c")
    );
    assert_eq!(entries[0]["comment"], "1. agent-no-answer: call 1, leg a");
}

#[test]
fn a_har_is_read_again() {
    let mut handler = listener(&["--timeout", "20s"]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder
        .path()
        .join("calls.har")
        .to_string_lossy()
        .into_owned();
    let run = [
        "send",
        "--url",
        &handler.url,
        "-s",
        "all",
        "-X",
        "both",
        "--seed",
        "7",
        "--at",
        "1790246844496",
    ];
    program(run.iter().chain(&["--print", "har", "-o", &path]))
        .run()
        .expect(0);
    program(run).run().expect(0);
    program(["send", "--url", &handler.url, "--file", &path])
        .run()
        .expect(0);
    let mut part = || {
        let record = handler.running.record();
        ["method", "target", "body"].map(|part| record["request"][part].clone())
    };
    let sent: Vec<_> = (0..26).map(|_| part()).collect();
    let again: Vec<_> = (0..26).map(|_| part()).collect();
    assert_eq!(sent, again);
}

#[test]
fn a_capture_is_printed_as_far_as_a_format_goes() {
    let mut receiver = listener(&["--timeout", "20s"]);
    post_json(&receiver.url, fixture("docs-leg-a.json"));
    let closing = "Host: h\r\nConnection: close\r\n";
    say(
        &receiver.url,
        format!("GET /x?token=hush&leg=b HTTP/1.1\r\nX-b: 1\r\n{closing}\r\n"),
    );
    say(
        &receiver.url,
        format!("OPTIONS * HTTP/1.1\r\n{closing}\r\n"),
    );
    let capture: String = (0..3).map(|_| receiver.running.line()).collect();
    let binary = json!({
        "type": "exchange", "v": 1, "request": {
            "method": "POST", "target": "/n", "version": "HTTP/1.1", "headers": [["Host", "h"], ["Content-Length", "2"]],
            "body": {"base64": "/wA="}, "size": 2, "complete": true,
        },
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.ndjson");
    std::fs::write(&path, format!("{capture}{binary}\n")).expect("written");
    let file = path.to_str().expect("a plain path");
    let print = |how: &str| {
        let send = [
            "send", "--url", "http://h", "--file", file, "--mask", "--print", how,
        ];
        let ended = program(send).run().expect(1);
        assert!(!ended.stdout.contains("hush"), "{}", ended.whole());
        ended
    };

    let har = print("har");
    assert_eq!(
        har.stderr,
        "warning: request 3 cannot be printed: the request target is not a path; --print curl can print this request\n"
    );
    let document: Value = serde_json::from_str(&har.stdout).expect("a document");
    let entries = document["log"]["entries"].as_array().expect("entries");
    let urls: Vec<_> = entries
        .iter()
        .map(|entry| text(&entry["request"]["url"]))
        .collect();
    assert_eq!(
        urls,
        [
            "http://h/webhook/cdr",
            "http://h/x?token=***&leg=b",
            "http://h/n"
        ]
    );
    assert_eq!(entries[2]["request"]["postData"]["_encoding"], "base64");

    let vegeta = print("vegeta");
    insta::assert_snapshot!(vegeta.stdout.lines().skip(1).collect::<Vec<_>>().join("\n"), @r#"
    {"method":"GET","url":"http://h/x?token=***&leg=b","header":{"X-B":["1"]}}
    {"method":"POST","url":"http://h/n","body":"/wA="}
    "#);
    let again = program([
        "send", "--url", "http://h", "--file", "-", "--print", "vegeta",
    ])
    .input(har.stdout.clone());
    assert_eq!(again.run().expect(0).stdout, vegeta.stdout);
    let http = print("http");
    assert!(
        http.stderr
            .starts_with("warning: 2 requests cannot be printed; the first is request 3: ")
    );
    assert_eq!(http.stdout.matches("### ").count(), 2);
}

#[test]
fn a_har_of_any_length_begins_at_once_and_stops_when_nobody_reads_on() {
    let mut running = program([
        "send",
        "--print",
        "har",
        "-n",
        "100000000",
        "--url",
        "http://h/",
    ])
    .start();
    let first = running.first_line_only().expect("a line");
    assert!(first.starts_with("{\"log\":"), "{first}");
    let ended = running.end().expect(0);
    assert_eq!(ended.stderr, "");
}
