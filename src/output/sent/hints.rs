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
        404 => "404: is the path right? TeleCMI's own examples use /webhook/cdr",
        405 if by_get => "405: the handler does not take GET; if your dashboard says GET, it must",
        405 => "405: the handler does not take POST at this path",
        400 | 422 => {
            "the handler refused the payload: its reply above says why, if it says anything"
        }
        401 | 403 => {
            "the handler wants credentials, which TeleCMI does not send: put a token into the URL's path or query"
        }
        415 => "415: the handler does not take application/json",
        500..=599 => "the handler failed: its own log says more than its answer",
        _ => return None,
    })
}

fn failure_hint(kind: FailureKind, phase: Phase) -> Option<&'static str> {
    Some(match (kind, phase) {
        (FailureKind::Dns, _) | (FailureKind::Timeout, Phase::Dns) => {
            "the host is not known: is it spelled right?"
        }
        (FailureKind::Refused, _) => {
            "nothing listens there: is the handler running, and is the port right?"
        }
        (FailureKind::Timeout, Phase::Connect) => {
            "nothing answers there: is the address right, or does a firewall stand before it?"
        }
        (FailureKind::Tls, _) => {
            "--cacert FILE trusts a certificate, -k trusts any; a local handler usually speaks http://"
        }
        (FailureKind::Closed | FailureKind::NotHttp | FailureKind::Timeout, Phase::Tls) => {
            "does it speak TLS at all? a local handler usually speaks http://"
        }
        (FailureKind::Timeout, _) => {
            "the handler took too long: answer first and work afterwards, or allow more with --timeout"
        }
        (FailureKind::KeptConnectionClosed, _) => {
            "the handler closed a kept connection, and the request on it may have arrived or not: --retry sends it again"
        }
        (FailureKind::Closed, Phase::Send | Phase::Wait) => {
            "the handler hung up before its answer was whole: look for a crash in its log, or does it want https://?"
        }
        (FailureKind::Closed, _) => {
            "the handler hung up before its answer was whole: look for a crash in its log"
        }
        (FailureKind::NotHttp, _) => {
            "what answers there does not speak HTTP: is the port right, and should it be https://?"
        }
        (FailureKind::Redirect, _) => {
            "TeleCMI is not known to follow redirects: register the final address"
        }
        (FailureKind::Other, _) => return None,
    })
}
