//! Tests of `--generate`. Completions are loaded by those shells that are installed.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::program::{fixture, program};

const ALL: [(&str, &str); 8] = [
    ("bash", "complete -F"),
    ("zsh", "#compdef telecmi-cdr"),
    ("fish", "complete -c telecmi-cdr"),
    ("powershell", "Register-ArgumentCompleter"),
    ("elvish", "edit:completion:arg-completer[telecmi-cdr]"),
    ("man", ".TH TELECMI-CDR 1"),
    (
        "json-schema",
        "https://json-schema.org/draft/2020-12/schema",
    ),
    ("openapi", "\"openapi\": \"3.1.0\""),
];

#[track_caller]
fn generated(what: &str) -> String {
    let ended = program(["--generate", what]).run().expect(0);
    assert_eq!(ended.stderr, "");
    ended.stdout
}

#[track_caller]
fn document(what: &str) -> Value {
    serde_json::from_str(&generated(what)).expect("JSON")
}

#[test]
fn everything_that_is_offered_is_printed() {
    for (what, words) in ALL {
        let text = generated(what);
        assert!(
            text.contains(words) && text.ends_with('\n'),
            "{what}: {text}"
        );
    }
}

#[test]
fn other_words_are_told_what_there_is() {
    let ended = program(["--generate", "csh"]).run().expect(2);
    let (_, listed) = ended
        .stderr
        .split_once("[possible values: ")
        .expect("a list");
    let names = ALL.map(|(name, _)| name).join(", ");
    assert!(listed.starts_with(&format!("{names}]")), "{}", ended.stderr);
    let both = program(["--generate", "bash", "send"]).run().expect(2);
    assert!(
        both.stderr.contains("cannot be used with"),
        "{}",
        both.stderr
    );
}

/// `--generate` has no environment variable, because a set variable would replace every run.
#[test]
fn it_is_asked_for_on_the_command_line_alone() {
    let ended = program(["send", "--print", "json"])
        .env("TELECMI_CDR_GENERATE", "bash")
        .run()
        .expect(0);
    assert!(ended.stdout.starts_with('{'), "{}", ended.stdout);
    let with = program(["--generate", "man"])
        .env("TELECMI_CDR_HEADER", "X-Api-Key: hush")
        .run()
        .expect(0);
    assert_eq!(with.stdout, generated("man"));
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn in_shell(what: &str, command: &[&str], line: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("generated");
    std::fs::write(&file, generated(what)).expect("written");
    let line = line.replace("$file", file.to_str().expect("a plain path"));
    let run = Command::new(command[0])
        .args(&command[1..])
        .arg(line)
        .env("HOME", folder.path())
        .output();
    let Ok(output) = run else {
        eprintln!("there is no {} here: skipped", command[0]);
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{what}: {}\n{said}",
        output.status
    );
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

const CHOICES: [&str; 6] = ["curl", "har", "http", "json", "vegeta", "verdict"];

#[track_caller]
fn assert_choices(shell: &str, printed: Option<String>) {
    let Some(printed) = printed else { return };
    let mut offered: Vec<&str> = printed.split_whitespace().collect();
    offered.sort_unstable();
    assert_eq!(offered, CHOICES, "{shell}");
}

#[cfg(unix)]
#[test]
fn bash_completes() {
    let line = "source '$file'; COMP_WORDS=(telecmi-cdr send --print ''); COMP_CWORD=3; \
                read -r _ _ function _ < <(complete -p telecmi-cdr | grep -o -- '-F .*' | sed 's/^/x /'); \
                \"$function\" telecmi-cdr '' --print; echo \"${COMPREPLY[@]}\"";
    assert_choices(
        "bash",
        in_shell("bash", &["bash", "--norc", "--noprofile", "-c"], line),
    );
}

#[cfg(unix)]
#[test]
fn zsh_completes() {
    // zsh completes only in its line editor, so the script is loaded and the completion function is searched for the
    // choices.
    let line = "autoload -U compinit && compinit -D -u && source '$file' && \
                whence -w $_comps[telecmi-cdr] && functions _telecmi-cdr | grep -A 5 -e '--print='";
    let Some(printed) = in_shell("zsh", &["zsh", "-f", "-c"], line) else {
        return;
    };
    assert!(printed.starts_with("_telecmi-cdr: function\n"), "{printed}");
    for choice in CHOICES {
        assert!(printed.contains(choice), "{printed}");
    }
}

#[cfg(unix)]
#[test]
fn fish_completes() {
    let line =
        "source '$file'; complete -C 'telecmi-cdr send --print ' | string replace -r '\\t.*' ''";
    assert_choices(
        "fish",
        in_shell("fish", &["fish", "--no-config", "-c"], line),
    );
}

#[test]
fn powershell_completes() {
    let line = "Get-Content -Raw '$file' | Invoke-Expression; \
                (TabExpansion2 'telecmi-cdr send --pr' 21).CompletionMatches.CompletionText";
    let Some(printed) = in_shell("powershell", &["pwsh", "-NoProfile", "-Command"], line) else {
        return;
    };
    assert!(
        printed.lines().any(|line| line.trim() == "--print"),
        "{printed}"
    );
}

#[cfg(unix)]
#[test]
fn elvish_completes() {
    // elvish has its editor only at a terminal, so a stand-in takes the completer from the script.
    let line = "var edit: = (ns [&complex-candidate~={|text &display=''| put $text } \
                &completion:=(ns [&arg-completer=[&]])])\neval (slurp < '$file') &ns=(ns [&edit:=$edit:])\n\
                $edit:completion:arg-completer[telecmi-cdr] telecmi-cdr send --pr | to-lines";
    let Some(printed) = in_shell("elvish", &["elvish", "-norc", "-c"], line) else {
        return;
    };
    assert!(printed.lines().any(|line| line == "--print"), "{printed}");
}

#[cfg(unix)]
#[test]
fn the_manual_page_is_one() {
    let lint = "mandoc -T lint -W warning '$file' | grep -v 'missing date' || true; mandoc -T ascii '$file' | col -b";
    if Command::new("mandoc").arg("-h").output().is_ok() {
        let printed = in_shell("man", &["sh", "-c"], lint).expect("a shell");
        assert!(!printed.contains("mandoc:"), "{printed}");
        for words in [
            "TELECMI-CDR(1)",
            "SEND",
            "LISTEN",
            "--print",
            "--forward-to",
            "ENVIRONMENT",
        ] {
            assert!(printed.contains(words), "{words}: {printed}");
        }
    }
    let page = generated("man");
    for words in [
        ".SH SEND",
        ".SH LISTEN",
        r"\-\-forward\-to",
        "TELECMI_CDR_PORT",
    ] {
        assert!(page.contains(words), "the page lacks {words}");
    }
}

/// Validates a payload by the few keywords of JSON Schema that the document uses; `tests/acceptance/formats/` uses a
/// complete validator.
fn fits(payload: &Value, definition: &Value) -> bool {
    let has = |name: &Value| payload.get(name.as_str().expect("a name")).is_some();
    let is = |value: &Value, kind: &Value| match kind.as_str().expect("a type") {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        other => panic!("a type that nobody expects: {other}"),
    };
    let one_of = |value: &Value, allowed: Option<&Value>| {
        allowed.is_none_or(|allowed| {
            allowed
                .as_array()
                .is_some_and(|allowed| allowed.contains(value))
        })
    };
    definition["required"]
        .as_array()
        .expect("names")
        .iter()
        .all(has)
        && definition["properties"]
            .as_object()
            .expect("properties")
            .iter()
            .all(|(name, property)| {
                payload.get(name).is_none_or(|value| {
                    let typed = match &property["type"] {
                        Value::Array(kinds) => kinds.iter().any(|kind| is(value, kind)),
                        kind => is(value, kind),
                    };
                    let constant = property
                        .get("const")
                        .is_none_or(|constant| constant == value);
                    typed && constant && one_of(value, property.get("enum"))
                })
            })
}

fn fitting(payload: &Value) -> Vec<String> {
    let schema = document("json-schema");
    let definitions = schema["$defs"].as_object().expect("definitions").clone();
    definitions
        .into_iter()
        .filter(|(_, one)| fits(payload, one))
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn every_payload_fits_one_definition_of_the_schema() {
    let mut files = vec![
        "docs-leg-a.json",
        "docs-leg-b.json",
        "answered-leg-a.json",
        "legacy.json",
    ];
    let live = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/live");
    let names: Vec<_> = std::fs::read_dir(live)
        .expect("a folder")
        .map(|entry| {
            format!(
                "live/{}",
                entry.expect("an entry").file_name().to_string_lossy()
            )
        })
        .collect();
    files.extend(names.iter().map(String::as_str));
    for name in files {
        let payload: Value = serde_json::from_slice(&fixture(name)).expect("JSON");
        let expected = match name {
            "answered-leg-a.json" => "OutgoingAnswered",
            "legacy.json" => "LegacyMissed",
            _ => "OutgoingMissed",
        };
        assert_eq!(fitting(&payload), [expected], "{name}");
    }
    for name in [
        "broken/missing-fields.json",
        "broken/live-event.json",
        "broken/rest-record.json",
    ] {
        let payload: Value = serde_json::from_slice(&fixture(name)).expect("JSON");
        assert!(fitting(&payload).is_empty(), "{name}");
    }
}

#[test]
fn everything_that_is_sent_fits_the_schema() {
    for shape in ["docs", "live"] {
        let sent = program(["send", "--print", "json", "-s", "all", "--shape", shape])
            .run()
            .expect(0);
        for payload in sent.records() {
            assert_eq!(fitting(&payload).len(), 1, "{payload}");
        }
    }
}

#[test]
fn the_samples_of_the_openapi_document_are_the_documented_ones() {
    let document = document("openapi");
    let post = &document["webhooks"]["outgoingCdr"]["post"];
    let examples = &post["requestBody"]["content"]["application/json"]["examples"];
    for (leg, name) in [("legA", "docs-leg-a.json"), ("legB", "docs-leg-b.json")] {
        let sample: Value = serde_json::from_slice(&fixture(name)).expect("JSON");
        assert_eq!(examples[leg]["value"], sample);
    }
    assert_eq!(
        document["info"]["version"],
        json!(env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn the_openapi_document_of_a_handler_has_its_url() {
    let url = "http://localhost:5000/cdr?token=t";
    let ended = program(["--generate", "openapi", "--url", url])
        .run()
        .expect(0);
    let document: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(
        document["servers"],
        json!([{"url": "http://localhost:5000"}])
    );
    let get = &document["paths"]["/cdr"]["get"];
    assert_eq!(get["parameters"][0]["name"], "token");
    assert_eq!(document["webhooks"], Value::Null);
    let other = program(["--generate", "man", "--url", url]).run().expect(2);
    assert!(
        other.stderr.contains("--generate openapi only"),
        "{}",
        other.stderr
    );
    let alone = program(["--url", url]).run().expect(2);
    assert!(
        alone.stderr.contains("telecmi-cdr send --url"),
        "{}",
        alone.stderr
    );
}
