//! Turns the error chains of rustls, hyper, reqwest and the operating system into a [`Failure`].

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::CertificateError;

use super::destination::Destination;
use super::secret::masked_url;
use super::tls::NotTrusted;
use super::{Failure, FailureKind as Kind, Phase, Response, header};
use crate::clock::format_duration;
use crate::untrusted::{beginning, clean};

const TOO_MANY_FILES: &str = "this machine lets the program open too few files: lower --concurrency, or raise the limit with ulimit -n 4096";

pub(crate) const CLOSED_EARLY: &str =
    "the handler closed the connection before its answer was complete: look for a crash in its log";

type Cause<'a> = &'a (dyn Error + 'static);

/// Explains an error of a request to `destination`, by the outermost known error of the error chain. If the chain has
/// no known error, the innermost error is quoted.
pub(super) fn explain(error: Cause<'_>, phase: Phase, destination: &Destination) -> Failure {
    explain_at(error, phase, &destination.place(), destination)
}

pub(super) fn explain_at(
    error: Cause<'_>,
    phase: Phase,
    place: &str,
    destination: &Destination,
) -> Failure {
    let known = |cause: Cause<'_>| {
        if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            let (text, hint) = tls_failure(error, destination);
            let mut failure = Failure::new(Phase::Tls, Kind::Tls, text);
            failure.hint = Some(hint);
            Some(failure)
        } else if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            http_failure(error, phase)
        } else {
            connection_failure(cause.downcast_ref()?, phase, place)
        }
    };
    let causes = || std::iter::successors(Some(error), |error| next_cause(*error));
    if let Some(mut failure) = causes().find_map(known) {
        if destination.is_tls() && failure.kind == Kind::Closed && failure.phase != Phase::Tls {
            failure.hint = Some(CLOSED_EARLY);
        }
        return failure;
    }
    let (kind, step) = match phase {
        Phase::Dns => {
            let text = format!("could not resolve host {}", destination.host());
            return Failure::new(phase, Kind::Dns, text);
        }
        Phase::Connect => (Kind::Other, "connecting"),
        Phase::Tls => (Kind::Tls, "setting up TLS"),
        Phase::Send => (Kind::Other, "sending the request"),
        Phase::Wait => (Kind::Other, "waiting for the answer"),
        Phase::Read => (Kind::Other, "reading the answer"),
    };
    let innermost = causes().last().unwrap_or(error).to_string();
    let text = format!("{step} ({place}) failed: {}", quoted(&innermost));
    Failure::new(phase, kind, text)
}

pub(super) fn timed_out(phase: Phase, limit: Duration, destination: &Destination) -> Failure {
    let place = destination.place();
    let allowed = allowance(limit);
    let host = destination.host();
    let text = match phase {
        Phase::Dns => format!("could not resolve host {host} within {allowed}"),
        Phase::Connect => format!("no connection to {place} within {allowed}"),
        Phase::Tls => format!("no TLS handshake with {place} within {allowed}"),
        Phase::Send => format!("{place} did not read the whole request within {allowed}"),
        Phase::Wait => format!("no answer within {allowed}"),
        Phase::Read => format!("the answer was not complete within {allowed}"),
    };
    Failure::new(phase, Kind::Timeout, text)
}

pub(super) fn redirects(response: &Response) -> bool {
    (300..400).contains(&response.status) && header(&response.headers, "location").is_some()
}

/// Turns a 3xx response with `Location` into a failure, since redirects are never followed.
pub(super) fn unless_redirect(response: Response) -> Result<Response, Failure> {
    if !redirects(&response) {
        return Ok(response);
    }
    let location = header(&response.headers, "location").unwrap_or_default();
    let text = format!("redirect to {} (not followed)", quoted(&location));
    Err(Failure::new(Phase::Read, Kind::Redirect, text))
}

/// The next error of an error chain. `io::Error::source` skips the error that the `io::Error` wraps.
fn next_cause(error: Cause<'_>) -> Option<Cause<'_>> {
    let io_error = error.downcast_ref::<io::Error>();
    match io_error.and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn http_failure(error: &hyper::Error, phase: Phase) -> Option<Failure> {
    let not_http = |text: &str| Some(Failure::new(Phase::Read, Kind::NotHttp, text));
    if error.is_parse_too_large() {
        not_http("the head of the answer is too large")
    } else if error.is_parse() {
        not_http("the answer is not HTTP")
    } else {
        let is_closed = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
        is_closed.then(|| peer_closed(phase, "closed"))
    }
}

fn connection_failure(error: &io::Error, phase: Phase, place: &str) -> Option<Failure> {
    use io::ErrorKind as Io;
    if is_out_of_descriptors(error) {
        let mut failure = Failure::new(phase, Kind::Other, "too many open files in this program");
        failure.hint = Some(TOO_MANY_FILES);
        return Some(failure);
    }
    let (kind, text) = match error.kind() {
        Io::ConnectionRefused => (Kind::Refused, format!("connection refused by {place}")),
        Io::HostUnreachable | Io::NetworkUnreachable | Io::AddrNotAvailable => {
            (Kind::Other, format!("{place} is unreachable"))
        }
        Io::TimedOut => (
            Kind::Timeout,
            format!("the connection to {place} timed out"),
        ),
        Io::ConnectionReset | Io::BrokenPipe | Io::ConnectionAborted => {
            return Some(peer_closed(phase, "reset"));
        }
        Io::UnexpectedEof => return Some(peer_closed(phase, "closed")),
        // hyper reports a malformed chunk as `InvalidData` or `InvalidInput`, not as a parse error.
        Io::InvalidData | Io::InvalidInput if phase == Phase::Read => (
            Kind::NotHttp,
            "the body of the answer is malformed".to_owned(),
        ),
        _ => return None,
    };
    Some(Failure::new(phase, kind, text))
}

pub(super) fn peer_closed(phase: Phase, how: &str) -> Failure {
    let moment = match phase {
        Phase::Dns | Phase::Connect => "at once",
        Phase::Tls => "during the TLS handshake",
        Phase::Send | Phase::Wait => "without answering",
        Phase::Read => "in the middle of its answer",
    };
    let text = format!("the peer {how} the connection {moment}");
    Failure::new(phase, Kind::Closed, text)
}

/// EMFILE is the limit of a process, ENFILE that of the system; the standard library has no kind for them.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    cfg!(unix) && matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Returns the text of a TLS failure and the advice on it.
fn tls_failure(error: &rustls::Error, destination: &Destination) -> (String, &'static str) {
    use rustls::AlertDescription as Alert;
    use rustls::Error as Tls;
    let (host, place) = (destination.host(), destination.place());
    let (text, hint) = match error {
        Tls::InvalidCertificate(error) => {
            let (text, hint) = distrust(error);
            return (format!("certificate of {host}: {text}"), hint);
        }
        Tls::InvalidMessage(_) => (
            format!("{place} does not use TLS: try http://"),
            "a local handler usually uses http://",
        ),
        Tls::AlertReceived(Alert::NoApplicationProtocol) => (
            format!("{place} speaks HTTP/2 only"),
            "let the server offer HTTP/1.1 too (ALPN http/1.1)",
        ),
        Tls::AlertReceived(Alert::CertificateRequired) => (
            format!("{place} requires a client certificate"),
            "TeleCMI is not known to send a client certificate: do not ask for one at the webhook",
        ),
        Tls::AlertReceived(Alert::ProtocolVersion | Alert::InsufficientSecurity)
        | Tls::PeerIncompatible(_) => (
            format!("{place} has no TLS version or cipher in common with this program"),
            "let the server speak TLS 1.2 or 1.3",
        ),
        Tls::AlertReceived(Alert::HandshakeFailure) => (
            format!("{place} refused the TLS handshake"),
            "the server may require a client certificate, which TeleCMI is not known to send, or ciphers older than TLS 1.2",
        ),
        Tls::AlertReceived(Alert::UnrecognisedName) => (
            format!("{place} has no certificate for {host}"),
            "call the server by a name that it knows, or add this name to the server",
        ),
        Tls::AlertReceived(alert) => (
            format!("{place} refused the TLS handshake ({alert:?})"),
            "the server's log says why: it may have no certificate for this name",
        ),
        other => (
            format!("TLS with {place} failed: {}", quoted(&other.to_string())),
            "the server breaks the rules of TLS: see its log",
        ),
    };
    (text, hint)
}

/// Returns why a certificate is not accepted, and the advice on it.
fn distrust(error: &CertificateError) -> (String, &'static str) {
    use CertificateError as Cause;
    let (text, hint) = match error {
        Cause::Expired | Cause::ExpiredContext { .. } => {
            ("expired", "renew the certificate; -k accepts it for now")
        }
        Cause::NotValidYet | Cause::NotValidYetContext { .. } => (
            "not valid yet",
            "check the clock of this machine; -k accepts the certificate for now",
        ),
        Cause::NotValidForName => ("wrong host", "call the server by a name in its certificate"),
        Cause::NotValidForNameContext { presented, .. } if presented.is_empty() => (
            "wrong host, the certificate names none",
            "issue the certificate with a name: openssl req -addext subjectAltName=DNS:HOST",
        ),
        Cause::NotValidForNameContext { presented, .. } => {
            // Each presented name in rustls's error has the form `DnsName("cdr.test")` or `IpAddress(127.0.0.1)`.
            let names = presented.join(", ").replace("DnsName(", "");
            let names = quoted(&names.replace("IpAddress(", "").replace(['"', ')'], ""));
            let hint = "call the server by a name in its certificate, or issue one for this name";
            return (format!("wrong host, the certificate is for {names}"), hint);
        }
        Cause::BadSignature => (
            "its signature or key is not accepted",
            "issue the certificate with a key of RSA 2048 or P-256; -k accepts it for now",
        ),
        Cause::Revoked => ("revoked", "issue a new certificate"),
        other if format!("{other:?}").contains("UnsupportedCertVersion") => (
            "version 1, the certificate names no host",
            "issue the certificate with a name: openssl req -addext subjectAltName=DNS:HOST",
        ),
        other => match NotTrusted::of(other) {
            None => return (quoted(&other.to_string()), "-k accepts any certificate"),
            Some(NotTrusted {
                is_self_signed,
                has_named,
            }) => {
                let text = if is_self_signed {
                    "unknown issuer, the certificate is self-signed"
                } else {
                    "unknown issuer"
                };
                let hint = match (is_self_signed, has_named) {
                    (true, false) => "--cacert FILE with this certificate trusts it, -k trusts any",
                    (true, true) => {
                        "the file of --cacert does not hold the server's certificate: check the file"
                    }
                    (false, false) => {
                        "--cacert FILE with the authority that issued it trusts it, -k trusts any"
                    }
                    (false, true) => {
                        "no certificate in the file of --cacert issued it: check the file, and that the server sends its intermediate certificates"
                    }
                };
                (text, hint)
            }
        },
    };
    (text.to_owned(), hint)
}

fn quoted(text: &str) -> String {
    const LIMIT: usize = 200;
    beginning(&clean(&masked_url(text)), LIMIT).into_owned()
}

/// Formats a time limit. Whole seconds below a minute have no decimals: `15 s`, not `15.00 s`.
pub(super) fn allowance(limit: Duration) -> String {
    if limit.subsec_nanos() == 0 && limit.as_secs() < 60 {
        format!("{} s", limit.as_secs())
    } else {
        format_duration(limit)
    }
}
