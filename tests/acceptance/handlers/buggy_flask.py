"""good_flask.py with one planted bug, named by the environment variable BUG. Flask answers an exception with 500."""
import ast
import json
import os
import sqlite3
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import abort, redirect, request

import good_flask as good


def understanding(check):
    """Plants `check` where an outbound CDR is understood, whichever way it came."""
    understand = good.CallLog.understand

    def checked(self, record):
        check(record)
        return understand(self, record)
    good.CallLog.understand = checked


def understanding_json(check):
    """Only in the JSON branch: such handlers convert the fields of a query string, and trust JSON to be typed."""
    def checked(record):
        if request.method == "POST":
            check(record)
    understanding(checked)


def reading(read):
    """Replaces how a body becomes a record; `read` gets the body and the good way."""
    well = good.read_record
    good.read_record = lambda body: read(body, well)


def storing(store):
    """Replaces how an understood CDR is stored; `store` gets the log, the CDR and the good way."""
    well = good.CallLog.store
    good.CallLog.store = lambda log, cdr: store(log, cdr, well)


# --- the delivery

def get_null_body():
    """GET is routed, but the body is read all the same: None has no fields."""
    def webhook():
        if request.method == "GET":
            return request.get_json(silent=True)["cmiuuid"]
        return view()
    view = good.app.view_functions["webhook"]
    good.app.view_functions["webhook"] = webhook


def get_swallowed():
    """GET is answered as a health check: 200, and every CDR is lost. No sender can see it."""
    view = good.app.view_functions["webhook"]
    good.app.view_functions["webhook"] = lambda: "ok" if request.method == "GET" else view()


def redirects():
    """The route ends in a slash, the URL in the dashboard does not: 308, which no webhook sender follows."""
    good.app.view_functions["webhook"] = lambda: redirect("/webhook/cdr/?" + request.query_string.decode(), 308)


def strict_content_type():
    """request.get_json(): 415 unless the sender says application/json."""
    reading(lambda body, well: well(body) if request.is_json else abort(415))


# --- one call, two legs

def legs_duplicate_key():
    """call_id is the table's UNIQUE key, and both legs of a call have the same."""
    legs = {}

    def insert(record):
        call_id, leg = record.get("call_id"), record["cmiuuid"]
        if call_id and legs.setdefault(call_id, leg) != leg:
            raise sqlite3.IntegrityError("UNIQUE constraint failed: cdr.call_id")
    understanding(insert)


def overwrites_legs():
    """Upserts by call_id: the second leg replaces the first. No sender can see it."""
    storing(lambda log, cdr, well: log.cdrs.update({cdr["call"]: cdr}))


# --- fields

def unknown_status_missed():
    """The statuses of another provider: no-answer, busy, failed. Nobody said missed."""
    known = {"answered": 1, "no-answer": 2, "busy": 3, "failed": 4}
    understanding(lambda record: known[record["status"]])


def unknown_status_answered():
    """Written for the missed URL: the answered leg a of a call that the customer missed is a surprise."""
    understanding(lambda record: {"missed": 1}[record["status"]])


def requires_request_id():
    """record["request_id"]: absent when the call was not placed by click2call."""
    understanding(lambda record: record["request_id"])


def requires_call_id():
    """record["call_id"]: the older generation of CDRs has none."""
    understanding(lambda record: record["call_id"])


def custom_must_be_json():
    """json.loads(custom)["crm"]: an unset custom is the text none or false, another is plain text."""
    understanding(lambda record: "custom" in record and json.loads(record["custom"]).get("crm"))


def extra_params_must_be_string():
    """json.loads(extra_params): live it has come as an object."""
    def check(record):
        try:
            json.loads(record.get("extra_params", "{}"))
        except ValueError:
            pass  # it did think of text that is not JSON
    understanding_json(check)


def to_must_be_number():
    """to % 10**10 strips the country code, and fails on text."""
    understanding_json(lambda record: record["to"] % 10**10)


def time_must_be_number():
    """time / 1000 fails on text."""
    understanding_json(lambda record: record["time"] / 1000)


def time_as_seconds():
    """fromtimestamp(time) without / 1000: the year 54000 is out of range."""
    understanding(lambda record: datetime.fromtimestamp(int(record["time"])))


def int32_overflow():
    """An INT column for `to`: every full number is beyond 2**31."""
    understanding(lambda record: struct.pack("<i", int(record["to"])))


def unknown_field_500():
    """CDR(**record), with the documented fields: any other is an unexpected keyword."""
    @dataclass
    class CDR:
        type: Any
        appid: Any = None
        to: Any = None
        cmiuuid: Any = None
        status: Any = None
        user: Any = None
        time: Any = None
        direction: Any = None
        virtual_number: Any = None
        call_id: Any = None
        custom: Any = None
        leg: Any = None
        hangup_reason: Any = None
        request_id: Any = None
        extra_params: Any = None
        answeredsec: Any = None
        record: Any = None
        filename: Any = None
        click_to_call: Any = None
    understanding_json(lambda record: CDR(**record))


def non_ascii_500():
    """A log file or column in ASCII: the first accented name fails."""
    understanding(lambda record: json.dumps(record, ensure_ascii=False).encode("ascii"))


def long_value_500():
    """VARCHAR(255) in a strict database."""
    def insert(record):
        if any(isinstance(value, str) and len(value) > 255 for value in record.values()):
            raise sqlite3.DataError("value too long for type character varying(255)")
    understanding(insert)


def event_500():
    """record["appid"] on a live event, which calls it app_id."""
    keep = good.CallLog.keep

    def keep_event(self, record):
        if record.get("type") == "event":
            record["appid"]
        return keep(self, record)
    good.CallLog.keep = keep_event


# --- the same CDR again

def duplicate_500():
    """cmiuuid is the primary key, and nobody expected it twice."""
    def insert(log, cdr, well):
        if cdr["id"] in log.cdrs:
            raise sqlite3.IntegrityError("UNIQUE constraint failed: cdr.cmiuuid")
        well(log, cdr)
    storing(insert)


def changed_body_409():
    """An idempotency layer that compares: the same cmiuuid with another content is a conflict."""
    def store(log, cdr, well):
        if log.cdrs.get(cdr["id"], cdr) != cdr:
            abort(409)
        well(log, cdr)
    storing(store)


# --- bodies that are no CDR

def malformed_500():
    """json.loads(request.data) without a try: whatever is not JSON is a 500."""
    reading(lambda body, well: dict(json.loads(body)) if body else well(body))


def js_literal_500():
    """ast.literal_eval as the second try for single quotes: it reads strings, not TeleCMI's bare keys."""
    def read(body, well):
        text = body.decode("utf-8", "replace")
        if text.lstrip().startswith("{") and text.rstrip().endswith("}"):
            try:
                return json.loads(text)
            except RecursionError:
                abort(400)
            except json.JSONDecodeError:
                try:
                    return ast.literal_eval(text)
                except (SyntaxError, MemoryError, RecursionError):
                    abort(400)
        return well(body)
    reading(read)


def empty_body_500():
    """Takes an empty body for JSON's null, and looks for fields in it."""
    reading(lambda body, well: well(body) if body else json.loads("null")["type"])


def array_500():
    """Any JSON is taken for an object: a list has no get()."""
    def read(body, well):
        try:
            record = json.loads(body)
        except (ValueError, RecursionError):
            return well(body)
        record.get("type")
        return record
    reading(read)


def deep_nesting_500():
    """except ValueError, as Flask's own get_json() has it: deep nesting is a RecursionError."""
    def read(body, well):
        try:
            json.loads(body)
        except ValueError:
            pass
        return well(body)
    reading(read)


def not_utf8_500():
    """body.decode() stands outside the try."""
    reading(lambda body, well: well(body.decode().encode()))


BUGS = {bug.__name__.replace("_", "-"): bug for bug in (
    get_null_body, get_swallowed, redirects, strict_content_type, legs_duplicate_key, overwrites_legs,
    unknown_status_missed, unknown_status_answered, requires_request_id, requires_call_id, custom_must_be_json,
    extra_params_must_be_string, to_must_be_number, time_must_be_number, time_as_seconds, int32_overflow,
    unknown_field_500, non_ascii_500, long_value_500, event_500, duplicate_500, changed_body_409, malformed_500,
    js_literal_500, empty_body_500, array_500, deep_nesting_500, not_utf8_500)}

if __name__ == "__main__":
    BUGS[os.environ["BUG"]]()
    good.app.logger.disabled = True  # each 500 would log its traceback
    good.serve()
