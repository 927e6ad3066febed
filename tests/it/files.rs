//! Files of all flags: encodings, formats that are no CDR, and bodies that a HAR describes in other ways than as text.

use serde_json::{Value, json};

use super::program::{Ended, fixture, program};

const FIXED: [&str; 5] = ["send", "--seed", "7", "--at", "2026-11-22T09:00:00Z"];

/// Prints what a text given as a file would send.
#[track_caller]
fn from_file(text: impl Into<Vec<u8>>) -> Ended {
    program(FIXED.iter().chain(&["--dry-run", "--file", "-"]))
        .input(text)
        .run()
}

/// The first line of the error on a refused file.
fn refusal(text: impl Into<Vec<u8>>) -> String {
    let stderr = from_file(text).expect(2).stderr;
    let line = stderr.lines().next();
    line.map(|line| format!("{line}\n")).unwrap_or_default()
}

fn cdr() -> String {
    let cdr = String::from_utf8(fixture("docs-leg-a.json")).expect("UTF-8");
    cdr.trim_end().to_owned()
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn text_is_read_in_each_encoding_that_editors_write() {
    let (cdr, mark) = (cdr(), "\u{feff}");
    let one = format!("{cdr}\n");
    for file in [
        format!("{mark}{cdr}\r\n").into_bytes(),
        utf16(&format!("{mark}{cdr}\r\n"), u16::to_le_bytes),
        utf16(&format!("{mark}{cdr}"), u16::to_be_bytes),
        utf16(&cdr, u16::to_le_bytes),
    ] {
        assert_eq!(from_file(file).expect(0).stdout, one);
    }
    for joined in [
        format!("{mark}{cdr}\n{mark}{cdr}\n"),
        format!("{mark}{cdr}{mark}{cdr}"),
        format!("{mark}[{cdr},\n{mark}{cdr}]"),
    ] {
        let ended = from_file(utf16(&joined, u16::to_le_bytes)).expect(0);
        assert_eq!(ended.stdout, format!("{one}{one}"));
        assert_eq!(from_file(joined).expect(0).stdout, ended.stdout);
    }
}

#[test]
fn a_file_in_no_known_encoding_is_refused_with_its_line() {
    let said: String = [
        b"{}\n{a: '\xe9'}".to_vec(),
        b"{\n\"a\": \"\xe9\"\n}".to_vec(),
        b"\xff\xfe{\0\n\0\0\xd8}\0".to_vec(),
        b"\xff\xfe{\0}\0\n".to_vec(),
        b"\xff\xfe\0\0{\0\0\0".to_vec(),
    ]
    .map(refusal)
    .concat();
    insta::assert_snapshot!(said, @"
    error: standard input:2: the text is not UTF-8 in column 6: save the file as UTF-8
    error: standard input:2: not UTF-8 text: save the file as UTF-8
    error: standard input:2: not valid UTF-16 text: save the file as UTF-8
    error: standard input:1: the text is UTF-16 and ends within a character: save the file again
    error: standard input:1: the text is UTF-32: save the file as UTF-8
    ");
}

#[test]
fn header_files_are_text_like_all_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("headers");
    let argument = format!("@{}", path.display());
    let print = || {
        program(FIXED.iter().chain(&[
            "--print",
            "curl",
            "-H",
            &argument,
            "--url",
            "http://127.0.0.1:9/",
        ]))
        .run()
    };
    let text = "\u{feff}X-One: 1\r\n\u{feff}X-Two: 2\r\n";
    for file in [text.as_bytes().to_vec(), utf16(text, u16::to_le_bytes)] {
        std::fs::write(&path, file).expect("written");
        let printed = print().expect(0).stdout;
        assert!(
            printed.contains("-H 'X-One: 1'") && printed.contains("-H 'X-Two: 2'"),
            "{printed}"
        );
    }
    std::fs::write(&path, b"X-One: 1\nX-Two: \xe9\n").expect("written");
    let refused = print().expect(2).stderr.replace(&argument[1..], "headers");
    insta::assert_snapshot!(refused, @"error: headers:2: not UTF-8 text: save the file as UTF-8");
}

#[test]
fn certificate_files_are_named_with_line_and_advice() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca");
    let path = path.to_str().expect("a plain path");
    let said: String = [
        &b""[..],
        b"\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"# ours\n-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
        b"# ours\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"\x30\x82\x01\x00",
        b"\x30\x82\x01\x00\x02\x01\x03",
    ]
    .map(|file| {
        std::fs::write(path, file).expect("written");
        let url = ["send", "--url", "https://127.0.0.1:9/", "--cacert", path];
        program(url).run().expect(2).stderr.replace(path, "ca")
    })
    .concat();
    insta::assert_snapshot!(said, @"
    error: ca:1: no certificate in PEM form: give the file that begins with -----BEGIN CERTIFICATE-----
    error: ca:1: no certificate in PEM form, but a PRIVATE KEY: give the file that begins with -----BEGIN CERTIFICATE-----
    error: ca:2: this certificate is damaged: copy the file again
    error: ca:2: this certificate is damaged: copy the file again
    error: ca:1: a certificate in DER form: openssl x509 -inform der -in ca -out ca.pem makes a PEM file
    error: ca:1: a key store or private key in DER form: openssl pkcs12 -nokeys -in ca -out ca.pem makes a PEM file
    ");
}

#[test]
fn records_are_never_sent_as_cdrs_however_they_are_laid_out() {
    let exchange = json!({"type": "exchange", "v": 1, "request": {
        "method": "POST", "target": "/p?token=hush", "version": "HTTP/1.1", "headers": [["X-A", "b"]],
        "body": {"text": cdr()}, "size": cdr().len(), "complete": true,
    }});
    let listening = json!({"type": "listening", "v": 1, "url": "http://127.0.0.1:1"});
    let pretty = |value: &Value| serde_json::to_string_pretty(value).expect("JSON");
    let one = format!("{}\n", cdr());
    for file in [
        format!("{}\n{}\n", pretty(&listening), pretty(&exchange)),
        pretty(&json!([listening, exchange])),
        format!("{listening}{exchange}"),
        format!("x\n{}\n", pretty(&exchange).replace("\"v\"", "v")),
    ] {
        let ended = from_file(file.clone()).expect(0);
        assert_eq!(ended.stdout, one, "{file}");
    }
    let only_records = from_file(format!("{}\n{}\n", pretty(&listening), pretty(&listening)));
    assert!(
        only_records
            .expect(2)
            .stderr
            .contains("contains nothing to send")
    );
    let torn = format!("{}\n{}", pretty(&exchange), &pretty(&exchange)[..60]);
    let ended = from_file(torn.clone()).expect(0);
    assert_eq!(ended.stdout, one);
    assert!(
        ended
            .stderr
            .contains("the last object is cut off and was skipped"),
        "{}",
        ended.stderr
    );
    from_file(format!("{torn}\n")).expect(2);
}

#[test]
fn what_is_no_cdr_goes_out_with_a_warning() {
    let said: String = [
        r#"{"info":{"name":"x","schema":"s"},"item":[]}"#,
        r#"{"_type":"export","__export_format":4,"resources":[]}"#,
        r#"{"version":"2.0","requestContext":{},"body":"{}"}"#,
        r#"{"count":1,"cdr":[{"cmiuid":"x"}],"code":200}"#,
        r#"{"id":"evt_1","type":"charge.succeeded","data":{}}"#,
        r#"[{"hello":1},{"leg":"a"}]"#,
        "{\"leg\":\"a\"}\n{\"hello\":1}",
        "{}",
    ]
    .map(|file| {
        format!(
            "{file}\n  {}",
            from_file(file)
                .expect(0)
                .stderr
                .replace('\n', "\n  ")
                .trim_end()
        ) + "\n"
    })
    .concat();
    insta::assert_snapshot!(said, @r#"
    {"info":{"name":"x","schema":"s"},"item":[]}
      warning: standard input: a Postman collection: sent as it is
    {"_type":"export","__export_format":4,"resources":[]}
      warning: standard input: an Insomnia export: sent as it is
    {"version":"2.0","requestContext":{},"body":"{}"}
      warning: standard input: an event of AWS Lambda: sent as it is
    {"count":1,"cdr":[{"cmiuid":"x"}],"code":200}
      warning: standard input: an answer of TeleCMI's REST API: sent as it is
    {"id":"evt_1","type":"charge.succeeded","data":{}}
      warning: standard input: an object without the fields of a CDR: sent as it is
    [{"hello":1},{"leg":"a"}]
      warning: standard input: element 1: an object without the fields of a CDR: sent as it is
    {"leg":"a"}
    {"hello":1}
      warning: standard input:2: an object without the fields of a CDR: sent as it is
    {}
      warning: standard input: an object without the fields of a CDR: sent as it is
    "#);
    for file in [r#"{"leg":"a"}"#, r#"{"type":"event"}"#, r#"{"type":"cdr"}"#] {
        assert_eq!(from_file(file).expect(0).stderr, "", "{file}");
    }
}

#[test]
fn text_that_is_not_json_is_not_mined_in_silence() {
    let ended = from_file("INFO got {\"leg\":\"a\"} ok\nINFO got {\"leg\":\"b\"}\nbye\n").expect(0);
    insta::assert_snapshot!(ended.whole(), @r#"
    exit 0
    --- stdout
    {"leg":"a"}
    {"leg":"b"}
    --- stderr
    warning: standard input:1: text that is not JSON was skipped
    warning: standard input:1: text that is not JSON was skipped
    warning: standard input:3: text that is not JSON was skipped
    "#);
    assert_eq!(
        from_file("[{leg: 'a'},\n {leg: 'b'}];").expect(0).stderr,
        ""
    );
    let infinite = from_file("{leg: 'a', x: Infinity}").expect(2).stderr;
    assert!(
        infinite.contains("standard input:1: a number that JSON does not have"),
        "{infinite}"
    );
}

#[test]
fn only_a_line_that_ends_too_early_is_cut_off() {
    for (end, code) in [
        ("{\"leg\":", 0),
        ("{\"leg\":\n", 2),
        ("{\"leg\"}", 2),
        ("{\"leg\":\"\u{1}\"", 2),
    ] {
        from_file(format!("{{\"leg\":\"a\"}}\n{end}")).expect(code);
    }
}

fn har(entry: &Value) -> String {
    json!({"log": {"version": "1.2", "entries": [entry]}}).to_string()
}

fn posted(data: &Value) -> Value {
    json!({"request": {"method": "POST", "url": "http://h/cdr", "postData": data}})
}

#[test]
fn a_body_of_a_har_is_built_or_the_entry_is_refused() {
    let form = "application/x-www-form-urlencoded";
    let params = json!([{"name": "leg", "value": "a b"}, {"name": "x", "value": null}]);
    for (data, body) in [
        (json!({"mimeType": form, "params": params}), "leg=a%20b&x="),
        (
            json!({"mimeType": form, "text": null, "params": params}),
            "leg=a%20b&x=",
        ),
        (
            json!({"mimeType": form, "text": "leg=a+b&x=", "params": params}),
            "leg=a+b&x=",
        ),
        (
            json!({"text": "{}", "params": null, "encoding": null}),
            "{}",
        ),
        (
            json!({"encoding": "base64", "text": "eyJsZWci\nOiJhIn0="}),
            "{\"leg\":\"a\"}",
        ),
    ] {
        let ended = from_file(har(&posted(&data))).expect(0);
        assert_eq!(ended.stdout.trim_end(), body, "{data}");
    }
    let upload = json!([{"name": "f", "fileName": "a.wav", "contentType": "audio/wav"}]);
    let empty = json!({"request": {"method": "POST", "url": "http://h/cdr", "bodySize": 462, "headers": []}});
    let said: String = [
        posted(&json!({"mimeType": "multipart/form-data; boundary=x", "params": upload})),
        posted(&json!({"mimeType": "application/json", "params": params})),
        posted(&json!({"encoding": "base64", "text": "!"})),
        posted(&json!({"encoding": "gzip", "text": "H4sI"})),
        empty,
        json!({"request": {"method": "POST", "url": 1}}),
    ]
    .map(|entry| refusal(har(&entry)))
    .concat();
    insta::assert_snapshot!(said, @r#"
    error: standard input: entry 1: the body cannot be built from postData.params, only a URL-encoded form can: export the request again with postData.text
    error: standard input: entry 1: the body cannot be built from postData.params, only a URL-encoded form can: export the request again with postData.text
    error: standard input: entry 1: its body is not valid base64
    error: standard input: entry 1: its body has the unknown encoding "gzip": only base64 is known
    error: standard input: entry 1: the file does not hold the body of 462 bytes: export the request again with its content
    error: standard input: entry 1: not an entry of a HAR: expected a string, found number
    "#);
}

#[test]
fn entries_of_a_har_may_stand_alone_and_those_of_no_request_are_skipped() {
    let entry = posted(&json!({"text": cdr()}));
    let one = format!("{}\n", cdr());
    for file in [
        entry.to_string(),
        json!([entry]).to_string(),
        format!("{entry}\n{entry}\n"),
    ] {
        let ended = from_file(file.clone()).expect(0);
        assert!(ended.stdout.starts_with(&one), "{file}");
        assert_eq!(ended.stderr, "");
    }
    for (method, url) in [
        ("GET", "data:image/png;base64,AAAA"),
        ("GET", "blob:http://h/1"),
        ("GET", "chrome-extension://abc/x.js"),
        ("GET", "wss://h/socket"),
        ("GET", "http:///x"),
        ("CONNECT", "https://h:443"),
    ] {
        let skipped = json!({"request": {"method": method, "url": url}});
        let file = json!({"log": {"entries": [skipped, entry]}}).to_string();
        let ended = from_file(file).expect(0);
        assert_eq!(ended.stdout, one, "{url}");
        assert_eq!(
            ended.stderr,
            "warning: standard input: entry 1: this entry was skipped: no HTTP request\n"
        );
    }
}

#[test]
fn no_output_is_written_over_a_file_that_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.json");
    std::fs::write(&path, cdr()).expect("a file");
    let path = path.to_str().expect("a path");
    let beside = format!("{}/./calls.json", folder.path().display());
    for (flags, told) in [
        (
            &["--dry-run", "--file", path, "--output", &beside][..],
            "--file and --output",
        ),
        (
            &[
                "--url",
                "http://127.0.0.1:9/",
                "--suite",
                "--baseline",
                path,
                "--output",
                path,
            ],
            "--baseline and --output",
        ),
        (
            &[
                "--url",
                "http://127.0.0.1:9/",
                "--suite",
                "--junit",
                &beside,
                "--output",
                path,
            ],
            "--junit and --output",
        ),
    ] {
        let ended = program(FIXED.iter().chain(flags)).run().expect(2);
        let told = format!("error: {told} must name different files");
        assert!(ended.stderr.starts_with(&told), "{}", ended.whole());
        assert_eq!(std::fs::read_to_string(path).expect("a file"), cdr());
    }
}

#[test]
fn nothing_is_saved_to_a_file_that_holds_something_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine");
    let argument = path.to_str().expect("a plain path");
    let listen = || {
        program([
            "listen",
            "--port",
            "0",
            "--timeout",
            "10ms",
            "--save",
            argument,
        ])
        .run()
    };
    for text in [
        "print('mine')\n",
        "{\"leg\":\"a\"}\n",
        "[]\n",
        "{\"type\":\"cdr\"}\n",
        &format!("{}print('mine')\n", "\n".repeat(100)),
    ] {
        std::fs::write(&path, text).expect("written");
        let ended = listen().expect(2);
        assert!(
            ended.stderr.contains("holds something other than records"),
            "{}",
            ended.stderr
        );
        assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
    }
    for text in [
        "",
        "{\"type\":\"exchange\",\"v\":1}\n",
        "{\n  \"type\": \"listening\",",
        "{\"type\":\"ex",
    ] {
        std::fs::write(&path, text).expect("written");
        listen().expect(0);
    }
}
