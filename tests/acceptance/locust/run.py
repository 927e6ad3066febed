"""Lets two Locust workers and their master deliver to a receiver, and counts at both ends.

    tests/acceptance/run locust [PROGRAM]

What Locust says was acknowledged, what the receiver counted and what is on file must be the same number, with no CDR twice
and none with a remark: by POST, by GET, and by one process alone. Loopback only, every wait is bounded.
"""
import collections
import functools
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from checks import Skipped, free_port, run_checks  # noqa: E402

DEADLINE = 45  # seconds for one run of Locust


class Run:
    """One receiver, one run of Locust against it."""

    def __init__(self, program, folder, environment):
        self.program, self.folder, self.environment = program, folder, environment
        self.started = []

    def start(self, name, command, **more):
        with (self.folder / f"{name}.out").open("wb") as out, (self.folder / f"{name}.err").open("wb") as talk:
            process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=talk, cwd=self.folder, **more)
        self.started.append(process)
        return process

    def locust(self, name, *words):
        return self.start(name, [sys.executable, "-m", "locust", "-f", HERE / "locustfile.py", *words], env=self.environment)

    def said(self, name):
        return (self.folder / name).read_text(encoding="utf-8", errors="replace")[-600:]

    def deliver(self, workers, each, *words):
        """Has so many workers (or, with none, one process alone) deliver, and returns what was counted where."""
        wanted = max(1, workers) * each
        listener = self.start("listener", [self.program, "listen", "--port", "0", "--strict", "--count", wanted, "--settle", "1s", "--timeout",
                                           f"{DEADLINE}s", "--format", "ndjson", "--save", "saved", "--ready-file", "ready"])
        until = time.monotonic() + 10
        while not (self.folder / "ready").exists():
            if time.monotonic() > until or listener.poll() is not None:
                raise RuntimeError(f"the receiver did not start: {self.said('listener.err')}")
            time.sleep(0.01)
        url = (self.folder / "ready").read_text().strip()
        port = free_port()
        most = ["--headless", "--only-summary", "--json-file", "figures", "--host", url, "--users", 20, "--spawn-rate", 20, "--run-time", f"{DEADLINE - 5}s",
                "--cdrs", each, *words]
        if workers:
            ending = self.locust("master", "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--expect-workers", workers, *most)
            for number in range(workers):
                self.locust(f"worker-{number}", "--worker", "--master-host", "127.0.0.1", "--master-port", port)
        else:
            ending = self.locust("master", *most)
        code = ending.wait(DEADLINE)
        if code != 0:
            said = "\n".join(self.said(log.name) for log in sorted(self.folder.glob("*.err")))
            raise RuntimeError(f"Locust ended with {code}: {said}")
        for process in self.started:
            process.wait(DEADLINE)
        return wanted, listener.returncode

    def judge(self, wanted, code):
        figures, = json.loads((self.folder / "figures.json").read_text())
        failed = figures["num_failures"]
        said = [json.loads(line) for line in (self.folder / "listener.out").read_text().splitlines()]
        saved = [json.loads(line) for line in (self.folder / "saved").read_text().splitlines()]
        exchanges = [record for record in said if record["type"] == "exchange"]
        names = collections.Counter(record["cdr"]["cmiuuid"] for record in saved if record.get("type", "exchange") == "exchange")
        counted = {"acknowledged, as Locust counted": figures["num_requests"] - failed, "shown": len(exchanges),
                   "counted": said[-1]["counted"], "on file": sum(names.values()), "different": len(names)}
        remarked = [record for record in exchanges if record["verdict"]["remarks"]]
        if set(counted.values()) != {wanted} or failed or remarked or code != 0:
            raise RuntimeError(f"{wanted} wanted, {counted}, {failed} failed, {len(remarked)} with remarks like "
                               f"{remarked[0]['verdict']['remarks'] if remarked else None}; the receiver ended with {code}")
        methods = collections.Counter(record["request"]["method"] for record in exchanges)
        return f"{wanted} by {'/'.join(methods)}, each once; {wanted / (figures['last_request_timestamp'] - figures['start_time']):.0f}/s"

    def end(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program = Path(sys.argv[1]).resolve()
    runs = {"two workers, POST": (2, 1500), "two workers, GET": (2, 500, "--cdr-method", "get", "--cdr-path", "/webhook/cdr?token=a"),
            "one process alone, agents who reject": (0, 300, "--cdr-send", "--scenario agent-rejected")}

    def check(*parts):
        if not importlib.util.find_spec("locust"):
            raise Skipped("Locust is not installed")
        with tempfile.TemporaryDirectory() as folder:
            run = Run(program, Path(folder), {**os.environ, "TELECMI_CDR": str(program)})
            try:
                return run.judge(*run.deliver(*parts))
            finally:
                run.end()

    sys.exit(run_checks((name, functools.partial(check, *parts)) for name, parts in runs.items()))


if __name__ == "__main__":
    main()
