//! The end of a connection, once hyper has let go of it.
//!
//! In: how hyper's conversation ended, and what it had not read. What is no answer, on purpose, is done; what went wrong is
//! told, as an incoming if there was a request in it; and whoever is still sending is heard out, so that our last answer is
//! read.

use std::error::Error as _;

use bytes::Bytes;

use super::aftermath::Aftermath;
use super::body::Taken;
use super::head::Head;
use super::line::Line;
use super::visitor::Visitor;
use super::{ConnectionError, House, IncomingRequest, RequestError};

/// Sees a connection to its end.
pub(super) async fn conclude(
    ended: hyper::Result<()>,
    line: Line,
    unread: Bytes,
    visitor: &Visitor,
    house: &House,
) {
    if let Some(aftermath) = Aftermath::of(&ended) {
        return aftermath.apply(line, visitor, house).await;
    }
    let at = house.clock.now();
    let refused = visitor.was_refused() || ended.as_ref().is_err_and(hyper::Error::is_parse);
    let heard = Bytes::from(visitor.heard());
    let mut rest = Taken::default();
    // Depending on what it found wrong, hyper has put the head aside or not.
    rest.add(unread.strip_prefix(&*heard).unwrap_or(&unread), 0);
    let mut malformed = None;
    match what_happened(ended, &unread, visitor) {
        Some(ConnectionError::Garbage(why)) => match Head::read(&heard) {
            Some(head) => malformed = Some((head, why)),
            None => house.tell(visitor, ConnectionError::Garbage(why)),
        },
        Some(error) => house.tell(visitor, error),
        None => {}
    }
    if refused && !visitor.was_given_up() {
        hear_out(line, &mut rest, visitor, house).await;
    }
    if let Some((head, why)) = malformed {
        let why = head.framing_fault().map_or(why, str::to_owned);
        rest.error = Some(RequestError::Malformed(why));
        let incoming = IncomingRequest {
            peer: visitor.peer,
            at,
            error: rest.error.clone(),
            ambiguous_framing: head.is_ambiguous(),
            request: head.with_body(rest),
        };
        // hyper has answered already, with the 400 that such a request deserves.
        let _ = (house.answer)(incoming).await;
    }
}

/// Ends our side and takes what still comes, for a while; not when others need the place, or the listener stops.
pub(super) async fn hear_out(line: Line, rest: &mut Taken, visitor: &Visitor, house: &House) {
    tokio::select! {
        () = line.linger(rest) => {}
        () = visitor.dismissed() => {}
        () = house.is_closing() => {}
    }
}

/// What went wrong on a connection, if anything did that no incoming shows.
fn what_happened(
    ended: hyper::Result<()>,
    unread: &[u8],
    visitor: &Visitor,
) -> Option<ConnectionError> {
    if let Some(error) = visitor.error() {
        return Some(error);
    }
    let Err(error) = ended else {
        return visitor.is_silent().then_some(ConnectionError::Silent);
    };
    if error.is_parse_too_large() {
        Some(ConnectionError::HeadTooLarge)
    } else if error.is_parse_version_h2() || unread.starts_with(b"PRI * HTTP/2") {
        Some(ConnectionError::LooksLikeHttp2)
    } else if error.is_parse() {
        Some(ConnectionError::Garbage(error.to_string()))
    } else if visitor.is_answering() {
        Some(ConnectionError::AnswerLost(
            error
                .source()
                .map_or_else(|| error.to_string(), ToString::to_string),
        ))
    } else if unread.is_empty() && visitor.has_asked() {
        // A connection that was kept alive, and not used again.
        None
    } else if error.is_timeout() {
        Some(ConnectionError::HeadTimeout)
    } else {
        Some(ConnectionError::HeadCut)
    }
}
