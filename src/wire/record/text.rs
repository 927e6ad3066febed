//! A record's texts: with quotes, and with everything escaped that could disturb a terminal.
//!
//! The bodies that records hold are JSON themselves, so that every few characters one must be escaped; that is what
//! takes the time when a record is written. So printable ASCII is looked at and written eight bytes at a time.

use crate::untrusted::disturbs;

/// A byte's lowest bit, in each of eight.
const ONES: u64 = u64::from_le_bytes([1; 8]);

/// A byte's highest bit, in each of eight.
const HIGHS: u64 = ONES << 7;

/// As many bytes of text are written in one step, at most.
const BLOCK: usize = 64;

/// Room for a block, if all of it is escaped, and for what is laid there before it is known what counts of it.
type Room = [u8; 2 * BLOCK + 16];

/// Writes a string with its quotes.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    // With two quotes, and some more to escape.
    out.reserve(bytes.len() + bytes.len() / 4 + 16);
    out.push(b'"');
    if stands_for_itself(bytes) {
        out.extend_from_slice(bytes);
    } else {
        let mut at = 0;
        while at < bytes.len() {
            let end = bytes.len().min(at + BLOCK);
            at += printable(out, &bytes[at..end]);
            if at < end {
                at = characters(out, text, at, end.min(at + 8));
            }
        }
    }
    out.push(b'"');
}

/// Whether nothing is to be escaped: so it is with nearly all texts but bodies.
fn stands_for_itself(bytes: &[u8]) -> bool {
    let is_so = |eight: u64| is_printable(eight) && escaped(eight) == 0;
    let (eights, rest) = bytes.as_chunks();
    match bytes.last_chunk() {
        // The last eight are looked at whole, the first of them a second time.
        Some(last) => {
            eights.iter().all(|eight| is_so(u64::from_le_bytes(*eight))) && is_so(u64::from_le_bytes(*last))
        }
        None => is_so(filled_up(rest)),
    }
}

/// Less than eight bytes, and spaces behind them.
#[inline]
fn filled_up(rest: &[u8]) -> u64 {
    rest.iter().rev().fold(ONES * u64::from(b' '), |eight, byte| eight << 8 | u64::from(*byte))
}

/// Writes what is printable ASCII at the beginning of a block, eight bytes at a time; gives how much that is.
fn printable(out: &mut Vec<u8>, block: &[u8]) -> usize {
    let mut room: Room = [0; _];
    let mut written = 0;
    let (eights, rest) = block.as_chunks();
    for (done, eight) in eights.iter().enumerate() {
        let eight = u64::from_le_bytes(*eight);
        if !is_printable(eight) {
            out.extend_from_slice(&room[..written]);
            return 8 * done;
        }
        written = put(&mut room, written, eight) + 8;
    }
    let eight = filled_up(rest);
    let mut read = 8 * eights.len();
    if is_printable(eight) {
        // What it was filled up with has nothing to escape.
        written = put(&mut room, written, eight) + rest.len();
        read += rest.len();
    }
    out.extend_from_slice(&room[..written]);
    read
}

/// Whether all eight are printable ASCII.
#[inline]
fn is_printable(eight: u64) -> bool {
    // What is below the space does not come to 0x80, and only 0x7f does with one more. Sums that run over into the next
    // byte are those of bytes that are not ASCII.
    let spaces = eight.wrapping_add(ONES * 0x60);
    let deletes = eight.wrapping_add(ONES);
    (eight | !spaces | deletes) & HIGHS == 0
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
        let before = at + place as usize / 8;
        lay(room, before, u64::from(b'\\'));
        lay(room, before + 1, eight >> place);
        at += 1;
        escaped &= escaped - 1;
    }
    at
}

/// Writes eight bytes, the lowest first.
#[inline]
fn lay(room: &mut Room, at: usize, eight: u64) {
    // There always is room.
    if let Some(place) = room.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = eight.to_le_bytes();
    }
}

/// Writes the characters that begin here and before `end`, one by one; gives where the next one begins.
fn characters(out: &mut Vec<u8>, text: &str, mut at: usize, end: usize) -> usize {
    for c in text[at..].chars() {
        if at >= end {
            break;
        }
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\x08' => out.extend_from_slice(b"\\b"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\x0c' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            c if disturbs(c) => super::push_escape(out, c),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        at += c.len_utf8();
    }
    at
}
