//! The ready file: how a script that cannot read our streams learns that requests are taken, and where.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use crate::error::Error;

/// Removes what an earlier run has left, so that nobody takes its word for ours.
pub fn forget(path: &Path) -> Result<(), Error> {
    if !is_ours(path) {
        return Ok(());
    }
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Writes the URL, a line, so that whoever sees the file sees all of it: it is written beside its place and moved there.
pub fn announce(path: &Path, url: &str) -> Result<(), Error> {
    let write = || {
        let line = format!("{url}\n");
        if !is_ours(path) {
            return fs::File::options().write(true).open(path)?.write_all(line.as_bytes());
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        fs::write(&beside, line)?;
        fs::rename(&beside, path).inspect_err(|_| {
            // It is in nobody's way, and the first failure is the one to tell.
            let _ = fs::remove_file(&beside);
        })
    };
    write().map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// Whether the path is a plain file or nothing yet. A pipe or a device is somebody else's, and is only written to.
fn is_ours(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |metadata| metadata.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_an_earlier_run_goes_and_ours_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready");
        forget(&path).unwrap();
        fs::write(&path, "http://127.0.0.1:1\nold").unwrap();
        forget(&path).unwrap();
        assert!(!path.exists());
        announce(&path, "http://127.0.0.1:2").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "http://127.0.0.1:2\n");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("ready");
        forget(&path).unwrap();
        let error = announce(&path, "http://127.0.0.1:2").unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
        assert!(announce(folder.path(), "http://127.0.0.1:2").is_err());
    }
}
