"""good_stdlib.py with one rule more, named by the environment variable RULE. Both are right for what TeleCMI sends."""
import os

import good_stdlib as good
from calls import PATH, Refused, port
from planting import named

Webhook = good.Webhook


def exact_url():
    """Compares the URL's text: nothing but the configured one, with the CDR behind it in a GET."""
    reply = Webhook.reply

    def compared(self, take):
        def exactly(body):
            wanted = self.path == PATH if self.command == "POST" else self.path.partition("?")[0] == PATH
            if not wanted:
                raise Refused(404, f"{self.path} is not {PATH}")
            take(body)
        reply(self, exactly)
    Webhook.reply = compared


def header_case():
    """Looks for Content-Type as axios and curl write it, as functions behind a gateway do that get a plain dict of headers."""
    read_body = Webhook.read_body

    def with_type(self):
        body = read_body(self)
        if self.command == "POST" and "json" not in dict(self.headers.items()).get("Content-Type", ""):
            raise Refused(415, "Content-Type must be application/json")
        return body
    Webhook.read_body = with_type


RULES = named(exact_url, header_case)

if __name__ == "__main__":
    RULES[os.environ["RULE"]]()
    good.serve(good.Server(("127.0.0.1", port()), Webhook))
