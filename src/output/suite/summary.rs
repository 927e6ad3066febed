//! Renders the summary of the suite: the findings, the remarks, the verdict, and manual checks of what the suite cannot
//! observe.

use std::borrow::Borrow;
use std::fmt::Write as _;

use super::{exchange, words};
use crate::cdr::Grade;
use crate::clock::format_duration;
use crate::error::Exit;
use crate::output::body::indented;
use crate::output::text::{Role, Theme, fitted, plural, prose, wrapped};
use crate::suite::event::{CaseRecord, SuiteSummary};
use crate::suite::verdict::Cause;
use crate::untrusted::{beginning, clean};

/// A finding shows at most this many characters of a stored record.
const STORED: usize = 400;

/// At most this many names of cases are listed, unless `verbose`.
const MAX_NAMES: usize = 9;

/// The changes of a group's cases are named if the group has at most this many cases.
const MAX_CHANGES: usize = 3;

/// The facts behind the cases are told of this many findings, unless `verbose`.
const MAX_WHYS: usize = 2;

/// The parts of a finding that are left out if they would be repeated or fill the screen.
#[derive(Debug, Clone, Copy)]
struct Parts {
    heading: bool,
    advice: bool,
    why: bool,
}

/// The layout of a report: its width in columns, and whether each case of a finding is shown.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub width: usize,
    /// The columns of the terminal, if there is one, to which requests and replies are wrapped.
    pub terminal: Option<usize>,
    pub verbose: bool,
}

pub fn summary(summary: &SuiteSummary, theme: Theme, layout: Layout) -> String {
    let mut out = String::new();
    let groups = groups(summary);
    if !groups.is_empty() {
        let heading = theme.paint(Role::Strong, "Findings");
        let _ = write!(out, "\n{heading}, first what TeleCMI really sends\n");
    }
    let (mut advised, mut headings, mut last) = (Vec::new(), 0, None);
    for group in &groups {
        let advice = group[0].advice.unwrap_or_default();
        // Findings of one cause behind one another share their heading.
        let heading = layout.verbose || last != Some(group[0].cause);
        headings += usize::from(heading);
        let parts = Parts {
            heading,
            advice: layout.verbose || !advised.contains(&advice),
            why: layout.verbose || (heading && headings <= MAX_WHYS),
        };
        last = Some(group[0].cause);
        advised.push(advice);
        out.push_str(&finding(group, parts, theme, layout));
    }
    if !summary.remarks.is_empty() {
        let heading = theme.paint(Role::Strong, "Remarks");
        let _ = write!(out, "\n{heading}, which fail nothing\n");
    }
    for remark in &summary.remarks {
        let mut text = clean(&remark.text).into_owned();
        if !remark.cases.is_empty() {
            text.extend([": ", &names(&remark.cases, layout)]);
        }
        out += &item(&text, layout.width);
    }
    let _ = write!(out, "\n{}\n", verdict(summary, theme));
    if let Some(comparison) = &summary.baseline {
        let lists = [
            ("fixed", &comparison.fixed),
            ("new", &comparison.new),
            ("still failing", &comparison.still_failing),
        ];
        let none = comparison.new.is_empty().then_some(": no new failures");
        let _ = writeln!(out, "Against the baseline{}", none.unwrap_or_default());
        for (what, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            let text = format!("{} {what}: {}", list.len(), names(list, layout));
            out += &item(&text, layout.width);
        }
    }
    let is_short = summary.failed > 0 && !layout.verbose;
    if summary.ok > 0 && summary.exit.code() <= 1 && !summary.has_read_back && !is_short {
        out.push('\n');
        out.push_str(&blind_spots(theme, layout.width));
    }
    out
}

/// Groups the failures by what the handler did. What TeleCMI really sends comes first, then what is inferred, then what
/// is hostile; within these, the worst cause first.
fn groups(summary: &SuiteSummary) -> Vec<Vec<&CaseRecord>> {
    let mut groups: Vec<(Cause, String, Vec<&CaseRecord>)> = Vec::new();
    for record in summary.records.iter().filter(|record| record.failed()) {
        let Some(cause) = record.cause else { continue };
        let key = key(record);
        let mut known = groups.iter_mut();
        match known.find(|(its, text, _)| *its == cause && *text == key) {
            Some((.., records)) => records.push(record),
            None => groups.push((cause, key, vec![record])),
        }
    }
    let rank = |record: &&CaseRecord| match record.grade {
        Grade::Doc | Grade::Seen | Grade::Calc => 0,
        Grade::Inferred | Grade::Unknown => 1,
        Grade::Hostile => 2,
    };
    groups.sort_by_key(|(cause, _, records)| (records.iter().map(rank).min(), *cause));
    let records = groups.into_iter().map(|(.., mut records)| {
        records.sort_by_key(rank);
        records
    });
    records.collect()
}

/// What the handler did, without the numbers that differ from CDR to CDR.
fn key(record: &CaseRecord) -> String {
    if let Some(stored) = &record.stored {
        return stored.mistake.clone();
    }
    match record.cause {
        Some(Cause::Blocked | Cause::Slow) | None => String::new(),
        _ => {
            let reply = record.then.as_deref().or(record.reply.as_deref());
            let mut words = reply.map(words).unwrap_or_default();
            words.retain(|c| !c.is_ascii_digit());
            // Text in double quotes is what the CDR said, and differs from case to case.
            let unquoted: String = words.split('"').step_by(2).collect();
            // A parser names the character at which it stopped.
            let parts = unquoted.split('\'');
            parts.filter(|part| part.chars().count() != 1).collect()
        }
    }
}

fn finding(group: &[&CaseRecord], parts: Parts, theme: Theme, layout: Layout) -> String {
    let [first, ..] = group else {
        return String::new();
    };
    let cause = first.cause.map_or("", Cause::words);
    let mark = theme.paint(Role::Bad, "✗");
    let cause = theme.paint(Role::Strong, cause);
    let grade = theme.paint(Role::Faint, format!("[{}]", first.grade));
    let mut out = String::new();
    if parts.heading {
        let _ = writeln!(out, "\n{mark} {cause} {grade}");
    }
    let reply = first.reply.as_deref().map(words);
    let then = first.then.as_deref().map(words);
    let then = then.map(|then| format!("the next good CDR: {then}"));
    let got = first.reply.is_none() || first.got.contains([';', ',']);
    let got = got.then(|| clean(&first.got).into_owned());
    // Received text may have long words, which must not reach column 0 of the next line.
    for text in [reply, then, got].into_iter().flatten() {
        let _ = writeln!(out, "{}", wrapped(&format!("  {text}"), layout.width));
    }
    let mut push = |text: &str| out.push_str(&prose(&clean(text), "  ", layout.width));
    if let Some(takes) = &first.takes {
        push(&format!("The good CDR is {takes}."));
    }
    let advice = first.advice.filter(|_| parts.advice);
    push(&sentence(advice.unwrap_or_default()));
    push(first.why.filter(|_| parts.why).unwrap_or_default());
    let changes = group.len() <= MAX_CHANGES;
    let listed = group.iter().map(|record| match &record.change {
        Some(change) if changes => format!("{} ({change})", record.name),
        _ => record.name.to_owned(),
    });
    let mut count = plural(group.len() as u64, "case");
    if !parts.heading {
        let _ = write!(count, " [{}]", first.grade);
    }
    let listed: Vec<String> = listed.collect();
    push(&format!("{count}: {}", names(&listed, layout)));
    let found = first.stored.as_ref().map(|stored| stored.found.as_str());
    if let Some(found) = found.filter(|found| !found.is_empty()) {
        let found = beginning(found, STORED).replace('\n', " ⏎ ");
        let text = format!("  stored: {}", clean(&found));
        let _ = writeln!(out, "{}", wrapped(&text, layout.width));
    }
    if !first.log.is_empty() {
        out.push_str("  its output:\n");
    }
    for line in &first.log {
        let text = format!("    {}", clean(line));
        let _ = writeln!(out, "{}", wrapped(&text, layout.width));
    }
    let shown = if layout.verbose { group } else { &group[..1] };
    for record in shown {
        if layout.verbose {
            out.push_str(&case(record, theme, layout));
        }
        // The `repeat` command is not wrapped, so that it can be copied.
        if let Some(repeat) = &record.repeat {
            let _ = writeln!(out, "    {}", theme.paint(Role::Name, clean(repeat)));
        }
    }
    out
}

/// A case of a finding with what was sent and what came back.
fn case(record: &CaseRecord, theme: Theme, layout: Layout) -> String {
    let name = theme.paint(Role::Strong, record.name);
    let change = record.change.as_deref().map(clean).unwrap_or_default();
    let mut out = format!("\n  {name} [{}] {change}\n", record.grade);
    let wanted = format!("wanted {}; got {}", record.expected, clean(&record.got));
    out += &prose(&wanted, "    ", layout.width);
    let exchange = exchange(record, theme);
    out += &fitted(indented(&exchange, "    ").collect(), layout.terminal);
    out
}

/// An item of a list.
fn item(text: &str, width: usize) -> String {
    format!("- {}", prose(text, "  ", width).trim_start())
}

fn names(names: &[impl Borrow<str>], layout: Layout) -> String {
    if layout.verbose || names.len() <= MAX_NAMES + 1 {
        return names.join(", ");
    }
    let more = names.len() - MAX_NAMES;
    let shown = names[..MAX_NAMES].join(", ");
    format!("{shown} and {more} more (-v names them)")
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter();
    let first: String = first.flat_map(char::to_uppercase).collect();
    let is_whole = text.is_empty() || text.ends_with(['.', '?']);
    let stop = if is_whole { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

fn verdict(summary: &SuiteSummary, theme: Theme) -> String {
    let skipped = match summary.skipped {
        0 => String::new(),
        n => format!(", {n} skipped"),
    };
    let took = format_duration(summary.elapsed);
    let (ok, asked) = (summary.ok as u64, summary.ok + summary.failed);
    let (role, painted, rest) = match (summary.exit, summary.failed) {
        (Exit::Interrupted | Exit::Terminated, failed) => {
            let done = plural(asked as u64, "case");
            let text = format!("✗ interrupted after {done}, {failed} failed · {took}");
            (Role::Bad, text, String::new())
        }
        (_, 0) if ok == 0 => {
            let text = format!("✗ no case could be asked{skipped} · {took}");
            (Role::Bad, text, String::new())
        }
        (_, 0) => {
            let rest = format!(" held{skipped} · {took}");
            (Role::Good, format!("✓ {}", plural(ok, "case")), rest)
        }
        (_, failed) => {
            let rest = format!(" of {asked} failed{skipped} · {took}");
            (Role::Bad, format!("✗ {failed}"), rest)
        }
    };
    format!("{}{rest}", theme.paint(role, painted))
}

fn blind_spots(theme: Theme, width: usize) -> String {
    let heading = theme.paint(Role::Strong, "What a black box cannot see");
    let mut out = format!("{heading}\n");
    for text in [
        "whether two copies became one record: run --suite --only duplicate, and count what was stored: one.",
        "whether leg b overwrote leg a: run --suite --only post-customer-no-answer, and look for two records of one request_id.",
        "whether a 200 meant anything: run --suite --only get-is-accepted, and look for the CDR.",
    ] {
        out += &item(text, width);
    }
    out
}
