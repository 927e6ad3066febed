//! Tests of usage errors: exit code 2, a message with advice, and no request sent.

use std::fs;
use std::path::Path;

use super::peers::nobody;
use super::program::{Ended, program};

/// Runs `send` to an address where nothing listens: a request would end with exit code 1.
#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let url = nobody();
    let ended = program(["send", "--url", &url].iter().chain(arguments)).run();
    wrong(ended)
}

#[track_caller]
fn wrong(ended: Ended) -> String {
    let ended = ended.expect(2);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    ended.stderr
}

#[test]
fn an_unknown_flag_is_corrected() {
    insta::assert_snapshot!(refused(&["--scenaro", "mix"]), @"
    error: unexpected argument '--scenaro' found

      tip: a similar argument exists: '--scenario'

    Usage: telecmi-cdr send --url <URL> --scenario <NAME> [-- <CMD>...]

    For more information, try '--help'.
    ");
}

#[test]
fn an_unknown_scenario_is_corrected() {
    insta::assert_snapshot!(refused(&["-s", "agent-noanswer"]), @"
    error: invalid value 'agent-noanswer' for '--scenario <NAME>'
      [possible values: agent-no-answer, agent-rejected, customer-no-answer, customer-rejected, followme-ghost, softphone-no-answer, softphone-rejected, docs-leg-a, docs-leg-b, legacy, all, click2call, softphone, mix]

      tip: a similar value exists: 'agent-no-answer'

    For more information, try '--help'.
    ");
}

#[test]
fn a_url_needs_no_flag() {
    let url = nobody();
    let ended = program(["send", &url]).run().expect(1);
    assert!(
        ended.stdout.contains("connection refused"),
        "{}",
        ended.whole()
    );
    let said = wrong(program(["send", &url, "--url", &url]).run());
    assert!(said.contains("cannot be used with '--url <URL>'"), "{said}");
    let said = wrong(program(["http://me:S3CR3T@cdr.test/"]).run());
    assert!(said.contains("run: telecmi-cdr send --url URL"), "{said}");
    assert!(!said.contains("S3CR3T"), "{said}");
    let said = wrong(program(["listen", "http://me:S3CR3T@cdr.test/"]).run());
    assert!(!said.contains("S3CR3T"), "{said}");
}

#[test]
fn a_flag_before_the_mode_names_the_mode() {
    for (flag, modes) in [("--url", &["send"][..]), ("-n", &["send", "listen"])] {
        let said = wrong(program([flag, "x"]).run());
        for mode in modes {
            let tip = format!("tip: the flag belongs to a mode: telecmi-cdr {mode} {flag}\n");
            assert!(said.contains(&tip), "{said}");
        }
    }
}

#[test]
fn an_unknown_flag_of_a_receiver_is_not_run_as_a_program() {
    for flags in [&["--count", "-1"][..], &["--settle", "-1s"], &["--foo"]] {
        let said = wrong(program(["listen"].iter().chain(flags)).run());
        assert!(!said.contains("-- -"), "{said}");
    }
    let said = wrong(program(["listen", "--count", "-1"]).run());
    assert!(
        said.contains("'-1' for '--count <N>': expected a whole number"),
        "{said}"
    );
}

#[test]
fn a_host_has_no_port() {
    for (host, advice) in [
        ("127.0.0.1:9614", "--host 127.0.0.1 --port 9614"),
        ("[::1]:9614", "--host ::1 --port 9614"),
        ("http://localhost:9614/x", "--host localhost --port 9614"),
        ("http://localhost/x", "--host localhost"),
    ] {
        let said = wrong(program(["listen", "--host", host]).run());
        assert!(said.ends_with(&format!("{advice}\n")), "{said}");
    }
}

#[test]
fn a_wrong_value_of_a_variable_names_the_variable() {
    for (mode, variable, value) in [
        ("listen", "TELECMI_CDR_PORT", "tcp://172.17.0.2:8237"),
        ("listen", "TELECMI_CDR_FORWARD_TO", "nowhere"),
        ("send", "TELECMI_CDR_URL", "nowhere"),
        ("send", "TELECMI_CDR_HEADER", "nothing"),
    ] {
        let said = wrong(program([mode]).env(variable, value).run());
        let first = said.lines().next().unwrap_or_default();
        assert!(first.contains(variable) && !first.contains("--"), "{said}");
    }
}

#[test]
fn a_second_url_does_not_replace_the_first() {
    for (mode, flag) in [
        ("send", "--url"),
        ("send", "--read-back"),
        ("listen", "--forward-to"),
        ("listen", "--public-url"),
    ] {
        let said = wrong(program([mode, flag, "http://a/", flag, "http://b/"]).run());
        let first = said.lines().next().unwrap_or_default();
        assert!(
            first.contains(flag) && first.ends_with("cannot be used multiple times"),
            "{said}"
        );
    }
}

#[test]
fn a_url_is_suggested_only_if_it_is_one() {
    for (text, guess) in [
        ("9001", Some("http://localhost:9001")),
        ("http:/localhost:9001/x", Some("http://localhost:9001/x")),
        ("http//user:S3CR3T@h/x", Some("http://***@h/x")),
        ("cdr.test/\tx", None),
        ("cdr", None),
    ] {
        let said = wrong(program(["listen", "--forward-to", text]).run());
        let suggested = said
            .split("did you mean ")
            .nth(1)
            .map(|guess| guess.trim_end_matches("?\n"));
        assert_eq!(suggested, guess, "{said}");
        assert!(!said.contains("S3CR3T"), "{said}");
    }
}

#[test]
fn an_unknown_mode_is_corrected() {
    insta::assert_snapshot!(wrong(program(["sned"]).run()), @"
    error: unrecognized subcommand 'sned'

      tip: a similar subcommand exists: 'send'

    Usage: telecmi-cdr <COMMAND>
           telecmi-cdr --generate <WHAT>

    For more information, try '--help'.
    ");
}

#[test]
fn without_a_mode_the_help_is_shown() {
    let ended = program::<&str>([]).run().expect(2);
    assert_eq!(ended.stdout, "");
    assert!(
        ended.stderr.contains("Usage: telecmi-cdr <COMMAND>"),
        "{}",
        ended.stderr
    );
}

#[test]
fn without_an_address_it_says_what_to_do() {
    insta::assert_snapshot!(wrong(program(["send"]).run()), @r"
    error: no destination: add --url with the URL of your handler, like http://localhost:5000/webhook/cdr;
    `telecmi-cdr listen` listens at http://127.0.0.1:8237/webhook/cdr, and --demo has a receiver of its own;
    --print verdict --strict checks CDRs without sending them
    ");
}

#[test]
fn a_wrong_value_before_the_mode_names_its_flag() {
    let ended = program(["--generate", "typescript"]).run().expect(2);
    let named = "error: invalid value 'typescript' for '--generate <WHAT>'\n";
    assert!(ended.stderr.starts_with(named), "{}", ended.stderr);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of flags and messages")]
fn values_that_cannot_be_read_are_named() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["--format", "xml"],
            "[possible values: pretty, line, ndjson]",
        ),
        (
            &["--color", "sometimes"],
            "[possible values: auto, always, never]",
        ),
        (&["--method", "put"], "[possible values: post, get, both]"),
        (
            &["--get-encoding", "deep"],
            "[possible values: flat, brackets]",
        ),
        (&["--shape", "old"], "[possible values: docs, live]"),
        (&["--call-id", "none"], "[possible values: shared, per-leg]"),
        (
            &["--print", "vegeta-ish"],
            "[possible values: json, curl, http, har, vegeta, verdict]",
        ),
        (
            &["--timeout", "5"],
            "expected a number with a unit, like 500ms, 2s or 1m30s",
        ),
        (&["--timeout", "0"], "expected a duration greater than zero"),
        (
            &["--connect-timeout", "soon"],
            "expected a number with a unit",
        ),
        (
            &["--duration", "0s"],
            "expected a duration greater than zero",
        ),
        (&["--late", "x"], "expected a number with a unit"),
        (&["--max-latency", "1"], "expected a number with a unit"),
        (&["--retry-interval", "1"], "expected a number with a unit"),
        (&["--rate", "50"], "expected a rate like 50/s or 300/m"),
        (&["--rate", "0/s"], "the rate must be greater than zero"),
        (&["--rate", "-1/s"], "the rate must be greater than zero"),
        (&["--late", "-1s"], "expected a number with a unit"),
        (&["--drop", "-10%"], "expected a share between 0 and 1"),
        (&["--count", "0"], "expected a whole number, 1 or more"),
        (
            &["--concurrency", "0"],
            "expected a whole number from 1 to 10000",
        ),
        (
            &["--speed", "0"],
            "expected a number of at least 0.001 (1 is real time), or max",
        ),
        (
            &["--duplicate", "x"],
            "expected a whole number from 0 to 1000",
        ),
        (&["--race", "0"], "expected a whole number from 1 to 200"),
        (
            &["--drop", "2"],
            "expected a share between 0 and 1, or 0% and 100%",
        ),
        (&["--retry", "101"], "expected a whole number from 0 to 100"),
        (
            &["--expect-status", "ok"],
            "expected statuses like 2xx, 200,204 or 200-299",
        ),
        (
            &["--app-id", "x"],
            "expected a whole number from 1 to 999999999999",
        ),
        (&["--agent", "12"], "expected an extension of 3 to 6 digits"),
        (
            &["--virtual-number", "44 20"],
            "expected 5 to 15 digits, country code first",
        ),
        (
            &["--to", "x"],
            "expected 5 to 15 digits, country code first",
        ),
        (&["--extra-params", "{"], "expected a JSON object: "),
        (
            &["--extra-params", "[]"],
            "expected a JSON object; --set-json extra_params=… sends anything else",
        ),
        (&["--set", "leg"], "expected FIELD=VALUE"),
        (
            &["--set-json", "leg=a"],
            "put text in double quotes, or use --set",
        ),
        (&["--unset", "leg=a"], "expected a field name"),
        (&["--seed", "1.5"], "expected a whole number, 0 or more"),
        (&["--seed", "many"], "--seed"),
        (&["--at", "yesterday"], "--at"),
        (&["--at", "1795341600"], "looks like seconds"),
        (&["--header", "no colon"], "expected 'Name: value'"),
        (
            &["--header", "X-A: b\r\nEvil: 1"],
            "cannot contain line breaks or other control characters",
        ),
        (
            &["--header", "X-A: b\nEvil"],
            "cannot contain line breaks or other control characters",
        ),
        (&["--header", "@"], "expected @FILE"),
    ];
    for (arguments, words) in cases {
        let said = refused(arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert!(
            said.contains(arguments[0]),
            "{arguments:?} is not named: {said}"
        );
    }
}

#[test]
fn values_of_the_listener_that_cannot_be_read_are_named() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["--port", "65536"],
            "expected a whole number from 0 to 65535",
        ),
        (&["--status", "99"], "expected a status from 200 to 599"),
        (
            &["--header", "x\r\ny: z"],
            "a header name has letters, digits and hyphens only",
        ),
        (
            &["--delay", "2s..1s"],
            "the first duration is longer than the second",
        ),
        (&["--delay", "5"], "expected a number with a unit"),
        (
            &["--fault", "explode"],
            "expected status, status:NNN, reset, empty, hang, slow or garbage",
        ),
        (
            &["--fault", "status:200"],
            "expected a status from 300 to 599",
        ),
        (
            &["--fault-rate", "2"],
            "expected a share between 0 and 1, or 0% and 100%",
        ),
        (&["--fail-first", "0"], "expected a whole number, 1 or more"),
        (
            &["--max-body", "1.5MiB"],
            "expected a size like 64KiB, 1MiB or a number of bytes",
        ),
        (&["--header-timeout", "5"], "expected a number with a unit"),
        (
            &["--body-timeout", "0"],
            "expected a duration greater than zero",
        ),
        (&["--count", "0"], "expected a whole number, 1 or more"),
        (&["--timeout", "0"], "expected a duration greater than zero"),
        (&["--seed", "x"], "--seed"),
    ];
    for (arguments, words) in cases {
        let said = wrong(program(["listen"].iter().chain(*arguments)).run());
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn addresses_that_cannot_be_sent_to_are_refused() {
    for (url, words) in [
        (
            "ftp://127.0.0.1/x",
            "only http:// and https:// are supported",
        ),
        ("h.test:9", "--url"),
        ("http://", "--url"),
        ("http://127.0.0.1:99999/", "--url"),
        ("", "--url"),
    ] {
        let said = wrong(program(["send", "--url", url]).run());
        assert!(said.contains(words), "{url:?}: {said}");
    }
    let said = wrong(program(["send", "--url", "htp://me:hush@h/?token=hush"]).run());
    assert!(!said.contains("hush"), "{said}");
}

#[test]
fn flags_that_contradict_one_another_are_refused() {
    for arguments in [
        ["--quiet", "--verbose"].as_slice(),
        &["--scenario", "mix", "--file", "-"],
        &["--click2call", "--scenario", "mix"],
        &["--click2call", "--file", "-"],
        &["--compare", "--shuffle", "-X", "both"],
        &["--compare", "--late", "1s", "-X", "both"],
    ] {
        let said = refused(arguments);
        assert!(
            said.contains("cannot be used with"),
            "{arguments:?}: {said}"
        );
    }
    assert!(refused(&["--compare"]).contains("add --method both"));
    assert!(refused(&["--demo"]).contains("leave out --url"));
    for printing in [
        ["--demo", "--dry-run"].as_slice(),
        &["--demo", "--print", "curl"],
    ] {
        let said = wrong(program(["send"].iter().chain(printing)).run());
        assert!(said.contains("cannot be used with"), "{said}");
    }
}

#[test]
fn much_for_another_machine_must_be_meant() {
    // 192.0.2.1 is in TEST-NET-1 (RFC 5737); the run is refused before a request is sent.
    for arguments in [
        ["--rate", "200/s"].as_slice(),
        &["--count", "10001"],
        &["--duration", "1h"],
        &["--count", "1000", "--race", "20"],
        &["--count", "5001", "-X", "both"],
        &["--duration", "10h", "--rate", "100/s"],
    ] {
        let ended = program(
            ["send", "--url", "http://192.0.2.1/"]
                .iter()
                .chain(arguments),
        )
        .run();
        let said = wrong(ended);
        assert!(
            said.contains("add --yes to allow it"),
            "{arguments:?}: {said}"
        );
    }
    let lines = "{\"leg\":\"a\"}\n".repeat(10_001);
    let ended = program(["send", "--url", "http://192.0.2.1/", "--file", "-"])
        .input(lines)
        .run();
    assert!(wrong(ended).contains("add --yes to allow it"));
    program([
        "send",
        "--url",
        "http://192.0.2.1/",
        "--rate",
        "200/s",
        "--dry-run",
        "--yes",
    ])
    .run()
    .expect(0);
}

#[test]
fn help_and_version_are_data() {
    for arguments in [
        ["--help"].as_slice(),
        &["-h"],
        &["send", "--help"],
        &["send", "-h"],
        &["listen", "--help"],
    ] {
        let ended = program(arguments).run().expect(0);
        assert!(
            ended.stdout.contains("Usage: telecmi-cdr"),
            "{}",
            ended.stdout
        );
        assert_eq!(ended.stderr, "");
        let widest = ended.stdout.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{widest:?} columns: {}", ended.stdout);
    }
    for flag in ["--version", "-V"] {
        let ended = program([flag]).run().expect(0);
        assert_eq!(
            ended.stdout,
            concat!("telecmi-cdr ", env!("CARGO_PKG_VERSION"), "\n")
        );
    }
}

#[track_caller]
fn printed(arguments: &[&str], environment: &[(&str, &str)]) -> usize {
    let program = program(["send"].iter().chain(arguments));
    let program = environment
        .iter()
        .fold(program, |program, (name, value)| program.env(name, value));
    program.run().expect(0).stdout.lines().count()
}

#[test]
fn the_environment_speaks_and_flags_win() {
    let two = ("TELECMI_CDR_COUNT", "2");
    assert_eq!(printed(&["--dry-run"], &[two]), 2);
    assert_eq!(printed(&["--dry-run", "--count", "3"], &[two]), 3);
    assert_eq!(
        printed(
            &["--dry-run"],
            &[("TELECMI_CDR_SCENARIO", "docs-leg-a,docs-leg-b")]
        ),
        2
    );
    assert_eq!(
        printed(
            &["--dry-run", "-s", "legacy"],
            &[("TELECMI_CDR_SCENARIO", "all")]
        ),
        1
    );
    let ended = program(["send"])
        .env("TELECMI_CDR_URL", &nobody())
        .run()
        .expect(1);
    assert!(
        ended.stdout.contains("connection refused"),
        "{}",
        ended.stdout
    );
    let said = wrong(program(["send"]).env("TELECMI_CDR_FORMAT", "xml").run());
    assert!(said.contains("'xml' for 'TELECMI_CDR_FORMAT'"), "{said}");
}

#[test]
fn flags_without_a_value_have_twins_with_one() {
    for yes in ["1", "true", "yes", "on"] {
        assert_eq!(printed(&[], &[("TELECMI_CDR_DRY_RUN", yes)]), 1);
    }
    for no in ["0", "false", "no", "off"] {
        let said = wrong(program(["send"]).env("TELECMI_CDR_DRY_RUN", no).run());
        assert!(said.contains("no destination"), "{no}: {said}");
    }
    let said = wrong(
        program(["send", "--dry-run"])
            .env("TELECMI_CDR_QUIET", "perhaps")
            .run(),
    );
    assert!(said.contains("'perhaps' for 'TELECMI_CDR_QUIET'"), "{said}");
}

#[test]
fn a_flag_wins_over_the_environment_of_a_flag_it_contradicts() {
    assert_eq!(
        printed(&["--dry-run", "-q"], &[("TELECMI_CDR_VERBOSE", "0")]),
        1
    );
    assert_eq!(
        printed(&["--dry-run", "-q"], &[("TELECMI_CDR_VERBOSE", "1")]),
        1
    );
    assert_eq!(
        printed(
            &["--dry-run", "--click2call"],
            &[("TELECMI_CDR_SCENARIO", "legacy")]
        ),
        8
    );
    assert_eq!(
        printed(
            &["--dry-run", "-s", "legacy"],
            &[("TELECMI_CDR_CLICK2CALL", "1")]
        ),
        1
    );
    let demo = program(["send", "--demo"]).env("TELECMI_CDR_DRY_RUN", "1");
    let demo = demo.env("TELECMI_CDR_URL", &nobody()).run().expect(0);
    assert!(demo.stderr.contains("listening on"), "{}", demo.stderr);
}

#[test]
fn the_demo_follows_a_method_from_the_environment() {
    for (method, both) in [("", true), ("post", false), ("get", false), ("both", true)] {
        let demo = program(["send", "--demo"])
            .env("TELECMI_CDR_METHOD", method)
            .run()
            .expect(0);
        let sent = |method: &str| demo.stdout.contains(&format!("{method} /webhook/cdr"));
        assert_eq!(
            sent("POST") && sent("GET"),
            both,
            "{method:?}: {}",
            demo.stdout
        );
    }
}

struct Flag {
    mode: String,
    name: String,
    twin: Option<String>,
    help: Option<String>,
}

fn flags() -> Vec<Flag> {
    let mut flags = Vec::new();
    for mode in telecmi_cdr::internals::cli::command().get_subcommands() {
        for argument in mode.get_arguments() {
            let Some(name) = argument.get_long().filter(|name| *name != "help") else {
                continue;
            };
            flags.push(Flag {
                mode: mode.get_name().to_owned(),
                name: name.to_owned(),
                twin: argument
                    .get_env()
                    .map(|twin| twin.to_string_lossy().into_owned()),
                help: argument.get_help().map(ToString::to_string),
            });
        }
    }
    flags
}

#[test]
fn every_flag_has_a_help_text_and_a_twin() {
    telecmi_cdr::internals::cli::command().debug_assert();
    let flags = flags();
    assert!(flags.len() > 50, "{}", flags.len());
    for flag in flags {
        let twin = format!("TELECMI_CDR_{}", flag.name.to_uppercase().replace('-', "_"));
        assert_eq!(flag.twin, Some(twin), "{} --{}", flag.mode, flag.name);
        assert!(
            flag.help.is_some_and(|help| !help.is_empty()),
            "{} --{} has no help",
            flag.mode,
            flag.name
        );
    }
}

/// Every flag must occur in a test or in the documents.
#[test]
fn every_flag_is_named_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = fs::read_to_string(root.join("README.md")).unwrap_or_default();
    for entry in fs::read_dir(root.join("tests/it")).expect("a folder") {
        text.push_str(&fs::read_to_string(entry.expect("an entry").path()).expect("a text"));
    }
    for flag in flags() {
        let name = format!("--{}", flag.name);
        let named = text.match_indices(&name).any(|(at, _)| {
            !text[at + name.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
        });
        assert!(named, "{} {name} occurs in no test", flag.mode);
    }
}

#[test]
fn the_last_of_a_flag_said_twice_counts() {
    let ended = program([
        "send", "--print", "json", "--count", "1", "--count", "2", "--set", "a=1", "--set", "b=2",
    ])
    .run();
    assert_eq!((ended.code, ended.stdout.lines().count()), (Some(0), 2));
    assert!(
        ended
            .stdout
            .lines()
            .all(|line| line.ends_with(r#""a":"1","b":"2"}"#)),
        "{}",
        ended.whole()
    );
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let ended = program(["send", "--print", "json"])
        .env("TELECMI_CDR_SEED", "")
        .env("TELECMI_CDR_SUITE", "")
        .run();
    assert_eq!(
        (ended.code, ended.stdout.lines().count()),
        (Some(0), 1),
        "{}",
        ended.whole()
    );
}

#[test]
fn a_race_cannot_be_tried_again() {
    let ended = program([
        "send",
        "--url",
        "http://127.0.0.1:1",
        "--race",
        "2",
        "--retry",
        "1",
    ])
    .run();
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("leave out --retry"),
        "{}",
        ended.whole()
    );
}

#[test]
fn a_customer_who_is_never_rung_is_said_to_be_so() {
    let said = |scenario: &str| {
        program([
            "send",
            "--print",
            "json",
            "--to",
            "442079460001",
            "-s",
            scenario,
        ])
        .run()
        .stderr
    };
    assert!(said("agent-no-answer").contains("never ring the customer"));
    assert_eq!(said("customer-no-answer"), "");
}

#[test]
fn a_flag_that_changes_no_cdr_is_said_to_have_no_effect() {
    let said = |scenario: &str, arguments: &[&str]| {
        let all = ["send", "--print", "json", "-s", scenario];
        program(all.iter().chain(arguments)).run().stderr
    };
    for (flags, scenario, other) in [
        (&["--custom", "x"][..], "legacy", "softphone-rejected"),
        (&["--virtual-number", "442079460001"], "legacy", "softphone"),
        (&["--extra-params", "{}"], "softphone", "agent-rejected"),
        (&["--app-id", "7"], "docs-leg-a", "legacy"),
        (&["--agent", "204"], "docs-leg-b", "legacy"),
        (&["--shape", "live"], "docs-leg-a", "all"),
        (&["--call-id", "per-leg"], "legacy", "click2call"),
        (&["--with-events"], "legacy", "mix"),
    ] {
        let flag = flags[0];
        let expected =
            format!("{flag} has no effect on the chosen scenarios (customer-no-answer takes it)\n");
        assert_eq!(said(scenario, flags), expected);
        assert_eq!(said(other, flags), "", "{flag} {other}");
    }
}

#[test]
fn lists_are_records_where_records_are_wanted() {
    for (list, least) in [("--list-scenarios", 10), ("--list-cases", 60)] {
        let ended = program(["send", list, "--format", "ndjson"]).run();
        assert_eq!(ended.code, Some(0));
        let records = ended.records();
        assert!(
            records.len() >= least && records.iter().all(|record| record["name"].is_string()),
            "{list}"
        );
    }
}

#[test]
fn what_usage_errors_quote_is_harmless() {
    let said = wrong(
        program([
            "send",
            "--url",
            "http://h/",
            "-s",
            "\u{1b}[31mx\u{202e}\u{7}",
        ])
        .run(),
    );
    assert!(
        !said
            .chars()
            .any(|c| c != '\n' && telecmi_cdr::internals::disturbs(c)),
        "{said:?}"
    );
}

#[test]
fn the_flag_colours_help_and_errors_too() {
    let coloured = program(["send", "--color=always", "--bogus"]).run();
    assert_eq!(
        (coloured.code, coloured.stderr.contains("\u{1b}[")),
        (Some(2), true),
        "{}",
        coloured.whole()
    );
    let plain = program(["send", "--color", "never", "--bogus"])
        .env("CLICOLOR_FORCE", "1")
        .run();
    assert!(!wrong(plain).contains('\u{1b}'));
}

#[test]
fn a_switch_that_is_off_contradicts_nothing() {
    let said = program(["send", "--print", "json"])
        .env("TELECMI_CDR_QUIET", "yes")
        .env("TELECMI_CDR_VERBOSE", "0")
        .run();
    assert_eq!(said.code, Some(0), "{}", said.whole());
    let url = program(["send", "--url", "http://127.0.0.1:1/"])
        .env("TELECMI_CDR_DEMO", "true")
        .run();
    assert_eq!(url.code, Some(1), "{}", url.whole());
}

#[test]
fn edits_are_made_in_the_order_they_were_given() {
    let ended = program([
        "send",
        "--print",
        "json",
        "--unset",
        "leg",
        "--set",
        "leg=b",
        "--set-json",
        "leg=1",
    ])
    .run();
    assert!(ended.stdout.contains(r#""leg":1"#), "{}", ended.whole());
}
