//! `send --print`: prints the requests of a plan in one of the formats, without sending them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::after_output;
use crate::cli::send::{Print, SendOptions};
use crate::clock::Timestamp;
use crate::error::Exit;
use crate::ndjson;
use crate::net::export::{self, Reason};
use crate::net::{Destination, Request, query, secret};
use crate::output::Show;
use crate::output::queue::StreamState;
use crate::send::plan::Origin;
use crate::send::schedule::{Job, Schedule};
use crate::send::{Plan, replay};

/// A request that the format of `--print` cannot represent is left out, and makes the exit status a failure.
pub fn run(
    plan: &Arc<Plan>,
    destination: &Destination,
    options: &SendOptions,
    print: Print,
    mut show: Show,
) -> Exit {
    let state = show.state();
    let mut printer = Printer::new(print, options, destination);
    let mut left_out = LeftOut::default();
    let mut first = true;
    let mut piece = String::new();
    if print == Print::Har {
        show.data(&export::har_head());
    }
    'run: for jobs in Schedule::new(Arc::clone(plan)) {
        let mut since = Duration::ZERO;
        for job in jobs {
            since = job.slot.due.unwrap_or(since.saturating_add(job.slot.gap));
            for mut job in job.each_copy() {
                printer.mask(&mut job.request);
                piece.clear();
                match printer.piece(&job, plan.at.after(since), &mut piece) {
                    Ok(()) => {
                        if print == Print::Har && !std::mem::take(&mut first) {
                            show.data(export::HAR_SEPARATOR);
                        }
                        show.data(&piece);
                    }
                    Err(reason) => left_out.count(job.n, reason),
                }
                if *state.borrow() != StreamState::Open {
                    break 'run;
                }
            }
        }
    }
    if print == Print::Har {
        show.data(export::HAR_TAIL);
    }
    show.flush();
    printer.tell(&mut show);
    let exit = left_out.tell(&mut show);
    after_output(exit, &mut show)
}

/// Prints the requests of suite cases, each with its case's name. A request of raw bytes is left out.
pub fn suite_requests(
    cases: &[(&'static str, Option<Request>)],
    destination: &Destination,
    options: &SendOptions,
    print: Print,
    mut show: Show,
) -> Exit {
    let mut printer = Printer::new(print, options, destination);
    let flags = printer.flags.clone();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut exit = Exit::Success;
    for (name, request) in cases {
        let mut request = request.clone().map(Arc::new);
        if let Some(request) = &mut request {
            printer.mask(request);
        }
        let request = request.as_deref();
        let request = request.ok_or("only the suite can write its bytes");
        let text = request.and_then(|request| match print {
            Print::Curl => Ok(export::curl(request, &printer.origin, &flags, false) + "\n"),
            Print::Http => export::http_file_request(request, &printer.origin, name),
            _ if request.body.is_empty() => {
                let pairs = query::decode(request.query().unwrap_or_default()).pairs;
                let fields: Map<_, _> = pairs
                    .into_iter()
                    .map(|(k, v)| (k, Value::from(v)))
                    .collect();
                Ok(Value::Object(fields).to_string() + "\n")
            }
            _ => Ok(ndjson::one_line(&request.body.0) + "\n"),
        });
        match text {
            Ok(text) => show.data(&text),
            Err(reason) => {
                show.warn(&format!("a request of {name} is left out: {reason}"));
                exit = Exit::Failed;
            }
        }
    }
    show.flush();
    printer.tell(&mut show);
    after_output(exit, &mut show)
}

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

    fn tell(&self, show: &mut Show) -> Exit {
        let Some((n, reason)) = self.first else {
            return Exit::Success;
        };
        let what = match self.count {
            1 => format!("request {n} cannot be printed: {reason}"),
            count => {
                format!("{count} requests cannot be printed; the first is request {n}: {reason}")
            }
        };
        show.warn(&format!("{what}; --print curl can print this request"));
        Exit::Failed
    }
}

struct Printer {
    print: Print,
    /// The scheme, userinfo and authority of the destination.
    origin: String,
    is_masked: bool,
    shows_secrets: bool,
    flags: Vec<String>,
}

impl Printer {
    fn new(print: Print, options: &SendOptions, destination: &Destination) -> Self {
        let masked = destination.masked();
        let url = if options.mask {
            masked
        } else {
            destination.typed()
        };
        let authority = url.find("://").map_or(0, |at| at + 3);
        let end = url[authority..]
            .find(['/', '?'])
            .map_or(url.len(), |at| authority + at);
        let mut flags = Vec::new();
        if options.insecure {
            flags.push("-k".to_owned());
        }
        if let Some(path) = &options.cacert {
            flags.extend(["--cacert".to_owned(), path.display().to_string()]);
        }
        Self {
            print,
            origin: url[..end].to_owned(),
            is_masked: options.mask,
            shows_secrets: print != Print::Json && !masked.starts_with(&url[..end]),
            flags,
        }
    }

    fn mask(&mut self, request: &mut Arc<Request>) {
        let masked = secret::masked_request(request);
        if self.is_masked {
            *request = Arc::new(masked);
        } else {
            self.shows_secrets |= self.print != Print::Json && masked != **request;
        }
    }

    fn tell(&self, show: &mut Show) {
        if self.shows_secrets {
            show.remark("the printed requests contain passwords or tokens; --mask masks them");
        }
    }

    /// `at` is the time at which `send` would deliver the request, for the timestamps of HAR entries.
    fn piece(&self, job: &Job, at: Timestamp, out: &mut String) -> Result<(), Reason> {
        let stripped = match job.origin {
            Origin::Capture => Some(replay::strip_hop_by_hop(&job.request)),
            Origin::Template => None,
        };
        // Captured requests lose their hop-by-hop headers: the tool that sends the printed request adds its own.
        let request = stripped.as_ref().unwrap_or(&job.request);
        match self.print {
            Print::Json => {
                let body = &job.request.body;
                let cdr = job.cdr.as_ref().filter(|_| body.is_empty());
                out.push_str(&ndjson::one_line(cdr.map_or(&body.0, |cdr| &cdr.json)));
            }
            Print::Curl => out.push_str(&curl(job, &self.origin, &self.flags)),
            Print::Http => out.push_str(&export::http_file_request(
                request,
                &self.origin,
                &title(job),
            )?),
            Print::Har => out.push_str(&export::har_entry(
                &job.request,
                &self.origin,
                at,
                &title(job),
            )?),
            Print::Vegeta => out.push_str(&export::vegeta_target(request, &self.origin)?),
        }
        if matches!(self.print, Print::Json | Print::Curl | Print::Vegeta) {
            out.push('\n');
        }
        Ok(())
    }
}

fn title(job: &Job) -> String {
    let leg = match job.cdr.as_ref().and_then(|cdr| cdr.leg.as_deref()) {
        Some(leg @ ("a" | "b")) => format!(", leg {leg}"),
        _ => String::new(),
    };
    let copy = if job.slot.copy == 0 {
        String::new()
    } else {
        format!(", copy {}", job.slot.copy)
    };
    format!(
        "{}. {}: call {}{leg}{copy}",
        job.n,
        job.scenario,
        job.slot.call + 1
    )
}

/// The printed curl command disables curl's defaults where these would change the request, such as added headers.
fn curl(job: &Job, origin: &str, flags: &[String]) -> String {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    export::curl(&job.request, origin, &flags, job.origin == Origin::Capture)
}
