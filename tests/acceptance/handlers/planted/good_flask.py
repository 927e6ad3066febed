"""A CDR webhook with Flask."""
from flask import Flask, Response, request
from werkzeug.serving import WSGIRequestHandler, make_server

from calls import MAX_BODY, PATIENCE, Calls, Refused, as_json, port, read_record, ready

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
calls = Calls()


@app.route("/webhook/cdr", methods=["GET", "POST"])
def webhook():
    if request.method == "POST":
        calls.take(read_record(request.get_data()))
    elif request.method == "GET":  # Flask routes HEAD here too
        calls.take(request.args.to_dict())
    return "got it"


@app.get("/calls/<path:cmiuuid>")
def read_back(cmiuuid):
    rows = calls.find(cmiuuid)
    return Response(as_json(rows), 200 if rows else 404, mimetype="application/json")


@app.errorhandler(Refused)
def refused(error):
    return str(error), error.status


class Patient(WSGIRequestHandler):
    timeout = PATIENCE  # the default is none

    def log(self, *args):
        pass


def serve(wsgi=app):
    server = make_server("127.0.0.1", port(), wsgi, threaded=True, request_handler=Patient)
    ready(server.port)
    server.serve_forever()


if __name__ == "__main__":
    app.logger.disabled = True
    serve()
