//! Checks the dependencies: licences, duplicate versions, unwanted crates. The workflow in `.github/` checks for known
//! vulnerabilities, which change from day to day.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Crates that are locked in two versions, with the crate that needs the older one.
const TWICE: [(&str, &str); 5] = [
    ("base64", "headers, of warp"),
    ("cpufeatures", "sha1, of headers"),
    ("getrandom", "ring"),
    ("syn", "macros at build time"),
    ("windows-sys", "ring"),
];

/// Crates that appear only if a wrong feature is enabled, with that feature.
const UNWANTED: [(&str, &str); 7] = [
    (
        "aws-lc-sys",
        "rustls must have ring alone: the other provider is a large C build",
    ),
    ("openssl-sys", "TLS is rustls"),
    ("native-tls", "TLS is rustls"),
    ("rand_chacha", "rand has ChaCha8 itself"),
    ("h2", "webhooks are HTTP/1"),
    ("chrono", "time is jiff's"),
    (
        "tracing-subscriber",
        "a span for each request costs half the rate",
    ),
];

/// Licences under which a crate may be shipped in an MIT program, if its licence text is shipped too.
const LICENCES: [&str; 10] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

fn locked() -> BTreeMap<String, Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let lock = std::fs::read_to_string(path).expect("a lockfile");
    let mut locked: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let line = package
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .expect("a line");
            line.trim_matches([' ', '=', '"', '\r']).to_owned()
        };
        locked
            .entry(value("name"))
            .or_default()
            .push(value("version"));
    }
    locked
}

#[test]
fn every_crate_is_there_once_but_for_named_exceptions() {
    let locked = locked();
    let twice: BTreeSet<&str> = locked
        .iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, _)| name.as_str())
        .collect();
    let known: BTreeSet<&str> = TWICE.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        twice, known,
        "more than one version, and those that are known"
    );
    let thrice: Vec<_> = locked
        .iter()
        .filter(|(_, versions)| versions.len() > 2)
        .collect();
    assert!(thrice.is_empty(), "{thrice:?}");
}

#[test]
fn nothing_unwanted_has_come_in() {
    let locked = locked();
    for (name, why) in UNWANTED {
        assert!(!locked.contains_key(name), "{name}: {why}");
    }
}

/// Returns whether an SPDX expression can be satisfied by `LICENCES`: `OR` is a choice, `AND` is not.
fn is_kept(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain
        .split(" AND ")
        .all(|all| all.split(" OR ").any(|one| LICENCES.contains(&one.trim())))
}

#[test]
fn every_licence_can_be_kept() {
    assert!(is_kept("(MIT OR GPL-2.0-only) AND Unicode-3.0") && is_kept("Unlicense/MIT"));
    assert!(!is_kept("GPL-3.0-only") && !is_kept("MIT AND GPL-2.0-only"));

    let version = Command::new("rustc")
        .arg("-vV")
        .output()
        .expect("rustc runs");
    let version = String::from_utf8(version.stdout).expect("text");
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("a host");
    let metadata = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--offline",
            "--filter-platform",
            host,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        metadata.status.success(),
        "{}",
        String::from_utf8_lossy(&metadata.stderr)
    );
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 100, "only {} packages", packages.len());
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(
            is_kept(licence),
            "{} has the licence {licence}",
            package["name"]
        );
    }
}
