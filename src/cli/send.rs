//! The flags of `send`.

mod command;
mod options;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::suite::SuiteArgs;
use super::values::{self, HeaderSource, Speed};
use super::{Invocation, help};
use crate::cdr::Shape;
use crate::cdr::account::AccountOptions;
use crate::cdr::edit::Edit;
use crate::cdr::scenarios::{self, CATALOGUE, CallIds, GROUPS};
use crate::clock::Timestamp;
use crate::net::client::{ClientOptions, Destination};
use crate::net::query::Encoding;
use crate::output::OutputOptions;
use crate::seed::Seed;
use crate::send::deliver::RetryPolicy;
use crate::send::expect::{Expectation, Statuses};
use crate::send::plan::Methods;
use crate::send::schedule::ScheduleOptions;
use crate::suite;
pub use options::{Print, SendOptions, Source};

/// Where scripts of people with two terminals expect the receiver.
const LISTENER: &str = "http://127.0.0.1:8237/webhook/cdr";

/// The flags of `send`.
#[expect(
    clippy::struct_excessive_bools,
    reason = "a flag without a value is a boolean"
)]
#[derive(Debug, Args)]
#[command(before_help = help::SEND.examples(), after_help = help::SEND.end())]
pub(super) struct SendArgs {
    /// The handler's address; its own query is kept
    #[arg(long, value_name = "URL", help_heading = "Target")]
    url: Option<String>,
    /// Send to a receiver of our own; show both sides
    #[arg(long, help_heading = "Target")]
    demo: bool,
    /// post, get, or both: each CDR by POST, then by GET
    #[arg(
        short = 'X',
        long,
        value_name = "METHOD",
        default_value = "post",
        ignore_case = true,
        hide_possible_values = true,
        help_heading = "Target"
    )]
    method: Methods,
    /// Objects in a GET query: flat, as JSON text, or in brackets, as Node's qs has it
    #[arg(
        long,
        value_name = "HOW",
        default_value = "flat",
        hide_possible_values = true,
        help_heading = "Target"
    )]
    get_encoding: Encoding,
    /// Header to add, 'Name: value', or @FILE with one a line; repeatable
    #[arg(short = 'H', long, value_name = "HEADER", help_heading = "Target")]
    header: Vec<String>,
    /// Accept any TLS certificate
    #[arg(short = 'k', long, help_heading = "Target")]
    insecure: bool,
    /// PEM file with certificates to trust, too
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    cacert: Option<PathBuf>,
    /// How long a delivery may take
    #[arg(long, value_name = "D", default_value = "15s", value_parser = values::some_time, help_heading = "Target")]
    timeout: Duration,
    /// How long connecting may take, TLS included
    #[arg(long, value_name = "D", default_value = "5s", value_parser = values::some_time, help_heading = "Target")]
    connect_timeout: Duration,
    /// Use connections again, not one for each delivery
    #[arg(long, help_heading = "Target")]
    keep_alive: bool,

    #[command(flatten)]
    suite: SuiteArgs,

    /// What happened on the phone; repeatable, or a,b,c
    #[arg(short, long, value_name = "NAME", value_delimiter = ',', value_parser = scenarios(), hide_possible_values = true,
          help_heading = "Content", conflicts_with = "file")]
    scenario: Vec<String>,
    /// Short for --scenario click2call
    #[arg(long, help_heading = "Content", conflicts_with_all = ["scenario", "file"])]
    click2call: bool,
    /// List the scenarios with their CDRs
    #[arg(long, help_heading = "Content")]
    list_scenarios: bool,
    /// Send what a file holds (- is standard input): CDRs as JSON, or a capture or HAR, whose requests go as they came
    #[arg(short, long, value_name = "PATH", help_heading = "Content")]
    file: Option<PathBuf>,
    /// The account's app id
    #[arg(long, value_name = "N", value_parser = values::whole::<u64, 1, 999_999_999_999>, help_heading = "Content")]
    app_id: Option<u64>,
    /// The agent's extension; `user` becomes EXT_APPID
    #[arg(long, value_name = "EXT", value_parser = values::extension, help_heading = "Content")]
    agent: Option<String>,
    /// The caller ID
    #[arg(long, value_name = "N", value_parser = values::number, help_heading = "Content")]
    virtual_number: Option<u64>,
    /// The customer's number, `to` of leg b
    #[arg(long, value_name = "N", value_parser = values::number, help_heading = "Content")]
    to: Option<u64>,
    /// Your dashboard parameters, echoed in `custom`
    #[arg(long, value_name = "TEXT", help_heading = "Content")]
    custom: Option<String>,
    /// Your click2call parameters
    #[arg(long, value_name = "JSON", value_parser = values::object, help_heading = "Content")]
    extra_params: Option<String>,
    /// Types as documented (docs), or as seen live (live)
    #[arg(
        long,
        value_name = "SHAPE",
        default_value = "docs",
        hide_possible_values = true,
        help_heading = "Content"
    )]
    shape: Shape,
    /// The legs of a call have a shared call_id, or one per-leg
    #[arg(
        long,
        value_name = "HOW",
        default_value = "shared",
        hide_possible_values = true,
        help_heading = "Content"
    )]
    call_id: CallIds,
    /// Change a field, typed as documented; repeatable
    #[arg(long, value_name = "FIELD=VALUE", value_parser = Edit::set, help_heading = "Content")]
    set: Vec<Edit>,
    /// Change a field to any JSON; repeatable
    #[arg(long, value_name = "FIELD=JSON", value_parser = Edit::set_json, help_heading = "Content")]
    set_json: Vec<Edit>,
    /// Leave a field out; repeatable
    #[arg(long, value_name = "FIELD", value_parser = Edit::unset, help_heading = "Content")]
    unset: Vec<Edit>,
    /// Same seed and --at, same bytes
    #[arg(long, value_name = "N", value_parser = values::seed, help_heading = "Content")]
    seed: Option<Seed>,
    /// When calls start: RFC 3339 or epoch milliseconds
    #[arg(long, value_name = "TIME", help_heading = "Content")]
    at: Option<Timestamp>,

    /// Calls of each scenario
    #[arg(short = 'n', long, value_name = "N", value_parser = values::count, help_heading = "Delivery")]
    count: Option<u64>,
    /// Send for so long, again and again
    #[arg(long, value_name = "D", value_parser = values::some_time, help_heading = "Delivery")]
    duration: Option<Duration>,
    /// Deliveries per second, on an absolute schedule: 50/s
    #[arg(long, value_name = "N/s", value_parser = values::rate, help_heading = "Delivery")]
    rate: Option<f64>,
    /// Calls under way at once
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = values::whole::<usize, 1, 10_000>, help_heading = "Delivery")]
    concurrency: usize,
    /// Gaps of a call or capture: 1 is real time, 10 is ten times as fast, max has none
    #[arg(long, value_name = "X", default_value = "max", value_parser = values::speed, help_heading = "Delivery")]
    speed: Speed,
    /// Send each CDR N more times
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = values::whole::<u32, 0, 1_000>, help_heading = "Delivery")]
    duplicate: u32,
    /// Release N copies together, a connection each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = values::whole::<u32, 1, 200>, help_heading = "Delivery")]
    race: u32,
    /// Deliver in random order
    #[arg(long, help_heading = "Delivery")]
    shuffle: bool,
    /// Hold each back by up to D: they overtake one another
    #[arg(long, value_name = "D", value_parser = values::some_time, help_heading = "Delivery")]
    late: Option<Duration>,
    /// Leave out this share of deliveries: 0.1 or 10%
    #[arg(long, value_name = "P", default_value = "0", value_parser = values::share, help_heading = "Delivery")]
    drop: f64,
    /// Further attempts after no answer, 408, 425, 429, 5xx
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = values::whole::<u32, 0, 100>, help_heading = "Delivery")]
    retry: u32,
    /// Wait before the first, doubled each time; Retry-After is obeyed
    #[arg(long, value_name = "D", default_value = "1s", value_parser = crate::clock::read_duration, help_heading = "Delivery")]
    retry_interval: Duration,
    /// Allow more than 100/s or 10 000 deliveries to another machine
    #[arg(long, help_heading = "Delivery")]
    yes: bool,

    /// Statuses that count as delivered: 2xx, 200,204, 200-299
    #[arg(
        long,
        value_name = "LIST",
        default_value = "2xx",
        help_heading = "Checks"
    )]
    expect_status: Statuses,
    /// Text the reply must contain
    #[arg(long, value_name = "TEXT", help_heading = "Checks")]
    expect_body: Option<String>,
    /// Longest time a reply may take
    #[arg(long, value_name = "D", value_parser = values::some_time, help_heading = "Checks")]
    max_latency: Option<Duration>,
    /// With --method both: the two replies must agree
    #[arg(long, help_heading = "Checks", conflicts_with_all = ["shuffle", "late"])]
    compare: bool,

    /// Deliver nothing; print what would go
    #[arg(long, help_heading = "Output", conflicts_with = "demo")]
    dry_run: bool,
    /// How to print it: json (one CDR a line), curl, http, har or vegeta; implies --dry-run
    #[arg(
        long,
        value_name = "HOW",
        hide_possible_values = true,
        help_heading = "Output",
        conflicts_with = "demo"
    )]
    print: Option<Print>,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,

    #[command(flatten)]
    output_options: OutputOptions,
}

fn scenarios() -> impl clap::builder::TypedValueParser<Value = String> {
    let names = CATALOGUE
        .iter()
        .map(|story| story.name)
        .chain(GROUPS.iter().map(|(name, _)| *name));
    PossibleValuesParser::new(names.map(PossibleValue::new)).map(|name| name)
}

impl SendArgs {
    pub(super) fn options(
        mut self: Box<Self>,
        matches: &ArgMatches,
        arguments: &[OsString],
    ) -> Result<Invocation, String> {
        let on_the_command_line =
            |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let url_was_said = on_the_command_line("url");
        // The flag wins over the environment, whichever of the two it contradicts.
        self.demo &= on_the_command_line("demo") || !url_was_said;
        let edits = self.edits(matches);
        if self.list_scenarios {
            return Ok(Invocation::ListScenarios(self.output_options));
        }
        if self.suite.list_cases {
            return Ok(Invocation::ListCases(self.output_options));
        }
        // By the environment as well as on the command line.
        let method_was_said = matches.value_source("method") != Some(ValueSource::DefaultValue);
        if self.race > 1 && self.retry > 0 {
            return Err(
                "--race releases copies together, which cannot be tried again together: leave out --retry"
                    .to_owned(),
            );
        }
        let print = self.print.or(self.dry_run.then_some(Print::Json));
        let seed = self.seed.unwrap_or_else(Seed::fresh);
        let methods = self.methods(method_was_said)?;
        let (suite, left_out) = if self.suite.suite {
            suite::select(&self.suite.only, &self.suite.skip, methods)?;
            (Some(self.suite.clone()), &command::OF_THE_SUITE[..])
        } else {
            (None, &command::OF_A_RUN[..])
        };
        let options = SendOptions {
            suite,
            headers: self.headers()?,
            destination: self.destination(url_was_said, print.is_some())?,
            source: self.source(),
            methods,
            method_was_said,
            encoding: self.get_encoding,
            client: self.client(),
            account: self.account(),
            shape: self.shape,
            call_ids: self.call_id,
            rounds: self.count.or(if self.duration.is_some() {
                None
            } else {
                Some(1)
            }),
            rules: self.rules(seed),
            patience: RetryPolicy {
                retries: self.retry,
                interval: self.retry_interval,
                seed,
            },
            print,
            command: command::as_given(arguments, left_out),
            output_options: self.output_options,
            edits,
            expectation: Expectation {
                statuses: self.expect_status,
                body: self.expect_body,
                max_latency: self.max_latency,
            },
            cacert: self.cacert,
            at: self.at,
            duration: self.duration,
            concurrency: self.concurrency,
            compare: self.compare,
            yes: self.yes,
            output: self.output,
        };
        Ok(Invocation::Send(Box::new(options)))
    }

    /// The edits in the order in which they were given.
    fn edits(&self, matches: &ArgMatches) -> Vec<Edit> {
        let mut edits: Vec<(usize, &Edit)> = Vec::new();
        for (id, given) in [
            ("set", &self.set),
            ("set_json", &self.set_json),
            ("unset", &self.unset),
        ] {
            edits.extend(matches.indices_of(id).into_iter().flatten().zip(given));
        }
        edits.sort_by_key(|(place, _)| *place);
        edits.into_iter().map(|(_, edit)| edit.clone()).collect()
    }

    fn destination(
        &self,
        url_was_said: bool,
        printing: bool,
    ) -> Result<Option<Destination>, String> {
        if self.demo {
            if url_was_said {
                return Err(
                    "--demo has a receiver of its own: leave out --url, or leave out --demo"
                        .to_owned(),
                );
            }
            return Ok(None);
        }
        match (&self.url, printing) {
            (Some(url), _) => Destination::parse(url)
                .map(Some)
                .map_err(|what| format!("--url: {what}")),
            (None, true) => Destination::parse(LISTENER).map(Some),
            (None, false) if self.suite.suite => {
                Err("--suite needs the handler's address: --url".to_owned())
            }
            (None, false) => Err(format!(
                "where to? --url takes the handler's address, like http://localhost:5000/webhook/cdr;\n\
                 `telecmi-cdr listen` answers at {LISTENER}, and --demo needs no address"
            )),
        }
    }

    /// Read here and not by clap, which would quote a value that it refuses, secret or not.
    fn headers(&self) -> Result<Vec<HeaderSource>, String> {
        let read =
            |text: &String| values::header_source(text).map_err(|what| format!("--header: {what}"));
        self.header.iter().map(read).collect()
    }

    fn source(&self) -> Source {
        if let Some(path) = &self.file {
            return Source::File(path.clone());
        }
        let names: Vec<&str> = match (self.click2call, self.scenario.is_empty()) {
            (true, _) => vec!["click2call"],
            (false, true) => vec!["agent-no-answer"],
            (false, false) => self.scenario.iter().map(String::as_str).collect(),
        };
        Source::Stories(names.into_iter().flat_map(scenarios::choices).collect())
    }

    /// The demo and the suite use both methods unless one was asked for.
    fn methods(&self, method_was_said: bool) -> Result<Methods, String> {
        let methods = if (self.demo || self.suite.suite) && !method_was_said {
            Methods::Both
        } else {
            self.method
        };
        if self.compare && methods != Methods::Both {
            return Err(
                "--compare holds the replies to POST and GET against each other: add --method both"
                    .to_owned(),
            );
        }
        Ok(methods)
    }

    fn client(&self) -> ClientOptions {
        ClientOptions {
            timeout: self.timeout,
            connect_timeout: self.connect_timeout.min(self.timeout),
            insecure: self.insecure,
            keep_alive: self.keep_alive,
            ..ClientOptions::default()
        }
    }

    fn account(&self) -> AccountOptions {
        AccountOptions {
            app_id: self.app_id,
            agent: self.agent.clone(),
            virtual_number: self.virtual_number,
            customer: self.to,
            custom: self.custom.clone(),
            extra_params: self.extra_params.clone(),
        }
    }

    fn rules(&self, seed: Seed) -> ScheduleOptions {
        ScheduleOptions {
            rate: self.rate,
            speed: self.speed.0,
            duplicate: self.duplicate,
            race: self.race,
            shuffle: self.shuffle,
            late: self.late,
            drop: self.drop,
            seed,
        }
    }
}
