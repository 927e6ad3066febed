//! Access control of the inspector. Pure: headers in, a decision out.
//!
//! Refused are clients that reach the port through a tunnel, other sites in the same browser, by whatever name they call
//! this machine, and other programs and users of this machine, which lack the token.

use std::io;

use warp::http::{HeaderMap, HeaderValue};

use crate::seed;

/// The header that carries the token. A browser cannot send it with a navigation.
const TOKEN: &str = "x-inspector-token";

/// The names of this machine for itself.
const HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Headers that only proxies and tunnels add, by the beginnings of their names.
const FORWARDED: [&str; 9] = [
    "cf-",
    "fastly-",
    "forwarded",
    "ngrok-",
    "true-client-ip",
    "via",
    "x-forwarded-",
    "x-original-host",
    "x-real-ip",
];

/// Secret of one start of the listener.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    pub fn fresh() -> io::Result<Self> {
        seed::secret().map(|secret| Self(format!("{secret:032x}")))
    }

    /// For the page's URL.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Compares in constant time.
    fn is(&self, bytes: &[u8]) -> bool {
        let pairs = self.0.bytes().zip(bytes);
        let differences = pairs.fold(0, |all, (ours, theirs)| all | (ours ^ theirs));
        self.0.len() == bytes.len() && std::hint::black_box(differences) == 0
    }
}

pub struct Access {
    /// The inspector's own port.
    pub port: u16,
    pub token: Token,
}

impl Access {
    /// Whether a request was made on this machine, and by the inspector's own page if a page made it.
    pub(super) fn is_local(&self, headers: &HeaderMap) -> bool {
        let Some(host) = only(headers, "host") else {
            return false;
        };
        let origin = [b"http://", host.as_bytes()].concat();
        let is_own = |name: &&str| *host == format!("{name}:{}", self.port);
        let is_forwarded = |name: &str| FORWARDED.iter().any(|start| name.starts_with(start));
        HOSTS.iter().any(is_own)
            && headers.iter().all(|(name, value)| match name.as_str() {
                "origin" => *value == *origin,
                // `none`: the user typed the address.
                "sec-fetch-site" => matches!(value.as_bytes(), b"same-origin" | b"none"),
                name => !is_forwarded(name),
            })
    }

    pub(super) fn has_token(&self, headers: &HeaderMap) -> bool {
        only(headers, TOKEN).is_some_and(|token| self.token.is(token.as_bytes()))
    }
}

/// The value of a header; `None` if the header is repeated.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests;
