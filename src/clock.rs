//! Timestamps and durations.
//!
//! [`Clock`] follows tokio's monotonic clock, which a test can pause, and adds the steps of the wall clock and the time in
//! which the machine is suspended. A step of the wall clock cannot make a latency negative.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use tokio::time::Instant;

/// A `Timestamp` counts milliseconds since 1970-01-01T00:00:00Z, the unit of a CDR's `time` \[doc\].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A `Timestamp` lies in the years 1970 to 9999.
    pub fn from_epoch_ms(ms: i64) -> Option<Self> {
        (0..=253_402_300_799_999).contains(&ms).then_some(Self(ms))
    }

    pub(crate) fn epoch_ms(self) -> i64 {
        self.0
    }

    /// `Timestamp::before` saturates at the epoch.
    pub(crate) fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)).max(0))
    }

    pub(crate) fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The local time of day. [`local_zone`] names the zone.
    pub(crate) fn time_of_day(self) -> impl fmt::Display {
        self.local().time().strftime("%H:%M:%S%.3f")
    }

    pub(crate) fn to_second(self) -> String {
        self.local().strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    fn local(self) -> jiff::ZonedDateTime {
        self.jiff().to_zoned_datetime(jiff::tz::TimeZone::system())
    }

    /// A `Timestamp` after jiff's last one, 26 hours before the end of the year 9999, is printed as jiff's last one.
    fn jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::MAX)
    }
}

/// The name and offset of the local time zone, `IST (+05:30)`; `None` if local times are UTC, unless because of an
/// unknown zone in `TZ`.
pub(crate) fn local_zone(at: Timestamp) -> Option<String> {
    let zone = std::env::var("TZ").unwrap_or_default();
    if !zone.is_empty() && jiff::tz::TimeZone::system().is_unknown() {
        return Some(format!("UTC: TZ={zone} is not a known time zone"));
    }
    let local = at.local();
    let is_utc = local.offset() == jiff::tz::Offset::UTC;
    (!is_utc).then(|| local.strftime("%Z (%:z)").to_string())
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A `Timestamp` is displayed as RFC 3339 in UTC with milliseconds: `2026-11-22T09:12:31.402Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.jiff())
    }
}

/// A `Timestamp` is read from RFC 3339 with any offset (`2026-11-22T09:00:00Z`) or from milliseconds since the epoch.
impl FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ms = match text.parse::<i64>() {
            Ok(seconds) if (1_000_000_000..100_000_000_000).contains(&seconds) => {
                return Err("looks like seconds; epoch milliseconds have 13 digits".to_owned());
            }
            Ok(ms) => ms,
            Err(_) => text
                .parse::<jiff::Timestamp>()
                .map_err(|_| "expected RFC 3339 like 2026-11-22T09:00:00Z, or epoch milliseconds")?
                .as_millisecond(),
        };
        Self::from_epoch_ms(ms).ok_or_else(|| "outside the years 1970 to 9999".to_owned())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Timestamp,
    started: Instant,
    /// The system's wall clock and monotonic clock at the start; a test cannot pause these.
    system: (Timestamp, std::time::Instant),
}

impl Clock {
    pub fn start() -> Self {
        let system = system_clocks();
        Self {
            wall: system.0,
            started: Instant::now(),
            system,
        }
    }

    #[cfg(test)]
    pub(crate) fn at(wall: Timestamp) -> Self {
        Self {
            wall,
            ..Self::start()
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let now = self.wall.after(self.elapsed());
        let (wall, steady) = system_clocks();
        let unstepped = self.system.0.after(steady.duration_since(self.system.1));
        // The system's clocks are read one after the other, so a difference below one second is no sign of a step.
        match wall.0 - unstepped.0 {
            -999..1_000 => now,
            step => Timestamp(now.0.saturating_add(step).max(0)),
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the system's clocks"
)]
fn system_clocks() -> (Timestamp, std::time::Instant) {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let wall = Timestamp(millis(since_epoch.unwrap_or_default()));
    (wall, std::time::Instant::now())
}

/// Durations are formatted as `340 µs`, `1.2 ms`, `340 ms`, `2.50 s` or `3 m 05 s`.
pub(crate) fn format_duration(span: Duration) -> String {
    let nanos = span.as_nanos();
    let seconds = span.as_secs_f64();
    if nanos < 1_000_000 {
        format!("{} µs", nanos / 1_000)
    } else if nanos < 99_500_000 {
        let tenths = (nanos + 50_000) / 100_000;
        format!("{}.{} ms", tenths / 10, tenths % 10)
    } else if nanos < 999_500_000 {
        format!("{} ms", (nanos + 500_000) / 1_000_000)
    } else if seconds < 59.995 {
        format!("{seconds:.2} s")
    } else {
        let whole = span.saturating_add(Duration::from_millis(500)).as_secs();
        format!("{} m {:02} s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspend_is_added_and_leaves_nothing_behind() {
        let clock = Clock::start();
        let now = |step: i64| {
            let system = (Timestamp(clock.wall.0 - step), clock.system.1);
            Clock { system, ..clock }.now()
        };
        let after = |suspended: i64| now(suspended).since(clock.wall);
        let hour = Duration::from_secs(3_600);
        assert!(after(0) < Duration::from_secs(60));
        assert!((hour..hour * 2).contains(&after(3_600_000)));
        assert!(after(900) < Duration::from_secs(60), "not a suspend");
        let back = now(-3_600_000);
        let step = clock.wall.since(back);
        assert!(step <= hour && step > hour / 2, "{back}");
        assert!(after(0) < Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_stands_still() {
        let clock = Clock::start();
        let began = clock.now();
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(clock.now(), began.after(Duration::from_secs(3_600)));
    }

    #[test]
    fn timestamps_are_read_and_written() {
        let documented: Timestamp = "1650628175336".parse().unwrap();
        assert_eq!(documented.to_string(), "2022-04-22T11:49:35.336Z");
        let offset: Timestamp = "2026-11-22T10:00:00+01:00".parse().unwrap();
        assert_eq!(offset.to_string(), "2026-11-22T09:00:00.000Z");
        assert!(
            "1795341600"
                .parse::<Timestamp>()
                .unwrap_err()
                .contains("looks like seconds")
        );
        assert!("-5".parse::<Timestamp>().is_err());
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn timestamps_are_printed_in_utc_to_the_end_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_007, "2000-02-29T00:00:00.007Z"),
            (i64::MAX, "9999-12-30T22:00:00.999Z"),
        ] {
            let timestamp = Timestamp(ms);
            assert_eq!(timestamp.to_string(), text);
            assert_eq!(timestamp.time_of_day().to_string(), text[11..23]);
            assert_eq!(
                timestamp.to_second(),
                format!("{} {} UTC", &text[..10], &text[11..19])
            );
        }
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
            assert_eq!(format_duration(span), text);
        }
    }
}
