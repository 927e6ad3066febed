//! What went wrong, in one sentence: from a chain of library errors to a [`Failure`].

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::CertificateError;

use super::super::secret::masked_url;
use super::super::{Failure, FailureKind, Phase, Response, header};
use super::Destination;
use crate::clock::format_duration;
use crate::untrusted::clean;

/// As much of a stranger's text as a message quotes.
const MOST_OF_A_QUOTATION: usize = 200;

/// The failure that an error in a phase means for the request to this destination.
///
/// The innermost error that is understood decides; what is not understood is quoted.
pub(in crate::wire) fn explain(
    error: &(dyn Error + 'static),
    phase: Phase,
    destination: &Destination,
) -> Failure {
    let mut cause = Some(error);
    let mut innermost = error;
    while let Some(error) = cause {
        if let Some(failure) = understood(error, phase, destination) {
            return failure;
        }
        innermost = error;
        cause = next_cause(error);
    }
    let place = destination.place();
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
pub(in crate::wire) fn too_slow(
    phase: Phase,
    limit: Duration,
    destination: &Destination,
) -> Failure {
    let place = destination.place();
    let allowed = allowance(limit);
    let text = match phase {
        Phase::Dns => format!("no address of {} within {allowed}", destination.host()),
        Phase::Connect => format!("no connection to {place} within {allowed}"),
        Phase::Tls => format!("no TLS handshake with {place} within {allowed}"),
        Phase::Send => format!("{place} did not take the whole request within {allowed}"),
        Phase::Wait => return no_answer(limit),
        Phase::Read => format!("the answer did not come to its end within {allowed}"),
    };
    failure(phase, FailureKind::Timeout, text)
}

/// The failure of a peer that says nothing.
pub(in crate::wire) fn no_answer(limit: Duration) -> Failure {
    let text = format!("no answer within {}", allowance(limit));
    failure(Phase::Wait, FailureKind::Timeout, text)
}

/// Whether an answer sends us elsewhere.
pub(super) fn redirects(response: &Response) -> bool {
    (300..400).contains(&response.status) && header(&response.headers, "location").is_some()
}

/// Passes an answer on unless it sends us elsewhere, where we do not go.
pub(in crate::wire) fn unless_redirect(response: Response) -> Result<Response, Failure> {
    if !redirects(&response) {
        return Ok(response);
    }
    let location = header(&response.headers, "location").unwrap_or_default();
    let text = format!("redirect to {} (not followed)", quoted(&location));
    Err(failure(Phase::Read, FailureKind::Redirect, text))
}

/// What came back cannot be read as HTTP.
pub(in crate::wire) fn not_http() -> Failure {
    failure(
        Phase::Read,
        FailureKind::NotHttp,
        "what came back is not HTTP",
    )
}

/// The framing of an answer's body is wrong.
pub(super) fn damaged_body() -> Failure {
    failure(
        Phase::Read,
        FailureKind::NotHttp,
        "the body of the answer is damaged",
    )
}

/// A failure put together.
pub(in crate::wire) fn failure(
    phase: Phase,
    kind: FailureKind,
    text: impl Into<String>,
) -> Failure {
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
    destination: &Destination,
) -> Option<Failure> {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        Some(failure(
            Phase::Tls,
            FailureKind::Tls,
            tls_trouble(error, destination),
        ))
    } else if let Some(error) = error.downcast_ref::<hyper::Error>() {
        http_trouble(error, phase)
    } else if let Some(error) = error.downcast_ref::<io::Error>() {
        connection_trouble(error.kind(), phase, destination)
    } else {
        None
    }
}

/// What hyper has against an answer.
fn http_trouble(error: &hyper::Error, phase: Phase) -> Option<Failure> {
    if error.is_parse_too_large() {
        Some(failure(
            Phase::Read,
            FailureKind::NotHttp,
            "the head of the answer is too large",
        ))
    } else if error.is_parse() && phase == Phase::Read {
        Some(damaged_body())
    } else if error.is_parse() {
        Some(not_http())
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        Some(hung_up(phase, "closed"))
    } else {
        None
    }
}

/// What the system says about a connection.
fn connection_trouble(
    kind: io::ErrorKind,
    phase: Phase,
    destination: &Destination,
) -> Option<Failure> {
    use io::ErrorKind as Io;
    let place = destination.place();
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
        Io::ConnectionReset | Io::BrokenPipe | Io::ConnectionAborted => hung_up(phase, "reset"),
        Io::UnexpectedEof => hung_up(phase, "closed"),
        // Bad chunks come as these, not as a parse error.
        Io::InvalidData | Io::InvalidInput if phase == Phase::Read => damaged_body(),
        _ => return None,
    })
}

/// The peer ended the connection, and when.
pub(in crate::wire) fn hung_up(phase: Phase, how: &str) -> Failure {
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

/// Why there is no TLS connection.
fn tls_trouble(error: &rustls::Error, destination: &Destination) -> String {
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

/// What is wrong with a certificate, in the words that people know.
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
        // `openssl req -x509` makes a self-signed certificate that is its own authority. The verifier complains of
        // that before it looks for the issuer, through a type that only its text tells apart.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "unknown issuer, it is self-signed".to_owned()
        }
        other => quoted(&other.to_string()),
    }
}

/// Text from outside as part of a sentence: short, harmless, without secrets.
fn quoted(text: &str) -> String {
    let masked = clean(&masked_url(text));
    match masked.char_indices().nth(MOST_OF_A_QUOTATION) {
        Some((end, _)) => format!("{}…", &masked[..end]),
        None => masked,
    }
}

/// A limit as somebody set it: `15 s`, not `15.00 s`.
fn allowance(limit: Duration) -> String {
    if limit.subsec_nanos() == 0 && limit.as_secs() < 60 {
        format!("{} s", limit.as_secs())
    } else {
        format_duration(limit)
    }
}
