"""Processes: started, waited for with a bound, and measured: wall time, CPU time, memory.

CPU time is user and system together. Of a process that has ended the kernel tells it exactly; of one that runs, its
CPU clock does. The peak of memory is read while the process runs, because what the kernel tells of it afterwards
includes the process that started it.
"""
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
PATIENCE = 300  # seconds; nothing here takes so long unless it hangs
RUNNING = set()  # what has been started and not been waited for: none of it may outlive us


class MeasurementError(Exception):
    """Something could not be measured."""


@dataclass
class Run:
    """A process that has ended."""
    wall: float
    cpu: float
    code: int
    peak: int = 0
    output: str = ""


def run(command, capture=False, watch_memory=False, environment=None, stdout=None):
    """Runs a command to its end. Its output goes nowhere, or to a file that is read afterwards, so that nobody reads while
    it runs."""
    with tempfile.TemporaryFile() as kept:
        out = kept if capture else stdout if stdout is not None else subprocess.DEVNULL
        began = time.perf_counter()
        process = start(command, stdout=out, environment=environment)
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            peak = watched(process) if watch_memory else 0
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            watchdog.cancel()
            RUNNING.discard(process)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        kept.seek(0)
        output = kept.read().decode(errors="replace")
        return Run(wall, usage.ru_utime + usage.ru_stime, process.returncode, peak, output)


def start(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, environment=None):
    """Starts a command."""
    command = [str(word) for word in command]
    environment = {**os.environ, **(environment or {})}
    process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, env=environment)
    RUNNING.add(process)
    return process


def spawned(command):
    """Wall and CPU time of a short command, started with as little ado as there is."""
    nowhere = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in (0, 1, 2)]
    began = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=nowhere)
    _, status, usage = os.wait4(pid, 0)
    return Run(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, os.waitstatus_to_exitcode(status))


def watched(process):
    """The peak of a process' memory, looked at until it ends."""
    peak = 0
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        peak = max(peak, memory(process.pid, "VmHWM"))
        time.sleep(0.005)
    return peak


def memory(pid, what="VmRSS"):
    """A process' memory in bytes; 0 when it has gone."""
    try:
        found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def family(pid):
    """A process and all that it has started."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for member in found:
        found.extend(children.get(member, []))
    return found


def cpu(pid):
    """CPU time so far of a process and all that it has started, in seconds."""
    total = 0.0
    for member in family(pid):
        try:
            # The number of another process' CPU clock, as the C library makes it.
            total += time.clock_gettime((~member << 3) | 2)
        except OSError:
            pass
    return total


class Server:
    """A server on a loopback port: started, awaited, ended, with all that it has started."""

    def __init__(self, command, port=None, stdout=subprocess.DEVNULL, environment=None, ready=None):
        """The port is given, or is the first line of the output, or ends the file `ready`."""
        out = subprocess.PIPE if port is None and ready is None else stdout
        self.process = start(command, stdout=out, environment=environment)
        self.pid = self.process.pid
        self.total = None  # CPU time, once it has ended
        try:
            if port is None and ready is None:
                port = int(self.process.stdout.readline() or 0)
            elif port is None:
                text = self.awaited(lambda: ready.exists() and ready.read_text().strip(), "says where it is")
                port = int(text.rpartition(":")[2])
            self.port = port
            self.awaited(self.accepts, "accepts connections")
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def awaited(self, happened, what):
        """Waits until something has happened, for a bounded time."""
        until = time.monotonic() + 20
        while time.monotonic() < until and self.process.poll() is None:
            if result := happened():
                return result
            time.sleep(0.01)
        raise MeasurementError(f"{self.process.args[0]}: never {what}")

    def accepts(self):
        """Whether it takes connections."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def url(self):
        """Where to send to."""
        return f"http://127.0.0.1:{self.port}/webhook/cdr"

    def cpu(self):
        """CPU time so far."""
        return cpu(self.pid)

    def stop(self, how=signal.SIGINT):
        """Ends it and gives its exit code."""
        if self.process in RUNNING:
            descendants = family(self.pid)[1:]
            if self.process.returncode is None:
                self.process.send_signal(how)
                self.reap()
            for pid in descendants:
                # What was started from it may have ended with it.
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            if self.process.stdout:
                self.process.stdout.close()
            RUNNING.discard(self.process)
        return self.process.returncode


    def reap(self):
        """Waits until it has ended, with all the CPU time it has spent."""
        watchdog = threading.Timer(30, self.process.kill)
        watchdog.start()
        _, status, usage = os.wait4(self.pid, 0)
        watchdog.cancel()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.total = usage.ru_utime + usage.ru_stime


def end_all():
    """Ends whatever is still running."""
    for process in list(RUNNING):
        for pid in reversed(family(process.pid)):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        process.wait()


def free_port():
    """A port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
