//! The transport of `send`: the HTTP client, and the raw client for captured requests.

use std::time::Duration;

use crate::net::client::Client;
use crate::net::raw::{RawClient, RawRequest};
use crate::net::{Failure, FailureKind, Phase, Request, Response};
use crate::send::deliver::Transport;
use crate::send::plan::Origin;
use crate::send::replay;

/// Sends requests to one destination.
pub struct HttpTransport {
    pub(super) client: Client,
    pub(super) raw: RawClient,
    /// Whether a proxy is in use, through which captured requests cannot go byte for byte.
    pub(super) proxied: bool,
}

impl Transport for HttpTransport {
    async fn send(&self, request: &Request, origin: Origin) -> Result<Response, Failure> {
        match origin {
            Origin::Template => self.client.send(request).await,
            Origin::Capture if self.proxied => {
                let request = replay::strip_hop_by_hop(request);
                self.client.send(&request).await
            }
            // Boxed: the future is large.
            Origin::Capture => Box::pin(self.raw.send(&exact(request)?)).await,
        }
    }

    async fn race(
        &self,
        request: &Request,
        origin: Origin,
        copies: usize,
    ) -> Vec<(Result<Response, Failure>, Duration)> {
        match origin {
            Origin::Template => self.client.race(request, copies).await,
            Origin::Capture => match exact(request) {
                Ok(raw) => self.raw.race(&raw, copies).await,
                Err(failure) => vec![(Err(failure), Duration::ZERO); copies],
            },
        }
    }
}

/// The captured request as it stands, or the failure that it cannot be sent.
fn exact(request: &Request) -> Result<RawRequest, Failure> {
    RawRequest::exact(request).map_err(|text| Failure {
        phase: Phase::Send,
        kind: FailureKind::Other,
        text,
    })
}
