#!/usr/bin/env python3
"""Besieges a receiver: everything a stranger could do to wear it out, at once and for as long as it takes.

    python3 tests/acceptance/siege/run.py target/dist/telecmi-cdr [--quick] [--only NAME]

Every part starts receivers of its own, on loopback, and says with figures whether they held. Prints a line a check and the
number that failed; exit code 0 if none did. Needs Python 3.9 and Linux (/proc); three minutes and a half, with --quick under
one.
"""
import argparse
import contextlib
import itertools
import json
import os
import random
import resource
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

DEADLINE = 40
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"
GOOD = b"GET / HTTP/1.1\r\nHost: siege\r\nConnection: close\r\n\r\n"


def cdr(number, size=0):
    """A CDR like the documented one, with identifiers of its own, and as long as asked for."""
    fields = {
        "virtual_number": "910000000000", "call_id": f"c4504776-d91e-123b-29a7-{number:012x}", "leg": "a",
        "type": "cdr", "appid": 2222223, "to": 442079460000, "cmiuuid": f"00000000-0000-4000-8000-{number:012x}",
        "status": "missed", "user": "101_2222223", "time": 1650628175336, "direction": "outbound",
        "hangup_reason": "recv_cancel", "request_id": f"{number:043d}", "custom": "",
    }
    fields["custom"] = "x" * max(0, size - len(json.dumps(fields)))
    return json.dumps(fields).encode()


def post(body, extra="", length=None):
    length = len(body) if length is None else length
    return (f"POST /webhook/cdr HTTP/1.1\r\nHost: siege\r\nContent-Type: application/json\r\n{extra}"
            f"Content-Length: {length}\r\n\r\n").encode() + body


class Receiver:
    """A receiver that is ready. What it says is kept; what it shows is thrown away, unless it is to be left unread."""

    def __init__(self, program, *flags, descriptors=None, unread=False):
        self.folder = tempfile.mkdtemp(prefix="siege-")
        self.said = os.path.join(self.folder, "stderr")
        ready = os.path.join(self.folder, "ready")
        limit = None if descriptors is None else (
            lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors)))
        with open(self.said, "wb") as stderr:
            self.process = subprocess.Popen(
                [program, "listen", "--port", "0", "--format", "ndjson", "--ready-file", ready, *flags],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if unread else subprocess.DEVNULL, stderr=stderr,
                preexec_fn=limit)
        until = time.monotonic() + DEADLINE
        while not os.path.exists(ready):
            if time.monotonic() > until or self.process.poll() is not None:
                sys.exit("the receiver did not start: " + self.words())
            time.sleep(0.005)
        with open(ready, encoding="ascii") as line:
            host, port = line.read().strip()[len("http://"):].rsplit(":", 1)
        self.address = (host, int(port))

    def words(self):
        with open(self.said, encoding="utf-8") as lines:
            return lines.read()

    def memory(self, which="VmRSS"):
        """Resident memory in MiB: now, or the most so far (VmHWM)."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(which)) / 1024

    def stop(self, again=False):
        """Interrupts it, twice if asked; gives the exit code and how long it took, or None."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        if again:
            time.sleep(0.1)
            began = time.monotonic()
            self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            code = None
        return code, time.monotonic() - began

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


class Checks:
    """What held and what did not."""

    def __init__(self):
        self.lock = threading.Lock()
        self.passed = self.failed = 0

    def check(self, name, held, figures=""):
        with self.lock:
            self.passed += bool(held)
            self.failed += not held
            print(f"{'✓' if held else '✗'} {name}" + (f": {figures}" if figures != "" else ""), flush=True)


def together(jobs):
    """Does several things at once, to the end of the last."""
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def connected(address, small=False):
    stream = socket.socket()
    if small:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    stream.settimeout(DEADLINE)
    stream.connect(address)
    return stream


def ask(address, request, patience=DEADLINE):
    """The status that comes back to a request, or None, and how long it took."""
    began = time.monotonic()
    received = b""
    try:
        with socket.create_connection(address, timeout=patience) as stream:
            stream.sendall(request)
            while b"\r\n" not in received:
                stream.settimeout(max(0.01, began + patience - time.monotonic()))
                more = stream.recv(4096)
                if not more:
                    break
                received += more
    except OSError:
        pass
    parts = received.split(b" ", 2)
    status = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else None
    return status, time.monotonic() - began


SLOW_HEAD = b"POST /webhook/cdr HTTP/1.1\r\nHost: siege\r\nX-Slow: "
SLOW_BODY = post(b"{", length=5000)
PIPELINE = b"GET / HTTP/1.1\r\nHost: siege\r\n\r\n" * 2000


class Besiegers:
    """Connections of one kind. They send a byte now and then, if they are to, and come back when they are sent away."""

    def __init__(self, address, first, number, byte_every=None, come_back=False):
        self.address, self.first, self.byte_every, self.come_back = address, first, byte_every, come_back
        self.selector = selectors.DefaultSelector()
        self.over = False
        self.closed = 0
        self.thread = threading.Thread(target=self.press, args=(number,), daemon=True)
        self.thread.start()

    def open(self):
        stream = socket.socket()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        stream.settimeout(3)
        sent = 0
        try:
            # At once, or it is sent away because it is silent.
            stream.connect(self.address)
            sent = stream.send(self.first) if self.first else 0
        except OSError:
            pass  # the end shows soon enough
        stream.setblocking(False)
        self.selector.register(stream, selectors.EVENT_WRITE, self.first[sent:])

    def press(self, number):
        for _ in range(number):
            if not self.over:
                self.open()
        last = time.monotonic()
        while not self.over:
            for key, _ in self.selector.select(0.05):
                self.move(key.fileobj, key.data)
            if self.byte_every and time.monotonic() - last >= self.byte_every:
                last = time.monotonic()
                for key in list(self.selector.get_map().values()):
                    if not key.data:
                        self.selector.modify(key.fileobj, selectors.EVENT_WRITE, b"x")

    def move(self, stream, rest):
        try:
            if rest:
                rest = rest[stream.send(rest):]
                # Whoever leaves answers unread must not read; the end shows when writing.
                reads = self.first is not PIPELINE
                wanted = selectors.EVENT_WRITE if rest or not reads else selectors.EVENT_READ
                self.selector.modify(stream, wanted, rest if rest or reads else PIPELINE)
            elif stream.recv(4096) == b"":
                raise ConnectionResetError
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.closed += 1
            self.selector.unregister(stream)
            stream.close()
            if self.come_back and not self.over:
                self.open()

    def leave(self):
        self.over = True
        self.thread.join()
        held = list(self.selector.get_map().values())
        for key in held:
            key.fileobj.close()
        self.selector.close()
        return self.closed + len(held)


def siege(checks, program, name, kinds, seconds, timeout, flags=(), come_back=False, patience=5.0):
    """A good request every half second while strangers take every place there is."""
    capture = os.path.join(tempfile.mkdtemp(prefix="siege-"), "capture.ndjson")
    with Receiver(program, "--save", capture, *flags, descriptors=256) as receiver:
        answers, threads = [], []

        def good(number, at):
            status, took = ask(receiver.address, post(cdr(number), "Connection: close\r\n"), patience)
            answers.append((number, at, status, took))

        began = time.monotonic()
        strangers = [Besiegers(receiver.address, first, 300, every, come_back) for first, every in kinds]
        number = 0
        while time.monotonic() - began < seconds:
            at = time.monotonic() - began
            thread = threading.Thread(target=good, args=(number, at))
            thread.start()
            threads.append(thread)
            number += 1
            time.sleep(max(0.0, began + number * 0.5 - time.monotonic()))
        for thread in threads:
            thread.join()
        pressed = sum(group.leave() for group in strangers)
        code, _ = receiver.stop()
        with open(capture, encoding="utf-8") as lines:
            saved = {json.loads(line).get("cdr", {}).get("cmiuuid") for line in lines}
        acknowledged = [answer for answer in answers if answer[2] == 200]
        lost = [n for n, *_ in acknowledged if json.loads(cdr(n))["cmiuuid"] not in saved]
        after = [answer for answer in answers if answer[1] >= timeout]
        good_after = sum(answer[2] == 200 for answer in after)
        others = [f"{answer[2]} after {answer[3]:.1f} s" for answer in answers if answer[2] != 200]
        slowest = max((answer[3] for answer in acknowledged), default=0)
        figures = (f"{good_after} of {len(after)} after the first timeout, {len(acknowledged)} of {len(answers)} in all, "
                   f"{pressed} strangers, slowest {slowest:.2f} s, {receiver_words(receiver)}" + (f", others {others}" if others else ""))
        checks.check(f"{name}: good requests are answered", after and good_after >= 0.95 * len(after), figures)
        checks.check(f"{name}: nothing acknowledged is lost, and it ends well", not lost and code == 0, f"exit {code}")


def receiver_words(receiver):
    words = receiver.words()
    refused = words.count("cannot accept")
    return f"{refused} times short of descriptors" + (", PANICKED" if "panicked" in words else "")


def sieges(checks, program, quick):
    timeout = 3 if quick else 15
    flags = ("--header-timeout", f"{timeout}s", "--body-timeout", f"{timeout}s")
    heads, bodies, unread = (SLOW_HEAD, 2.0), (SLOW_BODY, None), (PIPELINE, None)
    def at_once(*parts):
        together([lambda part=part, more=more: siege(checks, program, *part, **more) for *part, more in parts])

    if not quick:
        at_once(("300 slow heads", [heads], 21, timeout, flags, {}), ("300 slow bodies", [bodies], 21, timeout, flags, {}),
                ("300 unread answers", [unread], 21, timeout, flags, {}))
    # The first never stall for long, and never end: every place is taken for a whole timeout, again and again.
    drops, silent = [(SLOW_BODY, 1.0)], [(b"", None)] * 3
    at_once(("300 that send a byte a second and come back", drops, 8 if quick else 32, timeout, flags,
             {"come_back": True, "patience": timeout + 2.0}),
            ("900 that are silent and come back", silent, 5 if quick else 10, 2, flags, {"come_back": True}))
    siege(checks, program, "all 900 at once", [heads, bodies, unread], 6 if quick else 21, timeout, flags)


def upload(checks, program, quick):
    """A body without end, from a sender that reads nothing before it has written everything."""
    megabytes = 64 if quick else 512
    for reads in (True, False):
        with Receiver(program) as receiver:
            for _ in range(20):
                ask(receiver.address, post(cdr(1), "Connection: close\r\n"))
            before = receiver.memory()
            sent, received = 0, b""
            stream = connected(receiver.address)
            try:
                stream.sendall(b"POST / HTTP/1.1\r\nHost: siege\r\nTransfer-Encoding: chunked\r\n\r\n")
                while sent < megabytes * 16:
                    stream.sendall(CHUNK)
                    sent += 1
                    if reads:
                        stream.setblocking(False)
                        try:
                            received += stream.recv(4096)
                        except BlockingIOError:
                            pass
                        stream.settimeout(DEADLINE)
                        if received:
                            break
            except OSError:
                pass
            try:
                received += stream.recv(4096)
            except OSError:
                pass
            stream.close()
            more = receiver.memory("VmHWM") - before
            name = f"{megabytes} MiB in chunks, " + ("read meanwhile" if reads else "read at the end")
            checks.check(f"{name}: 413", received.startswith(b"HTTP/1.1 413"),
                         f"after {sent // 16} MiB: {received[:12].decode('latin-1') or 'nothing'}")
            checks.check(f"{name}: memory", more <= 8, f"{before:.1f} MiB and {more:.1f} more")


def ends(checks, program, quick):
    """Every kind of stalled connection ends when it should."""
    timeout = 2 if quick else 15
    flags = ("--header-timeout", f"{timeout}s", "--body-timeout", f"{timeout}s")
    asks = b"POST / HTTP/1.1\r\nHost: siege\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
    kinds = [
        ("silent", b"", None), ("idle after an answer", b"GET / HTTP/1.1\r\nHost: siege\r\n\r\n", None),
        ("slow head", SLOW_HEAD, None), ("head a byte at a time", SLOW_HEAD, b"x"), ("empty lines", b"\r\n", b"\r\n"),
        ("slow body", SLOW_BODY, None), ("body a byte at a time", SLOW_BODY, b"x"), ("leave taken and not used", asks, None),
        ("chunk without end", b"POST / HTTP/1.1\r\nHost: siege\r\nTransfer-Encoding: chunked\r\n\r\nff;a=", b"x"),
        ("chunks of a byte", b"POST / HTTP/1.1\r\nHost: siege\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        ("trailer without end", b"POST / HTTP/1.1\r\nHost: siege\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: ", b"x"),
    ]
    with Receiver(program, *flags) as receiver:
        taken = {}

        def one(name, first, more):
            stream = connected(receiver.address)
            began = time.monotonic()
            stream.sendall(first)
            stream.settimeout(0.1)
            while time.monotonic() - began < timeout + 5:
                try:
                    if more:
                        stream.sendall(more)
                    if stream.recv(4096) == b"":
                        break
                except socket.timeout:
                    pass
                except OSError:
                    break
            taken[name] = time.monotonic() - began
            stream.close()

        def unread():
            stream = connected(receiver.address, small=True)
            stream.settimeout(1)
            try:
                while True:
                    stream.sendall(PIPELINE)
            except socket.timeout:
                pass
            began = time.monotonic()
            while "did not read our answer in time" not in receiver.words() and time.monotonic() - began < 20:
                time.sleep(0.05)
            # It has been stuck for a second already.
            taken["answer not read (15 s)"] = time.monotonic() - began + 1 - (15 - timeout)
            stream.close()

        together([lambda kind=kind: one(*kind) for kind in kinds] + ([] if quick else [unread]))
        for name, seconds in taken.items():
            checks.check(f"{name}: closed in time", seconds <= timeout + 1, f"{seconds:.1f} s of {timeout} and one")


def deaf_handler():
    """A handler that never answers."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(64)
    return server


def stalled(address):
    """One connection of every kind that holds up an end, all of them open."""
    streams = []
    for first in (b"", SLOW_HEAD, SLOW_BODY, GOOD.replace(b"Connection: close\r\n", b""), GOOD, post(cdr(7)),
                  b"POST / HTTP/1.1\r\nHost: siege\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
                  b"NO HTTP\r\n\r\n", PIPELINE * 3):
        stream = connected(address, small=True)
        stream.settimeout(0.3)
        try:
            stream.sendall(first)
        except OSError:
            pass
        streams.append(stream)
    return streams


def ending(program, handler, again):
    """Starts a receiver of each manner, stalls it, and stops it; gives the slowest end and the wrong exit codes."""
    manners = [(), ("--fault", "hang"), ("--fault", "slow"), ("--delay", "30s"),
               ("--forward-to", f"http://127.0.0.1:{handler.getsockname()[1]}/")]
    receivers = [Receiver(program, *manner) for manner in manners]
    streams, results = [], []
    together([lambda receiver=receiver: streams.extend(stalled(receiver.address)) for receiver in receivers])
    together([lambda receiver=receiver: results.append(receiver.stop(again)) for receiver in receivers])
    for stream in streams:
        stream.close()
    panicked = sum("panicked" in receiver.words() for receiver in receivers)
    for receiver in receivers:
        receiver.__exit__()
    wrong = [code for code, _ in results if code != (130 if again else 0)]
    return max(took for _, took in results), wrong, panicked


def endings(checks, program, quick):
    rounds = 1 if quick else 20
    with deaf_handler() as handler:
        def in_a_row(again, limit, name):
            results = [ending(program, handler, again) for _ in range(rounds)]
            slowest = max(result[0] for result in results)
            wrong = [code for result in results for code in result[1]]
            checks.check(f"{name}, {rounds} times: at most {limit} s", slowest <= limit and not wrong,
                         f"slowest {slowest:.2f} s, wrong exit codes {wrong}")
            checks.check(f"{name}: nobody panicked", not any(result[2] for result in results))

        together([lambda: in_a_row(False, 3.5, "an end with all kinds open"),
                  lambda: in_a_row(True, 0.2, "a second signal")])


def flood(address, requests, streams=4):
    """Sends requests over a few connections, pipelined a hundred at a time, and reads every answer; gives their number."""
    counts = [0] * streams

    def one(worker):
        stream = connected(address)
        mine = requests(worker, streams)
        while True:
            batch = list(itertools.islice(mine, 100))
            if not batch:
                break
            stream.sendall(b"".join(batch))
            seen, tail = 0, b""
            while seen < len(batch):
                more = stream.recv(65536)
                if not more:
                    return
                tail += more
                seen += tail.count(b"HTTP/1.1 ")
                tail = tail[-8:] if not tail.endswith(b"HTTP/1.1 ") else b""
            counts[worker] += seen
        stream.close()

    together([lambda worker=worker: one(worker) for worker in range(streams)])
    return sum(counts)


def waiting(checks, program, quick):
    """The ends of connections and of receivers, both of which are mostly a matter of waiting."""
    together([lambda: ends(checks, program, quick), lambda: endings(checks, program, quick)])


def books(checks, program, quick):
    """What is remembered of CDRs and of failures has an end."""
    number = 24_000 if quick else 200_000
    with Receiver(program, "--status", "500", "--delay", "0s") as receiver:
        def requests(first, last):
            return lambda worker, step: (post(cdr(n, 1024)) for n in range(first + worker, last, step))

        # Both books have been full for a while at half-time.
        answered = flood(receiver.address, requests(0, number // 2))
        full = receiver.memory()
        began = time.monotonic()
        answered += flood(receiver.address, requests(number // 2, number))
        rate = number / 2 / (time.monotonic() - began)
        more = receiver.memory() - full
        checks.check(f"{number} CDRs of 1 KiB, all failing: every one answered", answered == number, answered)
        checks.check(f"{number} CDRs of 1 KiB, all failing: memory", more <= 16 and full <= 128,
                     f"{full:.0f} MiB at half-time, {more:.1f} more at the end, {rate:.0f} a second")
    with Receiver(program, "--status", "500") as receiver:
        def longest(worker, step):
            for n in range(worker, 15_000 if quick else 40_000, step):
                fields = json.loads(cdr(n))
                for name in ("cmiuuid", "call_id", "request_id", "leg"):
                    fields[name] = f"{name}{n}".ljust(128, "x")
                yield post(json.dumps(fields).encode())

        flood(receiver.address, longest)
        checks.check("the longest identifiers: memory", receiver.memory() <= 128, f"{receiver.memory():.0f} MiB")


def displays(checks, program, quick):
    """What waits to be shown has an end, whatever it is made of."""
    values = post(b'{"type":"cdr","direction":"outbound","status":"missed","leg":"a","x":[' + b"0," * 500_000 + b"0]}")
    head = (b"GET /?" + b"a=1&" * 1500 + b" HTTP/1.1\r\nHost: siege\r\n"
            + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 240) for n in range(90)) + b"\r\n")
    for name, request, number in (("large heads", head, 4_000 if quick else 12_000),
                                  ("bodies of small values", values, 40 if quick else 120)):
        with Receiver(program, unread=True) as receiver:
            def requests(worker, step, request=request, number=number):
                return (request for _ in range(worker, number, step))

            answered = flood(receiver.address, requests)
            most = receiver.memory("VmHWM")
            checks.check(f"{number} {name}, and nobody reads the output", answered == number and most <= 250,
                         f"{answered} answered, {most:.0f} MiB at most")


def waits(checks, program, _quick):
    """Requests that are waited with cost no more than their bytes, and senders that break off gain nothing."""
    values = b'{"type":"cdr","leg":"a","x":[' + b"0," * 100_000 + b"0]}"
    with Receiver(program, "--delay", "20s") as receiver:
        streams = [connected(receiver.address) for _ in range(200)]
        for stream in streams:
            stream.sendall(post(values))
        time.sleep(2)
        most = receiver.memory("VmHWM")
        checks.check("200 bodies of 200 KB are waited with: memory", most <= 150, f"{most:.0f} MiB for 40 MB")
        for stream in streams:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.close()
        code, took = receiver.stop()
        checks.check("and it ends in time when they have gone", code == 0 and took <= 3.5, f"{took:.2f} s")


def descriptors(checks, program, _quick):
    """However many connections strangers hold, a good request is passed on, and saved."""
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    with deaf_handler() as handler:
        def handle():
            while True:
                try:
                    stream, _ = handler.accept()
                    stream.recv(65536)
                    stream.sendall(answer)
                    stream.close()
                except OSError:
                    return

        threading.Thread(target=handle, daemon=True).start()
        capture = os.path.join(tempfile.mkdtemp(prefix="siege-"), "capture.ndjson")
        with Receiver(program, "--forward-to", f"http://127.0.0.1:{handler.getsockname()[1]}/", "--save", capture,
                      descriptors=64) as receiver:
            idle = Besiegers(receiver.address, b"", 80, come_back=True)
            statuses = [ask(receiver.address, post(cdr(n), "Connection: close\r\n"), 5)[0] for n in range(6)]
            idle.leave()
            with open(capture, encoding="utf-8") as lines:
                saved = sum(1 for _ in lines)
            checks.check("64 descriptors, 80 idle ones that come back: passed on and saved", statuses == [201] * 6 and saved == 6,
                         f"{statuses.count(201)} of 6 passed on, {saved} saved, {receiver_words(receiver)}")
        handler.shutdown(socket.SHUT_RDWR)


def noise(checks, program, quick):
    """Any bytes, up to 1 MiB, raw or as a body: they come to an end, and a good request straight after is answered."""
    chance, number = random.Random(7), 20 if quick else 150
    slowest = slowest_good = 0.0
    unanswered = 0
    with Receiver(program, "--header-timeout", "1s", "--body-timeout", "1s") as receiver:
        for _ in range(number):
            size = int(2 ** chance.uniform(0, 20))
            wild = chance.randbytes(size)
            tame = bytes(chance.choice(b'{}[]:,"\\ \r\n0123456789GETPOSThttp/1.cdr&=%?') for _ in range(min(size, 4096)))
            tame = (tame * (size // len(tame) + 1))[:size]
            bytes_ = chance.choice([wild, tame])
            request = chance.choice([
                bytes_, post(bytes_), post(bytes_, length=size + 1), GOOD[:16] + bytes_, post(cdr(1))[:-3] + bytes_,
                b"POST / HTTP/1.1\r\nHost: siege\r\nTransfer-Encoding: chunked\r\n\r\n" + bytes_])
            began = time.monotonic()
            with contextlib.suppress(OSError), connected(receiver.address) as stream:
                stream.sendall(request)
                if chance.random() < 0.7:
                    stream.shutdown(socket.SHUT_WR)
                while stream.recv(65536):
                    pass
            slowest = max(slowest, time.monotonic() - began)
            status, took = ask(receiver.address, GOOD)
            unanswered += status != 200
            slowest_good = max(slowest_good, took)
        checks.check(f"{number} times any bytes: they come to an end", slowest <= 4.5, f"slowest {slowest:.2f} s")
        checks.check(f"{number} times any bytes: a good request straight after", unanswered == 0 and slowest_good < 1,
                     f"{unanswered} unanswered, slowest {slowest_good:.3f} s")
        code, _ = receiver.stop()
        checks.check("any bytes: it ends well, and nobody panicked", code == 0 and "panicked" not in receiver.words(), code)


PARTS = {"noise": noise, "descriptors": descriptors, "waits": waits, "upload": upload, "displays": displays, "books": books,
         "waiting": waiting, "sieges": sieges}


def main():
    parser = argparse.ArgumentParser(description="besiege a receiver")
    parser.add_argument("program")
    parser.add_argument("--quick", action="store_true", help="fewer, shorter, smaller")
    parser.add_argument("--only", choices=PARTS, help="one part")
    arguments = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most if most == resource.RLIM_INFINITY else min(most, 8192), most))
    checks = Checks()
    began = time.monotonic()
    for name, part in PARTS.items():
        if arguments.only in (None, name):
            part(checks, arguments.program, arguments.quick)
    print(f"{checks.passed} passed, {checks.failed} failed, in {time.monotonic() - began:.0f} s")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
