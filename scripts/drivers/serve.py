"""Kills `penstock serve` with SIGKILL under load from many clients.

Every batch has two events that no other batch has. Half of the clients name an idempotency key with each batch, the
others a producer and a sequence. docs/internals/testing.md says what must hold ("The service under kills").
"""
import collections
import json
import random
import signal
import threading
import time

from common import meanwhile, post

PLANTS = {"lost": "answered at .* found at", "doubled": "is in the log 2 times"}
AMOUNTS = {"rounds": (500, 8, "how many kills"), "clients": (50, 50, "how many")}


class Client:
    def __init__(self, test, number):
        self.test, self.number = test, number
        self.random = random.Random(test.room.options.seed * 1000 + number)
        self.next, self.answered, self.sent, self.repeats = 1, {}, 0, 0

    def wrong(self, sequence, what):
        self.test.room.problems.append(f"client {self.number}, batch {sequence}: {what}")

    def send(self, sequence):
        """One request; None when it is not known what became of it."""
        body = json.dumps([{"event": f"{self.number}/{sequence}/{part}", "ts": sequence} for part in (1, 2)])
        name = ({"Penstock-Producer": f"client{self.number}", "Penstock-Sequence": str(sequence)} if self.number % 2
                else {"Idempotency-Key": f"{self.number}/{sequence}"})
        try:
            status, text = post(self.test.address, body, name)
        except OSError:
            return None
        self.sent += 1
        if status not in (200, 429, 503):
            self.wrong(sequence, f"{status} {text!r}")
        return json.loads(text) if status == 200 else None

    def check(self, sequence, answer):
        if answer["accepted"] != 2:
            self.wrong(sequence, answer)
        first, known = answer.get("first"), self.answered.get(sequence)
        # Of a producer's older appends the log remembers that they were, not where.
        if known is not None and first is not None and known != first:
            self.wrong(sequence, f"at {known}, then at {first}")
        if known is None:
            self.answered[sequence] = first

    def run(self):
        while not self.test.ending.is_set():
            answer = self.send(self.next)
            if answer is None:
                time.sleep(0.005)
                continue
            self.check(self.next, answer)
            self.next += 1
            if self.random.random() < 0.1:
                old = self.random.randrange(max(1, self.next - 12), self.next)
                if (again := self.send(old)) is not None:
                    self.repeats += 1
                    if not again.get("duplicate"):
                        self.wrong(old, f"appended again: {again}")
                    self.check(old, again)


class ServeTest:
    def __init__(self, room):
        self.room, self.ending, self.address = room, threading.Event(), None
        room.configure()

    def start(self):
        server, url = self.room.listen("serve", "serve --config c.yaml")
        self.address = url.partition("//")[2]
        return server

    def run(self):
        options, server = self.room.options, self.start()
        chance, clients = random.Random(options.seed), [Client(self, number) for number in range(options.clients)]
        with meanwhile(self.ending, *(client.run for client in clients)):
            for number in range(options.rounds):
                time.sleep(chance.uniform(0.0, 0.4))
                server.kill()
                server.wait()
                server = self.start()
                options.progress(number + 1)
            time.sleep(0.5)
        server.send_signal(signal.SIGTERM)
        self.room.wait("serve", server)
        return self.prove(clients)

    def prove(self, clients):
        rows, problems = self.room.held().splitlines(), self.room.problems
        if self.room.options.plant == "lost":
            del rows[len(rows) // 2]
        if self.room.options.plant == "doubled":
            rows.append(rows[len(rows) // 2])
        events = [json.loads(row)["event"] for row in rows]
        problems += [f"{event} is in the log {count} times" for event, count in collections.Counter(events).items()
                     if count > 1]
        places, batches = {event: offset for offset, event in enumerate(events)}, 0
        for client in clients:
            for sequence, first in client.answered.items():
                batches += 1
                found = [places.get(f"{client.number}/{sequence}/{part}") for part in (1, 2)]
                if None in found or found[1] != found[0] + 1 or (first is not None and found[0] != first):
                    client.wrong(sequence, f"answered at {first}, found at {found}")
        return {"kills": self.room.options.rounds, "clients": len(clients), "batches acknowledged": batches,
                "answers": sum(client.sent for client in clients),
                "repeated on purpose": sum(client.repeats for client in clients), "events in the log": len(events)}


def run(room):
    return ServeTest(room).run()
