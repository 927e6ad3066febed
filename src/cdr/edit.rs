//! Deliberate changes to a payload, valid or not: `--set`, `--set-json`, `--unset`.

use std::str::FromStr;

use serde_json::Value;

use super::Fields;
use super::schema::{self, FieldType};
use crate::json;

/// One change, applied after everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Give a field this value, in place if it is there, last if not.
    Put(String, Value),
    /// Take a field away.
    Remove(String),
}

impl Edit {
    /// `FIELD=VALUE`, typed by the field's documented type. A value that the type cannot hold, and the value of an
    /// undocumented field, is a string.
    pub fn set(text: &str) -> Result<Self, String> {
        let (name, value) = split(text)?;
        let typed = match schema::documented(name).map(|field| field.field_type) {
            Some(FieldType::Number) => serde_json::Number::from_str(value).ok().map(Value::Number),
            Some(FieldType::Boolean) => value.parse().ok().map(Value::Bool),
            Some(FieldType::String) | None => None,
        };
        Ok(Self::Put(
            name.to_owned(),
            typed.unwrap_or_else(|| value.into()),
        ))
    }

    /// `FIELD=JSON`, of any type.
    pub fn set_json(text: &str) -> Result<Self, String> {
        let (name, value) = split(text)?;
        match json::value(value) {
            Ok(value) => Ok(Self::Put(name.to_owned(), value)),
            Err(error) => Err(format!(
                "the value is not JSON: {error}; text needs double quotes, or --set"
            )),
        }
    }

    /// The name of a field to take away.
    pub fn unset(name: &str) -> Result<Self, String> {
        if name.is_empty() || name.contains('=') {
            return Err("expected the name of a field".to_owned());
        }
        Ok(Self::Remove(name.to_owned()))
    }

    /// Makes the change.
    pub fn apply(&self, fields: &mut Fields) {
        match self {
            Self::Put(name, value) => {
                fields.insert(name.clone(), value.clone());
            }
            // The order of the others is part of the payload.
            Self::Remove(name) => {
                fields.shift_remove(name);
            }
        }
    }
}

fn split(text: &str) -> Result<(&str, &str), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name, value)),
        _ => Err("expected FIELD=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn edited(edits: &[Edit]) -> Value {
        let mut fields = json!({"to": 1, "leg": "a", "status": "missed"})
            .as_object()
            .cloned()
            .unwrap();
        for edit in edits {
            edit.apply(&mut fields);
        }
        Value::Object(fields)
    }

    #[test]
    fn values_take_the_documented_type() {
        let edits = [
            "to=442079460001",
            "virtual_number=44",
            "record=true",
            "appid=many",
            "note=7",
        ];
        let edits = edits.map(|text| Edit::set(text).unwrap());
        insta::assert_snapshot!(edited(&edits), @r#"{"to":442079460001,"leg":"a","status":"missed","virtual_number":"44","record":true,"appid":"many","note":"7"}"#);
    }

    #[test]
    fn any_json_can_be_put_and_any_field_removed() {
        let edits = [
            Edit::set_json(r#"extra_params={"{}":null}"#).unwrap(),
            Edit::set_json("to=null").unwrap(),
            Edit::unset("leg").unwrap(),
        ];
        insta::assert_snapshot!(edited(&edits), @r#"{"to":null,"status":"missed","extra_params":{"{}":null}}"#);
    }

    #[test]
    fn what_is_no_edit_is_refused() {
        assert!(Edit::set("status").is_err());
        assert!(Edit::set("=x").is_err());
        assert!(Edit::set_json("custom=none").unwrap_err().contains("--set"));
        assert!(Edit::unset("a=b").is_err());
    }
}
