"""What all measurements share: the program, its peers, the scale, and rounds in which each contender has its turn."""
import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

from . import process
from .peers import HERE
from .process import Server, MeasurementError, run

# What a contender did in one round: requests a second, CPU microseconds a request, and why that does not count.
Sample = namedtuple("Sample", "rate cpu void", defaults=(None,))

BODY_SIZE = 472  # bytes: the documented CDR with its click2call parameters
DIFFERENT = 20_000  # CDRs for receivers: more than `listen` remembers, so that none is a duplicate


class Bench:
    """One run of the comparison."""

    def __init__(self, program, peers, rounds, seconds, million=False):
        self.program, self.peers, self.rounds, self.seconds = str(program), peers, rounds, seconds
        self.million = million
        # What is written while measuring should not depend on a disk; a million exchanges take more than a gigabyte.
        memory = Path("/dev/shm")
        is_large = memory.is_dir() and shutil.disk_usage(memory).free > 4 << 30
        self.folder = Path(tempfile.mkdtemp(prefix="telecmi-cdr-compare-", dir=memory if is_large else None))
        self.groups = []
        self._bodies = None

    def close(self):
        """Ends and removes everything."""
        process.end_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    def say(self, text):
        """Tells whoever waits."""
        print(f"  {text}", file=sys.stderr, flush=True)

    # ── What is sent ──

    def body(self, size=BODY_SIZE):
        """A file with one CDR of so many bytes."""
        path = self.folder / f"body-{size}.json"
        if not path.exists():
            cdr = {"virtual_number": "440000000000", "call_id": "c4504776-d91e-123b-29a7-56000429abc3",
                   "custom": "", "leg": "a", "type": "cdr", "appid": 2222223, "to": 442000000000,
                   "cmiuuid": "15b58236-734f-4000-a5e8-78284068f5c7", "status": "missed", "user": "202_2222223",
                   "time": 1650628175336, "direction": "outbound", "hangup_reason": "recv_cancel"}
            cdr["custom"] = "x" * (size - len(json.dumps(cdr, separators=(",", ":"))))
            path.write_text(json.dumps(cdr, separators=(",", ":")))
        return path

    def bodies(self):
        """A file with many CDRs, one a line, no two alike."""
        if self._bodies is None:
            self._bodies = self.folder / "bodies.ndjson"
            with self._bodies.open("wb") as out:
                run([self.program, "send", "--seed", "1", "-n", str(DIFFERENT), "--print", "json"], stdout=out)
        return self._bodies

    def planned(self, calls):
        """How many CDRs so many calls of the mixture have, with the seed that is used here."""
        command = [self.program, "send", *MIX, "-n", str(calls), "--print", "json"]
        with (self.folder / "planned.ndjson").open("w+b") as out:
            run(command, stdout=out)
        return lines(out.name)

    def send(self, url, calls, *more):
        """The command that sends so many calls of the mixture. Its exit code says whether all went well."""
        return [self.program, "send", "--url", url, *MIX, "-n", str(calls), *more]

    # ── What receives ──

    def sink(self):
        """The receiver that all senders send to."""
        return Server([self.peers["raw"], "sink"])

    def listen(self, *more, stdout=subprocess.DEVNULL):
        """Our own receiver."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        return Server([self.program, "listen", "-p", "0", "--ready-file", ready, *more], stdout=stdout, ready=ready)

    # ── Rounds ──

    def interleaved(self, title, contenders):
        """So many rounds in which each contender has a turn, each round in another order."""
        samples = {name: [] for name in contenders}
        names = list(contenders)
        for n in range(self.rounds):
            first = n % len(names)
            for name in names[first:] + names[:first]:
                samples[name].append(contenders[name]())
            said = ", ".join(f"{name} {samples[name][-1].rate:.0f}/s {samples[name][-1].cpu:.1f} µs" for name in names)
            self.say(f"{title}, round {n + 1}: {said}")
        return samples


# The realistic mixture; the seed is said, so that it is known how many CDRs it makes.
MIX = ("--scenario", "mix", "--seed", "1")


def answered(sink):
    """How many requests the sink has answered."""
    connection = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=10)
    try:
        connection.request("GET", "/count")
        return int(connection.getresponse().read())
    finally:
        connection.close()


def sent(command, sink, count):
    """Runs a sender of so many requests. The sink says whether they all came."""
    before = answered(sink)
    done = run(command)
    came = answered(sink) - before
    void = None
    if done.code != 0:
        void = f"exit code {done.code}"
    elif came != count:
        void = f"{count} to be sent, {came} came"
    return Sample(count / done.wall, done.cpu / count * 1e6, void)


def wrk(peers, url, bodies, connections, seconds):
    """Runs wrk; gives its run, how many answers it got, for how long, and its failures."""
    script = HERE / "peers" / "post.lua"
    command = [peers["wrk"], "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", script, url, "--", bodies]
    done = run(command, capture=True)
    said = re.search(r"wrk-said (\d+) (\d+) (\d+)", done.output)
    if not said:
        raise MeasurementError(f"wrk said nothing of what came of it: {done.output[-300:]}")
    requests, microseconds, failures = map(int, said.groups())
    return done, requests, microseconds / 1e6, failures


def lines(path):
    """How many lines a file has."""
    count = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            count += block.count(b"\n")
    return count


def void(*samples):
    """Why figures do not count, if they do not."""
    return next((sample.void for each in samples for sample in each if sample.void), None)


def rates(samples):
    """Requests a second, round by round."""
    return [sample.rate for sample in samples]


def cpus(samples):
    """CPU time a request, round by round."""
    return [sample.cpu for sample in samples]
