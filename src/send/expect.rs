//! Decides by status, latency and body whether the answer to a delivery counts as success.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use hyper::StatusCode;

use crate::clock::format_duration;
use crate::net::{Failure, Response};
use crate::parse;

/// A list of HTTP status codes: `2xx`, `200,204`, `200-299`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses {
    ranges: Vec<RangeInclusive<u16>>,
    text: String,
}

impl Statuses {
    pub fn include(&self, status: u16) -> bool {
        self.ranges.iter().any(|range| range.contains(&status))
    }
}

/// The default of `--expect-status` is any 2xx: TeleCMI's own examples answer 200 and 204. \[doc by example\]
impl Default for Statuses {
    fn default() -> Self {
        Self {
            ranges: vec![200..=299],
            text: "2xx".to_owned(),
        }
    }
}

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const WANTED: &str = "expected statuses like 2xx, 200,204 or 200-299";
        let is_status = |status: &u16| (100..=599).contains(status);
        let status = |text: &str| text.parse().ok().filter(is_status);
        let range = |part: &str| -> Option<RangeInclusive<u16>> {
            if let Some(hundreds) = part.strip_suffix("xx") {
                let first: u16 = status(&format!("{hundreds}00"))?;
                return (hundreds.len() == 1).then_some(first..=first + 99);
            }
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (status(first)?, status(last)?);
            (first <= last).then_some(first..=last)
        };
        let ranges: Option<Vec<_>> = text.split(',').map(|part| range(part.trim())).collect();
        let text = text.replace(' ', "");
        let statuses = ranges.map(|ranges| Self { ranges, text });
        statuses.ok_or_else(|| WANTED.to_owned())
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Expectation {
    /// Statuses that count as success, such as 2xx or 200,204 or 200-299
    #[arg(id = "expect_status", long = "expect-status")]
    #[arg(value_name = "LIST", default_value = "2xx")]
    pub statuses: Statuses,
    /// Text that the body of each answer must contain
    #[arg(id = "expect_body", long = "expect-body", value_name = "TEXT")]
    pub body: Option<String>,
    /// Maximum time for an answer, such as 2s; a slower answer fails the delivery
    #[arg(long, value_name = "D", value_parser = parse::some_time)]
    pub max_latency: Option<Duration>,
    /// With --method both: fail if the answers to POST and GET differ in status or body
    #[arg(long, conflicts_with_all = ["shuffle", "late"])]
    pub compare: bool,
}

impl Expectation {
    pub fn check(&self, result: &Result<Response, Failure>, latency: Duration) -> Option<String> {
        let response = match result {
            Ok(response) => response,
            Err(failure) => return Some(failure.text.clone()),
        };
        if !self.statuses.include(response.status) {
            let answered = format!("answered {}", status_words(response.status));
            return Some(match &self.statuses {
                usual if *usual == Statuses::default() => answered,
                statuses => format!("{answered}, expected {statuses}"),
            });
        }
        if let Some(text) = &self.body {
            match response.decoded() {
                Ok(body) if String::from_utf8_lossy(&body).contains(text) => {}
                Ok(_) => return Some(format!("the answer does not contain `{text}`")),
                Err(names) => {
                    return Some(format!(
                        "the answer is compressed ({names}), so `{text}` cannot be found: ask for Accept-Encoding: gzip or none"
                    ));
                }
            }
        }
        match self.max_latency {
            Some(most) if latency > most => Some(format!(
                "took {}, more than the allowed {}",
                format_duration(latency),
                format_duration(most)
            )),
            _ => None,
        }
    }
}

pub fn status_words(status: u16) -> String {
    let known = StatusCode::from_u16(status).ok();
    let reason = known.and_then(|known| known.canonical_reason());
    match (status, reason) {
        // RFC 9110 renamed statuses 413 and 422; the `http` crate has the older names.
        (413, _) => "413 Content Too Large".to_owned(),
        (422, _) => "422 Unprocessable Content".to_owned(),
        (_, Some(reason)) => format!("{status} {reason}"),
        (_, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read() {
        let list: Statuses = "2xx, 404,410-412".parse().unwrap();
        assert_eq!(list.to_string(), "2xx,404,410-412");
        for (status, included) in [
            (200, true),
            (299, true),
            (300, false),
            (404, true),
            (411, true),
            (413, false),
        ] {
            assert_eq!(list.include(status), included, "{status}");
        }
        for wrong in ["", "ok", "20x", "22xx", "299-200", "99", "200,", "600"] {
            assert!(wrong.parse::<Statuses>().is_err(), "{wrong:?} was read");
        }
    }

    #[test]
    fn a_mismatch_says_why() {
        let expectation = Expectation {
            body: Some("got it".to_owned()),
            max_latency: Some(Duration::from_millis(100)),
            ..Expectation::default()
        };
        let why = |status, body: &'static str, ms| {
            expectation.check(
                &Ok(Response::new(status, vec![], body)),
                Duration::from_millis(ms),
            )
        };
        assert_eq!(why(200, "I got it", 100), None);
        assert_eq!(why(404, "got it", 1).unwrap(), "answered 404 Not Found");
        assert_eq!(
            why(200, "no", 1).unwrap(),
            "the answer does not contain `got it`"
        );
        assert_eq!(
            why(200, "got it", 250).unwrap(),
            "took 250 ms, more than the allowed 100 ms"
        );
    }
}
