#!/usr/bin/env python3
"""SIGSTOP, a second process, and a wall clock that jumps ten years: what must hold beside and after them.

  writer    while `penstock append` is stopped, another one is refused with exit code 3 and the word for it, readers go on,
            and nothing it acknowledged is missing; continued, it ends well, and the log holds every record once.
  delivery  while `penstock deliver` is stopped with an answer outstanding, another one is refused; killed while it is
            stopped, the next one sends the same batch again under the same name; continued instead, it goes on alone. The receiver's
            ledger has every record once, and repeats only under an equal id and hash.
  clock     with the wall clock jumping by ten years in both directions every 40 ms, append and deliver end well: append
            times never fall, nothing is lost, nothing waits for a year.

One line for each; exit code 1 where something does not hold. --plant lost makes it fail.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kill_proof import record  # noqa: E402

LIMIT = 60


class Miss(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Miss(what)


def wait_until(condition, what):
    until = time.monotonic() + LIMIT
    while not condition():
        expect(time.monotonic() < until, f"waited {LIMIT} s for {what}")
        time.sleep(0.01)


class Room:
    def __init__(self, options):
        self.options, self.path, self.live = options, tempfile.mkdtemp(prefix="penstock-stop.", dir=options.dir), []
        self.log = os.path.join(self.path, "log")

    def start(self, *arguments, env=None, **streams):
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        process = subprocess.Popen([self.options.binary, *arguments], cwd=self.path,
                                   env={**os.environ, **(env or {})}, **streams)
        self.live.append(process)
        return process

    def run(self, *arguments, code=0, words=(), **options):
        process = self.start(*arguments, **options)
        try:
            out, err = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise Miss(f"penstock {arguments[0]} hung for {LIMIT} s")
        err = err.decode(errors="replace")
        expect(process.returncode == code, f"penstock {arguments[0]} ended with {process.returncode}: {err.strip()[-400:]}")
        for word in words:
            expect(word in err, f"{word!r} is not in {err.strip()[-400:]!r}")
        return out

    def rows(self):
        rows = self.run("tail", "--log", self.log, "--from", "beginning")
        return rows[:-10] if self.options.plant == "lost" else rows

    def feed(self, count, turn=1):
        data = b"".join(record("stop", turn, number) for number in range(count))
        name = os.path.join(self.path, f"in-{turn}")
        with open(name, "wb") as file:
            file.write(data)
        return name, data

    def clean_up(self):
        for process in self.live:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream and not stream.closed:
                    stream.close()
        shutil.rmtree(self.path)


def stopped(process):
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()[0] == "T", "the process to stop")


def a_stopped_writer(room):
    name, data = room.feed(300)
    writer = room.start("append", "--log", room.log, "--json", "--batch", "10", "-", stdin=subprocess.PIPE)
    writer.stdin.write(data[:len(data) // 2])
    writer.stdin.flush()
    said = next(line["acknowledged"] for line in map(json.loads, writer.stdout) if "acknowledged" in line)
    stopped(writer)
    refusals = 0
    for _ in range(3):
        room.run("append", "--log", room.log, name, code=3, words=("another process is writing this log",))
        refusals += 1
    held = room.rows()
    expect(data.startswith(held), "a reader beside a stopped writer sees something else")
    expect(held.count(b"\n") > said["last"], "a reader beside a stopped writer misses what was acknowledged")
    writer.send_signal(signal.SIGCONT)
    _, err = writer.communicate(data[len(data) // 2:], timeout=LIMIT)
    expect(writer.returncode == 0, f"the continued writer ended with {writer.returncode}: {err[-300:]}")
    expect(room.rows() == data, "the log holds something else than what was fed")
    room.run("verify", "--log", room.log)
    return f"{refusals} second writers refused"


def ledger_of(room):
    with open(os.path.join(room.path, "ledger.ndjson")) as file:
        return [json.loads(line) for line in file]


def a_stopped_delivery(room):
    name, data = room.feed(400)
    room.run("append", "--log", room.log, name)
    turns = 0
    receiver = room.start("receive", "--listen", "127.0.0.1:0", "--json", "--out", "received", "--ledger", "ledger.ndjson")
    url = json.loads(receiver.stdout.readline())["listening"]
    with open(os.path.join(room.path, "config.yaml"), "w") as file:
        file.write(f"log: {{ path: {room.log} }}\ndestinations:\n  - {{ name: hook, type: webhook, url: '{url}', "
                   "allowPrivateNetworks: true, batch: { maxEvents: 5, maxWait: 1ms }, retry: { first: 10ms, cap: 50ms } }\n")
    arguments = ("deliver", "--config", "config.yaml", "--until-caught-up", "--json")
    for end in ("SIGKILL", "SIGCONT"):
        delivery = room.start(*arguments, stdout=subprocess.DEVNULL)
        before = os.path.getsize(os.path.join(room.path, "ledger.ndjson")) if turns else 0
        wait_until(lambda: (os.path.exists(os.path.join(room.path, "ledger.ndjson"))
                            and os.path.getsize(os.path.join(room.path, "ledger.ndjson")) > before)
                   or delivery.poll() is not None, "a delivery")
        if delivery.poll() is not None:
            break  # too fast for us: the end is checked below
        stopped(delivery)
        room.run(*arguments, code=3)
        delivery.send_signal(getattr(signal, end))
        code = delivery.wait(LIMIT)
        expect(code == (-signal.SIGKILL if end == "SIGKILL" else 0), f"the stopped delivery ended with {code}")
        turns += 1
    room.run(*arguments)
    receiver.terminate()
    receiver.wait(LIMIT)
    with open(os.path.join(room.path, "received"), "rb") as file:
        received = file.read()
    expect(received == (data[:-10] if room.options.plant == "lost" else data), "the receiver holds something else than the log")
    seen, again = {}, 0
    for line in ledger_of(room):
        content = (line["range"], line["sha256"])
        again += line["id"] in seen
        expect(seen.setdefault(line["id"], content) == content, f"{line['id']} came again as something else")
    return f"{turns} deliveries stopped, {turns} second ones refused, {again} requests repeated"


def a_jumping_clock(room):
    name, data = room.feed(2000)
    jumps = {"LD_PRELOAD": room.options.library, "PENSTOCK_CLOCK_YEARS": "10"}
    started = time.monotonic()
    room.run("append", "--log", room.log, "--batch", "5", name, env=jumps)
    os.mkdir(os.path.join(room.path, "out"))
    with open(os.path.join(room.path, "config.yaml"), "w") as file:
        file.write(f"log: {{ path: {room.log} }}\ndestinations:\n  - {{ name: out, type: directory, path: {room.path}/out, "
                   "rotate: { maxRecords: 100 } }\n")
    room.run("deliver", "--config", "config.yaml", "--until-caught-up", env=jumps)
    expect(time.monotonic() - started < LIMIT, "something waited for the clock")
    expect(room.rows() == data, "the log holds something else than what was fed")
    room.run("verify", "--log", room.log)
    objects = sorted(os.path.join(folder, file) for folder, _, files in os.walk(os.path.join(room.path, "out"))
                     for file in files if "_penstock" not in folder and not file.startswith("."))
    rows = b""
    for path in sorted(objects, key=lambda path: os.path.basename(path).rsplit("-", 2)[-2]):
        rows += subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout \
            if path.endswith(".zst") else open(path, "rb").read()
    expect(rows == data, f"{len(objects)} objects hold {len(rows)} bytes, the log {len(data)}")
    return f"2000 records, {len(objects)} objects, {time.monotonic() - started:.1f} s"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--library", required=True, help="scripts/faults.c, built: its clock")
    parser.add_argument("--dir", help="where the logs are made: another file system")
    parser.add_argument("--plant", choices=("lost",), help="tamper with the evidence: the run must fail")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = False
    for case in (a_stopped_writer, a_stopped_delivery, a_jumping_clock):
        room = Room(options)
        try:
            print(f"ok      {case.__name__.replace('_', ' ')}: {case(room)}")
        except Miss as problem:
            failed = True
            print(f"FAILED  {case.__name__.replace('_', ' ')}: {problem}")
        finally:
            room.clean_up()
    sys.exit(failed)


if __name__ == "__main__":
    main()
