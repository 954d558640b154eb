"""Failed writes: now and then the disk refuses one write of file content, on a machine that keeps running.

The process that met it may end; the next one is started on the same mounted file system, with the same page cache, and
clients send again what was not acknowledged. At the end the cache is dropped, by mounting the disk again.
"""
import contextlib
import os
import subprocess
import sys

from device import Disk, make_image
from ledger import Judge, Ledger
from work import Laboratory, Work

HOLD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hold.py")


class Writes:
    """One world: a fresh disk, some steps, a look at what is left."""

    def __init__(self, room, kind, random):
        self.room, self.folder, self.kind, self.random = room, room.path, kind, random

    def states(self):
        image = f"{self.folder}/work.image"
        ranges = make_image(image, self.kind, f"{self.folder}/mount")
        laboratory = Laboratory(self.room)
        ledger, story = Ledger(self.random), []
        with Disk(self.folder, image, self.kind, ranges) as disk:
            laboratory.move(disk.path)
            work = Work(laboratory, ledger, disk.position)
            for _ in range(self.random.randint(4, 8)):
                with self.reader(laboratory) as reader:
                    story.append(reader + self.step(disk, work))
            problems = list(work.finish())
            disk.forget()
            judge = Judge(laboratory, ledger)
            judge.log()
            judge.destinations()
        problems += judge.found
        yield "; ".join(story), problems

    def step(self, disk, work):
        """One step, in most of them with a write that fails."""
        if self.random.random() < 0.8:
            kind, skip, keep = (self.random.choice(choices) for choices in (
                ("zeros", "bytes", "any", "any"), (0, 0, 1, 2, 4, 9), (0, 0, 1, 3)))
            disk.ask(f"refuse {kind} {skip} {keep}")
        done = work.step(kill=self.random.random() < 0.2)
        # Half of the time the one who waits for an answer tries again at once.
        if self.random.random() < 0.5:
            list(work.finish(tries=1))
        if refused := disk.clear():
            done += f" (refused {refused})"
        return done

    @contextlib.contextmanager
    def reader(self, laboratory):
        """Another process that reads the log for as long as the context lasts, if any. Its name."""
        how = self.random.choice(("", "", "read and ", "mapped and "))
        if not how or not os.path.exists(f"{laboratory.log}/META"):
            yield ""
        elif how == "read and ":
            with laboratory.start(f"tail --log {laboratory.log} --follow", stdout=subprocess.DEVNULL):
                yield how
        else:
            command = ["setpriv", "--pdeathsig", "KILL", sys.executable, HOLD, laboratory.log]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                try:
                    assert process.stdout.readline() == b"ready\n", "nothing maps the log's files"
                    yield how
                finally:
                    process.kill()
