//! What is done to a connection in the place of an answer, once hyper has let go of it.
//!
//! The service gives hyper an [`Aftermath`] as its error; hyper then stops without writing a byte, and whoever holds the
//! connection does what it says. Nothing of this is a error, and none of it outlasts the stop, or somebody else's
//! need of the place.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};
use warp::http::StatusCode;

use super::body::Taken;
use super::farewell::hear_out;
use super::line::Line;
use super::route::as_http;
use super::visitor::Visitor;
use super::{House, Reply};
use crate::wire::Response;

/// The pause after each drop: ten bytes a second take a short answer past the patience of most senders.
const DROP_PAUSE: Duration = Duration::from_millis(100);

/// A longer answer comes in larger drops, so that none takes longer than half a minute: that tries everybody.
const MOST_DROPS: usize = 300;

/// What no client takes for HTTP, not even for version 0.9, which had text without a head.
const BABBLE: &[u8] = b"\x00\xff\xfe this is no HTTP, and that is on purpose \x00\r\n\r\n";

/// What is done in the place of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Aftermath {
    /// These bytes at once, then the end.
    Say(Bytes),
    /// These bytes slowly, then the end.
    Drip(Bytes),
    /// A reset.
    Reset,
    /// Nothing.
    Ignore,
}

impl Aftermath {
    /// What becomes of a reply that hyper cannot give.
    pub fn new(reply: Reply) -> Self {
        match reply {
            Reply::Respond(answer) | Reply::Stream(answer, _) => Self::Say(written_out(answer)),
            Reply::Slow(answer) => Self::Drip(written_out(answer)),
            Reply::Close => Self::Say(Bytes::new()),
            Reply::Garbage => Self::Say(Bytes::from_static(BABBLE)),
            Reply::Reset => Self::Reset,
            Reply::Hang => Self::Ignore,
        }
    }

    /// The one that ended a connection, if one did.
    pub fn of(ended: &hyper::Result<()>) -> Option<Self> {
        ended
            .as_ref()
            .err()?
            .source()?
            .downcast_ref::<Self>()
            .cloned()
    }

    /// Does it, and sees the connection to its end.
    pub async fn apply(self, mut line: Line, visitor: &Visitor, house: &House) {
        match self {
            Self::Reset => return line.reset(),
            Self::Ignore => {
                return tokio::select! {
                    () = line.outlast() => {}
                    () = visitor.dismissed() => {}
                    () = house.stop.cancelled() => {}
                };
            }
            Self::Drip(bytes) => drip(&bytes, &mut line, visitor, house).await,
            Self::Say(bytes) => {
                tokio::select! {
                    // Whoever does not want to hear it need not.
                    _ = line.write_all(&bytes) => {}
                    () = house.is_closing() => {}
                }
            }
        }
        // Closing with unread bytes would be a reset, which is something else.
        let mut unheeded = Taken::default();
        hear_out(line, &mut unheeded, visitor, house).await;
    }
}

/// Writes a few bytes at a time; the rest at once when somebody else needs the place, or the listener stops.
async fn drip(bytes: &[u8], line: &mut Line, visitor: &Visitor, house: &House) {
    let drop = bytes.len().div_ceil(MOST_DROPS);
    let mut rest = bytes;
    let dripping = async {
        while !rest.is_empty() {
            match line.write(&rest[..drop.min(rest.len())]).await {
                Ok(written) => rest = &rest[written..],
                // The sender's patience was shorter than ours, which is what this is for.
                Err(_) => return,
            }
            sleep(DROP_PAUSE).await;
        }
    };
    tokio::select! {
        () = dripping => {}
        () = visitor.dismissed() => {}
        () = house.is_closing() => {}
    }
    let _ = timeout(house.limits.grace / 4, line.write_all(rest)).await;
}

/// An answer as it crosses the wire; the last on its connection.
fn written_out(answer: Response) -> Bytes {
    let response = as_http(answer);
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        bytes
            .extend_from_slice(format!("content-length: {}\r\n", response.body().len()).as_bytes());
    }
    bytes.extend_from_slice(b"connection: close\r\n\r\n");
    bytes.extend_from_slice(response.body());
    bytes.into()
}

impl fmt::Display for Aftermath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer, on purpose")
    }
}

impl Error for Aftermath {}
