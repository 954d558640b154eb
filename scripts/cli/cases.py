"""What every case of the command line uses: a room of its own, and words for what is expected."""
import json
import os
import shutil
import subprocess


CASES = []
LIMIT = 60  # seconds for any one command


class Miss(Exception):
    pass


class LeftOut(Exception):
    pass


def case(function):
    CASES.append((function.__name__.replace("_", " "), function))
    return function


def expect(condition, what):
    if not condition:
        raise Miss(what)


class Ran:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def is_(self, code, *words):
        """The exit code, and words that standard error must hold."""
        expect(self.code == code, f"exit code {self.code}, expected {code}; stderr: {self.err.strip()[-500:]!r}")
        for word in words:
            expect(word in self.err, f"{word!r} is not in {self.err.strip()[-500:]!r}")
        return self

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def last(self):
        return self.lines[-1]


class Room:
    """One case's directory, and penstock in it."""

    def __init__(self, binary, path):
        self.binary, self.path, self.live = binary, path, []

    def file(self, name, content=b""):
        path = os.path.join(self.path, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def read(self, name):
        with open(os.path.join(self.path, name), "rb") as file:
            return file.read()

    def run(self, *arguments, stdin=b"", env=None, binary=None, **options):
        done = subprocess.run([binary or self.binary, *arguments], input=stdin, capture_output=True, cwd=self.path,
                              timeout=LIMIT, env={**os.environ, **(env or {})}, **options)
        return Ran(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    @property
    def bench(self):
        """The program that measures, in the same folder as penstock."""
        return os.path.join(os.path.dirname(self.binary), "penstock-bench")

    def start(self, *arguments, binary=None, **options):
        process = subprocess.Popen([binary or self.binary, *arguments], cwd=self.path, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, **options)
        self.live.append(process)
        return process

    def receiver(self, *arguments):
        process = self.start("receive", "--json", *arguments)
        return process, json.loads(process.stdout.readline())["listening"]

    def status(self):
        return self.run("status", "--log", "L", "--json").is_(0).last

    def clean_up(self):
        for process in self.live:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream and not stream.closed:
                    stream.close()


def event(number, **fields):
    return json.dumps({"user_id": str(number), "event": "Home Page", "platform": "redfast", "type": "page",
                       "ts": 1630476856 + number, **fields}, separators=(",", ":")).encode()


def rows(count, end=b"\n"):
    return b"".join(event(number) + end for number in range(count))


def as_nobody(room):
    """Options for a user without rights; root may read everything."""
    if os.geteuid() != 0:
        return {}
    binary = os.path.join(room.path, "penstock")
    shutil.copy(room.binary, binary)
    os.chmod(binary, 0o755)
    room.binary = binary
    for path in (os.path.dirname(room.path), room.path):
        os.chmod(path, 0o755)
    return {"user": 65534, "group": 65534, "extra_groups": []}
