//! `send`: reads what was named, makes the plan, and carries it out or prints it.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::signals::Signals;
use super::{after_output, could_not_start, end, output, print, stop};
use crate::cdr::account::{Account, AccountOptions};
use crate::cdr::story::Setting;
use crate::cli::send::{SendOptions, Source};
use crate::cli::values::{self, HeaderSource};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Exit};
use crate::process;
use crate::seed::{Purpose, Seed};
use crate::send::courier::{Carry, Raced};
use crate::send::event::Event;
use crate::send::source::{Content, Envelope, Item, Origin};
use crate::send::{self, Plan, file, replay};
use crate::show::Show;
use crate::show::board::Board;
use crate::show::lines::Lines;
use crate::wire::client::{Client, ClientOptions, Destination, proxy_in_use};
use crate::wire::raw::{RawRequest, Writer};
use crate::wire::{Failure, FailureKind, Header, Phase, Request, Response};
use rand::RngExt as _;

/// More than so many deliveries a second, or in all, go to another machine only if that was said to be meant.
const MOST_PER_SECOND: f64 = 100.0;
const MOST_DELIVERIES: f64 = 10_000.0;

/// The largest input file.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// Sends, or prints what would be sent.
pub async fn run(options: SendOptions, destination: Destination) -> Exit {
    let out = match options.output.as_deref().map(output).transpose() {
        Ok(out) => out,
        Err(error) => return could_not_start(&mut Show::new(options.voice, None, None), &error),
    };
    let mut show = Show::new(options.voice, out, Some(options.command.clone()));
    let clock = Clock::start();
    let prepared = prepare(&options, &destination, clock, &mut show).and_then(|mut plan| {
        allow(&mut plan, &options, &destination, &mut show)?;
        Ok(plan)
    });
    let plan = match prepared {
        Ok(plan) => plan,
        Err(error) => return could_not_start(&mut show, &error),
    };
    match options.print {
        Some(print) => print::run(&plan, &destination, &options, print, show),
        None => match Carrier::new(&options, &destination, &mut show) {
            Ok(carrier) => deliver(&Arc::new(plan), carrier, clock, show).await,
            Err(error) => could_not_start(&mut show, &error),
        },
    }
}

async fn deliver(plan: &Arc<Plan>, carrier: Carrier, clock: Clock, show: Show) -> Exit {
    let mut signals = Signals::new();
    let fate = show.fate();
    let lines = show.lines(plan.planned());
    let (board, reader) = Board::new(show);
    let stopping = stop(signals.clone(), fate.clone());
    let (tell, room) = teller(&board, lines);
    let run = send::run(
        plan,
        carrier.for_each_thread(plan),
        clock,
        stopping,
        tell,
        room,
    );
    let summary = tokio::select! {
        summary = run => summary,
        at_once = signals.second() => return at_once.exit(),
    };
    drop(board);
    end(summary.exit, reader, signals, |show| {
        after_output(summary.exit, &fate, show)
    })
    .await
}

/// What shows a sender's events on a board, and what waits until there is room for more.
pub fn teller(
    board: &Board,
    lines: Lines,
) -> (
    impl Fn(Event<'_>) + Send + Sync + 'static,
    impl AsyncFn() + Send + Sync + 'static,
) {
    let (shown, waiting) = (board.clone(), board.clone());
    let tell = move |event: Event<'_>| {
        let line = lines.of(&event);
        shown.pin(|show| show.sent(&event, line.as_deref()));
    };
    (tell, async move || waiting.room().await)
}

/// Makes the plan: reads the files that were named and settles when the calls start.
pub fn prepare(
    options: &SendOptions,
    destination: &Destination,
    clock: Clock,
    show: &mut Show,
) -> Result<Plan, Error> {
    let seed = options.rules.seed;
    let at = options.at.unwrap_or_else(|| rang_until(clock.now(), seed));
    let content = match &options.source {
        Source::Stories(choices) => {
            if options.account.customer.is_some()
                && !choices.iter().any(|choice| choice.rings_customer())
            {
                show.remark("--to changes nothing here: these scenarios never ring the customer (customer-no-answer does)");
            }
            let account = Account::new(&options.account, seed);
            let setting = Setting {
                account,
                shape: options.shape,
                call_ids: options.call_ids,
                at,
                seed,
            };
            Content::Stories(choices.clone(), setting)
        }
        Source::File(path) => {
            if options.account != AccountOptions::default() {
                show.remark("--to, --agent and the like change nothing in a file: --set to=… does");
            }
            let name = name(path);
            let holding = file::read(&read(path)?, &name)?;
            holding
                .warnings
                .iter()
                .for_each(|warning| show.warn(warning));
            announce_replay(&holding.items, &name, options, destination, show)?;
            Content::File(holding.items)
        }
    };
    Ok(Plan {
        content,
        envelope: Envelope {
            target: destination.target().to_owned(),
            methods: options.methods,
            encoding: options.encoding,
            headers: headers(&options.headers)?.into(),
            edits: options.edits.clone(),
            host: (!destination.is_loopback()).then(|| destination.authority().to_owned()),
            authorization: destination.authorization(),
        },
        rounds: options.rounds,
        duration: options.duration,
        rules: options.rules,
        concurrency: options.concurrency,
        patience: options.patience,
        expectation: options.expectation.clone(),
        compare: options.compare,
        shown_url: destination.masked().to_owned(),
        at,
    })
}

/// Says which flags change nothing in a capture, and what else is not as its reader might think.
fn announce_replay(
    items: &[Item],
    name: &str,
    options: &SendOptions,
    destination: &Destination,
    show: &mut Show,
) -> Result<(), Error> {
    let captured = || {
        items.iter().filter_map(|item| match item {
            Item::Captured(recording) => Some(recording),
            Item::Body(_) => None,
        })
    };
    if captured().next().is_none() {
        return Ok(());
    }
    if options.compare {
        let what = "--compare holds the replies to POST and GET of one CDR against each other, and a capture's requests \
                    go as they came: leave it out";
        return Err(Error::Usage(what.to_owned()));
    }
    if options.method_was_said {
        show.remark("--method changes nothing in a capture: its requests keep their own");
    }
    if !options.edits.is_empty() {
        let mut rest = captured().filter(|recording| !replay::is_editable(&recording.request));
        if let Some(first) = rest.next() {
            let place = first.place.of(name);
            let count = 1 + rest.count();
            let these = if count == 1 {
                "this request as it was".to_owned()
            } else {
                format!("{count} requests as they were")
            };
            show.warn(&format!(
                "{place}: no CDR to change: --set, --set-json and --unset leave {these}"
            ));
        }
    }
    if options.print.is_none()
        && let Some(proxy) = proxy_in_use(destination)
    {
        show.remark(&format!(
            "through the proxy {proxy} the names of captured headers go in lower case, and what belongs to a \
             connection is made anew; NO_PROXY={} sends everything exactly",
            destination.host()
        ));
    }
    Ok(())
}

/// The start of calls that have just rung out: 10 to 60 seconds ago. \[seen: `time` is now less the ring time\]
fn rang_until(now: Timestamp, seed: Seed) -> Timestamp {
    let ring = seed
        .chance(Purpose::Account, 1)
        .random_range(10_000..60_000);
    now.before(Duration::from_millis(ring))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(LARGEST_FILE + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(LARGEST_FILE + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    }
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(Error::Input {
            place: name(path),
            what: "larger than 64 MiB".to_owned(),
        });
    }
    Ok(bytes)
}

/// What an input is called in messages.
fn name(path: &Path) -> String {
    if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

/// The headers to add, those in files included.
pub fn headers(sources: &[HeaderSource]) -> Result<Vec<Header>, Error> {
    let mut headers = Vec::new();
    for source in sources {
        match source {
            HeaderSource::One(header) => headers.push(header.clone()),
            HeaderSource::File(path) => {
                let text = String::from_utf8_lossy(&read(path)?).into_owned();
                for (index, line) in text
                    .lines()
                    .enumerate()
                    .filter(|(_, line)| !line.trim().is_empty())
                {
                    let place = format!("{}:{}", path.display(), index + 1);
                    headers.push(
                        values::header(line)
                            .map_err(|what| Error::Usage(format!("{place}: {what}")))?,
                    );
                }
            }
        }
    }
    Ok(headers)
}

/// Refuses runs that never end, or large ones against other machines that were not said to be meant; paces those that
/// could become too fast.
fn allow(
    plan: &mut Plan,
    options: &SendOptions,
    destination: &Destination,
    show: &mut Show,
) -> Result<(), Error> {
    if options.print.is_some() {
        let endless = plan.rounds.is_none();
        let what = "what goes in a --duration depends on how fast it goes: to print it, say --count instead";
        return if endless {
            Err(Error::Usage(what.to_owned()))
        } else {
            Ok(())
        };
    }
    if destination.is_loopback() || options.yes {
        return Ok(());
    }
    let rate = plan.rules.rate.unwrap_or(MOST_PER_SECOND);
    let in_time = |span: Duration| rate * span.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a comparison with ten thousand")]
    let counted = plan.most_deliveries().map(|n| n as f64);
    let most = match (counted, plan.duration.map(in_time)) {
        (Some(counted), Some(in_time)) => counted.min(in_time),
        (counted, in_time) => counted.or(in_time).unwrap_or(f64::INFINITY),
    };
    if rate > MOST_PER_SECOND || most > MOST_DELIVERIES {
        return Err(Error::Usage(format!(
            "{} is not this machine, and this is more than 100/s or 10 000 deliveries: --yes says that it is meant",
            destination.place()
        )));
    }
    if plan.rules.rate.is_none() && most > MOST_PER_SECOND {
        show.remark("at most 100/s, since this goes to another machine; --yes lifts that");
        plan.rules.rate = Some(MOST_PER_SECOND);
    }
    Ok(())
}

/// How requests are carried, with the certificates of a file.
pub fn trusting(client: &ClientOptions, cacert: Option<&Path>) -> Result<ClientOptions, Error> {
    Ok(ClientOptions {
        cacert_pem: cacert.map(read).transpose()?,
        ..client.clone()
    })
}

/// Says of a suite which proxy is used and by which cases, and that certificates are not checked.
pub fn announce(client: &ClientOptions, destination: &Destination, show: &mut Show) {
    announce_with(
        "; races and broken requests go to the handler directly",
        client,
        destination,
        show,
    );
}

/// Says which proxy is used, with something to add to that, and that certificates are not checked.
fn announce_with(
    addition: &str,
    client: &ClientOptions,
    destination: &Destination,
    show: &mut Show,
) {
    if let Some(proxy) = proxy_in_use(destination) {
        show.talk(&format!(
            "through the proxy {proxy}, as the environment says{addition}\n"
        ));
    }
    if client.insecure && destination.is_tls() {
        show.warn("--insecure: any certificate is accepted");
    }
}

/// What carries requests for real: the client, and the raw writer for races and for what was captured.
pub struct Carrier {
    client: Client,
    writer: Writer,
    /// Whether an environment's proxy stands in the way of the writer.
    proxied: bool,
    destination: Destination,
}

impl Carrier {
    /// A carrier to one destination; says which proxy is used, and that certificates are not checked.
    pub fn new(
        options: &SendOptions,
        destination: &Destination,
        show: &mut Show,
    ) -> Result<Self, Error> {
        let proxy = proxy_in_use(destination);
        if options.rules.race > 1
            && let Some(proxy) = &proxy
        {
            let what = format!(
                "--race connects to {} directly, and the environment wants the proxy {proxy} used: \
                 name the host in NO_PROXY, or leave out --race",
                destination.place()
            );
            return Err(Error::Usage(what));
        }
        let client_options = trusting(&options.client, options.cacert.as_deref())?;
        announce_with("", &client_options, destination, show);
        Ok(Self {
            client: Client::new(destination, &client_options)?,
            writer: Writer::new(destination, &client_options)?,
            proxied: proxy.is_some(),
            destination: destination.clone(),
        })
    }
}

impl Carrier {
    /// A carrier for each thread that a run of this plan is worth, with connections of its own.
    pub fn for_each_thread(self, plan: &Plan) -> Vec<Self> {
        let most =
            usize::try_from(plan.most_deliveries().unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let at_once = plan.concurrency.min(most);
        // Counting the processors takes a dozen system calls.
        let cores = if at_once > 1 {
            process::processors()
        } else {
            1
        };
        let mut carriers: Vec<_> = (1..cores.min(at_once)).map(|_| self.separate()).collect();
        carriers.insert(0, self);
        carriers
    }

    fn separate(&self) -> Self {
        Self {
            client: self.client.separate(),
            writer: self.writer.clone(),
            proxied: self.proxied,
            destination: self.destination.clone(),
        }
    }
}

impl Carry for Carrier {
    async fn carry(&self, request: &Request, origin: Origin) -> Result<Response, Failure> {
        match origin {
            Origin::Made => self.client.carry(request).await,
            Origin::Captured if self.proxied => self.client.carry(&replay::unbound(request)).await,
            // It needs much room, which what is made here is not to carry about.
            Origin::Captured => Box::pin(self.writer.carry(&exact(request)?)).await,
        }
    }

    async fn race(&self, request: &Request, origin: Origin, copies: usize) -> Vec<Raced> {
        let raw = match origin {
            // The raw writer would write anything, line breaks in a header too: what the client refuses stays here.
            Origin::Made => self
                .client
                .check(request)
                .map(|()| RawRequest::verbatim(request, &self.destination)),
            Origin::Captured => exact(request),
        };
        match raw {
            Ok(raw) => self.writer.race(&raw, copies).await,
            Err(failure) => vec![(Err(failure), Duration::ZERO); copies],
        }
    }
}

/// The captured request as it stands, or the failure that it cannot be sent.
fn exact(request: &Request) -> Result<RawRequest, Failure> {
    RawRequest::exact(request).map_err(|text| Failure {
        phase: Phase::Send,
        kind: FailureKind::Other,
        text,
    })
}
