"""What a request costs when there are more of them, on more connections, or larger ones. CPU time only: it is steady."""
from .bench import MIX, answered
from .process import MeasurementError, run
from .report import Group, Row, ratios

FLAT = 1.1  # within ten per cent


def growth(b):
    """All of it for both modes, in rounds: each figure is held against one of the same round."""
    rounds = min(b.rounds, 3)
    by_count(b, rounds)
    by_connections(b, rounds)
    by_size(b, rounds)


def sending(b, count, connections=50, size=None):
    """CPU microseconds a delivery, without what a run of one costs."""
    with b.sink() as sink:
        def spent(count):
            content = ["--set", f"custom={'x' * size}"] if size else MIX[2:]
            before = answered(sink)
            done = run([b.program, "send", "--url", sink.url(), "--keep-alive", "-c", str(connections),
                        "-n", str(count), *content])
            if done.code or answered(sink) - before != count:
                raise MeasurementError(f"{count} to be sent, {answered(sink) - before} came, exit code {done.code}")
            return done.cpu
        return (spent(count) - spent(1)) / (count - 1) * 1e6


def receiving(b, count, connections=50, size=None):
    """CPU microseconds a request received."""
    path = b.folder / "growth.ndjson"
    path.unlink(missing_ok=True)
    bodies = b.body(size) if size else b.bodies()
    with b.listen("--format", "ndjson", "--save", path) as server:
        before = server.cpu()
        address = f"127.0.0.1:{server.port}"
        done = run([b.peers["raw"], "send", address, str(connections), str(count), bodies], capture=True)
        server.stop()
        spent = server.total - before
    path.unlink()
    if done.output.split()[2:] != ["0"]:
        raise MeasurementError(f"{count} to be sent: {done.output or 'nothing'}")
    return spent / count * 1e6


MODES = (("send", sending), ("listen", receiving))


def measured(b, title, rounds, cases):
    """For each mode and each case the figures of the rounds. A case is a name and what its measurement is called with."""
    found = {}
    for n in range(rounds):
        order = list(cases)[n % len(cases):] + list(cases)[:n % len(cases)]
        for name in order:
            for mode, measure in MODES:
                found.setdefault((mode, name), []).append(measure(b, **cases[name]))
        said = "; ".join(f"{mode} " + ", ".join(f"{found[mode, name][-1]:.1f}" for name in cases) for mode, _ in MODES)
        b.say(f"{title}, round {n + 1}, {' / '.join(cases)}: {said} µs")
    return found


def by_count(b, rounds):
    """The same for a thousand as for a hundred thousand, and a million."""
    cases = {"1 k": {"count": 1_000}, "100 k": {"count": 100_000}}
    if b.million:
        cases["1 M"] = {"count": 1_000_000}
    found = measured(b, "growth", rounds, cases)
    group = Group("CPU a request as deliveries grow, 50 connections")
    for mode, _ in MODES:
        group.rows.append(Row(f"{mode}, 1 k", "", found[mode, "1 k"], "µs"))
        for name in list(cases)[1:]:
            values = ratios(found[mode, name], found[mode, "1 k"])
            group.rows.append(Row(f"{mode}, {name}", "1 k", values, at_most=FLAT))
    b.groups.append(group)


def by_connections(b, rounds):
    """Enough deliveries that opening the connections is little of it. One connection is not judged, and gets fewer: it
    measures how fast an idle core wakes up."""
    cases = {str(connections): {"count": count, "connections": connections}
             for connections, count in ((1, 20_000), (50, 100_000), (500, 100_000))}
    found = measured(b, "connections", rounds, cases)
    group = Group("CPU a request as connections grow, 100 000 deliveries")
    for mode, _ in MODES:
        group.rows += [
            Row(f"{mode}, 50", "", found[mode, "50"], "µs"),
            Row(f"{mode}, 1", "50", ratios(found[mode, "1"], found[mode, "50"])),
            Row(f"{mode}, 500", "50", ratios(found[mode, "500"], found[mode, "50"]), at_most=FLAT)]
    group.notes = ["one connection is not judged: it measures how fast an idle core wakes up; it makes 20 000"]
    b.groups.append(group)


def by_size(b, rounds):
    """Larger bodies cost more; what they cost is shown, a kibibyte of them too."""
    sizes = {"0.5 KiB": 512, "8 KiB": 8 * 1024, "64 KiB": 64 * 1024}
    cases = {name: {"count": 4_000, "size": size} for name, size in sizes.items()}
    found = measured(b, "sizes", rounds, cases)
    group = Group("CPU a request as bodies grow, 50 connections, 4 000 deliveries")
    for mode, _ in MODES:
        group.rows += [Row(f"{mode}, {name}", "", found[mode, name], "µs") for name in sizes]
    b.groups.append(group)
