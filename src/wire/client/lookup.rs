//! From a host's name to its addresses.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::TcpStream;

use super::super::Phase;
use super::destination::is_localhost;
use super::progress;

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
    [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]
}

/// Connects to the first address that answers.
pub(in crate::wire) async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut refusal = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
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
