//! Tests of `listen … -- CMD`: streams, exit codes, and that no process is left behind.

use std::fs;
use std::time::Duration;

use telecmi_cdr::internals::Clock;

use super::program::{DEADLINE, Ended, Program, binary, expect_gone_soon, lives, program};

fn beside(flags: &[&str], script: &str) -> Program {
    let fixed = ["listen", "--port", "0"];
    program(fixed.iter().chain(flags).chain(&["--", "sh", "-c", script])).path()
}

#[track_caller]
fn run(flags: &[&str], script: &str) -> Ended {
    let flags: Vec<_> = ["--format", "ndjson"]
        .iter()
        .chain(flags)
        .copied()
        .collect();
    beside(&flags, script).run()
}

#[test]
fn its_failure_is_ours() {
    let ended = run(&[], "exit 7").expect(7);
    let summary = &ended.records_of("summary")[0];
    assert_eq!(summary["ending"], "command_ended");
    assert_eq!(
        (&summary["command"], &summary["exit"]),
        (&serde_json::json!({"code": 7}), &7.into())
    );
}

#[test]
fn a_signal_that_ends_it_counts_from_128() {
    let ended = run(&[], "kill -KILL $$").expect(137);
    assert_eq!(
        ended.records_of("summary")[0]["command"],
        serde_json::json!({"signal": 9})
    );
}

#[test]
fn a_person_reads_how_it_ended_only_if_it_went_wrong() {
    insta::assert_snapshot!(beside(&[], "exit 3").run().masked(), @"
    exit 3
    --- stdout
    the command ended with 3 · 0 requests · 0 CDRs · 0 remarks
    --- stderr
    listening on http://127.0.0.1:PORT
    ");
    insta::assert_snapshot!(beside(&[], "echo done").run().masked(), @"
    exit 0
    --- stdout
    done
    the command ended · 0 requests · 0 CDRs · 0 remarks
    --- stderr
    listening on http://127.0.0.1:PORT
    ");
}

#[test]
fn it_learns_where_to_send_to_and_the_number_must_be_exact() {
    let send = format!("{} send --scenario docs-leg-a --count", binary().display());
    for (wanted, sent, code) in [("2", 2, 0), ("2", 1, 1), ("1", 2, 1)] {
        let ended = run(&["--count", wanted], &format!("{send} {sent} --yes")).expect(code);
        let summary = &ended.records_of("summary")[0];
        assert_eq!(
            (&summary["counted"], &summary["ending"]),
            (&sent.into(), &"command_ended".into())
        );
        assert_eq!(summary["command"], serde_json::json!({"code": 0}));
    }
    let script = format!("{send} 2 --yes >/dev/null");
    let surplus = beside(&["--count", "1", "--quiet"], &script).run();
    let line = "received more CDRs than expected · 2 requests · 2 of 1 CDRs · 1 remark\n";
    assert!(surplus.stdout.ends_with(line), "{}", surplus.stdout);
}

#[test]
fn what_comes_soon_after_its_end_counts_where_that_is_wanted() {
    let script = format!(
        "{} send --scenario docs-leg-a --count 2 >&2 &",
        binary().display()
    );
    let ended = run(&["--count", "2", "--settle", "1s"], &script).expect(0);
    assert_eq!(ended.records_of("summary")[0]["counted"], 2);
}

#[test]
fn its_own_failure_comes_first() {
    let script = format!(
        "{} send --scenario docs-leg-a >&2; exit 9",
        binary().display()
    );
    run(&["--count", "5", "--strict"], &script).expect(9);
}

#[test]
fn its_output_passes_through_beside_our_records() {
    let script = "echo data; echo talk >&2";
    let pretty = beside(&[], script).run().expect(0);
    assert!(
        pretty.stdout.contains("data\n") && pretty.stderr.contains("talk\n"),
        "{}",
        pretty.whole()
    );
    let records = run(&[], script).expect(0);
    assert!(
        records.stderr.contains("data\n") && records.stderr.contains("talk\n"),
        "{}",
        records.whole()
    );
    assert_eq!(records.records().len(), 2);
}

#[test]
fn its_input_is_ours() {
    let ended = beside(&[], "cat").input("from outside\n").run().expect(0);
    assert!(ended.stdout.contains("from outside\n"), "{}", ended.whole());
}

#[test]
fn its_words_are_its_own() {
    let words = [
        "listen", "--port", "0", "--", "printf", "%s|", "--color", "always", "--", "-q",
    ];
    let ended = program(words).path().run().expect(0);
    assert!(
        ended.stdout.contains("--color|always|--|-q|"),
        "{}",
        ended.whole()
    );
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let ended = program(["listen", "--port", "0", "--", "no-such-program"])
        .path()
        .run()
        .expect(2);
    insta::assert_snapshot!(ended.whole(), @"
    exit 2
    --- stdout
    --- stderr
    error: cannot run no-such-program
      caused by: No such file or directory (os error 2)
      hint: check that the program is installed, and that its folder is in PATH
    ");
}

fn place(folder: &tempfile::TempDir) -> String {
    folder.path().join("numbers").display().to_string()
}

fn numbers(path: &str) -> Vec<String> {
    fs::read_to_string(path)
        .expect("numbers")
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn expect_gone(path: &str, how_many: usize) {
    let numbers = numbers(path);
    assert_eq!(numbers.len(), how_many);
    for number in numbers {
        assert!(!lives(&number), "{number} was left behind");
    }
}

#[test]
fn nothing_in_the_background_is_left_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(&folder);
    // One of the two programs ignores SIGTERM.
    let script = format!(
        "sleep 1000 & echo $! >>{place}; sh -c 'trap \"\" TERM; echo $$ >>{place}; while :; do sleep 1; done' & \
                          while [ \"$(grep -c . {place})\" != 2 ]; do sleep 0.01; done"
    );
    run(&[], &script).expect(0);
    expect_gone(&place, 2);
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_that_left_the_family_is_left_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(&folder);
    // The `sleep` is the child of a process that has its own session and ignores SIGTERM.
    let script = format!(
        "setsid sh -c 'sleep 1000 & echo $! $$ >>{place}; trap \"\" TERM; wait; sleep 1000' & \
                          until [ -s {place} ]; do sleep 0.01; done"
    );
    run(&[], &script).expect(0);
    expect_gone(&place, 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_daemon_that_is_stopped_by_its_starter_vanishes() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(&folder);
    // The loop ends only if the listener reaps the orphan that it has adopted.
    let script = format!(
        "(setsid sleep 1000 & echo $! >{place}); until [ -s {place} ]; do sleep 0.01; done; \
                          read n <{place}; kill $n; while kill -0 $n 2>/dev/null; do sleep 0.01; done"
    );
    run(&["--timeout", "20s"], &script).expect(0);
}

#[test]
fn time_ends_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(&folder);
    let ended = run(
        &["--timeout", "300ms"],
        &format!("echo $$ >{place}; sleep 1000 & wait"),
    )
    .expect(124);
    let summary = &ended.records_of("summary")[0];
    assert_eq!(
        (&summary["ending"], &summary["command"]["signal"]),
        (&"timed_out".into(), &15.into())
    );
    expect_gone(&place, 1);
}

/// Returns whether the listener handles SIGHUP: not under `nohup`, and without /proc it cannot tell.
fn takes_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:\t"));
    ignored.is_some_and(|mask| u64::from_str_radix(mask, 16).expect("a mask") & 1 == 0)
}

#[test]
fn signals_are_passed_on() {
    for (name, passed, code) in [
        ("-TERM", "TERM", 143),
        ("-INT", "INT", 130),
        ("-HUP", "TERM", 143),
    ] {
        if name == "-HUP" && !takes_hangup() {
            continue;
        }
        let script = format!(
            "trap 'echo heard; exit 5' {passed}; echo ready >&2; while :; do sleep 0.02; done"
        );
        let mut running = beside(&[], &script).start();
        while running.talk() != "ready\n" {}
        running.signal(name);
        let ended = running.end().expect(code);
        assert!(ended.stdout.contains("heard\n"), "{}", ended.whole());
        assert!(
            ended.stdout.contains("command ended with 5"),
            "{}",
            ended.whole()
        );
    }
}

#[test]
fn the_second_signal_kills_it_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(&folder);
    let script = format!(
        "echo $$ >{place}; trap 'echo heard >&2' TERM; echo ready >&2; while :; do sleep 0.02; done"
    );
    let mut running = beside(&[], &script).start();
    while running.talk() != "ready\n" {}
    running.signal("-TERM");
    while running.talk() != "heard\n" {}
    let asked = Clock::start();
    running.signal("-TERM");
    running.end().expect(143);
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        asked.elapsed()
    );
    // A killed process disappears a moment later, without an event.
    expect_gone_soon(&numbers(&place)[0]);
}

#[cfg(target_os = "linux")]
#[test]
fn one_that_is_stopped_hears_signals_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(&folder);
    let script =
        format!("echo $$ >{place}; trap 'echo heard; exit 5' TERM; echo ready >&2; kill -STOP $$");
    let mut running = beside(&[], &script).start();
    while running.talk() != "ready\n" {}
    let stat = format!("/proc/{}/stat", numbers(&place)[0]);
    let asked = Clock::start();
    while !fs::read_to_string(&stat)
        .expect("a program")
        .contains(") T ")
    {
        assert!(asked.elapsed() < DEADLINE, "it does not stop");
        std::thread::yield_now();
    }
    running.signal("-TERM");
    let ended = running.end().expect(143);
    assert!(
        ended.stdout.starts_with("heard\nterminated · "),
        "{}",
        ended.whole()
    );
    assert!(
        ended.stdout.contains("command ended with 5"),
        "{}",
        ended.whole()
    );
}

#[test]
fn a_reader_that_has_gone_ends_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(&folder);
    let script = format!("echo $$ >{place}; sleep 1000 & wait");
    let arguments = [
        "listen", "--port", "0", "--format", "ndjson", "--", "sh", "-c", &script,
    ];
    program(arguments).path().unread().run().expect(0);
    for number in fs::read_to_string(&place)
        .unwrap_or_default()
        .split_whitespace()
    {
        assert!(!lives(number), "{number} was left behind");
    }
}
