"""usage: webhook_verifier.py PORT SECRET

The receiver behind nginx in the tests: verifies signatures with the official Standard Webhooks library, and does what a
receiver must not. Run by scripts/servers.py.

  POST /verify   200 {"verified": true, …} if the library believes the request, else 401 with its reason
  GET  /verify   the same, for the query parameter "event"
  any  /slow     answers after the connection has been given up, or after 30 seconds
  any  /half     promises 1000 bytes, sends 10, and ends the connection
  any  /drip     answers 200 at once and sends a byte of its body every 50 ms, for ever
"""
import hashlib
import http.server
import json
import sys
import time
import urllib.parse

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

WEBHOOK = Webhook(sys.argv[2])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        parts = urllib.parse.urlsplit(self.path)
        if self.command == "GET":
            body = urllib.parse.parse_qs(parts.query).get("event", [""])[0].encode()
        try:
            {"/verify": self.verify, "/slow": self.slow, "/half": self.half, "/drip": self.drip}[parts.path](body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = handle_any

    def answer(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def verify(self, body):
        try:
            WEBHOOK.verify(body, dict(self.headers), json_parse=False)
        except (WebhookVerificationError, ValueError) as refused:
            return self.answer(401, {"verified": False, "why": str(refused)})
        self.answer(200, {"verified": True, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(),
                          "test": self.headers.get("webhook-test"), "range": self.headers.get("x-penstock-range")})

    def slow(self, _):
        self.connection.settimeout(30)
        self.rfile.read(1)  # returns when the other side has gone
        self.close_connection = True

    def half(self, _):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"0123456789")
        self.close_connection = True

    def drip(self, _):
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while True:
            self.wfile.write(b".")
            self.wfile.flush()
            time.sleep(0.05)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
