use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::cdr::judge::judge_json;
use crate::clock::Timestamp;
use crate::exchange::Answer;
use crate::listen::event::Summary;
use crate::ndjson;
use crate::net::Header;
use crate::untrusted::disturbs;

const DEADLINE: Duration = Duration::from_secs(20);

pub fn exchange(n: u64, request: Request) -> Event {
    let judgement = judge_json(&request.body.0);
    Event::Exchange(
        Arc::new(Exchange {
            n,
            received_at: Timestamp::from_epoch_ms(1_650_628_175_336).unwrap(),
            peer: ([127, 0, 0, 1], 4000).into(),
            claimed: None,
            request,
            verdict: judgement.verdict,
            cdr: judgement.fields,
            related: Vec::new(),
            uncounted: None,
            answer: Answer {
                status: Some(200),
                ..Answer::default()
            },
            took_ms: 0.25,
        }),
        None,
    )
}

#[test]
fn a_record_that_has_been_written_is_not_written_again() {
    let history = History::new(None);
    let Event::Exchange(exchange, _) = small(1) else {
        unreachable!()
    };
    let line = Bytes::from_static(b"written already\n");
    history.push(&Event::Exchange(exchange, Some(line.clone())));
    assert_eq!(history.get(1).unwrap().record.as_ptr(), line.as_ptr());
}

pub fn small(n: u64) -> Event {
    exchange(n, Request::new("POST", "/cdr", vec![], "{\"leg\":\"a\"}"))
}

pub fn finished() -> Event {
    Event::Finished(Summary::default())
}

async fn until_over(mut subscription: Subscription) -> Vec<i64> {
    let mut told = Vec::new();
    loop {
        match tokio::time::timeout(DEADLINE, subscription.next())
            .await
            .expect("it hangs")
        {
            Update::Exchange(kept) => told.push(i64::try_from(kept.n).unwrap()),
            Update::Forgotten(extent) => told.push(-i64::try_from(extent.oldest_kept).unwrap()),
            Update::Finished => return told,
        }
    }
}

#[tokio::test]
async fn every_subscriber_sees_every_exchange_once_and_in_order() {
    const MANY: u64 = 3000;
    let history = Arc::new(History {
        max_exchanges: 10_000,
        ..History::new(None)
    });
    let early = tokio::spawn(until_over(history.subscribe(0)));
    let feeding = Arc::clone(&history);
    let load = std::thread::spawn(move || {
        (1..=MANY).for_each(|n| feeding.push(&small(n)));
        feeding.push(&finished());
    });
    let reconnecting = async {
        let mut seen = Vec::new();
        loop {
            let mut subscription = history.subscribe(seen.last().copied().unwrap_or(0));
            for _ in 0..7 {
                match tokio::time::timeout(DEADLINE, subscription.next())
                    .await
                    .expect("it hangs")
                {
                    Update::Exchange(kept) => seen.push(kept.n),
                    Update::Forgotten(extent) => panic!("{extent:?}"),
                    Update::Finished => return seen,
                }
            }
        }
    };
    let seen = reconnecting.await;
    load.join().unwrap();
    assert_eq!(seen, (1..=MANY).collect::<Vec<_>>());
    let all: Vec<_> = (1..=MANY.cast_signed()).collect();
    assert_eq!(early.await.unwrap(), all);
    assert_eq!(until_over(history.subscribe(0)).await, all, "a late one");
    assert_eq!(
        until_over(history.subscribe(MANY - 1)).await,
        [MANY.cast_signed()]
    );
}

#[tokio::test]
async fn the_oldest_go_first_and_subscribers_are_told() {
    let history = Arc::new(History {
        max_exchanges: 3,
        ..History::new(None)
    });
    assert_eq!(
        history.subscribe(0).extent,
        Extent {
            newest: 0,
            oldest_kept: 1
        }
    );
    let slow = history.subscribe(0);
    let mut prompt = history.subscribe(0);
    for n in 1..=3 {
        history.push(&small(n));
        assert!(matches!(prompt.poll(), Some(Update::Exchange(kept)) if kept.n == n));
    }
    history.push(&small(4));
    assert!(matches!(
        prompt.poll(),
        Some(Update::Forgotten(Extent { oldest_kept: 2, .. }))
    ));
    assert!(matches!(prompt.poll(), Some(Update::Exchange(kept)) if kept.n == 4));
    assert!(prompt.poll().is_none());
    history.push(&small(5));
    history.push(&finished());
    assert_eq!(
        history.subscribe(0).extent,
        Extent {
            newest: 5,
            oldest_kept: 3
        }
    );
    assert!(history.get(2).is_none() && history.get(6).is_none() && history.get(0).is_none());
    assert_eq!(history.get(3).unwrap().n, 3);
    assert_eq!(until_over(slow).await, [-3, 3, 4, 5]);
}

/// A panic between the records of two exchanges leaves a gap in the numbers.
#[test]
fn numbers_may_have_gaps() {
    let history = Arc::new(History::new(None));
    let mut subscription = history.subscribe(0);
    for n in [1, 2, 4, 7] {
        history.push(&small(n));
    }
    for n in 0..=8 {
        let found = history.get(n).map(|entry| entry.n);
        assert_eq!(found, [1, 2, 4, 7].contains(&n).then_some(n));
    }
    for n in [1, 2, 4, 7] {
        assert!(matches!(subscription.poll(), Some(Update::Exchange(entry)) if entry.n == n));
    }
    assert!(subscription.poll().is_none());
}

#[test]
fn what_is_kept_is_bounded_in_bytes() {
    let history = History {
        max_bytes: 100_000,
        ..History::new(None)
    };
    let of_size = |n, size| {
        history.push(&exchange(
            n,
            Request::new("POST", "/", vec![], vec![b'a'; size]),
        ));
    };
    for n in 1..=50 {
        of_size(n, 5000);
        let ring = history.ring.borrow();
        assert!(ring.bytes <= history.max_bytes, "{}", ring.bytes);
        assert_eq!(
            ring.bytes,
            ring.entries
                .iter()
                .map(|entry| entry.bytes())
                .sum::<usize>()
        );
    }
    assert!(history.all().len() >= 3 && history.subscribe(0).extent.newest == 50);
    of_size(51, 100_000);
    assert_eq!(
        history.subscribe(0).extent,
        Extent {
            newest: 51,
            oldest_kept: 52
        }
    );
    of_size(52, 10);
    assert_eq!(
        history.subscribe(0).extent,
        Extent {
            newest: 52,
            oldest_kept: 52
        }
    );
}

#[test]
fn secrets_are_masked_where_they_are_shown_and_kept_where_they_are_saved() {
    let headers = vec![
        Header::new("Authorization", "Bearer S3CR3T"),
        Header::new("X-Plain", "seen"),
    ];
    let request = Request::new("GET", "/cdr?token=S3CR3T&leg=a", headers, "");
    let Event::Exchange(exchange, _) = exchange(1, request) else {
        unreachable!()
    };
    let cdr = serde_json::json!({"token": "S3CR3T", "leg": "a", "custom": {"api_key": "S3CR3T"}});
    let exchange = Exchange {
        cdr: cdr.as_object().cloned(),
        ..exchange.as_ref().clone()
    };
    let history = History::new(None);
    history.push(&Event::Exchange(Arc::new(exchange.clone()), None));
    let kept = history.get(1).unwrap();
    assert_eq!(kept.record, ndjson::line("exchange", &exchange));
    let shown = &kept.shown;
    assert!(!shown.contains("S3CR3T"), "{shown}");
    assert!(
        shown.contains("X-Plain") && shown.contains("seen"),
        "{shown}"
    );
}

#[test]
fn what_is_taken_away_is_masked_if_what_is_saved_is() {
    let body = r#"{"type":"cdr","to":919876543210,"leg":"a"}"#;
    let history = History::new(Some(Redactor::default()));
    history.push(&exchange(1, Request::new("POST", "/", vec![], body)));
    let kept = history.get(1).unwrap();
    assert!(!String::from_utf8_lossy(&kept.record).contains("9876543210"));
    assert_eq!(kept.request.body.0, body);
}

proptest! {
    #[test]
    fn whatever_came_is_shown_on_one_line(
        method in any::<String>(),
        target in any::<String>(),
        name in any::<String>(),
        value in any::<Vec<u8>>(),
        body in any::<Vec<u8>>(),
    ) {
        let header = Header { name: name.into(), value: value.into() };
        let history = History::new(None);
        history.push(&exchange(1, Request::new(&method, target, vec![header], body)));
        let kept = history.get(1).unwrap();
        let shown = &kept.shown;
        prop_assert!(!shown.chars().any(disturbs), "{}", shown);
        let read: Value = serde_json::from_str(shown).unwrap();
        prop_assert_eq!(&read["exchange"]["n"], 1);
        prop_assert_eq!(&read["exchange"]["type"], "exchange");
        prop_assert!(read["meaning"].is_string());
    }
}
