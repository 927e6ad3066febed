//! Runs the binary with `send --suite`: `listen` must pass, and the reports must keep their form.

use super::peers::nobody;
use super::program::{listener, program};

#[test]
fn our_own_receiver_passes() {
    let receiver = listener(&[]);
    let url = format!("{}/webhook/cdr", receiver.url);
    let folder = tempfile::tempdir().expect("a folder");
    let junit = folder.path().join("report.xml");
    let junit = junit.to_str().expect("a path");
    let arguments = [
        "send",
        "--url",
        &url,
        "--suite",
        "--only",
        "get-*,survives",
        "--seed",
        "7",
        "--junit",
        junit,
    ];
    let ended =
        program(
            arguments
                .into_iter()
                .chain(["--skip", "byte-by-byte", "--format", "ndjson"]),
        )
        .run();
    assert_eq!(ended.code, Some(0), "{}", ended.whole());

    let cases = ended.records_of("case");
    assert!(cases.len() > 80 && cases.iter().all(|case| case["ok"] == true));
    let summary = &ended.records_of("summary")[0];
    assert_eq!(
        (summary["failed"].as_u64(), summary["exit"].as_u64()),
        (Some(0), Some(0))
    );
    assert_eq!(summary["cases"].as_u64(), Some(cases.len() as u64));
    assert_eq!(ended.records_of("started")[0]["cases"], summary["cases"]);

    let report = std::fs::read_to_string(junit).expect("a report");
    assert_eq!(report.matches("<testcase ").count(), cases.len());
    assert!(report.starts_with("<?xml") && report.ends_with("</testsuites>\n"));
}

#[test]
fn a_receiver_that_refuses_is_told_with_the_line_that_repeats_it() {
    let receiver = listener(&["--status", "503"]);
    let url = format!("{}/webhook/cdr?token=secret", receiver.url);
    let ended = program([
        "send", "--suite", "--url", &url, "-X", "post", "--seed", "7", "--only", "accepts",
    ])
    .run();
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stdout.contains("✗ post-is-accepted"),
        "{}",
        ended.whole()
    );
    assert!(
        ended
            .stdout
            .contains("/webhook/cdr?token=***' -X post --only post-is-accepted --seed 7\n"),
        "{}",
        ended.whole()
    );
    assert!(!ended.whole().contains("secret"));
}

#[test]
fn nobody_there_is_one_finding() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = folder.path().join("told.txt");
    let ended = program([
        "send",
        "--suite",
        "--url",
        &nobody(),
        "--output",
        told.to_str().expect("a path"),
    ])
    .run();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    let told = std::fs::read_to_string(told).expect("a file");
    assert_eq!(told.matches('✗').count(), 3, "{told}");
    assert!(told.contains("nobody is there"), "{told}");
}

#[test]
fn cases_are_listed_and_unknown_ones_are_a_usage_error() {
    let listed = program(["send", "--list-cases"]).run();
    assert_eq!(listed.code, Some(0));
    for family in [
        "accepts (",
        "idempotent (",
        "tolerant (",
        "survives (",
        "prompt (",
    ] {
        assert!(listed.stdout.contains(family), "{family}");
    }
    let unknown = program([
        "send",
        "--suite",
        "--url",
        &nobody(),
        "--only",
        "dupplicate",
    ])
    .run();
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(2), ""));
    assert!(
        unknown.stderr.contains("did you mean `duplicate`?"),
        "{}",
        unknown.whole()
    );
    let mixed = program(["send", "--suite", "--url", &nobody(), "--rate", "5/s"]).run();
    assert_eq!(mixed.code, Some(2));
}
