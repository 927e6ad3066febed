//! The README keeps its word: its commands run, its output is the program's, its table is the schema's.

use std::fs;
use std::path::Path;

use telecmi_cdr::cdr::scenarios::CATALOGUE;
use telecmi_cdr::cdr::schema::FIELDS;

use super::program::{listener, program};

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    fs::read_to_string(path)
        .expect("a README")
        .replace("\r\n", "\n")
}

/// A command of a `console` block, and the output shown below it.
struct Shown {
    command: String,
    output: String,
}

fn shown(readme: &str) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        let mut in_this_block = false;
        for line in block.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => {
                    let command = command
                        .split("  #")
                        .next()
                        .unwrap_or_default()
                        .trim()
                        .to_owned();
                    all.push(Shown {
                        command,
                        output: String::new(),
                    });
                    in_this_block = true;
                }
                None if in_this_block => {
                    let last = all.last_mut().expect("a command");
                    last.output.push_str(line);
                    last.output.push('\n');
                }
                None => panic!("output without a command: {line}"),
            }
        }
    }
    all
}

/// The words of a command as a shell would split them, as far as the README needs it.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Text whose numbers and units of time do not matter, nor the width of the columns they stand in.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for line in text.trim_end().lines() {
        let mut digits = false;
        for c in line.trim_end().chars() {
            let repeats = if c.is_ascii_digit() {
                digits
            } else {
                c == ' ' && out.ends_with(' ')
            };
            if !repeats {
                out.push(if c.is_ascii_digit() { '0' } else { c });
            }
            digits = c.is_ascii_digit();
        }
        out.push('\n');
    }
    out.replace("0.0", "0").replace("µs", "ms")
}

#[test]
fn every_send_command_runs_and_prints_what_is_shown() {
    let readme = readme();
    let handler = listener(&["--timeout", "2m"]);
    let mut run = 0;
    for Shown { command, output } in shown(&readme) {
        let words = words(&command);
        if words[..2] != ["telecmi-cdr", "send"]
            || words.iter().any(|word| word == "|" || word == "<")
        {
            continue;
        }
        let own = words[1..].iter().map(|word| {
            word.replace("http://localhost:5000", &handler.url)
                .replace("http://127.0.0.1:8237", &handler.url)
        });
        let ended = program(own.collect::<Vec<_>>()).run();
        assert_eq!(ended.code, Some(0), "{command}\n{}", ended.whole());
        if !output.is_empty() {
            assert_eq!(
                without_numbers(&ended.stdout),
                without_numbers(&output),
                "{command}"
            );
        }
        run += 1;
    }
    assert!(run >= 10, "only {run} commands were found");
}

#[test]
fn every_listen_command_is_understood() {
    let mut understood = 0;
    for Shown { command, .. } in shown(&readme()) {
        let words = words(&command);
        if words[..2] == ["telecmi-cdr", "listen"] {
            let upto = words
                .iter()
                .position(|word| ["|", ">", "&"].contains(&word.as_str()))
                .unwrap_or(words.len());
            let parsed = telecmi_cdr::cli::parse(words[..upto].iter().map(Into::into));
            assert!(
                parsed.is_ok(),
                "{command}: {}",
                parsed.expect_err("an error")
            );
            understood += 1;
        }
    }
    assert!(understood >= 3, "only {understood} commands were found");
}

#[test]
fn the_field_table_is_the_schema() {
    let readme = readme();
    for field in &FIELDS {
        let row = format!(
            "| `{}` | {} | {} | {} | {} |",
            field.name,
            field.field_type.name(),
            field.presence.words(),
            field.meaning,
            field.grade
        );
        assert!(readme.contains(&row), "the README lacks\n{row}");
    }
}

#[test]
fn every_scenario_is_named() {
    let readme = readme();
    for story in &CATALOGUE {
        assert!(
            readme.contains(&format!("`{}`", story.name)),
            "the README lacks {}",
            story.name
        );
    }
}

/// The script for CI runs in a folder of its own, with another command in the place of the one that makes a call.
#[cfg(unix)]
#[test]
fn the_script_for_ci_fails_exactly_when_a_cdr_does_not_come_or_comes_wrong_or_twice() {
    use std::os::unix::fs::PermissionsExt as _;

    let readme = readme();
    let script = readme
        .split("```sh\n")
        .find(|block| block.contains("--ready-file"))
        .expect("a script");
    let script = script.split("```").next().unwrap_or_default();
    assert_eq!(script.lines().count(), 6, "{script}");
    for (call, code) in [
        ("telecmi-cdr send --url \"$1\"", Some(0)),
        ("telecmi-cdr send --url \"$1\" --method get", Some(0)),
        ("true", Some(124)),
        ("telecmi-cdr send --url \"$1\" --set leg=b", Some(124)),
        (
            "telecmi-cdr send --url \"$1\" --unset status || true",
            Some(1),
        ),
        ("telecmi-cdr send --url \"$1\" --duplicate 1", Some(1)),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("make-a-call");
        std::fs::write(
            &place,
            format!("#!/bin/sh\n{call} --seed 7 >/dev/null 2>&1\n"),
        )
        .expect("written");
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755))
            .expect("executable");
        std::os::unix::fs::symlink(super::program::binary(), folder.path().join("telecmi-cdr"))
            .expect("a link");
        let path = format!("{}:{}", folder.path().display(), env!("PATH"));
        // Waiting is waiting: it need not be long here.
        let quick = script
            .replace("30s", "1s")
            .replace("--settle 1s", "--settle 100ms");
        let ended = std::process::Command::new("sh")
            .args(["-e", "-c", &quick])
            .current_dir(&folder)
            .env_clear()
            .env("PATH", path)
            .output()
            .expect("a shell");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(
            ended.status.code(),
            code,
            "{call}\n{}{said}",
            String::from_utf8_lossy(&ended.stdout)
        );
    }
}
