//! The flags of `send`.

mod command;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};

use super::suite::SuiteArgs;
use super::values::{self, HeaderSource, Speed};
use super::{Invocation, help};
use crate::cdr::Shape;
use crate::cdr::account::AccountOptions;
use crate::cdr::edit::Edit;
use crate::cdr::scenarios::{self, CATALOGUE, CallIds, GROUPS, ScenarioChoice};
use crate::clock::Timestamp;
use crate::net::Destination;
use crate::net::client::ClientOptions;
use crate::net::query::Encoding;
use crate::output::OutputOptions;
use crate::seed::Seed;
use crate::send::deliver::RetryPolicy;
use crate::send::expect::{Expectation, Statuses};
use crate::send::plan::Methods;
use crate::send::schedule::ScheduleOptions;
use crate::suite;

/// How `--print` writes what would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Print {
    /// One CDR a line
    Json,
    /// One curl command a line
    Curl,
    /// A .http file for editors and their REST clients
    Http,
    /// A HAR 1.2 document
    Har,
    /// Targets for Vegeta, one JSON object a line
    Vegeta,
}

/// What there is to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Scenarios(Vec<ScenarioChoice>),
    /// What this file holds; `-` is standard input.
    File(PathBuf),
}

/// Where scripts of people with two terminals expect the receiver.
const LISTENER: &str = "http://127.0.0.1:8237/webhook/cdr";

/// The flags of `send`.
#[expect(
    clippy::struct_excessive_bools,
    reason = "a flag without a value is a boolean"
)]
#[derive(Debug, Args)]
#[command(before_help = help::SEND.examples(), after_help = help::SEND.end())]
pub struct SendOptions {
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
    pub method: Methods,
    /// Objects in a GET query: flat, as JSON text, or in brackets, as Node's qs has it
    #[arg(
        long,
        value_name = "HOW",
        default_value = "flat",
        hide_possible_values = true,
        help_heading = "Target"
    )]
    pub get_encoding: Encoding,
    /// Header to add, 'Name: value', or @FILE with one a line; repeatable
    #[arg(short = 'H', long, value_name = "HEADER", help_heading = "Target")]
    header: Vec<String>,
    /// Accept any TLS certificate
    #[arg(short = 'k', long, help_heading = "Target")]
    pub insecure: bool,
    /// PEM file with certificates to trust, too
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    pub cacert: Option<PathBuf>,
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
    pub suite: SuiteArgs,

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
    pub shape: Shape,
    /// The legs of a call have a shared call_id, or one per-leg
    #[arg(
        long,
        value_name = "HOW",
        default_value = "shared",
        hide_possible_values = true,
        help_heading = "Content"
    )]
    pub call_id: CallIds,
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
    pub at: Option<Timestamp>,

    /// Calls of each scenario
    #[arg(short = 'n', long, value_name = "N", value_parser = values::count, help_heading = "Delivery")]
    count: Option<u64>,
    /// Send for so long, again and again
    #[arg(long, value_name = "D", value_parser = values::some_time, help_heading = "Delivery")]
    pub duration: Option<Duration>,
    /// Deliveries per second, on an absolute schedule: 50/s
    #[arg(long, value_name = "N/s", value_parser = values::rate, help_heading = "Delivery")]
    rate: Option<f64>,
    /// Calls under way at once
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = values::whole::<usize, 1, 10_000>, help_heading = "Delivery")]
    pub concurrency: usize,
    /// Gaps of a call or capture: 1 is real time, 10 is ten times as fast, max has none
    #[arg(long, value_name = "X", default_value = "max", value_parser = values::speed, help_heading = "Delivery")]
    speed: Speed,
    /// Send each CDR N more times
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = values::whole::<u32, 0, 1_000>, help_heading = "Delivery")]
    duplicate: u32,
    /// Release N copies together, a connection each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = values::whole::<u32, 1, 200>, help_heading = "Delivery")]
    pub race: u32,
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
    pub yes: bool,

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
    pub max_latency: Option<Duration>,
    /// With --method both: the two replies must agree
    #[arg(long, help_heading = "Checks", conflicts_with_all = ["shuffle", "late"])]
    pub compare: bool,

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
    pub print: Option<Print>,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub output_options: OutputOptions,

    /// The URL or its default; none is the demo's own receiver.
    #[arg(skip)]
    pub destination: Option<Destination>,
    /// The values of `--header`.
    #[arg(skip)]
    pub headers: Vec<HeaderSource>,
    /// `--set`, `--set-json` and `--unset` in the order in which they were given.
    #[arg(skip)]
    pub edits: Vec<Edit>,
    /// Whether `--method` or its environment variable was given.
    #[arg(skip)]
    pub method_was_said: bool,
    /// The command as it was given, secrets masked, without the flags that its repetition adds.
    #[arg(skip)]
    pub command: String,
    /// The seed where none was given.
    #[arg(skip = Seed::fresh())]
    fresh_seed: Seed,
}

fn scenarios() -> impl clap::builder::TypedValueParser<Value = String> {
    let names = CATALOGUE
        .iter()
        .map(|scenario| scenario.name)
        .chain(GROUPS.iter().map(|(name, _)| *name));
    PossibleValuesParser::new(names.map(PossibleValue::new)).map(|name| name)
}

impl SendOptions {
    /// Reads what clap cannot, and refuses what contradicts itself.
    pub(super) fn invocation(
        mut self: Box<Self>,
        matches: &ArgMatches,
        arguments: &[OsString],
    ) -> Result<Invocation, String> {
        if self.list_scenarios {
            return Ok(Invocation::ListScenarios(self.output_options));
        }
        if self.suite.list_cases {
            return Ok(Invocation::ListCases(self.output_options));
        }
        let on_the_command_line =
            |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let url_was_said = on_the_command_line("url");
        // The flag wins over the environment, whichever of the two it contradicts.
        self.demo &= on_the_command_line("demo") || !url_was_said;
        // By the environment as well as on the command line.
        self.method_was_said = matches.value_source("method") != Some(ValueSource::DefaultValue);
        if self.race > 1 && self.retry > 0 {
            return Err(
                "--race releases copies together, which cannot be tried again together: leave out --retry"
                    .to_owned(),
            );
        }
        self.print = self.print.or(self.dry_run.then_some(Print::Json));
        // The demo and the suite use both methods unless one was asked for.
        if (self.demo || self.suite.suite) && !self.method_was_said {
            self.method = Methods::Both;
        }
        if self.compare && self.method != Methods::Both {
            return Err(
                "--compare holds the replies to POST and GET against each other: add --method both"
                    .to_owned(),
            );
        }
        let left_out = if self.suite.suite {
            suite::select(&self.suite.only, &self.suite.skip, self.method)?;
            &command::OF_THE_SUITE[..]
        } else {
            &command::OF_A_RUN[..]
        };
        // Read here and not by clap, which would quote a value that it refuses, secret or not.
        let header =
            |text: &String| values::header_source(text).map_err(|what| format!("--header: {what}"));
        self.headers = self.header.iter().map(header).collect::<Result<_, _>>()?;
        self.destination = self.destination(url_was_said)?;
        self.edits = self.edits(matches);
        self.command = command::as_given(arguments, left_out);
        Ok(Invocation::Send(self))
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

    fn destination(&self, url_was_said: bool) -> Result<Option<Destination>, String> {
        if self.demo {
            if url_was_said {
                return Err(
                    "--demo has a receiver of its own: leave out --url, or leave out --demo"
                        .to_owned(),
                );
            }
            return Ok(None);
        }
        match (&self.url, self.print.is_some()) {
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

    /// The seed of everything random.
    pub(crate) fn seed(&self) -> Seed {
        self.seed.unwrap_or(self.fresh_seed)
    }

    /// How many times through the scenarios or the file; none is without end.
    pub(crate) fn rounds(&self) -> Option<u64> {
        self.count.or(self.duration.is_none().then_some(1))
    }

    pub(crate) fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy {
            retries: self.retry,
            interval: self.retry_interval,
            seed: self.seed(),
        }
    }

    pub(crate) fn expectation(&self) -> Expectation {
        Expectation {
            statuses: self.expect_status.clone(),
            body: self.expect_body.clone(),
            max_latency: self.max_latency,
        }
    }

    pub(crate) fn source(&self) -> Source {
        if let Some(path) = &self.file {
            return Source::File(path.clone());
        }
        let names: Vec<&str> = match (self.click2call, self.scenario.is_empty()) {
            (true, _) => vec!["click2call"],
            (false, true) => vec!["agent-no-answer"],
            (false, false) => self.scenario.iter().map(String::as_str).collect(),
        };
        Source::Scenarios(names.into_iter().flat_map(scenarios::choices).collect())
    }

    /// The client options without the certificates of `--cacert`.
    pub(crate) fn client(&self) -> ClientOptions {
        ClientOptions {
            timeout: self.timeout,
            connect_timeout: self.connect_timeout.min(self.timeout),
            insecure: self.insecure,
            keep_alive: self.keep_alive,
            ..ClientOptions::default()
        }
    }

    pub(crate) fn account(&self) -> AccountOptions {
        AccountOptions {
            app_id: self.app_id,
            agent: self.agent.clone(),
            virtual_number: self.virtual_number,
            customer: self.to,
            custom: self.custom.clone(),
            extra_params: self.extra_params.clone(),
        }
    }

    pub(crate) fn schedule_options(&self) -> ScheduleOptions {
        ScheduleOptions {
            rate: self.rate,
            speed: self.speed.0,
            duplicate: self.duplicate,
            race: self.race,
            shuffle: self.shuffle,
            late: self.late,
            drop: self.drop,
            seed: self.seed(),
        }
    }
}
