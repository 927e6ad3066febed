//! The sender's address according to the headers of a proxy or tunnel (`--trust-proxy`).
//!
//! Any sender can write these headers, so the address is shown as a claim beside the peer's. The first that names an address
//! counts: `X-Forwarded-For` (leftmost address), `Forwarded` (RFC 7239), `X-Real-IP`, `CF-Connecting-IP`.

use std::net::{IpAddr, SocketAddr};

use crate::net::{Header, header};

/// An address, with a port if the header has one.
#[must_use]
pub fn claimed(headers: &[Header]) -> Option<String> {
    let first_of = |name| {
        header(headers, name).map(|value| value.split(',').next().unwrap_or_default().to_owned())
    };
    first_of("X-Forwarded-For")
        .and_then(|first| address(&first))
        .or_else(|| first_of("Forwarded").and_then(|first| address(forwarded_for(&first)?)))
        .or_else(|| header(headers, "X-Real-IP").and_then(|value| address(&value)))
        .or_else(|| header(headers, "CF-Connecting-IP").and_then(|value| address(&value)))
}

/// The value of `for=` in an element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("for")
            .then(|| value.trim().trim_matches('"'))
    })
}

/// Parses and formats an address, so that no other text gets through.
fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(ip) => Some(ip.to_string()),
        Err(_) => text
            .parse::<SocketAddr>()
            .ok()
            .map(|address| address.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&str, &str)]) -> Option<String> {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| Header::new(*name, *value))
            .collect();
        claimed(&headers)
    }

    #[test]
    fn addresses_are_read_in_all_their_spellings() {
        for (name, value, claimed) in [
            ("x-forwarded-for", "203.0.113.9", "203.0.113.9"),
            ("X-Forwarded-For", " 203.0.113.9 , 10.0.0.1", "203.0.113.9"),
            ("X-Forwarded-For", "203.0.113.9:4711", "203.0.113.9:4711"),
            ("X-Forwarded-For", "2001:db8::1", "2001:db8::1"),
            ("X-Forwarded-For", "[2001:DB8:0::1]", "2001:db8::1"),
            (
                "Forwarded",
                "proto=https;FOR=\"[2001:db8::1]:80\", for=10.0.0.1",
                "[2001:db8::1]:80",
            ),
            (
                "Forwarded",
                "for=192.0.2.60;proto=http;by=203.0.113.43",
                "192.0.2.60",
            ),
            ("X-Real-IP", "203.0.113.9", "203.0.113.9"),
            ("CF-Connecting-IP", "203.0.113.9", "203.0.113.9"),
        ] {
            assert_eq!(
                of(&[(name, value)]).as_deref(),
                Some(claimed),
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn what_is_no_address_claims_nothing() {
        for (name, value) in [
            ("X-Forwarded-For", ""),
            ("X-Forwarded-For", "unknown"),
            ("X-Forwarded-For", "203.0.113.9\u{1b}[2J"),
            ("X-Forwarded-For", "localhost"),
            ("X-Forwarded-For", "203.0.113.9:99999"),
            ("Forwarded", "for=_hidden"),
            ("Forwarded", "by=203.0.113.9"),
            ("X-Client-IP", "203.0.113.9"),
        ] {
            assert_eq!(of(&[(name, value)]), None, "{name}: {value}");
        }
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn the_first_that_names_an_address_counts() {
        let all = [
            ("CF-Connecting-IP", "192.0.2.4"),
            ("X-Real-IP", "192.0.2.3"),
            ("Forwarded", "for=192.0.2.2"),
            ("X-Forwarded-For", "192.0.2.1"),
        ];
        assert_eq!(of(&all).as_deref(), Some("192.0.2.1"));
        assert_eq!(of(&all[..3]).as_deref(), Some("192.0.2.2"));
        assert_eq!(
            of(&[("X-Forwarded-For", "unknown"), all[1]]).as_deref(),
            Some("192.0.2.3")
        );
    }
}
