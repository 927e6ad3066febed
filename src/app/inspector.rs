//! The inspector beside a listener: its port and token come first, because its URL is in the ready line.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::children;
use super::receive::bind;
use crate::clock::Clock;
use crate::error::Error;
use crate::listen::Options;
use crate::listen::capture::Capture;
use crate::listen::history::{History, HistoryLimits};
use crate::listen::inspector::access::Token;
use crate::listen::inspector::{self, About};
use crate::process;

/// A bound port that does not answer yet.
pub struct BoundPage {
    listener: TcpListener,
    token: Token,
    /// Where it is, token included.
    url: String,
}

/// The inspector, serving.
pub struct OpenPage {
    /// The exchanges shown.
    pub history: Arc<History>,
    close: CancellationToken,
    serving: JoinHandle<()>,
}

impl BoundPage {
    /// Takes the port. Only this machine reaches it.
    pub async fn bind(port: u16) -> Result<Self, Error> {
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

    /// Serves the exchanges of a listener at this address, and notes the URL for its ready line.
    pub fn open(self, options: &mut Options, address: SocketAddr, clock: Clock) -> OpenPage {
        options.inspect = Some(self.url);
        let about = About {
            url: format!("http://{}", children::local(address)),
            public_url: options.public_url.clone(),
            forward: options.forward.clone(),
        };
        let redactor = options.capture.as_ref().and_then(Capture::redactor);
        let history = Arc::new(History::new(HistoryLimits::default(), redactor));
        let close = CancellationToken::new();
        // The receiver takes most of the file descriptors.
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
        OpenPage {
            history,
            close,
            serving: tokio::spawn(serving),
        }
    }
}

impl OpenPage {
    /// Stops once the streams have sent their last event.
    pub async fn close(self) {
        self.close.cancel();
        // It ends by itself only if it panicked.
        let _ = self.serving.await;
    }
}
