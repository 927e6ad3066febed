//! Answers as people read them: compressed, in other charsets, pages of frameworks, and those of a handler behind
//! `--forward-to`.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::peers::{post_json, stub};
use super::program::{fixture, listener, masked, pretty_listener, program};
use super::sending::send;

/// An answer of any bytes, from a stub that can write text only: each byte is one chunk of a `Vec`.
fn handler(status: &str, headers: &str, body: &[u8]) -> String {
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    super::peers::stub_of_bytes([head.as_bytes(), body].concat())
}

pub fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("written");
    encoder.finish().expect("compressed")
}

fn zlib(text: &str) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("written");
    encoder.finish().expect("compressed")
}

fn deflate(text: &str) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("written");
    encoder.finish().expect("compressed")
}

/// The lines that `send` shows below the delivery's own line.
#[track_caller]
fn shown(url: &str, arguments: &[&str]) -> String {
    let ended = send(&format!("{url}/webhook/cdr"), arguments).expect(1);
    let lines = ended.stdout.lines().skip(1).map(str::trim);
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_compressed_answer_is_read_or_named() {
    let text = "Traceback: कुछ गलत";
    for (coding, body) in [
        ("gzip", gzip(text)),
        ("X-GZIP", gzip(text)),
        ("deflate", zlib(text)),
        ("deflate", deflate(text)),
        ("deflate, gzip", {
            let inner = zlib(text);
            let mut outer = GzEncoder::new(Vec::new(), Compression::default());
            outer.write_all(&inner).expect("written");
            outer.finish().expect("compressed")
        }),
        ("identity", text.as_bytes().to_vec()),
        ("gzip", text.as_bytes().to_vec()),
    ] {
        let headers = format!("content-encoding: {coding}\r\n");
        let url = handler("500 Internal Server Error", &headers, &body);
        assert_eq!(shown(&url, &[]), text, "{coding}");
        let url = handler("200 OK", &headers, &body);
        send(&url, &["--expect-body", "कुछ"]).expect(0);
    }
    for (headers, body, named) in [
        (
            "content-encoding: br\r\n",
            &b"\x0b\x02\x80x\x03"[..],
            "5 bytes, compressed (br), not shown",
        ),
        (
            "content-encoding: gzip\r\n",
            b"no gzi\xff",
            "7 bytes, compressed (gzip), not shown",
        ),
        (
            "",
            b"\x1f\x8b\x08",
            "3 bytes, compressed (gzip without Content-Encoding), not shown",
        ),
    ] {
        let url = handler("500 Internal Server Error", headers, body);
        assert_eq!(shown(&url, &[]), named);
        let url = handler("200 OK", headers, body);
        let missed = shown(&url, &["--expect-body", "x"]);
        assert!(missed.contains("the answer is compressed"), "{missed}");
    }
}

#[test]
fn an_answer_in_another_charset_is_decoded() {
    let utf16: Vec<u8> = "\u{feff}é€"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (content_type, body, text) in [
        ("text/plain; charset=iso-8859-1", &b"caf\xe9"[..], "café"),
        ("text/plain; Charset=\"windows-1252\"", b"\x80 5", "€ 5"),
        (
            "application/json; charset=shift_jis",
            b"\"\x93\xfa\x96{\"",
            "\"日本\"",
        ),
        ("text/plain", &utf16, "é€"),
        ("text/plain", b"\xef\xbb\xbfok", "ok"),
        (
            "text/html",
            b"<meta charset=iso-8859-1><title>caf\xe9</title>",
            "a page: café",
        ),
        ("text/html", b"ok", "ok"),
        ("text/plain; charset=utf-8", b"caf\xe9", "caf\\xe9"),
        ("text/plain; charset=none", b"x", "x"),
    ] {
        let headers = format!("content-type: {content_type}\r\n");
        let url = handler("500 Internal Server Error", &headers, body);
        assert_eq!(shown(&url, &[]), text, "{content_type}");
    }
    let url = handler(
        "200 OK",
        "content-type: text/plain; charset=iso-8859-1\r\n",
        b"caf\xe9",
    );
    send(&url, &["--expect-body", "café"]).expect(0);
}

#[test]
fn json_is_one_line_and_cut_only_behind_its_message() {
    let json = "content-type: application/json\r\n";
    let input = "x".repeat(2_000);
    let fastapi = format!(
        r#"{{"detail": [{{"type": "missing", "loc": ["body", "{}"], "msg": "Field required", "input": "{input}"}}]}}"#,
        "y".repeat(400)
    );
    let url = handler("422 Unprocessable Entity", json, fastapi.as_bytes());
    let line = shown(&url, &[]);
    assert!(line.contains(r#""msg":"Field required"… "#), "{line}");
    assert!(line.ends_with(" characters more (-v shows them)"), "{line}");
    assert!(line.chars().count() < 600, "{line}");
    assert!(shown(&url, &["-v"]).contains(&input));
    let trace = "at cdr.Handler\\n".repeat(1_000);
    let spring = format!(
        r#"{{"status":500,"error":"Internal Server Error","trace":"{trace}","message":"no \"leg\"","path":"/"}}"#
    );
    let url = handler("500 Internal Server Error", json, spring.as_bytes());
    let lines = shown(&url, &[]);
    assert!(
        lines.ends_with("\n\"message\":\"no \\\"leg\\\"\""),
        "{lines}"
    );
    assert!(lines.chars().count() < 400, "{lines}");
    let url = handler(
        "400 Bad Request",
        json,
        b"{\n  \"ok\": false,\n  \"n\": 1.50\n}",
    );
    assert_eq!(shown(&url, &[]), r#"{"ok":false,"n":1.50}"#);
}

#[test]
fn the_exception_of_a_long_traceback_is_shown() {
    let traceback = format!(
        "Traceback (most recent call last):\n{}ValueError: no leg\n",
        "  File \"a.py\", line 1\n".repeat(20)
    );
    let url = handler(
        "500 Internal Server Error",
        "content-type: text/plain\r\n",
        traceback.as_bytes(),
    );
    let lines = shown(&url, &[]);
    assert!(
        lines.contains("\nValueError: no leg\n… 16 lines more"),
        "{lines}"
    );
}

#[test]
fn the_exception_of_a_page_is_shown_and_the_page_on_demand() {
    let flask = "<!doctype html><title>KeyError: &#39;nope&#39;\n // Werkzeug Debugger</title><h1>KeyError</h1>";
    let url = handler(
        "500 Internal Server Error",
        "content-type: text/html\r\n",
        flask.as_bytes(),
    );
    assert_eq!(
        shown(&url, &[]),
        "a page: KeyError: 'nope' // Werkzeug Debugger"
    );
    assert!(shown(&url, &["-v"]).contains("<h1>KeyError</h1>"));
}

#[test]
fn the_answer_of_a_handler_behind_us_is_recorded_and_shown() {
    let headers = "content-type: text/html\r\ncontent-encoding: gzip\r\nSet-Cookie: sid=hush\r\n";
    let page =
        "<!doctype html>\n<title>Error</title>\n<pre>TypeError: leg is missing<br> at post</pre>";
    let url = handler("500 Internal Server Error", headers, &gzip(page));
    let mut recorded = listener(&["--forward-to", &url, "--count", "1"]);
    post_json(&recorded.url, fixture("docs-leg-a.json"));
    let forwarded = recorded.running.record()["answer"]["forwarded"].clone();
    let response = &forwarded["response"];
    assert_eq!(forwarded["status"], 500);
    assert!(
        response["headers"]
            .to_string()
            .contains(r#"["content-encoding","gzip"]"#),
        "{response}"
    );
    assert!(!response.to_string().contains("hush"), "{response}");
    assert!(
        response["body"]["base64"].is_string() && response["complete"] == true,
        "{response}"
    );
    recorded.running.end().expect(0);

    for (arguments, expected) in [
        (&[][..], "    TypeError: leg is missing\n"),
        (
            &["-v"],
            "    <pre>TypeError: leg is missing<br> at post</pre>\n",
        ),
    ] {
        let shown = pretty_listener(&[&["--forward-to", &url, "--count", "1"], arguments].concat());
        post_json(&shown.url, fixture("docs-leg-a.json"));
        let text = shown.running.end().expect(0).stdout;
        assert!(text.contains(expected), "{text}");
        assert_eq!(
            text.contains("    content-type: text/html\n"),
            arguments == ["-v"],
            "{text}"
        );
    }
    let good = pretty_listener(&[
        "--forward-to",
        &stub("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nnoted"),
        "--count",
        "1",
    ]);
    post_json(&good.url, fixture("docs-leg-a.json"));
    assert!(good.running.end().expect(0).stdout.contains("    noted\n"));
}

#[test]
fn what_a_handler_answers_is_redacted_like_the_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.ndjson");
    let save = path.to_str().expect("a plain path");
    for (body, headers) in [
        (b"no 919876543210 here".to_vec(), ""),
        (gzip("no 919876543210 here"), "content-encoding: gzip\r\n"),
    ] {
        let url = handler("500 Internal Server Error", headers, &body);
        let listener = listener(&[
            "--forward-to",
            &url,
            "--count",
            "1",
            "--save",
            save,
            "--redact",
        ]);
        post_json(&listener.url, fixture("docs-leg-a.json"));
        listener.running.end().expect(0);
    }
    let text = std::fs::read_to_string(&path).expect("read");
    assert!(
        !text.contains("919876543210") && !text.contains("base64"),
        "{text}"
    );
    assert!(text.contains("here"), "{text}");
}

#[test]
fn a_compressed_request_is_named_and_not_shown() {
    let listener = pretty_listener(&["--count", "1"]);
    let body = gzip("{\"leg\":\"a\"}");
    super::peers::post(&listener.url, "Content-Encoding: gzip\r\n", &body);
    post_json(&listener.url, fixture("docs-leg-a.json"));
    let text = listener.running.end().expect(0).stdout;
    assert!(
        text.contains(&format!(
            "{} bytes, compressed (gzip), not shown",
            body.len()
        )),
        "{text}"
    );
    assert!(!text.contains("\\x1f"), "{}", masked(&text));
}

#[test]
fn a_replayed_request_shows_its_answer_likewise() {
    let url = handler(
        "500 Internal Server Error",
        "content-encoding: gzip\r\n",
        &gzip("spoilt"),
    );
    let record = r#"{"type":"exchange","v":1,"request":{"method":"POST","target":"/","version":"HTTP/1.1","headers":[],"body":{"text":"{}"},"size":2,"complete":true}}"#;
    let ended = program(["send", "--url", &url, "--file", "-"])
        .input(record)
        .run()
        .expect(1);
    assert!(ended.stdout.ends_with("    spoilt\n"), "{}", ended.stdout);
}
