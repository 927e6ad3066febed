//! Plays a script on a connection, step by step.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, WriteHalf};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Step, Stream};

/// How a script came to its end.
pub(super) enum Played {
    /// All steps are done, or writing failed.
    Finished,
    /// The connection is to be reset.
    Reset,
}

/// Plays a script to its end, or until writing fails. `sending` is true during a [`Step::Send`], whose bytes the peer
/// should take at once.
pub(super) async fn play(
    writer: &mut WriteHalf<Box<dyn Stream>>,
    steps: &[Step],
    continued: &Notify,
    sending: &AtomicBool,
) -> Played {
    for step in steps {
        sending.store(matches!(step, Step::Send(_)), Ordering::Relaxed);
        let written = match step {
            Step::Send(bytes) => send(writer, bytes).await,
            Step::Drip { bytes, every } => drip(writer, bytes, *every).await,
            Step::Pause(span) => {
                tokio::time::sleep(*span).await;
                Ok(())
            }
            Step::AwaitContinue(limit) => {
                let _ = timeout(*limit, continued.notified()).await;
                Ok(())
            }
            Step::HalfClose => writer.shutdown().await,
            Step::Reset => return Played::Reset,
        };
        if written.is_err() {
            // The reader finds out why, and whether a response came before.
            break;
        }
    }
    sending.store(false, Ordering::Relaxed);
    Played::Finished
}

async fn send(writer: &mut WriteHalf<Box<dyn Stream>>, bytes: &[u8]) -> io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}

async fn drip(
    writer: &mut WriteHalf<Box<dyn Stream>>,
    bytes: &[u8],
    every: Duration,
) -> io::Result<()> {
    for byte in bytes.chunks(1) {
        send(writer, byte).await?;
        tokio::time::sleep(every).await;
    }
    Ok(())
}
