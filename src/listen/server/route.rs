//! The one route: warp takes the request apart, and puts the answer together.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt as _};
use hyper::body::Incoming;
use warp::Filter;
use warp::Reply as _;
use warp::http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use warp::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

use super::aftermath::Aftermath;
use super::body::{self, Taken};
use super::head::Head;
use super::visitor::Visitor;
use super::{House, IncomingRequest, Reply, RequestError};
use crate::clock::Timestamp;
use crate::wire::{Header, Response};

/// What the door knows about a request and warp does not, and what warp would copy: it travels in the request's
/// extensions.
struct Introduction {
    visitor: Arc<Visitor>,
    house: Arc<House>,
    /// When the head had come.
    at: Timestamp,
    /// The head as it came, where that is known; else nothing.
    heard: Bytes,
    method: Method,
    target: Uri,
    version: Version,
    headers: HeaderMap,
}

/// Prepares a request for warp.
pub(super) fn introduce(
    mut request: hyper::Request<Incoming>,
    (visitor, house): &(Arc<Visitor>, Arc<House>),
) -> hyper::Request<Incoming> {
    // warp panics on a target that is no path, as `CONNECT` has it; so it gets one that is.
    let target = std::mem::take(request.uri_mut());
    let introduction = Introduction {
        visitor: Arc::clone(visitor),
        house: Arc::clone(house),
        at: house.clock.now(),
        heard: visitor.asks().into(),
        method: request.method().clone(),
        target,
        version: request.version(),
        headers: std::mem::take(request.headers_mut()),
    };
    request.extensions_mut().insert(Arc::new(introduction));
    request
}

/// The one route: every request, whatever its method and path.
pub(super) fn requests()
-> impl Filter<Extract = (warp::reply::Response,), Error = warp::Rejection> + Clone {
    warp::ext::get::<Arc<Introduction>>()
        .and(warp::body::stream())
        .then(receive)
}

/// Receives one request: reads its body, has it answered.
async fn receive(
    introduction: Arc<Introduction>,
    body: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> warp::reply::Response {
    let head = introduction.head();
    let Introduction {
        visitor, house, at, ..
    } = &*introduction;
    let announced = head.announced();
    let body =
        if head.expects_leave() && announced.is_some_and(|length| length > house.limits.max_body) {
            // Reading would make hyper ask for the body with `100 Continue`.
            drop(body);
            let error = RequestError::TooLarge {
                limit: house.limits.max_body,
            };
            Taken {
                error: Some(error),
                ..Taken::default()
            }
        } else {
            body::read(
                body,
                announced,
                &house.limits,
                &house.stop,
                visitor.given_up(),
            )
            .await
        };
    visitor.has_been_read();
    let error = body.error.clone().or_else(|| head_error(&head));
    let failed = error.is_some();
    let incoming = IncomingRequest {
        peer: visitor.peer,
        at: *at,
        error,
        ambiguous_framing: head.is_ambiguous(),
        request: head.with_body(body),
    };
    let reply = (house.answer)(incoming).await;
    // Somebody who waits for a place would not get it from a visitor that always has one more request, and nobody stays when
    // we stop.
    let last = failed || house.is_crowded() || house.is_stopping();
    match reply {
        Reply::Respond(answer) => {
            visitor.is_answered(last);
            respond(answer, last).map(Into::into)
        }
        Reply::Stream(answer, flow) => {
            visitor.is_answered(last);
            let pieces = flow.pieces().map(Ok::<_, Infallible>);
            respond(answer, last).map(|_| warp::reply::stream(pieces).into_response().into_body())
        }
        other => {
            visitor.is_let_down();
            let mut response = warp::reply::Response::default();
            response.extensions_mut().insert(Aftermath::new(other));
            response
        }
    }
}

impl Introduction {
    /// The head as it came, or else as hyper and warp show it.
    fn head(&self) -> Head {
        // What was heard may be another's, if requests came before they were due; then it does not agree.
        let agrees = |heard: &Head| {
            heard.method == self.method.as_str()
                && heard.target.contains(self.target.path())
                && heard.headers.len() >= self.headers.len()
        };
        let as_shown = || Head {
            method: self.method.to_string().into(),
            target: self.target.to_string(),
            version: format!("{:?}", self.version).into(),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| Header {
                    name: name.to_string(),
                    value: Bytes::copy_from_slice(value.as_bytes()),
                })
                .collect(),
        };
        Head::read(&self.heard)
            .filter(agrees)
            .unwrap_or_else(as_shown)
    }
}

/// What is wrong with a head that was read.
fn head_error(head: &Head) -> Option<RequestError> {
    let hosts = head.values("host").count();
    if head.target.len() > RequestError::LONGEST_TARGET {
        Some(RequestError::TargetTooLong)
    } else if hosts > 1 {
        Some(RequestError::SeveralHosts)
    } else if hosts == 0 && head.version == "HTTP/1.1" {
        Some(RequestError::NoHost)
    } else {
        None
    }
}

/// Puts an answer into warp's hands.
fn respond(answer: Response, last: bool) -> warp::http::Response<Bytes> {
    let mut response = as_http(answer);
    if last {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// An answer, as far as HTTP allows it.
pub(super) fn as_http(answer: Response) -> warp::http::Response<Bytes> {
    let mut response = warp::http::Response::new(answer.body.0);
    // hyper would close the connection over an answer that is none.
    *response.status_mut() = StatusCode::from_u16(answer.status)
        .ok()
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for header in &answer.headers {
        // A forwarded answer may carry what HTTP does not allow; the record still shows it.
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(header.name.as_bytes()), HeaderValue::from_maybe_shared(header.value.clone()))
            // hyper states the length, and insists that nobody else states another.
            && name != CONTENT_LENGTH
            && name != TRANSFER_ENCODING
        {
            response.headers_mut().append(name, value);
        }
    }
    response
}
