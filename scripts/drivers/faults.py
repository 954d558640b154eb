"""Lets call n on a log's files fail, for every n; then stops processes and lets clocks jump (see stop.py).

The calls are those that reach the C library (faults.c, preloaded). A run of `penstock append` in small segments that
are sealed, then one of `penstock deliver` into a directory, are first counted, and then done once for each n and each
kind of failure. After each, without faults:

  append   ended within the limit by itself: with 0 and everything acknowledged, or with 1 or 3, a message, and what it
           did acknowledge. The log opens again and takes more records: it holds a prefix of what was fed that is at
           least as long as what was acknowledged, then the rest; `penstock verify` finds nothing
  deliver  ended likewise; after another delivery the directory holds every record once, in order, byte for byte

Other file systems get their turn: the folders in PENSTOCK_LAB_DIRS, and as root an XFS of its own.
"""
import collections
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time

import common
import device
import stop
from common import exported, say
from kill_proof import record
from room import directory

PLANTS = {"lost": "records acknowledged, .* there|the directory holds|something else than"}
FIRST, REST = 32, 3  # records: fifteen blocks fill a segment
KINDS = ("EIO", "ENOSPC", "EINTR", "SHORT")


def add_options(parser):
    parser.add_argument("--step", type=int, default=1, help="only every n-th call")
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--seconds", type=float, help="stop after so long, half of it for each of the two")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--only", choices=("append", "deliver"))


@contextlib.contextmanager
def prepare(options):
    if options.slice:
        options.step, options.kinds, options.seconds = 29, ("EIO", "ENOSPC", "SHORT"), options.seconds or 20
    with stop.prepare(options) as folder, contextlib.ExitStack() as stack:
        options.folders = [options.dir or tempfile.gettempdir()]
        if not options.slice and not options.dir:
            options.folders += os.environ.get("PENSTOCK_LAB_DIRS", "").split()
            try:
                options.folders.append(stack.enter_context(own_xfs(folder)))
            except device.Unusable as error:
                say(f"faults: no xfs can be made and mounted here, so it is left out: {error}")
        yield


def own_xfs(folder):
    """An XFS that is mounted in this context."""
    if os.getuid():
        raise device.Unusable("not root")
    device.run(f"{device.SCRIPTS}/setup", "--lab")
    device.make_file_system(f"{folder}/image", "xfs")
    return device.mounted(f"{folder}/image", f"{folder}/xfs", "xfs")


def rows_of(turn, count):
    return [record("faults", turn, number) for number in range(count)]


def acknowledged(out):
    """One past the last record that was acknowledged in an empty log; and whether the numbers follow each other."""
    end, sound = 0, True
    for line in out.splitlines():
        if said := json.loads(line).get("acknowledged"):
            sound, end = sound and said["first"] == end, said["last"] + 1
    return end, sound


class Run:
    """A log, a directory destination, and what one command with a fault did to them."""

    def __init__(self, room):
        self.room, room.log = room, f"{room.path}/L"  # faults.c knows the log's files by their whole paths
        room.configure(directory(path=f"{room.path}/out", rotate={"maxRecords": 12}), segmentSize="64KiB", sealing="on")
        self.wrong, self.calls = [], []

    def penstock(self, command, data=b"", fault=None):
        """A command with a fault may end badly, but by itself and with a message."""
        environment = {}
        if fault:
            environment = {"LD_PRELOAD": self.room.options.library, "PENSTOCK_FAULT_DIR": str(self.room.path),
                           "PENSTOCK_FAULT_CALL": str(fault[0]), "PENSTOCK_FAULT_KIND": fault[1],
                           "PENSTOCK_FAULT_REPORT": str(self.room.path / "calls"), "SWIFT_BACKTRACE": "enable=no"}
        code, out = self.room.run(command, (0, 1, 3) if fault else (0,), data=data, env=environment)
        if fault:
            self.calls = self.room.read("calls").decode(errors="replace").splitlines()
        name = command.split()[0]
        errors, names = self.room.errors(name), [f"penstock {name}"] + ["penstock: "] * (name == "deliver")
        if code in (1, 3) and not any(line.startswith(tuple(names)) for line in errors.splitlines()):
            self.wrong.append(f"ended with {code} and without a message: {errors!r}")
        return code, out

    def append(self, rows, fault=None):
        return self.penstock(f"append --log {self.room.log} --config c.yaml --json --batch 2 -", b"".join(rows), fault)

    def deliver(self, fault=None):
        return self.penstock("deliver --config c.yaml --until-caught-up --json", fault=fault)

    def append_with(self, fault):
        """What an append with a fault must leave."""
        first, rest = rows_of(1, FIRST), rows_of(2, REST)
        code, out = self.append(first, fault)
        end, sound = acknowledged(out)
        if self.room.options.plant == "lost" and end:
            end = FIRST + 1
        if not sound:
            self.wrong.append("acknowledgements do not follow each other")
        if code == 0 and end < FIRST:
            self.wrong.append(f"ended well with {end} of {FIRST} records acknowledged")
        self.append(rest)
        rows = self.room.held().splitlines(keepends=True)
        kept = rows[:-REST]
        if kept != first[:len(kept)] or rows[-REST:] != rest:
            self.wrong.append("the log holds something else than a prefix of what was fed, and the rest")
        if len(kept) < end:
            self.wrong.append(f"{end} records acknowledged, {len(kept)} there")
        return code

    def deliver_with(self, fault):
        code, _ = self.deliver(fault)
        self.deliver()
        held, (rows, _) = self.room.held(), exported(self.room.path / "out")
        rows = rows[:-1] if self.room.options.plant == "lost" else rows
        if rows != held:
            self.wrong.append(f"the directory holds {len(rows)} bytes of rows, the log {len(held)}")
        return code


class FaultTest:
    def __init__(self, room):
        self.room, self.options, self.struck = room, room.options, collections.Counter()
        self.runs = self.failed = 0
        template = room.sub("template")
        Run(template).append(rows_of(1, FIRST))
        self.template = template.path / "L"

    def once(self, kind, fault):
        """One run. How many calls there were."""
        room = self.room.sub(f"{kind}-{fault[1]}-{fault[0]}")
        if kind == "deliver":
            shutil.copytree(self.template, room.path / "L")
        run, before = Run(room), len(room.problems)
        code = run.append_with(fault) if kind == "append" else run.deliver_with(fault)
        room.run("verify --log L --json")
        struck = [line for line in run.calls if line.endswith(" !")]
        self.struck.update(line.split()[1] for line in struck)
        found, room.problems[before:] = room.problems[before:] + run.wrong, []
        room.problems += [f"{kind}, call {fault[0]}, {fault[1]} ({struck[0] if struck else 'not reached'}): {problem}"
                          for problem in found]
        if fault[0] and not found:
            shutil.rmtree(room.path)
        self.runs, self.failed = self.runs + (fault[0] > 0), self.failed + (code != 0)
        return len(run.calls)

    def each(self, kind):
        """Every call of a run: threads make it a little longer or shorter."""
        count = self.once(kind, (0, "EIO"))
        assert count, f"{kind}: without a fault no calls are seen"
        until = time.monotonic() + (self.options.seconds or 1e9) / 2
        for name in self.options.kinds:
            for number in range(1 + self.options.offset, count + 8, self.options.step):
                if time.monotonic() < until:
                    self.once(kind, (number, name))
        return count


def run(room):
    runs = failed = 0
    calls, struck, systems, stopped = {}, collections.Counter(), [], {}
    for number, folder in enumerate(room.options.folders):
        system = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True).stdout.strip()
        own = room
        if number:
            own = common.Room(room.options, tempfile.mkdtemp(prefix="penstock-faults.", dir=folder), room)
        try:
            test = FaultTest(own.sub(system.replace("/", "-")))
            for kind in ("append", "deliver"):
                if room.options.only in (None, kind):
                    calls[f"calls of {kind}"] = test.each(kind)
            struck += test.struck
            runs, failed = runs + test.runs, failed + test.failed
            stopped = {} if room.options.only else stop.run(own.sub("stop"))
            systems.append(system)
        finally:
            if own is not room and not room.problems:
                shutil.rmtree(own.path)
    return {"runs with a failing call on " + " and ".join(systems): runs, **calls, "runs ended with an error": failed,
            **{f"{verb}s struck": count for verb, count in sorted(struck.items())}, **stopped}
