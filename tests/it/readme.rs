//! Checks README.md and docs/: blocks run, outputs and tables match the program, links have targets.

use std::fs;
use std::path::{Path, PathBuf};

use telecmi_cdr::internals::{CATALOGUE, FIELDS};

use super::program::listener;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<(PathBuf, String)> {
    let mut paths = vec![
        PathBuf::from("README.md"),
        ".github/CONTRIBUTING.md".into(),
        ".github/SECURITY.md".into(),
    ];
    for entry in fs::read_dir(root().join("docs")).expect("a folder") {
        paths.push(Path::new("docs").join(entry.expect("an entry").file_name()));
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root().join(&path)).expect("a document");
        (path, text.replace("\r\n", "\n"))
    };
    paths.into_iter().map(read).collect()
}

struct Block {
    document: PathBuf,
    script: String,
    output: Option<String>,
    not_run: bool,
}

fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for (document, text) in documents() {
        let mut parts = text.split("```");
        let mut before = parts.next().expect("a beginning");
        while let Some(block) = parts.next() {
            let (language, content) = block.split_once('\n').expect("a line");
            match language {
                "sh" => blocks.push(Block {
                    document: document.clone(),
                    script: content.to_owned(),
                    output: None,
                    not_run: before.trim_end().ends_with("-->")
                        && before.contains("<!-- not run: "),
                }),
                "text" if before.trim().is_empty() => {
                    blocks.last_mut().expect("a block").output = Some(content.to_owned());
                }
                _ => {}
            }
            before = parts.next().expect("a block that ends");
        }
    }
    blocks
}

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

#[test]
fn the_readme_is_short_and_few_of_its_blocks_are_not_run() {
    let (_, readme) = &documents()[0];
    assert!(readme.len() <= 13_000, "{} bytes", readme.len());
    assert!(readme.matches("<!-- not run: ").count() <= 6);
    for Block { script, .. } in blocks() {
        for line in script.lines() {
            assert!(!line.starts_with("$ ") && !line.contains(" # "), "{line}");
        }
    }
}

#[test]
fn every_listen_command_is_understood() {
    let mut understood = 0;
    for Block { script, .. } in blocks() {
        for command in script.lines() {
            let words = words(command);
            if words[0] == "telecmi-cdr" {
                let upto = words
                    .iter()
                    .position(|word| ["|", ">", "&"].contains(&word.as_str()))
                    .unwrap_or(words.len());
                let parsed =
                    telecmi_cdr::internals::cli::parse(words[..upto].iter().map(Into::into));
                assert!(
                    parsed.is_ok(),
                    "{command}: {}",
                    parsed.expect_err("an error")
                );
                understood += 1;
            }
        }
    }
    assert!(understood >= 30, "only {understood} commands were found");
}

#[test]
fn the_field_table_is_the_schema() {
    let payload = fs::read_to_string(root().join("docs/payload.md")).expect("a document");
    for field in &FIELDS {
        let row = format!(
            "| `{}` | {} | {} | {} | {} |",
            field.name,
            field.field_type.name(),
            field.presence.words(),
            field.meaning,
            field.grade
        );
        assert!(payload.contains(&row), "docs/payload.md lacks\n{row}");
    }
}

#[test]
fn every_scenario_is_named() {
    let (_, readme) = &documents()[0];
    for scenario in &CATALOGUE {
        assert!(
            readme.contains(&format!("`{}`", scenario.name)),
            "the README lacks {}",
            scenario.name
        );
    }
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let anchor = |heading: &str| {
        let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
        let kept: String = heading.to_lowercase().chars().filter(kept).collect();
        kept.replace(' ', "-")
    };
    let mut checked = 0;
    for (path, text) in documents() {
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap_or_default();
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => root().join(&path),
                file => root().join(&path).parent().expect("a folder").join(file),
            };
            assert!(target.exists(), "{}: {link}", path.display());
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).expect("a document");
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|line| anchor(line.trim_start_matches('#').trim()) == heading),
                    "{}: {link}",
                    path.display()
                );
            }
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} links were found");
}

#[cfg(unix)]
mod shells {
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::process::{Command, Output, Stdio};
    use std::thread;

    use super::super::peers::{answer, read_request};
    use super::{Block, blocks, fs, listener, root};

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new(make_a_call: &str) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let script = folder.path().join("make-a-call");
            fs::write(&script, format!("#!/bin/sh\n{make_a_call}\n")).expect("written");
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("executable");
            let program = super::super::program::binary();
            symlink(program, folder.path().join("telecmi-cdr")).expect("a link");
            symlink(root().join("fixtures"), folder.path().join("fixtures")).expect("a link");
            Self { folder }
        }

        fn run(&self, shell: &[&str], script: &str) -> Output {
            let path = format!("{}:{}", self.folder.path().display(), env!("PATH"));
            let mut child = Command::new(shell[0])
                .args(&shell[1..])
                .current_dir(&self.folder)
                .env_clear()
                .env("PATH", path)
                // `TELECMI_CDR_TIMEOUT` ends the listeners of blocks that would otherwise run until Ctrl-C.
                .env("TELECMI_CDR_TIMEOUT", "3s")
                .env("TELECMI_CDR_PORT", "0")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("a shell");
            let mut stdin = child.stdin.take().expect("standard input");
            stdin.write_all(script.as_bytes()).expect("a reader");
            drop(stdin);
            child.wait_with_output().expect("an end")
        }
    }

    fn failing_handler() -> String {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", socket.local_addr().expect("an address"));
        thread::spawn(move || {
            for mut stream in socket.incoming().flatten() {
                let request = read_request(&mut stream);
                let fails = String::from_utf8_lossy(&request).contains(r#""custom":"none""#);
                let reply = if fails {
                    answer("500 Internal Server Error", "", "")
                } else {
                    answer("200 OK", "", "got it")
                };
                let _ = stream.write_all(reply.as_bytes());
            }
        });
        url
    }

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
        out.replace("0.0", "0")
            .replace("µs", "ms")
            .replace("0 s", "0 ms")
    }

    fn run_in(shell: &[&str], block: &Block, handler: &str) {
        let output = block.output.as_deref().unwrap_or_default();
        let fails = output.contains('✗');
        let handler = if fails { &failing_handler() } else { handler };
        let script = block
            .script
            .replace("http://localhost:5000", handler)
            .replace("http://127.0.0.1:8237", handler)
            .replace("--port 8237", "--port 0");
        let place = Place::new("telecmi-cdr send --url \"$1\"");
        let ended = place.run(shell, &format!("{script}exit $?\n"));
        let stdout =
            String::from_utf8_lossy(&ended.stdout).replace(handler, "http://localhost:5000");
        let stderr = String::from_utf8_lossy(&ended.stderr);
        let document = block.document.display();
        let whole = format!("{document}: {shell:?}\n{script}\n{stdout}\n{stderr}");
        assert_eq!(ended.status.code(), Some(i32::from(fails)), "{whole}");
        for complaint in ["not found", "no matches", "parse error", "error:"] {
            assert!(!stderr.contains(complaint), "{whole}");
        }
        if !output.is_empty() {
            assert!(
                without_numbers(&stdout).contains(&without_numbers(output)),
                "{whole}"
            );
        }
    }

    /// The blocks are run in zsh too, if zsh is installed.
    #[test]
    fn every_block_runs_in_bash_and_zsh_and_prints_what_is_shown() {
        let handler = listener(&["--timeout", "2m"]);
        let has_zsh = Command::new("zsh").arg("--version").output().is_ok();
        let blocks: Vec<_> = blocks()
            .into_iter()
            .filter(|block| !block.not_run)
            .collect();
        assert!(blocks.len() >= 15, "only {} blocks", blocks.len());
        thread::scope(|scope| {
            for block in &blocks {
                scope.spawn(|| run_in(&["bash", "-e"], block, &handler.url));
                if has_zsh {
                    scope.spawn(|| run_in(&["zsh", "-f", "-i"], block, &handler.url));
                }
            }
        });
    }

    #[test]
    fn the_script_for_ci_fails_exactly_when_a_cdr_does_not_come_or_comes_wrong_or_twice() {
        let blocks = blocks();
        let script = blocks
            .iter()
            .find(|block| block.script.contains("--ready-file"))
            .map(|block| block.script.clone())
            .expect("a script");
        assert_eq!(script.lines().count(), 6, "{script}");
        let quick = script
            .replace("30s", "1s")
            .replace("--settle 1s", "--settle 100ms");
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
            let place = Place::new(&format!("{call} --seed 7 >/dev/null 2>&1"));
            let ended = place.run(&["sh", "-e"], &quick);
            assert_eq!(
                ended.status.code(),
                code,
                "{call}\n{}{}",
                String::from_utf8_lossy(&ended.stdout),
                String::from_utf8_lossy(&ended.stderr)
            );
        }
        let place = Place::new("true");
        let cannot_start = quick.replace("--port 0", "--port 0 --host 192.0.2.1");
        let ended = place.run(&["sh", "-e"], &cannot_start);
        assert_ne!(ended.status.code(), Some(0));
    }
}
