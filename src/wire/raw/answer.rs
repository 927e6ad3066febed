//! Reads the first answer in what came back: tolerant, bounded and pure.
//!
//! In: what was asked, all bytes so far, and whether that was all. Out: a [`Reading`]. The bytes are looked at anew each time more
//! have come, which is cheap because they are few.

use std::borrow::Cow;

use bytes::Bytes;

use super::super::{Body, Header, Response, header};
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
    /// Whether they end exactly where the answer says that it ends, and the peer keeps the connection for another.
    pub another_may_follow: bool,
}

/// What is there of a body: its bytes, without their framing, and how far it has come.
type BodySoFar<'a> = (Cow<'a, [u8]>, Progress);

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

/// The head of an answer that is no interim one.
#[derive(Debug)]
struct Head {
    /// All its bytes, the empty line too.
    bytes: Vec<u8>,
    status: u16,
    headers: Vec<Header>,
    framing: Framing,
    /// Whether the peer lets another answer follow on this connection.
    keeps_open: bool,
}

/// How an answer says where its body ends.
#[derive(Debug, Clone, Copy)]
enum Framing {
    Chunks,
    Length(usize),
    /// It does not: the body ends with the connection.
    Nothing,
}

/// Reads one answer after another, and shares what is the same in them.
///
/// A server says the same in nearly every answer, but for the date. So an answer that begins as the one before it has
/// its head, and nothing of it is read again.
#[derive(Debug, Default)]
pub struct Reader {
    head: Option<Head>,
    body: Bytes,
}

/// Reads the bytes that have come so far.
#[must_use]
pub fn read(asked: Asked, bytes: &[u8], ended: bool) -> Look {
    Reader::default().read(asked, bytes, ended)
}

impl Reader {
    /// Reads the bytes of one answer that have come so far. What was read before makes no difference to what they are.
    pub fn read(&mut self, asked: Asked, bytes: &[u8], ended: bool) -> Look {
        let mut told_to_continue = false;
        let look = |told_to_continue, reading| Look {
            told_to_continue,
            reading,
            another_may_follow: false,
        };
        let mut rest = bytes;
        loop {
            while let [b'\r' | b'\n', after @ ..] = rest {
                rest = after;
            }
            if let Some(head) = &self.head
                && let Some(body) = rest.strip_prefix(head.bytes.as_slice())
            {
                let (reading, ends_here) = head.answer(asked, body, ended, &mut self.body);
                return Look {
                    told_to_continue,
                    reading,
                    another_may_follow: ends_here && head.keeps_open,
                };
            }
            if rest.is_empty() {
                return look(told_to_continue, Reading::Nothing);
            }
            let Some((head, body)) = split_head(rest) else {
                let begins_well = rest
                    .iter()
                    .zip(b"HTTP/")
                    .all(|(byte, wanted)| byte == wanted);
                let fits = rest.len() <= MOST_OF_A_HEAD;
                let reading = if begins_well && fits {
                    Reading::PartOfHead
                } else {
                    Reading::NotHttp
                };
                return look(told_to_continue, reading);
            };
            let Some(status) = status_of(head) else {
                return look(told_to_continue, Reading::NotHttp);
            };
            if (100..200).contains(&status) && status != 101 {
                told_to_continue |= status == 100;
                rest = body;
            } else {
                self.head = Some(Head::new(
                    &rest[..rest.len() - body.len()],
                    status,
                    headers_of(head),
                ));
            }
        }
    }
}

impl Head {
    fn new(bytes: &[u8], status: u16, headers: Vec<Header>) -> Self {
        let says = |name, word| {
            header(&headers, name).is_some_and(|text| text.to_ascii_lowercase().contains(word))
        };
        let announced =
            || header(&headers, "content-length").and_then(|text| text.trim().parse().ok());
        let framing = if says("transfer-encoding", "chunked") {
            Framing::Chunks
        } else {
            announced().map_or(Framing::Nothing, Framing::Length)
        };
        let keeps_open = if bytes.starts_with(b"HTTP/1.1") {
            !says("connection", "close")
        } else {
            says("connection", "keep-alive")
        };
        Self {
            bytes: bytes.to_vec(),
            status,
            headers,
            framing,
            keeps_open,
        }
    }

    /// The answer with this head and as much of its body as is there, and whether the bytes end with it. `known` is the
    /// body of another answer.
    fn answer(&self, asked: Asked, rest: &[u8], ended: bool, known: &mut Bytes) -> (Reading, bool) {
        let bodiless = match asked {
            Asked::ForAll | Asked::ForOthers => matches!(self.status, 101 | 204 | 304),
            Asked::ForTheHead => true,
            Asked::ForATunnel => matches!(self.status, 200..300 | 304),
        };
        let most = asked.most();
        let (bytes, progress) = match self.framing {
            _ if bodiless => (
                Cow::default(),
                Progress::Complete {
                    ends_here: rest.is_empty(),
                },
            ),
            Framing::Chunks => dechunked(rest, most),
            Framing::Length(length) => of_length(rest, length, most),
            Framing::Nothing => until_the_end(rest, ended, most),
        };
        let response = Response {
            status: self.status,
            headers: self.headers.clone(),
            size: bytes.len() as u64,
            body: Body(shared(bytes, known)),
            complete: matches!(progress, Progress::Complete { .. }),
        };
        let reading = match progress {
            Progress::Growing => Reading::Growing(response),
            Progress::Cut | Progress::Complete { .. } => Reading::Enough(response),
            Progress::Damaged => Reading::Damaged(response),
        };
        (reading, progress == Progress::Complete { ends_here: true })
    }
}

/// Bytes to be kept, which are those known already if they are the same.
fn shared(bytes: Cow<'_, [u8]>, known: &mut Bytes) -> Bytes {
    /// What is longer is hardly ever the same, and would be held for nothing.
    const WORTH_KNOWING: usize = 1024;
    if bytes.len() > WORTH_KNOWING {
        return Bytes::from(bytes.into_owned());
    }
    if *known != *bytes {
        *known = Bytes::from(bytes.into_owned());
    }
    known.clone()
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
                name: String::from_utf8_lossy(&line[..colon])
                    .trim()
                    .to_ascii_lowercase(),
                value: Bytes::copy_from_slice(line[colon + 1..].trim_ascii()),
            })
        })
        .collect()
}

/// A body whose length was announced.
fn of_length(rest: &[u8], length: usize, most: usize) -> BodySoFar<'_> {
    let bytes = bounded(&rest[..rest.len().min(length)], most);
    let progress = if bytes.len() == length {
        Progress::Complete {
            ends_here: rest.len() == length,
        }
    } else if bytes.len() == most {
        Progress::Cut
    } else {
        Progress::Growing
    };
    (bytes.into(), progress)
}

/// A body that ends with the connection.
fn until_the_end(rest: &[u8], ended: bool, most: usize) -> BodySoFar<'_> {
    let progress = match (rest.len() > most, ended) {
        (true, _) => Progress::Cut,
        (false, true) => Progress::Complete { ends_here: false },
        (false, false) => Progress::Growing,
    };
    (bounded(rest, most).into(), progress)
}

/// A body out of its chunks. Damaged ones end it; trailers are not waited for.
fn dechunked(rest: &[u8], most: usize) -> BodySoFar<'static> {
    let mut bytes = Vec::new();
    let progress = unpack(rest, most, &mut bytes);
    (bytes.into(), progress)
}

/// Adds what is in the chunks, and says how far that is.
fn unpack(mut rest: &[u8], most: usize, bytes: &mut Vec<u8>) -> Progress {
    while let Some(feed) = rest.iter().position(|byte| *byte == b'\n') {
        let Some(size) = chunk_size(&rest[..feed]) else {
            return Progress::Damaged;
        };
        rest = &rest[feed + 1..];
        if size == 0 {
            return Progress::Complete {
                ends_here: matches!(rest, b"\r\n" | b"\n"),
            };
        }
        let room = most - bytes.len();
        bytes.extend_from_slice(&rest[..size.min(room).min(rest.len())]);
        if size > room {
            return if bytes.len() == most {
                Progress::Cut
            } else {
                Progress::Growing
            };
        }
        let Some(after) = rest.get(size..) else {
            return Progress::Growing;
        };
        let after = after.strip_prefix(b"\r").unwrap_or(after);
        rest = after.strip_prefix(b"\n").unwrap_or(after);
    }
    Progress::Growing
}

/// The size in a chunk's first line, without its extensions.
fn chunk_size(line: &[u8]) -> Option<usize> {
    let line = std::str::from_utf8(line).ok()?;
    let digits = line.split(';').next()?.trim();
    usize::from_str_radix(digits, 16).ok()
}

/// As much of the bytes as an answer may hold.
fn bounded(bytes: &[u8], most: usize) -> &[u8] {
    &bytes[..bytes.len().min(most)]
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
        assert_eq!(
            (look.told_to_continue, look.reading),
            (true, Reading::Nothing)
        );
        let both = [
            &interim[..],
            b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n",
        ]
        .concat();
        assert_eq!(enough(&both, false).status, 417);
    }

    #[test]
    fn answers_without_a_body_end_with_their_head() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
        for asked in [Asked::ForTheHead, Asked::ForATunnel] {
            let Reading::Enough(response) = read(asked, bytes, false).reading else {
                panic!("{asked:?}")
            };
            assert_eq!((response.status, response.complete), (200, true));
        }
        let refused = b"HTTP/1.1 405 No\r\nContent-Length: 6\r\n\r\n";
        assert!(matches!(
            read(Asked::ForATunnel, refused, false).reading,
            Reading::Growing(_)
        ));
    }

    #[test]
    fn half_answers_are_known_as_such() {
        assert_eq!(read(Asked::ForAll, b"", true).reading, Reading::Nothing);
        assert_eq!(
            read(Asked::ForAll, b"HTT", true).reading,
            Reading::PartOfHead
        );
        assert_eq!(
            read(Asked::ForAll, b"HTTP/1.1 200 OK\r\nA: b\r\n", true).reading,
            Reading::PartOfHead
        );
        for part in [
            "Content-Length: 9\r\n\r\nhalf",
            "Transfer-Encoding: chunked\r\n\r\n9\r\nhalf",
            "\r\nhalf",
        ] {
            let bytes = format!("HTTP/1.1 200 OK\r\n{part}");
            let Reading::Growing(response) = read(Asked::ForAll, bytes.as_bytes(), false).reading
            else {
                panic!("{part:?} was enough");
            };
            assert_eq!(
                (response.body.text(), response.complete),
                (Some("half"), false)
            );
        }
    }

    #[test]
    fn other_protocols_are_not_taken_for_http() {
        for bytes in [
            "SSH-2.0\r\n",
            "<html>",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 OK\r\n\r\n",
            "\u{15}\u{3}\u{1}",
        ] {
            assert_eq!(
                read(Asked::ForAll, bytes.as_bytes(), true).reading,
                Reading::NotHttp,
                "{bytes:?}"
            );
        }
        let endless = [
            b"HTTP/1.1 200 OK\r\nA: "[..].to_vec(),
            vec![b'a'; MOST_OF_A_HEAD],
        ]
        .concat();
        assert_eq!(
            read(Asked::ForAll, &endless, false).reading,
            Reading::NotHttp
        );
    }

    #[test]
    fn no_answer_is_read_beyond_the_bound() {
        for framing in [
            "",
            "Content-Length: 999999\r\n",
            "Transfer-Encoding: chunked\r\n",
        ] {
            let mut bytes = format!("HTTP/1.1 200 OK\r\n{framing}\r\nfffff\r\n").into_bytes();
            bytes.resize(most_of_everything(Asked::ForAll), b'a');
            let response = enough(&bytes, true);
            assert_eq!(
                (response.body.len(), response.complete),
                (Asked::ForAll.most(), false)
            );
        }
        let huge = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\na";
        assert!(matches!(
            read(Asked::ForAll, huge, false).reading,
            Reading::Growing(_)
        ));
    }

    #[test]
    fn another_answer_may_follow_only_where_one_ends() {
        for (bytes, follows) in [
            ("Content-Length: 2\r\n\r\nab", true),
            ("Connection: Close\r\nContent-Length: 2\r\n\r\nab", false),
            ("Content-Length: 2\r\n\r\nabc", false),
            (
                "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
                true,
            ),
            ("Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", false),
            ("\r\nab", false),
        ] {
            let bytes = format!("HTTP/1.1 200 OK\r\n{bytes}");
            assert_eq!(
                read(Asked::ForAll, bytes.as_bytes(), true).another_may_follow,
                follows,
                "{bytes:?}"
            );
        }
        for (head, follows) in [
            ("HTTP/1.1 200 OK\r\n", true),
            ("HTTP/1.1 100 C\r\n\r\nHTTP/1.0 200 OK\r\n", false),
            ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", true),
        ] {
            let bytes = format!("{head}Content-Length: 9\r\n\r\n");
            let look = read(Asked::ForTheHead, bytes.as_bytes(), false);
            assert_eq!(look.another_may_follow, follows, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_the_same_again_is_shared() {
        let mut reader = Reader::default();
        let mut places =
            |bytes: &str| match reader.read(Asked::ForAll, bytes.as_bytes(), false).reading {
                Reading::Enough(response) => (response.headers.as_ptr(), response.body.0.as_ptr()),
                other => panic!("{other:?}"),
            };
        let first = places("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(
            places("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"),
            first
        );
        let other_body = places("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabd");
        assert_eq!((other_body.0, other_body.1 == first.1), (first.0, false));
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
        fn what_was_read_before_makes_no_difference(
            answers in prop::collection::vec(
                (
                    prop::sample::select(vec![
                        "", "\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n", "HTTP/1.1 204 OK\r\n",
                        "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n",
                    ]),
                    prop::sample::select(vec![
                        "", "\r\n", "Content-Length: 3\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3\r\n",
                        "Connection: close\r\n\n", "Content-Length: 3\r\nContent-Length: 1\r\n\n",
                    ]),
                    "ab|abc|abd|abc\r\n0\r\n\r\n|[\r\n:a3]{0,9}",
                    prop::sample::select(vec![Asked::ForAll, Asked::ForTheHead, Asked::ForATunnel]),
                    (any::<prop::sample::Index>(), any::<bool>()),
                ),
                1..8,
            ),
        ) {
            let mut reader = Reader::default();
            for (start, framing, body, asked, (cut, ended)) in answers {
                let bytes = [start, framing, &body].concat().into_bytes();
                let part = &bytes[..cut.index(bytes.len() + 1)];
                for (bytes, ended) in [(part, false), (&bytes[..], ended)] {
                    prop_assert_eq!(reader.read(asked, bytes, ended), read(asked, bytes, ended));
                }
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
