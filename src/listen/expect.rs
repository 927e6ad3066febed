//! `--count`, `--expect` and `--settle`: which CDRs count, how many are expected, and how long to wait for one too many.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::cdr::schema;
use crate::cdr::{self, Fields};
use crate::error::Exit;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExpectedCdrs {
    pub count: Option<u64>,
    /// A CDR counts if all of these match.
    pub fields: Vec<ExpectedField>,
    /// How long to wait for one too many; if not zero, the number must be exact.
    pub settle: Duration,
}

/// An `--expect FIELD=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedField {
    pub field: String,
    /// A string without its quotes, anything else as JSON.
    pub value: String,
}

impl FromStr for ExpectedField {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((field, value)) if !field.is_empty() => Ok(Self {
                field: field.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("expected FIELD=VALUE, like leg=a".to_owned()),
        }
    }
}

impl fmt::Display for ExpectedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.field, self.value)
    }
}

impl ExpectedField {
    /// Whether no documented CDR has such a field.
    #[must_use]
    pub fn is_undocumented(&self) -> bool {
        schema::documented(&self.field).is_none()
    }

    fn mismatch(&self, cdr: &Fields) -> Option<String> {
        let Self { field, value } = self;
        match cdr.get(field) {
            None => Some(format!("there is no {field}, and {value} is expected")),
            Some(found) if is(found, value) => None,
            Some(found) => Some(format!("{field} is {}, not {value}", cdr::text(found))),
        }
    }
}

/// Whether a value has this text, or is the same JSON in another spelling.
fn is(found: &Value, value: &str) -> bool {
    cdr::text(found) == value
        || !found.is_string()
            && serde_json::from_str::<Value>(value).is_ok_and(|value| value == *found)
}

impl ExpectedCdrs {
    /// Why a CDR does not count.
    #[must_use]
    pub fn mismatch(&self, cdr: &Fields) -> Option<String> {
        self.fields
            .iter()
            .find_map(|expected| expected.mismatch(cdr))
    }

    /// Whether so many are enough. Without `--count`, one is expected if there is any `--expect`.
    #[must_use]
    pub fn is_reached(&self, counted: u64) -> bool {
        counted >= self.count.unwrap_or(u64::from(!self.fields.is_empty()))
    }

    /// The exit code if so many have counted; with `exact`, more than the expected number is a failure.
    #[must_use]
    pub fn judge(&self, counted: u64, exact: bool) -> Exit {
        let too_many =
            self.count.is_some_and(|count| counted > count) && (exact || !self.settle.is_zero());
        if self.is_reached(counted) && !too_many {
            Exit::Success
        } else {
            Exit::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn expected(count: Option<u64>, fields: &[&str]) -> ExpectedCdrs {
        let fields = fields.iter().map(|text| text.parse().unwrap()).collect();
        ExpectedCdrs {
            count,
            fields,
            ..ExpectedCdrs::default()
        }
    }

    #[test]
    fn a_cdr_counts_if_every_field_is_as_expected() {
        let cdr = json!({"leg": "a", "to": 442_079_460_000_u64, "custom": {"crm": [1, 2]}});
        let cdr = cdr.as_object().unwrap().clone();
        let mismatch = |fields: &[&str]| expected(None, fields).mismatch(&cdr);
        assert_eq!(mismatch(&[]), None);
        assert_eq!(
            mismatch(&["leg=a", "to=442079460000", "custom={ \"crm\": [1,2] }"]),
            None
        );
        assert_eq!(
            mismatch(&["leg=a", "to=1"]).as_deref(),
            Some("to is 442079460000, not 1")
        );
        assert_eq!(
            mismatch(&["user=x"]).as_deref(),
            Some("there is no user, and x is expected")
        );
        assert!("leg".parse::<ExpectedField>().is_err() && "=a".parse::<ExpectedField>().is_err());
        assert_eq!("custom=a=b".parse::<ExpectedField>().unwrap().value, "a=b");
    }

    #[test]
    fn too_few_fail_and_too_many_where_the_number_is_exact() {
        let two = expected(Some(2), &[]);
        let exits = |exact| [1, 2, 3].map(|counted| two.judge(counted, exact).code());
        assert_eq!((exits(false), exits(true)), ([1, 0, 0], [1, 0, 1]));
        let settling = ExpectedCdrs {
            settle: Duration::from_secs(1),
            ..two
        };
        assert_eq!(settling.judge(3, false), Exit::Failed);
    }

    #[test]
    fn what_was_expected_must_come_even_if_nobody_said_how_often() {
        assert!(expected(None, &[]).is_reached(0));
        let some = expected(None, &["leg=a"]);
        assert_eq!(
            (some.judge(0, false), some.judge(5, true)),
            (Exit::Failed, Exit::Success)
        );
    }
}
