"""Load from more machines than one: Locust's users deliver the CDRs that `telecmi-cdr send --print json` writes.

    locust -f locustfile.py --headless --host https://staging.example --users 200 --spawn-rate 50 --cdrs 100000
    locust -f locustfile.py --master --expect-workers 8 ...            the same on several machines: here one,
    locust -f locustfile.py --worker --master-host ...                 and as many of these as wanted

Each worker has a `send` of its own, whose seed is --cdr-seed and the worker's number together, so that no CDR leaves twice
wherever it comes from; all users of a worker take from that one. With --cdrs the run ends when all workers have delivered
theirs. TELECMI_CDR says where a worker has the program, if not in its PATH. Only for handlers that are your own.
"""
import json
import os
import shlex
import sys
from urllib.parse import urlencode, urlsplit

import gevent
from gevent import subprocess
from gevent.lock import Semaphore
from locust import FastHttpUser, constant, events, task
from locust.exception import StopUser
from locust.runners import LocalRunner, MasterRunner

ENDLESS = 1_000_000_000


class Feed:
    """The CDRs of this worker, each given out once, and how many of them are still under way."""

    def __init__(self, options, worker):
        # Seeds of runs are far apart, so that worker 1 of one does not send what worker 0 of the next does.
        seed = options.cdr_seed * 1_000_000 + worker
        words = ["send", "--print", "json", "--quiet", "--seed", str(seed), "--count", str(options.cdrs or ENDLESS), *shlex.split(options.cdr_send)]
        self.process = subprocess.Popen([os.environ.get("TELECMI_CDR", "telecmi-cdr"), *words], stdout=subprocess.PIPE)
        self.turn = Semaphore()
        self.under_way = 0
        self.is_dry = False

    @property
    def is_delivered(self):
        return self.is_dry and not self.under_way

    def take(self):
        with self.turn:
            line = self.process.stdout.readline()
            if not line:
                if self.process.wait() != 0:
                    sys.exit("there are no CDRs: `send` has said above why")
                self.is_dry = True
                return None
            self.under_way += 1
            return line.rstrip(b"\n")


feeds = {}


@events.init_command_line_parser.add_listener
def settings(parser):
    parser.add_argument("--cdr-method", choices=["post", "get"], default="post", help="How the CDRs are delivered")
    parser.add_argument("--cdr-path", default="/webhook/cdr", help="Path of the handler on --host, with a query if it needs one")
    parser.add_argument("--cdr-seed", type=int, default=1, help="What all that is sent follows from, with the worker's number")
    parser.add_argument("--cdr-send", default="", help="More words for `send`, as in --cdr-send='--scenario agent-rejected'")
    parser.add_argument("--cdrs", type=int, default=0, help="How many calls each worker tells of; 0 is no end")


@events.report_to_master.add_listener
def tell(data, **_):
    # In one message with the figures, so that the master never ends a run whose figures it does not have.
    data["delivered"] = bool(feeds) and feeds["here"].is_delivered


@events.init.add_listener
def await_all(environment, **_):
    """The master ends the run when every worker has delivered all. Locust forgets a worker that was silent for a minute."""
    done = set()

    def note(client_id, data, **_):
        runner = environment.runner
        if isinstance(runner, MasterRunner) and data.get("delivered"):
            done.add(client_id)
            if done >= {client.id for client in runner.clients.all}:
                gevent.spawn(runner.quit)

    environment.events.worker_report.add_listener(note)


@events.test_start.add_listener
def start(environment, **_):
    # A run that is stopped and started again goes on where it was: the CDRs it has sent do not leave again.
    if not isinstance(environment.runner, MasterRunner) and not feeds:
        feeds["here"] = Feed(environment.parsed_options, environment.runner.worker_index)


@events.quitting.add_listener
def stop(**_):
    if feeds:
        feeds["here"].process.terminate()


def query(cdr):
    """A CDR as `send --method get` writes it: every value as text, and objects as their JSON."""
    def text(value):
        return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    return urlencode({name: text(value) for name, value in cdr.items()})


class Platform(FastHttpUser):
    """Delivers one CDR after another, as TeleCMI does: no session, no state, any 2xx is enough."""
    wait_time = constant(0)

    @task
    def deliver(self):
        feed, options = feeds["here"], self.environment.parsed_options
        cdr = feed.take()
        if cdr is None:
            if isinstance(self.environment.runner, LocalRunner) and feed.is_delivered:
                gevent.spawn(self.environment.runner.quit)
            raise StopUser()
        path = options.cdr_path
        try:
            if options.cdr_method == "post":
                self.client.post(path, data=cdr, headers={"Content-Type": "application/json"}, name=urlsplit(path).path, allow_redirects=False)
            else:
                target = path + ("&" if "?" in path else "?") + query(json.loads(cdr))
                self.client.get(target, name=urlsplit(path).path, allow_redirects=False)
        finally:
            feed.under_way -= 1
