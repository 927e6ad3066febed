//! Writes to standard output, or the file in its place, and to standard error, and tells when data can no longer be written.

use std::io::{self, Write};

use tokio::sync::watch;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamState {
    Open,
    /// The reader of standard output has closed the pipe, as `| head` does.
    Closed,
    Failed(String),
}

pub struct Streams {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// The state of the data output (standard output or the file of `--output`); failures of standard error are
    /// ignored.
    state: watch::Sender<StreamState>,
}

impl Streams {
    pub fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self {
            out,
            err,
            state: watch::Sender::new(StreamState::Open),
        }
    }

    pub fn state(&self) -> watch::Receiver<StreamState> {
        self.state.subscribe()
    }

    pub fn is_open(&self) -> bool {
        *self.state.borrow() == StreamState::Open
    }

    /// Data is discarded after the first failed write to `out`.
    pub fn out(&mut self, text: &[u8]) {
        if self.is_open() {
            let result = self.out.write_all(text);
            self.note(result);
        }
    }

    /// `out` is flushed before a message is written, because both streams may be one terminal.
    pub fn err(&mut self, text: &[u8]) {
        self.flush();
        let _ = self.err.write_all(text);
    }

    pub fn flush(&mut self) {
        if self.is_open() {
            let result = self.out.flush();
            self.note(result);
        }
    }

    fn note(&self, result: io::Result<()>) {
        let Err(error) = result else { return };
        self.state.send_replace(match error.kind() {
            io::ErrorKind::BrokenPipe => StreamState::Closed,
            _ => StreamState::Failed(error.to_string()),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn state_after(kind: io::ErrorKind) -> StreamState {
        let mut streams = Streams::new(Box::new(Broken(kind)), Box::new(io::sink()));
        streams.out(b"x");
        streams.state().borrow().clone()
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        assert_eq!(state_after(io::ErrorKind::BrokenPipe), StreamState::Closed);
    }

    #[test]
    fn a_full_disk_is() {
        assert!(matches!(
            state_after(io::ErrorKind::StorageFull),
            StreamState::Failed(_)
        ));
    }

    #[derive(Clone, Default)]
    struct Terminal(Arc<Mutex<Vec<u8>>>);

    impl Write for Terminal {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn both_streams_are_written_in_one_order() {
        let terminal = Terminal::default();
        let out = Box::new(io::BufWriter::new(terminal.clone()));
        let mut streams = Streams::new(out, Box::new(terminal.clone()));
        streams.out(b"a");
        streams.out(b"b");
        streams.err(b"c");
        streams.out(b"d");
        streams.flush();
        assert_eq!(*terminal.0.lock().unwrap(), b"abcd");
    }
}
