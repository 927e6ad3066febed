use proptest::prelude::*;

use super::*;
use crate::input;
use crate::input::Item;
use crate::ndjson;
use crate::net::query::Encoding;
use crate::send::edit::Edit;

fn captured(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| Header::new(*name, *value))
        .collect();
    Request::new(method, target, headers, body.to_owned())
}

fn again(template: &RequestTemplate, request: &Request) -> Request {
    let prepared = template.prepare_capture(request);
    Request::clone(&prepared.requests[0])
}

fn sent(template: &RequestTemplate, request: &Request) -> String {
    let request = again(template, request);
    let headers = request
        .headers
        .iter()
        .map(|header| format!("{}: {}\n", header.name, header.text()));
    let headers = headers.collect::<Vec<_>>().concat();
    format!(
        "{} {}\n{headers}\n{}",
        request.method,
        request.target,
        request.body.text().unwrap_or("no text")
    )
}

fn template() -> RequestTemplate {
    RequestTemplate {
        target: "/".to_owned(),
        ..RequestTemplate::default()
    }
}

#[test]
fn on_this_machine_nothing_changes() {
    for request in [
        captured(
            "POST",
            "/a?b",
            &[
                ("host", "x"),
                ("Content-Length", "2"),
                ("CONTENT-type", "y"),
            ],
            "{}",
        ),
        captured(
            "POST",
            "/",
            &[("Transfer-Encoding", "chunked"), ("Content-Length", "7")],
            "{}",
        ),
        captured(
            "GET",
            "/?to=1",
            &[
                ("Expect", "100-continue"),
                ("X", "1"),
                ("Y", "2"),
                ("x", "3"),
            ],
            "",
        ),
        captured("POST", "/", &[("Content-Length", "02")], "{}"),
        captured("POST", "/", &[], ""),
    ] {
        assert_eq!(again(&template(), &request), request);
    }
}

#[test]
fn lengths_are_made_true() {
    let request = captured(
        "POST",
        "/",
        &[("Content-Length", "9"), ("X", "1"), ("content-length", "x")],
        "{}",
    );
    assert_eq!(
        sent(&template(), &request),
        "POST /\nContent-Length: 2\nX: 1\ncontent-length: 2\n\n{}"
    );
    let request = captured("POST", "/", &[("X", "1")], "{}");
    assert_eq!(
        sent(&template(), &request),
        "POST /\nX: 1\nContent-Length: 2\n\n{}"
    );
}

#[test]
fn another_machine_gets_its_own_host() {
    let there = RequestTemplate {
        host: Some("cdr.test".to_owned()),
        ..template()
    };
    let request = captured("GET", "/", &[("X", "1"), ("HOST", "x")], "");
    assert_eq!(sent(&there, &request), "GET /\nX: 1\nHOST: cdr.test\n\n");
    assert_eq!(
        sent(&there, &captured("GET", "/", &[("X", "1")], "")),
        "GET /\nHost: cdr.test\nX: 1\n\n"
    );
}

#[test]
fn own_headers_take_the_place_of_captured_ones() {
    let own = |headers: &[(&str, &str)]| captured("GET", "/", headers, "").headers;
    let ours = RequestTemplate {
        headers: own(&[("Host", "mine"), ("x-New", "1"), ("X-A", "2"), ("x-a", "3")]),
        authorization: Some(Header::new("Authorization", "Basic eA==")),
        ..template()
    };
    let request = captured(
        "GET",
        "/",
        &[
            ("x-a", "0"),
            ("host", "x"),
            ("authorization", "old"),
            ("X-a", "1"),
            ("Y", ""),
        ],
        "",
    );
    assert_eq!(
        sent(&ours, &request),
        "GET /\nX-A: 2\nx-a: 3\nHost: mine\nAuthorization: Basic eA==\nY: \nx-New: 1\n\n"
    );
    let ours = RequestTemplate {
        headers: own(&[("Authorization", "Bearer mine")]),
        ..ours
    };
    assert_eq!(
        sent(&ours, &captured("GET", "/", &[], "")),
        "GET /\nAuthorization: Bearer mine\n\n"
    );
}

#[test]
fn edits_are_made_where_the_cdr_is() {
    let edits = vec![
        Edit::set("leg=b").unwrap(),
        Edit::set_json("extra_params={\"k\":1}").unwrap(),
    ];
    let edited = |request: &Request| {
        let template = RequestTemplate {
            edits: edits.clone(),
            encoding: Encoding::Brackets,
            ..template()
        };
        assert!(is_editable(request));
        sent(&template, request)
    };
    let json = captured(
        "POST",
        "/?leg=x",
        &[("content-length", "19"), ("A", "")],
        "{\"leg\": \"a\", \"x\":1.50}",
    );
    insta::assert_snapshot!(edited(&json), @r#"
    POST /?leg=x
    content-length: 46
    A: 

    {"leg": "b", "x":1.50, "extra_params":{"k":1}}
    "#);
    let query = captured("GET", "/p?token=%2f&leg=a", &[("A", "")], "");
    insta::assert_snapshot!(edited(&query), @"
    GET /p?token=%2f&leg=b&extra_params%5Bk%5D=1
    A:
    ");
    let form = captured(
        "POST",
        "/",
        &[("Content-Type", "application/x-www-form-urlencoded")],
        "leg=a&x=+",
    );
    insta::assert_snapshot!(edited(&form), @"
    POST /
    Content-Type: application/x-www-form-urlencoded
    Content-Length: 31

    leg=b&x=+&extra_params%5Bk%5D=1
    ");
    for nothing in [
        captured("GET", "/?token=x", &[], ""),
        captured("POST", "/?leg=a", &[], "leg=a"),
        captured("POST", "/", &[], "[1]"),
        captured("POST", "/", &[], ""),
    ] {
        assert!(!is_editable(&nothing), "{nothing:?}");
        let template = RequestTemplate {
            edits: edits.clone(),
            ..template()
        };
        assert_eq!(again(&template, &nothing).body, nothing.body);
    }
}

#[test]
fn the_cdr_is_told_wherever_it_is() {
    let leg = |request: &Request| {
        template()
            .prepare_capture(request)
            .cdr
            .and_then(|cdr| cdr.leg)
    };
    assert_eq!(
        leg(&captured("POST", "/", &[], "{\"leg\":\"a\"}")),
        Some("a".into())
    );
    assert_eq!(
        leg(&captured("GET", "/?token=x&leg=b", &[], "")),
        Some("b".into())
    );
    assert_eq!(leg(&captured("GET", "/?token=x", &[], "")), None);
    let cdr = template()
        .prepare_capture(&captured("GET", "/?token=x&leg=b", &[], ""))
        .cdr
        .unwrap();
    assert_eq!(cdr.as_bytes(), br#"{"leg":"b"}"#);
}

#[test]
fn a_timeline_never_runs_backwards() {
    let at = |ms| Timestamp::from_epoch_ms(ms);
    let ms = |place: Option<Duration>| place.map(|place| place.as_millis());
    let mut timeline = Timeline::default();
    timeline.next_round();
    let round = [None, at(1_000), at(1_300), at(1_200), None, at(1_400)];
    let places = |timeline: &mut Timeline| round.map(|at| ms(timeline.place(at)));
    assert_eq!(
        places(&mut timeline),
        [None, Some(0), Some(300), Some(300), Some(300), Some(400)]
    );
    timeline.next_round();
    assert_eq!(
        places(&mut timeline),
        [
            Some(400),
            Some(400),
            Some(700),
            Some(700),
            Some(700),
            Some(800)
        ]
    );
}

#[derive(serde::Serialize)]
struct Kept<'a> {
    received_at: Timestamp,
    request: &'a Request,
}

proptest! {
    #[test]
    fn any_request_survives_being_kept_and_sent_again(
        method in "[A-Z]{1,7}",
        target in "/[!-~é]{0,20}",
        headers in proptest::collection::vec(
            ("[a-zA-Z-]{1,12}", proptest::collection::vec(prop_oneof![Just(b'\t'), 0x20_u8..0x7f, 0x80_u8..], 0..12)),
            0..6,
        ),
        body in proptest::collection::vec(any::<u8>(), 0..80),
        place in 0_usize..6,
        ms in 0_i64..4_000_000_000_000,
    ) {
        let headers = headers.into_iter().map(|(name, value)| Header { name: name.into(), value: value.into() });
        let own = ["content-length", "transfer-encoding"];
        let mut headers: Vec<_> = headers.filter(|header| !own.iter().any(|name| header.is(name))).collect();
        headers.insert(place.min(headers.len()), Header::new("CONTENT-Length", body.len().to_string()));
        let request = Request::new(&method, target, headers, body);
        let received_at = Timestamp::from_epoch_ms(ms).unwrap();
        let line = ndjson::line("exchange", &Kept { received_at, request: &request });

        let input = input::read(&line, "x").unwrap();
        let Item::Captured(_, captured) = &input.items[0] else { panic!("a body") };
        prop_assert_eq!((captured.at, &captured.request), (Some(received_at), &request));
        let again = again(&template(), &captured.request);
        prop_assert_eq!(&again, &request);
        let mut expected = format!("{method} {} HTTP/1.1\r\n", request.target).into_bytes();
        for header in &request.headers {
            expected.extend([header.name.as_bytes(), b": ", &header.value, b"\r\n"].concat());
        }
        expected.extend([b"\r\n", &request.body.0[..]].concat());
        let raw = raw::RawRequest::exact(&again).unwrap();
        prop_assert_eq!(raw.steps, [raw::Step::Send(expected.into())]);
    }
}
