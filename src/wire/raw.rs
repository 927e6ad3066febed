//! An HTTP/1.1 writer for what a proper client refuses to send: half requests, resets, drips and silence.
//!
//! In: a [`Destination`] and a [`RawRequest`], a script of [`Step`]s, so that misbehaviour is data. Out: a
//! [`RawOutcome`], what the peer made of it. The writer speaks to the destination directly, through no proxy.

mod answer;
mod exact;
mod play;
mod script;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadHalf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::{
    self, ClientOptions, Destination, explain, hung_up, no_answer, not_http, too_slow,
    unless_redirect,
};
use super::{Failure, FailureKind, Phase, Response};
use crate::error::Error;
use play::{Played, play};

pub use exact::{check, is_chunked};
// Hidden, because only fuzzing wants them from outside.
#[doc(hidden)]
pub use answer::{Look, Reader, Reading, read as read_answer};
pub use script::head;

/// One step of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Writes bytes at once.
    Send(Bytes),
    /// Writes bytes one at a time.
    Drip {
        /// What is written.
        bytes: Bytes,
        /// The time between two bytes.
        every: Duration,
    },
    /// Does nothing for a while.
    Pause(Duration),
    /// Waits for `100 Continue`, but no longer than this.
    AwaitContinue(Duration),
    /// Closes our side of the connection. The peer's answer is still read.
    HalfClose,
    /// Resets the connection. This ends the script.
    Reset,
}

/// What was asked for, on which it depends where the answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asked {
    /// An answer with its body, of which the beginning is enough.
    #[default]
    ForAll,
    /// An answer with all of its body, for somebody else; [`Asked::MOST_FOR_OTHERS`] at the most.
    ForOthers,
    /// Its head alone, by HEAD.
    ForTheHead,
    /// Nothing but the connection, by CONNECT, if that is granted.
    ForATunnel,
}

impl Asked {
    /// As much of an answer's body as is handed on: more than any page of a framework that explains an error.
    pub const MOST_FOR_OTHERS: usize = 1024 * 1024;

    /// As much of the answer's body as is read.
    #[must_use]
    pub fn most(self) -> usize {
        match self {
            Self::ForOthers => Self::MOST_FOR_OTHERS,
            Self::ForAll | Self::ForTheHead | Self::ForATunnel => client::MOST_OF_A_RESPONSE,
        }
    }

    /// What a method asks for.
    #[must_use]
    pub fn by(method: &str) -> Self {
        match method {
            "HEAD" => Self::ForTheHead,
            "CONNECT" => Self::ForATunnel,
            _ => Self::ForAll,
        }
    }
}

/// A request as a script. After the last step the connection stays open until the peer has answered or the time is
/// up. A peer's answer ends the script early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRequest {
    /// The steps in order.
    pub steps: Vec<Step>,
    /// What they ask for.
    pub asked: Asked,
}

impl<const N: usize> From<[Step; N]> for RawRequest {
    fn from(steps: [Step; N]) -> Self {
        Self::from(Vec::from(steps))
    }
}

impl From<Vec<Step>> for RawRequest {
    fn from(steps: Vec<Step>) -> Self {
        Self {
            steps,
            asked: Asked::default(),
        }
    }
}

/// What a peer made of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawOutcome {
    /// It answered. `complete` says whether all of the body was kept: what is longer than anyone needs is cut.
    Answered(Response),
    /// It ended the connection without an answer.
    Closed(Closing),
    /// It did nothing for as long as was waited.
    Silent(Duration),
    /// The script reset the connection before there was an answer.
    Abandoned,
    /// There was no connection, or what came back is no whole answer: the peer ended it or took too long in the
    /// middle of its head or body.
    Failed(Failure),
}

/// How a peer ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// In good order.
    Clean,
    /// By resetting it.
    Reset,
}

impl RawOutcome {
    /// The outcome as [`client::Client::carry`] would tell it.
    pub fn into_result(self) -> Result<Response, Failure> {
        match self {
            Self::Answered(response) => unless_redirect(response),
            Self::Closed(Closing::Clean) => Err(hung_up(Phase::Wait, "closed")),
            Self::Closed(Closing::Reset) => Err(hung_up(Phase::Wait, "reset")),
            Self::Silent(limit) => Err(no_answer(limit)),
            Self::Abandoned => Err(Failure {
                phase: Phase::Send,
                kind: FailureKind::Closed,
                text: "the connection was reset on purpose".to_owned(),
            }),
            Self::Failed(failure) => Err(failure),
        }
    }
}

/// Opens connections to one destination and plays scripts on them.
#[derive(Clone)]
pub struct Writer {
    /// Where everything goes.
    destination: Destination,
    /// How TLS is spoken, if it is.
    tls: Option<TlsConnector>,
    /// How long a script and its answer may take.
    timeout: Duration,
    /// How long connecting may take.
    connect_timeout: Duration,
}

impl Writer {
    /// A writer for one destination. Certificates are only read for https.
    pub fn new(destination: &Destination, options: &ClientOptions) -> Result<Self, Error> {
        let tls = if destination.is_tls() {
            Some(TlsConnector::from(Arc::new(client::tls(options)?)))
        } else {
            None
        };
        Ok(Self {
            destination: destination.clone(),
            tls,
            timeout: options.timeout,
            connect_timeout: options.connect_timeout,
        })
    }

    /// Opens a connection and plays a script on it.
    pub async fn perform(&self, request: &RawRequest) -> RawOutcome {
        match self.open().await {
            Ok(connection) => connection.perform(request).await,
            Err(failure) => RawOutcome::Failed(failure),
        }
    }

    /// Opens a connection, plays a script on it, and brings what a proper client would make of it. Everything together
    /// must fit into the time that is allowed.
    pub async fn carry(&self, request: &RawRequest) -> Result<Response, Failure> {
        let began = Instant::now();
        let mut connection = self.open().await?;
        connection.used = began.elapsed();
        connection.perform(request).await.into_result()
    }

    /// Opens so many connections, and when all are open plays a script on each at once. Brings what a proper client
    /// would make of each one's answer, and how long it took from the release.
    pub async fn race(
        &self,
        request: &RawRequest,
        copies: usize,
    ) -> Vec<(Result<Response, Failure>, Duration)> {
        let open = join_all((0..copies).map(|_| self.open())).await;
        let released = Instant::now();
        let running = open.into_iter().map(async |open| {
            let answer = match open {
                Ok(connection) => connection.perform(request).await.into_result(),
                Err(failure) => Err(failure),
            };
            (answer, released.elapsed())
        });
        join_all(running).await
    }

    /// Opens a connection, TLS included, on which a script can be played later.
    pub async fn open(&self) -> Result<Open, Failure> {
        let deadline = Instant::now() + self.connect_timeout;
        let host = self.destination.host();
        let addresses = client::addresses(&host, self.destination.port());
        let addresses = self.within(deadline, Phase::Dns, addresses).await?;
        let tcp = async {
            let (tcp, _) = client::connect(&addresses, &[]).await?;
            // Every write is to leave on its own; a script means its pieces.
            tcp.set_nodelay(true)?;
            Ok(tcp)
        };
        let tcp = self.within(deadline, Phase::Connect, tcp).await?;
        let connection: Box<dyn Connection> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let handshake = async {
                    let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                    tls.connect(name, tcp).await
                };
                Box::new(self.within(deadline, Phase::Tls, handshake).await?)
            }
        };
        let used = Duration::ZERO;
        Ok(Open {
            connection,
            destination: self.destination.clone(),
            timeout: self.timeout,
            used,
        })
    }

    /// Makes an attempt that is one phase of connecting.
    async fn within<T>(
        &self,
        deadline: Instant,
        phase: Phase,
        attempt: impl Future<Output = io::Result<T>>,
    ) -> Result<T, Failure> {
        match timeout_at(deadline, attempt).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(explain(&error, phase, &self.destination)),
            Err(_) => Err(too_slow(phase, self.connect_timeout, &self.destination)),
        }
    }
}

/// A connection that is ready.
pub struct Open {
    /// The bytes.
    connection: Box<dyn Connection>,
    /// Where they go, for messages.
    destination: Destination,
    /// How long a script and its answer may take.
    timeout: Duration,
    /// How much of that has passed.
    used: Duration,
}

impl Open {
    /// Plays a script and waits for the first answer, both within the time allowed for everything.
    pub async fn perform(self, request: &RawRequest) -> RawOutcome {
        let (mut reader, mut writer) = tokio::io::split(self.connection);
        let told_to_continue = Notify::new();
        let sending = AtomicBool::new(false);
        let mut received = Vec::new();
        let ended = {
            let listening = listen(request.asked, &mut reader, &mut received, &told_to_continue);
            let mut listening =
                std::pin::pin!(timeout(self.timeout.saturating_sub(self.used), listening));
            tokio::select! {
                biased;
                ended = &mut listening => Some(ended),
                played = play(&mut writer, &request.steps, &told_to_continue, &sending) => match played {
                    Played::Out => Some(listening.await),
                    Played::Reset => None,
                },
            }
        };
        match ended {
            None => {
                // Failing to set the option leaves an ordinary close, the next best thing.
                let _ = reader.unsplit(writer).tcp().set_zero_linger();
                RawOutcome::Abandoned
            }
            Some(ended) => {
                let phase = if sending.load(Ordering::Relaxed) {
                    Phase::Send
                } else {
                    Phase::Wait
                };
                let ended = ended.unwrap_or(Ended::TimeUp(self.timeout, phase));
                outcome(request.asked, &received, &ended, &self.destination)
            }
        }
    }
}

/// A byte stream over TCP, with or without TLS.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {
    /// The TCP connection itself.
    fn tcp(&self) -> &TcpStream;
}

impl Connection for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Connection for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Why reading stopped.
enum Ended {
    /// No more is needed.
    Enough,
    /// The peer ended the connection.
    Closed(Closing),
    /// The time is up, and what the script was doing then.
    TimeUp(Duration, Phase),
}

/// Collects what comes back until it is enough, noting when the peer wants the body.
async fn listen(
    asked: Asked,
    reader: &mut ReadHalf<Box<dyn Connection>>,
    received: &mut Vec<u8>,
    told_to_continue: &Notify,
) -> Ended {
    loop {
        match reader.read_buf(received).await {
            Ok(0) => return Ended::Closed(Closing::Clean),
            Ok(_) => {}
            // TLS calls it this when the peer closes without saying so.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ended::Closed(Closing::Clean);
            }
            Err(_) => return Ended::Closed(Closing::Reset),
        }
        let Look {
            told_to_continue: told,
            reading,
            ..
        } = answer::read(asked, received, false);
        if told {
            told_to_continue.notify_one();
        }
        let enough = matches!(
            reading,
            Reading::Enough(_) | Reading::Damaged(_) | Reading::NotHttp
        );
        if enough || received.len() > answer::most_of_everything(asked) {
            return Ended::Enough;
        }
    }
}

/// What it means that this came back and that it ended so.
fn outcome(asked: Asked, received: &[u8], ended: &Ended, destination: &Destination) -> RawOutcome {
    let closed_in_order = matches!(ended, Ended::Closed(Closing::Clean));
    let reading = answer::read(asked, received, closed_in_order).reading;
    match (reading, ended) {
        (Reading::Enough(response) | Reading::Damaged(response), _)
        | (Reading::Growing(response), Ended::Enough) => RawOutcome::Answered(response),
        (Reading::Nothing, Ended::Closed(closing)) => RawOutcome::Closed(*closing),
        (Reading::Nothing, Ended::TimeUp(limit, Phase::Send)) => {
            RawOutcome::Failed(too_slow(Phase::Send, *limit, destination))
        }
        (Reading::Nothing, Ended::TimeUp(limit, _)) => RawOutcome::Silent(*limit),
        // Half an answer is none, whether the half is a head or has a body: the client says the same.
        (Reading::PartOfHead | Reading::Growing(_), Ended::Closed(closing)) => {
            RawOutcome::Failed(hung_up(
                Phase::Read,
                match closing {
                    Closing::Clean => "closed",
                    Closing::Reset => "reset",
                },
            ))
        }
        (Reading::PartOfHead | Reading::Growing(_), Ended::TimeUp(limit, _)) => {
            RawOutcome::Failed(too_slow(Phase::Read, *limit, destination))
        }
        // Interim answers without end are no answer either.
        (Reading::NotHttp, _) | (Reading::Nothing | Reading::PartOfHead, Ended::Enough) => {
            RawOutcome::Failed(not_http())
        }
    }
}

#[cfg(test)]
mod tests;
