//! Writes the events of a run, by the flags of the output: data on standard output or in the file of `--output`, messages
//! on standard error.
//!
//! During a run, the thread behind a `queue::OutputQueue` owns the `Show`. The modules that render are pure functions from
//! a value and a `Theme` to text.

pub mod body;
pub(crate) mod catalogue;
pub(crate) mod junit;
pub(crate) mod listening;
pub(crate) mod progress;
pub(crate) mod queue;
pub mod received;
pub(crate) mod retries;
pub(crate) mod sent;
pub(crate) mod streams;
pub(crate) mod suite;
pub mod text;

use std::error::Error as _;
use std::fmt::Write as _;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::iter::successors;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::sync::watch;

use crate::clock::format_duration;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::ndjson;
use crate::send::event::Started;
use crate::untrusted::{clean, clean_lines};
use crate::{listen, send};
use progress::Progress;
use streams::{StreamState, Streams};
use text::{Color, Role, Theme, count, plural};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Output: pretty (text), line (one line each) or ndjson (one JSON record a line)
    #[arg(long, default_value = "pretty")]
    pub format: Format,
    /// Colours: auto (by the terminal and NO_COLOR), always or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Print only warnings and errors on stderr; standard output stays
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Show headers and complete bodies
    #[arg(short, long)]
    pub verbose: bool,
}

/// The values of `--format`; shell completions show the variants' doc comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Text for people
    #[default]
    Pretty,
    /// One line a request or delivery
    Line,
    /// JSON records, one a line
    Ndjson,
}

impl OutputOptions {
    pub fn ndjson(self) -> bool {
        self.format == Format::Ndjson
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Renderer {
    pub options: OutputOptions,
    pub theme: Theme,
    pub out_is_terminal: bool,
}

impl Renderer {
    /// `line` is the exchange's NDJSON record, which exists already if `--save` wrote it.
    pub fn exchange(self, exchange: &Exchange, line: Option<Bytes>) -> Bytes {
        if self.options.ndjson() {
            return line.unwrap_or_else(|| ndjson::line("exchange", exchange).into());
        }
        let text = match self.options.format {
            Format::Line => received::line(exchange, self.theme),
            _ => received::exchange(exchange, self.theme, self.options.verbose),
        };
        self.fitted(text).into()
    }

    pub fn delivery(self, delivery: &send::event::Delivery) -> Vec<u8> {
        if self.options.ndjson() {
            return ndjson::line("delivery", delivery);
        }
        let mut text = sent::delivery(delivery, self.theme, self.options.verbose);
        if self.options.format == Format::Line {
            text.truncate(text.find('\n').map_or(text.len(), |end| end + 1));
        }
        self.fitted(text).into_bytes()
    }

    /// The width of a report: that of the terminal, else of the variable `COLUMNS`, else 80 columns.
    pub fn width(self) -> usize {
        let variable = || std::env::var("COLUMNS").ok()?.parse().ok();
        let width = self.terminal_width().or_else(variable).unwrap_or(80);
        width.clamp(40, 160)
    }

    fn terminal_width(self) -> Option<usize> {
        let is_terminal = self.out_is_terminal;
        is_terminal.then(|| text::width_of(&std::io::stdout()))?
    }

    pub fn fitted(self, text: String) -> String {
        text::fitted(text, self.terminal_width())
    }
}

/// The command of the `repeat:` line, without the `--seed` and `--at` that the line adds.
#[derive(Debug, Clone, Default)]
pub struct Repeat {
    pub command: String,
    pub has_secrets: bool,
}

pub(crate) struct Show {
    pub renderer: Renderer,
    streams: Streams,
    err_theme: Theme,
    progress: Progress,
    repeat: Option<Repeat>,
    started: Option<Started>,
    /// Set after the line of a delivery, which is separated by an empty line from the block of an exchange.
    after_a_line: bool,
    /// The distinct hints on failed deliveries, in the order of the first failures.
    hints: Vec<&'static str>,
    suite: suite::CaseLines,
}

impl Show {
    pub fn new(
        options: OutputOptions,
        file: Option<Box<dyn Write + Send>>,
        repeat: Option<Repeat>,
    ) -> Self {
        let err_is_terminal = std::io::stderr().is_terminal();
        let out_is_terminal = file.is_none() && std::io::stdout().is_terminal();
        let stdout = || BufWriter::with_capacity(64 * 1024, std::io::stdout());
        let out = file.unwrap_or_else(|| Box::new(stdout()));
        let theme = |is_terminal| {
            let variable = |name: &str| std::env::var(name).ok();
            Theme::new(text::is_coloured(options.color, variable, is_terminal))
        };
        Self {
            renderer: Renderer {
                options,
                theme: theme(out_is_terminal),
                out_is_terminal,
            },
            streams: Streams::new(out, Box::new(std::io::stderr())),
            err_theme: theme(err_is_terminal),
            progress: Progress::new(err_is_terminal && !options.quiet && !options.ndjson()),
            repeat,
            started: None,
            after_a_line: false,
            hints: Vec::new(),
            suite: suite::CaseLines::default(),
        }
    }

    pub fn state(&self) -> watch::Receiver<StreamState> {
        self.streams.state()
    }

    pub fn data(&mut self, text: &str) {
        self.streams.out(text.as_bytes());
    }

    pub fn flush(&mut self) {
        self.streams.flush();
    }

    pub fn received(&mut self, event: &listen::event::Event) {
        use listen::event::Event;
        let ndjson = self.renderer.options.ndjson();
        match event {
            Event::Listening(listening) if ndjson => self.record("listening", listening),
            Event::Listening(listening) => {
                // With `--demo`, which sets `repeat`, the receiver stops without Ctrl-C and needs no hint.
                let hint = self.renderer.out_is_terminal && self.repeat.is_none();
                self.talk(&listening::ready(listening, hint, self.err_theme));
            }
            Event::Exchange(exchange, line) => {
                let text = self.renderer.exchange(exchange, line.clone());
                self.block(&text);
            }
            Event::ConnectionErrors(_) if self.renderer.options.quiet => {}
            Event::ConnectionErrors(errors) => {
                self.say(&listening::connection_errors(errors, self.err_theme));
            }
            Event::Warning(warning) => self.warn(warning),
            Event::Note(note) => self.remark(note),
            Event::TunnelSaid(line) => self.tunnel_said(line),
            Event::Finished(summary) if ndjson => self.record("summary", summary),
            Event::Finished(summary) => {
                let theme = self.renderer.theme;
                let retries = summary.retries.as_ref();
                let retries = retries.map(|report| retries::section(report, theme));
                let text = retries.unwrap_or_default() + &listening::summary(summary, theme);
                self.data(&self.renderer.fitted(text));
            }
        }
    }

    fn record(&mut self, kind: &str, fields: &impl Serialize) {
        self.streams.out(&ndjson::line(kind, fields));
    }

    fn block(&mut self, text: &[u8]) {
        if std::mem::take(&mut self.after_a_line) {
            self.data("\n");
        }
        self.streams.out(text);
    }

    pub fn sent(&mut self, event: &send::event::Event) {
        use send::event::Event;
        match event {
            Event::Started(started) => self.started(started),
            Event::Stopping(_) if !self.streams.is_open() => {}
            Event::Stopping(under_way) => {
                let under_way = plural(*under_way as u64, "call");
                let rest = "under way will be finished; Ctrl-C again ends at once";
                self.remark(&format!("stopping: {under_way} {rest}"));
            }
            Event::Waiting { n, wait, asked } => {
                let wait = format_duration(*wait);
                let why = match asked.map(format_duration) {
                    None => "by --retry-schedule".to_owned(),
                    Some(asked) if asked == wait => "that Retry-After asks for".to_owned(),
                    Some(asked) => format!("of the {asked} that Retry-After asks for"),
                };
                self.remark(&format!("#{n} waits {wait} {why}"));
            }
            Event::Finished(summary) => self.finished(summary),
        }
    }

    pub fn suite(&mut self, event: &crate::suite::event::Event) {
        use crate::suite::event::Event;
        let Renderer { options, theme, .. } = self.renderer;
        let ndjson = options.ndjson();
        let text = match event {
            Event::Started(started) if ndjson => return self.record("started", started),
            Event::Case(record) if ndjson => return self.record("case", record),
            Event::Finished(summary) if ndjson => return self.record("summary", summary),
            Event::Started(started) => {
                self.progress.start(Some(started.cases as u64));
                let cases = plural(started.cases as u64, "case");
                let (url, seed) = (&started.url, started.seed);
                return self.remark(&format!("{cases} for {url} · seed {seed}"));
            }
            Event::Case(record) => {
                self.progress.step(!record.failed());
                let text = self.suite.case(record, theme, options.verbose);
                self.renderer.fitted(text)
            }
            Event::Finished(summary) => {
                self.progress.finish();
                let layout = suite::Layout {
                    width: self.renderer.width(),
                    terminal: self.renderer.terminal_width(),
                    verbose: options.verbose,
                };
                let rest = self.suite.end(theme, options.verbose);
                self.renderer.fitted(rest) + &suite::summary(summary, theme, layout)
            }
            Event::Note(note) => return self.remark(note),
        };
        self.progress
            .above(&mut self.streams, |streams| streams.out(text.as_bytes()));
    }

    fn started(&mut self, started: &Started) {
        if self.renderer.options.ndjson() {
            self.record("started", started);
        } else {
            let count = started.planned.map_or("deliveries".to_owned(), |n| {
                count(n, "delivery", "deliveries")
            });
            let (url, seed) = (&started.url, started.seed);
            self.remark(&format!("sending {count} to {url} · seed {seed}"));
        }
        if started.is_long() {
            self.progress.start(started.planned);
        }
        self.started = Some(started.clone());
    }

    /// `failed` is the delivery itself if it failed: the summary's hints are chosen by the causes of failures.
    pub fn delivered(&mut self, text: &[u8], failed: Option<&send::event::Delivery>) {
        self.progress.step(failed.is_none());
        let hint = failed.and_then(sent::hint);
        self.hints
            .extend(hint.filter(|hint| !self.hints.contains(hint)));
        let options = self.renderer.options;
        let is_long = self.started.as_ref().is_some_and(Started::is_long);
        let is_for_a_person = !options.ndjson() && self.renderer.out_is_terminal;
        if failed.is_none() && is_long && is_for_a_person && !options.verbose {
            return;
        }
        self.after_a_line = !options.ndjson();
        self.progress
            .above(&mut self.streams, |streams| streams.out(text));
    }

    fn finished(&mut self, summary: &send::event::Summary) {
        self.progress.finish();
        let sums_up = summary.deliveries != 1 || summary.exit.code() > 1;
        if self.renderer.options.ndjson() {
            self.record("summary", summary);
        } else if sums_up {
            let text = sent::summary(summary, self.renderer.theme);
            self.data(&text);
        }
        self.flush();
        if !self.streams.is_open() {
            return;
        }
        if !self.renderer.options.quiet {
            for hint in std::mem::take(&mut self.hints) {
                let label = self.err_theme.paint(Role::Name, "hint:");
                self.say(&format!("{label} {hint}\n"));
            }
        }
        if let (Some(repeat), Some(started)) = (self.repeat.take(), self.started.take())
            && !self.renderer.options.ndjson()
            && (sums_up || summary.failed > 0)
        {
            if repeat.has_secrets {
                self.remark("the next line shows passwords or tokens; --mask masks them");
            }
            let (command, seed, at) = (repeat.command, started.seed, started.at);
            self.remark(&format!("repeat: {command} --seed {seed} --at {at}"));
        }
    }

    fn say(&mut self, text: &str) {
        let text = text::fitted(text.to_owned(), text::width_of(&std::io::stderr()));
        self.streams.err(text.as_bytes());
    }

    /// Messages are not wrapped, so that URLs and commands in messages can be copied.
    pub fn talk(&mut self, text: &str) {
        if !self.renderer.options.quiet {
            self.progress
                .above(&mut self.streams, |streams| streams.err(text.as_bytes()));
        }
    }

    pub fn remark(&mut self, text: &str) {
        let text = self.err_theme.paint(Role::Faint, clean(text));
        self.talk(&format!("{text}\n"));
    }

    /// Writes a remark only if standard output is a terminal, since a script needs no remarks about its flags.
    pub fn remark_to_a_person(&mut self, text: &str) {
        if self.renderer.out_is_terminal {
            self.remark(text);
        }
    }

    pub fn tunnel_said(&mut self, line: &str) {
        if !self.renderer.options.quiet {
            let line = format!("tunnel: {}", clean(line));
            self.say(&format!("{}\n", self.err_theme.paint(Role::Faint, line)));
        }
    }

    pub fn warn(&mut self, text: &str) {
        let label = self.err_theme.paint(Role::Odd, "warning:");
        self.say(&format!("{label} {}\n", clean(text)));
    }

    pub fn error(&mut self, error: &Error) {
        // Error messages may quote files and are escaped; only the line breaks of usage messages are the program's own.
        let message = match error {
            Error::Usage(message) => clean_lines(message),
            other => clean(&other.to_string()).into_owned(),
        };
        let causes = successors(error.source(), |&cause| cause.source());
        let causes = causes.map(|cause| (Role::Bad, "caused by:", cause.to_string()));
        let said = match error {
            Error::Tunnel { said, .. } | Error::Handler { said, .. } => said.as_slice(),
            _ => &[],
        };
        let it_said = |line: &String| (Role::Faint, "it said:", line.clone());
        let said = said.iter().map(it_said);
        let hint = error.hint().map(|hint| (Role::Name, "hint:", hint));
        let mut text = format!("{} {message}\n", self.err_theme.paint(Role::Bad, "error:"));
        for (role, label, line) in causes.chain(said).chain(hint) {
            let label = self.err_theme.paint(role, label);
            let _ = writeln!(text, "  {label} {}", clean(&line));
        }
        self.say(&text);
    }
}
