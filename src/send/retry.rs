//! Retries of a delivery: after which results, and after which waits.

use std::time::{Duration, SystemTime};

use rand::RngExt as _;

use crate::clock::Timestamp;
use crate::net::{self, Failure, FailureKind, Response};
use crate::parse;
use crate::seed::{Seed, Stream};

#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct RetryPolicy {
    /// Number of retries of a delivery, after no answer, 408, 425, 429, 500, 502, 503 or 504
    #[arg(id = "retry", long = "retry", value_name = "N", default_value_t = 0, value_parser = parse::whole::<u32, 0, 100>)]
    pub retries: u32,
    /// Wait before the first retry; doubled for each further retry up to 5m, shortened at random by up to half. Retry-After is obeyed
    #[arg(id = "retry_interval", long = "retry-interval", value_name = "D", default_value = "1s", value_parser = parse::duration)]
    pub interval: Duration,
    /// Maximum wait that Retry-After may ask for; a longer one is shortened to this
    #[arg(long, value_name = "D", default_value = "60s", value_parser = parse::duration)]
    pub retry_after_max: Duration,
    /// Wait before each attempt, the first included, as a list; PIOPIY documents 0s,5m,10m,15m. In real time unless
    /// --speed is given; Retry-After is ignored
    #[arg(id = "retry_schedule", long = "retry-schedule", value_name = "D", value_delimiter = ',', value_parser = parse::duration,
          conflicts_with_all = ["retry", "retry_interval", "race"])]
    pub schedule: Vec<Duration>,
}

/// Doubling does not make the wait between two attempts longer.
const MAX_WAIT: Duration = Duration::from_secs(300);

impl RetryPolicy {
    /// The wait before retry `attempt`, counted from one, of delivery `n`. A jitter of 50 to 100 % keeps many senders
    /// from retrying at once.
    pub(super) fn wait(&self, seed: Seed, n: u64, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
        let most = MAX_WAIT.max(self.interval);
        let doubled = self.interval.saturating_mul(factor).min(most);
        let stream = n * 64 + u64::from(attempt.min(63));
        let mut rng = seed.rng(Stream::Retry, stream);
        doubled.mul_f64(rng.random_range(0.5..=1.0))
    }
}

/// Returns whether a retry may help: after a temporary status, and after failures other than redirects and TLS errors.
pub(super) fn is_temporary(result: &Result<Response, Failure>) -> bool {
    match result {
        Ok(response) => matches!(response.status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
        Err(failure) => !matches!(failure.kind, FailureKind::Redirect | FailureKind::Tls),
    }
}

/// The wait that `Retry-After` states in seconds or as a date (RFC 9110, section 10.2.3). A date counts from the
/// response's own `Date`, because the clocks may differ.
pub(super) fn retry_after(result: &Result<Response, Failure>, now: Timestamp) -> Option<Duration> {
    let response = result.as_ref().ok()?;
    let value = net::header(&response.headers, "retry-after")?;
    let value = value.trim().trim_matches('"');
    if value.starts_with(|c: char| c.is_ascii_digit()) {
        let seconds = value.split([',', ';']).next()?.trim().parse().ok()?;
        return Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    }
    // Dates of mail end in an offset, dates of HTTP in `GMT`.
    let parsed = |date: &str| httpdate::parse_http_date(&date.replace("+0000", "GMT")).ok();
    let until = parsed(value)?;
    let date = net::header(&response.headers, "date").and_then(|date| parsed(&date));
    let since_epoch = Duration::from_millis(u64::try_from(now.epoch_ms()).unwrap_or(0));
    let from = date.unwrap_or(SystemTime::UNIX_EPOCH + since_epoch);
    Some(until.duration_since(from).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Header;

    #[test]
    fn the_wait_is_read_in_each_form_that_servers_write() {
        for (value, seconds) in [
            ("7", Some(7.0)),
            (" 07 ", Some(7.0)),
            ("1.5", Some(1.5)),
            ("\"7\"", Some(7.0)),
            ("7, 9", Some(7.0)),
            ("7; comment=busy", Some(7.0)),
            ("Mon, 30 Nov 2026 09:00:07 GMT", Some(7.0)),
            ("Mon, 30 Nov 2026 09:00:07 +0000", Some(7.0)),
            ("Monday, 30-Nov-26 09:00:07 GMT", Some(7.0)),
            ("Mon Nov 30 09:00:07 2026", Some(7.0)),
            ("Mon, 30 Nov 2026 08:00:00 GMT", Some(0.0)),
            ("-5", None),
            ("7s", None),
            ("inf", None),
            ("soon", None),
            ("", None),
        ] {
            let headers = vec![
                Header::new("Date", "Mon, 30 Nov 2026 09:00:00 GMT"),
                Header::new("Retry-After", value),
            ];
            let wait = retry_after(
                &Ok(Response::new(503, headers, "")),
                Timestamp::from_epoch_ms(0).unwrap(),
            );
            assert_eq!(wait.map(|wait| wait.as_secs_f64()), seconds, "{value}");
        }
    }
}
