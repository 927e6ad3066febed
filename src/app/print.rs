//! Prints without sending: the requests of `send --print` in one of the formats, the lists of `send`, and the documents
//! of `--generate`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::after_output;
use crate::cdr::judge::{Judgement, SEPARATOR};
use crate::cli::send::{Print, SendOptions};
use crate::clock::Timestamp;
use crate::error::{Error, Exit};
use crate::listen::respond;
use crate::ndjson;
use crate::net::export::{self, Reason};
use crate::net::{Destination, Request, query, secret};
use crate::output::streams::StreamState;
use crate::output::{Format, OutputOptions, Renderer, Show, catalogue};
use crate::send::schedule::{Job, Schedule};
use crate::send::{Methods, Origin, Plan, replay};

pub fn plan(plan: &Arc<Plan>, mut printer: Printer<'_>) -> Exit {
    let state = printer.show.state();
    'run: for jobs in Schedule::new(Arc::clone(plan)) {
        let mut since = Duration::ZERO;
        for job in jobs {
            since = job.slot.due.unwrap_or(since.saturating_add(job.slot.gap));
            for job in job.each_copy() {
                let cdr = job.cdr.as_ref().map(|cdr| &cdr.json[..]);
                let at = plan.at.after(since);
                let text = printer.text(&job.request, job.origin, &title(&job), cdr, at);
                printer.print(|| format!("request {}", job.n), text);
                if *state.borrow() != StreamState::Open {
                    break 'run;
                }
            }
        }
    }
    printer.finish()
}

/// A suite case that is not valid HTTP has no request to print.
const RAW: Reason = "only the suite can write its bytes";

/// Prints the requests of suite cases, each with its case's name.
pub fn suite(
    cases: &[(&'static str, Option<Request>)],
    at: Timestamp,
    mut printer: Printer<'_>,
) -> Exit {
    let mask = printer.options.mask;
    for (name, request) in cases {
        let request = request.as_ref().ok_or(RAW);
        let text = request.and_then(|request| {
            let masked = mask.then(|| secret::masked_request(request));
            let shown = masked.as_ref().unwrap_or(request);
            let pairs = query::decode(shown.query().unwrap_or_default()).pairs;
            let fields = pairs.into_iter().map(|(name, value)| (name, value.into()));
            let cdr = Value::Object(fields.collect()).to_string();
            printer.text(request, Origin::Template, name, Some(cdr.as_bytes()), at)
        });
        printer.print(|| format!("the request of {name}"), text);
    }
    printer.finish()
}

/// Prints what `--list-scenarios` or `--list-cases` asks for.
pub fn list(options: &SendOptions) -> Result<Exit, Error> {
    let of_scenarios = options.list_scenarios;
    let cases = crate::suite::select(&options.only, &options.skip, Methods::Both, &[]);
    let cases = cases.map_err(Error::Usage)?;
    Ok(text(options.output_options, |renderer| {
        let theme = renderer.theme;
        match options.output_options.ndjson() {
            true if of_scenarios => catalogue::scenario_records(),
            true => catalogue::case_records(&cases),
            false if of_scenarios => renderer.fitted(catalogue::scenarios(theme)),
            false => {
                let short = options.output_options.format == Format::Line;
                renderer.fitted(catalogue::cases(&cases, theme, short))
            }
        }
    }))
}

pub fn text(options: OutputOptions, text: impl FnOnce(Renderer) -> String) -> Exit {
    let mut show = Show::new(options, None, None);
    let text = text(show.renderer);
    show.data(&text);
    show.flush();
    after_output(Exit::Success, &mut show)
}

pub struct Printer<'a> {
    print: Print,
    options: &'a SendOptions,
    show: Show,
    /// The scheme, userinfo and authority of the destination.
    origin: String,
    shows_secrets: bool,
    printed: u64,
    departures: usize,
    left_out: u64,
    first_left_out: Option<(String, Reason)>,
}

impl<'a> Printer<'a> {
    pub fn new(print: Print, options: &'a SendOptions, to: &Destination, mut show: Show) -> Self {
        let url = if options.mask { &to.masked } else { &to.typed };
        let authority = url.find("://").map_or(0, |at| at + 3);
        let path = url[authority..].find(['/', '?']);
        let origin = &url[..path.map_or(url.len(), |at| authority + at)];
        if print == Print::Har {
            show.data(&export::har_head());
        }
        Self {
            print,
            options,
            show,
            origin: origin.to_owned(),
            shows_secrets: !matches!(print, Print::Json | Print::Verdict)
                && !to.masked.starts_with(origin),
            printed: 0,
            departures: 0,
            left_out: 0,
            first_left_out: None,
        }
    }

    /// A request that the format cannot represent is left out, and makes the exit status a failure.
    fn print(&mut self, name: impl FnOnce() -> String, text: Result<String, Reason>) {
        match text {
            Ok(text) => {
                if self.print == Print::Har && self.printed > 0 {
                    self.show.data(export::HAR_SEPARATOR);
                }
                self.printed += 1;
                self.show.data(&text);
            }
            Err(reason) => {
                self.left_out += 1;
                self.first_left_out.get_or_insert_with(|| (name(), reason));
            }
        }
    }

    fn finish(mut self) -> Exit {
        if self.print == Print::Har {
            self.show.data(export::HAR_TAIL);
        }
        self.show.flush();
        if self.shows_secrets {
            let what = "the printed requests contain passwords or tokens; --mask masks them";
            self.show.remark(what);
        }
        let mut exit = Exit::Success;
        if self.options.strict && self.departures > 0 {
            exit = Exit::Failed;
        }
        if let Some((name, reason)) = self.first_left_out {
            let what = match self.left_out {
                1 => format!("{name} cannot be printed: {reason}"),
                n => format!("{n} requests cannot be printed; the first is {name}: {reason}"),
            };
            let hint = match reason {
                RAW => "",
                _ => "; --print curl can print this request",
            };
            self.show.warn(&(what + hint));
            exit = Exit::Failed;
        }
        after_output(exit, &mut self.show)
    }

    /// The verdict of `listen` on a request, as a line or a record.
    fn verdict(&mut self, request: &Request) -> String {
        let Judgement { verdict, fields } = respond::judge(request);
        let departures = verdict.remarks.iter().filter(|it| it.code.departs());
        self.departures += departures.count();
        let n = self.printed + 1;
        if self.options.output_options.ndjson() {
            let record = json!({"n": n, "verdict": verdict});
            return String::from_utf8(ndjson::line("verdict", &record)).unwrap_or_default();
        }
        let mut line = format!("#{n}  {}", verdict.meaning(&fields.unwrap_or_default()));
        for remark in &verdict.remarks {
            line.extend([SEPARATOR, "! ", &respond::sentence(remark)]);
        }
        line + "\n"
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
        let mask = self.options.mask;
        let is_content = matches!(self.print, Print::Json | Print::Verdict);
        self.shows_secrets |= !mask && !is_content && masked != *request;
        let request = if mask { &masked } else { request };
        let is_captured = origin == Origin::Capture;
        // Captured requests lose their hop-by-hop headers: the tool that sends the printed request adds its own.
        let stripped = is_captured.then(|| replay::strip_hop_by_hop(request));
        let end_to_end = stripped.as_ref().unwrap_or(request);
        Ok(match self.print {
            Print::Json => {
                let cdr = cdr.filter(|_| request.body.is_empty());
                ndjson::one_line(cdr.unwrap_or(&request.body.0)) + "\n"
            }
            Print::Curl => self.curl(request, is_captured) + "\n",
            Print::Http => export::http_file_request(end_to_end, &self.origin, title)?,
            Print::Har => export::har_entry(request, &self.origin, at, title)?,
            Print::Verdict => self.verdict(request),
            Print::Vegeta => export::vegeta_target(end_to_end, &self.origin)? + "\n",
        })
    }

    /// The printed curl command disables curl's defaults where these would change the request.
    fn curl(&self, request: &Request, is_captured: bool) -> String {
        let mut flags = Vec::new();
        if self.options.insecure {
            flags.push("-k");
        }
        let cacert = self.options.cacert.as_deref().map(Path::to_string_lossy);
        flags.extend(cacert.iter().flat_map(|path| ["--cacert", &**path]));
        export::curl(request, &self.origin, &flags, is_captured)
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
