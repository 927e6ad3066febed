//! Tests of `send --file` with captures: bytes, times, and deliberate changes.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::peers::{answer, post_json, say, silent_stub, stub, stub_in_turn};
use super::program::{Ended, Listener, fixture, listener, program};

fn requests() -> Vec<Vec<u8>> {
    let leg_a = fixture("docs-leg-a.json");
    let with_length = |head: &str, body: &[u8]| {
        [
            format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(),
            body,
        ]
        .concat()
    };
    let closing = "Host: cdr.test\r\nConnection: close\r\n";
    vec![
        with_length(
            &format!("POST /webhook/cdr HTTP/1.1\r\n{closing}Content-Type: application/json\r\n"),
            &leg_a,
        ),
        format!("GET /cdr?token=t0k3n&to=442079460001&custom=a%2fb+c&&leg=a HTTP/1.1\r\n{closing}\r\n").into(),
        format!(
            "POST /c HTTP/1.1\r\n{closing}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"leg\r\n6;x=y\r\n\":\"a\"}}\r\n0\r\n\r\n"
        )
        .into(),
        with_length(
            &format!("POST /f HTTP/1.1\r\n{closing}Content-Type: application/x-www-form-urlencoded\r\n"),
            b"leg=a&to=442079460001&custom=+",
        ),
        with_length(&format!("POST /n HTTP/1.1\r\n{closing}"), b"\xff\0\xfe\r\n\r\n"),
        with_length(&format!("POST /e HTTP/1.1\r\n{closing}"), b""),
        format!("POST /without-a-length HTTP/1.1\r\n{closing}\r\n").into(),
        b"GET /odd//../%7e?a='b'#c HTTP/1.1\r\nx-B: 1\r\nhOsT: cdr.test\r\nX-b:  2 \r\nX-Empty:\r\nx-b: caf\xe9\r\n\
          connection: close\r\nACCEPT: */*\r\nUser-Agent: \r\n\r\n"
            .to_vec(),
        format!("HEAD /h HTTP/1.1\r\n{closing}\r\n").into(),
        with_length(&format!("PUT /p HTTP/1.1\r\n{closing}"), b"{}"),
        with_length("POST /old HTTP/1.0\r\n", &leg_a),
        with_length(&format!("POST /x HTTP/1.1\r\nExpect: 100-continue\r\n{closing}"), &leg_a),
        format!("GET /k HTTP/1.1\r\nHost: cdr.test\r\nConnection: Keep-Alive\r\n\r\nGET /l HTTP/1.1\r\n{closing}\r\n")
            .into(),
        format!("OPTIONS * HTTP/1.1\r\n{closing}\r\n").into(),
        format!("CONNECT cdr.test:443 HTTP/1.1\r\n{closing}\r\n").into(),
        format!("GET http://cdr.test/whole?leg=a HTTP/1.1\r\n{closing}\r\n").into(),
    ]
}

struct Capture {
    _folder: TempDir,
    path: PathBuf,
    text: String,
}

impl Capture {
    fn of(text: String) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("calls.ndjson");
        std::fs::write(&path, &text).expect("written");
        Self {
            _folder: folder,
            path,
            text,
        }
    }

    #[track_caller]
    fn replay(&self, url: &str, arguments: &[&str]) -> Ended {
        let file = self.path.to_str().expect("a plain path");
        program(
            ["send", "--url", url, "--file", file]
                .iter()
                .chain(arguments),
        )
        .run()
    }

    #[track_caller]
    fn print(&self, how: &str, arguments: &[&str]) -> Ended {
        self.replay(
            "http://127.0.0.1:1",
            &[&["--print", how], arguments].concat(),
        )
    }
}

#[track_caller]
fn lines(listener: &mut Listener, count: usize) -> String {
    (0..count).map(|_| listener.running.line()).collect()
}

#[track_caller]
fn exchanges(listener: &mut Listener, count: usize) -> Vec<Value> {
    (0..count).map(|_| listener.running.record()).collect()
}

#[track_caller]
fn capture_of(bodies: &[&str]) -> Capture {
    let mut first = listener(&[]);
    for body in bodies {
        post_json(&first.url, body);
    }
    Capture::of(lines(&mut first, bodies.len()))
}

fn timed(times: &[(&str, u64)]) -> Capture {
    let line = |(target, ms): &(&str, u64)| {
        let request = json!({
            "method": "GET", "target": target, "version": "HTTP/1.1", "headers": [["Host", "cdr.test"]],
            "body": {"text": ""}, "size": 0, "complete": true,
        });
        let received_at = format!("2026-11-22T09:00:{:02}.{:03}Z", ms / 1_000, ms % 1_000);
        format!(
            "{}\n",
            json!({"type": "exchange", "v": 1, "received_at": received_at, "request": request})
        )
    };
    Capture::of(times.iter().map(line).collect())
}

#[test]
fn whatever_came_goes_again_exactly() {
    let mut first = listener(&[]);
    for request in requests() {
        say(&first.url, request);
    }
    let count = requests().len() + 1;
    let captured = Capture::of(lines(&mut first, count));
    let before: Vec<Value> = captured
        .text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a record"))
        .collect();

    let mut second = listener(&[]);
    let sent = captured
        .replay(
            &second.url,
            &["--expect-status", "100-599", "--format", "ndjson"],
        )
        .expect(0);
    assert_eq!(sent.stderr, "");
    let after = exchanges(&mut second, count);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before["request"], after["request"]);
        assert_eq!(
            before["answer"]["status"], after["answer"]["status"],
            "{before}"
        );
    }
    for (exchange, delivery) in after.iter().zip(sent.records_of("delivery")) {
        assert_eq!(
            exchange["answer"]["status"], delivery["attempts"][0]["status"],
            "{delivery}"
        );
        assert_eq!(exchange["request"]["method"], delivery["method"]);
    }

    let mut third = listener(&[]);
    captured
        .replay(&third.url, &["--expect-status", "100-599", "--race", "2"])
        .expect(0);
    for (before, after) in before
        .iter()
        .zip(exchanges(&mut third, count * 2).chunks(2))
    {
        assert!(
            after
                .iter()
                .all(|after| after["request"] == before["request"]),
            "{before}"
        );
    }
}

#[test]
fn a_url_may_have_a_path_and_a_query_of_its_own() {
    let captured = timed(&[("/webhook/cdr?token=x&leg=a", 0)]);
    let mut second = listener(&[]);
    for (own, expected) in [
        ("", "/webhook/cdr?token=x&leg=a"),
        ("/", "/webhook/cdr?token=x&leg=a"),
        ("/own", "/own?token=x&leg=a"),
        ("/own?token=y&n=1", "/own?token=y&n=1&leg=a"),
        ("?n=1", "/webhook/cdr?n=1&token=x&leg=a"),
    ] {
        captured
            .replay(&format!("{}{own}", second.url), &[])
            .expect(0);
        assert_eq!(exchanges(&mut second, 1)[0]["request"]["target"], expected);
    }
}

#[test]
fn a_masked_secret_is_sent_with_a_warning_unless_it_is_set() {
    let captured = timed(&[("/cdr?leg=a", 0), ("/cdr?token=***&leg=a", 0)]);
    for (url, warned) in [
        ("http://127.0.0.1:1", true),
        ("http://127.0.0.1:1?token=t", false),
    ] {
        let said = captured.replay(url, &["--print", "curl"]).expect(0).stderr;
        let warning = "calls.ndjson:2: the file is redacted, and *** is sent in place of a secret";
        assert_eq!(said.contains(warning), warned, "{said}");
    }
}

#[test]
fn own_headers_and_the_urls_user_go_with_it() {
    let captured = timed(&[("/", 0)]);
    let mut second = listener(&[]);
    let url = second.url.replace("http://", "http://user:pass@");
    captured
        .replay(&url, &["-H", "HOST: mine", "-H", "X-A: 1"])
        .expect(0);
    assert_eq!(
        exchanges(&mut second, 1)[0]["request"]["headers"],
        json!([
            ["HOST", "mine"],
            ["Authorization", "Basic dXNlcjpwYXNz"],
            ["X-A", "1"]
        ])
    );
}

#[test]
fn the_times_of_a_capture_pass_at_the_given_speed() {
    let captured = timed(&[("/a", 0), ("/b", 2_000), ("/c", 1_000), ("/d", 4_000)]);
    let url = stub(answer("200 OK", "", ""));
    let due = |arguments: &[&str]| {
        let sent = captured
            .replay(&url, &[&["--format", "ndjson"], arguments].concat())
            .expect(0);
        sent.records_of("delivery")
            .iter()
            .map(|delivery| (delivery["due_ms"].as_f64(), delivery["late_ms"].is_number()))
            .collect::<Vec<_>>()
    };
    let scheduled = |times: &[f64]| {
        times
            .iter()
            .map(|time| (Some(*time), true))
            .collect::<Vec<_>>()
    };
    assert_eq!(due(&[]), [(None, false); 4]);
    assert_eq!(
        due(&["--speed", "100"]),
        scheduled(&[0.0, 20.0, 20.0, 40.0])
    );
    assert_eq!(
        due(&["--speed", "100", "-n", "2", "-c", "8"]),
        scheduled(&[0.0, 20.0, 20.0, 40.0, 40.0, 60.0, 60.0, 80.0])
    );
}

#[test]
fn a_capture_is_changed_where_it_holds_a_cdr() {
    let mut first = listener(&[]);
    post_json(&first.url, r#"{"leg": "a", "to":1.50}"#);
    say(
        &first.url,
        "GET /?token=x&extra_params[k]=1&leg=a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    say(
        &first.url,
        "GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    say(
        &first.url,
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]",
    );
    let captured = Capture::of(lines(&mut first, 4));

    let mut second = listener(&[]);
    let edits = [
        "--set",
        "leg=b",
        "--set-json",
        "extra_params={\"n\":2}",
        "--expect-status",
        "100-599",
    ];
    let sent = captured
        .replay(&second.url, &[&edits[..], &["--unset", "to"]].concat())
        .expect(0);
    let said = sent.stderr.replace(
        captured.path.to_str().expect("a plain path"),
        "calls.ndjson",
    );
    assert_eq!(
        said.lines().next(),
        Some(
            "warning: calls.ndjson:3: no CDR to change: --set, --set-json and --unset have no effect on 2 requests"
        )
    );
    let after = exchanges(&mut second, 4);
    assert_eq!(
        after[0]["request"]["body"]["text"],
        r#"{"leg": "b", "extra_params":{"n":2}}"#
    );
    assert_eq!(after[0]["request"]["complete"], true);
    assert_eq!(
        after[1]["request"]["target"],
        "/?token=x&extra_params%5Bn%5D=2&leg=b"
    );
    assert_eq!(after[2]["request"]["target"], "/health");
    assert_eq!(after[3]["request"]["body"]["text"], "[]");
}

#[test]
fn a_capture_is_printed() {
    let mut first = listener(&[]);
    post_json(&first.url, r#"{"leg":"a"}"#);
    say(
        &first.url,
        "GET /?token=x&leg=b HTTP/1.1\r\nHOST: h\r\nX-b: 1\r\nConnection: close\r\n\r\n",
    );
    let captured = Capture::of(lines(&mut first, 2));
    assert_eq!(
        captured.print("json", &[]).expect(0).stdout,
        "{\"leg\":\"a\"}\n{\"leg\":\"b\"}\n"
    );
    let odd = timed(&[("/a/../b", 0), ("*", 0)]);
    insta::assert_snapshot!(odd.print("curl", &[]).expect(0).stdout, @"
    curl -sS -H 'Accept:' -H 'User-Agent:' --request-target '/a/../b' -H 'Host: cdr.test' 'http://127.0.0.1:1/'
    curl -sS -H 'Accept:' -H 'User-Agent:' --request-target '*' -H 'Host: cdr.test' 'http://127.0.0.1:1/'
    ");
    insta::assert_snapshot!(captured.print("curl", &["--set", "leg=c"]).expect(0).stdout, @r#"
    curl -sS -H 'Accept:' -H 'User-Agent:' -H 'Host: h' -H 'Connection: close' -H 'Content-Type: application/json' -H 'Content-Length: 11' --data-binary '{"leg":"c"}' 'http://127.0.0.1:1/webhook/cdr'
    curl -sS -H 'Accept:' -H 'User-Agent:' -H 'HOST: h' -H 'X-b: 1' -H 'Connection: close' 'http://127.0.0.1:1/?token=x&leg=c'
    "#);
}

#[test]
fn what_would_become_another_request_is_never_sent() {
    let good = timed(&[("/", 0)]);
    for (from, to, what) in [
        (
            "cdr.test",
            r"x\r\nEvil: 1",
            "the value of the header Host contains a line break or a control character",
        ),
        (
            "\"Host\"",
            r#""Host: x\r\nEvil""#,
            r#""Host: x\u{d}\u{a}Evil" is not a valid header name"#,
        ),
        (
            "\"GET\"",
            r#""GET /x HTTP/1.1\r\n""#,
            r#""GET /x HTTP/1.1\u{d}\u{a}" is not a valid method"#,
        ),
        (
            "\"/\"",
            r#""/ HTTP/1.1\r\nEvil: 1""#,
            "the request target contains a space or a control character",
        ),
        (
            "HTTP/1.1",
            "HTTP/1.1\\nEvil: 1",
            "the version is neither HTTP/1.1 nor HTTP/1.0",
        ),
    ] {
        let mut listener = listener(&[]);
        let hostile = Capture::of(format!("{}{}", good.text, good.text.replace(from, to)));
        for more in [&[][..], &["--race", "2"], &["--print", "curl"]] {
            let ended = hostile.replay(&listener.url, more).expect(2);
            let said = ended.stderr.lines().next().unwrap_or_default().to_owned();
            assert!(said.ends_with(&format!("calls.ndjson:2: {what}")), "{said}");
            assert_eq!(ended.stdout, "");
        }
        say(
            &listener.url,
            "GET /after HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        );
        assert_eq!(
            exchanges(&mut listener, 1)[0]["request"]["target"],
            "/after"
        );
    }
}

#[test]
fn what_is_broken_in_a_capture_is_named_and_the_rest_is_sent() {
    let good = timed(&[("/a", 0), ("/b", 1)]);
    let (a, b) = good.text.split_once('\n').expect("two lines");
    let torn = &a[..a.len() / 2];
    let broken = Capture::of(format!("{torn}\n{a}\n{torn}\n{b}{torn}"));
    let mut second = listener(&[]);
    let sent = broken.replay(&second.url, &[]).expect(0);
    let targets: Vec<_> = exchanges(&mut second, 2)
        .iter()
        .map(|exchange| exchange["request"]["target"].clone())
        .collect();
    assert_eq!(targets, ["/a", "/b"]);
    let said = sent
        .stderr
        .replace(broken.path.to_str().expect("a plain path"), "calls.ndjson");
    let warnings: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("warning: "))
        .collect();
    insta::assert_snapshot!(warnings.join("\n"), @"
    warning: calls.ndjson:1: this line was skipped: a string without its closing quote in column 102
    warning: calls.ndjson:3: this line was skipped: a string without its closing quote in column 102
    warning: calls.ndjson:5: the last line is cut off and was skipped
    ");
}

#[test]
fn copies_and_further_attempts_are_made_of_captures_too() {
    let captured = capture_of(&[r#"{"leg":"a"}"#, r#"{"leg":"b"}"#]);
    let mut second = listener(&[]);
    let arguments = [
        "--duplicate",
        "1",
        "--shuffle",
        "-c",
        "4",
        "--rate",
        "1000/s",
    ];
    captured.replay(&second.url, &arguments).expect(0);
    let mut bodies: Vec<_> = exchanges(&mut second, 4)
        .iter()
        .map(|exchange| exchange["request"]["body"]["text"].clone())
        .collect();
    bodies.sort_by_key(ToString::to_string);
    assert_eq!(
        bodies,
        [
            r#"{"leg":"a"}"#,
            r#"{"leg":"a"}"#,
            r#"{"leg":"b"}"#,
            r#"{"leg":"b"}"#
        ]
    );

    let url = stub_in_turn([
        answer("503 Service Unavailable", "", ""),
        answer("200 OK", "", ""),
    ]);
    let sent = captured
        .replay(
            &url,
            &[
                "--retry",
                "1",
                "--retry-interval",
                "1ms",
                "--format",
                "ndjson",
            ],
        )
        .expect(0);
    let attempts: Vec<_> = sent
        .records_of("delivery")
        .iter()
        .map(|delivery| delivery["attempts"].as_array().map(Vec::len))
        .collect();
    assert_eq!(attempts, [Some(2), Some(1)]);
}

#[test]
fn a_peer_that_says_nothing_is_waited_for_as_long_as_was_said() {
    let captured = capture_of(&["{}"]);
    let sent = captured
        .replay(
            &silent_stub(),
            &["--timeout", "200ms", "--format", "ndjson"],
        )
        .expect(1);
    let failure = &sent.records_of("delivery")[0]["attempts"][0]["failure"];
    assert_eq!(
        failure,
        &json!({"phase": "wait", "kind": "timeout", "text": "no answer within 200 ms"})
    );
}

#[test]
fn interim_answers_are_passed_over() {
    let captured = timed(&[("/", 0)]);
    let expecting = captured
        .text
        .replace(r#"[["Host","#, r#"[["Expect","100-continue"],["Host","#);
    assert_ne!(expecting, captured.text);
    let url = stub(format!(
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n{}",
        answer("201 Created", "", "")
    ));
    let sent = Capture::of(expecting)
        .replay(&url, &["--format", "ndjson"])
        .expect(0);
    assert_eq!(sent.records_of("delivery")[0]["attempts"][0]["status"], 201);
}

#[test]
fn flags_that_change_nothing_are_named() {
    let captured = timed(&[("/", 0)]);
    let url = stub(answer("200 OK", "", ""));
    let sent = captured
        .replay(&url, &["-X", "post", "--format", "ndjson"])
        .expect(0);
    assert_eq!(
        sent.stderr,
        "--method has no effect on a capture: captured requests keep their method\n"
    );
    assert_eq!(sent.records_of("delivery")[0]["method"], "GET");
    let refused = captured
        .replay(&url, &["-X", "both", "--compare"])
        .expect(2);
    assert!(
        refused.stderr.starts_with("error: --compare needs CDRs"),
        "{}",
        refused.stderr
    );
}

#[test]
fn through_a_proxy_it_goes_as_the_client_writes_it_and_that_is_said() {
    let mut first = listener(&[]);
    say(
        &first.url,
        "GET /?leg=a HTTP/1.1\r\nX-b: 1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    let captured = Capture::of(lines(&mut first, 1));
    let mut proxy = listener(&[]);
    let file = captured.path.to_str().expect("a plain path");
    let send = [
        "send",
        "--url",
        "http://cdr.test",
        "--file",
        file,
        "--expect-status",
        "405",
    ];
    let sent = program(send).env("HTTP_PROXY", &proxy.url).run().expect(0);
    assert!(
        sent.stderr
            .contains("captured header names are sent in lower case"),
        "{}",
        sent.stderr
    );
    assert!(
        sent.stderr
            .contains("with NO_PROXY=cdr.test the requests are sent unchanged"),
        "{}",
        sent.stderr
    );
    let request = &exchanges(&mut proxy, 1)[0]["request"];
    assert_eq!(request["target"], "http://cdr.test/?leg=a");
    let headers = request["headers"].as_array().expect("headers");
    assert!(
        headers.contains(&json!(["x-b", "1"])) && headers.contains(&json!(["host", "cdr.test"])),
        "{request}"
    );
}
