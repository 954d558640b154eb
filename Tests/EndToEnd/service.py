"""`penstock serve`, running."""
import http.client
import json
import time

import requests

LIMIT = 60  # seconds for any one thing


class Service:
    """`penstock serve` with serve.json; its errors are in serve.err."""

    def __init__(self, room, options, key=None, **more):
        self.room, self.key = room, key
        with open(room.path / "serve.err", "ab") as errors:
            self.process = room.start(f"serve --config serve.json --json {options}", stderr=errors, **more)
        line = self.process.stdout.readline()
        assert b"listening" in line, f"it did not start: {line} {self.errors}"
        self.url = json.loads(line)["listening"]
        self.port = int(self.url.rsplit(":", 1)[1])

    @property
    def errors(self):
        return self.room.read("serve.err").decode()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)

    def ask(self, method, path, body=None):
        """A body of bytes is sent as lines, anything else as JSON."""
        is_lines = isinstance(body, bytes)
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        headers["Content-Type"] = "application/x-ndjson" if is_lines else "application/json"
        answer = requests.request(method, self.url + path, data=body if is_lines or body is None else json.dumps(body),
                                  headers=headers, timeout=LIMIT)
        answer.encoding = "utf-8"
        return answer

    def destination(self, name):
        return next(one for one in self.ask("GET", "/v1/destinations").json()["destinations"] if one["name"] == name)

    def stop(self):
        """SIGTERM must end it well; answers how many seconds that took."""
        begun = time.monotonic()
        self.process.terminate()
        assert self.process.wait(LIMIT) == 0, self.errors[-1500:]
        return time.monotonic() - begun
