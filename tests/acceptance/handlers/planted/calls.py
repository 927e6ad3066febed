"""What the Python handlers share: how a body becomes a record, and how CDRs are kept."""
import json
import math
import os
import threading
from collections import deque

PATH = "/webhook/cdr"
MAX_BODY = 1 << 20  # bytes; a CDR has about 500
PATIENCE = 10  # seconds for a connection that says nothing


class Refused(Exception):
    """The sender's mistake, told by a status."""

    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


class Calls:
    """One row for each `cmiuuid`, which names a leg; `request_id` and `call_id` are shared by a call's legs."""

    def __init__(self):
        self.lock = threading.Lock()
        self.rows = {}
        self.others = deque(maxlen=1000)  # live events, records of the REST API: no CDRs, but no error

    def take(self, record):
        if record.get("type") == "event":  # leg a's event has the cmiuuid of leg a's CDR
            self.others.append(record)
            return
        cmiuuid = record.get("cmiuuid")
        if isinstance(cmiuuid, str) and cmiuuid:
            self.take_cdr(record)
        elif record.get("type") == "cdr":
            raise Refused(400, "a CDR needs its cmiuuid")
        else:
            self.others.append(record)

    def take_cdr(self, record):
        self.store(self.key(record), self.row(record))

    def key(self, record):
        return record["cmiuuid"]

    def row(self, record):
        """JSON and query strings, documentation and live traffic disagree about types: each value stays as it came."""
        return dict(record)

    def store(self, key, row):
        with self.lock:
            self.rows.setdefault(key, row)  # deliveries repeat: the first one counts

    def find(self, cmiuuid):
        with self.lock:
            return [row for row in self.rows.values() if row["cmiuuid"] == cmiuuid]


def not_json(name):
    raise ValueError(f"{name} is not JSON")  # json.loads takes NaN and Infinity unless told otherwise


def finite(text):
    number = float(text)
    if math.isinf(number):  # 1e400 is JSON, and no number here
        raise ValueError(f"{text} is out of range")
    return number


def read_record(body):
    if len(body) > MAX_BODY:
        raise Refused(413, "too large")
    try:
        record = json.loads(body.decode("utf-8"), parse_constant=not_json, parse_float=finite)
    except (ValueError, RecursionError):  # ValueError covers bad UTF-8 and numbers of thousands of digits
        raise Refused(400, "not JSON") from None
    if not isinstance(record, dict):
        raise Refused(400, "not a JSON object")
    return record


def as_json(rows):
    """ASCII: a lone surrogate has no UTF-8, and \\ud800 stands for it."""
    return json.dumps(rows).encode("ascii")


def port():
    return int(os.environ.get("PORT", "5000"))


def ready(number):
    print(f"ready http://127.0.0.1:{number}{PATH}", flush=True)
