"""Power cuts: a workload is recorded once, write by write; then the power goes at random moments of it.

What was flushed is on the disk. Of what was not, any part may be.
"""
import contextlib
import ctypes
import os
import pathlib
import random
import struct
import threading

from common import meanwhile
from device import Disk, Unusable, copy_image, make_image, mounted
from ledger import Judge, Ledger
from work import Laboratory, Work

WRITE, FLUSH = 1, 2
SECTOR = 512
SYNC_FILE_RANGE_WRITE = 2


class Journal:
    """The writes and flushes of a device, as it noted them."""

    def __init__(self, path):
        data = pathlib.Path(path).read_bytes()
        # (position after the entry, kind, offset, bytes)
        self.entries, at = [], 0
        while at + 16 <= len(data):
            kind, length, offset = struct.unpack_from("=IIQ", data, at)
            at += 16 + length
            self.entries.append((at, kind, offset, data[at - length:at]))


class Outcome:
    """The image a power cut leaves, in `image`: moves on through a journal, from cut to cut."""

    def __init__(self, journal, base):
        self.entries, self.base, self.next, self.pending = journal.entries, base, 0, []

    def move(self, count):
        """Lets `count` entries of the journal, from its beginning, have happened."""
        with open(self.base, "r+b") as file:
            while self.next < count:
                _, kind, offset, data = self.entries[self.next]
                self.next += 1
                if kind == WRITE:
                    self.pending.append((offset, data))
                elif kind == FLUSH:
                    for offset, data in self.pending:
                        file.seek(offset)
                        file.write(data)
                    self.pending.clear()
        return self.entries[count - 1][0] if count else 0

    def cut(self, image, choose):
        """One outcome; answers how it was chosen, in a word."""
        copy_image(self.base, image)
        how = choose.choice(("none", "all", "some", "most", "torn", "torn", "last", "all but one"))
        odd = choose.randrange(len(self.pending)) if self.pending else 0
        with open(image, "r+b") as file:
            for index, (offset, data) in enumerate(self.pending):
                kept = {"none": False, "all": True, "some": choose.random() < 0.5, "most": choose.random() < 0.9,
                        "torn": True, "last": index == len(self.pending) - 1, "all but one": index != odd}[how]
                if not kept:
                    continue
                for start in range(0, len(data), SECTOR) if how == "torn" else [None]:
                    if start is None or choose.random() < 0.5:
                        file.seek(offset + (start or 0))
                        file.write(data if start is None else data[start:start + SECTOR])
        return f"{how} of {len(self.pending)} unflushed writes"


def early_writes(folder):
    """Has the kernel write dirty pages now and then, as it does by itself within half a minute: nothing is flushed."""
    ending, libc, choice = threading.Event(), ctypes.CDLL(None, use_errno=True), random.Random()

    def push():
        while not ending.wait(0.004):
            paths = [os.path.join(place, name) for place, _, names in os.walk(folder) for name in names]
            with contextlib.suppress(OSError, IndexError), open(choice.choice(paths), "rb") as file:
                libc.sync_file_range(file.fileno(), ctypes.c_int64(0), ctypes.c_int64(0), SYNC_FILE_RANGE_WRITE)

    return meanwhile(ending, push)


class Cuts:
    """One recorded workload and the states that power cuts make of it."""

    def __init__(self, room, kind, seeded):
        self.options, self.folder, self.kind, self.random = room.options, room.path, kind, seeded
        self.laboratory = Laboratory(room)
        self.crash, self.base = f"{self.folder}/crash.image", f"{self.folder}/base.image"

    def record(self, rounds):
        image = f"{self.folder}/work.image"
        make_image(self.base, self.kind, f"{self.folder}/mount")
        copy_image(self.base, image)
        self.ledger = Ledger(self.random, is_promised=self.options.durability == "disk")
        with Disk(self.folder, image, self.kind) as disk:
            self.laboratory.move(disk.path)
            self.work = Work(self.laboratory, self.ledger, disk.position)
            # With `kernel` it is the late writes that show what a cursor may not rely on.
            with early_writes(disk.path) if self.ledger.is_promised else contextlib.nullcontext():
                for _ in range(rounds):
                    self.work.step(kill=True)
        os.remove(image)
        return Journal(disk.journal)

    def states(self):
        """Yields, for each state, what is wrong with it."""
        journal = self.record(self.random.randint(8, 14))
        outcome = Outcome(journal, self.base)
        writes = [count for count, entry in enumerate(journal.entries, 1) if entry[1] == WRITE]
        points = sorted(self.random.choices(writes, k=self.options.states))
        for number, point in enumerate(points):
            position = outcome.move(point)
            how = outcome.cut(self.crash, self.random)
            ledger = self.ledger.until(position)
            try:
                # Two cuts take longer: every fourth state.
                if number % 4 == 3:
                    how += self.second_cut(ledger)
                problems = self.judge(ledger)
            except Unusable as error:
                # A file system does not always survive a torn block of its own metadata. That is not penstock's.
                how, problems = f"{how}: {error}", None
            yield f"entry {point} of {len(journal.entries)}, {how}", problems

    def second_cut(self, ledger):
        """Starts penstock on the first outcome, and cuts again. The outcome replaces the first."""
        first, base = f"{self.folder}/first.image", f"{self.folder}/second.image"
        os.rename(self.crash, first)
        copy_image(first, base)
        second = Ledger(self.random, ledger.sent, ledger.is_promised)
        with Disk(self.folder, first, self.kind) as disk:
            self.laboratory.move(disk.path)
            if os.path.exists(f"{self.laboratory.log}/META"):
                Work(self.laboratory, second, disk.position).feed(self.random.choice((None, 0.03, 0.1, 0.2)))
        outcome = Outcome(Journal(disk.journal), base)
        count = self.random.randint(0, len(outcome.entries))
        ledger.acknowledged += second.until(outcome.move(count)).acknowledged
        ledger.batches += second.batches
        how = outcome.cut(self.crash, self.random)
        return f"; then entry {count} of {len(outcome.entries)} of the recovery, {how}"

    def judge(self, ledger):
        with mounted(self.crash, f"{self.folder}/mount", self.kind) as place:
            self.laboratory.move(place)
            judge = Judge(self.laboratory, ledger)
            judge.log()
            if self.random.random() < 0.5 and not judge.found:
                work = self.work.again(ledger)
                judge.found += work.finish()
                work.feed()
                judge.found += ledger.problems(judge.rows())
            judge.destinations()
            return judge.found
