//! A captured request, written again byte for byte.

use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};

use super::super::{Header, Request};
use super::{RawRequest, Step, head};
use crate::untrusted::{beginning, clean};

impl RawRequest {
    /// The request with its version, its target and its headers in their order and case, without any default.
    ///
    /// The headers frame the body, and the caller has made them true. Errors are those of [`check`].
    pub fn exact(request: &Request) -> Result<Self, String> {
        check(request)?;
        let mut bytes = head(
            &request.method,
            &request.target,
            &request.version,
            &request.headers,
        )
        .to_vec();
        if is_chunked(request) {
            if !request.body.is_empty() {
                bytes.extend_from_slice(format!("{:x}\r\n", request.body.len()).as_bytes());
                bytes.extend_from_slice(&request.body.0);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            bytes.extend_from_slice(&request.body.0);
        }
        Ok(Self::new(&request.method, [Step::Send(bytes.into())]))
    }
}

/// Whether the body is chunked by its headers; HTTP/1.0 has no chunks.
#[must_use]
pub fn is_chunked(request: &Request) -> bool {
    let last = request
        .headers
        .iter()
        .rfind(|header| header.is("Transfer-Encoding"));
    let coding = |header: &Header| {
        header
            .text()
            .rsplit(',')
            .next()
            .is_some_and(|coding| coding.trim().eq_ignore_ascii_case("chunked"))
    };
    request.version == "HTTP/1.1" && last.is_some_and(coding)
}

/// Whether a request can be written without becoming another one; the error says why not.
///
/// A method and a name are tokens, a target has neither spaces nor control characters, a value no control character but
/// the tab, so that no line can be smuggled in. Unusual but harmless requests pass.
pub fn check(request: &Request) -> Result<(), String> {
    if Method::from_bytes(request.method.as_bytes()).is_err() {
        return Err(format!("\"{}\" is no method", shown(&request.method)));
    }
    if request.target.is_empty() {
        return Err("the target is empty".to_owned());
    }
    if request
        .target
        .bytes()
        .any(|byte| byte <= b' ' || byte == 0x7f)
    {
        return Err("the target holds a space or a control character".to_owned());
    }
    if !matches!(&*request.version, "HTTP/1.1" | "HTTP/1.0") {
        return Err("the version is neither HTTP/1.1 nor HTTP/1.0".to_owned());
    }
    for header in &request.headers {
        let name = shown(&header.name);
        if HeaderName::from_bytes(header.name.as_bytes()).is_err() {
            return Err(format!("\"{name}\" is no name of a header"));
        }
        if HeaderValue::from_bytes(&header.value).is_err() {
            return Err(format!(
                "the value of the header {name} holds a line break or a control character"
            ));
        }
    }
    Ok(())
}

/// Text from outside, for a message.
fn shown(text: &str) -> String {
    const LIMIT: usize = 60;
    clean(&beginning(text, LIMIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(request: &Request) -> String {
        let raw = RawRequest::exact(request).unwrap();
        let [Step::Send(bytes)] = raw.steps.as_slice() else {
            panic!("{raw:?}")
        };
        String::from_utf8_lossy(bytes).replace("\r\n", "\n")
    }

    #[test]
    fn a_request_is_written_as_it_stands() {
        let headers = vec![
            Header::new("X-b", "2"),
            Header::new("host", "cdr.test"),
            Header::new("x-B", ""),
            Header::new("Content-LENGTH", "2"),
        ];
        let mut request = Request::new("PuT", "http://h/a//../b?'=#c", headers, "{}");
        let head = "PuT http://h/a//../b?'=#c HTTP/1.1\nX-b: 2\nhost: cdr.test\nx-B: \nContent-LENGTH: 2\n\n";
        assert_eq!(written(&request), format!("{head}{{}}"));
        request.version = "HTTP/1.0".into();
        assert_eq!(
            written(&request),
            format!("{head}{{}}").replace("HTTP/1.1", "HTTP/1.0")
        );
    }

    #[test]
    fn chunks_stay_chunks() {
        for (coding, body, expected) in [
            ("chunked", "0123456789abcdef", "10\n0123456789abcdef\n0\n\n"),
            ("gzip, Chunked", "", "0\n\n"),
            ("chunked, gzip", "ab", "ab"),
        ] {
            let request = Request::new(
                "POST",
                "/",
                vec![Header::new("transfer-encoding", coding)],
                body.to_owned(),
            );
            let head = format!("POST / HTTP/1.1\ntransfer-encoding: {coding}\n\n");
            assert_eq!(written(&request), head + expected);
        }
    }

    #[test]
    fn what_would_become_another_request_is_refused() {
        let request = |method: &str, target: &str, name: &str, value: &str| {
            Request::new(method, target, vec![Header::new(name, value)], "")
        };
        for (method, target, name, value) in [
            ("", "/", "a", "b"),
            ("P OST", "/", "a", "b"),
            ("POST\r\n", "/", "a", "b"),
            ("GET", "", "a", "b"),
            ("GET", "/ HTTP/1.1", "a", "b"),
            ("GET", "/\n", "a", "b"),
            ("GET", "/\0", "a", "b"),
            ("GET", "/", "", "b"),
            ("GET", "/", "a:", "b"),
            ("GET", "/", " a", "b"),
            ("GET", "/", "é", "b"),
            ("GET", "/", "a", "b\r\nEvil: 1"),
            ("GET", "/", "a", "b\rc"),
            ("GET", "/", "a", "\0"),
        ] {
            let request = request(method, target, name, value);
            assert!(RawRequest::exact(&request).is_err(), "{request:?}");
        }
        let mut newer = request("GET", "/", "a", "b");
        assert_eq!(check(&newer), Ok(()));
        newer.version = "HTTP/1.1\r\nEvil: 1".into();
        assert!(check(&newer).is_err());
        assert_eq!(
            check(&request("GET", "*", "x-ü'".trim_end_matches("ü'"), "ü\t\"")),
            Ok(())
        );
    }

    proptest! {
        #[test]
        fn no_line_is_smuggled_in(
            method in "[A-Z]{0,4}[ \r\n]{0,1}",
            target in "/[ -~\r\n\u{85}é]{0,12}",
            headers in proptest::collection::vec(
                ("[a-zA-Z:-]{0,5}[ \r\n]{0,1}", proptest::collection::vec(
                    prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), 0x20_u8..=0xff], 0..8)),
                0..4,
            ),
            body in "[a\r\n]{0,8}",
        ) {
            let fields = headers.into_iter().map(|(name, value)| Header { name: name.into(), value: value.into() });
            let request = Request::new(&method, target, fields.collect::<Vec<_>>(), body.clone());
            if let Ok(raw) = RawRequest::exact(&request) {
                let [Step::Send(bytes)] = raw.steps.as_slice() else { panic!("{raw:?}") };
                let head = bytes.strip_suffix(body.as_bytes()).unwrap();
                let mut lines: Vec<_> = head.split(|byte| *byte == b'\n').collect();
                prop_assert_eq!(lines.split_off(lines.len() - 2), [&b"\r"[..], b""]);
                prop_assert_eq!(lines.len(), 1 + request.headers.len());
                for (line, header) in lines[1..].iter().zip(&request.headers) {
                    let expected = [header.name.as_bytes(), b": ", &header.value, b"\r"].concat();
                    prop_assert_eq!(*line, expected);
                }
                prop_assert_eq!(lines[0].iter().filter(|byte| **byte == b' ').count(), 2);
                prop_assert!(!bytes[..head.len() - 4].windows(2).any(|pair| pair == b"\n\n"));
            }
        }
    }
}
