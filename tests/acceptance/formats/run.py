"""Gives what the program prints to tools that were not written here, and holds what they make of it against a real run.

    tests/acceptance/run formats [PROGRAM]

Every scenario, both methods, both shapes: a shell runs the curl commands, a client of editors sends the .http file, a
validator reads the HAR and a converter makes a script for k6 of it, Vegeta attacks with its targets where it is installed.
All must send what `send` itself sends. A capture is printed and sent likewise. The schema and the OpenAPI document go
through validators and generators of types, with every fixture.

The tools are those of package.json and requirements.txt, at the versions there. Loopback only, every wait is bounded.
"""
import base64
import http.client
import http.server
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from checks import Skipped, run_checks  # noqa: E402

FIXTURES = HERE.parents[2] / "fixtures"
PATIENCE = 100  # seconds for any one tool
PATH = "/webhook/cdr?a=1"
RUN = ["-X", "both", "--seed", "7", "--at", "2026-11-22T09:00:00Z"]


def run(command, given="", **more):
    done = subprocess.run([str(word) for word in command], input=given, capture_output=True, text=True, timeout=PATIENCE,
                          check=False, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout


class Recorder(http.server.BaseHTTPRequestHandler):
    """Writes down what it is sent."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.seen.append((self.command, self.path, body.decode()))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_GET = do_POST

    def log_message(self, *_):
        pass


def tool(name):
    if not shutil.which(name):
        raise Skipped(f"there is no {name}")
    return name


def python_tool(module, *arguments):
    if not importlib.util.find_spec(module.split(".")[0]):
        raise Skipped(f"there is no Python module {module}")
    return [sys.executable, *arguments]


class Checks:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
        self.server.seen = []
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.origin = f"http://127.0.0.1:{self.server.server_port}"

    def seen(self):
        seen, self.server.seen = self.server.seen, []
        return seen

    def send(self, *more):
        return run([self.program, "send", "--url", self.origin + PATH, *RUN, *more])

    def same(self, expected, got):
        if got != expected:
            first = next((pair for pair in zip(expected, got) if pair[0] != pair[1]), ("nothing", "nothing"))
            raise RuntimeError(f"{len(got)} requests instead of {len(expected)}; wanted {first[0]}, got {first[1]}")
        return f"{len(got)} requests"

    # --- one way to send each format

    def by_curl(self, text):
        tool("curl")
        run(["sh", "-e"], text)
        return self.seen()

    def by_http(self, text):
        file = self.folder / "calls.http"
        file.write_text(text)
        report = json.loads(run([tool("httpyac"), "send", file, "--all", "--json"], cwd=self.folder))
        if report["summary"]["successRequests"] != report["summary"]["totalRequests"]:
            raise RuntimeError(f"httpyac: {report['summary']}")
        return self.seen()

    def by_har(self, text):
        tool("har-to-k6")
        file = self.folder / "calls.har"
        file.write_text(text)
        asked = json.loads(run(["node", HERE / "read_har.js", file, self.folder / "k6" / "script.mjs"]))
        return [(method, self.target(url), body) for method, url, body in asked]

    def by_reading_targets(self, text):
        """Vegeta's format is simple enough to be read without it."""
        for line in text.splitlines():
            target = json.loads(line)
            url = urlsplit(target["url"])
            headers = {name: ", ".join(values) for name, values in target.get("header", {}).items()}
            connection = http.client.HTTPConnection(url.netloc, timeout=PATIENCE)
            connection.request(target["method"], self.target(target["url"]), base64.b64decode(target.get("body", "")), headers)
            connection.getresponse().read()
            connection.close()
        return self.seen()

    def by_vegeta(self, text):
        tool("vegeta")
        count = len(text.splitlines())
        file = self.folder / "targets"
        file.write_text(text)
        run(["vegeta", "attack", "-format=json", f"-targets={file}", "-lazy", "-rate=100", f"-duration={count * 10}ms", "-workers=1",
             "-max-workers=1", f"-output={os.devnull}"])
        return self.seen()

    def target(self, url):
        assert url.startswith(self.origin), url
        return url[len(self.origin):]

    # --- the checks

    def printed(self, how, sender, arguments):
        self.seen()
        self.send(*arguments)
        expected = self.seen()
        return self.same(expected, sender(self.send(*arguments, "--print", how)))

    def capture(self):
        file = self.folder / "calls.ndjson"
        if not file.exists():
            command = [self.program, "listen", "--port", "0", "--count", "26", "--timeout", "60s", "--save", file, "--", "sh", "-c",
                       '"$0" send --url "$TELECMI_CDR_URL/webhook/cdr" -s all "$@"', self.program, *RUN]
            run(command)
        return ["--file", str(file)]

    def written(self):
        """The documents, the types made of them as the README does it, and payloads to try them with."""
        place = self.folder / "generated"
        place.mkdir(exist_ok=True)
        schema = run([self.program, "--generate", "json-schema"])
        (place / "schema.json").write_text(schema)
        (place / "openapi.json").write_text(run([self.program, "--generate", "openapi"]))
        names = ["docs-leg-a.json", "docs-leg-b.json", "answered-leg-a.json", "legacy.json"]
        names += sorted(f"live/{path.name}" for path in (FIXTURES / "live").glob("*.json"))
        good = {name: json.loads((FIXTURES / name).read_text()) for name in names}
        for shape in ["docs", "live"]:
            for number, line in enumerate(self.send("-s", "all", "--shape", shape, "-X", "post", "--print", "json").splitlines()):
                good[f"{shape} {number}"] = json.loads(line)
        bad = {name: json.loads((FIXTURES / "broken" / name).read_text())
               for name in ["missing-fields.json", "live-event.json", "rest-record.json", "incoming-missed.json", "retyped.json"]}
        (place / "good.json").write_text(json.dumps(good))
        (place / "bad.json").write_text(json.dumps(bad))
        return place, schema, good

    def documents(self):
        place, schema, good = self.written()
        for kind, name in [("pydantic_v2.BaseModel", "cdr_models.py"), ("typing.TypedDict", "cdr_types.py")]:
            run(python_tool("datamodel_code_generator", "-W", "ignore", "-m", "datamodel_code_generator", "--input-file-type",
                            "jsonschema", "--output-model-type", kind, "--output", place / name), schema)
        run(python_tool("openapi_spec_validator", HERE / "read_schema.py", place))
        return f"{len(good)} payloads"

    def typescript(self):
        place, schema, good = self.written()
        (place / "cdr.d.ts").write_text(run([tool("json2ts")], schema))
        values = [f"export const v{n}: OutgoingCdr = {json.dumps(value)};" for n, value in enumerate(good.values())]
        wrong = ["// @ts-expect-error", 'export const wrong: OutgoingCdr = {type: "event"};']
        (place / "values.ts").write_text("\n".join(['import type { OutgoingCdr } from "./cdr";', *values, *wrong]))
        run([tool("tsc"), "--noEmit", "--strict", "--target", "es2022", "--types", "", place / "values.ts"])
        return f"{len(good)} payloads"

    def all(self):
        senders = [("curl", "a shell and curl", self.by_curl), ("http", "httpyac", self.by_http),
                   ("har", "har-validator, har-to-k6", self.by_har), ("vegeta", "a reader of targets", self.by_reading_targets),
                   ("vegeta", "vegeta", self.by_vegeta)]
        for how, tool, sender in senders:
            for shape in ["docs", "live"]:
                arguments = ["-s", "all", "--shape", shape]
                yield f"{how}, {shape}: {tool}", lambda how=how, sender=sender, arguments=arguments: self.printed(how, sender, arguments)
            yield f"{how}, a capture: {tool}", lambda how=how, sender=sender: self.printed(how, sender, self.capture())
        yield "json-schema, openapi: jsonschema, openapi-spec-validator, datamodel-code-generator", self.documents
        yield "json-schema: json-schema-to-typescript, typescript", self.typescript


def main():
    if len(sys.argv) != 2 or os.name != "posix":
        sys.exit(__doc__ if len(sys.argv) != 2 else "skipped: this is written for Unix")
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(run_checks(Checks(Path(sys.argv[1]).resolve(), Path(folder)).all()))


if __name__ == "__main__":
    main()
