#!/usr/bin/env python3
"""Uses docs/examples/hummingbird-backend as its customers, its partner and its operator do.

usage: test-backend.py BACKEND PENSTOCK

Orders are sent from four threads while the backend is killed and started again; then SIGTERM ends it. Every order that was
answered must be in the log, at the partner (`penstock receive`) and, with an S3 server, in the bucket: once. Needs
scripts/setup --tests, or PENSTOCK_WITHOUT_S3=1: then the bucket cannot be reached, which must not disturb the rest.
"""
import base64
import collections
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import s3  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIMIT = 60  # seconds for any one thing
THREADS, ORDERS, KILLS = 4, 60, 2


def expect(condition, words):
    if not condition:
        raise AssertionError(words)


def until(condition, words):
    end = time.monotonic() + LIMIT
    while not condition():
        expect(time.monotonic() < end, f"it takes more than {LIMIT} s until {words}")
        time.sleep(0.02)


class Backend:
    """One process of it."""

    def __init__(self, binary, folder, environment):
        self.said = os.path.join(folder, f"backend-{time.monotonic_ns()}.said")
        with open(self.said, "w") as said:
            self.process = subprocess.Popen([binary], cwd=folder, env={**os.environ, **environment}, stdout=said,
                                            stderr=subprocess.STDOUT)
        until(lambda: self.port or self.process.poll() is not None, "the backend listens")
        expect(self.port, f"the backend ended with {self.process.returncode}: {self.words}")

    @property
    def words(self):
        with open(self.said) as file:
            return file.read()

    @property
    def port(self):
        found = re.search(r"listening on 127\.0\.0\.1:(\d+)", self.words)
        return found and int(found[1])

    def order(self, quantity):
        """The new order's id; None when there was no answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/orders", json.dumps({"item": "lamp", "quantity": quantity}).encode(),
            {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=LIMIT) as answer:
                expect(answer.status == 201, f"answered {answer.status}")
                return json.load(answer)["id"]
        except urllib.error.HTTPError:
            raise
        except OSError:
            return None

    def status_of(self, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, {"Content-Type": "application/json"})
        try:
            return urllib.request.urlopen(request, timeout=LIMIT).status
        except urllib.error.HTTPError as error:
            return error.code


class Trial:
    def __init__(self, binary, penstock):
        self.binary, self.penstock = os.path.abspath(binary), os.path.abspath(penstock)
        self.folder = tempfile.mkdtemp(prefix="penstock-backend.")
        self.has_s3 = os.environ.get("PENSTOCK_WITHOUT_S3") != "1"
        self.bucket, self.state, self.live = None, None, []
        self.acknowledged = set()

    def start_s3(self):
        """The bucket's variables, as the backend takes them."""
        if not self.has_s3:
            return {"SHOP_S3_ENDPOINT": "http://127.0.0.1:9", "SHOP_BUCKET": "nowhere", "AWS_ACCESS_KEY_ID": "a",
                    "AWS_SECRET_ACCESS_KEY": "b"}
        said = subprocess.run([os.path.join(ROOT, "scripts/s3-server"), "start"], check=True, capture_output=True, text=True,
                              timeout=LIMIT * 3)
        found = dict(re.findall(r"^PENSTOCK_S3_(\w+)='?([^'\n]*)'?$", said.stdout, re.M))
        self.state = found["STATE"]
        self.bucket = s3.Bucket(found["ENDPOINT"], found["ACCESS_KEY"], found["SECRET_KEY"], found["BUCKET"],
                                found["REGION"])
        return {"SHOP_S3_ENDPOINT": found["ENDPOINT"], "SHOP_BUCKET": found["BUCKET"], "AWS_REGION": found["REGION"],
                "AWS_ACCESS_KEY_ID": found["ACCESS_KEY"], "AWS_SECRET_ACCESS_KEY": found["SECRET_KEY"]}

    def start_receiver(self):
        secret = "whsec_" + base64.b64encode(os.urandom(24)).decode()
        process = subprocess.Popen(
            [self.penstock, "receive", "--json", "--out", "received", "--ledger", "ledger", "--fail", "0.1"],
            cwd=self.folder, env={**os.environ, "PENSTOCK_WEBHOOK_SECRET": secret}, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        self.live.append(process)
        return {"SHOP_WEBHOOK_URL": json.loads(process.stdout.readline())["listening"], "SHOP_WEBHOOK_SECRET": secret,
                "SHOP_PRIVATE_WEBHOOK": "true"}

    def start_backend(self, environment):
        backend = Backend(self.binary, self.folder, environment)
        self.live.append(backend.process)
        return backend

    def order_from_many(self, backend, kill_after=None):
        """Orders from all threads; the kill comes when so many are answered."""
        lock = threading.Lock()
        answered, failed = [0], []

        def customer():
            for quantity in range(1, ORDERS + 1):
                try:
                    order = backend.order(quantity)
                except urllib.error.HTTPError as error:
                    failed.append(error)
                    return
                with lock:
                    if order is None:
                        if kill_after is None:
                            failed.append("no answer")
                        return
                    self.acknowledged.add(order)
                    answered[0] += 1
                    if answered[0] == kill_after:
                        backend.process.kill()

        threads = [threading.Thread(target=customer) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expect(not failed, f"an order was refused: {failed}")

    def positions(self):
        said = subprocess.run([self.penstock, "status", "--log", "events", "--json"], cwd=self.folder, check=True,
                              capture_output=True, timeout=LIMIT).stdout
        status = json.loads(said)
        return status["end"], {cursor["name"]: cursor["committed"] for cursor in status["cursors"]}

    def is_delivered(self):
        end, committed = self.positions()
        return all(committed[name] == end for name in ["partner"] + ["archive"] * self.has_s3)

    def run(self):
        environment = {"SHOP_PORT": "0", "SHOP_ARCHIVE_SECONDS": "2", **self.start_s3(), **self.start_receiver()}
        for kill in range(KILLS):
            backend = self.start_backend(environment)
            self.order_from_many(backend, kill_after=THREADS * ORDERS // (2 + kill))
            backend.process.wait(LIMIT)
        backend = self.start_backend(environment)
        self.order_from_many(backend)
        expect(backend.status_of("/orders", b'{"item":"lamp","quantity":0}') == 400, "no lamps at all can be ordered")
        expect(backend.status_of("/orders/1") == 404, "there is an order 1")
        expect(backend.status_of("/orders/" + list(self.acknowledged)[0]) in (200, 404), "an order cannot be read")
        until(self.is_delivered, "everything is delivered")
        backend.process.terminate()
        code = backend.process.wait(LIMIT)
        expect(code == 0, f"SIGTERM ended the backend with {code}: {backend.words[-500:]}")
        self.compare()

    def compare(self):
        tail = subprocess.run([self.penstock, "tail", "--log", "events"], cwd=self.folder, check=True,
                              capture_output=True, timeout=LIMIT).stdout
        self.is_complete("the log", tail)
        with open(os.path.join(self.folder, "received"), "rb") as file:
            received = file.read()
        expect(received == tail, "the partner has something else than the log")
        if self.has_s3:
            objects = [self.bucket.get(key) for key, _ in self.bucket.list("exports/usages")]
            rows = b"".join(subprocess.run(["zstd", "-dc"], input=one, capture_output=True, check=True).stdout
                            for one in objects)
            expect(rows == tail, "the bucket has something else than the log")
            print(f"{len(objects)} objects in the bucket")
        print(f"{len(self.acknowledged)} orders answered, {tail.count(10)} in the log, killed {KILLS} times")

    def is_complete(self, where, rows):
        counts = collections.Counter(json.loads(row)["properties"]["id"] for row in rows.splitlines())
        lost = self.acknowledged - set(counts)
        doubled = [order for order, count in counts.items() if count > 1]
        expect(not lost and not doubled, f"{where}: {len(lost)} orders are lost, {len(doubled)} doubled")

    def clean_up(self):
        for process in self.live:
            if process.poll() is None:
                process.kill()
            process.wait()
        if self.state:
            subprocess.run([os.path.join(ROOT, "scripts/s3-server"), "stop", self.state], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    trial = Trial(*sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        trial.run()
    except (AssertionError, OSError, subprocess.SubprocessError) as problem:
        sys.exit(f"test-backend: {problem}")
    finally:
        trial.clean_up()


if __name__ == "__main__":
    main()
