"""A server for tests of the trials: `python server.py PORT [LAST]` ends at the LAST request.

What it does is chosen by path. It says how often each was asked for at /seen.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DELAYS_S = {"/slow": 0.05, "/fast": 0.005, "/dies": 0.005}
EARLY = 60  # requests, after which some paths behave otherwise

seen: dict[str, int] = {}
last = int(sys.argv[2]) if len(sys.argv) > 2 else 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or a body waits 40 ms for the head to be acknowledged

    def do_GET(self) -> None:
        seen[self.path] = seen.get(self.path, 0) + 1
        count = sum(seen.values())
        if self.path == "/die" or (self.path == "/dies" and count > EARLY) or count == last:
            print("last words", flush=True)
            os._exit(3)
        time.sleep(DELAYS_S.get(self.path, 0))
        body = b'{"hello": "world"}'
        if self.path == "/seen":
            body = json.dumps(seen).encode()
        elif self.path == "/turns" and count > EARLY:
            body = b'{"hello": "earth"}'
        elif self.path == "/environment":
            body = json.dumps(dict(os.environ)).encode()
        status = 203 if self.command == "POST" else 200
        self.send_response(500 if self.path == "/500" else status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 77


server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print("began", flush=True)
server.serve_forever()
