//! Tests of `listen --save`: acknowledged exchanges are in the file, and unsaved ones are answered with 503.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use serde_json::Value;

use super::peers::{post_json, say};
use super::program::{DEADLINE, fixture, listener, pretty_listener, program};

fn place() -> (tempfile::TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.ndjson");
    let name = path.to_str().expect("a name").to_owned();
    (folder, path, name)
}

fn records(path: &Path) -> Vec<Result<Value, String>> {
    let text = fs::read_to_string(path).expect("a text");
    text.lines()
        .map(|line| serde_json::from_str(line).map_err(|_| line.to_owned()))
        .collect()
}

struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    fn new(url: &str) -> Self {
        let stream = TcpStream::connect(url.trim_start_matches("http://")).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        stream.set_nodelay(true).expect("no delay");
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    fn post(&mut self, id: u64) -> bool {
        let body = format!("{{\"id\":\"{id}-\"}}");
        let head = "POST /cdr HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n";
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        if self.stream.write_all(request.as_bytes()).is_err() {
            return false;
        }
        let mut chunk = [0; 1024];
        while !self.unread.ends_with(b"got it") {
            if self.unread.ends_with(b"could not be saved\n") {
                return false;
            }
            match self.stream.read(&mut chunk) {
                Ok(read) if read > 0 => self.unread.extend_from_slice(&chunk[..read]),
                _ => return false,
            }
        }
        assert!(
            self.unread.starts_with(b"HTTP/1.1 200 "),
            "{}",
            String::from_utf8_lossy(&self.unread)
        );
        self.unread.clear();
        true
    }
}

fn load(
    url: &str,
    first: u64,
    connections: u64,
    each: u64,
    after: impl Fn(usize) + Sync,
) -> BTreeSet<u64> {
    let acknowledged = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for connection in 0..connections {
            let mut client = Client::new(url);
            let (acknowledged, after) = (&acknowledged, &after);
            scope.spawn(move || {
                for id in (first + connection * each)..(first + (connection + 1) * each) {
                    if !client.post(id) {
                        return;
                    }
                    let so_far = {
                        let mut acknowledged = acknowledged.lock().expect("a lock");
                        acknowledged.insert(id);
                        acknowledged.len()
                    };
                    after(so_far);
                }
            });
        }
    });
    acknowledged.into_inner().expect("a lock")
}

fn on_file(path: &Path) -> (Vec<u64>, usize) {
    let mut torn = 0;
    let mut ids = Vec::new();
    for record in records(path) {
        let Ok(record) = record else {
            torn += 1;
            continue;
        };
        let body = record["request"]["body"]["text"].as_str().expect("a body");
        let id = body.split('"').nth(3).expect("an id").trim_end_matches('-');
        ids.push(id.parse().expect("a number"));
    }
    (ids, torn)
}

#[test]
fn every_exchange_is_on_file_once_and_in_order() {
    const CONNECTIONS: u64 = 16;
    const EACH: u64 = 125;
    let (_folder, path, name) = place();
    let listener = pretty_listener(&["--save", &name]);
    let acknowledged = load(&listener.url, 0, CONNECTIONS, EACH, |_| {});
    assert_eq!(acknowledged.len() as u64, CONNECTIONS * EACH);
    let (ids, torn) = on_file(&path);
    assert_eq!(
        (ids.iter().copied().collect::<BTreeSet<_>>(), torn),
        (acknowledged, 0)
    );
    let numbers: Vec<_> = records(&path)
        .iter()
        .map(|line| line.as_ref().expect("a record")["n"].as_u64())
        .collect();
    assert_eq!(
        numbers,
        (1..=CONNECTIONS * EACH).map(Some).collect::<Vec<_>>()
    );
    assert_eq!(ids.len() as u64, CONNECTIONS * EACH);
    #[cfg(unix)]
    {
        listener.running.signal("-INT");
        let ended = listener.running.end().expect(0);
        let last = ended.stdout.lines().last().unwrap_or_default();
        assert_eq!(
            last,
            "interrupted · 2000 requests · 0 CDRs · 2000 remarks · 2000 saved"
        );
    }
}

/// Kills the listener repeatedly under load, and compares the file with the acknowledged requests.
#[cfg(unix)]
#[expect(
    clippy::print_stderr,
    reason = "figures for whoever runs this at length"
)]
fn kill(times: u64) {
    let (_folder, path, name) = place();
    let (mut acknowledged, mut is_torn) = (BTreeSet::new(), false);
    for turn in 0..times {
        let listener = listener(&["--save", &name]);
        let (url, running) = (listener.url, Mutex::new(listener.running));
        let moment = 1 + usize::try_from(turn * 131 % 700).expect("a small number");
        let after = |so_far| {
            if so_far == moment {
                running.lock().expect("a lock").signal("-KILL");
            }
        };
        acknowledged.extend(load(&url, turn * 1_000, 8, 100, after));
        let stderr = running.into_inner().expect("a lock").end().stderr;
        assert_eq!(
            stderr.contains("the last line is cut off"),
            is_torn,
            "{stderr}"
        );
        is_torn = !fs::read(&path).expect("a file").ends_with(b"\n");
    }
    let (ids, bad) = on_file(&path);
    let ids: BTreeSet<_> = ids.into_iter().collect();
    assert_eq!(
        acknowledged.difference(&ids).collect::<Vec<_>>(),
        Vec::<&u64>::new()
    );
    assert!(bad as u64 <= times, "{bad} torn lines");
    eprintln!(
        "{times} kills, {} acknowledged, {} on file, {bad} torn",
        acknowledged.len(),
        ids.len()
    );
}

#[test]
#[cfg(unix)]
fn whatever_was_acknowledged_is_on_file_after_a_kill() {
    kill(5);
}

/// The long variant: `cargo test --release --test it kills -- --ignored --nocapture`.
#[test]
#[ignore = "takes a while"]
#[cfg(unix)]
fn many_kills() {
    kill(50);
}

#[test]
fn the_bytes_are_kept_as_they_came_and_can_be_sent_again() {
    let (_folder, path, name) = place();
    let first = listener(&["--save", &name, "--count", "1"]);
    let odd =
        b"POST /cdr?token=SECRET HTTP/1.1\r\nHost: h\r\nauthorization: Bearer SECRET\r\nX-Odd: \xff\r\n";
    let body = fixture("live/leg-b.json");
    let rest = format!(
        "Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let request = [&odd[..], rest.as_bytes(), &body].concat();
    assert!(say(&first.url, request).starts_with("HTTP/1.1 200 "));
    let ended = first.running.end().expect(0);
    let shown = &ended.records_of("exchange")[0];
    assert_eq!(ended.records_of("summary")[0]["saved"], 1);
    let saved = records(&path);
    assert_eq!((saved.len(), saved[0].as_ref()), (1, Ok(shown)));
    assert_eq!(shown["request"]["target"], "/cdr?token=SECRET");

    let second = listener(&["--count", "1"]);
    let url = format!("{}/elsewhere", second.url);
    program(["send", "--url", &url, "--file", &name])
        .run()
        .expect(0);
    let again = &second.running.end().expect(0).records_of("exchange")[0];
    assert_eq!(again["request"]["body"], shown["request"]["body"]);
    let told = shown["request"]["headers"].as_array().expect("headers");
    let heard = again["request"]["headers"].as_array().expect("headers");
    for header in told
        .iter()
        .filter(|header| matches!(header[0].as_str(), Some("authorization" | "X-Odd")))
    {
        assert!(
            heard.iter().any(|other| other[1] == header[1]),
            "{header} in {heard:?}"
        );
    }
}

#[test]
fn a_pretty_listener_masks_on_screen_what_it_saves_as_it_came() {
    let (_folder, path, name) = place();
    let listener = pretty_listener(&["--save", &name, "--count", "1", "--verbose"]);
    let body = fixture("docs-leg-a.json");
    let head =
        "POST /cdr?token=SECRET HTTP/1.1\r\nHost: h\r\nX-Api-Key: SECRET\r\nConnection: close\r\n";
    say(
        &listener.url,
        [
            format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(),
            &body,
        ]
        .concat(),
    );
    let ended = listener.running.end().expect(0);
    assert!(!ended.whole().contains("SECRET"), "{}", ended.whole());
    assert_eq!(
        fs::read_to_string(&path)
            .expect("a text")
            .matches("SECRET")
            .count(),
        2
    );
}

#[test]
fn one_file_one_listener() {
    let (_folder, _path, name) = place();
    let first = listener(&["--save", &name]);
    let ended = program(["listen", "--port", "0", "--save", &name])
        .run()
        .expect(2);
    assert_eq!(ended.stdout, "");
    insta::assert_snapshot!(ended.stderr.replace(&name, "FILE"), @"
    error: another listener is saving to FILE
      hint: each listener needs its own file: choose another with --save
    ");
    assert!(post_json(&first.url, fixture("docs-leg-a.json")).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_file_that_cannot_be_written_stops_it_before_it_is_ready() {
    let (folder, _path, name) = place();
    let missing = format!("{name}/missing/calls.ndjson").replace("calls.ndjson/missing", "missing");
    let a_folder = folder.path().to_str().expect("a name");
    for (name, hint) in [
        (missing.as_str(), "hint: check that the folder exists"),
        (a_folder, "hint: "),
    ] {
        let ended = program(["listen", "--port", "0", "--save", name])
            .run()
            .expect(2);
        assert_eq!(ended.stdout, "");
        let said = ended
            .stderr
            .starts_with(&format!("error: cannot write {name}\n  caused by: "));
        assert!(
            said && ended.stderr.contains(hint) && !ended.stderr.contains("listening"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn standard_output_has_a_flag_of_its_own() {
    let ended = program(["listen", "--port", "0", "--save", "-"])
        .run()
        .expect(2);
    let said =
        "error: --save needs a file; --format ndjson writes the same records to standard output\n";
    assert!(ended.stderr.starts_with(said), "{}", ended.stderr);
}

#[test]
fn what_is_redacted_can_be_published_and_still_joins_up() {
    let (_folder, path, name) = place();
    let arguments = ["--save", &name, "--redact", "--count", "2"];
    for turn in 0..2 {
        let listener = listener(&arguments);
        post_json(&listener.url, fixture("docs-leg-b.json"));
        post_json(&listener.url, fixture("docs-leg-a.json"));
        let ended = listener.running.end().expect(0);
        // Masking applies to the capture file; the terminal shows the original numbers.
        assert_eq!(ended.stdout.matches("442000000001").count(), 2, "{turn}");
    }
    let text = fs::read_to_string(&path).expect("a text");
    assert!(
        !text.contains("44000000") && !text.contains("44200000") && !text.contains("2222223"),
        "{text}"
    );
    let cdrs: Vec<_> = records(&path)
        .into_iter()
        .map(|record| record.expect("a record")["cdr"].clone())
        .collect();
    let told: Vec<_> = cdrs
        .iter()
        .map(|cdr| {
            format!(
                "{} {} {} {}",
                cdr["leg"], cdr["virtual_number"], cdr["to"], cdr["user"]
            )
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    "b" "910000000001" 910000000002 "202_1000001"
    "a" "910000000001" 910000000003 "202_1000001"
    "b" "910000000004" 910000000005 "202_1000002"
    "a" "910000000004" 910000000006 "202_1000002"
    "#);

    let again = listener(&["--count", "4"]);
    program(["send", "--url", &again.url, "--file", &name])
        .run()
        .expect(0);
    let judged = again.running.end().expect(0).records_of("exchange");
    for (before, after) in records(&path).iter().zip(&judged) {
        let before = before.as_ref().expect("a record");
        assert_eq!(
            before["verdict"]["generation"],
            after["verdict"]["generation"]
        );
        assert_eq!(
            (&before["request"]["body"], &before["cdr"]),
            (&after["request"]["body"], &after["cdr"])
        );
    }
}

#[test]
fn there_is_nothing_to_redact_without_a_file() {
    let ended = program(["listen", "--port", "0", "--redact"])
        .run()
        .expect(2);
    assert!(ended.stderr.contains("--save <FILE>"), "{}", ended.stderr);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::PermissionsExt as _;
    #[cfg(target_os = "linux")]
    use std::process::Command;

    use super::*;
    use crate::program::{ready, shell};

    #[test]
    fn it_is_made_for_its_owner_and_others_are_warned_about() {
        let (_folder, path, name) = place();
        drop(listener(&["--save", &name]));
        let mode = || fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("a mode");
        fs::write(&path, "{\"type\":\"exch").expect("written");
        let mut running = program(["listen", "--port", "0", "--save", &name]).start();
        let said = [running.talk(), running.talk(), running.talk()]
            .concat()
            .replace(&name, "FILE");
        let said = said.split("listening on").next().unwrap_or_default();
        insta::assert_snapshot!(said, @"
        warning: FILE: accessible to other users (mode 644): run chmod 600 FILE
        warning: FILE: the last line is incomplete; the next exchange begins a new line
        ");
        assert_eq!(mode(), 0o644);
    }

    #[test]
    fn a_file_removed_under_its_hands_is_begun_anew() {
        let (_folder, path, name) = place();
        let mut listener = pretty_listener(&["--save", &name]);
        assert!(post_json(&listener.url, fixture("docs-leg-b.json")).starts_with("HTTP/1.1 200 "));
        fs::remove_file(&path).expect("removed");
        assert!(post_json(&listener.url, fixture("docs-leg-a.json")).starts_with("HTTP/1.1 200 "));
        let said = listener.running.talk().replace(&name, "FILE");
        insta::assert_snapshot!(said, @"warning: FILE: the file was removed during the run, and has been created again");
        assert_eq!(records(&path).len(), 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_answered_503_and_shown_and_counted() {
        let mut listener = listener(&["--save", "/dev/full", "--count", "3"]);
        let answer = post_json(&listener.url, fixture("docs-leg-b.json"));
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\r\nretry-after: 5\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\ncould not be saved\n"), "{answer}");
        let shown = listener.running.record();
        assert_eq!(shown["answer"]["status"], 503);
        assert_eq!(
            shown["answer"]["unsaved"],
            "No space left on device (os error 28)"
        );
        let said = listener.running.talk();
        insta::assert_snapshot!(said, @"warning: /dev/full: cannot be written: No space left on device (os error 28); 1 not saved so far");
        post_json(&listener.url, fixture("docs-leg-b.json"));
        post_json(&listener.url, fixture("docs-leg-a.json"));
        let ended = listener.running.end().expect(1);
        let summary = &ended.records_of("summary")[0];
        assert_eq!(
            (&summary["exchanges"], &summary["saved"], &summary["lost"]),
            (&3.into(), &0.into(), &3.into())
        );
        assert!(ended.stderr.lines().count() <= 3, "{}", ended.stderr);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_was_refused_already_is_not_said_to_be_503() {
        let mut listener = listener(&["--save", "/dev/full"]);
        let answer = say(
            &listener.url,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
        );
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        let shown = listener.running.record();
        assert_eq!(shown["answer"]["status"], 400);
        assert!(shown["answer"]["unsaved"].is_string(), "{shown}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_person_sees_what_was_not_saved() {
        let listener = pretty_listener(&["--save", "/dev/full", "--count", "1"]);
        post_json(&listener.url, fixture("docs-leg-b.json"));
        let ended = listener.running.end().expect(1);
        let says = |text: &str| assert!(ended.stdout.contains(text), "{}", ended.stdout);
        says("POST /webhook/cdr  503 ");
        says("\n  ✗ not saved: No space left on device (os error 28)\n");
        says(" · 0 saved · 1 not saved\n");
    }

    #[test]
    fn a_file_that_may_not_become_longer_is_like_a_full_disk() {
        let (_folder, path, name) = place();
        let arguments = ["listen", "--port", "0", "--save", &name];
        let mut listener = ready(shell("ulimit -f 8; exec \"$0\" \"$@\"", arguments));
        let long = format!("{{\"n\":\"{}\"}}", "x".repeat(20_000));
        assert!(post_json(&listener.url, "{\"n\":1}").starts_with("HTTP/1.1 200 "));
        assert!(post_json(&listener.url, &long).starts_with("HTTP/1.1 503 "));
        assert!(post_json(&listener.url, "{\"n\":2}").starts_with("HTTP/1.1 200 "));
        while !listener.running.talk().contains("File too large") {}
        listener.running.signal("-INT");
        listener.running.end().expect(1);
        let saved = records(&path);
        assert_eq!(
            (
                saved.len(),
                saved.iter().filter(|line| line.is_ok()).count()
            ),
            (2, 2)
        );
    }

    #[test]
    fn where_there_is_room_for_some_the_others_hear_that_there_was_none() {
        let (_folder, path, name) = place();
        let arguments = ["listen", "--port", "0", "--save", &name];
        let mut listener = ready(shell("ulimit -f 32; exec \"$0\" \"$@\"", arguments));
        let acknowledged = load(&listener.url, 0, 8, 100, |_| {});
        while !listener.running.talk().contains("File too large") {}
        listener.running.signal("-INT");
        let ended = listener.running.end().expect(1);
        let (ids, torn) = on_file(&path);
        assert_eq!((ids.len(), torn), (acknowledged.len(), 0));
        assert!(
            ended.stdout.contains(&format!(" · {} saved · ", ids.len())),
            "{}",
            ended.stdout
        );
        assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), acknowledged);
    }

    /// Mounts a file system of 64 KiB, if this user may mount.
    #[cfg(target_os = "linux")]
    struct Disk(tempfile::TempDir);

    #[cfg(target_os = "linux")]
    impl Disk {
        fn new() -> Option<Self> {
            let folder = tempfile::tempdir().expect("a folder");
            let mount = Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
                .arg(folder.path())
                .output();
            mount
                .is_ok_and(|mount| mount.status.success())
                .then_some(Self(folder))
        }
    }

    #[cfg(target_os = "linux")]
    impl Drop for Disk {
        fn drop(&mut self) {
            let _ = Command::new("umount")
                .arg("--lazy")
                .arg(self.0.path())
                .status();
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn when_there_is_room_again_it_works_again() {
        let Some(disk) = Disk::new() else {
            eprintln!("skipped: no disk can be mounted here");
            return;
        };
        let (path, ballast) = (
            disk.0.path().join("calls.ndjson"),
            disk.0.path().join("ballast"),
        );
        let mut listener = pretty_listener(&["--save", path.to_str().expect("a name")]);
        assert!(post_json(&listener.url, "{\"n\":1}").starts_with("HTTP/1.1 200 "));
        while fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&ballast)
            .and_then(|mut file| file.write_all(&[0; 4096]))
            .is_ok()
        {}
        let long = format!("{{\"n\":\"{}\"}}", "x".repeat(8_000));
        assert!(post_json(&listener.url, &long).starts_with("HTTP/1.1 503 "));
        assert!(post_json(&listener.url, &long).starts_with("HTTP/1.1 503 "));
        fs::remove_file(&ballast).expect("removed");
        assert!(post_json(&listener.url, &long).starts_with("HTTP/1.1 200 "));
        let said = listener.running.talk();
        assert!(
            said.contains("No space left on device (os error 28); 1 not saved so far"),
            "{said}"
        );
        while !listener.running.talk().ends_with("saving works again\n") {}
        listener.running.signal("-INT");
        listener.running.end().expect(1);
        let saved = records(&path);
        assert_eq!(
            (
                saved.len(),
                saved.iter().filter(|line| line.is_ok()).count()
            ),
            (2, 2)
        );
    }
}
