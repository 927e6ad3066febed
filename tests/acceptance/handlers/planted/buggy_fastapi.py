"""good_fastapi.py with one planted bug, named by the environment variable BUG. PAGE=1 turns the page with the traceback on."""
import asyncio
import logging
import os
import struct
from typing import Any, Literal

from fastapi import Request
from fastapi.responses import PlainTextResponse
from pydantic import UUID1, BaseModel, ConfigDict

import good_fastapi as good
from calls import Calls
from planting import before, keeping, keyed, named, storing, with_page


def model(**fields):
    """Adds fields to the model of a CDR; pydantic answers 422 and names the field that does not match."""
    good.CDR = type("CDR", (good.CDR,), {"__annotations__": fields, **{name: None for name in fields}})


def to_must_be_text_422():
    """`to: str`, as in many tutorials: pydantic makes no text of a number."""
    model(to=str)


def virtual_number_must_be_text_422():
    """`virtual_number: str`, as documented; live it is a number."""
    model(virtual_number=str)


def call_id_as_uuid_422():
    """A UUID of version 1: the call_id's variant bits are not those of RFC 9562."""
    model(call_id=UUID1)


def two_reasons_422():
    """Only the reasons of an answered call."""
    model(hangup_reason=Literal["sent_bye", "recv_bye"])


def only_leg_a_422():
    model(leg=Literal["a"])


def only_missed_422():
    """Made for the missed CDR; a customer who does not answer brings an answered leg a."""
    model(status=Literal["missed"])


def unknown_field_422():
    """extra="forbid", with the documented fields of all CDRs."""
    names = ("type status user direction virtual_number call_id leg hangup_reason request_id click_to_call answeredsec record "
             "filename from waitedsec team voicemail notes").split()

    class CDR(BaseModel):
        model_config = ConfigDict(extra="forbid")
        __annotations__ = {name: Any for name in [*names, "to", "time", "appid", "custom", "extra_params"]} | {"cmiuuid": str}
        for _name in [*names, "to", "time", "appid", "custom", "extra_params"]:
            locals()[_name] = None
    CDR.__name__ = "CDR"
    good.CDR = CDR


def extra_null_500():
    """value.strip() of each of extra_params' values: {"{}": null} has been seen."""
    def check(record):
        if isinstance(record.get("extra_params"), dict):
            [value.strip() for value in record["extra_params"].values()]
    before(check)


def incoming_500():
    """record["call_id"]: incoming CDRs, and outgoing ones of the older generation, have none."""
    before(lambda record: record["call_id"])


def leg_unhashable_500():
    """The leg is looked up in a dict; a nested value cannot be a key. It is checked before pydantic sees it."""
    take = good.take

    def checked(record):
        {"a": "agent", "b": "customer"}.get(record.get("leg"))
        take(record)
    good.take = checked


def background_task_lost():
    """BackgroundTasks run behind the answer: a CDR without request_id got 200, and is not kept."""
    take = good.take

    def later(record):
        if record.get("type") == "cdr":
            record["request_id"]
        take(record)

    async def run(record):
        await asyncio.sleep(0.05)
        later(record)

    @good.app.middleware("http")
    async def webhook(request: Request, call_next):
        if request.url.path != "/webhook/cdr" or request.method not in ("GET", "POST"):
            return await call_next(request)
        try:
            record = good.read_record(await good.read_body(request)) if request.method == "POST" else dict(request.query_params)
        except good.Refused as refused:
            return PlainTextResponse(str(refused), refused.status)
        tasks.add(asyncio.get_running_loop().create_task(run(record)))
        return PlainTextResponse("got it")
    tasks = set()
    logging.getLogger("asyncio").disabled = True


def upsert_by_request_id():
    """Both legs of a call have the same request_id: the later one overwrites the other."""
    keyed(lambda record: str(record.get("request_id") or record["cmiuuid"]))


def to_as_float32():
    """A REAL column has 24 bits."""
    def round_off(row):
        if str(row.get("to", "")).isdigit() and len(str(row["to"])) < 30:
            row["to"] = int(struct.unpack("<f", struct.pack("<f", float(row["to"])))[0])
    keeping(round_off)


def answers_late_in_a_row():
    """A blocking call of 300 ms in an async function: nobody else is served meanwhile."""
    import time
    before(lambda record: time.sleep(0.3))


def forgets_after_many():
    """The set of known ids is emptied at 100 000: a copy behind that is a second row."""
    known = set()

    def store(calls, key, row, well):
        if len(known) >= 100_000:
            known.clear()
        known.add(key)
        well(calls, key, row)
    storing(store)


def memory_only():
    """Nothing is written to a disk: a restart loses what got 200."""
    Calls.kept_in = "memory"


BUGS = named(
    to_must_be_text_422, virtual_number_must_be_text_422, call_id_as_uuid_422, two_reasons_422, only_leg_a_422, only_missed_422,
    unknown_field_422, extra_null_500, incoming_500, leg_unhashable_500, background_task_lost, upsert_by_request_id,
    to_as_float32, answers_late_in_a_row, forgets_after_many, memory_only)

if __name__ == "__main__":
    good.app.debug = with_page()
    BUGS[os.environ["BUG"]]()
    good.serve()
