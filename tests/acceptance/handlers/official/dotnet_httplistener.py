"""TeleCMI's .NET example, re-created: HttpListener, and one thread that takes request after request without a try.

Any method is taken, and an empty body is not looked at: a GET is answered 200 and lost. A body goes through Newtonsoft's
JObject.Parse, which reads JavaScript literals too; then `appid` is cast to a 32-bit int. An exception in the thread (not an
object, appid missing or no integer, the sender gone in the middle of a body) ends the process.

The listener's prefix is http://localhost:5000/webhook/cdr/, so the original answers 400 to any other Host; with
STRICT_HOST=1 so does this.
"""
import json
import os
import queue
import re
import threading

from recreation import Recreation, serve

contexts = queue.SimpleQueue()


class Context(Recreation):
    """Heads are read beside one another, as the listener does; bodies wait for the response thread."""

    def receive(self):
        host = self.headers.get("Host", "").rsplit(":", 1)[0].lower()
        if os.environ.get("STRICT_HOST") and host != "localhost":
            self.close_connection = True
            return self.answer(400, "<h1>Bad Request (Invalid host)</h1>")
        if not (self.path_only() + "/").startswith("/webhook/cdr/"):
            self.close_connection = True
            return self.answer(404)
        if not self.headers.get("Content-Length", "0").isdigit():
            self.close_connection = True
            return self.answer(400)
        self.done = threading.Event()
        contexts.put(self)
        self.done.wait()


def parse_object(text):
    """As lenient as Newtonsoft: single quotes, bare keys, a trailing comma."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        text = re.sub(r"'((?:[^'\\]|\\.)*)'", lambda quoted: json.dumps(quoted[1]), text)
        text = re.sub(r"([{,]\s*)([A-Za-z_$][\w$]*)\s*:", r'\1"\2":', text)
        value = json.loads(re.sub(r",\s*([}\]])", r"\1", text))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def int32(value):
    """(int)json["appid"]: digits in a string will do, nothing and null will not."""
    number = round(value) if isinstance(value, float) else int(value)
    if not -2**31 <= number < 2**31:
        raise OverflowError
    return number


def response_thread():
    try:
        while context := contexts.get():
            text = context.body().decode("utf-8", "replace")
            if text:
                int32(parse_object(text)["appid"])
            context.answer(200)
            context.done.set()
    finally:
        os._exit(134)  # an unhandled exception in any thread ends a .NET process


threading.Thread(target=response_thread).start()
serve(Context)
