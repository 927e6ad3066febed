//! Runs a mode: reads its options and files, starts its child processes, and sends its events to the output.

mod children;
mod demo;
mod files;
mod print;
mod receive;
mod signals;
mod suite;
mod transmit;

use std::ffi::OsString;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

use crate::cli::{self, Invocation, generate};
use crate::error::{Error, Exit, Stop};
use crate::output::queue::{self, OutputQueue};
use crate::output::streams::StreamState;
use crate::output::{OutputOptions, Show};
use crate::process;
use signals::Signals;

/// `app::run` is the whole program: errors become the returned exit code, and the process is not exited. The first
/// argument is the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let invocation = match cli::parse(arguments) {
        Ok(invocation) => invocation,
        Err(error) => return cli::refuse(&error),
    };
    let options = match &invocation {
        Invocation::Send(options) => options.output_options,
        Invocation::Listen(options) => options.output_options,
        Invocation::Generate(..) => OutputOptions::default(),
    };
    let ended = start(&invocation);
    ended.unwrap_or_else(|error| {
        Show::new(options, None, None).error(&error);
        Exit::Usage
    })
}

/// An `Err` of `app::start` means that the mode could not start; a failed run is an `Ok` with a failing exit code.
fn start(invocation: &Invocation) -> Result<Exit, Error> {
    process::raise_descriptors().map_err(|_| {
        let what = "too few files may be open in this program: ulimit -n 1024 raises the limit";
        Error::Usage(what.to_owned())
    })?;
    // One thread is too slow for judging requests and for opening a connection for each delivery; deliveries on kept
    // connections are faster on one thread.
    let takes_two_threads = match invocation {
        Invocation::Listen(_) => true,
        Invocation::Send(options) => options.schedule.concurrency > 1 && !options.keep_alive,
        Invocation::Generate(..) => false,
    };
    let mut builder = if takes_two_threads {
        Builder::new_multi_thread()
    } else {
        Builder::new_current_thread()
    };
    let runtime = builder.worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(Error::Start)?;
    let ended = runtime.block_on(async {
        match invocation {
            Invocation::Send(options) => match &options.destination {
                _ if options.list_scenarios || options.list_cases => print::list(options),
                _ if options.suite => Box::pin(suite::run(options)).await,
                Some(destination) => Box::pin(transmit::run(options, destination)).await,
                None => Box::pin(demo::run(options)).await,
            },
            Invocation::Listen(options) => match &options.checked {
                Some(listener) => receive::healthcheck(listener, options.output_options).await,
                None => Box::pin(receive::run(options)).await,
            },
            Invocation::Generate(what, url) => Ok(print::text(OutputOptions::default(), |_| {
                generate::text(*what, url.as_deref())
            })),
        }
    });
    // The runtime is shut down in the background, because a DNS lookup on a blocking thread can take many seconds.
    runtime.shutdown_background();
    ended
}

/// After Ctrl-C or SIGTERM, the reader of standard output gets 2 seconds to take the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The warning about lost output is given up after 100 ms if standard error is blocked.
const LAST_WARNING: Duration = Duration::from_millis(100);

struct Session {
    signals: Signals,
    state: watch::Receiver<StreamState>,
    /// Yields the `Show` when the output thread ends.
    ended: oneshot::Receiver<Show>,
}

impl Session {
    fn start(show: Show, signals: Signals) -> (OutputQueue, Self) {
        let state = show.state();
        let (output, ended) = queue::start(show);
        let session = Self {
            signals,
            state,
            ended,
        };
        (output, session)
    }

    /// `Session::stop` resolves at the first signal, or when standard output is closed or fails.
    fn stop(&self) -> impl Future<Output = Stop> + use<> {
        let (mut signals, mut state) = (self.signals.clone(), self.state.clone());
        async move {
            let gone = state.wait_for(|state| *state != StreamState::Open);
            tokio::select! {
                stop = signals.first() => stop,
                Ok(_) = gone => Stop::Interrupt,
            }
        }
    }

    /// Awaits `run` and then the output thread, the latter at most `LAST_LINES` after a signal. A second signal ends
    /// both waits at once.
    async fn finish(mut self, run: impl Future<Output = Exit>) -> Exit {
        let mut hurry = self.signals.clone();
        let finished = async {
            let exit = run.await;
            let out_of_time = async {
                self.signals.first().await;
                tokio::time::sleep(LAST_LINES).await;
            };
            tokio::select! {
                show = self.ended => match show {
                    Ok(mut show) => after_output(exit, &mut show),
                    Err(_) => Exit::Failed,
                },
                () = out_of_time => {
                    warn_of_loss().await;
                    exit
                }
            }
        };
        tokio::select! {
            exit = finished => exit,
            at_once = hurry.second() => at_once.exit(),
        }
    }
}

async fn warn_of_loss() {
    let warned = tokio::task::spawn_blocking(|| {
        let what = "the end of the output was not read in time and is lost";
        Show::new(OutputOptions::default(), None, None).warn(what);
    });
    // Standard error may be blocked like standard output, so writing the warning has a time limit.
    let _ = tokio::time::timeout(LAST_WARNING, warned).await;
}

/// A closed standard output (`| head`) turns an interruption into a success; a failed write fails the run.
fn after_output(exit: Exit, show: &mut Show) -> Exit {
    let state = show.state().borrow().clone();
    match state {
        StreamState::Closed if exit == Exit::Interrupted => Exit::Success,
        StreamState::Open | StreamState::Closed => exit,
        StreamState::Failed(what) => {
            show.error(&Error::Output(what));
            Exit::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::event::{Event, Listening};
    use crate::output::Format;
    use std::io::Write;
    use std::sync::mpsc;

    /// Writes to `Slow` block until the test sends on `leave`.
    struct Slow {
        leave: mpsc::Receiver<()>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.leave
                .recv()
                .map_err(|_| std::io::ErrorKind::BrokenPipe)?;
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_its_time_loses_nothing() {
        let (read, leave) = mpsc::channel();
        let (written, seen) = mpsc::channel();
        let slow: Box<dyn Write + Send> = Box::new(Slow { leave, written });
        let options = OutputOptions {
            format: Format::Ndjson,
            ..OutputOptions::default()
        };
        let show = Show::new(options, Some(slow), None);
        let (output, session) = Session::start(show, Signals::new(false));
        let ready = Listening {
            url: String::new(),
            public_url: None,
            inspect: None,
            at: crate::clock::Timestamp::from_epoch_ms(0).unwrap(),
            pid: 7,
            version: "",
        };
        output.push(0, |show| show.received(&Event::Listening(ready)));
        drop(output);
        let mut ending = std::pin::pin!(session.finish(async { Exit::Success }));
        tokio::time::timeout(Duration::from_secs(3600), &mut ending)
            .await
            .unwrap_err();
        read.send(()).unwrap();
        tokio::time::resume();
        assert_eq!(ending.await, Exit::Success);
        assert!(String::from_utf8_lossy(&seen.recv().unwrap()).contains("listening"));
    }
}
