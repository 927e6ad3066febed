//! From a chain of library errors to a [`Failure`], in one sentence.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::CertificateError;

use super::destination::Destination;
use super::secret::masked_url;
use super::{Failure, FailureKind, Phase, Response, header};
use crate::clock::format_duration;
use crate::untrusted::{beginning, clean};

/// The failure that an error in a phase means for the request to this destination.
///
/// The outermost known error decides; the text of an unknown one is quoted.
pub(super) fn explain(
    error: &(dyn Error + 'static),
    phase: Phase,
    destination: &Destination,
) -> Failure {
    explain_at(error, phase, &destination.place(), destination)
}

/// The same with the name of the peer, which may be a proxy.
pub(super) fn explain_at(
    error: &(dyn Error + 'static),
    phase: Phase,
    place: &str,
    destination: &Destination,
) -> Failure {
    let mut cause = Some(error);
    let mut innermost = error;
    while let Some(error) = cause {
        if let Some(failure) = understood(error, phase, place, destination) {
            return failure;
        }
        innermost = error;
        cause = next_cause(error);
    }
    failure(
        phase,
        match phase {
            Phase::Dns => FailureKind::Dns,
            Phase::Tls => FailureKind::Tls,
            _ => FailureKind::Other,
        },
        match phase {
            Phase::Dns => format!("cannot find the address of {}", destination.host()),
            _ => format!(
                "{phase} ({place}) failed: {}",
                quoted(&innermost.to_string())
            ),
        },
    )
}

/// The failure of a phase that took longer than allowed.
pub(super) fn timed_out(phase: Phase, limit: Duration, destination: &Destination) -> Failure {
    let place = destination.place();
    let allowed = allowance(limit);
    let text = match phase {
        Phase::Dns => format!("no address of {} within {allowed}", destination.host()),
        Phase::Connect => format!("no connection to {place} within {allowed}"),
        Phase::Tls => format!("no TLS handshake with {place} within {allowed}"),
        Phase::Send => format!("{place} did not take the whole request within {allowed}"),
        Phase::Wait => format!("no answer within {allowed}"),
        Phase::Read => format!("the answer did not come to its end within {allowed}"),
    };
    failure(phase, FailureKind::Timeout, text)
}

pub(super) fn redirects(response: &Response) -> bool {
    (300..400).contains(&response.status) && header(&response.headers, "location").is_some()
}

/// A redirect is a failure.
pub(super) fn unless_redirect(response: Response) -> Result<Response, Failure> {
    if !redirects(&response) {
        return Ok(response);
    }
    let location = header(&response.headers, "location").unwrap_or_default();
    let text = format!("redirect to {} (not followed)", quoted(&location));
    Err(failure(Phase::Read, FailureKind::Redirect, text))
}

pub(super) fn failure(phase: Phase, kind: FailureKind, text: impl Into<String>) -> Failure {
    Failure {
        phase,
        kind,
        text: text.into(),
    }
}

/// The error below this one. An `io::Error` hides what it wraps from `source`.
fn next_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// The failure that one error of the chain means, if it is one of those known here.
fn understood(
    error: &(dyn Error + 'static),
    phase: Phase,
    place: &str,
    destination: &Destination,
) -> Option<Failure> {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        Some(failure(
            Phase::Tls,
            FailureKind::Tls,
            tls_failure(error, destination),
        ))
    } else if let Some(error) = error.downcast_ref::<hyper::Error>() {
        http_failure(error, phase)
    } else if let Some(error) = error.downcast_ref::<io::Error>() {
        connection_failure(error.kind(), phase, place)
    } else {
        None
    }
}

fn http_failure(error: &hyper::Error, phase: Phase) -> Option<Failure> {
    let not_http = |text: &str| Some(failure(Phase::Read, FailureKind::NotHttp, text));
    if error.is_parse_too_large() {
        not_http("the head of the answer is too large")
    } else if error.is_parse() {
        not_http("what came back is not HTTP")
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        Some(peer_closed(phase, "closed"))
    } else {
        None
    }
}

fn connection_failure(kind: io::ErrorKind, phase: Phase, place: &str) -> Option<Failure> {
    use io::ErrorKind as Io;
    Some(match kind {
        Io::ConnectionRefused => failure(
            phase,
            FailureKind::Refused,
            format!("connection refused by {place}"),
        ),
        Io::HostUnreachable | Io::NetworkUnreachable | Io::AddrNotAvailable => failure(
            phase,
            FailureKind::Other,
            format!("no way to reach {place}"),
        ),
        Io::TimedOut => failure(
            phase,
            FailureKind::Timeout,
            format!("the connection to {place} timed out"),
        ),
        Io::ConnectionReset | Io::BrokenPipe | Io::ConnectionAborted => peer_closed(phase, "reset"),
        Io::UnexpectedEof => peer_closed(phase, "closed"),
        // Bad chunks come as these, not as a parse error.
        Io::InvalidData | Io::InvalidInput if phase == Phase::Read => failure(
            phase,
            FailureKind::NotHttp,
            "the body of the answer is damaged",
        ),
        _ => return None,
    })
}

/// The peer closed or reset the connection.
pub(super) fn peer_closed(phase: Phase, how: &str) -> Failure {
    let moment = match phase {
        Phase::Dns | Phase::Connect => "at once",
        Phase::Tls => "during the TLS handshake",
        Phase::Send | Phase::Wait => "without answering",
        Phase::Read => "in the middle of its answer",
    };
    failure(
        phase,
        FailureKind::Closed,
        format!("the peer {how} the connection {moment}"),
    )
}

fn tls_failure(error: &rustls::Error, destination: &Destination) -> String {
    let place = destination.place();
    match error {
        rustls::Error::InvalidCertificate(error) => {
            format!("certificate of {}: {}", destination.host(), distrust(error))
        }
        rustls::Error::InvalidMessage(_) => {
            format!("{place} does not speak TLS: is it http:// instead?")
        }
        rustls::Error::AlertReceived(alert) => {
            format!("{place} refused the TLS handshake ({alert:?})")
        }
        rustls::Error::PeerIncompatible(_) => {
            format!("no TLS version or cipher in common with {place}")
        }
        other => format!("TLS with {place} failed: {}", quoted(&other.to_string())),
    }
}

/// Whether a certificate was refused because it is a self-signed authority, as `openssl req -x509` makes it. The verifier
/// checks that after the dates and before the issuer, and only the text of its error tells.
pub(super) fn is_its_own_authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(_))
        && format!("{error:?}").contains("CaUsedAsEndEntity")
}

fn distrust(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "not valid yet".to_owned()
        }
        CertificateError::NotValidForName => "wrong host".to_owned(),
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "wrong host, it names none".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            // The names come as `DnsName("cdr.test")`.
            let names: Vec<&str> = presented
                .iter()
                .map(|name| name.split('"').nth(1).unwrap_or(name))
                .collect();
            format!("wrong host, it is for {}", quoted(&names.join(", ")))
        }
        CertificateError::UnknownIssuer => "unknown issuer".to_owned(),
        CertificateError::Revoked => "revoked".to_owned(),
        other if is_its_own_authority(other) => "unknown issuer, it is self-signed".to_owned(),
        other => quoted(&other.to_string()),
    }
}

/// Text from outside as part of a sentence: short, harmless, without secrets.
fn quoted(text: &str) -> String {
    const LIMIT: usize = 200;
    beginning(&clean(&masked_url(text)), LIMIT).into_owned()
}

/// Whole seconds without decimals: `15 s`, not `15.00 s`.
fn allowance(limit: Duration) -> String {
    if limit.subsec_nanos() == 0 && limit.as_secs() < 60 {
        format!("{} s", limit.as_secs())
    } else {
        format_duration(limit)
    }
}
