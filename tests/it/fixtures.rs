//! Checks the verdicts on the payloads in `fixtures/`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use telecmi_cdr::internals::{Code, Generation, Judgement, Kind, judge_json};

use super::program::{listener, program};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

fn judged(name: &str) -> Judgement {
    judge_json(&fs::read(folder(name)).expect("a fixture"))
}

fn said(judgement: &Judgement) -> String {
    let verdict = &judgement.verdict;
    let mut text = serde_json::to_string(&verdict.kind)
        .expect("a word")
        .trim_matches('"')
        .to_owned();
    for remark in &verdict.remarks {
        let code = serde_json::to_string(&remark.code).expect("a word");
        let field = remark
            .field
            .as_ref()
            .map_or("-", |field| field.as_it_came());
        let _ = write!(
            text,
            "\n{} {field}: {}",
            code.trim_matches('"'),
            remark.text.as_it_came()
        );
    }
    text + "\n"
}

#[test]
fn the_documented_payloads_leave_nothing_to_remark_on() {
    for (name, kind, generation) in [
        ("docs-leg-a.json", Kind::OutgoingMissed, Generation::Docs),
        ("docs-leg-b.json", Kind::OutgoingMissed, Generation::Docs),
        (
            "answered-leg-a.json",
            Kind::OutgoingAnswered,
            Generation::Docs,
        ),
        ("legacy.json", Kind::OutgoingMissed, Generation::Legacy),
    ] {
        let verdict = judged(name).verdict;
        assert_eq!(
            (verdict.kind, verdict.generation),
            (kind, Some(generation)),
            "{name}"
        );
        assert_eq!(verdict.remarks, [], "{name}");
    }
}

#[test]
fn live_payloads_are_recognised_and_only_their_types_remarked_on() {
    let mut seen = 0;
    for entry in fs::read_dir(folder("live")).expect("a folder") {
        let name = format!(
            "live/{}",
            entry.expect("an entry").file_name().to_string_lossy()
        );
        let verdict = judged(&name).verdict;
        assert_eq!(
            (verdict.kind, verdict.generation),
            (Kind::OutgoingMissed, Some(Generation::Live)),
            "{name}"
        );
        assert!(
            verdict
                .remarks
                .iter()
                .all(|remark| remark.code == Code::Retyped),
            "{name}: {verdict:?}"
        );
        seen += 1;
    }
    assert_eq!(seen, 4);
}

/// `fixtures/family/*.tsv` names the payloads of the lines of `*.ndjson`, in order.
#[test]
fn every_published_sample_is_named_and_nothing_false_is_remarked_on() {
    let mut seen = 0;
    for product in ["chub", "chub-india", "piopiy", "piopiy-india"] {
        let read = |extension: &str| {
            let name = format!("family/{product}.{extension}");
            fs::read_to_string(folder(&name)).expect("a fixture")
        };
        let (payloads, table) = (read("ndjson"), read("tsv"));
        let rows: Vec<_> = table.lines().skip(1).collect();
        assert_eq!(payloads.lines().count(), rows.len(), "{product}");
        for (payload, row) in payloads.lines().zip(rows) {
            let columns: Vec<_> = row.split('\t').collect();
            let [_, sample, _, kind, generation, leg] = columns[..] else {
                panic!("{row}");
            };
            let verdict = serde_json::to_value(judge_json(payload.as_bytes()).verdict);
            let verdict = verdict.expect("a record");
            let word = |name: &str| verdict[name].as_str().unwrap_or("-").to_owned();
            assert_eq!(
                [word("kind"), word("generation"), word("leg")],
                [kind, generation, leg],
                "{product}: {row}"
            );
            let remarks = verdict["remarks"].as_array().expect("remarks");
            let remarks: Vec<_> = remarks.iter().map(|r| r["text"].as_str()).collect();
            assert_eq!(
                remarks,
                expected(kind, generation, sample),
                "{product}: {row}"
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 70);
}

#[track_caller]
fn with_events(scenario: &str, more: &[&str]) -> Vec<serde_json::Value> {
    let flags = [
        "send",
        "--print",
        "json",
        "--with-events",
        "--scenario",
        scenario,
    ];
    let ended = program([&flags[..], more].concat()).run().expect(0);
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn live_events_are_sent_in_the_order_seen() {
    let order = |scenario| {
        let payloads = with_events(scenario, &[]);
        let told = payloads.iter().map(|payload| {
            let word = |name| payload[name].as_str().unwrap_or_default();
            ["type", "leg", "status"].map(word).join(" ")
        });
        told.collect::<Vec<_>>().join(", ")
    };
    let alone = |leg| format!("event {leg} started, cdr {leg} missed, event {leg} hangup");
    let both = "event a started, event a answered, event b started, event b hangup, cdr b missed, cdr a answered";
    for (scenario, expected) in [
        ("customer-no-answer", both.to_owned()),
        ("agent-no-answer", alone("a")),
        ("followme-ghost", [alone("a"), alone("a")].join(", ")),
        ("softphone-rejected", alone("b")),
        ("legacy", "cdr  missed".to_owned()),
    ] {
        assert_eq!(order(scenario), expected, "{scenario}");
    }
}

#[test]
fn live_events_have_the_documented_fields() {
    let names = |payload: &serde_json::Value| {
        let fields = payload.as_object().expect("an object");
        fields.keys().cloned().collect::<Vec<_>>()
    };
    let published = fs::read_to_string(folder("family/chub.ndjson")).expect("a fixture");
    let published = published.lines().find(|line| line.contains("callerid"));
    let published = serde_json::from_str(published.expect("an event")).expect("JSON");
    let events = with_events("customer-no-answer", &["--set", "user=7_1111112"]);
    assert_eq!(names(&events[0]), names(&published));
    assert_eq!(events[0]["conversation_uuid"], events[0]["cmiuuid"]);
    assert_eq!(events[2]["conversation_uuid"], events[0]["cmiuuid"]);
    assert_eq!(events[2]["user"], "7_1111112");
    assert_eq!(events[2]["cmiuuid"], events[4]["cmiuuid"]);
    assert_eq!(events[0]["cmiuuid"], events[5]["cmiuuid"]);
}

#[test]
fn live_events_arrive_at_the_url_of_the_cdrs() {
    let listener = listener(&["--count", "2", "--timeout", "20s"]);
    let flags = [
        "--with-events",
        "--scenario",
        "customer-rejected",
        "--shape",
        "live",
    ];
    let sent = program([&["send", &listener.url], &flags[..]].concat()).run();
    assert!(
        sent.code == Some(0) && sent.stdout.contains("customer-rejected b hangup event"),
        "{}",
        sent.whole()
    );
    let received = listener.running.end().expect(0);
    let kinds = received
        .records_of("exchange")
        .into_iter()
        .map(|exchange| exchange["verdict"]["kind"].clone());
    let kinds: Vec<_> = kinds.collect();
    let (event, missed) = ("live_event", "outgoing_missed");
    assert_eq!(
        kinds,
        [event, event, event, event, missed, "outgoing_answered"]
    );
}

/// Two pages print a number with a leading zero, which JSON does not have.
#[test]
fn a_live_event_as_printed_for_india_is_no_json() {
    let payloads = fs::read_to_string(folder("family/chub-india.ndjson")).expect("a fixture");
    let event = payloads.lines().find(|line| line.contains("callerid"));
    let printed = event
        .expect("an event")
        .replace(":4471000000", ":04471000000");
    assert_eq!(
        said(&judge_json(printed.as_bytes())),
        "unreadable\nnot_json -: not JSON: a number that JSON does not allow at line 1 column 155\n"
    );
}

fn expected(kind: &str, generation: &str, sample: &str) -> Vec<Option<&'static str>> {
    let text = match (kind, generation) {
        ("live_event", "piopiy") => "a live event of PIOPIY, not a CDR",
        ("live_event", _) => "a live event, not a CDR",
        ("rest_record", _) if sample.starts_with("REST envelope") => {
            "REST envelope with 2 records, not a webhook"
        }
        ("rest_record", _) => "a record of the REST API, not a webhook",
        ("incoming", "piopiy") => "a CDR of PIOPIY, for an incoming call",
        ("incoming", _) => "the CDR of an incoming call, for which TeleCMI has another webhook",
        (_, "piopiy") => "a CDR of PIOPIY, whose fields are not those of CHUB",
        (_, "docs" | "legacy") => return Vec::new(),
        _ => panic!("{sample}"),
    };
    vec![Some(text)]
}

/// Each broken payload has a file with the expected remarks. `UPDATE_FIXTURES=1` rewrites these files.
#[test]
fn broken_payloads_get_the_remarks_beside_them() {
    let mut seen = 0;
    for entry in fs::read_dir(folder("broken")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".remarks") {
            continue;
        }
        seen += 1;
        let actual = said(&judge_json(&fs::read(&path).expect("a fixture")));
        let beside = folder("broken").join(format!("{name}.remarks"));
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(&beside, &actual).expect("written");
        }
        let expected = fs::read_to_string(&beside)
            .expect("remarks beside the payload")
            .replace("\r\n", "\n");
        assert_eq!(actual, expected, "{name}");
        assert!(actual.lines().count() > 1, "{name} is not broken");
    }
    assert!(seen >= 20, "{seen}");
}

#[test]
fn the_samples_pasted_as_printed_are_sent_and_recognised() {
    let listener = listener(&["--count", "2", "--timeout", "20s"]);
    for leg in ["a", "b"] {
        let path = folder(&format!("docs-leg-{leg}.js.txt"));
        let sent = program([
            "send",
            "--url",
            &listener.url,
            "--file",
            &path.to_string_lossy(),
        ])
        .run();
        assert_eq!(sent.code, Some(0), "{}", sent.whole());
    }
    let received = listener.running.end();
    let exchanges = received.records_of("exchange");
    for (exchange, leg) in exchanges.iter().zip(["a", "b"]) {
        assert_eq!(exchange["verdict"]["kind"], "outgoing_missed");
        assert_eq!(
            (
                &exchange["verdict"]["generation"],
                &exchange["verdict"]["leg"]
            ),
            (&"docs".into(), &leg.into())
        );
        assert_eq!(
            exchange["verdict"]["remarks"],
            serde_json::Value::Array(vec![])
        );
        let fixture = fs::read(folder(&format!("docs-leg-{leg}.json"))).expect("a fixture");
        let fixture: serde_json::Value = serde_json::from_slice(&fixture).expect("JSON");
        assert_eq!(exchange["cdr"], fixture);
    }
}
