"""Starts every handler of expected.json, shows its bug, and asks each question below: only the ones named there go wrong.

    python3 check.py [--show] [--curl] [--jobs N] [NAME ...]

It checks the handlers, and runs no suite. --show prints what went wrong, to write expected.json by; --curl prints the
requests that show the bugs and starts nothing. Loopback only, every wait is bounded.
"""
import argparse
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from wire import PATH, Call, answer, as_bytes, as_curl, connect, exchange, fields, kept, merged, plain, request, send

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from checks import Skipped, run_checks  # noqa: E402

START = 60  # seconds for a handler to be ready; Go compiles first


class Handler:
    """A running one, with what its good requests need (a token, an appid)."""

    def __init__(self, spec):
        self.spec, self.good = spec, spec.get("good", {})
        self.start()

    def start(self):
        environment = {**os.environ, "PORT": "0", "PYTHONDONTWRITEBYTECODE": "1", **self.spec["env"]}
        self.process = subprocess.Popen(self.spec["command"], cwd=HERE, env=environment, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True)
        watchdog = threading.Timer(START, self.stop)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if not line.startswith("ready http://127.0.0.1:") or not line.endswith(PATH + "\n"):
            self.stop()
            raise RuntimeError(f"not ready: {line!r}")
        self.port = int(line.split(":")[2].split("/")[0])

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def merged(self, step):
        return merged(self.good, step)

    def send(self, call=None, **step):
        return send(self.port, call or Call(), self.merged(step))

    def takes(self, call=None, **step):
        return taken(self.send(call, **step)[0])

    def kept(self, cmiuuid, ready):
        """The records, asked for again until they are as expected or two seconds are over."""
        end = time.monotonic() + 2
        while True:
            rows = kept(self.port, cmiuuid)
            if ready(rows) or time.monotonic() > end:
                return rows
            time.sleep(0.1)

    def keeps(self, call, leg="a", **values):
        def exactly(rows):
            return len(rows) == 1 and all(str(rows[0].get(name)) == str(value) for name, value in values.items())
        return exactly(self.kept(call.cmiuuid[leg], exactly))

    def at_once(self, calls):
        """A CDR on each of several connections, the last bytes together."""
        connections = [connect(self.port) for _ in calls]
        requests = [as_bytes(*request(call, self.merged({}))) for call in calls]
        try:
            for connection, data in zip(connections, requests):
                connection.sendall(data[:-1])
            time.sleep(0.05)
            for connection, data in zip(connections, requests):
                connection.sendall(data[-1:])
            answers = []
            for connection in connections:
                answers.append(answer(connection))
                connection.close()  # gunicorn's sync worker waits two seconds for it
            return answers
        finally:
            for connection in connections:
                connection.close()


def taken(status):
    return isinstance(status, int) and 200 <= status < 300


def refused(status):
    return isinstance(status, int) and 400 <= status < 500


def handled(status):
    return taken(status) or refused(status)


# --- the questions: each says whether all was well

def good_cdr(handler, method="POST"):
    call = Call()
    own = handler.merged({})["set"]
    values = {name: value for name, value in fields(call).items() if name not in own}
    status, said = handler.send(call, method=method)
    return fine(status, said) and handler.keeps(call, **values)


def fine(status, said):
    return taken(status) and not any(sign in said for sign in ('"ok":false', '"code":500', "<html>", "Fatal error"))


def legs(handler):
    call = Call()
    return (handler.takes(call, kind="cdr", leg="b") and handler.takes(call, kind="answered", leg="a")
            and handler.keeps(call, "a", status="answered") and handler.keeps(call, "b", status="missed"))


def kind(name, **step):
    def question(handler):
        call = Call()
        status, said = handler.send(call, kind=name, **step)
        return fine(status, said) and ("event" in name or handler.keeps(call))
    return question


def duplicates(handler):
    call = Call()
    return handler.takes(call) and handler.takes(call) and handler.takes(call, method="GET") and handler.keeps(call)


def later(handler):
    call = Call()
    first = handler.takes(call)
    time.sleep(0.7)
    return first and handler.takes(call) and handler.keeps(call)


def together(handler):
    call = Call()
    return all(taken(status) for status, _ in handler.at_once([call] * 3)) and handler.keeps(call)


def burst(handler):
    started = time.monotonic()
    calls = [Call() for _ in range(20)]
    answers = handler.at_once(calls)
    return (all(taken(status) for status, _ in answers) and time.monotonic() - started < 4.5
            and all(handler.keeps(call) for call in calls[:2]))


TEXT = "Zo\u00eb \u0905\u0928\u0941 \U0001f4de a+b %2B & <i> O'Brien " + "x" * 80


def text(handler):
    """In a field that is nobody's secret."""
    call, query = Call(), Call()
    encoded = "".join("+" if letter == " " else "".join(f"%{byte:02X}" for byte in letter.encode()) for letter in TEXT)
    return (handler.takes(call, set={"extra_params": json.dumps(TEXT, ensure_ascii=False)}) and handler.keeps(call, extra_params=TEXT)
            and handler.takes(query, method="GET", set={"extra_params": encoded}) and handler.keeps(query, extra_params=TEXT))


def custom(handler):
    if "custom" in handler.good.get("set", {}):
        return True  # the secret
    values = ['"none"', '"false"', '"plain text"', json.dumps('{"note":"' + "n" * 1500 + '"}')]
    for value in values:
        call = Call()
        status, said = handler.send(call, set={"custom": value})
        if not fine(status, said) or not handler.keeps(call, custom=json.loads(value)):
            return False
    return True


def variants(handler):
    return (handler.takes(set={"hold_seconds": "3"}) and handler.takes(set={"user": '"1001_2222223"'})
            and handler.takes(set={"user": '"100234_2222223"'}) and handler.takes(set={"extra_params": '{"{}":null}'}))


def no_object(handler):
    bodies = ['{"type": "cdr", "leg": ', "", "[]", "null", '"cdr"', "{type: 'cdr'}", '{"custom": "\xff"}',
              '{"a":' * 20_000 + "1" + "}" * 20_000]
    return all(refused(handler.send(body=body)[0]) for body in bodies)


HOSTILE = [{"time": "1e400"}, {"time": "NaN"}, {"time": '"soon"'}, {"time": "9" * 18}, {"to": "-1"}, {"to": '"44\\u0000"'},
           {"custom": '"a\\u0000b"'}, {"custom": '"\\ud800"'}, {"user": "[1]"}, {"answeredsec": '"x"'}, {"hangup_reason": "null"},
           {"leg": '{"x":1}'}, {"cmiuuid": "5"}, {"extra_params": '{"a":' * 30 + "1" + "}" * 30}]
QUERIES = [{"set": {"custom": "a%00b"}}, {"set": {"user": "%ff"}}, {"set": {"user": "%zz"}}, {"more": "&status=b"},
           {"more": "&extra_params%5B=1&extra_params%5D%5Bx=2"}]


def hostile(handler):
    return all([handled(handler.send(set=change)[0]) for change in HOSTILE])


def hostile_queries(handler):
    return all([handled(handler.send(method="GET", **change)[0]) for change in QUERIES])


def too_large(handler):
    big = json.dumps("x" * (1 << 20))
    return handler.send(set={"custom": big})[0] == 413


def framing(handler):
    chunked = handler.send(framing="chunked")[0]
    call = Call()
    return handler.takes(call, framing="bytes") and handler.keeps(call) and (taken(chunked) or chunked == 411)


def names(handler):
    method, target, headers, body = request(Call(), handler.merged({}))
    return taken(exchange(handler.port, as_bytes(method, target, {name.lower(): value for name, value in headers.items()}, body))[0])


def charset(handler):
    return handler.takes(headers={"Content-Type": "application/json; charset=utf-8"})


def held(handler):
    data = as_bytes(*request(Call(), handler.merged({})))
    with connect(handler.port) as half, connect(handler.port):
        half.sendall(data[:-20])
        return handler.takes()


def nothing_kept(handler):
    call = Call()
    status, _ = handler.send(call, set={"leg": "[1]"})
    return not refused(status) or kept(handler.port, call.cmiuuid["a"]) == []


QUESTIONS = {
    "post": good_cdr, "get": functools.partial(good_cdr, method="GET"), "legs": legs, "live": kind("live"), "legacy": kind("legacy"),
    "softphone": kind("softphone"), "event": kind("event"), "incoming-event": kind("incoming-event-b"), "incoming": kind("incoming"),
    "duplicates": duplicates, "later": later, "together": together, "burst": burst, "text": text, "custom": custom,
    "variants": variants, "no-object": no_object, "hostile": hostile, "hostile-queries": hostile_queries, "too-large": too_large,
    "framing": framing, "names": names, "charset": charset, "held": held, "nothing-kept": nothing_kept,
}


# --- what shows a bug

def shown(handler):
    """What differs from the expectations of the steps that show the bug, and from the cause that is to be told."""
    call, wrong, statuses, texts = Call(), [], set(), []
    for number, step in enumerate(handler.spec["shows"], 1):
        time.sleep(step.get("wait", 0))
        started = time.monotonic()
        got, text = perform(handler, call, step)
        took = time.monotonic() - started
        said = plain(text)
        statuses |= set(got) if isinstance(got, list) else {got}
        texts.append(said)
        expected = step.get("answer", "2xx")
        if not (expected in got if isinstance(got, list) else expected == got or expected == "2xx" and taken(got)):
            wrong.append(f"step {number}: {got} instead of {expected}: {said[:200]}")
        elif step.get("says", "") not in said:
            wrong.append(f"step {number}: the answer has no {step['says']!r}: {said[:300]}")
        elif took < step.get("slow", 0):
            wrong.append(f"step {number}: {took:.1f} s")
        if "kept" in step:
            wrong += differs(handler, call, number, step["kept"])
    cause = handler.spec.get("cause", {})
    if cause.get("status", None) not in {None, *statuses}:
        wrong.append(f"no answer has the cause's status {cause['status']}")
    for part in (cause.get("exception") or "").split(": ", 1):  # Django's page has name and message in two places
        if texts and part not in " ".join(texts):
            wrong.append(f"no answer has the cause's {part!r}")
    return wrong


def perform(handler, call, step):
    if "at_once" in step:
        calls = [Call() for _ in range(step["at_once"])] if step.get("fresh") else [call] * step["at_once"]
        statuses, texts = zip(*handler.at_once(calls))
        return list(statuses), " ".join(texts)
    if "hold" in step:
        data = as_bytes(*request(Call(), handler.merged({})))
        with connect(handler.port) as half:
            half.sendall(data[:step["hold"]])
            return handler.send(call)
    for _ in range(step.get("times", 1) - 1):
        handler.send(**step)
    return handler.send(Call() if "times" in step else call, **step)


def differs(handler, call, number, expected):
    sent = {name: str(value) for name, value in fields(call).items()}

    def as_expected(rows):
        has = all(any(str(row.get(name)) == str(value) for row in rows) for name, value in expected.get("has", {}).items())
        intact = any(str(row.get(name)) == sent[name] for row in rows for name in expected.get("not", []))
        return len(rows) == expected.get("records", 1) and has and not intact
    rows = handler.kept(call.cmiuuid[expected.get("leg", "a")], as_expected)
    return [] if as_expected(rows) else [f"step {number}: kept {json.dumps(rows)[:300]}"]


def check(spec, show):
    handler = Handler(spec)
    try:
        wrong = shown(handler)
        time.sleep(spec.get("settle", 0))
        ends = spec.get("after", "2xx")
        good = handler.takes()
        if good != (ends == "2xx"):
            wrong.append(f"a good CDR behind it is {'taken' if good else 'not taken'}")
        expected, bad = set(spec.get("fails", [])), set()
        for name, question in QUESTIONS.items():
            if "*" in expected or name not in spec.get("questions", QUESTIONS):
                continue
            if not good:
                handler.stop()
                handler.start()
            try:
                well = question(handler)
            except (OSError, ValueError, KeyError, TypeError):
                well = False
            time.sleep(spec.get("settle", 0))
            good = handler.takes()
            if not (well and good):
                bad.add(name)
        if show and bad:
            print(f"{spec['name']}: {json.dumps([name for name in QUESTIONS if name in bad])}")
        wrong += [f"{name} went wrong" for name in QUESTIONS if name in bad - expected]
        wrong += [f"{name} went well" for name in QUESTIONS if name in (expected - {"*"}) - bad]
        if wrong:
            raise RuntimeError("\n    ".join(wrong))
        return "right" if spec["verdict"] == "green" else "wrong as expected"
    finally:
        handler.stop()


NEEDS = {
    "flask": ("python3", "import flask"), "fastapi": ("python3", "import fastapi, uvicorn"),
    "django": ("python3", "import django, gunicorn"), "express": ("node", "require('express')"),
    "fastify": ("node", "require('fastify')"), "koa": ("node", "require('koa')"),
    "sinatra": ("ruby", "require 'sinatra/base'; require 'puma'"),
}


@functools.lru_cache
def missing(runtime):
    """Why handlers of this runtime cannot run here, if so. `nginx+` stands before those behind it."""
    front, _, behind = runtime.rpartition("+")
    if front and not shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"):
        return "no nginx"
    program, code = NEEDS.get(behind, ({"go": "go", "php": "php"}.get(behind, "python3"), None))
    if not shutil.which(program):
        return f"no {program}"
    option = "-c" if program == "python3" else "-e"
    if code and subprocess.run([program, option, code], cwd=HERE, capture_output=True, timeout=START).returncode:
        return f"no {behind}"
    return None


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("names", nargs="*")
    arguments.add_argument("--show", action="store_true")
    arguments.add_argument("--curl", action="store_true")
    arguments.add_argument("--jobs", type=int, default=2)
    arguments = arguments.parse_args()
    handlers = json.loads((HERE / "expected.json").read_text())["handlers"]
    chosen = [spec for spec in handlers if not arguments.names or spec["name"] in arguments.names]
    if arguments.curl:
        for spec in chosen:
            print(f"# {spec['name']}: {spec['wrong'] or 'right'}")
            call = Call()
            for step in spec["shows"]:
                print(as_curl(*request(call, merged(spec.get("good", {}), step))))
        return 0

    def judged(spec):
        if missing(spec["runtime"]):
            raise Skipped(missing(spec["runtime"]))
        return check(spec, arguments.show)

    return run_checks([(spec["name"], functools.partial(judged, spec)) for spec in chosen], arguments.jobs)


if __name__ == "__main__":
    sys.exit(main())
