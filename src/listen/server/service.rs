//! Serves one connection: hyper reads requests, warp routes them, and the one route of the receiver hands each to the
//! handler. Then the end of the connection: replies that are not HTTP, the report of what failed, and the lingering close.

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
use super::message::{PartialBody, framing, head_error, read_head};
use super::{ConnectionError, IncomingRequest, MAX_HEAD, Reply, RequestError};
use crate::clock::Timestamp;
use crate::listen::fault::Fault;
use crate::net::{Request, Response};

/// hyper's read buffer: a head and what comes with it.
const READ_BUFFER: usize = 64 * 1024;

/// Time for the client to close after the last answer. Closing a socket with unread bytes resets it, and the reset may
/// overtake the answer.
const LINGER: Duration = Duration::from_secs(2);

/// Pause between two pieces of a slow answer: at ten bytes a second a short answer outlasts the timeout of most senders.
const SLOW_PAUSE: Duration = Duration::from_millis(100);

/// Pieces of a slow answer at most: a long one takes half a minute.
const MAX_SLOW_PIECES: usize = 300;

/// Not HTTP for any client, not even 0.9, which had text without a head.
const GARBAGE: &[u8] = b"\x00\xff\xfe this is no HTTP, and that is on purpose \x00\r\n\r\n";

/// Serves a connection from its first byte to its last.
pub(super) async fn serve_connection(stream: TcpStream, connection: Arc<Connection>) {
    // Failing to set the option means that the connection is gone, which shows later.
    let _ = stream.set_nodelay(true);
    let stream = TrackedStream {
        stream,
        connection: Arc::clone(&connection),
        unread: Bytes::new(),
        write_deadline: None,
    };
    let (limits, stop) = (&connection.shared.limits, &connection.shared.stop);
    let mut serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(MAX_HEAD)
        .max_buf_size(READ_BUFFER)
        // A client that ends its side behind a request still gets the answer, and one that breaks off keeps its slot until
        // the answer has been decided, so that the number of requests being handled is bounded.
        .half_close(limits.half_close)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request| route(request, &connection)),
        );

    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut serving => break ended,
            () = connection.evicted() => {
                return connection.report(connection.closing_error(ConnectionError::MadeRoom));
            }
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

/// Has warp answer one request. hyper stops at an error without writing a byte.
async fn route(
    mut request: hyper::Request<Incoming>,
    connection: &Arc<Connection>,
) -> Result<warp::reply::Response, io::Error> {
    let shared = &connection.shared;
    connection.start_request();
    request.extensions_mut().insert(Arc::clone(connection));
    if !request.uri().path().starts_with('/') || request.uri().authority().is_some() {
        // warp panics on a target without a path, as CONNECT has it, and this is no proxy: only a path is routed.
        *request.uri_mut() = Uri::from_static("/*");
    }
    let Ok(mut response) = warp::service(shared.routes.clone()).call(request).await;
    let mut state = connection.state();
    if state.non_http.is_some() {
        // Until the connection ends it may be evicted as if idle.
        state.enter(Phase::Idle);
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    state.enter(Phase::Answering);
    // A client that always has one more request would keep its slot from those that wait.
    state.last |= shared.is_full.load(Ordering::Relaxed) || shared.stop.is_cancelled();
    if state.last {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Ok(response)
}

/// The receiver's route: every request, whatever its method and path.
pub(crate) fn receiver() -> BoxedFilter<(warp::reply::Response,)> {
    warp::ext::get::<Arc<Connection>>()
        .and(warp::body::stream())
        .then(receive)
        .boxed()
}

async fn receive(
    connection: Arc<Connection>,
    body: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> warp::reply::Response {
    let at = connection.shared.clock.now();
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

/// Hands a request to the handler.
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
    (connection.shared.handler)(incoming).await
}

/// An answer as far as HTTP allows it.
pub(crate) fn to_http(answer: Response, is_to_head: bool) -> warp::http::Response<Bytes> {
    // hyper states the length of a body, and fails on a header that states another. An answer to HEAD has none.
    let keeps_length = is_to_head && answer.body.is_empty();
    let mut response = warp::http::Response::new(answer.body.0);
    // hyper would close the connection over a status that is no final one.
    let status = StatusCode::from_u16(answer.status).ok();
    let status = status.filter(|status| !status.is_informational());
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
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

/// Writes a reply that hyper cannot write, and closes the connection.
async fn write_non_http(reply: Reply, mut stream: TrackedStream, connection: &Connection) {
    let mut rest = PartialBody::default();
    match reply.fault {
        None | Some(Fault::Status(_) | Fault::Empty) => {}
        // A close with a linger time of zero is a reset. Failing to set it leaves an ordinary close, the next best thing.
        Some(Fault::Reset) => return drop(stream.stream.set_zero_linger()),
        Some(Fault::Hang) => {
            return tokio::select! {
                () = stream.read_rest(&mut rest) => {}
                () = connection.evicted() => {}
                () = connection.shared.stop.cancelled() => {}
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

/// Writes a piece at a time; the rest at once when the connection is evicted or the server stops.
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
    let grace = connection.shared.limits.grace;
    let _ = timeout(grace / 4, stream.write_all(rest)).await;
}

/// An answer as bytes; the last on its connection.
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

/// Ends a connection on which hyper has stopped.
async fn conclude(ended: hyper::Result<()>, stream: TrackedStream, connection: &Connection) {
    let at = connection.shared.clock.now();
    let is_parse = ended.as_ref().is_err_and(hyper::Error::is_parse);
    let (error, head, last) = {
        let state = connection.state();
        let head = Bytes::copy_from_slice(&state.reader.head);
        (failure(ended, &state), head, state.last)
    };
    let malformed = match &error {
        Some(ConnectionError::Garbage(why)) => read_head(&head).zip(Some(why.clone())),
        _ => None,
    };
    if let (None, Some(error)) = (&malformed, error) {
        connection.report(error);
    }
    let mut rest = PartialBody::default();
    if (last || is_parse) && !connection.body_given_up.is_cancelled() {
        linger(stream, &mut rest, connection).await;
    }
    if let Some((head, why)) = malformed {
        let why = framing(&head).err().map_or(why, str::to_owned);
        rest.error = Some(RequestError::Malformed(why));
        // hyper has answered 400 already.
        let _ = handle(connection, at, head, rest).await;
    }
}

/// The error to report, if no request shows it.
fn failure(ended: hyper::Result<()>, state: &State) -> Option<ConnectionError> {
    let error = match ended {
        _ if state.error.is_some() => return state.error.clone(),
        Ok(()) => return (!state.requested).then_some(ConnectionError::Silent),
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
        let cause = error
            .source()
            .map_or_else(|| error.to_string(), ToString::to_string);
        Some(ConnectionError::AnswerLost(cause))
    } else if head.is_empty() && state.requested {
        // Kept alive, and not used again.
        None
    } else if error.is_timeout() {
        Some(ConnectionError::HeadTimeout)
    } else {
        Some(ConnectionError::HeadCut)
    }
}

/// Lingering close: closes our side, then reads on for a while.
async fn linger(mut stream: TrackedStream, rest: &mut PartialBody, connection: &Connection) {
    let lingering = timeout(LINGER, async {
        let _ = stream.shutdown().await;
        stream.read_rest(rest).await;
    });
    unless_interrupted(connection, lingering).await;
}

/// Drops a future when the connection is evicted or the server stops.
async fn unless_interrupted(connection: &Connection, future: impl Future) {
    tokio::select! {
        _ = future => {}
        () = connection.evicted() => {}
        () = connection.shared.closing() => {}
    }
}
