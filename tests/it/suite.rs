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
        ended.stdout.contains("✗ accepts    1 of 1 failed"),
        "{}",
        ended.whole()
    );
    assert!(
        ended
            .stdout
            .contains("/webhook/cdr?token=***' -X post --only post-is-accepted --seed 7 --at 20"),
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
    let mixed = program(["send", "--suite", "--url", &nobody(), "--race", "5"]).run();
    assert_eq!(mixed.code, Some(2));
}

#[test]
fn a_failure_comes_with_what_was_sent_and_answered() {
    let receiver = listener(&["--status", "422"]);
    let url = format!("{}/webhook/cdr?token=secret", receiver.url);
    let suite = [
        "send",
        "--suite",
        "--url",
        &url,
        "-X",
        "post",
        "--only",
        "post-is-accepted",
    ];
    let ended = program(suite.into_iter().chain(["--format", "ndjson"])).run();
    let case = &ended.records_of("case")[0];
    assert_eq!(case["sent"]["method"], "POST");
    assert_eq!(case["sent"]["target"], "/webhook/cdr?token=***");
    let body = case["sent"]["body"]["text"].as_str().expect("a body");
    assert!(body.contains("\"cmiuuid\""), "{body}");
    assert_eq!(case["reply"]["status"], 422);
    assert!(case["takes"].is_null(), "{case}");
    assert!(!ended.whole().contains("secret"));
    let shown = program(suite.into_iter().chain(["-v"])).run();
    for line in [
        "> POST /webhook/cdr?token=*** HTTP/1.1",
        "> Content-Type: application/json",
        "< 422",
    ] {
        assert!(shown.stdout.contains(line), "{line}: {}", shown.whole());
    }
}

#[test]
fn the_request_of_a_case_is_printed_and_not_sent() {
    let print = |name, format| {
        let arguments = [
            "send",
            "--suite",
            "--url",
            "http://127.0.0.1:9/cdr",
            "--only",
            name,
        ];
        program(arguments.into_iter().chain(["--print", format])).run()
    };
    let curl = print("custom-none", "curl");
    assert_eq!((curl.code, curl.stdout.lines().count()), (Some(0), 1));
    assert!(
        curl.stdout.contains("\"custom\":\"none\""),
        "{}",
        curl.whole()
    );
    let json = print("get-is-accepted", "json");
    assert!(
        json.stdout.starts_with("{\"virtual_number\":"),
        "{}",
        json.whole()
    );
    let raw = print("cut-short", "curl");
    assert_eq!((raw.code, raw.stdout.as_str()), (Some(1), ""));
    assert!(
        raw.stderr
            .contains("the request of cut-short cannot be printed: only the suite"),
        "{}",
        raw.whole()
    );
    let har = print("custom-none", "har");
    let document: serde_json::Value = serde_json::from_str(&har.stdout).expect("JSON");
    assert_eq!(document["log"]["entries"].as_array().map(Vec::len), Some(1));
}
