"""What is done to a log while its disk fails: appends, a producer's file, the service, deliveries, replays.

Each step may end badly: its process is killed, or its disk refuses a write. What was acknowledged is in the ledger.
`finish` sends again what was not, and has a name.
"""
import contextlib
import json
import subprocess
import threading
import time

from common import post
from room import LIMIT, directory, webhook
from web import Web


class Receiver(Web):
    """A webhook that rejects every batch with a bad record. It lives longer than any disk."""

    def __init__(self):
        super().__init__()
        self.received = set()

    def answer(self, _, body):
        if b'"event":"bad' in body:
            return 422, b"", {}
        self.received.update(event["event"] for event in json.loads(body))
        return 200, b"", {}


class Laboratory:
    """The penstock that is tried, and one log on the disk that is mounted."""

    def __init__(self, room):
        self.room, self.options, self.receiver, self.environment = room, room.options, Receiver(), {}
        if self.options.plant:
            self.environment = {"LD_PRELOAD": f"{room.path}/plants.so", "PENSTOCK_PLANT": self.options.plant}

    def move(self, place):
        """Works on the disk that is mounted at this place from now on."""
        self.place = place
        self.log = self.room.log = f"{place}/log"
        self.room.configure(
            directory(path=f"{place}/export", rotate={"maxRecords": 40, "maxAge": "1s"}),
            webhook(self.receiver.url, batch={"maxEvents": 20, "maxWait": "20ms"},
                    retry={"first": "20ms", "refusedWait": "1s"}),
            segmentSize="256KiB", sealing="on", durability=self.options.durability)

    @contextlib.contextmanager
    def start(self, command, kill_after=None, **streams):
        """Starts penstock. It is killed after so many seconds, when the context ends, and when this program dies."""
        with self.room.start(command, env=self.environment, before=("setpriv", "--pdeathsig", "KILL"),
                             **{"stderr": subprocess.DEVNULL, **streams}) as process:
            timer = threading.Timer(LIMIT if kill_after is None else kill_after, process.kill)
            timer.start()
            try:
                yield process
            finally:
                timer.cancel()
                process.kill()
                if process.stdin:
                    with contextlib.suppress(OSError):
                        process.stdin.close()

    def penstock(self, command, kill_after=None):
        """Runs it to its end: (return code, output, errors). One that hangs is killed, so its return code is not 0."""
        with self.start(command, kill_after, stderr=subprocess.PIPE) as process:
            out, errors = process.communicate()
        return process.returncode, out, errors


class Work:
    def __init__(self, laboratory, ledger, position):
        self.laboratory, self.ledger, self.position, self.random = laboratory, ledger, position, ledger.random
        self.steps = [self.feed, self.feed, self.file, self.serve, self.serve, self.deliver, self.replay]
        # What is not acknowledged yet: (path, records) of producers' files, (headers, records) of requests.
        self.files, self.requests = [], []
        self.all_files, self.all_requests, self.sequence, self.replays, self.refusal = [], [], 0, 0, "no answer"

    def again(self, ledger):
        """The same clients after a power cut. They send everything again, under its name."""
        work = Work(self.laboratory, ledger, lambda: 0)
        work.files, work.requests = list(self.all_files), list(self.all_requests)
        return work

    def step(self, kill):
        """Does one step, chosen at random, and returns its name. With `kill` its process may be killed."""
        chosen = self.random.choice(self.steps)
        # Each scale of time is as likely as the next.
        chosen(0.002 * 150 ** self.random.random() if kill and self.random.random() < 0.5 else None)
        return chosen.__name__

    def feed(self, kill_after=None):
        """Records on standard input. Acknowledgements name offsets, in the order of the input."""
        fed, base, laboratory = [], 0, self.laboratory

        def collect():
            nonlocal base
            for line in process.stdout:
                now = self.position()
                said = json.loads(line) if line.endswith(b"\n") else {}
                base = said.get("opened", {}).get("end", base)
                if ack := said.get("acknowledged"):
                    records = fed[ack["first"] - base:ack["last"] - base + 1]
                    self.ledger.batches.append(records)
                    self.ledger.acknowledge(now, ack["first"], records)

        batch = self.random.choice((1, 5, 20))
        with laboratory.start(f"append --log {laboratory.log} --config c.yaml --json --batch {batch} -", kill_after,
                              stdin=subprocess.PIPE) as process:
            reader = threading.Thread(target=collect)
            reader.start()
            with contextlib.suppress(OSError):
                for _ in range(self.random.randint(2, 15)):
                    rows = self.ledger.records(self.random.randint(1, 20))
                    fed += rows
                    process.stdin.write(b"".join(row + b"\n" for row in rows))
                    process.stdin.flush()
                process.stdin.close()
            reader.join()

    def file(self, kill_after=None):
        """A file under a producer's name, which continues where an earlier try ended."""
        records = self.ledger.records(self.random.randint(20, 200))
        name = f"input-{len(self.ledger.sent)}"
        self.laboratory.room.file(name, b"".join(record + b"\n" for record in records))
        self.files.append((name, records))
        self.all_files.append((name, records))
        self.send_file(kill_after)

    def send_file(self, kill_after=None):
        """Sends the first file that is not acknowledged. Whether it is now."""
        (name, records), laboratory = self.files[0], self.laboratory
        append = f"append --log {laboratory.log} --config c.yaml --producer {name} --batch 20 {name}"
        if laboratory.penstock(append, kill_after)[0]:
            return False
        self.files.pop(0)
        self.ledger.acknowledge(self.position(), None, records)
        return True

    def serve(self, kill_after=None):
        """Requests without a name, under idempotency keys and a producer's sequence, with deliveries under way."""
        for _ in range(self.random.randint(1, 12)):
            records = self.ledger.records(self.random.randint(1, 8))
            # A name makes the log sync, which `kernel` is to be tried without.
            how, headers = self.random.randrange(3 if self.ledger.is_promised else 1), {}
            if how == 1:
                headers = {"Idempotency-Key": f"key-{len(self.ledger.sent)}"}
            elif how == 2:
                self.sequence += 1
                headers = {"Penstock-Producer": "service", "Penstock-Sequence": str(self.sequence)}
            self.ledger.batches.append(records)
            self.requests.append((headers, records))
            self.all_requests += [(headers, records)] if headers else []
        self.send_requests(kill_after, linger=self.random.choice((0, 0, 0.5, 1.5)))
        # What has no name cannot be sent again.
        self.requests = [request for request in self.requests if request[0]]

    def send_requests(self, kill_after=None, linger=0):
        """Sends what is not answered, in order, up to the first refusal. Whether all is answered."""
        with self.laboratory.start("serve --config c.yaml --json", kill_after) as process:
            line = process.stdout.readline()
            # Where the log cannot be opened, it says an error instead.
            if b"listening" in line:
                with contextlib.suppress(OSError, ValueError):
                    self.post_all(json.loads(line)["listening"].partition("//")[2])
                # Deliveries are under way meanwhile.
                time.sleep(linger if kill_after is None else 0)
                process.terminate()
            process.wait()
        return not self.requests

    def post_all(self, address):
        while self.requests:
            headers, records = self.requests[0]
            status, text = post(address, b"\n".join(records), {"Content-Type": "application/x-ndjson", **headers})
            said = json.loads(text)
            if status != 200:
                self.refusal = said
                return
            self.ledger.acknowledge(self.position(), said.get("first"), records)
            self.requests.pop(0)

    def deliver(self, kill_after=None):
        self.laboratory.penstock("deliver --config c.yaml --until-caught-up", kill_after)

    def replay(self, kill_after=None):
        """All records so far, into a file on the same disk."""
        laboratory, name = self.laboratory, f"replay-{self.replays}.ndjson"
        self.replays += 1
        window, file = f"--id {name} --from 0 --until end", f"{laboratory.place}/{name}"
        code, out, _ = laboratory.penstock(f"replay --log {laboratory.log} {window} --file {file} --json", kill_after)
        if code == 0 and out:
            self.ledger.finished(self.position(), name, json.loads(out.splitlines()[-1])["end"])

    def finish(self, tries=3):
        """Sends again what is not acknowledged. Yields what stays refused, in words."""
        while self.files:
            if not any(self.send_file() for _ in range(tries)):
                yield f"{self.files[0][0]} is not taken"
                break
        if self.requests and not any(self.send_requests() for _ in range(tries)):
            yield f"{len(self.requests)} requests are not answered: {self.refusal}"
