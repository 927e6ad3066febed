//! What a person reads of `listen`: one line a CDR, local times, decoded text, health checks; and when `listen` stops.

use super::peers::{answer, keeping_stub, nobody, post_json, say};
use super::program::{fixture, listener, masked, pretty_listener, program, ready};

#[test]
fn a_line_says_what_happened_and_who_and_the_answer() {
    let forward = nobody();
    let line = pretty_listener(&["--format", "line", "--count", "2"]);
    post_json(&line.url, fixture("docs-leg-a.json"));
    say(
        &line.url,
        "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    post_json(&line.url, fixture("docs-leg-b.json"));
    let text = masked(&line.running.end().expect(0).stdout);
    insta::assert_snapshot!(text, @"
    TIME  #1  200  outgoing missed · leg a (agent) · recv_cancel: rang out · agent 202 of app 2222223 · caller ID 440000000000
    TIME  #2  200  no CDR · GET /x · ! no CDR in the query: perhaps a health check or a browser
    TIME  #3  200  outgoing missed · leg b (customer) · sent_reject: declined or busy · agent 202 of app 2222223 · caller ID 440000000000
    received all expected CDRs · 3 requests · 2 of 2 CDRs · 1 remark
    ");
    let failing = pretty_listener(&["--format", "line", "--count", "1", "--forward-to", &forward]);
    post_json(&failing.url, fixture("docs-leg-a.json"));
    let text = failing.running.end().expect(0).stdout;
    assert!(
        text.lines()
            .next()
            .is_some_and(|line| line.contains("  502  ") && line.contains("connection refused by")),
        "{text}"
    );
    let sent = program([
        "send", "--url", &forward, "--format", "line", "-n", "2", "--seed", "7",
    ])
    .run()
    .expect(1);
    assert_eq!(
        sent.stdout
            .lines()
            .filter(|line| line.starts_with('✗'))
            .count(),
        2
    );
}

#[cfg(unix)]
#[test]
fn times_are_local_and_the_zone_is_said_once() {
    let mut running = program(["listen", "--port", "0", "--count", "1"])
        .env("TZ", "IST-5:30")
        .start();
    let url = running.talk();
    let url = url
        .trim_end()
        .strip_prefix("listening on ")
        .expect("a URL")
        .to_owned();
    assert_eq!(running.talk(), "times are in IST (+05:30)\n");
    post_json(&url, fixture("docs-leg-a.json"));
    let text = running.end().expect(0).stdout;
    assert!(text.contains("call of 2022-04-22 17:19:35 IST"), "{text}");
    let mut unknown = program(["listen", "--port", "0"])
        .env("TZ", "Asia/Nowhere")
        .start();
    unknown.talk();
    let zone = "times are in UTC: TZ=Asia/Nowhere is not a known time zone\n";
    assert_eq!(unknown.talk(), zone);
    let utc = pretty_listener(&["--count", "1"]);
    post_json(&utc.url, fixture("docs-leg-a.json"));
    let ended = utc.running.end().expect(0);
    assert!(
        ended.stdout.contains("call of 2022-04-22 11:49:35 UTC")
            && !ended.stderr.contains("times are in")
    );
}

#[test]
fn escaped_text_in_json_text_is_decoded_too() {
    let body =
        r#"{"leg":"a","custom":"{\"name\": \"\\u092c\\u093f\", \"x\": \"\\u202e\\ud83d\"}"}"#;
    let pretty = pretty_listener(&["--timeout", "200ms"]);
    post_json(&pretty.url, body);
    let text = pretty.running.end().stdout;
    let shown = r#""custom": "{\"name\": \"बि\", \"x\": \"\\u202e\\ud83d\"}""#;
    assert!(text.contains(shown), "{text}");
}

#[test]
fn a_body_that_is_no_text_is_named_only() {
    let png = [b"\x89PNG\r\n\x1a\n".to_vec(), (0..=255).collect()].concat();
    let utf16: Vec<u8> = fixture("docs-leg-a.json")
        .iter()
        .flat_map(|byte| [*byte, 0])
        .collect();
    for body in [png, utf16] {
        let pretty = pretty_listener(&["--timeout", "200ms"]);
        post_json(&pretty.url, &body);
        let text = pretty.running.end().stdout;
        let named = format!("  {} bytes, not text, not shown\n", body.len());
        assert!(text.contains(&named), "{text}");
    }
}

#[test]
fn escaped_text_is_decoded_on_the_screen_alone() {
    let body = r#"{"leg":"a","custom":"\u092c\u093f \ud83d\ude00 \u0041 \u202e \\u092c \ud83d"}"#;
    let pretty = pretty_listener(&["--count", "1", "--expect", "leg=a", "--timeout", "200ms"]);
    post_json(&pretty.url, body);
    let text = pretty.running.end().stdout;
    assert!(
        text.contains(r#""custom": "बि 😀 \u0041 \u202e \\u092c \ud83d""#),
        "{text}"
    );
    let mut records = listener(&["--timeout", "5s"]);
    post_json(&records.url, body);
    assert_eq!(records.running.record()["request"]["body"]["text"], body);
}

#[test]
fn health_checks_are_one_line_and_not_forwarded_unless_asked() {
    let get = |path: &str, agent: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
        )
    };
    let probes = [
        get("/favicon.ico", "Mozilla/5.0"),
        get("/healthz", "curl"),
        get("/", "kube-probe/1.29"),
        get("/", "ELB-HealthChecker/2.0"),
    ];
    let (handler, requests) = keeping_stub(answer("200 OK", "", "got it"));
    let quiet = pretty_listener(&["--forward-to", &handler, "--count", "1"]);
    for probe in &probes {
        assert!(say(&quiet.url, probe).starts_with("HTTP/1.1 200 "));
    }
    post_json(&quiet.url, fixture("docs-leg-a.json"));
    let text = quiet.running.end().expect(0).stdout;
    let lines: Vec<_> = text.lines().take(4).map(masked).collect();
    assert!(
        lines
            .iter()
            .all(|line| line.ends_with(" · no webhook") && line.contains("GET /")),
        "{text}"
    );
    assert!(requests.recv().expect("a request").starts_with("POST "));
    let asked = pretty_listener(&["--forward-to", &handler, "--forward-probes", "--count", "1"]);
    say(&asked.url, &probes[0]);
    assert!(
        requests
            .recv()
            .expect("a request")
            .starts_with("GET /favicon.ico ")
    );
}

#[test]
fn a_healthcheck_is_a_faint_line_and_counts_for_nothing() {
    let listening = pretty_listener(&["--count", "1"]);
    let check = |url: &str| program(["listen", "--healthcheck", url]).run();
    let checked = check(&format!("{}/cdr?token=x", listening.url));
    assert_eq!(
        (checked.code, checked.whole().contains("warning")),
        (Some(0), false)
    );
    post_json(&listening.url, fixture("docs-leg-a.json"));
    let text = listening.running.end().expect(0).stdout;
    let first = text.lines().next().expect("a line");
    assert!(
        first.contains("GET /cdr  200") && first.ends_with(" · no webhook"),
        "{text}"
    );

    let failing = listener(&["--fault", "status"]);
    assert_eq!(check(&failing.url).code, Some(1));
    let refused = check(&nobody());
    assert_eq!((refused.code, &*refused.stdout), (Some(1), ""));
    let message = &refused.stderr;
    assert!(
        message.starts_with("warning: connection refused by 127.0.0.1:")
            && message.matches("127.0.0.1").count() == 1,
        "{message}"
    );
}

#[test]
fn an_answer_of_the_rest_api_is_recognised() {
    let mut listener = listener(&["--timeout", "5s"]);
    let cdr = String::from_utf8(fixture("docs-leg-a.json")).expect("UTF-8");
    for body in [
        r#"{"count":1,"cdr":[{"cmiuid":"x","billedsec":3}],"code":200}"#.to_owned(),
        format!(r#"{{"data":[{cdr},{cdr}]}}"#),
        format!(r#"{{"ok":true,"cdrs":[{cdr}]}}"#),
        format!(r#"{{"data":{cdr}}}"#),
    ] {
        post_json(&listener.url, &body);
        let kind = listener.running.record()["verdict"]["kind"].clone();
        assert_eq!(kind, "rest_record", "{body}");
    }
}

#[test]
fn a_head_of_many_small_headers_is_read() {
    let mut listener = listener(&["--timeout", "5s"]);
    let headers = "X-A: 1\r\n".repeat(400);
    let back = say(
        &listener.url,
        format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n"),
    );
    assert!(back.starts_with("HTTP/1.1 200 "), "{back}");
    assert_eq!(
        listener.running.record()["request"]["headers"]
            .as_array()
            .map(Vec::len),
        Some(402)
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    for signal in ["INT", "TERM"] {
        let line = format!("trap '' {signal}; exec \"$0\" \"$@\"");
        let listener = ready(super::program::shell(
            &line,
            ["listen", "--port", "0", "--count", "1"],
        ));
        listener.running.signal(&format!("-{signal}"));
        post_json(&listener.url, fixture("docs-leg-a.json"));
        listener.running.end().expect(0);
    }
}

#[cfg(unix)]
#[test]
fn the_timeout_runs_while_a_tunnel_comes_up() {
    let ended = program([
        "listen",
        "--port",
        "0",
        "--count",
        "1",
        "--timeout",
        "300ms",
        "--tunnel-cmd",
        "exec sleep 20",
    ])
    .path()
    .run()
    .expect(124);
    assert!(
        ended
            .stderr
            .contains("--timeout ended before the tunnel was ready"),
        "{}",
        ended.stderr
    );
}
