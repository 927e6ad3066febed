//! A progress bar on standard error, for long runs that a person watches.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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
        Self { wanted, bar: None, failed: 0 }
    }

    /// Starts the bar, or a counter if nobody knows how much there is to do.
    pub fn start(&mut self, planned: Option<u64>) {
        if !self.wanted {
            return;
        }
        let template = match planned {
            Some(_) => "{bar:24} {pos}/{len} · {per_sec} · {eta} left{msg}",
            None => "{spinner} {pos} · {per_sec} · {elapsed}{msg}",
        };
        let bar = ProgressBar::with_draw_target(planned, ProgressDrawTarget::stderr_with_hz(10));
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

    /// Takes the bar away while something else is written to the same terminal.
    pub fn suspended<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the bar away for good.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
