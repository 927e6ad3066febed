//! What people and programs see. The only room that knows what a terminal is.
//!
//! In: the events of both modes. Out: lines on two streams; standard output is data, standard error is talk. A
//! [`Show`] turns events into lines; behind a [`board::Board`] a thread of its own writes them. Printers are pure
//! functions from a value and a [`Theme`] to text.

pub mod board;
pub mod body;
pub mod catalogue;
pub mod fold;
pub mod junit;
pub mod lines;
pub mod outlet;
pub mod printer;
pub mod progress;
pub mod received;
pub mod retries;
pub mod sent;
pub mod suite;
pub mod theme;

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write};
use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use crate::error::Error;
use crate::ndjson;
use crate::untrusted::clean;
use crate::{listen, send};
use lines::Lines;
use outlet::{Fate, Outlet};
use printer::{Queue, Streams};
use progress::Progress;
use theme::{Colour, Role, Surroundings, Theme};

/// How the user wants things shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Voice {
    /// Records for programs instead of text for people.
    pub ndjson: bool,
    /// The wish about colour.
    pub colour: Colour,
    /// No talk.
    pub quiet: bool,
    /// More of everything.
    pub verbose: bool,
}

/// Turns events into lines.
pub struct Show {
    voice: Voice,
    streams: Streams,
    /// Colours of standard output.
    pub out_theme: Theme,
    err_theme: Theme,
    out_is_terminal: bool,
    progress: Progress,
    /// Where text is handed over, while somebody else writes it.
    queue: Option<Arc<Queue>>,
    /// The command that repeats the run, but for the seed.
    command: Option<String>,
    /// Where a sender's `started` record was: what the run follows from.
    started: Option<send::event::Started>,
    /// Whether the last thing shown was a sender's line, which a receiver's block keeps its distance from.
    after_a_line: bool,
    trouble: sent::Trouble,
    suite: suite::Teller,
}

impl Show {
    /// A show on the process's own streams; `file` takes the place of standard output.
    #[must_use]
    pub fn new(voice: Voice, file: Option<Box<dyn Write + Send>>, command: Option<String>) -> Self {
        let around = Surroundings::read();
        let err_is_terminal = std::io::stderr().is_terminal();
        let out_is_terminal = file.is_none() && std::io::stdout().is_terminal();
        let out = file.unwrap_or_else(|| {
            Box::new(std::io::BufWriter::with_capacity(
                64 * 1024,
                std::io::stdout(),
            ))
        });
        Self {
            voice,
            streams: Streams {
                out: Outlet::new(out),
                err: Outlet::new(Box::new(std::io::stderr())),
            },
            out_theme: Theme::new(theme::decide(voice.colour, &around, out_is_terminal)),
            err_theme: Theme::new(theme::decide(voice.colour, &around, err_is_terminal)),
            out_is_terminal,
            progress: Progress::new(err_is_terminal && !voice.quiet && !voice.ndjson),
            queue: None,
            command,
            started: None,
            after_a_line: false,
            trouble: sent::Trouble::default(),
            suite: suite::Teller::default(),
        }
    }

    /// Follows what becomes of standard output.
    #[must_use]
    pub fn fate(&self) -> watch::Receiver<Fate> {
        self.streams.out.fate()
    }

    /// Hands everything from now on to a thread that writes it.
    fn hand_over(&mut self) -> (Arc<Queue>, oneshot::Receiver<Streams>) {
        let (queue, streams) = printer::start(&mut self.streams);
        self.queue = Some(Arc::clone(&queue));
        (queue, streams)
    }

    /// Writes by itself again.
    fn take_over(&mut self, streams: Streams) {
        self.streams = streams;
        self.queue = None;
    }

    /// Writes data.
    pub fn data(&mut self, text: &str) {
        self.streams.out.write_unflushed(text.as_bytes());
    }

    /// Text for a person as it is written to standard output.
    fn fitted(&self, text: String) -> String {
        fold::fitted(text, self.out_is_terminal)
    }

    /// How a sender's deliveries are shown, so many of which are planned.
    #[must_use]
    pub fn lines(&self, planned: Option<u64>) -> Lines {
        Lines {
            voice: self.voice,
            theme: self.out_theme.clone(),
            out_is_terminal: self.out_is_terminal,
            too_many: lines::too_many(planned),
        }
    }

    /// Writes such text to standard error.
    fn say(&mut self, text: &str) {
        match fold::width_of(&std::io::stderr()) {
            Some(width) => self.streams.err.write(fold::folded(text, width).as_bytes()),
            None => self.streams.err.write(text.as_bytes()),
        }
    }

    /// Hands data on to whoever reads it.
    pub fn flush(&mut self) {
        self.streams.out.flush();
    }

    /// Says something to a person, unless quiet was asked for.
    pub fn talk(&mut self, text: &str) {
        if !self.voice.quiet {
            self.streams.err.write(text.as_bytes());
        }
    }

    /// Says something of ours that may be passed over. It is never broken, because much of it is there to be copied.
    pub fn remark(&mut self, text: &str) {
        let text = format!("{}\n", self.err_theme.paint(Role::Faint, &clean(text)));
        self.talk(&text);
    }

    /// Says what a tunnel's program says, unless quiet was asked for.
    pub fn tunnel_said(&mut self, line: &str) {
        if !self.voice.quiet {
            let line = self
                .err_theme
                .paint(Role::Faint, &format!("tunnel: {}", clean(line)));
            self.say(&format!("{line}\n"));
        }
    }

    /// The same for a person who watches: who reads the output by a program has set it up so.
    pub fn remark_to_a_person(&mut self, text: &str) {
        if self.out_is_terminal {
            self.remark(text);
        }
    }

    /// Warns, quiet or not.
    pub fn warn(&mut self, text: &str) {
        let label = self.err_theme.paint(Role::Odd, "warning:");
        self.say(&format!("{label} {}\n", clean(text)));
    }

    /// Says what stopped the run: what, why, and what to do.
    pub fn error(&mut self, error: &Error) {
        // The message may quote what a file holds; the line breaks in it are ours only where it is about usage.
        let message = match error {
            Error::Usage(message) => message
                .split('\n')
                .map(clean)
                .collect::<Vec<_>>()
                .join("\n"),
            other => clean(&other.to_string()),
        };
        let mut text = format!("{} {message}\n", self.err_theme.paint(Role::Bad, "error:"));
        let mut cause = std::error::Error::source(error);
        while let Some(source) = cause {
            let source_text = clean(&source.to_string());
            let _ = writeln!(
                text,
                "  {} {source_text}",
                self.err_theme.paint(Role::Bad, "caused by:")
            );
            cause = source.source();
        }
        if let Error::Tunnel { said, .. } = error {
            for line in said {
                let _ = writeln!(
                    text,
                    "  {} {}",
                    self.err_theme.paint(Role::Faint, "it said:"),
                    clean(line)
                );
            }
        }
        if let Some(hint) = error.hint() {
            let _ = writeln!(
                text,
                "  {} {hint}",
                self.err_theme.paint(Role::Name, "hint:")
            );
        }
        self.say(&text);
    }

    /// Shows an event of `listen`.
    pub fn received(&mut self, event: &listen::event::Event) {
        use listen::event::Event;
        if self.voice.ndjson {
            let line = match event {
                Event::Listening(listening) => ndjson::line("listening", listening),
                Event::Exchange(_, Some(line)) => return self.streams.out.write_unflushed(line),
                Event::Exchange(exchange, None) => ndjson::line("exchange", exchange.as_ref()),
                Event::Finished(summary) => ndjson::line("summary", summary),
                Event::ConnectionErrors(_)
                | Event::Warning(_)
                | Event::TunnelSaid(_)
                | Event::TunnelEnded(_) => {
                    return self.aside(event);
                }
            };
            return self.streams.out.write_unflushed(&line);
        }
        match event {
            Event::Listening(listening) => {
                self.talk(&received::listening(listening, &self.err_theme));
                self.talk(&received::public_url(listening, &self.err_theme));
                self.talk(&received::inspect(listening, &self.err_theme));
                if self.out_is_terminal {
                    self.talk(&received::listening_hint(listening, &self.err_theme));
                }
            }
            Event::Exchange(exchange, _) => {
                if std::mem::take(&mut self.after_a_line) {
                    self.data("\n");
                }
                let text = received::exchange(exchange, &self.out_theme, self.voice.verbose);
                let text = self.fitted(text);
                self.data(&text);
            }
            Event::ConnectionErrors(_)
            | Event::Warning(_)
            | Event::TunnelSaid(_)
            | Event::TunnelEnded(_) => {
                self.aside(event);
            }
            Event::Finished(summary) => {
                if let Some(report) = &summary.retries {
                    let text = self.fitted(retries::section(report, &self.out_theme));
                    self.data(&text);
                }
                let text = self.fitted(received::summary(summary, &self.out_theme));
                self.data(&text);
            }
        }
    }

    /// Shows what is talk in either format.
    fn aside(&mut self, event: &listen::event::Event) {
        use listen::event::Event;
        match event {
            Event::ConnectionErrors(_) if self.voice.quiet => {}
            Event::ConnectionErrors(errors) => {
                self.say(&received::connection_errors(errors, &self.err_theme));
            }
            Event::Warning(warning) => self.warn(warning),
            Event::TunnelSaid(line) => self.tunnel_said(line),
            Event::TunnelEnded(end) => self.warn(&end.to_string()),
            Event::Listening(_) | Event::Exchange(..) | Event::Finished(_) => {}
        }
    }

    /// Shows an event of `send`, with its line if it has one.
    pub fn sent(&mut self, event: &send::event::Event<'_>, line: Option<&[u8]>) {
        use send::event::Event;
        match event {
            Event::Started(started) => self.started(started),
            Event::Delivery(delivery) => self.delivered(delivery, line),
            // Nobody is there to be told when it is the output that has gone.
            Event::Stopping(_) if *self.streams.out.fate().borrow() != Fate::Open => {}
            Event::Stopping(under_way) => {
                let under_way = received::plural(*under_way as u64, "call");
                let text = format!(
                    "stopping: {under_way} under way will be finished; Ctrl-C again ends at once"
                );
                let text = format!("{}\n", self.err_theme.paint(Role::Faint, &text));
                let (quiet, err) = (self.voice.quiet, &mut self.streams.err);
                // The bar goes on below it.
                self.progress.suspended(|| {
                    if !quiet {
                        err.write(text.as_bytes());
                    }
                });
            }
            Event::Finished(summary) => self.finished(summary),
        }
    }

    /// Shows an event of `send --suite`.
    pub fn suite(&mut self, event: &send::suite::event::Event) {
        use send::suite::event::Event;
        if self.voice.ndjson {
            let line = match event {
                Event::Started(started) => ndjson::line("started", started),
                Event::Case(record) => ndjson::line("case", record.as_ref()),
                Event::Finished(summary) => ndjson::line("summary", summary.as_ref()),
                Event::Note(note) => return self.remark(note),
            };
            return self.streams.out.write_unflushed(&line);
        }
        let text = match event {
            Event::Started(started) => {
                let cases = received::plural(started.cases as u64, "case");
                return self.remark(&format!(
                    "{cases} for {} · seed {}",
                    started.url, started.seed
                ));
            }
            Event::Case(record) => {
                let text = self.suite.case(record, &self.out_theme, self.voice.verbose);
                self.fitted(text)
            }
            Event::Finished(summary) => {
                self.suite.rest(&self.out_theme) + &suite::summary(summary, &self.out_theme)
            }
            Event::Note(note) => return self.remark(note),
        };
        self.data(&text);
    }

    fn started(&mut self, started: &send::event::Started) {
        if self.voice.ndjson {
            self.streams
                .out
                .write_unflushed(&ndjson::line("started", started));
        } else {
            let count = started.planned.map_or("deliveries".to_owned(), |n| {
                received::count(n, "delivery", "deliveries")
            });
            self.remark(&format!(
                "sending {count} to {} · seed {}",
                started.url, started.seed
            ));
        }
        if lines::too_many(started.planned) {
            self.progress.start(started.planned, self.queue.as_ref());
        }
        self.started = Some(started.clone());
    }

    fn delivered(&mut self, delivery: &send::event::Delivery, line: Option<&[u8]>) {
        self.progress.step(delivery.ok);
        if !delivery.ok {
            self.trouble.note(delivery);
        }
        let Some(line) = line else { return };
        self.after_a_line = !self.voice.ndjson;
        let out = &mut self.streams.out;
        self.progress.suspended(|| out.write_unflushed(line));
    }

    fn finished(&mut self, summary: &send::event::Summary) {
        self.progress.finish();
        let sums_up = summary.deliveries != 1 || summary.exit.code() > 1;
        if self.voice.ndjson {
            self.streams
                .out
                .write_unflushed(&ndjson::line("summary", summary));
        } else if sums_up {
            let text = sent::summary(summary, &self.out_theme);
            self.data(&text);
        }
        self.flush();
        if *self.streams.out.fate().borrow() != Fate::Open {
            // Whoever stopped reading wants no advice either.
            return;
        }
        for hint in sent::hints(&self.trouble) {
            if !self.voice.quiet {
                let text = format!("{} {hint}\n", self.err_theme.paint(Role::Name, "hint:"));
                self.say(&text);
            }
        }
        if let (Some(command), Some(started)) = (&self.command, &self.started)
            && !self.voice.ndjson
            && (sums_up || summary.failed > 0)
        {
            let text = format!(
                "repeat: {command} --seed {} --at {}",
                started.seed, started.at
            );
            self.remark(&text);
        }
    }
}
