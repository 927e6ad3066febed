"""Packs the program every way a release does, installs each package as a person would, and tries what was installed.

    tests/acceptance/run packages [PROGRAM]

The crate, an archive, a wheel in a fresh environment, npm packages from a registry of our own on loopback. What was
installed must start, show the demo, take standard input, and hand over exit codes, signals and Ctrl-C like the program
itself. maturin and a newer Node come from the package registries into a temporary folder. Every wait is bounded.
"""
import base64
import contextlib
import fcntl
import functools
import hashlib
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import termios
import threading
import time
import venv
from pathlib import Path

import pack

sys.path.insert(0, str(pack.ROOT / "tests" / "acceptance"))

from checks import Skipped, run_checks  # noqa: E402

PATIENCE = 150  # seconds for any one tool
DEADLINE = 20  # seconds for anything the program does
SHIPPED = {"src", "tests", "benches", "docs", "fixtures", "README.md", "CHANGELOG.md", "LICENSE", "Cargo.toml", "Cargo.lock",
           "Cargo.toml.orig", ".cargo_vcs_info.json"}


def run(command, patience=PATIENCE, code=0, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=patience, check=False, **more)
    if done.returncode != code:
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {' '.join((done.stderr or done.stdout).split())[-600:]}")
    return done


def until(what, condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {DEADLINE} s for {what}")
        time.sleep(0.01)


class Terminal:
    """A command with a terminal of its own, as a person would run it."""

    def __init__(self, command, environment):
        self.ours, its = os.openpty()
        # The leader of a session with a terminal is in the foreground there, with all that it starts: Ctrl-C reaches each.
        self.process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(its)
        self.text = b""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        try:
            while some := os.read(self.ours, 65536):
                self.text += some
        except OSError:
            pass  # So Linux says that nobody is left on the other side.

    def press(self, key):
        os.write(self.ours, key)

    def end(self):
        code = self.process.wait(DEADLINE)
        self.reader.join(DEADLINE)
        os.close(self.ours)
        return code


class Installed:
    """What must be true of the program however it came."""

    def __init__(self, command, folder, **environment):
        self.command, self.folder = [str(word) for word in command], folder
        self.environment = {**os.environ, **environment}

    def run(self, *words, code=0, **more):
        return run([*self.command, *words], patience=DEADLINE, code=code, env=self.environment, **more)

    def version(self):
        said = self.run("--version").stdout.strip()
        if said != f"telecmi-cdr {pack.crate()['version']}":
            raise RuntimeError(f"it says {said!r}")
        return said

    def demo(self):
        shown = self.run("send", "--demo").stdout
        if "got it" not in shown:
            raise RuntimeError(f"the demo showed {shown[-300:]!r}")
        return f"{len(shown.splitlines())} lines"

    def pipes(self):
        cdr = self.run("send", "--print", "json", "--seed", "7", "--quiet").stdout
        again = self.run("send", "--file", "-", "--print", "json", "--quiet", input=cdr).stdout
        if again != cdr or json.loads(cdr)["type"] != "cdr":
            raise RuntimeError(f"{cdr!r} came back as {again!r}")
        return f"{len(cdr)} bytes there and back"

    def codes(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # Bound and not listening: nobody answers, and nobody else can take it.
            self.run("send", "--url", f"http://127.0.0.1:{nobody.getsockname()[1]}/", code=1)
        self.run("send", "--url", "nonsense", code=2)
        self.run("listen", "--port", "0", "--timeout", "100ms", "--count", "1", code=124)
        return "1, 2, 124"

    def waiting(self, start, press, code):
        """Interrupts a receiver that has half a request, and wants the whole one answered: at a second signal it would not be."""
        ready = Path(tempfile.mkdtemp(dir=self.folder)) / "ready"
        listener = start([*self.command, "listen", "--port", "0", "--count", "2", "--ready-file", str(ready)])
        until("the receiver", ready.exists)
        host, port = ready.read_text().strip().removeprefix("http://").rsplit(":", 1)
        body = self.run("send", "--print", "json", "--quiet").stdout.encode()
        answer = b""
        with socket.create_connection((host, int(port)), timeout=DEADLINE) as sender:
            sender.sendall(b"POST /webhook/cdr HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
                           b"Content-Length: %d\r\n\r\n" % len(body))
            if b" 100 " not in sender.recv(1024):
                raise RuntimeError("the receiver does not want the body")
            press(listener)
            time.sleep(0.5)  # Time enough for a second signal to come, and well below the three seconds that a first one leaves.
            with contextlib.suppress(ConnectionError):
                sender.sendall(body)
                answer = sender.recv(1024)
        ended = listener.end() if isinstance(listener, Terminal) else listener.wait(DEADLINE)
        if not answer.startswith(b"HTTP/1.1 200") or ended != code:
            raise RuntimeError(f"it ended with {ended}, and answered what was under way with {answer[:40]!r}")

    def signals(self):
        def start(command):
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                    env=self.environment)

        for sent, code in [(signal.SIGINT, 130), (signal.SIGTERM, 143)]:
            self.waiting(start, lambda listener, sent=sent: listener.send_signal(sent), code)
        return "SIGINT 130, SIGTERM 143, and what was under way was answered"

    def terminal(self):
        self.waiting(lambda command: Terminal(command, self.environment), lambda listener: listener.press(b"\x03"), 130)
        return "130, and what was under way was answered"

    def checks(self, how):
        for name, check in [("version", self.version), ("the demo", self.demo), ("standard input and output", self.pipes),
                            ("exit codes", self.codes), ("signals", self.signals), ("Ctrl-C at a terminal", self.terminal)]:
            yield f"{how}: {name}", check


class Registry(http.server.BaseHTTPRequestHandler):
    """As much of an npm registry as installing needs: what there is of a package, and its files."""

    def do_GET(self):
        path = self.path.replace("%2f", "/").replace("%2F", "/").lstrip("/")
        tarball = self.server.files.get(path)
        if tarball:
            self.answer(200, tarball.read_bytes(), "application/octet-stream")
        elif path in self.server.packages:
            self.answer(200, json.dumps(self.server.packages[path]).encode(), "application/json")
        else:
            self.answer(404, b"{}", "application/json")

    def answer(self, status, body, kind):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def registry(tarballs):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    server.packages, server.files = {}, {}
    address = f"http://127.0.0.1:{server.server_port}"
    for tarball in tarballs:
        with tarfile.open(tarball) as files:
            about = json.load(files.extractfile("package/package.json"))
        name, number = about["name"], about["version"]
        server.files[f"files/{tarball.name}"] = tarball
        digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
        about["dist"] = {"tarball": f"{address}/files/{tarball.name}", "integrity": f"sha512-{digest}"}
        server.packages[name] = {"name": name, "dist-tags": {"latest": number}, "versions": {number: about}}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, address


class Checks:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def need(self, name):
        if not shutil.which(name):
            raise Skipped(f"there is no {name}")

    def numbers(self):
        number = pack.version()
        Installed([self.program], self.folder).version()
        locked = (pack.ROOT / "Cargo.lock").read_text(encoding="utf-8")
        if f'name = "telecmi-cdr"\nversion = "{number}"' not in locked:
            raise RuntimeError(f"Cargo.lock does not have {number}")
        return number

    def crate(self):
        """Packs the crate without a warning, and checks what is in it, with its tests, as one who has nothing else would."""
        target = pack.ROOT / "target"
        said = run(["cargo", "package", "--no-verify", "--allow-dirty", "--locked"], cwd=pack.ROOT).stderr
        if "warning" in said:
            raise RuntimeError(said)
        packed = target / "package" / f"telecmi-cdr-{pack.crate()['version']}.crate"
        with tarfile.open(packed) as files:
            names = {Path(name).parts[1] for name in files.getnames()}
            files.extractall(self.folder / "crate")
        if names - SHIPPED:
            raise RuntimeError(f"it has {sorted(names - SHIPPED)}, too")
        place = self.folder / "crate" / packed.stem
        # What the gate has checked of the dependencies is used again.
        run(["cargo", "check", "--locked", "--all-targets", "--quiet"], cwd=place,
            env={**os.environ, "CARGO_TARGET_DIR": str(target)})
        return f"{packed.stat().st_size // 1024} KiB, builds with its tests"

    @functools.cached_property
    def is_built_here(self):
        return self.program.parent == pack.ROOT / "target" / "dist"

    @functools.cached_property
    def target(self):
        return next(line.split()[1] for line in run(["rustc", "-vV"]).stdout.splitlines() if line.startswith("host: "))

    def cargo_install(self):
        if not self.is_built_here:
            raise Skipped("only what is in target/dist is there without another build")
        run(["cargo", "install", "--path", pack.ROOT, "--locked", "--profile", "dist", "--root", self.folder / "cargo", "--quiet"])
        return f"{self.folder.name}/cargo/bin"

    def archive(self):
        pack.words(self.program, self.folder / "words")
        self.made = pack.archive(self.target, self.program, self.folder / "words", self.folder / "archives")
        self.need("tar")
        (self.folder / "unpacked").mkdir()
        run(["tar", "xzf", self.made, "-C", self.folder / "unpacked"])
        place = next((self.folder / "unpacked").iterdir())
        there = {str(file.relative_to(place)) for file in place.rglob("*") if file.is_file()}
        wanted = {"telecmi-cdr", "LICENSE", pack.THIRD_PARTY, "README.md", "CHANGELOG.md", "man/telecmi-cdr.1",
                  *(f"completions/{name}" for name in pack.SHELLS.values())}
        if there != wanted or not all((place / name).stat().st_size for name in there):
            raise RuntimeError(f"it has {sorted(there)}")
        text = (place / pack.THIRD_PARTY).read_text(encoding="utf-8")
        unnamed = [crate["name"] for crate in pack.crates(self.target) if f"\n{crate['name']} {crate['version']} (" not in text]
        if unnamed:
            raise RuntimeError(f"no licence text of {unnamed}")
        if shutil.which("sha256sum"):
            run(["sha256sum", "--check", f"{self.made.name}.sha256"], cwd=self.made.parent)
        return f"{self.made.name}, {self.made.stat().st_size // 1024} KiB"

    def wheel(self):
        if not self.is_built_here:
            raise Skipped("only what is in target/dist is there without another build")
        tools = self.folder / "tools"
        venv.create(tools, with_pip=True)
        pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        try:
            run([tools / "bin" / "python", *pip, "maturin>=1.9,<2"])
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            raise Skipped(f"maturin could not be installed: {str(error)[-200:]}") from error
        run([sys.executable, pack.HERE / "pack.py", "wheel", self.folder / "wheels"],
            env={**os.environ, "PATH": f"{tools / 'bin'}{os.pathsep}{os.environ['PATH']}"})
        made, = (self.folder / "wheels").iterdir()
        venv.create(self.folder / "venv", with_pip=True)
        run([self.folder / "venv" / "bin" / "python", *pip, "--no-index", made])
        return f"{made.name}, {made.stat().st_size // 1024} KiB"

    def npm(self):
        self.need("npm")
        here, archives = pack.platform(self.target), [self.made]
        # The other platforms' packages hold no program here: they are there so as not to be installed.
        for name, target in pack.PLATFORMS.items():
            if name != here:
                empty = self.folder / ("telecmi-cdr.exe" if name.startswith("win32") else "telecmi-cdr")
                empty.write_text("not for this machine\n")
                archives.append(pack.archive(target, empty, self.folder / "words", self.folder / "archives"))
        made = pack.npm(self.folder / "npm", *archives)
        place = self.folder / "project"
        place.mkdir()
        (place / "package.json").write_text("{}")
        server, address = registry(made)
        try:
            run(["npm", "install", "telecmi-cdr", "--registry", address, "--no-audit", "--no-fund", "--cache", self.folder / "cache"], cwd=place)
        finally:
            server.shutdown()
        there = [file.name for file in (place / "node_modules" / "@telecmi-cdr").iterdir()]
        if there != [here]:
            raise RuntimeError(f"{there} were installed on {here}")
        return f"of {len(made)} packages, telecmi-cdr and @telecmi-cdr/{here} were installed"

    def missing(self):
        """Without its optional package the launcher says what is wrong, and that it could not start."""
        place = self.folder / "alone"
        shutil.copytree(pack.HERE / "npm", place)
        said = run(["node", place / "bin" / "telecmi-cdr.js"], code=2).stderr.strip()
        if "is not installed" not in said or len(said.splitlines()) != 1:
            raise RuntimeError(said)
        return said

    @functools.cached_property
    def newer(self):
        """The folder of a Node that can become another program: the machine's own, or one from the registry."""
        self.need("node")
        asked = ["-p", "typeof process.execve"]
        if run(["node", *asked]).stdout.strip() == "function":
            return Path(shutil.which("node")).parent
        name = f"node-{pack.platform(self.target)}"
        try:
            run(["npm", "install", f"{name}@24", "--no-audit", "--no-fund", "--no-save", "--prefix", self.folder / "node"])
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            raise Skipped(f"a newer Node could not be installed: {str(error)[-200:]}") from error
        found = self.folder / "node" / "node_modules" / name / "bin"
        if run([found / "node", *asked]).stdout.strip() != "function":
            raise Skipped("the newer Node is not new enough")
        return found

    def all(self):
        yield "one version", self.numbers
        yield "cargo package", self.crate
        yield "cargo install", self.cargo_install
        yield from self.tried("cargo install", lambda: Installed([self.folder / "cargo" / "bin" / "telecmi-cdr"], self.folder), 2)
        yield "an archive", self.archive
        yield "a wheel", self.wheel
        yield from self.tried("a wheel", lambda: Installed([self.folder / "venv" / "bin" / "telecmi-cdr"], self.folder))
        yield "npm packages", self.npm
        yield "npm, without its optional package", self.missing
        launcher = self.folder / "project" / "node_modules" / ".bin" / "telecmi-cdr"
        older = self.folder / "older.js"
        older.write_text("delete process.execve\n")
        yield from self.tried("npm, a Node that runs beside it", lambda: Installed([launcher], self.folder, NODE_OPTIONS=f"--require {older}"))
        yield from self.tried("npm, a Node that becomes it", lambda: Installed(
            [launcher], self.folder, PATH=f"{self.newer}{os.pathsep}{os.environ['PATH']}"))

    def tried(self, how, installed, most=None):
        """The checks of something installed; skipped in one line if it is not there."""
        try:
            there = installed()
        except Skipped as why:
            def say(why=why):
                raise Skipped(why)
            yield how, say
            return
        if not Path(there.command[0]).exists():
            def absent():
                raise Skipped("it was not installed")
            yield how, absent
            return
        yield from list(there.checks(how))[:most]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(run_checks(Checks(Path(sys.argv[1]).resolve(), Path(folder)).all()))


if __name__ == "__main__":
    main()
