"""Uses docs/examples/hummingbird-backend as its customers, its partner and its operator do, and kills it meanwhile.

With PENSTOCK_WITHOUT_S3=1 the bucket cannot be reached, which must not disturb the rest.
"""
import base64
import collections
import json
import os
import re
import subprocess
import threading

import pytest
import requests
import s3
import servers
from room import LIMIT, ROOT, until

BACKEND = ROOT / ".build/debug/Backend"
THREADS, ORDERS, KILLS = 4, 60, 2


class Backend:
    """One process of it."""

    def __init__(self, room, environment):
        self.said = room.path / f"backend-{len(room.live)}.said"
        with open(self.said, "w") as said:
            self.process = subprocess.Popen([BACKEND], cwd=room.path, env={**os.environ, **environment}, stdout=said,
                                            stderr=subprocess.STDOUT)
        room.live.append(self.process)
        until(lambda: "listening on" in self.said.read_text() or self.process.poll() is not None)
        self.port = re.search(r"listening on 127\.0\.0\.1:(\d+)", self.said.read_text())[1]

    def ask(self, path, body=None):
        """The status and the answer; None when there was no answer."""
        try:
            answer = requests.request("POST" if body else "GET", f"http://127.0.0.1:{self.port}{path}", json=body,
                                      timeout=LIMIT)
        except OSError:
            return None
        return answer.status_code, answer.json() if answer.ok else None

    def order_from_many(self, acknowledged, kill_after=None):
        """Orders from all threads; the kill comes when so many are answered."""
        before, lock, failed = len(acknowledged), threading.Lock(), []

        def customer():
            for quantity in range(1, ORDERS + 1):
                answer = self.ask("/orders", {"item": "lamp", "quantity": quantity})
                with lock:
                    if not answer or answer[0] != 201:
                        if answer or kill_after is None:
                            failed.append(answer)
                        return
                    acknowledged.add(answer[1]["id"])
                    if len(acknowledged) - before == kill_after:
                        self.process.kill()

        threads = [threading.Thread(target=customer) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed, f"orders were refused: {failed}"


@pytest.fixture
def bucket():
    """An empty one, of a server of its own; one that cannot be reached with PENSTOCK_WITHOUT_S3=1."""
    if os.environ.get("PENSTOCK_WITHOUT_S3") == "1":
        yield s3.Bucket("http://127.0.0.1:9", "a", "b", "us-east-1", "nowhere")
        return
    with servers.running("seaweedfs"):
        yield s3.Bucket.from_environment()


def test_every_answered_order_arrives_once(room, bucket):
    secret = "whsec_" + base64.b64encode(os.urandom(24)).decode()
    receiver = room.start("receive --json --out received --ledger ledger --fail 0.1", stderr=subprocess.DEVNULL,
                          env={**os.environ, "PENSTOCK_WEBHOOK_SECRET": secret})
    environment = {"SHOP_PORT": "0", "SHOP_ARCHIVE_SECONDS": "2", "SHOP_WEBHOOK_SECRET": secret,
                   "SHOP_WEBHOOK_URL": json.loads(receiver.stdout.readline())["listening"],
                   "SHOP_PRIVATE_WEBHOOK": "true", "SHOP_S3_ENDPOINT": bucket.endpoint,
                   "SHOP_BUCKET": bucket.name, "AWS_REGION": bucket.region,
                   "AWS_ACCESS_KEY_ID": bucket.access_key, "AWS_SECRET_ACCESS_KEY": bucket.secret_key}
    acknowledged, has_s3 = set(), bucket.name != "nowhere"
    for kill in range(KILLS):
        backend = Backend(room, environment)
        backend.order_from_many(acknowledged, kill_after=THREADS * ORDERS // (2 + kill))
        backend.process.wait(LIMIT)
    backend = Backend(room, environment)
    backend.order_from_many(acknowledged)
    assert backend.ask("/orders", {"item": "lamp", "quantity": 0})[0] == 400
    assert backend.ask("/orders/1")[0] == 404
    assert backend.ask("/orders/" + list(acknowledged)[0])[0] in (200, 404)

    def is_delivered():
        status = room.json("status --log events")
        committed = {cursor["name"]: cursor["committed"] for cursor in status["cursors"]}
        return all(committed[name] == status["end"] for name in ["partner"] + ["archive"] * has_s3)

    until(is_delivered)
    backend.process.terminate()
    assert backend.process.wait(LIMIT) == 0, backend.said.read_text()[-500:]
    tail = room("tail --log events").out
    counts = collections.Counter(json.loads(row)["properties"]["id"] for row in tail.splitlines())
    assert acknowledged <= set(counts) and set(counts.values()) == {1}, "orders are lost or doubled"
    assert room.read("received") == tail
    if has_s3:
        objects = [bucket.get(key) for key, _ in bucket.list("exports/usages")]
        assert b"".join(subprocess.run(["zstd", "-dc"], input=one, capture_output=True, check=True).stdout
                        for one in objects) == tail
