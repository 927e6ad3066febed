"""What TeleCMI's page has for Python: Flask's development server, the CDR on standard output, the answer "got it"."""
import os

from flask import Flask, request

app = Flask(__name__)


@app.route("/webhook/cdr", methods=["POST"])
def receive():
    cdr = request.get_json()
    print(cdr)
    return "got it"


if __name__ == "__main__":
    app.run(debug=True, port=int(os.environ["PORT"]))
