"""Installs the wheel and the npm package into fresh environments, and runs tests in the frameworks that use them; tries the
GitHub action's script, and lints the Dockerfile.

    tests/acceptance/run integrations [PROGRAM] [--all] [--update]

--all runs 1 000 tests in pytest and 200 in the others, in place of 100 and 20; --update records the failures shown in failures/.
The packages hold the program that cargo builds with the profile that PROGRAM was built with.
"""
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TOOLS = ROOT / "target" / "acceptance" / "integrations"
sys.path[:0] = [str(HERE.parent), str(ROOT / ".packaging")]

import pack  # noqa: E402
from checks import Skipped, run_checks  # noqa: E402

TIMEOUT = 300  # seconds for one tool
MAX_LINES = 25  # of a failure
# In each framework the tests that fail, and what their failures must show: the case, what was sent, what came back.
SHOWN = {
    "wait": ["1 of 2 CDRs with", '"custom":"none","leg":"a"', "POST /  200", "status is answered, not missed"],
    "send": ["docs-leg-a", '"leg":"a"', "answer: 500 no database"],
    "suite": ["post-is-accepted", '"leg":"a"', "answer: 500 no database"],
    "flags": ["--fail-frist", "--fail-first"],
}


def run(command, code=0, **more):
    command = [str(word) for word in command]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, text=True, timeout=TIMEOUT, check=False, **streams, **more)
    if done.returncode != code:
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {done.stdout.strip()[-1500:]}")
    return done.stdout


def need(tool):
    found = shutil.which(tool)
    if not found:
        raise Skipped(f"there is no {tool}")
    return found


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Checks:
    def __init__(self, program, folder, is_whole, is_update):
        self.program, self.folder, self.is_whole, self.is_update = program, folder, is_whole, is_update
        cleared = {name: value for name, value in os.environ.items() if not name.startswith("TELECMI_CDR_")}
        self.environment = {**cleared, "COLUMNS": "100", "NO_COLOR": "1", "PATH": f"{TOOLS / 'python' / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def run(self, command, code=0, tests=0, **more):
        return run(command, code, env={**self.environment, "TESTS": str(tests)}, **more)

    @functools.cached_property
    def python(self):
        """A fresh environment with the wheel alone; the tools are on PYTHONPATH."""
        need(str(TOOLS / "python" / "bin" / "maturin"))
        profile = {"debug": "dev"}.get(self.program.parent.name, self.program.parent.name)
        self.run([sys.executable, pack.HERE / "pack.py", "wheel", self.folder / "wheels", "--profile", profile])
        venv.create(self.folder / "venv", with_pip=True)
        python = self.folder / "venv" / "bin" / "python"
        wheel, = (self.folder / "wheels").iterdir()
        run([python, "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", wheel], env={**self.environment, "PYTHONPATH": ""})
        shutil.copytree(HERE / "pytest", self.folder / "pytest")
        shutil.copy(HERE.parent / "handlers" / "good_stdlib.py", self.folder / "pytest" / "handler.py")
        return python

    def pytest(self, *words, code=0, tests=0):
        return self.run([self.python, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *words], code, tests, cwd=self.folder / "pytest")

    @functools.cached_property
    def archive(self):
        target = re.search(r"host: (\S+)", run(["rustc", "-vV"]))[1].replace("-linux-gnu", "-linux-musl")
        pack.words(self.program, self.folder / "words")
        return pack.archive(target, self.program, self.folder / "words", self.folder / "releases" / "OWNER/telecmi-cdr/releases/download" / f"v{pack.version()}")

    @functools.cached_property
    def project(self):
        """A fresh project with npm's packages; the frameworks are in a folder above."""
        npm = need("npm")
        need(str(TOOLS / "node_modules" / ".bin" / "vitest"))
        made = pack.npm(self.folder / "npm", self.archive)
        project = self.folder / "project"
        shutil.copytree(HERE, project, ignore=shutil.ignore_patterns("package*.json", "*.py", "*.txt"))
        shutil.copy(HERE.parent / "handlers" / "good_stdlib.py", project / "handler.py")
        (project / "package.json").write_text("{}")
        self.run([npm, "install", "--offline", "--silent", "--no-audit", "--no-fund", *(path.resolve() for path in made)], cwd=project)
        return project

    def vitest(self, file, code=0, tests=0):
        return self.run(["vitest", "run", "--root", ".", f"vitest/{file}"], code, tests, cwd=self.project)

    def jest(self, file, code=0, tests=0):
        return self.run(["jest", "--rootDir", ".", f"jest/{file}"], code, tests, cwd=self.project)

    def node(self, file, code=0, tests=0):
        return self.run(["node", "--test", "--test-reporter=spec", f"node/{file}"], code, tests, cwd=self.project)

    @functools.cached_property
    def module(self):
        need("go")
        module = self.folder / "go"
        shutil.copytree(HERE / "go", module)
        shutil.copytree(ROOT / ".packaging" / "go", module / "telecmicdr")
        shutil.copy(HERE.parent / "handlers" / "good_stdlib.py", module / "handler.py")
        (module / "bin").mkdir()
        shutil.copy(self.program, module / "bin" / "telecmi-cdr")
        if unformatted := self.run(["gofmt", "-l", "."], cwd=module):
            raise RuntimeError(f"gofmt would change {unformatted}")
        self.run(["go", "vet", "./..."], cwd=module)
        return module

    def go(self, tests_named, code=0, tests=0):
        path = f"{self.module / 'bin'}{os.pathsep}{self.environment['PATH']}"
        command = ["go", "test", "-count=1", "-parallel=8", "-v", f"-run={tests_named}", "."]
        return run(command, code, env={**self.environment, "PATH": path, "TESTS": str(tests)}, cwd=self.module)

    def action(self, handler, code, server="", **environment):
        """What the action's script prints, and the summary of the job."""
        need("jq")
        summary = self.folder / "summary.md"
        summary.write_text("")
        folders = [folder for folder in self.environment["PATH"].split(os.pathsep) if not Path(folder, "telecmi-cdr").exists()]
        inputs = {"URL": "", "COMMAND": f"exec {sys.executable} {handler}", "ARGS": "--only accepts", "JUNIT": str(self.folder / "junit.xml")}
        runner = {"ACTION_PATH": str(ROOT), "ACTION_REPOSITORY": "OWNER/telecmi-cdr", "GITHUB_SERVER_URL": server, "GITHUB_STEP_SUMMARY": str(summary)}
        path = os.pathsep.join(([] if server else [str(self.program.parent)]) + folders)
        shown = run(["bash", ROOT / ".packaging" / "action.sh"], code, cwd=HERE.parent / "handlers",
                    env={**self.environment, **inputs, **runner, "PATH": path, **environment})
        return shown, summary.read_text()

    def action_installs(self):
        sums = self.archive.with_name("SHA256SUMS")
        sums.write_text(self.archive.with_name(f"{self.archive.name}.sha256").read_text())
        handler = functools.partial(Quiet, directory=self.folder / "releases")
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}"
            shown, summary = self.action("good_stdlib.py", 0, address)
            sums.write_text("0" * 64 + f"  {self.archive.name}\n")
            self.action("good_stdlib.py", 1, address)
            sums.unlink()
            missing, _ = self.action("good_stdlib.py", 1, address)
            server.shutdown()
        if "/SHA256SUMS cannot be downloaded" not in missing:
            raise RuntimeError(missing)
        if not re.fullmatch(r"0 of \d+ cases failed\n", shown) or "0 of" not in summary:
            raise RuntimeError(shown + summary)
        return f"{shown.strip()}; a wrong sum is refused"

    def action_reports(self):
        shown, summary = self.action("buggy_stdlib.py", 1, BUG="get-501")
        if not re.match(r"::error title=get-is-accepted::wanted 2xx, got 501 Not Implemented%0A", shown) or "| get-is-accepted | 2xx |" not in summary:
            raise RuntimeError(shown + summary)
        if "get-is-accepted" not in (self.folder / "junit.xml").read_text():
            raise RuntimeError("junit.xml lacks the case")
        shown, _ = self.action("buggy_stdlib.py", 2, BUG="")
        if not shown.splitlines()[-1].startswith("::error::telecmi-cdr ended with 2: "):
            raise RuntimeError(shown)
        return "annotations, summary, JUnit"

    def dockerfile(self):
        file = ROOT / ".packaging" / "Dockerfile"
        self.run([need(str(TOOLS / "python" / "bin" / "hadolint")), file])
        text = file.read_text()
        if not re.search(r"^USER [1-9]\d*$", text, re.M):
            raise RuntimeError("it runs as root")
        probe = json.loads(re.search(r"^HEALTHCHECK .*\\\n +CMD (.*)$", text, re.M)[1])
        if probe[2] not in run([self.program, "listen", "--help"]):
            raise Skipped(f"linted, but this program has no {probe[2]}")
        listener = subprocess.Popen([self.program, "listen", "--port", "0", "--format", "ndjson", "--quiet"], stdout=subprocess.PIPE)
        try:
            url = json.loads(listener.stdout.readline())["url"]
            command = [self.program, *probe[1:-1], probe[-1].replace("http://localhost:8237", url)]
            self.run(command)
        finally:
            listener.terminate()
            listener.communicate()
        self.run(command, code=1)
        return "linted, not root, and the health check tells a receiver from none"

    def left(self):
        """Processes of what was installed that still run."""
        there = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                program = os.readlink(process / "exe")
            except OSError:
                continue
            there += [program] if program.startswith(str(self.folder)) and program.endswith("telecmi-cdr") else []
        return there

    def many(self, tests, runs, passed):
        """Runs many tests at once, and counts them."""
        text = runs(tests)
        found = re.search(passed, text)
        if not found or int(found[1]) < tests:
            raise RuntimeError(f"fewer than {tests} passed: {text[-600:]}")
        if self.left():
            raise RuntimeError(f"still running: {self.left()}")
        return f"{found[1]} tests"

    def failures(self, framework, text, start, end):
        """Compares the failures that a framework prints with the recorded ones: each shows the case, what was sent and what came back."""
        found = re.findall(start + r"(.*?)(?=" + start + "|" + end + ")", text, re.S | re.M)
        for (name, needed), failure in zip(SHOWN.items(), found, strict=True):
            lines = failure.strip("\n").split("\n")
            if len(lines) > MAX_LINES:
                raise RuntimeError(f"{name}: {len(lines)} lines")
            if missing := [part for part in needed if part not in failure]:
                raise RuntimeError(f"{name} lacks {missing}: {failure}")
        changing = [(r"0x[0-9a-f]+", "0x0"), (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"), (r"\(?\d+(\.\d+)?m?s\)?$", "TIME"), (r"[^ (]*/project/", ""),
                    (r"\n *at .*\(node:internal.*", ""), (r"\S*/site-packages/", "")]
        shown = "\n".join(failure.strip("\n") + "\n" for failure in found)
        for pattern, fixed in changing:
            shown = re.sub(pattern, fixed, shown, flags=re.M)
        path = HERE / "failures" / f"{framework}.txt"
        if self.is_update:
            path.write_text(shown, encoding="utf-8")
        if shown != path.read_text(encoding="utf-8"):
            raise RuntimeError(f"{path.name} has other failures than:\n{shown}")
        return f"{len(found)} failures, at most {max(len(failure.strip().splitlines()) for failure in found)} lines"

    def types(self):
        self.run(["tsc", "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "node/types.ts"], cwd=self.project)
        return "a right use compiles, and two wrong ones do not"

    def documented(self):
        """The examples of docs/in-ci.md are parts of the files that run here."""
        files = [path.read_text(encoding="utf-8") for path in HERE.rglob("*.*")]
        documented = (ROOT / "docs" / "in-ci.md").read_text(encoding="utf-8")
        blocks = re.findall(r"```(python|js|go|text)\n(.*?)```", documented, re.S)
        if unknown := [text for _, text in blocks if not any(text in file for file in files)]:
            raise RuntimeError(f"in no file: {unknown[0]}")
        inputs = re.findall(r"^  (\w+):$", (ROOT / "action.yml").read_text(encoding="utf-8"), re.M)
        for example in re.findall(r"^- uses: OWNER/.*\n((?:  .*\n)+)", documented, re.M):
            if unknown := set(re.findall(r"^    (\w+):", example, re.M)) - set(inputs):
                raise RuntimeError(f"action.yml has no {unknown}")
        return f"{len(blocks)} examples"

    def sleepless(self):
        files = [path for path in HERE.rglob("*") if path.suffix in (".py", ".js", ".mjs", ".go") and path != Path(__file__)]
        if sleeping := [path.name for path in files if re.search(r"(?i)sleep", path.read_text(encoding="utf-8"))]:
            raise RuntimeError(str(sleeping))
        return f"{len(files)} files"

    def all(self):
        most, fewer = (1000, 200) if self.is_whole else (100, 20)
        yield "the wheel is installed", lambda: self.python and "telecmi_cdr"
        yield "pytest: examples", lambda: self.pytest("-q", "test_example.py").strip().splitlines()[-1]
        yield "pytest: many tests at once", lambda: self.many(most, lambda tests: self.pytest("-q", "-n", "8", "test_many.py", tests=tests), r"(\d+) passed")
        yield "pytest: failures", lambda: self.failures(
            "pytest", self.pytest("-q", "test_failing.py", code=1), r"^_{3,} (?=test_)", r"^=+ short test summary")
        yield "npm's packages are installed", lambda: self.project and "telecmi-cdr"
        yield "vitest: examples", lambda: re.search(r"Tests .*", self.vitest("example.test.mjs"))[0]
        yield "vitest: many tests at once", lambda: self.many(fewer, lambda tests: self.vitest("many.test.mjs", tests=tests), r"Tests +(\d+) passed")
        yield "vitest: failures", lambda: self.failures("vitest", self.vitest("failing.test.mjs", code=1), r"^ FAIL ", r"^⎯+\[")
        yield "jest: many tests at once", lambda: self.many(fewer, lambda tests: self.jest("many.test.js", tests=tests), r"Tests: +(\d+) passed")
        yield "jest: failures", lambda: self.failures("jest", self.jest("failing.test.js", code=1), r"^  ● ", r"^Test Suites:")
        yield "node:test: examples", lambda: re.search(r"pass \d+", self.node("example.test.mjs"))[0]
        yield "node:test: many tests at once", lambda: self.many(fewer, lambda tests: self.node("many.test.mjs", tests=tests), r"pass (\d+)")
        yield "node:test: failures", lambda: self.failures("node", self.node("failing.test.mjs", code=1).split("failing tests:")[1], r"^test at ", r"\Z")
        yield "types", self.types
        yield "go: examples", lambda: f"{self.go('Missed|Handler').count('--- PASS')} tests"
        yield "go: many tests at once", lambda: self.many(fewer, lambda tests: f"{self.go('Many', tests=tests).count('    --- PASS')} passed", r"(\d+) passed")
        yield "go: failures", lambda: self.failures("go", self.go("Failing", code=1), r"^=== RUN ", r"^FAIL$")
        yield "action: shellcheck", lambda: self.run([need(str(TOOLS / "python" / "bin" / "shellcheck")), ROOT / ".packaging" / "action.sh"]) or "clean"
        yield "action: installs a release", self.action_installs
        yield "action: reports findings", self.action_reports
        yield "Dockerfile", self.dockerfile
        yield "docs/in-ci.md", self.documented
        yield "no test sleeps", self.sleepless


def main():
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    TOOLS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOOLS, prefix="fresh-") as folder:
        checks = Checks(Path(words[0]).resolve(), Path(folder), "--all" in sys.argv, "--update" in sys.argv)
        sys.exit(run_checks(checks.all()))


if __name__ == "__main__":
    main()
