"""A CDR webhook with Django, served by gunicorn with threads.

gunicorn leaves slow senders to the server in front of it: expected.json runs this behind nginx.
"""
import django
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse, HttpResponseNotAllowed
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt
from gunicorn.app.base import BaseApplication

from calls import MAX_BODY, Calls, Refused, as_json, port, read_record, ready

calls = Calls()


@csrf_exempt
def webhook(request):
    try:
        if "Transfer-Encoding" in request.headers:  # Django reads as much as Content-Length says
            raise Refused(411, "a body needs a Content-Length")
        if request.method == "POST":
            calls.take(read_record(request.body))
        elif request.method == "GET":
            calls.take(request.GET.dict())
        elif request.method != "HEAD":
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    except Refused as refused:
        return HttpResponse(str(refused), status=refused.status)
    except RequestDataTooBig:  # Django's own answer is 400
        return HttpResponse("too large", status=413)
    return HttpResponse("got it")


def read_back(request, cmiuuid):
    rows = calls.find(cmiuuid)
    return HttpResponse(as_json(rows), status=200 if rows else 404, content_type="application/json")


urlpatterns = [re_path(r"^webhook/cdr\Z", webhook), re_path(r"^calls/(?s:(?P<cmiuuid>.+))\Z", read_back)]


class Gunicorn(BaseApplication):
    options = {"bind": f"127.0.0.1:{port()}", "workers": 1, "worker_class": "gthread", "threads": 64, "loglevel": "critical",
               "limit_request_line": 8190,
               "when_ready": lambda arbiter: ready(arbiter.LISTENERS[0].sock.getsockname()[1])}

    def load_config(self):
        for name, value in self.options.items():
            self.cfg.set(name, value)

    def load(self):
        from django.core.wsgi import get_wsgi_application
        return get_wsgi_application()


def configure(**changes):
    settings.configure(**{
        "SECRET_KEY": "for tests only", "ALLOWED_HOSTS": ["*"], "ROOT_URLCONF": __name__, "LOGGING_CONFIG": None,
        "DATA_UPLOAD_MAX_MEMORY_SIZE": MAX_BODY, "DATA_UPLOAD_MAX_NUMBER_FIELDS": None,
        "MIDDLEWARE": ["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"], **changes})
    django.setup()


def serve(**changes):
    configure(**changes)
    Gunicorn().run()


if __name__ == "__main__":
    serve()
