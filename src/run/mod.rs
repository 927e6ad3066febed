//! Where a mode and the terminal are introduced to each other: the only room that knows all others.
//!
//! Each mode gets its options, a way to say that it must stop, and a board to pin its events to. What comes back is an
//! [`Exit`].

mod beside;
mod command;
mod demo;
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
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
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
                None => demo::run(*options).await,
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
    tell(voice, |theme| if voice.ndjson { records() } else { text(theme) })
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

/// Ends a run whose events may not all have been shown: waits for that, but not longer than somebody who has asked for
/// the end will; `last` says the very last words. A `bounded` end does not wait for ever in any case.
async fn end(
    exit: Exit,
    reader: Reader,
    mut signals: Signals,
    bounded: bool,
    last: impl FnOnce(&mut Show) -> Exit,
) -> Exit {
    let mut asked = signals.clone();
    let out_of_patience = async {
        if !bounded {
            asked.first().await;
        }
        tokio::time::sleep(LAST_LINES).await;
    };
    tokio::select! {
        show = reader.finish() => show.map_or(exit, |mut show| last(&mut show)),
        at_once = signals.second() => at_once.exit(),
        () = out_of_patience => exit,
    }
}

/// The exit of a run whose output may have gone away: a reader that left is a quiet success, a full disk is not.
fn after_output(exit: Exit, fate: &watch::Receiver<Fate>, show: &mut Show) -> Exit {
    let fate = fate.borrow().clone();
    match fate {
        Fate::Open => exit,
        Fate::Closed => Exit::Success,
        Fate::Failed(what) => {
            show.error(&Error::Output(what));
            Exit::Failed
        }
    }
}

/// Opens the file that takes the place of standard output.
fn output(path: &std::path::Path) -> Result<Box<dyn Write + Send>, Error> {
    let file =
        std::fs::File::create(path).map_err(|source| Error::Write { path: path.to_owned(), source })?;
    Ok(Box::new(std::io::BufWriter::new(file)))
}
