//! `send --suite` with `--read-back`, `--guard` and `--baseline`, against handlers with one bug each.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Map, Value};
use telecmi_cdr::internals::query::decode;

use super::peers::{answer, read_request};
use super::program::{Ended, program};
use super::replies::gzip;

type Row = Map<String, Value>;

/// What a handler does with a CDR that came by POST or GET: it changes the row, chooses the key, or refuses.
type Bug = fn(&mut Row, is_get: bool, count: usize) -> Result<String, u16>;

fn id(row: &Row, name: &str) -> String {
    row.get(name).map(Value::to_string).unwrap_or_default()
}

/// A handler that keeps rows by key, and gives at `/calls/CMIUUID` a compressed JSON array of them, or 404.
fn handler(bug: Bug) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    let rows: Arc<Mutex<BTreeMap<String, Row>>> = Arc::default();
    thread::spawn(move || {
        for stream in socket.incoming().flatten() {
            let rows = Arc::clone(&rows);
            thread::spawn(move || serve(stream, bug, &mut rows.lock().expect("a lock")));
        }
    });
    url
}

fn serve(mut stream: TcpStream, bug: Bug, rows: &mut BTreeMap<String, Row>) {
    let bytes = read_request(&mut stream);
    let text = String::from_utf8_lossy(&bytes);
    let target = text.split(' ').nth(1).unwrap_or_default();
    let reply = if let Some(id) = target.strip_prefix("/calls/") {
        let is_asked = |row: &&Row| row.get("cmiuuid") == Some(&id.into());
        let found: Vec<_> = rows.values().filter(is_asked).collect();
        let status = if found.is_empty() {
            "404 Not Found"
        } else {
            "200 OK"
        };
        let found = gzip(&serde_json::to_string(&found).expect("JSON"));
        let headers = format!("Content-Encoding: gzip\r\nContent-Length: {}", found.len());
        let head = format!("HTTP/1.1 {status}\r\n{headers}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), &found].concat()
    } else {
        let is_get = text.starts_with("GET");
        let row = if is_get {
            let pairs = decode(target.split_once('?').unwrap_or_default().1).pairs;
            let pairs = pairs.into_iter();
            Some(pairs.map(|(name, value)| (name, value.into())).collect())
        } else {
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
            body.and_then(|body| serde_json::from_str(body).ok())
        };
        let status = match row.map(|mut row| (bug(&mut row, is_get, rows.len()), row)) {
            Some((Ok(key), row)) => {
                if !key.is_empty() {
                    rows.insert(key, row);
                }
                200
            }
            Some((Err(status), _)) => status,
            None => 400,
        };
        answer(&format!("{status} Status"), "", "").into_bytes()
    };
    let _ = stream.write_all(&reply);
}

fn suite(url: &str, arguments: &[&str]) -> Ended {
    let url = format!("{url}/webhook/cdr?token=t0k3n");
    let own = [
        "send", "--suite", "--url", &url, "--seed", "7", "--format", "ndjson",
    ];
    program(own.iter().chain(arguments)).run()
}

/// The failed case of this name.
#[track_caller]
fn failed(ended: &Ended, name: &str) -> Value {
    let cases = ended.records_of("case");
    let case = cases
        .into_iter()
        .find(|case| case["name"] == name && case["ok"] == false);
    case.unwrap_or_else(|| panic!("{name} has not failed: {}", ended.whole()))
}

const CHOSEN: &str = "post-is-accepted,get-is-accepted,post-customer-no-answer,documented-pair,duplicate,duplicate-by-the-other-method,race,custom-none,\
                      not-ascii,get-plus-for-space,get-not-ascii,to-of-fifteen-digits";

const GOOD: Bug = |row, _, _| Ok(id(row, "cmiuuid"));

fn change_number(row: &mut Row, name: &str, change: fn(i64) -> i64) {
    let number = row.get(name).and_then(Value::as_i64).map(change);
    row.insert(name.to_owned(), number.into());
}

fn change_custom(row: &mut Row, change: fn(&str) -> String) {
    let custom = row.get("custom").and_then(Value::as_str).map(change);
    row.insert("custom".to_owned(), custom.into());
}

#[test]
fn a_right_handler_is_green_whatever_it_calls_its_fields() {
    let renamed: Bug = |row, _, _| {
        let key = id(row, "cmiuuid");
        let text = row
            .get("to")
            .map(|to| to.as_str().map_or_else(|| to.to_string(), str::to_owned));
        row.insert("customer".to_owned(), text.into());
        row.shift_remove("to");
        if let Some(custom) = row.get("custom").and_then(Value::as_str) {
            let parsed = serde_json::from_str(custom).unwrap_or_else(|_| custom.into());
            row.insert("custom".to_owned(), parsed);
        }
        Ok(key)
    };
    let missed_alone: Bug = |row, _, _| {
        let is_missed = id(row, "status") == "\"missed\"";
        Ok(if is_missed {
            id(row, "cmiuuid")
        } else {
            String::new()
        })
    };
    for handler in [handler(GOOD), handler(renamed), handler(missed_alone)] {
        let read_back = format!("{handler}/calls/{{cmiuuid}}");
        let ended = suite(&handler, &["--only", CHOSEN, "--read-back", &read_back]).expect(0);
        let cases = ended.records_of("case");
        assert!(
            cases.len() >= 12 && cases.iter().all(|case| case["ok"] == true),
            "{}",
            ended.whole()
        );
    }
}

/// A bug, a case that shows it, its cause, and words of what was found.
#[rustfmt::skip]
const BUGS: [(Bug, &str, &str, &str); 14] = [
    (|row, _, n| Ok(format!("{} {n}", id(row, "cmiuuid"))),
        "duplicate", "duplicated", "2 records of one cmiuuid"),
    (|row, is_get, _| Ok(format!("{} {is_get}", id(row, "cmiuuid"))),
        "duplicate-by-the-other-method", "duplicated", "missing unique key"),
    (|row, _, _| Ok(id(row, "call_id")),
        "documented-pair", "leg_lost", "leg b overwrites leg a: upsert by call_id"),
    (|row, _, _| Ok(id(row, "request_id")),
        "post-customer-no-answer", "leg_lost", "leg a overwrites leg b: upsert by call_id or request_id"),
    (|row, is_get, _| Ok(if is_get { String::new() } else { id(row, "cmiuuid") }),
        "get-is-accepted", "not_stored", "a CDR by GET got 2xx and is not stored"),
    (|row, _, _| Ok(if id(row, "custom") == "\"none\"" { String::new() } else { id(row, "cmiuuid") }),
        "custom-none", "not_stored", "is not stored"),
    (|row, _, _| { change_number(row, "to", |to| to & 0xffff_ffff); GOOD(row, false, 0) },
        "post-is-accepted", "inexact", "32-bit column"),
    (|row, _, _| { change_number(row, "time", |time| time / 1_000); GOOD(row, false, 0) },
        "post-is-accepted", "inexact", "time stored as seconds"),
    (|row, _, _| { row.insert("to".to_owned(), row["virtual_number"].clone()); GOOD(row, false, 0) },
        "post-is-accepted", "inexact", "the value of `virtual_number`"),
    (|row, _, _| { row.insert("status".to_owned(), "missed".into()); GOOD(row, false, 0) },
        "post-customer-no-answer", "text_changed", "`status` was sent as \"answered\""),
    (|row, _, _| { change_number(row, "time", |time| time * 1_000); GOOD(row, false, 0) },
        "post-is-accepted", "inexact", "multiplied by 1000"),
    (|row, _, _| Ok(if id(row, "leg") == "\"b\"" { String::new() } else { id(row, "cmiuuid") }),
        "post-customer-no-answer", "not_stored", "even without one of leg a"),
    (|row, _, _| { change_custom(row, |text| text.bytes().map(char::from).collect()); GOOD(row, false, 0) },
        "not-ascii", "text_changed", "mojibake"),
    (|row, is_get, _| { if is_get { change_custom(row, |text| text.replace('+', " ")); } GOOD(row, false, 0) },
        "get-plus-for-space", "text_changed", "lost plus"),
];

#[test]
fn each_way_to_store_a_cdr_wrongly_is_named() {
    for (bug, name, cause, words) in BUGS {
        let url = handler(bug);
        let read_back = format!("{url}/calls/{{cmiuuid}}");
        let within = ["--read-back-within", "50ms"];
        let ended = suite(
            &url,
            &[&["--only", CHOSEN, "--read-back", &read_back], &within[..]].concat(),
        )
        .expect(1);
        let case = failed(&ended, name);
        assert_eq!(case["cause"], cause, "{case}");
        assert!(
            case["got"].as_str().is_some_and(|got| got.contains(words)),
            "{words}: {case}"
        );
    }
}

#[test]
fn a_guard_must_refuse_and_store_nothing() {
    let guarded: Bug = |row, is_get, _| {
        let token = row.shift_remove("token");
        match token {
            Some(token) if is_get && token != "t0k3n" => Err(401),
            None if is_get => Ok(id(row, "cmiuuid")),
            _ => Ok(id(row, "cmiuuid")),
        }
    };
    let url = handler(guarded);
    let read_back = format!("{url}/calls/{{cmiuuid}}");
    let arguments = [
        "--only",
        "guard",
        "--guard",
        "query:token",
        "--read-back",
        &read_back,
    ];
    let ended = suite(&url, &arguments).expect(1);
    let missing = failed(&ended, "get-guard-missing");
    assert_eq!(
        (missing["cause"].as_str(), missing["family"].as_str()),
        (Some("unguarded"), Some("guard"))
    );
    assert_eq!(missing["got"], "200 OK; taken by GET without ?token=");
    let names: Vec<_> = ended
        .records_of("case")
        .into_iter()
        .filter(|case| case["ok"] == true)
        .collect();
    assert_eq!(names.len(), 2, "{}", ended.whole());
    let unknown = suite(&url, &["--guard", "query:key"]).expect(2);
    assert!(
        unknown.stderr.contains("the URL has no parameter key"),
        "{}",
        unknown.stderr
    );

    let late: Bug = |row, _, _| Ok(id(row, "cmiuuid"));
    let late = handler(late);
    let nothing = suite(&late, &["--only", "guard-wrong"]).expect(2);
    assert!(
        nothing.stderr.contains("these need --guard"),
        "{}",
        nothing.stderr
    );
}

#[test]
fn only_failures_that_the_baseline_lacks_fail_a_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("earlier.ndjson");
    let file = file.to_str().expect("a path");
    let wraps: Bug = |row, _, _| {
        if id(row, "custom") == "\"none\"" {
            Err(400)
        } else {
            GOOD(row, false, 0)
        }
    };
    let url = handler(wraps);
    suite(&url, &["--only", "custom-none,not-ascii", "--output", file]).expect(1);
    let known = suite(
        &url,
        &["--only", "custom-none,not-ascii", "--baseline", file],
    )
    .expect(0);
    let summary = &known.records_of("summary")[0];
    assert_eq!(
        summary["baseline"]["still_failing"],
        serde_json::json!(["custom-none"])
    );
    assert_eq!(summary["baseline"]["new"], serde_json::json!([]));
    let told = [
        "--only",
        "custom-none",
        "--baseline",
        file,
        "--format",
        "pretty",
    ];
    let told = suite(&url, &told).expect(0).stdout;
    let end = "\nAgainst the baseline: no new failures\n- 1 still failing: custom-none\n";
    assert!(told.contains(end), "{told}");
    let worse: Bug = |row, _, _| {
        if id(row, "custom").contains("Zo") {
            Err(400)
        } else {
            GOOD(row, false, 0)
        }
    };
    let worse = suite(
        &handler(worse),
        &["--only", "custom-none,not-ascii", "--baseline", file],
    )
    .expect(1);
    let summary = &worse.records_of("summary")[0];
    assert_eq!(
        summary["baseline"]["fixed"],
        serde_json::json!(["custom-none"])
    );
    assert_eq!(summary["baseline"]["new"], serde_json::json!(["not-ascii"]));

    std::fs::write(file, "{\"type\":\"started\"}\nno JSON\n").expect("written");
    let broken = suite(&url, &["--baseline", file]).expect(2);
    assert!(
        broken.stderr.contains("earlier.ndjson:2: no JSON")
            && broken.stderr.contains("--format ndjson --output FILE"),
        "{}",
        broken.stderr
    );
    let missing = suite(&url, &["--baseline", "no-such-file"]).expect(2);
    assert!(
        missing.stderr.contains("cannot read no-such-file"),
        "{}",
        missing.stderr
    );
}

#[cfg(unix)]
#[test]
fn a_program_reads_back_without_a_shell() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("read-back");
    let text = "#!/bin/sh\n[ \"$1\" = \"$CDR_CMIUUID\" ] || exit 3\nprintf '%s|missed|%s|%s\\n' \"$CDR_CMIUUID\" \"$CDR_TO\" \"$CDR_USER\"\n";
    std::fs::write(&script, text).expect("written");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let command = format!("{} {{cmiuuid}}", script.display());
    let url = handler(GOOD);
    let only = [
        "--only",
        "post-is-accepted,duplicate",
        "-X",
        "post",
        "--read-back-cmd",
    ];
    let ended = suite(&url, &[&only[..], &[&command]].concat()).expect(0);
    assert_eq!(ended.records_of("case").len(), 2);
    let broken = suite(
        &url,
        &[&only[..], &[&format!("{} x", script.display())]].concat(),
    )
    .expect(2);
    assert!(broken.stderr.contains("ended with 3"), "{}", broken.stderr);
    let missing = suite(&url, &[&only[..], &["./no-such-program"]].concat()).expect(2);
    assert!(
        missing
            .stderr
            .contains("--read-back: ./no-such-program cannot be run"),
        "{}",
        missing.stderr
    );
}

#[test]
fn fuzzed_fields_name_the_field_and_the_value() {
    let fragile: Bug = |row, _, _| match row.get("to") {
        Some(Value::Number(to)) if to.is_u64() => Ok(id(row, "cmiuuid")),
        Some(Value::String(to)) if to.parse::<u64>().is_ok() => Ok(id(row, "cmiuuid")),
        _ => Err(500),
    };
    let url = handler(fragile);
    let arguments = ["--only", "fuzz-*", "--fuzz", "60"];
    let ended = suite(&url, &arguments).expect(1);
    let failed: Vec<_> = ended
        .records_of("case")
        .into_iter()
        .filter(|case| case["ok"] == false)
        .collect();
    assert!(!failed.is_empty());
    for case in &failed {
        let change = case["change"].as_str().expect("a change");
        assert!(change.contains("to"), "{case}");
    }
    let name = failed[0]["name"].as_str().expect("a name");
    let alone = suite(&url, &["--only", name, "--fuzz", "60"]).expect(1);
    assert_eq!(alone.records_of("case")[0]["change"], failed[0]["change"]);
    suite(&url, &["--only", "fuzz-61", "--fuzz", "60"]).expect(2);
}
