//! Opens the files named by flags before a run, so that a file that cannot be written fails the start.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;

use crate::error::Error;
use crate::input::decode;
use crate::listen::capture;
use crate::net;

/// The input file of `--file` may have up to 64 MiB.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// The size limit in bytes of a ready file, which holds one URL. `listen` does not overwrite a larger file.
const MAX_READY_FILE: u64 = 300;

/// The path `-` is standard input.
pub fn name(path: &Path) -> String {
    if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().take(MAX_FILE + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
    };
    read.map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::Usage(format!("{}: larger than 64 MiB", name(path))));
    }
    Ok(bytes)
}

/// Reads a text file of any flag: UTF-8, or UTF-16 with or without a byte order mark.
pub fn read_text(path: &Path) -> Result<String, Error> {
    decode::to_text(&read(path)?).map_err(|(line, what)| in_line(path, line, &what))
}

pub fn in_line(path: &Path, line: usize, what: &str) -> Error {
    Error::Usage(format!("{}:{line}: {what}", name(path)))
}

pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    /// A DER certificate is a sequence, tag 0x30, whose length has two bytes, 0x82 (X.690, section 8.1.3).
    const DER: &[u8] = b"\x30\x82";
    let bytes = read(path)?;
    if bytes.starts_with(DER) {
        // A certificate begins with another sequence; a key store or a private key with a version number, tag 0x02.
        let (what, command) = match bytes.get(4) {
            Some(0x02) => ("a key store or private key", "pkcs12 -nokeys"),
            _ => ("a certificate", "x509 -inform der"),
        };
        let file = path.display();
        let what = format!(
            "{what} in DER form: openssl {command} -in {file} -out {file}.pem makes a PEM file"
        );
        return Err(in_line(path, 1, &what));
    }
    net::certificates(&read_text(path)?).map_err(|(line, what)| in_line(path, line, &what))
}

fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    |source| Error::Write { path, source }
}

pub fn create(path: &Path) -> Result<File, Error> {
    File::create(path).map_err(cannot_write(path))
}

/// The file of `--report` is not truncated until the report is written. A new file has mode 0600, because the report
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

pub fn write_report(path: &Path, mut file: File, text: &str) -> Result<(), Error> {
    let written = file.metadata().and_then(|metadata| {
        // Pipes and devices have no length, so that only regular files are truncated.
        if metadata.is_file() {
            file.set_len(0)?;
        }
        file.write_all(text.as_bytes())
    });
    written.map_err(cannot_write(path))
}

/// Two flags must not name one file, because the output of one flag would overwrite the file of the other.
pub fn distinct(files: &[(&str, &Option<PathBuf>)]) -> Result<(), Error> {
    let mut places: Vec<(PathBuf, &str)> = Vec::new();
    for (flag, path) in files {
        let Some(place) = path.as_deref().and_then(place) else {
            continue;
        };
        if let Some((_, other)) = places.iter().find(|(known, _)| *known == place) {
            let place = place.display();
            let what = "must name different files, but both name";
            return Err(Error::Usage(format!("{other} and {flag} {what} {place}")));
        }
        places.push((place, flag));
    }
    Ok(())
}

/// Returns a file's canonical path, by which the files of two flags are compared; of a file that does not exist yet,
/// the folder is canonicalised. Returns `None` for devices and pipes, which two flags may share.
fn place(path: &Path) -> Option<PathBuf> {
    let new = || {
        // The folder of a plain file name is the current folder.
        let folder = Path::new(".").join(path.parent()?).canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    };
    let place = path.canonicalize().ok().or_else(new);
    place.filter(|place| !place.exists() || place.is_file())
}

pub struct ReadyFile {
    path: PathBuf,
    file: File,
    /// The file to which the URL is written before it is renamed to the ready file. `None` for links, pipes and
    /// devices, which are written in place.
    draft: Option<PathBuf>,
}

impl ReadyFile {
    /// `ReadyFile::take` removes the ready file of an earlier run, and refuses to remove any other existing file.
    pub fn take(path: PathBuf) -> Result<Self, Error> {
        match open_ready(&path) {
            Ok((file, draft)) => Ok(Self { path, file, draft }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let what = "exists and is not a ready file: remove it, or choose another path";
                let path = path.display();
                Err(Error::Usage(format!("--ready-file {path} {what}")))
            }
            Err(source) => Err(Error::Write { path, source }),
        }
    }

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
            // Removing the draft fails if `ReadyFile::announce` has renamed the draft.
            let _ = fs::remove_file(draft);
        }
    }
}

fn open_ready(path: &Path) -> io::Result<(File, Option<PathBuf>)> {
    // A ready file that is a symbolic link, such as /dev/stdout, is written in place: the link and its target stay.
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
    // `create_new` does not follow a symbolic link that another program placed at the draft's path.
    let file = File::options().write(true).create_new(true).open(&draft);
    let in_the_way = || io::Error::other(format!("{} is in the way", draft.display()));
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => in_the_way(),
        _ => error,
    })?;
    Ok((file, Some(draft)))
}

fn is_ready_file(path: &Path) -> io::Result<bool> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(MAX_READY_FILE + 1);
    let read = file.read_to_string(&mut text);
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
            error.to_string().contains("exists and is not a ready file"),
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
