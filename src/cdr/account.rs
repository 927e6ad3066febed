//! The simulated TeleCMI account: app id, agent, caller ID, media server, and telephone numbers that are not in use.

use fake::Fake as _;
use rand::{Rng as _, RngExt as _};

use super::ids::MediaServer;
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

/// The flags that set values of the simulated account. Without a flag, the value is the documented one or is drawn from
/// the seed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountOptions {
    pub app_id: Option<u64>,
    /// The extension of the agent, 3 to 6 digits.
    pub agent: Option<String>,
    pub virtual_number: Option<u64>,
    pub customer: Option<u64>,
    pub custom: Option<String>,
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
    pattern
        .bytes()
        .fold(0, |number, mark| number * 10 + u64::from(digit(mark)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
