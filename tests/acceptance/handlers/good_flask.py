"""A TeleCMI CDR webhook with Flask. `app` is what a production server (gunicorn, waitress) would import."""
import json
import os
import threading
from collections import deque

from flask import Flask, abort, request
from werkzeug.serving import WSGIRequestHandler, make_server

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1 << 20  # bytes; a CDR has about 500


class CallLog:
    """The outbound CDRs, one for each leg. `cmiuuid` names a leg; `request_id` and `call_id` are shared by a call's legs."""

    def __init__(self):
        self.lock = threading.Lock()
        self.cdrs = {}
        self.others = deque(maxlen=1000)  # live events, incoming calls: not ours, but no error

    def keep(self, record):
        if record.get("type") == "cdr" and record.get("direction") == "outbound" and isinstance(record.get("cmiuuid"), str):
            self.store(self.understand(record))
        else:
            self.others.append(record)
        return "got it"

    def store(self, cdr):
        with self.lock:
            self.cdrs.setdefault(cdr["id"], cdr)  # deliveries repeat: the first one counts

    def understand(self, record):
        """JSON and query strings, documentation and live traffic disagree about types; nothing here insists on one."""
        return {
            "id": record["cmiuuid"],
            "call": record.get("request_id") or record.get("call_id"),  # click2call only; not in old CDRs
            "leg": record.get("leg"),
            "status": record.get("status"),
            "to": digits(record.get("to")),
            "time": whole(record.get("time")),  # milliseconds
            "custom": loosely(record.get("custom")),
            "extra_params": loosely(record.get("extra_params")),
        }


def whole(value):
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def digits(value):
    return str(value) if isinstance(value, (int, str)) else None


def loosely(value):
    """JSON text as what it says; "none", "false", plain text and objects as they came."""
    try:
        return json.loads(value)
    except (TypeError, ValueError, RecursionError):
        return value


def read_record(body):
    """Not request.get_json(): that wants the right Content-Type, and deep nesting becomes a 500 of ours."""
    try:
        record = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):  # ValueError covers bad UTF-8 and absurdly long numbers
        abort(400, "not JSON")
    if not isinstance(record, dict):
        abort(400, "not a JSON object")
    return record


log = CallLog()


@app.route("/webhook/cdr", methods=["GET", "POST"])
def webhook():
    if request.method == "POST":
        return log.keep(read_record(request.get_data()))
    if request.method == "GET":
        return log.keep(request.args.to_dict())
    return ""  # Flask routes HEAD here too


class Patience(WSGIRequestHandler):
    timeout = 10  # seconds a silent connection may keep its thread

    def log(self, *args):
        pass


def serve():
    server = make_server("127.0.0.1", int(os.environ.get("PORT", "5000")), app, threaded=True, request_handler=Patience)
    print(f"ready http://127.0.0.1:{server.port}/webhook/cdr", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve()
