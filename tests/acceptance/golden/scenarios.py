"""The four sections of scenarios. Each function gives tasks; a task gives a name and a text, or several."""

import itertools
import json
import os
import re
import shlex
import tempfile
import urllib.parse

from programs import FIXED, RUN, VERSION, Listener, Peer, mask, run, streams, talk, text_of

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
JSON = ["Content-Type: application/json"]


def workplace():
    """A folder to run in, from which the fixtures have short names."""
    folder = tempfile.mkdtemp(prefix="golden-")
    os.symlink(os.path.join(ROOT, "fixtures"), os.path.join(folder, "fixtures"))
    os.symlink(os.path.join(HERE, "files"), os.path.join(folder, "golden"))
    return folder


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


# --- send

def expanded(line):
    """The lines that a line with <a|b> stands for."""
    parts = re.split(r"<([^<>]*\|[^<>]*)>", line)
    choices = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(choice) for choice in itertools.product(*choices)]


def answer(path, n, head):
    """What the receiver says to a delivery, by its path."""
    path = path.split("?")[0]
    status, content, body = "200 OK", "text/plain", b"got it"
    if path.startswith("/status/"):
        status = path[8:] + " Some Words"
        body = b"" if path[8:] in ("204", "304") else b"because"
    elif path == "/flaky" and n == 1:
        status, body = "503 Service Unavailable", b"later"
    elif path == "/retry-after" and n == 1:
        status, body = "429 Too Many Requests\r\nRetry-After: 1", b"slow down"
    elif path == "/differs" and head.startswith(b"GET"):
        body = b"got nothing"
    elif os.path.exists(place := os.path.join(HERE, "files", "reply" + path.replace("/", "-"))):
        status, content, body = "500 Internal Server Error", "text/html; charset=utf-8", read(place)
    elif path in ("/json", "/ok-false", "/fastapi"):
        content = "application/json"
        body = {"/json": b'{"ok":true,"n":[1,2]}', "/ok-false": b'{"ok":false,"error":"no such leg"}',
                "/fastapi": b'{"detail":[{"type":"missing","loc":["body","x"],"msg":"Field required"}]}'}[path]
        status = "422 Unprocessable Entity" if path == "/fastapi" else status
    elif path in ("/empty", "/long", "/binary", "/charset"):
        body = {"/empty": b"", "/long": b"a line of text\n" * 20000, "/binary": bytes(range(256)),
                "/charset": "Größe \u202e\u200b\x1b[31m".encode("latin-1", "ignore")}[path]
        content = "text/plain; charset=iso-8859-1" if path == "/charset" else content
    elif path == "/closes":
        return b"", "close"
    elif path == "/hangs":
        return b"", "hold"
    then = "close" if re.search(rb"(?i)connection: *close", head) or b"HTTP/1.0" in head else "keep"
    length = "" if status[:3] in ("204", "304") else f"Content-Length: {len(body)}\r\n"
    close = "Connection: close\r\n" if then == "close" else ""
    text = f"HTTP/1.1 {status}\r\nContent-Type: {content}\r\n{length}{close}\r\n"
    return text.encode() + (b"" if head.startswith(b"HEAD") else body), then


def send(program, line):
    """Runs one argument line; where it names URL, with what arrived there."""
    words = shlex.split(line.removeprefix("~ "))
    env = dict(word.split("=", 1) for word in itertools.takewhile(re.compile(r"[A-Za-z_]+=").match, words))
    arguments = words[len(env):]
    seed = FIXED[:2] if "--seed" not in arguments else []
    at = FIXED[2:] if "--at" not in arguments else []
    live = "URL/" in line or "--demo" in arguments
    peer = Peer(answer) if live else None
    if live:
        arguments = [word.replace("URL/", f"http://127.0.0.1:{peer.port}/") for word in arguments]
    code, out, err = run(program, ["send", *seed, *at, *arguments], workplace(), env,
                         read(ROOT, "fixtures", "docs-leg-a.json"))
    if not live:
        planned = "--print" in arguments or "--dry-run" in arguments
        return mask(streams(code, out, err), VERSION if planned else RUN)
    out, received = mask(out), [mask(text) for text in peer.received()]
    if line.startswith("~ "):
        out = "\n".join(sorted(re.sub(r'"n":\d+|#\d+', "n", text) for text in out.splitlines()))
        received.sort()
    peer.close()
    return "\n--- connection\n".join([streams(code, out, mask(err)), *received])


def send_tasks(program):
    for line in read(HERE, "send.txt").decode().splitlines():
        if line and not line.startswith("# "):
            for one in expanded(line):
                yield lambda one=one: {f"send {one}": send(program, one)}


# --- listen

def post(body, *headers, target="/cdr", method="POST"):
    lines = [f"{method} {target} HTTP/1.1", "Host: h.example", "Connection: close", *headers]
    length = [] if any(re.match("(?i)content-length|transfer-enc", header) for header in headers) else \
        [f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *length, "", ""]).encode() + body


def fixtures():
    for folder in ("", "broken", "live"):
        for name in sorted(os.listdir(os.path.join(ROOT, "fixtures", folder))):
            if name.endswith((".json", ".txt")):
                yield os.path.join(folder, name), read(ROOT, "fixtures", folder, name)


def queries():
    """The fixtures that are objects, as query strings."""
    for name, body in fixtures():
        try:
            fields = json.loads(body)
        except ValueError:
            continue
        if isinstance(fields, dict):
            words = {k: v if isinstance(v, str) else json.dumps(v, separators=(",", ":")) for k, v in fields.items()}
            yield name, post(b"", target="/cdr?" + urllib.parse.urlencode(words)[:8000], method="GET")


def corpus(name):
    folder = os.path.join(ROOT, "fuzz", "corpus", name)
    return [(entry, read(folder, entry)) for entry in sorted(os.listdir(folder))]


def requests():
    """Requests of every form, good and bad."""
    good = read(ROOT, "fixtures", "docs-leg-a.json")
    head = b"POST /cdr HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    text = good.decode()
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "PURGE", "get"):
        yield method, post(b"", method=method)
        yield method + " with a body", post(good, *JSON, method=method)
    for target in ("/", "*", "http://h.example/cdr?x=1", "h:80", "/a%20b?token=s3cret&x=%ff", "//x", "/?" + "a=1&" * 300,
                   "/cdr?leg=a&leg=b&custom[a]=1", "/\u00e9", "/a b", ""):
        yield "target " + target[:40], post(good, *JSON, target=target)
    yield "CONNECT", b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"
    for header in ("Content-Type: text/plain", "Content-Type: application/x-www-form-urlencoded", "Content-Encoding: gzip",
                   "Content-Type: multipart/form-data", "Content-Type: application/json; charset=utf-16",
                   "Content-Type: application/JSON;charset=UTF-8", "X-Forwarded-For: 203.0.113.9, 10.0.0.1",
                   "Forwarded: for=203.0.113.9;proto=https", "CF-Connecting-IP: 203.0.113.9", "Authorization: Bearer s3cret",
                   "Cookie: session=s3cret", "X-Api-Key: s3cret", "Expect: 100-continue", "Expect: x", "Upgrade: websocket",
                   "Referer: http://u:p@h/x?token=1", "User-Agent: axios/1.7.2", "X-Empty:", "X-Folded: a\r\n b",
                   "X Space: 1", "No-Colon", "Content-Length: 5", "Content-Length: abc", "Content-Length: -1",
                   "Content-Length: 99999999999", "X-Long: " + "x" * 9000, "X-Huge: " + "x" * 100000):
        yield header[:60], post(good, *(JSON if not header.startswith("Content-Type") else []), header)
    yield "1100 headers", post(good, *JSON, *(f"X-{n}: {n}" for n in range(1100)))
    yield "chunked", head + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(good), good)
    yield "bad chunk", head + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\n{\"a\":\r\n0\r\n\r\n"
    yield "length and chunks", head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    yield "two lengths", head + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} "
    yield "two equal lengths", head + b"Connection: close\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}"
    yield "HTTP/1.0", b"POST /cdr HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s" % (len(good), good)
    yield "no Host", b"POST /cdr HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(good), good)
    yield "bare line feeds", b"POST /cdr HTTP/1.1\nHost: h\nConnection: close\nContent-Length: %d\n\n%s" % (len(good), good)
    yield "HTTP/2.0", b"POST /cdr HTTP/2.0\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
    yield "HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield "pipelined", post(good, *JSON).replace(b"Connection: close\r\n", b"") + post(good, *JSON, target="/second")
    yield "more than announced", post(good, *JSON) + b"garbage"
    yield "a body cut short", head + b"Content-Length: 999\r\n\r\n" + good
    yield "a head cut short", head
    yield "nothing", b""
    yield "line breaks alone", b"\r\n\r\n\r\n"
    yield "garbage", b"\x00\x01\xff garbage \x1b[31m\r\n\r\n"
    yield "TLS hello", bytes.fromhex("16030100c8010000c40303") + bytes(190)
    yield "a body above 1 KiB", post(b'{"a":"' + b"x" * 2000 + b'"}', *JSON)
    yield "a body above 1 MiB", post(b'{"a":"' + b"x" * 1100000 + b'"}', *JSON)
    yield "leg b of the call", post(text.replace('"leg":"a"', '"leg":"b"').encode(), *JSON)
    yield "other answer for the same ids", post(text.replace("recv_cancel", "sent_reject").encode(), *JSON)
    yield "byte order mark", post(b"\xef\xbb\xbf" + good, *JSON)
    yield "utf-16", post(text.encode("utf-16"), *JSON)
    yield "NUL, escape, bidi", post('{"leg":"a\\u0000\u202e\u200b\\u001b[31m","\u0000":1}'.encode(), *JSON)
    yield "numbers", post(b'{"to":1e400,"time":1.50e3,"appid":-0,"answeredsec":12345678901234567890123}', *JSON)
    yield "form", post(b"leg=a&status=missed&to=44", "Content-Type: application/x-www-form-urlencoded")


def bodies(pairs):
    return [(name, post(body, *JSON)) for name, body in pairs]


def some():
    names = {"docs-leg-a.json", "docs-leg-b.json", "broken/retyped.json", "broken/cut-off.json", "live/leg-b.json"}
    good = [pair for pair in bodies(fixtures()) if pair[0] in names]
    return [*good, ("again", good[0][1]), *[pair for pair in requests() if pair[0] in ("GET", "garbage", "PUT")]]


BODIES = ("judge", "json", "cleaner", "query", "redact", "record", "file")
GROUPS = {"fixtures": lambda: bodies(fixtures()), "queries": queries, "requests": requests, "some": some} | {
    f"body {name}": lambda name=name: bodies(corpus(name)) for name in BODIES} | {
    f"raw {name}": lambda name=name: corpus(name) for name in ("response", "answer", "query")}
NDJSON = ["--format", "ndjson"]
SAVE = ["--save", "saved.ndjson"]
LISTENS = [  # flags, groups of inputs
    ([*NDJSON, *SAVE], list(GROUPS)),
    ([*NDJSON, *SAVE, "--redact"], ["fixtures", "queries", "requests", *(f"body {name}" for name in ("judge", "redact", "record"))]),
    ([*NDJSON, "--strict"], ["fixtures", "queries", "body judge"]),
    (["--color", "never"], ["fixtures", "queries", "requests", "body cleaner"]),
    (["--color", "always", "-v"], ["fixtures", "requests"]),
    ([*NDJSON, "--max-body", "1KiB", "--trust-proxy"], ["requests"]),
    *(([*NDJSON, *flags.split()], ["some"]) for flags in (
        "--status 201 --body x", "--status 204", "--body {}", "-H X-A:1 -H Content-Type:text/html", "--delay 20ms", "-q",
        "--fail-first 2", "--fail-first 2 --fault reset", "--fault empty", "--fault garbage --fail-first 3",
        "--fault status:418", "--fault-rate 0.5 --seed 7", "--fault-rate 0.5 --fault empty --seed 8", "--expect leg=b",
        "--fault slow --fail-first 1", "--count 2", "--count 2 --strict", "--public-url https://x.example/")),
    *((flags.split(), ["some"]) for flags in (
        "-q", "-v", "--strict", "--fail-first 2 --report report.txt", "--fault empty", "--expect leg=b --count 1", "--public-url https://x.example/")),
]


def listen(program, flags, group):
    """Writes each input of a group over a connection of its own; gives a text for each, and the end."""
    folder = workplace()
    name = f"listen {' '.join(flags)} · {group}"
    texts = {}
    try:
        listener = Listener(program, [*flags, "--header-timeout", "1s", "--body-timeout", "1s"], folder)
    except RuntimeError as error:
        return {name: str(error)}
    for title, data in GROUPS[group]():
        try:
            back = talk(listener.port, data)
        except ConnectionRefusedError:
            break
        texts[f"{name} · {title}"] = mask(f"{back}\n--- stdout\n{listener.news(0.5)}")
    code, out, err = listener.end()
    # How many messages on bad connections are put together depends on their times.
    lines = mask(err).split("\n")
    bad = sorted({line for line in lines if line.startswith(("! 127.", "\\x1b[33m!"))})
    texts[f"{name} · the end"] = streams(code, mask(out), "\n".join([line for line in lines if line not in bad] + bad))
    for file in ("saved.ndjson", "report.txt"):
        if os.path.exists(os.path.join(folder, file)):
            texts[f"{name} · {file}"] = mask(text_of(read(folder, file)))
    return texts


def listen_tasks(program):
    for flags, groups in LISTENS:
        for group in groups:
            yield lambda flags=flags, group=group: listen(program, flags, group)
    for arguments in ("--help", "-h", "--status 99", "--fault x", "--port x", "--count -1", "--redact", "--nonsense",
                      "--delay 2s..1s", "--forward-to 9001", "--forward-to http:/localhost:9001/x", "--expect x",
                      "--host nothing.invalid --port 0", "--tunnel x", "--save /nonexistent/x --port 0", "--max-body x"):
        yield lambda arguments=arguments: {
            f"listen {arguments}": mask(streams(*run(program, ["listen", *arguments.split()], workplace())))}


# --- suite

def suite(program, *flags):
    peer = Peer(answer)
    url = f"http://127.0.0.1:{peer.port}/cdr"
    code, out, err = run(program, ["send", *FIXED, "--url", url, "--suite", *flags], workplace())
    # Connections made at once come in any order: by what they carry without their headers.
    received = sorted((mask(text) for text in peer.received()), key=lambda text: (re.sub(r"(?m)^[\w-]+: .*\n", "", text), text))
    peer.close()
    return mask(streams(code, out, err)) + "\n--- connection\n" + "\n--- connection\n".join(received)


def suite_tasks(program):
    yield lambda: {"suite, whole": suite(program, *NDJSON)}
    yield lambda: {"suite, as a person sees it": suite(program)}
    yield lambda: {"suite, no account of ours": suite(program, "--app-id", "33", "--agent", "5001", "--custom", "x y",
                                                      "--only", "accepts", "--only", "tolerant")}
    _, out, _ = run(program, ["send", "--suite", "--list-cases"], workplace())
    for name in re.findall(r"(?m)^  (\S+) \S+ \[\w+\]$", out):
        yield lambda name=name: {f"suite {name}": suite(program, *NDJSON, "--only", name)}


# --- replies

WAYS = ("address", "name", "race", "capture", "kept", "suite", "forward")
KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def verdict(failure, status):
    return failure["kind"] if failure else str(status)


def reply(program, way, name, case):
    """What one way of asking makes of one answer."""
    data = case["answer"].encode("latin-1")
    data = re.sub(rb"\{(\d+)\}", lambda count: b"x" * int(count[1]), data)
    then = case.get("then", "hold")

    def serve(_, n, head):
        if way == "kept" and n == 1:
            return KEPT, "keep"
        return data, then
    peer = Peer(serve)
    url = f"http://{'localhost' if way == 'name' else '127.0.0.1'}:{peer.port}/cdr"
    folder = workplace()
    if way == "forward":
        listener = Listener(program, [*NDJSON, "--forward-to", url], folder)
        talk(listener.port, post(read(ROOT, "fixtures", "docs-leg-a.json"), *JSON), 25)
        record = listener.news(1) or "{}"
        listener.end()
        forwarded = json.loads(record.splitlines()[0]).get("answer", {}).get("forwarded", {})
        found = [verdict(forwarded.get("failure"), forwarded.get("status"))]
    else:
        flags = {"race": ["--race", "2"], "capture": ["--file", "golden/reply-capture.ndjson"], "kept": ["--keep-alive", "-n", "2"],
                 "suite": ["--suite", "--only", "post-is-accepted"]}.get(way, [])
        _, out, err = run(program, ["send", *FIXED, *NDJSON, "--url", url, "--timeout", "1500ms", *flags], folder)
        records = [json.loads(line) for line in out.splitlines()]
        attempts = [record["attempts"][-1] for record in records if record["type"] == "delivery"]
        found = [verdict(attempt.get("failure"), attempt.get("status")) for attempt in attempts]
        if way == "suite":
            found = [record["got"] for record in records if record["type"] == "case"]
            found = [got[:3] if got[:3].isdigit() else "failed" for got in found]
        if way == "kept":
            found = found[1:]
        if not found:
            found = ["nothing: " + err.strip()]
    peer.close()
    return " ".join(sorted(set(found)))


def replies_wanted():
    """The committed verdicts, as texts."""
    wanted = {}
    for name, case in json.loads(read(HERE, "replies.json")).items():
        for way in WAYS:
            want = case.get(way, case["want"])
            wanted[f"replies {name} · {way}"] = "failed" if way == "suite" and not want.isdigit() else want
    return wanted


def replies_tasks(program):
    for name, case in json.loads(read(HERE, "replies.json")).items():
        for way in WAYS:
            yield lambda name=name, case=case, way=way: {f"replies {name} · {way}": reply(program, way, name, case)}


SECTIONS = {"send": send_tasks, "listen": listen_tasks, "suite": suite_tasks, "replies": replies_tasks}
