//! Snapshots of the section on retries in the summary of `listen`, and of the file of `--report`.

use std::time::Duration;

use super::*;
use crate::cdr::Leg;
use crate::clock::Timestamp;
use crate::error::Exit;
use crate::listen::event::{Ending, Summary};
use crate::listen::fault::{Fault, Faults};
use crate::listen::retries::{Attempt, Interval};
use crate::seed::Seed;

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_epoch_ms(1_800_000_000_000 + seconds * 1_000).unwrap()
}

/// Makes attempt number `attempt` of a request, received as request `n` of the run, with the status or fault `met`.
fn attempt(n: u64, attempt: u64, after: f64, met: &str) -> Attempt {
    let status = met.parse().ok();
    Attempt {
        n,
        attempt,
        at: moment(i64::try_from(n).unwrap() * 60),
        after: (after > 0.0).then(|| Duration::from_secs_f64(after)),
        status,
        fault: (status != Some(200))
            .then(|| if status.is_some() { "status" } else { met }.to_owned()),
        answered: moment(0),
    }
}

fn history(cmiuuid: &str, leg: Option<Leg>, attempts: Vec<Attempt>) -> RetryHistory {
    RetryHistory {
        method: "POST".to_owned(),
        path: None,
        cmiuuid: Some(cmiuuid.to_owned()),
        leg,
        answered: attempts.last().is_some_and(|last| last.status == Some(200)),
        attempts,
        left_out: 0,
        duplicates: 0,
        unanswered_for: None,
    }
}

fn sample() -> Report {
    let came = history(
        "3a41f8a3-2b1c-4c7d-9f3e-0123456789ab",
        Some(Leg::A),
        vec![
            attempt(1, 1, 0.0, "503"),
            attempt(4, 2, 60.1, "503"),
            attempt(9, 3, 300.4, "200"),
        ],
    );
    let mut silent = history("5b07-\u{1b}[31m-x", None, vec![attempt(2, 1, 0.0, "reset")]);
    silent.unanswered_for = Some(Duration::from_secs(372));
    let mut long = history(
        "7c",
        Some(Leg::B),
        (0..8).map(|n| attempt(n + 10, n + 1, 1.0, "503")).collect(),
    );
    long.attempts.push(attempt(90, 50, 1.0, "200"));
    (long.left_out, long.duplicates, long.answered) = (41, 2, true);
    let mut other = history(
        "",
        None,
        vec![attempt(3, 1, 0.0, "hang"), attempt(5, 2, 12.0, "200")],
    );
    (other.cmiuuid, other.path) = (None, Some("/a/path/that/is/long".to_owned()));
    other
        .attempts
        .extend([attempt(6, 1, 0.0, "500"), attempt(7, 2, 1.5, "200")]);
    let row = |retry, times, seconds: [f64; 3]| {
        let [least, median, most] = seconds.map(Duration::from_secs_f64);
        Interval {
            retry,
            times,
            least,
            median,
            most,
        }
    };
    Report {
        failed: 4,
        came_back: 3,
        answered: 3,
        intervals: vec![
            row(1, 3, [1.0, 12.0, 60.1]),
            row(2, 1, [300.4; 3]),
            row(3, 1, [1.0; 3]),
        ],
        requests: vec![came, silent, long, other],
        left_out: 0,
    }
}

#[test]
fn the_section_has_the_findings_of_the_report() {
    let text = section(&sample(), Theme::plain());
    let findings = text.strip_prefix("retries\n").unwrap();
    let run = run(Faults::default(), Some(sample()));
    assert!(run.contains(findings.trim_end()), "{text}");
}

#[test]
fn colours_change_nothing_but_the_colours() {
    let coloured = section(&sample(), Theme::new(true));
    let mut plain = String::new();
    for part in coloured.split('\u{1b}') {
        plain.push_str(
            part.split_once('m')
                .filter(|_| part.starts_with('['))
                .map_or(part, |(_, text)| text),
        );
    }
    assert_eq!(plain, section(&sample(), Theme::plain()));
}

#[test]
fn a_section_names_only_so_many() {
    let mut report = sample();
    report.requests = vec![history("x", None, vec![attempt(1, 1, 0.0, "503")]); 30];
    (report.failed, report.left_out) = (33, 8);
    let text = section(&report, Theme::plain());
    assert_eq!(text.matches("#1  ").count(), MAX_SHOWN);
    // 20 of the 30 kept requests are not listed, and 8 are counted in `left_out`.
    assert!(
        text.contains("  and 28 more: --report FILE lists up to 1 000\n"),
        "{text}"
    );
}

fn run(faults: Faults, retries: Option<Report>) -> String {
    let summary = Summary {
        exchanges: 12,
        cdrs: 10,
        counted: 10,
        wanted: None,
        remarks: 0,
        dropped: 0,
        malformed: 0,
        command: None,
        tunnel_ended: false,
        saved: None,
        lost: 0,
        retries,
        ending: Ending::Interrupted,
        exit: Exit::Success,
    };
    let run = Run {
        url: "http://127.0.0.1:8237".to_owned(),
        began: moment(0),
        ended: moment(1_212),
        faults,
        seed: faults.is_random().then_some(Seed(7)),
    };
    let text = report(&run, &summary);
    text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[test]
fn a_report_tells_everything() {
    let text = run(
        Faults {
            fault: Fault::Status(503),
            first: 2,
            rate: 0.1,
        },
        Some(sample()),
    );
    assert!(
        text.lines()
            .all(|line| line.chars().count() <= REPORT_WIDTH),
        "{text}"
    );
    insta::assert_snapshot!(text, @r"
    telecmi-cdr VERSION: retries of failed requests

    listened   http://127.0.0.1:8237
    from       2027-01-15 08:00:00 UTC
    to         2027-01-15 08:20:12 UTC (20 m 12 s, interrupted)
    received   12 requests with 10 CDRs
    faults     the first 2 requests, and 10 % of the others by chance: status 503
    seed       7

    4 requests failed: 3 retried, 3 were answered with 2xx in the end.

    Intervals
      retry    times     shortest       median      longest
      1st          3       1.00 s       12.0 s       60.1 s
      2nd          1     5 m 00 s     5 m 00 s     5 m 00 s
      3rd          1       1.00 s       1.00 s       1.00 s

    Requests
      3a41f8a3-2b1c-4c7d-9f3e-0123456789ab, leg a, by POST
        #1     2027-01-15T08:01:00.000Z                   503, injected
        #4     2027-01-15T08:04:00.000Z  after 60.1 s     503, injected
        #9     2027-01-15T08:09:00.000Z  after 5 m 00 s   200
      5b07-\u{1b}[31m-x, by POST
        #2     2027-01-15T08:02:00.000Z                   reset, injected
        no retry within 6 m 12 s
      7c, leg b, by POST
        #10    2027-01-15T08:10:00.000Z  after 1.00 s     503, injected
        #11    2027-01-15T08:11:00.000Z  after 1.00 s     503, injected
        #12    2027-01-15T08:12:00.000Z  after 1.00 s     503, injected
        #13    2027-01-15T08:13:00.000Z  after 1.00 s     503, injected
        #14    2027-01-15T08:14:00.000Z  after 1.00 s     503, injected
        #15    2027-01-15T08:15:00.000Z  after 1.00 s     503, injected
        #16    2027-01-15T08:16:00.000Z  after 1.00 s     503, injected
        #17    2027-01-15T08:17:00.000Z  after 1.00 s     503, injected
        … 41 left out
        #90    2027-01-15T09:30:00.000Z  after 1.00 s     200
        and 2 copies that are not retries
      POST /a/path/that/is/long
        #3     2027-01-15T08:03:00.000Z                   hang, injected
        #5     2027-01-15T08:05:00.000Z  after 12.0 s     200
        #6     2027-01-15T08:06:00.000Z  a copy           500, injected
        #7     2027-01-15T08:07:00.000Z  after 1.50 s     200

    What this shows
      The requests that failed in this run, and their retries. An interval begins
      with the listener's answer, or with the end of the connection if there was
      no answer, and ends when the same request arrives again: for a CDR, the same
      fields and values by the same method. After the faults hang and slow, the
      interval includes the sender's own timeout.

    What this does not show
      Requests that never reached this listener, retries after the end of the run,
      and how the sender behaves on another day or after another failure. A
      request that is sent again with a changed field is not a retry: the listener
      reports a conflict.
    ");
}

#[test]
fn a_report_of_nothing_says_so() {
    let text = run(Faults::default(), None);
    assert!(
        text.contains("\nfaults     none\n\nNo request failed: there are no retries to report.\n")
    );
    assert!(!text.contains("seed"), "{text}");
}

#[test]
fn numbers_have_their_endings() {
    assert_eq!(
        [1, 2, 3, 4, 11, 12, 13, 21, 112].map(ordinal).join(" "),
        "1st 2nd 3rd 4th 11th 12th 13th 21st 112th"
    );
}
