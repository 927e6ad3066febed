//! Sends requests with reqwest through the environment's proxy, without redirects, retries or `Referer`.

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::time::{Instant, timeout_at};

use super::client::{ClientOptions, LIMITS};
use super::destination::Destination;
use super::failure::{allowance, explain, explain_at, timed_out, unless_redirect};
use super::headers;
use super::http1::read;
use super::{Failure, FailureKind, Phase, Request, Response, tls};
use crate::error::Error;

/// The environment's proxy variables with a value that is no URL of a proxy. They have no effect.
pub fn unusable_variables() -> Vec<&'static str> {
    const NAMES: &str = "HTTP_PROXY http_proxy HTTPS_PROXY https_proxy ALL_PROXY all_proxy";
    let is_unusable = |name: &&str| {
        let value = std::env::var_os(name).unwrap_or_default();
        let matcher = Matcher::builder().all(value.to_str().unwrap_or_default());
        let target = Uri::from_static("http://cdr.test/");
        !value.is_empty() && matcher.build().intercept(&target).is_none()
    };
    NAMES.split(' ').filter(is_unusable).collect()
}

/// The advice on an answer to plain HTTP, in which a proxy's own answers cannot be told from the handler's.
const MAY_BE_OF_PROXY: &str = "the request went through a proxy, so the cause may be the proxy, not the handler: hosts in NO_PROXY bypass the proxy";

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
        let is_tls = destination.is_tls() || proxy.starts_with("https:");
        // For plain HTTP, `insecure` spares reading the system's certificates.
        let tls = tls::config(&ClientOptions {
            insecure: options.insecure || !is_tls,
            ..options.clone()
        })?;
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
        let outgoing = self.outgoing(request)?;
        let deadline = Instant::now() + self.options.timeout;
        let sent = self.client.execute(outgoing);
        let incoming = self.phase(Phase::Wait, deadline, sent).await?;
        let response = read(incoming.into(), LIMITS);
        let response = self.phase(Phase::Read, deadline, response).await?;
        let may_be_of_proxy = matches!(response.status, 403 | 502..=504);
        let hint = Some(MAY_BE_OF_PROXY).filter(|_| may_be_of_proxy && !self.destination.is_tls());
        unless_redirect(Response { hint, ..response })
    }

    async fn phase<T>(
        &self,
        phase: Phase,
        deadline: Instant,
        step: impl Future<Output = reqwest::Result<T>>,
    ) -> Result<T, Failure> {
        timeout_at(deadline, step)
            .await
            .map_err(|_| timed_out(phase, self.options.timeout, &self.destination))?
            .map_err(|error| self.explain(error, phase))
    }

    fn outgoing(&self, request: &Request) -> Result<reqwest::Request, Failure> {
        let url = self.destination.url_of(&request.target);
        let url = url.map_err(Failure::cannot_be_sent)?;
        let keep_alive = self.options.keep_alive;
        let (method, headers) = headers::parsed(request, &self.destination, keep_alive)?;
        let mut outgoing = reqwest::Request::new(method, url);
        *outgoing.headers_mut() = headers;
        if !request.body.is_empty() {
            *outgoing.body_mut() = Some(request.body.0.clone().into());
        }
        Ok(outgoing)
    }

    fn explain(&self, error: reqwest::Error, phase: Phase) -> Failure {
        let error = error.without_url();
        let limit = self.options.connect_timeout;
        let proxy = format!("the proxy {}", self.proxy);
        let failure = match (error.is_connect(), error.is_timeout()) {
            (true, true) => {
                let text = format!("no connection through {proxy} within {}", allowance(limit));
                Failure::new(Phase::Connect, FailureKind::Proxy, text)
            }
            (true, false) => explain_at(&error, Phase::Connect, &proxy, &self.destination),
            (false, _) => {
                let mut failure = explain(&error, phase, &self.destination);
                if !self.destination.is_tls() {
                    failure.text = format!("{} (through {proxy})", failure.text);
                    failure.hint = Some(MAY_BE_OF_PROXY);
                }
                return failure;
            }
        };
        // The certificate is the handler's: the proxy passes TLS on.
        if failure.kind == FailureKind::Tls {
            return failure;
        }
        let text = match failure.text {
            text if text.contains("proxy authorization required") => {
                format!("{proxy} requires a user name and a password")
            }
            text if text.contains("tunnel error") => {
                format!("{proxy} refused to connect to {}", self.destination.place())
            }
            text => text,
        };
        let hint = "the proxy failed, not the handler: check the proxy's URL in the environment; hosts in NO_PROXY bypass the proxy";
        let mut failure = Failure::new(failure.phase, FailureKind::Proxy, text);
        failure.hint = Some(hint);
        failure
    }
}
