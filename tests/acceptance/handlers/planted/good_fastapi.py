"""A CDR webhook with FastAPI and pydantic, served by uvicorn.

uvicorn has no limit for a connection that sends no whole head: expected.json runs this behind nginx.
"""
import asyncio
import socket

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from calls import MAX_BODY, PATIENCE, Calls, Refused, as_json, port, read_record, ready

app = FastAPI()
calls = Calls()


class CDR(BaseModel):
    """What a CDR needs to be kept. The types of the other fields differ between documentation and live traffic."""

    model_config = ConfigDict(extra="allow")
    cmiuuid: str = Field(min_length=1)
    to: int | str | None = None
    time: int | str | None = None
    appid: int | str | None = None
    custom: dict | str | None = None
    extra_params: dict | str | None = None


async def read_body(request: Request):
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY:
                    raise Refused(413, "too large")
    except TimeoutError:
        raise Refused(408, "the body did not come") from None
    return bytes(body)


def take(record):
    if record.get("type") == "event" or not ("cmiuuid" in record or record.get("type") == "cdr"):
        calls.take(record)
    else:
        calls.take(CDR.model_validate(record).model_dump(exclude_unset=True))


@app.post("/webhook/cdr")
async def posted(request: Request):
    take(read_record(await read_body(request)))
    return PlainTextResponse("got it")


@app.get("/webhook/cdr")
async def got(request: Request):
    take(dict(request.query_params))
    return PlainTextResponse("got it")


@app.get("/calls/{cmiuuid:path}")
async def read_back(cmiuuid: str):
    rows = calls.find(cmiuuid)
    return Response(as_json(rows), 200 if rows else 404, media_type="application/json")


@app.exception_handler(Refused)
async def refused(request, error):
    return PlainTextResponse(str(error), error.status)


@app.exception_handler(ValidationError)
async def invalid(request, error):
    return JSONResponse({"detail": error.errors(include_url=False, include_input=False, include_context=False)}, 422)


def serve(asgi=app):
    listener = socket.create_server(("127.0.0.1", port()), backlog=128)
    ready(listener.getsockname()[1])
    uvicorn.Server(uvicorn.Config(asgi, log_config=None, access_log=False)).run(sockets=[listener])


if __name__ == "__main__":
    serve()
