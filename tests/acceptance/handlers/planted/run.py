"""Runs the suite against the handlers of expected.json: right ones are green, bugs are red with their cause.

    python3 run.py PROGRAM [--all] [--jobs N] [--show] [--read-back] [NAME ...]

Without --all and names: the right handlers, and one bug for each cause. One line a handler. --show prints the program's
report. Bugs that only --read-back shows are left out, unless it is given. With --all, the repeat line of each finding is run
on a fresh handler, and Schemathesis reads the OpenAPI document. Loopback only, every wait is bounded.
"""
import argparse
import collections
import functools
import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from check import HERE, Handler, missing

from checks import Skipped, run_checks

PATIENCE = 900  # seconds for a whole suite
SEED = "7"
LATER = {"--guard", "--read-back"}  # options with a value that are left out unless asked for
QUICK = ["flask-custom-nul-500", "flask-requires-request-id", "flask-to-int32-500", "flask-page-expired-419", "flask-slash-308",
         "stdlib-one-packet", "stdlib-get-501", "fastapi-unknown-field-422", "django-csrf-403", "django-nul-aborts-transaction",
         "express-get-percent-500", "express-code-500-in-200", "fastify-status-unknown-400"]
NOT_ALONE = "not by this case alone"
THEIR_NUMBER = "if the case passes on a fresh handler, their number is the reason"  # said of a handler that stays down
repeats = collections.Counter()


def chosen(handler, arguments):
    if arguments.names:
        return handler["name"] in arguments.names
    if handler["unseen"] or (handler["read_back"] and "verdict_without" not in handler and not arguments.read_back):
        return False
    if "--rate" in handler["suite"] or "grows" in handler["name"] or (handler["name"].startswith("guards-") and not arguments.read_back):
        return False  # The first two take several minutes, guards need --guard.
    return arguments.all or handler["wrong"] is None or handler["name"] in QUICK


def options(handler, port, read_back):
    """The handler's own options, without those that the run is not for."""
    flags = [flag.replace("PORT", str(port)) for flag in handler["suite"]]
    left_out = set() if read_back else LATER
    pairs = zip(flags[::2], flags[1::2])
    return [flag for name, value in pairs if name not in left_out for flag in (name, value)]


def report(program, handler, read_back, shape):
    running = Handler(handler)
    try:
        url = f"http://127.0.0.1:{running.port}" + running.good.get("target", "/webhook/cdr")
        command = [program, "send", "--suite", "--url", url, "--seed", SEED, *options(handler, running.port, read_back), *shape]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    finally:
        running.stop()


def findings(records):
    """The first red case of each finding: of those with one cause and one reply, but for its numbers."""
    firsts = {}
    for case in records:
        if case["type"] == "case" and not case["ok"] and "skipped" not in case:
            reply = case.get("then") or case.get("reply", {})
            said = case.get("stored", {}).get("mistake") or reply.get("line") or reply.get("failure")
            firsts.setdefault((case["cause"], re.sub(r"\d", "", json.dumps(said))), case)
    return firsts.values()


def repeat(program, handler, records):
    """The repeat line of a finding is red on a fresh handler, unless the finding says that more than its case is needed."""
    port = re.search(r":(\d+)", records[0]["url"])[1]
    for case in findings(records):
        name, got = case["name"], case["got"]
        if NOT_ALONE in got:
            repeats[NOT_ALONE] += 1
            continue
        running = Handler(handler)
        try:
            words = shlex.split(case["repeat"].replace(f":{port}/", f":{running.port}/"))
            done = subprocess.run([program, *words[1:]], capture_output=True, text=True, timeout=PATIENCE, check=False)
        finally:
            running.stop()
        if done.returncode == 1 and f'"name":"{name}"' in done.stdout:
            repeats["red again"] += 1
        elif done.returncode == 0 and THEIR_NUMBER in got:
            repeats[NOT_ALONE] += 1
        else:
            repeats["other"] += 1
            raise RuntimeError(f"the repeat line of {name} ends {done.returncode}: {case['repeat']} {done.stderr.strip()[-300:]}")


def schemathesis(program, handlers):
    """Schemathesis takes the OpenAPI document as it is: a right handler passes, and a wrong one fails."""
    if subprocess.run([sys.executable, "-c", "import schemathesis"], capture_output=True, check=False).returncode:
        raise Skipped("no schemathesis")
    for name, code in [("good-flask", 0), ("flask-requires-request-id", 1)]:
        running = Handler(next(handler for handler in handlers if handler["name"] == name))
        try:
            base = f"http://127.0.0.1:{running.port}"
            with tempfile.TemporaryDirectory() as folder:
                document = Path(folder, "openapi.json")
                command = [program, "--generate", "openapi", "--url", base + "/webhook/cdr"]
                document.write_bytes(subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE).stdout)
                # TeleCMI's fields grow and change their types, so a handler must not refuse all that the schema lacks.
                command = [sys.executable, "-m", "schemathesis.cli", "run", document, "--url", base, "--seed", SEED,
                           "--exclude-checks", "negative_data_rejection", "--no-color"]
                done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=PATIENCE, check=False)
        finally:
            running.stop()
        if done.returncode != code:
            raise RuntimeError(f"{name}: exit {done.returncode}: {done.stdout[-1500:]}{done.stderr[-300:]}")
    return "a right handler passes, a wrong one fails"


def told(handler, records):
    """Whether a red case or a remark has the field, the status and the exception of the handler's cause."""
    cause = handler["cause"]
    summary = records[-1]
    if wanted(handler) == "remark":
        return bool([remark for remark in summary.get("remarks", []) if "tolerated" not in remark["text"]])
    for case in records:
        if case["type"] != "case" or case["ok"] or "skipped" in case:
            continue
        text = json.dumps(case, ensure_ascii=False)
        status = cause["status"]
        if isinstance(status, int) and status not in (200, 308, 302, 301) and f'"status": {status}' not in text:
            continue
        replies = [case.get("reply", {}), case.get("then", {})]
        lines = " ".join(str(reply.get("line", "")) + str(reply.get("failure", "")) for reply in replies)
        if cause["exception"] and isinstance(status, int):
            if near(cause["exception"], lines):
                return True
        elif not cause["field"] or cause["field"] in text:
            return True
    return False


def near(exception, lines):
    """The exception's name or its message stands in a reply's line."""
    name, _, message = exception.partition(": ")
    return name in lines or (message and message[:20] in lines)


def wanted(handler, read_back=False):
    return handler["verdict"] if read_back else handler.get("verdict_without", handler["verdict"])


def judge(program, handler, arguments):
    done = report(program, handler, arguments.read_back, ["--format", "ndjson", "--quiet"])
    records = [json.loads(line) for line in done.stdout.splitlines()]
    if not records or records[-1]["type"] != "summary":
        raise RuntimeError(f"no summary; {done.stderr.strip()[-300:]}")
    summary = records[-1]
    red = [case["name"] for case in records if case["type"] == "case" and not case["ok"] and "skipped" not in case]
    text = f"{len(red)} red, {summary['elapsed_ms'] / 1000:.1f} s"
    verdict = wanted(handler, arguments.read_back)
    if arguments.show:
        print(report(program, handler, arguments.read_back, []).stdout)
    if (verdict == "red") != bool(red):
        raise RuntimeError(f"{text}, expected {verdict}: {', '.join(red[:9])}")
    if handler["wrong"] and not told(handler, records):
        raise RuntimeError(f"{text}, but not told: {json.dumps(handler['cause'], ensure_ascii=False)}")
    if arguments.all:
        repeat(program, handler, records)
    return text


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("program", type=lambda path: str(Path(path).resolve()))
    arguments.add_argument("names", nargs="*")
    arguments.add_argument("--all", action="store_true")
    arguments.add_argument("--jobs", type=int, default=3)
    arguments.add_argument("--show", action="store_true")
    arguments.add_argument("--read-back", action="store_true")
    arguments = arguments.parse_intermixed_args()
    every = json.loads((HERE / "expected.json").read_text())["handlers"]
    handlers = [handler for handler in every if chosen(handler, arguments)]
    absent = {runtime: missing(runtime) for runtime in {handler["runtime"] for handler in handlers}}

    def check(handler):
        if absent[handler["runtime"]]:
            raise Skipped(absent[handler["runtime"]])
        return judge(arguments.program, handler, arguments)

    checks = [(handler["name"], functools.partial(check, handler)) for handler in handlers]
    if arguments.all and not arguments.names:
        checks.append(("schemathesis", functools.partial(schemathesis, arguments.program, every)))
    result = run_checks(checks, arguments.jobs)
    if arguments.all:
        print("repeat lines:", ", ".join(f"{count} {what}" for what, count in repeats.items()))
        result = result or int(repeats[NOT_ALONE] * 20 > repeats.total())
    return result


if __name__ == "__main__":
    sys.exit(main())
