//! Serves one connection: hyper reads requests, warp routes them, and the one route of the receiver hands each to the
//! handler.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_util::Stream;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower::Service as _;
use warp::Filter as _;
use warp::filters::BoxedFilter;
use warp::http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use warp::http::{HeaderName, HeaderValue, StatusCode, Uri};

use super::body::{self, PartialBody};
use super::close::{NonHttpReply, conclude};
use super::connection::{Connection, Phase, TrackedStream};
use super::head::Head;
use super::{ConnectionError, IncomingRequest, MAX_HEAD, Reply, RequestError, Shared};
use crate::clock::Timestamp;
use crate::net::Response;

/// hyper's read buffer: a head and what comes with it.
const READ_BUFFER: usize = 64 * 1024;

/// What warp does not know of a request: an extension of the request.
struct Received {
    connection: Arc<Connection>,
    shared: Arc<Shared>,
    at: Timestamp,
    head: Head,
}

/// Serves a connection from its first byte to its last.
pub(super) async fn serve_connection(
    stream: TcpStream,
    connection: Arc<Connection>,
    shared: Arc<Shared>,
) {
    // Failing to set the option means that the connection is gone, which shows later.
    let _ = stream.set_nodelay(true);
    let stream = TrackedStream::new(stream, Arc::clone(&connection), shared.limits.write_timeout);
    let service = service_fn(|request| route(request, &connection, &shared));
    let mut serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.header_timeout)
        .max_header_size(MAX_HEAD)
        .max_buf_size(READ_BUFFER)
        // A client that ends its side behind a request still gets the answer, and one that breaks off keeps its slot until
        // the answer has been decided, so that the number of requests being handled is bounded.
        .half_close(shared.limits.half_close)
        .serve_connection(TokioIo::new(stream), service);

    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut serving => break ended,
            () = connection.evicted() => {
                let error = connection.closing_error(ConnectionError::MadeRoom);
                return shared.report(&connection, error);
            }
            () = shared.stop.cancelled(), if !stopping => {
                stopping = true;
                std::pin::Pin::new(&mut serving).graceful_shutdown();
            }
        }
    };
    let stream = serving.into_parts().io.into_inner();
    conclude(ended, stream, &connection, &shared).await;
}

/// Has warp answer one request.
async fn route(
    mut request: hyper::Request<Incoming>,
    connection: &Arc<Connection>,
    shared: &Arc<Shared>,
) -> Result<warp::reply::Response, NonHttpReply> {
    // Every head that hyper has parsed has passed through the stream; without it the request is unknown.
    let Some(head) = connection.start_request() else {
        shared.report(connection, ConnectionError::Panicked);
        return Err(NonHttpReply(Reply::Close));
    };
    request.extensions_mut().insert(Arc::new(Received {
        connection: Arc::clone(connection),
        shared: Arc::clone(shared),
        at: shared.clock.now(),
        head,
    }));
    if !request.uri().path().starts_with('/') || request.uri().authority().is_some() {
        // warp panics on a target without a path, as CONNECT has it, and this is no proxy: only a path is routed.
        *request.uri_mut() = Uri::from_static("/*");
    }
    let Ok(mut response) = warp::service(shared.routes.clone()).call(request).await;
    if let Some(reply) = response.extensions_mut().remove::<NonHttpReply>() {
        // Until the connection ends it may be evicted as if idle.
        connection.enter(Phase::Idle);
        return Err(reply);
    }
    connection.enter(Phase::Answering);
    let mut state = connection.state();
    // A client that always has one more request would keep its slot from those that wait.
    state.last |= shared.is_full() || shared.stop.is_cancelled();
    if state.last {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Ok(response)
}

/// The receiver's route: every request, whatever its method and path.
pub(super) fn receiver() -> BoxedFilter<(warp::reply::Response,)> {
    warp::ext::get::<Arc<Received>>()
        .and(warp::body::stream())
        .then(receive)
        .boxed()
}

async fn receive(
    received: Arc<Received>,
    body: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> warp::reply::Response {
    let (head, limits) = (&received.head, &received.shared.limits);
    let limit = limits.max_body;
    let announced = head.announced();
    let body = if head.expects_continue() && announced.is_some_and(|length| length > limit) {
        // Reading would make hyper ask for the body with `100 Continue`.
        drop(body);
        PartialBody {
            error: Some(RequestError::TooLarge { limit }),
            ..PartialBody::default()
        }
    } else {
        let given_up = &received.connection.body_given_up;
        body::read(body, announced, limits, &received.shared.stop, given_up).await
    };
    received.connection.end_body();
    let error = body.error.clone().or_else(|| head.error());
    received.connection.state().last |= error.is_some();
    let incoming = IncomingRequest {
        peer: received.connection.peer,
        at: received.at,
        error,
        ambiguous_framing: head.is_ambiguous(),
        request: head.clone().with_body(body),
    };
    match (received.shared.handler)(incoming).await {
        Reply::Respond(answer) => to_http(answer, head.method == "HEAD").map(Into::into),
        other => {
            let mut response = warp::reply::Response::default();
            response.extensions_mut().insert(NonHttpReply(other));
            response
        }
    }
}

/// An answer as far as HTTP allows it.
pub(crate) fn to_http(answer: Response, is_to_head: bool) -> warp::http::Response<Bytes> {
    // hyper states the length of a body, and fails on a header that states another. An answer to HEAD has none.
    let keeps_length = is_to_head && answer.body.is_empty();
    let mut response = warp::http::Response::new(answer.body.0);
    // hyper would close the connection over a status that is no final one.
    *response.status_mut() = StatusCode::from_u16(answer.status)
        .ok()
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for header in &answer.headers {
        // A forwarded answer may carry what HTTP does not allow; the record still shows it.
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(header.name.as_bytes()),
            HeaderValue::from_maybe_shared(header.value.clone()),
        ) && name != TRANSFER_ENCODING
            && (name != CONTENT_LENGTH || keeps_length)
        {
            response.headers_mut().append(name, value);
        }
    }
    response
}
