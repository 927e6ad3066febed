//! Where a mode and the terminal are introduced to each other: the only room that knows all others.
//!
//! Each mode gets its options, a way to say that it must stop, and a board to pin its events to. What comes back is an
//! [`Exit`].

mod beside;
mod command;
mod demo;
mod inspection;
mod print;
mod ready;
mod receive;
mod report;
mod signals;
mod suite;
mod transmit;

use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

use crate::cli::{self, Invocation, generate};
use crate::error::{Error, Exit, Stop};
use crate::show::board::Reader;
use crate::show::outlet::Fate;
use crate::show::theme::Theme;
use crate::show::{self, Show, Voice, catalogue};
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
            Show::new(Voice::default(), None, None).error(&Error::Start(error));
            return Exit::Usage;
        }
    };
    let exit = runtime.block_on(async {
        match invocation {
            Invocation::Send(options) => match options.destination.clone() {
                Some(destination) => transmit::run(*options, destination).await,
                None => Box::pin(demo::run(*options)).await,
            },
            Invocation::Listen(options) => Box::pin(receive::run(*options)).await,
            Invocation::Suite(wanted) => suite::run(*wanted).await,
            Invocation::Generate(what) => tell(Voice::default(), |_| generate::text(what)),
            Invocation::ListScenarios(voice) => {
                list(voice, catalogue::scenarios, catalogue::scenario_records)
            }
            Invocation::ListCases(voice) => list(voice, show::suite::list, catalogue::case_records),
        }
    });
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    exit
}

/// Prints what there is to choose from.
fn list(voice: Voice, text: fn(&Theme) -> String, records: fn() -> String) -> Exit {
    tell(
        voice,
        |theme| if voice.ndjson { records() } else { text(theme) },
    )
}

/// Prints one text.
fn tell(voice: Voice, text: impl FnOnce(&Theme) -> String) -> Exit {
    let mut show = Show::new(voice, None, None);
    let fate = show.fate();
    let text = text(&show.out_theme);
    show.data(&text);
    show.flush();
    after_output(Exit::Success, &fate, &mut show)
}

/// Ends a run that could not start.
fn could_not_start(show: &mut Show, error: &Error) -> Exit {
    show.error(error);
    Exit::Usage
}

/// Stops a run when a signal comes or standard output has gone away.
async fn stop(mut signals: Signals, mut fate: watch::Receiver<Fate>) -> Stop {
    tokio::select! {
        stop = signals.first() => stop,
        () = gone(&mut fate) => Stop::Interrupt,
    }
}

async fn gone(fate: &mut watch::Receiver<Fate>) {
    if fate.wait_for(|fate| *fate != Fate::Open).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// How long the last lines may take to be read once somebody wants the program to end.
const LAST_LINES: Duration = Duration::from_secs(2);

/// How long it may take to say that they were not.
const LAST_WORD: Duration = Duration::from_millis(100);

/// Ends a run whose events may not all have been shown: waits for that, as any program waits for its reader, but not
/// longer than somebody who has asked for the end will. `last` says the very last words.
async fn end(
    exit: Exit,
    reader: Reader,
    mut signals: Signals,
    last: impl FnOnce(&mut Show) -> Exit,
) -> Exit {
    let mut asked = signals.clone();
    let out_of_patience = async {
        asked.first().await;
        tokio::time::sleep(LAST_LINES).await;
    };
    tokio::select! {
        show = reader.finish() => show.map_or(exit, |mut show| last(&mut show)),
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
        Show::new(Voice::default(), None, None).warn(what);
    });
    // Whoever does not read that is not waited for again.
    let _ = tokio::time::timeout(LAST_WORD, said).await;
}

/// The exit of a run whose output may have gone away. A reader that left has ended the run, which is a quiet success,
/// but what had failed by then has failed; a full disk is a failure.
fn after_output(exit: Exit, fate: &watch::Receiver<Fate>, show: &mut Show) -> Exit {
    let fate = fate.borrow().clone();
    match fate {
        Fate::Open => exit,
        Fate::Closed if exit == Exit::Interrupted => Exit::Success,
        Fate::Closed => exit,
        Fate::Failed(what) => {
            show.error(&Error::Output(what));
            Exit::Failed
        }
    }
}

/// Opens the file that takes the place of standard output.
fn output(path: &std::path::Path) -> Result<Box<dyn Write + Send>, Error> {
    let file = std::fs::File::create(path).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })?;
    Ok(Box::new(std::io::BufWriter::new(file)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::event::{Event, Listening};
    use crate::show::board::Board;
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
        let voice = Voice {
            ndjson: true,
            ..Voice::default()
        };
        let (board, reader) = Board::new(Show::new(voice, Some(slow), None));
        let ready = Listening {
            url: String::new(),
            public_url: None,
            inspect: None,
            pid: 7,
            version: "",
        };
        board.pin(|show| show.received(&Event::Listening(ready)));
        drop(board);
        let mut ending = std::pin::pin!(end(Exit::Success, reader, Signals::new(), |_| {
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
