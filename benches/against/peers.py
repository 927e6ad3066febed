"""The programs that ours is held against: found, or installed into a cache outside of the tree."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent

# Programs of Debian's packages, and the packages.
PACKAGED = {"wrk": "wrk", "ab": "apache2-utils", "hey": "hey", "nginx": "nginx-light", "curl": "curl"}
# Programs that cargo installs, built once.
CRATES = ("oha", "xh")


class Peers:
    """Where each peer is; nothing where it could not be had, and then its rows are left out."""

    def __init__(self):
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self.cache = base / "telecmi-cdr-compare"
        self.paths = {}

    def __getitem__(self, name):
        """Where a program is."""
        return self.paths.get(name)

    def prepare(self, needed):
        """Finds or installs what is needed, and says what is missing."""
        self.cache.mkdir(parents=True, exist_ok=True)
        self.packages([name for name in needed if name in PACKAGED])
        for name in needed:
            if name in CRATES:
                self.crate(name)
        if "raw" in needed:
            self.raw()
        if "express" in needed:
            self.express()
        if "flask" in needed:
            self.flask()
        return sorted(name for name in needed if not self[name])

    def find(self, name):
        """A program that is there already: of the cache, or of this machine."""
        places = os.pathsep.join([str(self.cache / "bin"), os.environ.get("PATH", ""), "/usr/sbin"])
        self.paths[name] = shutil.which(name, path=places)
        return self.paths[name]

    def packages(self, names):
        """Debian's packages, where we may install them."""
        missing = [PACKAGED[name] for name in names if not self.find(name)]
        if missing and os.geteuid() == 0 and shutil.which("apt-get"):
            quietly(["apt-get", "update", "-qq"])
            install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
            quietly(install, environment={"DEBIAN_FRONTEND": "noninteractive"})
        for name in names:
            self.find(name)

    def crate(self, name):
        """A program that cargo installs: minutes, but once."""
        if not self.find(name):
            build = {"CARGO_TARGET_DIR": str(self.cache / "build")}
            quietly(["cargo", "install", "--locked", "--root", self.cache, name], environment=build)
            shutil.rmtree(self.cache / "build", ignore_errors=True)
            self.find(name)

    def raw(self):
        """Our own peers, which are brought up to date each time."""
        target = self.cache / "peers"
        manifest = HERE / "peers" / "Cargo.toml"
        command = ["cargo", "build", "--release", "--locked", "--manifest-path", manifest]
        if quietly(command, environment={"CARGO_TARGET_DIR": str(target)}):
            self.paths["raw"] = str(target / "release" / "telecmi-cdr-peers")

    def express(self):
        """Express, in the version that the tests' handlers use."""
        folder, node = self.cache / "node", shutil.which("node")
        if node and not (folder / "node_modules" / "express").exists():
            folder.mkdir(exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(ROOT / "tests" / "acceptance" / "handlers" / name, folder)
            quietly(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--prefix", folder])
        if node and (folder / "node_modules" / "express").exists():
            self.paths["express"] = node

    def flask(self):
        """Flask, in the version that the tests' handlers use."""
        folder = self.cache / "python"
        if not (folder / "flask").exists():
            requirements = ROOT / "tests" / "acceptance" / "handlers" / "requirements.txt"
            quietly([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                     "--target", folder, "-r", requirements])
        if (folder / "flask").exists():
            self.paths["flask"] = sys.executable

    def environment(self, name):
        """What a handler's runtime needs to know."""
        return {"express": {"NODE_PATH": str(self.cache / "node" / "node_modules")},
                "flask": {"PYTHONPATH": str(self.cache / "python")}}.get(name, {})

    def versions(self):
        """What is compared, for whoever reads the figures."""
        asked = {"oha": "--version", "wrk": "-v", "nginx": "-v", "express": "--version", "flask": "--version",
                 "curl": "--version", "xh": "--version"}
        # These two are run by others, whose versions matter as much.
        runtimes = {"express": "Express on Node", "flask": "Flask on Python"}
        found = []
        for name, flag in asked.items():
            if self[name]:
                said = subprocess.run([self[name], flag], capture_output=True, text=True, check=False)
                words = (said.stdout or said.stderr).split()
                number = next((word for word in words if any(c.isdigit() for c in word)), "")
                found.append(f"{runtimes.get(name, name)} {number.rpartition('/')[2]}")
        return ", ".join(found)


def quietly(command, environment=None):
    """Runs an installer; what it says is shown only if it fails."""
    command = [str(word) for word in command]
    print(f"  … {' '.join(command[:4])} … {Path(command[-1]).name}", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(command, env={**os.environ, **(environment or {})}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except OSError as error:
        print(f"  {command[0]}: {error}", file=sys.stderr)
        return False
    if done.returncode:
        print(f"  failed: {' '.join(command)}\n{done.stdout[-2000:]}", file=sys.stderr)
    return done.returncode == 0
