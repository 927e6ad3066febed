//! `send`: makes a plan from the flags, then sends or prints the plan's requests.

use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;

use super::signals::Signals;
use super::{Session, files, print};
use crate::cdr::account::Account;
use crate::cdr::scenarios::GenerateOptions;
use crate::cdr::schema;
use crate::cli::send::SendOptions;
use crate::cli::words::{self, HeaderSource};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Exit};
use crate::input::{self, Item};
use crate::json;
use crate::net::client::{Client, ClientOptions, proxy_in_use};
use crate::net::raw::{RawClient, RawRequest};
use crate::net::secret::MASK;
use crate::net::{self, Destination, Failure, Header, Request, Response};
use crate::output::{Repeat, Show};
use crate::seed::{Seed, Stream};
use crate::send::deliver::Transport;
use crate::send::edit::Edit;
use crate::send::template::RequestTemplate;
use crate::send::{self, Content, Origin, Plan, replay};

/// Without `--yes`, deliveries to another machine are limited to 100 a second and 10 000 in all.
const MAX_PER_SECOND: f64 = 100.0;
const MAX_DELIVERIES: f64 = 10_000.0;

pub async fn run(options: &SendOptions, destination: &Destination) -> Result<Exit, Error> {
    let mut show = send_output(options, Some(options.repeat.clone()))?;
    let clock = Clock::start();
    let mut plan = prepare(options, destination, clock, &mut show)?;
    allow(&mut plan, options, destination, &mut show)?;
    let plan = Arc::new(plan);
    if let Some(how) = options.print {
        let printer = print::Printer::new(how, options, destination, show);
        return Ok(print::plan(&plan, printer));
    }
    let transport = transport(options, destination, &mut show)?;
    let (output, session) = Session::start(show, Signals::new(false));
    let run = send::run(&plan, transport, clock, session.stop(), output);
    Ok(session.finish(async { run.await.exit }).await)
}

pub fn prepare(
    options: &SendOptions,
    destination: &Destination,
    clock: Clock,
    show: &mut Show,
) -> Result<Plan, Error> {
    let seed = options.seed;
    let at = options.at.unwrap_or_else(|| rang_until(clock.now(), seed));
    let template = RequestTemplate {
        target: destination.target().to_owned(),
        methods: options.method,
        encoding: options.get_encoding,
        headers: headers(&options.headers)?,
        edits: options.edits.clone(),
        host: (!destination.is_loopback()).then(|| destination.authority().to_owned()),
        authorization: destination.authorization.clone(),
    };
    let content = if let Some(path) = &options.file {
        if !options.of_generator.is_empty() {
            show.remark(
                "flags of generated CDRs, such as --to, --agent and --shape, have no effect on a \
                file: use --set to=…",
            );
        }
        let input = input::read(&files::read(path)?, &files::name(path))?;
        input.warnings.iter().for_each(|warning| show.warn(warning));
        announce_replay(&input.items, &template, options, destination, show)?;
        for (n, item) in (1..).zip(&input.items) {
            template.check(item).map_err(|what| Error::Input {
                place: format!("{}: object {n}", files::name(path)),
                what,
            })?;
        }
        warn_of_unknown(&options.edits, show, |field| {
            let is_named = |member: &json::Member<'_>| member.name == field;
            input.items.iter().any(|item| match item {
                Item::Body(body) => json::members_of(body).iter().any(is_named),
                Item::Captured(..) => true,
            })
        });
        Content::File(input.items)
    } else {
        let choices = options.scenarios();
        let flags = options.of_generator.iter();
        for id in flags.filter(|id| !choices.iter().any(|choice| choice.takes(id))) {
            let what = match *id {
                "to" => ": the chosen scenarios never ring the customer (customer-no-answer does)",
                _ => " on the chosen scenarios (customer-no-answer takes it)",
            };
            let flag = id.replace('_', "-");
            show.remark(&format!("--{flag} has no effect{what}"));
        }
        warn_of_unknown(&options.edits, show, |_| false);
        let setting = GenerateOptions {
            account: Account::new(&options.account, seed),
            shape: options.shape,
            call_ids: options.call_id,
            at,
            seed,
            with_events: options.with_events,
        };
        Content::Scenarios(choices, setting)
    };
    Ok(Plan {
        content,
        template,
        schedule: options.schedule,
        retry: options.retry.clone(),
        expectation: options.expectation.clone(),
        shown_url: destination.to_string(),
        seed,
        at,
    })
}

fn warn_of_unknown(edits: &[Edit], show: &mut Show, is_in_file: impl Fn(&str) -> bool) {
    for Edit { flag, field, .. } in edits {
        if schema::documented(field).is_none() && !is_in_file(field) {
            show.warn(&format!("{flag} {field}: {}", schema::unknown(field)));
        }
    }
}

fn is_masked(request: &Request) -> bool {
    request.target.contains(MASK) || request.headers.iter().any(|header| header.value == MASK)
}

/// Refuses `--compare` for captured requests, and reports masked secrets, flags without effect and changes made by a
/// proxy.
fn announce_replay(
    items: &[Item],
    template: &RequestTemplate,
    options: &SendOptions,
    destination: &Destination,
    show: &mut Show,
) -> Result<(), Error> {
    let captured = items.iter().filter_map(|item| match item {
        Item::Captured(place, captured) => Some((place, captured)),
        Item::Body(_) => None,
    });
    if captured.clone().next().is_none() {
        return Ok(());
    }
    if options.expectation.compare {
        let what = "--compare needs CDRs sent by POST and by GET, but captured requests keep their \
            method: leave out --compare";
        return Err(Error::Usage(what.to_owned()));
    }
    if options.method_was_said {
        show.remark("--method has no effect on a capture: captured requests keep their method");
    }
    let mut masked = captured.clone().filter(|(_, captured)| {
        let sent = || template.prepare_capture(&captured.request).requests;
        is_masked(&captured.request) && sent().iter().any(|request| is_masked(request))
    });
    if let Some((place, _)) = masked.next() {
        show.warn(&format!(
            "{place}: the file is redacted, and {MASK} is sent in place of a secret: set the secret by -H or in the URL's query"
        ));
    }
    let mut unchanged = captured.filter(|(_, captured)| {
        !options.edits.is_empty() && !replay::is_editable(&captured.request)
    });
    if let Some((place, _)) = unchanged.next() {
        let these = match 1 + unchanged.count() {
            1 => "this request".to_owned(),
            count => format!("{count} requests"),
        };
        show.warn(&format!(
            "{place}: no CDR to change: --set, --set-json and --unset have no effect on {these}"
        ));
    }
    if options.print.is_none()
        && let Some(proxy) = proxy_in_use(destination)
    {
        show.remark(&format!(
            "using the proxy {proxy}: captured header names are sent in lower case, and the \
             headers of the connection are replaced; with NO_PROXY={} the requests are sent \
             unchanged",
            destination.host()
        ));
    }
    Ok(())
}

/// Generated calls start 10 to 60 seconds in the past, as if they had just stopped ringing. \[seen: `time` is now less
/// the ring time\]
fn rang_until(now: Timestamp, seed: Seed) -> Timestamp {
    let ring = seed.rng(Stream::Account, 1).random_range(10_000..60_000);
    now.before(Duration::from_millis(ring))
}

pub fn headers(sources: &[HeaderSource]) -> Result<Vec<Header>, Error> {
    let mut headers = Vec::new();
    for source in sources {
        match source {
            HeaderSource::One(header) => headers.push(header.clone()),
            HeaderSource::File(path) => {
                let text = files::read_text(path)?;
                let lines = (1..).zip(text.lines());
                for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
                    let header = words::header(line);
                    headers.push(header.map_err(|what| files::in_line(path, number, &what))?);
                }
            }
        }
    }
    Ok(headers)
}

/// Endless runs cannot be printed, and large runs to another machine need `--yes`. Without `--rate` and `--yes`,
/// deliveries to another machine are limited to `MAX_PER_SECOND`.
fn allow(
    plan: &mut Plan,
    options: &SendOptions,
    destination: &Destination,
    show: &mut Show,
) -> Result<(), Error> {
    if options.print.is_some() && plan.schedule.rounds().is_none() {
        let what = "the requests of a --duration cannot be printed, because their number is \
            unknown: use --count";
        return Err(Error::Usage(what.to_owned()));
    }
    if options.print.is_some() || destination.is_loopback() || options.yes {
        return Ok(());
    }
    let rate = plan.schedule.rate.unwrap_or(MAX_PER_SECOND);
    let in_time = plan.schedule.duration.map(|span| rate * span.as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "a comparison with ten thousand")]
    let counted = plan.most_deliveries().map(|n| n as f64);
    let limits = counted.into_iter().chain(in_time);
    let most = limits.fold(f64::INFINITY, f64::min);
    if rate > MAX_PER_SECOND || most > MAX_DELIVERIES {
        return Err(Error::Usage(format!(
            "{} is another machine, and the run exceeds 100/s or 10 000 deliveries: add --yes to \
             allow it",
            destination.place()
        )));
    }
    if plan.schedule.rate.is_none() && most > MAX_PER_SECOND {
        let what = "limited to 100/s, because the destination is another machine";
        show.remark(&format!("{what}; --yes removes the limit"));
        plan.schedule.rate = Some(MAX_PER_SECOND);
    }
    Ok(())
}

/// Makes the output of `send`, to the file of `--output` if there is one.
pub fn send_output(options: &SendOptions, repeat: Option<Repeat>) -> Result<Show, Error> {
    files::distinct(&[
        ("--file", &options.file),
        ("--baseline", &options.baseline),
        ("--junit", &options.junit),
        ("--output", &options.output),
    ])?;
    let file = options.output.as_deref().map(files::create).transpose()?;
    let file = file.map(|file| Box::new(BufWriter::new(file)) as Box<dyn Write + Send>);
    Ok(Show::new(options.output_options, file, repeat))
}

pub fn client_options(options: &SendOptions) -> Result<ClientOptions, Error> {
    let certificates = options.cacert.as_deref().map(files::read_certificates);
    Ok(ClientOptions {
        timeout: options.timeout,
        connect_timeout: options.connect_timeout.min(options.timeout),
        insecure: options.insecure,
        certificates: certificates.transpose()?.unwrap_or_default(),
        keep_alive: options.keep_alive,
    })
}

pub fn announce(
    addition: &str,
    client: &ClientOptions,
    destination: &Destination,
    show: &mut Show,
) {
    let unusable = net::unusable_variables();
    for name in unusable.into_iter().filter(|_| !destination.is_loopback()) {
        let what = "is no URL of a proxy and has no effect: expected one like http://HOST:PORT";
        show.warn(&format!("{name} {what}"));
    }
    if let Some(proxy) = proxy_in_use(destination) {
        let source = format!("from the environment{addition}");
        show.talk(&format!("using the proxy {proxy} {source}\n"));
    }
    if client.insecure && destination.is_tls() {
        show.warn("--insecure: any certificate is accepted");
    }
}

/// Makes the HTTP clients of a run. `--race` with a proxy is refused, because the copies of a race are sent without a
/// proxy.
pub fn transport(
    options: &SendOptions,
    destination: &Destination,
    show: &mut Show,
) -> Result<HttpTransport, Error> {
    let proxy = proxy_in_use(destination);
    if options.schedule.race > 1
        && let Some(proxy) = &proxy
    {
        let what = format!(
            "--race connects to {} without a proxy, but the environment sets the proxy {proxy}: \
             add the host to NO_PROXY, or leave out --race",
            destination.place()
        );
        return Err(Error::Usage(what));
    }
    let client_options = client_options(options)?;
    announce("", &client_options, destination, show);
    Ok(HttpTransport {
        client: Client::new(destination, &client_options)?,
        raw: RawClient::new(destination, &client_options)?,
        proxied: proxy.is_some(),
    })
}

pub struct HttpTransport {
    client: Client,
    raw: RawClient,
    /// Set if the environment names a proxy. A proxy cannot forward captured requests byte for byte, so these are sent
    /// by the ordinary HTTP client then.
    proxied: bool,
}

impl Transport for HttpTransport {
    async fn send(&self, request: &Request, origin: Origin) -> Result<Response, Failure> {
        match origin {
            Origin::Template => self.client.send(request).await,
            Origin::Capture if self.proxied => {
                let request = replay::strip_hop_by_hop(request);
                self.client.send(&request).await
            }
            // The future of `RawClient::send` is boxed because it is large.
            Origin::Capture => Box::pin(self.raw.send(&exact(request)?)).await,
        }
    }

    async fn race(
        &self,
        request: &Request,
        origin: Origin,
        copies: usize,
    ) -> Vec<(Result<Response, Failure>, Duration)> {
        match origin {
            Origin::Template => self.client.race(request, copies).await,
            Origin::Capture => match exact(request) {
                Ok(raw) => self.raw.race(&raw, copies).await,
                Err(failure) => vec![(Err(failure), Duration::ZERO); copies],
            },
        }
    }
}

fn exact(request: &Request) -> Result<RawRequest, Failure> {
    RawRequest::exact(request).map_err(Failure::cannot_be_sent)
}
