"""One round of `penstock append`, fed and watched."""
import contextlib
import json
import random
import signal
import subprocess
import threading
import time

from room import LIMIT


class Append(threading.Thread):
    """Feeds it, collects what it acknowledges, knows how much was fed at most."""

    def __init__(self, room, turn, limit, make, pace=False, sizes=(1, 3, 20, 150, 400)):
        super().__init__(daemon=True)
        self.room, self.turn, self.limit, self.make, self.pace, self.sizes = room, turn, limit, make, pace, sizes
        self.seed, self.fed, self.acknowledged, self.first_offset = room.options.seed, 0, 0, None
        self.random = random.Random(f"{self.seed}/feed/{turn}/{make.__name__}")
        self.process = room.spawn("append", "append --log L --json -", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.reader = threading.Thread(target=self.collect, daemon=True)
        self.reader.start()
        self.start()

    def is_at_work(self):
        return self.acknowledged > 0 or self.process.poll() is not None

    def wrong(self, words):
        self.room.problems.append(f"round {self.turn}: {words}")

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def run(self):
        pending = b""
        with contextlib.suppress(OSError):  # killed
            while self.fed < self.limit:
                count = min(self.random.choice(self.sizes), self.limit - self.fed)
                data = pending + b"".join(self.make(self.seed, self.turn, n) for n in range(self.fed, self.fed + count))
                self.fed += count  # before the write: whatever arrives was counted
                # Mostly stop in the middle of a line: a kill must not turn half a line into a record.
                cut = len(data) if self.random.random() < 0.2 else self.random.randrange(len(data))
                self.write(data[:cut])
                pending = data[cut:]
                if self.pace:
                    time.sleep(self.random.choice((0, 0.001, 0.004, 0.02)))
            self.write(pending)

    def collect(self):
        for line in self.process.stdout:
            if not line.endswith(b"\n"):
                break  # cut by the kill: not said
            said = json.loads(line).get("acknowledged")
            if not said:
                continue
            if self.first_offset is None:
                self.first_offset = said["first"]
            elif said["first"] != self.first_offset + self.acknowledged:
                self.wrong(f"acknowledged {said['first']}…{said['last']}, but the last acknowledgement ended at "
                           f"{self.first_offset + self.acknowledged - 1}")
            self.acknowledged = said["last"] + 1 - self.first_offset

    def end(self, kill=False):
        """Kills it, or lets it finish. Whether it was killed: it may have finished before."""
        if kill:
            self.process.kill()
        self.join(LIMIT)
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        code = self.room.wait("append", self.process, (-signal.SIGKILL, 0) if kill else (0,), f"round {self.turn}: ")
        self.reader.join(LIMIT)
        if not kill and self.acknowledged != self.limit:
            self.wrong(f"append ended well, but acknowledged {self.acknowledged} of {self.limit}")
        return code == -signal.SIGKILL
