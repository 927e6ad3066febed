//! Who may see what: the rules of the inspector. Pure: a request in, what it wants out, or why it does not get it.
//!
//! The page is for the person at this machine and for nobody else: not for those who reach the port through a tunnel, not
//! for other sites in the same browser, whatever name they give this machine, and not for other programs and users here, who do
//! not know the token.

use std::fmt;
use std::io;
use std::time::Duration;

use super::assets::{self, Asset};
use crate::seed;
use crate::wire::{Header, Request};

/// The header that carries the token.
const TOKEN: &str = "x-inspector-token";

/// The names under which this machine knows itself.
const HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Headers that only a proxy sets; and all that begin with [`FORWARDED`].
const OF_PROXIES: [&str; 3] = ["forwarded", "x-real-ip", "via"];

/// How the names of other headers of proxies begin.
const FORWARDED: &str = "x-forwarded-";

/// The longest that a request may ask to be waited with.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What only the page knows, and whoever started the listener.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A new one.
    pub fn fresh() -> io::Result<Self> {
        seed::secret().map(|secret| Self(format!("{secret:032x}")))
    }

    /// The token itself, for whoever may know it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether these bytes are it, found out in a time that tells nothing about it.
    fn is(&self, bytes: &[u8]) -> bool {
        let differences = self
            .0
            .bytes()
            .zip(bytes)
            .fold(0, |all, (ours, theirs)| all | (ours ^ theirs));
        self.0.len() == bytes.len() && std::hint::black_box(differences) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// What the rules go by.
#[derive(Debug)]
pub struct Access {
    /// The inspector's own port.
    pub port: u16,
    /// What has to be known.
    pub token: Token,
}

/// What a request wants that may have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A part of the page.
    Asset(&'static Asset),
    /// The exchanges after this one, as they come.
    Events {
        /// The last one that is known already.
        seen: u64,
        /// For how long to wait for one, if there is to be an end.
        wait: Option<Duration>,
    },
    /// All that is kept, as it is saved.
    Capture,
    /// The body of this exchange's request.
    Body(u64),
    /// A command that sends it again.
    Curl(u64),
    /// To have it sent to the handler once more.
    Resend(u64),
}

/// Why a request does not get what it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It may not. That is all it is told.
    Forbidden,
    /// There is no such thing.
    Unknown,
    /// Not by this method, but by this one.
    Method(&'static str),
    /// It makes no sense, and why.
    Senseless(&'static str),
}

impl Access {
    /// What a request wants, if it may have it.
    pub fn judge(&self, request: &Request) -> Result<Wanted, Refusal> {
        let headers = &request.headers;
        if !self.comes_from_here(headers) {
            return Err(Refusal::Forbidden);
        }
        if let Some(part) = assets::find(request.path()) {
            return by("GET", request, Wanted::Asset(part));
        }
        // A browser cannot send it with a navigation, and what is told without it holds nothing.
        if !only(headers, TOKEN).is_some_and(|token| self.token.is(token)) {
            return Err(Refusal::Forbidden);
        }
        match request.path() {
            "/api/events" => by(
                "GET",
                request,
                Wanted::Events {
                    seen: seen(headers)?,
                    wait: wait(request)?,
                },
            ),
            "/api/capture" => by("GET", request, Wanted::Capture),
            path => {
                let rest = path
                    .strip_prefix("/api/exchanges/")
                    .ok_or(Refusal::Unknown)?;
                let (n, what) = rest.split_once('/').ok_or(Refusal::Unknown)?;
                let n = number(n.as_bytes()).ok_or(Refusal::Unknown)?;
                match what {
                    "body" => by("GET", request, Wanted::Body(n)),
                    "curl" => by("GET", request, Wanted::Curl(n)),
                    // A request that changes something says where it comes from: every browser sees to that.
                    "resend" if request.method == "POST" && only(headers, "origin").is_none() => {
                        Err(Refusal::Forbidden)
                    }
                    "resend" => by("POST", request, Wanted::Resend(n)),
                    _ => Err(Refusal::Unknown),
                }
            }
        }
    }

    /// Whether a request was made on this machine, and by a page of ours if it was made by a page.
    fn comes_from_here(&self, headers: &[Header]) -> bool {
        let Some(host) = only(headers, "host") else {
            return false;
        };
        let is_ours = HOSTS
            .iter()
            .any(|name| host == format!("{name}:{}", self.port).as_bytes());
        let origin = [b"http://", host].concat();
        is_ours
            && headers.iter().all(|header| {
                let name = header.name.to_ascii_lowercase();
                match name.as_str() {
                    "origin" => header.value == origin,
                    // `none` is what a person does, who types the address.
                    "sec-fetch-site" => matches!(&*header.value, b"same-origin" | b"none"),
                    name => !OF_PROXIES.contains(&name) && !name.starts_with(FORWARDED),
                }
            })
    }
}

/// What is wanted, if it is asked for properly.
fn by(method: &'static str, request: &Request, wanted: Wanted) -> Result<Wanted, Refusal> {
    if request.method == method {
        Ok(wanted)
    } else {
        Err(Refusal::Method(method))
    }
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a [Header], name: &str) -> Option<&'a [u8]> {
    let mut values = headers
        .iter()
        .filter(|header| header.is(name))
        .map(|header| &*header.value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// The last exchange that is known already.
fn seen(headers: &[Header]) -> Result<u64, Refusal> {
    const WANTED: Refusal = Refusal::Senseless("Last-Event-ID takes the number of an exchange");
    if !headers.iter().any(|header| header.is("last-event-id")) {
        return Ok(0);
    }
    only(headers, "last-event-id")
        .and_then(number)
        .ok_or(WANTED)
}

/// For how long to wait, if the query says so.
fn wait(request: &Request) -> Result<Option<Duration>, Refusal> {
    const WANTED: Refusal = Refusal::Senseless("wait takes a number of milliseconds");
    let pairs = request.query().unwrap_or_default().split('&');
    let Some(wait) = pairs
        .filter_map(|pair| pair.strip_prefix("wait="))
        .next_back()
    else {
        return Ok(None);
    };
    let milliseconds = number(wait.as_bytes()).ok_or(WANTED)?;
    Ok(Some(Duration::from_millis(milliseconds).min(LONGEST_WAIT)))
}

/// A number in digits, and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    let is_one = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits)
        .ok()
        .filter(|_| is_one)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules() -> Access {
        Access {
            port: 8238,
            token: Token("0123456789abcdef".to_owned()),
        }
    }

    const HOST: (&str, &str) = ("Host", "127.0.0.1:8238");
    const KNOWN: (&str, &str) = ("X-Inspector-Token", "0123456789abcdef");

    fn judged(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Wanted, Refusal> {
        let headers = headers
            .iter()
            .map(|(name, value)| Header::new(*name, *value))
            .collect::<Vec<_>>();
        rules().judge(&Request::new(method, target, headers, ""))
    }

    #[test]
    fn what_holds_nothing_needs_no_token_and_everything_else_does() {
        for path in ["/", "/page.css", "/page.js", "/text.js"] {
            let wanted = assets::find(path)
                .map(Wanted::Asset)
                .ok_or(Refusal::Unknown);
            assert_eq!(judged("GET", path, &[HOST]), wanted, "{path}");
        }
        for path in [
            "/api/events",
            "/api/events?wait=0",
            "/api/capture",
            "/api/exchanges/1/body",
            "/api/exchanges/1/curl",
            "/api/exchanges/1/resend",
            "/favicon.ico",
            "/page.html",
            "//",
            "http://127.0.0.1:8238/",
            "*",
        ] {
            for method in ["GET", "POST", "HEAD", "OPTIONS", "DELETE"] {
                let wrong = ("X-Inspector-Token", "0123456789abcdee");
                let longer = ("X-Inspector-Token", "0123456789abcdef0");
                let shorter = ("X-Inspector-Token", "");
                for headers in [
                    &[HOST][..],
                    &[HOST, wrong],
                    &[HOST, longer],
                    &[HOST, shorter],
                    &[HOST, KNOWN, KNOWN],
                    &[HOST, ("Authorization", "0123456789abcdef")],
                ] {
                    assert_eq!(
                        judged(method, path, headers),
                        Err(Refusal::Forbidden),
                        "{method} {path}"
                    );
                }
            }
        }
    }

    #[test]
    fn only_this_machine_and_its_own_page_are_let_in() {
        let origin = |value| ("Origin", value);
        let site = |value| ("Sec-Fetch-Site", value);
        let host = |value| ("Host", value);
        let own = "http://127.0.0.1:8238";
        for (headers, is_let_in) in [
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
        ] {
            for path in ["/", "/page.js", "/page.css"] {
                assert_eq!(
                    judged("GET", path, headers).is_ok(),
                    is_let_in,
                    "{path} {headers:?}"
                );
            }
            let headers = [headers, &[KNOWN]].concat();
            let wanted = judged("GET", "/api/capture", &headers);
            let expected = if is_let_in {
                Ok(Wanted::Capture)
            } else {
                Err(Refusal::Forbidden)
            };
            assert_eq!(wanted, expected, "{headers:?}");
        }
    }

    #[test]
    fn what_is_wanted_is_said_by_path_and_method() {
        let asked = |method, target| judged(method, target, &[HOST, KNOWN]);
        let own = ("Origin", "http://127.0.0.1:8238");
        assert_eq!(asked("GET", "/api/exchanges/12/body"), Ok(Wanted::Body(12)));
        assert_eq!(asked("GET", "/api/exchanges/12/curl"), Ok(Wanted::Curl(12)));
        let resend = "/api/exchanges/12/resend";
        assert_eq!(
            judged("POST", resend, &[HOST, KNOWN, own]),
            Ok(Wanted::Resend(12))
        );
        assert_eq!(asked("POST", resend), Err(Refusal::Forbidden));
        assert_eq!(
            judged("GET", resend, &[HOST, KNOWN, own]),
            Err(Refusal::Method("POST"))
        );
        for method in ["POST", "HEAD", "OPTIONS", "get"] {
            for path in ["/", "/api/events", "/api/capture", "/api/exchanges/1/body"] {
                assert_eq!(
                    asked(method, path),
                    Err(Refusal::Method("GET")),
                    "{method} {path}"
                );
            }
        }
        for path in [
            "/api",
            "/api/exchanges",
            "/api/exchanges/1",
            "/api/exchanges/1/",
            "/api/exchanges/x/body",
            "/api/exchanges/+1/body",
            "/api/exchanges//body",
            "/api/exchanges/1/body/..",
            "/api/exchanges/99999999999999999999/body",
            "/../etc/passwd",
        ] {
            assert_eq!(asked("GET", path), Err(Refusal::Unknown), "{path}");
        }
    }

    #[test]
    fn a_stream_goes_on_where_it_ended() {
        let asked = |target, seen| judged("GET", target, &[HOST, KNOWN, ("Last-Event-ID", seen)]);
        let events = |seen, wait: Option<u64>| {
            Ok(Wanted::Events {
                seen,
                wait: wait.map(Duration::from_millis),
            })
        };
        assert_eq!(
            judged("GET", "/api/events", &[HOST, KNOWN]),
            events(0, None)
        );
        assert_eq!(asked("/api/events", "7"), events(7, None));
        assert_eq!(asked("/api/events?wait=0", "7"), events(7, Some(0)));
        assert_eq!(asked("/api/events?a&wait=250", "7"), events(7, Some(250)));
        assert_eq!(
            asked("/api/events?wait=99999999999", "7"),
            events(7, Some(60_000))
        );
        for (target, seen) in [
            ("/api/events", ""),
            ("/api/events", "-1"),
            ("/api/events", "x"),
            ("/api/events?wait=", "7"),
        ] {
            assert!(
                matches!(asked(target, seen), Err(Refusal::Senseless(_))),
                "{target} {seen}"
            );
        }
    }

    proptest! {
        /// Whatever else is said, without the token nothing is given but what holds nothing.
        #[test]
        fn nothing_is_told_without_the_token(
            method in "[A-Z]{1,7}",
            target in "/(api/)?[ -~]{0,40}",
            headers in prop::collection::vec(("[A-Za-z-]{1,20}", "[ -~]{0,40}"), 0..6),
        ) {
            let mut all: Vec<_> = headers.into_iter().map(|(name, value)| Header::new(name, value)).collect();
            all.push(Header::new(HOST.0, HOST.1));
            let judged = rules().judge(&Request::new(&method, target, all, ""));
            let is_harmless = matches!(
                judged,
                Ok(Wanted::Asset(_)) | Err(Refusal::Forbidden | Refusal::Method("GET"))
            );
            prop_assert!(is_harmless, "{:?}", judged);
        }

        /// Whatever else is said, another host is never answered.
        #[test]
        fn another_host_is_never_answered(host in "[ -~]{0,30}", target in "/[ -~]{0,20}") {
            prop_assume!(!HOSTS.iter().any(|name| host == format!("{name}:8238")));
            let headers = vec![Header::new("Host", host), Header::new(KNOWN.0, KNOWN.1)];
            prop_assert_eq!(rules().judge(&Request::new("GET", target, headers, "")), Err(Refusal::Forbidden));
        }
    }
}
