//! The transport of `send`: the HTTP client, and the raw writer for races and captured requests.

use std::time::Duration;

use crate::send::deliver::Transport;
use crate::send::plan::Origin;
use crate::send::replay;
use crate::wire::client::{Client, Destination};
use crate::wire::raw::{RawRequest, Writer};
use crate::wire::{Failure, FailureKind, Phase, Request, Response};

/// Sends requests to one destination.
pub struct HttpTransport {
    pub(super) client: Client,
    pub(super) writer: Writer,
    /// Whether a proxy is in use, through which captured requests cannot go byte for byte.
    pub(super) proxied: bool,
    pub(super) destination: Destination,
}

impl Transport for HttpTransport {
    async fn send(&self, request: &Request, origin: Origin) -> Result<Response, Failure> {
        match origin {
            Origin::Template => self.client.carry(request).await,
            Origin::Capture if self.proxied => {
                let request = replay::strip_hop_by_hop(request);
                self.client.carry(&request).await
            }
            // Boxed: the future is large.
            Origin::Capture => Box::pin(self.writer.carry(&exact(request)?)).await,
        }
    }

    async fn race(
        &self,
        request: &Request,
        origin: Origin,
        copies: usize,
    ) -> Vec<(Result<Response, Failure>, Duration)> {
        let raw = match origin {
            // The raw writer would write anything, line breaks in a header too.
            Origin::Template => self
                .client
                .check(request)
                .map(|()| RawRequest::verbatim(request, &self.destination)),
            Origin::Capture => exact(request),
        };
        match raw {
            Ok(raw) => self.writer.race(&raw, copies).await,
            Err(failure) => vec![(Err(failure), Duration::ZERO); copies],
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
