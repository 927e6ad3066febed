//! Reads a body within limits of size and time: a stream of chunks in, what was kept and measured out.

use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Buf;
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Limits, RequestError};

/// How much is kept of a body that is over the limit.
pub(super) const KEPT: usize = 64 * 1024;

/// How much more than the limit is read, so that a sender who writes before it reads comes to read the 413.
const DRAINED: u64 = 16 * 1024 * 1024;

/// For how long that is done.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// What there was of a body.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The bytes that were kept.
    pub kept: Vec<u8>,
    /// How many bytes came.
    pub size: u64,
    /// Why it is not complete, if it is not.
    pub error: Option<RequestError>,
}

impl Taken {
    /// Adds a chunk. Of a body over the limit, only the beginning is kept.
    pub fn add(&mut self, mut chunk: impl Buf, limit: u64) {
        let length = chunk.remaining();
        self.size += length as u64;
        let mut room = length;
        if self.size > limit {
            self.shorten();
            room = room.min(KEPT - self.kept.len());
        }
        self.kept.extend_from_slice(&chunk.copy_to_bytes(room));
    }

    /// The same, with what has to be said of it if it was too large.
    fn within(mut self, is_too_large: bool, limit: u64) -> Self {
        if is_too_large {
            self.shorten();
            self.error = Some(RequestError::TooLarge { limit });
        }
        self
    }

    /// Lets go of what is more than is kept.
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
    given_up: impl Future<Output = ()>,
) -> Taken
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
    E: Error,
{
    let limit = limits.max_body;
    let (mut body, mut given_up) = (pin!(body), pin!(given_up));
    let mut taken = Taken::default();
    let too_large = |size: u64| size > limit || announced.is_some_and(|length| length > limit);
    if !too_large(0) && take_at_once(body.as_mut(), limit, &mut taken).await {
        let is_too_large = too_large(taken.size);
        return taken.within(is_too_large, limit);
    }
    let mut deadline = pin!(sleep_until(Instant::now() + limits.body_timeout));
    let mut draining = false;
    let mut stopping = false;
    let error = loop {
        if !draining && too_large(taken.size) {
            draining = true;
            hurry(deadline.as_mut(), DRAIN_TIME);
        }
        // Time comes first: a sender who never pauses must not outrun it.
        let chunk = tokio::select! {
            biased;
            () = &mut deadline => break Some(if stopping { RequestError::Stopping } else { RequestError::BodyTimeout }),
            () = &mut given_up => break Some(RequestError::BodyTimeout),
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                // The other half of the grace is for the answer.
                hurry(deadline.as_mut(), limits.grace / 2);
                continue;
            }
            chunk = body.next() => chunk,
        };
        match chunk {
            Some(Ok(chunk)) => taken.add(chunk, limit),
            Some(Err(error)) => break Some(RequestError::BodyBroken(root(&error))),
            None => break None,
        }
        if taken.size > limit.saturating_add(DRAINED) {
            break None;
        }
    };
    taken.error = error;
    let is_too_large = too_large(taken.size);
    taken.within(is_too_large, limit)
}

/// Takes what has come of a body already; true if that is all of it. Most bodies come together with their heads, and need
/// no deadline.
async fn take_at_once<S, B, E>(mut body: Pin<&mut S>, limit: u64, taken: &mut Taken) -> bool
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
    E: Error,
{
    /// A sender who never pauses must not outrun the deadline.
    const MOST: usize = 4;
    for _ in 0..MOST {
        match poll_fn(|context| Poll::Ready(body.as_mut().poll_next(context))).await {
            Poll::Ready(Some(Ok(chunk))) => taken.add(chunk, limit),
            Poll::Ready(Some(Err(error))) => {
                taken.error = Some(RequestError::BodyBroken(root(&error)));
                return true;
            }
            Poll::Ready(None) => return true,
            Poll::Pending => return false,
        }
    }
    false
}

/// Brings a deadline forward, if it is further away than this.
fn hurry(deadline: Pin<&mut Sleep>, most: Duration) {
    let sooner = deadline.deadline().min(Instant::now() + most);
    deadline.reset(sooner);
}

/// The words of the innermost cause: the outer ones only say that a body was being read.
fn root(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
