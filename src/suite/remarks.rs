//! Notes what is remarkable about a handler and fails no run.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::verdict::{Expects, Observed};
use super::{Case, Family};
use crate::clock::format_duration;
use crate::net::Response;
use crate::reply::is_html_document;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    pub text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<&'static str>,
}

impl Remark {
    pub fn of_run(text: String) -> Self {
        let cases = Vec::new();
        Self { text, cases }
    }
}

/// The latencies of this many good CDRs are compared, from the beginning and from the end of a run.
const COMPARED: usize = 10;

/// A handler is remarked as slow if a good CDR takes this long.
const SLOW: Duration = Duration::from_secs(1);

/// A handler has become slower if the latency has grown by this factor and by this much.
const GROWTH: (u32, Duration) = (4, Duration::from_millis(50));

#[derive(Debug, Default)]
pub struct Remarks {
    /// The responses of the two probes and of a GET without parameters.
    post: Option<Response>,
    get: Option<Response>,
    bare_get: Option<Response>,
    errors_in_2xx: Vec<&'static str>,
    refused_samples: Vec<&'static str>,
    tolerated: Vec<&'static str>,
    good_latencies: Vec<Duration>,
}

impl Remarks {
    pub fn note_latency(&mut self, latency: Duration) {
        self.good_latencies.push(latency);
    }

    pub fn note(&mut self, case: &Case, expects: Expects, observed: &[Observed]) {
        let mut responses = observed.iter().filter_map(|one| one.answer.as_ref().ok());
        let response = responses.clone().next();
        match case.name {
            "post-is-accepted" => self.post = response.cloned(),
            "get-is-accepted" => self.get = response.cloned(),
            "get-without-parameters" => self.bare_get = response.cloned(),
            _ => {}
        }
        let has_error = responses.clone().any(|one| is_2xx(one) && tells_error(one));
        if case.family != Family::Survives && has_error {
            self.errors_in_2xx.push(case.name);
        }
        if expects == Expects::Sample && !observed.iter().all(Observed::accepted) {
            self.refused_samples.push(case.name);
        } else if case.family == Family::Tolerant
            && expects == Expects::Answered
            && responses.any(|one| (400..500).contains(&one.status))
        {
            self.tolerated.push(case.name);
        }
    }

    pub fn list(self) -> Vec<Remark> {
        let same =
            |one: &Response, other: &Response| one.status == other.status && one.body == other.body;
        let answers = self.post.as_ref().zip(self.get.as_ref());
        let swallows = answers.zip(self.bare_get.as_ref());
        let swallows = swallows
            .filter(|((post, get), bare)| is_2xx(get) && same(get, bare) && !same(get, post));
        let swallowed = swallows.map(|_| "get-is-accepted");
        let count = self.tolerated.len();
        let tolerated = format!(
            "{count} of the forms that TeleCMI is not known to send are refused, which is tolerated"
        );
        #[rustfmt::skip]
        let remarks = [
            (swallowed.into_iter().collect(), "GET with a CDR is answered as GET without one, and unlike POST: if GET is a health check, it swallows CDRs"),
            (self.errors_in_2xx, "a 2xx tells of an error in its body (ok or success is false, status is error, a code of 400 or more, or an HTML page, such as a login): TeleCMI takes it for delivered"),
            (self.refused_samples, "the samples of TeleCMI's page are refused as they are printed, which is right if the handler checks the appid, custom or the age of a call"),
            (self.tolerated, tolerated.as_str()),
        ];
        let remarks = remarks.into_iter().filter(|(cases, _)| !cases.is_empty());
        let remark = |(cases, text): (Vec<_>, &str)| Remark {
            text: text.to_owned(),
            cases,
        };
        let latency = about_latency(&self.good_latencies);
        let latency = latency.map(Remark::of_run);
        remarks.map(remark).chain(latency).collect()
    }
}

fn is_2xx(response: &Response) -> bool {
    (200..300).contains(&response.status)
}

fn tells_error(response: &Response) -> bool {
    let says_failure = |value: &Value| {
        let is_error = value["code"].as_u64().is_some_and(|code| code >= 400);
        let is_text = |name| value[name].as_str().is_some_and(|text| !text.is_empty());
        let has_failed = matches!(value["status"].as_str(), Some("error" | "fail" | "failed"));
        value["ok"] == false
            || value["success"] == false
            || is_error
            || has_failed
            || is_text("error")
    };
    match serde_json::from_slice::<Value>(&response.decoded().unwrap_or_default()) {
        Ok(json) => {
            let mut places = [&json, &json["message"], &json["error"]].into_iter();
            places.any(says_failure)
        }
        Err(_) => is_html_document(response),
    }
}

fn about_latency(latencies: &[Duration]) -> Option<String> {
    let median = |latencies: &[Duration]| {
        let mut sorted = latencies.to_vec();
        sorted.sort();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    };
    if latencies.len() < 2 * COMPARED {
        return None;
    }
    let start = median(&latencies[..COMPARED]);
    let end = median(&latencies[latencies.len() - COMPARED..]);
    let (begun, ended) = (format_duration(start), format_duration(end));
    if end > start * GROWTH.0 && end > start + GROWTH.1 {
        return Some(format!(
            "a good CDR took {begun} at the start and {ended} at the end: something grows with each delivery"
        ));
    }
    (start >= SLOW).then(|| format!("a good CDR takes {begun}: TeleCMI's timeout is not known, so answer first and work afterwards"))
}
