//! The file for a listener's report: opened before anything is received, written when all is over.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use crate::error::Error;
use crate::listen::capture;

/// A file that can be written. What is in it stays until there is something new.
pub struct ReportFile {
    path: PathBuf,
    file: File,
}

impl ReportFile {
    /// Opens the file; a new one may be read by its owner alone, since a report names what came from whom.
    pub fn open(path: PathBuf) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let opened =
            capture::open_pipe(&path).and_then(|pipe| pipe.map_or_else(|| options.open(&path), Ok));
        match opened {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    /// Writes the report in the place of what was there.
    pub fn write(self, text: &str) -> Result<(), Error> {
        let Self { path, mut file } = self;
        let written = file.metadata().and_then(|about| {
            if about.is_file() {
                // A pipe or a device has no length.
                file.set_len(0)?;
            }
            file.write_all(text.as_bytes())
        });
        written.map_err(|source| Error::Write { path, source })
    }
}
