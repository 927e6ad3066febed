#!/usr/bin/env python3
"""Draws the README's two terminals from what the program really prints: terminal.svg and suite.svg, beside this file.

    cargo build && python3 .github/terminal.py target/debug/telecmi-cdr

What a picture leaves out is said in it, in lines that begin with an ellipsis. Ports 8237 and 5000 must be free.
"""

import html
import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

COLOURS = {31: "#ff7b72", 32: "#7ee787", 33: "#e3b341", 34: "#79c0ff", 35: "#d2a8ff", 36: "#56d4dd"}
PLAIN, FAINT, GROUND, EDGE = "#d6dde6", "#8b949e", "#0d1117", "#3d444d"
CHAR, LINE, MARGIN, BAR = 8.43, 19, 18, 34
CODE = re.compile(r"\x1b\[([0-9;]*)m")


def plain(line):
    return CODE.sub("", line)


def faint(words):
    return f"\x1b[2m{words}\x1b[0m"


def typed(command):
    return f"{faint('$')} \x1b[1mtelecmi-cdr {command}\x1b[0m"


# What is drawn


def listen(program):
    """`listen`, while somebody sends it a CDR with three mistakes."""
    listener = subprocess.Popen([program, "listen", "--color", "always"], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)
    first = listener.stdout.readline()
    url = plain(first).split()[-1] + "/webhook/cdr"
    mistakes = "--set to=+44207 --set time=1795338000 --unset leg --seed 7 --at 2026-11-22T09:00:00Z --quiet"
    subprocess.run([program, "send", "--url", url, *mistakes.split()], stdout=subprocess.DEVNULL, check=True)
    listener.send_signal(signal.SIGINT)
    lines = [first, *listener.communicate()[0].splitlines()]
    return [typed("listen"), *(line.rstrip() for line in lines)]


class Handler(BaseHTTPRequestHandler):
    """A handler as many write it. It cannot take a body in chunks, and its table refuses the second copy of a CDR."""

    protocol_version, timeout = "HTTP/1.1", 1
    known, lock = set(), threading.Lock()

    def do_POST(self):
        try:
            length = max(0, int(self.headers["Content-Length"]))
            cdr = json.loads(self.rfile.read(length))
        except (ValueError, RecursionError):
            return self.answer(400, "no JSON")
        return self.keep(cdr) if isinstance(cdr, dict) else self.answer(400, "no CDR")

    def do_GET(self):
        self.keep(dict(parse_qsl(urlsplit(self.path).query)))

    def keep(self, cdr):
        key = (str(cdr.get("cmiuuid")), str(cdr.get("leg")))
        with self.lock:
            # As databases have it, nothing is never the same as nothing.
            is_new = "cmiuuid" not in cdr or key not in self.known
            self.known.add(key)
        self.answer(*((200, "ok") if is_new else (500, "UNIQUE constraint failed: cdr.cmiuuid")))

    def answer(self, status, body):
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass


def suite(program):
    """`send --suite` against that handler, shortened."""
    server = Server(("127.0.0.1", 5000), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = "send --url http://localhost:5000/cdr --suite --seed 7"
    # By the environment, since the report repeats the command with its flags.
    wishes = os.environ | {"TELECMI_CDR_COLOR": "always", "TELECMI_CDR_QUIET": "1"}
    run = subprocess.run([program, *command.split()], env=wishes, capture_output=True, check=False, text=True)
    server.shutdown()
    return [typed(command), "", *shortened(run.stdout.rstrip("\n").split("\n"))]


def shortened(lines):
    """The report with its first two findings."""
    families, findings = divided(lines, "Findings")
    findings, verdict = divided(findings, r"✗ \d+ of")
    heading, *kinds = entries(findings, r"✗ |Remarks")
    kinds = [kind for kind in kinds if plain(kind[0]).startswith("✗")]
    yield from [*families, *heading, *itertools.chain(*kinds[:2])]
    if len(kinds) > 2:
        yield from [more(len(kinds) - 2, "findings"), ""]
    yield verdict[0]


def more(number, words, indent=""):
    return faint(f"{indent}… {number} more {words}")


def divided(lines, pattern):
    """The lines before the first that begins like this, and those from there on."""
    at = next(n for n, line in enumerate(lines) if re.match(pattern, plain(line)))
    return lines[:at], lines[at:]


def entries(lines, pattern):
    """The lines in groups, each beginning with a line like this, but for what stands before the first."""
    groups = [[]]
    for line in lines:
        if re.match(pattern, plain(line)) and groups[-1]:
            groups.append([])
        groups[-1].append(line)
    return groups


# How it is drawn


def spans(line):
    """The line's pieces as (text, fill, bold), colour codes resolved."""
    fill, bold = PLAIN, False
    for piece in re.split(r"(\x1b\[[0-9;]*m)", line):
        code = CODE.fullmatch(piece)
        if not code:
            if piece:
                yield piece, fill, bold
            continue
        for number in map(int, (code[1] or "0").split(";")):
            if number == 0:
                fill, bold = PLAIN, False
            elif number == 1:
                bold = True
            elif number == 2:
                fill = FAINT
            else:
                fill = COLOURS.get(number, fill)


def text(x, y, content, fill, bold=False):
    weight = ' font-weight="bold"' if bold else ""
    # The length is fixed, so that columns stay columns whatever font is there.
    length = len(content) * CHAR
    return (f'<text x="{x:.1f}" y="{y}" fill="{fill}"{weight} textLength="{length:.1f}" '
            f'xml:space="preserve">{html.escape(content)}</text>')


def draw(name, lines):
    width = round(max(len(plain(line)) for line in lines) * CHAR + 2 * MARGIN)
    height = BAR + len(lines) * LINE + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14">',
        f"<title>{html.escape(plain(lines[0]))}</title>",
        # The edge is for pages as dark as the terminal.
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" fill="{GROUND}" stroke="{EDGE}"/>',
        *(f'<circle cx="{MARGIN + 2 + 18 * i}" cy="17" r="5.5" fill="{c}"/>'
          for i, c in enumerate(("#ff5f57", "#febc2e", "#28c840"))),
    ]
    for row, line in enumerate(lines):
        column = 0
        for content, fill, bold in spans(line):
            if content.strip():
                parts.append(text(MARGIN + column * CHAR, BAR + (row + 1) * LINE - 5, content, fill, bold))
            column += len(content)
    parts.append("</svg>")
    pathlib.Path(__file__).with_name(name).write_text("\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    draw("terminal.svg", listen(sys.argv[1]))
    draw("suite.svg", suite(sys.argv[1]))
