//! Checks the layers of `lib.rs` by the imports in the sources, and that the inspector uses no file.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the bottom up. A module may import from the layers below its own.
const LAYERS: [&[&str]; 11] = [
    &["clock", "seed", "error", "untrusted", "json", "process"],
    &["ndjson", "parse"],
    &["cdr", "net"],
    &["exchange"],
    &["reply"],
    &["input"],
    &["send", "listen"],
    &["suite"],
    &["output"],
    &["cli"],
    &["app"],
];

struct Source {
    path: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(source(&path));
            }
        }
    }
    assert!(found.len() > 40, "the sources were not found");
    found
}

fn source(path: &Path) -> Source {
    let text = fs::read_to_string(path)
        .expect("a text")
        .replace("\r\n", "\n");
    let path = path
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .expect("below src");
    let path = path.to_string_lossy().replace('\\', "/");
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let is_tests = path.ends_with("tests.rs");
    Source {
        text: if is_tests {
            String::new()
        } else {
            code.to_owned()
        },
        path,
    }
}

fn code(source: &Source) -> String {
    source
        .text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn module(path: &str) -> &str {
    path.split('/')
        .next()
        .unwrap_or_default()
        .trim_end_matches(".rs")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// Returns the modules in paths such as `crate::net::…` and `crate::{listen, send}`.
fn imported(text: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for rest in text.split("crate::").skip(1) {
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default(),
            None => rest
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default(),
        };
        modules.extend(names.split(',').map(|name| {
            name.trim()
                .split("::")
                .next()
                .unwrap_or_default()
                .to_owned()
        }));
    }
    modules.retain(|module| layer(module).is_some());
    modules
}

#[test]
fn every_module_has_a_layer() {
    for source in sources() {
        let module = module(&source.path);
        assert!(
            matches!(module, "main" | "lib") || layer(module).is_some(),
            "{} is in no layer",
            source.path
        );
    }
}

#[test]
fn imports_go_down_only() {
    for source in sources() {
        let from = module(&source.path);
        let Some(from_layer) = layer(from) else {
            continue;
        };
        for to in imported(&code(&source)).iter().filter(|to| *to != from) {
            let to_layer = layer(to).expect("a module");
            assert!(
                to_layer < from_layer,
                "{} imports from {to}, which is not below it",
                source.path
            );
        }
    }
}

#[test]
fn no_question_to_the_page_touches_the_disk() {
    let is_behind_it = |source: &&Source| {
        ["listen/inspector", "listen/history"]
            .iter()
            .any(|beginning| source.path.starts_with(beginning))
    };
    let all = sources();
    let behind_it: Vec<_> = all.iter().filter(is_behind_it).collect();
    assert!(behind_it.len() >= 4, "the page was not found");
    for source in behind_it {
        let code = code(source);
        for word in ["fs::", "File", "Path", "open("] {
            assert!(!code.contains(word), "{} names {word}", source.path);
        }
    }
}
