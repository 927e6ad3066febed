//! Reads a body within limits of size and time: a stream of chunks in, the kept part and its size out.

use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use bytes::Buf;
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Limits, RequestError};

/// Bytes kept of a body over the limit.
pub(super) const KEPT: usize = 64 * 1024;

/// Bytes read beyond the limit, so that a sender that writes before it reads comes to read the 413.
const DRAINED: u64 = 16 * 1024 * 1024;

const DRAIN_TIME: Duration = Duration::from_secs(5);

/// As much of a body as has come.
#[derive(Debug, Default)]
pub(super) struct PartialBody {
    pub kept: Vec<u8>,
    /// Bytes that came, kept or not.
    pub size: u64,
    /// Why the body is not complete, if it is not.
    pub error: Option<RequestError>,
}

impl PartialBody {
    /// Adds a chunk. Of a body over the limit only the beginning is kept.
    pub fn push(&mut self, mut chunk: impl Buf, limit: u64) {
        let mut room = chunk.remaining();
        self.size += room as u64;
        if self.size > limit {
            self.shorten();
            room = room.min(KEPT - self.kept.len());
        }
        self.kept.extend_from_slice(&chunk.copy_to_bytes(room));
    }

    fn shorten(&mut self) {
        if self.kept.len() > KEPT {
            self.kept.truncate(KEPT);
            self.kept.shrink_to_fit();
        }
    }
}

/// Reads a body to its end, or as far as the limits allow, or until it is given up.
pub(super) async fn read<S, B, E>(
    body: S,
    announced: Option<u64>,
    limits: &Limits,
    stop: &CancellationToken,
    given_up: &CancellationToken,
) -> PartialBody
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
    E: Error,
{
    let limit = limits.max_body;
    let too_large = |size: u64| size > limit || announced.is_some_and(|length| length > limit);
    let mut body = pin!(body);
    let mut partial = PartialBody::default();
    let mut deadline = pin!(sleep_until(Instant::now() + limits.body_timeout));
    let mut draining = false;
    let mut stopping = false;
    partial.error = loop {
        let sooner = if !draining && too_large(partial.size) {
            draining = true;
            Some(DRAIN_TIME)
        } else if !stopping && stop.is_cancelled() {
            stopping = true;
            // The other half of the grace is for the answer.
            Some(limits.grace / 2)
        } else {
            None
        };
        if let Some(sooner) = sooner {
            let sooner = deadline.deadline().min(Instant::now() + sooner);
            deadline.as_mut().reset(sooner);
        }
        // The deadline comes first: a sender that never pauses must not outrun it.
        let chunk = tokio::select! {
            biased;
            () = &mut deadline => break Some(if stopping { RequestError::Stopping } else { RequestError::BodyTimeout }),
            () = given_up.cancelled() => break Some(RequestError::BodyTimeout),
            () = stop.cancelled(), if !stopping => continue,
            chunk = body.next() => chunk,
        };
        match chunk {
            Some(Ok(chunk)) => partial.push(chunk, limit),
            Some(Err(error)) => break Some(RequestError::BodyBroken(root_cause(&error))),
            None => break None,
        }
        if partial.size > limit.saturating_add(DRAINED) {
            break None;
        }
    };
    if too_large(partial.size) {
        partial.shorten();
        partial.error = Some(RequestError::TooLarge { limit });
    }
    partial
}

/// The innermost cause: the outer ones only say that a body was being read.
fn root_cause(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
