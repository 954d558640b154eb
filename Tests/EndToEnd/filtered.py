"""One log with many filtered destinations, what they receive, and whether that is what their filters select."""
import collections
import contextlib
import random
import re
import signal
import threading

import requests
from filters import facts, odd, random_filter, record, selects, spelled
from room import LIMIT, Folder
from web import Web

# Of a webhook: batching and requests in flight.
KINDS = ("array 1", "directory", "array 4", "array 1", "s3", "single 1", "array 1", "directory", "array 4", "array 1",
         "array 1", "directory", "array 4", "array 1", "s3", "single 64", "array 1", "directory", "array 4", "array 1")
EAGER = {"circuit": {"failures": 1000000}, "retry": {"first": "5ms", "cap": "50ms"}}


class Receiver(Web):
    """Of all webhooks. It has two stores: one remembers ids, the other only where the last range ended."""

    def __init__(self, seed):
        self.chance, self.lock, self.wrong = random.Random(seed), threading.Lock(), []
        self.batches, self.taken = collections.defaultdict(dict), collections.defaultdict(list)
        self.ends = collections.Counter()
        super().__init__()

    def answer(self, request, body):
        name, id = request.path[1:], request.headers["webhook-id"]
        first, last = map(int, request.headers["X-Penstock-Range"].split("-"))
        with self.lock:
            luck = self.chance.random()
            if luck > 0.03:
                batch = (first, last, body)
                if (known := self.batches[name].setdefault(id, batch)) != batch:
                    self.wrong.append(f"{name}: {id} has two contents: {known} and {batch}")
                if first >= self.ends[name]:
                    self.ends[name] = last + 1
                    self.taken[name].append(body)
        # Half of the failures come after the batch was stored.
        return (503 if luck < 0.06 else 200), b"", {}


class Destination:
    def __init__(self, world, number):
        chance, self.world, self.name = world.chance, world, f"d{number}"
        self.kind = KINDS[number % len(KINDS)]
        self.is_export = self.kind in ("directory", "s3")
        # Each filter, with the number of records in the log when it became the configuration's.
        self.filters = [(0, random_filter(chance))]
        common = {"name": self.name, **EAGER}
        if self.is_export:
            self.keys = {**common, "maxInFlight": chance.randint(1, 4), **world.place(self), "rotate": {
                "maxRecords": chance.randint(3, 80), "maxAge": chance.choice(("50ms", "500ms"))}}
        else:
            batching, at_once = self.kind.split()
            self.keys = {**common, "type": "webhook", "url": world.receiver.url + self.name, "batching": batching,
                         "allowPrivateNetworks": True, "maxInFlight": int(at_once), "batch": {
                             "maxEvents": chance.randint(1, 40), "maxWait": chance.choice(("0s", "50ms", "500ms"))}}

    def settings(self):
        filter = self.filters[-1][1]
        return self.keys if filter is None else {**self.keys, "filter": spelled(filter, self.world.chance)}

    def batches(self):
        """(first, last, content) of each batch, in the order of the offsets."""
        world = self.world
        if not self.is_export:
            batches = list(world.receiver.batches[self.name].values())
            if self.kind.endswith("1"):
                assert batches == sorted(batches), "batches came out of order"
                assert world.receiver.taken[self.name] == [body for *_, body in batches], "the last end is not enough"
            return sorted(batches)
        return sorted((*map(int, re.search(r"-(\d+)-(\d+)\.json$", key).groups()), self.place.get(key))
                      for key, _ in self.place.list(self.prefix))

    def check(self):
        records, numbers, end = self.world.records, [], 0
        for first, last, content in self.batches():
            found = [int(number) for number in re.findall(rb"#(\d+)#", content)]
            assert end <= first <= found[0] and found == sorted(set(found)) and found[-1] <= last, (end, first, found)
            body = b",".join(records[number] for number in found)
            if self.is_export:
                body = b"".join(records[number] + b"\n" for number in found)
            assert content == (b"[" + body + b"]" if self.kind.startswith("array") else body), (first, last)
            numbers += found
            end = last + 1
        arrived, current = set(numbers), 0
        assert len(arrived) == len(numbers)
        # A record that came under a filter is delivered by it or by a later one, and filters take turns in their order.
        for number, fact in enumerate(self.world.facts):
            while current + 1 < len(self.filters) and self.filters[current + 1][0] <= number:
                current += 1
            while selects(self.filters[current][1], fact) != (number in arrived):
                current += 1
                assert current < len(self.filters), \
                    f"{number} {'arrived' if number in arrived else 'is missing'}: {records[number]}"
        return len(numbers)


class World:
    """One log and its destinations. `most`: events in a request."""

    def __init__(self, room, bucket, seed, count, most, retention):
        self.room, self.bucket, self.chance = room, bucket, random.Random(seed)
        self.receiver, self.prefix = Receiver(seed), f"filters-{room.path.name}"
        self.records, self.facts, self.unanswered, self.sequence, self.paused = [], [], None, 1, None
        self.log, self.most = {"path": "L", "segmentSize": "64KiB", **retention}, most
        self.destinations = [Destination(self, number) for number in range(count)]

    def place(self, destination):
        """Where an export goes; the keys of the destination that say so."""
        is_folder = destination.kind == "directory" or not self.bucket
        destination.place = Folder(self.room.path / destination.name) if is_folder else self.bucket
        destination.prefix = f"{self.prefix}/{destination.name}/usages"
        return destination.place.destination(name=destination.name, prefix=destination.prefix)

    def grow(self, count, make):
        """So many new records; the log will have them at their numbers."""
        start = len(self.records)
        self.records += [make(self.chance, start + number) for number in range(count)]
        self.facts += map(facts, self.records[start:])
        return b"".join(line + b"\n" for line in self.records[start:])

    def send(self, service):
        """Sends events, or again those without an answer; whether they were acknowledged."""
        self.unanswered = self.unanswered or (len(self.records), self.grow(self.chance.randint(1, self.most), record))
        try:
            answer = requests.post(service.url + "/v1/events", self.unanswered[1], timeout=LIMIT, headers={
                "Content-Type": "application/x-ndjson", "Penstock-Producer": "test",
                "Penstock-Sequence": str(self.sequence)})
        except requests.RequestException:
            return False
        if answer.status_code != 503:
            assert answer.status_code == 200 and answer.json()["first"] == self.unanswered[0], answer.text
            self.unanswered, self.sequence = None, self.sequence + 1
        return answer.status_code == 200

    def ask(self, service, destination, what):
        with contextlib.suppress(requests.RequestException):
            assert service.ask("POST", f"/v1/destinations/{destination}/{what}", {}).status_code in (200, 503)

    def serve(self):
        return self.room.serve({"log": self.log, "destinations": [one.settings() for one in self.destinations]})

    def round(self):
        chance = self.chance
        for destination in self.destinations:
            if chance.random() < 0.1:
                destination.filters.append((len(self.records), random_filter(chance)))
        service = self.serve()
        # From the first moments to well into the work, each scale as likely as the next.
        moment, sign = 0.002 * 750 ** chance.random(), chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
        killer = threading.Timer(moment, service.process.send_signal, [sign])
        if chance.random() < 0.7:
            self.send(service)
        killer.start()
        if self.paused:
            self.ask(service, self.paused, "resume")
        self.paused = chance.choice(self.destinations).name
        self.ask(service, self.paused, "pause")
        while self.send(service) and chance.random() < 0.85:
            pass
        killer.join()
        assert service.process.wait(LIMIT) in (0, -signal.SIGKILL), service.errors[-1500:]
        if not self.unanswered and chance.random() < 0.3:
            self.room.append(self.grow(chance.randrange(1, 40), odd), "--config serve.json --no-validate")

    def finish(self):
        """Ends well, delivers everything, and holds each destination against its filters; how many got some."""
        service = self.serve()
        for destination in self.destinations:
            self.ask(service, destination.name, "resume")
        while self.unanswered:
            self.send(service)
        service.stop()
        return self.settle()

    def settle(self):
        self.room("deliver --config serve.json --until-caught-up --json")
        assert not self.receiver.wrong, self.receiver.wrong
        end, said = len(self.records), self.room.json("verify --s3 --config serve.json --depth content")
        counts = {}
        for destination in self.destinations:
            try:
                counts[destination.name] = destination.check()
            except AssertionError as problem:
                raise AssertionError(f"{destination.name} ({destination.kind}, {destination.filters})") from problem
        for report in (each["report"] for each in said["exports"]):
            assert (report["first"], report["end"], report["rows"]) == (0, end, counts[report["cursor"]]), report
            assert report["hasManifest"]
        return sum(0 < count < end for count in counts.values())

    def rebuild(self):
        """Cursors of exports are lost, and made again from the manifests."""
        exports = [destination.name for destination in self.destinations if destination.is_export]
        for name in self.chance.sample(exports, min(6, len(exports))):
            self.room(f"cursor delete {name} --log L --yes")
            said = self.room.json(f"cursor rebuild {name} --config serve.json --yes")
            assert said["committed"] == len(self.records), said

    def clean_up(self):
        self.receiver.shutdown()
        for key, _ in self.bucket.list(self.prefix + "/") if self.bucket else ():
            self.bucket.remove(key)
