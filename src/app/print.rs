//! `send --print`: prints the requests of a plan in one of the formats, without sending them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::after_output;
use crate::cdr::judge::{Judgement, SEPARATOR};
use crate::cli::send::{Print, SendOptions};
use crate::clock::Timestamp;
use crate::error::Exit;
use crate::listen::respond;
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
    let (mut left_out, mut first_left_out) = (0_u64, None);
    let mut separator = "";
    if print == Print::Har {
        show.data(&export::har_head());
    }
    'run: for jobs in Schedule::new(Arc::clone(plan)) {
        let mut since = Duration::ZERO;
        for job in jobs {
            since = job.slot.due.unwrap_or(since.saturating_add(job.slot.gap));
            for job in job.each_copy() {
                let cdr = job.cdr.as_ref().map(|cdr| &cdr.json[..]);
                let at = plan.at.after(since);
                match printer.text(&job.request, job.origin, &title(&job), cdr, at) {
                    Ok(text) => {
                        if print == Print::Har {
                            show.data(std::mem::replace(&mut separator, export::HAR_SEPARATOR));
                        }
                        show.data(&text);
                    }
                    Err(reason) => {
                        left_out += 1;
                        first_left_out.get_or_insert((job.n, reason));
                    }
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
    let mut exit = printer.finish(options.strict, &mut show);
    if let Some((n, reason)) = first_left_out {
        let what = match left_out {
            1 => format!("request {n} cannot be printed: {reason}"),
            _ => {
                format!("{left_out} requests cannot be printed; the first is request {n}: {reason}")
            }
        };
        show.warn(&format!("{what}; --print curl can print this request"));
        exit = Exit::Failed;
    }
    after_output(exit, &mut show)
}

/// Prints the requests of suite cases, each with its case's name. A request of raw bytes is left out.
pub fn suite_requests(
    cases: &[(&'static str, Option<Request>)],
    at: Timestamp,
    destination: &Destination,
    options: &SendOptions,
    print: Print,
    mut show: Show,
) -> Exit {
    let mut printer = Printer::new(print, options, destination);
    let mut failed = false;
    for (name, request) in cases {
        let request = request.as_ref().ok_or("only the suite can write its bytes");
        let text = request.and_then(|request| {
            let masked = options.mask.then(|| secret::masked_request(request));
            let shown = masked.as_ref().unwrap_or(request);
            let pairs = query::decode(shown.query().unwrap_or_default()).pairs;
            let fields = pairs.into_iter().map(|(name, value)| (name, value.into()));
            let cdr = Value::Object(fields.collect()).to_string();
            printer.text(request, Origin::Template, name, Some(cdr.as_bytes()), at)
        });
        match text {
            Ok(text) => show.data(&text),
            Err(reason) => {
                show.warn(&format!("a request of {name} is left out: {reason}"));
                failed = true;
            }
        }
    }
    let exit = printer.finish(options.strict, &mut show);
    after_output(if failed { Exit::Failed } else { exit }, &mut show)
}

struct Printer {
    print: Print,
    /// The scheme, userinfo and authority of the destination.
    origin: String,
    is_masked: bool,
    shows_secrets: bool,
    curl_flags: Vec<String>,
    is_ndjson: bool,
    /// The number of verdicts.
    n: u64,
    departures: u64,
}

impl Printer {
    fn new(print: Print, options: &SendOptions, destination: &Destination) -> Self {
        let (masked, typed) = (&destination.masked, &destination.typed);
        let url = if options.mask { masked } else { typed };
        let authority = url.find("://").map_or(0, |at| at + 3);
        let path = url[authority..].find(['/', '?']);
        let end = path.map_or(url.len(), |at| authority + at);
        let mut curl_flags = Vec::new();
        if options.insecure {
            curl_flags.push("-k".to_owned());
        }
        if let Some(path) = &options.cacert {
            curl_flags.extend(["--cacert".to_owned(), path.display().to_string()]);
        }
        Self {
            print,
            origin: url[..end].to_owned(),
            is_masked: options.mask,
            shows_secrets: !matches!(print, Print::Json | Print::Verdict)
                && !masked.starts_with(&url[..end]),
            curl_flags,
            is_ndjson: options.output_options.ndjson(),
            n: 0,
            departures: 0,
        }
    }

    /// The verdict of `listen` on a request, as a line or a record.
    fn verdict(&mut self, request: &Request) -> String {
        let Judgement { verdict, fields } = respond::judge(request);
        let departures = verdict
            .remarks
            .iter()
            .filter(|remark| remark.code.departs());
        self.departures += departures.count() as u64;
        self.n += 1;
        let n = self.n;
        if self.is_ndjson {
            let record = json!({"n": n, "verdict": verdict});
            return String::from_utf8(ndjson::line("verdict", &record)).unwrap_or_default();
        }
        let mut line = format!("#{n}  {}", verdict.meaning(&fields.unwrap_or_default()));
        for remark in &verdict.remarks {
            line.extend([SEPARATOR, "! ", &respond::sentence(remark)]);
        }
        line + "\n"
    }

    fn finish(&self, strict: bool, show: &mut Show) -> Exit {
        show.flush();
        if self.shows_secrets {
            show.remark("the printed requests contain passwords or tokens; --mask masks them");
        }
        if strict && self.departures > 0 {
            return Exit::Failed;
        }
        Exit::Success
    }

    /// `cdr` is the JSON of a request without a body. `at` is the time at which `send` would deliver the request, for
    /// the timestamps of HAR entries.
    fn text(
        &mut self,
        request: &Request,
        origin: Origin,
        title: &str,
        cdr: Option<&[u8]>,
        at: Timestamp,
    ) -> Result<String, Reason> {
        let masked = secret::masked_request(request);
        let has_secrets = masked != *request;
        let request = if self.is_masked { &masked } else { request };
        self.shows_secrets |=
            has_secrets && !self.is_masked && !matches!(self.print, Print::Json | Print::Verdict);
        let is_captured = origin == Origin::Capture;
        // Captured requests lose their hop-by-hop headers: the tool that sends the printed request adds its own.
        let stripped = is_captured.then(|| replay::strip_hop_by_hop(request));
        let end_to_end = stripped.as_ref().unwrap_or(request);
        Ok(match self.print {
            Print::Json => {
                let cdr = cdr.filter(|_| request.body.is_empty());
                ndjson::one_line(cdr.unwrap_or(&request.body.0)) + "\n"
            }
            // The printed curl command disables curl's defaults where these would change the request.
            Print::Curl => {
                let flags: Vec<&str> = self.curl_flags.iter().map(String::as_str).collect();
                export::curl(request, &self.origin, &flags, is_captured) + "\n"
            }
            Print::Http => export::http_file_request(end_to_end, &self.origin, title)?,
            Print::Har => export::har_entry(request, &self.origin, at, title)?,
            Print::Verdict => self.verdict(request),
            Print::Vegeta => export::vegeta_target(end_to_end, &self.origin)? + "\n",
        })
    }
}

fn title(job: &Job) -> String {
    let leg = match job.cdr.as_ref().and_then(|cdr| cdr.leg.as_deref()) {
        Some(leg @ ("a" | "b")) => format!(", leg {leg}"),
        _ => String::new(),
    };
    let copy = match job.slot.copy {
        0 => String::new(),
        copy => format!(", copy {copy}"),
    };
    let (n, scenario, call) = (job.n, job.scenario, job.slot.call + 1);
    format!("{n}. {scenario}: call {call}{leg}{copy}")
}
