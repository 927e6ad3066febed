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
    /// All steps are done, or the peer takes no more.
    Out,
    /// The connection is to be reset.
    Reset,
}

/// Plays a script to its end, or until the peer takes no more. While bytes are being sent that the peer should take at
/// once, `sending` says so.
pub(super) async fn play(
    writer: &mut WriteHalf<Box<dyn Stream>>,
    steps: &[Step],
    told_to_continue: &Notify,
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
            Step::AwaitContinue(patience) => {
                // Whoever is not told to continue does so unasked in the end, as HTTP wants it.
                let _ = timeout(*patience, told_to_continue.notified()).await;
                Ok(())
            }
            Step::HalfClose => writer.shutdown().await,
            Step::Reset => return Played::Reset,
        };
        if written.is_err() {
            // The peer is gone. Why, and whether it answered before, is seen by reading.
            break;
        }
    }
    sending.store(false, Ordering::Relaxed);
    Played::Out
}

/// Writes bytes, and sees to it that they leave.
async fn send(writer: &mut WriteHalf<Box<dyn Stream>>, bytes: &[u8]) -> io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}

/// Writes bytes one at a time.
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
