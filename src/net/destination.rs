//! Parses and checks the URL that requests are sent to.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::http::uri::Authority;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use reqwest::Url;

use super::Header;
use super::secret::masked_url;

/// The characters of a typed URL that a request line cannot hold and that are percent-encoded. `utf8_percent_encode`
/// also encodes all non-ASCII text.
const UNSENDABLE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');

/// The http or https URL that requests are sent to. The URL's userinfo becomes an `Authorization` header.
///
/// `Display` and `Debug` mask secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    pub(super) url: Url,
    /// The URL's path and query as typed, not normalised.
    target: String,
    pub(super) host_header: Header,
    pub(crate) authorization: Option<Header>,
    /// The URL as typed, with its secrets, for output that the user asked for.
    pub(crate) typed: String,
    pub(crate) masked: String,
}

impl Destination {
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let masked = masked_url(text);
        let parts = text.split_once("://");
        let Some((scheme, rest)) = parts.filter(|(scheme, _)| !scheme.contains(['/', '?'])) else {
            return without_scheme(text);
        };
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err("only http:// and https:// are supported".to_owned());
        }
        if text.chars().any(char::is_control) {
            return Err("a URL cannot contain line breaks or other control characters".to_owned());
        }
        if rest.starts_with(['/', '\\']) {
            return Err(mistake("empty host"));
        }
        let mut url = Url::parse(text).map_err(|error| mistake(&error.to_string()))?;
        if url.fragment().is_some() {
            let advice = "leave it out, or write %23 if it belongs to the query";
            let what = "the fragment after # is never sent to a server";
            return Err(format!("{what}: {advice}"));
        }
        let is_label = |label: &str| {
            let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            !label.is_empty() && label.chars().all(is_valid)
        };
        let is_name = url.domain().is_none_or(|name| {
            let name = name.strip_suffix('.').unwrap_or(name);
            name.split('.').all(is_label)
        });
        if !is_name || url.authority().parse::<Authority>().is_err() {
            return Err(mistake("invalid host"));
        }
        if url.port() == Some(0) {
            return Err("port 0 cannot be connected to".to_owned());
        }
        let target = &rest[rest.find(['/', '?', '\\']).unwrap_or(rest.len())..];
        let slash = if target.starts_with('/') { "" } else { "/" };
        let authorization = authorization(&url);
        // `set_username` and `set_password` fail only for URLs without a host; http and https URLs have one.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(Self {
            target: format!("{slash}{}", utf8_percent_encode(target, UNSENDABLE)),
            host_header: Header::new("Host", url.authority()),
            url,
            authorization,
            typed: text.to_owned(),
            masked,
        })
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The URL's host name, or its IP address without brackets.
    pub(crate) fn host(&self) -> &str {
        let host = self.url.host_str().unwrap_or_default();
        host.trim_matches(['[', ']'])
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    pub(crate) fn place(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        format!("{host}:{}", self.port())
    }

    /// The value of the `Host` header: without the port if the port is the scheme's default.
    pub(crate) fn authority(&self) -> &str {
        self.url.authority()
    }

    /// The URL with the target as typed, and with the secrets of its query; the userinfo is left out.
    pub(crate) fn exact_url(&self) -> String {
        self.origin() + &self.target
    }

    /// The URL's scheme, host and port, without a slash at the end.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.url.scheme(), self.authority())
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// Returns whether the URL's host is this machine: `localhost` and names below it, 127.0.0.0/8, `::1`, and the
    /// unspecified address (`0.0.0.0`), which servers print as their own address and which connects to this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let address = self.host().parse::<IpAddr>();
        address.map_or(is_localhost(self.host()), |address| {
            let address = address.to_canonical();
            address.is_loopback() || address.is_unspecified()
        })
    }

    /// Returns whether the URL's host is on this machine or in a private network.
    fn is_private(&self) -> bool {
        let ends = [".local", ".internal"];
        let is_private_address = match self.host().parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => address.is_private() || address.is_link_local(),
            Ok(IpAddr::V6(address)) => address.is_unique_local(),
            Err(_) => ends.iter().any(|end| self.host().ends_with(end)),
        };
        self.is_loopback() || is_private_address
    }

    /// Joins a request target to the destination's URL. The error says why reqwest would not send the target byte for
    /// byte.
    pub(super) fn url_of(&self, target: &str) -> Result<Url, &'static str> {
        if !target.starts_with('/') {
            return Err("the request target is not a path, and cannot be sent through a proxy");
        }
        let text = self.origin() + target;
        let url = Url::parse(&text).ok();
        let url = url.filter(|url| url.as_str() == text && url.fragment().is_none());
        url.ok_or("the request target would be rewritten on the way through the proxy")
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({self})")
    }
}

/// Returns whether a host name is `localhost` or below it; such names are always loopback (RFC 6761, section 6.3).
pub(super) fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn authorization(url: &Url) -> Option<Header> {
    let (user, password) = (url.username(), url.password());
    let credentials = format!("{user}:{}", password.unwrap_or_default());
    let credentials: Vec<u8> = percent_decode_str(&credentials).collect();
    let value = format!("Basic {}", BASE64.encode(credentials));
    (!user.is_empty() || password.is_some()).then(|| Header::new("Authorization", value))
}

const EXAMPLE: &str = "http://localhost:5000/webhook";

/// Reads a URL without `://`. A private host such as `localhost:5000` or a port such as `:5000` is reached by http; for
/// others the error has a suggestion if the URL probably lacks nothing but the scheme.
fn without_scheme(text: &str) -> Result<Destination, String> {
    let begins = |scheme: &str| {
        let rest = text.strip_prefix(scheme)?;
        rest.starts_with([':', '/'])
            .then(|| format!("{scheme}://{}", rest.trim_start_matches([':', '/'])))
    };
    let is_port = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let rest = text.trim_start_matches('/');
    let host = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    let mistyped = begins("https").or_else(|| begins("http"));
    let is_exact = mistyped.is_none() && !is_port && rest == text;
    let guess = match mistyped {
        Some(guess) => Some(guess),
        None if is_port => Some(format!("http://localhost:{text}")),
        None if rest.starts_with(':') => Some(format!("http://localhost{rest}")),
        None if is_localhost(host) || host.contains(['.', ':']) => Some(format!("http://{rest}")),
        None => None,
    };
    match guess.map(|guess| Destination::parse(&guess)) {
        Some(Ok(guess)) if is_exact && guess.is_private() => Ok(guess),
        Some(Ok(guess)) => Err(format!("the URL has no scheme: did you mean {guess}?")),
        _ if text.is_empty() => Err(format!("the URL is empty: expected a URL like {EXAMPLE}")),
        _ => Err(mistake("no scheme")),
    }
}

fn mistake(error: &str) -> String {
    let example = EXAMPLE;
    match error {
        "invalid international domain name" => mistake("invalid host"),
        "empty host" => format!("the URL has no host: expected a URL like {example}"),
        "no scheme" => format!("the URL has no scheme: expected a URL like {example}"),
        "invalid port number" => "the port is not a number from 1 to 65535".to_owned(),
        other => format!("not a valid URL ({other}): expected a URL like {example}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(text: &str) -> Destination {
        Destination::parse(text).unwrap()
    }

    #[test]
    fn a_url_is_taken_apart() {
        let there = destination("https://user:p%40ss@cdr.test/webhook?token=abc&x=1");
        assert!(there.is_tls() && !there.is_loopback());
        assert_eq!(there.place(), "cdr.test:443");
        assert_eq!(there.authority(), "cdr.test");
        assert_eq!(there.target(), "/webhook?token=abc&x=1");
        let header = there.authorization.clone().unwrap();
        assert_eq!(
            header.text(),
            format!("Basic {}", BASE64.encode("user:p@ss"))
        );
        for shown in [there.to_string(), format!("{there:?}")] {
            assert!(
                shown.contains("https://***@cdr.test/webhook?token=***&x=1"),
                "{shown}"
            );
        }
    }

    #[test]
    fn an_ipv6_address_has_brackets_only_where_they_belong() {
        let here = destination("http://[::1]:5000");
        assert_eq!((here.host(), here.place().as_str()), ("::1", "[::1]:5000"));
        assert_eq!((here.authority(), here.target()), ("[::1]:5000", "/"));
    }

    #[test]
    fn the_target_is_as_typed() {
        for (text, target) in [
            ("http://h.test", "/"),
            ("http://h.test?a=1", "/?a=1"),
            (
                "http://u:p@h.test/a/../b//./c?x=%7e'[]{}|",
                "/a/../b//./c?x=%7e'[]{}|",
            ),
            ("http://h.test/a b?n=\u{fc}\"", "/a%20b?n=%C3%BC%22"),
        ] {
            assert_eq!(destination(text).target(), target, "{text}");
        }
    }

    #[test]
    fn loopback_is_known_in_all_its_spellings() {
        for text in [
            "http://localhost",
            "http://LOCALHOST.:80",
            "http://hook.localhost",
            "http://127.0.0.1",
            "http://127.1",
            "http://127.255.0.3",
            "http://[::1]",
            "http://[::ffff:127.0.0.1]",
            "http://0.0.0.0:5000",
        ] {
            assert!(destination(text).is_loopback(), "{text}");
        }
        for text in [
            "http://localhost.test",
            "http://notlocalhost",
            "http://10.0.0.1",
            "http://128.0.0.1",
        ] {
            assert!(!destination(text).is_loopback(), "{text}");
        }
    }

    #[test]
    fn a_private_host_needs_no_scheme() {
        for (text, url) in [
            ("localhost:5000/x?to=1", "http://localhost:5000/x?to=1"),
            (":5000/x", "http://localhost:5000/x"),
            ("hook.localhost", "http://hook.localhost"),
            (
                "127.0.0.1:5000?n=http://h",
                "http://127.0.0.1:5000?n=http://h",
            ),
            ("[::1]:5000/x", "http://[::1]:5000/x"),
            ("192.168.1.7:5000", "http://192.168.1.7:5000"),
            (
                "host.docker.internal:5000/x",
                "http://host.docker.internal:5000/x",
            ),
            (
                "u:S3CR3T@localhost:5000/x",
                "http://u:S3CR3T@localhost:5000/x",
            ),
        ] {
            assert_eq!(destination(text).typed, url);
        }
        let secret = destination("u:S3CR3T@localhost:5000/x?token=S3CR3T");
        assert_eq!(secret.masked, "http://***@localhost:5000/x?token=***");
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, part) in [
            ("//cdr.test/x", "did you mean http://cdr.test/x?"),
            ("9001", "did you mean http://localhost:9001?"),
            (
                "//localhost:5000/x",
                "did you mean http://localhost:5000/x?",
            ),
            ("localhost:99999/x", "has no scheme: expected a URL like"),
            ("10.0.0.1.test:80", "did you mean http://10.0.0.1.test:80?"),
            (
                "http:/localhost:9001/x",
                "did you mean http://localhost:9001/x?",
            ),
            ("https//u:S3CR3T@h/x", "did you mean https://***@h/x?"),
            ("99999", "has no scheme: expected a URL like"),
            ("cdr", "has no scheme: expected a URL like"),
            ("cdr.test/x\n", "did you mean http://cdr.test/x?"),
            ("cdr.test/\tx", "has no scheme: expected a URL like"),
            ("u:S3CR3T@cdr.test/x", "did you mean http://***@cdr.test/x?"),
            ("", "the URL is empty"),
            ("ftp://cdr.test", "only http:// and https://"),
            ("http://", "the URL has no host"),
            ("http:///u:S3CR3T@cdr.test", "the URL has no host"),
            ("http://cdr.test/x?a=1\n&b=2", "line breaks"),
            ("http://cdr.test:99999", "from 1 to 65535"),
            ("http://cdr.test:0", "port 0"),
            ("http://cdr.test/x#y", "write %23"),
            ("http://a b/", "not a valid URL"),
            ("http://u:S3CR3T@a b/", "not a valid URL"),
            ("http://{{host}}/x", "not a valid URL (invalid host)"),
        ] {
            let error = Destination::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("S3CR3T"), "{error}");
        }
    }

    #[test]
    fn a_target_is_taken_as_it_is_or_not_at_all() {
        let there = destination("http://user:pass@cdr.test:81/webhook");
        assert_eq!(
            there.url_of("/x?a[]=%ff&b").unwrap().as_str(),
            "http://cdr.test:81/x?a[]=%ff&b"
        );
        for target in [
            "*",
            "http://a/",
            "/a/../b",
            "/a b",
            "/a?b=O'Brien",
            "/a#b",
            "",
        ] {
            assert!(there.url_of(target).is_err(), "{target}");
        }
    }
}
