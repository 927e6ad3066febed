//! TLS, proxies and file descriptors that fail: each failure has its own cause and advice.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream};

use super::peers::{answer, nobody, read_request, stub};
use super::program::{masked, program};

/// What a server shows: a certificate for names, until a year, self-signed or by an authority.
struct Shown {
    certificate: CertificateDer<'static>,
    key: KeyPair,
    /// The certificate of the authority, or of the server if it is self-signed.
    issuer: String,
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let encoded = BASE64.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n")
}

fn certificate(names: &[&str], year: i32, is_self_signed: bool) -> Shown {
    let mut params =
        CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())
            .expect("names");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(vec![]).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (certificate, issuer) = if is_self_signed {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).expect("a certificate");
        (own.der().clone(), pem(own.der()))
    } else {
        let root = KeyPair::generate().expect("a key");
        let pem = pem(authority.self_signed(&root).expect("a certificate").der());
        let signed = params
            .signed_by(&key, &Issuer::new(authority, root))
            .expect("a certificate");
        (signed.der().clone(), pem)
    };
    Shown {
        certificate,
        key,
        issuer,
    }
}

const GOT_IT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\ngot it";

fn config(shown: &Shown) -> ServerConfig {
    let key = PrivateKeyDer::try_from(shown.key.serialize_der()).expect("a key");
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![shown.certificate.clone()], key)
        .expect("a configuration")
}

/// Serves `got it` by TLS on a free port.
fn serve(shown: &Shown, change: impl FnOnce(&mut ServerConfig)) -> String {
    let mut config = config(shown);
    change(&mut config);
    serve_with(config, GOT_IT)
}

fn serve_with(config: ServerConfig, answer: &'static [u8]) -> String {
    let config = Arc::new(config);
    served(move |mut stream| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
        let mut tls = Stream::new(&mut connection, &mut stream);
        let _ = tls.read(&mut [0; 4096]);
        let _ = tls.write_all(answer);
        let _ = tls.flush();
    })
}

fn served(answer: impl Fn(TcpStream) + Send + 'static) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!(
        "https://localhost:{}",
        socket.local_addr().expect("an address").port()
    );
    thread::spawn(move || socket.incoming().flatten().for_each(answer));
    url
}

/// The failure and the hints of a delivery that fails.
#[track_caller]
fn failure(url: &str, arguments: &[&str]) -> String {
    let ended = program(["send", "--url", url].iter().chain(arguments))
        .run()
        .expect(1);
    let failed = ended
        .stdout
        .lines()
        .next()
        .and_then(|line| line.split_once("  "))
        .map_or("", |(_, failed)| failed);
    let hints = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("hint: "));
    let port = url.rsplit(':').next().unwrap_or_default().to_owned();
    masked(
        &[failed]
            .into_iter()
            .chain(hints)
            .collect::<Vec<_>>()
            .join("\n"),
    )
    .replace(&port, "PORT")
        + "\n"
}

#[test]
fn each_failure_of_tls_has_its_own_cause_and_advice() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).expect("written");
        path.to_str().expect("a plain path").to_owned()
    };
    let good = certificate(&["localhost"], 2999, false);
    let own = certificate(&["localhost"], 2999, true);
    let expired = certificate(&["localhost"], 2021, false);
    let elsewhere = certificate(&["cdr.test"], 2999, false);
    let nameless = certificate(&[], 2999, true);
    let plain = |shown: &Shown| serve(shown, |_| ());
    let other = file("other", &certificate(&["localhost"], 2999, false).issuer);
    let wanting = {
        let mut roots = RootCertStore::empty();
        roots.add(own.certificate.clone()).expect("a root");
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .expect("a verifier");
        let key = PrivateKeyDer::try_from(good.key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![good.certificate.clone()], key)
            .expect("a configuration");
        serve_with(config, GOT_IT)
    };
    // The alert `protocol_version` (RFC 8446, section 6), as a server that is older than TLS 1.2 sends it.
    let old = served(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"\x15\x03\x01\x00\x02\x02\x46");
    });
    let said = [
        failure(&plain(&good), &[]),
        failure(&plain(&good), &["--cacert", &other]),
        failure(&plain(&own), &[]),
        failure(&plain(&own), &["--cacert", &other]),
        failure(
            &plain(&expired),
            &["--cacert", &file("expired", &expired.issuer)],
        ),
        failure(
            &plain(&elsewhere),
            &["--cacert", &file("elsewhere", &elsewhere.issuer)],
        ),
        failure(
            &plain(&nameless),
            &["--cacert", &file("nameless", &nameless.issuer)],
        ),
        failure(
            &serve(&good, |config| config.alpn_protocols = vec![b"h2".to_vec()]),
            &["-k"],
        ),
        failure(&wanting, &["-k"]),
        failure(&old, &["-k"]),
        failure(
            &stub("").replace("http://127.0.0.1", "https://localhost"),
            &["-k", "--timeout", "300ms"],
        ),
    ]
    .concat();
    insta::assert_snapshot!(said, @"
    certificate of localhost: unknown issuer · T
    hint: --cacert FILE with the authority that issued it trusts it, -k trusts any
    certificate of localhost: unknown issuer · T
    hint: no certificate in the file of --cacert issued it: check the file, and that the server sends its intermediate certificates
    certificate of localhost: unknown issuer, the certificate is self-signed · T
    hint: --cacert FILE with this certificate trusts it, -k trusts any
    certificate of localhost: unknown issuer, the certificate is self-signed · T
    hint: the file of --cacert does not hold the server's certificate: check the file
    certificate of localhost: expired · T
    hint: renew the certificate; -k accepts it for now
    certificate of localhost: wrong host, the certificate is for cdr.test · T
    hint: call the server by a name in its certificate, or issue one for this name
    certificate of localhost: wrong host, the certificate names none · T
    hint: issue the certificate with a name: openssl req -addext subjectAltName=DNS:HOST
    localhost:PORT speaks HTTP/2 only · T
    hint: let the server offer HTTP/1.1 too (ALPN http/1.1)
    localhost:PORT requires a client certificate · T
    hint: TeleCMI is not known to send a client certificate: do not ask for one at the webhook
    localhost:PORT has no TLS version or cipher in common with this program · T
    hint: let the server speak TLS 1.2 or 1.3
    no TLS handshake with localhost:PORT within T · T
    hint: check that the server uses TLS: a local handler usually uses http://
    ");
    for (shown, name) in [(&good, "good"), (&own, "own")] {
        program([
            "send",
            "--url",
            &plain(shown),
            "--cacert",
            &file(name, &shown.issuer),
        ])
        .run()
        .expect(0);
    }
}

#[test]
fn what_goes_wrong_behind_tls_is_not_blamed_on_its_absence() {
    let shown = certificate(&["localhost"], 2999, true);
    for (answer, advice) in [
        (
            &b""[..],
            "before its answer was complete: look for a crash in its log\n",
        ),
        (
            b"SSH-2.0-x\r\n",
            "hint: the server does not use HTTP: check the port\n",
        ),
    ] {
        let url = serve_with(config(&shown), answer);
        let said = failure(&url, &["-k"]);
        assert!(said.ends_with(advice), "{said}");
    }
}

#[test]
fn a_proxys_failures_are_the_proxys() {
    let through = |name: &str, value: &str, url: &str, arguments: &[&str]| {
        program(["send", "--url", url].iter().chain(arguments))
            .env(name, value)
            .run()
    };
    let refusing = stub("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    let wanting = stub("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    for (proxy, url, said) in [
        (
            nobody(),
            "http://cdr.test/x",
            "connection refused by the proxy",
        ),
        (
            nobody(),
            "https://cdr.test/x",
            "connection refused by the proxy",
        ),
        (
            refusing,
            "https://cdr.test/x",
            "refused to connect to cdr.test:443",
        ),
        (
            wanting,
            "https://cdr.test/x",
            "requires a user name and a password",
        ),
    ] {
        let ended = through("ALL_PROXY", &proxy, url, &[]).expect(1);
        assert!(
            ended.stdout.contains(said) && ended.stdout.contains("the proxy http://127.0.0.1:"),
            "{}",
            ended.whole()
        );
        assert!(
            ended
                .stderr
                .contains("hint: the proxy failed, not the handler"),
            "{}",
            ended.whole()
        );
        assert!(
            !ended.stderr.contains("check that the handler is running"),
            "{}",
            ended.whole()
        );
        let records = through("ALL_PROXY", &proxy, url, &["--format", "ndjson"]).expect(1);
        assert_eq!(
            records.records_of("delivery")[0]["attempts"][0]["failure"]["kind"],
            "proxy"
        );
        assert_eq!(records.records_of("summary")[0]["by_failure"]["proxy"], 1);
    }
    // An answer to plain HTTP may be the proxy's or the handler's.
    for (answer, said) in [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
            "403 Forbidden",
        ),
        ("", "without answering (through the proxy http://127.0.0.1:"),
        (
            "SSH-2.0-x\r\n",
            "not HTTP (through the proxy http://127.0.0.1:",
        ),
    ] {
        let ended = through("HTTP_PROXY", &stub(answer), "http://cdr.test/x", &[]).expect(1);
        assert!(ended.stdout.contains(said), "{}", ended.whole());
        let hint = "hint: the request went through a proxy, so the cause may be the proxy";
        assert!(ended.stderr.contains(hint), "{}", ended.whole());
    }
    for value in ["http://[::1", "no proxy", "http://"] {
        let ended = through("HTTP_PROXY", value, "http://no-such.invalid/", &[]).expect(1);
        let warning = "warning: HTTP_PROXY is no URL of a proxy and has no effect: expected one like http://HOST:PORT\n";
        assert!(ended.stderr.contains(warning), "{value}: {}", ended.stderr);
        let local = through("HTTP_PROXY", value, &nobody(), &[]).expect(1);
        assert!(!local.stderr.contains("PROXY"), "{}", local.stderr);
    }
}

#[test]
fn https_goes_through_a_tunnel_of_the_proxy() {
    let shown = certificate(&["cdr.test"], 2040, false);
    let handler = serve(&shown, |_| ()).replace("https://", "");
    let proxy = served(move |mut client| {
        let asked = String::from_utf8(read_request(&mut client)).expect("a text");
        assert!(asked.starts_with("CONNECT cdr.test:443 HTTP/1.1\r\n"));
        assert!(asked.contains("Proxy-Authorization: Basic bWU6cHc=\r\n"));
        client
            .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
            .expect("a peer");
        let mut handler = TcpStream::connect(&handler).expect("a handler");
        let (mut reader, mut writer) = (client.try_clone(), handler.try_clone());
        thread::spawn(move || io::copy(reader.as_mut().ok()?, writer.as_mut().ok()?).ok());
        let _ = io::copy(&mut handler, &mut client);
        let _ = client.shutdown(Shutdown::Both);
    });
    let folder = tempfile::tempdir().expect("a folder");
    let issuer = folder.path().join("issuer.pem");
    std::fs::write(&issuer, &shown.issuer).expect("a file");
    let issuer = issuer.to_str().expect("a plain path");
    let url = "https://cdr.test/x";
    program(["send", "--url", url, "--cacert", issuer])
        .env("HTTPS_PROXY", &proxy.replace("https://", "http://me:pw@"))
        .run()
        .expect(0);
}

#[test]
fn a_socks_proxy_resolves_the_host() {
    let proxy = served(move |mut client| {
        let mut greeting = [0; 3];
        client.read_exact(&mut greeting).expect("a greeting");
        assert_eq!(greeting, *b"\x05\x01\0");
        client.write_all(b"\x05\0").expect("a peer");
        let mut asked = [0; 15];
        client.read_exact(&mut asked).expect("a request");
        assert_eq!(asked, *b"\x05\x01\0\x03\x08cdr.test\0\x50");
        client
            .write_all(b"\x05\0\0\x01\0\0\0\0\0\0")
            .expect("a peer");
        let request = String::from_utf8(read_request(&mut client)).expect("a text");
        assert!(request.starts_with("POST /x HTTP/1.1\r\n"));
        assert!(request.to_lowercase().contains("\r\nhost: cdr.test\r\n"));
        let _ = client.write_all(answer("200 OK", "", "ok").as_bytes());
    });
    program(["send", "--url", "http://cdr.test/x"])
        .env("ALL_PROXY", &proxy.replace("https://", "socks5h://"))
        .run()
        .expect(0);
}

#[cfg(unix)]
#[test]
fn too_few_descriptors_are_said_as_ours_and_never_a_panic() {
    for most in [4, 6, 9, 13, 20, 24, 28, 34] {
        for arguments in [
            &["send", "--url", "http://127.0.0.1:9/", "-n", "4", "-c", "4"][..],
            &["listen", "--port", "0", "--timeout", "10ms"],
        ] {
            let ended = program(arguments).descriptors(most).run();
            match ended.code {
                Some(2) => assert_eq!(
                    ended.stderr,
                    "error: too few files may be open in this program: ulimit -n 1024 raises the limit\n"
                ),
                Some(0 | 1) => assert!(most > 20, "{most}"),
                _ => panic!("{most}: {}", ended.whole()),
            }
        }
    }
    let silent = super::peers::silent_stub();
    let ended = program([
        "send",
        "--url",
        &silent,
        "-n",
        "60",
        "-c",
        "60",
        "--timeout",
        "2s",
    ])
    .descriptors(40)
    .run()
    .expect(1);
    assert!(
        ended.stdout.contains("too many open files in this program"),
        "{}",
        ended.whole()
    );
    assert!(
        ended.stderr.contains(
            "hint: this machine lets the program open too few files: lower --concurrency"
        ),
        "{}",
        ended.whole()
    );
}

#[cfg(target_os = "linux")]
#[test]
fn the_soft_limit_of_descriptors_is_raised() {
    let listener = super::program::ready(super::program::shell(
        "ulimit -Sn 40; exec \"$0\" \"$@\"",
        ["listen", "--port", "0"],
    ));
    let connections: Vec<_> = (0..60)
        .map(|_| {
            std::net::TcpStream::connect(&listener.url["http://".len()..]).expect("a connection")
        })
        .collect();
    assert!(super::peers::post_json(&listener.url, "{}").starts_with("HTTP/1.1 200 "));
    drop(connections);
    listener.running.signal("-INT");
    assert_eq!(listener.running.end().stderr.matches("evicted").count(), 0);
}

#[test]
fn retry_after_is_obeyed_in_every_form_and_up_to_a_limit() {
    for (header, announced) in [
        ("Retry-After: 3600\r\n", "#1 waits 5.00 s of the "),
        (
            "Retry-After: 99999999999999999999\r\n",
            "#1 waits 5.00 s of the ",
        ),
        (
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n",
            "#1 waits 5.00 s of the ",
        ),
        (
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sunday, 06-Nov-94 08:50:37 GMT\r\n",
            "#1 waits 5.00 s of the ",
        ),
        (
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun Nov  6 08:50:37 1994\r\n",
            "#1 waits 5.00 s of the ",
        ),
        (
            "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n",
            "#1 waits 5.00 s of the ",
        ),
    ] {
        let url = stub(format!(
            "HTTP/1.1 503 Service Unavailable\r\n{header}Content-Length: 0\r\n\r\n"
        ));
        let mut running = program([
            "send",
            "--url",
            &url,
            "--retry",
            "1",
            "--retry-after-max",
            "5s",
        ])
        .start();
        running.talk();
        let line = running.talk();
        assert!(
            line.starts_with(announced) && line.ends_with(" that Retry-After asks for\n"),
            "{header}: {line}"
        );
    }
    for header in [
        "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "Retry-After: 0\r\n",
        "Retry-After: soon\r\n",
        "Retry-After: -1\r\n",
    ] {
        let url = stub(format!(
            "HTTP/1.1 503 Service Unavailable\r\n{header}Content-Length: 0\r\n\r\n"
        ));
        let ended = program([
            "send",
            "--url",
            &url,
            "--retry",
            "1",
            "--retry-interval",
            "1ms",
        ])
        .run()
        .expect(1);
        assert!(!ended.stderr.contains("Retry-After"), "{}", ended.stderr);
        assert!(ended.stdout.contains("attempt 2"), "{}", ended.stdout);
    }
}
