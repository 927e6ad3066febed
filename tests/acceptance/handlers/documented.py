"""The handlers of docs/testing-a-handler.md: each is started as it stands there, on a free port, and must pass the suite."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from checks import Skipped, free_port

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "testing-a-handler.md"
STARTUP = 30  # seconds; Go compiles first
SUITE = 120  # seconds
DJANGO = """
from django.conf import settings
settings.configure(SECRET_KEY="for this test", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[
    "django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"])
from django.core.wsgi import get_wsgi_application
from django.urls import path
from handler import cdr
urlpatterns = [path("webhook/cdr", cdr)]
application = get_wsgi_application()
"""
# By heading: the file, what must be installed (a program or a module of Node or Python), and the command.
HANDLERS = {
    "Flask": ("handler.py", "python:flask", [sys.executable, "handler.py"]),
    "FastAPI": ("handler.py", "python:uvicorn", [sys.executable, "-m", "uvicorn", "handler:app", "--port", "PORT"]),
    "Django": ("handler.py", "python:gunicorn",
               [sys.executable, "-m", "gunicorn", "site_:application", "--threads", "16", "--bind", "127.0.0.1:PORT"]),
    "Express": ("handler.js", "node:express", ["node", "handler.js"]),
    "Fastify": ("handler.js", "node:fastify", ["node", "handler.js"]),
    "Go": ("handler.go", "go", ["go", "run", "handler.go"]),
    "PHP": ("handler.php", "php", ["php", "-S", "127.0.0.1:PORT", "handler.php"]),
    "Java": ("Handler.java", "java", ["java", "Handler.java"]),
}
# By heading: the cases that fail because of the server for development, as the document says.
SKIPPED_CASES = {"PHP": ["--skip", "byte-by-byte,length-beyond-memory"]}


def installed(what):
    """Whether a program, or a module of an interpreter, is there."""
    kind, _, module = what.rpartition(":")
    commands = {"python": [sys.executable, "-c", f"import {module}"], "node": ["node", "-e", f"require('{module}')"]}
    if not kind:
        return shutil.which(module)
    try:
        return subprocess.run(commands[kind], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def code(heading):
    """The block below a heading of the document."""
    section = DOCUMENT.read_text().split(f"\n### {heading}\n")[1]
    return re.search(r"```\w+\n(.*?)```", section, re.DOTALL)[1]


def check(program, heading):
    """Starts the handler and runs the suite against it."""
    file, needed, command = HANDLERS[heading]
    if not installed(needed):
        raise Skipped(f"there is no {needed.rpartition(':')[2]}")
    port = str(free_port())
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / file).write_text(code(heading).replace("5000", port))
        (Path(folder) / "site_.py").write_text(DJANGO)
        handler = subprocess.Popen([word.replace("PORT", port) for word in command], cwd=folder, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_for(port)
            suite = [program, "send", "--url", f"http://localhost:{port}/webhook/cdr", "--suite", "--seed", "7",
                     *SKIPPED_CASES.get(heading, [])]
            done = subprocess.run(suite, capture_output=True, text=True, timeout=SUITE, check=False)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(handler.pid, signal.SIGKILL)
            handler.wait()
    if done.returncode != 0:
        raise RuntimeError(f"exit {done.returncode}\n{done.stdout}{done.stderr}")
    return next(line for line in done.stdout.splitlines() if "held" in line)


def wait_for(port):
    """Until the port is open."""
    end = time.monotonic() + STARTUP
    while time.monotonic() < end:
        for host in ("127.0.0.1", "::1"):
            with contextlib.suppress(OSError):
                socket.create_connection((host, int(port)), 1).close()
                return
        time.sleep(0.05)
    raise RuntimeError("the handler does not listen")
