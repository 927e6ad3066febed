//! The simulated TeleCMI account (app id, agent, caller ID, media server, telephone numbers that are not in use), and the
//! identifiers of its CDRs (`call_id`, `cmiuuid`, `request_id`).
//!
//! A `call_id` is built like FreeSWITCH's SIP stack (Sofia-SIP) builds a GUID: a version 1 UUID look-alike whose clock
//! runs 70 years ahead and whose fourth group has its two bytes swapped. \[calc, checked against Sofia-SIP's source\]

use fake::Fake as _;
use rand::distr::Alphanumeric;
use rand::{Rng as _, RngExt as _};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::parse;
use crate::seed::{Rng, Seed, Stream};

/// The app id of TeleCMI's documented sample. A random app id could belong to a real account. \[doc\]
pub const DOCUMENTED_APP_ID: u64 = 2_222_223;

pub(crate) const DOCUMENTED_CUSTOM: &str = r#"{"crm":"true"}"#;

/// The `custom` field of CDRs from live accounts that set no custom parameters. \[seen\]
pub(crate) const LIVE_CUSTOM: &str = "false";

pub(crate) const DOCUMENTED_EXTRA_PARAMS: &str = r#"{"click2call":"true"}"#;

/// Patterns of telephone numbers that are assigned to no subscriber; `#` is any digit.
///
/// Ofcom reserves the London block for drama, NANP reserves 555-01xx (New York, San Francisco), ACMA the Australian
/// mobiles. India is not known to reserve a block; the Indian pattern is invalid, as no Indian number begins with a
/// zero after the country code.
const RING_NOBODY: [&str; 6] = [
    "442079460###",
    "121255501##",
    "141555501##",
    "61491570156",
    "61491570157",
    "9100000000##",
];

// Flags that set values of the simulated account. Without a flag, the value is the documented one or is drawn from the
// seed. clap would take a doc comment of the struct for the description of `send`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct AccountOptions {
    /// App id of the account, in `appid` and `user`
    #[arg(long, value_name = "N", value_parser = parse::whole::<u64, 1, 999_999_999_999>)]
    pub app_id: Option<u64>,
    /// Extension of the agent; `user` becomes EXT_APPID
    #[arg(long, value_name = "EXT", value_parser = parse::extension)]
    pub agent: Option<String>,
    /// Caller ID of the calls, in `virtual_number`
    #[arg(long, value_name = "N", value_parser = parse::number)]
    pub virtual_number: Option<u64>,
    /// Telephone number of the customer, in `to` of leg b
    #[arg(id = "to", long = "to", value_name = "N", value_parser = parse::number)]
    pub customer: Option<u64>,
    /// Parameters set in the dashboard, in `custom`
    #[arg(long, value_name = "TEXT")]
    pub custom: Option<String>,
    /// Parameters of click2call calls, in `extra_params`
    #[arg(long, value_name = "JSON", value_parser = parse::object)]
    pub extra_params: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub app_id: u64,
    /// The `user` field of CDRs: `<extension>_<appid>`.
    pub user: String,
    pub virtual_number: u64,
    /// The telephone number of the agent's device, which leg `a` rings.
    pub device: u64,
    pub server: MediaServer,
    /// The text of the CDR field `custom`; `None` stands for the [`Shape`](super::Shape)'s default text.
    pub custom: Option<String>,
    pub extra_params: String,
    customer: Option<u64>,
}

impl Account {
    pub fn new(options: &AccountOptions, seed: Seed) -> Self {
        let mut rng = seed.rng(Stream::Account, 0);
        let extension = rng.random_range(101..=109_u32);
        let virtual_number = number(&mut rng);
        let device = number_but(&[virtual_number], &mut rng);
        let mut mac = [0x56, 0, 0, 0, 0, 0];
        rng.fill_bytes(&mut mac[2..]);
        let clock_sequence = rng.random_range(0..0x4000);
        let app_id = options.app_id.unwrap_or(DOCUMENTED_APP_ID);
        let agent = options
            .agent
            .clone()
            .unwrap_or_else(|| extension.to_string());
        Self {
            app_id,
            user: format!("{agent}_{app_id}"),
            virtual_number: options.virtual_number.unwrap_or(virtual_number),
            device,
            server: MediaServer {
                mac,
                clock_sequence,
            },
            custom: options.custom.clone(),
            extra_params: options
                .extra_params
                .clone()
                .unwrap_or_else(|| DOCUMENTED_EXTRA_PARAMS.to_owned()),
            customer: options.customer,
        }
    }

    pub fn customer(&self, rng: &mut Rng) -> u64 {
        let made_up = number_but(&[self.virtual_number, self.device], rng);
        self.customer.unwrap_or(made_up)
    }
}

/// Draws a telephone number not in `taken`, so that the two ends of a call have different numbers.
fn number_but(taken: &[u64], rng: &mut Rng) -> u64 {
    loop {
        let made_up = number(rng);
        if !taken.contains(&made_up) {
            return made_up;
        }
    }
}

fn number(rng: &mut Rng) -> u64 {
    let pattern = RING_NOBODY[rng.random_range(0..RING_NOBODY.len())];
    let mut digit = |mark: u8| match mark {
        b'#' => (0..10).fake_with_rng::<u32, _>(rng),
        digit => u32::from(digit - b'0'),
    };
    let digits = pattern.bytes().map(|mark| u64::from(digit(mark)));
    digits.fold(0, |number, digit| number * 10 + digit)
}

const TICKS_PER_MS: u64 = 10_000;

/// Milliseconds between the zero of a `call_id`'s clock and the Unix epoch.
///
/// Sofia-SIP adds the NTP offset (1900 to 1970) to the Gregorian offset (1582 to 1970), although the Gregorian offset
/// already reaches 1970. Hence the clock runs 70 years ahead. \[calc\]
const ZERO_TO_EPOCH_MS: u64 = (2_208_988_800 + 12_219_292_800) * 1_000;

/// The parts of a `call_id` that identify TeleCMI's media server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaServer {
    /// The MAC address of the media server, the last group of a `call_id`. `56:00:…`, as in the documented sample, is
    /// locally administered.
    pub mac: [u8; 6],
    /// The 14-bit clock sequence of a `call_id`, chosen when the media server starts.
    pub clock_sequence: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallId {
    pub time: Timestamp,
    /// The 100-nanosecond tick of a `call_id` within its millisecond, 0 to 9 999.
    pub tick: u16,
    pub server: MediaServer,
}

impl CallId {
    /// Makes the `call_id` with the number `serial` among the calls that start at `time`.
    ///
    /// The serial number sets the tick; after the 10 000 ticks of a millisecond the clock sequence is incremented.
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

    pub fn decode(text: &str) -> Option<Self> {
        // `Uuid` also parses forms without hyphens; only the hyphenated form has 36 characters.
        let uuid = Uuid::try_parse(text).ok().filter(|_| text.len() == 36)?;
        let (low, mid, high, [low_sequence, high_sequence, mac @ ..]) = uuid.as_fields();
        // The UUID version (1) is in the third group; a `call_id` has the UUID variant in the second byte of the fourth
        // group, not the first.
        if high >> 12 != 1 || high_sequence & 0xc0 != 0x80 {
            return None;
        }
        let ticks = (u64::from(high & 0xfff) << 48) | (u64::from(mid) << 32) | u64::from(low);
        let epoch_ms = (ticks / TICKS_PER_MS).checked_sub(ZERO_TO_EPOCH_MS)?;
        Some(Self {
            time: Timestamp::from_epoch_ms(i64::try_from(epoch_ms).ok()?)?,
            tick: u16::try_from(ticks % TICKS_PER_MS).ok()?,
            server: MediaServer {
                mac: *mac,
                clock_sequence: u16::from_be_bytes([high_sequence & 0x3f, *low_sequence]),
            },
        })
    }

    pub fn uuid(self) -> Uuid {
        let epoch_ms = u64::try_from(self.time.epoch_ms()).unwrap_or(0);
        let ticks = (epoch_ms + ZERO_TO_EPOCH_MS) * TICKS_PER_MS + u64::from(self.tick);
        let [sequence_a, sequence_b] = self.server.clock_sequence.to_be_bytes();
        let mut rest = [sequence_b, sequence_a | 0x80, 0, 0, 0, 0, 0, 0];
        rest[2..].copy_from_slice(&self.server.mac);
        let [high_a, high_b, mid_a, mid_b, low @ ..] = ticks.to_be_bytes();
        Uuid::from_fields(
            u32::from_be_bytes(low),
            u16::from_be_bytes([mid_a, mid_b]),
            u16::from_be_bytes([high_a, high_b]) & 0xfff | 0x1000,
            &rest,
        )
    }
}

pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Makes a `cmiuuid`, a UUID v4. \[calc\]
pub fn cmiuuid(rng: &mut Rng) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// Makes a `request_id`: 43 characters of `[0-9A-Za-z]`, the length of a 256-bit token in base 62. \[calc\]
pub fn request_id(rng: &mut Rng) -> String {
    rng.sample_iter(Alphanumeric)
        .take(43)
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_ring_nobody() {
        let mut rng = Seed(3).rng(Stream::Call, 0);
        for _ in 0..500 {
            let number = number(&mut rng).to_string();
            let reserved = RING_NOBODY.iter().any(|pattern| {
                pattern.len() == number.len()
                    && pattern
                        .chars()
                        .zip(number.chars())
                        .all(|(p, c)| p == '#' || p == c)
            });
            assert!(reserved, "{number}");
        }
    }

    #[test]
    fn what_the_user_says_holds_everywhere_and_changes_nothing_else() {
        let plain = Account::new(&AccountOptions::default(), Seed(5));
        let named = Account::new(
            &AccountOptions {
                app_id: Some(1_111_113),
                agent: Some("2044".to_owned()),
                ..AccountOptions::default()
            },
            Seed(5),
        );
        assert_eq!(named.user, "2044_1111113");
        assert_eq!(
            (plain.virtual_number, plain.device),
            (named.virtual_number, named.device)
        );
    }

    #[test]
    fn the_documented_call_id_is_taken_apart() {
        let id = CallId::decode("c4504776-d91e-123b-29a7-56000429abc3").unwrap();
        assert_eq!(id.time.to_second(), "2022-11-07 09:09:46 UTC");
        assert_eq!(mac_text(id.server.mac), "56:00:04:29:ab:c3");
        assert_eq!(
            id.uuid().to_string(),
            "c4504776-d91e-123b-29a7-56000429abc3"
        );
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
            let id = CallId::new(date.parse().unwrap(), 0, server)
                .uuid()
                .to_string();
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
    fn other_ids_look_like_the_documented_ones() {
        let mut rng = Seed(1).rng(Stream::Call, 0);
        let uuid = cmiuuid(&mut rng);
        assert_eq!(
            (uuid.get_version_num(), uuid.get_variant()),
            (4, uuid::Variant::RFC4122)
        );
        assert!(
            request_id(&mut rng)
                .chars()
                .all(|c| c.is_ascii_alphanumeric())
        );
    }

    proptest! {
        #[test]
        fn a_call_id_tells_what_it_was_made_from(ms in 0_i64..4_000_000_000_000, serial in 0_u64..100_000_000,
                                                 mac in any::<[u8; 6]>(), clock_sequence in 0_u16..0x4000) {
            let time = Timestamp::from_epoch_ms(ms).unwrap();
            let made = CallId::new(time, serial, MediaServer { mac, clock_sequence });
            prop_assert_eq!(CallId::decode(&made.uuid().to_string()), Some(made));
        }
    }
}
