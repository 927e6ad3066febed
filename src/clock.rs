//! Time: one reading of the wall clock, carried forward by tokio's monotonic clock.
//!
//! In: nothing but the machine's clocks. Out: [`Moment`]s for people and payloads, `Duration`s for measurements. Because
//! everything after the first reading follows tokio's clock, a test that pauses tokio's time pauses this one too, and a
//! clock stepped by the system cannot make a latency negative. Only what a monotonic clock sleeps through, because the
//! machine does, is added to a `Moment`.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tokio::time::Instant;

use crate::digits::number_into;

/// A point in time in milliseconds since 1970-01-01T00:00:00Z, the unit of a CDR's `time` \[doc\].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

impl Moment {
    /// The moment this many milliseconds after the epoch, if it lies in the years 1970 to 9999.
    #[must_use]
    pub fn from_epoch_ms(ms: i64) -> Option<Self> {
        (0..=END_OF_9999).contains(&ms).then_some(Self(ms))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn epoch_ms(self) -> i64 {
        self.0
    }

    /// This much earlier, but not before the epoch.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)).max(0))
    }

    /// This much later.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The time of day in UTC, `09:12:31.402`, for a person's eyes.
    #[must_use]
    pub fn time_of_day(self) -> String {
        String::from_utf8_lossy(&self.written()[11..23]).into_owned()
    }

    /// Date and time in UTC to the second, `2022-11-07 09:09:46 UTC`.
    #[must_use]
    pub fn to_second(self) -> String {
        let written = self.written();
        let [date, time] = [&written[..10], &written[11..19]].map(String::from_utf8_lossy);
        [&*date, " ", &*time, " UTC"].concat()
    }

    /// RFC 3339, digit by digit: it stands in every record, and a printer of formats takes ten times as long. What
    /// lies outside the years 1970 to 9999 is written as the nearest moment inside.
    fn written(self) -> [u8; 24] {
        let ms = self.0.clamp(0, END_OF_9999);
        let (year, month, day) = date(ms / MS_PER_DAY);
        // A day's milliseconds fit.
        let of_day = u32::try_from(ms % MS_PER_DAY).unwrap_or_default();
        let (seconds, millis) = (of_day / 1000, of_day % 1000);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let pairs = [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, seconds / 3600),
            (14, seconds / 60 % 60),
            (17, seconds % 60),
            (20, millis / 10),
        ];
        for (place, pair) in pairs {
            text[place] = digit(pair / 10);
            text[place + 1] = digit(pair % 10);
        }
        text[22] = digit(millis % 10);
        text
    }
}

/// A number below ten as a digit.
#[inline]
fn digit(number: u32) -> u8 {
    b'0' + number.to_le_bytes()[0]
}

/// The last millisecond that a [`Moment`] is made for.
const END_OF_9999: i64 = 253_402_300_799_999;

const MS_PER_DAY: i64 = 24 * 60 * 60 * 1000;

/// Year, month and day of so many days after the epoch. Years are counted from March here, so that the day a leap year
/// has more is its last, and eras of 400 years are all of one length.
fn date(days: i64) -> (u32, u32, u32) {
    /// From the first of March of the year 0 to the epoch.
    const BEFORE: u32 = 719_468;
    const ERA: u32 = 146_097;
    // Those of ten thousand years fit.
    let days = u32::try_from(days).unwrap_or_default();
    let (era, of_era) = ((days + BEFORE) / ERA, (days + BEFORE) % ERA);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // March is 0. Five months from there on have 153 days, wherever one begins.
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (year, month + 3)
    } else {
        (year + 1, month - 9)
    };
    (era * 400 + year, month, day)
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with milliseconds: `2026-11-22T09:12:31.402Z`.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.written()).unwrap_or_default())
    }
}

/// Reads RFC 3339 (`2026-11-22T09:00:00Z`, any offset) or milliseconds since the epoch.
impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ms = match text.parse::<i64>() {
            Ok(seconds) if (1_000_000_000..100_000_000_000).contains(&seconds) => {
                return Err("looks like seconds; epoch milliseconds have 13 digits".to_owned());
            }
            Ok(ms) => ms,
            Err(_) => match text.parse::<Timestamp>() {
                Ok(stamp) => stamp.as_millisecond(),
                Err(_) => {
                    return Err(
                        "expected RFC 3339 like 2026-11-22T09:00:00Z, or epoch milliseconds"
                            .to_owned(),
                    );
                }
            },
        };
        Self::from_epoch_ms(ms).ok_or_else(|| "outside the years 1970 to 9999".to_owned())
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.written()).unwrap_or_default())
    }
}

/// The wall clock, read when the program starts and carried forward by tokio's clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Moment,
    started: Instant,
    machine: Option<Machine>,
}

impl Clock {
    /// Reads the wall clock. Needs no runtime.
    #[must_use]
    pub fn start() -> Self {
        let machine = Machine::new(Reading::take());
        Self {
            machine: Some(machine),
            ..Self::at(machine.first.wall)
        }
    }

    /// A clock that reads `wall` now: for tests, whose time stands still.
    #[must_use]
    pub fn at(wall: Moment) -> Self {
        Self {
            wall,
            started: Instant::now(),
            machine: None,
        }
    }

    /// The time of day now.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.now_after(self.elapsed())
    }

    /// The time of day now, for those who have just asked how much time has passed.
    #[must_use]
    pub fn now_after(&self, elapsed: Duration) -> Moment {
        let slept = self
            .machine
            .map_or(Duration::ZERO, |machine| machine.slept(Reading::take()));
        self.wall.after(elapsed).after(slept)
    }

    /// Whether it follows the machine's clocks, rather than a test's.
    #[must_use]
    pub fn is_of_the_machine(&self) -> bool {
        self.machine.is_some()
    }

    /// Time since the clock was started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Both clocks of the machine. Neither is tokio's, so that a test that pauses that one is not taken for sleep.
#[derive(Debug, Clone, Copy)]
struct Reading {
    wall: Moment,
    monotonic: std::time::Instant,
}

impl Reading {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place where the machine's clocks are read"
    )]
    fn take() -> Self {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            wall: Moment(millis(since_epoch)),
            monotonic: std::time::Instant::now(),
        }
    }
}

/// A wall clock that is so much ahead has not merely been corrected: the machine has slept.
const SLEEP: Duration = Duration::from_secs(1);

/// What the machine's clocks have shown since the start.
#[derive(Debug, Clone, Copy)]
struct Machine {
    first: Reading,
    /// Milliseconds of sleep so far; they never become less. Kept for ever: a run has one clock, and copies share this.
    slept: &'static AtomicU64,
}

impl Machine {
    fn new(first: Reading) -> Self {
        Self {
            first,
            slept: Box::leak(Box::default()),
        }
    }

    /// How long the machine has slept since the start, by its clocks now.
    fn slept(self, now: Reading) -> Duration {
        let awake = now
            .monotonic
            .saturating_duration_since(self.first.monotonic);
        let ahead = now.wall.since(self.first.wall.after(awake));
        let known = Duration::from_millis(self.slept.load(Ordering::Relaxed));
        if ahead <= known + SLEEP {
            return known;
        }
        let ahead = u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.slept.fetch_max(ahead, Ordering::Relaxed).max(ahead))
    }
}

/// A duration as people write it: `340 µs`, `1.2 ms`, `2.50 s`, `3 m 05 s`.
#[must_use]
pub fn humane(span: Duration) -> String {
    let mut out = String::new();
    humane_into(&mut out, span);
    out
}

/// The same, at the end of a text: in whole numbers, since one stands in every line.
pub fn humane_into(out: &mut String, span: Duration) {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let rounded = |unit: u64| nanos.saturating_add(unit / 2) / unit;
    if nanos < 1_000_000 {
        number_into(out, nanos / 1_000);
        out.push_str(" µs");
    } else if nanos < 99_500_000 {
        let tenths = rounded(100_000);
        number_into(out, tenths / 10);
        out.push('.');
        number_into(out, tenths % 10);
        out.push_str(" ms");
    } else if nanos < 999_500_000 {
        number_into(out, rounded(1_000_000));
        out.push_str(" ms");
    } else {
        out.push_str(&long(span));
    }
}

/// What takes about a second or more.
fn long(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds < 59.995 {
        format!("{seconds:.2} s")
    } else {
        let whole = span.saturating_add(Duration::from_millis(500)).as_secs();
        format!("{} m {:02} s", whole / 60, whole % 60)
    }
}

/// The longest duration that can be asked for. Nobody means more, and points in time can bear this much.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Reads a duration with units: `500ms`, `2s`, `1m30s`, `1.5h`.
///
/// A bare number is refused, because nobody can know whether it means seconds or milliseconds; `0` is the exception.
pub fn read_duration(text: &str) -> Result<Duration, String> {
    const UNITS: &str = "expected a number with a unit, like 500ms, 2s or 1m30s";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = 0.0_f64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(UNITS.to_owned());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or(UNITS)?;
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let number: f64 = number.parse().map_err(|_| UNITS)?;
        total += number
            * match unit {
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" | "min" => 60.0,
                "h" => 3600.0,
                _ => return Err(UNITS.to_owned()),
            };
        rest = next;
    }
    Duration::try_from_secs_f64(total)
        .ok()
        .filter(|span| *span <= LONGEST)
        .ok_or_else(|| "longer than a year, which is 8760h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_units() {
        assert_eq!(read_duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(read_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(read_duration("0"), Ok(Duration::ZERO));
        for wrong in ["5", "", "s", "5x", "-1s", "1s2", "..s"] {
            assert!(read_duration(wrong).is_err(), "{wrong:?} was read");
        }
    }

    #[test]
    fn durations_are_a_year_at_most() {
        assert_eq!(read_duration("8760h"), Ok(Duration::from_secs(31_536_000)));
        for long in ["8760h1s", "99999999999999h", "600000000000000000s"] {
            assert_eq!(
                read_duration(long),
                Err("longer than a year, which is 8760h".to_owned()),
                "{long}"
            );
        }
    }

    #[test]
    fn what_the_machine_sleeps_through_is_added_and_never_taken_back() {
        let first = Reading::take();
        let machine = Machine::new(first);
        let seconds = Duration::from_secs;
        for (awake, wall, slept) in [
            (10, 10, 0),
            // Set a little, as the network does, or put back.
            (20, 21, 0),
            (30, 2, 0),
            // An hour.
            (40, 3_640, 3_600),
            (50, 3_651, 3_600),
            (60, 60, 3_600),
            // And two more.
            (70, 10_870, 10_800),
        ] {
            let now = Reading {
                wall: first.wall.after(seconds(wall)),
                monotonic: first.monotonic + seconds(awake),
            };
            assert_eq!(machine.slept(now), seconds(slept), "{awake} s later");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_stands_still() {
        let clock = Clock::start();
        let began = clock.now();
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(clock.now(), began.after(Duration::from_secs(3_600)));
        // The same where the machine has seen something else.
        let slept = Clock {
            machine: Some(Machine::new(Reading {
                wall: Moment(0),
                ..Reading::take()
            })),
            ..clock
        };
        assert!(slept.now() > clock.now());
    }

    #[test]
    fn moments_are_read_and_written() {
        let documented: Moment = "1650628175336".parse().unwrap();
        assert_eq!(documented.to_string(), "2022-04-22T11:49:35.336Z");
        let offset: Moment = "2026-11-22T10:00:00+01:00".parse().unwrap();
        assert_eq!(offset.to_string(), "2026-11-22T09:00:00.000Z");
        assert!(
            "1795341600"
                .parse::<Moment>()
                .unwrap_err()
                .contains("looks like seconds")
        );
        assert!("-5".parse::<Moment>().is_err());
        assert!("yesterday".parse::<Moment>().is_err());
    }

    /// Against the calendar of a library, which ends a day earlier.
    #[test]
    fn every_day_is_written_as_the_calendar_has_it() {
        const LAST_DAY: i64 = 2_932_895;
        for day in 0..LAST_DAY {
            let ms = day * MS_PER_DAY + day * 7_919 % MS_PER_DAY;
            let stamp = Timestamp::from_millisecond(ms).unwrap();
            let moment = Moment(ms);
            // A printer for every day would take a second.
            if day % 97 == 0 || matches!(date(day), (_, 2, 28..) | (_, 3 | 1, 1) | (_, 12, 31)) {
                assert_eq!(
                    moment.to_string(),
                    stamp.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
                );
                assert_eq!(
                    moment.time_of_day(),
                    stamp.strftime("%H:%M:%S%.3f").to_string()
                );
                assert_eq!(
                    moment.to_second(),
                    stamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
                );
            }
        }
        assert_eq!(Moment(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn spans_read_well() {
        for (span, text) in [
            (Duration::from_micros(340), "340 µs"),
            (Duration::from_nanos(999_999), "999 µs"),
            (Duration::from_micros(1_234), "1.2 ms"),
            (Duration::from_micros(99_499), "99.5 ms"),
            (Duration::from_micros(99_500), "100 ms"),
            (Duration::from_millis(340), "340 ms"),
            (Duration::from_micros(999_499), "999 ms"),
            (Duration::from_micros(999_500), "1.00 s"),
            (Duration::from_millis(2_500), "2.50 s"),
            (Duration::from_millis(59_994), "59.99 s"),
            (Duration::from_millis(59_996), "1 m 00 s"),
            (Duration::from_millis(119_700), "2 m 00 s"),
            (Duration::from_secs(185), "3 m 05 s"),
            (Duration::MAX, "307445734561825860 m 15 s"),
        ] {
            assert_eq!(humane(span), text);
        }
    }
}
