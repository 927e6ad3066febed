"""A TeleCMI CDR webhook that needs nothing but Python's standard library."""
import json
import os
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

PATH = "/webhook/cdr"
MAX_BODY = 1 << 20  # bytes; a CDR has about 500


class Refused(Exception):
    """The sender's mistake: never a 500, and never a reason to stop serving."""

    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


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
    try:
        record = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):  # ValueError covers bad UTF-8 and absurdly long numbers
        raise Refused(400, "not JSON") from None
    if not isinstance(record, dict):
        raise Refused(400, "not a JSON object")
    return record


class Webhook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10  # seconds a silent connection may keep its thread
    log = CallLog()

    def do_POST(self):
        self.reply(lambda body: self.log.keep(read_record(body)))

    def do_GET(self):
        self.reply(lambda _: self.log.keep(dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))))

    def do_HEAD(self):
        self.reply(lambda _: None)

    def do_OPTIONS(self):
        self.answer(204)

    def do_PUT(self):
        self.close_connection = True  # its body stays unread
        self.answer(405, "GET or POST")

    do_PATCH = do_DELETE = do_PUT

    def reply(self, keep):
        try:
            body = self.read_body()
            if urlsplit(self.path).path != PATH:
                raise Refused(404, "not here")
            keep(body)
            self.answer(200, "got it")
        except Refused as refused:
            self.close_connection = True
            self.answer(refused.status, str(refused))
        except TimeoutError:
            self.close_connection = True
            self.answer(408, "the body did not come")

    def read_body(self):
        """Always reads the body, so that the connection can carry another request."""
        if "Transfer-Encoding" in self.headers:
            raise Refused(411, "a body needs a Content-Length")  # http.server knows no chunks
        length = whole(self.headers.get("Content-Length", 0))
        if length is None or length < 0:
            raise Refused(400, "bad Content-Length")
        body = self.rfile.read(min(length, 8 * MAX_BODY))  # more than we keep, or the sender never sees the 413
        if length > MAX_BODY:
            raise Refused(413, "too large")
        if len(body) < length:
            raise Refused(400, "the body ended early")
        return body

    def answer(self, status, text=""):
        content = text.encode()
        self.send_response(status)
        if status in (204, 405):
            self.send_header("Allow", "GET, HEAD, OPTIONS, POST")
        if status != 204:
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            pass  # the sender hung up; nobody is left to answer

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # the default, 5, turns a burst away


def serve(server):
    print(f"ready http://127.0.0.1:{server.server_address[1]}{PATH}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    serve(Server(("127.0.0.1", int(os.environ.get("PORT", "5000"))), Webhook))
