//! The HTTP client for one destination.
//!
//! Redirects are not followed, a written request is never sent again, loopback bypasses the environment's proxies, and
//! connections are reused only with `keep_alive`.

use std::env;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use http_body_util::Full;
use hyper::Uri;
use hyper::http::uri::PathAndQuery;
use hyper_util::client::proxy::matcher::Matcher;
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;

use super::connect::Connector;
use super::destination::Destination;
use super::headers;
use super::http1::{self, Connection, Limits, Outgoing};
use super::proxied::Proxied;
use super::secret::masked_url;
use super::{Failure, FailureKind, Phase, Request, Response, header};
use crate::error::Error;

/// Limit of a response's body in bytes; the client does not read further.
pub const MAX_RESPONSE_BODY: usize = 64 * 1024;

pub(super) const LIMITS: Limits = Limits {
    body: MAX_RESPONSE_BODY,
    redirects: false,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// The time limit of a request, from resolving the host to the response's last byte.
    pub timeout: Duration,
    /// The time limit of a connection attempt, from resolving the host to the end of the TLS handshake.
    pub connect_timeout: Duration,
    pub insecure: bool,
    /// The certificates to trust in addition to the system's.
    pub certificates: Vec<CertificateDer<'static>>,
    pub keep_alive: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            insecure: false,
            certificates: Vec::new(),
            keep_alive: false,
        }
    }
}

#[derive(Clone)]
pub struct Client {
    connector: Connector,
    /// The reqwest client that replaces the connector if the environment names a proxy.
    proxied: Option<Arc<Proxied>>,
    timeout: Duration,
    keep_alive: bool,
    pool: Arc<Mutex<Pool>>,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    /// Set if the peer has closed a connection after a response without `Connection: close`. No connection is kept for
    /// reuse from then on.
    peer_closes: bool,
}

impl Client {
    /// Makes a client for one destination. Certificates are parsed only if the destination is https.
    pub fn new(destination: &Destination, options: &ClientOptions) -> Result<Self, Error> {
        let proxy = proxy_in_use(destination);
        let proxied = proxy.map(|proxy| Proxied::new(destination, options, proxy));
        Ok(Self {
            connector: Connector::new(destination, options)?,
            proxied: proxied.transpose()?.map(Arc::new),
            timeout: options.timeout,
            keep_alive: options.keep_alive,
            pool: Arc::default(),
        })
    }

    /// Sends a request once and reads its response.
    ///
    /// The request target is sent as typed. Missing default headers and a correct `Content-Length` are added. If a
    /// reused connection ends before the request is written, the request is sent on a new connection.
    pub async fn send(&self, request: &Request) -> Result<Response, Failure> {
        match &self.proxied {
            Some(proxied) => Box::pin(proxied.send(request)).await,
            None => self.send_directly(request).await,
        }
    }

    async fn send_directly(&self, request: &Request) -> Result<Response, Failure> {
        let deadline = Instant::now() + self.timeout;
        let destination = &self.connector.destination;
        let fail = |error: http1::Error| error.into_failure(Phase::Send, self.timeout, destination);
        let mut outgoing = self.outgoing(request)?;
        let kept = self.pool().idle.pop();
        if let Some(mut connection) = kept {
            let is_first_reuse = connection.responses == 1;
            if connection.is_open().await {
                let sent = connection.send(outgoing, destination, LIMITS, deadline);
                match sent.await {
                    Ok(response) => return Ok(self.keep(connection, response)),
                    Err(http1::Error::NotSent(back)) => outgoing = *back,
                    Err(error) => {
                        let failure = fail(error);
                        let is_closed = failure.kind == FailureKind::Closed;
                        self.pool().peer_closes |= is_first_reuse && is_closed;
                        return Err(on_kept(failure));
                    }
                }
            }
            if is_first_reuse {
                self.pool().peer_closes = true;
            }
        }
        // The future is boxed: as the largest part of a worker's future, it would spread the rest over more cache lines.
        let mut connection = Box::pin(self.open()).await?;
        let sent = connection.send(outgoing, destination, LIMITS, deadline);
        let response = sent.await.map_err(fail)?;
        Ok(self.keep(connection, response))
    }

    /// Sends copies of a request as [`race`] does, without a proxy.
    pub async fn race(
        &self,
        request: &Request,
        copies: usize,
    ) -> Vec<(Result<Response, Failure>, Duration)> {
        let outgoing = match self.outgoing(request) {
            Ok(outgoing) => outgoing,
            Err(failure) => return vec![(Err(failure), Duration::ZERO); copies],
        };
        let send = |mut connection: Connection| {
            let outgoing = outgoing.clone();
            async move {
                let (limit, destination) = (self.timeout, &self.connector.destination);
                let deadline = Instant::now() + limit;
                let sent = connection.send(outgoing, destination, LIMITS, deadline);
                let fail =
                    |error: http1::Error| error.into_failure(Phase::Send, limit, destination);
                sent.await.map_err(fail)
            }
        };
        race(copies, || self.open(), send).await
    }

    async fn open(&self) -> Result<Connection, Failure> {
        let stream = self.connector.connect().await?;
        Connection::new(stream, &self.connector.destination).await
    }

    fn keep(&self, connection: Connection, response: Response) -> Response {
        let connection_header = header(&response.headers, "connection").unwrap_or_default();
        let says_close = connection_header.to_ascii_lowercase().contains("close");
        if self.keep_alive && response.complete && !says_close {
            let mut pool = self.pool();
            if !pool.peer_closes {
                pool.idle.push(connection);
            }
        }
        response
    }

    fn outgoing(&self, request: &Request) -> Result<Outgoing, Failure> {
        let destination = &self.connector.destination;
        let (method, headers) = headers::parsed(request, destination, self.keep_alive)?;
        let is_exact = |uri: &Uri| {
            let typed = uri.path_and_query().map(PathAndQuery::as_str);
            request.target.starts_with('/') && typed == Some(&request.target)
        };
        let uri = request.target.parse().ok().filter(is_exact);
        let unsendable = "the request target is not a path, or has characters that a request line cannot contain";
        let mut outgoing = Outgoing::new(Full::new(request.body.0.clone()));
        *outgoing.method_mut() = method;
        *outgoing.uri_mut() = uri.ok_or_else(|| Failure::cannot_be_sent(unsendable))?;
        *outgoing.headers_mut() = headers;
        Ok(outgoing)
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // Every change of the connection pool is a single step, so a poisoned pool is still consistent.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a connection for each copy of a request, then sends all copies at once. The returned durations count from the
/// moment of sending.
pub(super) async fn race<C, O, S>(
    copies: usize,
    open: impl Fn() -> O,
    send: impl Fn(C) -> S,
) -> Vec<(Result<Response, Failure>, Duration)>
where
    O: Future<Output = Result<C, Failure>>,
    S: Future<Output = Result<Response, Failure>>,
{
    let open = join_all((0..copies).map(|_| open())).await;
    let released = Instant::now();
    let racing = open.into_iter().map(async |connection| {
        let result = match connection {
            Ok(connection) => send(connection).await,
            Err(failure) => Err(failure),
        };
        (result, released.elapsed())
    });
    join_all(racing).await
}

/// Changes the kind of a failure on a reused connection: without any response byte, the peer may have closed the
/// connection before the request arrived.
fn on_kept(failure: Failure) -> Failure {
    if failure.kind != FailureKind::Closed || failure.phase == Phase::Read {
        return failure;
    }
    Failure {
        kind: FailureKind::KeptConnectionClosed,
        text: format!("{} (on a reused connection)", failure.text),
        hint: None,
        ..failure
    }
}

/// The proxy for a destination from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, with its secrets masked.
/// Loopback destinations have no proxy.
pub fn proxy_in_use(destination: &Destination) -> Option<String> {
    let excluded = env::var("NO_PROXY").or_else(|_| env::var("no_proxy"));
    let excluded = excluded.unwrap_or_default();
    proxy_among(&Matcher::from_env(), &excluded, destination)
}

fn proxy_among(environment: &Matcher, excluded: &str, destination: &Destination) -> Option<String> {
    let place = destination.place();
    // `Matcher` applies `*` to host names only, and ignores entries with a port.
    let excludes = |entry: &str| entry == "*" || entry.eq_ignore_ascii_case(&place);
    if destination.is_loopback() || excluded.split(',').map(str::trim).any(excludes) {
        return None;
    }
    let proxy = environment.intercept(&destination.url.as_str().parse().ok()?)?;
    Some(masked_url(proxy.uri().to_string().trim_end_matches('/')))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(in crate::net) mod tls_tests;
