use super::*;
use proptest::prelude::*;

fn bodies(text: &str) -> Vec<String> {
    let items = read(text.as_bytes(), "x").unwrap().items;
    let body = |item| match item {
        Item::Body(body) => String::from_utf8(body.to_vec()).unwrap(),
        Item::Captured(_, captured) => {
            let request = &captured.request;
            format!(
                "{} {} {:?}",
                request.method,
                request.target,
                request.body.text()
            )
        }
    };
    items.into_iter().map(body).collect()
}

fn refused(text: &str) -> String {
    read(text.as_bytes(), "x").unwrap_err().to_string()
}

#[test]
fn json_is_kept_byte_for_byte() {
    assert_eq!(bodies(" {\"a\": 1.50 }\n"), ["{\"a\": 1.50 }"]);
    assert_eq!(
        bodies("[{\"a\":1}, {\"b\" :2}]"),
        ["{\"a\":1}", "{\"b\" :2}"]
    );
    assert_eq!(bodies("{\"a\":1}\n\n{\"b\":2}"), ["{\"a\":1}", "{\"b\":2}"]);
}

#[test]
fn the_samples_are_read_as_pasted() {
    let leg_a = include_str!("../../fixtures/docs-leg-a.js.txt");
    let leg_b = include_str!("../../fixtures/docs-leg-b.js.txt");
    let expected = [
        include_str!("../../fixtures/docs-leg-a.json").trim_end(),
        include_str!("../../fixtures/docs-leg-b.json").trim_end(),
    ];
    assert_eq!(bodies(leg_a), expected[..1]);
    assert_eq!(
        bodies(&format!("Leg A\n\n{leg_a}\nLeg B\n{leg_b}\nProperties")),
        expected
    );
}

#[test]
fn records_and_archives_are_replayed() {
    let capture = r#"{"type":"listening","v":1,"url":"http://127.0.0.1:1"}
{"type":"exchange","v":1,"request":{"method":"GET","target":"/a?b=1","version":"HTTP/1.1","headers":[["x","y"]],"body":{"text":""},"size":0,"complete":true}}
{"type":"delivery","v":1,"cdr":{"leg":"a"}}
{"type":"summary","v":1}"#;
    assert_eq!(
        bodies(capture),
        ["GET /a?b=1 Some(\"\")", "{\"leg\":\"a\"}"]
    );
    let har = r#"{"log":{"entries":[{"request":{"method":"POST","url":"https://h/p?q=1","headers":[{"name":":path","value":"/"}],"postData":{"text":"{}"}}}]}}"#;
    assert_eq!(bodies(har), ["POST /p?q=1 Some(\"{}\")"]);
}

#[test]
fn a_har_has_entries() {
    for text in [r#"{"leg":"a","log":1}"#, r#"{"leg":"a","log":{"a":1}}"#] {
        assert_eq!(bodies(text), [text]);
    }
    let refused = refused(r#"{"log":{"entries":1}}"#);
    assert!(refused.starts_with("x: looks like a HAR, but"), "{refused}");
}

#[test]
fn bodies_of_a_har_are_forms_and_base64_too() {
    let har = |url: &str, data: &str| {
        let entry = r#"{"request":{"method":"POST","url":"URL","postData":DATA}}"#;
        let entry = entry.replace("URL", url).replace("DATA", data);
        format!(r#"{{"log":{{"entries":[{entry}]}}}}"#)
    };
    for data in [
        r#"{"text":"","params":[{"name":"leg","value":"a b"},{"name":"leg"}]}"#,
        r#"{"encoding":"base64","text":"bGVnPWElMjBiJmxlZz0="}"#,
        r#"{"_encoding":"base64","text":"bGVnPWElMjBiJmxlZz0="}"#,
    ] {
        let sent = bodies(&har("http://h/", data));
        assert_eq!(sent, ["POST / Some(\"leg=a%20b&leg=\")"]);
    }
    assert_eq!(
        refused(&har("data:image/png;base64,AAAA", "{}")),
        "x: contains nothing to send: x: entry 1: this entry was skipped: no HTTP request"
    );
}

#[test]
fn a_record_is_a_record_whatever_its_version() {
    assert_eq!(
        refused(r#"{"type":"summary","v":-1}"#),
        "x: contains nothing to send"
    );
    assert_eq!(
        bodies("{\"type\":\"cdr\",\"v\":-1}"),
        ["{\"type\":\"cdr\",\"v\":-1}"]
    );
}

#[test]
fn a_delivery_of_something_else_is_not_sent() {
    let told = refused(r#"{"type":"delivery","v":1,"cdr":1}"#);
    assert_eq!(told, "x: a delivery record whose CDR is not an object");
}

#[test]
fn many_literals_are_read_one_after_another() {
    let text = format!("x\n{}{{b: }}", "{a: 1}\n".repeat(20_000));
    let told = refused(&text);
    assert!(told.starts_with("x:20002: neither JSON"), "{told}");
}

#[test]
fn a_torn_last_line_is_skipped_with_a_warning() {
    let input = read(b"{\"leg\":1}\n{\"b\":", "calls.ndjson").unwrap();
    assert_eq!(input.items.len(), 1);
    assert_eq!(
        input.warnings,
        ["calls.ndjson:2: the last line is cut off and was skipped"]
    );
}

#[test]
fn a_wrong_last_line_is_not_taken_for_a_torn_one() {
    for wrong in ["{\"a\":}", "{\"a\":1} x", "}"] {
        let refused = refused(&format!("{{\"a\":1}}\n{wrong}"));
        assert!(refused.starts_with("x:2: "), "{refused}");
    }
    let torn = read(b"{\"leg\":1}\n{\"b\":\"\xe2\x82", "x").unwrap();
    assert_eq!((torn.items.len(), torn.warnings.len()), (1, 1));
}

#[test]
fn half_a_request_is_sent_with_a_warning() {
    let exchange = |complete: bool| {
        format!(
            r#"{{"type":"exchange","v":1,"request":{{"method":"POST","target":"/","version":"HTTP/1.1","headers":[],"body":{{"text":"{{"}},"size":9,"complete":{complete}}}}}"#
        )
    };
    let (whole, half) = (exchange(true), exchange(false));
    let warning = "the body of this request was not captured completely: only the captured part is \
        sent";
    for (text, place) in [
        (format!("{whole}\n{half}"), "x:2"),
        (half.clone(), "x"),
        (format!("[{whole},{half}]"), "x: element 2"),
    ] {
        let input = read(text.as_bytes(), "x").unwrap();
        assert_eq!(input.warnings, [format!("{place}: {warning}")]);
    }
    assert_eq!(read(whole.as_bytes(), "x").unwrap().warnings, [""; 0]);
}

#[test]
fn what_cannot_be_sent_is_refused_with_its_place() {
    insta::assert_snapshot!(refused(" "), @"x: empty");
    insta::assert_snapshot!(refused("7"), @"x: expected an object, found number");
    insta::assert_snapshot!(refused("[{\"a\":1}, 7]"), @"x: element 2: expected an object, found number");
    insta::assert_snapshot!(refused("[[]]"), @"x: element 1: expected an object, found array");
    insta::assert_snapshot!(refused("hello"), @"x:1: expected a value in column 1");
    insta::assert_snapshot!(refused("{\"a\":1}\n{bad\n{\"b\":2}"), @"x:2: expected a name in double quotes in column 2");
    insta::assert_snapshot!(refused("\n\n{ a: 'b' "), @"x:3: an object that is not closed");
    insta::assert_snapshot!(refused("{\"type\":\"summary\",\"v\":1}"), @"x: contains nothing to send");
}

#[test]
fn literals_nested_too_deeply_are_refused_in_plain_words() {
    let text = format!("{}1{}", "{a:".repeat(3_000), "}".repeat(3_000));
    assert_eq!(
        refused(&text),
        "x:1: neither JSON nor a JavaScript literal: nested too deeply"
    );
}

fn exchange(method: &str, target: &str, value: &str, received_at: &str) -> String {
    let request = serde_json::json!({
        "method": method, "target": target, "version": "HTTP/1.1", "headers": [["X-A", value]],
        "body": {"text": ""}, "size": 0, "complete": true,
    });
    serde_json::json!({"type": "exchange", "v": 1, "received_at": received_at, "request": request})
        .to_string()
}

#[test]
fn what_is_broken_in_a_capture_is_skipped_with_a_warning() {
    let good = exchange("POST", "/", "b", "2026-11-22T09:00:00.000Z");
    let torn = &good[..good.len() / 2];
    let lines = [
        &torn[30..],
        &good,
        "",
        torn,
        &good,
        r#"{"type":"exchange","v":2,"request":{}}"#,
        r#"{"type":"exchange","v":1,"request":{"method":"GET"}}"#,
        r#"{"type":"exchange","v":1}"#,
        r#"{"type":"thought","v":1}"#,
        r#"{"type":"listening","v":1}"#,
        &good,
        torn,
    ];
    let input = read(lines.join("\n").as_bytes(), "calls.ndjson").unwrap();
    assert_eq!(input.items.len(), 3);
    insta::assert_snapshot!(input.warnings.join("\n"), @r#"
    calls.ndjson:1: this line was skipped: expected a value in column 1
    calls.ndjson:4: this line was skipped: a string without its closing quote in column 98
    calls.ndjson:6: this line was skipped: a record of version 2; this program reads version 1
    calls.ndjson:7: this line was skipped: its request: missing field `target`
    calls.ndjson:8: this line was skipped: an exchange record without a request
    calls.ndjson:9: this line was skipped: a record of an unknown type, "thought"
    calls.ndjson:12: the last line is cut off and was skipped
    "#);

    // Two kinds of broken lines in a capture: bytes that are not UTF-8, and the zeros that a full disk leaves.
    for broken in [&b"\xff\xfe{"[..], b"\0\0\0\0"] {
        let bytes = [good.as_bytes(), b"\n", broken, b"\n", good.as_bytes()].concat();
        let input = read(&bytes, "x").unwrap();
        assert_eq!(
            (input.items.len(), input.warnings.len()),
            (2, 1),
            "{:?}",
            input.warnings
        );
        assert!(
            input.warnings[0].starts_with("x:2: this line was skipped: "),
            "{:?}",
            input.warnings
        );
    }
}

#[test]
fn a_file_that_is_no_capture_has_to_be_right() {
    let good = exchange("POST", "/", "b", "");
    insta::assert_snapshot!(refused(&format!("{good}\n{{\"leg\":\"a\"}}\n{{bad\n{good}")), @"x:3: expected a name in double quotes in column 2");
    insta::assert_snapshot!(refused("{\"type\":\"exchange\",\"v\":9}\n{"), @"x: contains nothing to send: x:1: this line was skipped: a record of version 9; this program reads version 1");
}

#[test]
fn warnings_are_not_endless() {
    let good = exchange("POST", "/", "b", "");
    let input = read(format!("{}{good}", "{bad\n".repeat(1_000)).as_bytes(), "x").unwrap();
    assert_eq!((input.items.len(), input.warnings.len()), (1, 11));
    assert_eq!(input.warnings[10], "x: and 990 more warnings");
}

#[test]
fn what_would_become_another_request_is_refused_before_anything_is_sent() {
    let good = exchange("POST", "/", "b", "");
    let line = |method, target, value| {
        refused(&format!(
            "{good}\n{}\n{good}",
            exchange(method, target, value, "")
        ))
    };
    insta::assert_snapshot!(line("POST", "/", "b\r\nEvil: 1"), @"x:2: the value of the header X-A \
        contains a line break or a control character");
    insta::assert_snapshot!(line("P OST", "/", "b"), @r#"x:2: "P OST" is not a valid method"#);
    insta::assert_snapshot!(line("GET", "/?a=b c HTTP/1.1", "b"), @"x:2: the request target \
        contains a space or a control character");
    insta::assert_snapshot!(line("GET", "", "b"), @"x:2: the request target is empty");
    let har = r#"{"log":{"entries":[{"request":{"method":"GET","url":"http://h/","headers":[{"name":"a b","value":""}]}}]}}"#;
    insta::assert_snapshot!(refused(har), @r#"x: entry 1: "a b" is not a valid header name"#);
}

#[test]
fn times_are_read_where_there_are_any() {
    let at = |text: &str| match &read(text.as_bytes(), "x").unwrap().items[0] {
        Item::Captured(_, captured) => captured.at.map(|at| at.to_string()),
        Item::Body(_) => None,
    };
    let time = Some("2026-11-22T09:00:00.500Z".to_owned());
    assert_eq!(
        at(&exchange("GET", "/", "b", "2026-11-22T09:00:00.5Z")),
        time
    );
    assert_eq!(at(&exchange("GET", "/", "b", "yesterday")), None);
    assert_eq!(
        at(&exchange("GET", "/", "b", "WHEN").replace("\"WHEN\"", "7")),
        None
    );
    let har = r#"{"log":{"entries":[{"startedDateTime":"2026-11-22T10:00:00.500+01:00","request":{"method":"GET","url":"http://u:p@h:1?q#f"}}]}}"#;
    assert_eq!(at(har), time);
    let Item::Captured(_, captured) = &read(har.as_bytes(), "x").unwrap().items[0] else {
        panic!("a body")
    };
    assert_eq!(
        (
            captured.request.target.as_str(),
            captured.request.headers[0].text()
        ),
        ("/?q", "h:1".into())
    );
}

proptest! {
    #[test]
    fn whatever_a_capture_holds_is_written_as_it_stands_or_refused(
        method in "[A-Z]{1,4}[ \r\n]?", target in "/[!-~]{0,8}[ \r\n]?[!-~]{0,4}", value in "[ -~]{0,8}[\r\n\t\u{0}é]?[a-z]{0,4}",
    ) {
        let line = exchange(&method, &target, &value, "");
        if let Ok(input) = read(line.as_bytes(), "x") {
            let Item::Captured(_, captured) = &input.items[0] else { panic!("a body") };
            let written = raw::RawRequest::exact(&captured.request).unwrap();
            let expected = format!("{method} {target} HTTP/1.1\r\nX-A: {value}\r\n\r\n");
            prop_assert_eq!(&written.steps, &[raw::Step::Send(expected.clone().into())]);
            prop_assert_eq!(expected.matches(['\r', '\n']).count(), 6);
        }
    }

    #[test]
    fn no_line_makes_the_reader_panic(
        lines in proptest::collection::vec(prop_oneof![
            Just(exchange("GET", "/", "b", "").into_bytes()),
            Just(br#"{"type":"x","v":1}"#.to_vec()),
            Just(br#"{"type":"exchange","v":1,"request":null,"received_at":{}}"#.to_vec()),
            Just(br#"{"leg":"a"}"#.to_vec()),
            proptest::collection::vec(any::<u8>(), 0..9),
        ], 0..8)
    ) {
        let _ = read(&lines.join(&b'\n'), "x");
    }

    #[test]
    fn no_file_makes_the_reader_panic(text in r#"[{}\[\]'",:a1 \n\\]{0,60}"#) {
        let _ = read(text.as_bytes(), "x");
    }
}
