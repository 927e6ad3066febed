//! The flags of `listen`.

mod failing;
mod tunnel;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use self::failing::FailingArgs;
use self::tunnel::TunnelArgs;
use super::{help, values};
use crate::clock::read_duration;
use crate::listen::expect::{ExpectedCdrs, ExpectedField};
use crate::listen::respond::{Delay, ResponsePolicy};
use crate::listen::server::Limits;
use crate::listen::{Options, Until};
use crate::net::Destination;
use crate::net::Header;
use crate::output::OutputOptions;
use crate::seed::Seed;

/// The flags of `listen`.
#[derive(Debug, Args)]
#[command(before_help = help::LISTEN.examples(), after_help = help::LISTEN.end())]
pub struct ListenOptions {
    /// Port to listen on; 0 takes any free one
    #[arg(short, long, value_name = "N", default_value_t = 8237, value_parser = values::port, help_heading = "Where")]
    pub port: u16,
    /// Address to listen on; any other is open to the network
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1",
        help_heading = "Where"
    )]
    pub host: String,

    /// Show it in a browser too, on PORT or any free one, for this machine alone
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "0", value_parser = values::port, help_heading = BESIDE)]
    pub inspect: Option<u16>,
    /// Append each exchange as it came, secrets too; replay it with send --file
    #[arg(long, value_name = "FILE", help_heading = BESIDE)]
    pub save: Option<PathBuf>,
    /// Mask telephone numbers, app ids and known secrets in it; names and other words stay
    #[arg(long, requires = "save", help_heading = BESIDE)]
    pub redact: bool,
    /// Pass requests on as they came, return the handler's answer; the URL's path counts, if any
    #[arg(long, value_name = "URL", help_heading = BESIDE)]
    forward_to: Option<String>,

    #[command(flatten)]
    pub tunnel: TunnelArgs,

    /// Status of a good answer
    #[arg(long, value_name = "STATUS", default_value = "200", value_parser = values::status, help_heading = "Answer")]
    status: u16,
    /// Body of a good answer
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "got it",
        help_heading = "Answer"
    )]
    body: String,
    /// Header of a good answer, 'Name: value'; repeatable
    #[arg(short = 'H', long, value_name = "HEADER", help_heading = "Answer")]
    header: Vec<String>,
    /// Hold answers back: 500ms, or by chance: 100ms..2s
    #[arg(long, value_name = "D|A..B", help_heading = "Answer")]
    delay: Option<Delay>,
    /// Seed for --delay and --fault-rate
    #[arg(long, value_name = "N", value_parser = values::seed, help_heading = "Answer")]
    seed: Option<Seed>,

    #[command(flatten)]
    pub failing: FailingArgs,

    /// Refuse what departs from the schema with 422, and exit 1 at the end
    #[arg(long, help_heading = "For scripts")]
    strict: bool,
    /// Stop after this many CDRs
    #[arg(short = 'n', long, value_name = "N", value_parser = values::count, help_heading = "For scripts")]
    count: Option<u64>,
    /// Count only CDRs that have it: leg=a; repeatable
    #[arg(long, value_name = "FIELD=VALUE", help_heading = "For scripts")]
    expect: Vec<ExpectedField>,
    /// Listen so much longer at the end; a CDR more than --count then fails the run
    #[arg(long, value_name = "D", value_parser = read_duration, help_heading = "For scripts")]
    settle: Option<Duration>,
    /// Stop after this time; exit 124 if short of --count
    #[arg(long, value_name = "D", value_parser = values::some_time, help_heading = "For scripts")]
    timeout: Option<Duration>,
    /// Write the URL to this file once requests are taken
    #[arg(long, value_name = "FILE", help_heading = "For scripts")]
    pub ready_file: Option<PathBuf>,
    /// After --: run this with TELECMI_CDR_URL set, and stop when it ends
    #[arg(last = true, value_name = "CMD", help_heading = "For scripts")]
    pub command: Vec<OsString>,

    /// Largest body, answered 413 above it
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = values::size, help_heading = "Limits")]
    max_body: u64,
    /// How long a request's head may take
    #[arg(long, value_name = "D", default_value = "15s", value_parser = values::some_time, help_heading = "Limits")]
    header_timeout: Duration,
    /// How long its body may take, answered 408 after it
    #[arg(long, value_name = "D", default_value = "15s", value_parser = values::some_time, help_heading = "Limits")]
    body_timeout: Duration,

    #[command(flatten)]
    pub output_options: OutputOptions,

    /// The values of `--header`.
    #[arg(skip)]
    headers: Vec<Header>,
    /// The handler of `--forward-to`.
    #[arg(skip)]
    pub destination: Option<Destination>,
    /// The seed where none was given.
    #[arg(skip = Seed::fresh())]
    fresh_seed: Seed,
}

/// The heading of what a listener does beside answering.
const BESIDE: &str = "Show, keep, pass on";

impl ListenOptions {
    /// Reads what clap would quote when it refuses a value, secret or not, and refuses `-` as a file.
    pub(super) fn checked(mut self: Box<Self>) -> Result<Box<Self>, String> {
        let header =
            |text: &String| values::header(text).map_err(|what| format!("--header: {what}"));
        self.headers = self.header.iter().map(header).collect::<Result<_, _>>()?;
        let destination =
            |url: &String| Destination::parse(url).map_err(|what| format!("--forward-to: {what}"));
        self.destination = self.forward_to.as_ref().map(destination).transpose()?;
        self.tunnel.check()?;
        let is_stdout =
            |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| path.as_os_str() == "-");
        if is_stdout(&self.save) {
            return Err(
                "--save takes a file; --format ndjson writes the same records to standard output"
                    .to_owned(),
            );
        }
        if is_stdout(&self.ready_file) || is_stdout(&self.failing.report) {
            return Err(
                "--ready-file and --report take files; both are shown without them, too".to_owned(),
            );
        }
        Ok(self)
    }

    /// The options of the listener, but for what needs a port or a file.
    pub(crate) fn listener(&self) -> Options {
        Options {
            policy: ResponsePolicy {
                status: self.status,
                body: self.body.clone(),
                headers: self.headers.clone(),
                delay: self.delay.unwrap_or_default(),
                strict: self.strict,
                seed: self.seed.unwrap_or(self.fresh_seed),
            },
            faults: self.failing.faults(),
            expected: ExpectedCdrs {
                count: self.count,
                fields: self.expect.clone(),
                settle: self.settle.unwrap_or_default(),
            },
            until: if self.command.is_empty() {
                Until::Reached
            } else {
                Until::Stopped
            },
            timeout: self.timeout,
            trust_proxy: self.tunnel.trust_proxy,
            limits: Limits {
                max_body: self.max_body,
                header_timeout: self.header_timeout,
                body_timeout: self.body_timeout,
                ..Limits::default()
            },
            ..Options::default()
        }
    }

    /// The fresh seed, if a delay or a fault depends on it.
    pub(crate) fn chosen_seed(&self) -> Option<Seed> {
        let by_chance =
            self.delay.unwrap_or_default().is_random() || self.failing.faults().is_random();
        (self.seed.is_none() && by_chance).then_some(self.fresh_seed)
    }
}
