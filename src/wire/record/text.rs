//! A record's texts: with quotes, and with everything escaped that could disturb a terminal.
//!
//! The bodies that records hold are JSON themselves, so that every few characters one must be escaped; that is what
//! takes the time when a record is written. So printable ASCII is looked at and written eight bytes at a time.

use super::page::{Page, copy};
use crate::untrusted::disturbs;

/// A byte's lowest bit, in each of eight.
const ONES: u64 = u64::from_le_bytes([1; 8]);

/// A byte's highest bit, in each of eight.
const HIGHS: u64 = ONES << 7;

/// As many bytes of text are written in one step, at most, where some must be escaped. A power of two.
const BLOCK: usize = 256;

/// Room for a block, if all of it is escaped, and for what is laid there before it is known what counts of it.
type Room = [u8; 2 * BLOCK + 16];

/// Writes a string with its quotes.
pub(super) fn string(page: &mut Page, text: &str) {
    let bytes = text.as_bytes();
    let room = page.room(bytes.len() + 2);
    room[0] = b'"';
    room[bytes.len() + 1] = b'"';
    let done = as_it_is(&mut room[1..=bytes.len()], bytes);
    if done == bytes.len() {
        page.laid(done + 2);
    } else {
        page.laid(done + 1);
        rest(page, text, done);
    }
}

/// Writes the rest of a text in which something is to be escaped, and its quote. Apart from the others, which come more
/// often and are short, so that nothing is made ready for it where it is not needed.
#[inline(never)]
fn rest(page: &mut Page, text: &str, mut at: usize) {
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let end = bytes.len().min(at + BLOCK);
        at += printable(page, &bytes[at..end]);
        if at < end {
            at = characters(page, text, at, end.min(at + 8));
        }
    }
    page.push(b'"');
}

/// Copies what stands for itself at the beginning, to room for all of it; gives how much that is. Nearly all texts but
/// bodies stand for themselves.
#[inline]
fn as_it_is(room: &mut [u8], bytes: &[u8]) -> usize {
    let (eights, rest) = bytes.as_chunks();
    let (places, _) = room.as_chunks_mut();
    for (done, eight) in eights.iter().enumerate() {
        if !stands_for_itself(u64::from_le_bytes(*eight)) {
            return 8 * done;
        }
        places[done] = *eight;
    }
    if rest.is_empty() {
        return bytes.len();
    }
    // Where there are eight, the last ones are looked at whole, the first of them a second time.
    let last = bytes
        .last_chunk()
        .map_or_else(|| filled_up(rest), |last| u64::from_le_bytes(*last));
    if !stands_for_itself(last) {
        return bytes.len() - rest.len();
    }
    match room.last_chunk_mut() {
        Some(place) => *place = last.to_le_bytes(),
        None => copy(room, rest),
    }
    bytes.len()
}

/// Whether none of eight bytes is to be escaped, and all are printable ASCII.
#[inline]
fn stands_for_itself(eight: u64) -> bool {
    let spread = |byte: u8| ONES * u64::from(byte);
    // Each sum or difference sets a highest bit where it should not be. One that runs over into the next byte, and is wrong
    // there, has been right before.
    let controls = eight.wrapping_sub(spread(b' '));
    let deletes = eight.wrapping_add(ONES);
    let quotes = (eight ^ spread(b'"')).wrapping_sub(ONES);
    let backslashes = (eight ^ spread(b'\\')).wrapping_sub(ONES);
    (eight | controls | deletes | quotes | backslashes) & HIGHS == 0
}

/// Less than eight bytes, and spaces behind them.
#[inline]
fn filled_up(rest: &[u8]) -> u64 {
    let spaces = ONES * u64::from(b' ');
    let bits = 8 * rest.len();
    let eight = match (rest.first_chunk(), rest.last_chunk(), rest) {
        // Where both say something, they say the same.
        (Some(first), Some(last), _) => {
            u64::from(u32::from_le_bytes(*first))
                | u64::from(u32::from_le_bytes(*last)) << (bits - 32)
        }
        (_, _, [first, .., last]) => {
            u64::from(*first) | u64::from(rest[1]) << 8 | u64::from(*last) << (bits - 8)
        }
        (_, _, [only]) => u64::from(*only),
        _ => 0,
    };
    eight | spaces << bits
}

/// Writes what is printable ASCII at the beginning of a block, eight bytes at a time; gives how much that is.
fn printable(page: &mut Page, block: &[u8]) -> usize {
    let Some(room) = page.room(size_of::<Room>()).first_chunk_mut() else {
        return 0;
    };
    let mut written: usize = 0;
    let (eights, rest) = block.as_chunks();
    for (done, eight) in eights.iter().enumerate() {
        let eight = u64::from_le_bytes(*eight);
        if !is_printable(eight) {
            page.laid(written);
            return 8 * done;
        }
        written = put(room, written, eight).wrapping_add(8);
    }
    let read = 8 * eights.len();
    let eight = filled_up(rest);
    // A block without a rest may have filled its room to the last byte.
    if rest.is_empty() || !is_printable(eight) {
        page.laid(written);
        return read;
    }
    // What it was filled up with has nothing to escape.
    written = put(room, written, eight) + rest.len();
    page.laid(written);
    read + rest.len()
}

/// Whether all eight are printable ASCII.
#[inline]
fn is_printable(eight: u64) -> bool {
    // Each sum or difference sets a highest bit where it should not be, as above.
    let controls = eight.wrapping_sub(ONES * u64::from(b' '));
    let deletes = eight.wrapping_add(ONES);
    (eight | controls | deletes) & HIGHS == 0
}

/// Which of eight bytes that are printable ASCII need a backslash before them: their highest bits.
#[inline]
fn escaped(eight: u64) -> u64 {
    // Only nought does not come to 0x80 here, and none of these sums runs over.
    let differs = |byte: u8| (eight ^ (ONES * u64::from(byte))).wrapping_add(ONES * 0x7f);
    !(differs(b'"') & differs(b'\\')) & HIGHS
}

/// Writes eight bytes that are printable ASCII, the lowest first, each with a backslash before it that needs one; gives
/// where the first one would stand if the last one was the eighth behind it.
#[inline]
fn put(room: &mut Room, mut at: usize, eight: u64) -> usize {
    let mut escaped = escaped(eight);
    lay(room, at, eight);
    while escaped != 0 {
        // The place of its highest bit is that of its lowest, and seven.
        let place = escaped.trailing_zeros() & !7;
        let before = at.wrapping_add(place as usize / 8);
        room[before % (2 * BLOCK)] = b'\\';
        lay(room, before.wrapping_add(1), eight.wrapping_shr(place));
        at = at.wrapping_add(1);
        escaped &= escaped - 1;
    }
    at
}

/// Writes eight bytes, the lowest first. None of a block's belongs behind the places that `at` can come to here; so it need
/// not be asked whether there is room.
#[inline]
fn lay(room: &mut Room, at: usize, eight: u64) {
    if let Some(place) = room[at % (2 * BLOCK)..].first_chunk_mut() {
        *place = eight.to_le_bytes();
    }
}

/// Writes the characters that begin here and before `end`, one by one; gives where the next one begins.
fn characters(page: &mut Page, text: &str, mut at: usize, end: usize) -> usize {
    for c in text[at..].chars() {
        if at >= end {
            break;
        }
        match c {
            '"' => page.add(b"\\\""),
            '\\' => page.add(b"\\\\"),
            '\x08' => page.add(b"\\b"),
            '\t' => page.add(b"\\t"),
            '\n' => page.add(b"\\n"),
            '\x0c' => page.add(b"\\f"),
            '\r' => page.add(b"\\r"),
            c if disturbs(c) => super::push_escape(page, c),
            c => page.add(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        at += c.len_utf8();
    }
    at
}
