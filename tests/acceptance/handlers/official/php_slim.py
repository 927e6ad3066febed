"""TeleCMI's PHP example, re-created: Slim 3 on PHP's built-in server, POST only, 204 whatever the body is.

Slim's getParsedBody() gives null for a body that is not JSON, and the example only prints it. The built-in server collects
a body before it runs the script, and runs one script at a time. It sets the whole Content-Length aside at once: a length
beyond the memory ends the server (measured: PHP 8.2, "Out of memory").
"""
import os
import threading

from recreation import Recreation, serve


class Slim(Recreation):
    script = threading.Lock()

    def receive(self):
        body_length = self.headers.get("Content-Length", "0")
        if not body_length.isdigit():
            self.close_connection = True
            return self.answer(400)
        if int(body_length) > 1 << 35:
            os._exit(1)
        if len(self.body()) < int(body_length):
            self.close_connection = True  # the script never runs for half a body
            return
        with self.script:
            if self.path_only() != "/webhook/cdr":
                self.answer(404, "Page Not Found")
            elif self.command == "POST":
                self.answer(204)
            elif self.command == "OPTIONS":
                self.answer(200, "Allowed methods: POST", Allow="POST")
            else:
                self.answer(405, "Method not allowed. Must be one of: POST", Allow="POST")


serve(Slim)
