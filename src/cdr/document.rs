//! Describes the CDRs of the webhook as JSON Schema 2020-12 and as OpenAPI 3.1 `webhooks`.
//!
//! Both documents are generated from [`FIELDS`]. They accept documented and live types, and additional fields, since
//! TeleCMI adds fields without notice. `x-grade` holds the [`Grade`] of a field.

use serde_json::{Map, Value, json};

use super::judge::place;
use super::kind::{Generation, Kind};
use super::scenarios::documented;
use super::schema::{FIELDS, Field, FieldType, Presence};
use super::{Grade, HangupReason, Leg, Status};

/// Name, kind, generation and description of each JSON Schema. Documented and live CDRs differ only in types and share
/// a schema.
const VARIANTS: [(&str, Kind, Generation, &str); 3] = [
    (
        "OutgoingMissed",
        Kind::OutgoingMissed,
        Generation::Docs,
        "The CDR of a leg that nobody answered, typed as documented or as seen live.",
    ),
    (
        "OutgoingAnswered",
        Kind::OutgoingAnswered,
        Generation::Docs,
        "The CDR of a leg that was answered.",
    ),
    (
        "LegacyMissed",
        Kind::OutgoingMissed,
        Generation::Legacy,
        "The nine-field CDR of an older generation.",
    ),
];

const WHOLE: &str = "OutgoingCdr";

const MEANING: &str = "The payload of TeleCMI's webhook for outgoing calls: one CDR for each leg.";

const GRADES: &str = "x-grade is the source of a fact: doc (TeleCMI's documentation), seen \
    (reported from live accounts), calc (computed from the samples), inferred (fits every sample), \
    unknown (no public source).";

pub fn json_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": WHOLE,
        "description": format!("{MEANING} {GRADES}"),
        "anyOf": references("#/$defs/"),
        "$defs": schemas(),
    })
}

pub fn openapi() -> Value {
    let mut schemas = schemas();
    let whole = json!({"description": MEANING, "anyOf": references("#/components/schemas/")});
    schemas.insert(WHOLE.to_owned(), whole);
    let delivered =
        json!({"2XX": {"description": "Delivered. The body of the answer is not read."}});
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "TeleCMI's webhook for outgoing CDRs",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!("This description is not published by TeleCMI. {GRADES}"),
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
                    "description": "The dashboard offers GET, but its format is undocumented: a \
                     query with the same names is assumed.",
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
    let names = VARIANTS.iter().map(|(name, ..)| name);
    names
        .map(|name| json!({"$ref": format!("{below}{name}")}))
        .collect()
}

fn sample(leg: Leg) -> Value {
    Value::Object(documented(leg).fields())
}

fn schemas() -> Map<String, Value> {
    let schemas = VARIANTS.map(|(name, kind, generation, meaning)| {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in &FIELDS {
            let (must, may) = place(field.presence, generation, kind, None);
            if may {
                properties.insert(field.name.to_owned(), property(field, kind));
            }
            if must {
                required.push(field.name);
            }
        }
        let mut schema = json!({
            "title": name, "description": meaning, "type": "object",
            "properties": properties, "required": required, "additionalProperties": true,
        });
        if generation != Generation::Legacy {
            // click2call sends `request_id` and `extra_params` together.
            schema["dependentRequired"] =
                json!({"request_id": ["extra_params"], "extra_params": ["request_id"]});
        }
        (name.to_owned(), schema)
    });
    schemas.into_iter().collect()
}

fn property(field: &Field, kind: Kind) -> Value {
    let mut description = description(field);
    let mut property = value(field);
    if field.name == "status" {
        let status = match kind {
            Kind::OutgoingAnswered => Status::Answered,
            _ => Status::Missed,
        };
        property = json!({"const": status});
        description = format!("`{status}` [{}]", field.grade);
    }
    if property.get("const").or(property.get("enum")).is_some() {
        property["type"] = "string".into();
    }
    property["description"] = description.into();
    property["x-grade"] = json!(field.grade);
    property["x-presence"] = field.presence.words().into();
    property
}

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

/// Describes a CDR field as an OpenAPI query parameter. `virtual_number` and `extra_params` have two types in JSON; in
/// a query they are strings.
fn parameter(field: &Field) -> Value {
    let mut schema = match field.name {
        "virtual_number" | "extra_params" => json!({"type": "string"}),
        "status" => json!({"enum": [Status::Missed, Status::Answered]}),
        _ => value(field),
    };
    schema["x-grade"] = json!(field.grade);
    json!({
        "name": field.name, "in": "query", "required": field.presence == Presence::Always,
        "description": description(field), "schema": schema,
    })
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
