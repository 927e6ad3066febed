//! The flags of `send`, with their defaults.

mod check;
mod command;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args, ValueEnum};

use super::help;
use super::values::HeaderSource;
use crate::cdr::Shape;
use crate::cdr::account::AccountOptions;
use crate::cdr::scenarios::{self, CATALOGUE, CallIds, GROUPS, ScenarioChoice};
use crate::clock::{Timestamp, read_duration};
use crate::net::Destination;
use crate::net::query::Encoding;
use crate::output::{OutputOptions, Repeat};
use crate::parse;
use crate::seed::Seed;
use crate::send::deliver::RetryPolicy;
use crate::send::edit::Edit;
use crate::send::expect::Expectation;
use crate::send::plan::Methods;
use crate::send::schedule::ScheduleOptions;
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
#[command(before_help = help::SEND.examples(), after_help = help::SEND.end())]
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
    /// HTTP method: post, get, or both (each CDR by POST, then by GET)
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "post", ignore_case = true, help_heading = TARGET)]
    pub method: Methods,
    /// Objects in a GET query: flat (as JSON text) or brackets (as Node's qs writes them)
    #[arg(long, value_name = "HOW", default_value = "flat", help_heading = TARGET)]
    pub get_encoding: Encoding,
    /// Header to add, 'Name: value', or @FILE with one header a line; repeatable
    #[arg(short = 'H', long, value_name = "HEADER", help_heading = TARGET)]
    header: Vec<String>,
    /// Accept any TLS certificate
    #[arg(short = 'k', long, help_heading = TARGET)]
    pub insecure: bool,
    /// PEM file with additional certificates to trust
    #[arg(long, value_name = "FILE", help_heading = TARGET)]
    pub cacert: Option<PathBuf>,
    /// Maximum time for a request and its answer: 500ms, 15s, 1m30s
    #[arg(long, value_name = "D", default_value = "15s", value_parser = parse::some_time, help_heading = TARGET)]
    pub timeout: Duration,
    /// Maximum time for opening a connection, TLS included
    #[arg(long, value_name = "D", default_value = "5s", value_parser = parse::some_time, help_heading = TARGET)]
    pub connect_timeout: Duration,
    /// Reuse connections instead of opening one for each delivery
    #[arg(long, help_heading = TARGET)]
    pub keep_alive: bool,

    /// Run test cases against the handler and report what failed
    #[arg(long, help_heading = SUITE, conflicts_with_all = ["demo", "file", "scenario", "click2call", "shape", "call_id", "set",
          "set_json", "unset", "get_encoding", "count", "duration", "concurrency", "speed", "duplicate", "race", "shuffle",
          "late", "drop", "retry", "retry_schedule", "keep_alive", "expect_status", "expect_body", "compare"])]
    pub suite: bool,
    /// Run only these test cases: names, globs, families (accepts, idempotent, tolerant, survives, prompt, guard), grades
    /// (doc, seen, inferred, hostile); repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "of_cases", help_heading = SUITE)]
    pub only: Vec<String>,
    /// Leave out these test cases; repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "of_cases", help_heading = SUITE)]
    pub skip: Vec<String>,
    /// Ask this URL what the handler stored of each CDR, and compare; {cmiuuid}, {request_id}, {call_id}, {user}, {to} and
    /// {port} are filled in
    #[arg(long, value_name = "URL", requires = "suite", conflicts_with = "read_back_cmd", help_heading = SUITE)]
    pub read_back: Option<String>,
    /// Ask a program instead, run without a shell; CDR_CMIUUID and so on are in its environment, too
    #[arg(long, value_name = "CMD", requires = "suite", help_heading = SUITE)]
    pub read_back_cmd: Option<String>,
    /// Time to ask again, since a handler may store after its reply
    #[arg(long, value_name = "D", default_value = "2s", value_parser = read_duration, help_heading = SUITE)]
    pub read_back_within: Duration,
    /// Where the handler's secret is, to send it wrong, empty and not at all: query:NAME, path, custom, appid,
    /// header:NAME; repeatable
    #[arg(long, value_name = "WHERE", requires = "suite", help_heading = SUITE)]
    pub guard: Vec<Guard>,
    /// Add N test cases with one field changed at random
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = parse::whole::<u64, 0, 10_000>, requires = "suite", help_heading = SUITE)]
    pub fuzz: u64,
    /// Earlier report of --format ndjson: only failures that it lacks fail the run
    #[arg(long, value_name = "FILE", requires = "suite", help_heading = SUITE)]
    pub baseline: Option<PathBuf>,
    /// Write the result as JUnit XML to this file
    #[arg(long, value_name = "FILE", requires = "suite", help_heading = SUITE)]
    pub junit: Option<PathBuf>,
    /// List the test cases with their descriptions
    #[arg(long, help_heading = SUITE)]
    pub list_cases: bool,
    /// Command that starts the handler, after --; gets PORT and TELECMI_CDR_URL, and is restarted when a case ends it
    #[arg(last = true, value_name = "CMD", requires = "suite", help_heading = SUITE)]
    pub handler: Vec<OsString>,

    /// Scenarios of calls; repeatable, or a,b,c
    #[arg(short, long, value_name = "NAME", value_delimiter = ',', value_parser = scenario_names(), help_heading = CONTENT, conflicts_with = "file")]
    scenario: Vec<String>,
    /// Send the click2call scenarios, as --scenario click2call does
    #[arg(long, help_heading = CONTENT, conflicts_with_all = ["scenario", "file"])]
    click2call: bool,
    /// List the scenarios with their CDRs
    #[arg(long, help_heading = CONTENT)]
    pub list_scenarios: bool,
    /// Send the content of a file (- is standard input): CDRs as JSON, or the exact requests of a capture or HAR
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
    /// Send the live events of the calls, too: their fields are documented, their order is seen for an unanswered agent
    /// or customer and inferred otherwise
    #[arg(long, help_heading = CONTENT, conflicts_with_all = ["file", "suite"])]
    pub with_events: bool,
    /// Set a field; the value gets the field's documented type; repeatable
    #[arg(long, value_name = "FIELD=VALUE", value_parser = Edit::set, help_heading = CONTENT)]
    set: Vec<Edit>,
    /// Set a field to any JSON value; repeatable
    #[arg(long, value_name = "FIELD=JSON", value_parser = Edit::set_json, help_heading = CONTENT)]
    set_json: Vec<Edit>,
    /// Remove a field; repeatable
    #[arg(long, value_name = "FIELD", value_parser = Edit::unset, help_heading = CONTENT)]
    unset: Vec<Edit>,
    /// Seed of generated values; the same seed and --at make the same bytes
    #[arg(long, value_name = "N", default_value_t = Seed::fresh(), hide_default_value = true, value_parser = parse::seed, help_heading = CONTENT)]
    pub seed: Seed,
    /// Time when the calls start: RFC 3339 or epoch milliseconds
    #[arg(long, value_name = "TIME", help_heading = CONTENT)]
    pub at: Option<Timestamp>,

    /// Number of calls of each scenario
    #[arg(short = 'n', long, value_name = "N", value_parser = parse::count, help_heading = DELIVERY)]
    count: Option<u64>,
    /// Repeat the scenarios or the file for this long
    #[arg(long, value_name = "D", value_parser = parse::some_time, help_heading = DELIVERY)]
    pub duration: Option<Duration>,
    #[command(flatten, next_help_heading = DELIVERY)]
    pub schedule: ScheduleOptions,
    #[command(flatten)]
    pub retry: RetryPolicy,
    /// Allow more than 100/s or 10 000 deliveries to another machine
    #[arg(long, help_heading = DELIVERY)]
    pub yes: bool,

    #[command(flatten, next_help_heading = CHECKS)]
    pub expectation: Expectation,
    /// With --method both: fail if the answers to POST and GET differ
    #[arg(long, help_heading = CHECKS, conflicts_with_all = ["shuffle", "late"])]
    pub compare: bool,

    /// Print the CDRs instead of sending them
    #[arg(long, help_heading = OUTPUT, conflicts_with = "demo")]
    dry_run: bool,
    /// Print the requests as json (one CDR a line), curl, http, har, vegeta or verdict; implies --dry-run
    #[arg(long, value_name = "HOW", help_heading = OUTPUT, conflicts_with = "demo")]
    pub print: Option<Print>,
    /// With --print verdict (what listen would say): fail if a payload departs from the documented CDR
    #[arg(long = "strict", id = "strict_verdict", help_heading = OUTPUT)]
    pub strict: bool,
    /// Mask passwords and tokens in the printed requests and in the repeat: line
    #[arg(long, help_heading = OUTPUT)]
    pub mask: bool,
    /// Write the output to a file instead of standard output
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
    pub(crate) fn rounds(&self) -> Option<u64> {
        self.count.or(self.duration.is_none().then_some(1))
    }

    pub(crate) fn scenarios(&self) -> Vec<ScenarioChoice> {
        let names: Vec<&str> = match (self.click2call, self.scenario.is_empty()) {
            (true, _) => vec!["click2call"],
            (false, true) => vec!["agent-no-answer"],
            (false, false) => self.scenario.iter().map(String::as_str).collect(),
        };
        names.into_iter().flat_map(scenarios::choices).collect()
    }
}
