//! Reads the first answer in what came back: tolerant, bounded and pure.
//!
//! In: what was asked, all bytes so far, and whether that was all. Out: a [`Reading`]. The bytes are looked at anew each time more
//! have come, which is cheap because they are few.

use bytes::Bytes;

use super::super::{Header, Octets, Response, header};
use super::Asked;

/// As much of a head as is read.
const MOST_OF_A_HEAD: usize = 32 * 1024;

/// As much as is read in all: a head, and a body whose chunks are as small as they can be.
pub(super) fn most_of_everything(asked: Asked) -> usize {
    MOST_OF_A_HEAD + 8 * asked.most()
}

/// What the bytes so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading {
    /// No byte of a final answer.
    Nothing,
    /// A part of a head.
    PartOfHead,
    /// An answer whose body may still grow.
    Growing(Response),
    /// An answer of which no more is needed.
    Enough(Response),
    /// An answer whose chunks are none, and what could be read of it.
    Damaged(Response),
    /// No HTTP.
    NotHttp,
}

/// What bytes look like.
#[derive(Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether the peer has told us to continue.
    pub told_to_continue: bool,
    /// What they amount to.
    pub reading: Reading,
    /// Whether they end exactly where the answer says that it ends, so that another can follow it.
    pub ends_here: bool,
}

/// What is there of a body: its bytes, without their framing, and how far it has come.
type BodySoFar = (Vec<u8>, Progress);

/// How far a body has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// There may be more.
    Growing,
    /// There is more, and nobody needs it.
    Cut,
    /// It came to its end, and whether the bytes end with it, by its own framing.
    Complete { ends_here: bool },
    /// Its framing is wrong.
    Damaged,
}

/// Reads the bytes that have come so far.
#[must_use]
pub fn read(asked: Asked, bytes: &[u8], ended: bool) -> Look {
    let mut told_to_continue = false;
    let look = |told_to_continue, reading| Look { told_to_continue, reading, ends_here: false };
    let mut rest = bytes;
    loop {
        while let [b'\r' | b'\n', after @ ..] = rest {
            rest = after;
        }
        if rest.is_empty() {
            return look(told_to_continue, Reading::Nothing);
        }
        let Some((head, body)) = split_head(rest) else {
            let begins_well = rest.iter().zip(b"HTTP/").all(|(byte, wanted)| byte == wanted);
            let fits = rest.len() <= MOST_OF_A_HEAD;
            let reading = if begins_well && fits { Reading::PartOfHead } else { Reading::NotHttp };
            return look(told_to_continue, reading);
        };
        let Some(status) = status_of(head) else {
            return look(told_to_continue, Reading::NotHttp);
        };
        if (100..200).contains(&status) && status != 101 {
            told_to_continue |= status == 100;
            rest = body;
            continue;
        }
        let (reading, ends_here) = answer(asked, status, headers_of(head), body, ended);
        return Look { told_to_continue, reading, ends_here };
    }
}

/// The answer whose head has come, with as much of its body as is there, and whether the bytes end with it.
fn answer(asked: Asked, status: u16, headers: Vec<Header>, rest: &[u8], ended: bool) -> (Reading, bool) {
    let chunked = header(&headers, "transfer-encoding")
        .is_some_and(|codings| codings.to_ascii_lowercase().contains("chunked"));
    let announced = header(&headers, "content-length").and_then(|text| text.trim().parse().ok());
    let bodiless = match asked {
        Asked::ForAll | Asked::ForOthers => matches!(status, 101 | 204 | 304),
        Asked::ForTheHead => true,
        Asked::ForATunnel => matches!(status, 200..300 | 304),
    };
    let most = asked.most();
    let (bytes, progress) = if bodiless {
        (Vec::new(), Progress::Complete { ends_here: rest.is_empty() })
    } else if chunked {
        dechunked(rest, most)
    } else if let Some(length) = announced {
        of_length(rest, length, most)
    } else {
        until_the_end(rest, ended, most)
    };
    let response = Response {
        status,
        headers: headers.into(),
        size: bytes.len() as u64,
        body: Octets::from(bytes),
        complete: matches!(progress, Progress::Complete { .. }),
    };
    let reading = match progress {
        Progress::Growing => Reading::Growing(response),
        Progress::Cut | Progress::Complete { .. } => Reading::Enough(response),
        Progress::Damaged => Reading::Damaged(response),
    };
    (reading, progress == Progress::Complete { ends_here: true })
}

/// Splits at the empty line, whose ends may be bare line feeds.
fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let feeds = bytes.iter().take(MOST_OF_A_HEAD).enumerate();
    for (at, _) in feeds.filter(|(_, byte)| **byte == b'\n') {
        match &bytes[at + 1..] {
            [b'\n', body @ ..] | [b'\r', b'\n', body @ ..] => return Some((&bytes[..at], body)),
            _ => {}
        }
    }
    None
}

/// The status in `HTTP/1.1 200 OK`; the reason may be missing.
fn status_of(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line.get(..line.len().min(13))?).ok()?;
    let (version, rest) = line.trim_end().split_once(' ')?;
    let digits = rest.trim_start().get(..3)?;
    let known = version.starts_with("HTTP/1.") || version.starts_with("HTTP/0.");
    let status = digits.parse().ok()?;
    (known && (100..1000).contains(&status)).then_some(status)
}

/// The header fields; lines without a colon are passed over.
fn headers_of(head: &[u8]) -> Vec<Header> {
    head.split(|byte| *byte == b'\n')
        .skip(1)
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some(Header {
                name: String::from_utf8_lossy(&line[..colon]).trim().to_ascii_lowercase(),
                value: Bytes::copy_from_slice(line[colon + 1..].trim_ascii()),
            })
        })
        .collect()
}

/// A body whose length was announced.
fn of_length(rest: &[u8], length: usize, most: usize) -> BodySoFar {
    let bytes = bounded(&rest[..rest.len().min(length)], most);
    let progress = if bytes.len() == length {
        Progress::Complete { ends_here: rest.len() == length }
    } else if bytes.len() == most {
        Progress::Cut
    } else {
        Progress::Growing
    };
    (bytes, progress)
}

/// A body that ends with the connection.
fn until_the_end(rest: &[u8], ended: bool, most: usize) -> BodySoFar {
    let progress = match (rest.len() > most, ended) {
        (true, _) => Progress::Cut,
        (false, true) => Progress::Complete { ends_here: false },
        (false, false) => Progress::Growing,
    };
    (bounded(rest, most), progress)
}

/// A body out of its chunks. Damaged ones end it; trailers are not waited for.
fn dechunked(mut rest: &[u8], most: usize) -> BodySoFar {
    let mut bytes = Vec::new();
    while let Some(feed) = rest.iter().position(|byte| *byte == b'\n') {
        let Some(size) = chunk_size(&rest[..feed]) else {
            return (bytes, Progress::Damaged);
        };
        rest = &rest[feed + 1..];
        if size == 0 {
            return (bytes, Progress::Complete { ends_here: matches!(rest, b"\r\n" | b"\n") });
        }
        let room = most - bytes.len();
        bytes.extend_from_slice(&rest[..size.min(room).min(rest.len())]);
        if size > room {
            let progress = if bytes.len() == most { Progress::Cut } else { Progress::Growing };
            return (bytes, progress);
        }
        let Some(after) = rest.get(size..) else {
            return (bytes, Progress::Growing);
        };
        let after = after.strip_prefix(b"\r").unwrap_or(after);
        rest = after.strip_prefix(b"\n").unwrap_or(after);
    }
    (bytes, Progress::Growing)
}

/// The size in a chunk's first line, without its extensions.
fn chunk_size(line: &[u8]) -> Option<usize> {
    let line = std::str::from_utf8(line).ok()?;
    let digits = line.split(';').next()?.trim();
    usize::from_str_radix(digits, 16).ok()
}

/// As much of the bytes as an answer may hold.
fn bounded(bytes: &[u8], most: usize) -> Vec<u8> {
    bytes[..bytes.len().min(most)].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn enough(bytes: &[u8], ended: bool) -> Response {
        match read(Asked::ForAll, bytes, ended).reading {
            Reading::Enough(response) | Reading::Damaged(response) => response,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_are_read_however_they_are_framed() {
        for (bytes, ended, body, complete) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd"[..], false, "abc", true),
            (b"HTTP/1.0 200\n\nabc", true, "abc", true),
            (
                b"\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n",
                false,
                "abc",
                true,
            ),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n", false, "ab", false),
            (b"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", false, "", true),
        ] {
            let response = enough(bytes, ended);
            assert_eq!((response.body.text(), response.complete), (Some(body), complete));
        }
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
        let look = read(Asked::ForAll, interim, false);
        assert_eq!((look.told_to_continue, look.reading), (true, Reading::Nothing));
        let both = [&interim[..], b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"].concat();
        assert_eq!(enough(&both, false).status, 417);
    }

    #[test]
    fn answers_without_a_body_end_with_their_head() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
        for asked in [Asked::ForTheHead, Asked::ForATunnel] {
            let Reading::Enough(response) = read(asked, bytes, false).reading else { panic!("{asked:?}") };
            assert_eq!((response.status, response.complete), (200, true));
        }
        let refused = b"HTTP/1.1 405 No\r\nContent-Length: 6\r\n\r\n";
        assert!(matches!(read(Asked::ForATunnel, refused, false).reading, Reading::Growing(_)));
    }

    #[test]
    fn half_answers_are_known_as_such() {
        assert_eq!(read(Asked::ForAll, b"", true).reading, Reading::Nothing);
        assert_eq!(read(Asked::ForAll, b"HTT", true).reading, Reading::PartOfHead);
        assert_eq!(read(Asked::ForAll, b"HTTP/1.1 200 OK\r\nA: b\r\n", true).reading, Reading::PartOfHead);
        for part in
            ["Content-Length: 9\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n9\r\nhalf", "\r\nhalf"]
        {
            let bytes = format!("HTTP/1.1 200 OK\r\n{part}");
            let Reading::Growing(response) = read(Asked::ForAll, bytes.as_bytes(), false).reading else {
                panic!("{part:?} was enough");
            };
            assert_eq!((response.body.text(), response.complete), (Some("half"), false));
        }
    }

    #[test]
    fn other_protocols_are_not_taken_for_http() {
        for bytes in
            ["SSH-2.0\r\n", "<html>", "HTTP/2 200\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "\u{15}\u{3}\u{1}"]
        {
            assert_eq!(read(Asked::ForAll, bytes.as_bytes(), true).reading, Reading::NotHttp, "{bytes:?}");
        }
        let endless = [b"HTTP/1.1 200 OK\r\nA: "[..].to_vec(), vec![b'a'; MOST_OF_A_HEAD]].concat();
        assert_eq!(read(Asked::ForAll, &endless, false).reading, Reading::NotHttp);
    }

    #[test]
    fn no_answer_is_read_beyond_the_bound() {
        for framing in ["", "Content-Length: 999999\r\n", "Transfer-Encoding: chunked\r\n"] {
            let mut bytes = format!("HTTP/1.1 200 OK\r\n{framing}\r\nfffff\r\n").into_bytes();
            bytes.resize(most_of_everything(Asked::ForAll), b'a');
            let response = enough(&bytes, true);
            assert_eq!((response.body.len(), response.complete), (Asked::ForAll.most(), false));
        }
        let huge = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\na";
        assert!(matches!(read(Asked::ForAll, huge, false).reading, Reading::Growing(_)));
    }

    #[test]
    fn another_answer_may_follow_only_where_one_ends() {
        for (bytes, ends_here) in [
            ("Content-Length: 2\r\n\r\nab", true),
            ("Content-Length: 2\r\n\r\nabc", false),
            ("Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", true),
            ("Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", false),
            ("\r\nab", false),
        ] {
            let bytes = format!("HTTP/1.1 200 OK\r\n{bytes}");
            assert_eq!(read(Asked::ForAll, bytes.as_bytes(), true).ends_here, ends_here, "{bytes:?}");
        }
        assert!(read(Asked::ForTheHead, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", false).ends_here);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            start in prop::sample::select(vec![
                "", "HTTP/1.1 ", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "HTTP/1.1 100 C\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
            ]),
            rest in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b'3'), any::<u8>()], 0..60),
            ended in any::<bool>(),
        ) {
            let bytes = [start.as_bytes(), &rest].concat();
            if let Reading::Enough(response) | Reading::Damaged(response) | Reading::Growing(response) =
                read(Asked::ForAll, &bytes, ended).reading
            {
                prop_assert!(response.body.len() <= rest.len());
            }
        }

        #[test]
        fn what_is_enough_stays_so(cut in 0_usize..90) {
            let bytes = b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nmore";
            let earlier = read(Asked::ForAll, &bytes[..cut.min(bytes.len())], false).reading;
            if let Reading::Enough(_) = earlier {
                prop_assert_eq!(earlier, read(Asked::ForAll, bytes, false).reading);
            }
        }
    }
}
