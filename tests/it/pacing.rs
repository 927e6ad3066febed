//! Tests of the schedule of `send`: rates, gaps, copies, shuffling, drops, and the end of a run.

use super::peers::{answer, stub};
use super::program::program;
#[cfg(unix)]
use super::sending::FIXED;
use super::sending::{received, send};

#[test]
fn a_run_follows_the_rate() {
    let (sent, _) = received(5, &["-n", "5", "--rate", "100/s", "--format", "ndjson"]);
    let due: Vec<_> = sent
        .records_of("delivery")
        .iter()
        .map(|delivery| delivery["due_ms"].clone())
        .collect();
    assert_eq!(due, [0.0, 10.0, 20.0, 30.0, 40.0]);
    assert!(sent.records_of("summary")[0]["elapsed_ms"].as_f64() >= Some(40.0));
    assert!(sent.records_of("summary")[0]["lateness_ms"].is_object());
}

#[test]
fn a_run_ends_with_the_duration() {
    let url = stub(answer("200 OK", "", ""));
    let ended = send(
        &url,
        &[
            "--duration",
            "300ms",
            "--rate",
            "20/s",
            "--format",
            "ndjson",
        ],
    )
    .expect(0);
    let deliveries = ended.records_of("delivery").len();
    assert!((1..=7).contains(&deliveries), "{deliveries}");
}

#[test]
fn a_call_follows_the_storys_own_gaps() {
    let faster = [
        "-s",
        "customer-no-answer",
        "--speed",
        "100",
        "--format",
        "ndjson",
    ];
    let (sent, _) = received(2, &faster);
    let elapsed = sent.records_of("summary")[0]["elapsed_ms"].as_f64();
    // Both legs end within two seconds, so the delay at a hundredth of that is some milliseconds.
    assert!(elapsed > Some(3.0), "{elapsed:?}");
}

#[test]
fn copies_and_races_are_made() {
    let (sent, received) = received(
        5,
        &["--duplicate", "2", "--race", "3", "--format", "ndjson"],
    );
    let copies: Vec<_> = sent
        .records_of("delivery")
        .iter()
        .map(|delivery| delivery["copy"].clone())
        .collect();
    assert_eq!(copies, [0, 1, 2, 3, 4]);
    assert_eq!(received.records_of("summary")[0]["cdrs"], 5);
}

#[test]
fn mischief_follows_the_seed() {
    let order = |arguments: &[&str]| {
        let fixed = ["-s", "all", "-n", "2", "--format", "ndjson"];
        let (sent, _) = received(26, &[&fixed, arguments].concat());
        let calls = sent.records_of("delivery");
        calls
            .iter()
            .map(|delivery| delivery["call"].as_u64().expect("a number"))
            .collect::<Vec<_>>()
    };
    let plain = order(&[]);
    assert!(plain.is_sorted());
    let shuffled = order(&["--shuffle"]);
    assert!(!shuffled.is_sorted());
    assert_eq!(shuffled, order(&["--shuffle"]));
    assert!(!order(&["--late", "5ms"]).is_sorted());
}

#[test]
fn what_is_dropped_is_counted() {
    let url = stub(answer("200 OK", "", ""));
    let ended = send(&url, &["-n", "40", "--drop", "50%", "--format", "ndjson"]).expect(0);
    let summary = &ended.records_of("summary")[0];
    let number = |field: &str| summary[field].as_u64().expect("a number");
    assert_eq!(number("deliveries") + number("dropped"), 40);
    assert!(number("dropped") > 5, "{summary}");
    let all = send(&url, &["--drop", "1"]).expect(0);
    insta::assert_snapshot!(all.masked(), @"
    exit 0
    --- stdout
    0 delivered · 1 left out by --drop · T · N/s
    --- stderr
    sending deliveries to http://127.0.0.1:PORT · seed 7
    repeat: telecmi-cdr send --url http://127.0.0.1:PORT --drop 1 --seed 7 --at 2026-11-22T09:00:00.000Z
    ");
}

#[test]
fn connections_are_used_again_only_if_asked() {
    let peers = |arguments: &[&str]| {
        let (_, received) = received(4, &[&["-n", "4"], arguments].concat());
        let mut peers: Vec<_> = received
            .records_of("exchange")
            .iter()
            .map(|exchange| exchange["peer"].to_string())
            .collect();
        peers.sort();
        peers.dedup();
        peers.len()
    };
    assert_eq!(peers(&[]), 4);
    assert_eq!(peers(&["--keep-alive"]), 1);
}

#[cfg(unix)]
#[test]
fn an_interruption_is_counted_to_the_end() {
    let url = stub(answer("200 OK", "", ""));
    let arguments = ["--url", &url, "-n", "100", "--rate", "1/h"];
    let mut running = program(FIXED.iter().chain(&arguments)).start();
    assert!(running.line().starts_with("✓ #1 POST"));
    running.signal("-INT");
    let ended = running.end().expect(130);
    insta::assert_snapshot!(ended.masked(), @"
    exit 130
    --- stdout
    ✓ #1 POST agent-no-answer a missed  200 OK · T

    interrupted after 1 of 100 · T · N/s
            1  200 OK

                  min    mean     p50     p90     p99     max
    latency       T       T       T       T       T       T
    lateness       T       T       T       T       T       T
    --- stderr
    sending 100 deliveries to http://127.0.0.1:PORT · seed 7
    repeat: telecmi-cdr send --url http://127.0.0.1:PORT -n 100 --rate 1/h --seed 7 --at 2026-11-22T09:00:00.000Z
    ");
}

#[cfg(unix)]
#[test]
fn a_termination_has_a_code_of_its_own() {
    let url = stub(answer("200 OK", "", ""));
    let arguments = [
        "--url", &url, "-n", "100", "--rate", "1/h", "--format", "ndjson",
    ];
    let mut running = program(FIXED.iter().chain(&arguments)).start();
    assert_eq!(running.record()["type"], "started");
    assert_eq!(running.record()["type"], "delivery");
    running.signal("-TERM");
    let ended = running.end().expect(143);
    let summary = &ended.records_of("summary")[0];
    assert_eq!(
        (&summary["deliveries"], &summary["planned"]),
        (&1.into(), &100.into())
    );
    assert_eq!(summary["exit"], 143);
}
