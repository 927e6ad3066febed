//! Hop-by-hop and end-to-end headers.

use super::Header;

/// Hop-by-hop headers (RFC 9110, 7.6.1), and those that are made anew for the next connection.
const HOP_BY_HOP: [&str; 11] = [
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

/// The headers without the hop-by-hop ones and those that `Connection` names, in order.
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
        !HOP_BY_HOP.iter().any(|name| header.is(name)) && !named.iter().any(|name| header.is(name))
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
