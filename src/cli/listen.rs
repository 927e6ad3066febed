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
use crate::listen::tunnel::Tunnel;
use crate::listen::{Options, Until};
use crate::net::client::Destination;
use crate::output::OutputOptions;
use crate::seed::Seed;

/// The flags of `listen`.
#[derive(Debug, Args)]
#[command(before_help = help::LISTEN.examples(), after_help = help::LISTEN.end())]
pub(super) struct ListenArgs {
    /// Port to listen on; 0 takes any free one
    #[arg(short, long, value_name = "N", default_value_t = 8237, value_parser = values::port, help_heading = "Where")]
    port: u16,
    /// Address to listen on; any other is open to the network
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1",
        help_heading = "Where"
    )]
    host: String,

    /// Show it in a browser too, on PORT or any free one, for this machine alone
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "0", value_parser = values::port, help_heading = BESIDE)]
    inspect: Option<u16>,
    /// Append each exchange as it came, secrets too; replay it with send --file
    #[arg(long, value_name = "FILE", help_heading = BESIDE)]
    save: Option<PathBuf>,
    /// Mask telephone numbers, app ids and known secrets in it; names and other words stay
    #[arg(long, requires = "save", help_heading = BESIDE)]
    redact: bool,
    /// Pass requests on as they came, return the handler's answer; the URL's path counts, if any
    #[arg(long, value_name = "URL", help_heading = BESIDE)]
    forward_to: Option<String>,

    #[command(flatten)]
    tunnel: TunnelArgs,

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
    failing: FailingArgs,

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
    ready_file: Option<PathBuf>,
    /// After --: run this with TELECMI_CDR_URL set, and stop when it ends
    #[arg(last = true, value_name = "CMD", help_heading = "For scripts")]
    command: Vec<OsString>,

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
    output_options: OutputOptions,
}

/// The heading of what a listener does beside answering.
const BESIDE: &str = "Show, keep, pass on";

/// What the user wants of `listen`.
#[derive(Debug)]
pub struct ListenOptions {
    /// The port, or 0.
    pub port: u16,
    /// The address.
    pub host: String,
    /// Where the URL is written once requests are taken.
    pub ready_file: Option<PathBuf>,
    /// The handler that requests are passed on to.
    pub forward_to: Option<Destination>,
    /// The seed, if it is ours and decides something: then it is worth telling.
    pub chosen_seed: Option<Seed>,
    /// Where the report on what came back goes.
    pub report: Option<PathBuf>,
    /// The file that takes what comes, and how it takes it.
    /// The path, and whether to redact.
    pub save: Option<(PathBuf, bool)>,
    /// What the listener follows, but for what takes a port or a file: the handler, the file, the public URL.
    pub options: Options,
    /// The port of the page that shows what comes, or 0; nothing if there is to be none.
    pub inspect: Option<u16>,
    /// The tunnel to open, if there is one.
    pub tunnel: Option<Tunnel>,
    /// What the rest of the world sends to, where that is known beforehand.
    pub public_url: Option<String>,
    /// The program to run beside it, and its arguments; or nothing.
    pub command: Vec<OsString>,
    /// How it is shown.
    pub output_options: OutputOptions,
}

impl ListenArgs {
    pub(super) fn options(self) -> Result<ListenOptions, String> {
        // Read here and not by clap, which would quote a value that it refuses, secret or not.
        let header =
            |text: &String| values::header(text).map_err(|what| format!("--header: {what}"));
        let headers = self.header.iter().map(header).collect::<Result<_, _>>()?;
        let destination =
            |url: &String| Destination::parse(url).map_err(|what| format!("--forward-to: {what}"));
        let forward_to = self.forward_to.as_ref().map(destination).transpose()?;
        let public_url = self.tunnel.public_url()?;
        let policy = ResponsePolicy {
            status: self.status,
            body: self.body,
            headers,
            delay: self.delay.unwrap_or_default(),
            strict: self.strict,
            seed: self.seed.unwrap_or_else(Seed::fresh),
        };
        let faults = self.failing.faults();
        let limits = Limits {
            max_body: self.max_body,
            header_timeout: self.header_timeout,
            body_timeout: self.body_timeout,
            ..Limits::default()
        };
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
        let expected = ExpectedCdrs {
            count: self.count,
            fields: self.expect,
            settle: self.settle.unwrap_or_default(),
        };
        let until = if self.command.is_empty() {
            Until::Reached
        } else {
            Until::Stopped
        };
        Ok(ListenOptions {
            port: self.port,
            host: self.host,
            ready_file: self.ready_file,
            save: self.save.map(|path| (path, self.redact)),
            forward_to,
            chosen_seed: (self.seed.is_none()
                && (policy.delay.is_by_chance() || faults.is_by_chance()))
            .then_some(policy.seed),
            report: self.failing.report,
            options: Options {
                policy,
                faults,
                expected,
                until,
                timeout: self.timeout,
                trust_proxy: self.tunnel.trusts_proxy(),
                limits,
                ..Options::default()
            },
            inspect: self.inspect,
            tunnel: self.tunnel.tunnel(),
            public_url,
            command: self.command,
            output_options: self.output_options,
        })
    }
}
