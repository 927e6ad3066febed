//! Serves one connection: hyper reads requests, warp routes them, and the route of [`receiver`] calls the handler. When
//! hyper has stopped, writes replies that are not HTTP, reports errors and closes the connection.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::Stream;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tower::Service as _;
use warp::Filter as _;
use warp::filters::BoxedFilter;
use warp::http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use warp::http::{HeaderName, HeaderValue, StatusCode, Uri};

use super::connection::{Connection, Phase, State, TrackedStream};
use super::message::{PartialBody, framing, head_error};
use super::{ConnectionError, IncomingRequest, MAX_HEAD, MAX_HEADERS, Reply, RequestError};
use crate::clock::Timestamp;
use crate::listen::fault::Fault;
use crate::net::{Request, Response};

/// Limit of hyper's read buffer, which holds a head and the bytes read with the head.
const READ_BUFFER: usize = 64 * 1024;

/// After its last answer the server gives the client two seconds to close. Closing a socket with unread bytes sends a
/// reset, which may overtake the answer (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// Pause between the pieces of a slow answer. At one byte a piece, a short answer outlasts the timeout of most senders.
const SLOW_PAUSE: Duration = Duration::from_millis(100);

/// 300 pieces limit a slow answer to half a minute.
const MAX_SLOW_PIECES: usize = 300;

/// The garbage answer is not HTTP in any version: plain text would be a valid answer in HTTP/0.9.
const GARBAGE: &[u8] = b"\x00\xff\xfe this is no HTTP, and that is on purpose \x00\r\n\r\n";

pub(super) async fn serve_connection(stream: TcpStream, connection: Arc<Connection>) {
    // `set_nodelay` fails only on a closed connection, which the next read reports.
    let _ = stream.set_nodelay(true);
    let stream = TrackedStream {
        stream,
        connection: Arc::clone(&connection),
        unread: Bytes::new(),
        write_deadline: None,
    };
    let (limits, stop) = (&connection.server.limits, &connection.server.stop);
    let routes = connection.server.routes.clone();
    let routes = routes.unwrap_or_else(|| receiver(&connection));
    let mut serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .max_buf_size(READ_BUFFER)
        // With half-close a broken connection keeps its slot until its request has been handled, which bounds the
        // number of requests in the handler.
        .half_close(limits.half_close)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request| route(request, &connection, routes.clone())),
        );

    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut serving => break ended,
            () = connection.evicted() => return connection.report_closing(),
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                std::pin::Pin::new(&mut serving).graceful_shutdown();
            }
        }
    };
    let stream = serving.into_parts().io.into_inner();
    let non_http = connection.state().non_http.take();
    match non_http {
        Some(reply) => write_non_http(reply, stream, &connection).await,
        None => conclude(ended, stream, &connection).await,
    }
}

/// Answers one request through the warp routes. An error makes hyper stop without writing a byte.
async fn route(
    mut request: hyper::Request<Incoming>,
    connection: &Connection,
    routes: BoxedFilter<(warp::reply::Response,)>,
) -> Result<warp::reply::Response, io::Error> {
    let server = &connection.server;
    connection.start_request();
    if !request.uri().path().starts_with('/') || request.uri().authority().is_some() {
        // warp panics on a target without a path, such as that of CONNECT, so `/*` is routed instead.
        *request.uri_mut() = Uri::from_static("/*");
    }
    let Ok(mut response) = warp::service(routes).call(request).await;
    let mut state = connection.state();
    if state.non_http.is_some() {
        // The phase `Idle` allows the eviction of the connection while the reply is written.
        state.enter(Phase::Idle);
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    state.enter(Phase::Answering);
    // With keep-alive, a client that keeps sending requests would hold its slot while other connections wait.
    state.last |= server.is_full.load(Ordering::Relaxed) || server.stop.is_cancelled();
    if state.last {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Ok(response)
}

fn receiver(connection: &Arc<Connection>) -> BoxedFilter<(warp::reply::Response,)> {
    let connection = Arc::clone(connection);
    warp::any()
        .map(move || Arc::clone(&connection))
        .and(warp::body::stream())
        .then(receive)
        .boxed()
}

async fn receive(
    connection: Arc<Connection>,
    body: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> warp::reply::Response {
    let at = connection.server.clock.now();
    let head = connection.state().request.take();
    let head = head.expect("each head that hyper parses has passed through the stream");
    let is_to_head = head.method == "HEAD";
    let body = PartialBody::read(body, &head, &connection).await;
    connection.end_body();
    let reply = handle(&connection, at, head, body).await;
    if let None | Some(Fault::Status(_)) = reply.fault {
        return to_http(reply.response, is_to_head).map(Into::into);
    }
    connection.state().non_http = Some(reply);
    warp::reply::Response::default()
}

async fn handle(connection: &Connection, at: Timestamp, head: Request, body: PartialBody) -> Reply {
    let error = body.error.clone().or_else(|| head_error(&head));
    connection.state().last |= error.is_some();
    let incoming = IncomingRequest {
        peer: connection.peer,
        at,
        request: Request {
            size: body.size,
            complete: body.error.is_none(),
            body: body.kept.into(),
            ..head
        },
        error,
    };
    (connection.server.handler)(incoming).await
}

/// Converts an answer for hyper: invalid headers are left out, and an invalid or informational status becomes 500. After
/// a transfer coding such as `gzip`, hyper adds `chunked`.
pub(crate) fn to_http(answer: Response, is_to_head: bool) -> warp::http::Response<Bytes> {
    // hyper sets `Content-Length` and fails on a different one, but cannot know the length in a bodiless answer to
    // HEAD.
    let keeps_length = is_to_head && answer.body.is_empty();
    let mut response = warp::http::Response::new(answer.body.0);
    // hyper would close the connection at an informational status (1xx).
    let status = StatusCode::from_u16(answer.status).ok();
    let status = status.filter(|status| !status.is_informational());
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for header in &answer.headers {
        // A forwarded answer may have headers that HTTP does not allow; the record keeps them.
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(header.name.as_bytes()),
            HeaderValue::from_maybe_shared(header.value.clone()),
        ) && (name != TRANSFER_ENCODING || (!is_to_head && value != "chunked"))
            && (name != CONTENT_LENGTH || keeps_length)
        {
            response.headers_mut().append(name, value);
        }
    }
    response
}

async fn write_non_http(reply: Reply, mut stream: TrackedStream, connection: &Connection) {
    let mut rest = PartialBody::default();
    match reply.fault {
        None | Some(Fault::Status(_) | Fault::Empty) => {}
        // Closing a socket with a linger time of zero sends a reset. If setting the option fails, the close is an
        // ordinary one.
        Some(Fault::Reset) => return drop(stream.stream.set_zero_linger()),
        Some(Fault::Hang) => {
            return tokio::select! {
                () = stream.read_rest(&mut rest) => {}
                () = connection.evicted() => {}
                () = connection.server.stop.cancelled() => {}
            };
        }
        Some(Fault::Garbage) => {
            write_slowly(GARBAGE, GARBAGE.len(), &mut stream, connection).await;
        }
        Some(Fault::Slow) => {
            let bytes = serialized(reply.response);
            let piece = bytes.len().div_ceil(MAX_SLOW_PIECES);
            write_slowly(&bytes, piece, &mut stream, connection).await;
        }
    }
    linger(stream, &mut rest, connection).await;
}

/// Writes a slow answer with `piece` bytes at a time, and the rest at once when the connection is evicted or the server
/// stops.
async fn write_slowly(
    mut rest: &[u8],
    piece: usize,
    stream: &mut TrackedStream,
    connection: &Connection,
) {
    let writing = async {
        while let Ok(written) = stream.write(&rest[..piece.min(rest.len())]).await {
            rest = &rest[written..];
            if rest.is_empty() {
                break;
            }
            sleep(SLOW_PAUSE).await;
        }
    };
    unless_interrupted(connection, writing).await;
    let grace = connection.server.limits.grace;
    let _ = timeout(grace / 4, stream.write_all(rest)).await;
}

fn serialized(answer: Response) -> Vec<u8> {
    let response = to_http(answer, false);
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let body = response.body();
    if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        bytes.extend(format!("content-length: {}\r\n", body.len()).into_bytes());
    }
    bytes.extend_from_slice(b"connection: close\r\n\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// Closes a connection on which hyper has stopped, and reports its error or its malformed request.
async fn conclude(ended: hyper::Result<()>, stream: TrackedStream, connection: &Connection) {
    let at = connection.server.clock.now();
    let is_parse = ended.as_ref().is_err_and(hyper::Error::is_parse);
    let (error, request, last) = {
        let mut state = connection.state();
        let request = state.reader.request.take();
        (failure(ended, &state), request, state.last)
    };
    let malformed = match &error {
        Some(ConnectionError::Garbage(why)) => request.zip(Some(why.clone())),
        _ => None,
    };
    if let (None, Some(error)) = (&malformed, error) {
        connection.report(error);
    }
    let mut rest = PartialBody::default();
    let waits = last || is_parse || connection.server.limits.tunnelled;
    if waits && !connection.body_given_up.is_cancelled() {
        linger(stream, &mut rest, connection).await;
    }
    if let Some((head, why)) = malformed {
        let why = framing(&head).err().map_or(why, str::to_owned);
        rest.error = Some(RequestError::Malformed(why));
        // hyper has answered the malformed request with 400, so the handler's reply is dropped.
        let _ = handle(connection, at, head, rest).await;
    }
}

/// Returns the error to report, or `None` if the connection ended regularly after a request.
fn failure(ended: hyper::Result<()>, state: &State) -> Option<ConnectionError> {
    let error = match ended {
        _ if state.error.is_some() => return state.error.clone(),
        Ok(()) => return None,
        Err(error) => error,
    };
    let head = &state.reader.head;
    if error.is_parse_too_large() {
        Some(ConnectionError::HeadTooLarge)
    } else if error.is_parse_version_h2() || head.starts_with(b"PRI * HTTP/2") {
        Some(ConnectionError::LooksLikeHttp2)
    } else if error.is_parse() {
        Some(ConnectionError::Garbage(error.to_string()))
    } else if state.phase == Phase::Answering {
        let cause = error.source();
        let cause = cause.map_or_else(|| error.to_string(), ToString::to_string);
        Some(ConnectionError::AnswerLost(cause))
    } else if head.is_empty() && state.requested {
        // A keep-alive connection may end between two requests without an error.
        None
    } else if error.is_timeout() {
        Some(ConnectionError::HeadTimeout)
    } else {
        Some(ConnectionError::HeadCut)
    }
}

/// Lingering close: shuts down the sending side of the connection, then reads for at most [`LINGER`].
async fn linger(mut stream: TrackedStream, rest: &mut PartialBody, connection: &Connection) {
    let lingering = timeout(LINGER, async {
        let _ = stream.shutdown().await;
        stream.read_rest(rest).await;
    });
    unless_interrupted(connection, lingering).await;
}

/// Drops `future` when the connection is evicted or the server stops.
async fn unless_interrupted(connection: &Connection, future: impl Future) {
    tokio::select! {
        _ = future => {}
        () = connection.evicted() => {}
        () = connection.server.closing() => {}
    }
}
