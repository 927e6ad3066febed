//! A page that a record is written on.
//!
//! A record is a few hundred short pieces. Each is laid straight into room that is there already, and a page that served
//! before keeps its room: so a piece costs little more than its bytes.

use std::io;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// What is written, and behind it room with anything in it.
    bytes: Vec<u8>,
    /// How much is written.
    at: usize,
}

impl Page {
    /// A page whose room is that of some bytes which nobody needs any more.
    pub fn over(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    /// A page that goes on where the bytes end.
    pub fn behind(bytes: Vec<u8>) -> Self {
        Self {
            at: bytes.len(),
            bytes,
        }
    }

    /// What is written, and nothing else.
    pub fn done(mut self) -> Vec<u8> {
        self.bytes.truncate(self.at);
        self.bytes
    }

    /// All the bytes, for the next page.
    pub fn into_room(self) -> Vec<u8> {
        self.bytes
    }

    /// What is written.
    #[inline]
    pub fn written(&self) -> &[u8] {
        &self.bytes[..self.at]
    }

    /// How much is written.
    #[inline]
    pub fn len(&self) -> usize {
        self.at
    }

    /// Takes back what is written from there on.
    #[inline]
    pub fn cut(&mut self, at: usize) {
        self.at = self.at.min(at);
    }

    /// Takes for written what has been laid into the room.
    #[inline]
    pub fn laid(&mut self, length: usize) {
        self.at += length;
    }

    /// Room for so many bytes behind what is written.
    #[inline]
    pub fn room(&mut self, length: usize) -> &mut [u8] {
        let end = self.at.wrapping_add(length);
        // Asked once for both, and answered at once where there is room already.
        if self.at <= end && end <= self.bytes.len() {
            return &mut self.bytes[self.at..end];
        }
        self.grow(length)
    }

    #[cold]
    fn grow(&mut self, length: usize) -> &mut [u8] {
        /// What most pieces need, so that not each of them grows the page.
        const MORE: usize = 128;
        self.bytes.resize(self.at + length + MORE, 0);
        &mut self.bytes[self.at..self.at + length]
    }

    /// Writes one byte.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        match self.bytes.get_mut(self.at) {
            Some(place) => *place = byte,
            None => self.bytes.push(byte),
        }
        self.at += 1;
    }

    /// Writes bytes.
    #[inline]
    pub fn add(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes[self.at..].get_mut(..bytes.len()) {
            copy(room, bytes);
        } else {
            self.bytes.truncate(self.at);
            self.bytes.extend_from_slice(bytes);
        }
        self.at += bytes.len();
    }

    /// Writes a word of ours, in which there is nothing to escape, in its quotes.
    #[inline]
    pub fn add_word(&mut self, word: &str) {
        let length = word.len();
        let room = self.room(length + 2);
        room[0] = b'"';
        copy(&mut room[1..=length], word.as_bytes());
        room[length + 1] = b'"';
        self.at += length + 2;
    }

    /// Writes a name of ours as a word, with a byte before it and a colon behind.
    #[expect(
        clippy::inline_always,
        reason = "names are known where they are written, and so are their lengths"
    )]
    #[inline(always)]
    pub fn add_name(&mut self, before: u8, name: &str) {
        let length = name.len();
        let room = self.room(length + 4);
        room[0] = before;
        room[1] = b'"';
        copy(&mut room[2..length + 2], name.as_bytes());
        room[length + 2] = b'"';
        room[length + 3] = b':';
        self.at += length + 4;
    }
}

/// Copies bytes to room for at least as many. What is written is short, and a few bytes at a time are sooner copied than a
/// function is asked for that copies any number.
#[expect(
    clippy::inline_always,
    reason = "where the length is known, hardly anything is left of it"
)]
#[inline(always)]
pub(super) fn copy(room: &mut [u8], bytes: &[u8]) {
    let room = &mut room[..bytes.len()];
    match (bytes, bytes.len()) {
        ([], _) => {}
        ([only], _) => room[0] = *only,
        (_, 2..=3) => copy_ends::<2>(room, bytes),
        (_, 4..=7) => copy_ends::<4>(room, bytes),
        (_, 8..=16) => copy_ends::<8>(room, bytes),
        _ => room.copy_from_slice(bytes),
    }
}

/// Copies the first and the last so many, which overlap, or leave nothing out.
#[inline]
fn copy_ends<const N: usize>(room: &mut [u8], bytes: &[u8]) {
    let ends: (Option<&[u8; N]>, Option<&[u8; N]>) = (bytes.first_chunk(), bytes.last_chunk());
    if let (Some(first), Some(last)) = ends {
        if let Some(place) = room.first_chunk_mut() {
            *place = *first;
        }
        if let Some(place) = room.last_chunk_mut() {
            *place = *last;
        }
    }
}

impl io::Write for Page {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.add(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
