//! `send --print`: what would go, written in the way that was asked for, each piece as soon as it is made.

use std::time::Duration;

use super::after_output;
use crate::cdr::text::CdrText;
use crate::cli::send::{Print, SendOptions};
use crate::clock::Timestamp;
use crate::error::Exit;
use crate::ndjson;
use crate::send::pack::Parcel;
use crate::send::source::Origin;
use crate::send::{Plan, replay};
use crate::show::Show;
use crate::show::outlet::Fate;
use crate::wire::client::Destination;
use crate::wire::export::{self, Reason, har, http, vegeta};

/// Prints what would go. What a format cannot hold is left out, which is a failure.
pub fn run(
    plan: &Plan,
    destination: &Destination,
    options: &SendOptions,
    print: Print,
    mut show: Show,
) -> Exit {
    let fate = show.fate();
    let printer = Printer::new(print, options, destination);
    let mut left_out = LeftOut::default();
    let mut first = true;
    let mut piece = String::new();
    if print == Print::Har {
        show.data(&har::head());
    }
    'run: for batch in plan.batches() {
        let mut since = Duration::ZERO;
        for step in batch {
            since = step.due.unwrap_or(since.saturating_add(step.gap));
            for parcel in step.parcels() {
                piece.clear();
                match printer.piece(&parcel, plan.at.after(since), &mut piece) {
                    Ok(()) => {
                        if print == Print::Har && !std::mem::take(&mut first) {
                            show.data(har::BETWEEN);
                        }
                        show.data(&piece);
                    }
                    Err(reason) => left_out.count(parcel.n, reason),
                }
                if *fate.borrow() != Fate::Open {
                    break 'run;
                }
            }
        }
    }
    if print == Print::Har {
        show.data(har::TAIL);
    }
    show.flush();
    let exit = left_out.tell(&mut show);
    after_output(exit, &fate, &mut show)
}

/// What a format could not hold.
#[derive(Default)]
struct LeftOut {
    count: u64,
    first: Option<(u64, Reason)>,
}

impl LeftOut {
    fn count(&mut self, n: u64, reason: Reason) {
        self.count += 1;
        self.first.get_or_insert((n, reason));
    }

    /// Says what is not there, if anything is not.
    fn tell(&self, show: &mut Show) -> Exit {
        let Some((n, reason)) = self.first else {
            return Exit::Success;
        };
        let what = match self.count {
            1 => format!("request {n} is left out: {reason}"),
            count => {
                format!("{count} requests are left out, the first of them is number {n}: {reason}")
            }
        };
        show.warn(&format!("{what}; --print curl can write it"));
        Exit::Failed
    }
}

/// Writes parcels in one way.
struct Printer {
    print: Print,
    /// Scheme, authority and userinfo of the destination, secrets masked.
    origin: String,
    /// What curl must be told of the connection.
    flags: Vec<String>,
}

impl Printer {
    fn new(print: Print, options: &SendOptions, destination: &Destination) -> Self {
        let url = destination.masked();
        let authority = url.find("://").map_or(0, |at| at + 3);
        let end = url[authority..]
            .find(['/', '?'])
            .map_or(url.len(), |at| authority + at);
        let mut flags = Vec::new();
        if options.client.insecure {
            flags.push("-k".to_owned());
        }
        if let Some(path) = &options.cacert {
            flags.extend(["--cacert".to_owned(), path.display().to_string()]);
        }
        Self {
            print,
            origin: url[..end].to_owned(),
            flags,
        }
    }

    /// Adds a parcel that would leave at that time.
    fn piece(&self, parcel: &Parcel, at: Timestamp, out: &mut String) -> Result<(), Reason> {
        let unbound = match parcel.origin {
            Origin::Captured => Some(replay::unbound(&parcel.request)),
            Origin::Made => None,
        };
        // The tools make by themselves what belongs to a connection.
        let request = unbound.as_ref().unwrap_or(&parcel.request);
        match self.print {
            Print::Json => match &parcel.cdr {
                Some(cdr) if parcel.request.body.is_empty() => {
                    out.push_str(&ndjson::safe_json(cdr));
                }
                _ => out.push_str(&ndjson::one_line(&parcel.request.body.0)),
            },
            Print::Curl => out.push_str(&curl(parcel, &self.origin, &self.flags)),
            Print::Http => out.push_str(&http::request(request, &self.origin, &title(parcel))?),
            Print::Har => out.push_str(&har::entry(
                &parcel.request,
                &self.origin,
                at,
                &title(parcel),
            )?),
            Print::Vegeta => out.push_str(&vegeta::target(request, &self.origin)?),
        }
        if matches!(self.print, Print::Json | Print::Curl | Print::Vegeta) {
            out.push('\n');
        }
        Ok(())
    }
}

/// What a parcel is, for a person who looks through many.
fn title(parcel: &Parcel) -> String {
    let fields = parcel.cdr.as_ref().map(CdrText::fields).unwrap_or_default();
    let leg = match fields.get("leg").and_then(|leg| leg.as_str()) {
        Some(leg @ ("a" | "b")) => format!(", leg {leg}"),
        _ => String::new(),
    };
    let copy = if parcel.copy == 0 {
        String::new()
    } else {
        format!(", copy {}", parcel.copy)
    };
    format!(
        "{}. {}: call {}{leg}{copy}",
        parcel.n,
        parcel.scenario.name(),
        parcel.call
    )
}

/// The command for curl that sends a parcel to an origin, with curl's own habits turned off where they would show.
fn curl(parcel: &Parcel, origin: &str, flags: &[String]) -> String {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    export::curl_to(
        &parcel.request,
        origin,
        &flags,
        parcel.origin == Origin::Captured,
    )
}
