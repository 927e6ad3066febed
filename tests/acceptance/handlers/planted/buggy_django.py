"""good_django.py with one planted bug, named by the environment variable BUG. PAGE=1 is DEBUG = True: Django's yellow page."""
import os
from datetime import datetime, timezone

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import re_path
from django.views.decorators.csrf import csrf_protect

import good_django as good
from calls import Calls, Refused
from planting import before, keeping, named, storing, with_page


class DataError(Exception):
    """What drivers of PostgreSQL and MySQL raise."""


class IntegrityError(Exception):
    """The same."""


class InternalError(Exception):
    """The same."""


def view(replace):
    """Replaces the route; `replace` gets the good one and the request."""
    well = good.webhook

    def webhook(request):
        return replace(well, request)
    webhook.csrf_exempt = True
    good.urlpatterns[0] = re_path(r"^webhook/cdr\Z", webhook)


def csrf_403():
    """Without @csrf_exempt each POST is 403."""
    def webhook(request):
        return good.webhook(request)
    good.urlpatterns[0] = re_path(r"^webhook/cdr\Z", csrf_protect(webhook))


def login_302():
    """login_required on everything but the read route."""
    view(lambda well, request: HttpResponseRedirect("/accounts/login/?next=/webhook/cdr"))


def slash():
    """APPEND_SLASH and a route that ends in a slash: 301 to everybody, or 500 to a POST with DEBUG."""
    good.urlpatterns[0] = re_path(r"^webhook/cdr/\Z", good.webhook)


def other_host_400():
    """ALLOWED_HOSTS = ["localhost"]: the webhook comes to another name."""
    return {"ALLOWED_HOSTS": ["localhost"]}


def one_worker():
    """gunicorn's default, one sync worker, and nothing in front: a silent connection blocks everybody."""
    good.Gunicorn.options.update(worker_class="sync", workers=1, threads=1, timeout=120)


def signature_403():
    """Another provider's signature is checked."""
    def signed(well, request):
        if "X-Hub-Signature" not in request.headers:
            raise PermissionDenied("X-Hub-Signature is missing")
        return well(request)
    view(signed)


def nul_aborts_transaction():
    """PostgreSQL takes no NUL; nobody rolls back, and the connection is used for all that follows."""
    broken = []

    def execute(calls, key, row, well):
        if broken:
            raise InternalError("current transaction is aborted, commands ignored until end of transaction block")
        if any(isinstance(value, str) and "\0" in value for value in row.values()):
            broken.append(True)
            raise DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        well(calls, key, row)
    storing(execute)


def get_nul_500():
    """The same for values of a query string, without the stale transaction; a POST with NUL is refused."""
    def execute(calls, key, row, well):
        if any(isinstance(value, str) and "\0" in value for value in row.values()):
            if isinstance(row.get("time"), str):
                raise DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
            raise Refused(400, "NUL")
        well(calls, key, row)
    storing(execute)


def virtual_number_500():
    """record["virtual_number"].startswith("44"): documented as a text, live a number."""
    before(lambda record: record["virtual_number"].startswith("44") if "virtual_number" in record else None)


def event_500():
    """record["appid"] of a live event, which has app_id."""
    take = Calls.take

    def checked(self, record):
        if record.get("type") == "event":
            record["appid"]
        take(self, record)
    Calls.take = checked


def get_types_500():
    """record["time"] / 1000: in a query string it is a text. A text in JSON was thought of."""
    def checked(well, request):
        if request.method == "GET" and "time" in request.GET:
            request.GET["time"] / 1000
        return well(request)
    view(checked)


def time_range_500():
    """datetime.fromtimestamp() of a number that no year has."""
    def check(record):
        if isinstance(record.get("time"), int):
            datetime.fromtimestamp(record["time"] / 1000, timezone.utc)
    before(check)


def varchar_500():
    """VARCHAR(255) in a strict database."""
    def insert(record):
        if any(isinstance(value, str) and len(value) > 255 for value in record.values()):
            raise DataError("value too long for type character varying(255)")
    before(insert)


def duplicate_500():
    """cmiuuid is the primary key, and the second delivery is an insert as well."""
    def insert(calls, key, row, well):
        if key in calls.rows:
            raise IntegrityError('duplicate key value violates unique constraint "cdr_pkey"')
        well(calls, key, row)
    storing(insert)


def time_in_seconds():
    """Seconds are kept."""
    keeping(lambda row: row.update(time=int(row["time"]) // 1000) if str(row.get("time", "")).isdigit() else None)


def emoji_lost():
    """MySQL's utf8 has three bytes a character, and is not strict: a question mark stands for the rest."""
    def narrow(row):
        for name, value in row.items():
            if isinstance(value, str):
                row[name] = "".join(letter if ord(letter) < 0x10000 else "?" for letter in value)
    keeping(narrow)


def ids_in_lower_case():
    """request_id is base 62; it is kept in lower case."""
    keeping(lambda row: row.update(request_id=row["request_id"].lower()) if isinstance(row.get("request_id"), str) else None)


def error_page_200():
    """A middleware that answers every exception with a page, and forgets the status."""
    def caught(well, request):
        try:
            return well(request)
        except Exception:
            return HttpResponse("<!DOCTYPE html><html><head><title>Server Error</title></head>"
                                "<body><h1>Something went wrong</h1></body></html>")
    before(lambda record: record["request_id"])
    view(caught)


BUGS = named(
    csrf_403, login_302, slash, other_host_400, one_worker, signature_403, nul_aborts_transaction, get_nul_500, virtual_number_500,
    event_500, get_types_500, time_range_500, varchar_500, duplicate_500, time_in_seconds, emoji_lost, ids_in_lower_case,
    error_page_200)

if __name__ == "__main__":
    settings = BUGS[os.environ["BUG"]]() or {}
    good.serve(DEBUG=with_page(), **settings)
