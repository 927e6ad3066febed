//! The page beside a listener: its port and token first, so that its address can be told, then what it shows, and its end.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::command;
use super::receive::bind;
use crate::clock::Clock;
use crate::error::Error;
use crate::listen::Options;
use crate::listen::capture::Capture;
use crate::listen::history::{History, HistoryLimits};
use crate::listen::inspector::access::Token;
use crate::listen::inspector::{self, About};
use crate::process;

/// A page that nobody has been shown yet.
pub struct Inspection {
    listener: TcpListener,
    token: Token,
    /// Where it is, token included.
    url: String,
}

/// A page that is open to those who know where.
pub struct Open {
    /// What it shows.
    pub history: Arc<History>,
    close: CancellationToken,
    serving: JoinHandle<()>,
}

impl Inspection {
    /// Takes the port. Only this machine reaches it.
    pub async fn prepare(port: u16) -> Result<Self, Error> {
        let listener = bind("127.0.0.1", port, "--inspect").await?;
        let address = listener.local_addr().map_err(Error::Start)?;
        let token = Token::fresh().map_err(Error::Start)?;
        let url = inspector::url(address, &token);
        Ok(Self {
            listener,
            token,
            url,
        })
    }

    /// Opens the page on what a listener at this address will receive, and has that tell where the page is.
    pub fn open(self, options: &mut Options, address: SocketAddr, clock: Clock) -> Open {
        options.inspect = Some(self.url);
        let about = About {
            url: format!("http://{}", command::local(address)),
            public_url: options.public_url.clone(),
            forward: options.forward.clone(),
        };
        let redactor = options.capture.as_ref().and_then(Capture::redactor);
        let history = Arc::new(History::new(HistoryLimits::default(), redactor));
        let close = CancellationToken::new();
        // The receiver itself comes first.
        let limits = inspector::limits().within(process::descriptors(), 4);
        let serving = inspector::serve(
            self.listener,
            self.token,
            about,
            Arc::clone(&history),
            limits,
            clock,
            close.clone(),
        );
        Open {
            history,
            close,
            serving: tokio::spawn(serving),
        }
    }
}

impl Open {
    /// Closes the page, once its streams have had a moment for their last words.
    pub async fn close(self) {
        self.close.cancel();
        // It ends by itself only if it panicked.
        let _ = self.serving.await;
    }
}
