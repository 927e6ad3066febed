use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::cdr::judge::{Judgement, judge_json};
use crate::cdr::remark::Remark;
use crate::exchange::Answer;
use crate::listen::relate::Relations;
use crate::net::Request;

#[derive(Default)]
struct Recorded {
    relations: Relations,
    retries: Retries,
    n: u64,
}

fn moment(ms: i64) -> Timestamp {
    Timestamp::from_epoch_ms(1_800_000_000_000 + ms).unwrap()
}

fn status(status: u16) -> Answer {
    Answer {
        status: Some(status),
        ..Answer::default()
    }
}

fn fault(fault: &str) -> Answer {
    Answer {
        fault: Some(fault.to_owned()),
        ..Answer::default()
    }
}

fn cdr(cmiuuid: &str) -> Value {
    let text = include_str!("../../../fixtures/docs-leg-a.json");
    let mut cdr: Value = serde_json::from_str(text).unwrap();
    cdr["cmiuuid"] = json!(cmiuuid);
    cdr
}

impl Recorded {
    fn note(&mut self, ms: i64, cdr: impl Into<Value>, answer: Answer) -> Exchange {
        self.n += 1;
        let request = match cdr.into() {
            Value::Null => Request::new("GET", "/health?token=hush", vec![], ""),
            cdr => Request::new("POST", "/cdr", vec![], cdr.to_string()),
        };
        let Judgement {
            mut verdict,
            fields,
        } = judge_json(&request.body.0);
        verdict
            .remarks
            .push(Remark::new(Code::Duplicate, "duplicate"));
        let duplicate = Relation {
            n: 1,
            how: "duplicate",
            text: "duplicate".to_owned(),
        };
        let mut exchange = Exchange {
            n: self.n,
            received_at: moment(ms),
            peer: ([127, 0, 0, 1], 4000).into(),
            claimed: None,
            request,
            cdr: fields.filter(|_| verdict.kind.is_cdr()),
            verdict,
            related: vec![duplicate],
            uncounted: None,
            answer,
            took_ms: 10.0,
        };
        let cdr = exchange.cdr.as_ref();
        let (identity, ..) = self
            .relations
            .relate(self.n, moment(ms), &exchange.request, cdr);
        self.retries.recognise(identity, &mut exchange);
        self.retries.note(identity, &exchange, moment(ms + 10));
        exchange
    }

    fn said(&mut self, ms: i64, cdr: impl Into<Value>, answer: Answer) -> String {
        let exchange = self.note(ms, cdr, answer);
        let duplicate = exchange
            .verdict
            .remarks
            .iter()
            .any(|remark| remark.code == Code::Duplicate);
        assert_eq!(duplicate, exchange.related[0].how == "duplicate");
        assert_eq!(exchange.related.len(), 1);
        exchange.related[0].text.clone()
    }

    fn report(&self, ms: i64) -> Report {
        self.retries.report(moment(ms)).unwrap()
    }
}

#[test]
fn what_comes_back_after_a_failure_is_no_duplicate() {
    let mut recorded = Recorded::default();
    let said = [
        recorded.said(0, cdr("x"), status(503)),
        recorded.said(60_110, cdr("x"), fault("hang")),
        recorded.said(360_130, cdr("x"), status(200)),
        recorded.said(360_200, cdr("x"), status(200)),
        recorded.said(360_300, cdr("y"), status(200)),
        recorded.said(360_400, cdr("y"), status(200)),
    ];
    insta::assert_snapshot!(said.join("\n"), @"
    duplicate
    retried 60.1 s after the 503 of #1 (attempt 2)
    retried 5 m 00 s after the hang of #2 (attempt 3)
    duplicate
    duplicate
    duplicate
    ");
    let report = recorded.report(400_000);
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap(), @r#"
    {
      "failed": 1,
      "came_back": 1,
      "answered": 1,
      "intervals": [
        {
          "retry": 1,
          "times": 1,
          "min_ms": 60100.0,
          "median_ms": 60100.0,
          "max_ms": 60100.0
        },
        {
          "retry": 2,
          "times": 1,
          "min_ms": 300010.0,
          "median_ms": 300010.0,
          "max_ms": 300010.0
        }
      ],
      "requests": [
        {
          "method": "POST",
          "cmiuuid": "x",
          "leg": "a",
          "attempts": [
            {
              "n": 1,
              "attempt": 1,
              "at": "2027-01-15T08:00:00.000Z",
              "status": 503
            },
            {
              "n": 2,
              "attempt": 2,
              "at": "2027-01-15T08:01:00.110Z",
              "after_ms": 60100.0,
              "fault": "hang"
            },
            {
              "n": 3,
              "attempt": 3,
              "at": "2027-01-15T08:06:00.130Z",
              "after_ms": 300010.0,
              "status": 200
            }
          ],
          "duplicates": 1,
          "answered": true
        }
      ],
      "left_out": 0
    }
    "#);
}

#[test]
fn all_but_2xx_is_a_failure_and_so_is_every_fault() {
    for answer in [
        status(404),
        status(302),
        fault("reset"),
        fault("garbage"),
        Answer::default(),
    ] {
        let mut recorded = Recorded::default();
        recorded.note(0, cdr("x"), answer);
        assert!(
            recorded
                .said(1_000, cdr("x"), status(204))
                .starts_with("retried ")
        );
    }
    let slow = Answer {
        fault: Some("slow".to_owned()),
        ..status(200)
    };
    let mut recorded = Recorded::default();
    recorded.note(0, cdr("x"), slow);
    assert_eq!(
        recorded.said(1_010, cdr("x"), status(200)),
        "retried 1.00 s after the slow 200 of #1 (attempt 2)"
    );
}

#[test]
fn what_has_not_come_back_is_reported_with_how_long() {
    let mut recorded = Recorded::default();
    recorded.note(0, cdr("x"), fault("reset"));
    recorded.note(5, cdr("y"), status(200));
    let report = recorded.report(372_010);
    assert_eq!(
        (report.failed, report.came_back, report.answered),
        (1, 0, 0)
    );
    assert_eq!(
        report.requests[0].unanswered_for,
        Some(Duration::from_secs(372))
    );
    assert!(report.intervals.is_empty());
}

#[test]
fn a_copy_that_was_on_its_way_before_the_failure_is_no_retry() {
    let mut recorded = Recorded::default();
    recorded.note(0, cdr("x"), status(503));
    assert_eq!(recorded.said(9, cdr("x"), status(200)), "duplicate");
    // The sender of a failed request may still retry, so the failed request is kept.
    assert_eq!(
        recorded.said(30, cdr("x"), status(200)),
        "retried 20.0 ms after the 503 of #1 (attempt 2)"
    );
    assert_eq!(recorded.report(100).requests[0].duplicates, 1);
}

#[test]
fn a_duplicate_that_fails_may_come_back_too() {
    let mut recorded = Recorded::default();
    recorded.note(0, cdr("x"), status(503));
    recorded.note(100, cdr("x"), status(200));
    assert_eq!(recorded.said(200, cdr("x"), status(500)), "duplicate");
    assert_eq!(
        recorded.said(310, cdr("x"), status(200)),
        "retried 100 ms after the 500 of #3 (attempt 2)"
    );
    let report = recorded.report(400);
    let attempts: Vec<_> = report.requests[0]
        .attempts
        .iter()
        .map(|attempt| attempt.attempt)
        .collect();
    assert_eq!(attempts, [1, 2, 1, 2]);
    assert_eq!((report.intervals.len(), report.intervals[0].times), (1, 2));
}

#[test]
fn other_requests_are_told_only_if_they_come_back() {
    let mut recorded = Recorded::default();
    recorded.note(0, (), status(503));
    assert_eq!(recorded.retries.report(moment(50)), None);
    assert!(
        recorded
            .said(110, (), status(200))
            .starts_with("retried 100 ms after")
    );
    let history = &recorded.report(200).requests[0];
    assert_eq!(
        (
            history.method.as_str(),
            history.path.as_deref(),
            &history.cmiuuid
        ),
        ("GET", Some("/health"), &None)
    );
}

#[test]
fn the_median_is_one_that_occurred() {
    let mut recorded = Recorded::default();
    for (id, after) in [("a", 100), ("b", 300), ("c", 200), ("d", 900)] {
        recorded.note(0, cdr(id), status(503));
        recorded.note(10 + after, cdr(id), status(200));
    }
    let ms = |n| Duration::from_millis(n);
    let expected = Interval {
        retry: 1,
        times: 4,
        least: ms(100),
        median: ms(200),
        most: ms(900),
    };
    assert_eq!(recorded.report(1_000).intervals, [expected]);
}

#[test]
fn what_comes_back_for_ever_has_a_gap_in_the_middle() {
    let mut recorded = Recorded::default();
    for n in 0..100 {
        recorded.note(n * 1_000, cdr("x"), status(503));
    }
    let history = &recorded.report(100_000).requests[0];
    assert_eq!(
        (history.attempts.len(), history.left_out),
        (MAX_ATTEMPTS, 100 - MAX_ATTEMPTS as u64)
    );
    assert_eq!(history.attempts[MAX_ATTEMPTS - 1].n, 100);
    assert_eq!(
        history.attempts[MAX_ATTEMPTS - 2].n,
        MAX_ATTEMPTS as u64 - 1
    );
    assert_eq!(recorded.report(100_000).intervals.len(), MAX_ATTEMPTS - 2);
}

#[test]
fn the_oldest_is_forgotten_and_a_report_names_only_so_many() {
    let mut recorded = Recorded::default();
    for n in 0..=MAX_CDRS {
        recorded.note(0, cdr(&n.to_string()), status(503));
    }
    assert_eq!(
        (
            recorded.retries.histories.len(),
            recorded.retries.cdrs.len()
        ),
        (MAX_CDRS, MAX_CDRS)
    );
    assert_eq!(recorded.said(50, cdr("0"), status(200)), "duplicate");
    for n in 1..=MAX_CDRS {
        recorded.note(50, cdr(&n.to_string()), status(200));
    }
    let report = recorded.report(100);
    assert_eq!(
        (report.requests.len(), report.left_out),
        (MAX_LISTED, (MAX_CDRS - MAX_LISTED) as u64 + 1)
    );
    assert_eq!(
        (report.failed, report.answered),
        (MAX_CDRS as u64, MAX_CDRS as u64)
    );
}

#[test]
fn other_requests_are_neither_counted_nor_displace_a_cdr() {
    let mut recorded = Recorded::default();
    recorded.note(0, cdr("x"), status(503));
    for n in 0..=MAX_CDRS {
        recorded.note(0, json!([n]), status(422));
    }
    assert_eq!(
        (
            recorded.retries.histories.len(),
            recorded.retries.others.len()
        ),
        (1 + MAX_OTHERS, MAX_OTHERS)
    );
    let report = recorded.report(100);
    assert_eq!(
        (report.failed, report.requests.len(), report.left_out),
        (1, 1, 0)
    );
    // A retried request is reported, and is counted in `forgotten` when dropped.
    recorded.note(50, json!([MAX_CDRS]), status(422));
    assert_eq!(
        (recorded.report(100).failed, recorded.report(100).left_out),
        (2, 0)
    );
    for n in 0..MAX_OTHERS {
        recorded.note(0, json!([n]), status(422));
    }
    assert_eq!(
        (recorded.report(100).failed, recorded.report(100).left_out),
        (1, 1)
    );
}

#[test]
fn intervals_keep_their_tenths_where_policies_have_them() {
    let said = [
        0.0105, 1.5, 10.04, 60.1, 119.94, 300.4, 3_600.0, 7_500.0, 86_400.0,
    ]
    .map(|seconds| interval(Duration::from_secs_f64(seconds)));
    assert_eq!(
        said,
        [
            "10.5 ms",
            "1.50 s",
            "10.0 s",
            "60.1 s",
            "119.9 s",
            "5 m 00 s",
            "60 m 00 s",
            "2 h 05 m",
            "24 h 00 m"
        ]
    );
}

proptest! {
    /// For requests in any order, the counts add up, and a request counts as answered if its last answer was 2xx.
    #[test]
    fn what_is_counted_adds_up(arrivals in prop::collection::vec((0..4_u8, any::<bool>(), 0..100_i64), 0..60)) {
        let mut recorded = Recorded::default();
        let (mut ms, mut failed) = (0, std::collections::BTreeMap::new());
        for (id, fails, gap) in arrivals {
            ms += 20 + gap;
            recorded.note(ms, cdr(&id.to_string()), status(if fails { 503 } else { 200 }));
            if fails || failed.contains_key(&id) {
                failed.entry(id).or_insert_with(Vec::new).push(fails);
            }
        }
        let Some(report) = recorded.retries.report(moment(ms + 20)) else {
            prop_assert!(failed.is_empty());
            return Ok(());
        };
        prop_assert_eq!(report.failed, failed.len() as u64);
        let answered = failed.values().filter(|fails| fails.last() == Some(&false)).count();
        prop_assert_eq!(report.answered, answered as u64);
        let arrived: usize = failed.values().map(Vec::len).sum();
        let listed: u64 = report.requests.iter().map(|history| {
            let again = history.attempts.iter().skip(1).filter(|attempt| attempt.after.is_none()).count() as u64;
            history.attempts.len() as u64 + history.left_out + history.duplicates - again
        }).sum();
        if report.requests.iter().all(|history| history.left_out == 0) {
            prop_assert_eq!(listed, arrived as u64);
        }
    }
}
