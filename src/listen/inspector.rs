//! The inspector: a page on its own loopback port, which shows what arrives.
//!
//! In: a bound listener and a [`History`]. Out: the page, the stream of exchanges that it shows, what is kept for download, and
//! the answer of a handler to whom an exchange is sent again. [`access`] says who may see what; the rest of the world is let in at the
//! receiver's own port, and nobody but the person at this machine here. Nothing here touches the disk.

pub mod access;
pub mod assets;
mod sse;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::access::{Access, Refusal, Token, Wanted};
use super::forward::Forward;
use super::history::{Entry, History};
use super::server::{self, Flow, IncomingRequest, Limits, Reply};
use crate::clock::Clock;
use crate::exchange::CapturedRequest;
use crate::ndjson;
use crate::wire::export::curl_to;
use crate::wire::hop::end_to_end;
use crate::wire::{Header, Request, Response};

/// How many streams there may be at once.
const MOST_STREAMS: usize = 32;

/// How many exchanges may be under way to the handler once more.
const MOST_RESENDS: usize = 8;

/// How many connections are held.
const MOST_CONNECTIONS: usize = 128;

/// How long a stream's last words may take.
const GRACE: Duration = Duration::from_millis(500);

/// What every answer carries. Scripts and styles are files of ours and nothing else is loaded, framed, sent or shared.
const SAFETY: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// What the page is about.
#[derive(Debug, Clone)]
pub struct About {
    /// Where the listener listens.
    pub url: String,
    /// Where the rest of the world can send to.
    pub public_url: Option<String>,
    /// The handler that requests are passed on to.
    pub forward: Option<Forward>,
}

/// See the module.
pub struct Inspector {
    rules: Access,
    about: About,
    history: Arc<History>,
    /// A permit for every stream.
    streams: Arc<Semaphore>,
    /// A permit for every exchange under way to the handler.
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

/// The page's address for a person, the token included.
#[must_use]
pub fn url(address: SocketAddr, token: &Token) -> String {
    format!("http://{address}/#{}", token.reveal())
}

/// Serves the page until `closed` is cancelled, and whoever still reads then has had a moment.
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
    let inspector = Arc::new(Inspector {
        rules: Access { port, token },
        about,
        history,
        streams: Arc::new(Semaphore::new(MOST_STREAMS)),
        resends: Semaphore::new(MOST_RESENDS),
        closed: closed.clone(),
    });
    let answer = move |incoming| Arc::clone(&inspector).answer(incoming);
    // Whoever opens connections here and says nothing of use is a browser, or does no harm.
    let mishap = |_, _| ();
    server::serve(listener, limits, clock, answer, mishap, closed).await;
}

/// What the inspector's visitors may cost: none has a body to send, the stream of whoever has gone ends at once, and one
/// person keeps one thread busy at the most.
#[must_use]
pub fn limits() -> Limits {
    let connections = MOST_CONNECTIONS;
    Limits {
        max_body: 0,
        half_close: false,
        connections,
        threads: Some(1),
        grace: GRACE,
        ..Limits::default()
    }
}

impl Inspector {
    async fn answer(self: Arc<Self>, incoming: IncomingRequest) -> Reply {
        let wanted = match self.rules.judge(&incoming.request) {
            Ok(wanted) => wanted,
            Err(refusal) => return Reply::Respond(safe(refused(refusal))),
        };
        if let Some(error) = incoming.error {
            return respond(Response::plain(error.status(), format!("{error}\n")));
        }
        match wanted {
            Wanted::Asset(part) => respond(file(part.kind, part.text)),
            Wanted::Events { seen, wait } => self.events(seen, wait),
            Wanted::Capture => self.capture(),
            Wanted::Body(n) => respond(self.kept(n).map_or_else(unknown, |kept| body(&kept))),
            Wanted::Curl(n) => respond(
                self.kept(n)
                    .map_or_else(unknown, |kept| self.curl(&kept.request)),
            ),
            Wanted::Resend(n) => match self.kept(n) {
                Some(kept) => respond(self.resend(&kept.request).await),
                None => respond(unknown()),
            },
        }
    }

    fn kept(&self, n: u64) -> Option<Arc<Entry>> {
        self.history.get(n)
    }

    /// The exchanges, as they come.
    fn events(&self, seen: u64, wait: Option<Duration>) -> Reply {
        let Ok(place) = Arc::clone(&self.streams).try_acquire_owned() else {
            let text =
                format!("{MOST_STREAMS} streams are open already: close a page and try again\n");
            return respond(busy(text));
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
        let flow = Flow::new(sse::events(&hello, subscription, wait, place));
        Reply::Stream(safe(file("text/event-stream", "")), flow)
    }

    /// All that is kept, as it is saved.
    fn capture(&self) -> Reply {
        let records: Vec<Bytes> = self
            .history
            .all()
            .iter()
            .map(|kept| kept.record.clone())
            .collect();
        let head = download("application/x-ndjson", "capture.ndjson", Bytes::new());
        Reply::Stream(safe(head), Flow::new(stream::iter(records)))
    }

    /// The command that sends a request to the listener again.
    fn curl(&self, request: &Request) -> Response {
        if !request.complete {
            return not_whole();
        }
        // curl sees to what belongs to the connection.
        let request = Request {
            headers: end_to_end(&request.headers),
            ..request.clone()
        };
        Response::plain(
            200,
            curl_to(&request, &self.about.url, &["-i"], true) + "\n",
        )
    }

    /// Passes a request on to the handler once more, and tells what came of it.
    async fn resend(&self, request: &Request) -> Response {
        let Some(forward) = &self.about.forward else {
            return Response::plain(
                409,
                "there is no handler to send it to: start with --forward-to URL\n",
            );
        };
        if !request.complete {
            return not_whole();
        }
        if !request.target.starts_with('/') || request.method == "TRACE" {
            return Response::plain(409, "such a request is not passed on\n");
        }
        let Ok(_under_way) = self.resends.try_acquire() else {
            return busy(format!("{MOST_RESENDS} are under way already: try again\n"));
        };
        let passed = forward.pass(request, &self.closed).await;
        file("application/json", ndjson::safe_json(&passed.forwarded))
    }
}

/// What is told of a refusal. That somebody may not come in is all that those learn who may not.
fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Forbidden => Response::new(403, Vec::new(), ""),
        Refusal::Unknown => unknown(),
        Refusal::Method(method) => Response::new(405, vec![Header::new("allow", method)], ""),
        Refusal::Senseless(why) => Response::plain(400, format!("{why}\n")),
    }
}

/// The answer to a question for what is not kept, or never was.
fn unknown() -> Response {
    Response::plain(404, "not found: it never was, or is kept no longer\n")
}

/// The answer when something was cut, so that another request would be made of it.
fn not_whole() -> Response {
    Response::plain(
        409,
        "its body did not come whole, or was too large to keep\n",
    )
}

/// The answer to one too many.
fn busy(text: String) -> Response {
    let mut response = Response::plain(503, text);
    response.headers.push(Header::new("retry-after", "1"));
    response
}

/// The body of an exchange's request, as it is saved.
fn body(kept: &Entry) -> Response {
    let saved = std::str::from_utf8(&kept.record)
        .ok()
        .and_then(|line| CapturedRequest::read(line).ok().flatten());
    let bytes = saved.map(|saved| saved.request.body.0).unwrap_or_default();
    download(
        "application/octet-stream",
        &format!("exchange-{}.bin", kept.n),
        bytes,
    )
}

/// Something to be saved and not shown.
fn download(kind: &str, name: &str, bytes: Bytes) -> Response {
    let mut response = file(kind, bytes);
    response.headers.push(Header::new(
        "content-disposition",
        format!("attachment; filename=\"{name}\""),
    ));
    response
}

fn file(kind: &str, bytes: impl Into<Bytes>) -> Response {
    Response::new(200, vec![Header::new("content-type", kind)], bytes)
}

fn respond(response: Response) -> Reply {
    Reply::Respond(safe(response))
}

/// An answer as a browser may be given it.
fn safe(mut response: Response) -> Response {
    response
        .headers
        .extend(SAFETY.map(|(name, value)| Header::new(name, value)));
    response
}

#[cfg(test)]
mod tests;
