//! Whom to believe: the TLS configuration that both the proper client and the raw writer use.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::ClientOptions;
use super::progress::HandshakeWitness;
use crate::error::Error;

/// TLS as the options ask for it: the system's certificates and those named, or no verification at all.
pub(in crate::wire) fn tls(options: &ClientOptions) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = if options.insecure {
        Arc::new(Unverified(Arc::clone(&provider)))
    } else {
        let named = named_certificates(options.cacert_pem.as_deref())?;
        let verifier = Verifier::new_with_extra_roots(named, Arc::clone(&provider));
        Arc::new(verifier.map_err(|error| Error::Tls(error.to_string()))?)
    };
    configured(provider, |builder| {
        builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
    })
}

/// TLS for a destination that needs none. It trusts nobody, and so spares reading the system's certificates.
pub(super) fn no_tls() -> Result<ClientConfig, Error> {
    configured(Arc::new(ring::default_provider()), |builder| {
        builder.with_root_certificates(RootCertStore::empty())
    })
}

/// A configuration that does not know whom to believe.
type Unconfigured = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;
/// A configuration that knows.
type Verified = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

/// A configuration with everything but the verifier, which the function given adds.
fn configured(
    provider: Arc<CryptoProvider>,
    verified: impl FnOnce(Unconfigured) -> Verified,
) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Tls(error.to_string()))?;
    let mut tls = verified(builder).with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    tls.resumption = Resumption::store(Arc::new(HandshakeWitness));
    Ok(tls)
}

/// The certificates of the file that was named, if one was.
fn named_certificates(pem: Option<&[u8]>) -> Result<Vec<CertificateDer<'static>>, Error> {
    let Some(pem) = pem else {
        return Ok(Vec::new());
    };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Tls(format!("the certificate file is damaged: {error}")))?;
    if certificates.is_empty() {
        return Err(Error::Tls(
            "the certificate file holds no certificate in PEM form".to_owned(),
        ));
    }
    Ok(certificates)
}

/// A verifier that believes every certificate, for `--insecure`. Signatures are still checked, since only the
/// certificate's trust is waived, not its use.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
