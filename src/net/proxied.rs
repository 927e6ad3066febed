//! Sends requests with reqwest through the environment's proxy, without redirects, retries or `Referer`.

use tokio::time::{Instant, timeout_at};

use super::client::{ClientOptions, LIMITS, cannot_be_sent, method};
use super::destination::Destination;
use super::failure::{explain, explain_at, timed_out};
use super::headers;
use super::http1::read;
use super::{Failure, Phase, Request, Response, tls};
use crate::error::Error;

pub(super) struct Proxied {
    client: reqwest::Client,
    destination: Destination,
    proxy: String,
    options: ClientOptions,
}

impl Proxied {
    pub fn new(
        destination: &Destination,
        options: &ClientOptions,
        proxy: String,
    ) -> Result<Self, Error> {
        let tls = if destination.is_tls() || proxy.starts_with("https:") {
            tls::config(options)?
        } else {
            tls::unused()?
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(options.connect_timeout)
            .pool_max_idle_per_host(if options.keep_alive { usize::MAX } else { 0 })
            .build()
            .map_err(|error| Error::Tls(error.without_url().to_string()))?;
        Ok(Self {
            client,
            destination: destination.clone(),
            proxy,
            options: options.clone(),
        })
    }

    /// Sends a request once through the proxy and reads its response. A request target that the URL standard would
    /// rewrite is an error.
    pub async fn send(&self, request: &Request) -> Result<Response, Failure> {
        let outgoing = self
            .outgoing(request)
            .map_err(|text| cannot_be_sent(&text))?;
        let deadline = Instant::now() + self.options.timeout;
        let sent = self.client.execute(outgoing);
        let incoming = self.phase(Phase::Wait, deadline, sent).await?;
        let response = read(incoming.into(), LIMITS);
        self.phase(Phase::Read, deadline, response).await
    }

    async fn phase<T>(
        &self,
        phase: Phase,
        deadline: Instant,
        step: impl Future<Output = reqwest::Result<T>>,
    ) -> Result<T, Failure> {
        match timeout_at(deadline, step).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.explain(error, phase)),
            Err(_) => Err(timed_out(phase, self.options.timeout, &self.destination)),
        }
    }

    fn outgoing(&self, request: &Request) -> Result<reqwest::Request, String> {
        let url = self.destination.url_of(&request.target)?;
        let mut outgoing = reqwest::Request::new(method(request)?, url);
        let keep_alive = self.options.keep_alive;
        *outgoing.headers_mut() = headers::fields(request, &self.destination, keep_alive)?;
        if !request.body.is_empty() {
            *outgoing.body_mut() = Some(request.body.0.clone().into());
        }
        Ok(outgoing)
    }

    fn explain(&self, error: reqwest::Error, phase: Phase) -> Failure {
        let error = error.without_url();
        let limit = self.options.connect_timeout;
        let proxy = format!("the proxy {}", self.proxy);
        match (error.is_connect(), error.is_timeout()) {
            (true, true) => timed_out(Phase::Connect, limit, &self.destination),
            (true, false) => explain_at(&error, Phase::Connect, &proxy, &self.destination),
            (false, _) => explain(&error, phase, &self.destination),
        }
    }
}
