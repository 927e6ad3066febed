//! The inspector: an HTTP server on its own loopback port, with a page that shows the exchanges of a listener.
//!
//! Serves the page, an event stream of exchanges, downloads, and the handler's response to an exchange that is sent
//! again, and changes what the listener answers. [`access`] checks the client, `routes` picks the handler. No request
//! reads or writes a file.

pub mod access;
mod routes;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use warp::Reply;
use warp::reply::with_header;
use warp::sse::Event;

use self::access::{Access, Token};
use self::routes::Number;
use super::event::Event::Note;
use super::forward::Forward;
use super::history::{self, Entry, Extent, History, Subscription, Update};
use super::recorder::Tell;
use super::respond::ResponsePolicy;
use super::server::{self, Limits, Server};
use crate::clock::Clock;
use crate::exchange::CapturedRequest;
use crate::ndjson;
use crate::net::secret::{masked_request, masked_url};
use crate::net::{Request, Response, end_to_end, export};
use crate::parse;
use crate::untrusted::beginning;

const MAX_STREAMS: usize = 32;

const MAX_RESENDS: usize = 8;

pub struct About {
    pub url: String,
    pub public_url: Option<String>,
    pub forward: Option<Forward>,
    pub policy: watch::Sender<ResponsePolicy>,
    pub tell: Tell,
}

/// An edited text replaces the query of a GET, or the body of another request.
#[derive(Default, Deserialize)]
struct Resend {
    edited: Option<String>,
}

#[derive(Deserialize)]
struct NewAnswer {
    status: String,
    body: String,
}

struct Inspector {
    access: Access,
    about: About,
    history: Arc<History>,
    streams: Arc<Semaphore>,
    resends: Semaphore,
    closed: CancellationToken,
}

pub fn url(address: SocketAddr, token: &Token) -> String {
    format!("http://{address}/#{}", token.reveal())
}

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
    let reply = server::Reply::new(not_found(), None);
    let server = Server {
        limits,
        clock,
        routes: Some(routes::routes(&Arc::new(inspector))),
        handler: Box::new(move |_| ready(reply.clone()).boxed()),
        on_error: Box::new(|_, _| ()),
        stop: closed,
        is_full: AtomicBool::new(false),
    };
    server.serve(listener).await;
}

/// With `half_close` off, the event stream of a disconnected client ends at once.
pub fn limits() -> Limits {
    Limits {
        half_close: false,
        connections: 128,
        grace: Duration::from_millis(500),
        ..Limits::default()
    }
}

impl Inspector {
    /// `/api/events` sends `hello`, then the exchanges with a number above `seen`. With `wait=0` in the query the event
    /// stream ends after the newest exchange.
    fn events(
        self: Arc<Self>,
        seen: Option<Number>,
        mut query: HashMap<String, String>,
    ) -> Result<impl Reply, Response> {
        let follow = match query.remove("wait").as_deref() {
            None => true,
            Some("0") => false,
            Some(_) => return Err(Response::plain(400, "wait takes 0\n")),
        };
        let permit = Arc::clone(&self.streams).try_acquire_owned();
        let text = format!("{MAX_STREAMS} pages are open already: close one and try again\n");
        let permit = permit.map_err(|_| busy(text))?;
        let subscription = self.history.subscribe(seen.map_or(0, |Number(n)| n));
        let forward = self.about.forward.as_ref();
        let mut answers = self.about.policy.subscribe();
        let mut hello = json!({
            "v": ndjson::VERSION,
            "version": env!("CARGO_PKG_VERSION"),
            "url": self.about.url,
            "public_url": self.about.public_url,
            "answer": answer(&answers.borrow_and_update()),
            "forward": forward.map(|forward| &forward.destination.masked),
            "newest": subscription.extent.newest,
            "oldest_kept": subscription.extent.oldest_kept,
            "most_exchanges": self.history.max_exchanges,
            "most_bytes": self.history.max_bytes,
        });
        let members = hello.as_object_mut().into_iter();
        members.for_each(|members| members.retain(|_, value| !value.is_null()));
        let hello = ndjson::safe_json(&hello);
        let events = updates(subscription, answers, follow, permit);
        let events = stream::iter([event("hello", &hello)]).chain(events);
        let kept_alive = warp::sse::keep_alive().text(" still there");
        let events = kept_alive.stream(events.map(Ok::<_, Infallible>));
        Ok(warp::sse::reply(events))
    }

    fn capture(self: Arc<Self>) -> impl Reply {
        let records = self.history.all().into_iter();
        let records = records.map(|kept| Ok::<_, Infallible>(kept.record.clone()));
        let reply = warp::reply::stream(stream::iter(records));
        let reply = with_header(reply, "content-type", "application/x-ndjson");
        attached(reply, "capture.ndjson")
    }

    fn body(self: Arc<Self>, Number(n): Number) -> Result<impl Reply, Response> {
        let kept = self.kept(n)?;
        let line = str::from_utf8(&kept.record).unwrap_or_default();
        let saved = CapturedRequest::read(line).ok().flatten();
        let body = saved.map(|saved| saved.request.body.0).unwrap_or_default();
        let reply = file("application/octet-stream", body);
        Ok(attached(reply, &format!("exchange-{n}.bin")))
    }

    fn curl(self: Arc<Self>, Number(n): Number) -> Result<Response, Response> {
        let kept = self.kept(n)?;
        whole(&kept.request)?;
        // curl writes the hop-by-hop headers itself, so the generated command leaves them out.
        let request = Request {
            headers: end_to_end(&kept.request.headers),
            ..kept.request.clone()
        };
        let command = export::curl(&masked_request(&request), &self.about.url, &["-i"], true);
        Ok(Response::plain(200, command + "\n"))
    }

    /// Sends a kept request to the handler again, and responds with the result as JSON.
    async fn resend(self: Arc<Self>, Number(n): Number, body: Bytes) -> Result<Response, Response> {
        let Resend { edited: edit } = match &*body {
            [] => Resend::default(),
            body => read(body)?,
        };
        let kept = self.kept(n)?;
        let text = "no handler is set: start the listener with --forward-to URL\n";
        let forward = self.about.forward.as_ref();
        let forward = forward.ok_or_else(|| Response::plain(409, text))?;
        whole(&kept.request)?;
        if !Forward::accepts(&kept.request) {
            return Err(Response::plain(
                409,
                "requests of this kind are not forwarded\n",
            ));
        }
        let request = match edit {
            None => kept.request.clone(),
            Some(text) => edited(&kept.request, text)?,
        };
        let text = format!("{MAX_RESENDS} requests are being sent already: try again later\n");
        let _permit = self.resends.try_acquire().map_err(|_| busy(text))?;
        let (_, mut forwarded) = forward.send(&request, &self.closed).await;
        history::decode(&mut forwarded);
        Ok(file("application/json", ndjson::safe_json(&forwarded)))
    }

    /// Changes the answer to valid requests.
    fn answer(self: Arc<Self>, body: &Bytes) -> Result<Response, Response> {
        let NewAnswer { status, body } = read(body)?;
        let status = parse::status(&status).map_err(|why| Response::plain(400, why + "\n"))?;
        let note = format!("answering {status} {}", beginning(&body, 60));
        self.about.policy.send_modify(|policy| {
            policy.status = status;
            policy.body = body.into();
        });
        (self.about.tell)(Note(note));
        Ok(Response::new(204, Vec::new(), ""))
    }

    fn kept(&self, n: u64) -> Result<Arc<Entry>, Response> {
        self.history.get(n).ok_or_else(not_found)
    }
}

/// Turns updates of the history and changes of the answer into server-sent events until the listener finishes or,
/// without `follow`, until no update is ready. The event stream holds one of the permits that limit the number of open
/// streams.
fn updates(
    subscription: Subscription,
    answers: watch::Receiver<ResponsePolicy>,
    follow: bool,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Event> {
    let state = Some((subscription, answers, permit));
    stream::unfold(state, move |state| async move {
        let (mut subscription, mut answers, permit) = state?;
        let update = if answers.has_changed().unwrap_or_default() {
            None
        } else if follow {
            tokio::select! {
                update = subscription.next() => Some(update),
                Ok(()) = answers.changed() => None,
            }
        } else {
            Some(subscription.poll()?)
        };
        let event = match update {
            None => {
                let answer = answer(&answers.borrow_and_update());
                event("answer", &ndjson::safe_json(&answer))
            }
            Some(Update::Finished) => return Some((event("end", "{}"), None)),
            Some(Update::Exchange(kept)) => {
                event("exchange", &kept.shown).id(format!(" {}", kept.n))
            }
            Some(Update::Forgotten(Extent { oldest_kept, .. })) => {
                event("forgotten", &format!("{{\"oldest_kept\":{oldest_kept}}}"))
            }
        };
        Some((event, Some((subscription, answers, permit))))
    })
}

fn answer(policy: &ResponsePolicy) -> Value {
    json!({"status": policy.status, "body": String::from_utf8_lossy(&policy.body)})
}

/// Event lines get a space after each colon, as most servers write them. `data` must be one line of JSON with escaped
/// line breaks, so that received text cannot inject an event.
fn event(name: &str, data: &str) -> Event {
    let event = Event::default().event(format!(" {name}"));
    event.data(format!(" {data}"))
}

impl Reply for Response {
    fn into_response(self) -> warp::reply::Response {
        server::to_http(self, false).map(Into::into)
    }
}

fn not_found() -> Response {
    Response::plain(
        404,
        "not found: the exchange does not exist, or is no longer kept\n",
    )
}

/// Refuses a kept request with an incomplete body, since a resend would differ from the original.
fn whole(request: &Request) -> Result<(), Response> {
    let text = "the body of the request is incomplete, or was too large to keep\n";
    let refusal = || Response::plain(409, text);
    request.complete.then_some(()).ok_or_else(refusal)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Response> {
    serde_json::from_slice(body).map_err(|error| Response::plain(400, format!("{error}\n")))
}

/// Replaces the query of a GET, or the body of another request. A parameter that the page shows as `name=***` keeps its
/// received value.
fn edited(request: &Request, text: String) -> Result<Request, Response> {
    let Request {
        method,
        target,
        headers,
        ..
    } = request;
    if method != "GET" {
        return Ok(Request::new(method, &**target, headers.clone(), text));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let why = "a query has neither spaces nor characters outside ASCII: percent-encode them\n";
        return Err(Response::plain(400, why));
    }
    let received = request.query().unwrap_or_default().split('&');
    let pairs = text.split('&').map(|pair| {
        let is_masked = |received: &&str| masked_url(&format!("?{received}"))[1..] == *pair;
        received.clone().find(is_masked).unwrap_or(pair)
    });
    let pairs = pairs.collect::<Vec<_>>();
    let target = format!("{}?{}", request.path(), pairs.join("&"));
    let body = request.body.0.clone();
    Ok(Request::new(method, target, headers.clone(), body))
}

fn busy(text: String) -> Response {
    Response::plain(503, text).with("retry-after", "1")
}

fn attached<T: Reply>(reply: T, name: &str) -> impl Reply + use<T> {
    let disposition = format!("attachment; filename=\"{name}\"");
    with_header(reply, "content-disposition", disposition)
}

fn file(content_type: &'static str, bytes: impl Into<Bytes>) -> Response {
    Response::new(200, Vec::new(), bytes).with("content-type", content_type)
}

#[cfg(test)]
mod tests;
