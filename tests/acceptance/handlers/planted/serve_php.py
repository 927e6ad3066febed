"""Starts PHP's built-in server with a script: it reads no PORT, and its ready line is another.

    PORT=0 python3 serve_php.py good_php.php

PAGE=1 shows PHP's errors in the answer. ONE=1 is PHP's default, one process; else there are four.
"""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

from calls import ready


def main(script):
    with socket.socket() as place:  # php -S takes port 0 and does not tell which it got
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", int(os.environ.get("PORT", "5000"))))
        port = place.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        settings = ["-d", f"display_errors={os.environ.get('PAGE', '0')}", "-d", "post_max_size=2M"]
        command = ["php", *settings, "-S", f"127.0.0.1:{port}", script]
        environment = {**os.environ, "CDR_FOLDER": folder, **({"PHP_CLI_SERVER_WORKERS": "4"} if "ONE" not in os.environ else {})}
        php = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            while php.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            ready(port)
            php.wait()
        finally:
            php.terminate()
            php.wait()


if __name__ == "__main__":
    main(sys.argv[1])
