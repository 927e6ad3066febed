//! TLS configuration and certificate verification of outgoing connections.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_name};
use rustls::crypto::{self, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::client::ClientOptions;
use crate::error::Error;

/// Makes a TLS configuration that trusts the system's root certificates and those of `certificates`; with `insecure`, any
/// certificate.
pub(super) fn config(options: &ClientOptions) -> Result<ClientConfig, Error> {
    let failed = |error: rustls::Error| Error::Tls(error.to_string());
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let named = options.certificates.clone();
    let system = || Verifier::new_with_extra_roots(named.clone(), Arc::clone(&provider));
    let system = (!options.insecure).then(system).transpose();
    let trusted = system.map_err(failed)?.map(|system| (system, named));
    let verifier = CertificateVerifier {
        trusted,
        algorithms,
    };
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    // TLS session resumption is off, so that every connection makes, and every measurement includes, a full handshake.
    tls.resumption = Resumption::disabled();
    Ok(tls)
}

/// Reads the certificates of a PEM file. An error has the number of its line.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, (usize, String)> {
    const BEGIN: &str = "-----BEGIN ";
    let label = |at: usize| pem[at..].split("-----").nth(1).unwrap_or_default();
    let sections = pem.match_indices(BEGIN).map(|(at, _)| (at, label(at)));
    let (certificates, others): (Vec<_>, Vec<_>) =
        sections.partition(|(_, label)| label.ends_with("CERTIFICATE"));
    if certificates.is_empty() {
        let found = others.first().map_or("", |(_, label)| label);
        let found = found.replacen("BEGIN", ", but a", 1);
        let what = format!(
            "no certificate in PEM form{found}: give the file that begins with {BEGIN}CERTIFICATE-----"
        );
        return Err((1, what));
    }
    let read = |(at, _): (usize, &str)| {
        let certificate = CertificateDer::from_pem_slice(&pem.as_bytes()[at..]).ok();
        let mut checked = rustls::RootCertStore::empty();
        let is_valid = |der: &CertificateDer<'_>| checked.add(der.clone().into_owned()).is_ok();
        let line = pem[..at].matches('\n').count() + 1;
        let what = "this certificate is damaged: copy the file again";
        (certificate.filter(is_valid)).ok_or_else(|| (line, what.to_owned()))
    };
    certificates.into_iter().map(read).collect()
}

/// The cause of a certificate error for an unknown issuer.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("unknown issuer")]
pub(super) struct NotTrusted {
    pub is_self_signed: bool,
    /// Set if `--cacert` named certificates.
    pub has_named: bool,
}

impl NotTrusted {
    pub fn of(error: &CertificateError) -> Option<Self> {
        match error {
            CertificateError::Other(OtherError(cause)) => cause.downcast_ref().copied(),
            _ => None,
        }
    }
}

/// Verifies a server's certificate and handshake signature, with `insecure` neither: rustls reads no version 1
/// certificates.
#[derive(Debug)]
struct CertificateVerifier {
    /// The system's verifier and the certificates of `--cacert`. With `insecure` the field is `None`, and every
    /// certificate is accepted.
    trusted: Option<(Verifier, Vec<CertificateDer<'static>>)>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for CertificateVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use CertificateError::{BadSignature, UnknownIssuer};
        let Some((system, named)) = &self.trusted else {
            return Ok(ServerCertVerified::assertion());
        };
        let error = match system.verify_server_cert(certificate, intermediates, host, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(error)) => error,
            verified => return verified,
        };
        // A self-signed CA, the kind that `openssl req -x509` makes, is refused after the dates are checked and before
        // the issuer is, and only the error's text identifies the case.
        let is_self_signed = format!("{error:?}").contains("CaUsedAsEndEntity");
        // `BadSignature`: another authority has the name of the issuer.
        let is_unknown = matches!(error, BadSignature | UnknownIssuer);
        if !is_self_signed && !is_unknown {
            return Err(error.into());
        }
        if named.contains(certificate) {
            verify_server_name(&ParsedCertificate::try_from(certificate)?, host)?;
            return Ok(ServerCertVerified::assertion());
        }
        let cause = NotTrusted {
            is_self_signed,
            has_named: !named.is_empty(),
        };
        Err(CertificateError::Other(OtherError(Arc::new(cause))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if self.trusted.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if self.trusted.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
