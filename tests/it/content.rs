//! Tests of the payloads of `send`: scenarios, accounts, shapes, edits, files, headers, and `--dry-run`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::peers::{answer, stub};
use super::program::{Ended, fixture, listener, program};
use super::sending::FIXED;

#[track_caller]
fn printed(arguments: &[&str]) -> Vec<Value> {
    dry_run(arguments).expect(0).records()
}

#[track_caller]
fn dry_run(arguments: &[&str]) -> Ended {
    program(FIXED.iter().chain(&["--dry-run"]).chain(arguments)).run()
}

#[track_caller]
fn field(name: &str, arguments: &[&str]) -> Vec<Value> {
    printed(arguments)
        .iter()
        .map(|cdr| cdr.get(name).cloned().unwrap_or(json!("-")))
        .collect()
}

#[test]
fn the_catalogue_is_printed() {
    let ended = program(["send", "--list-scenarios"]).run().expect(0);
    assert_eq!(ended.stderr, "");
    insta::assert_snapshot!(ended.stdout, @"
    agent-no-answer [seen]
      the agent never picks up; the customer is never dialled
      CDRs: a missed recv_cancel
    agent-rejected [inferred]
      the agent declines, or is busy
      CDRs: a missed sent_reject
    customer-no-answer [seen]
      the agent picks up, the customer does not
      CDRs: b missed recv_cancel, then a answered recv_bye
    customer-rejected [seen]
      the agent picks up, the customer declines
      CDRs: b missed sent_reject, then a answered recv_bye
    followme-ghost [seen]
      with follow-me, a CDR of a short ghost ring comes first, then that of the real ring
      CDRs: a missed recv_cancel, then a missed recv_cancel
    softphone-no-answer [doc]
      dialled on a softphone, nobody answers: no request_id, no extra_params
      CDRs: b missed recv_cancel
      the leg of such a CDR is undocumented; b, the customer's, is assumed
    softphone-rejected [doc]
      dialled on a softphone, and declined
      CDRs: b missed sent_reject
      the leg of such a CDR is undocumented; b, the customer's, is assumed
    docs-leg-a [doc]
      the documented sample of leg a, value for value
      CDRs: a missed, always the same bytes
    docs-leg-b [doc]
      the documented sample of leg b, value for value
      CDRs: b missed, always the same bytes
    legacy [doc]
      the older nine-field body with click_to_call
      CDRs: missed, without leg and call_id

    Groups
      all         every scenario, one after another
      click2call  the scenarios of calls placed through click2call
      softphone   the scenarios of calls dialled on a softphone
      mix         one scenario for each call, weighted like the outcomes of real calls

    [doc] documented  [seen] reported from live accounts  [inferred] fits all samples
    ");
}

#[test]
fn a_cdr_is_printed_instead_of_being_sent() {
    let ended = dry_run(&[]).expect(0);
    assert_eq!(ended.stderr, "");
    insta::assert_snapshot!(ended.stdout, @r#"{"virtual_number":"910000000000","call_id":"f04a6800-60f5-1240-4d9c-56005b06b924","custom":"{\"crm\":\"true\"}","leg":"a","type":"cdr","appid":2222223,"to":442079460086,"cmiuuid":"3a41f8a3-2f91-4d35-a571-36f373c51e09","status":"missed","user":"101_2222223","time":1795338000000,"direction":"outbound","hangup_reason":"recv_cancel","request_id":"6akf5hGZOqA9IeL4EftbMgW5TJ2INtPNkXuoZR4sIQg","extra_params":"{\"click2call\":\"true\"}"}"#);
    assert_eq!(dry_run(&["--print", "json"]).stdout, ended.stdout);
}

#[test]
fn scenarios_may_be_named_listed_and_grouped() {
    let legs = |arguments: &[&str]| {
        let cdrs = printed(arguments);
        let legs = cdrs
            .iter()
            .map(|cdr| cdr["leg"].as_str().unwrap_or("-").to_owned());
        legs.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(legs(&["-s", "customer-no-answer"]), "b a");
    assert_eq!(
        legs(&["-s", "docs-leg-a,docs-leg-b", "--scenario", "legacy"]),
        "a b -"
    );
    assert_eq!(printed(&["-s", "all"]).len(), 13);
    assert_eq!(
        dry_run(&["--click2call"]).stdout,
        dry_run(&["-s", "click2call"]).stdout
    );
    assert!(
        field("request_id", &["-s", "softphone"])
            .iter()
            .all(|id| id == "-")
    );
    assert!(printed(&["-s", "mix", "-n", "20"]).len() >= 20);
    assert_eq!(legs(&["-s", "customer-no-answer", "-n", "2"]), "b a b a");
}

#[test]
fn the_account_is_the_same_everywhere() {
    let account = [
        "--app-id",
        "1111113",
        "--agent",
        "305",
        "--virtual-number",
        "+910000000034",
        "--to",
        "+442079460001",
        "--custom",
        "naïve",
        "--extra-params",
        r#"{"ticket":"7"}"#,
    ];
    for cdr in printed(&[&account[..], &["-s", "customer-no-answer"]].concat()) {
        assert_eq!(
            (&cdr["appid"], &cdr["user"]),
            (&json!(1_111_113), &json!("305_1111113"))
        );
        assert_eq!(cdr["virtual_number"], "910000000034");
        assert_eq!(
            (&cdr["custom"], &cdr["extra_params"]),
            (&json!("naïve"), &json!(r#"{"ticket":"7"}"#))
        );
        // Leg a rings the agent's own device, leg b the customer.
        assert_eq!(cdr["to"] == 442_079_460_001_u64, cdr["leg"] == "b");
    }
    let live = &printed(&[&account[..], &["--shape", "live"]].concat())[0];
    assert_eq!(
        (&live["virtual_number"], &live["extra_params"]),
        (&json!(910_000_000_034_u64), &json!({"ticket": "7"}))
    );
}

#[test]
fn legs_share_their_call_id_or_do_not() {
    let ids = |how: &str| field("call_id", &["-s", "customer-no-answer", "--call-id", how]);
    let (shared, per_leg) = (ids("shared"), ids("per-leg"));
    assert_eq!(shared[0], shared[1]);
    assert_ne!(per_leg[0], per_leg[1]);
}

#[test]
fn edits_are_typed_and_come_last() {
    let edits = [
        "--set",
        "to=441",
        "--set",
        "leg=c",
        "--set",
        "x=1",
        "--set-json",
        "time=null",
        "--unset",
        "user",
    ];
    let cdr = &printed(&edits)[0];
    assert_eq!(
        (&cdr["to"], &cdr["leg"], &cdr["x"], &cdr["time"]),
        (&json!(441), &json!("c"), &json!("1"), &Value::Null)
    );
    assert_eq!(cdr.get("user"), None);
}

#[test]
fn time_and_seed_decide_everything() {
    assert_eq!(dry_run(&[]).stdout, dry_run(&[]).stdout);
    let at = |time: &str| {
        program(["send", "--dry-run", "--seed", "7", "--at", time])
            .run()
            .expect(0)
            .stdout
    };
    assert_eq!(at("2026-11-22T09:00:00Z"), at("1795338000000"));
    assert_eq!(at("2026-11-22T09:00:00Z"), at("2026-11-22T14:30:00+05:30"));
    let seed = |seed: &str| {
        program(["send", "--dry-run", "--seed", seed, "--at", "0"])
            .run()
            .expect(0)
            .stdout
    };
    assert_ne!(seed("1"), seed("2"));
}

#[test]
fn a_command_for_curl_is_printed() {
    let ended = program(
        FIXED
            .iter()
            .chain(&["-s", "docs-leg-a", "-X", "both", "--print", "curl"]),
    )
    .run()
    .expect(0);
    assert_eq!(ended.stderr, "");
    insta::assert_snapshot!(ended.stdout, @r#"
    curl -sS -H 'Content-Type: application/json' --data-binary '{"virtual_number":"440000000000","call_id":"c4504776-d91e-123b-29a7-56000429abc3","custom":"{\"crm\":\"true\"}","leg":"a","type":"cdr","appid":2222223,"to":442000000000,"cmiuuid":"15b58236-734f-4000-a5e8-78284068f5c7","status":"missed","user":"202_2222223","time":1650628175336,"direction":"outbound","hangup_reason":"recv_cancel","request_id":"D8qpRb27mpXEYgEdAMY6arnQ2ONAB04Y86QrfKbOWZQ","extra_params":"{\"click2call\":\"true\"}"}' 'http://127.0.0.1:8237/webhook/cdr'
    curl -sS 'http://127.0.0.1:8237/webhook/cdr?virtual_number=440000000000&call_id=c4504776-d91e-123b-29a7-56000429abc3&custom=%7B%22crm%22%3A%22true%22%7D&leg=a&type=cdr&appid=2222223&to=442000000000&cmiuuid=15b58236-734f-4000-a5e8-78284068f5c7&status=missed&user=202_2222223&time=1650628175336&direction=outbound&hangup_reason=recv_cancel&request_id=D8qpRb27mpXEYgEdAMY6arnQ2ONAB04Y86QrfKbOWZQ&extra_params=%7B%22click2call%22%3A%22true%22%7D'
    "#);
}

#[cfg(unix)]
#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn the_command_for_curl_sends_the_same_bytes() {
    use std::process::Command;
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("there is no curl here: skipped");
        return;
    }
    let listener = listener(&["--count", "4", "--timeout", "20s"]);
    let url = format!("{}/webhook/cdr?a=1&b=it's", listener.url);
    let custom = "it's \"naïve\" 100% \\ \u{200b}\n";
    let arguments = [
        "--url",
        &url,
        "-X",
        "both",
        "--custom",
        custom,
        "-H",
        "X-Trace: it's \u{202e}",
    ];
    let command = program(FIXED.iter().chain(&arguments).chain(&["--print", "curl"]))
        .run()
        .expect(0)
        .stdout;
    let status = Command::new("sh")
        .args(["-ec", &command])
        .output()
        .expect("a shell");
    assert!(status.status.success(), "{status:?}");
    program(FIXED.iter().chain(&arguments)).run().expect(0);

    let exchanges = listener.running.end().expect(0).records_of("exchange");
    let request = |n: usize| &exchanges[n]["request"];
    let header = |n: usize, name: &str| {
        let headers = request(n)["headers"].as_array().expect("headers").clone();
        headers
            .into_iter()
            .find(|header| {
                header[0]
                    .as_str()
                    .is_some_and(|n| n.eq_ignore_ascii_case(name))
            })
            .map(|header| header[1].clone())
    };
    for (by_curl, by_us) in [(0, 2), (1, 3)] {
        for part in ["method", "target", "body"] {
            assert_eq!(request(by_curl)[part], request(by_us)[part], "{part}");
        }
        assert_eq!(header(by_curl, "x-trace"), Some(json!("it's \u{202e}")));
        assert_eq!(header(by_curl, "x-trace"), header(by_us, "x-trace"));
    }
    assert_eq!(header(0, "content-type"), header(2, "content-type"));
}

#[test]
fn output_goes_to_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder
        .path()
        .join("cdrs.ndjson")
        .to_string_lossy()
        .into_owned();
    let ended = dry_run(&["-s", "all", "--output", &path]).expect(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    let written = std::fs::read_to_string(&path).expect("a file");
    assert_eq!(written, dry_run(&["-s", "all"]).stdout);

    let nowhere = folder
        .path()
        .join("no/such/folder")
        .to_string_lossy()
        .into_owned();
    let ended = dry_run(&["-o", &nowhere]).expect(2);
    assert!(
        ended.stderr.starts_with("error: cannot write ") && ended.stderr.contains("caused by:"),
        "{}",
        ended.stderr
    );
}

#[track_caller]
fn from_file(text: impl Into<Vec<u8>>) -> Ended {
    program(FIXED.iter().chain(&["--dry-run", "--file", "-"]))
        .input(text)
        .run()
}

#[test]
fn files_hold_cdrs_in_many_forms() {
    let cdr = String::from_utf8(fixture("docs-leg-a.json")).expect("UTF-8");
    let cdr = cdr.trim_end();
    let one = format!("{cdr}\n");
    let two = format!("{one}{one}");
    assert_eq!(from_file(cdr).expect(0).stdout, one);
    assert_eq!(from_file(format!("[{cdr},\n {cdr}]")).expect(0).stdout, two);
    assert_eq!(
        from_file(format!("{cdr}\r\n\r\n{cdr}\r\n"))
            .expect(0)
            .stdout,
        two
    );
    assert_eq!(
        from_file(fixture("docs-leg-a.js.txt")).expect(0).records()[0],
        serde_json::from_str::<Value>(cdr).expect("JSON")
    );
    let entry = json!({"request": {"method": "POST", "url": "http://h/x", "headers": [], "postData": {"text": cdr}}});
    assert_eq!(
        from_file(json!({"log": {"entries": [entry]}}).to_string())
            .expect(0)
            .stdout,
        one
    );
}

#[test]
fn a_cut_off_last_line_is_skipped_with_a_warning() {
    let ended = from_file("{\"a\":1}\n{\"a\":2}\n{\"a\":").expect(0);
    insta::assert_snapshot!(ended.whole(), @r#"
    exit 0
    --- stdout
    {"a":1}
    {"a":2}
    --- stderr
    warning: standard input:1: an object without the fields of a CDR: sent as it is
    warning: standard input:2: an object without the fields of a CDR: sent as it is
    warning: standard input:3: the last line is cut off and was skipped
    "#);
}

#[test]
fn files_that_hold_nothing_to_send_are_refused_by_line() {
    let said: String = [
        "{\"a\":1}\n{\"a\":}\n{\"a\":3}\n",
        "{\"a\":1}\n[1]\n{}",
        "",
        "[]",
        "42",
        "{a: 1\n",
        "hello",
        "{\"log\":{}}",
    ]
    .map(|text| {
        let ended = from_file(text).expect(2);
        assert_eq!(ended.stdout, "");
        let first = ended.stderr.lines().next().unwrap_or_default().to_owned();
        format!("{text:?}\n  {first}\n")
    })
    .concat();
    insta::assert_snapshot!(said, @r#"
    "{\"a\":1}\n{\"a\":}\n{\"a\":3}\n"
      error: standard input:2: expected a value in column 6
    "{\"a\":1}\n[1]\n{}"
      error: standard input:2: expected an object, found array
    ""
      error: standard input: empty
    "[]"
      error: standard input: contains nothing to send
    "42"
      error: standard input: expected an object, found number
    "{a: 1\n"
      error: standard input:1: an object that is not closed
    "hello"
      error: standard input:1: expected a value in column 1
    "{\"log\":{}}"
      error: standard input: looks like a HAR, but missing field `entries` at line 1 column 9
    "#);
    let bytes = from_file(b"\xff\xff".as_slice()).expect(2);
    assert!(
        bytes
            .stderr
            .starts_with("error: standard input:1: not UTF-8 text: save the file as UTF-8\n"),
        "{}",
        bytes.stderr
    );
}

#[test]
fn values_that_cannot_be_read_are_edited_as_text_and_never_left_out_of_a_query() {
    for value in ["1e400", r#""\ud800""#] {
        let cdr = format!(r#"{{"leg":"a","big":{value},"log":1}}"#);
        let sent = |arguments: &[&str]| {
            let file = ["--dry-run", "--file", "-"];
            program(FIXED.iter().chain(&file).chain(arguments))
                .input(cdr.clone())
                .run()
        };
        let edited = sent(&["--set", "leg=b"]).expect(0).stdout;
        assert_eq!(edited, format!("{}\n", cdr.replace("\"a\"", "\"b\"")));
        let query = sent(&["--method", "get", "--print", "vegeta"]);
        if value == "1e400" {
            let by_get = query.expect(0).stdout;
            assert!(by_get.contains("?leg=a&big=1e400&log=1"), "{by_get}");
            continue;
        }
        let refused = "error: standard input: object 1: cannot be sent as a query: a string holds half of a \
            surrogate pair\n";
        let said = query.expect(2).stderr;
        assert!(said.starts_with(refused), "{said}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let ended = dry_run(&["--file", "no-such-file.json"]).expect(2);
    assert!(
        ended
            .stderr
            .starts_with("error: cannot read no-such-file.json\n  caused by: "),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("\n  hint: check the path"),
        "{}",
        ended.stderr
    );
}

#[test]
fn headers_are_added_from_words_and_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path: PathBuf = folder.path().join("headers");
    std::fs::write(&path, "X-Two: 2\r\n\nX-Three: 3\n").expect("written");
    let file = format!("@{}", path.display());
    let listener = listener(&["--count", "1", "--timeout", "20s"]);
    let arguments = ["--url", &listener.url, "--header", "X-One: 1", "-H", &file];
    program(FIXED.iter().chain(&arguments)).run().expect(0);
    let exchange = &listener.running.end().records_of("exchange")[0];
    let headers = exchange["request"]["headers"].as_array().expect("headers");
    let ours: Vec<String> = headers
        .iter()
        .filter(|header| {
            header[0]
                .as_str()
                .is_some_and(|name| name.to_lowercase().starts_with("x-"))
        })
        .map(|header| header[1].to_string())
        .collect();
    assert_eq!(ours.join(" "), r#""1" "2" "3""#);

    std::fs::write(&path, "X-Two: 2\nnonsense\n").expect("written");
    let ended = program([
        "send",
        "--url",
        &stub(answer("200 OK", "", "")),
        "-H",
        &file,
    ])
    .run()
    .expect(2);
    assert!(
        ended.stderr.contains("headers:2: expected 'Name: value'"),
        "{}",
        ended.stderr
    );
    let missing = program(["send", "--dry-run", "-H", "@no-such-file"])
        .run()
        .expect(2);
    assert!(
        missing.stderr.contains("cannot read no-such-file"),
        "{}",
        missing.stderr
    );
}

#[test]
fn fields_that_no_cdr_has_are_named() {
    let ended = program([
        "send",
        "--dry-run",
        "--set",
        "hangup_reson=sent_bye",
        "--unset",
        "foo",
    ])
    .run()
    .expect(0);
    insta::assert_snapshot!(ended.stderr, @"
    warning: --set hangup_reson: not a field of the documented CDR: did you mean hangup_reason?
    warning: --unset foo: not a field of the documented CDR
    ");
}
