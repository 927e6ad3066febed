//! The ready file: how a script that cannot read our streams learns that requests are taken, and where.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::listen::capture;

/// The longest ready file: it holds one URL.
const LONGEST: u64 = 300;

/// A place for the word that we are ready: what an earlier run has left there is gone, and ours is not there yet.
pub struct ReadyFile {
    path: PathBuf,
    draft: Draft,
}

/// Where the word is written.
enum Draft {
    /// A file beside the path, renamed to it when complete.
    Beside(PathBuf, File),
    /// In its place, which is a pipe or a device.
    There(File),
}

impl ReadyFile {
    /// Takes the place. A file that does not look like a ready file is not removed.
    pub fn take(path: PathBuf) -> Result<Self, Error> {
        match draft(&path) {
            Ok(draft) => Ok(Self { path, draft }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::Usage(format!(
                    "--ready-file {} is there already, and is no ready file: name another, or remove it",
                    path.display()
                )))
            }
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    /// Writes the URL, a line.
    pub fn announce(mut self, url: &str) -> Result<(), Error> {
        let line = format!("{url}\n");
        let written = match &mut self.draft {
            Draft::Beside(beside, file) => file
                .write_all(line.as_bytes())
                .and_then(|()| fs::rename(beside, &self.path)),
            Draft::There(file) => file.write_all(line.as_bytes()),
        };
        written.map_err(|source| Error::Write {
            path: self.path.clone(),
            source,
        })
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        if let Draft::Beside(beside, _) = &self.draft {
            // Once it was announced there is nothing here any more.
            let _ = fs::remove_file(beside);
        }
    }
}

fn draft(path: &Path) -> io::Result<Draft> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
        // A link stays what it is, and so does what the system's own ones, like /dev/stdout, lead to.
        return File::options().append(true).open(path).map(Draft::There);
    }
    if let Some(pipe) = capture::open_pipe(path)? {
        return Ok(Draft::There(pipe));
    }
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            return File::options().write(true).open(path).map(Draft::There);
        }
        Ok(_) if is_left_over(path)? => fs::remove_file(path)?,
        Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => {}
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    // What another program has put there, a link perhaps, is not followed.
    let file = File::options()
        .write(true)
        .create_new(true)
        .open(&beside)
        .map_err(|error| {
            let taken = || format!("{} is in the way", beside.display());
            if error.kind() == io::ErrorKind::AlreadyExists {
                io::Error::other(taken())
            } else {
                error
            }
        })?;
    Ok(Draft::Beside(beside, file))
}

/// Whether a file is what an earlier run has left: a URL and nothing else, or nothing.
fn is_left_over(path: &Path) -> io::Result<bool> {
    let mut text = String::new();
    let read = File::open(path)?
        .take(LONGEST + 1)
        .read_to_string(&mut text);
    let is_url = text.starts_with("http://") && text.trim_end().lines().count() == 1;
    Ok(read.is_ok() && text.len() as u64 <= LONGEST && (text.is_empty() || is_url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_an_earlier_run_goes_and_ours_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready");
        for before in [None, Some(""), Some("http://127.0.0.1:1\n")] {
            if let Some(text) = before {
                fs::write(&path, text).unwrap();
            }
            let ready = ReadyFile::take(path.clone()).unwrap();
            assert!(!path.exists());
            ready.announce("http://127.0.0.1:2").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "http://127.0.0.1:2\n");
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        }
        fs::remove_file(&path).unwrap();
        drop(ReadyFile::take(path).unwrap());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn what_is_somebody_elses_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.ndjson");
        fs::write(&path, "{\"type\":\"exchange\"}\n").unwrap();
        let Err(error) = ReadyFile::take(path.clone()) else {
            panic!("taken")
        };
        assert!(
            error
                .to_string()
                .contains("is there already, and is no ready file"),
            "{error}"
        );
        assert!(path.exists());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let Err(error) = ReadyFile::take(folder.path().join("missing").join("ready")) else {
            panic!("taken")
        };
        assert!(error.to_string().starts_with("cannot write "), "{error}");
        assert!(ReadyFile::take(folder.path().to_owned()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("link"), folder.path().join("target"));
        fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        ReadyFile::take(link.clone())
            .unwrap()
            .announce("http://127.0.0.1:2")
            .unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "http://127.0.0.1:2\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let beside = folder.path().join(format!("ready.{}", std::process::id()));
        std::os::unix::fs::symlink(&victim, &beside).unwrap();
        assert!(ReadyFile::take(folder.path().join("ready")).is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
}
