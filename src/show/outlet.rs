//! Where text leaves the program: standard output and standard error, as checked writers.
//!
//! A reader that has gone away (`| head`) is a quiet success, any other trouble with standard output is reported once.
//! Nothing here panics, whatever the descriptors are.

use std::io::{self, Write};
use std::sync::Arc;

use tokio::sync::watch;

/// What became of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It takes text.
    Open,
    /// Its reader has gone away.
    Closed,
    /// It failed, and this is what the system said.
    Failed(String),
}

/// A stream that remembers what became of it, and tells those who wait for that.
#[derive(Debug)]
pub struct Outlet<W> {
    writer: W,
    fate: Arc<watch::Sender<Fate>>,
}

impl<W: Write> Outlet<W> {
    /// An outlet over a writer.
    pub fn new(writer: W) -> Self {
        Self {
            writer,
            fate: Arc::new(watch::Sender::new(Fate::Open)),
        }
    }

    /// An outlet over another writer that shares the fate of this one.
    #[must_use]
    pub fn with(&self, writer: W) -> Self {
        Self {
            writer,
            fate: Arc::clone(&self.fate),
        }
    }

    /// Follows what becomes of the stream.
    #[must_use]
    pub fn fate(&self) -> watch::Receiver<Fate> {
        self.fate.subscribe()
    }

    /// Writes and flushes; after the first failure it does nothing.
    pub fn write(&mut self, text: &[u8]) {
        self.write_unflushed(text);
        self.flush();
    }

    /// Writes what may wait in a buffer for more.
    pub fn write_unflushed(&mut self, text: &[u8]) {
        if *self.fate.borrow() == Fate::Open {
            let result = self.writer.write_all(text);
            self.note(result);
        }
    }

    /// Hands on what waits in a buffer.
    pub fn flush(&mut self) {
        if *self.fate.borrow() == Fate::Open {
            let result = self.writer.flush();
            self.note(result);
        }
    }

    fn note(&self, result: io::Result<()>) {
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.fate.send_replace(Fate::Closed);
            }
            Err(error) => {
                self.fate.send_replace(Fate::Failed(error.to_string()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let mut outlet = Outlet::new(Broken(io::ErrorKind::BrokenPipe));
        let fate = outlet.fate();
        outlet.write(b"x");
        assert_eq!(*fate.borrow(), Fate::Closed);
    }

    #[test]
    fn a_full_disk_is() {
        let mut outlet = Outlet::new(Broken(io::ErrorKind::StorageFull));
        let fate = outlet.fate();
        outlet.write(b"x");
        assert!(matches!(&*fate.borrow(), Fate::Failed(_)));
    }
}
