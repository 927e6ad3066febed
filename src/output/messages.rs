//! Messages on standard error: remarks, warnings, and the error that stopped a run.

use std::error::Error as _;
use std::fmt::Write as _;
use std::iter::successors;

use super::text::Role;
use super::{Show, text};
use crate::error::Error;
use crate::untrusted::{clean, clean_lines};

impl Show {
    pub(super) fn say(&mut self, text: &str) {
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
        let text = self.err_theme.paint(Role::Faint, &clean(text));
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
            self.say(&format!("{}\n", self.err_theme.paint(Role::Faint, &line)));
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
            other => clean(&other.to_string()),
        };
        let causes = successors(error.source(), |&cause| cause.source());
        let causes = causes.map(|cause| (Role::Bad, "caused by:", clean(&cause.to_string())));
        let said = match error {
            Error::Tunnel { said, .. } | Error::Handler { said, .. } => said.as_slice(),
            _ => &[],
        };
        let said = said
            .iter()
            .map(|line| (Role::Faint, "it said:", clean(line)));
        let hint = error.hint().map(|hint| (Role::Name, "hint:", hint));
        let mut text = format!("{} {message}\n", self.err_theme.paint(Role::Bad, "error:"));
        for (role, label, line) in causes.chain(said).chain(hint) {
            let _ = writeln!(text, "  {} {line}", self.err_theme.paint(role, label));
        }
        self.say(&text);
    }
}
