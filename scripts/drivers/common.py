"""What all drivers share: a room with processes in it, a line about a run, and loops that run at the same time."""
import argparse
import collections
import contextlib
import http.client
import multiprocessing
import queue
import random
import subprocess
import sys
import tempfile
import threading
import time

import room
from room import LIMIT

STRIDE = 0x9E3779B1  # between the seeds of loops


class Skipped(Exception):
    """This machine cannot run the driver."""


def say(*words, **options):
    print(*words, file=sys.stderr, flush=True, **options)


class Room(room.Room):
    """A folder, the processes that work in it, and what is wrong so far."""

    def __init__(self, options, path, parent=None):
        super().__init__(options.binary, path)
        self.path.mkdir(exist_ok=True)
        self.options = options
        self.problems, self.live = (parent.problems, parent.live) if parent else ([], [])

    def sub(self, name):
        return Room(self.options, self.path / name, self)

    def spawn(self, name, command, **options):
        return super().spawn(name, command, **{"stdout": subprocess.DEVNULL, **options})

    def listen(self, name, command, **options):
        process, url = super().listen(name, command, stdout=subprocess.PIPE, **options)
        # Its later words are no evidence, but a full pipe would stop it.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        return process, url

    def wait(self, name, process, codes=(0,), what=""):
        """The exit code. One that is not expected is a problem, and so is a process that hangs."""
        # Not with a timeout of its own: that looks only every 50 ms, and a round waits several times.
        started, watchdog = time.monotonic(), threading.Timer(LIMIT, process.kill)
        watchdog.daemon = True
        watchdog.start()
        code = process.wait()
        watchdog.cancel()
        if time.monotonic() - started >= LIMIT:
            self.problems.append(f"{what}{name} hung for {LIMIT} s: {self.errors(name)}")
        elif code not in codes:
            self.problems.append(f"{what}{name} ended with {code}: {self.errors(name)}")
        return code

    def run(self, command, codes=(0,), to=None, data=b"", env=None):
        """(exit code, what it printed); with `to`, what it prints goes to a file of the room alone."""
        name = command.split()[0]
        self.file("stdin", data)
        with open(self.path / (to or f"{name}.stdout"), "wb") as out, open(self.path / "stdin", "rb") as source:
            process = self.spawn(name, command, stdin=source, stdout=out, env=env)
        code = self.wait(name, process, codes)
        return code, b"" if to else self.read(f"{name}.stdout")

    def held(self):
        """The rows of the log, as bytes."""
        return self.run(f"tail --log {self.log} --from beginning")[1]


def post(address, body, headers=()):
    """Sends events; the answer's status and body. OSError when it is not known what became of it."""
    with contextlib.closing(http.client.HTTPConnection(address, timeout=20)) as connection:
        try:
            connection.request("POST", "/v1/events", body, {"Content-Type": "application/json", **dict(headers)})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as problem:
            raise OSError(problem) from problem


@contextlib.contextmanager
def meanwhile(ending, *jobs):
    """Runs each in a thread of its own until the context ends: then the event is set, and they are waited for."""
    threads = [threading.Thread(target=job, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join(LIMIT)


def exported(folder):
    """The rows of the objects in a directory destination, in the order of their offsets."""
    found = [path for path in folder.glob("[!.]*") if path.is_file()]
    found.sort(key=lambda path: int(path.name.split("-")[1]))
    return b"".join(path.read_bytes() for path in found), len(found)


def parse(name, driver, arguments):
    parser = argparse.ArgumentParser(prog=f"drive {name}", description=driver.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", help="the penstock to try (default: build one; CONFIG=debug for a debug build)")
    parser.add_argument("--seed", type=int, help="of an earlier run")
    parser.add_argument("--dir", help="where the logs are made: another file system")
    parser.add_argument("--plant", choices=driver.PLANTS, help="a planted fault: the run ends well when it is found")
    parser.add_argument("--slice", action="store_true", help="a small part, for make test")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a good run too")
    parser.add_argument("--json", action="store_true", help="the line as JSON")
    amounts = getattr(driver, "AMOUNTS", {})
    for option, (usual, small, words) in amounts.items():
        parser.add_argument(f"--{option}", type=type(usual), help=f"{words} (default {usual:g}, in a slice {small:g})")
    getattr(driver, "add_options", lambda parser: None)(parser)
    options = parser.parse_args(arguments)
    for option, (usual, small, _) in amounts.items():
        if getattr(options, option) is None:
            setattr(options, option, small if options.slice else usual)
    options.fixed_seed = options.seed is not None
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    options.progress = lambda done: None
    return options


def one(name, driver, options):
    """Runs a driver in a room of its own: its figures and its problems."""
    room = Room(options, tempfile.mkdtemp(prefix=f"penstock-{name}.", dir=options.dir))
    figures, keep = {}, True
    try:
        try:
            figures = driver.run(room)
        except AssertionError as problem:
            room.problems.append(str(problem))
        keep = options.keep or bool(room.problems and not options.plant and getattr(driver, "KEEPS", True))
    except (Skipped, SystemExit):
        keep = False  # interrupted, or there is nothing to see
        raise
    finally:
        room.clean_up(keep)
        if keep:
            say(f"{name}: seed {options.seed}; everything is in {room.path}")
    return figures, room.problems


def loops(name, driver, options, jobs):
    """The same in several processes, each with a seed and a part of the rounds; the first that fails ends all."""
    words, done, figures, problems = multiprocessing.Queue(), {}, collections.Counter(), []

    def child(number):
        mine = argparse.Namespace(**vars(options))
        mine.rounds = options.rounds // jobs + (number < options.rounds % jobs)
        mine.seed = (options.seed + number * STRIDE) % (1 << 32)
        mine.progress = lambda count: words.put((number, count))
        words.put((number, one(name, driver, mine)))

    running = {number: multiprocessing.Process(target=child, args=(number,)) for number in range(jobs)}
    for process in running.values():
        process.start()
    try:
        while running and not problems:
            with contextlib.suppress(queue.Empty):
                number, said = words.get(timeout=1)
                if isinstance(said, int):
                    done[number] = said
                    options.progress(sum(done.values()))
                    continue
                running.pop(number).join()
                problems += said[1]
                figures.update(said[0])
                continue
            problems += [f"loop {number} ended without a word" for number, process in running.items()
                         if process.exitcode]
    finally:
        for process in running.values():
            process.terminate()  # what it started, it ends itself
            process.join()
    return figures, problems


def progress(name, total):
    """Says how far a run is: on a terminal all the time, elsewhere every half minute."""
    started = said = time.monotonic()
    every = 0.5 if sys.stderr.isatty() else 30

    def tell(done):
        nonlocal said
        now = time.monotonic()
        if now - said >= every:
            said = now
            say(f"{name}: {done} of {total} rounds, {done * 60 / (now - started):.0f} a minute")
    return tell
