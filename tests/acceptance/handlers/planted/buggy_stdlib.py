"""good_stdlib.py with one planted bug, named by the environment variable BUG.

http.server does not answer 500 for an exception: the connection closes without an answer.
"""
import json
import os
import socket
import threading
import time
from http.server import HTTPServer
from urllib.parse import unquote, unquote_plus, urlsplit

import good_stdlib as good
from calls import MAX_BODY, PATH, Refused, as_json, port, read_record, ready
from planting import before, named, storing

Webhook = good.Webhook


def one_packet():
    """Takes what one recv() gives for the whole request: right on one machine, wrong for slow senders and long bodies."""
    def answer(connection, status, text=b""):
        connection.sendall(b"HTTP/1.1 %d -\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status, len(text), text))

    def one(connection):
        connection.settimeout(10)
        head, _, body = connection.recv(MAX_BODY + 65536).partition(b"\r\n\r\n")
        try:
            method, target, _ = head.split(b"\r\n")[0].decode("latin-1").split(" ")
            path = urlsplit(target).path
            if path.startswith("/calls/"):
                rows = Webhook.calls.find(unquote(path.removeprefix("/calls/")))
                return answer(connection, 200 if rows else 404, as_json(rows))
            if path != PATH or method not in ("GET", "HEAD", "POST"):
                return answer(connection, 404 if path != PATH else 405)
            if method == "POST":
                Webhook.calls.take(read_record(body))
            elif method == "GET":
                Webhook.calls.take(dict(good.parse_qsl(urlsplit(target).query, keep_blank_values=True)))
            answer(connection, 200, b"got it" if method != "HEAD" else b"")
        except Refused as refused:
            answer(connection, refused.status, str(refused).encode())
        except ValueError:
            answer(connection, 400)

    def serve():
        listener = socket.create_server(("127.0.0.1", port()), backlog=128)
        ready(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()

            def handle(connection=connection):
                with connection:
                    try:
                        one(connection)
                        connection.shutdown(socket.SHUT_WR)
                        while connection.recv(65536):  # a close with unread bytes is a reset, and takes the answer along
                            pass
                    except OSError:
                        pass
            threading.Thread(target=handle, daemon=True).start()
    return serve


def two_seconds():
    """A call to a slow CRM before each answer; other deliveries are served meanwhile."""
    before(lambda record: time.sleep(2))


def lock_kept():
    """lock.acquire() without try and finally: after the first body that is no JSON nobody gets the lock."""
    lock, well = threading.Lock(), good.read_record

    def read(body):
        lock.acquire()
        record = well(body)
        lock.release()
        return record
    good.read_record = read


def chunked_is_empty():
    """A body without a Content-Length is taken for an empty one; 400 says "not JSON" to a chunked CDR."""
    read_body = Webhook.read_body

    def ignoring_chunks(self):
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            return b""
        return read_body(self)
    Webhook.read_body = ignoring_chunks


def no_length():
    """HTTP/1.1 without a Content-Length: the sender waits for the end of the answer until it gives up."""
    def answer(self, status, content=b"", kind="text/plain"):
        if self.path.startswith("/calls/"):
            return well(self, status, content, kind)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = False
    well = Webhook.answer
    Webhook.answer = answer


def get_501():
    """do_POST only (and the read route)."""
    get = Webhook.do_GET
    Webhook.do_GET = lambda self: get(self) if self.path.startswith("/calls/") else self.send_error(501, "Unsupported method ('GET')")


def answeredsec_closed():
    """record["answeredsec"]: a missed CDR has none."""
    before(lambda record: record["answeredsec"])


def one_at_a_time():
    """HTTPServer instead of ThreadingHTTPServer, and no timeout: a silent connection blocks everybody."""
    Webhook.timeout = None
    Webhook.protocol_version = "HTTP/1.0"
    good.Server = type("OneAtATime", (HTTPServer,), {"request_queue_size": 128})


def plus_lost():
    """The query is decoded before it is split, and again behind that: %2B becomes a plus, and then a space."""
    well = Webhook.query
    Webhook.query = lambda self: {name: unquote_plus(value) for name, value in well(self).items()}


def plus_stays():
    """unquote() knows %20 only: a space that came as a plus stays a plus."""
    def query(self):
        pairs = [pair.partition("=") for pair in urlsplit(self.path).query.split("&") if pair]
        return {unquote(name): unquote(value) for name, _, value in pairs}
    Webhook.query = query


def mojibake():
    """The body is read as Latin-1."""
    def read(body):
        record = read_record(body)
        return record if body.isascii() else json.loads(body.decode("latin-1"))
    good.read_record = read


def race_two_rows():
    """Looks, waits for the disk, and writes: two copies at the same time are two rows."""
    def store(calls, key, row, well):
        if key not in calls.rows:
            time.sleep(0.1)
            calls.rows[key if key not in calls.rows else f"{key} {threading.get_ident()}"] = row
    storing(store)


BUGS = named(one_packet, two_seconds, lock_kept, chunked_is_empty, no_length, get_501, answeredsec_closed, one_at_a_time,
             plus_lost, plus_stays, mojibake, race_two_rows)

if __name__ == "__main__":
    serve = BUGS[os.environ["BUG"]]()
    if serve:
        serve()
    else:
        good.serve(good.Server(("127.0.0.1", port()), Webhook))
