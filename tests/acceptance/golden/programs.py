"""Runs programs, plays the peer, and masks what differs from run to run."""

import os
import re
import socket
import subprocess
import threading
import time

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "TZ": "UTC", "COLUMNS": "80"}
FIXED = ["--seed", "7", "--at", "2026-11-22T09:00:00Z"]
LIMIT = 60  # seconds for any program

VERSION = [(r"telecmi-cdr/\d+\.\d+\.\d+", "telecmi-cdr/VERSION"),
           (r'("version" ?: ?"|"creator":\{"name":"telecmi-cdr","version":")\d+\.\d+\.\d+', r"\1VERSION"),
           (r"(?m)^telecmi-cdr \d+\.\d+\.\d+$", "telecmi-cdr VERSION")]
RUN = VERSION + [
    (r"(127\.0\.0\.1|localhost|\[::1\]):\d{4,5}\b", r"\1:PORT"),
    (r'"(received_at|peer)":"[^"]*"', r'"\1":"X"'),
    (r'"at":"(?!2026-11-22T)[^"]*"', '"at":"X"'),
    (r'"(took_ms|latency_ms|late_ms|elapsed_ms|silent_ms|after_ms|min_ms|median_ms|max_ms|requests_per_s|min|mean|p50|p90|p99|max|pid)":-?[\d.e-]+', r'"\1":0'),
    (r"(?i)(\bdate(?:: |\",\"))\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", r"\1X"),
    (r"(?<![\dT])(?!2026-11-22T)(\d{4}-\d\d-\d\dT)?\d\d:\d\d:\d\d\.\d{3}(Z|\b)", "TIME"),
    (r"(?<!answered for) *(?:(?<![\w.])|(?<=\[\dm)|(?<=\[\d\dm))\d[\d.]* (µs|ms|s)(?!\w)", " T"),
    (r"(?m)^( +#\d+ .* after T) +", r"\1  "),  # a column as wide as its longest duration
    (r"(?<![\w.])\d+\.\d+/s\b", "N/s"),
    (r"(?m)^(from|to) +[\d-]{10} [\d:]{8} UTC", r"\1 TIME"),
    (r" \(and \d+ more like it\)", ""),
    (r"(?m)^ +T +█* *\d+\n", ""),  # the bars of a histogram
]


def mask(text, masks=RUN):
    for pattern, instead in masks:
        text = re.sub(pattern, instead, text)
    return text


def text_of(data):
    """Bytes as text for a person, of which every byte can be seen."""
    text = data.decode("utf-8", "backslashreplace").replace("\r", "\\r")
    return "".join(c if c.isprintable() or c in "\n" else c.encode("unicode_escape").decode() for c in text)


def run(program, arguments, folder, env=None, stdin=None):
    """Runs a program to its end: (exit code, stdout, stderr)."""
    try:
        ended = subprocess.run([program, *arguments], cwd=folder, env=ENVIRONMENT | (env or {}), input=stdin or b"",
                               capture_output=True, timeout=LIMIT, check=False)
        return ended.returncode, text_of(ended.stdout), text_of(ended.stderr)
    except subprocess.TimeoutExpired as late:
        return "none in time", text_of(late.stdout or b""), text_of(late.stderr or b"")


def streams(code, stdout, stderr):
    """Exit code and streams as one text."""
    return f"exit {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"


class Listener:
    """A `listen` that is ready on any free port, and the output that has come since it was last asked for."""

    def __init__(self, program, flags, folder):
        ready = os.path.join(folder, "ready")
        self.process = subprocess.Popen([program, "listen", "--port", "0", "--ready-file", ready, *flags], cwd=folder, env=ENVIRONMENT,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.out, self.err, self.read = bytearray(), bytearray(), 0
        self.readers = [threading.Thread(target=self.follow, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))]
        for reader in self.readers:
            reader.start()
        deadline = time.monotonic() + LIMIT
        while not os.path.exists(ready) or not (found := re.search(r":(\d+)$", open(ready, encoding="utf-8").read().strip())):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"not ready: {flags}: {text_of(bytes(self.err))}")
            time.sleep(0.005)
        self.port = int(found[1])
        self.news(2 if "ndjson" in flags else 0)  # the record `listening`

    @staticmethod
    def follow(stream, into):
        while data := stream.read1(65536):
            into.extend(data)

    def news(self, patience):
        """New output: waits for the first of it, then until nothing has come for a moment."""
        deadline = time.monotonic() + patience
        while len(self.out) == self.read and time.monotonic() < deadline:
            time.sleep(0.002)
        size = -1
        while size != len(self.out):
            size = len(self.out)
            time.sleep(0.05)
        new, self.read = bytes(self.out[self.read:size]), size
        return text_of(new)

    def end(self):
        """Stops it: (exit code, the rest of stdout, stderr)."""
        self.process.terminate()
        try:
            code = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "none in time"
        for reader in self.readers:
            reader.join(5)
        return code, text_of(bytes(self.out[self.read:])), text_of(bytes(self.err))


def talk(port, data, patience=5.0):
    """Writes bytes over a connection of its own; gives what comes back until the end."""
    back = bytearray()
    end = "closed"
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        try:
            connection.sendall(data)
            while piece := connection.recv(65536):
                back += piece
        except TimeoutError:
            end = "still open"
        except OSError:
            end = "reset"
    return f"{text_of(bytes(back))}\n[{end}]"


class Peer:
    """An HTTP receiver on a free port. `answer(path, n)` gives the bytes to answer the n-th request of a path with; then
    the connection is kept if `kept(path, bytes)`, held for a while if they end with HOLD, else closed."""

    def __init__(self, answer):
        self.answer, self.connections, self.counts = answer, [], {}
        self.lock = threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            record = bytearray()
            self.connections.append(record)
            threading.Thread(target=self.serve, args=(connection, record), daemon=True).start()

    def serve(self, connection, record):
        connection.settimeout(4)
        with connection:
            try:
                buffer = b""
                while (parts := self.request(connection, record, buffer)) is not None:
                    head, buffer = parts
                    path = head.split(b" ")[1].decode("latin-1") if head.count(b" ") > 1 else ""
                    with self.lock:
                        n = self.counts[path] = self.counts.get(path, 0) + 1
                    data, then = self.answer(path, n, head)
                    connection.sendall(data)
                    if then == "close":
                        connection.shutdown(socket.SHUT_WR)
                    if then != "keep":
                        while piece := connection.recv(65536):
                            record += piece
                        return
            except OSError:
                return

    @staticmethod
    def request(connection, record, buffer):
        """Reads one request: (head, what came behind it), or None at the end."""
        def more():
            piece = connection.recv(65536)
            record.extend(piece)
            return piece
        while b"\r\n\r\n" not in buffer:
            if not (piece := more()):
                return None
            buffer += piece
        head, rest = buffer.split(b"\r\n\r\n", 1)
        if re.search(rb"(?im)^expect: *100-continue", head):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if re.search(rb"(?im)^transfer-encoding: *chunked", head):
            while b"0\r\n\r\n" not in rest and (piece := more()):
                rest += piece
            return head, rest.partition(b"0\r\n\r\n")[2]
        length = re.search(rb"(?im)^content-length: *(\d{1,9})\r?$", head)
        size = int(length[1]) if length else 0
        while len(rest) < size:
            if not (piece := more()):
                return None
            rest += piece
        return head, rest[size:]

    def received(self):
        """The bytes of each connection so far, as texts."""
        return [text_of(bytes(record)) for record in self.connections]

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)  # a close alone leaves accept() waiting, and the port taken
        self.socket.close()


def executable(path, name, folder):
    """A link to a program, so that both call themselves the same in what they print."""
    place = os.path.join(folder, name, "telecmi-cdr")
    os.makedirs(os.path.dirname(place), exist_ok=True)
    os.symlink(os.path.abspath(path), place)
    return place
