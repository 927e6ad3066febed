//! Tests of retries in `listen`: in the exchange, the summary and the report.

use std::fs;

use super::peers::post_json;
use super::program::{Ended, Listener, fixture, listener, pretty_listener, program};
use super::sending::send;

#[track_caller]
fn retried(listener: Listener) -> Ended {
    let url = format!("{}/webhook/cdr", listener.url);
    let sent = send(
        &url,
        &[
            "--scenario",
            "docs-leg-a",
            "--retry",
            "3",
            "--retry-interval",
            "10ms",
        ],
    )
    .expect(0);
    assert!(sent.stdout.contains("· attempt 3 ·"), "{}", sent.stdout);
    listener.running.end().expect(0)
}

#[test]
fn a_schedule_has_a_wait_for_each_attempt_and_follows_the_speed() {
    let listener = listener(&["--fail-first", "3", "--count", "4"]);
    let schedule = ["--retry-schedule", "0s,5m,10m,15m", "--speed", "30000"];
    let sent = send(
        &listener.url,
        &[&schedule[..], &["--format", "ndjson"]].concat(),
    )
    .expect(0);
    let delivery = &sent.records_of("delivery")[0];
    let attempts = delivery["attempts"].as_array().expect("attempts");
    let at = |attempt: &serde_json::Value| {
        let at = attempt["at"].as_str().expect("a time");
        at.parse::<jiff::Timestamp>()
            .expect("a time")
            .as_millisecond()
    };
    let waited = attempts.windows(2).map(|two| at(&two[1]) - at(&two[0]));
    let waited: Vec<_> = waited.collect();
    assert!(
        waited.len() == 3
            && waited
                .iter()
                .zip([10, 20, 30])
                .all(|(ms, least)| *ms >= least - 1),
        "{waited:?}"
    );
    listener.running.end().expect(0);
    let refused = send(
        "http://localhost:1",
        &["--retry", "1", "--retry-schedule", "0s"],
    )
    .expect(2);
    assert!(
        refused.stderr.contains("cannot be used with"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_sender_that_comes_back_is_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.txt");
    let report = path.to_str().expect("a path");
    let ended = retried(listener(&[
        "--fail-first",
        "2",
        "--count",
        "3",
        "--report",
        report,
    ]));

    let exchanges = ended.records_of("exchange");
    assert!(exchanges[0].get("related").is_none());
    for (exchange, before) in exchanges[1..].iter().zip(1..) {
        let related = &exchange["related"][0];
        assert_eq!(
            (&related["how"], &related["n"]),
            (&"retry".into(), &before.into())
        );
        let text = related["text"].as_str().expect("a text");
        let told = format!(" after the 503 of #{before} (attempt {})", before + 1);
        assert!(
            text.starts_with("retried ") && text.ends_with(&told),
            "{text}"
        );
        assert!(
            !exchange["verdict"]["remarks"]
                .to_string()
                .contains("duplicate"),
            "{exchange}"
        );
    }

    let retries = &ended.records_of("summary")[0]["retries"];
    for field in ["failed", "came_back", "answered"] {
        assert_eq!(retries[field], 1, "{field} in {retries}");
    }
    let request = &retries["requests"][0];
    let attempts = request["attempts"].as_array().expect("a list");
    let statuses: Vec<_> = attempts
        .iter()
        .map(|attempt| attempt["status"].as_u64())
        .collect();
    assert_eq!(statuses, [Some(503), Some(503), Some(200)]);
    assert_eq!(
        (&request["answered"], &request["leg"]),
        (&true.into(), &"a".into())
    );
    assert_eq!(retries["intervals"].as_array().map(Vec::len), Some(2));
    // Jitter halves the wait at most: 10 ms before the first retry, 20 ms before the second.
    assert!(attempts[1]["after_ms"].as_f64() >= Some(4.0), "{request}");
    assert!(attempts[2]["after_ms"].as_f64() >= Some(8.0), "{request}");

    let text = fs::read_to_string(&path).expect("a report");
    assert!(
        text.contains("\nfaults     the first 2 requests: status 503\n"),
        "{text}"
    );
    assert!(
        text.contains("\n1 request failed: 1 retried, 1 was answered with 2xx in the end.\n"),
        "{text}"
    );
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("    #"))
        .collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[1].contains("Z  after ") && lines[1].ends_with("  503, injected"),
        "{text}"
    );
    assert!(lines[2].ends_with(" 200"), "{text}");
}

#[test]
fn a_person_sees_it_before_the_last_line() {
    let ended = retried(pretty_listener(&["--fail-first", "2", "--count", "3"]));
    let (_, end) = ended.stdout.split_once("\nretries\n").expect("a section");
    let attempts: Vec<_> = end
        .lines()
        .filter(|line| line.starts_with("    #"))
        .collect();
    assert_eq!(attempts.len(), 3, "{end}");
    assert!(attempts[1].contains("Z  after ") && attempts[1].ends_with("  503, injected"));
    assert!(attempts[2].ends_with(" 200"), "{end}");
    let last = "\n\nreceived all expected CDRs · 3 requests · 3 of 3 CDRs · 0 remarks\n";
    assert!(end.ends_with(last), "{end}");
    let told = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with("  → retried "))
        .count();
    assert_eq!(told, 2, "{}", ended.stdout);
    assert!(!ended.stdout.contains("duplicate"), "{}", ended.stdout);
}

#[test]
fn a_copy_after_a_good_answer_stays_a_duplicate() {
    let listener = listener(&["--fail-first", "1", "--count", "3"]);
    for _ in 0..3 {
        post_json(&listener.url, fixture("docs-leg-a.json"));
    }
    let ended = listener.running.end().expect(0);
    let how = |n: usize| ended.records_of("exchange")[n]["related"][0]["how"].clone();
    assert_eq!((how(1), how(2)), ("retry".into(), "duplicate".into()));
    let summary = &ended.records_of("summary")[0];
    assert_eq!(summary["retries"]["requests"][0]["duplicates"], 1);
}

#[test]
fn where_all_is_well_there_is_nothing_to_tell() {
    let listener = listener(&["--count", "2"]);
    for _ in 0..2 {
        post_json(&listener.url, fixture("docs-leg-a.json"));
    }
    let ended = listener.running.end().expect(0);
    assert!(ended.records_of("summary")[0].get("retries").is_none());
}

#[test]
fn a_report_that_cannot_be_written_stops_it_before_it_is_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("missing").join("report.txt");
    let ended = program([
        "listen",
        "--port",
        "0",
        "--report",
        path.to_str().expect("a path"),
    ])
    .run()
    .expect(2);
    let error = format!("error: cannot write {}\n", path.display());
    assert!(
        ended.stderr.starts_with(&error) && !ended.stderr.contains("listening"),
        "{}",
        ended.stderr
    );
}

#[test]
fn what_was_in_the_file_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.txt");
    fs::write(&path, "x".repeat(100_000)).expect("written");
    let arguments = [
        "listen",
        "--port",
        "0",
        "--timeout",
        "10ms",
        "--report",
        path.to_str().expect("a path"),
    ];
    program(arguments).run().expect(0);
    let text = fs::read_to_string(&path).expect("a report");
    assert!(
        text.starts_with("telecmi-cdr ") && !text.contains('x'),
        "{text}"
    );
    assert!(text.contains("No request failed"), "{text}");
}

#[cfg(unix)]
#[test]
fn it_is_written_when_a_person_ends_the_run_and_is_theirs_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.txt");
    let report = path.to_str().expect("a path");
    let mut listener = listener(&["--fault", "reset", "--fault-rate", "1", "--report", report]);
    post_json(&listener.url, fixture("docs-leg-a.json"));
    assert_eq!(listener.running.record()["answer"]["fault"], "reset");
    listener.running.signal("-INT");
    listener.running.end().expect(0);
    let text = fs::read_to_string(&path).expect("a report");
    assert!(
        text.contains(", interrupted)\n") && text.contains("\n    no retry within "),
        "{text}"
    );
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_that_gets_lost_is_a_failure_with_a_line() {
    let arguments = [
        "listen",
        "--port",
        "0",
        "--timeout",
        "10ms",
        "--report",
        "/dev/full",
    ];
    let ended = program(arguments).run().expect(1);
    let error =
        "error: cannot write /dev/full\n  caused by: No space left on device (os error 28)\n";
    assert!(ended.stderr.ends_with(error), "{}", ended.stderr);
}
