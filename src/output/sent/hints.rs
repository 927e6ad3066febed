//! Hints about the failures of `send`, printed after the summary.

use std::collections::BTreeSet;

use crate::net::{FailureKind, Phase};
use crate::send::event::Delivery;

/// The hints after the summary of `send` are chosen by the distinct causes of the run's failures.
#[derive(Debug, Default)]
pub struct Causes {
    statuses: BTreeSet<u16>,
    failures: BTreeSet<(FailureKind, Phase)>,
    by_get: bool,
}

impl Causes {
    pub fn note(&mut self, delivery: &Delivery) {
        if let Some(last) = delivery.last() {
            self.statuses.extend(last.status);
            let failure = last.failure.as_ref();
            self.failures
                .extend(failure.map(|failure| (failure.kind, failure.phase)));
            self.by_get |= delivery.method == "GET";
        }
    }

    pub fn hints(&self) -> Vec<&'static str> {
        let failures = self.failures.iter();
        let failures = failures.filter_map(|(kind, phase)| failure_hint(*kind, *phase));
        let statuses = self.statuses.iter();
        let statuses = statuses.filter_map(|status| status_hint(*status, self.by_get));
        let mut hints: Vec<_> = failures.chain(statuses).collect();
        hints.dedup();
        hints
    }
}

fn status_hint(status: u16, by_get: bool) -> Option<&'static str> {
    Some(match status {
        404 => "404: check the path; TeleCMI's own examples use /webhook/cdr",
        405 if by_get => {
            "405: the handler does not accept GET, which it must if GET is set in the \
            dashboard"
        }
        405 => "405: the handler does not accept POST at this path",
        400 | 422 => "the handler refused the payload: see its reply above",
        401 | 403 => {
            "the handler requires credentials, which TeleCMI does not send: put a token into the \
             URL's path or query"
        }
        415 => "415: the handler does not accept application/json",
        500..=599 => "the handler failed: see the handler's log",
        _ => return None,
    })
}

fn failure_hint(kind: FailureKind, phase: Phase) -> Option<&'static str> {
    Some(match (kind, phase) {
        (FailureKind::Dns, _) | (FailureKind::Timeout, Phase::Dns) => {
            "the host was not found: check its spelling"
        }
        (FailureKind::Refused, _) => {
            "no program listens at this address: check that the handler is running, and check the \
             port"
        }
        (FailureKind::Timeout, Phase::Connect) => {
            "no connection: check the address and the firewall"
        }
        (FailureKind::Tls, _) => {
            "--cacert FILE trusts a certificate, -k trusts any; a local handler usually uses \
             http://"
        }
        (FailureKind::Closed | FailureKind::NotHttp | FailureKind::Timeout, Phase::Tls) => {
            "check that the server uses TLS: a local handler usually uses http://"
        }
        (FailureKind::Timeout, _) => {
            "the handler took too long: let it answer before it does the work, or raise --timeout"
        }
        (FailureKind::KeptConnectionClosed, _) => {
            "the handler closed a reused connection, and may or may not have received the request: \
             --retry sends it again"
        }
        (FailureKind::Closed, Phase::Send | Phase::Wait) => {
            "the handler closed the connection before its answer was complete: look for a crash in \
             its log, or try https://"
        }
        (FailureKind::Closed, _) => {
            "the handler closed the connection before its answer was complete: look for a crash in \
             its log"
        }
        (FailureKind::NotHttp, _) => {
            "the server does not use HTTP: check the port, or try https://"
        }
        (FailureKind::Redirect, _) => {
            "TeleCMI is not known to follow redirects: register the final URL"
        }
        (FailureKind::Other, _) => return None,
    })
}
