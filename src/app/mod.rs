//! Where a mode and the terminal are introduced to each other: the only room that knows all others.
//!
//! Each mode gets its options, a way to say that it must stop, and a queue for its events. What comes back is an
//! [`Exit`].

mod children;
mod demo;
mod inspector;
mod print;
mod ready_file;
mod receive;
mod report_file;
mod signals;
mod suite;
mod transmit;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::cli::send::SendOptions;
use crate::cli::{self, Invocation, generate};
use crate::error::{Error, Exit, Stop};
use crate::output::queue::OutputThread;
use crate::output::streams::StreamState;
use crate::output::theme::Theme;
use crate::output::{self, OutputOptions, Show, catalogue};
use signals::Signals;
use tokio::sync::watch;

/// Does what the arguments say; the program's name comes first. Never panics and never ends the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let invocation = match cli::parse(arguments) {
        Ok(invocation) => invocation,
        Err(error) => return cli::refuse(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            Show::new(OutputOptions::default(), None, None).error(&Error::Start(error));
            return Exit::Usage;
        }
    };
    let exit = runtime.block_on(async {
        match invocation {
            Invocation::Send(options) if options.list_scenarios => list(
                options.output_options,
                catalogue::scenarios,
                catalogue::scenario_records,
            ),
            Invocation::Send(options) if options.list_cases => list(
                options.output_options,
                output::suite::list,
                catalogue::case_records,
            ),
            Invocation::Send(options) => match &options.destination {
                Some(destination) if options.suite => suite::run(&options, destination).await,
                Some(destination) => transmit::run(&options, destination).await,
                None => Box::pin(demo::run(&options)).await,
            },
            Invocation::Listen(options) => Box::pin(receive::run(&options)).await,
            Invocation::Generate(what) => tell(OutputOptions::default(), |_| generate::text(what)),
        }
    });
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    exit
}

/// Prints what there is to choose from.
fn list(options: OutputOptions, text: fn(Theme) -> String, records: fn() -> String) -> Exit {
    tell(options, |theme| {
        if options.ndjson() {
            records()
        } else {
            text(theme)
        }
    })
}

/// Prints one text.
fn tell(options: OutputOptions, text: impl FnOnce(Theme) -> String) -> Exit {
    let mut show = Show::new(options, None, None);
    let state = show.state();
    let text = text(show.renderer.theme);
    show.data(&text);
    show.flush();
    after_output(Exit::Success, &state, &mut show)
}

/// Ends a run that could not start.
fn could_not_start(show: &mut Show, error: &Error) -> Exit {
    show.error(error);
    Exit::Usage
}

/// Stops a run when a signal comes or standard output has gone away.
async fn stop(mut signals: Signals, mut state: watch::Receiver<StreamState>) -> Stop {
    tokio::select! {
        stop = signals.first() => stop,
        () = gone(&mut state) => Stop::Interrupt,
    }
}

async fn gone(state: &mut watch::Receiver<StreamState>) {
    if state
        .wait_for(|state| *state != StreamState::Open)
        .await
        .is_err()
    {
        std::future::pending::<()>().await;
    }
}

/// How long the last lines may take to be read once the run is to end.
const LAST_LINES: Duration = Duration::from_secs(2);

/// How long it may take to say that they were not.
const LAST_WORD: Duration = Duration::from_millis(100);

/// Ends a run whose events may not all have been shown: waits for that, as any program waits for its reader, but not
/// longer than `LAST_LINES` after a signal. `last` prints the last lines.
async fn end(
    exit: Exit,
    thread: OutputThread,
    mut signals: Signals,
    last: impl FnOnce(&mut Show) -> Exit,
) -> Exit {
    let mut asked = signals.clone();
    let out_of_patience = async {
        asked.first().await;
        tokio::time::sleep(LAST_LINES).await;
    };
    tokio::select! {
        show = thread.join() => show.map_or(Exit::Failed, |mut show| last(&mut show)),
        at_once = signals.second() => at_once.exit(),
        () = out_of_patience => {
            admit_loss().await;
            exit
        }
    }
}

/// Says that not everything was shown, unless standard error is not read either.
async fn admit_loss() {
    let said = tokio::task::spawn_blocking(|| {
        let what = "the last of the output was not read in time, and is lost";
        Show::new(OutputOptions::default(), None, None).warn(what);
    });
    // Standard error may not be read either.
    let _ = tokio::time::timeout(LAST_WORD, said).await;
}

/// The exit of a run whose output may have gone away. A reader that left has ended the run, which is a quiet success,
/// but what had failed by then has failed; a full disk is a failure.
fn after_output(exit: Exit, state: &watch::Receiver<StreamState>, show: &mut Show) -> Exit {
    let state = state.borrow().clone();
    match state {
        StreamState::Open => exit,
        StreamState::Closed if exit == Exit::Interrupted => Exit::Success,
        StreamState::Closed => exit,
        StreamState::Failed(what) => {
            show.error(&Error::Output(what));
            Exit::Failed
        }
    }
}

/// Creates a file for the output or a report.
fn create(path: &Path) -> Result<Box<dyn Write + Send>, Error> {
    let file = std::fs::File::create(path).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })?;
    Ok(Box::new(std::io::BufWriter::new(file)))
}

/// The output of `send`, which `--output` may write to a file; a path that cannot be written is told at once.
fn send_output(options: &SendOptions, command: Option<String>) -> Result<Show, Exit> {
    let file = options.output.as_deref().map(create).transpose();
    file.map(|file| Show::new(options.output_options, file, command))
        .map_err(|error| {
            let mut show = Show::new(options.output_options, None, None);
            could_not_start(&mut show, &error)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::event::{Event, Listening};
    use crate::output::{Format, queue};
    use std::sync::mpsc;

    /// Standard output whose reader takes its time.
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
        let (output, thread) = queue::start(Show::new(options, Some(slow), None));
        let ready = Listening {
            url: String::new(),
            public_url: None,
            inspect: None,
            pid: 7,
            version: "",
        };
        output.push(0, |show| show.received(&Event::Listening(ready)));
        drop(output);
        let mut ending = std::pin::pin!(end(Exit::Success, thread, Signals::new(), |_| {
            Exit::Success
        }));
        // An hour passes, and nobody reads anything.
        tokio::time::timeout(Duration::from_secs(3600), &mut ending)
            .await
            .unwrap_err();
        read.send(()).unwrap();
        tokio::time::resume();
        assert_eq!(ending.await, Exit::Success);
        assert!(String::from_utf8_lossy(&seen.recv().unwrap()).contains("listening"));
    }
}
