//! Opens connections to one destination, directly in the phases DNS, TCP and TLS, or through the environment's proxy;
//! failures name the phase or the proxy.

use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either as First, select};
use hyper_util::client::proxy::matcher::Intercept;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::client::ClientOptions;
use super::destination::{Destination, is_localhost};
use super::failure::{explain, timed_out};
use super::{Failure, Phase, proxy, tls};
use crate::error::Error;

/// The delay before the second address family is tried (RFC 8305, section 5).
const SECOND_FAMILY_DELAY: Duration = Duration::from_millis(250);

/// A TLS stream is boxed because it is large.
pub(super) type Secured<S> = Either<S, Box<TlsStream<S>>>;

/// The inner stream leads to the destination or to its proxy; a proxy may be reached by TLS, too.
pub(crate) type Stream = Secured<Secured<TcpStream>>;

#[derive(Clone)]
pub(super) struct Connector {
    pub destination: Destination,
    proxy: Option<Intercept>,
    known: Vec<SocketAddr>,
    tls: Option<TlsConnector>,
    timeout: Duration,
}

impl Connector {
    pub fn new(destination: &Destination, options: &ClientOptions) -> Result<Self, Error> {
        let proxy = proxy::of(destination);
        let is_tls = destination.is_tls() || proxy.as_ref().is_some_and(proxy::is_https);
        let tls = is_tls.then(|| tls::config(options)).transpose()?;
        Ok(Self {
            destination: destination.clone(),
            proxy,
            known: known(destination.host(), destination.port()),
            tls: tls.map(|tls| Arc::new(tls).into()),
            timeout: options.connect_timeout.min(options.timeout),
        })
    }

    /// Connects without a proxy.
    pub async fn connect(&self) -> Result<Stream, Failure> {
        let deadline = Instant::now() + self.timeout;
        let mut addresses = Cow::Borrowed(&self.known);
        if self.known.is_empty() {
            let found = lookup_host((self.destination.host(), self.destination.port()));
            let found = self.phase(Phase::Dns, deadline, found).await?;
            addresses = Cow::Owned(found.collect());
        }
        let tcp = self
            .phase(Phase::Connect, deadline, dial(&addresses))
            .await?;
        self.secure(Either::Left(tcp), deadline).await
    }

    /// Connects through the environment's proxy, if there is one.
    pub async fn connect_by_proxy(&self) -> Result<Stream, Failure> {
        let Some(proxy) = &self.proxy else {
            return self.connect().await;
        };
        let deadline = Instant::now() + self.timeout;
        let tunnel = proxy::tunnel(proxy, &self.destination, self.tls.clone());
        let tunnel = timeout_at(deadline, Box::pin(tunnel)).await;
        let stream = tunnel.unwrap_or_else(|_| Err(proxy::timed_out(proxy, self.timeout)));
        self.secure(stream?, deadline).await
    }

    /// Returns the proxy that plain HTTP requests are sent to, with their target in absolute form (RFC 9112, section
    /// 3.2.2). HTTPS and SOCKS use a tunnel instead.
    pub fn forward_proxy(&self) -> Option<&Intercept> {
        let proxy = self.proxy.as_ref().filter(|_| !self.destination.is_tls());
        proxy.filter(|proxy| !proxy::is_socks(proxy))
    }

    async fn secure(&self, stream: Secured<TcpStream>, by: Instant) -> Result<Stream, Failure> {
        let tls = self.tls.as_ref().filter(|_| self.destination.is_tls());
        let handshake = secure(stream, tls, self.destination.host());
        self.phase(Phase::Tls, by, handshake).await
    }

    async fn phase<T>(
        &self,
        phase: Phase,
        deadline: Instant,
        step: impl Future<Output = io::Result<T>>,
    ) -> Result<T, Failure> {
        timeout_at(deadline, step)
            .await
            .map_err(|_| timed_out(phase, self.timeout, &self.destination))?
            .map_err(|error| explain(&error, phase, &self.destination))
    }
}

pub(super) async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    tls: Option<&TlsConnector>,
    host: &str,
) -> io::Result<Secured<S>> {
    let Some(tls) = tls else {
        return Ok(Either::Left(stream));
    };
    let name = ServerName::try_from(host.to_owned());
    let stream = tls.connect(name.map_err(io::Error::other)?, stream).await?;
    Ok(Either::Right(Box::new(stream)))
}

/// The addresses of an IP literal, or of a localhost name, which must not be looked up (RFC 6761, section 6.3).
fn known(host: &str, port: u16) -> Vec<SocketAddr> {
    let localhost: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let localhost = localhost.into_iter().filter(|_| is_localhost(host));
    let addresses = host.parse().into_iter().chain(localhost);
    addresses.map(|address| (address, port).into()).collect()
}

pub(super) async fn dial(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let tcp = connect_any(addresses).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// Connects to the first address that accepts. IPv4 and IPv6 are tried side by side; the second address family starts
/// after a delay, or as soon as the first fails.
async fn connect_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let is_first = |address: &SocketAddr| address.is_ipv4() == first_is_v4;
    if addresses.iter().all(is_first) {
        return TcpStream::connect(addresses).await;
    }
    let (first, second): (Vec<_>, Vec<_>) = addresses.iter().partition(|address| is_first(address));
    let first_failed = Notify::new();
    let preferred = async {
        let connected = TcpStream::connect(&first[..]).await;
        connected.inspect_err(|_| first_failed.notify_one())
    };
    let fallback = async {
        let _ = timeout(SECOND_FAMILY_DELAY, first_failed.notified()).await;
        TcpStream::connect(&second[..]).await
    };
    let (first_error, last) = match select(pin!(preferred), pin!(fallback)).await {
        First::Left((Err(error), fallback)) => (error, fallback.await),
        First::Right((Err(error), preferred)) => (error, preferred.await),
        First::Left((connected, _)) | First::Right((connected, _)) => return connected,
    };
    // If addresses failed in different ways, a refused connection explains more than an unreachable address family.
    last.map_err(|last_error| match last_error.kind() {
        io::ErrorKind::ConnectionRefused => last_error,
        _ => first_error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// An address of the IPv6 discard prefix (RFC 6666): unreachable, or packets are dropped.
    const BLACK_HOLE: &str = "[100::1]:9";

    #[tokio::test]
    async fn the_second_family_is_tried_while_the_first_one_hangs_or_when_it_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        for addresses in [
            [BLACK_HOLE.parse().unwrap(), open],
            [open, BLACK_HOLE.parse().unwrap()],
            [(Ipv6Addr::LOCALHOST, closed.port()).into(), open],
        ] {
            let began = Instant::now();
            assert_eq!(dial(&addresses).await.unwrap().peer_addr().unwrap(), open);
            assert!(began.elapsed() < Duration::from_secs(3), "{addresses:?}");
        }
        let refused = dial(&[closed, (Ipv6Addr::LOCALHOST, closed.port()).into()]).await;
        assert_eq!(
            refused.unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
    }
}
