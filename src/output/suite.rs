//! Renders the suite's run as text: a line for each family, or for each case with `-v`. The findings and the verdict are
//! in `summary`, what was sent and answered in `evidence`.

mod evidence;
mod summary;

pub use evidence::exchange;
pub use summary::{Layout, summary};

use std::fmt::Write as _;

use super::text::{Role, Theme, plural};
use crate::clock::format_duration;
use crate::suite::Family;
use crate::suite::event::CaseRecord;
use crate::untrusted::clean;

const NAMES: usize = 32;

/// The longest name of a family has 10 letters.
const FAMILIES: usize = 10;

/// Counts the cases of a family, of which a line is written when its last case has run.
#[derive(Debug, Clone, Default)]
pub struct CaseLines {
    family: Option<Family>,
    ok: u64,
    failed: u64,
    /// The reasons to skip cases, with their numbers.
    skipped: Vec<(String, u64)>,
}

impl CaseLines {
    pub fn case(&mut self, record: &CaseRecord, theme: Theme, verbose: bool) -> String {
        let mut out = String::new();
        if self.family != Some(record.family) {
            out.push_str(&self.rest(theme, verbose));
            self.family = Some(record.family);
            if verbose {
                let family = theme.paint(Role::Strong, &record.family.to_string());
                let _ = write!(out, "\n{family} · {}\n", record.family.heading());
            }
        }
        match &record.skipped {
            Some(reason) => match self.skipped.iter_mut().find(|(known, _)| known == reason) {
                Some((_, count)) => *count += 1,
                None => self.skipped.push((reason.clone(), 1)),
            },
            None if record.ok => self.ok += 1,
            None => self.failed += 1,
        }
        if verbose {
            out.push_str(&line(record, theme));
        }
        out
    }

    /// Returns the line of the family whose cases have run, unless `verbose`.
    fn rest(&mut self, theme: Theme, verbose: bool) -> String {
        let (ok, failed) = (
            std::mem::take(&mut self.ok),
            std::mem::take(&mut self.failed),
        );
        let Some(family) = self.family.filter(|_| !verbose && ok + failed > 0) else {
            return String::new();
        };
        let (role, mark, result) = match failed {
            0 => (Role::Good, "✓", format!("{ok} held")),
            _ => (
                Role::Bad,
                "✗",
                format!("{failed} of {} failed", ok + failed),
            ),
        };
        format!(
            "{} {:<FAMILIES$} {} {}\n",
            theme.paint(role, mark),
            family.to_string(),
            theme.paint(role, &result),
            theme.paint(Role::Faint, &format!("· {}", family.heading()))
        )
    }

    /// Returns the last family's line, and a line for each reason to skip cases.
    pub fn end(&mut self, theme: Theme, verbose: bool) -> String {
        let mut out = self.rest(theme, verbose);
        for (reason, count) in self.skipped.iter().filter(|_| !verbose) {
            let text = format!("– {} skipped: {}", plural(*count, "case"), clean(reason));
            let _ = writeln!(out, "{}", theme.paint(Role::Faint, &text));
        }
        out
    }
}

fn line(record: &CaseRecord, theme: Theme) -> String {
    let name = format!("{:<NAMES$}", record.name);
    if let Some(reason) = &record.skipped {
        return format!("– {name} skipped: {}\n", clean(reason));
    }
    let took = theme.paint(Role::Faint, &format!("· {}", format_duration(record.took)));
    let (role, mark, name) = if record.ok {
        (Role::Good, "✓", name)
    } else {
        (Role::Bad, "✗", theme.paint(Role::Strong, &name))
    };
    let (mark, got) = (
        theme.paint(role, mark),
        theme.paint(role, &clean(&record.got)),
    );
    format!("{mark} {name} {got} {took}\n")
}

#[cfg(test)]
mod tests;
