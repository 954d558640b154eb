"""The clients, the killer and the proof of scripts/kill-serve.

Every batch has two events that no other batch has. Half of the clients name an idempotency key with each batch, the others a
producer and a sequence. A client sends a batch until it is answered with 200, then goes on; now and then it sends one again that was
answered before. The proof: the log holds each event of each answered batch once, next to each other and at the offsets that were
answered; an answer never changed; and of what was not answered at the end, nothing is there twice either.
"""
import argparse
import collections
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

p = argparse.ArgumentParser(description=__doc__)
p.add_argument("--rounds", type=int, default=500)
p.add_argument("--binary", required=True)
p.add_argument("--clients", type=int, default=50)
p.add_argument("--seed", type=int, default=random.randrange(1 << 32))
p.add_argument("--plant", choices=["lost", "doubled"], help="spoil the evidence: the proof must notice")
args = p.parse_args()

folder = tempfile.mkdtemp(prefix="penstock-kill-serve-")
log = os.path.join(folder, "events")
config = os.path.join(folder, "penstock.json")
with open(config, "w") as file:
    json.dump({"log": {"path": log}, "server": {"listen": "127.0.0.1:0"}}, file)

address = {"port": None}
ending = threading.Event()
violations = []


def start():
    server = subprocess.Popen(
        [args.binary, "serve", "--config", config, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = server.stdout.readline()
    if not line:
        sys.exit(f"kill-serve: the server did not start: {server.stderr.read()}")
    address["port"] = int(json.loads(line)["listening"].rsplit(":", 1)[1])
    return server


class Client(threading.Thread):
    def __init__(self, number):
        super().__init__(daemon=True)
        self.number, self.random = number, random.Random(args.seed * 1000 + number)
        self.next, self.answered = 1, {}
        self.sent = self.repeats = 0

    def send(self, sequence):
        """One request; None when it is not known what became of it."""
        body = json.dumps([{"event": f"{self.number}/{sequence}/{part}", "ts": sequence} for part in (1, 2)])
        headers = {"Content-Type": "application/json"}
        if self.number % 2:
            headers |= {"Penstock-Producer": f"client{self.number}", "Penstock-Sequence": str(sequence)}
        else:
            headers |= {"Idempotency-Key": f"{self.number}/{sequence}"}
        try:
            connection = http.client.HTTPConnection("127.0.0.1", address["port"], timeout=20)
            connection.request("POST", "/v1/events", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            connection.close()
        except (OSError, http.client.HTTPException):
            return None
        self.sent += 1
        if answer.status == 200:
            return json.loads(text)
        if answer.status not in (429, 503):
            violations.append(f"client {self.number}, batch {sequence}: {answer.status} {text!r}")
        return None

    def check(self, sequence, answer):
        if answer["accepted"] != 2:
            violations.append(f"client {self.number}, batch {sequence}: {answer}")
        first = answer.get("first")
        known = self.answered.get(sequence)
        # Of a producer's older appends the log remembers that they were, not where.
        if known is not None and first is not None and known != first:
            violations.append(f"client {self.number}, batch {sequence}: at {known}, then at {first}")
        if known is None:
            self.answered[sequence] = first

    def run(self):
        while not ending.is_set():
            answer = self.send(self.next)
            if answer is None:
                time.sleep(0.005)
                continue
            self.check(self.next, answer)
            self.next += 1
            if self.random.random() < 0.1:
                old = self.random.randrange(max(1, self.next - 12), self.next)
                again = self.send(old)
                if again is not None:
                    self.repeats += 1
                    if not again.get("duplicate"):
                        violations.append(f"client {self.number}, batch {old}: appended again: {again}")
                    self.check(old, again)


chance = random.Random(args.seed)
clients = [Client(number) for number in range(args.clients)]
server = start()
for client in clients:
    client.start()
began = time.time()
for number in range(args.rounds):
    time.sleep(chance.uniform(0.0, 0.4))
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    server = start()
time.sleep(0.5)
ending.set()
for client in clients:
    client.join(60)
server.send_signal(signal.SIGTERM)
if server.wait(60) != 0:
    violations.append(f"the last server ended with {server.returncode}: {server.stderr.read()}")

rows = subprocess.run([args.binary, "tail", "--log", log], capture_output=True, check=True, text=True).stdout.splitlines()
if args.plant == "lost":
    del rows[len(rows) // 2]
if args.plant == "doubled":
    rows.append(rows[len(rows) // 2])
events = [json.loads(row)["event"] for row in rows]
for event, count in collections.Counter(events).items():
    if count > 1:
        violations.append(f"{event} is in the log {count} times")
places = {event: offset for offset, event in enumerate(events)}
batches = 0
for client in clients:
    for sequence, first in client.answered.items():
        batches += 1
        found = [places.get(f"{client.number}/{sequence}/{part}") for part in (1, 2)]
        if None in found or found[1] != found[0] + 1 or (first is not None and found[0] != first):
            violations.append(f"client {client.number}, batch {sequence}: answered at {first}, found at {found}")
sent, repeats = sum(client.sent for client in clients), sum(client.repeats for client in clients)
print(
    f"kill-serve: {args.rounds} kills, {args.clients} clients, {batches} batches acknowledged, {sent} answers, "
    f"{repeats} repeated on purpose, {len(events)} events in the log, {time.time() - began:.0f} s, seed {args.seed}: "
    f"{len(violations)} violations")
for violation in violations[:20]:
    print("  " + violation)
if violations:
    print(f"kept: {folder}")
    sys.exit(1)
shutil.rmtree(folder)
