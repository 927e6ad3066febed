//! The end of a connection, once hyper has let go of it: replies that are not HTTP, the report of what failed, and the
//! lingering close.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};
use warp::http::StatusCode;

use super::body::PartialBody;
use super::connection::{Connection, Phase, TrackedStream};
use super::head::Head;
use super::service::to_http;
use super::{ConnectionError, IncomingRequest, Reply, RequestError, Shared};
use crate::net::Response;

/// Pause between two pieces of a slow answer: at ten bytes a second a short answer outlasts the timeout of most senders.
const SLOW_PAUSE: Duration = Duration::from_millis(100);

/// Pieces of a slow answer at most: a long one takes half a minute.
const MAX_SLOW_PIECES: usize = 300;

/// Not HTTP for any client, not even 0.9, which had text without a head.
const GARBAGE: &[u8] = b"\x00\xff\xfe this is no HTTP, and that is on purpose \x00\r\n\r\n";

/// A reply that hyper cannot write. As the service's error it makes hyper stop without writing a byte.
#[derive(Debug, Clone)]
pub(super) struct NonHttpReply(pub Reply);

impl fmt::Display for NonHttpReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer, on purpose")
    }
}

impl Error for NonHttpReply {}

impl NonHttpReply {
    async fn write(self, mut stream: TrackedStream, connection: &Connection, shared: &Shared) {
        match self.0 {
            Reply::Reset => return stream.reset(),
            Reply::Hang => {
                return tokio::select! {
                    () = stream.discard() => {}
                    () = connection.evicted() => {}
                    () = shared.stop.cancelled() => {}
                };
            }
            Reply::Close => {}
            Reply::Garbage => {
                tokio::select! {
                    _ = stream.write_all(GARBAGE) => {}
                    () = shared.closing() => {}
                }
            }
            Reply::Respond(answer) | Reply::Slow(answer) => {
                write_slowly(&serialized(answer), &mut stream, connection, shared).await;
            }
        }
        // Closing with unread bytes would be a reset.
        linger(stream, &mut PartialBody::default(), connection, shared).await;
    }
}

/// Ends a connection on which hyper has stopped.
pub(super) async fn conclude(
    ended: hyper::Result<()>,
    stream: TrackedStream,
    connection: &Connection,
    shared: &Shared,
) {
    let non_http = ended.as_ref().err().and_then(Error::source);
    if let Some(reply) = non_http.and_then(|error| error.downcast_ref::<NonHttpReply>()) {
        return reply.clone().write(stream, connection, shared).await;
    }
    let received_at = shared.clock.now();
    let refused = connection.state().last || ended.as_ref().is_err_and(hyper::Error::is_parse);
    let head = Bytes::copy_from_slice(connection.state().reader.head());
    let mut malformed = None;
    match failure(ended, &head, connection) {
        Some(ConnectionError::Garbage(why)) => match Head::read(&head) {
            Some(head) => malformed = Some((head, why)),
            None => shared.report(connection, ConnectionError::Garbage(why)),
        },
        Some(error) => shared.report(connection, error),
        None => {}
    }
    let mut rest = PartialBody::default();
    if refused && !connection.body_given_up.is_cancelled() {
        linger(stream, &mut rest, connection, shared).await;
    }
    if let Some((head, why)) = malformed {
        let why = head.framing_fault().map_or(why, str::to_owned);
        let error = RequestError::Malformed(why);
        rest.error = Some(error.clone());
        let incoming = IncomingRequest {
            peer: connection.peer,
            at: received_at,
            error: Some(error),
            ambiguous_framing: head.is_ambiguous(),
            request: head.with_body(rest),
        };
        // hyper has answered 400 already.
        let _ = (shared.handler)(incoming).await;
    }
}

async fn linger(
    stream: TrackedStream,
    rest: &mut PartialBody,
    connection: &Connection,
    shared: &Shared,
) {
    tokio::select! {
        () = stream.linger(rest) => {}
        () = connection.evicted() => {}
        () = shared.closing() => {}
    }
}

/// The error to report, if no request shows it. `head` is what has come of one since the last request.
fn failure(
    ended: hyper::Result<()>,
    head: &[u8],
    connection: &Connection,
) -> Option<ConnectionError> {
    let state = connection.state();
    if let Some(error) = &state.error {
        return Some(error.clone());
    }
    let Err(error) = ended else {
        return (!state.received).then_some(ConnectionError::Silent);
    };
    if error.is_parse_too_large() {
        Some(ConnectionError::HeadTooLarge)
    } else if error.is_parse_version_h2() || head.starts_with(b"PRI * HTTP/2") {
        Some(ConnectionError::LooksLikeHttp2)
    } else if error.is_parse() {
        Some(ConnectionError::Garbage(error.to_string()))
    } else if state.phase == Phase::Answering {
        let cause = error.source().map(ToString::to_string);
        Some(ConnectionError::AnswerLost(
            cause.unwrap_or_else(|| error.to_string()),
        ))
    } else if head.is_empty() && state.requested {
        // Kept alive, and not used again.
        None
    } else if error.is_timeout() {
        Some(ConnectionError::HeadTimeout)
    } else {
        Some(ConnectionError::HeadCut)
    }
}

/// Writes a few bytes at a time; the rest at once when the connection is evicted or the server stops.
async fn write_slowly(
    bytes: &[u8],
    stream: &mut TrackedStream,
    connection: &Connection,
    shared: &Shared,
) {
    let piece = bytes.len().div_ceil(MAX_SLOW_PIECES);
    let mut rest = bytes;
    let writing = async {
        while !rest.is_empty() {
            match stream.write(&rest[..piece.min(rest.len())]).await {
                Ok(written) => rest = &rest[written..],
                Err(_) => return,
            }
            sleep(SLOW_PAUSE).await;
        }
    };
    tokio::select! {
        () = writing => {}
        () = connection.evicted() => {}
        () = shared.closing() => {}
    }
    let _ = timeout(shared.limits.grace / 4, stream.write_all(rest)).await;
}

/// An answer as bytes; the last on its connection.
fn serialized(answer: Response) -> Vec<u8> {
    let response = to_http(answer, false);
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let body = response.body();
    if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"connection: close\r\n\r\n");
    bytes.extend_from_slice(body);
    bytes
}
