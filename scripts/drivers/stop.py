"""SIGSTOP, a second process, and a wall clock that jumps ten years: what must hold during and after them.

docs/internals/testing.md says what, under "Every call fails once".
"""
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time

import psutil
from common import Skipped, exported
from device import SOURCES
from kill_proof import record
from room import LIMIT, directory, wait_until, webhook

PLANTS = {"lost": "something else than"}


@contextlib.contextmanager
def prepare(options):
    """Builds the library that lets calls fail and the clock jump."""
    if os.uname().sysname != "Linux":
        raise Skipped("nothing can be preloaded here")
    with tempfile.TemporaryDirectory() as folder:
        options.library = os.path.join(folder, "faults.so")
        source = f"{SOURCES}/faults.c"
        subprocess.run(["clang", "-shared", "-fPIC", "-O2", "-o", options.library, source, "-ldl"], check=True)
        yield folder


def feed(room, count):
    data = b"".join(record("stop", 1, number) for number in range(count))
    room.file("input", data)
    return data


def without_one(room, rows):
    return rows[:-10] if room.options.plant == "lost" else rows


def stop(process):
    process.send_signal(signal.SIGSTOP)
    assert wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED), "it does not stop"


def a_stopped_writer(room):
    data = feed(room, 300)
    writer = room.spawn("writer", "append --log L --json --batch 10 -", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    writer.stdin.write(data[:len(data) // 2])
    writer.stdin.flush()
    said = next(line["acknowledged"] for line in map(json.loads, writer.stdout) if "acknowledged" in line)
    stop(writer)
    for _ in range(3):
        room.run("append --log L input", (3,))
        assert "another process is writing this log" in room.errors("append"), room.errors("append")
    held = room.held()
    assert data.startswith(held), "a reader sees something else than what a stopped writer was fed"
    assert held.count(b"\n") > said["last"], "a reader misses what a stopped writer acknowledged"
    writer.send_signal(signal.SIGCONT)
    writer.communicate(data[len(data) // 2:], timeout=LIMIT)
    room.wait("writer", writer)
    assert without_one(room, room.held()) == data, "the log holds something else than what was fed"
    room.run("verify --log L")
    return {"second writers refused": 3}


def a_stopped_delivery(room):
    data = feed(room, 400)
    room.run("append --log L input")
    receiver, url = room.listen("receive", "receive --listen 127.0.0.1:0 --out received --ledger ledger")
    room.configure(webhook(url, batch={"maxEvents": 5, "maxWait": "1ms"}, retry={"first": "10ms", "cap": "50ms"}))
    deliver, turns, ledger = "deliver --config c.yaml --until-caught-up --json", 0, room.path / "ledger"
    for send, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGCONT, 0)):
        before = ledger.stat().st_size if turns else 0
        delivery = room.spawn("stopped", deliver)
        wait_until(lambda: ledger.exists() and ledger.stat().st_size > before or delivery.poll() is not None)
        if delivery.poll() is not None:
            break  # too fast for us: the end is checked below
        stop(delivery)
        room.run(deliver, (3,))
        delivery.send_signal(send)
        room.wait("stopped", delivery, (code,))
        turns += 1
    room.run(deliver)
    receiver.terminate()
    receiver.wait(LIMIT)
    assert without_one(room, room.read("received")) == data, "the receiver holds something else than the log"
    seen, again = {}, 0
    for line in map(json.loads, room.read("ledger").splitlines()):
        content = (line["range"], line["sha256"])
        again += line["id"] in seen
        assert seen.setdefault(line["id"], content) == content, f"{line['id']} came again as something else"
    return {"deliveries stopped": turns, "second deliveries refused": turns, "requests repeated": again}


def a_jumping_clock(room):
    data = feed(room, 2000)
    jumps, started = {"LD_PRELOAD": room.options.library, "PENSTOCK_CLOCK_YEARS": "10"}, time.monotonic()
    room.run("append --log L --batch 5 input", env=jumps)
    room.configure(directory(rotate={"maxRecords": 100}))
    room.run("deliver --config c.yaml --until-caught-up", env=jumps)
    assert time.monotonic() - started < LIMIT / 2, "something waited for the clock"
    assert without_one(room, room.held()) == data, "the log holds something else than what was fed"
    room.run("verify --log L")
    rows, count = exported(room.path / "out")
    assert rows == data, f"{count} objects hold something else than the log: {len(rows)} bytes of {len(data)}"
    return {"records under a jumping clock": 2000}


def run(room):
    figures = {"cases": 3}
    for case in (a_stopped_writer, a_stopped_delivery, a_jumping_clock):
        figures |= case(room.sub(case.__name__))
    return figures
