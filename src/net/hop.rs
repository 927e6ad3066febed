//! The headers that concern one connection and end with it, and those that go on to the next.

use super::Header;

/// Headers of one connection (RFC 9110, 7.6.1), and those that the next one gets anew.
const OF_THE_CONNECTION: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// The headers that go on, in order: without those of the connection, and those that `Connection` names as such.
#[must_use]
pub fn end_to_end(headers: &[Header]) -> Vec<Header> {
    let named: Vec<String> = headers
        .iter()
        .filter(|header| header.is("connection"))
        .flat_map(|header| {
            header
                .text()
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    let stays = |header: &&Header| {
        !OF_THE_CONNECTION.iter().any(|name| header.is(name))
            && !named.iter().any(|name| header.is(name))
    };
    headers.iter().filter(stays).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_connection_names_as_its_own_ends_with_it() {
        let headers = [
            ("X-A", "1"),
            ("Connection", "close, X-Hop"),
            ("x-hop", "2"),
            ("Proxy-Authorization", "Basic x"),
            ("Content-Type", "text/plain"),
        ];
        let left = end_to_end(&headers.map(|(name, value)| Header::new(name, value)));
        assert_eq!(
            left.iter()
                .map(|header| header.name.as_str())
                .collect::<Vec<_>>(),
            ["X-A", "Content-Type"]
        );
    }
}
