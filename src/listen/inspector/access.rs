//! Decides from a request's headers whether the inspector answers.
//!
//! The inspector refuses requests through a tunnel, requests of other sites in the same browser under any host name
//! (DNS rebinding), and requests of other programs and users of this machine, which lack the token.

use std::future::ready;
use std::io;
use std::sync::Arc;

use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, HeaderValue};
use warp::reject::{Reject, custom};

use super::Inspector;
use crate::net::Response;
use crate::seed;

/// The token has a header of its own, since browsers add no custom header to a navigation or a form.
const TOKEN: &str = "x-inspector-token";

const HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Only proxies and tunnels add headers with these name prefixes.
const FORWARDED: &str = "akamai- cdn-loop cf- client-ip cloudfront- do-connecting-ip fastly- fly- forwarded incap- \
    ngrok- proxy-client-ip remote-addr surrogate- tailscale- true-client-ip via wl-proxy- x-akamai- x-amzn- \
    x-appengine- x-arr- x-azure- x-client-ip x-cloud-trace- x-cluster-client-ip x-envoy- x-forwarded- \
    x-ms-forwarded- x-nf- x-original- x-proxyuser- x-real-ip x-remote- x-rewrite-url x-sucuri- x-varnish x-vercel-";

#[derive(Clone)]
pub struct Token(String);

impl Token {
    pub fn fresh() -> io::Result<Self> {
        seed::secret().map(|secret| Self(format!("{secret:032x}")))
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The token is compared in constant time.
    fn is(&self, bytes: &[u8]) -> bool {
        let pairs = self.0.bytes().zip(bytes);
        let differences = pairs.fold(0, |all, (ours, theirs)| all | (ours ^ theirs));
        self.0.len() == bytes.len() && std::hint::black_box(differences) == 0
    }
}

pub struct Access {
    pub port: u16,
    pub token: Token,
}

impl Access {
    /// Returns whether a request was made on this machine and, if a web page made the request, whether that page is the
    /// inspector's.
    pub(super) fn is_local(&self, headers: &HeaderMap) -> bool {
        let Some(host) = only(headers, "host") else {
            return false;
        };
        let origin = [b"http://", host.as_bytes()].concat();
        let is_own = |name: &&str| *host == format!("{name}:{}", self.port);
        let is_forwarded = |name: &str| FORWARDED.split(' ').any(|start| name.starts_with(start));
        HOSTS.iter().any(is_own)
            && headers.iter().all(|(name, value)| match name.as_str() {
                "origin" => *value == *origin,
                // `Sec-Fetch-Site: none` means that the user opened the URL directly.
                "sec-fetch-site" => matches!(value.as_bytes(), b"same-origin" | b"none"),
                name => !is_forwarded(name),
            })
    }

    pub(super) fn has_token(&self, headers: &HeaderMap) -> bool {
        only(headers, TOKEN).is_some_and(|token| self.token.is(token.as_bytes()))
    }
}

/// Returns the value of a header, or `None` if the header is absent or repeated.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

#[derive(Debug)]
pub(super) struct Refusal(pub(super) Response);

impl Reject for Refusal {}

/// Makes a filter that refuses requests which `accepts` does not accept.
pub(super) fn check(
    inspector: &Arc<Inspector>,
    accepts: fn(&Access, &HeaderMap) -> bool,
    refusal: fn() -> Response,
) -> BoxedFilter<()> {
    let inspector = Arc::clone(inspector);
    warp::header::headers_cloned()
        .and_then(move |headers| {
            let accepted = accepts(&inspector.access, &headers).then_some(());
            ready(accepted.ok_or_else(|| custom(Refusal(refusal()))))
        })
        .untuple_one()
        .boxed()
}

pub(super) fn forbidden() -> Response {
    Response::new(403, Vec::new(), "")
}

#[cfg(test)]
mod tests;
