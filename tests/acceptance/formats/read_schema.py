"""Asks validators about the schema, the OpenAPI document and the types made of them.

    python3 read_schema.py FOLDER    holds schema.json, openapi.json, cdr_models.py, cdr_types.py, good.json, bad.json

good.json and bad.json are objects of payloads by name. Prints one line a complaint; exits 1 if there is any.
"""
import importlib
import json
import sys
from pathlib import Path

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import TypeAdapter, ValidationError

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))


def read(name):
    return json.loads((folder / name).read_text())


def fits(adapter, payload):
    try:
        adapter.validate_python(payload)
        return True
    except ValidationError:
        return False


schema, openapi, good, bad = map(read, ["schema.json", "openapi.json", "good.json", "bad.json"])
complaints = []
Draft202012Validator.check_schema(schema)
complaints += [f"openapi: {error.message}" for error in OpenAPIV31SpecValidator(openapi).iter_errors()]
Draft202012Validator.check_schema(openapi["components"]["schemas"]["OutgoingCdr"])
judges = {
    "the schema": Draft202012Validator(schema).is_valid,
    "openapi's schema": Draft202012Validator(
        {"$ref": "#/components/schemas/OutgoingCdr", "components": openapi["components"]}).is_valid,
}
# Plain types have no judge of their own: it is enough that they are Python.
importlib.import_module("cdr_types").OutgoingCdr
adapter = TypeAdapter(importlib.import_module("cdr_models").OutgoingCdr)
judges["the models"] = lambda payload: fits(adapter, payload)
for what, is_valid in judges.items():
    complaints += [f"{what} refuses {name}" for name, payload in good.items() if not is_valid(payload)]
    complaints += [f"{what} accepts {name}" for name, payload in bad.items() if is_valid(payload)]
print("\n".join(complaints))
sys.exit(1 if complaints or len(good) < 10 or len(bad) < 3 else 0)
