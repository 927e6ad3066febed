//! Routes of the inspector. Access is checked before path and method.

use std::convert::Infallible;
use std::future::ready;
use std::str::FromStr;
use std::sync::Arc;

use warp::filters::BoxedFilter;
use warp::http::header::{ALLOW, CONTENT_LENGTH, ORIGIN, TRANSFER_ENCODING};
use warp::http::{HeaderMap, HeaderName, HeaderValue, Method};
use warp::reject::{InvalidHeader, Rejection, custom};
use warp::{Filter, Reply, path};

use super::access::{Access, Refusal, check, forbidden, only};
use super::{Inspector, file, not_found};
use crate::net::{Header, Response, digits};

/// A `Route` is boxed, because the compiler takes several seconds for the nested type of all routes.
type Route = BoxedFilter<(warp::reply::Response,)>;

/// An asset of the inspector's page: path without the first slash, content type, text.
type Asset = (&'static str, &'static str, &'static str);

const ASSETS: [Asset; 8] = [
    ("", HTML, include_str!("page.html")),
    ("page.css", CSS, include_str!("page.css")),
    ("page.js", JS, include_str!("page.js")),
    ("list.js", JS, include_str!("list.js")),
    ("detail.js", JS, include_str!("detail.js")),
    ("calls.js", JS, include_str!("calls.js")),
    ("feed.js", JS, include_str!("feed.js")),
    ("text.js", JS, include_str!("text.js")),
];
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// Every response of the inspector has these headers: scripts, styles and requests of its own origin only; no framing,
/// no caching, no sharing with other origins.
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

/// Limit of an edited request or answer in bytes of JSON.
const MAX_TEXT: u64 = 1024 * 1024;

/// The number of an exchange in a path has digits only, no sign.
pub(super) struct Number(pub u64);

impl FromStr for Number {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        digits(text.as_bytes()).map(Self).ok_or(())
    }
}

pub(super) fn routes(inspector: &Arc<Inspector>) -> Route {
    let local = check(inspector, Access::is_local, forbidden);
    let token = check(inspector, Access::has_token, forbidden);
    // Browsers send `Origin` with every POST.
    let origin = |_: &_, headers: &_| only(headers, ORIGIN.as_str()).is_some();
    let origin = check(inspector, origin, forbidden);
    let fits = check(inspector, |_, headers| fits(headers), too_large);
    let shared = || {
        let inspector = Arc::clone(inspector);
        warp::any().map(move || Arc::clone(&inspector)).boxed()
    };
    let get = || method(Method::GET);

    let asset = path::tail().and_then(|tail: path::Tail| {
        let asset = ASSETS.into_iter().find(|(name, ..)| *name == tail.as_str());
        ready(asset.ok_or_else(warp::reject::not_found))
    });
    let asset = asset.and(get()).boxed();
    let asset = route(asset.map(|(_, content_type, text): Asset| file(content_type, text)));
    let events = path!("api" / "events").and(get()).boxed();
    let events = shared().and(events).and(warp::sse::last_event_id());
    let events = route(events.and(warp::query()).map(Inspector::events));
    let capture = path!("api" / "capture").and(get()).boxed();
    let capture = route(shared().and(capture).map(Inspector::capture));
    let exchange = path!("api" / "exchanges" / Number / ..).boxed();
    let exchange = shared().and(exchange).boxed();
    let body = exchange.clone().and(path!("body")).and(get()).boxed();
    let body = route(body.map(Inspector::body));
    let curl = exchange.clone().and(path!("curl")).and(get()).boxed();
    let curl = route(curl.map(Inspector::curl));
    let post = method(Method::POST).and(origin).and(fits);
    let post = post.and(warp::body::bytes()).boxed();
    let resend = exchange.and(path!("resend")).and(post.clone()).boxed();
    let resend = route(resend.then(Inspector::resend));
    let answer = shared().and(path!("api" / "answer")).and(post).boxed();
    let answer = route(answer.map(|inspector, body| Inspector::answer(inspector, &body)));

    let others = [capture, body, curl, resend, answer];
    let api = others.into_iter().fold(events, either);
    let safety = SAFETY.map(|(name, value)| {
        let value = HeaderValue::from_static(value);
        (HeaderName::from_static(name), value)
    });
    let routes = local.and(either(asset, token.and(api).boxed())).boxed();
    routes
        .recover(|rejection| ready(Ok::<_, Infallible>(refusal(&rejection))))
        .with(warp::reply::with::headers(HeaderMap::from_iter(safety)))
        .map(Reply::into_response)
        .boxed()
}

fn route<R: Reply + Send + 'static>(
    filter: impl Filter<Extract = (R,), Error = Rejection> + Send + Sync + 'static,
) -> Route {
    filter.map(Reply::into_response).boxed()
}

fn either(first: Route, second: Route) -> Route {
    first.or(second).unify().boxed()
}

/// A request without `Content-Length` and `Transfer-Encoding` has no body.
fn fits(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).into_iter();
    let fits = |length: &HeaderValue| digits(length.as_bytes()).is_some_and(|n| n <= MAX_TEXT);
    lengths.all(fits) && !headers.contains_key(TRANSFER_ENCODING)
}

fn too_large() -> Response {
    Response::plain(413, "the text is over the limit of 1 MiB\n")
}

/// Refuses any method but `allowed` with 405. The method filter must follow the path filter, since `Allow` depends on
/// the path.
fn method(allowed: Method) -> BoxedFilter<()> {
    warp::method()
        .and_then(move |method: Method| {
            let allow = vec![Header::new(ALLOW.as_str(), allowed.as_str())];
            let accepted = (method == allowed).then_some(());
            ready(accepted.ok_or_else(|| custom(Refusal(Response::new(405, allow, "")))))
        })
        .untuple_one()
        .boxed()
}

fn refusal(rejection: &Rejection) -> Response {
    if let Some(Refusal(response)) = rejection.find() {
        response.clone()
    } else if rejection.find::<InvalidHeader>().is_some() {
        Response::plain(400, "Last-Event-ID takes the number of an exchange\n")
    } else {
        not_found()
    }
}

#[cfg(test)]
mod tests;
