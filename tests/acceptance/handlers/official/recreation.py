"""What the examples re-created on Python's standard library share."""
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Recreation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def path_only(self):
        return urlsplit(self.path).path

    def body(self):
        """As much as came, when it ends early."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, status, text="", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


def serve(handler):
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        setattr(handler, f"do_{method}", handler.receive)
    ThreadingHTTPServer.request_queue_size = 128
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "5000"))), handler)
    server.handle_error = lambda *_: None  # a connection that broke; its traceback is nobody's business here
    print(f"ready http://127.0.0.1:{server.server_address[1]}/webhook/cdr", flush=True)
    server.serve_forever()
