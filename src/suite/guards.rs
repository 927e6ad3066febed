//! `--guard`: good CDRs with the handler's secret wrong, empty and missing, which must be refused.

use std::str::FromStr;

use serde_json::Value;

use super::CaseDelivery::Forged;
use super::CaseMethod::{Get, Post};
use super::cases::GOOD;
use super::verdict::Observed;
use super::{Case, CaseMethod, Family};
use crate::cdr::Fields;
use crate::cdr::Grade::Hostile;
use crate::net::query::{self, Encoding};
use crate::net::{Destination, Header, Request};
use crate::send::edit::{Edit, edit_object, edit_pairs};

/// The place of the secret that the handler checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    Query(String),
    /// The secret is the last segment of the URL's path.
    Path,
    /// A field of the CDR.
    Field(&'static str),
    Header(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgery {
    Wrong,
    Empty,
    Missing,
}

const WRONG: &str = "Anybody who finds the URL can guess at its secret; handlers that look whether there is one, or compare its \
     beginning, take any.";
const EMPTY: &str = "An empty secret passes a comparison with an unset variable, and every test by startsWith; it must be refused.";
const MISSING: &str = "A request without the secret passes checks of the form \"if there is one, compare it\"; it must be refused.";

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Family::Guard.case("guard-wrong", Hostile, Post, GOOD, Forged(Forgery::Wrong), WRONG),
    Family::Guard.case("guard-empty", Hostile, Post, GOOD, Forged(Forgery::Empty), EMPTY),
    Family::Guard.case("guard-missing", Hostile, Post, GOOD, Forged(Forgery::Missing), MISSING),
    Family::Guard.case("get-guard-wrong", Hostile, Get, GOOD, Forged(Forgery::Wrong), WRONG),
    Family::Guard.case("get-guard-empty", Hostile, Get, GOOD, Forged(Forgery::Empty), EMPTY),
    Family::Guard.case("get-guard-missing", Hostile, Get, GOOD, Forged(Forgery::Missing), MISSING),
];

impl FromStr for Guard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("query", name) if !name.is_empty() => Ok(Self::Query(name.to_owned())),
            ("header", name) if !name.is_empty() => Ok(Self::Header(name.to_owned())),
            _ if text == "path" => Ok(Self::Path),
            _ if text == "custom" => Ok(Self::Field("custom")),
            _ if text == "appid" => Ok(Self::Field("appid")),
            _ => Err("expected query:NAME, path, custom, appid or header:NAME".to_owned()),
        }
    }
}

impl Guard {
    /// A secret that the good CDRs do not have cannot be changed.
    pub fn check(&self, destination: &Destination, headers: &[Header]) -> Result<(), String> {
        let target = destination.target();
        let query = target.split_once('?').unwrap_or_default().1;
        let parameters = query::decode(query).pairs;
        let what = match self {
            Self::Query(name) if !parameters.iter().any(|(own, _)| own == name) => {
                format!("query:{name}: the URL has no parameter {name}")
            }
            Self::Path if segments(target).1.is_empty() => "path: the URL has no path".to_owned(),
            Self::Header(name) if !headers.iter().any(|header| header.is(name)) => {
                format!("header:{name}: add the right one by -H '{name}: …'")
            }
            _ => return Ok(()),
        };
        Err(format!("--guard {what}"))
    }

    pub(super) fn forge(&self, request: &mut Request, forgery: Forgery) {
        match self {
            Self::Query(name) => in_query(request, name, forgery),
            Self::Path => {
                let (before, secret, query) = segments(&request.target);
                request.target = match forged(secret, forgery) {
                    None if !before.is_empty() => format!("{before}{query}"),
                    secret => format!("{before}/{}{query}", secret.unwrap_or_default()),
                };
            }
            Self::Field(name) if request.method == "GET" => in_query(request, name, forgery),
            Self::Field(name) => in_body(request, name, forgery),
            Self::Header(name) => {
                for header in request.headers.iter_mut().filter(|header| header.is(name)) {
                    let value = forged(&header.text(), forgery);
                    header.value = value.unwrap_or_default().into();
                }
                let is_kept = |header: &Header| forgery != Forgery::Missing || !header.is(name);
                request.headers.retain(is_kept);
            }
        }
    }

    fn words(&self, forgery: Forgery) -> String {
        let what = match self {
            Self::Query(name) => &format!("?{name}="),
            Self::Path => "last part of the path",
            Self::Field(name) => name,
            Self::Header(name) => name,
        };
        match forgery {
            Forgery::Wrong => format!("with another {what}"),
            Forgery::Empty => format!("with an empty {what}"),
            Forgery::Missing if *self == Self::Path => format!("without the {what}"),
            Forgery::Missing => format!("without {what}"),
        }
    }
}

/// Names the forged requests that were accepted; `observed` is in the order of `guards`.
pub(super) fn taken(
    guards: &[Guard],
    forgery: Forgery,
    method: CaseMethod,
    observed: &[Observed],
) -> Option<String> {
    let pairs = guards.iter().zip(observed);
    let taken = pairs.filter(|(_, observed)| observed.accepted());
    let words: Vec<_> = taken.map(|(guard, _)| guard.words(forgery)).collect();
    let is_get = method == CaseMethod::Get;
    let by = if is_get { " by GET" } else { "" };
    (!words.is_empty()).then(|| format!("taken{by} {}", words.join(", and ")))
}

/// Splits a target into what precedes the last segment of its path, that segment, and the query.
fn segments(target: &str) -> (&str, &str, &str) {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let path = path.trim_end_matches('/');
    let (before, last) = path.rsplit_once('/').unwrap_or_default();
    (before, last, query)
}

fn in_query(request: &mut Request, name: &str, forgery: Forgery) {
    let target = &request.target;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query::decode(query).pairs;
    let Some((_, own)) = pairs.iter().find(|(own, _)| own == name) else {
        return;
    };
    let query = edit_pairs(query, &[edit(name, own, forgery)], Encoding::Flat);
    let joint = if query.is_empty() { "" } else { "?" };
    request.target = format!("{path}{joint}{query}");
}

fn in_body(request: &mut Request, name: &str, forgery: Forgery) {
    let fields: Fields = serde_json::from_slice(&request.body.0).unwrap_or_default();
    let own = fields.get(name);
    let text = own.and_then(Value::as_str).unwrap_or_default();
    let edit = match (own.and_then(Value::as_u64), forgery) {
        (Some(number), Forgery::Wrong) => Edit::put("--set", name, (number + 1).to_string()),
        _ => edit(name, text, forgery),
    };
    request.body = edit_object(&request.body.0, &[edit]).into();
    request.size = request.body.len() as u64;
}

fn edit(name: &str, own: &str, forgery: Forgery) -> Edit {
    let value = forged(own, forgery).map(|value| Value::from(value).to_string());
    let (flag, field) = ("--guard", name.to_owned());
    Edit { flag, field, value }
}

fn forged(secret: &str, forgery: Forgery) -> Option<String> {
    match forgery {
        Forgery::Wrong => Some(altered(secret)),
        Forgery::Empty => Some(String::new()),
        Forgery::Missing => None,
    }
}

/// The last letter or digit becomes another one, so that length and beginning stay.
fn altered(secret: &str) -> String {
    let Some(place) = secret.rfind(|c: char| c.is_ascii_alphanumeric()) else {
        return format!("{secret}x");
    };
    let other = match secret.as_bytes()[place] {
        b'9' => '0',
        b'z' => 'a',
        b'Z' => 'A',
        byte => char::from(byte + 1),
    };
    format!("{}{other}{}", &secret[..place], &secret[place + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(guard: &Guard, forgery: Forgery) -> String {
        let mut request = Request::new("GET", "/hook/s3cret?token=ab9&appid=7", Vec::new(), "");
        guard.forge(&mut request, forgery);
        request.target
    }

    #[test]
    fn only_the_secret_is_changed() {
        let token = Guard::Query("token".to_owned());
        for (guard, wrong, empty, missing) in [
            (
                &token,
                "/hook/s3cret?token=ab0&appid=7",
                "/hook/s3cret?token=&appid=7",
                "/hook/s3cret?appid=7",
            ),
            (
                &Guard::Path,
                "/hook/s3creu?token=ab9&appid=7",
                "/hook/?token=ab9&appid=7",
                "/hook?token=ab9&appid=7",
            ),
            (
                &Guard::Field("appid"),
                "/hook/s3cret?token=ab9&appid=8",
                "/hook/s3cret?token=ab9&appid=",
                "/hook/s3cret?token=ab9",
            ),
        ] {
            assert_eq!(target(guard, Forgery::Wrong), wrong);
            assert_eq!(target(guard, Forgery::Empty), empty);
            assert_eq!(target(guard, Forgery::Missing), missing);
        }
        let mut request = Request::new(
            "POST",
            "/",
            vec![Header::new("X-Secret", "k1")],
            r#"{"appid":7,"custom":"{\"a\":1}"}"#,
        );
        for guard in [
            Guard::Field("custom"),
            Guard::Field("appid"),
            Guard::Header("x-secret".to_owned()),
        ] {
            guard.forge(&mut request, Forgery::Wrong);
        }
        assert_eq!(
            request.body.text(),
            Some(r#"{"appid":8,"custom":"{\"a\":2}"}"#)
        );
        assert_eq!(
            (request.headers[0].text().as_ref(), request.size),
            ("k2", 32)
        );
    }

    #[test]
    fn a_secret_that_is_not_there_is_refused() {
        let destination = Destination::parse("http://localhost/hook?token=1").unwrap();
        let check = |text: &str| {
            text.parse::<Guard>()
                .and_then(|guard| guard.check(&destination, &[]))
        };
        assert!(check("query:token").is_ok() && check("path").is_ok() && check("appid").is_ok());
        for text in ["query:key", "header:X-A", "query:", "token", "path:x"] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
