//! The flags of the output, and the `Renderer` that turns data into text or NDJSON.

use bytes::Bytes;
use clap::{Args, ValueEnum};

use super::text::{Color, Theme};
use super::{received, sent, text};
use crate::exchange::Exchange;
use crate::{ndjson, send};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Output: pretty (text), line (one line each) or ndjson (one JSON record a line)
    #[arg(long, default_value = "pretty")]
    pub format: Format,
    /// Colours: auto (by the terminal and NO_COLOR), always or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Print only warnings and errors on stderr
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

    pub(super) fn terminal_width(self) -> Option<usize> {
        let is_terminal = self.out_is_terminal;
        is_terminal.then(|| text::width_of(&std::io::stdout()))?
    }

    pub fn fitted(self, text: String) -> String {
        text::fitted(text, self.terminal_width())
    }
}
