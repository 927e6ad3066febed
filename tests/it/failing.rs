//! Snapshots of the output of `send`, one for each kind of failure.

use super::peers::{answer, nobody, silent_stub, stub, stub_in_turn};
use super::program::{listener, masked, program};
use super::sending::send;

#[track_caller]
fn failed(url: &str, arguments: &[&str]) -> String {
    send(&format!("{url}/webhook/cdr"), arguments)
        .expect(1)
        .masked()
}

#[test]
fn nobody_listens() {
    insta::assert_snapshot!(failed(&nobody(), &[]), @"
    exit 1
    --- stdout
    ✗ #1 POST agent-no-answer a missed  connection refused by 127.0.0.1:PORT · T
    --- stderr
    sending 1 delivery to http://127.0.0.1:PORT/webhook/cdr · seed 7
    hint: no program listens at this address: check that the handler is running, and check the port
    repeat: telecmi-cdr send --url http://127.0.0.1:PORT/webhook/cdr --seed 7 --at 2026-11-22T09:00:00.000Z
    ");
}

#[test]
fn the_path_is_wrong() {
    let page = answer(
        "404 Not Found",
        "content-type: text/html\r\n",
        "<html><title>404 Not Found</title>…",
    );
    insta::assert_snapshot!(failed(&stub(page), &[]), @"
    exit 1
    --- stdout
    ✗ #1 POST agent-no-answer a missed  404 Not Found · T
        a page: 404 Not Found
    --- stderr
    sending 1 delivery to http://127.0.0.1:PORT/webhook/cdr · seed 7
    hint: 404: check the path; TeleCMI's own examples use /webhook/cdr
    repeat: telecmi-cdr send --url http://127.0.0.1:PORT/webhook/cdr --seed 7 --at 2026-11-22T09:00:00.000Z
    ");
}

#[test]
fn the_handler_fails() {
    let body =
        "Traceback (most recent call last):\n  File \"app.py\", line 7\nKeyError: 'leg'\u{1b}[2J";
    let url = stub(answer(
        "500 Internal Server Error",
        "content-type: text/plain\r\n",
        body,
    ));
    insta::assert_snapshot!(failed(&url, &[]), @r#"
    exit 1
    --- stdout
    ✗ #1 POST agent-no-answer a missed  500 Internal Server Error · T
        Traceback (most recent call last):
          File "app.py", line 7
        KeyError: 'leg'\u{1b}[2J
    --- stderr
    sending 1 delivery to http://127.0.0.1:PORT/webhook/cdr · seed 7
    hint: the handler failed: see the handler's log
    repeat: telecmi-cdr send --url http://127.0.0.1:PORT/webhook/cdr --seed 7 --at 2026-11-22T09:00:00.000Z
    "#);
}

#[test]
fn a_redirect_is_not_followed() {
    let url = stub(answer("302 Found", "location: /login?token=hush\r\n", ""));
    insta::assert_snapshot!(failed(&url, &[]), @"
    exit 1
    --- stdout
    ✗ #1 POST agent-no-answer a missed  redirect to /login?token=*** (not followed) · T
    --- stderr
    sending 1 delivery to http://127.0.0.1:PORT/webhook/cdr · seed 7
    hint: the handler redirects to a login: take the webhook's route out of the login
    repeat: telecmi-cdr send --url http://127.0.0.1:PORT/webhook/cdr --seed 7 --at 2026-11-22T09:00:00.000Z
    ");
}

#[test]
fn what_answers_is_not_http() {
    insta::assert_snapshot!(failed(&stub("SSH-2.0-OpenSSH_9.6\r\n"), &[]), @"
    exit 1
    --- stdout
    ✗ #1 POST agent-no-answer a missed  the answer is not HTTP · T
    --- stderr
    sending 1 delivery to http://127.0.0.1:PORT/webhook/cdr · seed 7
    hint: the server does not use HTTP: check the port
    repeat: telecmi-cdr send --url http://127.0.0.1:PORT/webhook/cdr --seed 7 --at 2026-11-22T09:00:00.000Z
    ");
}

#[test]
fn the_handler_hangs_up() {
    insta::assert_snapshot!(failed(&stub(""), &[]), @"
    exit 1
    --- stdout
    ✗ #1 POST agent-no-answer a missed  the peer closed the connection without answering · T
    --- stderr
    sending 1 delivery to http://127.0.0.1:PORT/webhook/cdr · seed 7
    hint: the handler closed the connection before its answer was complete: look for a crash in its log, or try https://
    repeat: telecmi-cdr send --url http://127.0.0.1:PORT/webhook/cdr --seed 7 --at 2026-11-22T09:00:00.000Z
    ");
}

#[test]
fn the_handler_does_not_answer() {
    insta::assert_snapshot!(failed(&silent_stub(), &["--timeout", "500ms"]), @"
    exit 1
    --- stdout
    ✗ #1 POST agent-no-answer a missed  no answer within T · T
    --- stderr
    sending 1 delivery to http://127.0.0.1:PORT/webhook/cdr · seed 7
    hint: the handler took too long: let it answer before it does the work, or raise --timeout
    repeat: telecmi-cdr send --url http://127.0.0.1:PORT/webhook/cdr --timeout 500ms --seed 7 --at 2026-11-22T09:00:00.000Z
    ");
}

#[test]
fn the_answer_breaks_off() {
    let url = stub("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ngot");
    insta::assert_snapshot!(failed(&url, &[]), @"
    exit 1
    --- stdout
    ✗ #1 POST agent-no-answer a missed  the peer closed the connection in the middle of its answer · T
    --- stderr
    sending 1 delivery to http://127.0.0.1:PORT/webhook/cdr · seed 7
    hint: the handler closed the connection before its answer was complete: look for a crash in its log
    repeat: telecmi-cdr send --url http://127.0.0.1:PORT/webhook/cdr --seed 7 --at 2026-11-22T09:00:00.000Z
    ");
}

#[test]
fn the_host_is_unknown() {
    let ended = send(
        "http://no-such-host.invalid/",
        &["--connect-timeout", "200ms"],
    )
    .expect(1);
    assert!(
        ended.stdout.contains("no-such-host.invalid"),
        "{}",
        ended.whole()
    );
}

#[test]
fn a_plain_handler_does_not_speak_tls() {
    let listener = listener(&["--timeout", "20s"]);
    let ended = send(
        &listener.url.replace("http://", "https://"),
        &["--insecure"],
    )
    .expect(1);
    assert!(
        ended
            .stderr
            .contains("warning: --insecure: any certificate is accepted"),
        "{}",
        ended.whole()
    );
    assert!(
        ended
            .stderr
            .contains("hint: check that the server uses TLS"),
        "{}",
        ended.whole()
    );
    insta::assert_snapshot!(masked(&ended.stdout), @"✗ #1 POST agent-no-answer a missed  the peer closed the connection during the TLS handshake · T");
}

#[test]
fn certificates_must_be_readable() {
    let url = nobody().replace("http://", "https://");
    let missing = send(&url, &["--cacert", "no-such-file.pem"]).expect(2);
    assert!(
        missing
            .stderr
            .starts_with("error: cannot read no-such-file.pem\n"),
        "{}",
        missing.stderr
    );
    let not_pem = send(
        &url,
        &[
            "--cacert",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ],
    )
    .expect(2);
    assert!(
        not_pem.stderr.contains("no certificate in PEM form"),
        "{}",
        not_pem.stderr
    );
}

#[test]
fn the_status_may_be_checked() {
    let url = stub(answer("404 Not Found", "", ""));
    send(&url, &["--expect-status", "2xx,404"]).expect(0);
    let good = stub(answer("200 OK", "", ""));
    let ended = send(&good, &["--expect-status", "204"]).expect(1);
    insta::assert_snapshot!(masked(&ended.stdout), @"
    ✗ #1 POST agent-no-answer a missed  200 OK · T
        answered 200 OK, expected 204
    ");
}

#[test]
fn the_body_may_be_checked() {
    let url = stub(answer("200 OK", "", "got it"));
    send(&url, &["--expect-body", "got"]).expect(0);
    let ended = send(&url, &["--expect-body", "stored"]).expect(1);
    insta::assert_snapshot!(masked(&ended.stdout), @"
    ✗ #1 POST agent-no-answer a missed  200 OK · T
        the answer does not contain `stored`
        got it
    ");
}

#[test]
fn the_time_may_be_checked() {
    let listener = listener(&["--delay", "30ms", "--timeout", "20s"]);
    let ended = send(&listener.url, &["--max-latency", "10ms"]).expect(1);
    insta::assert_snapshot!(masked(&ended.stdout), @"
    ✗ #1 POST agent-no-answer a missed  200 OK · T
        took T, more than the allowed T
        got it
    ");
    send(&listener.url, &["--max-latency", "20s"]).expect(0);
}

#[test]
fn post_and_get_may_be_compared() {
    let agree = stub(answer("200 OK", "", "got it"));
    send(&agree, &["--method", "both", "--compare"]).expect(0);
    let differ = stub_in_turn([
        answer("200 OK", "", "got it"),
        answer("204 No Content", "", ""),
    ]);
    let ended = send(&differ, &["-X", "both", "--compare"]).expect(1);
    insta::assert_snapshot!(ended.stdout.lines().take(3).map(|line| masked(line) + "\n").collect::<String>(), @"
    ✓ #1 POST agent-no-answer a missed  200 OK · T · got it
    ✗ #2 GET  agent-no-answer a missed  204 No Content · T
        POST was answered with 200, GET with 204
    ");
}

#[test]
fn retries_pass_over_failures_that_pass() {
    let busy = answer("503 Service Unavailable", "retry-after: 0\r\n", "");
    let url = stub_in_turn([busy.clone(), busy, answer("200 OK", "", "ok")]);
    let arguments = [
        "--retry",
        "5",
        "--retry-interval",
        "1h",
        "--format",
        "ndjson",
    ];
    let ended = send(&url, &arguments).expect(0);
    let attempts = ended.records_of("delivery")[0]["attempts"].clone();
    let statuses: Vec<_> = attempts
        .as_array()
        .expect("attempts")
        .iter()
        .map(|a| a["status"].clone())
        .collect();
    assert_eq!(statuses, [503, 503, 200]);
}

#[test]
fn retries_end_when_patience_does() {
    let url = stub(answer("503 Service Unavailable", "retry-after: 0\r\n", ""));
    let ended = send(&url, &["--retry", "2"]).expect(1);
    insta::assert_snapshot!(masked(&ended.stdout), @"✗ #1 POST agent-no-answer a missed  503 Service Unavailable · T · attempt 3");
}

#[test]
fn retries_are_not_made_where_they_are_of_no_use() {
    let url = stub_in_turn([answer("404 Not Found", "", ""), answer("200 OK", "", "")]);
    let ended = send(
        &url,
        &[
            "--retry",
            "3",
            "--retry-interval",
            "1ms",
            "--format",
            "ndjson",
        ],
    )
    .expect(1);
    assert_eq!(
        ended.records_of("delivery")[0]["attempts"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[test]
fn what_goes_past_a_proxy_is_refused_or_said() {
    let through = |arguments: &[&str]| {
        // 192.0.2.1 is in TEST-NET-1 (RFC 5737), which belongs to no machine: only the stub that acts as a proxy can
        // answer.
        let program = program(
            ["send", "--url", "http://192.0.2.1/"]
                .iter()
                .chain(arguments),
        );
        program
            .env(
                "HTTP_PROXY",
                &stub(answer("200 OK", "", "")).replace("http://", "http://me:hush@"),
            )
            .run()
    };
    let sent = through(&[]).expect(0);
    assert!(
        sent.stderr.contains("from the environment\n"),
        "{}",
        sent.stderr
    );
    let race = through(&["--race", "2"]).expect(2);
    assert!(
        race.stderr
            .starts_with("error: --race connects to 192.0.2.1"),
        "{}",
        race.stderr
    );
    assert!(
        race.stderr.contains("leave out --race") && !race.stderr.contains("hush"),
        "{}",
        race.stderr
    );
    let suite = through(&["--suite", "--only", "post-is-accepted"]);
    assert!(
        suite
            .stderr
            .contains("; races and malformed requests bypass the proxy"),
        "{}",
        suite.whole()
    );
}

#[test]
fn a_proxy_in_the_environment_is_not_for_this_machine() {
    let listener = listener(&["--count", "1", "--timeout", "20s"]);
    let proxy = nobody();
    let program = program(["send", "--url", &listener.url]);
    let program = ["HTTP_PROXY", "http_proxy", "ALL_PROXY"]
        .iter()
        .fold(program, |program, name| program.env(name, &proxy));
    let ended = program.run().expect(0);
    assert!(!ended.stderr.contains("proxy"), "{}", ended.stderr);
    listener.running.end().expect(0);
}
