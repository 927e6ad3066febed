//! What the webhook delivers, as documents for other programs: JSON Schema 2020-12, and OpenAPI 3.1 `webhooks`.
//!
//! In: the one table of fields. Out: JSON. What is documented and what is seen live are both valid; fields that nobody
//! documents are, too, because TeleCMI adds some without a word. How well a field is known stands beside it.

use serde_json::{Map, Value, json};

use super::judge::{Generation, Kind, place};
use super::scenarios::documented;
use super::schema::{FIELDS, Field, FieldType, Presence};
use super::{Grade, HangupReason, Leg};

/// One kind of CDR, as the documents name it.
struct Variant {
    name: &'static str,
    kind: Kind,
    generation: Generation,
    meaning: &'static str,
}

/// What may come. Documented and live CDRs have the same fields, so they differ by types alone.
const VARIANTS: [Variant; 3] = [
    Variant {
        name: "OutgoingMissed",
        kind: Kind::OutgoingMissed,
        generation: Generation::Docs,
        meaning: "The CDR of a leg that nobody answered, typed as documented or as seen live.",
    },
    Variant {
        name: "OutgoingAnswered",
        kind: Kind::OutgoingAnswered,
        generation: Generation::Docs,
        meaning: "Its companion: the CDR of the leg that was answered.",
    },
    Variant {
        name: "LegacyMissed",
        kind: Kind::OutgoingMissed,
        generation: Generation::Legacy,
        meaning: "The nine-field CDR of an older generation.",
    },
];

/// What all of them are together.
const WHOLE: &str = "OutgoingCdr";

/// What that is, in a sentence.
const MEANING: &str = "What TeleCMI's webhook delivers of an outgoing call: one CDR for each leg.";

/// What the grades are, for those who have only the document.
const GRADES: &str = "x-grade says how well a fact is known: doc (TeleCMI's documentation), seen (reported from live \
                      accounts), calc (computed from the samples), inferred (fits every sample), unknown (nobody says).";

/// The body of a delivery as JSON Schema 2020-12.
#[must_use]
pub fn json_schema() -> Value {
    let definitions: Map<String, Value> = VARIANTS
        .iter()
        .map(|variant| (variant.name.to_owned(), variant.schema()))
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": WHOLE,
        "description": format!("{MEANING} {GRADES}"),
        "anyOf": references("#/$defs/"),
        "$defs": definitions,
    })
}

/// The webhook as OpenAPI 3.1.
#[must_use]
pub fn openapi() -> Value {
    let mut schemas: Map<String, Value> = VARIANTS
        .iter()
        .map(|variant| (variant.name.to_owned(), variant.schema()))
        .collect();
    let whole = json!({"description": MEANING, "anyOf": references("#/components/schemas/")});
    schemas.insert(WHOLE.to_owned(), whole);
    let delivered =
        json!({"2XX": {"description": "Delivered. The body of the answer is not read."}});
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "TeleCMI's webhook for outgoing CDRs",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!("Described from outside, and not by TeleCMI. {GRADES}"),
        },
        "webhooks": {
            "outgoingCdr": {
                "post": {
                    "operationId": "outgoingCdr",
                    "summary": MEANING,
                    "requestBody": {
                        "required": true,
                        "content": {"application/json": {
                            "schema": {"$ref": format!("#/components/schemas/{WHOLE}")},
                            "examples": {
                                "legA": {"summary": "The agent did not answer.", "value": sample(Leg::A)},
                                "legB": {"summary": "The customer declined.", "value": sample(Leg::B)},
                            },
                        }},
                    },
                    "responses": delivered,
                    "x-grade": Grade::Doc,
                },
                "get": {
                    "operationId": "outgoingCdrByGet",
                    "summary": MEANING,
                    "description": "The dashboard offers GET, and nobody says what it looks like: a query with the same names.",
                    "parameters": FIELDS.iter().map(parameter).collect::<Vec<_>>(),
                    "responses": delivered,
                    "x-grade": Grade::Unknown,
                },
            },
        },
        "components": {"schemas": schemas},
    })
}

fn references(below: &str) -> Vec<Value> {
    VARIANTS
        .iter()
        .map(|variant| json!({"$ref": format!("{below}{}", variant.name)}))
        .collect()
}

/// The documented sample of a leg.
fn sample(leg: Leg) -> Value {
    Value::Object(documented(leg).fields())
}

impl Variant {
    fn schema(&self) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in &FIELDS {
            let (must, may) = place(field.presence, self.generation, self.kind, None);
            if may {
                properties.insert(field.name.to_owned(), self.property(field));
            }
            if must {
                required.push(field.name);
            }
        }
        let mut schema = json!({
            "title": self.name, "description": self.meaning, "type": "object",
            "properties": properties, "required": required, "additionalProperties": true,
        });
        if self.generation != Generation::Legacy {
            // click2call sends both.
            schema["dependentRequired"] =
                json!({"request_id": ["extra_params"], "extra_params": ["request_id"]});
        }
        schema
    }

    /// What a field of this kind of CDR may be.
    fn property(&self, field: &Field) -> Value {
        let mut property = match (field.name, self.kind) {
            ("status", Kind::OutgoingAnswered) => json!({"const": "answered"}),
            ("status", _) => json!({"const": "missed"}),
            _ => value(field),
        };
        if let Some(property) = property.as_object_mut() {
            annotate(property, field);
        }
        if let Some(word) = property
            .get("const")
            .and_then(Value::as_str)
            .filter(|_| field.name == "status")
        {
            property["description"] = format!("`{word}` [{}]", field.grade).into();
        }
        property
    }
}

/// What a field may be, of whatever CDR.
fn value(field: &Field) -> Value {
    match (field.name, field.field_type) {
        ("type", _) => json!({"const": "cdr"}),
        ("direction", _) => json!({"const": "outbound"}),
        ("click_to_call", _) => json!({"const": "true"}),
        ("leg", _) => json!({"enum": [Leg::A, Leg::B]}),
        ("hangup_reason", _) => json!({"enum": HangupReason::ALL}),
        ("user", _) => json!({"type": "string", "pattern": "^[0-9]+_[0-9]+$"}),
        ("virtual_number", _) => json!({"type": ["string", "integer"]}),
        ("extra_params", _) => json!({"type": ["string", "object"]}),
        (_, FieldType::String) => json!({"type": "string"}),
        (_, FieldType::Number) => json!({"type": "integer", "format": "int64"}),
        (_, FieldType::Boolean) => json!({"type": "boolean"}),
    }
}

/// A field as a parameter of a query, in which everything is text.
fn parameter(field: &Field) -> Value {
    let mut schema = match (field.name, field.field_type) {
        ("virtual_number" | "extra_params", _) => json!({"type": "string"}),
        ("status", _) => json!({"enum": ["missed", "answered"]}),
        _ => value(field),
    };
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("x-grade".to_owned(), field.grade.to_string().into());
    }
    json!({
        "name": field.name, "in": "query", "required": field.presence == Presence::Always,
        "description": description(field), "schema": schema,
    })
}

/// Says what a field means, and how well that is known.
fn annotate(property: &mut Map<String, Value>, field: &Field) {
    if property.contains_key("const") || property.contains_key("enum") {
        property.insert("type".to_owned(), "string".into());
    }
    property.insert("description".to_owned(), description(field).into());
    property.insert("x-grade".to_owned(), field.grade.to_string().into());
    property.insert("x-presence".to_owned(), field.presence.words().into());
}

fn description(field: &Field) -> String {
    format!("{} [{}]", field.meaning, field.grade)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_stands_where_the_judge_wants_it() {
        let schema = json_schema();
        let count = |name: &str, what: &str| match &schema["$defs"][name][what] {
            Value::Array(names) => names.len(),
            Value::Object(properties) => properties.len(),
            other => panic!("{name} {what}: {other}"),
        };
        for (name, required, properties) in [
            ("OutgoingMissed", 13, 15),
            ("OutgoingAnswered", 14, 18),
            ("LegacyMissed", 9, 9),
        ] {
            assert_eq!(
                (count(name, "required"), count(name, "properties")),
                (required, properties),
                "{name}"
            );
        }
    }

    #[test]
    fn every_field_says_what_it_means_and_how_well_that_is_known() {
        let schema = json_schema();
        for definition in schema["$defs"].as_object().unwrap().values() {
            for (name, property) in definition["properties"].as_object().unwrap() {
                let field = FIELDS.iter().find(|field| field.name == name).unwrap();
                assert_eq!(property["x-grade"], field.grade.to_string(), "{name}");
                // What `status` says depends on what it tells of.
                let says = property["description"].as_str().unwrap();
                assert!(
                    says.contains(field.meaning) || name == "status",
                    "{name}: {says}"
                );
            }
        }
        let of = |variant: &str, name: &str| schema["$defs"][variant]["properties"][name].clone();
        assert_eq!(
            of("OutgoingMissed", "virtual_number")["type"],
            json!(["string", "integer"])
        );
        assert_eq!(
            of("OutgoingAnswered", "status"),
            json!({"const": "answered", "type": "string", "description": "`answered` [doc]", "x-grade": "doc", "x-presence": "always"})
        );
    }

    #[test]
    fn the_webhook_takes_both_methods() {
        let document = openapi();
        let hook = &document["webhooks"]["outgoingCdr"];
        let reference =
            &hook["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let place = reference.as_str().unwrap().trim_start_matches('#');
        assert_eq!(
            document.pointer(place).unwrap()["anyOf"]
                .as_array()
                .unwrap()
                .len(),
            VARIANTS.len()
        );
        assert_eq!(
            hook["get"]["parameters"].as_array().unwrap().len(),
            FIELDS.len()
        );
    }
}
