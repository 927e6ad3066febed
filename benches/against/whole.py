"""Whole processes: one POST, the help, a million CDRs generated, and how large and how slow to build the program is."""
import os
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from .bench import lines
from .peers import ROOT
from .process import MIB, MeasurementError, memory, run, spawned
from .report import Group, Row


def alternating(b, ours, theirs, times, of):
    """Blocks of runs in turn; gives each block's ratio of medians."""
    found = []
    for block in range(b.rounds):
        samples = {"ours": [], "theirs": []}
        for n in range(times):
            turns = [("ours", ours), ("theirs", theirs)]
            for name, command in turns if (n + block) % 2 else turns[::-1]:
                done = spawned(command)
                if done.code != 0:
                    raise MeasurementError(f"{command[0]}: exit code {done.code}")
                samples[name].append(of(done))
        found.append(median(samples["ours"]) / median(samples["theirs"]))
        b.say(f"{Path(theirs[0]).name}, block {block + 1}: {median(samples['ours']) * 1e3:.2f} ms, "
              f"theirs {median(samples['theirs']) * 1e3:.2f} ms")
    return found


def post(b):
    """One POST, from nothing to the end."""
    group = Group("send, one POST over http, whole process")
    if b.peers["curl"]:
        with b.sink() as sink:
            curl = [b.peers["curl"], "--silent", "--fail", "--output", os.devnull,
                    "--header", "content-type: application/json", "--data-binary", f"@{b.body()}", sink.url()]
            values = alternating(b, [b.program, "send", "--url", sink.url()], curl, 50, lambda done: done.wall)
        group.rows = [Row("wall", "curl", values, at_most=0.35)]
    b.groups.append(group)


def help_text(b):
    """Help, which shows what a start costs."""
    group = Group("--help, whole process")
    if b.peers["xh"]:
        values = alternating(b, [b.program, "--help"], [b.peers["xh"], "--help"], 50, lambda done: done.cpu)
        group.rows = [Row("CPU", "xh", values, at_most=0.7)]
    b.groups.append(group)


def generate(b):
    """CDRs generated and printed, and whether memory depends on how many."""
    command = [b.program, "send", "--dry-run", "--print", "json", "--count"]
    with (b.folder / "generated.ndjson").open("w+b") as out:
        run([*command, "1000"], stdout=out)
    each = lines(out.name) / 1000
    speed, growth, peaks = [], [], []
    for n in range(min(b.rounds, 3)):
        fewer = run([*command, "100000"], watch_memory=True)
        more = run([*command, "1000000"], watch_memory=True)
        if fewer.code or more.code:
            raise MeasurementError("generating failed")
        speed.append(each / more.cpu)
        growth.append(more.peak / fewer.peak)
        peaks.append(more.peak / MIB)
        b.say(f"generate, round {n + 1}: {speed[-1]:.2f} M/s a core, {each / more.wall:.2f} M/s, {peaks[-1]:.1f} MB")
    group = Group("send --dry-run --print json --count 1000000 > /dev/null")
    group.rows = [Row("CDRs/s a core", "", speed, "M/s", at_least=0.3),
                  Row("peak memory", "", peaks, "MB"),
                  Row("peak memory", "of 100 000", growth, at_most=1.1)]
    b.groups.append(group)


def size(b):
    """What does not depend on load: the binary, an idle listener, and the crates it is made of."""
    idle = []
    for _ in range(b.rounds):
        with b.listen() as server:
            # It is idle once it spends nothing any more.
            spent = -1.0
            while spent != (spent := server.cpu()):
                time.sleep(0.2)
            idle.append(memory(server.pid) / MIB)
    group = Group("at rest")
    group.rows = [Row("binary", "", [Path(b.program).stat().st_size / 1e6], "MB", at_most=5.5),
                  Row("idle listen", "", idle, "MB", at_most=6)]
    if Path(b.program).is_relative_to(ROOT):
        group.rows.append(Row("crates", "", [crates()], "", at_most=175))
    b.groups.append(group)




def crates():
    """How many other crates the program is built from, here."""
    command = ["cargo", "tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"]
    tree = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    # What was listed above already is marked, and each path says where a crate of ours is.
    names = {" ".join(line.split()[:2]) for line in tree.splitlines() if line.strip()}
    return len(names) - 1


def build(b):
    """A clean build. Sources are fetched before."""
    subprocess.run(["cargo", "fetch", "--locked"], cwd=ROOT, check=True, capture_output=True)
    with tempfile.TemporaryDirectory(prefix="telecmi-cdr-build-") as target:
        b.say("a clean build …")
        began = time.perf_counter()
        subprocess.run(["cargo", "build", "--profile", "dist", "--locked", "--offline"], cwd=ROOT, check=True,
                       capture_output=True, env={**os.environ, "CARGO_TARGET_DIR": target})
        took = time.perf_counter() - began
    group = Group(f"cargo build --profile dist, from nothing, {os.cpu_count()} cores")
    group.rows = [Row("wall", "", [took], "s", at_most=120)]
    b.groups.append(group)
