"""TeleCMI's Python example, re-created: Flask, POST only, the body through get_json(), the answer "got it".

EDITION=repository adds what the example's repository has and the documentation page has not: it looks at three fields.
"""
import logging
import os

from flask import Flask, request
from werkzeug.serving import make_server

app = Flask(__name__)
app.logger.disabled = True
logging.getLogger("werkzeug").disabled = True


@app.post("/webhook/cdr")
def receive():
    cdr = request.get_json()
    if os.environ.get("EDITION") == "repository":
        _ = cdr["type"], cdr["time"], cdr["direction"]
    return "got it"


if __name__ == "__main__":
    server = make_server("127.0.0.1", int(os.environ.get("PORT", "5000")), app, threaded=True)
    print(f"ready http://127.0.0.1:{server.port}/webhook/cdr", flush=True)
    server.serve_forever()
