"""Several loops of kills beside each other, each a process of its own, and one line about all. Part of kill-test.py."""
import copy
import os
import select
import signal
import sys
import json
import time

STRIDE = 0x9E3779B1  # between the seeds of the loops


class Progress:
    """Says on standard error how far it is: on a terminal all the time, elsewhere every half minute."""

    def __init__(self, rounds):
        self.rounds, self.started, self.said = rounds, time.monotonic(), time.monotonic()
        self.every = 0.5 if sys.stderr.isatty() else 30

    def __call__(self, done):
        now = time.monotonic()
        if now - self.said < self.every:
            return
        self.said = now
        rate = done / (now - self.started) * 60
        print(f"kill-test: {done} of {self.rounds} rounds, {rate:.0f} a minute", file=sys.stderr, flush=True)


def run_jobs(options, run_one):
    """The sum of what the loops say; the first that fails ends the others."""
    progress = Progress(options.rounds)
    if options.jobs == 1:
        options.progress = progress
        return run_one(options)
    jobs = [Job(options, number, run_one) for number in range(options.jobs)]
    try:
        while running := [job for job in jobs if job.pipe is not None]:
            ready, _, _ = select.select([job.pipe for job in running], [], [], 1)
            for job in running:
                if job.pipe in ready:
                    job.hear()
            progress(sum(job.done for job in jobs))
            if any(job.has_failed for job in jobs):
                break
    finally:
        for job in jobs:
            job.stop()
    return summed([job.figures for job in jobs if job.figures], sum(1 for job in jobs if job.has_failed))


class Job:
    """One loop in a process of its own, which writes `done` after each round and its figures at the end."""

    def __init__(self, options, number, run_one):
        self.done, self.figures, self.has_failed, self.text = 0, None, False, b""
        self.pipe, out = os.pipe()
        self.id = os.fork()
        if self.id == 0:
            os._exit(self.child(options, number, run_one, out))
        os.close(out)

    def child(self, options, number, run_one, out):
        mine = copy.copy(options)
        mine.rounds = options.rounds // options.jobs + (number < options.rounds % options.jobs)
        mine.seed = (options.seed + number * STRIDE) % (1 << 32)
        mine.progress = lambda done: os.write(out, f'{{"done":{done}}}\n'.encode())
        try:
            os.write(out, (json.dumps(run_one(mine)) + "\n").encode())
            return 0
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
            return 1
        except BaseException as problem:  # noqa: BLE001: said, and the parent fails
            sys.excepthook(type(problem), problem, problem.__traceback__)
            return 1

    def hear(self):
        if not (data := os.read(self.pipe, 1 << 16)):
            return self.end()
        *lines, self.text = (self.text + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "done" in said:
                self.done = said["done"]
            else:
                self.figures, self.has_failed = said, said["violations"] > 0

    def end(self):
        os.close(self.pipe)
        self.pipe = None
        _, status = os.waitpid(self.id, 0)
        self.has_failed = self.has_failed or status != 0 or self.figures is None

    def stop(self):
        if self.pipe is None:
            return
        # What it started, it ends itself.
        os.kill(self.id, signal.SIGTERM)
        os.close(self.pipe)
        self.pipe = None
        os.waitpid(self.id, 0)


def summed(all_figures, failed):
    """Key by key; what was left out in one was left out in all. A loop that said nothing is a violation too."""
    total = {}
    for figures in all_figures:
        for key, value in figures.items():
            total[key] = None if value is None else (total.get(key) or 0) + value
    total["violations"] = max(total.get("violations", 0), failed)
    total.setdefault("rounds", 0)
    return total


def sentence(figures):
    f = figures
    if "uploads" not in f:
        return f"FAILED: no loop came to its end; seed {f['seed']}; {f['violations']} violations"
    letters = "NO dead letters" if f["deadLetters"] is None else f"{f['deadLetters']} dead letters"
    replay = ("NO replay" if f["replayed"] is None
              else f"replays of {f['replayed']} records killed {f['replayKilled']} times")
    return (f"{'FAILED' if f['violations'] else 'ok'}: {f['rounds']} rounds in {f['seconds']:.0f} s "
            f"({f['rounds'] * 60 / max(f['seconds'], 0.1):.0f} a minute, {f['jobs']} jobs), "
            f"append killed {f['appendKilled']} and deliver {f['deliverKilled']} times; "
            f"{f['acknowledged']} records acknowledged, {f['objects']} objects, "
            f"{f['repeated']} of {f['requests']} requests repeated; {f['outages']} outages, {letters}, {replay}; "
            f"{f['bigRecords']} big records, {f['uploads']} uploads in parts, {f['uploadsCompleted']} completed, "
            f"{f['uploadsCut']} killed between first part and end ({f['uploadsAborted']} of them aborted after), "
            f"{f['uploadsResumed']} taken up again after an outage, {f['uploadsLeft']} left open; seed {f['seed']}; "
            f"{f['violations']} violations")
