//! Tests of lost output: a closed pipe, a full disk, closed streams. The program must not panic, and must exit with 0
//! or 1.

use std::fs::File;
use std::process::Stdio;

use super::peers::{answer, post_json, stub};
use super::program::{Ended, Program, fixture, program, ready};

fn modes(url: &str) -> Vec<Vec<String>> {
    let send = format!("send --url {url} -n 3");
    [
        send.clone(),
        format!("{send} -v --color always"),
        format!("{send} --format ndjson"),
        format!("{send} -q"),
        "send --print json -n 500".to_owned(),
        format!("send --print curl -n 500 --url {url}"),
        "send --print http -n 500".to_owned(),
        "send --print har -n 500".to_owned(),
        "send --print vegeta -n 500".to_owned(),
        "send --dry-run".to_owned(),
        format!("send --url {url} --suite --only prompt"),
        format!("send --url {url} --suite --only prompt --format ndjson"),
        "send --list-scenarios".to_owned(),
        "send --list-scenarios --format ndjson".to_owned(),
        "send --list-cases".to_owned(),
        "send --list-cases --format ndjson".to_owned(),
        "send --demo".to_owned(),
        "send --demo --format ndjson".to_owned(),
        "listen --port 0 --timeout 10ms".to_owned(),
        "listen --port 0 --timeout 10ms --format ndjson".to_owned(),
        "--help".to_owned(),
        "--version".to_owned(),
        "--generate zsh".to_owned(),
        "--generate man".to_owned(),
        "--generate openapi".to_owned(),
        "send --help".to_owned(),
        "listen --help".to_owned(),
    ]
    .iter()
    .map(|line| line.split(' ').map(str::to_owned).collect())
    .collect()
}

fn handler() -> String {
    stub(answer("200 OK", "", "ok"))
}

#[track_caller]
fn each(prepare: impl Fn(Program) -> Program, check: impl Fn(&[String], &Ended)) {
    for mode in modes(&handler()) {
        let ended = prepare(program(&mode)).run();
        check(&mode, &ended);
    }
}

#[test]
fn a_reader_that_has_gone_is_a_quiet_success_of_every_mode() {
    each(Program::unread, |mode, ended| {
        assert_eq!(ended.code, Some(0), "{mode:?}: {}", ended.whole());
        assert!(
            !ended.stderr.contains("error"),
            "{mode:?}: {}",
            ended.whole()
        );
    });
}

#[test]
fn a_listener_that_nobody_reads_any_more_ends_with_the_next_request() {
    for format in ["pretty", "ndjson"] {
        let listener = program([
            "listen",
            "--port",
            "0",
            "--timeout",
            "20s",
            "--format",
            format,
        ])
        .unread();
        if format == "ndjson" {
            listener.run().expect(0);
        } else {
            let listener = ready(listener);
            post_json(&listener.url, fixture("docs-leg-a.json"));
            listener.running.end().expect(0);
        }
    }
}

#[test]
fn a_reader_may_leave_after_the_first_line() {
    for mode in modes(&handler()) {
        let mut running = program(&mode).start();
        let _ = running.first_line_only();
        let ended = running.end();
        assert_eq!(ended.code, Some(0), "{mode:?}: {}", ended.whole());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one_line_and_a_failure_of_every_mode() {
    let full = || {
        File::options()
            .write(true)
            .open("/dev/full")
            .expect("a device")
    };
    each(
        |program| program.stdout(full()),
        |mode, ended| {
            assert_eq!(ended.code, Some(1), "{mode:?}: {}", ended.whole());
            let errors = ended.stderr.matches("cannot write the output").count();
            assert_eq!(errors, 1, "{mode:?}: {}", ended.whole());
        },
    );
    each(
        |program| program.stderr(full()),
        |mode, ended| assert_eq!(ended.code, Some(0), "{mode:?}: {}", ended.whole()),
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_on_a_full_disk_is_one_line_and_a_failure() {
    for more in [
        &["--url", &handler(), "-n", "3"][..],
        &["--print", "json"],
        &["--print", "curl", "--url", "http://h/"],
        &["--print", "har"],
    ] {
        let ended = program([&["send", "-o", "/dev/full"], more].concat())
            .run()
            .expect(1);
        let errors = ended.stderr.matches("cannot write the output").count();
        assert_eq!(errors, 1, "{more:?}: {}", ended.whole());
    }
}

#[test]
fn talk_that_nobody_reads_changes_nothing() {
    let gone = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        Stdio::from(writer)
    };
    each(
        |program| program.stderr(gone()),
        |mode, ended| assert_eq!(ended.code, Some(0), "{mode:?}: {}", ended.whole()),
    );
}

/// The shell closes the stream before the program starts, by `>&-`, `2>&-` or both.
#[cfg(unix)]
#[test]
fn streams_that_are_not_there_are_no_panic() {
    for closing in [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        for mode in modes(&handler()) {
            let shell = format!("exec \"$0\" \"$@\" {closing}");
            let ended = super::program::shell(&shell, &mode).run();
            assert!(
                matches!(ended.code, Some(0 | 1)),
                "{mode:?} {closing}: {}",
                ended.whole()
            );
            let errors = ended.stderr.matches("cannot write the output").count();
            assert!(errors <= 1, "{mode:?} {closing}: {}", ended.whole());
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_usage_error_that_cannot_be_told_is_still_one() {
    let full = || {
        File::options()
            .write(true)
            .open("/dev/full")
            .expect("a device")
    };
    for wrong in [
        &["send", "--bogus"][..],
        &["send"],
        &["listen", "--port", "x"],
        &["nonsense"],
        &[],
    ] {
        let ended = program(wrong).stderr(full()).run();
        assert_eq!(ended.code, Some(2), "{wrong:?}: {}", ended.whole());
    }
}
