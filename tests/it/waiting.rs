//! Tests of `--count`, `--expect`, `--settle` and `--ready-file`.

use super::peers::post_json;
use super::program::{fixture, listener, program};

#[test]
fn only_cdrs_that_are_expected_count() {
    let mut listener = listener(&[
        "--expect",
        "leg=b",
        "--expect",
        "hangup_reason=sent_reject",
        "--count",
        "1",
    ]);
    post_json(&listener.url, fixture("docs-leg-a.json"));
    let exchange = listener.running.record();
    assert_eq!(exchange["uncounted"], "leg is a, not b");
    post_json(&listener.url, fixture("docs-leg-b.json"));
    let ended = listener.running.end().expect(0);
    assert!(ended.records_of("exchange")[1].get("uncounted").is_none());
    let summary = &ended.records_of("summary")[0];
    assert_eq!(
        (&summary["cdrs"], &summary["counted"], &summary["ending"]),
        (&2.into(), &1.into(), &"counted".into())
    );
}

#[test]
fn what_was_expected_and_did_not_come_is_124_even_without_a_count() {
    let arguments = [
        "listen",
        "--port",
        "0",
        "--expect",
        "leg=b",
        "--timeout",
        "10ms",
    ];
    let ended = program(arguments).run().expect(124);
    assert!(!ended.stderr.contains("warning"), "{}", ended.stderr);
    let misspelt = program([
        "listen",
        "--port",
        "0",
        "--expect",
        "lag=b",
        "--timeout",
        "10ms",
    ])
    .run()
    .expect(124);
    assert!(misspelt.stderr.starts_with(
        "warning: --expect lag: not a field of the documented CDR: did you mean leg?\n"
    ));
    let wrong = program(["listen", "--expect", "leg"]).run().expect(2);
    assert!(
        wrong.stderr.contains("expected FIELD=VALUE, like leg=a"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn one_too_many_fails_a_run_that_settles() {
    let settling = listener(&["--count", "1", "--settle", "20s"]);
    for _ in 0..2 {
        post_json(&settling.url, fixture("docs-leg-a.json"));
    }
    let summary = &settling.running.end().expect(1).records_of("summary")[0];
    assert_eq!(
        (&summary["counted"], &summary["wanted"], &summary["exit"]),
        (&2.into(), &1.into(), &1.into())
    );

    let settled = listener(&["--count", "1", "--settle", "10ms"]);
    post_json(&settled.url, fixture("docs-leg-a.json"));
    settled.running.end().expect(0);
}

#[test]
fn the_ready_file_says_where() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ready");
    std::fs::write(&path, "http://127.0.0.1:1\n").expect("written");
    let name = path.to_str().expect("a name");
    let listener = listener(&["--ready-file", name, "--count", "1"]);
    assert_eq!(
        std::fs::read_to_string(&path).expect("a file"),
        format!("{}\n", listener.url)
    );
    post_json(&listener.url, fixture("docs-leg-a.json"));
    listener.running.end().expect(0);

    let nowhere = folder.path().join("no").join("ready");
    let nowhere = nowhere.to_str().expect("a name");
    let ended = program(["listen", "--port", "0", "--ready-file", nowhere])
        .run()
        .expect(2);
    assert!(
        ended.stderr.starts_with("error: cannot write ") && ended.stdout.is_empty(),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_reader_that_has_gone_hides_no_failure() {
    let late = ["listen", "--port", "0", "--count", "1", "--timeout", "10ms"];
    program(late).unread().run().expect(124);
    if cfg!(unix) {
        program(["listen", "--port", "0", "--", "sh", "-c", "exit 7"])
            .unread()
            .run()
            .expect(7);
    }
}

#[test]
fn a_file_has_one_purpose() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.ndjson");
    let (name, detour) = (
        path.display().to_string(),
        folder.path().join(".").join("calls.ndjson"),
    );
    let detour = detour.display().to_string();
    for flags in [
        ["--save", &name, "--report", &detour],
        ["--ready-file", &name, "--save", &detour],
    ] {
        let ended = program(["listen", "--port", "0"].iter().chain(&flags))
            .run()
            .expect(2);
        assert!(
            ended.stderr.contains("must name different files"),
            "{}",
            ended.stderr
        );
    }
    for flag in ["--save", "--report", "--ready-file"] {
        program(["listen", flag, "-"]).run().expect(2);
    }
    std::fs::write(&path, "precious\n").expect("written");
    let ended = program(["listen", "--port", "0", "--ready-file", &name])
        .run()
        .expect(2);
    assert!(
        ended.stderr.contains("exists and is not a ready file"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        std::fs::read_to_string(&path).expect("a file"),
        "precious\n"
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_that_nobody_reads_holds_nothing_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo")
        .arg(&path)
        .status()
        .expect("mkfifo runs");
    assert!(made.success());
    let name = path.to_str().expect("a name");
    for flag in ["--ready-file", "--report", "--save"] {
        let ended = program(["listen", "--port", "0", flag, name])
            .run()
            .expect(2);
        assert!(
            ended.stderr.starts_with("error: cannot write "),
            "{flag}: {}",
            ended.stderr
        );
    }
    let pipe = path.clone();
    let reader = std::thread::spawn(move || std::fs::read_to_string(pipe).expect("text"));
    let arguments = [
        "listen",
        "--port",
        "0",
        "--timeout",
        "10ms",
        "--ready-file",
        name,
    ];
    while program(arguments).run().code == Some(2) {}
    assert!(
        reader
            .join()
            .expect("text")
            .starts_with("http://127.0.0.1:")
    );
}
