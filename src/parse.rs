//! Parsers of flag values. A parser's error says which notation was expected.

use std::time::Duration;

use crate::json;
use crate::seed::Seed;

/// A size is a number with a unit (`64KiB`, `1MiB`, `500kB`), or plain bytes.
pub fn size(text: &str) -> Result<u64, String> {
    const WANTED: &str = "expected a size like 64KiB, 1MiB or a number of bytes";
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| WANTED)?;
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "kib" | "k" => 1 << 10,
        "mb" => 1_000_000,
        "mib" | "m" => 1 << 20,
        "gb" => 1_000_000_000,
        "gib" | "g" => 1 << 30,
        _ => return Err(WANTED.to_owned()),
    };
    let size = number.checked_mul(factor);
    size.ok_or_else(|| "too large".to_owned())
}

pub fn rate(text: &str) -> Result<f64, String> {
    const WANTED: &str = "expected a rate like 50/s or 300/m";
    let (number, unit) = text.split_once('/').ok_or(WANTED)?;
    let number: f64 = number.parse().map_err(|_| WANTED)?;
    let seconds = match unit {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(WANTED.to_owned()),
    };
    let rate = Some(number / seconds).filter(|rate| rate.is_finite() && *rate > 1e-6);
    rate.ok_or_else(|| "the rate must be greater than zero".to_owned())
}

/// `--speed 0.001` is the lowest speed, at which a call of one minute takes 17 hours.
const SLOWEST: f64 = 0.001;

/// The speed is the factor by which the gaps between a call's deliveries are shortened; `None` leaves the gaps out.
pub fn speed(text: &str) -> Result<Option<f64>, String> {
    let what = "expected a number of at least 0.001 (1 is real time), or max";
    match text.parse::<f64>() {
        _ if text == "max" => Ok(None),
        Ok(speed) if speed.is_finite() && speed >= SLOWEST => Ok(Some(speed)),
        _ => Err(what.to_owned()),
    }
}

pub fn share(text: &str) -> Result<f64, String> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse::<f64>(),
    };
    match share {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a share between 0 and 1, or 0% and 100%".to_owned()),
    }
}

/// A duration flag is limited to one year, so that adding the duration to an `Instant` cannot overflow.
const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A duration has units: `500ms`, `2s`, `1m30s`, `1.5h`. A bare number other than `0` is refused, because it could mean
/// seconds or milliseconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a number with a unit, like 500ms, 2s or 1m30s";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut seconds = 0.0;
    let mut rest = text.trim();
    loop {
        let (number, behind) = rest.split_at(rest.find(|c| !is_number(c)).unwrap_or(rest.len()));
        let (unit, next) = behind.split_at(behind.find(is_number).unwrap_or(behind.len()));
        let factor = match unit {
            "h" => 3_600.0,
            "m" | "min" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            _ => return Err(EXPECTED.to_owned()),
        };
        seconds += factor * number.parse::<f64>().map_err(|_| EXPECTED)?;
        if next.is_empty() {
            break;
        }
        rest = next;
    }
    if seconds > MAX_DURATION.as_secs_f64() {
        return Err("longer than a year, which is 8760h".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

pub fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("expected a duration greater than zero".to_owned()),
        some => Ok(some),
    }
}

/// Telephone numbers are E.164 digits without the leading plus sign, as TeleCMI writes them.
pub fn number(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let fits = (5..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| fits);
    number.ok_or_else(|| "expected 5 to 15 digits, country code first".to_owned())
}

pub fn extension(text: &str) -> Result<String, String> {
    let fits = (3..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.to_owned())
        .ok_or_else(|| "expected an extension of 3 to 6 digits".to_owned())
}

/// The text of `--extra-params` must be a JSON object, and is kept as it is written.
pub fn object(text: &str) -> Result<String, String> {
    match json::value(text) {
        Ok(serde_json::Value::Object(_)) => Ok(text.to_owned()),
        Ok(_) => {
            Err("expected a JSON object; --set-json extra_params=… sends anything else".to_owned())
        }
        Err(error) => Err(format!("expected a JSON object: {error}")),
    }
}

pub fn whole<T: TryFrom<u64>, const LEAST: u64, const MOST: u64>(text: &str) -> Result<T, String> {
    let is_allowed = |number: &u64| (LEAST..=MOST).contains(number);
    let number = text.parse().ok().filter(is_allowed);
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| match MOST {
        u64::MAX => format!("expected a whole number, {LEAST} or more"),
        most => format!("expected a whole number from {LEAST} to {most}"),
    })
}

pub fn count(text: &str) -> Result<u64, String> {
    whole::<_, 1, { u64::MAX }>(text)
}

pub fn port(text: &str) -> Result<u16, String> {
    whole::<_, 0, 65_535>(text)
}

pub fn seed(text: &str) -> Result<Seed, String> {
    whole::<_, 0, { u64::MAX }>(text).map(Seed)
}

pub fn status(text: &str) -> Result<u16, String> {
    let status = text.parse().ok();
    let status = status.filter(|status| (200..=599).contains(status));
    status.ok_or_else(|| "expected a status from 200 to 599".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_rates_and_shares_have_units() {
        assert_eq!(
            (size("1MiB"), size("64k"), size("12")),
            (Ok(1 << 20), Ok(64 << 10), Ok(12))
        );
        assert!(size("1.5MiB").is_err() && size("").is_err() && size("99999999999GiB").is_err());
        assert_eq!((rate("50/s"), rate("300/m")), (Ok(50.0), Ok(5.0)));
        assert!(rate("50").is_err() && rate("0/s").is_err() && rate("-1/s").is_err());
        assert_eq!((share("10%"), share("0.5")), (Ok(0.1), Ok(0.5)));
        assert!(share("2").is_err() && share("x").is_err());
        assert!(speed("0").is_err() && speed("1e-300").is_err() && speed("0.001").is_ok());
        assert!(speed("NaN").is_err() && speed("max") == Ok(None));
    }

    #[test]
    fn durations_need_units() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5h30m"), Ok(Duration::from_secs(7_200)));
        assert_eq!(duration(".5s"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for wrong in [
            "5", "", "s", "5x", "-1s", "1s2", "..s", "1.2.3s", "1ns", "1d", "1 hour", "1 s",
            "1h 30m", "1h,30m", "2s ago", "+1s", "1e3s", "1S", "00:00:05", "PT5S",
        ] {
            assert!(duration(wrong).is_err(), "{wrong:?} was read");
        }
    }

    #[test]
    fn durations_are_a_year_at_most() {
        assert_eq!(duration("8760h"), Ok(Duration::from_secs(31_536_000)));
        for long in ["8760h1s", "99999999999999h", "600000000000000000s"] {
            assert_eq!(
                duration(long),
                Err("longer than a year, which is 8760h".to_owned()),
                "{long}"
            );
        }
    }

    #[test]
    fn numbers_are_digits() {
        assert_eq!(number("+442079460001"), Ok(442_079_460_001));
        assert!(number("44 20").is_err() && number("1234567890123456").is_err());
        assert!(extension("12").is_err() && extension("202").is_ok());
        assert!(object("{}").is_ok() && object("[]").is_err());
    }
}
