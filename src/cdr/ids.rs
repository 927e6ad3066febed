//! Identifiers: `call_id` made and decoded, `cmiuuid`, `request_id`.
//!
//! A `call_id` is built like FreeSWITCH's SIP stack (Sofia-SIP) builds a GUID: a version 1 UUID look-alike whose clock
//! runs 70 years ahead and whose fourth group has its two bytes swapped. \[calc, checked against Sofia-SIP's source\]

use rand::distr::Alphanumeric;
use rand::{Rng, RngExt as _};

use crate::clock::Timestamp;

/// 100-nanosecond ticks in a millisecond.
const TICKS_PER_MS: u64 = 10_000;

/// Milliseconds between the zero of a `call_id`'s clock and the Unix epoch.
///
/// Sofia-SIP adds the NTP offset (1900 to 1970) to the Gregorian one (1582 to 1970), though the latter already reaches
/// to 1970: that is the 70 years. \[calc\]
const ZERO_TO_EPOCH_MS: u64 = (2_208_988_800 + 12_219_292_800) * 1_000;

/// The media server that names calls: its network address and its clock sequence, both fixed for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaServer {
    /// The MAC address in the last group. `56:00:…` is a locally administered one, as in the documented sample.
    pub mac: [u8; 6],
    /// Fourteen bits, chosen when the server starts.
    pub clock_sequence: u16,
}

/// A call's identifier, taken apart: when it was made, and by which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallId {
    /// When the identifier was made, which is when the call started.
    pub time: Timestamp,
    /// Which of the millisecond's ticks, 0 to 9 999.
    pub tick: u16,
    /// The server.
    pub server: MediaServer,
}

impl CallId {
    /// The identifier with this serial number of the calls that start at `time`.
    ///
    /// Serial numbers are told apart by the tick; when a millisecond's ticks are used up the clock sequence goes up,
    /// as a server does whose clock stands still.
    #[must_use]
    pub fn new(time: Timestamp, serial: u64, server: MediaServer) -> Self {
        let ticks = u16::try_from(serial % TICKS_PER_MS).unwrap_or(0);
        let turns = u16::try_from((serial / TICKS_PER_MS) & 0x3fff).unwrap_or(0);
        Self {
            time,
            tick: ticks,
            server: MediaServer {
                clock_sequence: server.clock_sequence.wrapping_add(turns) & 0x3fff,
                ..server
            },
        }
    }

    /// Takes an identifier apart, or gives nothing if it is not built this way.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let groups: Vec<&str> = text.split('-').collect();
        let lengths = groups.iter().map(|group| group.len());
        if !lengths.eq([8, 4, 4, 4, 12]) {
            return None;
        }
        let number = |group: &str| u64::from_str_radix(group, 16).ok();
        let [low, mid, high, sequence, node] = [0, 1, 2, 3, 4].map(|i| number(groups[i]));
        let (low, mid, high, sequence, node) = (low?, mid?, high?, sequence?, node?);
        // Version 1 in the third group; the variant sits in the second byte of the fourth, not in the first.
        if high >> 12 != 1 || sequence & 0xc0 != 0x80 {
            return None;
        }
        let ticks = (high & 0x0fff) << 48 | mid << 32 | low;
        let epoch_ms = (ticks / TICKS_PER_MS).checked_sub(ZERO_TO_EPOCH_MS)?;
        let mac = node.to_be_bytes();
        Some(Self {
            time: Timestamp::from_epoch_ms(i64::try_from(epoch_ms).ok()?)?,
            tick: u16::try_from(ticks % TICKS_PER_MS).ok()?,
            server: MediaServer {
                mac: [mac[2], mac[3], mac[4], mac[5], mac[6], mac[7]],
                clock_sequence: u16::try_from((sequence & 0x3f) << 8 | sequence >> 8).ok()?,
            },
        })
    }
}

impl CallId {
    /// The identifier as it is sent.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        let epoch_ms = u64::try_from(self.time.epoch_ms()).unwrap_or(0);
        let ticks = (epoch_ms + ZERO_TO_EPOCH_MS) * TICKS_PER_MS + u64::from(self.tick);
        let [high_a, high_b, mid_a, mid_b, low @ ..] = ticks.to_be_bytes();
        let [sequence_a, sequence_b] = self.server.clock_sequence.to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&low);
        bytes[4..6].copy_from_slice(&[mid_a, mid_b]);
        bytes[6..8].copy_from_slice(&[high_a & 0x0f | 0x10, high_b]);
        bytes[8..10].copy_from_slice(&[sequence_b, sequence_a | 0x80]);
        bytes[10..].copy_from_slice(&self.server.mac);
        Uuid(u128::from_be_bytes(bytes))
    }
}

/// A number in the form of a UUID, whatever its bits mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uuid(pub u128);

impl Uuid {
    /// How it is written: in lower case. Two of them stand in every CDR, so that eight digits are found at once.
    #[must_use]
    pub fn text(self) -> [u8; 36] {
        let mut text = [b'-'; 36];
        let bytes = self.0.to_be_bytes();
        let digits = |at: usize| digits([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (second, third) = (digits(4), digits(8));
        text[..8].copy_from_slice(&digits(0));
        text[9..13].copy_from_slice(&second[..4]);
        text[14..18].copy_from_slice(&second[4..]);
        text[19..23].copy_from_slice(&third[..4]);
        text[24..28].copy_from_slice(&third[4..]);
        text[28..].copy_from_slice(&digits(12));
        text
    }
}

/// Four bytes in hexadecimal digits.
fn digits(bytes: [u8; 4]) -> [u8; 8] {
    /// One in each of eight bytes.
    const ONES: u64 = u64::from_be_bytes([1; 8]);
    // Half a byte goes into each of eight.
    let mut halves = u64::from(u32::from_be_bytes(bytes));
    halves = (halves | halves << 16) & 0x0000_ffff_0000_ffff;
    halves = (halves | halves << 8) & 0x00ff_00ff_00ff_00ff;
    halves = (halves | halves << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // One where it is more than nine: `a` stands that much behind the digits.
    let letters = (halves + ONES * 6) >> 4 & ONES;
    (halves + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

/// A server's MAC address, `56:00:04:29:ab:c3`.
#[must_use]
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// A `cmiuuid`: a UUID v4. \[calc\]
#[must_use]
pub fn cmiuuid<R: Rng>(chance: &mut R) -> Uuid {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0x3 << 62;
    let mut bytes = [0; 16];
    chance.fill_bytes(&mut bytes);
    Uuid(u128::from_be_bytes(bytes) & !(VERSION | VARIANT) | 0x4 << 76 | 0x2 << 62)
}

/// Whether a text has the form of a UUID, of whatever version.
#[must_use]
pub fn is_uuid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok()
}

/// A `request_id`: 43 characters of `[0-9A-Za-z]`, the length of a 256-bit token in base 62. \[calc\]
pub type RequestId = [u8; 43];

/// A `request_id` by chance: what [`Alphanumeric`] makes of the same numbers, most of it at once.
#[must_use]
pub fn request_id<R: Rng>(chance: &mut R) -> RequestId {
    /// What the six highest bits of a number stand for; the last two are no characters, and their numbers are passed over.
    const CHARACTERS: [u8; 64] =
        *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789--";
    let mut numbers = [0; 4 * 43];
    chance.fill_bytes(&mut numbers);
    let (mut text, mut length) = ([0; 43], 0);
    for [.., highest] in numbers.as_chunks::<4>().0 {
        let character = highest >> 2;
        text[length] = CHARACTERS[usize::from(character)];
        length += usize::from(character < 62);
    }
    text[length..].fill_with(|| chance.sample(Alphanumeric));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, Seed};
    use proptest::prelude::*;

    fn text(uuid: Uuid) -> String {
        String::from_utf8(uuid.text().into()).unwrap()
    }

    #[test]
    fn the_documented_call_id_is_taken_apart() {
        let id = CallId::decode("c4504776-d91e-123b-29a7-56000429abc3").unwrap();
        assert_eq!(id.time.to_second(), "2022-11-07 09:09:46 UTC");
        assert_eq!(mac_text(id.server.mac), "56:00:04:29:ab:c3");
        assert_eq!(text(id.uuid()), "c4504776-d91e-123b-29a7-56000429abc3");
    }

    #[test]
    fn the_third_group_tells_the_date() {
        let server = MediaServer {
            mac: [0x56, 0, 4, 0x29, 0xab, 0xc3],
            clock_sequence: 7,
        };
        for (date, group) in [
            ("2021-03-16T00:00:00Z", "-123a-"),
            ("2022-02-05T00:00:00Z", "-123b-"),
            ("2022-12-27T00:00:00Z", "-123c-"),
            ("2025-08-31T00:00:00Z", "-123f-"),
            ("2026-07-20T00:00:00Z", "-123f-"),
            ("2026-07-22T00:00:00Z", "-1240-"),
            ("2026-11-22T09:00:00Z", "-1240-"),
            ("2027-06-13T00:00:00Z", "-1241-"),
        ] {
            let id = text(CallId::new(date.parse().unwrap(), 0, server).uuid());
            assert!(id.contains(group), "{date}: {id}");
        }
    }

    #[test]
    fn other_identifiers_are_not_taken_for_call_ids() {
        for text in [
            "",
            "15b58236-734f-4000-a5e8-78284068f5c7",
            "c4504776-d91e-123b-29a7",
            "c4504776-d91e-123b-29a7-56000429abcz",
            "é4504776-d91e-123b-29a7-56000429abc",
        ] {
            assert_eq!(CallId::decode(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_request_id_is_made_of_the_same_numbers_at_once_and_one_by_one() {
        for n in 0..2_000 {
            let [mut at_once, mut one_by_one] = [(); 2].map(|()| {
                let mut chance = Seed(1).chance(Purpose::Call, n);
                // From anywhere in a block of numbers, and beyond its end.
                for _ in 0..n % 64 {
                    chance.next_u32();
                }
                chance
            });
            let text: Vec<u8> = (0..43).map(|_| one_by_one.sample(Alphanumeric)).collect();
            assert_eq!(request_id(&mut at_once)[..], text);
            assert_eq!(at_once.next_u32(), one_by_one.next_u32());
        }
    }

    #[test]
    fn other_ids_look_like_the_documented_ones() {
        let mut chance = Seed(1).chance(Purpose::Call, 0);
        let uuid = uuid::Uuid::from_u128(cmiuuid(&mut chance).0);
        assert_eq!(
            (uuid.get_version_num(), uuid.get_variant()),
            (4, uuid::Variant::RFC4122)
        );
        assert!(
            request_id(&mut chance)
                .iter()
                .all(u8::is_ascii_alphanumeric)
        );
    }

    proptest! {
        #[test]
        fn a_uuid_is_written_as_usual(number in any::<u128>()) {
            prop_assert_eq!(text(Uuid(number)), uuid::Uuid::from_u128(number).to_string());
        }

        #[test]
        fn a_call_id_tells_what_it_was_made_from(ms in 0_i64..4_000_000_000_000, serial in 0_u64..100_000_000,
                                                 mac in any::<[u8; 6]>(), clock_sequence in 0_u16..0x4000) {
            let time = Timestamp::from_epoch_ms(ms).unwrap();
            let made = CallId::new(time, serial, MediaServer { mac, clock_sequence });
            prop_assert_eq!(CallId::decode(&text(made.uuid())), Some(made));
        }
    }
}
