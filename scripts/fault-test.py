#!/usr/bin/env python3
"""Lets call n on a log's files fail, for every n, and proves that nothing acknowledged was lost and nothing wrong is served.

The calls are those that reach the C library (scripts/faults.c, preloaded): open, read, write, sync, truncate, rename, unlink,
mkdir. One run of `penstock append` in small segments that are sealed, then one of `penstock deliver` into a directory, are
first counted, and then done once for each n and each kind of failure. After each, without faults:

  append   ended within the limit by itself: with 0 and everything acknowledged, or with 1 or 3, a message, and what it did
           acknowledge. The log is opened again, and takes the rest of the records: it holds, byte for byte, a prefix of what
           was fed that is at least as long as what was acknowledged, then the rest; `penstock verify` finds nothing.
  deliver  ended likewise; after another delivery the directory holds every record once, in order, byte for byte, and the
           cursor stands at the end.

One line says what was done; a violation makes the exit code 1 and keeps the folder. See it fail: --plant lost.
"""
import argparse
import glob
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

LIMIT = 60  # seconds for any one command
FIRST, REST = 32, 3  # records: fifteen blocks fill a segment
KINDS = ("EIO", "ENOSPC", "EINTR", "SHORT")
# What a failure of the file system may end with: docs/alarms.md.
FAILED = (1, 3)


class Run:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.log, self.out = os.path.join(folder, "log"), os.path.join(folder, "out")
        self.config = os.path.join(folder, "config.yaml")
        os.makedirs(folder)
        os.makedirs(self.out)
        with open(self.config, "w") as file:
            file.write(f"log: {{ path: {self.log}, segmentSize: 64KiB, sealing: on }}\n"
                       f"destinations:\n  - {{ name: out, type: directory, path: {self.out}, "
                       "rotate: { maxRecords: 12 } }\n")

    def penstock(self, arguments, stdin=b"", fault=None):
        environment = dict(os.environ)
        report = os.path.join(self.folder, "calls")
        if os.path.exists(report):
            os.unlink(report)
        if fault is not None:
            number, kind = fault
            environment.update(LD_PRELOAD=self.options.library, PENSTOCK_FAULT_DIR=self.folder,
                               PENSTOCK_FAULT_CALL=str(number), PENSTOCK_FAULT_KIND=kind, PENSTOCK_FAULT_REPORT=report,
                               SWIFT_BACKTRACE="enable=no")
        try:
            ran = subprocess.run([self.options.binary] + arguments, input=stdin, capture_output=True, timeout=LIMIT,
                                 env=environment)
        except subprocess.TimeoutExpired:
            return None, b"", f"hung for {LIMIT} s", calls(report)
        return ran.returncode, ran.stdout, ran.stderr.decode(errors="replace"), calls(report)

    def append(self, rows, fault=None, batch="2"):
        return self.penstock(["append", "--log", self.log, "--config", self.config, "--json", "--batch", batch, "-"],
                             b"".join(rows), fault)

    def deliver(self, fault=None):
        return self.penstock(["deliver", "--config", self.config, "--until-caught-up", "--json"], fault=fault)

    def rows(self):
        code, out, err, _ = self.penstock(["tail", "--log", self.log, "--from", "beginning"])
        return None if code else out


def calls(path):
    try:
        with open(path, errors="replace") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def acknowledged(out):
    """One past the last record that was acknowledged in an empty log; and whether the numbers follow each other."""
    end, sound = 0, True
    for line in out.splitlines():
        said = json.loads(line).get("acknowledged")
        if said:
            sound = sound and said["first"] == end
            end = said["last"] + 1
    return end, sound


def ended(code, err, names):
    """What is wrong with how a command ended."""
    if code is None:
        return [err]
    if code == 0:
        return []
    if code not in FAILED:
        return [f"ended with {code}: {err.strip()[-300:]}"]
    if not any(err.lstrip().startswith(name) or f"\n{name}" in err for name in names):
        return [f"ended with {code} and without a message: {err.strip()[-300:]!r}"]
    return []


def rows_of(seed, turn, count):
    return [record(seed, turn, number) for number in range(count)]


def after_append(run, first, code, out, err):
    """What is wrong after an append with a fault."""
    found = ended(code, err, ("penstock append",))
    end, sound = acknowledged(out)
    if run.options.plant == "lost" and end:
        end = len(first) + 1
    if not sound:
        found.append("acknowledgements do not follow each other")
    if code == 0 and end < len(first):
        found.append(f"ended well with {end} of {len(first)} records acknowledged")
    rest = rows_of("rest", 2, REST)
    again = run.append(rest)
    if again[0] != 0:
        return found + [f"the log can not be written again: {again[0]}: {again[2].strip()[-300:]}"]
    held = run.rows()
    if held is None:
        return found + ["the log can not be read again"]
    rows = held.splitlines(keepends=True)
    kept = rows[:-REST]
    if kept != first[:len(kept)] or rows[-REST:] != rest:
        found.append("the log holds something else than a prefix of what was fed, and the rest")
    if len(kept) < end:
        found.append(f"{end} records acknowledged, {len(kept)} there")
    return found + verified(run)


def verified(run):
    code, out, err, _ = run.penstock(["verify", "--log", run.log, "--json"])
    return [] if code == 0 else [f"verify ended with {code}: {(out.decode() + err).strip()[-300:]}"]


def exported(run):
    """The rows of the objects in the order of their names."""
    rows = b""
    for path in sorted(glob.glob(os.path.join(run.out, "**", "*"), recursive=True)):
        if os.path.isfile(path) and "_penstock" not in path and not os.path.basename(path).startswith("."):
            if path.endswith(".zst"):
                rows += subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout
            elif path.endswith(".json") or path.endswith(".ndjson"):
                with open(path, "rb") as file:
                    rows += file.read()
    return rows


def after_delivery(run, held, code, err):
    """What is wrong after a delivery with a fault."""
    found = ended(code, err, ("penstock deliver", "penstock: "))
    again = run.deliver()
    if again[0] != 0:
        return found + [f"the delivery can not go on: {again[0]}: {again[2].strip()[-300:]}"]
    rows = exported(run)
    if run.options.plant == "lost":
        rows = rows[:-1]
    if rows != held:
        found.append(f"the directory holds {rows.count(10)} rows of {len(rows)} bytes, the log {held.count(10)} of {len(held)}")
    return found + verified(run)


class FaultTest:
    def __init__(self, options):
        self.options, self.folder = options, tempfile.mkdtemp(prefix="penstock-faults.", dir=options.dir)
        self.problems, self.done, self.failed, self.hit = [], 0, 0, {}

    def run(self, name):
        return Run(self.options, os.path.join(self.folder, name))

    def note(self, what, found, said):
        struck = [line for line in said if line.endswith(" !")]
        for line in struck:
            verb = line.split()[1]
            self.hit[verb] = self.hit.get(verb, 0) + 1
        self.done += 1
        for problem in found:
            self.problems.append(f"{what} ({struck[0] if struck else 'not reached'}): {problem}")
        return bool(struck)

    def each(self, count, kinds):
        """The faults of a run with so many calls: threads make it a little longer or shorter."""
        until = time.monotonic() + self.options.seconds / 2 if self.options.seconds else None
        for kind in kinds:
            for number in range(1 + self.options.offset, count + 8, self.options.step):
                if until and time.monotonic() > until:
                    return
                yield number, kind

    def appends(self):
        first = rows_of("first", 1, FIRST)
        base = self.run("append-0")
        code, _, err, said = base.append(first, (0, "EIO"))
        if code != 0 or not said:
            sys.exit(f"fault-test: without a fault: {code}, {len(said)} calls seen: {err}")
        for number, kind in self.each(len(said), self.options.kinds):
            run = self.run(f"append-{kind}-{number}")
            code, out, err, seen = run.append(first, (number, kind))
            self.failed += code != 0
            found = after_append(run, first, code, out, err)
            self.note(f"append, call {number}, {kind}", found, seen)
            if not found:
                shutil.rmtree(run.folder)
        return len(said)

    def deliveries(self):
        first = rows_of("first", 1, FIRST)
        template = self.run("deliver-0")
        template.append(first)
        held = template.rows()
        base = self.copy(template, "deliver-1")
        code, _, err, said = base.deliver((0, "EIO"))
        if code != 0 or not said:
            sys.exit(f"fault-test: without a fault: {code}, {len(said)} calls seen: {err}")
        for number, kind in self.each(len(said), self.options.kinds):
            run = self.copy(template, f"deliver-{kind}-{number}")
            code, _, err, seen = run.deliver((number, kind))
            self.failed += code != 0
            found = after_delivery(run, held, code, err)
            self.note(f"deliver, call {number}, {kind}", found, seen)
            if not found:
                shutil.rmtree(run.folder)
        return len(said)

    def copy(self, template, name):
        run = self.run(name)
        shutil.copytree(template.log, run.log)
        return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--dir", help="where the logs are made: another file system")
    parser.add_argument("--step", type=int, default=1, help="only every n-th call")
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--seconds", type=float, help="stop after so long, half of it for each of the two")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--only", choices=("append", "deliver"))
    parser.add_argument("--plant", choices=("lost",), help="tamper with the evidence: the run must fail")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    test, started = FaultTest(options), time.monotonic()
    sizes = [job() for name, job in (("append", test.appends), ("deliver", test.deliveries)) if options.only in (None, name)]
    for problem in test.problems[:40]:
        print(f"fault-test: {problem}", file=sys.stderr)
    hits = ", ".join(f"{verb} {count}" for verb, count in sorted(test.hit.items()))
    print(f"{'FAILED' if test.problems else 'ok'}: {test.done} runs in {time.monotonic() - started:.0f} s, "
          f"of {' and '.join(map(str, sizes))} calls ({', '.join(options.kinds)}, every {options.step}); struck: {hits}; "
          f"{test.failed} runs ended with an error; {len(test.problems)} violations")
    if test.problems:
        print(f"fault-test: everything is in {test.folder}", file=sys.stderr)
    else:
        shutil.rmtree(test.folder)
    sys.exit(1 if test.problems else 0)


if __name__ == "__main__":
    main()
