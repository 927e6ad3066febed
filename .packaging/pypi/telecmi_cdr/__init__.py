"""Runs telecmi-cdr from tests: `listen` receives CDRs, `send` delivers them, `suite` tests a handler.

Flags are keyword arguments: `--fail-first 2` is `fail_first=2`, `--keep-alive` is `keep_alive=True`, a list repeats a flag, and
`set={"leg": "b"}` is `--set leg=b`. Records are dictionaries with the fields of `--format ndjson`.
"""
import json
import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
import threading
import weakref

__all__ = ["Listener", "listen", "send", "suite"]
WIDTH = 94  # columns of a failure's text
MAX_BODY_LINES = 6
MAX_HEADS = 4


class Listener:
    """A `telecmi-cdr listen` process on a free port, ended by `close()` or at the end of a `with` block."""

    def __init__(self, **flags):
        __tracebackhide__ = True
        # The limit ends listeners whose parent process was killed.
        words = _words({"port": 0, "timeout": "1h", **flags, "format": "ndjson", "quiet": True})
        self._exchanges, self._changed, self._ended = [], threading.Condition(), False
        with tempfile.TemporaryFile() as messages:
            self._process = subprocess.Popen([_program(), "listen", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages)
            self._terminate = weakref.finalize(self, self._process.terminate)
            first = self._process.stdout.readline()
            if not first:
                code = self._process.wait()
                self._process.stdout.close()
                messages.seek(0)
                raise RuntimeError(f"telecmi-cdr listen ended with {code}: {messages.read().decode().strip()}")
        self.url = json.loads(first)["url"]
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            record = json.loads(line)
            with self._changed:
                if record["type"] == "exchange":
                    self._exchanges.append(record)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def exchanges(self):
        """The records of all requests so far."""
        with self._changed:
            return list(self._exchanges)

    def wait(self, count=1, timeout=5, **expected_fields):
        """Waits at most `timeout` seconds for `count` CDRs with these field values since the start, and returns their exchanges."""
        __tracebackhide__ = True

        def found():
            return [exchange for exchange in self._exchanges if _mismatch(exchange, expected_fields) is None]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) >= count or self._ended, timeout)
            matching, exchanges = found(), list(self._exchanges)
        if len(matching) < count:
            fields = " and ".join(f"{name}={_text(value)}" for name, value in expected_fields.items())
            until = "before the listener ended" if self._ended else f"within {timeout} s"
            title = f"{len(matching)} of {_number(count, 'CDR')}{fields and ' with ' + fields} arrived {until}; {_number(len(exchanges), 'request')} in all"
            raise AssertionError(_failure(title, [_exchange_lines(exchange, expected_fields) for exchange in reversed(exchanges)]))
        return matching

    def close(self):
        """Ends the process; requests under way are still answered and recorded."""
        self._terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


listen = Listener


def send(url, scenario=None, **flags):
    """Delivers CDRs to `url`, and returns the records of the deliveries; fails if one did not meet its expectation."""
    __tracebackhide__ = True
    return _run(["send"], {"url": url, "scenario": scenario, **flags}, [], "delivery", _delivery_lines)


def suite(handler, **flags):
    """Tests the handler at a URL, or the one that a list of words starts, and returns the records of the cases."""
    __tracebackhide__ = True
    url, command = (handler, []) if isinstance(handler, str) else (None, ["--", *handler])
    return _run(["send", "--suite"], {"url": url, **flags}, command, "case", _case_lines)


def _run(words, flags, command, kind, lines):
    __tracebackhide__ = True
    words = [*words, *_words({**flags, "format": "ndjson", "quiet": True}), *command]
    ended = subprocess.run([_program(), *words], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False)
    records = [record for record in map(json.loads, ended.stdout.splitlines()) if record["type"] == kind]
    failed = [record for record in records if not record["ok"] and "skipped" not in record]
    if ended.returncode == 1 and failed:
        raise AssertionError(_failure(f"{len(failed)} of {len(records)} failed", [lines(record) for record in failed]))
    if ended.returncode != 0:
        raise AssertionError(f"telecmi-cdr {words[0]} ended with {ended.returncode}: {ended.stderr.strip()}")
    return records


def _program():
    """The program in the environment that this package is installed in, or else on the PATH."""
    folders = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user"), os.environ.get("PATH", "")]
    found = shutil.which("telecmi-cdr", path=os.pathsep.join(folders))
    if found is None:
        raise RuntimeError("telecmi-cdr is not installed beside Python, nor on the PATH")
    return found


def _words(flags):
    words = []
    for name, values in flags.items():
        if isinstance(values, dict):
            values = [f"{field}={_text(value)}" for field, value in values.items()]
        for value in values if isinstance(values, (list, tuple)) else [values]:
            if value is not None and value is not False:
                words.append("--" + name.replace("_", "-") + ("" if value is True else f"={value}"))
    return words


def _text(value):
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _mismatch(exchange, expected):
    """Why an exchange does not count, or None."""
    if "cdr" not in exchange:
        return "no CDR"
    for name, value in expected.items():
        if name not in exchange["cdr"]:
            return f"{name} is missing, not {_text(value)}"
        if _text(exchange["cdr"][name]) != _text(value):
            return f"{name} is {_text(exchange['cdr'][name])}, not {_text(value)}"
    return exchange.get("uncounted")


def _number(count, noun):
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _failure(title, blocks):
    """The first block, the first line of some others, and the number of the rest."""
    lines = [title, *(blocks[0] if blocks else []), *(block[0] for block in blocks[1:MAX_HEADS + 1])]
    rest = len(blocks) - MAX_HEADS - 1
    lines += [f"… and {rest} more"] if rest > 0 else []
    return "\n".join("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line) for line in lines)


def _wrapped(text):
    lines = re.findall(rf".{{1,{WIDTH}}}(?:[,&]|$)|.{{1,{WIDTH}}}", text, re.S)
    return ["  " + line for line in lines[:MAX_BODY_LINES]] + ["  …"] * (len(lines) > MAX_BODY_LINES)


def _body(message):
    body = message.get("body", {})
    return body.get("text", body.get("base64", ""))


def _request_lines(request):
    path, _, query = request["target"].partition("?")
    return f"{request['method']} {path}", _wrapped(_body(request) or query)


def _reply_line(reply):
    """A status and the beginning of a body, or why there is no answer."""
    if "status" not in reply:
        return "  answer: " + reply.get("failure", {}).get("text", "none")
    return f"  answer: {reply['status']} {_body(reply)}"[:WIDTH].rstrip()


def _exchange_lines(exchange, expected):
    verdict, answer = exchange["verdict"], exchange["answer"]
    request, body = _request_lines(exchange["request"])
    head = f"#{exchange['n']} {request}  {answer.get('status', answer.get('fault'))}  {_mismatch(exchange, expected) or 'counted'}"
    meaning = f"  {verdict['kind'].replace('_', ' ')}" + (f" · leg {verdict['leg']}" if "leg" in verdict else "")
    remarks = [f"  ! {remark['text']}"[:WIDTH] for remark in verdict["remarks"][:3]]
    return [head, meaning, *body, *remarks, *(f"  → {related['text']}" for related in exchange.get("related", [])[:1])]


def _delivery_lines(delivery):
    head = f"#{delivery['n']} {delivery['method']} {delivery['scenario']}  {delivery.get('why', '')}"
    last = delivery["attempts"][-1] if delivery["attempts"] else {}
    sent = _wrapped(_text(delivery["cdr"])) if "cdr" in delivery else []
    return [head, *sent, _reply_line({**last, **last.get("response", {})})]


def _case_lines(case):
    head = f"{case['name']}  wanted {case['expected']}, got {case['got']}"
    request, body = _request_lines(case["sent"]) if "sent" in case else ("no request", [])
    more = [f"  {word}: {case[word]}" for word in ("advice", "repeat") if word in case]
    return [head, f"  {request}", *body, _reply_line(case.get("reply", {})), *more]
