use super::*;
use proptest::prelude::*;
use warp::http::HeaderName;

const HOST: (&str, &str) = ("Host", "127.0.0.1:8238");
const TOKEN_HEADER: (&str, &str) = ("X-Inspector-Token", "0123456789abcdef");

fn access() -> Access {
    Access {
        port: 8238,
        token: Token("0123456789abcdef".to_owned()),
    }
}

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    headers
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        })
        .fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
}

#[test]
fn the_token_is_needed_once_and_exactly() {
    for (headers, has_token) in [
        (&[TOKEN_HEADER][..], true),
        (&[], false),
        (&[("X-Inspector-Token", "0123456789abcdee")], false),
        (&[("X-Inspector-Token", "0123456789abcdef0")], false),
        (&[("X-Inspector-Token", "")], false),
        (&[TOKEN_HEADER, TOKEN_HEADER], false),
        (&[("Authorization", "0123456789abcdef")], false),
    ] {
        assert_eq!(access().has_token(&map(headers)), has_token, "{headers:?}");
    }
}

#[test]
fn only_this_machine_and_its_own_page_are_let_in() {
    let origin = |value| ("Origin", value);
    let site = |value| ("Sec-Fetch-Site", value);
    let host = |value| ("Host", value);
    let own = "http://127.0.0.1:8238";
    for (headers, is_local) in [
        (&[HOST][..], true),
        (&[host("localhost:8238")], true),
        (&[host("[::1]:8238")], true),
        (
            &[host("localhost:8238"), origin("http://localhost:8238")],
            true,
        ),
        (&[HOST, origin(own), site("same-origin")], true),
        (&[HOST, site("none")], true),
        (&[], false),
        (&[HOST, HOST], false),
        (&[host("127.0.0.1")], false),
        (&[host("127.0.0.1:8237")], false),
        (&[host("127.0.0.1:8238.evil.example")], false),
        (&[host("127.0.0.2:8238")], false),
        (&[host("evil.example:8238")], false),
        (&[host("localhost.:8238")], false),
        (&[host("LOCALHOST:8238")], false),
        (&[host("a.localhost:8238")], false),
        (&[host("0.0.0.0:8238")], false),
        (&[host("user@127.0.0.1:8238")], false),
        (&[HOST, origin("null")], false),
        (&[HOST, origin("")], false),
        (&[HOST, origin("http://127.0.0.1:8237")], false),
        (&[HOST, origin("http://localhost:8238")], false),
        (&[HOST, origin("https://127.0.0.1:8238")], false),
        (&[HOST, origin("http://evil.example")], false),
        (&[HOST, origin(own), origin("http://evil.example")], false),
        (&[HOST, site("same-site")], false),
        (&[HOST, site("cross-site")], false),
        (&[HOST, site("none"), site("cross-site")], false),
        (&[HOST, site("")], false),
        (&[HOST, ("Forwarded", "for=1.2.3.4")], false),
        (&[HOST, ("X-Forwarded-For", "127.0.0.1")], false),
        (&[HOST, ("X-FORWARDED-Proto", "https")], false),
        (&[HOST, ("X-Forwarded-Host", "127.0.0.1:8238")], false),
        (&[HOST, ("X-Real-IP", "127.0.0.1")], false),
        (&[HOST, ("Via", "1.1 tunnel")], false),
        (&[HOST, ("CF-Connecting-IP", "127.0.0.1")], false),
        (&[HOST, ("Cf-Ray", "1")], false),
        (&[HOST, ("True-Client-IP", "127.0.0.1")], false),
        (&[HOST, ("Ngrok-Skip-Browser-Warning", "1")], false),
        (&[HOST, ("Fastly-Client-IP", "127.0.0.1")], false),
        (&[HOST, ("X-Original-Host", "127.0.0.1:8238")], false),
    ] {
        assert_eq!(access().is_local(&map(headers)), is_local, "{headers:?}");
    }
}

proptest! {
    /// A request with another host name than the inspector's in `Host` is refused, even with the token.
    #[test]
    fn another_host_is_never_answered(host in "[ -~]{0,30}") {
        prop_assume!(!HOSTS.iter().any(|name| host == format!("{name}:8238")));
        prop_assert!(!access().is_local(&map(&[("Host", &host), TOKEN_HEADER])));
    }
}
