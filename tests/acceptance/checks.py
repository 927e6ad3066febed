"""Runs checks and counts them, as all suites in Python report them."""
import collections
import concurrent.futures
import socket


class Skipped(Exception):
    """The check's tool is missing."""


def attempt(check):
    """The result and the text of a check: a function that returns details, or raises."""
    try:
        return "passed", check()
    except Skipped as reason:
        return "skipped", reason
    except (Exception, SystemExit) as error:  # The other checks go on.
        return "failed", f"{type(error).__name__}: {error}"


def run_checks(checks, jobs=1):
    """Runs (name, function) pairs, prints a line for each and the totals, and returns the exit code."""
    counts = collections.Counter(passed=0, failed=0, skipped=0)

    def report(name, result, text):
        counts[result] += 1
        print(f"{result.upper() if result == 'failed' else result}: {name}: {text}", flush=True)

    if jobs == 1:
        for name, check in checks:
            report(name, *attempt(check))
    else:
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            started = [(name, pool.submit(attempt, check)) for name, check in checks]
            for name, job in started:
                report(name, *job.result())
    print(", ".join(f"{count} {result}" for result, count in counts.items()))
    return 1 if counts["failed"] or not counts["passed"] + counts["skipped"] else 0


def free_port():
    """A port of 127.0.0.1 without a listener."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]
