//! The flags of `listen`, with their defaults.

use std::ffi::OsString;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use tokio::sync::watch;

use super::{help, words};
use crate::listen::fault::{Delay, Fault, Faults};
use crate::listen::respond::ResponsePolicy;
use crate::listen::server::Limits;
use crate::listen::tunnel::Tunnel;
use crate::listen::{ExpectedCdrs, Options};
use crate::net::{Destination, Header};
use crate::output::OutputOptions;
use crate::parse;
use crate::seed::Seed;

const WHERE: &str = "Where";
const BESIDE: &str = "Inspecting and forwarding";
const TUNNEL: &str = "Behind a tunnel";
const ANSWER: &str = "Answer";
const FAILING: &str = "Fault injection";
const SCRIPTS: &str = "For scripts";
const LIMITS: &str = "Limits";

/// The help of `--tunnel` is a constant, because rustdoc would read the brackets in a doc comment as links.
const TUNNEL_HELP: &str = "Start a tunnel and show its public URL: cloudflared, ngrok, bore[:SERVER], ssh:[USER@]HOST[:PORT]";

#[expect(
    clippy::struct_excessive_bools,
    reason = "a flag without a value is a boolean"
)]
#[derive(Debug, Args)]
#[command(before_help = help::LISTEN.examples(), after_help = help::LISTEN.end(), arg = help::flag())]
pub struct ListenOptions {
    /// Port to listen on; 0 chooses a free port
    #[arg(short, long, value_name = "N", default_value_t = 8237, value_parser = parse::port, help_heading = WHERE)]
    pub port: u16,
    /// Address to listen on; any but a loopback address is open to the network
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", help_heading = WHERE)]
    pub host: String,

    /// Show requests in a browser on this machine, on PORT or a free port
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "0", value_parser = parse::port, help_heading = BESIDE)]
    pub inspect: Option<u16>,
    /// Append each exchange to a file, secrets included; replay it with send --file
    #[arg(long, value_name = "FILE", help_heading = BESIDE)]
    pub save: Option<PathBuf>,
    /// Mask telephone numbers (in `custom` and other text too), app ids and known secrets in the saved file; names and
    /// other words stay
    #[arg(long, requires = "save", help_heading = BESIDE)]
    pub redact: bool,
    /// Forward each request unchanged to this URL and return its answer; a path in URL replaces the request's
    #[arg(long, value_name = "URL", help_heading = BESIDE)]
    forward_to: Option<String>,
    /// Forward health checks and browsers' requests for icons too
    #[arg(long, requires = "forward_to", help_heading = BESIDE)]
    forward_probes: bool,

    #[arg(long, help = TUNNEL_HELP, conflicts_with_all = ["tunnel_cmd", "public_url"], help_heading = TUNNEL)]
    tunnel: Option<Tunnel>,
    /// Start any other tunnel by a shell command with {port} or {url}; the first URL it prints is the public one
    #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new(), help_heading = TUNNEL)]
    tunnel_cmd: Option<String>,
    /// Public URL to show, if the listener is reachable by another address
    #[arg(long, value_name = "URL", help_heading = TUNNEL)]
    pub public_url: Option<String>,
    /// Show the client address of X-Forwarded-For and similar headers as well
    #[arg(long, help_heading = TUNNEL)]
    trust_proxy: bool,

    /// Status of the answers to valid requests, unless --forward-to answers; bodies that cannot be read get 400
    #[arg(long, default_value = "200", value_parser = parse::status, help_heading = ANSWER)]
    status: u16,
    /// Body of the answers to valid requests, as text/plain unless --header sets a Content-Type
    #[arg(long, value_name = "TEXT", default_value = "got it", help_heading = ANSWER)]
    body: String,
    /// Header to add to the answers, 'Name: value'; repeatable
    #[arg(short = 'H', long, help_heading = ANSWER)]
    header: Vec<String>,
    /// Time before each answer: 500ms, or random within 100ms..2s
    #[arg(long, value_name = "D|A..B", help_heading = ANSWER)]
    delay: Option<Delay>,
    /// Seed for --delay and --fault-rate
    #[arg(long, value_name = "N", default_value_t = Seed::fresh(), hide_default_value = true, value_parser = parse::seed, help_heading = ANSWER)]
    pub seed: Seed,

    /// Fail the first N requests; --count counts them too
    #[arg(long, value_name = "N", value_parser = parse::count, help_heading = FAILING)]
    fail_first: Option<u64>,
    /// Kind of failure: status (503), status:NNN, reset, empty, hang, slow or garbage; alone, it fails every
    /// request
    #[arg(long, value_name = "KIND", help_heading = FAILING)]
    fault: Option<Fault>,
    /// Fail this share of the requests at random: 0.1 or 10%
    #[arg(long, value_name = "P", value_parser = parse::share, help_heading = FAILING)]
    fault_rate: Option<f64>,
    /// Write a report on the retries of failed requests to this file, at the end
    #[arg(long, value_name = "FILE", help_heading = FAILING)]
    pub report: Option<PathBuf>,

    /// Answer CDRs that depart from the schema with 422, and exit with 1
    #[arg(long, help_heading = SCRIPTS)]
    strict: bool,
    #[command(flatten, next_help_heading = SCRIPTS)]
    expected: ExpectedCdrs,
    /// Stop after this time, such as 30s or 5m; exit with 124 if --count was not reached
    #[arg(long, value_name = "D", value_parser = parse::some_time, help_heading = SCRIPTS)]
    timeout: Option<Duration>,
    /// Write the URL to this file once the port is open
    #[arg(long, value_name = "FILE", help_heading = SCRIPTS)]
    pub ready_file: Option<PathBuf>,
    /// Ask the listener at URL instead of listening; exit with 0 if it answers with 2xx, else 1
    #[arg(long, value_name = "URL", help_heading = SCRIPTS)]
    healthcheck: Option<String>,
    /// Command to run, after --; gets TELECMI_CDR_URL, which is also the --url of telecmi-cdr send; listening stops when it
    /// ends
    #[arg(last = true, value_name = "CMD", help_heading = SCRIPTS)]
    pub command: Vec<OsString>,

    /// Maximum size of a request body, such as 64KiB; larger bodies are answered with 413
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse::size, help_heading = LIMITS)]
    max_body: u64,
    /// Maximum time for receiving the head of a request
    #[arg(long, value_name = "D", default_value = "15s", value_parser = parse::some_time, help_heading = LIMITS)]
    header_timeout: Duration,
    /// Maximum time for receiving a request body; slower bodies are answered with 408
    #[arg(long, value_name = "D", default_value = "15s", value_parser = parse::some_time, help_heading = LIMITS)]
    body_timeout: Duration,

    #[command(flatten)]
    pub output_options: OutputOptions,

    #[arg(skip)]
    headers: Vec<Header>,
    #[arg(skip)]
    pub destination: Option<Destination>,
    #[arg(skip)]
    pub checked: Option<Destination>,
    /// `drawn_seed` is set if delays or faults use a random seed that was not given by `--seed`.
    #[arg(skip)]
    pub drawn_seed: Option<Seed>,
}

/// Refuses an address with a port, or a URL, as the value of `--host`.
fn without_port(host: &str) -> Result<(), String> {
    let rest = host.split_once("://").map_or(host, |(_, rest)| rest);
    let rest = rest.split(['/', '?']).next().unwrap_or_default();
    let is_ipv6 = host.parse::<Ipv6Addr>().is_ok();
    match rest.rsplit_once(':').filter(|_| !is_ipv6) {
        Some((address, port)) if port.parse::<u16>().is_ok() => Err(format!(
            "expected an address without a port: --host {} --port {port}",
            address.trim_matches(['[', ']'])
        )),
        _ if host != rest => Err(format!("expected an address, not a URL: --host {rest}")),
        _ => Ok(()),
    }
}

impl ListenOptions {
    /// Flag values that may hold secrets are parsed here instead of by clap, whose errors would quote them.
    pub(super) fn check(&mut self, matches: &ArgMatches) -> Result<(), String> {
        words::of_flag(matches, "--host", &self.host, without_port)?;
        let header = |text: &String| words::of_flag(matches, "--header", text, words::header);
        self.headers = self.header.iter().map(header).collect::<Result<_, _>>()?;
        let url = |flag, url: &Option<String>| {
            let read = |url: &String| words::of_flag(matches, flag, url, Destination::parse);
            url.as_ref().map(read).transpose()
        };
        self.destination = url("--forward-to", &self.forward_to)?;
        self.checked = url("--healthcheck", &self.healthcheck)?;
        let public_url = url("--public-url", &self.public_url)?;
        self.public_url = public_url.map(|url| url.typed);
        let is_stdout =
            |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| path.as_os_str() == "-");
        if is_stdout(&self.save) {
            let what =
                "--save needs a file; --format ndjson writes the same records to standard output";
            return Err(what.to_owned());
        }
        if is_stdout(&self.ready_file) || is_stdout(&self.report) {
            let what = "--ready-file and --report need a file; without these flags the URL and the \
                report are shown as text";
            return Err(what.to_owned());
        }
        let is_random = self.delay.unwrap_or_default().is_random() || self.faults().is_random();
        let is_drawn = matches.value_source("seed") == Some(ValueSource::DefaultValue);
        self.drawn_seed = (is_random && is_drawn).then_some(self.seed);
        Ok(())
    }

    pub(crate) fn listener(&self) -> Options {
        Options {
            policy: watch::Sender::new(ResponsePolicy {
                status: self.status,
                body: self.body.clone().into(),
                headers: self.headers.clone(),
                delay: self.delay.unwrap_or_default(),
                strict: self.strict,
                seed: self.seed,
            }),
            faults: self.faults(),
            expected: self.expected.clone(),
            until_stopped: !self.command.is_empty(),
            timeout: self.timeout,
            trust_proxy: self.trust_proxy,
            forward_probes: self.forward_probes,
            limits: Limits {
                tunnelled: self.tunnel().is_some(),
                max_body: self.max_body,
                header_timeout: self.header_timeout,
                body_timeout: self.body_timeout,
                ..Limits::default()
            },
            ..Options::default()
        }
    }

    fn faults(&self) -> Faults {
        let all = self.fault.is_some() && self.fail_first.is_none();
        Faults {
            fault: self.fault.unwrap_or_default(),
            first: self.fail_first.unwrap_or(0),
            rate: self.fault_rate.unwrap_or(if all { 1.0 } else { 0.0 }),
        }
    }

    pub(crate) fn tunnel(&self) -> Option<Tunnel> {
        let command = || self.tunnel_cmd.clone().map(Tunnel::Command);
        self.tunnel.clone().or_else(command)
    }
}
