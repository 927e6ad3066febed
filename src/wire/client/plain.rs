//! The short way: HTTP/1.1 over TCP and nothing between, for plain http to an address.
//!
//! In: a [`Request`]. Out: what [`super::Client`] would bring by the long way, the same bytes on the wire and the same
//! words for what goes wrong. A burst goes this way because every step saved is a step that cannot be mistaken for the
//! handler's own; TLS, proxies, names to be looked up and all that is unusual go the long one.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::super::raw::{Asked, Reader, Reading};
use super::super::{Failure, Header, Phase, Request, Response};
use super::trouble::{damaged_body, explain, hung_up, not_http, redirects, too_slow};
use super::{
    ClientOptions, Destination, LAST_REQUEST, USER_AGENT, field, lookup, on_kept, states_length,
};

/// More than any answer of which enough is read could be: interim ones without end.
const MOST_OF_EVERYTHING: usize = 1024 * 1024;

/// How a peer ends a connection.
const CLOSED: &str = "closed";
const RESET: &str = "reset";

/// Room for an answer as webhooks give it, in bytes.
const USUAL_ANSWER: usize = 1024;

/// As much room as is kept for the next one.
const MOST_ROOM: usize = 16 * 1024;

/// The short way to one destination.
#[derive(Debug)]
pub(super) struct Lane {
    destination: Destination,
    addresses: Vec<SocketAddr>,
    timeout: Duration,
    connect_timeout: Duration,
    keep_alive: bool,
    kept: Mutex<Kept>,
}

/// What is kept from one request for the next.
#[derive(Debug, Default)]
struct Kept {
    /// Connections that can be used again.
    links: Vec<Link>,
    /// A kit for each of the requests that were under way at once.
    #[expect(
        clippy::vec_box,
        reason = "they are handed about with every request, and none is to be moved for that"
    )]
    kits: Vec<Box<Kit>>,
}

/// What a request needs besides its connection, and leaves behind for the next one: room, and what it has found out.
#[derive(Debug, Default)]
struct Kit {
    /// The header lines written last.
    lines: Option<Lines>,
    /// What is sent.
    text: Vec<u8>,
    /// How much of that has been.
    sent: usize,
    /// What has come back.
    received: Vec<u8>,
    /// Reads that.
    reader: Reader,
}

/// Header lines as they are written, and what they were written for.
#[derive(Debug)]
struct Lines {
    headers: Vec<Header>,
    states_length: bool,
    /// What stands between the target and the body's length, or what would be there if it were stated.
    before: Vec<u8>,
    /// What stands behind it, up to the body.
    behind: Vec<u8>,
}

impl Lane {
    /// The way to a destination, if it is a short one.
    pub fn to(destination: &Destination, options: &ClientOptions) -> Option<Self> {
        let addresses = destination.addresses().filter(|_| !destination.is_tls())?;
        Some(Self {
            destination: destination.clone(),
            addresses,
            timeout: options.timeout,
            connect_timeout: options.connect_timeout,
            keep_alive: options.keep_alive,
            kept: Mutex::default(),
        })
    }

    /// Whether a request can go this way.
    pub fn takes(request: &Request) -> bool {
        request.method != "CONNECT"
            && !request
                .headers
                .iter()
                .any(|header| header.is("transfer-encoding"))
    }

    /// Sends a request once and reads its answer.
    pub async fn carry(&self, request: &Request) -> Result<Response, Failure> {
        let began = Instant::now();
        let until = began + self.timeout;
        let (kept, mut kit) = self.take();
        self.write(request, &mut kit)
            .map_err(|why| super::cannot_be_sent(&why))?;
        let is_kept = kept.is_some();
        let mut link = match kept {
            Some(link) => link,
            None => self.open(&mut kit, began, until).await?,
        };
        let heard = link
            .exchange(&mut kit, Asked::by(&request.method), until)
            .await;
        let another_may_follow = matches!(heard, Ok((_, true)));
        self.put_back(
            Some(link).filter(|_| self.keep_alive && another_may_follow),
            kit,
        );
        heard
            .map(|(response, _)| response)
            .map_err(|ended| self.failure(&ended, is_kept))
    }

    /// Writes down a request in front of nothing else, or says why that cannot be done.
    fn write(&self, request: &Request, kit: &mut Kit) -> Result<(), String> {
        let method = &request.method;
        if reqwest::Method::from_bytes(method.as_bytes()).is_err() {
            return Err("the method is no valid one".to_owned());
        }
        self.destination.check(&request.target)?;
        let states_length = states_length(request);
        let lines = match kit.lines.take() {
            Some(lines)
                if lines.states_length == states_length && lines.headers == request.headers =>
            {
                lines
            }
            _ => self.lines(&request.headers, states_length)?,
        };
        let text = &mut kit.text;
        text.clear();
        for part in [
            method.as_bytes(),
            b" ",
            request.target.as_bytes(),
            &lines.before,
        ] {
            text.extend_from_slice(part);
        }
        if states_length {
            text.extend_from_slice(request.body.len().to_string().as_bytes());
        }
        text.extend_from_slice(&lines.behind);
        text.extend_from_slice(&request.body.0);
        kit.sent = 0;
        kit.lines = Some(lines);
        Ok(())
    }

    /// Whether a request can be written down; if not, why.
    pub fn check(&self, request: &Request) -> Result<(), String> {
        self.write(request, &mut Kit::default())
    }

    /// The lines of these headers, and of those that are added where they are missing.
    fn lines(&self, headers: &[Header], states_length: bool) -> Result<Lines, String> {
        let missing = |name: &str| !headers.iter().any(|header| header.is(name));
        let mut before = b" HTTP/1.1\r\n".to_vec();
        let own = headers.iter().filter(|header| !header.is("content-length"));
        let authorization = self
            .destination
            .authorization()
            .filter(|_| missing("authorization"));
        for header in own.chain(&authorization) {
            let (name, value) = field(header)?;
            line(&mut before, name.as_str(), value.as_bytes());
        }
        let mut behind = Vec::new();
        if states_length {
            before.extend_from_slice(b"content-length: ");
            behind.extend_from_slice(b"\r\n");
        }
        let added = [
            ("accept", "*/*"),
            ("user-agent", USER_AGENT),
            ("host", self.destination.authority()),
        ];
        let only_once = (!self.keep_alive).then_some(LAST_REQUEST);
        for (name, value) in added
            .into_iter()
            .chain(only_once)
            .filter(|(name, _)| missing(name))
        {
            line(&mut behind, name, value.as_bytes());
        }
        behind.extend_from_slice(b"\r\n");
        Ok(Lines {
            headers: headers.to_vec(),
            states_length,
            before,
            behind,
        })
    }

    /// A connection that was kept and is still there, if there is one, and a kit.
    fn take(&self) -> (Option<Link>, Box<Kit>) {
        let mut kept = self.kept();
        let kit = kept.kits.pop().unwrap_or_default();
        loop {
            let Some(link) = kept.links.pop() else {
                return (None, kit);
            };
            // Whatever has come meanwhile, its end or a byte, belongs to no request of ours.
            let quiet = matches!(link.stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
            if quiet {
                return (Some(link), kit);
            }
        }
    }

    /// Keeps a kit for the next request, and a connection if it can be used again.
    fn put_back(&self, link: Option<Link>, mut kit: Box<Kit>) {
        for room in [&mut kit.text, &mut kit.received] {
            room.clear();
            room.shrink_to(MOST_ROOM);
        }
        let mut kept = self.kept();
        kept.links.extend(link);
        kept.kits.push(kit);
    }

    /// Opens a connection, on which the text may leave at once.
    async fn open(&self, kit: &mut Kit, began: Instant, until: Instant) -> Result<Link, Failure> {
        let mut alarm = Box::pin(sleep_until((began + self.connect_timeout).min(until)));
        let connected = tokio::select! {
            biased;
            connected = lookup::connect(&self.addresses, &kit.text) => connected,
            () = &mut alarm => {
                let limit = self.connect_timeout.min(self.timeout);
                return Err(too_slow(Phase::Connect, limit, &self.destination));
            }
        };
        let stream = connected.and_then(|(stream, sent)| {
            kit.sent = sent;
            if self.keep_alive {
                stream.set_nodelay(true)?;
            }
            Ok(stream)
        });
        let stream = stream.map_err(|error| explain(&error, Phase::Connect, &self.destination))?;
        Ok(Link { stream, alarm })
    }

    /// What it means that an exchange ended so.
    fn failure(&self, ended: &Ended, is_kept: bool) -> Failure {
        match ended {
            Ended::NotHttp => not_http(),
            Ended::Damaged => damaged_body(),
            Ended::TimeUp(phase) => too_slow(*phase, self.timeout, &self.destination),
            Ended::HungUp(phase, how) => {
                let failure = hung_up(*phase, how);
                if is_kept { on_kept(failure) } else { failure }
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // It is right after every step, so a panic elsewhere does not spoil it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(text: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        text.extend_from_slice(part);
    }
}

/// How an exchange ended without an answer.
#[derive(Debug)]
enum Ended {
    /// What came is no HTTP.
    NotHttp,
    /// The framing of the answer's body is wrong.
    Damaged,
    /// The time was up in this phase.
    TimeUp(Phase),
    /// The peer ended the connection in this phase, and how.
    HungUp(Phase, &'static str),
}

/// What the peer does.
enum Heard {
    /// It says more.
    More,
    /// It has ended the connection, and how.
    End(&'static str),
    /// Nothing until the time was up.
    Nothing,
}

/// One connection.
#[derive(Debug)]
struct Link {
    stream: TcpStream,
    /// Wakes us when the time is up, or before: setting it anew for each request would cost more than a waking now
    /// and then.
    alarm: Pin<Box<Sleep>>,
}

impl Link {
    /// Sends the text and reads the answer, as long as there is time. Says too whether another request can follow.
    async fn exchange(
        &mut self,
        kit: &mut Kit,
        asked: Asked,
        until: Instant,
    ) -> Result<(Response, bool), Ended> {
        let Kit {
            text,
            sent,
            received,
            reader,
            ..
        } = kit;
        received.clear();
        received.reserve(USUAL_ANSWER);
        let mut head_has_come = false;
        loop {
            let heard = self.hear(&text[..], sent, received, until).await;
            let closed = matches!(heard, Heard::End(CLOSED));
            let look = reader.read(asked, received, closed);
            match look.reading {
                Reading::Enough(response) => {
                    return Ok((response, look.another_may_follow && *sent == text.len()));
                }
                // Where it leads is no matter, so what it says is none either.
                Reading::Growing(response) if redirects(&response) => return Ok((response, false)),
                Reading::NotHttp => return Err(Ended::NotHttp),
                Reading::Damaged(_) => return Err(Ended::Damaged),
                Reading::Growing(_) => head_has_come = true,
                Reading::Nothing | Reading::PartOfHead => {}
            }
            let phase = match (head_has_come, *sent < text.len()) {
                (true, _) => Phase::Read,
                (false, true) => Phase::Send,
                (false, false) => Phase::Wait,
            };
            match heard {
                Heard::More if received.len() > MOST_OF_EVERYTHING => return Err(Ended::NotHttp),
                Heard::More => {}
                Heard::End(how) => return Err(Ended::HungUp(phase, how)),
                Heard::Nothing => return Err(Ended::TimeUp(phase)),
            }
        }
    }

    /// Sends what is to be sent until the peer says something, or the time is up.
    async fn hear(
        &mut self,
        text: &[u8],
        sent: &mut usize,
        received: &mut Vec<u8>,
        until: Instant,
    ) -> Heard {
        std::future::poll_fn(|context| {
            while *sent < text.len() {
                match Pin::new(&mut self.stream).poll_write(context, &text[*sent..]) {
                    Poll::Ready(Ok(more)) => *sent += more,
                    // The peer takes no more. It may have answered all the same, which is seen by reading.
                    Poll::Ready(Err(_)) | Poll::Pending => break,
                }
            }
            let read = std::pin::pin!(self.stream.read_buf(received)).poll(context);
            match read {
                Poll::Ready(Ok(0)) => return Poll::Ready(Heard::End(CLOSED)),
                Poll::Ready(Ok(_)) => return Poll::Ready(Heard::More),
                Poll::Ready(Err(_)) => return Poll::Ready(Heard::End(RESET)),
                Poll::Pending => {}
            }
            loop {
                ready!(self.alarm.as_mut().poll(context));
                if Instant::now() >= until {
                    return Poll::Ready(Heard::Nothing);
                }
                self.alarm.as_mut().reset(until);
            }
        })
        .await
    }
}
