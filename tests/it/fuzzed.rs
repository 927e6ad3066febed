//! Runs the saved inputs of the fuzz targets in `fuzz/`.

use std::fs;
use std::path::Path;

use super::targets;

#[test]
fn every_kept_input_is_survived() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !root.exists() {
        // The published package does not contain the fuzz targets and their inputs.
        return;
    }
    for (name, target) in targets::TARGETS {
        assert!(
            root.join("fuzz_targets")
                .join(format!("{name}.rs"))
                .exists(),
            "{name} is not fuzzed"
        );
        let kept: Vec<_> = fs::read_dir(root.join("corpus").join(name))
            .expect("a corpus")
            .collect();
        assert!(
            (5..=80).contains(&kept.len()),
            "{name} has {} inputs",
            kept.len()
        );
        for input in kept {
            let path = input.expect("an entry").path();
            let bytes = fs::read(&path).expect("an input");
            let survived = std::panic::catch_unwind(|| target(&bytes));
            assert!(
                survived.is_ok(),
                "{name} does not survive {}",
                path.display()
            );
        }
    }
}
