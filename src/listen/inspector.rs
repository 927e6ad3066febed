//! The inspector: a page on its own loopback port that shows what arrives.
//!
//! In: a bound listener and a [`History`]. Out: the page, the stream of exchanges that it shows, downloads, and the handler's
//! answer to an exchange that is sent again. [`access`] decides who is answered, `routes` what. No request touches the disk.

pub mod access;
mod assets;
mod routes;
mod sse;

use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use warp::Reply as _;

use self::access::{Access, Token};
use super::forward::Forward;
use super::history::History;
use super::server::{self, Limits};
use crate::clock::Clock;
use crate::exchange::CapturedRequest;
use crate::ndjson;
use crate::net::export;

use crate::net::{Header, Request, Response, end_to_end};

/// Event streams at once.
const MAX_STREAMS: usize = 32;

/// Exchanges being sent to the handler again at once.
const MAX_RESENDS: usize = 8;

/// Connections held at once.
const MAX_CONNECTIONS: usize = 128;

/// Time for the last event of a stream.
const GRACE: Duration = Duration::from_millis(500);

/// What the page is about.
#[derive(Clone)]
pub struct About {
    /// Where the listener listens.
    pub url: String,
    /// Where the rest of the world can send to.
    pub public_url: Option<String>,
    /// The handler that requests are forwarded to.
    pub forward: Option<Forward>,
}

struct Inspector {
    access: Access,
    about: About,
    history: Arc<History>,
    /// A permit for every stream.
    streams: Arc<Semaphore>,
    /// A permit for every exchange being sent again.
    resends: Semaphore,
    /// Cancelled when the listener has to stop.
    closed: CancellationToken,
}

/// The first event of a stream.
#[derive(Serialize)]
struct Hello<'a> {
    v: u8,
    version: &'a str,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_url: Option<&'a str>,
    /// The handler's address, secrets masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    forward: Option<&'a str>,
    newest: u64,
    oldest_kept: u64,
    most_exchanges: usize,
    most_bytes: usize,
}

/// The page's address, the token included.
#[must_use]
pub fn url(address: SocketAddr, token: &Token) -> String {
    format!("http://{address}/#{}", token.reveal())
}

/// Serves the page until `closed` is cancelled, and for a moment more to clients that still read.
pub async fn serve(
    listener: TcpListener,
    token: Token,
    about: About,
    history: Arc<History>,
    limits: Limits,
    clock: Clock,
    closed: CancellationToken,
) {
    let port = listener.local_addr().map_or(0, |address| address.port());
    let inspector = Inspector {
        access: Access { port, token },
        about,
        history,
        streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        resends: Semaphore::new(MAX_RESENDS),
        closed: closed.clone(),
    };
    let routes = routes::routes(&Arc::new(inspector));
    let handler = Box::new(|_| ready(server::Reply::Close).boxed());
    let on_error = Box::new(|_, _| ());
    server::serve(listener, limits, clock, routes, handler, on_error, closed).await;
}

/// The inspector's limits. The stream of a client that has gone ends at once, so a half-closed connection is closed.
#[must_use]
pub fn limits() -> Limits {
    Limits {
        half_close: false,
        connections: MAX_CONNECTIONS,
        grace: GRACE,
        ..Limits::default()
    }
}

impl Inspector {
    /// The exchanges after `seen`, as they come.
    fn events(&self, seen: u64, wait: Option<Duration>) -> warp::reply::Response {
        let Ok(permit) = Arc::clone(&self.streams).try_acquire_owned() else {
            return respond(busy(format!(
                "{MAX_STREAMS} streams are open already: close a page and try again\n"
            )));
        };
        let (subscription, extent) = self.history.subscribe(seen);
        let most = self.history.limits();
        let hello = ndjson::safe_json(&Hello {
            v: ndjson::VERSION,
            version: env!("CARGO_PKG_VERSION"),
            url: &self.about.url,
            public_url: self.about.public_url.as_deref(),
            forward: self.about.forward.as_ref().map(Forward::url),
            newest: extent.newest,
            oldest_kept: extent.oldest_kept,
            most_exchanges: most.exchanges,
            most_bytes: most.bytes,
        });
        sse::events(&hello, subscription, wait, permit).into_response()
    }

    /// All records that are kept, as they are saved.
    fn capture(&self) -> warp::reply::Response {
        let records: Vec<Result<Bytes, std::convert::Infallible>> = (self.history.all().iter())
            .map(|kept| Ok(kept.record.clone()))
            .collect();
        let head = download("application/x-ndjson", "capture.ndjson", Bytes::new());
        let (head, _) = respond(head).into_parts();
        let body = warp::reply::stream(stream::iter(records)).into_response();
        warp::reply::Response::from_parts(head, body.into_body())
    }

    /// The body of an exchange's request, as it is saved.
    fn body(&self, n: u64) -> Response {
        let Some(kept) = self.history.get(n) else {
            return not_found();
        };
        let saved = std::str::from_utf8(&kept.record)
            .ok()
            .and_then(|line| CapturedRequest::read(line).ok().flatten());
        let bytes = saved.map(|saved| saved.request.body.0).unwrap_or_default();
        let name = format!("exchange-{n}.bin");
        download("application/octet-stream", &name, bytes)
    }

    /// The command that sends a request to the listener again.
    fn curl(&self, n: u64) -> Response {
        let Some(kept) = self.history.get(n) else {
            return not_found();
        };
        if !kept.request.complete {
            return incomplete();
        }
        // curl writes the headers of the connection itself.
        let request = Request {
            headers: end_to_end(&kept.request.headers),
            ..kept.request.clone()
        };
        let command = export::curl(&request, &self.about.url, &["-i"], true);
        Response::plain(200, command + "\n")
    }

    /// Sends a request to the handler again, and shows its answer.
    async fn resend(&self, n: u64) -> Response {
        let Some(kept) = self.history.get(n) else {
            return not_found();
        };
        let request = &kept.request;
        let Some(forward) = &self.about.forward else {
            return Response::plain(
                409,
                "there is no handler to send it to: start with --forward-to URL\n",
            );
        };
        if !request.complete {
            return incomplete();
        }
        if !Forward::accepts(request) {
            return Response::plain(409, "such a request is not passed on\n");
        }
        let Ok(_permit) = self.resends.try_acquire() else {
            return busy(format!("{MAX_RESENDS} are under way already: try again\n"));
        };
        let (_, forwarded) = forward.send(request, &self.closed).await;
        file("application/json", ndjson::safe_json(&forwarded))
    }
}

fn respond(response: Response) -> warp::reply::Response {
    server::to_http(response, false).map(Into::into)
}

fn not_found() -> Response {
    Response::plain(404, "not found: it never was, or is kept no longer\n")
}

/// The answer for a request of which only the beginning is kept: sent again it would be another.
fn incomplete() -> Response {
    Response::plain(
        409,
        "its body did not come whole, or was too large to keep\n",
    )
}

fn busy(text: String) -> Response {
    let mut response = Response::plain(503, text);
    response.headers.push(Header::new("retry-after", "1"));
    response
}

fn download(content_type: &str, name: &str, bytes: Bytes) -> Response {
    let mut response = file(content_type, bytes);
    let disposition = format!("attachment; filename=\"{name}\"");
    response
        .headers
        .push(Header::new("content-disposition", disposition));
    response
}

fn file(content_type: &str, bytes: impl Into<Bytes>) -> Response {
    Response::new(200, vec![Header::new("content-type", content_type)], bytes)
}

#[cfg(test)]
mod tests;
