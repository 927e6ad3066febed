//! Opens the files named by flags before a run, so that a file that cannot be written fails the start.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::listen::capture;

/// Largest size of an earlier run's ready file, which holds one URL.
const MAX_READY_FILE: u64 = 300;

fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    |source| Error::Write { path, source }
}

/// Creates the file of `--output` or `--junit`.
pub fn create(path: &Path) -> Result<File, Error> {
    File::create(path).map_err(cannot_write(path))
}

/// Opens the file of `--report`, whose content stays until the report is written. A new file has mode 0600: the report
/// names callers.
pub fn open_report(path: &Path) -> Result<File, Error> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let pipe = capture::open_pipe(path).map_err(cannot_write(path))?;
    let file = pipe.map_or_else(|| options.open(path), Ok);
    file.map_err(cannot_write(path))
}

/// Replaces the content of an open file.
pub fn write_report(path: &Path, mut file: File, text: &str) -> Result<(), Error> {
    let written = file.metadata().and_then(|metadata| {
        // A pipe or a device has no length.
        if metadata.is_file() {
            file.set_len(0)?;
        }
        file.write_all(text.as_bytes())
    });
    written.map_err(cannot_write(path))
}

/// Refuses one file for two flags: each would overwrite the other's data.
pub fn distinct(paths: &[&Path]) -> Result<(), Error> {
    let places: Vec<_> = paths.iter().map(|path| place(path)).collect();
    for (n, place) in places.iter().enumerate() {
        if place.is_some() && places[..n].contains(place) {
            return Err(Error::Usage(format!(
                "{} is named twice: of --save, --report and --ready-file each needs a file of its own",
                paths[n].display()
            )));
        }
    }
    Ok(())
}

/// The canonical path of a file; if the file does not exist, that of its folder plus its name. `None` for devices and
/// pipes, which may be named twice.
fn place(path: &Path) -> Option<PathBuf> {
    let new = || {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    };
    let place = path.canonicalize().ok().or_else(new);
    place.filter(|place| !place.exists() || place.is_file())
}

/// The file of `--ready-file` between the removal of an earlier run's file and `announce`.
pub struct ReadyFile {
    path: PathBuf,
    file: File,
    /// Temporary path, renamed by `announce`; `None` for links, pipes and devices, which are written in place.
    draft: Option<PathBuf>,
}

impl ReadyFile {
    /// Removes the ready file of an earlier run; any other existing file is an error.
    pub fn take(path: PathBuf) -> Result<Self, Error> {
        match open_ready(&path) {
            Ok((file, draft)) => Ok(Self { path, file, draft }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::Usage(format!(
                    "--ready-file {} is there already, and is no ready file: name another, or remove it",
                    path.display()
                )))
            }
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    /// Writes the URL as one line and renames the draft.
    pub fn announce(mut self, url: &str) -> Result<(), Error> {
        let written = self.file.write_all(format!("{url}\n").as_bytes());
        let moved = written.and_then(|()| match &self.draft {
            Some(draft) => fs::rename(draft, &self.path),
            None => Ok(()),
        });
        moved.map_err(cannot_write(&self.path))
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        if let Some(draft) = &self.draft {
            // Fails after `announce`, which has renamed the draft.
            let _ = fs::remove_file(draft);
        }
    }
}

fn open_ready(path: &Path) -> io::Result<(File, Option<PathBuf>)> {
    // Symbolic links are kept, and the targets of links like /dev/stdout are not replaced.
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
        return Ok((File::options().append(true).open(path)?, None));
    }
    if let Some(pipe) = capture::open_pipe(path)? {
        return Ok((pipe, None));
    }
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            return Ok((File::options().write(true).open(path)?, None));
        }
        Ok(_) if is_ready_file(path)? => fs::remove_file(path)?,
        Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => {}
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    // `create_new` does not follow a link that another program placed at this path.
    match File::options().write(true).create_new(true).open(&draft) {
        Ok(file) => Ok((file, Some(draft))),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(io::Error::other(
            format!("{} is in the way", draft.display()),
        )),
        Err(error) => Err(error),
    }
}

/// Whether a file is empty or holds one URL only.
fn is_ready_file(path: &Path) -> io::Result<bool> {
    let mut text = String::new();
    let read = File::open(path)?
        .take(MAX_READY_FILE + 1)
        .read_to_string(&mut text);
    let is_url = text.starts_with("http://") && text.trim_end().lines().count() == 1;
    Ok(read.is_ok() && text.len() as u64 <= MAX_READY_FILE && (text.is_empty() || is_url))
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
