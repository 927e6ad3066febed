//! Carries one request to one destination, hiding nothing. The only room that knows reqwest.
//!
//! In: a [`Destination`], [`ClientOptions`] and [`Request`]s. Out: a [`Response`] as it came, or a [`Failure`] that
//! says how far the request got. What a friendly client does behind one's back is turned off: redirects are
//! not followed, nothing is sent twice, no environment proxy stands between a machine and itself, and no connection
//! is used again unless asked.

mod destination;
mod lookup;
mod progress;
mod trouble;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use tower::util::MapFutureLayer;

use super::secret::masked_url;
use super::{Failure, FailureKind, Header, Octets, Phase, Request, Response};
use crate::error::Error;
use progress::{NotedBody, Progress};
use trouble::failure;

pub use destination::Destination;
pub(in crate::wire) use lookup::addresses;
pub(in crate::wire) use trouble::{explain, hung_up, no_answer, not_http, too_slow, unless_redirect};
pub(in crate::wire) use trust::tls;

/// As much of an answer's body as is read: enough for any webhook's answer, harmless if there is no end to it.
pub const MOST_OF_A_RESPONSE: usize = 64 * 1024;

/// How the client announces itself.
pub const USER_AGENT: &str = concat!("telecmi-cdr/", env!("CARGO_PKG_VERSION"));

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
    /// The client that does the work, with everything it does unasked turned off.
    inner: reqwest::Client,
    /// Where everything goes.
    destination: Destination,
    /// How long everything together may take.
    timeout: Duration,
    /// How long connecting may take.
    connect_timeout: Duration,
}

impl Client {
    /// A client for one destination. Certificates are only read if it needs them.
    pub fn new(destination: &Destination, options: &ClientOptions) -> Result<Self, Error> {
        let proxy = proxy_in_use(destination);
        let proxy_speaks_tls = proxy.as_ref().is_some_and(|proxy| proxy.starts_with("https:"));
        let tls =
            if destination.is_tls() || proxy_speaks_tls { trust::tls(options)? } else { trust::no_tls()? };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .tcp_nodelay(true)
            .user_agent(USER_AGENT)
            .connect_timeout(options.connect_timeout)
            .dns_resolver(Arc::new(lookup::Lookup))
            .connector_layer(MapFutureLayer::new(progress::connecting))
            .pool_max_idle_per_host(if options.keep_alive { usize::MAX } else { 0 });
        if proxy.is_none() {
            builder = builder.no_proxy();
        }
        Ok(Self {
            inner: builder.build().map_err(|error| Error::Tls(error.without_url().to_string()))?,
            destination: destination.clone(),
            timeout: options.timeout,
            connect_timeout: options.connect_timeout,
        })
    }

    /// Sends a request once and reads its answer.
    ///
    /// Headers go as they are. `Host`, `User-Agent` and `Accept` are added where they are missing, the destination's
    /// `Authorization` too, and `Content-Length` always says the truth. A target that the URL standard would rewrite
    /// fails instead of being sent differently; [`super::raw`] can send it.
    pub async fn carry(&self, request: &Request) -> Result<Response, Failure> {
        let progress = Progress::new(!request.body.is_empty());
        let outgoing = self.prepared(request, &progress)?;
        let exchange = progress.follow(self.exchange(outgoing, &progress));
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(response)) => unless_redirect(response),
            Ok(Err(error)) => Err(self.explained(error, &progress)),
            Err(_) => Err(too_slow(progress.phase(), self.timeout, &self.destination)),
        }
    }

    /// Whether a request can be sent as it is; if not, the failure that [`Self::carry`] would end in.
    pub fn check(&self, request: &Request) -> Result<(), Failure> {
        self.prepared(request, &Progress::new(!request.body.is_empty())).map(drop)
    }

    /// The request in reqwest's terms, or the failure that it cannot be sent as it is.
    fn prepared(&self, request: &Request, progress: &Progress) -> Result<reqwest::Request, Failure> {
        self.outgoing(request, progress).map_err(|text| failure(Phase::Send, FailureKind::Other, text))
    }

    /// The request in reqwest's terms, or why it cannot be sent as it is.
    fn outgoing(&self, request: &Request, progress: &Progress) -> Result<reqwest::Request, String> {
        let url = self.destination.url_of(&request.target)?;
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|_| "the method is no valid one".to_owned())?;
        if method == reqwest::Method::CONNECT {
            return Err("CONNECT opens a tunnel, it cannot be sent as a request".to_owned());
        }
        let expects_body = matches!(request.method.as_str(), "POST" | "PUT" | "PATCH");
        let mut headers = header_map(&request.headers)?;
        if let Some(authorization) = self.destination.authorization() {
            let (name, value) = field(&authorization)?;
            headers.entry(name).or_insert(value);
        }
        if headers.contains_key(TRANSFER_ENCODING) {
            headers.remove(CONTENT_LENGTH);
        } else if expects_body || !request.body.is_empty() || headers.contains_key(CONTENT_LENGTH) {
            headers.insert(CONTENT_LENGTH, request.body.len().into());
        }
        let mut outgoing = reqwest::Request::new(method, url);
        *outgoing.headers_mut() = headers;
        if !request.body.is_empty() {
            let body = NotedBody::new(request.body.0.clone(), progress.clone());
            *outgoing.body_mut() = Some(reqwest::Body::wrap(body));
        }
        Ok(outgoing)
    }

    /// Sends the request and reads the answer, however long that takes.
    async fn exchange(&self, outgoing: reqwest::Request, progress: &Progress) -> reqwest::Result<Response> {
        let response = self.inner.execute(outgoing).await?;
        progress.reach(Phase::Read);
        let mut answer = Response {
            status: response.status().as_u16(),
            headers: headers_of(response.headers()),
            body: Octets::default(),
            size: 0,
            complete: true,
        };
        // A redirect is a failure whatever its body, which may be endless.
        if !trouble::redirects(&answer) {
            read_body(response, &mut answer).await?;
        }
        Ok(answer)
    }

    /// What an error of reqwest's means.
    fn explained(&self, error: reqwest::Error, progress: &Progress) -> Failure {
        let error = error.without_url();
        if error.is_connect() && error.is_timeout() {
            return too_slow(progress.phase(), self.connect_timeout, &self.destination);
        }
        let mut failure = explain(&error, progress.phase(), &self.destination);
        if failure.kind == FailureKind::Closed && progress.reuses_connection() {
            failure.text.push_str(" (a connection kept alive)");
        }
        failure
    }
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

/// Reads as much of a body as is wanted into an answer.
async fn read_body(mut response: reqwest::Response, answer: &mut Response) -> reqwest::Result<()> {
    let announced = response.content_length();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = MOST_OF_A_RESPONSE - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MOST_OF_A_RESPONSE {
            // Waiting for one more byte could take for ever; only the announced length tells without waiting.
            answer.complete = announced == Some(MOST_OF_A_RESPONSE as u64);
            break;
        }
    }
    answer.size = body.len() as u64;
    answer.body = body.into();
    Ok(())
}

/// Headers in reqwest's terms.
fn header_map(headers: &[Header]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let (name, value) = field(header)?;
        map.append(name, value);
    }
    Ok(map)
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

/// Headers in our own terms.
fn headers_of(map: &HeaderMap) -> Vec<Header> {
    map.iter()
        .map(|(name, value)| Header {
            name: name.as_str().to_owned(),
            value: value.as_bytes().to_vec().into(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(in crate::wire) mod tls_tests;
