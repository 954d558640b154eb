"""What the end-to-end tests and the drivers share: a folder, penstock in it, and patience."""
import contextlib
import json
import os
import pathlib
import random
import resource
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from service import LIMIT, Service

NOISE = random.Random(1)
ROOT = pathlib.Path(__file__).resolve().parents[1]


def wait_until(condition, seconds=LIMIT):
    """What the condition answers when it is true, or when the time is over."""
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.002)
    return found


def until(condition, seconds=LIMIT):
    """What the condition answers when it is true at last."""
    found = wait_until(condition, seconds)
    assert found, f"it takes more than {seconds} s"
    return found


def event(number, **fields):
    return json.dumps({"user_id": str(number), "event": "Home Page", "platform": "redfast", "type": "page",
                       "ts": 1630476856 + number, **fields}, separators=(",", ":")).encode()


def rows(count, end=b"\n", start=0, **fields):
    return b"".join(event(number, **fields) + end for number in range(start, count))


def noise(size):
    """Bytes that do not compress, the same in every run."""
    return NOISE.randbytes(size)


def webhook(url, **keys):
    return {"name": "web", "type": "webhook", "url": url, "batch": {"maxEvents": 100}, "allowPrivateNetworks": True,
            **keys}


def directory(**keys):
    return {"name": "dir", "type": "directory", "path": "out", "keyTemplate": "usages-{first}-{last}.json", **keys}


def bucket(**keys):
    keys = {"name": "s3", "type": "s3", "bucket": "events", "endpoint": "http://127.0.0.1:1", **keys}
    return {name: value for name, value in keys.items() if value is not None}


class Folder:
    """What a directory destination has, asked as s3.Bucket is."""

    def __init__(self, path):
        self.path = path

    def destination(self, **keys):
        return {"name": "archive", "type": "directory", "path": str(self.path), **keys}

    def put(self, key, content):
        (self.path / key).write_bytes(content)

    def get(self, key):
        return (self.path / key).read_bytes()

    def remove(self, key):
        (self.path / key).unlink()

    def list(self, prefix=""):
        files = {str(path.relative_to(self.path)): path for path in self.path.rglob("*") if path.is_file()}
        return sorted((key, path.stat().st_size) for key, path in files.items() if key.startswith(prefix))


def open_files(soft, hard=None):
    """An option for a process that may open so many files."""
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard or soft))}


class Ran:
    """A command that has ended: `out` as bytes, `text` and `err` as text."""

    def __init__(self, done):
        self.code, self.out = done.returncode, done.stdout
        self.text, self.err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")

    @property
    def lines(self):
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def last(self):
        return self.lines[-1]


class Room:
    """A folder, penstock in it, and the processes that were started. The log is L, the configuration c.yaml."""

    def __init__(self, binary, path=None):
        self.binary, self.live, self.log = binary, [], "L"
        self.path = pathlib.Path(path or tempfile.mkdtemp(prefix="penstock-test."))

    def file(self, name, content=b""):
        """Bytes, text, or anything else as JSON."""
        text = content if isinstance(content, (bytes, bytearray, str)) else json.dumps(content, ensure_ascii=False)
        (self.path / name).write_bytes(text.encode() if isinstance(text, str) else text)

    def read(self, name):
        return (self.path / name).read_bytes()

    def names(self, folder="."):
        return sorted(os.listdir(self.path / folder))

    def has(self, name):
        return (self.path / name).exists()

    def arguments(self, command):
        """The program and its arguments; `bench …` is the program next to penstock."""
        first, *rest = shlex.split(command) or [""]
        if first == "bench":
            return [pathlib.Path(self.binary).with_name("penstock-bench"), *rest]
        return [self.binary, *shlex.split(command)]

    def __call__(self, command, code=0, *words, stdin=b"", env=None, **options):
        """Runs it to its end, with this exit code (None: any) and all the words on standard error."""
        ran = Ran(subprocess.run(self.arguments(command), input=stdin, capture_output=True, cwd=self.path,
                                 timeout=LIMIT, env={**os.environ, **(env or {})}, **options))
        assert code in (ran.code, None), f"penstock {command}: exit code {ran.code}, not {code}: {ran.err[-500:]}"
        for word in words:
            assert word in ran.err, f"penstock {command}: {word!r} is not in {ran.err[-500:]!r}"
        return ran

    def json(self, command, code=0, *words, **options):
        """The same, and the last line of its JSON."""
        return self(command + " --json", code, *words, **options).last

    def start(self, command, env=None, before=(), **options):
        """`before`: a program that starts it, and that one's arguments."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen([*before, *self.arguments(command)], cwd=self.path,
                                   env={**os.environ, **(env or {})}, **options)
        self.live[:] = [one for one in self.live if one.poll() is None] + [process]
        return process

    def spawn(self, name, command, **options):
        """The same, with its errors in NAME.stderr."""
        with open(self.path / f"{name}.stderr", "wb") as errors:
            return self.start(command, stderr=errors, **options)

    def errors(self, name):
        return self.read(f"{name}.stderr").decode(errors="replace").strip()[-1500:] or "(nothing on stderr)"

    def listen(self, name, command, **options):
        """Starts a service: the process, and its URL."""
        process = self.spawn(name, f"{command} --json", **options)
        watchdog = threading.Timer(LIMIT, process.kill)
        watchdog.start()
        line = process.stdout.readline()
        watchdog.cancel()
        assert b"listening" in line, f"{name} did not start: {line} {self.errors(name)}"
        return process, json.loads(line)["listening"]

    def writer(self, content, options=""):
        """An append whose input stays open, after the first of the content is acknowledged."""
        process = self.start(f"append --log L --json {options} -", stdin=subprocess.PIPE)
        process.stdin.write(content)
        process.stdin.flush()
        assert b"opened" in process.stdout.readline() and b"acknowledged" in process.stdout.readline()
        return process

    def receiver(self, options=""):
        return self.listen("receive", f"receive {options}")

    def append(self, content, options="", code=0, *words, **more):
        return self(f"append --log L {options} -", code, *words, stdin=content, **more)

    def tail(self):
        return self("tail --log L").out

    def status(self):
        return self.json("status --log L")

    def configure(self, *destinations, server=None, **log):
        self.file("c.yaml", {"log": {"path": self.log, **log}, "server": server or {"listen": "127.0.0.1:0"},
                             "destinations": destinations})

    def deliver(self, code=0, *words, **options):
        return self("deliver --config c.yaml --until-caught-up --json", code, *words, **options)

    def delivered(self, content, *destinations):
        """Appends it and delivers it, which must succeed."""
        self.append(content)
        self.configure(*destinations)
        self.deliver()

    def objects(self, folder="out"):
        """The records in the files of a directory destination."""
        return b"".join(self.read(f"{folder}/{name}") for name in self.names(folder) if name.startswith("usages"))

    def arrives(self, content):
        until(lambda: self.has("out") and self.objects() == content)

    def segment(self):
        return f"L/data/{next(name for name in self.names('L/data') if name.endswith('.seg'))}"

    def damage_second_block(self):
        block = self.json("inspect --log L --segment 1")["blocks"][1]
        content = bytearray(self.read(self.segment()))
        content[block["position"] + block["length"] - 20] ^= 1
        self.file(self.segment(), content)
        return block

    def key(self, name, role):
        return self.json(f"keys create --file keys.json --name '{name}' --role {role}")["token"]

    def serve(self, config=None, options="", **more):
        if config is not None:
            self.file("serve.json", {"log": {"path": "L"}, **config, "server": {
                "listen": "127.0.0.1:0", **config.get("server", {})}})
        return Service(self, options, **more)

    def clean_up(self, keep=False):
        for process in self.live:
            process.kill()
            process.wait()
            for stream in filter(None, (process.stdin, process.stdout, process.stderr)):
                with contextlib.suppress(OSError):
                    stream.close()
        if not keep:
            shutil.rmtree(self.path, ignore_errors=True)


def ended(process, sign=signal.SIGTERM):
    """The exit code, output and errors of a process that got the signal."""
    process.send_signal(sign)
    out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err
