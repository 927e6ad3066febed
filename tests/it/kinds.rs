//! Further instances of the kinds of faults that other tests hold: answers, addresses, files, probes.

use super::peers::{answer, post_json, say, stub, stub_of_bytes};
use super::program::{fixture, masked, pretty_listener, program};

#[test]
fn answers_are_read_as_their_headers_say() {
    let latin = [&b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Length: 6\r\n\r\nZur"[..], b"\xfcck"].concat();
    let brotli =
        b"HTTP/1.1 500 E\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\n\x0b\x02\x80".to_vec();
    let transferred =
        b"HTTP/1.1 500 E\r\nTransfer-Encoding: br, chunked\r\n\r\n3\r\n\x0b\x02\x80\r\n0\r\n\r\n"
            .to_vec();
    let rails = "<h1>KeyError in CdrController#create</h1><h2>key not found: &quot;nope&quot;</h2>";
    let aspnet = "<h1>An unhandled exception occurred while processing the request.</h1>\
        <div class=\"titleerror\">KeyNotFoundException: The given key &#x27;x&#x27; was not present</div>";
    let page = |html: &str| answer("500 E", "Content-Type: text/html\r\n", html).into_bytes();
    let aiohttp = format!(
        "<title>500 Internal Server Error</title><h2>Traceback:</h2><pre>Traceback (most recent call last):\n{}KeyError: \
        &#39;leg&#39;\n</pre>",
        "  File &#34;/srv/app.py&#34;, line 9, in post\n".repeat(9)
    );
    let tomcat = "<title>HTTP Status 500</title><p><b>Type</b> Exception Report</p><pre>java.lang.NullPointerException: \
        leg is null\n\tcdr.Webhook.doPost(Webhook.java:9)\n</pre>";
    let symfony = "<title>Warning: Undefined array key &quot;leg&quot; (500)</title><h1>Warning: Undefined array key \
        &quot;leg&quot;</h1>";
    for (bytes, said) in [
        (latin, "200 OK · T · Zurück"),
        (brotli, "3 bytes, compressed (br), not shown"),
        (transferred, "3 bytes, compressed (br), not shown"),
        (page(&aiohttp), "    a page: KeyError: 'leg'\n"),
        (page(tomcat), "Exception: leg is null\n"),
        (
            page(symfony),
            "    a page: Warning: Undefined array key \"leg\" (500)\n",
        ),
        (page(rails), "KeyError: key not found: \"nope\""),
        (
            page(aspnet),
            "KeyNotFoundException: The given key 'x' was not present",
        ),
        (
            page("<title>Error</title><pre>Cannot POST /webhook/cdr</pre>"),
            "a page: Cannot POST /webhook/cdr",
        ),
        (
            page("<title>400 Bad Request</title><p>Failed to decode JSON object: x (char 0)</p>"),
            "400 Bad Request: Failed to decode JSON object: x (char 0)",
        ),
        (
            page(
                "<title>Action Controller: Exception caught</title><h1>Routing Error</h1><h2>No route matches</h2>",
            ),
            "Routing Error: No route matches",
        ),
        (
            page(
                "<h1>Whitelabel Error Page</h1><p>This is a fallback.</p><div>There was an unexpected error \
                (type=Internal Server Error, status=500).</div><div>No value for leg</div>",
            ),
            "Internal Server Error: No value for leg",
        ),
        (
            page(
                "<title>KeyError at POST /x</title><h5>KeyError<small> at POST </small><small>/x</small></h5><h1>key \
                :leg not found</h1>",
            ),
            "KeyError: key :leg not found",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello".to_vec(),
            "the answer is not HTTP",
        ),
        (
            b"HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "the answer is not HTTP",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"
                .to_vec(),
            "the body of the answer is malformed",
        ),
    ] {
        let ended = program(["send", "--url", &stub_of_bytes(bytes), "-q"]).run();
        let is_good = ended.code == Some(0);
        assert!(
            ended
                .stdout
                .contains(said.split(" · T · ").last().unwrap_or(said)),
            "{said}: {}",
            ended.whole()
        );
        assert_eq!(is_good, said.starts_with("200"), "{said}");
    }
}

#[test]
fn a_server_between_the_handler_and_the_sender_is_named() {
    for (status, page, advice) in [
        (
            "400 Bad Request",
            "<title>400 No required SSL certificate was sent</title>",
            "the server requires a client certificate",
        ),
        (
            "404 Not Found",
            "<p>The endpoint is offline. (ERR_NGROK_3200)</p>",
            "ngrok answered, not the handler: check that the tunnel runs",
        ),
        ("530 E", "error code: 1033", "the proxy in front answered"),
        ("522 E", "", "the proxy in front answered"),
    ] {
        let url = stub(answer(status, "", page));
        let said = program(["send", "--url", &url]).run().expect(1).stderr;
        assert!(said.contains(&format!("hint: {advice}")), "{said}");
    }
    let broken = stub("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ngot\r\nzz\r\n");
    let said = program(["send", "--url", &broken]).run().expect(1).stderr;
    assert!(said.contains("hint: the handler broke off"), "{said}");
}

#[test]
fn the_message_of_a_long_reply_is_shown_by_each_name_that_servers_give() {
    let trace = "x".repeat(900);
    for reply in [
        format!(r#"{{"stackTrace":["{trace}"],"errorMessage":"no leg"}}"#),
        format!(r#"{{"StackTrace":"{trace}","ExceptionMessage":"no leg"}}"#),
        format!(r#"{{"trace":"{trace}","err":"no leg"}}"#),
        format!(r#"{{"trace":"{trace}","title":"no leg"}}"#),
        format!(r#"{{"error":{{"trace":"{trace}","description":"no leg"}}}}"#),
    ] {
        let url = stub(answer(
            "500 E",
            "Content-Type: application/json\r\n",
            &reply,
        ));
        let shown = program(["send", "--url", &url]).run().expect(1).stdout;
        assert!(shown.contains("no leg"), "{shown}");
    }
}

#[test]
fn a_wait_in_any_notation_is_read_and_limited() {
    for (value, least_ms) in [
        ("1.5", 1000),
        ("99999999999999999999", 1000),
        ("-5", 0),
        ("soon", 0),
        ("Friday, 01-Jan-99 00:00:00 GMT", 0),
    ] {
        let url = stub(answer("503 E", &format!("Retry-After: {value}\r\n"), ""));
        let ended = program([
            "send",
            "--url",
            &url,
            "--retry",
            "1",
            "--retry-interval",
            "1ms",
            "--retry-after-max",
            "1s",
            "--format",
            "ndjson",
        ])
        .run()
        .expect(1);
        let attempts = ended.records()[1]["attempts"].clone();
        let at = |n: usize| {
            attempts[n]["at"]
                .as_str()
                .and_then(|at| at.parse::<jiff::Timestamp>().ok())
                .expect("a time")
        };
        let waited = at(1).as_millisecond() - at(0).as_millisecond();
        assert!(
            (least_ms..least_ms + 20_000).contains(&waited),
            "{value}: {waited} ms"
        );
    }
}

#[test]
fn a_url_of_this_machine_needs_no_scheme() {
    let url = stub(answer("200 OK", "", "got it"));
    let port = url.rsplit(':').next().expect("a port");
    for url in [
        format!("localhost:{port}/x?token=S3CR3T"),
        format!(":{port}"),
        format!("127.0.0.1:{port}/x"),
    ] {
        let ended = program(["send", "--url", &url, "--mask"]).run().expect(0);
        assert!(!ended.whole().contains("S3CR3T"), "{}", ended.whole());
    }
    for (url, said) in [
        (
            "h.test:80/x?token=S3CR3T",
            "did you mean http://h.test:80/x?token=***?",
        ),
        ("http:localhost:5", "did you mean http://localhost:5?"),
        ("localhost:5000:80", "the URL has no scheme: expected"),
        (r"http:\\u:S3CR3T@h/x", "the URL has no scheme: expected"),
        ("htpp://localhost/x", "only http:// and https://"),
        ("http://$HOST/x", "not a valid URL (invalid host)"),
        ("http://*:5000/", "not a valid URL (invalid host)"),
        ("http://h..test/", "not a valid URL (invalid host)"),
        ("http://<host>/", "not a valid URL (invalid host)"),
        ("...", "the URL has no scheme: expected"),
    ] {
        let said_of =
            |arguments: &[&str]| program(arguments.iter().copied()).run().expect(2).stderr;
        let error = said_of(&["send", url]);
        assert!(error.contains(said) && !error.contains("S3CR3T"), "{error}");
        assert!(!said_of(&[url]).contains("S3CR3T"), "{url}");
    }
}

#[test]
fn words_and_flags_are_blamed_for_their_own_mistakes() {
    for (arguments, said) in [
        (&["help", "lissen"][..], "subcommand 'lissen'"),
        (
            &["--generate", "foo"],
            "invalid value 'foo' for '--generate <WHAT>'",
        ),
        (
            &["send", "-f", "a", "-f", "b"],
            "'--file <PATH>' cannot be used multiple times",
        ),
        (
            &["send", "--expect-body", "a", "--expect-body", "b"],
            "cannot be used multiple times",
        ),
        (
            &["send", "--set-json", "to=\"\\ud800\""],
            "half of a surrogate pair",
        ),
    ] {
        let error = program(arguments).run().expect(2).stderr;
        assert!(error.contains(said), "{error}");
    }
    for (flag, edit) in [("--set-json", "lge=1"), ("--unset", "lge")] {
        let ended = program(["send", "--dry-run", "-f", "-", flag, edit]).input(r#"{"leg":"a"}"#);
        let said = ended.run().expect(0).stderr;
        assert!(
            said.contains(&format!("warning: {flag} lge: not a field")),
            "{said}"
        );
    }
}

#[test]
fn a_secret_in_any_part_of_a_url_is_masked_or_refused() {
    for (url, code) in [
        ("http:///u:S3CR3T@127.0.0.1:1/x", 2),
        ("http//u:S3CR3T@h/x", 2),
        ("http://127.0.0.1:1/x?to\nken=S3CR3T", 2),
        ("http://127.0.0.1:1/x;token=S3CR3T", 1),
        ("http://127.0.0.1:1/x?hmac=S3CR3T&pin=S3CR3T&sid=S3CR3T", 1),
        (
            "http://127.0.0.1:1/x;jsessionid=S3CR3T?csrf=S3CR3T&password2=S3CR3T",
            1,
        ),
        (
            "http://127.0.0.1:1/x?next=http%3A%2F%2Fh%2F%3Ftoken%3DS3CR3T&%2574oken=S3CR3T",
            1,
        ),
        (
            "http://127.0.0.1:1/x?jwt=S3CR3T&otp=S3CR3T&x-amz-signature=S3CR3T",
            1,
        ),
    ] {
        let ended = program(["send", "--mask", "--url", url]).run().expect(code);
        assert!(!ended.whole().contains("S3CR3T"), "{}", ended.whole());
    }
    let mistaken = ["listen", "--port", "http://u:S3CR3T@h/"];
    let error = program(mistaken).run().expect(2).stderr;
    assert!(!error.contains("S3CR3T"), "{error}");
    for header in ["Refresh: 0; url=", "Link: <"] {
        let url = stub(answer(
            "302 Found",
            &format!("{header}http://u:S3CR3T@h/?token=S3CR3T>\r\n"),
            "",
        ));
        for mode in [&["-v"][..], &["--format", "ndjson"]] {
            let ended = program(["send", "--url", &url].iter().chain(mode)).run();
            assert!(!ended.whole().contains("S3CR3T"), "{}", ended.whole());
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of files and messages")]
fn files_of_other_kinds_are_sent_with_a_warning_or_refused() {
    let utf16: Vec<u8> = "\u{feff}{\"leg\":\"a\"}"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let har = |entry: &str| {
        format!(r#"{{"log":{{"entries":[{{"request":{{"method":"POST",{entry}}}}}]}}}}"#)
            .into_bytes()
    };
    let deep = format!(
        "{{\"leg\":\"a\",\"x\":{}{}}}",
        "[".repeat(200),
        "]".repeat(200)
    );
    for (bytes, sent, said) in [
        (utf16, 1, ""),
        ("{\"leg\":\"a\"}\n\u{feff}{\"leg\":\"b\"}".into(), 2, ""),
        ("{\"leg\":\"a\"}\r{\"leg\":\"b\"}".into(), 2, ""),
        (
            r#"{"log":"x"}"#.into(),
            1,
            "an object without the fields of a CDR",
        ),
        (
            r#"{"log":{}}"#.into(),
            0,
            "looks like a HAR, but missing field `entries`",
        ),
        (
            r#"{"Records":[{"body":"{}"}]}"#.into(),
            1,
            "an event of AWS Lambda",
        ),
        (
            r#"{"name":"x","version":"1"}"#.into(),
            1,
            "an object without the fields of a CDR",
        ),
        (har(r#""url":"http://h/x","postData":null"#), 1, ""),
        (
            har(r#""url":"http://h/x","postData":{"text":"!!","encoding":"base64"}"#),
            0,
            "its body is not valid base64",
        ),
        (har(r#""url":"ws://h/x""#), 0, "no HTTP request"),
        (
            har(r#""url":"http://h/x","bodySize":-1,"postData":{"mimeType":"","params":[],"text":"","_sha1":"7.json"}"#),
            0,
            "the body is in the file \"7.json\": export the request again",
        ),
        (har(r#""url":"http://h/x","postData":{"text":"{}","_file":"7.json"}"#), 1, ""),
        (
            r#"{"leg":"a"}}"#.into(),
            1,
            "text that is not JSON was skipped",
        ),
        (
            "{\"leg\":\"a\"}\n{\"leg\":\"b".into(),
            1,
            "the last line is cut off",
        ),
        (
            "{\"leg\":\"a\"}\n{\"leg\":\"b\n".into(),
            0,
            "a string without its closing quote",
        ),
        (
            b"\x1f\x8b\x08".to_vec(),
            0,
            "compressed by gzip: unpack the file first, as gzip -dc does",
        ),
        (b"PK\x03\x04\x14".to_vec(), 0, "a zip archive: unpack"),
        (b"{\0\0\0}\0\0\0".to_vec(), 0, "the text is UTF-32"),
        (
            "\u{1e}{\"leg\":\"a\"}\n\u{1e}{\"leg\":\"b\"}\n".into(),
            2,
            "",
        ),
        (
            "[{\"leg\":\"a\"},\n{\"leg\":\"b\"}\n".into(),
            2,
            ":2: the array is not closed",
        ),
        (
            "{\"leg\":\"a\"}\n{\"time\":1.".into(),
            1,
            "the last line is cut off",
        ),
        (
            "{\n leg: undefined}".into(),
            0,
            ":2: neither JSON nor a JavaScript literal\n",
        ),
        (
            r#"{"log":"{}\n","stream":"stdout","time":"2026-11-22T09:00:00Z"}"#.into(),
            1,
            "an object without the fields of a CDR",
        ),
        (
            r#"{"startedDateTime":"x","time":1,"request":{"method":"GET","url":"http://h/?a"}}"#
                .into(),
            1,
            "",
        ),
        (
            har(r#""url":"http://h/x","headers":"S3CR3T""#),
            0,
            "not an entry of a HAR: expected an array, found string",
        ),
        (
            har(r#""url":"http://h/x","bodySize":9,"postData":{"text":"{}"}"#),
            1,
            "not captured completely",
        ),
        (
            r#"{"type":"exchange","v":1,"request":{"method":"POST","target":"/","version":"HTTP/1.1","headers":{},"body":{"text":""},"size":0,"complete":true}}"#
                .into(),
            0,
            "its request: expected an array, found object",
        ),
        (deep.into_bytes(), 0, "nested deeper than 127 levels"),
    ] {
        let name = String::from_utf8_lossy(&bytes).into_owned();
        let ended = program(["send", "--print", "vegeta", "-f", "-"])
            .input(bytes)
            .run();
        assert_eq!(
            ended.stdout.lines().count(),
            sent,
            "{name}: {}",
            ended.whole()
        );
        assert!(ended.stderr.contains(said), "{name}: {}", ended.whole());
        assert_eq!(ended.code, Some(if sent == 0 { 2 } else { 0 }), "{name}");
    }
}

#[test]
fn what_no_edit_names_is_sent_as_it_was_written() {
    for (value, query) in [
        ("1.50", "1.50"),
        ("1e-400", "1e-400"),
        ("1E5", "1E5"),
        ("-0", "-0"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("{\"y\": [1.50]}", "%7B%22y%22%3A%5B1.50%5D%7D"),
        ("\"\\u00e9\\/\"", "%C3%A9%2F"),
    ] {
        let file = format!("{{\"leg\":\"a\", \"x\":{value}}}");
        let sent = |arguments: &[&str]| {
            let fixed = ["send", "--file", "-"];
            let ended = program(fixed.iter().chain(arguments)).input(&*file).run();
            ended.expect(0).stdout
        };
        assert_eq!(
            sent(&["--dry-run", "--set", "leg=b"]),
            file.replace("\"a\"", "\"b\"") + "\n"
        );
        assert_eq!(
            sent(&["--dry-run", "--set-json", &format!("leg={value}")]),
            file.replace("\"a\"", &value.replace(": ", ":")) + "\n"
        );
        let by_get = sent(&["--print", "vegeta", "-X", "get", "--unset", "no"]);
        assert!(by_get.contains(&format!("?leg=a&x={query}\"")), "{by_get}");
    }
    let twice = program(["send", "--dry-run", "--file", "-", "--unset", "leg"])
        .input(r#"{"leg":"a","x":1,"x":-1e400}"#)
        .run();
    assert_eq!(twice.expect(0).stdout, "{\"x\":1,\"x\":-1e400}\n");
}

#[test]
fn what_monitors_and_browsers_ask_for_is_no_webhook() {
    let listener = pretty_listener(&["--format", "line", "--count", "1"]);
    let agents = [
        ("/robots.txt", "x"),
        ("/apple-touch-icon.png", "x"),
        ("/", "kube-probe/1.29"),
        ("/h", "ELB-HealthChecker/2.0"),
    ];
    for (path, agent) in agents {
        say(
            &listener.url,
            format!(
                "GET {path} HTTP/1.1\r\nHost: h\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
            ),
        );
    }
    for body in [r#"{"count":0,"cdr":[],"code":200}"#, "[]", r#""x""#, "null"] {
        post_json(&listener.url, body);
    }
    post_json(&listener.url, fixture("docs-leg-a.json"));
    let text = masked(&listener.running.end().expect(0).stdout);
    let has = |words: &str| text.lines().filter(|line| line.contains(words)).count();
    assert_eq!(
        (has("no webhook"), has("REST record"), has("no CDR")),
        (4, 1, 3),
        "{text}"
    );
}
