//! The progress bar on standard error, for long runs at a terminal.

use std::io::{self, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::streams::Streams;
use super::text;

const REDRAWS_PER_SECOND: u8 = 10;

/// The progress bar is 80 columns wide if the terminal's width is unknown.
const USUAL_WIDTH: u16 = 80;

#[derive(Debug, Default)]
pub struct Progress {
    is_wanted: bool,
    bar: Option<ProgressBar>,
    failed: u64,
}

impl Progress {
    pub fn new(is_wanted: bool) -> Self {
        Self {
            is_wanted,
            ..Self::default()
        }
    }

    pub fn start(&mut self, planned: Option<u64>) {
        if !self.is_wanted {
            return;
        }
        let template = match planned {
            Some(_) => "{bar:24} {pos}/{len} · {per_sec} · {eta} left{msg}",
            None => "{spinner} {pos} · {per_sec} · {elapsed}{msg}",
        };
        let terminal = Box::new(Terminal);
        let target = ProgressDrawTarget::term_like_with_hz(terminal, REDRAWS_PER_SECOND);
        let bar = ProgressBar::with_draw_target(planned, target);
        // `ProgressStyle::with_template` fails only for an invalid template.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        self.bar = Some(bar);
    }

    pub fn step(&mut self, ok: bool) {
        let Some(bar) = &self.bar else { return };
        if !ok {
            self.failed += 1;
            bar.set_message(format!(" · {} failed", self.failed));
        }
        bar.inc(1);
    }

    /// The progress bar is cleared while a message is written, so that the message stands above the bar.
    pub fn above(&self, streams: &mut Streams, write: impl FnOnce(&mut Streams)) {
        match &self.bar {
            Some(bar) => bar.suspend(|| {
                write(streams);
                streams.flush();
            }),
            None => write(streams),
        }
    }

    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

#[derive(Debug)]
struct Terminal;

impl Terminal {
    fn write(text: &str) -> io::Result<()> {
        io::stderr().write_all(text.as_bytes())
    }

    /// A cursor movement by 0 steps writes nothing, because terminals treat a count of 0 as 1.
    fn step(steps: usize, code: char) -> io::Result<()> {
        match steps {
            0 => Ok(()),
            _ => Self::write(&format!("\u{1b}[{steps}{code}")),
        }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        let width = text::width_of(&io::stderr()).and_then(|width| u16::try_from(width).ok());
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
        // indicatif pads the bar to the last column; with the padding, an echoed `^C` would wrap into the next line.
        Self::write(text.trim_end_matches(' '))
    }

    fn clear_line(&self) -> io::Result<()> {
        Self::write("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
