"""strict_flask.py with guards that let others in, named by the environment variable BUG. SECRET is the secret."""
import os

from flask import request

import strict_flask as strict
from planting import named

SECRET, good = strict.SECRET, strict.good


def query_only_if_there():
    """A token that is there is compared; a request without one gets through."""
    strict.guarded(lambda: request.args.get("token", SECRET) == SECRET)


def query_begins():
    """SECRET.startswith(token): an empty token gets through."""
    strict.guarded(lambda: "token" in request.args and SECRET.startswith(request.args["token"]))


def path_any():
    """/webhook/cdr/<token> is routed, and nobody looks at the token."""
    good.app.add_url_rule("/webhook/cdr/<token>", "guarded", lambda token: good.webhook(), methods=["GET", "POST"])


def custom_only_if_there():
    """An absent or empty custom gets through."""
    strict.guarded(lambda: (strict.record_of_request().get("custom") or SECRET) == SECRET)


def appid_by_post_only():
    """GET is routed past the check."""
    strict.guarded(lambda: request.method == "GET" or str(strict.record_of_request().get(
        "appid", strict.record_of_request().get("app_id"))) == SECRET)


def header_is_there():
    """Any value of X-Secret gets through."""
    strict.guarded(lambda: "X-Secret" in request.headers)


def keeps_before_it_refuses():
    """401 to the wrong token, behind the insert."""
    well = good.app.view_functions["webhook"]

    def late():
        answer = well()
        return answer if request.args.get("token") == SECRET or request.method == "HEAD" else ("no", 401)
    good.app.view_functions["webhook"] = late


BUGS = named(query_only_if_there, query_begins, path_any, custom_only_if_there, appid_by_post_only, header_is_there,
             keeps_before_it_refuses)

if __name__ == "__main__":
    BUGS[os.environ["BUG"]]()
    good.app.logger.disabled = True
    good.serve()
