"""Runs a handler behind nginx, which reads whole requests, limits their size, and waits ten seconds for silent senders.

    PORT=0 python3 behind_nginx.py COMMAND [ARGUMENT ...]
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from calls import ready

CONFIG = """
daemon off;
worker_processes 1;
pid %(folder)s/pid;
error_log /dev/null crit;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path %(folder)s/body;
    proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi;
    scgi_temp_path %(folder)s/scgi;
    client_header_timeout 10s;
    client_body_timeout 10s;
    client_max_body_size 1m;
    client_body_buffer_size 1m;
    large_client_header_buffers 4 64k;
    server {
        listen 127.0.0.1:%(port)d backlog=256;
        location / {
            proxy_pass http://127.0.0.1:%(behind)s;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
        }
    }
}
"""


def free_port():
    """nginx cannot listen on port 0."""
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", int(os.environ.get("PORT", "5000"))))
        return place.getsockname()[1]


def wait_for(front, port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if front.poll() is not None:
                break
            time.sleep(0.05)
    sys.exit("nginx did not start")


def main(command):
    handler = subprocess.Popen(command, env={**os.environ, "PORT": "0"}, stdout=subprocess.PIPE, text=True)
    line = handler.stdout.readline()
    said = re.match(r"ready http://127\.0\.0\.1:(\d+)/", line)
    if not said:
        handler.kill()
        sys.exit(f"not ready: {line!r}")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "nginx.conf")
        user = "user root;" if os.geteuid() == 0 else ""  # else the workers may not write to the folder
        config.write_text(user + CONFIG % {"folder": folder, "port": port, "behind": said[1]})
        front = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-e", "/dev/null", "-p", folder, "-c", config])
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            wait_for(front, port)
            ready(port)
            handler.wait()
        finally:
            front.terminate()
            handler.terminate()
            front.wait()
            handler.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
