"""`penstock serve`, running in a room."""
import json
import time

import requests

LIMIT = 120  # seconds for any one thing


class Service:
    """`penstock serve` with serve.json; its errors are in serve.stderr."""

    def __init__(self, room, options, key=None, **more):
        self.room, self.key = room, key
        self.process, self.url = room.listen("serve", f"serve --config serve.json {options}", **more)
        self.port = int(self.url.rsplit(":", 1)[1])

    @property
    def errors(self):
        return self.room.read("serve.stderr").decode()

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
