//! Compares what `listen` reports with what `send` reports, field by field, for every scenario and method.

use serde_json::Value;

use super::program::{listener, program};

#[track_caller]
fn both_sides(deliveries: usize, arguments: &[&str]) -> (Vec<Value>, Vec<Value>) {
    let listener = listener(&["--count", &deliveries.to_string(), "--timeout", "20s"]);
    let url = format!("{}/webhook/cdr?token=t0k3n", listener.url);
    let fixed = [
        "send",
        "--url",
        &url,
        "--format",
        "ndjson",
        "--seed",
        "11",
        "--at",
        "2026-11-22T09:00:00Z",
    ];
    let sent = program(fixed.iter().chain(arguments)).run();
    assert_eq!(sent.code, Some(0), "{}", sent.whole());
    let received = listener.running.end();
    assert_eq!(received.code, Some(0), "{}", received.whole());
    (sent.records_of("delivery"), received.records_of("exchange"))
}

const ALL: usize = 13;

#[test]
fn every_scenario_arrives_as_it_was_sent() {
    for (method, encoding) in [("post", "flat"), ("get", "flat"), ("get", "brackets")] {
        let (sent, received) = both_sides(
            ALL,
            &["-s", "all", "-X", method, "--get-encoding", encoding],
        );
        assert_eq!((sent.len(), received.len()), (ALL, ALL));
        for (delivery, exchange) in sent.iter().zip(&received) {
            assert_eq!(delivery["cdr"], exchange["cdr"]);
            assert_eq!(delivery["method"], exchange["request"]["method"]);
            assert_eq!(
                exchange["verdict"]["remarks"],
                Value::Array(vec![]),
                "{exchange}"
            );
            assert_eq!(
                exchange["verdict"]["leg"],
                delivery["cdr"].get("leg").cloned().unwrap_or(Value::Null)
            );
            let generation = if delivery["scenario"] == "legacy" {
                "legacy"
            } else {
                "docs"
            };
            assert_eq!(exchange["verdict"]["generation"], generation);
            let target = exchange["request"]["target"].as_str().expect("a target");
            assert!(target.starts_with("/webhook/cdr?token=t0k3n"), "{target}");
        }
    }
}

#[test]
fn live_typing_arrives_as_it_was_sent() {
    let (sent, received) = both_sides(8, &["-s", "click2call", "--shape", "live"]);
    for (delivery, exchange) in sent.iter().zip(&received) {
        assert_eq!(delivery["cdr"], exchange["cdr"]);
        assert_eq!(exchange["verdict"]["generation"], "live");
    }
}

#[test]
fn the_legs_of_a_call_find_one_another() {
    let (_, received) = both_sides(2, &["-s", "customer-rejected"]);
    assert_eq!(received[1]["related"][0]["text"], "leg a of the call of #1");
    assert_eq!(received[1]["verdict"]["kind"], "outgoing_answered");
}

#[test]
fn copies_are_told_as_copies() {
    let (sent, received) = both_sides(3, &["--duplicate", "2"]);
    assert_eq!(
        sent.iter()
            .map(|delivery| delivery["copy"].clone())
            .collect::<Vec<_>>(),
        [0, 1, 2]
    );
    let remark = &received[1]["verdict"]["remarks"][0];
    assert_eq!(remark["code"], "duplicate");
    assert!(
        remark["text"]
            .as_str()
            .expect("a text")
            .starts_with("duplicate of #1, ")
    );
}

#[test]
fn a_race_arrives_on_connections_of_its_own() {
    let (sent, received) = both_sides(5, &["--race", "5"]);
    assert!(sent.iter().all(|delivery| delivery["ok"] == true));
    let mut peers: Vec<_> = received
        .iter()
        .map(|exchange| exchange["peer"].to_string())
        .collect();
    peers.sort();
    peers.dedup();
    assert_eq!(peers.len(), 5);
}

#[test]
fn the_same_seed_and_time_send_the_same_bytes_at_any_concurrency() {
    let sent = |concurrency: &str| {
        let fixed = ["-s", "mix", "-n", "40", "-c", concurrency];
        let mut bodies: Vec<String> = both_sides_unordered(&fixed);
        bodies.sort();
        bodies
    };
    assert_eq!(sent("1"), sent("8"));
}

#[track_caller]
fn both_sides_unordered(arguments: &[&str]) -> Vec<String> {
    let listener = listener(&["--timeout", "1m"]);
    let fixed = [
        "send",
        "--url",
        &listener.url,
        "--seed",
        "3",
        "--at",
        "2026-11-22T09:00:00Z",
    ];
    let sent = program(fixed.iter().chain(arguments).chain(&["--format", "ndjson"])).run();
    assert_eq!(sent.code, Some(0), "{}", sent.whole());
    let mut running = listener.running;
    let body = |_| running.record()["request"]["body"]["text"].to_string();
    sent.records_of("delivery").iter().map(body).collect()
}
