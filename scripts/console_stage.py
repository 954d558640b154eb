"""What the console is tested on: `penstock serve`, a webhook receiver and a bucket that can be told to fail, and events."""
import http.client
import http.server
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time

SECRETS = {"header": "key-that-must-not-show",
           "signing": "whsec_dGhpcyBtdXN0IG5vdCBiZSBzaG93biwgZXZlcg==",
           "s3": "S3SECRETTHATMUSTNOTSHOW"}
POISON = '<img src=x onerror="window.hurt=true"><script>window.hurt=true</script>'
NAMES = ["Home Page", "Pricing", "Impression", "Click", "Goal", "Dismiss", "Timeout", "Holdout"]


class Destinations(http.server.ThreadingHTTPServer):
    """The webhook at /v1/api/ingest/ and, under /acme-events, the bucket."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.is_bucket_down = self.takes_poison = False
        self.objects, self.events, self.replayed = {}, 0, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answers(http.server.BaseHTTPRequestHandler):
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

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.body()
        if b"poison" in body and not self.server.takes_poison:
            return self.answer(400, f"no such thing: {POISON}".encode())
        count = len(json.loads(body))
        self.server.events += count
        if self.headers.get("webhook-replay"):
            self.server.replayed += count
        self.answer(200, b"thanks")

    def do_PUT(self):
        body = self.body()
        if self.server.is_bucket_down:
            return self.answer(503, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message>"
                                    b"</Error>")
        self.server.objects[self.path] = body
        self.answer(200, ETag='"0123456789abcdef0123456789abcdef"')

    def do_GET(self):
        found = self.server.objects.get(self.path)
        self.answer(404 if found is None else 200, found or b"")

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


class Stage:
    def __init__(self, binary):
        self.binary, self.random = binary, random.Random(17)
        self.folder = tempfile.mkdtemp(prefix="penstock-console-")
        self.destinations = Destinations()
        port = self.destinations.server_address[1]
        config = {
            "log": {"path": "events", "segmentSize": "256KiB"},
            "server": {"listen": "127.0.0.1:0", "keysFile": "keys.json"},
            "destinations": [
                {"name": "webhook", "type": "webhook", "url": f"http://127.0.0.1:{port}/v1/api/ingest/",
                 "allowPrivateNetworks": True,
                 "headers": {"your-api-key": SECRETS["header"]}, "signing": {"secrets": [SECRETS["signing"]]},
                 "batch": {"maxEvents": 500, "maxWait": "500ms"}, "fields": {"optional": ["app_id", "segments"]},
                 "deadLetters": "on"},
                {"name": "archive", "type": "s3", "bucket": "acme-events", "region": "eu-central-1",
                 "endpoint": f"http://127.0.0.1:{port}", "compression": "zstd",
                 "credentials": {"accessKey": "AKIAIOSFODNN7EXAMPLE", "secretKey": SECRETS["s3"]},
                 "rotate": {"maxAge": "1s"}, "retry": {"first": "20s", "cap": "40s"}},
                {"name": "warehouse", "type": "directory", "path": "exports", "rotate": {"maxAge": "1s"}},
            ],
        }
        with open(f"{self.folder}/penstock.json", "w") as file:
            json.dump(config, file)
        self.admin = self.key("ops", "companyAdmin")
        self.fill(16_000)
        self.start()

    def key(self, name, role, *more):
        made = subprocess.run([self.binary, "keys", "create", "--file", "keys.json", "--name", name, "--role", role, "--json",
                               *more], capture_output=True, text=True, check=True, cwd=self.folder)
        return json.loads(made.stdout)["token"]

    def fill(self, count):
        """Events that are there before the service begins."""
        lines = "".join(json.dumps(self.event()) + "\n" for _ in range(count))
        subprocess.run([self.binary, "append", "--config", "penstock.json", "--log", "events", "-"],
                       input=lines, text=True, check=True, capture_output=True, cwd=self.folder)

    def start(self, listen=None):
        more = ["--listen", listen] if listen else []
        with open(f"{self.folder}/errors", "a") as errors:
            self.server = subprocess.Popen([self.binary, "serve", "--config", "penstock.json", "--json", *more],
                                           stdout=subprocess.PIPE, stderr=errors, text=True, cwd=self.folder)
        line = self.server.stdout.readline()
        if not line:
            raise SystemExit(f"test-console: the service did not start: {self.errors()}")
        if "listening" not in line:
            raise SystemExit(f"test-console: the service did not start: {line}")
        self.url = json.loads(line)["listening"]
        self.port = int(self.url.rsplit(":", 1)[1])

    def stop(self):
        """Gracefully; how many seconds it took."""
        begun = time.monotonic()
        self.server.send_signal(signal.SIGTERM)
        self.server.wait(30)
        return time.monotonic() - begun

    def close(self):
        if self.server.poll() is None:
            self.server.kill()
            self.server.wait()
        self.destinations.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)

    def errors(self):
        """What the service wrote last."""
        with open(f"{self.folder}/errors") as file:
            return file.read()[-1500:]

    def ask(self, method, path, body=None, key=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {"Authorization": f"Bearer {key or self.admin}", "Content-Type": "application/json"}
        connection.request(method, path, body and json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def event(self):
        pick = self.random
        values = [{"url_hash": "", "url_path": f"/p/{pick.randrange(900)}"}]
        return {"app_id": "74f72649-0327-4911-bd21-a4cd533cec1c", "user_id": f"{pick.randrange(10**6)}",
                "event": pick.choice(NAMES), "platform": "redfast", "type": pick.choice(["page", "track", "custom"]), "ts": int(time.time()),
                "properties": {"id": f"{pick.getrandbits(64):016x}", "values": values},
                "segments": [{"id": f"s{pick.randrange(40)}", "name": "Engaged"}]}

    def append(self, count):
        status, text = self.ask("POST", "/v1/events", [self.event() for _ in range(count)])
        if status != 200:
            raise SystemExit(f"test-console: {status} {text}")

    def feed(self, ending):
        """Events as they come on a working day: now more, now fewer."""
        def run():
            while not ending.wait(0.25):
                try:
                    self.append(max(5, int(self.random.gauss(110, 40))))
                except (OSError, http.client.HTTPException):
                    return
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread
