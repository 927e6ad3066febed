//! A connection's socket.
//!
//! hyper owns the conversation and tells nobody how far it is. The socket handed to it is therefore a [`Line`], which
//! sees every byte, and keeps the connection's [`Visitor`] up to date.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};

use super::body::Taken;
use super::visitor::Visitor;

/// For how long we listen on after the last answer to somebody who is still sending. Closing a socket with unread
/// bytes resets it, and the reset may overtake the answer.
const LINGER: Duration = Duration::from_secs(2);

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
        Self {
            stream,
            visitor,
            patience,
            overdue: None,
        }
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
            // What is taken at once is taken when the answer was given.
            if self.overdue.is_some() {
                self.visitor.takes();
            }
            written
        } else {
            let overdue = self
                .overdue
                .get_or_insert_with(|| Box::pin(sleep(self.patience)));
            ready!(overdue.as_mut().poll(context));
            if !serving {
                self.visitor.reads_nothing();
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
