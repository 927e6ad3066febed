"""Installs what acceptance suites need, into target/acceptance/NAME.

    python3 install.py NAME ...

A suite's package.json (npm ci) and requirements.txt (pip), and the tables below: Debian packages, as root only, and
programs that cargo builds. What is installed already is kept. What cannot be installed is printed, and the suite skips the
checks that need it: the exit code is always 0.
"""
import concurrent.futures
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = HERE.parents[1] / "target" / "acceptance"
TIMEOUT = 300  # seconds for one package manager
DEBIAN = {  # by suite: the program that must be there, and the package that has it
    "inspector": {"chromium": "chromium"},
    "test": {"elvish": "elvish", "fish": "fish", "mandoc": "mandoc", "zsh": "zsh"},
    "tunnels": {"/usr/sbin/sshd": "openssh-server", "ssh": "openssh-client"},
}
CARGO = {"tunnels": {"bore": "bore-cli@0.6.0"}}
FILES = ["package.json", "package-lock.json", "requirements.txt"]


def run(what, command, **more):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False, **more)
        reason = None if done.returncode == 0 else " ".join((done.stderr or done.stdout).split())[-300:]
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)[:300]
    if reason is not None:
        print(f"not installed: {what}: {reason}", flush=True)
    return reason is None


def debian(suites):
    wanted = [package for suite in suites for program, package in DEBIAN.get(suite, {}).items() if not shutil.which(program)]
    if not wanted:
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        print(f"not installed: {' '.join(wanted)}: only root can, with apt-get")
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends"]
    if run("package lists", ["apt-get", "update"], env=environment) and not run(" ".join(wanted), [*install, *wanted], env=environment):
        for package in wanted:  # One that does not exist must not keep the others away.
            run(package, [*install, package], env=environment)


def registries(suite):
    """npm's, pip's and cargo's part."""
    source, folder = HERE / suite, TOOLS / suite
    locked = "".join((source / name).read_text() for name in FILES if (source / name).exists()) + sys.version
    done = folder / "done"
    if done.exists() and done.read_text() == locked:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    steps = []
    if (source / "package.json").exists():
        for name in FILES[:2]:
            shutil.copy(source / name, folder)
        npm = shutil.which("npm") or "npm"
        steps.append(("npm", [npm, "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], {"cwd": folder}))
    if (source / "requirements.txt").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        steps.append(("pip", [*pip, "--target", folder / "python", "-r", source / "requirements.txt"], {}))
    for program, crate in CARGO.get(suite, {}).items():
        if not shutil.which(program):
            # Without optimisation: the build is what takes time.
            install = ["cargo", "install", "--quiet", "--locked", "--debug", "--root", folder, crate]
            steps.append((crate, install, {"env": {**os.environ, "CARGO_PROFILE_DEV_DEBUG": "0"}}))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        jobs = [pool.submit(run, f"{suite}: {what}", [str(word) for word in command], **more) for what, command, more in steps]
    if all(job.result() for job in jobs):
        done.write_text(locked)


def main():
    with concurrent.futures.ThreadPoolExecutor() as pool:
        jobs = [pool.submit(debian, sys.argv[1:]), *(pool.submit(registries, suite) for suite in sys.argv[1:])]
    for job in jobs:
        job.result()


if __name__ == "__main__":
    main()
