//! A progress bar on standard error, for long runs that a person watches.

use std::io::{self, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::streams::Streams;
use super::wrap;

/// How often the bar is drawn anew, a second.
const REDRAWN: u8 = 10;

/// The columns of a terminal that does not say how many it has.
const USUAL_WIDTH: u16 = 80;

/// A bar that may not be there.
#[derive(Debug)]
pub struct Progress {
    wanted: bool,
    bar: Option<ProgressBar>,
    failed: u64,
}

impl Progress {
    /// A bar that will be drawn only if it is wanted.
    #[must_use]
    pub fn new(wanted: bool) -> Self {
        Self {
            wanted,
            bar: None,
            failed: 0,
        }
    }

    /// Starts the bar, or a counter where the number of deliveries is unknown.
    pub fn start(&mut self, planned: Option<u64>) {
        if !self.wanted {
            return;
        }
        let template = match planned {
            Some(_) => "{bar:24} {pos}/{len} · {per_sec} · {eta} left{msg}",
            None => "{spinner} {pos} · {per_sec} · {elapsed}{msg}",
        };
        let bar = ProgressBar::with_draw_target(
            planned,
            ProgressDrawTarget::term_like_with_hz(Box::new(Terminal), REDRAWN),
        );
        // The templates are ours and valid; the default style does as well.
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        self.bar = Some(bar);
    }

    /// Counts one delivery.
    pub fn step(&mut self, ok: bool) {
        let Some(bar) = &self.bar else { return };
        if !ok {
            self.failed += 1;
            bar.set_message(format!(" · {} failed", self.failed));
        }
        bar.inc(1);
    }

    /// Writes something above the bar.
    pub fn above(&self, streams: &mut Streams, write: impl FnOnce(&mut Streams)) {
        match &self.bar {
            Some(bar) => bar.suspend(|| {
                write(streams);
                streams.flush();
            }),
            None => write(streams),
        }
    }

    /// Takes the bar away for good.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Standard error as a terminal.
#[derive(Debug)]
struct Terminal;

impl Terminal {
    fn write(text: &str) -> io::Result<()> {
        io::stderr().write_all(text.as_bytes())
    }

    /// A control sequence that moves the cursor; nothing for no step at all, which terminals take for one.
    fn step(steps: usize, code: char) -> io::Result<()> {
        if steps == 0 {
            Ok(())
        } else {
            Self::write(&format!("\u{1b}[{steps}{code}"))
        }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        let width = wrap::width_of(&io::stderr()).and_then(|width| u16::try_from(width).ok());
        width.unwrap_or(USUAL_WIDTH)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        Self::step(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        Self::step(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        Self::step(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        Self::step(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        Self::write(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        // A line filled up to its last column would push what a terminal echoes, like `^C`, into the next one.
        Self::write(text.trim_end_matches(' '))
    }

    fn clear_line(&self) -> io::Result<()> {
        Self::write("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
