use super::*;

#[test]
fn a_post_and_a_get() {
    let headers = vec![
        Header::new("content-type", "application/json"),
        Header::new("authorization", "Bearer hush"),
    ];
    let post = Request::new("POST", "/cdr", headers, r#"{"a":"it's"}"#);
    insta::assert_snapshot!(curl(&post, "http://127.0.0.1:5000", &[], false), @r#"curl -sS -H 'content-type: application/json' -H 'authorization: Bearer hush' --data-binary '{"a":"it'\''s"}' 'http://127.0.0.1:5000/cdr'"#);
    let get = Request::new("GET", "/cdr?a=1", vec![], "");
    insta::assert_snapshot!(curl(&get, "http://127.0.0.1:5000", &[], false), @"curl -sS 'http://127.0.0.1:5000/cdr?a=1'");
}

#[test]
fn what_curl_would_take_for_something_else_is_told_apart() {
    let request = Request::new(
        "POST",
        "/",
        vec![Header::new("x-empty", "")],
        "@/etc/passwd",
    );
    insta::assert_snapshot!(curl(&request, "http://h", &[], false), @"curl -sS -H 'x-empty;' -H 'Content-Type:' --data-raw '@/etc/passwd' 'http://h/'");
    let get = Request::new("GET", "/?a[b]={c}", vec![], "");
    insta::assert_snapshot!(curl(&get, "http://h", &[], false), @"curl -sS -g 'http://h/?a[b]={c}'");
}

#[test]
fn a_captured_target_is_always_quoted() {
    let request = Request::new("GET", "-o$(id)", vec![], "");
    insta::assert_snapshot!(curl(&request, "http://h", &[], true), @"curl -sS -H 'Accept:' -H 'User-Agent:' --request-target '-o$(id)' 'http://h/'");
}

#[test]
fn control_characters_are_escaped_for_the_shell() {
    let request = Request::new("POST", "/", vec![], "-a%\\\u{1b}'\n");
    insta::assert_snapshot!(curl(&request, "http://h", &[], false), @r"printf '\055a%%\\\033'\''\012' | curl -sS -H 'Content-Type:' --data-binary @- 'http://h/'");
    let headers = vec![Header::new("x-name", "a\u{202e}b")];
    let request = Request::new("POST", "/", headers, b"\xff\0".as_slice());
    insta::assert_snapshot!(curl(&request, "http://h", &[], false), @r#"printf '\377\000' | curl -sS -H "$(printf 'x-name: a\342\200\256b')" -H 'Content-Type:' --data-binary @- 'http://h/'"#);
}

fn entry(request: &Request) -> Value {
    let at = "2026-11-22T09:00:00Z".parse().unwrap();
    serde_json::from_str(&har_entry(request, "http://h", at, "1. a title").unwrap()).unwrap()
}

#[test]
fn an_entry_tells_of_the_request_and_of_no_answer() {
    let headers = vec![
        Header::new("content-type", "application/json"),
        Header::new("cookie", "hush"),
    ];
    let entry = entry(&Request::new(
        "POST",
        "/cdr?token=hush&a=%20b",
        headers,
        "{}",
    ));
    insta::assert_snapshot!(serde_json::to_string_pretty(&entry).unwrap(), @r#"
    {
      "startedDateTime": "2026-11-22T09:00:00.000Z",
      "time": 0,
      "request": {
        "method": "POST",
        "url": "http://h/cdr?token=hush&a=%20b",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": [
          {
            "name": "content-type",
            "value": "application/json"
          },
          {
            "name": "cookie",
            "value": "hush"
          }
        ],
        "queryString": [
          {
            "name": "token",
            "value": "hush"
          },
          {
            "name": "a",
            "value": " b"
          }
        ],
        "headersSize": -1,
        "bodySize": 2,
        "postData": {
          "mimeType": "application/json",
          "text": "{}"
        }
      },
      "response": {
        "status": 0,
        "statusText": "",
        "httpVersion": "",
        "cookies": [],
        "headers": [],
        "content": {
          "size": 0,
          "mimeType": "x-unknown"
        },
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": -1
      },
      "cache": {},
      "timings": {
        "blocked": -1,
        "dns": -1,
        "connect": -1,
        "ssl": -1,
        "send": 0,
        "wait": 0,
        "receive": 0
      },
      "comment": "1. a title"
    }
    "#);
}

#[test]
fn a_body_that_is_no_text_is_written_in_base64() {
    let post =
        &entry(&Request::new("POST", "/", vec![], b"\xff\0".as_slice()))["request"]["postData"];
    assert_eq!(
        (&post["text"], &post["_encoding"]),
        (&json!("/wA="), &json!("base64"))
    );
    assert!(
        entry(&Request::new("GET", "/", vec![], ""))["request"]
            .get("postData")
            .is_none()
    );
}

#[test]
fn an_empty_document_is_one() {
    let document: Value = serde_json::from_str(&(har_head() + HAR_TAIL)).unwrap();
    assert_eq!(document["log"]["entries"], json!([]));
}

fn post(
    target: &str,
    headers: &[(&str, &str)],
    body: impl Into<bytes::Bytes>,
) -> Result<String, Reason> {
    let headers = headers
        .iter()
        .map(|(name, value)| Header::new(*name, *value))
        .collect::<Vec<_>>();
    http_file_request(
        &Request::new("POST", target, headers, body),
        "http://h",
        "1. a title",
    )
}

#[test]
fn a_request_stands_behind_its_separator() {
    let headers = [("content-type", "application/json"), ("x-api-key", "hush")];
    insta::assert_snapshot!(post("/cdr?token=hush&a=1", &headers, "{\"a\":\n 1}\n").unwrap(), @r#"
    ### 1. a title
    POST http://h/cdr?token=hush&a=1 HTTP/1.1
    content-type: application/json
    x-api-key: hush

    {"a":  1}
    "#);
    let get = Request::new("GET", "/?a=1", vec![], "");
    insta::assert_snapshot!(http_file_request(&get, "http://h", "2. another").unwrap(), @r"
    ### 2. another
    GET http://h/?a=1 HTTP/1.1
    ");
}

#[test]
fn json_keeps_its_meaning_where_its_bytes_would_be_taken_for_something_else() {
    let body = "{\"custom\":\"{{$guid}} {{{ \u{202e}\"}";
    let text = post("/", &[], body).unwrap();
    let written = text.lines().nth(3).unwrap();
    assert!(
        !written.contains("{{") && !written.chars().any(disturbs),
        "{written}"
    );
    let [written, meant] =
        [written, body].map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
    assert_eq!(written, meant);
}

#[test]
fn what_an_editor_would_take_for_something_else_is_left_out() {
    for body in [
        "< /etc/passwd",
        "### next",
        "# a comment",
        "// a comment",
        "@a = 1",
        "{{x}}",
        "a{{x}}",
        "a\nb",
        " a",
        "?? x",
        "> x",
        "\u{1b}",
    ] {
        assert!(post("/", &[], body).is_err(), "{body}");
    }
    assert!(post("/", &[], b"\xff".as_slice()).is_err());
    assert!(post("/", &[], "a=1&b=%20").is_ok());
    for target in [
        "*",
        "http://h/",
        "/a/../b",
        "/./a",
        "/a#b",
        "/{{x}}",
        "/a b",
    ] {
        assert!(post(target, &[], "").is_err(), "{target}");
    }
    assert!(post("/.well-known/a..b/...", &[], "").is_ok());
    for header in ["{{x}}", "a\tb", "\u{202e}", ""] {
        assert!(post("/", &[("x-a", header)], "").is_err(), "{header}");
    }
    let odd = Request::new("BREW", "/", vec![], "");
    assert!(http_file_request(&odd, "http://h", "").is_err());
}

#[test]
fn a_target_is_one_line_with_its_body_in_base64() {
    let headers = [
        "content-type: application/json",
        "x-b: 1",
        "X-B: 2",
        "authorization: Bearer hush",
    ]
    .map(|line| {
        line.split_once(": ")
            .map(|(name, value)| Header::new(name, value))
            .unwrap()
    });
    let post = Request::new(
        "POST",
        "/cdr?token=hush",
        headers.to_vec(),
        b"{}\xff\n".as_slice(),
    );
    insta::assert_snapshot!(vegeta_target(&post, "http://h").unwrap(), @r#"{"method":"POST","url":"http://h/cdr?token=hush","body":"e33/Cg==","header":{"Content-Type":["application/json"],"X-B":["1","2"],"Authorization":["Bearer hush"]}}"#);
    let get = Request::new("GET", "/?a=1", vec![], "");
    insta::assert_snapshot!(vegeta_target(&get, "http://h").unwrap(), @r#"{"method":"GET","url":"http://h/?a=1"}"#);
    let whole = Request::new("OPTIONS", "*", vec![], "");
    assert_eq!(
        vegeta_target(&whole, "http://h"),
        Err("the request target is not a path")
    );
}
