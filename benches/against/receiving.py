"""How `listen` compares with other receivers under wrk, and whether what it acknowledges is on file."""
import json
import re
import subprocess
import time

from .bench import Sample, cpus, lines, rates, void, wrk
from .peers import HERE
from .process import RUNNING, Server, MeasurementError, free_port, run, start
from .report import Group, Row, ratios

CONNECTIONS = 50


def receive(b):
    """Records to a file before the answer, against others' least."""
    contenders = {"ours": lambda: saving(b), "bare hyper": lambda: hyper(b)}
    if b.peers["nginx"]:
        contenders["nginx"] = lambda: nginx(b)
    for name, label in (("express", "express"), ("flask", "Flask dev")):
        if b.peers[name]:
            contenders[label] = lambda name=name: page(b, name)
    samples = b.interleaved("receive", contenders)
    group = Group("listen --format ndjson --save FILE under wrk, 50 connections, unique CDRs")
    ours = samples.pop("ours")
    targets = {"express": 8, "Flask dev": 50}
    group.rows = [Row("requests/s", name, ratios(rates(ours), rates(theirs)), at_least=targets.get(name),
                      void=void(ours, theirs)) for name, theirs in samples.items()]
    group.rows += [Row("CPU a request", name, ratios(cpus(ours), cpus(theirs)), void=void(ours, theirs))
                   for name, theirs in samples.items()]
    group.notes = ["standard output goes to /dev/null; each run lasts until all is shown",
                   "acknowledged = on file, but for answers under way when wrk left"]
    b.groups.append(group)


def under_wrk(b, server):
    """What a server bears."""
    before = server.cpu()
    _, requests, seconds, failures = wrk(b.peers, server.url(), b.bodies(), CONNECTIONS, b.seconds)
    return sample(server, requests, seconds, server.cpu() - before, failures)


def to_its_end(b, server):
    """What our receiver bears, and how many answers wrk got: what it has put off, it does before it ends, and that
    counts."""
    before = server.cpu()
    _, requests, seconds, failures = wrk(b.peers, server.url(), b.bodies(), CONNECTIONS, b.seconds)
    ended = time.perf_counter()
    server.stop()
    seconds += time.perf_counter() - ended
    return sample(server, requests, seconds, server.total - before, failures), requests


def sample(server, requests, seconds, spent, failures):
    """The figures of a round."""
    if not requests:
        raise MeasurementError(f"{server.process.args[0]} answered nothing")
    return Sample(requests / seconds, spent / requests * 1e6, f"{failures} failures" if failures else None)


def saving(b):
    """Our receiver, with what it acknowledges counted on file."""
    path = b.folder / "saved.ndjson"
    path.unlink(missing_ok=True)
    with b.listen("--format", "ndjson", "--save", path) as server:
        figures, acknowledged = to_its_end(b, server)
    saved = lines(path)
    path.unlink()
    # wrk leaves when its time is up, and does not count the answers that are under way then.
    if acknowledged <= saved <= acknowledged + CONNECTIONS:
        return figures
    return figures._replace(void=f"{acknowledged} acknowledged, {saved} on file")


def hyper(b):
    """Bare hyper: parse, append, answer."""
    path = b.folder / "hyper.ndjson"
    path.unlink(missing_ok=True)
    with Server([b.peers["raw"], "hyper", path]) as server:
        figures = under_wrk(b, server)
    path.unlink()
    return figures


def nginx(b):
    """nginx with one worker, which reads no CDR."""
    folder, port = b.folder / "nginx", free_port()
    folder.mkdir(exist_ok=True)
    text = (HERE / "peers" / "nginx.conf").read_text().replace("PORT", str(port)).replace("FOLDER", str(folder))
    (folder / "nginx.conf").write_text(text)
    with Server([b.peers["nginx"], "-p", folder, "-c", folder / "nginx.conf"], port=port) as server:
        return under_wrk(b, server)


def page(b, name):
    """A handler as TeleCMI's page has it."""
    port = free_port()
    file = HERE / "peers" / {"express": "express_page.js", "flask": "flask_page.py"}[name]
    environment = {**b.peers.environment(name), "PORT": str(port), "PYTHONDONTWRITEBYTECODE": "1"}
    with Server([b.peers[name], file], port=port, environment=environment) as server:
        # Its compiler works while it runs: what it does at first says little.
        wrk(b.peers, server.url(), b.bodies(), CONNECTIONS, 1)
        return under_wrk(b, server)


def pretty(b):
    """Text for people into a pipe, against records into a pipe."""
    dropped = {"pretty": 0, "ndjson": 0}

    def shown(form):
        drain = start(["tail", "-c", "4096"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            with b.listen("--format", form, stdout=drain.stdin) as server:
                figures, _ = to_its_end(b, server)
            said = drain.communicate(timeout=30)[0].decode()
        finally:
            drain.kill()
            drain.wait()
            RUNNING.discard(drain)
        found = re.search(r"(\d+) not shown" if form == "pretty" else r'"dropped":(\d+)', said)
        dropped[form] += int(found[1]) if found else 0
        return figures

    samples = b.interleaved("pretty", {form: lambda form=form: shown(form) for form in dropped})
    ours, theirs = samples["pretty"], samples["ndjson"]
    group = Group("listen, text for people into a pipe, under wrk, 50 connections")
    why = void(ours, theirs)
    own = "its own NDJSON"
    group.rows = [Row("requests/s", own, ratios(rates(ours), rates(theirs)), at_least=0.9, void=why),
                  Row("CPU a request", own, ratios(cpus(ours), cpus(theirs)), void=why)]
    if any(dropped.values()):
        group.notes = [f"not shown, for want of a faster reader: {dropped['pretty']} blocks, {dropped['ndjson']} records"]
    b.groups.append(group)


def exact(b):
    """A counted number of requests: as many are acknowledged as are on file and in the summary."""
    count, differences = 20_000, []
    for n in range(min(b.rounds, 3)):
        path, told = b.folder / "exact.ndjson", b.folder / "told.ndjson"
        path.unlink(missing_ok=True)
        with told.open("w") as out, b.listen("--format", "ndjson", "--save", path, stdout=out) as server:
            address = f"127.0.0.1:{server.port}"
            done = run([b.peers["raw"], "send", address, str(CONNECTIONS), str(count), b.bodies()], capture=True)
            server.stop()
        acknowledged = int(done.output.split()[0])
        summary = json.loads(told.read_text().splitlines()[-1])
        counts = (acknowledged, lines(path), summary["saved"], summary["exchanges"])
        b.say(f"exact, round {n + 1}: acknowledged, on file, saved and received {counts}")
        differences.append(max(counts) - min(counts))
    path.unlink()
    told.unlink()
    group = Group(f"listen --save: {count} sent; acknowledged = on file = counted")
    group.rows = [Row("difference", "", differences, unit="", at_most=0)]
    b.groups.append(group)
