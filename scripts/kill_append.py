"""One round of `penstock append`, fed and watched. Part of kill-test.py."""
import json
import random
import signal
import subprocess
import threading
import time

HUNG_SECONDS = 120  # no single command may hang longer than this


def wait_until(condition, seconds=HUNG_SECONDS):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.002)


class Append(threading.Thread):
    """Feeds it, collects what it acknowledges, knows how much was fed at most."""

    def __init__(self, test, turn, limit, pace, *, log, make, sizes=(1, 3, 20, 150, 400)):
        super().__init__(daemon=True)
        self.test, self.turn, self.limit, self.pace, self.make, self.sizes = test, turn, limit, pace, make, sizes
        self.fed, self.acknowledged, self.first_offset, self.problems = 0, 0, None, []
        self.random = random.Random(f"{test.seed}/feed/{turn}/{make.__name__}")
        self.process = test.spawn("append", ["append", "--log", log, "--json", "-"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.reader = threading.Thread(target=self.collect, daemon=True)
        self.reader.start()
        self.start()

    def run(self):
        try:
            pending = b""
            while self.fed < self.limit:
                count = min(self.random.choice(self.sizes), self.limit - self.fed)
                rows = b"".join(self.make(self.test.seed, self.turn, n) for n in range(self.fed, self.fed + count))
                self.fed += count  # before the write: whatever arrives was counted
                data = pending + rows
                # Mostly stop in the middle of a line: a kill must not turn half a line into a record.
                cut = len(data) if self.random.random() < 0.2 else self.random.randrange(len(data))
                self.process.stdin.write(data[:cut])
                self.process.stdin.flush()
                pending = data[cut:]
                if self.pace:
                    time.sleep(self.random.choice((0, 0.001, 0.004, 0.02)))
            self.process.stdin.write(pending)
            self.process.stdin.flush()
        except OSError:
            pass  # killed

    def collect(self):
        for line in self.process.stdout:
            if not line.endswith(b"\n"):
                break  # cut by the kill: not said
            said = json.loads(line)
            if "acknowledged" not in said:
                continue
            first, last = said["acknowledged"]["first"], said["acknowledged"]["last"]
            if self.first_offset is None:
                self.first_offset = first
            elif first != self.first_offset + self.acknowledged:
                self.problems.append(f"round {self.turn}: acknowledged {first}…{last}, but the last acknowledgement "
                                     f"ended at {self.first_offset + self.acknowledged - 1}")
            self.acknowledged = last + 1 - self.first_offset

    def end(self, kill):
        """Kills it, or closes its input and lets it finish. It may have finished before the kill."""
        if kill:
            self.process.kill()
        self.join(HUNG_SECONDS)
        try:
            self.process.stdin.close()
        except OSError:
            pass
        code = self.test.wait(self.process, "append")
        self.reader.join(HUNG_SECONDS)
        if code not in ((-signal.SIGKILL, 0) if kill else (0,)):
            self.problems.append(f"round {self.turn}: append ended with {code}: {self.test.errors('append')}")
        if not kill and self.acknowledged != self.limit:
            self.problems.append(f"round {self.turn}: append ended well, but acknowledged {self.acknowledged} of "
                                 f"{self.limit}")
        return code == -signal.SIGKILL
