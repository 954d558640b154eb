"""Mixed load for as long as wanted: memory and descriptors must stay flat, and everything must come out right.

  flat      the resident memory of each process: its median over the last third of the time is not above that over the
            second third by more than 15 % and 8 MiB; its descriptors by more than 8
  followed  both followers saw every record, in order, byte for byte (SHA-256)
  received  the webhook's receiver and the directory hold every record once, in order
  bounded   the log's files are no larger than the limit, apart from what a cursor held and one segment
"""
import contextlib
import hashlib
import os
import re
import shutil
import signal
import statistics
import subprocess
import threading
import time

import psutil
from common import Skipped, exported, meanwhile
from kill_proof import record
from room import LIMIT, directory, wait_until, webhook

PLANTS = {"leak": " grew from "}
KEPT = 4 << 20  # bytes of log
AMOUNTS = {"seconds": (600.0, 15.0, "how long")}


def prepare(options):
    if not os.path.isdir("/proc/self/fd"):
        raise Skipped("no /proc here, so nothing can be sampled")
    return contextlib.nullcontext()


class Watched:
    """A process, and what it took over time."""

    def __init__(self, name, process, plant):
        self.name, self.seen, self.samples, self.plant = name, psutil.Process(process.pid), [], plant

    def sample(self):
        try:
            memory, files = self.seen.memory_info().rss, self.seen.num_fds()
        except psutil.Error:
            return
        self.samples.append((memory + (len(self.samples) * (2 << 20) if self.plant == "leak" else 0), files))

    def growth(self):
        third = len(self.samples) // 3
        if third < 3:
            return [f"{self.name} was seen {len(self.samples)} times: too short"]
        (memory, files), (memory_now, files_now) = (
            [statistics.median(values) for values in zip(*part)]
            for part in (self.samples[third:2 * third], self.samples[2 * third:]))
        found = []
        if memory_now > memory * 1.15 + (8 << 20):
            found.append(f"{self.name} grew from {memory / 2**20:.0f} to {memory_now / 2**20:.0f} MiB")
        if files_now > files + 8:
            found.append(f"{self.name} went from {files} to {files_now} descriptors")
        return found


class Follower(threading.Thread):
    """Reads what a follower prints, and keeps its digest."""

    def __init__(self, process):
        super().__init__(daemon=True)
        self.process, self.digest, self.rows = process, hashlib.sha256(), 0
        self.start()

    def run(self):
        for row in self.process.stdout:
            self.digest.update(row)
            self.rows += 1


class Soak:
    def __init__(self, room):
        self.room, self.fed, self.digest, self.watched, self.ending = room, 0, hashlib.sha256(), [], threading.Event()
        self.replays = self.overtaken = self.largest = 0

    def start(self, name, command, **streams):
        process = self.room.spawn(name, command, **streams)
        self.watched.append(Watched(name, process, self.room.options.plant))
        return process

    def feed(self, writer):
        until = time.monotonic() + self.room.options.seconds
        while time.monotonic() < until:
            rows = b"".join(record(self.room.options.seed, 0, number) for number in range(self.fed, self.fed + 40))
            self.digest.update(rows)
            writer.stdin.write(rows)
            writer.stdin.flush()
            self.fed += 40
            time.sleep(1 / 40)
        writer.stdin.close()

    def watch(self):
        while not self.ending.wait(0.5):
            for one in self.watched:
                one.sample()
            with contextlib.suppress(FileNotFoundError):  # renamed or removed while we looked
                sizes = [path.stat().st_size for path in (self.room.path / "L/data").iterdir()]
                self.largest = max(self.largest, sum(sizes))

    def replay(self):
        """One replay of the newest records after the other, each under its own name."""
        while not self.ending.wait(2):
            self.replays += 1
            name, before = f"soak-{self.replays}", len(self.room.problems)
            code, _ = self.room.run(f"replay run --to again --from beginning --until end --config c.yaml --id {name}")
            if code == 1 and re.search(rf"replay {name}: records .* are lost: trimmed", self.room.errors("replay")):
                # On a busy machine the log's size limit passes a replay; that it says so is what is asked for.
                del self.room.problems[before:]
                self.overtaken += 1
            self.room.run(f"replay discard {name} --yes --log L")
            shutil.rmtree(self.room.path / "again", ignore_errors=True)

    def run(self):
        room = self.room
        receiver, url = room.listen("receive", "receive --listen 127.0.0.1:0 --out received --ledger ledger")
        self.watched.append(Watched("receive", receiver, room.options.plant))
        room.configure(
            webhook(url, batch={"maxEvents": 100, "maxWait": "50ms"}),
            directory(rotate={"maxRecords": 1000, "maxAge": "1s"}),
            directory(name="again", path="again", rotate={"maxRecords": 100}),
            segmentSize="256KiB", sealing="on", retention={"maxBytes": KEPT})
        writer = self.start("append", "append --log L --config c.yaml --batch 20 -", stdin=subprocess.PIPE)
        wait_until(lambda: room.has("L/META"))
        followers = [Follower(self.start(f"tail{number}", "tail --log L --from beginning --follow",
                                         stdout=subprocess.PIPE)) for number in (1, 2)]
        deliver = "deliver --config c.yaml --only web --only dir"
        delivery = self.start("deliver", deliver)
        with meanwhile(self.ending, self.watch, self.replay):
            self.feed(writer)
        room.wait("append", writer)
        wait_until(lambda: all(one.rows >= self.fed for one in followers))
        delivery.send_signal(signal.SIGTERM)
        room.wait("deliver", delivery, (0, 130))
        room.run(f"{deliver} --until-caught-up")
        for number, one in enumerate(followers, 1):
            one.process.kill()
            one.join(LIMIT)
            if one.digest.digest() != self.digest.digest():
                room.problems.append(f"follower {number} saw {one.rows} records, fed were {self.fed}, or others")
        receiver.send_signal(signal.SIGTERM)
        room.wait("receive", receiver, (0, 130))
        self.check()
        return {"records": self.fed, "replays": self.replays, "overtaken by the log's limit": self.overtaken,
                "KiB of log at most": self.largest >> 10,
                **{f"MiB of {one.name} at most": max(one.samples)[0] >> 20 for one in self.watched}}

    def check(self):
        problems = self.room.problems
        for one in self.watched:
            problems += one.growth()
        if hashlib.sha256(self.room.read("received")).digest() != self.digest.digest():
            problems.append("the receiver holds something else than what was fed")
        rows, count = exported(self.room.path / "out")
        if hashlib.sha256(rows).digest() != self.digest.digest():
            problems.append(f"{count} objects hold something else than the {self.fed} records that were fed")
        if self.largest > KEPT + (4 << 20):
            problems.append(f"the log took {self.largest >> 20} MiB, {KEPT >> 20} were allowed")


def run(room):
    return Soak(room).run()
