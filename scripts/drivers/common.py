"""What all drivers share: a room with processes in it, a line about a run, and loops that run at the same time."""
import argparse
import collections
import contextlib
import http.client
import json
import multiprocessing
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

SCRIPTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIMIT = 120  # seconds; no command may take longer
STRIDE = 0x9E3779B1  # between the seeds of loops


class Miss(Exception):
    """Something does not hold."""


class Skipped(Exception):
    """This machine cannot run the driver."""


def expect(condition, what):
    if not condition:
        raise Miss(what)


def wait_until(condition, seconds=LIMIT):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.002)
    return condition()


def say(*words, **options):
    print(*words, file=sys.stderr, flush=True, **options)


class Room:
    """A folder, the processes that work in it, and what is wrong so far."""

    def __init__(self, options, folder, parent=None):
        self.options, self.folder, self.log = options, folder, os.path.join(folder, "log")
        self.problems, self.live = (parent.problems, parent.live) if parent else ([], [])
        os.makedirs(folder, exist_ok=True)

    def sub(self, name):
        return Room(self.options, self.path(name), self)

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def configure(self, *destinations, server=None, **log):
        """Writes the configuration of a log in this room. YAML contains JSON."""
        text = json.dumps({"log": {"path": self.log, **log}, "server": server or {"listen": "127.0.0.1:0"},
                           "destinations": destinations})
        return self.write("penstock.json", text.encode())

    def rows_of(self, name):
        return [json.loads(line) for line in self.read(name).splitlines()]

    def spawn(self, name, *arguments, env=None, **streams):
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **streams}
        with open(self.path(name + ".stderr"), "wb") as errors:
            process = subprocess.Popen([self.options.binary, *arguments], cwd=self.folder, stderr=errors,
                                       env={**os.environ, **(env or {})}, **streams)
        self.live[:] = [one for one in self.live if one.poll() is None] + [process]
        return process

    def listen(self, name, *arguments, **streams):
        """Starts a service; the process, and its URL."""
        process = self.spawn(name, *arguments, "--json", stdout=subprocess.PIPE, **streams)
        watchdog = threading.Timer(LIMIT, process.kill)
        watchdog.start()
        line = process.stdout.readline()
        watchdog.cancel()
        expect(b"listening" in line, f"{name} did not start: {self.errors(name)}")
        # Its later words are no evidence, but a full pipe would stop it.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        return process, json.loads(line)["listening"]

    def errors(self, name):
        return self.read(name + ".stderr").decode(errors="replace").strip()[-600:] or "(nothing on stderr)"

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

    def run(self, *arguments, codes=(0,), to=None, data=b"", env=None):
        """(exit code, what it printed); with `to`, what it prints goes to a file of the room alone."""
        name = arguments[0]
        with open(self.path(to or name + ".stdout"), "wb") as out, open(self.write("stdin", data), "rb") as source:
            process = self.spawn(name, *arguments, stdin=source, stdout=out, env=env)
        code = self.wait(name, process, codes)
        return code, b"" if to else self.read(name + ".stdout")

    def held(self):
        """The rows of the log, as bytes."""
        return self.run("tail", "--log", self.log, "--from", "beginning")[1]

    def close(self, keep):
        for process in self.live:
            if process.poll() is None:
                process.kill()
                process.wait()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def post(address, body, headers=()):
    """Sends events; the answer's status and body. OSError or HTTPException when it is not known what became of it."""
    with contextlib.closing(http.client.HTTPConnection(address, timeout=20)) as connection:
        connection.request("POST", "/v1/events", body, {"Content-Type": "application/json", **dict(headers)})
        answer = connection.getresponse()
        return answer.status, answer.read()


def exported(folder):
    """The rows of the objects in a directory destination, in the order of their offsets."""
    found = [os.path.join(here, name) for here, _, names in os.walk(folder) for name in names
             if "_penstock" not in here and not name.startswith(".")]
    rows = b""
    for path in sorted(found, key=lambda path: int(os.path.basename(path).rsplit("-", 2)[-2])):
        command = ["zstd", "-dcq", path] if path.endswith(".zst") else ["cat", path]
        rows += subprocess.run(command, capture_output=True, check=True).stdout
    return rows, len(found)


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
    driver.add_options(parser)
    options = parser.parse_args(arguments)
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
        except Miss as problem:
            room.problems.append(str(problem))
        keep = options.keep or bool(room.problems and not options.plant and getattr(driver, "KEEPS", True))
    except (Skipped, SystemExit):
        keep = False  # interrupted, or there is nothing to see
        raise
    finally:
        room.close(keep)
        if keep:
            say(f"{name}: seed {options.seed}; everything is in {room.folder}")
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
