#!/usr/bin/env python3
"""Stays with a receiver for a long time, well-behaved and not, and sees whether it stays what it was.

    python3 tests/acceptance/soak/run.py target/debug/telecmi-cdr --minutes 30

Four in five requests are good; the others are malformed, cut off, slow, huge, or no HTTP at all. Everything goes to
loopback, at a bounded rate. At the end the counts must add up: what was acknowledged is what was shown, saved and
counted; and memory and descriptors must be flat after the first third of the time, by when the receiver remembers as
many CDRs as it ever does (10 000: give it minutes enough). Prints a line a minute and the
verdict; exit code 0 if everything held. Needs Python 3.9 and Linux (/proc).
"""
import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

DEADLINE = 40


def parsed_arguments():
    parser = argparse.ArgumentParser(description="soak a receiver")
    parser.add_argument("program")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=100, help="requests a second, over all workers")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args()


def cdr(number):
    """A CDR like the documented one, with identifiers of its own."""
    return json.dumps({
        "virtual_number": "910000000000", "call_id": f"c4504776-d91e-123b-29a7-{number:012x}",
        "custom": "{\"crm\":\"true\"}", "leg": "a", "type": "cdr", "appid": 2222223, "to": 442079460000,
        "cmiuuid": f"00000000-0000-4000-8000-{number:012x}", "status": "missed", "user": "101_2222223",
        "time": 1650628175336, "direction": "outbound", "hangup_reason": "recv_cancel",
        "request_id": f"{number:043d}", "extra_params": "{\"click2call\":\"true\"}",
    }).encode()


class Counts:
    """What was sent and what came back, over all workers."""

    def __init__(self):
        self.lock = threading.Lock()
        self.of = {}

    def add(self, name):
        with self.lock:
            self.of[name] = self.of.get(name, 0) + 1

    def __getitem__(self, name):
        return self.of.get(name, 0)


def talk(address, pieces, pause=0.0, close_early=False):
    """Says something in pieces; gives the status that comes back, or None."""
    with socket.create_connection(address, timeout=DEADLINE) as stream:
        try:
            for piece in pieces:
                stream.sendall(piece)
                if pause:
                    time.sleep(pause)
        except OSError:
            pass  # refused before the end: the answer is there all the same
        if close_early:
            return None
        received = b""
        try:
            while b"\r\n" not in received:
                more = stream.recv(4096)
                if not more:
                    break
                received += more
        except OSError:
            pass
    parts = received.split(b" ", 2)
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else None


def post(body, length=None, extra=""):
    head = (f"POST /webhook/cdr HTTP/1.1\r\nHost: soak\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"{extra}Content-Length: {len(body) if length is None else length}\r\n\r\n")
    return head.encode() + body


def one(address, kind, number, counts):
    """One request of a kind. What is certain about its answer is checked at once."""
    if kind == "good":
        status, wanted = talk(address, [post(cdr(number))]), {200}
    elif kind == "malformed":
        status, wanted = talk(address, [post(b"{\"leg\": \"a\",}")]), {400}
    elif kind == "huge":
        status, wanted = talk(address, [post(b"x" * 65536, length=8 << 20)] + [b"x" * 65536] * 127), {413}
    elif kind == "slow":
        request = post(cdr(number))
        size = len(request) // 10 + 1
        pieces = [request[at:at + size] for at in range(0, len(request), size)]
        status, wanted = talk(address, pieces, pause=0.1), {200}
    elif kind == "cut":
        talk(address, [post(cdr(number)[:100], length=4000)], close_early=True)
        status, wanted = None, {None}
    elif kind == "framing":
        status, wanted = talk(address, [post(b"{}", extra="Content-Length: 7\r\n")]), {400}
    else:
        status, wanted = talk(address, [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]), {None}
    counts.add(kind)
    counts.add(f"{kind} answered {status}")
    if status not in wanted:
        counts.add("wrong answers")
        print(f"wrong: {kind} was answered {status}", flush=True)


KINDS = (["good"] * 80 + ["malformed"] * 8 + ["cut"] * 4 + ["framing"] * 3 + ["garbage"] * 3 + ["slow"] + ["huge"])
# Each of these has a head that can be read, and so becomes an exchange.
WITH_A_HEAD = ("good", "malformed", "cut", "framing", "slow", "huge")


def work(address, worker, arguments, counts, until, failures):
    chance = random.Random(arguments.seed * 1000 + worker)
    gap = arguments.workers / arguments.rate
    number = worker
    due = time.monotonic()
    while time.monotonic() < until:
        number += arguments.workers
        try:
            one(address, chance.choice(KINDS), number, counts)
        except OSError as error:
            failures.append(f"worker {worker}: {error}")
            return
        due = max(due + gap, time.monotonic() - 1)
        time.sleep(max(0.0, due - time.monotonic()))


def measured(pid):
    """Resident memory in KiB, and open descriptors."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return resident, len(os.listdir(f"/proc/{pid}/fd"))


def main():
    arguments = parsed_arguments()
    folder = tempfile.mkdtemp(prefix="soak-")
    capture, shown, said = (os.path.join(folder, name) for name in ("capture.ndjson", "stdout", "stderr"))
    command = [arguments.program, "listen", "--port", "0", "--format", "ndjson", "--save", capture,
               "--ready-file", os.path.join(folder, "ready")]
    with open(shown, "wb") as stdout, open(said, "wb") as stderr:
        listener = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
    try:
        return soak(arguments, listener, folder, capture, shown, said)
    finally:
        listener.kill()


def soak(arguments, listener, folder, capture, shown, said):
    ready = os.path.join(folder, "ready")
    waited = time.monotonic() + DEADLINE
    while not os.path.exists(ready):
        if time.monotonic() > waited or listener.poll() is not None:
            sys.exit("the receiver did not start: " + open(said, encoding="utf-8").read())
        time.sleep(0.01)
    host, port = open(ready, encoding="ascii").read().strip().removeprefix("http://").rsplit(":", 1)
    address = (host, int(port))
    counts, failures = Counts(), []
    began = time.monotonic()
    until = began + arguments.minutes * 60
    workers = [threading.Thread(target=work, args=(address, worker, arguments, counts, until, failures))
               for worker in range(arguments.workers)]
    for worker in workers:
        worker.start()
    samples = []
    step = min(60.0, arguments.minutes * 6)
    while any(worker.is_alive() for worker in workers):
        time.sleep(min(step, max(1.0, until - time.monotonic())))
        resident, descriptors = measured(listener.pid)
        samples.append((time.monotonic() - began, resident, descriptors))
        sent = sum(counts[kind] for kind in set(KINDS))
        print(f"{samples[-1][0] / 60:5.1f} min  {sent:8d} requests  {resident / 1024:6.1f} MiB  "
              f"{descriptors:3d} descriptors", flush=True)
    for worker in workers:
        worker.join()
    good = talk(address, [post(cdr(10 ** 11))])
    listener.send_signal(signal.SIGINT)
    code = listener.wait(DEADLINE)
    return verdict(arguments, counts, failures, samples, good, code, capture, shown, said)


def verdict(arguments, counts, failures, samples, good, code, capture, shown, said):
    with open(shown, encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    with open(capture, encoding="utf-8") as lines:
        saved = [json.loads(line) for line in lines]
    summary = records[-1]
    told = [record for record in records if record["type"] == "exchange"]
    expected = sum(counts[kind] for kind in WITH_A_HEAD) + 1
    cdrs = counts["good answered 200"] + counts["slow answered 200"] + 1
    numbers = [record["n"] for record in saved]
    settled = [sample for sample in samples if sample[0] >= arguments.minutes * 20] or samples
    growth = max(sample[1] for sample in settled) - settled[0][1]
    checks = [
        ("no worker was turned away", not failures, "; ".join(failures)),
        ("every answer was the right one", counts["wrong answers"] == 0, counts["wrong answers"]),
        ("a good request after it all was answered", good == 200, good),
        ("interrupted, it ended with 0", code == 0, code),
        ("every request with a head was counted", summary["exchanges"] == expected, (summary["exchanges"], expected)),
        ("every acknowledged CDR was counted", summary["cdrs"] == cdrs, (summary["cdrs"], cdrs)),
        ("shown or told to be dropped", len(told) + summary["dropped"] == expected, (len(told), summary["dropped"])),
        ("saved, one line each, in order", numbers == list(range(1, expected + 1)), (len(numbers), expected)),
        ("garbage was counted", summary["malformed"] >= counts["garbage"], (summary["malformed"], counts["garbage"])),
        ("nobody panicked", "panicked" not in open(said, encoding="utf-8").read(), ""),
        ("memory grew by at most 4 MiB after the first third", growth <= 4096, f"{growth} KiB"),
        ("descriptors stayed below forty", max(sample[2] for sample in settled) < 40,
         max(sample[2] for sample in settled)),
    ]
    print("sent: " + ", ".join(f"{counts[kind]} {kind}" for kind in sorted(set(KINDS))))
    print(f"memory: {min(s[1] for s in settled) / 1024:.1f} to {max(s[1] for s in settled) / 1024:.1f} MiB · "
          f"descriptors: {min(s[2] for s in settled)} to {max(s[2] for s in settled)}")
    failed = 0
    for name, held, detail in checks:
        failed += not held
        print(f"{'✓' if held else '✗'} {name}" + ("" if held else f": {detail}"))
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
