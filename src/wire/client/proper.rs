//! The long way: the proper client, with everything that it does unasked turned off.
//!
//! In: a [`Request`]. Out: a [`Response`] as it came, or a [`Failure`] that says how far the request got.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use rustls::ClientConfig;
use tower::util::MapFutureLayer;

use super::super::{Body, Failure, FailureKind, Header, Phase, Request, Response};
use super::progress::{self, NotedBody, Progress};
use super::trouble::{self, explain, too_slow};
use super::{
    ClientOptions, Destination, LAST_REQUEST, MOST_OF_A_RESPONSE, USER_AGENT, cannot_be_sent,
    field, lookup, on_kept, states_length,
};
use crate::error::Error;

/// The long way to one destination.
#[derive(Debug)]
pub(super) struct Proper {
    inner: reqwest::Client,
    /// Where everything goes.
    destination: Destination,
    /// How long everything together may take.
    timeout: Duration,
    /// How long connecting may take.
    connect_timeout: Duration,
    /// Whether connections are used again.
    keep_alive: bool,
}

impl Proper {
    /// The way to a destination, through a proxy if the environment wants that and it is allowed.
    pub fn new(
        destination: &Destination,
        options: &ClientOptions,
        tls: ClientConfig,
        proxied: bool,
    ) -> Result<Self, Error> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .tcp_nodelay(true)
            .user_agent(USER_AGENT)
            .connect_timeout(options.connect_timeout)
            .dns_resolver(Arc::new(lookup::Lookup))
            .connector_layer(MapFutureLayer::new(progress::connecting))
            .pool_max_idle_per_host(if options.keep_alive { usize::MAX } else { 0 });
        if !proxied {
            builder = builder.no_proxy();
        }
        Ok(Self {
            inner: builder
                .build()
                .map_err(|error| Error::Tls(error.without_url().to_string()))?,
            destination: destination.clone(),
            timeout: options.timeout,
            connect_timeout: options.connect_timeout,
            keep_alive: options.keep_alive,
        })
    }

    /// Sends a request once and reads its answer.
    pub async fn carry(&self, request: &Request) -> Result<Response, Failure> {
        let progress = Progress::new(!request.body.is_empty());
        let outgoing = self.prepared(request, &progress)?;
        let exchange = progress.follow(self.exchange(outgoing, &progress));
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.explained(error, &progress)),
            Err(_) => Err(too_slow(progress.phase(), self.timeout, &self.destination)),
        }
    }

    /// The request in reqwest's terms, or the failure that it cannot be sent as it is.
    pub fn prepared(
        &self,
        request: &Request,
        progress: &Progress,
    ) -> Result<reqwest::Request, Failure> {
        self.outgoing(request, progress)
            .map_err(|text| cannot_be_sent(&text))
    }

    /// The request in reqwest's terms, or why it cannot be sent as it is.
    fn outgoing(&self, request: &Request, progress: &Progress) -> Result<reqwest::Request, String> {
        let url = self.destination.url_of(&request.target)?;
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|_| "the method is no valid one".to_owned())?;
        if method == reqwest::Method::CONNECT {
            return Err("CONNECT opens a tunnel, it cannot be sent as a request".to_owned());
        }
        let mut headers = header_map(&request.headers)?;
        if let Some(authorization) = self.destination.authorization() {
            let (name, value) = field(&authorization)?;
            headers.entry(name).or_insert(value);
        }
        if headers.contains_key(TRANSFER_ENCODING) {
            headers.remove(CONTENT_LENGTH);
        } else if states_length(request) {
            headers.insert(CONTENT_LENGTH, request.body.len().into());
        }
        if !self.keep_alive {
            let (name, value) = LAST_REQUEST;
            headers
                .entry(name)
                .or_insert(HeaderValue::from_static(value));
        }
        let mut outgoing = reqwest::Request::new(method, url);
        *outgoing.headers_mut() = headers;
        if !request.body.is_empty() {
            let body = NotedBody::new(request.body.0.clone(), progress.clone());
            *outgoing.body_mut() = Some(reqwest::Body::wrap(body));
        }
        Ok(outgoing)
    }

    /// Sends the request and reads the answer, however long that takes.
    async fn exchange(
        &self,
        outgoing: reqwest::Request,
        progress: &Progress,
    ) -> reqwest::Result<Response> {
        let response = self.inner.execute(outgoing).await?;
        progress.reach(Phase::Read);
        let mut answer = Response {
            status: response.status().as_u16(),
            headers: headers_of(response.headers()),
            body: Body::default(),
            size: 0,
            complete: true,
        };
        // A redirect is a failure whatever its body, which may be endless.
        if !trouble::redirects(&answer) {
            read_body(response, &mut answer).await?;
        }
        Ok(answer)
    }

    /// What an error of reqwest's means.
    fn explained(&self, error: reqwest::Error, progress: &Progress) -> Failure {
        let error = error.without_url();
        if error.is_connect() && error.is_timeout() {
            return too_slow(progress.phase(), self.connect_timeout, &self.destination);
        }
        let failure = explain(&error, progress.phase(), &self.destination);
        let is_kept = failure.kind == FailureKind::Closed && progress.reuses_connection();
        if is_kept { on_kept(failure) } else { failure }
    }
}

/// Reads as much of a body as is wanted into an answer.
async fn read_body(mut response: reqwest::Response, answer: &mut Response) -> reqwest::Result<()> {
    let announced = response.content_length();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = MOST_OF_A_RESPONSE - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MOST_OF_A_RESPONSE {
            // Waiting for one more byte could take for ever; only the announced length tells without waiting.
            answer.complete = announced == Some(MOST_OF_A_RESPONSE as u64);
            break;
        }
    }
    answer.size = body.len() as u64;
    answer.body = body.into();
    Ok(())
}

/// Headers in reqwest's terms.
fn header_map(headers: &[Header]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let (name, value) = field(header)?;
        map.append(name, value);
    }
    Ok(map)
}

/// Headers in our own terms.
fn headers_of(map: &HeaderMap) -> Vec<Header> {
    map.iter()
        .map(|(name, value)| Header {
            name: name.as_str().to_owned(),
            value: value.as_bytes().to_vec().into(),
        })
        .collect()
}
