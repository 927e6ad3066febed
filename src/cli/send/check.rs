//! Refuses contradictory flags of `send`, and computes the values that depend on several flags.

use std::ffi::OsString;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::{Print, SendOptions, command};
use crate::cli::advice::named;
use crate::cli::values;
use crate::net::Destination;
use crate::output::Repeat;
use crate::send::edit::Edit;
use crate::send::plan::Methods;
use crate::suite;

/// `send --print` without `--url` prints requests to a `listen` on its default port; errors name this URL too.
const LISTENER: &str = "http://127.0.0.1:8237/webhook/cdr";

impl SendOptions {
    /// Flag values that may hold secrets are parsed here instead of by clap, whose errors would quote them.
    pub(in crate::cli) fn check(
        &mut self,
        matches: &ArgMatches,
        arguments: &[OsString],
    ) -> Result<(), String> {
        if self.list_scenarios || self.list_cases {
            return Ok(());
        }
        let is_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let url_is_given = is_given("url") || is_given("bare_url");
        self.url = self.bare_url.take().or(self.url.take());
        // `--url` on the command line overrides the environment variable `TELECMI_CDR_DEMO`.
        self.demo &= is_given("demo") || !url_is_given;
        self.method_was_said = matches.value_source("method") != Some(ValueSource::DefaultValue);
        if self.schedule.race > 1 && self.retry.retries > 0 {
            let what = "--race cannot be used with --retry, because the copies of a race are sent \
                once: leave out --retry";
            return Err(what.to_owned());
        }
        self.print = self.print.or(self.dry_run.then_some(Print::Json));
        if (self.demo || self.suite) && !self.method_was_said {
            self.method = Methods::Both;
        }
        if self.compare && self.method != Methods::Both {
            let what = "--compare compares the replies to POST and GET: add --method both";
            return Err(what.to_owned());
        }
        if self.suite {
            let fuzz = suite::fuzz::cases(self.fuzz, self.seed);
            suite::select(&self.only, &self.skip, self.method, &fuzz)?;
        }
        let flag = named(matches, "--header");
        let header = |text: &String| values::of_flag(&flag, text, values::header_source);
        self.headers = self.header.iter().map(header).collect::<Result<_, _>>()?;
        let flag = named(matches, "--url");
        self.destination = self.destination(&flag, url_is_given)?;
        self.edits = self.edits(matches);
        let own = arguments.len() - self.handler.len();
        let own = own - usize::from(!self.handler.is_empty());
        // A suite's command is a part of its records and reports, in which secrets are always masked.
        let given = &arguments[..own];
        let masked = command::as_given(given, self.suite, true);
        let command = command::as_given(given, self.suite, self.suite || self.mask);
        self.repeat = Repeat {
            has_secrets: command != masked,
            command,
        };
        self.handler_command = command::quoted_words(&arguments[own..]);
        Ok(())
    }

    /// clap groups values by flag: `--set`, `--set-json` and `--unset` are merged by their index on the command line.
    fn edits(&self, matches: &ArgMatches) -> Vec<Edit> {
        let flags = [
            ("set", &self.set),
            ("set_json", &self.set_json),
            ("unset", &self.unset),
        ];
        let places =
            flags.map(|(id, edits)| matches.indices_of(id).into_iter().flatten().zip(edits));
        let mut edits: Vec<(usize, &Edit)> = places.into_iter().flatten().collect();
        edits.sort_by_key(|(place, _)| *place);
        edits.into_iter().map(|(_, edit)| edit.clone()).collect()
    }

    fn destination(&self, flag: &str, url_is_given: bool) -> Result<Option<Destination>, String> {
        let url = match &self.url {
            _ if self.demo && url_is_given => {
                let what = "--demo starts its own receiver: leave out --url, or leave out --demo";
                return Err(what.to_owned());
            }
            _ if self.demo => return Ok(None),
            Some(url) => url,
            None if self.print.is_some() => LISTENER,
            None if !self.handler.is_empty() => return Ok(None),
            None if self.suite => {
                let what = "--suite needs the URL of your handler: add --url URL; or the command that starts it: -- CMD";
                return Err(what.to_owned());
            }
            None => {
                return Err(format!(
                    "no destination: add --url with the URL of your handler, like \
                     http://localhost:5000/webhook/cdr;\n`telecmi-cdr listen` listens at \
                     {LISTENER}, and --demo has a receiver of its own"
                ));
            }
        };
        values::of_flag(flag, url, Destination::parse).map(Some)
    }
}
