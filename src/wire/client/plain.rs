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
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::super::raw::{Asked, Reading, read_answer};
use super::super::{Failure, Header, Phase, Request, Response};
use super::trouble::{damaged_body, explain, hung_up, not_http, redirects, too_slow};
use super::{ClientOptions, Destination, LAST_REQUEST, USER_AGENT, field, lookup, on_kept, states_length};

/// More than any answer of which enough is read could be: interim ones without end.
const MOST_OF_EVERYTHING: usize = 1024 * 1024;

/// How a peer ends a connection.
const CLOSED: &str = "closed";
const RESET: &str = "reset";

/// Room for an answer as webhooks give it, in bytes.
const USUAL_ANSWER: usize = 1024;

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
    /// The header lines written last.
    lines: Option<Lines>,
}

/// Header lines as they are written, and what they were written for.
#[derive(Debug)]
struct Lines {
    headers: Vec<Header>,
    /// What stands before the body's length.
    before: Vec<u8>,
    /// What stands behind it.
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
        request.method != "CONNECT" && !request.headers.iter().any(|header| header.is("transfer-encoding"))
    }

    /// Sends a request once and reads its answer.
    pub async fn carry(&self, request: &Request) -> Result<Response, Failure> {
        let until = Instant::now() + self.timeout;
        let mut kept = if self.keep_alive { self.kept_link() } else { None };
        let is_kept = kept.is_some();
        let mut text = kept.as_mut().map_or_else(Vec::new, |link| std::mem::take(&mut link.text));
        self.write(request, &mut text).map_err(|why| super::cannot_be_sent(&why))?;
        let mut link = match kept {
            Some(link) => link,
            None => self.open(until).await?,
        };
        link.text = text;
        let asked = Asked::by(&request.method);
        match link.exchange(asked, until).await {
            Ok(response) => {
                if self.keep_alive && link.is_reusable(&response) {
                    self.kept().links.push(link);
                }
                Ok(response)
            }
            Err(ended) => Err(self.failure(&ended, is_kept)),
        }
    }

    /// Writes down a request in front of nothing else, or says why that cannot be done.
    pub fn write(&self, request: &Request, text: &mut Vec<u8>) -> Result<(), String> {
        let method = &request.method;
        if reqwest::Method::from_bytes(method.as_bytes()).is_err() {
            return Err("the method is no valid one".to_owned());
        }
        self.destination.check(&request.target)?;
        let mut kept = self.kept();
        if kept.lines.as_ref().is_none_or(|lines| lines.headers != request.headers) {
            kept.lines = Some(self.lines(&request.headers)?);
        }
        let Some(lines) = &kept.lines else { return Ok(()) };
        text.clear();
        for part in [method.as_bytes(), b" ", request.target.as_bytes(), b" HTTP/1.1\r\n", &lines.before] {
            text.extend_from_slice(part);
        }
        if states_length(request) {
            text.extend_from_slice(b"content-length: ");
            text.extend_from_slice(request.body.len().to_string().as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(&lines.behind);
        text.extend_from_slice(&request.body.0);
        Ok(())
    }

    /// The lines of these headers, and of those that are added where they are missing.
    fn lines(&self, headers: &[Header]) -> Result<Lines, String> {
        let missing = |name: &str| !headers.iter().any(|header| header.is(name));
        let mut before = Vec::new();
        let own = headers.iter().filter(|header| !header.is("content-length"));
        let authorization = self.destination.authorization().filter(|_| missing("authorization"));
        for header in own.chain(&authorization) {
            let (name, value) = field(header)?;
            line(&mut before, name.as_str(), value.as_bytes());
        }
        let mut behind = Vec::new();
        let added = [("accept", "*/*"), ("user-agent", USER_AGENT), ("host", self.destination.authority())];
        let only_once = (!self.keep_alive).then_some(LAST_REQUEST);
        for (name, value) in added.into_iter().chain(only_once).filter(|(name, _)| missing(name)) {
            line(&mut behind, name, value.as_bytes());
        }
        behind.extend_from_slice(b"\r\n");
        Ok(Lines { headers: headers.to_vec(), before, behind })
    }

    /// A connection that was kept and is still there.
    fn kept_link(&self) -> Option<Link> {
        let mut kept = self.kept();
        loop {
            let link = kept.links.pop()?;
            // Whatever has come meanwhile, its end or a byte, belongs to no request of ours.
            let quiet = matches!(link.stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
            if quiet {
                return Some(link);
            }
        }
    }

    async fn open(&self, until: Instant) -> Result<Link, Failure> {
        let by = (Instant::now() + self.connect_timeout).min(until);
        match timeout_at(by, lookup::connect(&self.addresses)).await {
            Ok(Ok(stream)) => Ok(Link::new(stream, until)),
            Ok(Err(error)) => Err(explain(&error, Phase::Connect, &self.destination)),
            Err(_) => {
                Err(too_slow(Phase::Connect, self.connect_timeout.min(self.timeout), &self.destination))
            }
        }
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
    /// What is sent.
    text: Vec<u8>,
    /// How much of that has been.
    sent: usize,
    /// What has come back.
    received: Vec<u8>,
    /// Whether the answer ended by itself, and nothing came behind it.
    ended_well: bool,
    /// Wakes us when the time is up, or before: setting it anew for each request would cost more than a waking now
    /// and then.
    alarm: Pin<Box<Sleep>>,
}

impl Link {
    fn new(stream: TcpStream, until: Instant) -> Self {
        let received = Vec::with_capacity(USUAL_ANSWER);
        let alarm = Box::pin(sleep_until(until));
        Self { stream, text: Vec::new(), sent: 0, received, ended_well: false, alarm }
    }

    /// Sends the text and reads the answer, as long as there is time.
    async fn exchange(&mut self, asked: Asked, until: Instant) -> Result<Response, Ended> {
        self.sent = 0;
        self.received.clear();
        self.ended_well = false;
        let mut head_has_come = false;
        loop {
            let heard = self.hear(until).await;
            let closed = matches!(heard, Heard::End(CLOSED));
            let look = read_answer(asked, &self.received, closed);
            match look.reading {
                Reading::Enough(response) => {
                    self.ended_well = look.ends_here;
                    return Ok(response);
                }
                // Where it leads is no matter, so what it says is none either.
                Reading::Growing(response) if redirects(&response) => return Ok(response),
                Reading::NotHttp => return Err(Ended::NotHttp),
                Reading::Damaged(_) => return Err(Ended::Damaged),
                Reading::Growing(_) => head_has_come = true,
                Reading::Nothing | Reading::PartOfHead => {}
            }
            let phase = match (head_has_come, self.sent < self.text.len()) {
                (true, _) => Phase::Read,
                (false, true) => Phase::Send,
                (false, false) => Phase::Wait,
            };
            match heard {
                Heard::More if self.received.len() > MOST_OF_EVERYTHING => return Err(Ended::NotHttp),
                Heard::More => {}
                Heard::End(how) => return Err(Ended::HungUp(phase, how)),
                Heard::Nothing => return Err(Ended::TimeUp(phase)),
            }
        }
    }

    /// Sends what is to be sent until the peer says something, or the time is up.
    async fn hear(&mut self, until: Instant) -> Heard {
        std::future::poll_fn(|context| {
            while self.sent < self.text.len() {
                match Pin::new(&mut self.stream).poll_write(context, &self.text[self.sent..]) {
                    Poll::Ready(Ok(more)) => self.sent += more,
                    // The peer takes no more. It may have answered all the same, which is seen by reading.
                    Poll::Ready(Err(_)) | Poll::Pending => break,
                }
            }
            let read = std::pin::pin!(self.stream.read_buf(&mut self.received)).poll(context);
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

    /// Whether another request can be sent on it, after this answer.
    fn is_reusable(&self, response: &Response) -> bool {
        let connection = super::super::header(&response.headers, "connection");
        let says =
            |word: &str| connection.as_ref().is_some_and(|says| says.to_ascii_lowercase().contains(word));
        let stays = if self.received.starts_with(b"HTTP/1.1") { !says("close") } else { says("keep-alive") };
        stays && self.ended_well && self.sent == self.text.len()
    }
}
