//! Tests of the answers and remarks of `listen`, request by request.

use std::fmt::Write as _;

use serde_json::Value;

use super::peers::{post, post_json, say};
use super::program::{Listener, fixture, listener};

fn status(answer: &str) -> &str {
    answer
        .lines()
        .next()
        .unwrap_or_default()
        .strip_prefix("HTTP/1.1 ")
        .unwrap_or(answer)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[track_caller]
fn exchange(listener: &mut Listener) -> Value {
    let record = listener.running.record();
    assert_eq!(record["type"], "exchange", "{record}");
    record
}

#[track_caller]
fn remarks(listener: &mut Listener) -> Vec<String> {
    let exchange = exchange(listener);
    let remarks = exchange["verdict"]["remarks"].as_array().expect("remarks");
    let line = |remark: &Value| {
        let word = |name: &str| remark[name].as_str().unwrap_or("-").to_owned();
        format!("{} {}: {}", word("code"), word("field"), word("text"))
    };
    remarks.iter().map(line).collect()
}

fn plain(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
}

#[test]
fn a_good_cdr_is_answered_as_telecmis_own_examples_do() {
    let mut listener = listener(&[]);
    let answer = post_json(&listener.url, fixture("docs-leg-a.json"));
    assert_eq!((status(&answer), body(&answer)), ("200 OK", "got it"));
    let exchange = exchange(&mut listener);
    assert_eq!(exchange["answer"]["status"], 200);
    assert_eq!(exchange["verdict"]["kind"], "outgoing_missed");
    assert_eq!(exchange["verdict"]["remarks"], Value::Array(vec![]));
    assert_eq!(
        exchange["request"]["body"]["text"]
            .as_str()
            .map(str::as_bytes),
        Some(&fixture("docs-leg-a.json")[..])
    );
    assert_eq!(exchange["request"]["complete"], true);
}

#[test]
fn the_good_answer_may_be_another() {
    let arguments = [
        "--status",
        "202",
        "--body",
        "noted",
        "--header",
        "X-Handler: mine",
        "-H",
        "X-Two: 2",
    ];
    let listener = listener(&arguments);
    let answer = post_json(&listener.url, fixture("docs-leg-a.json"));
    assert_eq!((status(&answer), body(&answer)), ("202 Accepted", "noted"));
    let head = answer.to_ascii_lowercase();
    assert!(
        head.contains("\r\nx-handler: mine\r\n") && head.contains("\r\nx-two: 2\r\n"),
        "{answer}"
    );
    assert_eq!(status(&post_json(&listener.url, "")), "400 Bad Request");
}

#[test]
fn answers_may_be_held_back() {
    let mut always = listener(&["--delay", "30ms"]);
    post_json(&always.url, fixture("docs-leg-a.json"));
    let took = exchange(&mut always)["took_ms"].as_f64().expect("a number");
    assert!(took >= 30.0, "{took}");

    let mut between = listener(&["--delay", "20ms..40ms", "--seed", "7"]);
    post_json(&between.url, fixture("docs-leg-a.json"));
    let took = exchange(&mut between)["took_ms"]
        .as_f64()
        .expect("a number");
    assert!(took >= 20.0, "{took}");
}

#[test]
fn strictness_refuses_departures_and_ends_in_a_failure() {
    let listener = listener(&["--strict", "--count", "2"]);
    let refused = post_json(&listener.url, fixture("broken/retyped.json"));
    assert_eq!(status(&refused), "422 Unprocessable Entity");
    insta::assert_snapshot!(body(&refused), @"
    virtual_number: null; documented as a string
    appid: a string; documented as a number
    to: a string; documented as a number
    time: a string; documented as a number
    ");
    let untyped = post(&listener.url, "", fixture("docs-leg-a.json"));
    assert_eq!(status(&untyped), "415 Unsupported Media Type");
    let ended = listener.running.end().expect(1);
    assert_eq!(ended.records_of("summary")[0]["exit"], 1);
}

#[test]
fn without_strictness_departures_are_remarks() {
    let listener = listener(&["--count", "1"]);
    assert_eq!(
        status(&post_json(&listener.url, fixture("broken/retyped.json"))),
        "200 OK"
    );
    listener.running.end().expect(0);
}

#[test]
fn what_cannot_be_read_is_answered_400_with_the_place() {
    let listener = listener(&[]);
    let answers = [
        post_json(&listener.url, "{\n  \"leg\": \"a\",\n  \"to\": 44,\n}"),
        post_json(&listener.url, fixture("broken/javascript-literal.txt")),
        post_json(&listener.url, ""),
        post_json(&listener.url, "[1,"),
    ];
    let said: Vec<_> = answers
        .iter()
        .map(|answer| format!("{}: {}", status(answer), body(answer)))
        .collect();
    insta::assert_snapshot!(said.concat(), @"
    400 Bad Request: not JSON: a comma before the closing brace at line 4 column 1
    400 Bad Request: a JavaScript literal, not JSON: expected a name in double quotes at line 2 column 1
    400 Bad Request: an empty body
    400 Bad Request: not JSON: the text ends in the middle of a value at line 1 column 3
    ");
}

#[test]
fn a_body_over_the_limit_is_answered_413_whether_or_not_its_length_is_told() {
    let mut listener = listener(&["--max-body", "1KiB"]);
    let large = vec![b'x'; 5_000];
    let announced = post_json(&listener.url, &large);
    let mut chunked =
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n".to_vec();
    chunked.extend(&large);
    chunked.extend(b"\r\n0\r\n\r\n");
    for answer in [announced, say(&listener.url, chunked)] {
        assert_eq!(
            (status(&answer), body(&answer)),
            (
                "413 Payload Too Large",
                "the body is over the limit of 1024 bytes\n"
            )
        );
        let exchange = exchange(&mut listener);
        assert_eq!(exchange["request"]["size"], 5_000);
        assert_eq!(exchange["request"]["complete"], false);
    }
}

#[test]
fn a_body_that_does_not_come_is_answered_408() {
    let mut listener = listener(&["--body-timeout", "50ms"]);
    let answer = say(
        &listener.url,
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{",
    );
    assert_eq!(status(&answer), "408 Request Timeout");
    assert_eq!(
        remarks(&mut listener),
        ["bad_request -: the body did not come to its end in time"]
    );
}

#[test]
fn a_head_that_does_not_come_closes_the_connection_and_is_told() {
    let mut listener = super::program::pretty_listener(&["--header-timeout", "50ms"]);
    assert_eq!(say(&listener.url, "POST / HTTP/1.1\r\nHost"), "");
    let line = listener.running.talk();
    assert!(
        line.ends_with(": no complete request head in time\n"),
        "{line}"
    );
}

#[test]
fn methods_that_carry_no_cdr_are_answered_properly() {
    let mut listener = listener(&[]);
    let head = say(&listener.url, plain("HEAD", "/webhook/cdr"));
    assert_eq!((status(&head), body(&head)), ("200 OK", ""));
    assert_eq!(remarks(&mut listener), [""; 0]);
    let options = say(&listener.url, plain("OPTIONS", "/webhook/cdr"));
    assert_eq!((status(&options), body(&options)), ("204 No Content", ""));
    assert!(
        options
            .to_ascii_lowercase()
            .contains("\r\nallow: get, post, head, options\r\n"),
        "{options}"
    );
    assert_eq!(remarks(&mut listener), [""; 0]);
    let put = say(&listener.url, plain("PUT", "/webhook/cdr"));
    assert_eq!(status(&put), "405 Method Not Allowed");
    assert!(
        put.to_ascii_lowercase()
            .contains("\r\nallow: get, post, head, options\r\n"),
        "{put}"
    );
    assert_eq!(
        remarks(&mut listener),
        ["bad_request -: PUT: TeleCMI sends POST or GET"]
    );
}

#[test]
fn a_get_without_a_cdr_is_welcome() {
    let mut listener = listener(&["--strict"]);
    let answer = say(&listener.url, plain("GET", "/webhook/cdr?token=t"));
    assert_eq!(status(&answer), "200 OK");
    assert_eq!(
        remarks(&mut listener),
        ["no_cdr -: no CDR in the query: perhaps a health check or a browser"]
    );
}

#[test]
fn a_cdr_in_the_wrong_place_is_found() {
    let mut listener = listener(&[]);
    let cdr = String::from_utf8(super::program::fixture("docs-leg-a.json")).expect("text");
    let length = cdr.len();
    let get = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{cdr}"
    );
    assert_eq!(status(&say(&listener.url, get)), "200 OK");
    assert_eq!(
        remarks(&mut listener),
        ["bad_request -: no CDR in the query; the CDR is in the body, where only a POST has it"]
    );
    let query = "type=cdr&status=missed&direction=outbound&leg=a&to=442000000000";
    let post = format!(
        "POST /?{query} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(status(&say(&listener.url, post)), "400 Bad Request");
    assert_eq!(
        remarks(&mut listener),
        ["empty -: an empty body; the CDR is in the query, where only a GET has it"]
    );
}

#[test]
fn bodies_in_other_forms_are_named() {
    let mut listener = listener(&[]);
    let url = listener.url.clone();
    let mut said = String::new();
    let multipart = "--x\r\nContent-Disposition: form-data; name=\"leg\"\r\n\r\na\r\n--x--\r\n";
    for (headers, body) in [
        (
            "Content-Type: application/x-www-form-urlencoded\r\n",
            "leg=a&type=cdr&direction=outbound&status=missed",
        ),
        (
            "Content-Type: multipart/form-data; boundary=x\r\n",
            multipart,
        ),
        (
            "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
            "\u{1f}\u{8b}",
        ),
        ("Content-Type: text/plain\r\n", "{\"type\":\"cdr\"}"),
        ("", "{\"type\":\"cdr\"}"),
    ] {
        let answer = post(&url, headers, body);
        let first = remarks(&mut listener).swap_remove(0);
        let _ = writeln!(said, "{} · {first}", status(&answer));
    }
    insta::assert_snapshot!(said, @"
    200 OK · content_type -: form-encoded; TeleCMI sends JSON
    400 Bad Request · encoded -: multipart: parts leg
    400 Bad Request · encoded -: compressed (gzip): kept without decompressing
    200 OK · content_type -: content type text/plain; application/json is expected
    200 OK · content_type -: no content type; application/json is expected
    ");
}

#[test]
fn other_notifications_are_recognised() {
    let mut listener = listener(&[]);
    post_json(&listener.url, fixture("broken/live-event.json"));
    assert_eq!(
        remarks(&mut listener),
        ["other_kind -: a live event, not a CDR"]
    );
    post_json(&listener.url, fixture("broken/rest-record.json"));
    assert_eq!(
        remarks(&mut listener),
        ["other_kind -: a record of the REST API, not a webhook"]
    );
}

#[test]
fn what_came_before_is_remembered() {
    let mut listener = listener(&[]);
    let leg = String::from_utf8(fixture("docs-leg-a.json")).expect("UTF-8");
    let changed = leg.replace("recv_cancel", "sent_reject");
    for body in [&leg, &leg, &changed] {
        post_json(&listener.url, body);
    }
    assert_eq!(remarks(&mut listener), [""; 0]);
    let duplicate = exchange(&mut listener);
    let text = duplicate["verdict"]["remarks"][0]["text"]
        .as_str()
        .expect("a text");
    assert!(
        text.starts_with("duplicate of #1, ") && text.ends_with(" later, identical"),
        "{text}"
    );
    assert_eq!(duplicate["related"][0]["how"], "duplicate");
    assert_eq!(
        remarks(&mut listener),
        ["conflict -: same ids as #1, different body"]
    );
}

#[test]
fn records_are_safe_to_print() {
    let mut listener = listener(&[]);
    post_json(
        &listener.url,
        "{\"type\":\"\u{1b}[2J\u{202e}\u{200b}\u{85}\"}",
    );
    let line = listener.running.line();
    assert!(
        !line
            .trim_end()
            .chars()
            .any(telecmi_cdr::internals::disturbs),
        "{line:?}"
    );
}
