"""TeleCMI's Java example, re-created: Spark on Jetty, POST only, the body pretty-printed by json-io, the answer 204.

Spark answers 404 to a method without a route, and 500 when json-io throws: malformed, empty, nested too deeply. An array is fine.
"""
import json

from recreation import Recreation, serve


class Spark(Recreation):
    timeout = 30  # Jetty's idle timeout

    def receive(self):
        body = self.body()
        if self.command != "POST" or self.path_only() != "/webhook/cdr":
            return self.answer(404, "<html><body><h2>404 Not found</h2></body></html>")
        try:
            json.loads(body.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return self.answer(500, "<html><body><h2>500 Internal Server Error</h2></body></html>")
        self.answer(204)


serve(Spark)
