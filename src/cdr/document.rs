//! Describes the CDRs of the webhook as JSON Schema 2020-12 and as OpenAPI 3.1 `webhooks`.
//!
//! Both documents are generated from [`FIELDS`]. They accept documented and live types, and additional fields, since
//! TeleCMI adds fields without notice. `x-grade` holds the [`Grade`] of a field.

use serde_json::{Map, Value, json};

use super::account::LIVE_CUSTOM;
use super::scenarios::documented;
use super::schema::{FIELDS, Field, FieldType, Generation, Kind, Presence};
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

/// The handler that an OpenAPI document describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    /// Scheme, host and port.
    pub server: String,
    pub path: String,
    /// The parameters of the URL's own query, such as a token.
    pub parameters: Vec<(String, String)>,
}

/// Without a handler the document has `webhooks`; with one it has `servers` and `paths`, and the limits of the values, so
/// that tools can generate requests.
pub fn openapi(handler: Option<&Handler>) -> Value {
    let mut schemas = schemas();
    let whole = json!({"description": MEANING, "anyOf": references("#/components/schemas/")});
    schemas.insert(WHOLE.to_owned(), whole);
    let mut parameters: Vec<Value> = FIELDS.iter().map(parameter).collect();
    let mut responses =
        json!({"2XX": {"description": "Delivered. The body of the answer is not read."}});
    let own = handler.into_iter().flat_map(|handler| &handler.parameters);
    let own: Vec<Value> = own.map(own_parameter).collect();
    if handler.is_some() {
        responses["4XX"] = json!({"description": "Refused."});
        for schema in schemas.values_mut() {
            let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
            for (name, schema) in properties.into_iter().flatten() {
                limit(name, schema);
            }
        }
        for parameter in &mut parameters {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            limit(&name, &mut parameter["schema"]);
        }
    }
    parameters.splice(0..0, own.iter().cloned());
    let methods = json!({
        "post": {
            "operationId": "outgoingCdr",
            "summary": MEANING,
            "requestBody": {
                "required": true,
                "content": {"application/json": {
                    "schema": {"$ref": format!("#/components/schemas/{WHOLE}")},
                    "examples": examples(handler.is_some()),
                }},
            },
            "responses": responses,
            "x-grade": Grade::Doc,
        },
        "get": {
            "operationId": "outgoingCdrByGet",
            "summary": MEANING,
            "description": "The dashboard offers GET, but its format is undocumented: a \
             query with the same names is assumed.",
            "parameters": parameters,
            "responses": responses,
            "x-grade": Grade::Unknown,
        },
    });
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "TeleCMI's webhook for outgoing CDRs",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!("This description is not published by TeleCMI. {GRADES}"),
        },
    });
    match handler {
        None => document["webhooks"] = json!({"outgoingCdr": methods}),
        Some(handler) => {
            document["servers"] = json!([{"url": handler.server}]);
            document["paths"] = json!({&handler.path: methods});
            if !own.is_empty() {
                document["paths"][&handler.path]["post"]["parameters"] = own.into();
            }
        }
    }
    document["components"] = json!({"schemas": schemas});
    document
}

fn examples(with_live: bool) -> Value {
    let mut examples = json!({
        "legA": {"summary": "The agent did not answer.", "value": sample(Leg::A)},
        "legB": {"summary": "The customer declined.", "value": sample(Leg::B)},
    });
    if with_live {
        let mut live = sample(Leg::A);
        live["virtual_number"] = 442_000_000_001_u64.into();
        live["custom"] = LIVE_CUSTOM.into();
        live["extra_params"] = json!({"click2call": "true"});
        let summary = "The agent did not answer, in the types of live accounts.";
        examples["live"] = json!({"summary": summary, "value": live});
    }
    examples
}

fn own_parameter((name, value): &(String, String)) -> Value {
    json!({"name": name, "in": "query", "required": true, "schema": {"type": "string", "enum": [value]}})
}

/// Adds the format and the range that all known values have.
fn limit(name: &str, schema: &mut Value) {
    let limits = match name {
        "cmiuuid" => json!({"format": "uuid"}),
        "call_id" | "request_id" => json!({"minLength": 1, "maxLength": 64}),
        "custom" | "extra_params" => json!({"maxLength": 2_000}),
        "filename" => json!({"maxLength": 255}),
        "user" => json!({"pattern": "^[0-9]{3,6}_[0-9]{1,12}$"}),
        "virtual_number" => {
            json!({"pattern": "^[0-9]{5,15}$", "minimum": 10_000, "maximum": 999_999_999_999_999_u64})
        }
        "to" => json!({"minimum": 10_000, "maximum": 999_999_999_999_999_u64}),
        "appid" => json!({"minimum": 1, "maximum": 999_999_999_999_u64}),
        "time" => json!({"minimum": 1_500_000_000_000_u64, "maximum": 4_102_444_800_000_u64}),
        "answeredsec" => json!({"minimum": 0, "maximum": 86_400}),
        _ => json!({}),
    };
    for (key, value) in limits.as_object().into_iter().flatten() {
        schema[key] = value.clone();
    }
}

fn references(below: &str) -> Vec<Value> {
    let names = VARIANTS.iter().map(|(name, ..)| name);
    let references = names.map(|name| json!({"$ref": format!("{below}{name}")}));
    references.collect()
}

fn sample(leg: Leg) -> Value {
    Value::Object(documented(leg).fields())
}

fn schemas() -> Map<String, Value> {
    let schemas = VARIANTS.map(|(name, kind, generation, meaning)| {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in &FIELDS {
            let (must, may) = field.presence.must_and_may(generation, kind, None);
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
        description = format!("`{}` [{}]", status.word(), field.grade);
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
    fn a_handler_is_described_by_its_url() {
        let handler = Handler {
            server: "http://localhost:5000".to_owned(),
            path: "/cdr".to_owned(),
            parameters: vec![("token".to_owned(), "t".to_owned())],
        };
        let document = openapi(Some(&handler));
        assert_eq!(document["webhooks"], Value::Null);
        assert_eq!(document["servers"][0]["url"], "http://localhost:5000");
        for (method, parameters) in [("post", 1), ("get", 1 + FIELDS.len())] {
            let operation = &document["paths"]["/cdr"][method];
            assert_eq!(
                operation["parameters"].as_array().unwrap().len(),
                parameters
            );
            assert_eq!(operation["parameters"][0]["schema"]["enum"], json!(["t"]));
            assert!(operation["responses"]["4XX"].is_object());
        }
        let missed = &document["components"]["schemas"]["OutgoingMissed"]["properties"];
        assert_eq!(missed["cmiuuid"]["format"], "uuid");
        assert_eq!(missed["to"]["minimum"], 10_000);
        let content =
            &document["paths"]["/cdr"]["post"]["requestBody"]["content"]["application/json"];
        assert_eq!(content["examples"]["live"]["value"]["custom"], "false");
    }

    #[test]
    fn the_webhook_takes_both_methods() {
        let document = openapi(None);
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
