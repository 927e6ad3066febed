//! The scripts: from one good request to the many ways of sending it badly.

use std::time::Duration;

use bytes::Bytes;

use super::super::client::Destination;
use super::super::headers::{Framing, with_defaults};
use super::super::{Header, Request};
use super::{RawRequest, Step};

/// How long a connection that is about to be reset stays open, so that the peer has begun to read when it happens.
const BEFORE_A_RESET: Duration = Duration::from_millis(100);

/// The head of a request, written down as it is told: nothing is checked, added or put in order.
#[must_use]
pub fn head(method: &str, target: &str, version: &str, headers: &[Header]) -> Bytes {
    let mut head = format!("{method} {target} {version}\r\n").into_bytes();
    for header in headers {
        head.extend_from_slice(header.name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(&header.value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}

impl RawRequest {
    /// The request as it is, in one piece.
    #[must_use]
    pub fn verbatim(request: &Request, destination: &Destination) -> Self {
        Self::new(&request.method, [Step::Send(whole(request, destination))])
    }

    /// A request that is passed on for its sender, whose `Accept` is not made up.
    #[must_use]
    pub fn passed_on(request: &Request, destination: &Destination) -> Self {
        let mut headers = with_defaults(request, destination, Framing::of(request), false);
        headers.retain(|header| !header.is("Accept") || request.headers.contains(header));
        let mut bytes = head(&request.method, &request.target, "HTTP/1.1", &headers).to_vec();
        bytes.extend_from_slice(&request.body.0);
        Self {
            passed_on: true,
            ..Self::new(&request.method, [Step::Send(bytes.into())])
        }
    }

    /// Half of the announced body, and then our side is closed: the peer learns at once that nothing more comes.
    #[must_use]
    pub fn cut_short(request: &Request, destination: &Destination) -> Self {
        let (head, first) = half(request, destination);
        Self::from([Step::Send(head), Step::Send(first), Step::HalfClose])
    }

    /// Half of the announced body, and then nothing: the peer has to lose patience.
    #[must_use]
    pub fn stalled(request: &Request, destination: &Destination) -> Self {
        let (head, first) = half(request, destination);
        Self::from([Step::Send(head), Step::Send(first)])
    }

    /// Half of the announced body, and then the connection is reset.
    #[must_use]
    pub fn reset_mid_body(request: &Request, destination: &Destination) -> Self {
        let (head, first) = half(request, destination);
        Self::from([
            Step::Send(head),
            Step::Send(first),
            Step::Pause(BEFORE_A_RESET),
            Step::Reset,
        ])
    }

    /// The whole body where only half is announced: the rest looks like a second request, and a bad one.
    #[must_use]
    pub fn too_long(request: &Request, destination: &Destination) -> Self {
        let length = Framing::Length(request.body.len() / 2);
        let mut bytes = framed_head(request, destination, length).to_vec();
        bytes.extend_from_slice(&request.body.0);
        Self::from([Step::Send(bytes.into())])
    }

    /// The request byte by byte, with this long between two.
    #[must_use]
    pub fn dripped(request: &Request, destination: &Destination, every: Duration) -> Self {
        let bytes = whole(request, destination);
        Self::from([Step::Drip { bytes, every }])
    }

    /// The whole request, and then our side is closed, as some scripts do: the answer is still wanted.
    #[must_use]
    pub fn half_closed(request: &Request, destination: &Destination) -> Self {
        Self::from([Step::Send(whole(request, destination)), Step::HalfClose])
    }

    /// A connection on which nothing is sent.
    #[must_use]
    pub fn silent() -> Self {
        Self::from([])
    }

    /// The body in chunks of this many bytes, each sent on its own.
    #[must_use]
    pub fn chunked(request: &Request, destination: &Destination, chunk: usize) -> Self {
        let mut steps = vec![Step::Send(framed_head(
            request,
            destination,
            Framing::Chunked,
        ))];
        for piece in request.body.0.chunks(chunk.max(1)) {
            let mut bytes = format!("{:x}\r\n", piece.len()).into_bytes();
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\r\n");
            steps.push(Step::Send(bytes.into()));
        }
        steps.push(Step::Send(Bytes::from_static(b"0\r\n\r\n")));
        Self::from(steps)
    }

    /// The head with `Expect: 100-continue`, and the body once the peer wants it, or after this long all the same.
    #[must_use]
    pub fn expecting_continue(
        request: &Request,
        destination: &Destination,
        patience: Duration,
    ) -> Self {
        let mut request = request.clone();
        request.headers.push(Header::new("Expect", "100-continue"));
        let length = Framing::Length(request.body.len());
        Self::from([
            Step::Send(framed_head(&request, destination, length)),
            Step::AwaitContinue(patience),
            Step::Send(request.body.0),
        ])
    }

    /// The request as of 1996: HTTP/1.0, which needs no `Host`.
    #[must_use]
    pub fn http_1_0(request: &Request, destination: &Destination) -> Self {
        let length = Framing::Length(request.body.len());
        let mut headers = with_defaults(request, destination, length, false);
        headers.retain(|header| !header.is("Host"));
        let mut bytes = head(&request.method, &request.target, "HTTP/1.0", &headers).to_vec();
        bytes.extend_from_slice(&request.body.0);
        Self::from([Step::Send(bytes.into())])
    }

    /// Several copies in one piece, without waiting for an answer between them.
    #[must_use]
    pub fn pipelined(request: &Request, destination: &Destination, copies: usize) -> Self {
        // A `Connection: close` in the first one would end the connection before the second.
        let length = Framing::Length(request.body.len());
        let headers = with_defaults(request, destination, length, true);
        let mut bytes = head(&request.method, &request.target, "HTTP/1.1", &headers).to_vec();
        bytes.extend_from_slice(&request.body.0);
        let bytes = bytes.repeat(copies);
        Self::from([Step::Send(bytes.into())])
    }
}

/// The request in full, with a `Content-Length` that is true.
fn whole(request: &Request, destination: &Destination) -> Bytes {
    let length = Framing::Length(request.body.len());
    let mut bytes = framed_head(request, destination, length).to_vec();
    bytes.extend_from_slice(&request.body.0);
    bytes.into()
}

/// A true head, and the first half of the body.
fn half(request: &Request, destination: &Destination) -> (Bytes, Bytes) {
    let body = &request.body.0;
    let head = framed_head(request, destination, Framing::Length(body.len()));
    (head, body.slice(..body.len() / 2))
}

/// The head of the request with a framing of our choice.
fn framed_head(request: &Request, destination: &Destination, framing: Framing) -> Bytes {
    let headers = with_defaults(request, destination, framing, false);
    head(&request.method, &request.target, "HTTP/1.1", &headers)
}
