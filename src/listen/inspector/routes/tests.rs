use proptest::prelude::*;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::super::access::{Access, Token};
use super::super::{About, MAX_STREAMS};
use super::*;
use crate::listen::history::History;
use crate::listen::history::tests::small;

const HOST: (&str, &str) = ("Host", "127.0.0.1:8238");
const OWN: (&str, &str) = ("Origin", "http://127.0.0.1:8238");

fn inspected() -> (BoxedFilter<(warp::reply::Response,)>, Token) {
    let token = Token::fresh().unwrap();
    let history = History::new(None);
    history.push(&small(12));
    let inspector = Inspector {
        access: Access {
            port: 8238,
            token: token.clone(),
        },
        about: About {
            url: "http://127.0.0.1:8237".to_owned(),
            public_url: None,
            forward: None,
            policy: watch::Sender::default(),
            tell: Box::new(|_| true),
        },
        history: Arc::new(history),
        streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        resends: Semaphore::new(1),
        closed: CancellationToken::new(),
    };
    (routes(&Arc::new(inspector)), token)
}

fn asked(method: &str, target: &str, headers: &[(&str, &str)], with_token: bool) -> (u16, String) {
    let (routes, token) = inspected();
    let mut request = warp::http::Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if with_token {
        request = request.header("X-Inspector-Token", token.reveal());
    }
    let answer = warp::service(routes).call(request.body(String::new()).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let Ok(response) = runtime.block_on(answer);
    let allow = response.headers().get(ALLOW);
    let allow = allow.map_or("", |allow| allow.to_str().unwrap()).to_owned();
    assert!(response.headers().contains_key("content-security-policy"));
    (response.status().as_u16(), allow)
}

fn status(code: u16) -> (u16, String) {
    (code, String::new())
}

fn allowed(method: &str) -> (u16, String) {
    (405, method.to_owned())
}

#[test]
fn what_holds_nothing_needs_no_token_and_everything_else_does() {
    for path in ["/", "/page.css", "/page.js", "/text.js"] {
        assert_eq!(asked("GET", path, &[HOST], false), status(200), "{path}");
    }
    for path in [
        "/api/events",
        "/api/events?wait=0",
        "/api/capture",
        "/api/exchanges/12/body",
        "/api/exchanges/12/curl",
        "/api/exchanges/12/resend",
        "/api/answer",
        "/favicon.ico",
        "/page.html",
        "//",
        "/*",
    ] {
        for method in ["GET", "POST", "HEAD", "OPTIONS", "DELETE"] {
            let asked = asked(method, path, &[HOST], false);
            assert_eq!(asked, status(403), "{method} {path}");
        }
    }
}

#[test]
fn what_is_wanted_is_said_by_path_and_method() {
    let with_token = |method: &str, target: &str| asked(method, target, &[HOST], true);
    for what in ["body", "curl"] {
        let path = format!("/api/exchanges/12/{what}");
        assert_eq!(with_token("GET", &path), status(200));
    }
    assert_eq!(with_token("GET", "/api/exchanges/11/body"), status(404));
    let resend = "/api/exchanges/12/resend";
    assert_eq!(asked("POST", resend, &[HOST, OWN], true), status(409));
    assert_eq!(with_token("POST", resend), status(403));
    assert_eq!(asked("GET", resend, &[HOST, OWN], true), allowed("POST"));
    for method in ["POST", "HEAD", "OPTIONS", "get"] {
        for path in ["/", "/api/events", "/api/capture", "/api/exchanges/12/body"] {
            assert_eq!(with_token(method, path), allowed("GET"), "{method} {path}");
        }
    }
    for path in [
        "/api",
        "/api/exchanges",
        "/api/exchanges/12",
        "/api/exchanges/12/",
        "/api/exchanges/x/body",
        "/api/exchanges/+12/body",
        "/api/exchanges//body",
        "/api/exchanges/12/body/..",
        "/api/exchanges/99999999999999999999/body",
        "/../etc/passwd",
    ] {
        assert_eq!(with_token("GET", path), status(404), "{path}");
    }
}

#[test]
fn a_stream_is_asked_for_in_numbers() {
    let events = |target, seen| asked("GET", target, &[HOST, ("Last-Event-ID", seen)], true);
    for (target, seen, code) in [
        ("/api/events", "7", 200),
        ("/api/events?wait=0", "7", 200),
        ("/api/events?a&wait=0", "7", 200),
        ("/api/events", "", 400),
        ("/api/events", "-1", 400),
        ("/api/events", "x", 400),
        ("/api/events?wait=", "7", 400),
        ("/api/events?wait=250", "7", 400),
    ] {
        assert_eq!(events(target, seen), status(code), "{target} {seen}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Without the token the inspector serves only its assets, whatever the method, path and headers are.
    #[test]
    fn nothing_is_told_without_the_token(
        method in "[A-Z]{1,7}",
        target in "/(api/)?[!$-;=?-Z_a-z~]{0,40}",
        headers in prop::collection::vec(("[A-Za-z-]{1,20}", "[ -~]{0,40}"), 0..6),
    ) {
        let mut all = vec![HOST];
        all.extend(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let path = &target.split('?').next().unwrap()[1..];
        match asked(&method, &target, &all, false) {
            (200 | 405, _) => prop_assert!(ASSETS.iter().any(|(name, ..)| *name == path)),
            (code, _) => prop_assert_eq!(code, 403),
        }
    }
}
