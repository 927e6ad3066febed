//! Tests the HTTP client against TLS servers with valid, wrong, expired and untrusted certificates.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CertificateError, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::net::certificates;
use crate::net::failure::explain;

/// A certificate authority in no system's trust store.
pub(in crate::net) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub(in crate::net) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    pub(in crate::net) fn trusted(&self) -> Vec<CertificateDer<'static>> {
        certificates(&pem(&self.certificate)).unwrap()
    }

    pub(in crate::net) async fn peer(&self, host: &str, year: i32) -> SocketAddr {
        let (certificate, key) = self.signed(host, year);
        serve(certificate, &key).await
    }

    async fn peer_without_close_notice(&self, answer: String) -> SocketAddr {
        let (certificate, key) = self.signed("localhost", 2999);
        let acceptor = acceptor(certificate, &key);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.flush().await;
            let _ = stream.get_mut().0.shutdown().await;
        });
        address
    }

    fn signed(&self, host: &str, year: i32) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        (certificate, key)
    }
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let encoded = BASE64.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n")
}

fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(certificate: CertificateDer<'static>, key: &KeyPair) -> SocketAddr {
    let acceptor = acceptor(certificate, key);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

async fn get(address: SocketAddr, options: &ClientOptions) -> Result<Response, Failure> {
    let url = format!("https://localhost:{}/", address.port());
    let client = Client::new(&Destination::parse(&url).unwrap(), options).unwrap();
    client.send(&Request::new("GET", "/", vec![], "")).await
}

fn trusting(authority: &Authority) -> ClientOptions {
    ClientOptions {
        certificates: authority.trusted(),
        ..ClientOptions::default()
    }
}

#[tokio::test]
async fn a_named_authority_is_trusted_and_insecure_trusts_all() {
    let authority = Authority::new("ours");
    let good = authority.peer("localhost", 2999).await;
    assert_eq!(get(good, &trusting(&authority)).await.unwrap().status, 200);

    let bad = authority.peer("other.test", 2021).await;
    let insecure = ClientOptions {
        insecure: true,
        ..ClientOptions::default()
    };
    assert_eq!(get(bad, &insecure).await.unwrap().status, 200);
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told_apart() {
    let authority = Authority::new("ours");
    let trusting_it = trusting(&authority);
    let trusting_another = trusting(&Authority::new("another"));
    for (host, year, options, reason) in [
        ("localhost", 2021, &trusting_it, "expired"),
        (
            "other.test",
            2999,
            &trusting_it,
            "wrong host, the certificate is for other.test",
        ),
        ("localhost", 2999, &trusting_another, "unknown issuer"),
    ] {
        let peer = authority.peer(host, year).await;
        let failure = get(peer, options).await.unwrap_err();
        assert_eq!(failure.text, format!("certificate of localhost: {reason}"));
        assert_eq!(
            (failure.phase, failure.kind),
            (Phase::Tls, FailureKind::Tls)
        );
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_called_so() {
    let (certificate, key) = self_signed("localhost", 2999);
    let peer = serve(certificate, &key).await;
    let failure = get(peer, &trusting(&Authority::new("ours")))
        .await
        .unwrap_err();
    assert_eq!(
        failure.text,
        "certificate of localhost: unknown issuer, the certificate is self-signed"
    );
}

/// A certificate as `openssl req -x509` makes it: self-signed, with the CA flag.
fn self_signed(host: &str, year: i32) -> (CertificateDer<'static>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(year, 1, 1);
    (params.self_signed(&key).unwrap().der().clone(), key)
}

#[tokio::test]
async fn a_named_certificate_may_be_the_server_s_own() {
    for (host, year, expected) in [
        ("localhost", 2999, Ok(200)),
        ("localhost", 2021, Err("expired")),
        (
            "other.test",
            2999,
            Err("wrong host, the certificate is for other.test"),
        ),
    ] {
        let (certificate, key) = self_signed(host, year);
        let options = ClientOptions {
            certificates: vec![certificate.clone()],
            ..ClientOptions::default()
        };
        let result = get(serve(certificate, &key).await, &options).await;
        let expected = expected.map_err(|reason| format!("certificate of localhost: {reason}"));
        assert_eq!(
            result
                .map(|response| response.status)
                .map_err(|failure| failure.text),
            expected
        );
    }
    let (certificate, key) = Authority::new("ours").signed("localhost", 2999);
    let options = ClientOptions {
        certificates: vec![certificate.clone()],
        ..ClientOptions::default()
    };
    let by_another = get(serve(certificate, &key).await, &options).await;
    assert_eq!(by_another.unwrap().status, 200);
}

#[tokio::test]
async fn a_response_may_end_with_the_connection_without_a_close_notice() {
    let authority = Authority::new("ours");
    for (length, expected) in [("", Ok(())), ("Content-Length: 9\r\n", Err(Phase::Read))] {
        let answer = format!("HTTP/1.1 200 OK\r\n{length}\r\ngot it");
        let peer = authority.peer_without_close_notice(answer).await;
        let result = get(peer, &trusting(&authority)).await;
        assert_eq!(
            result
                .map(|response| assert_eq!(response.body.text(), Some("got it")))
                .map_err(|failure| failure.phase),
            expected
        );
    }
}

#[tokio::test]
async fn a_plain_port_is_recognised() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let options = ClientOptions {
        insecure: true,
        ..ClientOptions::default()
    };
    let failure = get(address, &options).await.unwrap_err();
    assert_eq!(
        (failure.phase, failure.kind),
        (Phase::Tls, FailureKind::Tls)
    );
    assert!(
        failure.text.contains("does not use TLS"),
        "{}",
        failure.text
    );
}

#[test]
fn a_file_without_certificates_is_refused() {
    for pem in [
        "",
        "no PEM",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    ] {
        assert!(certificates(pem).is_err(), "{pem:?}");
    }
}

#[test]
fn an_error_of_tls_has_its_own_cause_and_advice() {
    use rustls::AlertDescription as Alert;
    let other_name = CertificateError::NotValidForNameContext {
        expected: "h.test".try_into().unwrap(),
        presented: vec![
            "DnsName(\"cdr.test\")".into(),
            "IpAddress(127.0.0.1)".into(),
        ],
    };
    for (error, text, advice) in [
        (
            rustls::Error::from(other_name),
            "certificate of h.test: wrong host, the certificate is for cdr.test, 127.0.0.1",
            "call the server by a name in its certificate, or issue one for this name",
        ),
        (
            CertificateError::BadSignature.into(),
            "certificate of h.test: its signature or key is not accepted",
            "issue the certificate with a key of RSA 2048 or P-256; -k accepts it for now",
        ),
        (
            rustls::Error::AlertReceived(Alert::InsufficientSecurity),
            "h.test:443 has no TLS version or cipher in common with this program",
            "let the server speak TLS 1.2 or 1.3",
        ),
        (
            rustls::Error::AlertReceived(Alert::InternalError),
            "h.test:443 refused the TLS handshake (InternalError)",
            "the server's log says why: it may have no certificate for this name",
        ),
    ] {
        let destination = Destination::parse("https://h.test/").unwrap();
        let failure = explain(&error, Phase::Tls, &destination);
        assert_eq!((&*failure.text, failure.hint), (text, Some(advice)));
    }
}
