//! What the door remembers of one connection: how far it is, since when, and what it has to make room for.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::LARGEST_HEAD;
use super::head;
use super::types::ConnectionError;

/// The first byte of every TLS connection: a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a connection is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No request in hand.
    Waiting,
    /// No request in hand, and asked to leave. A request that comes after all is still served.
    Dismissed,
    /// A request is being read.
    Reading,
    /// What it is answered is being decided.
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
    /// Wakes whoever reads its request when that has to end.
    haste: Notify,
}

/// The part that changes. Locked for a moment at a time, by the accept loop and by the connection's own task.
#[derive(Debug)]
struct Book {
    stage: Stage,
    /// Since when it has been in this stage, or since it last moved on in it.
    since: Instant,
    /// Whether its request is read no further, because others need the place.
    hurried: bool,
    /// The head that is coming in, while `listening`; complete when that has ended.
    heard: Vec<u8>,
    /// Whether what comes next belongs to a head.
    listening: bool,
    progress: Progress,
    /// Whether the last request was in error, so that the sender may still be sending.
    refused: bool,
    /// What its socket found wrong.
    error: Option<ConnectionError>,
}

impl Visitor {
    /// Somebody who has just come in.
    pub fn new(peer: SocketAddr) -> Self {
        Self {
            peer,
            leave: Notify::new(),
            haste: Notify::new(),
            book: Mutex::new(Book {
                stage: Stage::Waiting,
                since: Instant::now(),
                hurried: false,
                heard: Vec::new(),
                listening: true,
                progress: Progress::Silent,
                refused: false,
                error: None,
            }),
        }
    }

    /// Since when it has had no request in hand, if it has none and has not been asked to leave.
    pub fn idle_since(&self) -> Option<Instant> {
        let book = self.book();
        (book.stage == Stage::Waiting).then_some(book.since)
    }

    /// Asks somebody to leave who has been idle since then, which it does unless a request comes at this moment.
    pub fn dismiss(&self, since: Instant) {
        let mut book = self.book();
        if book.stage == Stage::Waiting && book.since == since {
            book.stage = Stage::Dismissed;
            self.leave.notify_one();
        }
    }

    /// Since when it has not moved on with its request, or with reading our answer, if that is what we wait for.
    pub fn stalled_since(&self) -> Option<Instant> {
        let book = self.book();
        let ours_to_wait = match book.stage {
            Stage::Reading => !book.hurried,
            Stage::Answering => true,
            Stage::Waiting | Stage::Dismissed | Stage::Serving => false,
        };
        ours_to_wait.then_some(book.since)
    }

    /// Gives up on somebody who has stalled since then: on the rest of its request, which is answered as it is, or on an
    /// answer that it does not read.
    pub fn give_up(&self, since: Instant) {
        let mut book = self.book();
        match book.stage {
            // It has moved on at this moment.
            _ if book.since != since => {}
            Stage::Reading => {
                book.hurried = true;
                self.haste.notify_one();
            }
            Stage::Answering => {
                book.error = Some(ConnectionError::NotRead);
                book.stage = Stage::Dismissed;
                self.leave.notify_one();
            }
            Stage::Waiting | Stage::Dismissed | Stage::Serving => {}
        }
    }

    /// Waits until the rest of its request is given up.
    pub async fn given_up(&self) {
        while !self.book().hurried {
            self.haste.notified().await;
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
        book.enter(Stage::Reading);
        book.progress = Progress::Asked;
        book.listening = false;
        std::mem::take(&mut book.heard)
    }

    /// What is told of it when it is sent away: what was found wrong, or that its head was cut off if one had begun.
    pub fn parting(&self, otherwise: ConnectionError) -> ConnectionError {
        let book = self.book();
        let cut = (!book.heard.is_empty()).then_some(ConnectionError::HeadCut);
        book.error.clone().or(cut).unwrap_or(otherwise)
    }

    /// What has come of a head since the last request.
    pub fn heard(&self) -> Vec<u8> {
        self.book().heard.clone()
    }

    /// Its request has come, as far as it will.
    pub fn has_been_read(&self) {
        // Since when does not matter: what takes time now is ours.
        self.book().stage = Stage::Serving;
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

    /// Whether its last request was in error, so that it may still be sending.
    pub fn was_refused(&self) -> bool {
        self.book().refused
    }

    /// Whether its last request was given up, because others need the place.
    pub fn was_given_up(&self) -> bool {
        self.book().hurried
    }

    /// What its socket found wrong.
    pub fn error(&self) -> Option<ConnectionError> {
        self.book().error.clone()
    }

    /// Whether a request is being read or its answer decided.
    pub fn is_served(&self) -> bool {
        matches!(self.book().stage, Stage::Reading | Stage::Serving)
    }

    /// Bytes have come.
    pub fn hears(&self, bytes: &[u8]) -> io::Result<()> {
        let mut book = self.book();
        let first = bytes.first().filter(|_| book.progress == Progress::Silent);
        if !bytes.is_empty() {
            book.progress = book.progress.max(Progress::Spoke);
            book.moves_on(Stage::Reading);
        }
        if first == Some(&TLS_HANDSHAKE) {
            book.error = Some(ConnectionError::LooksLikeTls);
            return Err(io::ErrorKind::InvalidData.into());
        }
        if book.listening {
            book.listen(bytes);
        }
        Ok(())
    }

    /// A part of what we write has been taken.
    pub fn takes(&self) {
        self.book().moves_on(Stage::Answering);
    }

    /// Our answer is given up, because it is not read.
    pub fn reads_nothing(&self) {
        self.book().error = Some(ConnectionError::NotRead);
    }

    /// Everything written so far is with the kernel.
    pub fn is_told(&self) {
        let mut book = self.book();
        if book.stage == Stage::Answering {
            // It waits since it took the last of the answer.
            book.stage = Stage::Waiting;
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

    /// Takes note that it moved on, if this is the stage it is in.
    fn moves_on(&mut self, stage: Stage) {
        if self.stage == stage {
            self.since = Instant::now();
        }
    }

    /// Keeps what belongs to a head.
    fn listen(&mut self, bytes: &[u8]) {
        // Empty lines before a request line are allowed and mean nothing.
        let blank = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let start = if self.heard.is_empty() {
            bytes.iter().take_while(blank).count()
        } else {
            0
        };
        let bytes = &bytes[start..];
        if self.heard.is_empty()
            && let Some(end) = head::end(bytes, 0)
        {
            // Most heads come in one piece: no more is kept than that.
            self.heard = bytes[..end].to_vec();
            self.listening = false;
            return;
        }
        let before = self.heard.len();
        self.heard.extend_from_slice(bytes);
        if let Some(end) = head::end(&self.heard, before.saturating_sub(2)) {
            self.heard.truncate(end);
            self.listening = false;
        } else if self.heard.len() > LARGEST_HEAD {
            self.heard = Vec::new();
            self.listening = false;
        }
    }
}
