"""Places where the buggy Python handlers change the good ones."""
import os
import random
import string

from calls import Calls


def before(check):
    """`check` sees each CDR before it is kept, whichever way it came."""
    take = Calls.take_cdr

    def checked(self, record):
        check(record)
        take(self, record)
    Calls.take_cdr = checked


def keeping(change):
    """`change` gets the row that is to be kept."""
    row = Calls.row

    def changed(self, record):
        kept = row(self, record)
        change(kept)
        return kept
    Calls.row = changed


def storing(store):
    """Replaces how a row is stored; `store` gets the calls, the key, the row and the good way."""
    well = Calls.store
    Calls.store = lambda self, key, row: store(self, key, row, well)


def keyed(key):
    """Replaces what makes two rows one, and lets the later one win."""
    Calls.key = lambda self, record: key(record)

    def upsert(self, key, row, well):
        with self.lock:
            self.rows[key] = row
    storing(upsert)


def another_row(calls, key, row):
    with calls.lock:
        calls.rows[key + "".join(random.choices(string.hexdigits, k=12))] = row


def named(*bugs):
    """The functions by the names that BUG takes."""
    return {bug.__name__.replace("_", "-"): bug for bug in bugs}


def with_page():
    """Whether the framework's page with the exception is on, as in development."""
    return os.environ.get("PAGE") == "1"
