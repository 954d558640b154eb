"""SIGSTOP, a second process, and a wall clock that jumps ten years: what must hold during and after them.

  writer    while `penstock append` is stopped, another one is refused with exit code 3 and the word for it, readers
            read, and nothing it acknowledged is missing; continued, it ends well, and the log holds every record once
  delivery  while `penstock deliver` is stopped with an answer outstanding, another one is refused. After a kill the
            next one sends the same batch again under the same name; after SIGCONT the first one ends well. The
            receiver's ledger has every record once, and repeats only under an equal id and hash
  clock     with the wall clock jumping by ten years in both directions every 40 ms, append and deliver end well: append
            times never fall, nothing is lost, nothing waits for a year
"""
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time

import psutil
from common import LIMIT, SCRIPTS, Skipped, expect, exported, wait_until
from kill_proof import record

PLANTS = {"lost": "something else than"}


def add_options(parser):
    del parser


@contextlib.contextmanager
def prepare(options):
    """Builds the library that lets calls fail and the clock jump."""
    if os.uname().sysname != "Linux":
        raise Skipped("nothing can be preloaded here")
    with tempfile.TemporaryDirectory() as folder:
        options.library = os.path.join(folder, "faults.so")
        source = f"{SCRIPTS}/drivers/faults.c"
        subprocess.run(["clang", "-shared", "-fPIC", "-O2", "-o", options.library, source, "-ldl"], check=True)
        yield folder


def feed(room, count):
    data = b"".join(record("stop", 1, number) for number in range(count))
    return room.write("input", data), data


def without_one(room, rows):
    return rows[:-10] if room.options.plant == "lost" else rows


def stop(process):
    process.send_signal(signal.SIGSTOP)
    is_stopped = wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    expect(is_stopped, "the process does not stop")


def a_stopped_writer(room):
    name, data = feed(room, 300)
    writer = room.spawn("writer", "append", "--log", room.log, "--json", "--batch", "10", "-", stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE)
    writer.stdin.write(data[:len(data) // 2])
    writer.stdin.flush()
    said = next(line["acknowledged"] for line in map(json.loads, writer.stdout) if "acknowledged" in line)
    stop(writer)
    for _ in range(3):
        room.run("append", "--log", room.log, name, codes=(3,))
        expect("another process is writing this log" in room.errors("append"), room.errors("append"))
    held = room.held()
    expect(data.startswith(held), "a reader sees something else than what a stopped writer was fed")
    expect(held.count(b"\n") > said["last"], "a reader misses what a stopped writer acknowledged")
    writer.send_signal(signal.SIGCONT)
    writer.communicate(data[len(data) // 2:], timeout=LIMIT)
    room.wait("writer", writer)
    expect(without_one(room, room.held()) == data, "the log holds something else than what was fed")
    room.run("verify", "--log", room.log)
    return {"second writers refused": 3}


def a_stopped_delivery(room):
    name, data = feed(room, 400)
    room.run("append", "--log", room.log, name)
    receiver, url = room.listen("receive", "receive", "--listen", "127.0.0.1:0", "--out", "received", "--ledger",
                                "ledger")
    config = room.configure({"name": "hook", "type": "webhook", "url": url, "allowPrivateNetworks": True,
                             "batch": {"maxEvents": 5, "maxWait": "1ms"}, "retry": {"first": "10ms", "cap": "50ms"}})
    arguments, turns, ledger = ("deliver", "--config", config, "--until-caught-up", "--json"), 0, room.path("ledger")
    for send, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGCONT, 0)):
        before = os.path.getsize(ledger) if turns else 0
        delivery = room.spawn("stopped", *arguments)
        wait_until(lambda: os.path.exists(ledger) and os.path.getsize(ledger) > before or delivery.poll() is not None)
        if delivery.poll() is not None:
            break  # too fast for us: the end is checked below
        stop(delivery)
        room.run(*arguments, codes=(3,))
        delivery.send_signal(send)
        room.wait("stopped", delivery, (code,))
        turns += 1
    room.run(*arguments)
    receiver.terminate()
    receiver.wait(LIMIT)
    expect(without_one(room, room.read("received")) == data, "the receiver holds something else than the log")
    seen, again = {}, 0
    for line in room.rows_of("ledger"):
        content = (line["range"], line["sha256"])
        again += line["id"] in seen
        expect(seen.setdefault(line["id"], content) == content, f"{line['id']} came again as something else")
    return {"deliveries stopped": turns, "second deliveries refused": turns, "requests repeated": again}


def a_jumping_clock(room):
    name, data = feed(room, 2000)
    jumps, started = {"LD_PRELOAD": room.options.library, "PENSTOCK_CLOCK_YEARS": "10"}, time.monotonic()
    room.run("append", "--log", room.log, "--batch", "5", name, env=jumps)
    out = room.sub("out").folder
    config = room.configure({"name": "out", "type": "directory", "path": out, "rotate": {"maxRecords": 100}})
    room.run("deliver", "--config", config, "--until-caught-up", env=jumps)
    expect(time.monotonic() - started < LIMIT / 2, "something waited for the clock")
    expect(without_one(room, room.held()) == data, "the log holds something else than what was fed")
    room.run("verify", "--log", room.log)
    rows, count = exported(out)
    expect(rows == data, f"{count} objects hold something else than the log: {len(rows)} bytes of {len(data)}")
    return {"records under a jumping clock": 2000}


def run(room):
    figures = {"cases": 3}
    for case in (a_stopped_writer, a_stopped_delivery, a_jumping_clock):
        figures |= case(room.sub(case.__name__))
    return figures
