"""good_flask.py with one rule more, named by the environment variable RULE. All are right: a suite that knows the rule is green."""
import html
import os
import threading
import time
from collections import deque

from flask import abort, request

import good_flask as good
from calls import Calls, Refused
from planting import before, named, storing

DAY = 86_400_000  # milliseconds
SECRET = os.environ.get("SECRET", "")


def record_of_request():
    return good.read_record(request.get_data()) if request.method == "POST" else request.args.to_dict()


def guarded(guard):
    """`guard` says whether a delivery is TeleCMI's; it sees the request before anything is kept."""
    well = good.app.view_functions["webhook"]
    good.app.view_functions["webhook"] = lambda **parts: well() if guard(**parts) or request.method == "HEAD" else abort(401)


def fresh():
    """Refuses CDRs that are older than a day: a replay."""
    def check(record):
        if not str(record.get("time")).isdigit() or abs(int(record["time"]) - time.time() * 1000) > DAY:
            raise Refused(400, "time: more than a day from now")
    before(check)


def appid():
    """The appid is the secret; live events have it as app_id."""
    def guard():
        record = record_of_request()
        return str(record.get("appid", record.get("app_id"))) == SECRET
    guarded(guard)


def custom():
    """The custom parameters of the dashboard are the secret. The older generation of CDRs has none, and is refused."""
    guarded(lambda: record_of_request().get("custom") == SECRET)


def query():
    """?token=SECRET stands in the URL."""
    guarded(lambda: request.args.get("token") == SECRET)


def path():
    """/webhook/cdr/SECRET."""
    good.app.add_url_rule("/webhook/cdr/<token>", "guarded", lambda token: good.app.view_functions["webhook"](token=token),
                          methods=["GET", "POST"])
    guarded(lambda token="": token == SECRET)


def header():
    """X-Secret, which a proxy or the user's own client sends."""
    guarded(lambda: request.headers.get("X-Secret") == SECRET)


def sixty_a_minute():
    """429 behind 60 deliveries in 60 seconds."""
    times, lock = deque(), threading.Lock()
    well = good.app.view_functions["webhook"]

    def limited():
        now = time.monotonic()
        with lock:
            while times and now - times[0] > 60:
                times.popleft()
            if len(times) >= 60:
                return "Too many requests", 429, {"Retry-After": str(int(61 - (now - times[0])))}
            times.append(now)
        return well()
    good.app.view_functions["webhook"] = limited


def in_background():
    """Answers first, and writes a second later."""
    storing(lambda calls, key, row, well: threading.Timer(1, well, (calls, key, row)).start())


def documented_events():
    """Live events as TeleCMI documents them, or 400: leg a's conversation_uuid is its cmiuuid."""
    outgoing = {"call_id", "leg", "user", "callerid", "app_id", "time", "custom", "status", "to", "cmiuuid", "conversation_uuid"}
    incoming = {"cmiuuid", "conversation_uuid", "from", "app_id", "time", "custom", "status"}
    take = Calls.take

    def checked(self, record):
        if record.get("type") == "event":
            wanted = incoming if "from" in record else outgoing
            first = record.get("leg", "a") == "a"
            if not wanted <= set(record) or first and record["conversation_uuid"] != record["cmiuuid"]:
                raise Refused(400, "no live event of TeleCMI")
        take(self, record)
    Calls.take = checked


def typed():
    """422 for a field of a type that is neither documented nor seen."""
    types = {"to": (int, str), "time": (int, str), "appid": (int, str), "virtual_number": (int, str), "answeredsec": (int, str),
             "extra_params": (str, dict)}

    def check(record):
        for name, value in record.items():
            if name in ("user", "leg", "status", "custom", "hangup_reason", "request_id", "call_id", *types):
                if not isinstance(value, types.get(name, str)) or isinstance(value, bool):
                    raise Refused(422, f"{name}: wrong type")
    before(check)


def no_content():
    """204 without a body, as one of TeleCMI's examples."""
    well = good.app.view_functions["webhook"]
    good.app.view_functions["webhook"] = lambda: (well(), ("", 204))[1]


def as_table():
    """The read route gives lines of a name and a value."""
    def table(cmiuuid):
        rows = good.calls.find(cmiuuid)
        text = "\n\n".join("\n".join(f"{name:16}{value}" for name, value in row.items()) for row in rows)
        return good.Response(text.encode("utf-8", "replace"), 200 if rows else 404, mimetype="text/plain")
    good.app.view_functions["read_back"] = table


def as_page():
    """The read route gives a page with a table."""
    def page(cmiuuid):
        rows = good.calls.find(cmiuuid)
        names = sorted({name for row in rows for name in row})
        lines = "".join("<tr>\n" + "".join(f"  <td>{html.escape(str(row.get(name, '')))}</td>\n" for name in names) + "</tr>\n" for row in rows)
        heads = "".join(f"<th>{name}</th>" for name in names)
        text = f"<!doctype html><title>Call {cmiuuid}</title><h1>Call {cmiuuid}</h1><table><tr>{heads}</tr>\n{lines}</table>"
        return good.Response(text.encode("utf-8", "replace"), 200 if rows else 404, mimetype="text/html")
    good.app.view_functions["read_back"] = page


RULES = named(fresh, appid, custom, query, path, header, sixty_a_minute, in_background, documented_events, typed, no_content, as_table,
              as_page)

if __name__ == "__main__":
    RULES[os.environ["RULE"]]()
    good.app.logger.disabled = True
    good.serve()
