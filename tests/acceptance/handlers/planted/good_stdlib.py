"""A CDR webhook of Python's standard library."""
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from calls import MAX_BODY, PATH, PATIENCE, Calls, Refused, as_json, port, read_record, ready


class Webhook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE  # the default is none
    calls = Calls()

    def do_POST(self):
        self.reply(lambda body: self.calls.take(read_record(body)))

    def do_GET(self):
        path = urlsplit(self.path).path
        if path.startswith("/calls/"):
            self.read_back(unquote(path.removeprefix("/calls/")))
        else:
            self.reply(lambda _: self.calls.take(self.query()))

    def query(self):
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

    def read_back(self, cmiuuid):
        rows = self.calls.find(cmiuuid)
        self.answer(200 if rows else 404, as_json(rows), "application/json")

    def do_HEAD(self):
        self.reply(lambda _: None)

    def do_OPTIONS(self):
        self.answer(204)

    def do_PUT(self):
        self.close_connection = True  # its body stays unread
        self.answer(405, b"GET or POST")

    do_PATCH = do_DELETE = do_PUT

    def reply(self, take):
        try:
            body = self.read_body()
            if urlsplit(self.path).path != PATH:
                raise Refused(404, "not here")
            take(body)
            self.answer(200, b"got it")
        except Refused as refused:
            self.close_connection = True
            self.answer(refused.status, str(refused).encode())
        except TimeoutError:
            self.close_connection = True
            self.answer(408, b"the body did not come")

    def read_body(self):
        """Reads the whole body: the connection may carry another request behind it."""
        if "Transfer-Encoding" in self.headers:
            raise Refused(411, "a body needs a Content-Length")  # http.server knows no chunks
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()) or len(length) > 18:
            raise Refused(400, "bad Content-Length")
        body = self.rfile.read(min(int(length), 8 * MAX_BODY))  # a sender that still sends does not see the 413
        if int(length) > MAX_BODY:
            raise Refused(413, "too large")
        if len(body) < int(length):
            raise Refused(400, "the body ended early")
        return body

    def answer(self, status, content=b"", kind="text/plain; charset=utf-8"):
        self.send_response(status)
        if status in (204, 405):
            self.send_header("Allow", "GET, HEAD, OPTIONS, POST")
        if status != 204:
            self.send_header("Content-Type", kind)
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
            pass  # the sender hung up

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # the default is 5
    daemon_threads = True


def serve(server):
    ready(server.server_address[1])
    server.serve_forever()


if __name__ == "__main__":
    serve(Server(("127.0.0.1", port()), Webhook))
