"""Failed writes: now and then the disk refuses one write of file content, on a machine that keeps running.

The process that met it may end; the next one is started on the same mounted file system, with the same page cache, and
clients send again what was not acknowledged. In some worlds another process reads the log all the time, which keeps its
pages in memory. At the end the cache is dropped, by mounting the disk again: every acknowledged record must be there.
"""
import contextlib
import subprocess

from disk import Disk, make_image
from ledger import Judge, Ledger
from work import Laboratory, Work


class Writes:
    """One world: a fresh disk, some steps, a look at what is left."""

    def __init__(self, options, folder, kind, random):
        self.options, self.folder, self.kind, self.random = options, folder, kind, random

    def states(self):
        image = f"{self.folder}/work.image"
        ranges = make_image(image, self.kind, f"{self.folder}/mount")
        laboratory = Laboratory(self.folder, self.options)
        ledger, story = Ledger(self.random), []
        with Disk(self.folder, image, self.kind, ranges) as disk:
            laboratory.move(disk.path)
            work = Work(laboratory, ledger, disk.position)
            with self.reader(laboratory, work):
                for _ in range(self.random.randint(4, 8)):
                    story.append(self.step(disk, work))
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
        told = work.step(kill=self.random.random() < 0.2)
        # Half of the time the one who waits for an answer tries again at once.
        if self.random.random() < 0.5:
            list(work.finish(tries=1))
        if refused := disk.clear():
            told += f" (refused {refused})"
        return told

    @contextlib.contextmanager
    def reader(self, laboratory, work):
        if self.random.random() < 0.3:
            # It makes the log that the reader reads.
            work.feed()
            with laboratory.start("tail", "--log", laboratory.log, "--follow", stdout=subprocess.DEVNULL):
                yield
        else:
            yield
