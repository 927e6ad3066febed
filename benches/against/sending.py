"""How `send` compares with load tools: bursts on kept and on fresh connections, and a rate."""
import json
import subprocess

from . import bench
from .bench import BODY_SIZE, answered, cpus, rates, sent, void, wrk
from .process import RUNNING, MeasurementError, run, start
from .report import Group, Row, ratios


def bursts(b):
    """Bursts on connections that are kept."""
    for connections in (50, 200):
        burst(b, connections)
    burst(b, 50, "--format", "ndjson", "-o", "/dev/null")


def burst(b, connections, *output):
    """A burst of the mixture against one fixed body, the same count for all."""
    with b.sink() as sink:
        calls, count = scaled(b, sink, connections, "--keep-alive")
        body, address = b.body(), f"127.0.0.1:{sink.port}"
        contenders = {
            "ours": lambda: sent(b.send(sink.url(), calls, "--keep-alive", "-c", str(connections), *(output or ["--quiet"])),
                                 sink, count)}
        if b.peers["oha"]:
            contenders["oha"] = lambda: sent(oha(b, sink.url(), connections, count), sink, count)
        if b.peers["wrk"]:
            contenders["wrk"] = lambda: by_wrk(b, sink, connections)
        raw = [b.peers["raw"], "send", address, str(connections), str(count), body]
        contenders["raw tokio"] = lambda: sent(raw, sink, count)
        if connections == 50 and not output:
            posting = ["-n", str(count), "-c", str(connections), "-T", "application/json"]
            if b.peers["hey"]:
                # hey sends as many as each of its workers can have in equal shares.
                equal = count - count % connections
                hey = [b.peers["hey"], "-n", str(equal), *posting[2:], "-m", "POST", "-D", body, sink.url()]
                contenders["hey"] = lambda: sent(hey, sink, equal)
            if b.peers["ab"]:
                ab = [b.peers["ab"], "-q", "-k", *posting, "-p", body, sink.url()]
                contenders["ab"] = lambda: sent(ab, sink, count)
        what = ", a record each" if output else ""
        samples = b.interleaved(f"burst, {connections} connections{what}", contenders)
    group = Group(f"send, a burst of {count} unique CDRs on {connections} kept connections{what}")
    group.rows = versus(samples, {"oha": 0.9 if output else 1.0, "hey": 2.5}, {} if output else {"oha": 1.0})
    group.notes = [f"others send one body of {BODY_SIZE} bytes"]
    b.groups.append(group)


def fresh(b):
    """A burst with a new connection for each request, which is the default."""
    connections = 50
    with b.sink() as sink:
        # The kernel has some 28 000 ports for a destination, so each run has a sink of its own.
        calls, count = scaled(b, sink, connections, most=15_000)

    def ours():
        with b.sink() as sink:
            return sent(b.send(sink.url(), calls, "-c", str(connections)), sink, count)

    def others(command):
        with b.sink() as sink:
            return sent(command(sink), sink, count)

    contenders = {"ours": ours}
    if b.peers["oha"]:
        contenders["oha"] = lambda: others(
            lambda sink: [*oha(b, sink.url(), connections, count), "--disable-keepalive"])
    contenders["raw tokio"] = lambda: others(
        lambda sink: [b.peers["raw"], "post", f"127.0.0.1:{sink.port}", str(connections), str(count), b.body()])
    samples = b.interleaved("fresh connections", contenders)
    group = Group(f"send, a burst of {count} unique CDRs, each on its own connection, 50 at once")
    group.rows = versus(samples, {"oha": 0.8}, {})
    b.groups.append(group)


def versus(samples, at_least, at_most):
    """Rows of requests a second and of CPU time against each of the others."""
    ours = samples.pop("ours")
    speed = [Row("requests/s", name, ratios(rates(ours), rates(theirs)), at_least=at_least.get(name),
                 void=void(ours, theirs)) for name, theirs in samples.items()]
    cost = [Row("CPU a request", name, ratios(cpus(ours), cpus(theirs)), at_most=at_most.get(name),
                void=void(ours, theirs)) for name, theirs in samples.items()]
    return speed + cost


def scaled(b, sink, connections, *more, most=400_000):
    """How many calls take as long as a round should, and how many CDRs they have."""
    trial = 3_000
    before = answered(sink)
    done = run(b.send(sink.url(), trial, *more, "-c", str(connections)))
    came = answered(sink) - before
    if done.code != 0 or came == 0:
        raise MeasurementError(f"a trial of {trial} calls: exit code {done.code}, {came} came")
    rate = came / done.wall
    calls = round(min(most, max(came, rate * b.seconds)) * trial / came)
    return calls, b.planned(calls)


def oha(b, url, connections, count):
    """oha's command line."""
    return [b.peers["oha"], "--no-tui", "--output-format", "quiet", "-n", str(count), "-c", str(connections),
            "-m", "POST", "-T", "application/json", "-D", b.body(), url]


def by_wrk(b, sink, connections):
    """wrk knows no count, but a time."""
    done, requests, seconds, failures = wrk(b.peers, sink.url(), b.body(), connections, b.seconds)
    return bench.Sample(requests / seconds, done.cpu / requests * 1e6, f"{failures} failures" if failures else None)


def rate(b):
    """Whether a schedule is kept. The program's own summary says it, for it knows when each delivery was due."""
    seconds = max(2, round(b.seconds * 2))
    group = Group(f"send --rate, for {seconds} s by 50 connections: off the schedule")
    errors, lateness, why = {}, {}, {}
    wanted = (1_000, 10_000)
    with b.sink() as sink:
        for n in range(b.rounds):
            for rate in wanted:
                summary = paced(b, sink, rate, seconds)
                errors.setdefault(rate, []).append(abs(summary["requests_per_s"] / rate - 1) * 100)
                lateness.setdefault(rate, []).append(summary["lateness_ms"]["p99"])
                if summary["failed"]:
                    why[rate] = f"{summary['failed']} failures"
            said = "; ".join(f"{rate}/s off by {errors[rate][-1]:.2f} %, {lateness[rate][-1]:.2f} ms late"
                             for rate in wanted)
            b.say(f"rate, round {n + 1}: {said}")
    group.rows = [Row("error", f"{rate}/s", errors[rate], "%", at_most=0.3, void=why.get(rate)) for rate in wanted]
    group.rows += [Row("lateness, p99", f"{rate}/s", lateness[rate], "ms", at_most=2.5, void=why.get(rate))
                   for rate in wanted]
    b.groups.append(group)


def paced(b, sink, rate, seconds):
    """The summary of a run at a rate. The deliveries' records go through a pipe to a reader that keeps the last one."""
    last = start(["tail", "-n", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    command = [b.program, "send", "--url", sink.url(), *bench.MIX, "--keep-alive", "-c", "50", "--rate", f"{rate}/s",
               "--duration", f"{seconds}s", "--format", "ndjson"]
    try:
        run(command, stdout=last.stdin)
        said, _ = last.communicate(timeout=30)
    finally:
        last.kill()
        last.wait()
        RUNNING.discard(last)
    return json.loads(said)
