"""Runs the suite against every handler of expected.json: exactly the cases named there may be red.

    python3 run.py PROGRAM [--jobs N] [--show] [NAME ...]      PROGRAM is the built telecmi-cdr

One line a handler, then `N passed, N failed, N skipped`; 0 only if none failed and some passed. A runtime that is missing skips
its handlers. --show prints the red cases as they are, to write expected.json by. Standard library only, loopback only, every
wait is bounded.
"""
import argparse
import concurrent.futures
import json
import subprocess
import sys
import time
from pathlib import Path

from check import HERE, PATH, Running, missing

PATIENCE = 300  # seconds for a whole suite; a handler that is silent to everything takes a minute
SEED = "7"


def judged(program, handler):
    """The red cases, the skipped ones by reason, and how long it took."""
    running = Running(handler)
    try:
        url = f"http://127.0.0.1:{running.port}{PATH}"
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
    red = [case["name"] for case in cases if not case["ok"] and "skipped" not in case]
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
    return ([f"{name} is red" for name in red if name not in expected]
            + [f"{name} is not red" for name in handler["red"] if name not in red])


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("program", type=lambda path: str(Path(path).resolve()))
    arguments.add_argument("names", nargs="*")
    arguments.add_argument("--jobs", type=int, default=2)
    arguments.add_argument("--show", action="store_true")
    arguments = arguments.parse_args()
    handlers = json.loads((HERE / "expected.json").read_text())["handlers"]
    chosen = [handler for handler in handlers if not arguments.names or handler["name"] in arguments.names]
    absent = {runtime: missing({"runtime": runtime}) for runtime in {handler["runtime"] for handler in chosen}}
    passed = failed = skipped = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = [(handler, absent[handler["runtime"]] or pool.submit(judged, arguments.program, handler)) for handler in chosen]
        for handler, job in jobs:
            if isinstance(job, str):
                skipped += 1
                print(f"skip {handler['name']}: {job}", flush=True)
                continue
            try:
                red, reasons, took = job.result()
                wrong = complaints(handler, red)
            except Exception as error:
                red, reasons, took, wrong = [], {}, 0, [repr(error)]
            passed, failed = passed + (not wrong), failed + bool(wrong)
            print(f"{'FAIL' if wrong else 'ok  '} {handler['name']}: {len(red)} red, {took:.1f} s"
                  + "".join(f"\n       {line}" for line in wrong), flush=True)
            if arguments.show:
                print("       red: " + json.dumps(red) + "".join(f"\n       {n} skipped: {why}" for why, n in reasons.items()), flush=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
