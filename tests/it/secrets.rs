//! Plants secrets in URLs, headers and variables, and checks that no output contains them. The records of `listen` are
//! left out, because replay needs their exact bytes.

use super::peers::{answer, nobody, post, say, silent_stub, stub};
use super::program::{Ended, fixture, pretty_listener, program, ready};

const SECRET: &str = "S3CR3T";

#[track_caller]
fn assert_kept(what: &str, ended: &Ended) {
    let whole = ended.whole();
    assert!(!whole.contains(SECRET), "{what}: {whole}");
    // Base64 and percent-encoded forms of the secret and of `me:S3CR3T-userinfo`.
    for encoded in ["bWU6UzNDUjNU", "UzNDUjNU", "S3CR3T%2D", "%53%33%43"] {
        assert!(!whole.contains(encoded), "{what}: {whole}");
    }
}

fn secret_url(url: &str) -> String {
    let place = url.strip_prefix("http://").expect("a plain URL");
    format!("http://me:S3CR3T-userinfo@{place}/cdr?token=S3CR3T-token&a=1&api_key=S3CR3T-key")
}

const HEADERS: [&str; 8] = [
    "-H",
    "Authorization: Bearer S3CR3T-header",
    "-H",
    "Cookie: sid=S3CR3T-cookie",
    "-H",
    "X-Api-Key: S3CR3T-api-key",
    "-H",
    "Referer: http://me:S3CR3T@h/?token=S3CR3T",
];

const HAR: &str = r#"{"log":{"entries":[{"request":{"method":"POST","url":"https://me:S3CR3T-har@h/p?token=S3CR3T-har&b=1",
"headers":[{"name":"Authorization","value":"Basic S3CR3T-har"},{"name":"Cookie","value":"a=S3CR3T-har"}],"postData":{"text":"{}"}}}]}}"#;

const CAPTURE: &str = r#"{"type":"exchange","v":1,"request":{"method":"GET","target":"/a?sig=S3CR3T-capture&b=1","version":"HTTP/1.1","headers":[["X-Auth-Token","S3CR3T-capture"],["Set-Cookie","S3CR3T-capture"]],"body":{"text":""},"size":0,"complete":true}}"#;

fn handlers() -> Vec<(&'static str, String)> {
    let elsewhere =
        "location: http://me:S3CR3T-there@h.test/?token=S3CR3T-there&code=S3CR3T-there\r\n";
    vec![
        (
            "good",
            stub(answer(
                "200 OK",
                "set-cookie: sid=S3CR3T-answer\r\nx-auth: S3CR3T-answer\r\n",
                "ok",
            )),
        ),
        ("created", stub(answer("201 Created", elsewhere, "ok"))),
        ("moved", stub(answer("302 Found", elsewhere, ""))),
        (
            "moved nowhere",
            stub(answer(
                "307 Moved",
                "location: //me:S3CR3T-there@/?token=S3CR3T-there\r\n",
                "",
            )),
        ),
        (
            "refused",
            stub(answer("401 No", "x-session-token: S3CR3T-answer\r\n", "")),
        ),
        ("failed", stub(answer("500 No", "", "no"))),
        ("nonsense", stub("SSH-2.0-x\r\n".to_owned())),
        (
            "half",
            stub("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_owned()),
        ),
        ("silent", silent_stub()),
        ("nobody", nobody()),
    ]
}

const MODES: [&[&str]; 12] = [
    &[],
    &["-v"],
    &["-n", "3", "-c", "2"],
    &["-X", "both", "--compare"],
    &["--format", "ndjson"],
    &["--retry", "1", "--retry-interval", "1ms"],
    &["--print", "curl"],
    &["--print", "json"],
    &["--print", "http"],
    &["--print", "har"],
    &["--print", "vegeta"],
    &["--race", "2"],
];

#[test]
fn no_secret_of_a_sender_is_seen_however_it_ends() {
    let limits = [
        "--timeout",
        "60ms",
        "--connect-timeout",
        "60ms",
        "--seed",
        "7",
    ];
    for (name, handler) in handlers() {
        let url = secret_url(&handler);
        for mode in MODES {
            let ended = program(
                [
                    &["send", "--mask", "--url", &url],
                    &HEADERS[..],
                    &limits,
                    mode,
                ]
                .concat(),
            )
            .run();
            assert!(ended.code != Some(2), "{name} {mode:?}: {}", ended.whole());
            assert_kept(&format!("{name} {mode:?}"), &ended);
        }
        let twins = program([&["send"], &limits[..], &["-n", "2"]].concat())
            .env("TELECMI_CDR_URL", &url)
            .env("TELECMI_CDR_HEADER", "Authorization: S3CR3T-twin")
            .run();
        assert_kept(&format!("{name}, from the environment"), &twins);
    }
}

#[test]
fn no_secret_is_seen_in_what_is_replayed() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in [("har.json", HAR), ("capture.ndjson", CAPTURE)] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        let path = path.to_str().expect("text");
        for (handler_name, handler) in handlers() {
            for mode in [
                &["-v"][..],
                &["--format", "ndjson"],
                &["--print", "curl"],
                &["--print", "json"],
                &["--print", "http"],
                &["--print", "har"],
                &["--print", "vegeta"],
                &["--race", "2"],
            ] {
                let url = secret_url(&handler);
                let ended = program(
                    [
                        &[
                            "send",
                            "--mask",
                            "--url",
                            &url,
                            "-f",
                            path,
                            "--timeout",
                            "60ms",
                        ],
                        mode,
                    ]
                    .concat(),
                )
                .run();
                assert_kept(&format!("{name} {handler_name} {mode:?}"), &ended);
            }
        }
    }
    for content in [
        format!("{{\"a\":1}}\n{{\"token\": {SECRET}}}\n{{}}"),
        format!("{{token: '{SECRET}'"),
        HAR.replace("\"url\":", "\"url\":7,\"x\":"),
    ] {
        let ended = program(["send", "--url", "http://127.0.0.1:9", "-f", "-"])
            .input(content)
            .run()
            .expect(2);
        assert_kept("a file that cannot be read", &ended);
    }
}

#[test]
fn no_secret_is_seen_in_a_suite() {
    for (name, handler) in handlers()
        .into_iter()
        .filter(|(name, _)| matches!(*name, "good" | "moved" | "nobody"))
    {
        let url = secret_url(&handler);
        for format in ["pretty", "ndjson"] {
            let fixed = [
                "send",
                "--suite",
                "--only",
                "post-agent-no-answer,duplicate",
                "--timeout",
                "1s",
                "--format",
                format,
            ];
            let ended = program([&fixed[..], &["--url", &url], &HEADERS].concat()).run();
            assert_kept(&format!("a suite, {name}, {format}"), &ended);
        }
    }
}

#[test]
fn no_secret_is_seen_in_a_usage_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("headers");
    std::fs::write(&file, "Authorization: fine\nAuthorization S3CR3T-file\n").expect("a file");
    let file = format!("@{}", file.display());
    let urls = [
        "http://me:S3CR3T@ho st/?token=S3CR3T",
        "ftp://me:S3CR3T@h/?token=S3CR3T",
        "http://me:S3CR3T@h:99999/?token=S3CR3T",
        "http://me:S3CR3T@/?token=S3CR3T",
        "me:S3CR3T@h?token=S3CR3T",
        "http://me:S3CR3T@[::1/?api_key=S3CR3T",
        "http://me:S3C/S3CR3T@h:x/",
    ];
    for url in urls {
        for mode in [
            &["send", "--url", url][..],
            &["send", "--suite", "--url", url],
            &["send", "--print", "curl", "--url", url],
        ] {
            assert_kept(url, &program(mode).run().expect(2));
        }
        assert_kept(
            url,
            &program(["send"])
                .env("TELECMI_CDR_URL", url)
                .run()
                .expect(2),
        );
        assert_kept(
            url,
            &program(["listen", "--forward-to", url]).run().expect(2),
        );
        assert_kept(
            url,
            &program(["listen"])
                .env("TELECMI_CDR_FORWARD_TO", url)
                .run()
                .expect(2),
        );
    }
    let good = "http://me:S3CR3T@127.0.0.1:9/?token=S3CR3T";
    for header in [
        "Authorization: S3CR3T\r\nX: y",
        "Authorization S3CR3T",
        "Author ization: S3CR3T",
        &file,
    ] {
        assert_kept(
            header,
            &program(["send", "--url", good, "-H", header])
                .run()
                .expect(2),
        );
        assert_kept(
            header,
            &program(["send", "--url", good])
                .env("TELECMI_CDR_HEADER", header)
                .run()
                .expect(2),
        );
        if !header.starts_with('@') {
            assert_kept(header, &program(["listen", "-H", header]).run().expect(2));
        }
    }
    for wrong in [
        &["--bogus"][..],
        &["-n", "x"],
        &["--race", "2", "--retry", "1"],
        &["--cacert", "/nowhere"],
        &["-f", "/nowhere"],
    ] {
        let ended = program([&["send", "--url", good, "-H", "Cookie: S3CR3T"], wrong].concat())
            .run()
            .expect(2);
        assert_kept(wrong[0], &ended);
    }
}

#[test]
fn no_password_of_a_proxy_is_seen() {
    let good = stub(answer("200 OK", "", "ok")).replace("http://", "http://me:S3CR3T-proxy@");
    let refuses = stub(answer(
        "407 No",
        "proxy-authorization: Basic S3CR3T\r\n",
        "",
    ))
    .replace("http://", "http://me:S3CR3T-proxy@");
    let gone = nobody().replace("http://", "http://me:S3CR3T-proxy@");
    // 192.0.2.1 is in TEST-NET-1 (RFC 5737), so that only the proxy can answer.
    for proxy in [&good, &refuses, &gone] {
        for (variable, url) in [
            ("http_proxy", "http://192.0.2.1/?token=S3CR3T"),
            ("https_proxy", "https://192.0.2.1/?token=S3CR3T"),
            ("all_proxy", "http://192.0.2.1/"),
        ] {
            for mode in [&["-v"][..], &["--format", "ndjson"], &["--race", "2"]] {
                let ended = program(
                    [
                        &[
                            "send",
                            "--mask",
                            "--url",
                            url,
                            "--timeout",
                            "1s",
                            "--connect-timeout",
                            "1s",
                        ],
                        mode,
                    ]
                    .concat(),
                )
                .env(variable, proxy)
                .run();
                assert!(
                    mode.contains(&"--race") || ended.stderr.contains("using the proxy"),
                    "{}",
                    ended.whole()
                );
                assert_kept(proxy, &ended);
            }
        }
    }
}

#[test]
fn no_secret_of_a_stranger_or_a_handler_is_seen_at_a_listener() {
    let headers = "Authorization: Bearer S3CR3T\r\nCookie: sid=S3CR3T\r\nX-Hub-Signature: S3CR3T\r\nReferer: http://me:S3CR3T@h/?token=S3CR3T\r\n";
    for (name, handler) in handlers() {
        let url = secret_url(&handler);
        let forward = ["--forward-to", &url];
        let plain: &[&str] = &[];
        for (more, environment) in [
            (plain, None),
            (&forward, None),
            (plain, Some(("TELECMI_CDR_FORWARD_TO", url.as_str()))),
        ] {
            let fixed = [
                "listen",
                "--port",
                "0",
                "-v",
                "--count",
                "3",
                "--timeout",
                "20s",
                "-H",
                "Set-Cookie: sid=S3CR3T-ours",
            ];
            if name == "silent" && (!more.is_empty() || environment.is_some()) {
                continue;
            }
            let command = program(fixed.iter().chain(more));
            let listener = ready(match environment {
                Some((variable, value)) => command.env(variable, value),
                None => command,
            });
            let query =
                "token=S3CR3T&x%2Dapi%2Dkey=S3CR3T&password=S3CR3T&extra_params[secret]=S3CR3T";
            let cdr = "type=cdr&direction=outbound&status=missed&leg=a&appid=1&user=1_1&to=1";
            say(
                &listener.url,
                format!(
                    "GET /cdr?{query}&{cdr} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n"
                ),
            );
            say(
                &listener.url,
                format!(
                    "HEAD /cdr?{query} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n"
                ),
            );
            say(
                &listener.url,
                format!("GET /?{query} HTTP/1.1\r\nHost: h\r\n{headers}X-\u{1b}: S3CR\r\n\r\n"),
            );
            say(
                &listener.url,
                format!("PUT /?{query} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n"),
            );
            say(
                &listener.url,
                format!(
                    "GET http://me:S3CR3T@h/?{query} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n"
                ),
            );
            for _ in 0..2 {
                let body = fixture("docs-leg-a.json");
                let head = format!(
                    "POST /cdr?{query} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
                    body.len()
                );
                say(&listener.url, [head.as_bytes(), &body].concat());
            }
            assert_kept(&format!("{name} {more:?}"), &listener.running.end());
        }
    }
}

#[test]
fn what_is_no_secret_can_be_read() {
    let listener = pretty_listener(&["-v", "--count", "1", "--timeout", "20s"]);
    post(
        &listener.url,
        "Content-Type: application/json\r\nX-Trace: seen\r\n",
        fixture("docs-leg-a.json"),
    );
    assert!(listener.running.end().stdout.contains("X-Trace: seen"));
    let ended = program(
        [
            &["send", "--url", &secret_url(&nobody()), "-n", "2"],
            &HEADERS[..],
        ]
        .concat(),
    )
    .run()
    .expect(1);
    assert!(
        ended.stderr.contains("a=1") && ended.stderr.contains("***"),
        "{}",
        ended.whole()
    );
}

#[test]
fn what_is_printed_for_use_is_exact_and_says_so() {
    let note = "the printed requests contain passwords or tokens; --mask masks them\n";
    let url = secret_url(&nobody());
    for format in ["curl", "http", "har", "vegeta"] {
        let arguments = [&["send", "--print", format, "--url", &url], &HEADERS[..]].concat();
        let ended = program(&arguments).run().expect(0);
        for secret in ["userinfo", "token", "key", "header", "cookie", "api-key"] {
            assert!(
                ended.stdout.contains(&format!("S3CR3T-{secret}")),
                "{format}: {secret}"
            );
        }
        assert_eq!(ended.stderr, note);
        let ended = program([&arguments[..], &["--mask"]].concat())
            .run()
            .expect(0);
        assert_kept(format, &ended);
        assert_eq!(ended.stderr, "");
    }
    let ended = program(["send", "--url", &url]).run().expect(1);
    let (_, repeat) = ended
        .stderr
        .split_once("the next line shows passwords or tokens; --mask masks them\n")
        .expect("a note");
    assert!(
        repeat.starts_with("repeat: ") && repeat.contains(&url),
        "{repeat}"
    );
    let ended = program(["send", "--print", "curl"]).run().expect(0);
    assert_eq!(ended.stderr, "");
}
