//! A request in the formats of other tools: a `curl` command, a `.http` file for editors, HAR, targets for Vegeta.
//!
//! Each request becomes a piece of text of its own, so that memory does not grow with their number. Secrets are masked,
//! and control characters escaped. A request that a format cannot hold exactly is left out with a reason.

mod curl;
pub mod har;
pub mod http;
pub mod vegeta;

use super::{Header, Request, secret};
pub use curl::{curl, curl_to};

/// Why a format cannot hold a request, in a clause that begins with `its`.
pub type Reason = &'static str;

/// The whole address of a request at an origin, secrets masked.
fn url(request: &Request, origin: &str) -> Result<String, Reason> {
    if !request.target.starts_with('/') {
        return Err("its target is no path");
    }
    if request.target.contains('#') {
        return Err("its target has a # in it, and what follows that would not be sent");
    }
    Ok(format!("{origin}{}", secret::masked_url(&request.target)))
}

/// The names and values of a request's headers, secrets masked.
fn headers(request: &Request) -> Result<Vec<(String, String)>, Reason> {
    let text = |header: Header| match std::str::from_utf8(&header.value) {
        Ok(value) => Ok((header.name, value.to_owned())),
        Err(_) => Err("its headers are not all text"),
    };
    secret::masked_headers(&request.headers)
        .into_iter()
        .map(text)
        .collect()
}
