//! The flags of `send`, with their defaults, and the values that depend on several flags.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{ArgGroup, ArgMatches, Args, ValueEnum};

use super::words::HeaderSource;
use super::{help, words};
use crate::cdr::Shape;
use crate::cdr::account::AccountOptions;
use crate::cdr::scenarios::{self, CATALOGUE, CallIds, GROUPS, ScenarioChoice};
use crate::clock::Timestamp;
use crate::net::Destination;
use crate::net::query::Encoding;
use crate::output::{OutputOptions, Repeat};
use crate::parse;
use crate::seed::Seed;
use crate::send::Methods;
use crate::send::edit::Edit;
use crate::send::expect::Expectation;
use crate::send::retry::RetryPolicy;
use crate::send::schedule::ScheduleOptions;
use crate::suite;
use crate::suite::guards::Guard;

/// The values of `--print`; shell completions show the variants' doc comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Print {
    /// The CDRs as JSON, one a line
    Json,
    /// A curl command for each request, one a line
    Curl,
    /// A .http file for editors and their REST clients
    Http,
    /// A HAR 1.2 document
    Har,
    /// Targets for Vegeta, one JSON object a line
    Vegeta,
    /// The verdict of listen on each request, one a line
    Verdict,
}

/// `send --print` without `--url` prints requests to a `listen` on its default port; errors name this URL too.
const LISTENER: &str = "http://127.0.0.1:8237/webhook/cdr";

/// The flags of generated CDRs, which change no file.
const GENERATOR: &str =
    "app_id agent virtual_number to custom extra_params shape call_id with_events";

const TARGET: &str = "Target";
const SUITE: &str = "Suite";
const CONTENT: &str = "Content";
const DELIVERY: &str = "Delivery";
const CHECKS: &str = "Checks";
const OUTPUT: &str = "Output";

#[expect(
    clippy::struct_excessive_bools,
    reason = "a flag without a value is a boolean"
)]
#[derive(Debug, Args)]
#[command(before_help = help::SEND.examples(), after_help = help::SEND.end(), arg = help::flag())]
#[command(group = ArgGroup::new("of_cases").args(["suite", "list_cases"]).multiple(true))]
pub struct SendOptions {
    /// URL of the handler; its query parameters are kept
    #[arg(long, value_name = "URL", help_heading = TARGET)]
    url: Option<String>,
    /// URL of the handler without `--url`, as curl takes the URL.
    #[arg(value_name = "URL", hide = true, conflicts_with = "url")]
    bare_url: Option<String>,
    /// Send to a built-in receiver and show both sides
    #[arg(long, help_heading = TARGET)]
    demo: bool,
    /// Send by post, get, or both (POST, then GET), which is the default of --suite and --demo
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "post", ignore_case = true, help_heading = TARGET)]
    pub method: Methods,
    /// Objects in a GET query: flat (as JSON text) or brackets (key by key, as Node's qs writes them)
    #[arg(long, value_name = "HOW", default_value = "flat", help_heading = TARGET)]
    pub get_encoding: Encoding,
    /// Header to add, 'Name: value', or @FILE with one header a line; repeatable
    #[arg(short = 'H', long, value_name = "HEADER", help_heading = TARGET)]
    header: Vec<String>,
    /// Accept any TLS certificate, as curl -k does
    #[arg(short = 'k', long, help_heading = TARGET)]
    pub insecure: bool,
    /// PEM file with additional certificates to trust, such as a self-signed one
    #[arg(long, value_name = "FILE", help_heading = TARGET)]
    pub cacert: Option<PathBuf>,
    /// Maximum time for a request and its answer: 500ms, 15s, 1m30s; in the family survives of --suite at most 3s, or
    /// 20 times as long as a good CDR takes
    #[arg(long, value_name = "D", default_value = "15s", value_parser = parse::some_time, help_heading = TARGET)]
    pub timeout: Duration,
    /// Maximum time for opening a connection, TLS included
    #[arg(long, value_name = "D", default_value = "5s", value_parser = parse::some_time, help_heading = TARGET)]
    pub connect_timeout: Duration,
    /// Reuse connections instead of opening one for each delivery
    #[arg(long, help_heading = TARGET)]
    pub keep_alive: bool,

    /// Run test cases against the handler, report failures
    #[arg(long, help_heading = SUITE, conflicts_with_all = ["demo", "file", "scenario", "click2call", "shape", "call_id", "set",
          "set_json", "unset", "get_encoding", "count", "duration", "concurrency", "speed", "duplicate", "race", "shuffle",
          "late", "drop", "retry", "retry_schedule", "keep_alive", "expect_status", "expect_body", "compare"])]
    pub suite: bool,
    /// Run only these test cases: a name of --list-cases, a pattern (get-*), a family (accepts, idempotent, tolerant,
    /// survives, prompt, guard) or a grade (doc, seen, inferred, hostile); repeatable, or
    /// a,b,c. A good CDR by each method of the cases is sent first and must be accepted
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "of_cases", help_heading = SUITE)]
    pub only: Vec<String>,
    /// Leave out these test cases, given as for --only
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "of_cases", help_heading = SUITE)]
    pub skip: Vec<String>,
    /// Ask this URL what the handler stored of each CDR, and compare; {cmiuuid}, {request_id}, {call_id}, {user}, {to} and
    /// {port} are filled in
    #[arg(long, value_name = "URL", requires = "suite", conflicts_with = "read_back_cmd", help_heading = SUITE)]
    pub read_back: Option<String>,
    /// Ask a program instead, run without a shell; the same values are filled in, and are in its environment as
    /// CDR_CMIUUID and so on
    #[arg(long, value_name = "CMD", requires = "suite", help_heading = SUITE)]
    pub read_back_cmd: Option<String>,
    /// How long to ask again, since a handler may store after its reply
    #[arg(long, value_name = "D", default_value = "2s", value_parser = parse::duration, help_heading = SUITE)]
    pub read_back_within: Duration,
    /// Where the handler's secret is, to send it wrong, empty and not at all: query:NAME, path, custom, appid,
    /// header:NAME; repeatable. The right secret is that of --url, --custom, --app-id or --header
    #[arg(long, value_name = "WHERE", requires = "suite", help_heading = SUITE)]
    pub guard: Vec<Guard>,
    /// Add N test cases, fuzz-*, with one field changed at random; the same --seed makes the same cases
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = parse::whole::<u64, 0, 10_000>, requires = "suite", help_heading = SUITE)]
    pub fuzz: u64,
    /// Earlier report, written with --format ndjson --output FILE: only failures that it lacks fail the run
    #[arg(long, value_name = "FILE", requires = "suite", help_heading = SUITE)]
    pub baseline: Option<PathBuf>,
    /// Write the result as JUnit XML to this file
    #[arg(long, value_name = "FILE", requires = "suite", help_heading = SUITE)]
    pub junit: Option<PathBuf>,
    /// List the test cases, or those of --only, with their descriptions, and run nothing
    #[arg(long, help_heading = SUITE)]
    pub list_cases: bool,
    /// Command that starts the handler, after --; gets PORT and TELECMI_CDR_URL, and is restarted when a case ends it
    #[arg(last = true, value_name = "CMD", requires = "suite", help_heading = SUITE)]
    pub handler: Vec<OsString>,

    /// Scenario, or group (all, click2call, softphone, mix); repeatable, or a,b,c [default: agent-no-answer]
    #[arg(short, long, value_name = "NAME", value_delimiter = ',', value_parser = scenario_names(), help_heading = CONTENT, conflicts_with = "file")]
    scenario: Vec<String>,
    /// Send each click2call scenario, as --scenario click2call does
    #[arg(long, help_heading = CONTENT, conflicts_with_all = ["scenario", "file"])]
    click2call: bool,
    /// List the scenarios with their CDRs, and send nothing
    #[arg(long, help_heading = CONTENT)]
    pub list_scenarios: bool,
    /// Send a file (- is standard input): CDRs as JSON, or the exact requests of a capture or HAR, at their own path if
    /// --url has none
    #[arg(short, long, value_name = "PATH", help_heading = CONTENT)]
    pub file: Option<PathBuf>,
    #[command(flatten, next_help_heading = CONTENT)]
    pub account: AccountOptions,
    /// Field types as documented (docs), or as seen in live accounts (live)
    #[arg(long, value_name = "SHAPE", default_value = "docs", help_heading = CONTENT)]
    pub shape: Shape,
    /// Whether the legs of a call share a call_id: shared or per-leg
    #[arg(long, value_name = "HOW", default_value = "shared", help_heading = CONTENT)]
    pub call_id: CallIds,
    /// Send the live events of the calls, too; their order was seen live for an agent or customer who does not answer,
    /// and is inferred for the other scenarios
    #[arg(long, help_heading = CONTENT, conflicts_with_all = ["file", "suite"])]
    pub with_events: bool,
    /// Set a field, typed as documented; repeatable
    #[arg(long, value_name = "FIELD=VALUE", value_parser = Edit::set, help_heading = CONTENT)]
    set: Vec<Edit>,
    /// Set a field to any JSON value; repeatable
    #[arg(long, value_name = "FIELD=JSON", value_parser = Edit::set_json, help_heading = CONTENT)]
    set_json: Vec<Edit>,
    /// Remove a field; repeatable
    #[arg(long, value_name = "FIELD", value_parser = Edit::unset, help_heading = CONTENT)]
    unset: Vec<Edit>,
    /// Seed of generated values, printed if not given; the same --seed and --at make the same bytes
    #[arg(long, value_name = "N", default_value_t = Seed::fresh(), hide_default_value = true, value_parser = parse::seed, help_heading = CONTENT)]
    pub seed: Seed,
    /// Time when the calls start: RFC 3339 or epoch milliseconds [default: within the last minute]
    #[arg(long, value_name = "TIME", help_heading = CONTENT)]
    pub at: Option<Timestamp>,

    #[command(flatten, next_help_heading = DELIVERY)]
    pub schedule: ScheduleOptions,
    #[command(flatten)]
    pub retry: RetryPolicy,
    /// Allow more than 100/s or 10 000 deliveries to another machine
    #[arg(long, help_heading = DELIVERY)]
    pub yes: bool,

    #[command(flatten, next_help_heading = CHECKS)]
    pub expectation: Expectation,

    /// Print the CDRs instead of sending them
    #[arg(long, help_heading = OUTPUT, conflicts_with = "demo")]
    dry_run: bool,
    /// Print instead of sending: json (one CDR a line), curl, http, har, vegeta, or verdict (what listen would say)
    #[arg(long, value_name = "HOW", help_heading = OUTPUT, conflicts_with = "demo")]
    pub print: Option<Print>,
    /// With --print verdict: exit with 1 if a CDR departs from the documented one
    #[arg(long = "strict", id = "strict_verdict", help_heading = OUTPUT)]
    pub strict: bool,
    /// Mask passwords and tokens of URLs and headers in the printed requests and in the repeat: line
    #[arg(long, help_heading = OUTPUT)]
    pub mask: bool,
    /// Write the output to a file, which is overwritten, instead of standard output
    #[arg(short, long, value_name = "FILE", help_heading = OUTPUT)]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub output_options: OutputOptions,

    /// `send --demo` and `send --suite -- CMD` without `--url` have no `destination`, because the port is not known yet.
    #[arg(skip)]
    pub destination: Option<Destination>,
    #[arg(skip)]
    pub headers: Vec<HeaderSource>,
    /// `edits` holds `--set`, `--set-json` and `--unset` in the order of the command line, in which they are applied.
    #[arg(skip)]
    pub edits: Vec<Edit>,
    /// Set if `--method` was given, as a flag or an environment variable: the parsed value alone may be clap's default.
    #[arg(skip)]
    pub method_was_said: bool,
    /// The given flags of [`GENERATOR`].
    #[arg(skip)]
    pub of_generator: Vec<&'static str>,
    #[arg(skip)]
    pub repeat: Repeat,
    /// The end of the command line from ` --` on: the command of the handler, quoted for a shell.
    #[arg(skip)]
    pub handler_command: String,
}

fn scenario_names() -> impl TypedValueParser<Value = String> {
    let scenarios = CATALOGUE.iter().map(|scenario| scenario.name);
    let groups = GROUPS.iter().map(|(name, _)| *name);
    PossibleValuesParser::new(scenarios.chain(groups))
}

impl SendOptions {
    pub(crate) fn scenarios(&self) -> Vec<ScenarioChoice> {
        let names: Vec<&str> = match (self.click2call, self.scenario.is_empty()) {
            (true, _) => vec!["click2call"],
            (false, true) => vec!["agent-no-answer"],
            (false, false) => self.scenario.iter().map(String::as_str).collect(),
        };
        names.into_iter().flat_map(scenarios::choices).collect()
    }

    /// Flag values that may hold secrets are parsed here instead of by clap, whose errors would quote them.
    pub(super) fn check(
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
        let was_said = |id: &str| matches.value_source(id) > Some(ValueSource::DefaultValue);
        self.method_was_said = was_said("method");
        let of_generator = GENERATOR.split(' ').filter(|id| was_said(id));
        self.of_generator = of_generator.collect();
        if self.schedule.race > 1 && self.retry.retries > 0 {
            let what = "--race cannot be used with --retry, because the copies of a race are sent \
                once: leave out --retry";
            return Err(what.to_owned());
        }
        self.print = self.print.or(self.dry_run.then_some(Print::Json));
        if (self.demo || self.suite) && !self.method_was_said {
            self.method = Methods::Both;
        }
        if self.expectation.compare && self.method != Methods::Both {
            let what = "--compare compares the replies to POST and GET: add --method both";
            return Err(what.to_owned());
        }
        if self.suite {
            let fuzz = suite::fuzz::cases(self.fuzz, self.seed);
            suite::select(&self.only, &self.skip, self.method, &fuzz)?;
        }
        let header =
            |text: &String| words::of_flag(matches, "--header", text, words::header_source);
        self.headers = self.header.iter().map(header).collect::<Result<_, _>>()?;
        self.destination = self.destination(matches, url_is_given)?;
        self.edits = self.edits(matches);
        let own = arguments.len() - self.handler.len();
        let own = own - usize::from(!self.handler.is_empty());
        // A suite's command is a part of its records and reports, in which secrets are always masked.
        let given = &arguments[..own];
        let masked = words::repeat_command(given, self.suite, true);
        let command = words::repeat_command(given, self.suite, self.suite || self.mask);
        self.repeat = Repeat {
            has_secrets: command != masked,
            command,
        };
        self.handler_command = words::quoted_words(&arguments[own..]);
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

    fn destination(
        &self,
        matches: &ArgMatches,
        url_is_given: bool,
    ) -> Result<Option<Destination>, String> {
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
                     {LISTENER}, and --demo has a receiver of its own;\n\
                     --print verdict --strict checks CDRs without sending them"
                ));
            }
        };
        words::of_flag(matches, "--url", url, Destination::parse).map(Some)
    }
}
