//! One connection: what the door remembers of it, and its socket.
//!
//! hyper owns the conversation and tells nobody how far it is. The socket handed to it is therefore a [`Line`], which
//! sees every byte, and keeps the connection's [`Visitor`] up to date.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::LARGEST_HEAD;
use super::arrival::Mishap;
use super::body::Taken;
use super::head;

/// The first byte of every TLS connection: a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// For how long we listen on after the last answer to somebody who is still sending. Closing a socket with unread
/// bytes resets it, and the reset may overtake the answer.
const LINGER: Duration = Duration::from_secs(2);

/// What a connection is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No request in hand.
    Waiting,
    /// No request in hand, and asked to leave. A request that comes after all is still served.
    Dismissed,
    /// A request is being read or answered.
    Serving,
    /// An answer is being written.
    Answering,
}

/// How far a connection has ever come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// No byte has come.
    Silent,
    /// Bytes have come.
    Spoke,
    /// A request has come.
    Asked,
}

/// What the door remembers of one connection.
#[derive(Debug)]
pub(super) struct Visitor {
    /// Its address.
    pub peer: SocketAddr,
    book: Mutex<Book>,
    /// Wakes its task when it has been dismissed.
    leave: Notify,
}

/// The part that changes. Locked for a moment at a time, by the accept loop and by the connection's own task.
#[derive(Debug)]
struct Book {
    stage: Stage,
    /// Since when it has been in this stage.
    since: Instant,
    /// The head that is coming in, while `listening`; complete when that has ended.
    heard: Vec<u8>,
    /// Whether what comes next belongs to a head.
    listening: bool,
    progress: Progress,
    /// Whether the last request was in trouble, so that the sender may still be sending.
    refused: bool,
    /// What its socket found wrong.
    mishap: Option<Mishap>,
}

impl Visitor {
    /// Somebody who has just come in.
    pub fn new(peer: SocketAddr) -> Self {
        Self {
            peer,
            leave: Notify::new(),
            book: Mutex::new(Book {
                stage: Stage::Waiting,
                since: Instant::now(),
                heard: Vec::new(),
                listening: true,
                progress: Progress::Silent,
                refused: false,
                mishap: None,
            }),
        }
    }

    /// Since when it has had no request in hand, if it has none and has not been asked to leave.
    pub fn idle_since(&self) -> Option<Instant> {
        let book = self.book();
        (book.stage == Stage::Waiting).then_some(book.since)
    }

    /// Asks it to leave, which it does unless a request comes at this moment.
    pub fn dismiss(&self) {
        let mut book = self.book();
        if book.stage == Stage::Waiting {
            book.stage = Stage::Dismissed;
            self.leave.notify_one();
        }
    }

    /// Waits until it has to leave.
    pub async fn dismissed(&self) {
        while !self.is_dismissed() {
            self.leave.notified().await;
        }
    }

    /// Whether it has been asked to leave and has nothing that keeps it.
    pub fn is_dismissed(&self) -> bool {
        self.book().stage == Stage::Dismissed
    }

    /// A request's head has been read. Gives the head as it came, if it came while nothing else was in hand.
    pub fn asks(&self) -> Vec<u8> {
        let mut book = self.book();
        book.enter(Stage::Serving);
        book.progress = Progress::Asked;
        book.listening = false;
        std::mem::take(&mut book.heard)
    }

    /// What has come of a head since the last request.
    pub fn heard(&self) -> Vec<u8> {
        self.book().heard.clone()
    }

    /// The answer is about to be written.
    pub fn is_answered(&self, refused: bool) {
        let mut book = self.book();
        book.enter(Stage::Answering);
        book.refused = refused;
    }

    /// No proper answer will be written: whatever is done to it instead, it has to make room when others want in.
    pub fn is_let_down(&self) {
        self.book().enter(Stage::Waiting);
    }

    /// Whether it has never sent a byte.
    pub fn is_silent(&self) -> bool {
        self.book().progress == Progress::Silent
    }

    /// Whether it has ever sent a request.
    pub fn has_asked(&self) -> bool {
        self.book().progress == Progress::Asked
    }

    /// Whether an answer to it is being written.
    pub fn is_answering(&self) -> bool {
        self.book().stage == Stage::Answering
    }

    /// Whether its last request was in trouble, so that it may still be sending.
    pub fn was_refused(&self) -> bool {
        self.book().refused
    }

    /// What its socket found wrong.
    pub fn mishap(&self) -> Option<Mishap> {
        self.book().mishap.clone()
    }

    /// Whether a request is being read or answered.
    fn is_served(&self) -> bool {
        self.book().stage == Stage::Serving
    }

    /// Bytes have come.
    fn hears(&self, bytes: &[u8]) -> io::Result<()> {
        let mut book = self.book();
        let first = bytes.first().filter(|_| book.progress == Progress::Silent);
        if !bytes.is_empty() {
            book.progress = book.progress.max(Progress::Spoke);
        }
        if first == Some(&TLS_HANDSHAKE) {
            book.mishap = Some(Mishap::LooksLikeTls);
            return Err(io::ErrorKind::InvalidData.into());
        }
        if book.listening {
            book.listen(bytes);
        }
        Ok(())
    }

    /// Everything written so far is with the kernel.
    fn is_told(&self) {
        let mut book = self.book();
        if book.stage == Stage::Answering {
            book.enter(Stage::Waiting);
            book.listening = true;
        }
    }

    /// Opens the book.
    fn book(&self) -> MutexGuard<'_, Book> {
        // The book is right after every single step, so a panic elsewhere does not spoil it.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Begins a stage.
    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.since = Instant::now();
    }

    /// Keeps what belongs to a head.
    fn listen(&mut self, bytes: &[u8]) {
        // Empty lines before a request line are allowed and mean nothing.
        let blank = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let start = if self.heard.is_empty() { bytes.iter().take_while(blank).count() } else { 0 };
        let before = self.heard.len();
        self.heard.extend_from_slice(&bytes[start..]);
        if let Some(end) = head::end(&self.heard, before.saturating_sub(2)) {
            self.heard.truncate(end);
            self.listening = false;
        } else if self.heard.len() > LARGEST_HEAD {
            self.heard = Vec::new();
            self.listening = false;
        }
    }
}

/// A visitor's socket. Gives up on an answer that is not read.
pub(super) struct Line {
    stream: TcpStream,
    visitor: Arc<Visitor>,
    /// How long an answer may wait for its reader.
    patience: Duration,
    /// When an answer that waits for its reader is given up.
    overdue: Option<Pin<Box<Sleep>>>,
}

impl Line {
    /// The socket of a visitor who has just come in.
    pub fn new(stream: TcpStream, visitor: Arc<Visitor>, patience: Duration) -> Self {
        Self { stream, visitor, patience, overdue: None }
    }

    /// Waits until the other side ends or breaks off; what it still says is not heeded.
    pub async fn outlast(mut self) {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(1..) = self.stream.read(&mut bytes).await {}
    }

    /// Breaks the connection off, so that the other side sees a reset.
    pub fn reset(self) {
        // Where this fails the connection is gone already, or else closed, which is as near as one can get.
        let _ = self.stream.set_zero_linger();
    }

    /// Ends our side and reads on for a while, so that our last answer is read.
    pub async fn linger(mut self, taken: &mut Taken) {
        let mut bytes = vec![0; 16 * 1024];
        let reading = async {
            // It may have been ended before.
            let _ = self.stream.shutdown().await;
            while let Ok(length @ 1..) = self.stream.read(&mut bytes).await {
                taken.add(&bytes[..length], 0);
            }
        };
        // Running out of time is how this ends with somebody who never closes.
        let _ = timeout(LINGER, reading).await;
    }

    /// What hyper is told about a write.
    fn account(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        offered: usize,
    ) -> Poll<io::Result<usize>> {
        let serving = self.visitor.is_served();
        let written = if let Poll::Ready(written) = written {
            written
        } else {
            let overdue = self.overdue.get_or_insert_with(|| Box::pin(sleep(self.patience)));
            ready!(overdue.as_mut().poll(context));
            if !serving {
                self.visitor.book().mishap = Some(Mishap::NotRead);
            }
            Err(io::ErrorKind::TimedOut.into())
        };
        match written {
            // That was a `100 Continue`. hyper would drop the request in hand for it, unanswered and untold; so
            // whoever cannot be written to is found out when reading the body, or when writing the answer.
            Err(_) if serving => Poll::Ready(Ok(offered)),
            written => Poll::Ready(written),
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
        Poll::Ready(self.visitor.hears(&into.filled()[before..]))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.account(context, written, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        let offered = slices.iter().map(|slice| slice.len()).sum();
        self.account(context, written, offered)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has nothing more to write, not after every piece.
        self.overdue = None;
        self.visitor.is_told();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
