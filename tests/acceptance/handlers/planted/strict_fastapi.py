"""good_fastapi.py with the model of an outgoing CDR that `telecmi-cdr --generate json-schema` gives, written for pydantic.

Right for its purpose: what is no outgoing CDR (a live event, an incoming call, a REST record) is refused with 422.
"""
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

import good_fastapi as good


class Outgoing(BaseModel):
    model_config = ConfigDict(extra="allow")
    type: Literal["cdr"]
    appid: int
    to: int
    cmiuuid: str
    user: str
    time: int
    direction: Literal["outbound"]


class Missed(Outgoing):
    status: Literal["missed"]
    virtual_number: str | int
    call_id: str
    custom: str
    leg: Literal["a", "b"]
    hangup_reason: Literal["sent_bye", "recv_bye", "recv_cancel", "sent_reject"]
    request_id: str | None = None
    extra_params: str | dict | None = None


class Answered(Missed):
    status: Literal["answered"]
    answeredsec: int


class Legacy(Outgoing):
    status: Literal["missed"]
    click_to_call: str | bool


MODEL = TypeAdapter(Missed | Answered | Legacy)


def take(record):
    if record:  # a GET without a query is a health check
        good.calls.take(MODEL.validate_python(record).model_dump(exclude_unset=True))


if __name__ == "__main__":
    good.take = take
    good.serve()
