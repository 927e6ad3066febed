"""good_flask.py with one planted bug, named by the environment variable BUG. PAGE=1 turns Werkzeug's page on."""
import html
import io
import json
import os
import re
import sqlite3
import tempfile
import threading
import time
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl

from flask import jsonify, redirect, request
from werkzeug.debug import DebuggedApplication
from werkzeug.exceptions import HTTPException

import good_flask as good
from calls import Calls, Refused
from planting import another_row, before, keeping, keyed, named, storing, with_page


class DataError(Exception):
    """What drivers of PostgreSQL and MySQL raise."""


class OperationalError(Exception):
    """The same."""


def view(replace):
    """Replaces the route; `replace` gets the good one."""
    well = good.app.view_functions["webhook"]
    good.app.view_functions["webhook"] = lambda: replace(well)


def refusing(status, text, **headers):
    view(lambda well: (text, status, headers) if request.method == "POST" else well())


# --- values that are no CDR's

def custom_nul_500():
    """psycopg2 takes no NUL in a text."""
    def insert(record):
        if "\0" in str(record.get("custom")):
            raise ValueError("A string literal cannot contain NUL (0x00) characters.")
    before(insert)


def custom_surrogate_500():
    """A lone surrogate is JSON, and has no UTF-8."""
    before(lambda record: json.dumps(record, ensure_ascii=False).encode())


def time_infinity_500():
    """1e400 is JSON; json.loads makes infinity of it, and only ValueError is expected of int()."""
    good.read_record = plain_json

    def check(record):
        try:
            int(record.get("time") or 0)
        except (TypeError, ValueError):
            raise Refused(400, "bad time") from None
    before(check)


def nan_in_json_column():
    """json.loads takes NaN, a json column of PostgreSQL does not."""
    good.read_record = plain_json

    def insert(record):
        if re.search(r": -?(NaN|Infinity)\b", json.dumps(record)):
            raise DataError("invalid input syntax for type json")
    before(insert)


def plain_json(body):
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "not JSON") from None
    if not isinstance(record, dict):
        raise Refused(400, "not a JSON object")
    return record


def time_text_500():
    """int(record["time"]): a text without a number in it."""
    before(lambda record: int(record.get("time", 0)))


def answeredsec_text_500():
    """timedelta(seconds=...) of a text that is no number."""
    before(lambda record: timedelta(seconds=float(record.get("answeredsec") or 0)))


def user_list_500():
    """user.split("_") of what is no text."""
    before(lambda record: record["user"].split("_") if record.get("user") else None)


def negative_to_500():
    """An UNSIGNED column."""
    def insert(record):
        if re.match(r"-\d", str(record.get("to"))):
            raise DataError("Out of range value for column 'to' at row 1")
    before(insert)


def get_not_utf8_500():
    """The query string is decoded strictly."""
    def strictly(well):
        parse_qsl(request.query_string.decode("latin-1"), encoding="utf-8", errors="strict")
        return well()
    view(strictly)


def extra_nested_500():
    """extra_params is made flat by a recursive function. json.loads stops at about the same depth: it gets a text."""
    def flat(value, depth=0):
        if depth > 20:
            raise RecursionError("maximum recursion depth exceeded")
        if isinstance(value, dict):
            for inner in value.values():
                flat(inner, depth + 1)
    before(lambda record: flat(record.get("extra_params")))


def hangup_null_500():
    """record.get("hangup_reason", "") has its default for an absent field, not for null."""
    before(lambda record: str.upper(record.get("hangup_reason", "")))


def quote_in_sql_500():
    """SQL that is put together from texts."""
    base = sqlite3.connect(":memory:", check_same_thread=False)
    base.execute("CREATE TABLE notes (custom TEXT)")
    lock = threading.Lock()

    def insert(record):
        with lock:
            text = str(record.get("custom")).replace("\0", "")
            base.execute(f"INSERT INTO notes VALUES ('{text}')".encode("utf-8", "replace").decode())
    before(insert)


# --- what TeleCMI sends

def requires_request_id():
    """record["request_id"]: absent when the call was not placed by click2call."""
    before(lambda record: record["request_id"])


def extension_three_digits():
    """Extensions of four to six digits are refused."""
    def check(record):
        if not re.fullmatch(r"\d{3}_\d+", str(record.get("user", "202_2222223"))):
            raise Refused(422, "user: expected three digits, an underscore and the app id")
    before(check)


def incoming_leg_b_500():
    """A live event with direction outbound is taken for an outgoing one, which has `to`; an incoming call's leg b has none."""
    take = Calls.take

    def checked(self, record):
        if record.get("type") == "event" and record.get("direction") == "outbound":
            record["to"]
        take(self, record)
    Calls.take = checked


def ghost_409():
    """One leg a for each request_id: after a follow-me ghost the real outcome is refused."""
    seen = {}

    def check(record):
        call = (record.get("request_id"), record.get("leg"))
        if all(isinstance(part, str) for part in call) and seen.setdefault(call, record["cmiuuid"]) != record["cmiuuid"]:
            raise Refused(409, f"request_id already has a leg {call[1]}")
    before(check)


def reversed_409():
    """The answered leg a closes the call: leg b, which comes behind it, is refused."""
    closed = set()

    def check(record):
        call = str(record.get("request_id"))
        if record.get("leg") == "b" and call in closed:
            raise Refused(409, "the call is closed")
        if record.get("status") == "answered" and "request_id" in record:
            closed.add(call)
    before(check)


def to_int32_500():
    """An INTEGER column for `to`."""
    def insert(record):
        if str(record.get("to", 0)).lstrip("-").isdigit() and abs(int(record.get("to", 0))) >= 2**31:
            raise DataError("integer out of range")
    before(insert)


def time_as_seconds_500():
    """datetime.fromtimestamp(time): milliseconds are taken for seconds."""
    def check(record):
        if str(record.get("time", 0)).isdigit():
            datetime.fromtimestamp(int(record.get("time", 0)))
    before(check)


# --- the first answer

def wants_event_id_400():
    """A field of another provider is required."""
    view(lambda well: (jsonify(error="event_id is required"), 400) if request.method == "POST" else well())


def basic_auth_401():
    refusing(401, "Unauthorized", **{"WWW-Authenticate": 'Basic realm="hooks"'})


def address_403():
    refusing(403, "Your address 127.0.0.1 is not on the list.")


def page_expired_419():
    """Laravel's answer to a POST without a CSRF token."""
    refusing(419, "<!DOCTYPE html><html><head><title>Page Expired</title></head><body><div>419</div><div>Page Expired</div></body></html>")


def slash_308():
    """The route ends in a slash; Flask redirects the URL without it."""
    view(lambda well: redirect("/webhook/cdr/", 308))


def get_health():
    """GET is a health check: 200, nothing is kept."""
    view(lambda well: jsonify(status="up") if request.method == "GET" else well())


def ok_false():
    """A catch-all that answers 200 and tells the error in the body."""
    def caught(well):
        try:
            return well()
        except (Refused, HTTPException):
            raise
        except Exception as error:
            return jsonify(ok=False, error=str(error))
    before(lambda record: json.loads(record.get("custom", "{}")))
    view(caught)


# --- many deliveries

def grows_slower():
    """Looks through all that came before: 20 ms more with each delivery."""
    came = []

    def look(record):
        came.append(record["cmiuuid"])
        time.sleep(min(2, 0.02 * len(came)))
    before(look)


def pool_of_five():
    """A duplicate raises before its connection goes back to the pool, and is answered well; the pool has five."""
    left = threading.Semaphore(5)

    def store(calls, key, row, well):
        if not left.acquire(timeout=0.1):
            raise OperationalError("QueuePool limit of size 5 overflow 0 reached, connection timed out, timeout 0.10")
        if key not in calls.rows:
            well(calls, key, row)
            left.release()
    storing(store)


def database_locked():
    """SQLite with a timeout of 0: of transactions at the same time one gets through."""
    lock = threading.Lock()

    def store(calls, key, row, well):
        if not lock.acquire(blocking=False):
            raise sqlite3.OperationalError("database is locked")
        time.sleep(0.02)
        well(calls, key, row)
        lock.release()
    storing(store)


# --- what is kept

def no_unique_key():
    storing(lambda calls, key, row, well: another_row(calls, key, row))


def forgets_after_a_moment():
    """A cache of ids for half a second stands in for the unique key."""
    seen = {}

    def store(calls, key, row, well):
        now = time.monotonic()
        if now - seen.get(key, 0) > 0.5:
            another_row(calls, key, row)
        seen[key] = now
    storing(store)


def row_for_each_method():
    """GET and POST have a table each."""
    Calls.key = lambda self, record: request.method + record["cmiuuid"]


def upsert_by_call_id():
    """Both legs of a call have the same call_id: the later one overwrites the other."""
    keyed(lambda record: str(record.get("call_id") or record["cmiuuid"]))


def background_lost():
    """200 first; the thread that writes fails for a custom that is no JSON, and nobody sees it."""
    threading.excepthook = lambda _: None

    def store(calls, key, row, well):
        def write():
            if isinstance(row.get("custom"), str):
                json.loads(row["custom"])
            well(calls, key, row)
        threading.Thread(target=write).start()
    storing(store)


def escapes_html():
    """Texts are escaped when they are stored, not when they are shown."""
    keeping(lambda row: row.update({name: html.escape(value) for name, value in row.items() if isinstance(value, str)}))


def half_row_after_400():
    """The row is written before the fields are checked."""
    take = Calls.take_cdr

    def check_late(self, record):
        take(self, record)
        if not isinstance(record.get("leg", "a"), str) or record.get("leg", "a") not in ("a", "b"):
            raise Refused(400, "leg must be a or b")
    Calls.take_cdr = check_late


def ids_swapped():
    """Row(row["request_id"], row["call_id"], ...) for columns in the other order."""
    keeping(lambda row: row.update(request_id=row.get("call_id"), call_id=row.get("request_id")))


def local_time_marked_utc():
    """strftime("...Z") of a local time: the call is five and a half hours late."""
    def marked(row):
        if isinstance(row.get("time"), int) and 0 <= row["time"] < 10**14:
            local = datetime.fromtimestamp(row["time"] / 1000, timezone(timedelta(hours=5, minutes=30)))
            row["time"] = local.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    keeping(marked)


def object_as_text():
    """`${extra_params}` in JavaScript, where it is an object."""
    keeping(lambda row: row.update(extra_params="[object Object]") if isinstance(row.get("extra_params"), dict) else None)


def by_position():
    """zip(COLUMNS, record.values()): right until a field is absent, or the fields come in another order."""
    columns = ("virtual_number", "call_id", "custom", "leg", "type", "appid", "to", "cmiuuid", "status", "user", "time", "direction",
               "hangup_reason", "request_id", "extra_params")

    def moved(row):
        key, values = row["cmiuuid"], list(row.values())
        row.clear()
        row.update(zip(columns, values))
        row["cmiuuid"] = key
    keeping(moved)


def only_the_last_id():
    """A CDR is a duplicate if it has the id of the CDR before it."""
    last, lock = [], threading.Lock()

    def store(calls, key, row, well):
        with lock:
            if last[-1:] != [key]:
                another_row(calls, key, row)
            last[:] = [key]
    storing(store)


def keyed_by_body():
    """A hash of the whole record recognises duplicates: a corrected CDR is a second row."""
    Calls.key = lambda self, record: json.dumps(record, sort_keys=True)


def resend_empties():
    """UPDATE ... SET custom = NULL: the second delivery of a CDR is not parsed, and overwrites what was."""
    def store(calls, key, row, well):
        with calls.lock:
            calls.rows[key] = {**row, "custom": None, "extra_params": None} if key in calls.rows else row
    storing(store)


# --- the code around the values

def percent_format_500():
    """custom becomes part of a format string."""
    before(lambda record: f"{record['cmiuuid']} {record.get('custom')}: %s" % record.get("status"))


def ascii_log_500():
    """The log is ASCII, as in a container without a locale."""
    log = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    before(lambda record: log.write(f"{record}\n"))


def queue_full_503():
    """A queue of five is full at the sixth CDR at once."""
    places = threading.Semaphore(5)

    def queued(well):
        if not places.acquire(blocking=False):
            return "the queue is full", 503
        try:
            time.sleep(0.05)
            return well()
        finally:
            places.release()
    view(queued)


def regex_backtracks():
    """Nested repetition: each way to split a long word is tried."""
    words = re.compile(r"(\w+\s?)*$")
    before(lambda record: words.search(str(record.get("custom"))))


def shared_variable():
    """A variable of the module has the record, and another request replaces it."""
    current, take = {}, Calls.take_cdr

    def shared(self, record):
        current["record"] = record
        time.sleep(0.02)
        take(self, current["record"])
    Calls.take_cdr = shared


def file_named_by_id_500():
    """open(f"{cmiuuid}.json", "w"): an id that is a path names a folder that is not there."""
    folder = tempfile.TemporaryDirectory()

    def write(record):
        with open(f"{folder.name}/{record['cmiuuid'][:100]}.json", "w", encoding="utf-8") as file:
            json.dump(record, file)
    before(write)


def length_in_characters_400():
    """The Content-Length is compared with the number of characters."""
    def compared(well):
        if request.content_length and request.content_length != len(request.get_data().decode("utf-8", "replace")):
            return "the body is incomplete", 400
        return well()
    view(compared)


# --- what no sender sees

def tells_the_agent_twice():
    """A duplicate is kept once, and its message to the agent goes out again."""
    sent = []
    before(lambda record: sent.append(record["cmiuuid"]))


def report_of_the_wrong_day():
    """The daily report counts a call by the server's time zone; what is kept is right."""
    days = {}
    before(lambda record: days.setdefault(time.strftime("%d"), []).append(record["cmiuuid"]))


BUGS = named(
    custom_nul_500, custom_surrogate_500, time_infinity_500, nan_in_json_column, time_text_500, answeredsec_text_500,
    user_list_500, negative_to_500, get_not_utf8_500, extra_nested_500, hangup_null_500, quote_in_sql_500, requires_request_id,
    extension_three_digits, incoming_leg_b_500, ghost_409, reversed_409, to_int32_500, time_as_seconds_500,
    wants_event_id_400, basic_auth_401, address_403, page_expired_419, slash_308, get_health, ok_false, grows_slower,
    pool_of_five, database_locked, no_unique_key, forgets_after_a_moment, row_for_each_method, upsert_by_call_id,
    background_lost, escapes_html, half_row_after_400, percent_format_500, ascii_log_500, queue_full_503, regex_backtracks,
    shared_variable, tells_the_agent_twice, report_of_the_wrong_day, ids_swapped, local_time_marked_utc, object_as_text, by_position,
    only_the_last_id, keyed_by_body, resend_empties, file_named_by_id_500, length_in_characters_400)

if __name__ == "__main__":
    BUGS[os.environ["BUG"]]()
    good.app.logger.disabled = True
    if with_page():
        good.app.config["PROPAGATE_EXCEPTIONS"] = True
        good.serve(DebuggedApplication(good.app, evalex=False))
    else:
        good.serve()
