"""A million CDRs from `send` to `listen --save`: all there, each once, in little memory; and what Ctrl-C leaves."""
import json
import re
import signal
import subprocess
import time

from .bench import lines
from .process import MIB, RUNNING, MeasurementError, memory, start
from .report import Group, Row

ALL = 1_000_000
PATIENCE = 600  # seconds for all of them
MEMORY = {"send": 12, "listen": 16}  # MB


class Pair:
    """Our sender and our receiver at work, each with a reader that keeps its last record."""

    def __init__(self, b):
        self.path = b.folder / "million.ndjson"
        self.path.unlink(missing_ok=True)
        self.readers = [start(["tail", "-n", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
        self.server = b.listen("--format", "ndjson", "--save", self.path, stdout=self.readers[0].stdin)
        self.sender = start([b.program, "send", "--url", self.server.url(), "--keep-alive", "-c", "50", "-n", str(ALL),
                             "--format", "ndjson"], stdout=self.readers[1].stdin)
        self.peaks = {"send": 0, "listen": 0}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.sender, *self.readers):
            process.kill()
            process.wait()
            RUNNING.discard(process)
        self.server.stop()
        self.path.unlink(missing_ok=True)

    def look(self):
        """Notes how much memory both take; whether the sender is still at work."""
        for name, pid in (("send", self.sender.pid), ("listen", self.server.pid)):
            self.peaks[name] = max(self.peaks[name], memory(pid, "VmHWM"))
        return self.sender.poll() is None

    def watch(self, seconds):
        """Looks at both until the sender has ended or the time is over; whether it has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not self.look():
                return True
            time.sleep(0.01)
        return False

    def summaries(self):
        """What both say in the end: the receiver is stopped for it."""
        self.look()
        self.server.stop()
        said = [json.loads(reader.communicate(timeout=60)[0]) for reader in self.readers]
        if [record["type"] for record in said] != ["summary"] * 2:
            raise MeasurementError("no summary")
        return said


def million(b):
    """All of it."""
    group = Group("a million CDRs from send to listen --save, 50 connections")
    with Pair(b) as pair:
        began = time.monotonic()
        if not pair.watch(PATIENCE):
            raise MeasurementError(f"a million CDRs took longer than {PATIENCE} s")
        took = time.monotonic() - began
        received, sent = pair.summaries()
        on_file, different = of_file(pair.path)
        counts = {"sent": sent["deliveries"], "acknowledged": sent["ok"], "received": received["exchanges"],
                  "counted": received["counted"], "saved": received["saved"], "on file": on_file, "different": different}
        b.say("million: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
        off = max(abs(count - ALL) for count in counts.values())
        group.rows = [Row("difference", "", [off], "", at_most=0)]
        group.rows += [Row("peak memory", mode, [peak / MIB], "MB", at_most=MEMORY.get(mode))
                       for mode, peak in pair.peaks.items()]
        group.rows += [Row("wall", "", [took], "s")]
        group.notes = ["sent = acknowledged = received = counted = saved = on file, each cmiuuid once" if off == 0 else
                       ", ".join(f"{name} {count}" for name, count in counts.items())]
    b.groups.append(group)
    for who in ("the sender", "the receiver", "both"):
        b.groups.append(interrupted(b, who))


def interrupted(b, who):
    """Ctrl-C in the middle: what the sender says was accepted, the receiver counted and the file has are the same."""
    with Pair(b) as pair:
        if pair.watch(2):
            raise MeasurementError("it was over before it could be interrupted")
        if who != "the sender":
            pair.server.process.send_signal(signal.SIGINT)
        if who == "the receiver":
            pair.server.reap()
        pair.sender.send_signal(signal.SIGINT)
        if not pair.watch(60):
            raise MeasurementError("the sender did not stop")
        if who == "both":
            pair.server.reap()
        received, sent = pair.summaries()
        counts = {"accepted": sent["ok"], "counted": received["counted"], "on file": lines(pair.path)}
    said = ", ".join(f"{name} {count}" for name, count in counts.items())
    b.say(f"Ctrl-C to {who}: {said}")
    group = Group(f"Ctrl-C to {who} in the middle of a million")
    group.rows = [Row("difference", "", [max(counts.values()) - min(counts.values())], "", at_most=0)]
    group.notes = [said]
    return group


def of_file(path):
    """How many lines a capture has, and how many different CDRs, in some twenty megabytes of memory."""
    count, shelves = 0, [bytearray() for _ in range(256)]
    with open(path, "rb") as file:
        for line in file:
            count += 1
            found = re.search(rb'\\"cmiuuid\\":\\"([0-9a-f-]{36})\\"', line)
            if found:
                number = bytes.fromhex(found[1].replace(b"-", b"").decode())
                shelves[number[-1]] += number
    return count, sum(len({bytes(shelf[at:at + 16]) for at in range(0, len(shelf), 16)}) for shelf in shelves)
