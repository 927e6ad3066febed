"""Starts every handler of expected.json and asks it each question below: only the ones named there may be answered badly.

    python3 check.py [NAME ...]

It checks the handlers, before the suite is judged by them. Standard library only, loopback only, every wait is bounded.
"""
import concurrent.futures
import functools
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import urlencode

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from checks import Skipped, run_checks  # noqa: E402

PATH = "/webhook/cdr"
PATIENCE = 3  # seconds for an answer
START = 20  # seconds for a handler to be ready


# --- CDRs: the documented ones with fresh ids

def cdr(**changes):
    made = {
        "virtual_number": "440000000000", "call_id": str(uuid.uuid4()), "custom": '{"crm":"true"}', "leg": "a", "type": "cdr",
        "appid": 2222223, "to": 442000000000, "cmiuuid": str(uuid.uuid4()), "status": "missed", "user": "202_2222223",
        "time": 1650628175336, "direction": "outbound", "hangup_reason": "recv_cancel", "request_id": uuid.uuid4().hex,
        "extra_params": '{"click2call":"true"}',
    }
    made.update(changes)
    return {name: value for name, value in made.items() if value is not ABSENT}


ABSENT = object()


def customer_missed():
    b = cdr(leg="b", to=442000000001)
    a = dict(b, leg="a", status="answered", cmiuuid=str(uuid.uuid4()), to=442000000000, hangup_reason="recv_bye",
             answeredsec=12)
    return b, a


def legacy():
    return cdr(call_id=ABSENT, leg=ABSENT, custom=ABSENT, virtual_number=ABSENT, hangup_reason=ABSENT, request_id=ABSENT,
               extra_params=ABSENT, click_to_call="true")


EVENT = {"type": "event", "direction": "outbound", "status": "started", "app_id": 2222223, "callerid": "440000000000",
         "to": "442000000000", "time": 1650628175336, "cmiuuid": "e1", "conversation_uuid": "e2", "user": "202_2222223", "leg": "a"}
INCOMING = {"type": "cdr", "direction": "inbound", "status": "missed", "appid": 2222223, "from": 442000000000, "to": 440000000000,
            "time": 1650628175336, "cmiuuid": "i1", "waitedsec": 20, "team": "sales_2222223"}
REST = {"cmiuid": "r1", "agent": "202_2222223", "duration": 12, "billedsec": 0, "to": 442000000000}


# --- the wire

def request(method="POST", path=PATH, body=b"", content_type="application/json", length=None):
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    head += f"Content-Type: {content_type}\r\n" if content_type and method == "POST" else ""
    head += f"Content-Length: {len(body) if length is None else length}\r\n" if method == "POST" else ""
    return head.encode() + b"\r\n" + body


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def status(connection):
    """The status of the answer; None for silence, a close or a reset."""
    got = b""
    try:
        while b"\r\n" not in got:
            more = connection.recv(4096)
            if not more:
                return None
            got += more
        return int(got.split()[1])
    except (OSError, ValueError, IndexError):
        return None


def send(port, data, half_close=False):
    try:
        with connect(port) as connection:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            return status(connection)
    except OSError:
        return None


def post(port, record, path=PATH):
    return send(port, request(path=path, body=json.dumps(record, ensure_ascii=False).encode()))


def get(port, fields, path=PATH):
    return send(port, request("GET", path + ("&" if "?" in path else "?") + urlencode(fields)))


def accepted(*statuses):
    return all(code is not None and 200 <= code < 300 for code in statuses)


def handled(code):
    return code is not None and code < 500


# --- the questions: each answers whether all was well

def all_posted(*records):
    return lambda port: accepted(*[post(port, record() if callable(record) else record) for record in records])


def brackets(port):
    fields = cdr(extra_params=ABSENT, **{"extra_params[click2call]": "true"})
    return accepted(get(port, fields))


def duplicate(port):
    record = cdr()
    return accepted(post(port, record), post(port, record))


def changed(port):
    record = cdr()
    return accepted(post(port, record), post(port, dict(record, hangup_reason="sent_reject", status="missed", to=442000000009)))


def post_then_get(port):
    record = cdr()
    return accepted(post(port, record), get(port, record))


def at_once(port, records):
    """Copies on open connections, their last byte released together."""
    connections = [connect(port) for _ in records]
    requests = [request(body=json.dumps(record).encode()) for record in records]
    try:
        for connection, data in zip(connections, requests):
            connection.sendall(data[:-1])
            connection.settimeout(15)
        time.sleep(0.05)
        for connection, data in zip(connections, requests):
            connection.sendall(data[-1:])
        return [status(connection) for connection in connections]
    finally:
        for connection in connections:
            connection.close()


def race(port):
    return accepted(*at_once(port, [cdr()] * 3))


def burst(port):
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        codes = list(pool.map(lambda _: accepted(*at_once(port, [cdr()])), range(20)))
    return all(codes) and time.monotonic() - started < 5


def unreadable(body, content_type="application/json"):
    return lambda port: handled(send(port, request(body=body, content_type=content_type)))


def chunked(port):
    body = json.dumps(cdr()).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return handled(send(port, head.encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)))


def without_type(port):
    return handled(send(port, request(body=json.dumps(cdr()).encode(), content_type=None)))


def with_type(content_type):
    return lambda port: handled(send(port, request(body=json.dumps(cdr()).encode(), content_type=content_type)))


def truncated(port):
    body = json.dumps(cdr()).encode()
    send(port, request(body=body[:50], length=len(body)), half_close=True)
    return True  # any answer will do, or none: the next CDR tells


def huge_length(port):
    send(port, request(body=b'{"type":', length=1 << 40), half_close=True)
    return True


def open_meanwhile(data):
    def question(port):
        with connect(port) as connection:
            if data:
                connection.sendall(data)
            return accepted(post(port, cdr()))
    return question


def reset(port):
    connection = connect(port)
    connection.sendall(request(body=b'{"type": "cd', length=400))
    time.sleep(0.1)  # a reset that overtakes the head is no request at all
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    return True


def drip(port):
    with connect(port) as connection:
        for byte in request(body=json.dumps(cdr()).encode()):
            connection.sendall(bytes([byte]))
            time.sleep(0.0005)
        return accepted(status(connection))


DEEP = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
QUESTIONS = {
    "post": all_posted(cdr),
    "post-customer-missed": lambda port: accepted(*[post(port, record) for record in customer_missed()]),
    "post-customer-missed-reversed": lambda port: accepted(*[post(port, record) for record in reversed(customer_missed())]),
    "post-live": all_posted(lambda: cdr(virtual_number=440000000000, custom="false", extra_params={"code": "C1"})),
    "post-legacy": all_posted(legacy),
    "post-softphone": all_posted(lambda: cdr(request_id=ABSENT, extra_params=ABSENT)),
    "post-query": lambda port: accepted(post(port, cdr(), PATH + "?token=t")),
    "get": lambda port: accepted(get(port, cdr())),
    "get-query": lambda port: accepted(get(port, cdr(), PATH + "?token=t")),
    "get-brackets": brackets,
    "get-legacy": lambda port: accepted(get(port, legacy())),
    "custom-text": all_posted(*[lambda text=text: cdr(custom=text) for text in ("none", "false", "plain text")]),
    "custom-object": all_posted(lambda: cdr(custom={"crm": True})),
    "extra-object": all_posted(lambda: cdr(extra_params={"code": "C1"}), lambda: cdr(extra_params={"{}": None})),
    "extra-text": all_posted(lambda: cdr(extra_params="plain text")),
    "to-string": all_posted(lambda: cdr(to="442000000000", appid="2222223")),
    "virtual-number-number": all_posted(lambda: cdr(virtual_number=440000000000)),
    "time-string": all_posted(lambda: cdr(time="1650628175336")),
    "unknown-field": all_posted(lambda: cdr(hold_seconds=3)),
    "non-ascii": all_posted(lambda: cdr(custom='{"name":"Zoë, \u0905\u0928\u0941, \U0001f4de"}')),
    "long-value": all_posted(lambda: cdr(custom=json.dumps({"note": "x" * 5000}))),
    "event": all_posted(EVENT),
    "incoming": all_posted(INCOMING),
    "rest": all_posted(REST),
    "duplicate": duplicate,
    "duplicate-changed": changed,
    "post-then-get": post_then_get,
    "race": race,
    "malformed": unreadable(b'{"type": "cdr", "leg": '),
    "js-literal": unreadable(b"{\nvirtual_number: '440000000000',\nleg: 'a',\ntype: 'cdr',\nappid: 2222223,\n}"),
    "empty": unreadable(b""),
    "array": unreadable(b"[]"),
    "deep": unreadable(DEEP),
    "not-utf8": unreadable(b'{"type": "cdr", "custom": "\xff\xfe"}'),
    "no-content-type": without_type,
    "text-plain": with_type("text/plain"),
    "chunked": chunked,
    "truncated": truncated,
    "huge-length": huge_length,
    "truncated-open": open_meanwhile(request(body=b'{"type":', length=400)),
    "silent-open": open_meanwhile(b""),
    "reset": reset,
    "drip": drip,
    "burst": burst,
}


# --- the handlers

class Running:
    def __init__(self, handler):
        environment = {**os.environ, "PORT": "0", **handler["env"]}
        self.process = subprocess.Popen(handler["command"], cwd=HERE, env=environment, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
        watchdog = threading.Timer(START, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if not line.startswith("ready http://127.0.0.1:") or not line.endswith(PATH + "\n"):
            self.stop()
            raise RuntimeError(f"not ready: {line!r}")
        self.port = int(line.split(":")[2].split("/")[0])

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def check(handler):
    """The questions that were not answered as expected."""
    bad, running = set(), Running(handler)
    try:
        broken = not QUESTIONS["post"](running.port)
        if broken:
            return symmetric({"*"}, handler)  # not even the plainest CDR: nothing else can be told apart
        for name, question in QUESTIONS.items():
            try:
                well = question(running.port)
            except OSError:
                well = False
            time.sleep(0.05)  # a handler that dies of it may need a moment
            well = QUESTIONS["post"](running.port) and well  # dead or stuck: found here, not later
            if not well:
                bad.add(name)
                running.stop()
                running = Running(handler)
        return symmetric(bad, handler)
    finally:
        running.stop()


def symmetric(bad, handler):
    expected = set(handler["questions"])
    return [f"{name} went wrong" for name in sorted(bad - expected)] + [f"{name} went well" for name in sorted(expected - bad)]


def missing(handler):
    """Why this handler cannot run here, if so."""
    if handler["runtime"] == "node":
        if not shutil.which("node"):
            return "no node"
        if subprocess.run(["node", "-e", "require('express')"], cwd=HERE, capture_output=True, timeout=START).returncode:
            return "no express"
    if handler["runtime"] == "flask" and subprocess.run(
            ["python3", "-c", "import flask"], capture_output=True, timeout=START).returncode:
        return "no flask"
    return None


def main(names):
    handlers = json.loads((HERE / "expected.json").read_text())["handlers"]
    chosen = [handler for handler in handlers if not names or handler["name"] in names]
    absent = {runtime: missing({"runtime": runtime}) for runtime in {handler["runtime"] for handler in chosen}}

    def judged(handler):
        if absent[handler["runtime"]]:
            raise Skipped(absent[handler["runtime"]])
        wrong = check(handler)
        if wrong:
            raise RuntimeError(", ".join(wrong))
        return "as expected"

    return run_checks([(handler["name"], functools.partial(judged, handler)) for handler in chosen], 3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
