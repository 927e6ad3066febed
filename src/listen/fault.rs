//! Implements `--fault` and `--delay`: seed and request number decide which requests get a fault and how long each
//! answer is delayed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::RngExt as _;

use crate::parse;
use crate::seed::{Seed, Stream};

/// A delay is fixed if both bounds are equal, else uniformly random between the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delay {
    least: Duration,
    most: Duration,
}

impl Delay {
    pub(crate) fn is_random(self) -> bool {
        self.least != self.most
    }

    pub(crate) fn of(self, n: u64, seed: Seed) -> Duration {
        let share = seed.rng(Stream::Delay, n).random_range(0.0..=1.0);
        self.least + self.most.saturating_sub(self.least).mul_f64(share)
    }
}

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let (least, most) = (parse::duration(least)?, parse::duration(most)?);
        if least > most {
            return Err("the first duration is longer than the second".to_owned());
        }
        Ok(Self { least, most })
    }
}

/// All faults but `Status` end the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Status(u16),
    Reset,
    /// The server closes the connection without an answer (FIN).
    Empty,
    /// The server sends no answer. The connection stays open until the client closes, the server needs the slot, or the
    /// server stops.
    Hang,
    /// The server writes the regular answer in small pieces, with pauses between them.
    Slow,
    Garbage,
}

/// The default fault is 503, which most proxies answer while their upstream restarts.
impl Default for Fault {
    fn default() -> Self {
        Self::Status(503)
    }
}

impl Fault {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Reset => "reset",
            Self::Empty => "empty",
            Self::Hang => "hang",
            Self::Slow => "slow",
            Self::Garbage => "garbage",
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        use Fault::{Empty, Garbage, Hang, Reset, Slow};
        if let Some(status) = text.strip_prefix("status:") {
            let status = status.parse().ok();
            let status = status.filter(|status| (300..=599).contains(status));
            let fault = status.map(Self::Status);
            return Ok(fault.ok_or("expected a status from 300 to 599")?);
        }
        let mut kinds = [Self::default(), Reset, Empty, Hang, Slow, Garbage].into_iter();
        let kind = kinds.find(|kind| kind.word() == text);
        Ok(kind.ok_or("expected status, status:NNN, reset, empty, hang, slow or garbage")?)
    }
}

/// Selects requests for a fault by number and chance. Requests with an HTTP error are counted but get no fault.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Faults {
    pub fault: Fault,
    /// The number of requests at the beginning of a run that all get the fault (`--fail-first`).
    pub first: u64,
    /// The probability of the fault for each request after the first `first` requests (`--fault-rate`).
    pub rate: f64,
}

impl Faults {
    pub(crate) fn for_request(&self, n: u64, seed: Seed) -> Option<Fault> {
        let by_chance = || seed.rng(Stream::Fault, n).random_range(0.0..1.0) < self.rate;
        (n <= self.first || (self.rate > 0.0 && by_chance())).then_some(self.fault)
    }

    pub(crate) fn are_off(&self) -> bool {
        self.first == 0 && self.rate <= 0.0
    }

    pub(crate) fn is_random(&self) -> bool {
        self.rate > 0.0 && self.rate < 1.0
    }
}

/// The text of `--fault` in the startup notes, such as `the first 2 requests, and 10 % of the others by chance: reset`.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = match self.first {
            1 => "the first request".to_owned(),
            n => format!("the first {n} requests"),
        };
        let percent = (self.rate * 1e6).round() / 1e4;
        let fault = match self.fault {
            Fault::Status(status) => format!("status {status}"),
            other => other.word().to_owned(),
        };
        match (self.first, self.rate) {
            (_, 1.0..) => write!(f, "every request: {fault}"),
            (0, 0.0) => f.write_str("none"),
            (0, _) => write!(f, "{percent} % of the requests, by chance: {fault}"),
            (_, 0.0) => write!(f, "{first}: {fault}"),
            _ => write!(
                f,
                "{first}, and {percent} % of the others by chance: {fault}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::server::Reply;
    use crate::net::Response;

    fn pattern(faults: Faults, seed: u64) -> String {
        (1..=20)
            .map(|n| {
                if faults.for_request(n, Seed(seed)).is_some() {
                    '✗'
                } else {
                    '·'
                }
            })
            .collect()
    }

    #[test]
    fn the_first_fail_surely_and_the_others_by_chance() {
        let faults = |first, rate| Faults {
            fault: Fault::Reset,
            first,
            rate,
        };
        assert_eq!(pattern(faults(3, 0.0), 1), "✗✗✗·················");
        assert_eq!(pattern(faults(0, 1.0), 1), "✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗");
        assert_eq!(pattern(Faults::default(), 1), "····················");
        // These snapshots pin the random sequence: a seed must select the same requests in later versions.
        insta::assert_snapshot!(pattern(faults(0, 0.5), 7), @"✗✗✗✗·✗·✗·✗✗··✗✗✗·✗✗·");
        insta::assert_snapshot!(pattern(faults(4, 0.5), 8), @"✗✗✗✗✗✗✗·✗···✗···✗·✗✗");
        assert_ne!(pattern(faults(0, 0.5), 7), pattern(faults(0, 0.5), 8));
        assert_eq!(Faults::default().for_request(1, Seed(1)), None);
    }

    #[test]
    fn what_chance_decides_holds_on_average() {
        let faults = Faults {
            rate: 0.1,
            ..Faults::default()
        };
        let struck = (1..=10_000)
            .filter(|n| faults.for_request(*n, Seed(3)).is_some())
            .count();
        assert!((900..1_100).contains(&struck), "{struck}");
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for (text, fault) in [
            ("status", Fault::Status(503)),
            ("status:429", Fault::Status(429)),
            ("reset", Fault::Reset),
            ("empty", Fault::Empty),
            ("hang", Fault::Hang),
            ("slow", Fault::Slow),
            ("garbage", Fault::Garbage),
        ] {
            assert_eq!(text.parse(), Ok(fault));
            assert_eq!(fault.word(), text.split(':').next().unwrap());
        }
        for text in ["", "Reset", "status:", "status:200", "status:600", "503"] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_fails_is_said_in_words() {
        let said = |first, rate, fault| Faults { fault, first, rate }.to_string();
        assert_eq!(
            said(2, 0.0, Fault::default()),
            "the first 2 requests: status 503"
        );
        assert_eq!(said(0, 1.0, Fault::Hang), "every request: hang");
        assert_eq!(
            said(0, 0.07, Fault::Reset),
            "7 % of the requests, by chance: reset"
        );
        assert_eq!(
            said(1, 0.25, Fault::Slow),
            "the first request, and 25 % of the others by chance: slow"
        );
        assert_eq!(Faults::default().to_string(), "none");
    }

    #[test]
    fn a_fault_is_told_with_the_status_that_the_sender_sees() {
        let decided = Response::new(200, vec![], "got it");
        let status = |fault: Fault| Reply::new(decided.clone(), Some(fault)).status();
        assert_eq!(status(Fault::Status(429)), Some(429));
        assert_eq!(
            (status(Fault::Slow), status(Fault::Hang)),
            (Some(200), None)
        );
        assert_eq!(Fault::Garbage.word(), "garbage");
    }
}
