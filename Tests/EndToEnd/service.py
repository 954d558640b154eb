"""`penstock serve`, and servers that it talks to."""
import http.client
import http.server
import json
import threading
import time

LIMIT = 60  # seconds for any one thing


class Answer:
    def __init__(self, answer):
        self.status, self.headers, self.text = answer.status, answer.headers, answer.read().decode()

    @property
    def json(self):
        return json.loads(self.text)


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

    def ask(self, method, path, body=None, **headers):
        """A body of bytes is sent as lines, anything else as JSON."""
        line = self.connect()
        kind = "application/json" if not isinstance(body, bytes) else "application/x-ndjson"
        headers = {"Content-Type": kind, **({"Authorization": f"Bearer {self.key}"} if self.key else {}), **headers}
        line.request(method, path, body if body is None or isinstance(body, bytes) else json.dumps(body), headers)
        answer = Answer(line.getresponse())
        line.close()
        return answer

    def destination(self, name):
        return next(one for one in self.ask("GET", "/v1/destinations").json["destinations"] if one["name"] == name)

    def stop(self):
        """SIGTERM must end it well; answers how many seconds that took."""
        begun = time.monotonic()
        self.process.terminate()
        assert self.process.wait(LIMIT) == 0, self.errors[-1500:]
        return time.monotonic() - begun


class Web(http.server.ThreadingHTTPServer):
    """A server of the test: `answer(request, body)` gives a status, a body and fields."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Requests)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Requests(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def any(self):
        status, body, fields = self.server.answer(self, self.body())
        self.send_response(status)
        for name, value in {**fields, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = any

    def log_message(self, *_):
        pass
