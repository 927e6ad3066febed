//! Implements `--forward-to`, a reverse proxy to a handler. Body and end-to-end headers are forwarded unchanged,
//! hop-by-hop headers are replaced, and path and parameters of the `--forward-to` URL take precedence over the
//! request's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::exchange::Forwarded;
use crate::net::Destination;
use crate::net::client::{ClientOptions, MAX_RESPONSE_BODY};
use crate::net::raw::{MAX_FORWARDED_BODY, RawClient, RawRequest};
use crate::net::secret::masked_url;
use crate::net::{
    Failure, FailureKind, Header, Phase, Request, Response, end_to_end, fields, header, query,
};
use crate::reply::reply_line;
use crate::untrusted::Untrusted;

/// Time for the handler's answer after the listener is told to stop; must be shorter than the server's `Limits::grace`.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Forward {
    pub(crate) destination: Destination,
    client: Arc<RawClient>,
    /// The element of `Via` that the listener adds (RFC 9110, 7.6.3); a request that already has the element is a loop.
    via: String,
}

impl Forward {
    /// Returns an error if the destination is `listening`, the listener's own address.
    pub fn new(
        destination: Destination,
        listening: SocketAddr,
        options: &ClientOptions,
    ) -> Result<Self, Error> {
        let own_address = destination.host().parse() == Ok(listening.ip());
        if destination.port() == listening.port() && (destination.is_loopback() || own_address) {
            let text = format!("--forward-to {destination} is the address of this listener");
            return Err(Error::Usage(text));
        }
        let (pid, port) = (std::process::id(), listening.port());
        Ok(Self {
            client: Arc::new(RawClient::new(&destination, options)?),
            destination,
            via: format!("1.1 telecmi-cdr-{pid}-{port}"),
        })
    }

    /// Only a request whose target is a path is forwarded. TRACE is not: a TRACE answer would show the sender the added
    /// headers.
    pub(crate) fn accepts(request: &Request) -> bool {
        request.target.starts_with('/') && request.method != "TRACE"
    }

    /// Forwards a request, and waits for the handler's answer at most `STOP_TIMEOUT` after `stop`. In the returned
    /// record the caller sets `instead_of`.
    pub(crate) async fn send(
        &self,
        request: &Request,
        stop: &CancellationToken,
    ) -> (Response, Forwarded) {
        let began = Instant::now();
        let addressed = self.addressed(request);
        let stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_TIMEOUT).await;
        };
        let answer = tokio::select! {
            answer = self.answer(request, &addressed) => answer,
            () = stopped => {
                let text = "the listener stopped before the handler answered";
                Err(failure(504, FailureKind::Timeout, text))
            }
        };
        let (response, failure) = match answer {
            Ok(response) => (response, None),
            // The cause of a failed forward goes into the record, not to the sender.
            Err((status, failure)) => {
                let response = Response::plain(status, "the handler did not answer\n");
                (response, Some(failure))
            }
        };
        let answer = failure.is_none().then_some(&response);
        let failing = answer.filter(|answer| answer.status >= 400);
        let forwarded = Forwarded {
            url: masked_url(&(self.destination.origin() + &addressed.target)),
            said: failing.and_then(reply_line).map(Untrusted::new),
            response: answer.map(|answer| answer.recorded(MAX_RESPONSE_BODY)),
            status: answer.map(|answer| answer.status),
            latency: began.elapsed(),
            complete: answer.is_some_and(|answer| answer.complete),
            instead_of: None,
            failure,
        };
        (response, forwarded)
    }

    /// Returns the handler's answer, or the status and the cause of a gateway error.
    async fn answer(&self, request: &Request, sent: &Request) -> Result<Response, (u16, Failure)> {
        if self.is_loop(request) {
            let text = "forwarding loop: this listener has forwarded the request before";
            return Err(failure(508, FailureKind::Other, text));
        }
        let outgoing = RawRequest::forwarded(sent, &self.destination);
        let answer = self.client.send(&outgoing).await;
        let mut response = answer.map_err(|failure| match failure.kind {
            FailureKind::Timeout => (504, failure),
            _ => (502, failure),
        })?;
        let status = response.status;
        if status < 200 {
            let text =
                format!("the handler answered with {status}, which the request did not ask for");
            return Err(failure(502, FailureKind::NotHttp, &text));
        }
        if response.body.len() >= MAX_FORWARDED_BODY && !response.complete {
            let limit = MAX_FORWARDED_BODY / (1024 * 1024);
            let text = format!("the handler's answer is over the limit of {limit} MiB");
            return Err(failure(502, FailureKind::Other, &text));
        }
        let mut headers = end_to_end(&response.headers);
        // The answer to HEAD keeps the handler's `Content-Length`, since there is no body to compute a length from
        // (RFC 9110, 9.3.2).
        let length = header(&response.headers, "content-length");
        let length = length.filter(|_| request.method == "HEAD");
        headers.extend(length.map(|length| Header::new("Content-Length", length)));
        response.headers = headers;
        Ok(response)
    }

    fn is_loop(&self, request: &Request) -> bool {
        fields(&request.headers, "via")
            .any(|via| via.text().split(',').any(|by| by.trim() == self.via))
    }

    fn addressed(&self, request: &Request) -> Request {
        let mut headers = end_to_end(&request.headers);
        let is_stated = header(&headers, "x-forwarded-host").is_some();
        let host = header(&request.headers, "host").filter(|_| !is_stated);
        headers.extend(host.map(|host| Header::new("X-Forwarded-Host", host)));
        headers.push(Header::new("Via", self.via.clone()));
        headers.push(Header::new("Connection", "close"));
        Request {
            target: query::onto(self.destination.target(), &request.target),
            headers,
            ..request.clone()
        }
    }
}

fn failure(status: u16, kind: FailureKind, text: &str) -> (u16, Failure) {
    (status, Failure::new(Phase::Wait, kind, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(url: &str, listening: &str) -> Result<Forward, Error> {
        let destination = Destination::parse(url).unwrap();
        Forward::new(
            destination,
            listening.parse().unwrap(),
            &ClientOptions::default(),
        )
    }

    #[test]
    fn a_listener_is_not_its_own_handler() {
        for url in [
            "http://localhost:8237/x",
            "http://127.0.0.1:8237",
            "http://[::1]:8237",
            "http://0.0.0.0:8237",
        ] {
            assert!(forward(url, "127.0.0.1:8237").is_err(), "{url}");
        }
        assert!(forward("http://192.0.2.7:8237", "192.0.2.7:8237").is_err());
        assert!(forward("http://localhost:5000", "127.0.0.1:8237").is_ok());
        assert!(forward("http://192.0.2.7:8237", "127.0.0.1:8237").is_ok());
    }

    #[test]
    fn what_belongs_to_a_connection_is_exchanged_and_everything_else_stays() {
        let forward = forward(
            "http://user:s3cret@localhost:5000/webhook?own=1",
            "127.0.0.1:8237",
        )
        .unwrap();
        let headers = [
            ("Host", "abc.example"),
            ("Connection", "close, X-Hop"),
            ("X-Hop", "1"),
            ("Transfer-Encoding", "chunked"),
            ("X-Cased", "a"),
            ("x-cased", "b"),
            ("Via", "1.1 tunnel"),
        ];
        let headers = headers
            .map(|(name, value)| Header::new(name, value))
            .to_vec();
        let request = Request::new("POST", "/?a=%2f&a=2", headers, "{}");
        let addressed = forward.addressed(&request);
        assert_eq!(
            (addressed.target.as_str(), addressed.body),
            ("/webhook?own=1&a=%2f&a=2", request.body.clone())
        );
        let lines: Vec<_> = addressed
            .headers
            .iter()
            .map(|header| format!("{}: {}", header.name, header.text()))
            .collect();
        let via = format!("Via: 1.1 telecmi-cdr-{}-8237", std::process::id());
        let expected = [
            "X-Cased: a",
            "x-cased: b",
            "Via: 1.1 tunnel",
            "X-Forwarded-Host: abc.example",
            &via,
            "Connection: close",
        ];
        assert_eq!(lines, expected);
        assert!(!forward.is_loop(&request));
        let again = Request {
            headers: vec![Header::new("via", format!("1.1 x, {}", &via[5..]))],
            ..request
        };
        assert!(forward.is_loop(&again));
    }
}
