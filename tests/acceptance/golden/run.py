#!/usr/bin/env python3
"""Compares the outputs of two builds of the program.

usage: run.py OLD NEW [--only send|listen|suite|replies] [--match TEXT] [--lines N]
       run.py recorded NEW …      compares with what is recorded of 0.1.0
       run.py record OLD          records it anew
       run.py show PROGRAM …      prints the outputs
       cargo test -- --list | run.py tests
                                  checks that tests-changed.txt accounts for every test of 0.1.0

Ends with 0 if every difference is an expected one (expected.diff), else with 1.
"""

import argparse
import concurrent.futures
import difflib
import fnmatch
import json
import lzma
import os
import re
import shutil
import sys
import tempfile

import scenarios
from programs import executable

RECORDED = os.path.join(scenarios.HERE, "0.1.0.json.xz")
EXPECTED = os.path.join(scenarios.HERE, "expected.diff")


def outputs(program, sections, match):
    """Every scenario's text, by name."""
    tasks = [task for section in sections for task in scenarios.SECTIONS[section](program)]
    texts = {}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda task: task(), tasks):
            texts.update(found)
    return {name: text for name, text in texts.items() if match in name}


def hunks(old, new):
    """The differences of two texts: lists of lines with - and +, in their order."""
    old, new = old.split("\n"), new.split("\n")
    for tag, i, j, k, l in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield [*("-" + line for line in old[i:j]), *("+" + line for line in new[k:l])]


class Rule:
    """A part of expected.diff: why, where, and either the lines of a hunk or substitutions.

    Parts are separated by empty lines: `# reason`, `=== scenario` (with * and ?), then either the lines of the hunk, where
    -~ and +~ begin a regular expression and `...` stands for any lines, or `s/regular expression/text/` (any delimiter),
    made in both outputs before they are compared, or `old s/…/…/`, made in the old one alone.
    """

    def __init__(self, part):
        lines = part.strip().splitlines()
        self.reason = " ".join(line[2:] for line in lines if line.startswith("# "))
        self.scenes = [line[4:] for line in lines if line.startswith("=== ")]
        body = [line for line in lines if not line.startswith(("# ", "=== "))]
        self.substitutions = [line[2:-1].split(line[1]) for line in body if line.startswith("s")]
        self.old_only = [line[6:-1].split(line[5]) for line in body if line.startswith("old s")]
        self.lines = [line for line in body if not line.startswith(("s", "old s"))]
        self.used = False
        if not self.reason or not self.scenes or not body:
            raise SystemExit(f"expected.diff: a part lacks its reason, scenario or lines:\n{part}")

    def concerns(self, scene):
        return any(fnmatch.fnmatchcase(scene, glob.replace("[", "[[]")) for glob in self.scenes)

    def substitute(self, old, new):
        for pattern, instead in self.old_only:
            old = re.sub(pattern, instead, old)
        for pattern, instead in self.substitutions:
            old, new = re.sub(pattern, instead, old), re.sub(pattern, instead, new)
        return old, new

    def allows(self, hunk):
        pattern = ""
        for line in self.lines:
            if line == "...":
                pattern += r"(?:.*\n)*?"
            elif line[1:2] == "~":
                pattern += re.escape(line[0]) + line[2:] + r"\n"
            else:
                pattern += re.escape(line) + r"\n"
        return bool(self.lines) and re.fullmatch(pattern, "\n".join(hunk) + "\n") is not None


def expected():
    with open(EXPECTED, encoding="utf-8") as file:
        text = re.sub(r"(?m)^## .*\n", "", file.read())
    return [Rule(part) for part in re.split(r"\n\s*\n", text) if part.strip()]


def compare(old, new, rules):
    """The hunks that no rule allows and those that one does, as (scenario, hunk)."""
    unexpected, known = [], []
    for scene in dict.fromkeys([*old, *new]):
        before, after = old.get(scene, "(no such scenario)"), new.get(scene, "(no such scenario)")
        if before == after:
            continue
        here = [rule for rule in rules if rule.concerns(scene)]
        for rule in here:
            pair = rule.substitute(before, after)
            rule.used |= pair != (before, after)
            before, after = pair
        for hunk in hunks(before, after):
            allowed = [rule for rule in here if rule.allows(hunk)]
            for rule in allowed:
                rule.used = True
            (known if allowed else unexpected).append((scene, hunk))
    return unexpected, known


def shortened(hunk):
    """A hunk with its long lines cut to what differs."""
    texts = [line[1:] for line in hunk if line[0] == "-"], [line[1:] for line in hunk if line[0] == "+"]
    shown = []
    for n, line in enumerate(hunk):
        others = texts[line[0] == "-"]
        other = others[min(n % max(len(texts[0]), 1), len(others) - 1)] if others else ""
        same = len(os.path.commonprefix([line[1:], other]))
        start = 1 + max(0, same - 60) if len(line) > 240 else 1
        shown.append(line[0] + "…" * (start > 1) + line[start:start + 240] + "…" * (len(line) > start + 240))
    return shown


def report(unexpected, known, rules, chosen):
    lines = [line for scene, hunk in unexpected for line in (f"=== {scene}", *shortened(hunk))]
    for line in lines[:chosen.lines]:
        print(line)
    if len(lines) > chosen.lines:
        print(f"… {len(lines) - chosen.lines} more lines")
    for rule in rules:
        if not (rule.used or chosen.only or chosen.match):
            print(f"expected, but gone: {rule.scenes[0]}: {rule.reason}")
    for scene, hunk in known:
        if scene.startswith("replies "):
            print(f"known, yet wrong: {scene}: wanted {hunk[0][1:]}, got {hunk[-1][1:]}")
    scenes = len({scene for scene, _ in unexpected})
    print(f"golden: {len(unexpected)} unexpected differences in {scenes} scenarios; "
          f"{sum(rule.used for rule in rules)} of {len(rules)} expected ones occur")
    return 1 if unexpected else 0


def is_0_1_0(program):
    """Whether a program is 0.1.0, or differs from 0.1.0 in something else than its help."""
    with lzma.open(RECORDED, "rt") as file:
        return scenarios.send(executable(program, "help", tempfile.tempdir), "--help") == json.load(file)["send --help"]


def tests_accounted(listing):
    """Checks tests-changed.txt against the names that `cargo test -- --list` prints."""
    names = set(re.findall(r"(?m)^(\S+): test$", listing))
    with open(os.path.join(scenarios.HERE, "tests-changed.txt"), encoding="utf-8") as file:
        lines = [line.strip().split(" = ", 1) for line in file if line.strip() and not line.startswith("#")]
    rules = [(old[:-1], new[:-1]) for old, new in lines if old.endswith("::*")]
    became = {old: new for old, new in lines if not old.endswith("::*")}
    with open(os.path.join(scenarios.HERE, "tests-0.1.0.txt"), encoding="utf-8") as file:
        recorded = file.read().split()
    wrong = [f"{name}: no such test in 0.1.0" for name in became if name not in recorded]
    for name in recorded:
        moved = {new + name[len(old):] for old, new in rules if name.startswith(old)}
        change, _, target = became.get(name, "").replace(" by ", " to ", 1).partition(" to ")
        deleted = became.get(name, "").startswith("machinery deleted: ")
        if not ({name, *moved} & names or deleted or (change in ("renamed", "covered") and target in names)):
            wrong.append(f"{name}: {became.get(name, 'no line')}")
    print("\n".join([*wrong, f"golden: {len(names)} tests, {len(wrong)} of {len(recorded)} tests of 0.1.0 unaccounted for"]))
    return 1 if wrong or not names else 0


def main():
    if sys.argv[1:] == ["tests"]:
        return tests_accounted(sys.stdin.read())
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("old")
    parser.add_argument("new", nargs="?")
    parser.add_argument("--only", choices=scenarios.SECTIONS)
    parser.add_argument("--match", default="")
    parser.add_argument("--lines", type=int, default=200)
    chosen = parser.parse_args()
    sections = [chosen.only] if chosen.only else list(scenarios.SECTIONS)
    tempfile.tempdir = tempfile.mkdtemp(prefix="golden-")
    try:
        def all_of(path, name, sections=sections):
            return outputs(executable(path, name, tempfile.tempdir), sections, chosen.match)
        without_replies = [section for section in sections if section != "replies"]
        if chosen.old == "record":
            texts = all_of(chosen.new, "old", ["send", "listen", "suite"])
            with lzma.open(RECORDED, "wt", preset=9) as file:
                json.dump(texts, file, ensure_ascii=False, indent=0)
            return 0
        with concurrent.futures.ThreadPoolExecutor() as both:
            new = both.submit(all_of, chosen.new, "new")
            if chosen.old not in ("show", "recorded"):
                old = both.submit(all_of, chosen.old, "old", without_replies).result()
            new = new.result()
        if chosen.old == "show":
            for scene, text in new.items():
                print(f"=== {scene}\n{text}")
            return 0
        if chosen.old == "recorded":
            with lzma.open(RECORDED, "rt") as file:
                words = tuple(section + end for section in sections for end in " ,")
                old = {scene: text for scene, text in json.load(file).items() if scene.startswith(words) and chosen.match in scene}
        is_old = is_0_1_0(chosen.new)
        rules = [rule for rule in expected() if rule.reason.startswith("0.1.0 ") == is_old]
        if "replies" in sections:
            old |= {scene: text for scene, text in scenarios.replies_wanted().items() if chosen.match in scene}
        return report(*compare(old, new, rules), rules, chosen)
    finally:
        shutil.rmtree(tempfile.tempdir, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
