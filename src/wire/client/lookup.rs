//! From a host's name to its addresses, and from there to a connection.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::TcpStream;

use super::super::Phase;
use super::destination::is_localhost;
use super::progress;

/// What every network carries in one piece, so that it leaves at once anyway: IPv6 asks for 1280 bytes, headers and all.
const ONE_SEGMENT: usize = 1024;

/// The addresses of a host, in the order in which they are to be tried.
///
/// Names that mean this machine are not looked up, so that nothing in the network decides where they lead.
pub(in crate::wire) async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<SocketAddr> = if is_localhost(host) {
        this_machine(port).to_vec()
    } else {
        tokio::net::lookup_host((host, port)).await?.collect()
    };
    if addresses.is_empty() {
        return Err(io::Error::other("the name has no address"));
    }
    Ok(addresses)
}

/// The addresses of this machine, in the order in which they are to be tried.
pub(super) fn this_machine(port: u16) -> [SocketAddr; 2] {
    [
        (Ipv4Addr::LOCALHOST, port).into(),
        (Ipv6Addr::LOCALHOST, port).into(),
    ]
}

/// Connects to the first address that answers, and sends as much of a text as can leave at once. Brings how much that was
/// too.
pub(in crate::wire) async fn connect(
    addresses: &[SocketAddr],
    text: &[u8],
) -> io::Result<(TcpStream, usize)> {
    let mut refusal = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match connect_to(*address, text).await {
            Ok(connected) => return Ok(connected),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

async fn connect_to(address: SocketAddr, text: &[u8]) -> io::Result<(TcpStream, usize)> {
    let stream = std::net::TcpStream::from(mio::net::TcpStream::connect(address)?);
    if text.len() > ONE_SEGMENT {
        stream.set_nodelay(true)?;
    }
    // On this machine the connection is there by now, and nobody has to be woken to find that out.
    let sent = if text.is_empty() {
        None
    } else {
        unless_too_soon((&stream).write(text))?
    };
    let stream = TcpStream::from_std(stream)?;
    if sent.is_none() {
        stream.writable().await?;
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
    }
    Ok((stream, sent.unwrap_or(0)))
}

/// How much was sent, or nothing if there is no connection yet.
fn unless_too_soon(sent: io::Result<usize>) -> io::Result<Option<usize>> {
    match sent {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
            ) =>
        {
            Ok(None)
        }
        sent => sent.map(Some),
    }
}

/// [`addresses`] as reqwest wants it, noted as a phase of its own.
#[derive(Debug)]
pub(super) struct Lookup;

impl Resolve for Lookup {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            progress::reached(Phase::Dns);
            let addresses = addresses(name.as_str(), 0).await?;
            progress::reached(Phase::Connect);
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
