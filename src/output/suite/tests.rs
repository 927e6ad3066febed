//! Snapshots without colours: the text alone must carry all information.

use std::time::Duration;

use super::*;
use crate::net::{Destination, Header, Request, Response};
use crate::output::catalogue;
use crate::suite::cases::table;
use crate::suite::event::SuiteSummary;
use crate::suite::verdict::{Cause, Observed};

fn record(name: &str, got: &str, cause: Option<Cause>) -> CaseRecord {
    let case = table().find(|case| case.name == name).expect("a case");
    let mut record = CaseRecord {
        took: Duration::from_micros(1_400),
        cause,
        ok: cause.is_none(),
        ..CaseRecord::passed(case, case.expects(), got.to_owned(), Duration::ZERO)
    };
    if let Some(cause) = cause {
        let status = got.get(..3).and_then(|status| status.parse().ok());
        let page = "<h1>KeyError</h1><p>KeyError: &#39;user&#39;</p>";
        let headers = vec![Header::new("Content-Type", "text/html")];
        let observed = Observed {
            sent: Request::new("POST", "/cdr?token=x", vec![], &b"{\"a\":1}"[..]),
            answer: Ok(Response::new(status.unwrap_or(500), headers, page)),
            latency: Duration::ZERO,
        };
        record.change = Some("without `user`".to_owned());
        record.show(
            &observed,
            &Destination::parse("http://localhost:5000/cdr").unwrap(),
        );
        record.advice = Some(cause.advice_on(&observed.sent, &observed.answer));
        record.repeat = Some(format!(
            "telecmi-cdr send --url 'http://localhost:5000/cdr?a=1' --suite --only {name} --seed 7"
        ));
    }
    record
}

fn skipped(name: &str) -> CaseRecord {
    let case = table().find(|case| case.name == name).expect("a case");
    CaseRecord::skipped(case, "no good CDR is taken by GET, see get-is-accepted")
}

fn records() -> Vec<CaseRecord> {
    vec![
        record("post-is-accepted", "200 OK", None),
        record(
            "get-is-accepted",
            "405 Method Not Allowed",
            Some(Cause::Refused),
        ),
        record(
            "live-agent-no-answer",
            "500 Internal Server Error",
            Some(Cause::ServerError),
        ),
        record(
            "live-customer-no-answer",
            "500 Internal Server Error ×2",
            Some(Cause::ServerError),
        ),
        skipped("get-legacy"),
        skipped("get-live"),
        skipped("get-duplicate"),
        record(
            "duplicate",
            "200 OK, then 409 Conflict",
            Some(Cause::Differs),
        ),
        record(
            "stalled-body",
            "no \u{1b}[2J answer within 2 s meanwhile; the next good CDR: 200 OK",
            Some(Cause::Blocked),
        ),
    ]
}

const LAYOUT: Layout = Layout {
    width: 72,
    terminal: None,
    verbose: false,
};

#[test]
fn verbose_shows_what_was_sent_and_answered() {
    let records = vec![record(
        "without-user",
        "500 Internal Server Error",
        Some(Cause::ServerError),
    )];
    let summary = SuiteSummary::of(records, Duration::from_millis(900), None);
    let layout = Layout {
        verbose: true,
        ..LAYOUT
    };
    insta::assert_snapshot!(super::summary(&summary, Theme::plain(), layout));
    let at_a_terminal = Layout {
        terminal: Some(20),
        ..layout
    };
    let text = super::summary(&summary, Theme::plain(), at_a_terminal);
    let page = "    < <h1>KeyError</\n        h1><p>";
    assert!(text.contains(page), "{text}");
}

#[test]
fn a_reply_that_repeats_its_status_says_it_once() {
    let words = |line: &str| {
        let mut record = record("duplicate", "404 Not Found", Some(Cause::Differs));
        let reply = record.reply.as_mut().unwrap();
        reply.line = Some(line.to_owned());
        super::words(reply)
    };
    let standard = "404 Not Found: The requested URL was not found on the server. If you";
    assert_eq!(words(standard), "404 Not Found");
    assert_eq!(words("404 Not Found"), "404 Not Found");
    let told = "404 Not Found: no such account";
    assert_eq!(words(told), "404 Not Found · no such account");
}

#[test]
fn cases_are_told_as_they_happen() {
    let mut cases = CaseLines::default();
    let theme = Theme::plain();
    let mut text: String = records()
        .iter()
        .map(|record| cases.case(record, theme, false))
        .collect();
    text.push_str(&cases.end(theme, false));
    insta::assert_snapshot!(text);
}

#[test]
fn findings_come_worst_first_and_the_verdict_last() {
    let summary = SuiteSummary::of(records(), Duration::from_millis(4_200), None);
    insta::assert_snapshot!(super::summary(&summary, Theme::plain(), LAYOUT));
}

#[test]
fn a_green_suite_says_so_and_what_it_could_not_see() {
    let records = vec![record("post-is-accepted", "200 OK", None)];
    let summary = SuiteSummary::of(records, Duration::from_millis(900), None);
    insta::assert_snapshot!(super::summary(&summary, Theme::plain(), LAYOUT));
}

#[test]
fn nothing_is_wider_than_a_narrow_terminal_but_what_is_copied() {
    let mut cases = CaseLines::default();
    let theme = Theme::plain();
    let mut text: String = records()
        .iter()
        .map(|record| cases.case(record, theme, false))
        .collect();
    text.push_str(&super::summary(
        &SuiteSummary::of(records(), Duration::ZERO, None),
        theme,
        LAYOUT,
    ));
    text.push_str(&catalogue::cases(
        &table().collect::<Vec<_>>(),
        theme,
        false,
    ));
    for line in text
        .lines()
        .filter(|line| !line.contains("telecmi-cdr send"))
    {
        assert!(line.chars().count() <= 72, "{line}");
    }
}

#[test]
fn verbose_names_every_skipped_case() {
    let mut cases = CaseLines::default();
    let text = cases.case(&skipped("get-legacy"), Theme::plain(), true);
    assert!(text.contains("– get-legacy") && text.contains("see get-is-accepted"));
}

#[test]
fn the_list_has_every_case_with_what_it_stands_for() {
    let text = catalogue::cases(&table().collect::<Vec<_>>(), Theme::plain(), false);
    for case in table() {
        assert!(text.contains(&format!("  {} ", case.name)), "{}", case.name);
    }
}
