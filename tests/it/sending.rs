//! Tests of the output of `send`, as text and as records.

use super::peers::{answer, nobody, silent_stub, stub, stub_in_turn};
use super::program::{Ended, binary, listener, masked, program};

pub const FIXED: [&str; 5] = ["send", "--seed", "7", "--at", "2026-11-22T09:00:00Z"];

#[track_caller]
pub fn send(url: &str, arguments: &[&str]) -> Ended {
    program(FIXED.iter().chain(&["--url", url]).chain(arguments)).run()
}

#[track_caller]
pub fn received(deliveries: usize, arguments: &[&str]) -> (Ended, Ended) {
    let listener = listener(&["--count", &deliveries.to_string(), "--timeout", "20s"]);
    let sent = send(&listener.url, arguments).expect(0);
    (sent, listener.running.end().expect(0))
}

#[test]
fn a_good_delivery_is_one_line() {
    let (sent, _) = received(1, &[]);
    insta::assert_snapshot!(sent.masked(), @"
    exit 0
    --- stdout
    ✓ #1 POST agent-no-answer a missed  200 OK · T · got it
    --- stderr
    sending 1 delivery to http://127.0.0.1:PORT · seed 7
    ");
}

#[test]
fn verbose_shows_the_whole_reply() {
    let url = stub(answer(
        "200 OK",
        "x-handler: mine\r\nset-cookie: hush\r\n",
        "one\ntwo",
    ));
    let ended = send(&url, &["--verbose"]).expect(0);
    insta::assert_snapshot!(ended.masked(), @"
    exit 0
    --- stdout
    ✓ #1 POST agent-no-answer a missed  200 OK · T
        x-handler: mine
        set-cookie: ***
        content-length: 7
        connection: close
        one
        two
    --- stderr
    sending 1 delivery to http://127.0.0.1:PORT · seed 7
    ");
}

#[test]
fn quiet_leaves_only_the_data() {
    let ended = send(&nobody(), &["--quiet"]).expect(1);
    assert_eq!(ended.stderr, "");
    assert!(ended.stdout.starts_with("✗ #1 POST"), "{}", ended.stdout);
}

#[test]
fn a_run_of_several_ends_with_a_summary() {
    let url = stub_in_turn([
        answer("200 OK", "", "ok"),
        answer("503 Service Unavailable", "", "busy"),
    ]);
    insta::assert_snapshot!(send(&url, &["-n", "3"]).expect(1).masked(), @"
    exit 1
    --- stdout
    ✓ #1 POST agent-no-answer a missed  200 OK · T · ok
    ✗ #2 POST agent-no-answer a missed  503 Service Unavailable · T
        busy
    ✗ #3 POST agent-no-answer a missed  503 Service Unavailable · T
        busy

    2 of 3 failed · T · N/s
            1  200 OK
            2  503 Service Unavailable

                  min    mean     p50     p90     p99     max
    latency       T       T       T       T       T       T
    --- stderr
    sending 3 deliveries to http://127.0.0.1:PORT · seed 7
    hint: the handler failed: see the handler's log
    repeat: telecmi-cdr send --url http://127.0.0.1:PORT -n 3 --seed 7 --at 2026-11-22T09:00:00.000Z
    ");
}

#[test]
fn a_long_run_ends_with_a_histogram() {
    let (sent, _) = received(
        40,
        &["--count", "40", "--concurrency", "4", "--rate", "4000/s"],
    );
    let summary = sent.stdout.split_once("\n\n").expect("a summary").1;
    let (table, bars) = masked(summary)
        .rsplit_once("\n\n")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("bars");
    insta::assert_snapshot!(table, @"
    40 delivered · T · N/s
           40  200 OK

                  min    mean     p50     p90     p99     max
    latency       T       T       T       T       T       T
    lateness       T       T       T       T       T       T
    ");
    let bars: Vec<&str> = bars.lines().collect();
    assert!((10..=11).contains(&bars.len()), "{bars:?}");
    let counted: u64 = bars
        .iter()
        .map(|bar| {
            bar.rsplit(' ')
                .next()
                .and_then(|n| n.parse::<u64>().ok())
                .expect("a number")
        })
        .sum();
    assert_eq!(counted, 40, "{bars:?}");
    assert!(
        bars.iter().any(|bar| bar.contains(&"█".repeat(36))),
        "{bars:?}"
    );
}

#[test]
fn the_records_of_a_run() {
    let (sent, _) = received(2, &["-s", "customer-no-answer", "--format", "ndjson"]);
    let records = sent.records();
    let types: Vec<_> = records
        .iter()
        .map(|record| record["type"].clone())
        .collect();
    assert_eq!(types, ["started", "delivery", "delivery", "summary"]);
    let (started, delivery, summary) = (&records[0], &records[1], &records[3]);
    assert_eq!(
        (&started["seed"], &started["planned"], &started["v"]),
        (&7.into(), &2.into(), &1.into())
    );
    assert_eq!(
        (&delivery["n"], &delivery["call"], &delivery["copy"]),
        (&1.into(), &1.into(), &0.into())
    );
    assert_eq!(
        (&delivery["scenario"], &delivery["method"]),
        (&"customer-no-answer".into(), &"POST".into())
    );
    assert_eq!(
        (&delivery["ok"], &delivery["attempts"][0]["status"]),
        (&true.into(), &200.into())
    );
    assert_eq!(
        delivery["attempts"][0]["response"]["body"]["text"],
        "got it"
    );
    assert!(
        delivery["attempts"][0]["latency_ms"].is_number()
            && delivery["attempts"][0]["at"].is_string()
    );
    for (field, value) in [("deliveries", 2), ("ok", 2), ("failed", 0), ("exit", 0)] {
        assert_eq!(summary[field], value, "{field} in {summary}");
    }
    assert_eq!(summary["by_status"]["200"], 2);
    for field in ["min", "mean", "p50", "p90", "p99", "max"] {
        assert!(
            summary["latency_ms"][field].is_number(),
            "{field} in {summary}"
        );
    }
    assert!(summary["requests_per_s"].is_number() && summary["by_failure"].is_object());
}

#[test]
fn a_failed_delivery_says_why_in_its_record() {
    let ended = send(&nobody(), &["--format", "ndjson"]).expect(1);
    let delivery = &ended.records_of("delivery")[0];
    assert_eq!(delivery["ok"], false);
    assert_eq!(delivery["attempts"][0]["failure"]["kind"], "refused");
    assert!(
        delivery["why"]
            .as_str()
            .is_some_and(|why| why.starts_with("connection refused")),
        "{delivery}"
    );
    assert_eq!(ended.records_of("summary")[0]["by_failure"]["refused"], 1);
}

#[test]
fn secrets_are_in_no_output() {
    let mut seen = String::new();
    for url in [
        nobody(),
        stub(answer("200 OK", "set-cookie: hush\r\n", "")),
        stub(answer("201 Created", "location: /x?token=hush\r\n", "")),
        stub(answer(
            "302 Found",
            "location: http://me:hush@h/?token=hush\r\n",
            "",
        )),
        silent_stub(),
    ] {
        let url = format!(
            "{}/cdr?token=hush&a=1",
            url.replace("http://", "http://me:hush@")
        );
        let secrets = [
            "-H",
            "Authorization: Bearer hush",
            "-HCookie: hush",
            "--header=X-Api-Key: hush",
        ];
        let limits = [
            "-n",
            "2",
            "-X",
            "both",
            "-v",
            "--mask",
            "--timeout",
            "50ms",
            "--connect-timeout",
            "40ms",
        ];
        for format in [
            ["--format", "ndjson"],
            ["--format", "pretty"],
            ["--print", "curl"],
        ] {
            seen += &send(&url, &[&format[..], &secrets, &limits].concat()).whole();
            let joined = format!("--url={url}");
            let joined = [&FIXED[..], &[joined.as_str()], &secrets, &limits, &format].concat();
            seen += &program(joined).run().whole();
        }
    }
    assert!(seen.contains("token=***") && seen.contains("a=1"), "{seen}");
    assert!(!seen.contains("hush"), "{seen}");
}

#[test]
fn secrets_are_in_no_usage_error() {
    for arguments in [
        ["--url", "http://me:hush@127.0.0.1:99999/?token=hush"].as_slice(),
        &["--url", "http://me:hush@[::1/?token=hush"],
        &[
            "--url",
            "https://me:hush@127.0.0.1/?token=hush",
            "--cacert",
            "no-such-file",
        ],
        &[
            "--url",
            "http://me:hush@192.0.2.1/?token=hush",
            "--rate",
            "200/s",
        ],
        &[
            "--url",
            "http://me:hush@127.0.0.1/",
            "--rate",
            "fast",
            "-H",
            "Authorization: hush",
        ],
    ] {
        let ended = program(FIXED.iter().chain(arguments)).run().expect(2);
        assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
    }
    for header in [
        "Authorization: Bearer hush\r",
        "Authorization Bearer hush",
        "Authorization Bearer: hush",
    ] {
        for mode in [
            ["send", "--demo"].as_slice(),
            &["send", "--suite", "--url", "http://127.0.0.1:1"],
            &["listen"],
        ] {
            let said = program(mode.iter().chain(&["-H", header]))
                .run()
                .expect(2)
                .stderr;
            assert!(
                said.starts_with("error: --header: ") && !said.contains("hush"),
                "{said}"
            );
            let said = program(mode)
                .env("TELECMI_CDR_HEADER", header)
                .run()
                .expect(2)
                .stderr;
            assert!(
                said.starts_with("error: TELECMI_CDR_HEADER: ") && !said.contains("hush"),
                "{said}"
            );
        }
    }
}

#[test]
fn the_demo_shows_both_sides() {
    let demo = [
        "send",
        "--demo",
        "--seed",
        "7",
        "--at",
        "2026-11-22T09:00:00Z",
    ];
    let pretty = program(demo).run().expect(0);
    assert_eq!(
        pretty
            .stdout
            .matches("  outgoing missed · leg a (agent)")
            .count(),
        2,
        "{}",
        pretty.stdout
    );
    assert_eq!(pretty.stdout.matches("✓ #").count(), 2, "{}", pretty.stdout);
    insta::assert_snapshot!(masked(&pretty.stderr), @"
    listening on http://127.0.0.1:PORT
    sending 2 deliveries to http://127.0.0.1:PORT/webhook/cdr · seed 7
    repeat: telecmi-cdr send --demo --seed 7 --at 2026-11-22T09:00:00.000Z
    to test your own handler: telecmi-cdr send --url http://localhost:5000/webhook/cdr
    ");

    let records = program(demo.iter().chain(&["--format", "ndjson"]))
        .run()
        .expect(0);
    let mut types: Vec<_> = records
        .records()
        .iter()
        .map(|record| record["type"].to_string())
        .collect();
    types.sort();
    insta::assert_snapshot!(types.join(" "), @r#""delivery" "delivery" "exchange" "exchange" "listening" "started" "summary" "summary""#);
}

#[test]
fn a_reader_that_has_gone_is_a_quiet_success() {
    let url = stub(answer("200 OK", "", ""));
    let ended = program(["send", "--url", &url, "-n", "500"])
        .unread()
        .run()
        .expect(0);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    program(["send", "--dry-run", "-n", "5000"])
        .unread()
        .run()
        .expect(0);
    program(["send", "--list-scenarios"])
        .unread()
        .run()
        .expect(0);
    program(["send", "--help"]).unread().run().expect(0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure_with_a_line() {
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("a device")
    };
    for arguments in [
        ["send", "--dry-run"].as_slice(),
        &["send", "--list-scenarios"],
        &["send", "--demo", "-q"],
    ] {
        let ended = program(arguments).stdout(full()).run().expect(1);
        assert!(
            ended
                .stderr
                .contains("error: cannot write the output: No space left on device"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn what_has_no_end_is_not_printed() {
    let ended = program(["send", "--dry-run", "--duration", "1ms"])
        .run()
        .expect(2);
    assert!(ended.stderr.contains("use --count"), "{}", ended.whole());
}

#[cfg(unix)]
#[test]
fn output_that_nobody_reads_does_not_keep_a_sender_alive() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    use std::sync::mpsc;

    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    let (visit, visits) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in socket.incoming().flatten() {
            super::peers::read_request(&mut stream);
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            let _ = visit.send(());
        }
    });
    let mut child = Command::new(binary())
        .args(["send", "--url", &url, "-n", "100000", "--format", "ndjson"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A record has more than a thousand bytes, so 300 records fill the pipe and the program's buffer.
    for _ in 0..300 {
        visits
            .recv_timeout(super::program::DEADLINE)
            .expect("a delivery");
    }
    let signal = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(signal.success());
    let (ended, end) = mpsc::channel();
    let unread = child.stdout.take();
    std::thread::spawn(move || ended.send(child.wait()));
    let status = end
        .recv_timeout(super::program::DEADLINE)
        .expect("an end in time")
        .expect("a status");
    assert_eq!(status.code(), Some(130));
    drop(unread);
}
