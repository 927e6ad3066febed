"""good_stdlib.py with one planted bug, named by the environment variable BUG.

A handler of http.server that fails has no framework to answer 500 for it: the connection closes without an answer.
"""
import json
import os
import sys
import threading
import time
from http.server import HTTPServer
from urllib.parse import urlsplit

import good_stdlib as good


class Webhook(good.Webhook):
    """Each bug changes this copy."""


class OneAtATime(HTTPServer):
    """The server of many a tutorial: one connection, to its end, and then the next."""

    request_queue_size = 128


class Fragile(OneAtATime):
    """A hand-written accept loop: nothing stands between one request's exception and the end of the loop."""

    def handle_error(self, request, client_address):
        raise sys.exc_info()[1]


def get_501():
    """Only do_POST is written; http.server answers a GET with 501."""
    Webhook.do_GET = property()  # as good as absent: hasattr() says no


def rejects_query():
    """Compares self.path, which holds the query, with the webhook's path: ?token=... is not found."""
    def do_POST(self):
        if urlsplit(self.path).query:
            self.close_connection = True
            self.answer(404, "not here")
        else:
            good.Webhook.do_POST(self)
    Webhook.do_POST = do_POST


def malformed_unanswered():
    """json.loads without a try: the thread dies with its traceback, the sender sees a closed connection."""
    good.read_record = json.loads


def reads_to_end():
    """rfile.read() without a length: waits for the sender to hang up, who waits for the answer."""
    Webhook.read_body = lambda self: self.rfile.read() if self.command == "POST" else b""


def requires_length():
    """int(self.headers["Content-Length"]): a chunked body has none, int(None) fails."""
    def read_body(self):
        return self.rfile.read(int(self.headers["Content-Length"])) if self.command == "POST" else b""
    Webhook.read_body = read_body


def slow_under_load():
    """One lock around slow work (a CRM's API, 300 ms): twenty CDRs at once queue up for six seconds."""
    lock, keep = threading.Lock(), good.CallLog.keep

    def slowly(self, record):
        with lock:
            time.sleep(0.3)
            keep(self, record)
    good.CallLog.keep = slowly


def stuck_worker():
    """HTTPServer instead of ThreadingHTTPServer, and no timeout: one silent connection blocks everybody."""
    Webhook.protocol_version, Webhook.timeout = "HTTP/1.0", None
    return OneAtATime


def dies_on_malformed():
    """One unreadable body ends the accept loop, and with it the process."""
    Webhook.protocol_version, Webhook.timeout = "HTTP/1.0", 1
    good.read_record = json.loads
    return Fragile


def loop_dies():
    """The same in a background thread: the process lives, connections are accepted, nobody answers."""
    dies_on_malformed()

    class InBackground(Fragile):
        def serve_forever(self, *args):
            threading.Thread(target=super().serve_forever).start()
            threading.Event().wait()
    return InBackground


BUGS = {bug.__name__.replace("_", "-"): bug for bug in (
    get_501, rejects_query, malformed_unanswered, reads_to_end, requires_length, slow_under_load, stuck_worker,
    dies_on_malformed, loop_dies)}

if __name__ == "__main__":
    server = BUGS[os.environ["BUG"]]() or good.Server
    good.serve(server(("127.0.0.1", int(os.environ.get("PORT", "5000"))), Webhook))
