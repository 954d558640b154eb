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
import json
import signal
import sys
import time
import urllib.parse

from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from web import Web


class Verifier(Web):
    webhook = Webhook(sys.argv[2])

    def answer(self, request, body):
        parts = urllib.parse.urlsplit(request.path)
        if request.command == "GET":
            body = urllib.parse.parse_qs(parts.query).get("event", [""])[0].encode()
        if parts.path == "/verify":
            return self.verify(request, body)
        request.close_connection = True
        {"/slow": self.slow, "/half": self.half, "/drip": self.drip}[parts.path](request)

    def verify(self, request, body):
        status, said = 200, {
            "verified": True, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(),
            "test": request.headers.get("webhook-test"), "range": request.headers.get("x-penstock-range")}
        try:
            self.webhook.verify(body, dict(request.headers), json_parse=False)
        except (WebhookVerificationError, ValueError) as refused:
            status, said = 401, {"verified": False, "why": str(refused)}
        return status, json.dumps(said).encode(), {}

    def slow(self, request):
        request.connection.settimeout(30)
        request.rfile.read(1)  # returns when the other side has gone

    def half(self, request):
        request.begin(200, 1000, {})
        request.wfile.write(b"0123456789")

    def drip(self, request):
        request.begin(200, 1_000_000, {})
        while True:
            request.wfile.write(b".")
            request.wfile.flush()
            time.sleep(0.05)


Verifier(int(sys.argv[1]))
signal.pause()
