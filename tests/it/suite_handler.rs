//! `send --suite -- CMD`, and the choice of cases by `--only` and `--skip`.

use super::program::{listener, program};

#[test]
fn cases_are_chosen_by_grade_and_the_list_obeys_without_suite() {
    let listed = program([
        "send",
        "--list-cases",
        "--only",
        "prompt",
        "--skip",
        "hostile",
    ])
    .run()
    .expect(0);
    assert!(listed.stdout.starts_with("prompt ("), "{}", listed.stdout);
    assert!(!listed.stdout.contains("[hostile]\n") && !listed.stdout.contains("accepts ("));
    let seen = program([
        "send",
        "--list-cases",
        "--only",
        "seen",
        "--format",
        "ndjson",
    ])
    .run()
    .expect(0);
    let cases = seen.records_of("case");
    assert!(cases.len() > 10 && cases.iter().all(|case| case["grade"] == "seen"));
}

#[test]
fn a_name_that_is_not_there_gets_a_suggestion() {
    for (given, meant) in [
        ("deep", "deep-nesting"),
        ("inferrd", "inferred"),
        ("survive", "survives"),
    ] {
        let ended = program(["send", "--list-cases", "--only", given])
            .run()
            .expect(2);
        assert!(
            ended.stderr.contains(&format!("did you mean `{meant}`?")),
            "{}",
            ended.stderr
        );
    }
    let ended = program(["send", "--list-cases", "--only", "repeats"]).run();
    assert!(
        ended.expect(2).stderr.contains(
            "\n--list-cases lists the cases; families: accepts, idempotent, tolerant, survives, prompt, \
             guard; grades: doc, seen, inferred, hostile\n"
        )
    );
    let ended = program(["send", "--list-cases", "--skip", "xyz"])
        .run()
        .expect(2);
    assert!(!ended.stderr.contains("did you mean"), "{}", ended.stderr);
}

#[test]
fn the_list_names_the_flag_without_which_a_case_is_not_run() {
    let list = |only, format| {
        let list = ["send", "--list-cases", "--only", only, "--format", format];
        program(list).run().expect(0)
    };
    let guard = list("guard", "pretty").stdout;
    assert!(guard.starts_with("guard (6, 6 need a flag)"), "{guard}");
    assert!(
        guard.contains("  guard-empty POST [hostile] · needs --guard\n")
            && guard.contains("\n6 cases, 6 need a flag\n"),
        "{guard}"
    );
    let short = list("guard-empty", "line").stdout;
    let row = "  guard-empty POST [hostile] · needs --guard\n\n1 case, 1 needs a flag\n";
    assert!(short.contains(row), "{short}");
    let records = list("idempotent", "ndjson").records_of("case");
    let needs: Vec<_> = (records.iter())
        .filter_map(|case| case["needs"].as_str())
        .collect();
    assert_eq!(needs, ["--read-back"]);
}

#[test]
fn a_chosen_case_that_needs_a_flag_is_a_remark() {
    let receiver = listener(&[]);
    let only = ["--only", "post-is-accepted,guard-empty"];
    let send = ["send", "--suite", "--url", &receiver.url];
    let ended = program(send.iter().chain(&only)).run().expect(0);
    let remark = "\n- not run without --guard: guard-empty\n";
    assert!(
        ended.stdout.contains(remark) && ended.stdout.contains("\n✓ 1 case held · "),
        "{}",
        ended.stdout
    );
}

#[cfg(unix)]
mod command {
    use super::super::program::{binary, program};

    /// A handler that ends after `count` CDRs.
    fn handler(count: &str) -> [&str; 5] {
        let script = r#"echo "starting on $PORT"; exec "$0" listen --port "$PORT" --count "$1""#;
        let binary = binary().to_str().expect("a path");
        ["sh", "-c", script, binary, count]
    }

    const SUITE: [&str; 8] = [
        "send", "--suite", "-X", "post", "--seed", "7", "--format", "ndjson",
    ];

    #[test]
    fn a_handler_that_a_case_ends_is_started_again() {
        let chosen = ["--only", "duplicate,late-duplicate,race", "--"];
        let arguments = SUITE.iter().chain(&chosen).copied().chain(handler("6"));
        let ended = program(arguments).path().run().expect(1);
        let cases = ended.records_of("case");
        let ok = |name: &str| {
            let case = cases.iter().find(|case| case["name"] == name);
            case.expect("a case")["ok"].as_bool()
        };
        assert_eq!(
            (ok("duplicate"), ok("race")),
            (Some(true), Some(true)),
            "{}",
            ended.whole()
        );
        let blamed = cases
            .iter()
            .find(|case| case["name"] == "late-duplicate")
            .expect("a case");
        assert_eq!(blamed["ok"], false);
        let got = blamed["got"].as_str().expect("a text");
        assert!(
            got.contains("the command ended with 0") && got.contains("started again"),
            "{got}"
        );
        assert!(
            blamed["log"].as_array().is_some_and(|log| !log.is_empty()),
            "{blamed}"
        );
        let repeat = blamed["repeat"].as_str().expect("a line");
        assert!(
            repeat.contains(" --only late-duplicate --seed 7")
                && repeat.contains(" -- sh -c 'echo "),
            "{repeat}"
        );
    }

    #[test]
    fn a_handler_that_ends_some_time_after_its_port_is_started_again_then() {
        let script = r#""$0" listen --port "$PORT" --count 4; sleep 0.3"#;
        let binary = binary().to_str().expect("a path");
        let handler = ["--only", "duplicate,race", "--", "sh", "-c", script, binary];
        let arguments = SUITE.into_iter().chain(handler);
        let ended = program(arguments).path().run().expect(1);
        let took = ended.records_of("summary")[0]["elapsed_ms"].as_f64();
        assert!(took < Some(5_000.0), "{}", ended.whole());
        let got = ended.whole();
        assert!(
            got.contains("the command ended with 0, and was started again"),
            "{got}"
        );
    }

    #[test]
    fn a_command_that_does_not_listen_is_told_with_its_output() {
        let arguments = SUITE
            .iter()
            .copied()
            .chain(["--", "sh", "-c", "echo no config; exit 3"]);
        let ended = program(arguments).path().run().expect(2);
        assert!(
            ended
                .stderr
                .contains("sh ended with 3 before it listened on port "),
            "{}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains("it said: no config"),
            "{}",
            ended.stderr
        );
        let missing = program(SUITE.iter().copied().chain(["--", "./no-such-handler"]))
            .run()
            .expect(2);
        assert!(
            missing.stderr.contains("cannot run ./no-such-handler"),
            "{}",
            missing.stderr
        );
    }

    #[test]
    fn nothing_that_the_handler_started_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pid");
        let script = r#"sleep 1000 & echo $! > "$1"; exec "$0" listen --port "$PORT""#;
        let (binary, file) = (
            binary().to_str().expect("a path"),
            file.to_str().expect("a path"),
        );
        let chosen = [
            "--only",
            "post-is-accepted",
            "--",
            "sh",
            "-c",
            script,
            binary,
            file,
        ];
        program(SUITE.iter().copied().chain(chosen))
            .path()
            .run()
            .expect(0);
        let pid = std::fs::read_to_string(file).expect("a process id");
        let alive = std::process::Command::new("kill")
            .args(["-0", pid.trim()])
            .status();
        assert!(!alive.expect("kill runs").success(), "{pid} is alive");
    }

    #[test]
    fn a_port_of_another_program_is_not_taken_for_the_handler() {
        let taken = super::super::program::listener(&[]);
        let arguments = SUITE
            .iter()
            .copied()
            .chain(["--url", &taken.url, "--", "true"]);
        let ended = program(arguments).path().run().expect(2);
        assert!(
            ended.stderr.contains("is taken by another program"),
            "{}",
            ended.stderr
        );
    }
}
