"""Runs the suite against every handler of expected.json: exactly the cases named there may be red. Then against the
handlers of docs/testing-a-handler.md, which must be green.

    tests/acceptance/run handlers PROGRAM [--jobs N] [--show] [NAME ...]

One line a handler. A runtime that is missing skips its handlers. --show prints the red cases as they are, to write
expected.json by. Loopback only, every wait is bounded.
"""
import argparse
import functools
import json
import subprocess
import sys
import time
from pathlib import Path

from check import HERE, PATH, Running, missing
from checks import Skipped, run_checks

import documented

PATIENCE = 300  # seconds for a whole suite; a handler that is silent to everything takes a minute
SEED = "7"


def judged(program, handler):
    """The red cases with their answers, the skipped ones by reason, and how long it took."""
    running = Running(handler)
    try:
        url = f"http://127.0.0.1:{running.port}{handler.get('target', PATH)}"
        started = time.monotonic()
        command = [program, "send", "--url", url, "--suite", "--seed", SEED, "--format", "ndjson", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        took = time.monotonic() - started
    finally:
        running.stop()
    records = [json.loads(line) for line in done.stdout.splitlines()]
    if not records or records[-1]["type"] != "summary":
        raise RuntimeError(f"no summary; {done.stderr.strip()[-300:]}")
    cases = [record for record in records if record["type"] == "case"]
    red = {case["name"]: case.get("got") for case in cases if not case["ok"] and "skipped" not in case}
    reasons = {}
    for case in cases:
        if "skipped" in case:
            reasons[case["skipped"]] = reasons.get(case["skipped"], 0) + 1
    if done.returncode != (1 if red else 0):
        raise RuntimeError(f"exit {done.returncode} with {len(red)} red cases")
    return red, reasons, took


def complaints(handler, red):
    """What is red and should not be, and the other way round."""
    expected = set(handler["red"])
    return ([f"{name} is red: {got}" for name, got in red.items() if name not in expected]
            + [f"{name} is not red" for name in handler["red"] if name not in red])


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("program", type=lambda path: str(Path(path).resolve()))
    arguments.add_argument("names", nargs="*")
    arguments.add_argument("--jobs", type=int, default=4)
    arguments.add_argument("--show", action="store_true")
    arguments = arguments.parse_args()
    handlers = json.loads((HERE / "expected.json").read_text())["handlers"]
    chosen = [handler for handler in handlers if not arguments.names or handler["name"] in arguments.names]
    absent = {runtime: missing({"runtime": runtime}) for runtime in {handler["runtime"] for handler in chosen}}

    def check(handler):
        if absent[handler["runtime"]]:
            raise Skipped(absent[handler["runtime"]])
        red, reasons, took = judged(arguments.program, handler)
        shown = f"\n    red: {json.dumps(list(red))}" + "".join(f"\n    {n} skipped: {why}" for why, n in reasons.items())
        text = f"{len(red)} red, {took:.1f} s{shown if arguments.show else ''}"
        wrong = complaints(handler, red)
        if wrong:
            raise RuntimeError("\n    ".join([text, *wrong]))
        return text

    checks = [(handler["name"], functools.partial(check, handler)) for handler in chosen]
    for heading in documented.HANDLERS:
        if not arguments.names or heading in arguments.names:
            checks.append((f"documented: {heading}", functools.partial(documented.check, arguments.program, heading)))
    return run_checks(checks, arguments.jobs)


if __name__ == "__main__":
    sys.exit(main())
