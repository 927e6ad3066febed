//! Where requests go: what was given as `--url`, checked once and taken apart.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::super::Header;
use super::super::secret::masked_url;
use super::lookup;

/// The one place a client talks to: an http or https URL without userinfo, which has become a header.
///
/// Neither `Display` nor `Debug` shows a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    /// The URL without userinfo.
    url: Url,
    /// Where in it path and query begin.
    target_at: usize,
    /// Its host, with addresses told from names.
    host: Host,
    /// The value of the header that the userinfo has become.
    authorization: Option<String>,
    /// The URL as given, fit to be shown.
    masked: String,
}

/// A host as it can be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    /// A name, to be looked up.
    Name(String),
    /// An address, without brackets.
    Address(IpAddr),
}

impl Destination {
    /// Reads an http or https URL. The error says what is wrong with it and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let masked = masked_url(text);
        let Some((scheme, _)) = text.split_once("://") else {
            let rest = masked.trim_start_matches('/');
            return Err(if rest.is_empty() {
                "there is no URL: expected one like http://localhost:5000/webhook".to_owned()
            } else {
                format!("there is no scheme: did you mean http://{rest}?")
            });
        };
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err("only http:// and https:// can be spoken".to_owned());
        }
        let mut url = Url::parse(text).map_err(|error| mistake(&error.to_string()))?;
        if url.fragment().is_some() {
            return Err(
                "what follows # never reaches a server: leave it out, or write %23 if it belongs to the query"
                    .to_owned(),
            );
        }
        if url.port() == Some(0) {
            return Err("nothing can listen on port 0".to_owned());
        }
        let authorization = basic(url.username(), url.password());
        // Both fail only for URLs without a host, which http and https do not have.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let host = host_of(&url).ok_or_else(|| mistake("empty host"))?;
        Ok(Self {
            target_at: origin_length(&url),
            url,
            host,
            authorization,
            masked,
        })
    }

    /// Whether it is https.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host alone: a name, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        }
    }

    /// The port, given or the scheme's own.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    /// `host:port`, always with the port, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        format!(
            "{}:{}",
            self.url.host_str().unwrap_or_default(),
            self.port()
        )
    }

    /// What belongs into a `Host` header: the port only where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.url.authority()
    }

    /// Path and query as they go onto the request line.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.url.as_str()[self.target_at..]
    }

    /// Whether this is the machine itself, so that no proxy and no caution is needed.
    ///
    /// That is `localhost` and the names below it, 127.0.0.0/8 and `::1`, and also the unspecified address (`0.0.0.0`),
    /// which people copy from what servers print and which connects to the machine itself.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Name(name) => is_localhost(name),
            Host::Address(address) => {
                let address = address.to_canonical();
                address.is_loopback() || address.is_unspecified()
            }
        }
    }

    /// The header that the URL's user and password have become.
    #[must_use]
    pub fn authorization(&self) -> Option<Header> {
        self.authorization
            .as_ref()
            .map(|value| Header::new("Authorization", value.clone()))
    }

    /// The URL as it was given, with its secrets masked.
    #[must_use]
    pub fn masked(&self) -> &str {
        &self.masked
    }

    /// Where it is, if nobody has to be asked for that.
    pub(super) fn addresses(&self) -> Option<Vec<SocketAddr>> {
        match &self.host {
            Host::Address(address) => Some(vec![(*address, self.port()).into()]),
            Host::Name(name) if is_localhost(name) => {
                Some(lookup::this_machine(self.port()).to_vec())
            }
            Host::Name(_) => None,
        }
    }

    /// Whether a target can be asked for byte for byte; if not, what stands in the way.
    pub(super) fn check(&self, target: &str) -> Result<(), String> {
        // Most are the destination's own, or nothing in them could be rewritten.
        if target == self.target() || is_plain(target) {
            Ok(())
        } else {
            self.url_of(target).map(drop)
        }
    }

    /// The whole URL of a target here, or why it cannot be asked for byte for byte.
    pub(super) fn url_of(&self, target: &str) -> Result<Url, String> {
        if !target.starts_with('/') {
            return Err("the target is no path, which a proper client cannot send".to_owned());
        }
        let origin = format!("{}://{}", self.url.scheme(), self.url.authority());
        match Url::parse(&format!("{origin}{target}")) {
            Ok(url) if target_of(&url) == target && url.fragment().is_none() => Ok(url),
            _ => Err("a proper client would rewrite the target before sending it".to_owned()),
        }
    }

    /// The URL without userinfo.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({})", self.masked)
    }
}

/// Whether a name always means this machine (RFC 6761).
pub(super) fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Everything behind the authority; the URLs here have no fragment.
fn target_of(url: &Url) -> &str {
    &url.as_str()[origin_length(url)..]
}

/// How long scheme and authority are.
fn origin_length(url: &Url) -> usize {
    url.scheme().len() + "://".len() + url.authority().len()
}

/// Whether the URL standard certainly leaves a target as it is. Not so certain are, for example, dots in a path.
fn is_plain(target: &str) -> bool {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let sign = |byte: u8| b"-_~!$&()*+,;=:@%/".contains(&byte);
    path.starts_with('/')
        && !path.contains("%2")
        && path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || sign(byte))
        && query
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || sign(byte) || b".?[]".contains(&byte))
}

/// The host, with addresses told from names.
fn host_of(url: &Url) -> Option<Host> {
    let text = url.host_str()?;
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    Some(match bare.parse() {
        Ok(address) => Host::Address(address),
        Err(_) => Host::Name(text.to_owned()),
    })
}

/// The value of a Basic `Authorization` header, if there is anybody to authorize.
fn basic(user: &str, password: Option<&str>) -> Option<String> {
    if user.is_empty() && password.is_none() {
        return None;
    }
    let mut credentials: Vec<u8> = percent_decode_str(user).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(password.unwrap_or_default()));
    Some(format!("Basic {}", BASE64.encode(credentials)))
}

/// A URL parser's complaint with what to do about it.
fn mistake(complaint: &str) -> String {
    match complaint {
        "empty host" => {
            "there is no host: expected a URL like http://localhost:5000/webhook".to_owned()
        }
        "invalid port number" => "the port is no number from 1 to 65535".to_owned(),
        other => {
            format!("this is no URL ({other}): expected one like http://localhost:5000/webhook")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        let header = there.authorization().unwrap();
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
        assert_eq!(
            (here.host().as_str(), here.place().as_str()),
            ("::1", "[::1]:5000")
        );
        assert_eq!((here.authority(), here.target()), ("[::1]:5000", "/"));
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
    fn mistakes_are_explained() {
        for (text, part) in [
            (
                "localhost:5000/webhook",
                "did you mean http://localhost:5000/webhook?",
            ),
            ("//cdr.test/x", "did you mean http://cdr.test/x?"),
            ("u:S3CR3T@cdr.test/x", "did you mean http://***@cdr.test/x?"),
            ("", "there is no URL"),
            ("ftp://cdr.test", "only http:// and https://"),
            ("http://", "there is no host"),
            ("http://cdr.test:99999", "from 1 to 65535"),
            ("http://cdr.test:0", "port 0"),
            ("http://cdr.test/x#y", "write %23"),
            ("http://a b/", "this is no URL"),
            ("http://u:S3CR3T@a b/", "this is no URL"),
        ] {
            let error = Destination::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("S3CR3T"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_thought_to_stay_as_it_is_does(path in "[ -~]{0,8}|[a%2eE./]{0,8}", query in proptest::option::of("[ -~]{0,8}")) {
            let target = query.map_or(format!("/{path}"), |query| format!("/{path}?{query}"));
            let there = destination("http://cdr.test/webhook?a=1");
            if is_plain(&target) {
                prop_assert_eq!(there.url_of(&target).map(|url| target_of(&url).to_owned()), Ok(target));
            }
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
