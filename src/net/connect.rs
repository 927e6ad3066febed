//! Opens connections to one destination in the phases DNS, TCP and TLS; failures name the phase.

use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::client::ClientOptions;
use super::destination::{Destination, is_localhost};
use super::failure::{explain, timed_out};
use super::{Failure, Phase, tls};
use crate::error::Error;

/// The delay before the next address is tried (RFC 8305, section 5).
const NEXT_ADDRESS_DELAY: Duration = Duration::from_millis(250);

/// The TLS stream is boxed because it is large.
pub(crate) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

#[derive(Clone)]
pub(super) struct Connector {
    pub destination: Destination,
    known: Vec<SocketAddr>,
    tls: Option<TlsConnector>,
    timeout: Duration,
}

impl Connector {
    pub fn new(destination: &Destination, options: &ClientOptions) -> Result<Self, Error> {
        let tls = destination.is_tls().then(|| tls::config(options));
        Ok(Self {
            destination: destination.clone(),
            known: known(destination.host(), destination.port()),
            tls: tls.transpose()?.map(|tls| Arc::new(tls).into()),
            timeout: options.connect_timeout.min(options.timeout),
        })
    }

    pub async fn connect(&self) -> Result<Stream, Failure> {
        let deadline = Instant::now() + self.timeout;
        let mut addresses = Cow::Borrowed(&self.known);
        if self.known.is_empty() {
            let found = lookup_host((self.destination.host(), self.destination.port()));
            let found = self.phase(Phase::Dns, deadline, found).await?;
            addresses = Cow::Owned(found.collect());
        }
        let tcp = async {
            let tcp = dial(&addresses).await?;
            tcp.set_nodelay(true)?;
            Ok(tcp)
        };
        let tcp = self.phase(Phase::Connect, deadline, tcp).await?;
        let Some(tls) = &self.tls else {
            return Ok(Either::Left(tcp));
        };
        let handshake = async {
            let name = ServerName::try_from(self.destination.host().to_owned());
            tls.connect(name.map_err(io::Error::other)?, tcp).await
        };
        let tls = self.phase(Phase::Tls, deadline, handshake).await?;
        Ok(Either::Right(Box::new(tls)))
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

/// The addresses of an IP literal, or of a localhost name, which must not be looked up (RFC 6761, section 6.3).
fn known(host: &str, port: u16) -> Vec<SocketAddr> {
    let localhost: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let localhost = localhost.into_iter().filter(|_| is_localhost(host));
    let addresses = host.parse().into_iter().chain(localhost);
    addresses.map(|address| (address, port).into()).collect()
}

/// Connects to the first address that accepts. Each next address is tried after a delay, or as soon as an attempt
/// fails; IPv4 and IPv6 take turns.
async fn dial(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let is_first = |address: &&SocketAddr| address.is_ipv4() == first_is_v4;
    let (first, second): (Vec<_>, Vec<_>) = addresses.iter().partition(is_first);
    let mut in_turn: Vec<(_, &SocketAddr)> = (0..).zip(first).chain((0..).zip(second)).collect();
    in_turn.sort_by_key(|(turn, _)| *turn);
    let mut left = in_turn.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = None;
    loop {
        let next = left.next();
        let delay = match left.len() {
            0 => Duration::MAX,
            _ => NEXT_ADDRESS_DELAY,
        };
        attempts.extend(next.map(|(_, address)| TcpStream::connect(*address)));
        match timeout(delay, attempts.next()).await {
            Ok(Some(Ok(connected))) => return Ok(connected),
            Ok(Some(Err(error))) => {
                // A refused connection explains more than an unreachable address family.
                let explains_more = error.kind() == io::ErrorKind::ConnectionRefused;
                failure = failure.filter(|_| !explains_more).or(Some(error));
            }
            Ok(None) => return Err(failure.unwrap_or(io::ErrorKind::NotFound.into())),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpSocket};

    /// An address of the IPv6 discard prefix (RFC 6666): unreachable, or packets are dropped.
    const BLACK_HOLE: &str = "[100::1]:9";

    #[tokio::test]
    async fn the_next_address_of_a_family_is_tried_while_the_first_one_hangs() {
        let full = TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(1).unwrap();
        let hanging = full.local_addr().unwrap();
        let mut queued = Vec::new();
        let connect = || timeout(Duration::from_millis(100), TcpStream::connect(hanging));
        while let Ok(Ok(stream)) = connect().await {
            queued.push(stream);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let connected = timeout(Duration::from_secs(3), dial(&[hanging, open])).await;
        assert_eq!(connected.unwrap().unwrap().peer_addr().unwrap(), open);
    }

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
