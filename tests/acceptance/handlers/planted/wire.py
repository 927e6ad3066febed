"""Requests of check.py: good CDRs with one thing changed, as bytes, and what comes back."""
import html
import json
import re
import socket
import time
import uuid
from urllib.parse import quote

PATH = "/webhook/cdr"
PATIENCE = 4  # seconds for an answer


class Call:
    """The ids of a call: two legs share two of them."""

    def __init__(self):
        self.call_id = str(uuid.uuid4())[:14] + "123f-29a7-56000429abc3"  # no RFC variant, as TeleCMI's
        self.request_id = (uuid.uuid4().hex + uuid.uuid4().hex)[:43].replace("a", "Q").replace("f", "z")
        self.time = int(time.time() * 1000) - 20_000
        self.cmiuuid = {"a": str(uuid.uuid4()), "b": str(uuid.uuid4())}


def fields(call, kind="cdr", leg="a"):
    """The fields as Python values, in TeleCMI's order."""
    now = call.time
    legs = {"cmiuuid": call.cmiuuid[leg]}
    if kind == "legacy":
        return {"type": "cdr", "appid": 2222223, "to": 442079460123, **legs, "status": "missed", "user": "202_2222223",
                "time": now, "direction": "outbound", "click_to_call": "true"}
    if kind == "event":
        return {"call_id": call.call_id, "leg": leg, "type": "event", "user": "202_2222223", **legs, "direction": "outbound",
                "callerid": "442079460000", "app_id": 2222223, "time": now, "custom": '{"crm":"true"}',
                "extra_params": '{"click2call":"true"}', "request_id": call.request_id, "status": "started",
                "to": "442079460123", "conversation_uuid": call.cmiuuid["a"]}
    if kind == "incoming-event-b":
        return {"leg": "b", "type": "event", "team": "sales", "user": "202_2222223", "conversation_uuid": call.cmiuuid["a"],
                "cmiuuid": call.cmiuuid["b"], "direction": "outbound", "from": "442079460123", "app_id": 2222223, "time": now,
                "custom": "none", "status": "started"}
    if kind == "incoming":
        return {"type": "cdr", "direction": "inbound", "status": "missed", "appid": 2222223, "from": 442079460123,
                "to": 442079460000, "time": now, **legs, "waitedsec": 20, "team": "sales", "voicemail": False}
    made = {"virtual_number": "442079460000", "call_id": call.call_id, "custom": '{"crm":"true"}', "leg": leg, "type": "cdr",
            "appid": 2222223, "to": 442079460123 if leg == "b" else 442079460001, **legs, "status": "missed",
            "user": "202_2222223", "time": now, "direction": "outbound", "hangup_reason": "recv_cancel",
            "request_id": call.request_id, "extra_params": '{"click2call":"true"}'}
    if kind == "answered":
        made.update(status="answered", hangup_reason="recv_bye", answeredsec=12)
    if kind == "softphone":
        del made["request_id"], made["extra_params"]
    if kind == "live":
        made.update(virtual_number=442079460000, custom="false", extra_params={"callCode": "CODE1"})
    return made


def merged(good, step):
    """A step on top of the good request of a handler; a field of a query is a text without quotes."""
    own = good.get("set", {})
    if step.get("method") == "GET":
        own = {name: as_text(json.loads(value)) for name, value in own.items()}
    return {**good, **step, "set": {**own, **step.get("set", {})},
            "headers": {**good.get("headers", {}), **step.get("headers", {})}}


def as_text(value):
    return value if isinstance(value, str) else json.dumps(value)


def request(call, step):
    """Method, target, headers and body of a step. `set` has JSON texts (POST) or encoded texts (GET); null takes a field away."""
    method, target = step.get("method", "POST"), step.get("target", PATH)
    headers = {"Host": step.get("host", "127.0.0.1"), "User-Agent": "axios/1.7.9", "Accept": "*/*", "Connection": "close"}
    body = b""
    record = fields(call, step.get("kind", "cdr"), step.get("leg", "a"))
    if method == "POST":
        raw = {name: json.dumps(value, ensure_ascii=False) for name, value in record.items()} | step.get("set", {})
        text = "{" + ",".join(f'"{name}":{value}' for name, value in raw.items() if value is not None) + "}"
        body = step["body"].encode("latin-1") if "body" in step else text.encode()
        headers["Content-Type"] = "application/json"
        if step.get("framing") == "chunked":
            headers["Transfer-Encoding"] = "chunked"
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            headers["Content-Length"] = str(step.get("length", len(body)))
    elif not step.get("bare"):
        raw = {quote(name): quote(as_text(value)) for name, value in record.items()} | step.get("set", {})
        query = "&".join(f"{name}={value}" for name, value in raw.items() if value is not None) + step.get("more", "")
        target += ("&" if "?" in target else "?") + query
    headers |= step.get("headers", {})
    return method, target, {name: value for name, value in headers.items() if value is not None}, body


def as_bytes(method, target, headers, body):
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return head.encode("latin-1") + b"\r\n" + body


def as_curl(method, target, headers, body):
    words = ["curl -i", f"-X {method}", f"'http://127.0.0.1:PORT{target}'"]
    words += [f"-H '{name}: {value}'" for name, value in headers.items() if name not in ("Host", "Content-Length", "Connection")]
    text = body.decode("utf-8", "backslashreplace").replace("'", "'\\''")
    return " ".join(words + ([f"--data-binary '{text[:900]}'"] if body else []))


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def answer(connection):
    """The status, or closed, silence, or endless (a status, and then no end); and the text of the body."""
    got, end = b"", "closed"
    try:
        while not complete(got):
            more = connection.recv(65536)
            if not more:
                break
            got += more
    except TimeoutError:
        end = "endless" if got else "silence"
        return end, ""
    except OSError:
        pass
    head, _, body = got.partition(b"\r\n\r\n")
    try:
        return int(head.split()[1]), body.decode("utf-8", "replace")
    except (ValueError, IndexError):
        return end, ""


def complete(got):
    head, found, body = got.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if not found:
        return False
    if b" 204" in head[:13] or b" 304" in head[:13]:
        return True
    if length:
        return len(body) >= int(length[1])
    return re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head) is not None and body.endswith(b"0\r\n\r\n")


def exchange(port, data, byte_by_byte=False):
    try:
        with connect(port) as connection:
            if byte_by_byte:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in data:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.0003)
            else:
                try:
                    connection.sendall(data)
                except OSError:
                    pass  # an early answer may be there
            return answer(connection)
    except OSError:
        return "closed", ""


def send(port, call, step):
    return exchange(port, as_bytes(*request(call, step)), step.get("framing") == "bytes")


def kept(port, cmiuuid):
    """The records that the read route has of a leg."""
    status, text = exchange(port, as_bytes("GET", "/calls/" + quote(cmiuuid, safe=""), {"Host": "127.0.0.1", "Connection": "close"}, b""))
    if status == 404:
        return []
    if "\r\n" in text:  # chunks
        text = "".join(line for line in text.split("\r\n") if not re.fullmatch(r"[0-9a-fA-F]{1,6}", line))
    return json.loads(text)


def plain(text):
    """A page as one line: no tags, no entities."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<(style|script)\b.*?</\1>", " ", text))).split())
