//! The inspector's routes: who asks is checked first, then what for.

use std::convert::Infallible;
use std::future::ready;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use warp::filters::BoxedFilter;
use warp::http::header::{ALLOW, CONTENT_LENGTH, ORIGIN, TRANSFER_ENCODING};
use warp::http::{HeaderMap, HeaderName, HeaderValue, Method};
use warp::reject::{InvalidHeader, Reject, Rejection, custom, not_found};
use warp::reply::Response;
use warp::{Filter, path};

use super::access::only;
use super::{Inspector, assets, file, respond};
use crate::net;

/// Longest `wait` of a stream.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Headers of every answer. Scripts and styles are files of ours; nothing else is loaded, framed, sent or shared.
pub(super) const SAFETY: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// Why a request is refused.
#[derive(Debug)]
enum Refusal {
    /// No access. The answer says no more.
    Forbidden,
    /// Another method is allowed.
    Method(Method),
    BadRequest(&'static str),
    /// A body, where none is read.
    TooLarge,
}

impl Reject for Refusal {}

/// A number in digits, without a sign.
struct Number(u64);

impl FromStr for Number {
    type Err = ();

    fn from_str(digits: &str) -> Result<Self, ()> {
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|_| is_number);
        number.map(Self).ok_or(())
    }
}

pub(super) fn routes(inspector: &Arc<Inspector>) -> BoxedFilter<(Response,)> {
    let forbidden = || Refusal::Forbidden;
    let check = |refusal, accepts| check(inspector, refusal, accepts);
    let local = check(forbidden, |inspector, headers| {
        inspector.access.is_local(headers)
    });
    let token = check(forbidden, |inspector, headers| {
        inspector.access.has_token(headers)
    });
    // Every browser sends the origin with a POST.
    let origin = check(forbidden, |_, headers| {
        only(headers, ORIGIN.as_str()).is_some()
    });
    let no_body = check(
        || Refusal::TooLarge,
        |_, headers| {
            let length = only(headers, CONTENT_LENGTH.as_str());
            length.is_none_or(|length| length == "0") && !headers.contains_key(TRANSFER_ENCODING)
        },
    );

    let shared = Arc::clone(inspector);
    let inspector = warp::any().map(move || Arc::clone(&shared));
    let asset = path::tail()
        .and_then(|tail: path::Tail| ready(assets::find(tail.as_str()).ok_or_else(not_found)))
        .and(method(Method::GET))
        .map(|(_, content_type, text)| respond(file(content_type, text)));
    let events = path!("api" / "events")
        .and(method(Method::GET))
        .and(inspector.clone())
        .and(warp::sse::last_event_id::<Number>())
        .and(wait())
        .map(
            |inspector: Arc<Inspector>, seen: Option<Number>, wait: Option<Duration>| {
                inspector.events(seen.map_or(0, |Number(n)| n), wait)
            },
        );
    let capture = path!("api" / "capture")
        .and(method(Method::GET))
        .and(inspector.clone())
        .map(|inspector: Arc<Inspector>| inspector.capture());
    let body = path!("api" / "exchanges" / Number / "body")
        .and(method(Method::GET))
        .and(inspector.clone())
        .map(|Number(n), inspector: Arc<Inspector>| respond(inspector.body(n)));
    let curl = path!("api" / "exchanges" / Number / "curl")
        .and(method(Method::GET))
        .and(inspector.clone())
        .map(|Number(n), inspector: Arc<Inspector>| respond(inspector.curl(n)));
    let resend =
        path!("api" / "exchanges" / Number / "resend")
            .and(method(Method::POST))
            .and(origin)
            .and(no_body)
            .and(inspector)
            .then(|Number(n), inspector: Arc<Inspector>| async move {
                respond(inspector.resend(n).await)
            });

    let api = events.or(capture).unify().or(body).unify();
    let api = api.or(curl).unify().or(resend).unify();
    local
        .and(asset.or(token.and(api)).unify())
        .recover(|rejection: Rejection| ready(Ok::<_, Infallible>(refused(&rejection))))
        .unify()
        .map(with_safety)
        .boxed()
}

/// Passes requests whose headers are accepted.
fn check(
    inspector: &Arc<Inspector>,
    refusal: fn() -> Refusal,
    accepts: fn(&Inspector, &HeaderMap) -> bool,
) -> impl Filter<Extract = (), Error = Rejection> + Clone + use<> {
    let inspector = Arc::clone(inspector);
    warp::header::headers_cloned()
        .and_then(move |headers: HeaderMap| {
            let accepted = accepts(&inspector, &headers);
            ready(accepted.then_some(()).ok_or_else(|| custom(refusal())))
        })
        .untuple_one()
}

/// Passes requests of this method. Comes behind the path: the refusal names the allowed method.
fn method(allowed: Method) -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::method()
        .and_then(move |method: Method| {
            let refusal = Refusal::Method(allowed.clone());
            ready(
                (method == allowed)
                    .then_some(())
                    .ok_or_else(|| custom(refusal)),
            )
        })
        .untuple_one()
}

/// The last `wait` of the query, in milliseconds.
fn wait() -> impl Filter<Extract = (Option<Duration>,), Error = Rejection> + Clone {
    warp::query::raw()
        .or(warp::any().map(String::new))
        .unify()
        .and_then(|query: String| {
            let mut values = query
                .split('&')
                .filter_map(|pair| pair.strip_prefix("wait="));
            let wait = values.next_back().map(str::parse).transpose();
            let wait =
                wait.map(|wait| wait.map(|Number(ms)| Duration::from_millis(ms).min(MAX_WAIT)));
            let refusal = Refusal::BadRequest("wait takes a number of milliseconds");
            ready(wait.map_err(|()| custom(refusal)))
        })
}

fn refused(rejection: &Rejection) -> Response {
    let bad_header = rejection
        .find::<InvalidHeader>()
        .map(|_| &Refusal::BadRequest("Last-Event-ID takes the number of an exchange"));
    respond(match rejection.find().or(bad_header) {
        Some(Refusal::Forbidden) => net::Response::new(403, Vec::new(), ""),
        Some(Refusal::Method(method)) => {
            let allow = net::Header::new(ALLOW.as_str(), method.as_str());
            net::Response::new(405, vec![allow], "")
        }
        Some(Refusal::BadRequest(why)) => net::Response::plain(400, format!("{why}\n")),
        Some(Refusal::TooLarge) => net::Response::plain(413, "the request takes no body\n"),
        None => super::not_found(),
    })
}

fn with_safety(mut response: Response) -> Response {
    for (name, value) in SAFETY {
        let value = HeaderValue::from_static(value);
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), value);
    }
    response
}

#[cfg(test)]
mod tests;
