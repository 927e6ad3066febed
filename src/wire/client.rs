//! Carries one request to one destination, hiding nothing. The only room that knows reqwest.
//!
//! In: a [`Destination`], [`ClientOptions`] and [`Request`]s. Out: a [`Response`] as it came, or a [`Failure`] that
//! says how far the request got. What a friendly client does behind one's back is turned off: redirects are
//! not followed, nothing is sent twice, no environment proxy stands between a machine and itself, and no connection
//! is used again unless asked.

mod destination;
mod lookup;
mod plain;
mod progress;
mod proper;
mod trouble;
mod trust;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::{HeaderName, HeaderValue};
use rustls::ClientConfig;

use super::secret::masked_url;
use super::{Failure, FailureKind, Header, Phase, Request, Response};
use crate::error::Error;
use plain::Lane;
use progress::Progress;
use proper::Proper;

pub use destination::Destination;
pub(in crate::wire) use lookup::{addresses, connect};
pub(in crate::wire) use trouble::{
    explain, hung_up, no_answer, not_http, too_slow, unless_redirect,
};
pub(in crate::wire) use trust::tls;

/// As much of an answer's body as is read: enough for any webhook's answer, harmless if there is no end to it.
pub const MOST_OF_A_RESPONSE: usize = 64 * 1024;

/// How the client announces itself.
pub const USER_AGENT: &str = concat!("telecmi-cdr/", env!("CARGO_PKG_VERSION"));

/// What a request says whose connection is not used again, as RFC 9112 (9.6) wants it. The peer then closes it first,
/// and so the port is ours again at once; else a burst would run out of ports.
const LAST_REQUEST: (&str, &str) = ("connection", "close");

/// How requests are carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// How long everything together may take, from looking up the host to the answer's last byte.
    pub timeout: Duration,
    /// How long it may take until there is a connection, TLS included.
    pub connect_timeout: Duration,
    /// Whether to believe every certificate.
    pub insecure: bool,
    /// Certificates in PEM form to trust beside the system's.
    pub cacert_pem: Option<Vec<u8>>,
    /// Whether to use connections again.
    pub keep_alive: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            insecure: false,
            cacert_pem: None,
            keep_alive: false,
        }
    }
}

/// Carries requests to one destination. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    /// The short way, if there is one.
    lane: Option<Arc<Lane>>,
    /// The long way. Where there is a short one it is made when it is first needed.
    proper: Arc<OnceLock<Proper>>,
    /// Whom to believe, if that matters.
    tls: Option<ClientConfig>,
    options: ClientOptions,
    destination: Destination,
}

impl Client {
    /// A client for one destination. Certificates are only read if it needs them.
    pub fn new(destination: &Destination, options: &ClientOptions) -> Result<Self, Error> {
        let proxy = proxy_in_use(destination);
        let proxy_speaks_tls = proxy
            .as_ref()
            .is_some_and(|proxy| proxy.starts_with("https:"));
        let needs_tls = destination.is_tls() || proxy_speaks_tls;
        let client = Self {
            lane: if proxy.is_none() {
                Lane::to(destination, options).map(Arc::new)
            } else {
                None
            },
            proper: Arc::default(),
            tls: if needs_tls {
                Some(trust::tls(options)?)
            } else {
                None
            },
            options: options.clone(),
            destination: destination.clone(),
        };
        if client.lane.is_none() {
            client.proper()?;
        }
        Ok(client)
    }

    /// The same client with connections of its own, for another thread.
    #[must_use]
    pub fn separate(&self) -> Self {
        let lane = self
            .lane
            .as_ref()
            .and_then(|_| Lane::to(&self.destination, &self.options));
        Self {
            lane: lane.map(Arc::new),
            proper: Arc::default(),
            ..self.clone()
        }
    }

    /// Sends a request once and reads its answer.
    ///
    /// Headers go as they are. `Host`, `User-Agent` and `Accept` are added where they are missing, the destination's
    /// `Authorization` and, unless connections are kept alive, `Connection: close` too, and `Content-Length` always says
    /// the truth. A target that the URL standard would rewrite fails instead of being sent differently; [`super::raw`] can
    /// send it.
    pub async fn carry(&self, request: &Request) -> Result<Response, Failure> {
        let response = match &self.lane {
            Some(lane) if Lane::takes(request) => lane.carry(request).await?,
            _ => {
                let proper = self
                    .proper()
                    .map_err(|error| cannot_be_sent(&error.to_string()))?;
                // It needs much room, which the short way is not to carry about.
                Box::pin(proper.carry(request)).await?
            }
        };
        unless_redirect(response)
    }

    /// Whether a request can be sent as it is; if not, the failure that [`Self::carry`] would end in.
    pub fn check(&self, request: &Request) -> Result<(), Failure> {
        if let Some(lane) = self.lane.as_ref().filter(|_| Lane::takes(request)) {
            return lane.check(request).map_err(|text| cannot_be_sent(&text));
        }
        let proper = self
            .proper()
            .map_err(|error| cannot_be_sent(&error.to_string()))?;
        proper
            .prepared(request, &Progress::new(!request.body.is_empty()))
            .map(drop)
    }

    /// The long way.
    fn proper(&self) -> Result<&Proper, Error> {
        if let Some(proper) = self.proper.get() {
            return Ok(proper);
        }
        let tls = self.tls.clone().map_or_else(trust::no_tls, Ok)?;
        let proxied = proxy_in_use(&self.destination).is_some();
        let proper = Proper::new(&self.destination, &self.options, tls, proxied)?;
        Ok(self.proper.get_or_init(|| proper))
    }
}

/// Whether a request says how long its body is: if it has one, if its method leads one to expect one, or if it says so
/// itself, rightly or not.
fn states_length(request: &Request) -> bool {
    matches!(&*request.method, "POST" | "PUT" | "PATCH")
        || !request.body.is_empty()
        || request
            .headers
            .iter()
            .any(|header| header.is("content-length"))
}

/// A peer's hanging up, on a connection that an earlier request had opened: then it need not be this one's fault.
fn on_kept(mut failure: Failure) -> Failure {
    failure.text.push_str(" (a connection kept alive)");
    failure
}

/// The failure of a request that cannot be sent as it is.
fn cannot_be_sent(text: &str) -> Failure {
    trouble::failure(Phase::Send, FailureKind::Other, text)
}

/// The proxy from the environment through which a destination is reached, with its secrets masked.
///
/// It follows `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. Loopback is never reached through one.
#[must_use]
pub fn proxy_in_use(destination: &Destination) -> Option<String> {
    proxy_among(&Matcher::from_env(), destination)
}

/// The proxy that an environment names for a destination.
fn proxy_among(environment: &Matcher, destination: &Destination) -> Option<String> {
    if destination.is_loopback() {
        return None;
    }
    let proxy = environment.intercept(&destination.url().as_str().parse().ok()?)?;
    Some(masked_url(proxy.uri().to_string().trim_end_matches('/')))
}

/// One header in reqwest's terms, or what is wrong with it.
fn field(header: &Header) -> Result<(HeaderName, HeaderValue), String> {
    let shown = crate::untrusted::clean(&header.name);
    let name = HeaderName::from_bytes(header.name.as_bytes())
        .map_err(|_| format!("the header name {shown:?} is no valid one"))?;
    let value = HeaderValue::from_bytes(&header.value)
        .map_err(|_| format!("the value of the header {shown} cannot be sent"))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(in crate::wire) mod tls_tests;
