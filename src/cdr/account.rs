//! The account, its agent, and telephone numbers that are not in use.

use fake::Fake as _;
use rand::{Rng as _, RngExt as _};

use super::ids::MediaServer;
use crate::seed::{Rng, Seed, Stream};

/// The placeholder account of TeleCMI's own sample. App ids are not made at random: one could be a real account's.
pub const DOCUMENTED_APP_ID: u64 = 2_222_223;

/// The documented `custom`, echoed from the dashboard. \[doc\]
pub(crate) const DOCUMENTED_CUSTOM: &str = r#"{"crm":"true"}"#;

/// What an unset `custom` is live. \[seen\]
pub(crate) const LIVE_CUSTOM: &str = "false";

/// The documented `extra_params`. \[doc\]
pub(crate) const DOCUMENTED_EXTRA_PARAMS: &str = r#"{"click2call":"true"}"#;

/// Patterns of numbers that are not in use; `#` is any digit.
///
/// London, reserved for drama by Ofcom; New York and San Francisco, 555-01xx, reserved by NANP; Australian mobiles,
/// reserved by ACMA. India is not known to reserve a block, so that pattern is no valid number: none there begins with a
/// zero behind the country code.
const RING_NOBODY: [&str; 6] = [
    "442079460###",
    "121255501##",
    "141555501##",
    "61491570156",
    "61491570157",
    "9100000000##",
];

/// Values of the account from the command line; the others follow from the seed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountOptions {
    /// The app id.
    pub app_id: Option<u64>,
    /// The agent's extension, 3 to 6 digits.
    pub agent: Option<String>,
    /// The caller ID.
    pub virtual_number: Option<u64>,
    /// The customer's number.
    pub customer: Option<u64>,
    /// The dashboard's custom parameters.
    pub custom: Option<String>,
    /// The click2call parameters, as JSON text.
    pub extra_params: Option<String>,
}

/// One account and its agent, the same for all calls of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The app id.
    pub app_id: u64,
    /// `<extension>_<appid>`.
    pub user: String,
    /// The caller ID.
    pub virtual_number: u64,
    /// The agent's own device, rung on leg `a`.
    pub device: u64,
    /// The media server all calls go through.
    pub server: MediaServer,
    /// The custom parameters, if the user said any.
    pub custom: Option<String>,
    /// The click2call parameters.
    pub extra_params: String,
    customer: Option<u64>,
}

impl Account {
    /// The account of a seed, with the values of the options.
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

    /// The customer of one call: the one the user named, or one who does not exist.
    pub fn customer(&self, rng: &mut Rng) -> u64 {
        let made_up = number_but(&[self.virtual_number, self.device], rng);
        self.customer.unwrap_or(made_up)
    }
}

/// A number other than these, so that one phone is not at both ends of a call.
fn number_but(taken: &[u64], rng: &mut Rng) -> u64 {
    loop {
        let made_up = number(rng);
        if !taken.contains(&made_up) {
            return made_up;
        }
    }
}

/// An E.164 number without its plus sign.
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
