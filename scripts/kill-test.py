#!/usr/bin/env python3
"""Kills penstock at random moments and proves that nothing acknowledged was lost and nothing was doubled.

Each round feeds `penstock append` a stream of its own: records that carry the round and their number in it, so that
every record of a run is unique. `append`, or `penstock deliver` beside it, or both, end by SIGKILL at a random moment.
The receiver and the S3 server are other processes and live on. At the end everything is delivered undisturbed. Proof:

  log       per round, the log holds a prefix of what was fed, at least as long as what was acknowledged, at the offsets
            that were acknowledged, rounds in order and nothing between them. Those prefixes, written out again from the
            generator, are `input.ndjson`; the log is equal to it byte for byte.
  s3        the rows of all objects, in key order, are equal to it byte for byte (so no row is lost or doubled);
            `penstock verify --s3 --depth content` finds the manifest sound from 0 to the log's end, and notices when
            one object is taken away.
  webhook   what the receiver stored, in the order received, is equal to it byte for byte, without the records it
            rejects; every repeated request carries an id seen before with the same range and the same bytes (SHA-256),
            and ranges are contiguous but for those records. Now and then the destinations are gone for a while.
  letters   each record that the receiver rejects (422, found by halving) is a dead letter exactly once, byte for byte.
  replay    the rows of the objects of a replay that ran beside, killed and gone on with, are its window's, once each.
  verify    `penstock verify` finds nothing.

Dead letters, settings of the circuit breaker and the replay are left out where the binary does not have them; then the
output says so.

Where a round's stream begins in the log is not asked from `penstock status`: a reader beside a dead writer may know
less than recovery finds, and the proof must not lean on it. Then the proof is put to the test itself: on the same
evidence with one row lost, one row doubled and one hash changed it must fail (`--plant` makes it fail for the caller).

Needs the S3 server's variables (scripts/s3-server) and the zstd command. scripts/kill-test sets all of it up.
"""
import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import s3  # noqa: E402
from kill_features import REPLAY_PREFIX, Features, Replay  # noqa: E402
from kill_proof import PLANTS, Evidence, read_letters, record  # noqa: E402
from slow_answers import SlowAnswers  # noqa: E402

PREFIX = "exports/usages"
SLOW_SECONDS = 0.05  # answers are held back up to this long: see slow_answers.py
PART_BYTES = "5MiB"  # the least the local server takes; objects here are smaller, so parts are not exercised
HUNG_SECONDS = 120  # no single command may hang longer than this



class Append(threading.Thread):
    """One round of `penstock append`: feeds it, collects what it acknowledges, knows how much was fed at most."""

    def __init__(self, test, turn, limit, pace):
        super().__init__(daemon=True)
        self.test, self.turn, self.limit, self.pace = test, turn, limit, pace
        self.fed, self.acknowledged, self.first_offset, self.problems = 0, 0, None, []
        self.random = random.Random(f"{test.seed}/feed/{turn}")
        self.process = test.spawn("append", ["append", "--log", test.log, "--json", "-"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.reader = threading.Thread(target=self.collect, daemon=True)
        self.reader.start()
        self.start()

    def run(self):
        try:
            pending = b""
            while self.fed < self.limit:
                count = min(self.random.choice((1, 3, 20, 150, 400)), self.limit - self.fed)
                rows = b"".join(record(self.test.seed, self.turn, n) for n in range(self.fed, self.fed + count))
                self.fed += count  # before the write: whatever arrives was counted
                data = pending + rows
                # Mostly stop in the middle of a line: a kill must not turn half a line into a record.
                cut = len(data) if self.random.random() < 0.2 else self.random.randrange(len(data))
                self.process.stdin.write(data[:cut])
                self.process.stdin.flush()
                pending = data[cut:]
                if self.pace:
                    time.sleep(self.random.choice((0, 0.001, 0.004, 0.02)))
            self.process.stdin.write(pending)
            self.process.stdin.flush()
        except OSError:
            pass  # killed

    def collect(self):
        for line in self.process.stdout:
            if not line.endswith(b"\n"):
                break  # cut by the kill: not said
            said = json.loads(line)
            if "acknowledged" not in said:
                continue
            first, last = said["acknowledged"]["first"], said["acknowledged"]["last"]
            if self.first_offset is None:
                self.first_offset = first
            elif first != self.first_offset + self.acknowledged:
                self.problems.append(f"round {self.turn}: acknowledged {first}…{last}, but the last acknowledgement "
                                     f"ended at {self.first_offset + self.acknowledged - 1}")
            self.acknowledged = last + 1 - self.first_offset

    def end(self, kill):
        """Kills it, or closes its input and lets it finish. It may have finished before the kill."""
        if kill:
            self.process.kill()
        self.join(HUNG_SECONDS)
        try:
            self.process.stdin.close()
        except OSError:
            pass
        code = self.test.wait(self.process, "append")
        self.reader.join(HUNG_SECONDS)
        if code not in ((-signal.SIGKILL, 0) if kill else (0,)):
            self.problems.append(f"round {self.turn}: append ended with {code}: {self.test.errors('append')}")
        if not kill and self.acknowledged != self.limit:
            self.problems.append(f"round {self.turn}: append ended well, but acknowledged {self.acknowledged} of "
                                 f"{self.limit}")
        return code == -signal.SIGKILL


class KillTest:
    def __init__(self, options):
        self.options, self.seed = options, options.seed
        self.random = random.Random(f"{self.seed}/moments")
        self.folder = tempfile.mkdtemp(prefix="penstock-kill.")
        self.log = self.path("log")
        self.rounds, self.problems = [], []
        self.killed = {"append": 0, "deliver": 0}
        self.receiver, self.destinations, self.objects, self.live = None, [], [], []
        self.outages, self.letters = 0, None
        self.features = Features(options.binary, self.folder)
        self.replay = Replay(self) if self.features.replay else None

    def path(self, name):
        return os.path.join(self.folder, name)

    def spawn(self, name, arguments, **streams):
        streams.setdefault("stdin", subprocess.DEVNULL)
        with open(self.path(name + ".stderr"), "wb") as errors:
            process = subprocess.Popen([self.options.binary] + arguments, stderr=errors, **streams)
        self.live = [one for one in self.live if one.poll() is None] + [process]
        return process

    def errors(self, name):
        with open(self.path(name + ".stderr"), errors="replace") as file:
            return file.read().strip()[-600:] or "(nothing on stderr)"

    def wait(self, process, name):
        try:
            return process.wait(HUNG_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.problems.append(f"{name} hung for {HUNG_SECONDS} s: {self.errors(name)}")
            return None

    def start_receiver(self):
        self.receiver = self.spawn("receive", ["receive", "--listen", "127.0.0.1:0", "--json", "--out",
                                               self.path("received.ndjson"), "--ledger", self.path("ledger.ndjson"),
                                               *self.features.receiver_options()],
                                   stdout=subprocess.PIPE)
        line = self.receiver.stdout.readline()
        if not line:
            sys.exit(f"kill-test: penstock receive did not start: {self.errors('receive')}")
        # Its later words are not evidence, but a full pipe would stop it.
        threading.Thread(target=self.receiver.stdout.read, daemon=True).start()
        bucket = s3.Bucket.from_environment()
        webhook = SlowAnswers(json.loads(line)["listening"], self.seed, SLOW_SECONDS)
        objects = SlowAnswers(os.environ["PENSTOCK_S3_ENDPOINT"], self.seed, SLOW_SECONDS)
        self.destinations = [webhook, objects]
        with open(self.path("config.yaml"), "w") as file:
            file.write(self.features.configuration(
                log=self.log, webhook=webhook.url, endpoint=objects.url, bucket=bucket.name, region=bucket.region,
                prefix=PREFIX, part_bytes=PART_BYTES))

    def spawn_deliver(self):
        return self.spawn("deliver", ["deliver", "--log", self.log, "--config", self.path("config.yaml"),
                                      "--until-caught-up", "--json"], stdout=subprocess.DEVNULL)

    def moment(self, longest):
        """From the first instructions of the process to well into its work, each scale as likely as the next."""
        return 0.001 * (longest / 0.001) ** self.random.random()

    def round(self, turn):
        plan = "append" if turn == 0 else self.random.choice(("append", "append", "deliver", "both", "both", "neither"))
        append = Append(self, turn, self.random.choice((200, 1000, 3000)), self.random.random() < 0.7)
        deliver, killers = None, []
        if plan != "append":
            # Beside a running append, as in production.
            wait_until(lambda: append.acknowledged > 0 or append.process.poll() is not None)
            self.break_down()
            deliver = self.spawn_deliver()
        self.replay_beside(append, killers)
        if plan in ("append", "both"):
            begun = self.random.choice((lambda: True, lambda: append.acknowledged > 0))
            killers.append(self.killer(append.process, begun))
        if plan in ("deliver", "both"):
            killers.append(self.killer(deliver, self.random.choice((lambda: True, *map(more, self.destinations)))))
        for killer in killers:
            killer.join()
        self.killed["append"] += append.end(kill=plan in ("append", "both"))
        self.rounds.append(append)
        self.problems += append.problems
        if self.replay:
            self.replay.end()
        if deliver:
            code = self.wait(deliver, "deliver")
            self.killed["deliver"] += code == -signal.SIGKILL
            if code not in (0, -signal.SIGKILL) or (code and plan == "neither"):
                self.problems.append(f"round {turn}: deliver ended with {code}: {self.errors('deliver')}")

    def break_down(self):
        """Now and then a destination is gone for a while, long enough for the circuit to open where it is set to."""
        if self.random.random() < (0.2 if self.features.breaker else 0.08):
            self.random.choice(self.destinations).go_down(self.random.uniform(0.2, 1.5))
            self.outages += 1

    def replay_beside(self, append, killers):
        """Begins the replay or lets it go on in some rounds, and mostly kills it."""
        if self.replay is None or self.random.random() < 0.6:
            return
        durable = append.first_offset or 0  # acknowledged in this round: recovered before, and there to stay
        if process := self.replay.begin(durable):
            if self.random.random() < 0.8:
                killers.append(self.killer(process, self.random.choice((lambda: True, more(self.destinations[1])))))

    def killer(self, process, begun):
        """Ends the process at a random moment after it has begun: just started, or seen to work."""
        delay = self.moment(self.options.longest)

        def kill():
            wait_until(lambda: begun() or process.poll() is not None, seconds=2)
            time.sleep(delay)
            process.kill()

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        return thread

    def finish(self):
        """The rest of the input and one delivery, undisturbed; then the evidence, as files."""
        last = Append(self, len(self.rounds), 1000, False)
        last.end(kill=False)
        self.rounds.append(last)
        self.problems += last.problems
        code = self.wait(self.spawn_deliver(), "deliver")
        if code != 0:
            self.problems.append(f"the last deliver ended with {code}: {self.errors('deliver')}")
        if self.replay:
            self.replay.finish(self.durable_end())
        self.receiver.terminate()
        self.wait(self.receiver, "receive")
        with open(self.path("log.ndjson"), "wb") as out:
            tail = self.spawn("tail", ["tail", "--log", self.log, "--from", "beginning"], stdout=out)
        if self.wait(tail, "tail") != 0:
            self.problems.append(f"tail failed: {self.errors('tail')}")
        with open(self.path("verify.json"), "wb") as out:
            verify = self.spawn("verify", ["verify", "--log", self.log, "--json"], stdout=out)
        if (code := self.wait(verify, "verify")) != 0:
            self.problems.append(f"verify exited {code}: {self.errors('verify')}")
        self.collect_letters()
        self.objects = self.collect_objects(PREFIX, "objects")
        if self.replay:
            self.collect_objects(REPLAY_PREFIX, "replayed")
        self.verify_export()

    def durable_end(self):
        """One past the last record of the last round, which ended well."""
        return self.rounds[-1].first_offset + self.rounds[-1].acknowledged if self.rounds[-1].acknowledged else 0

    def collect_letters(self):
        if not self.features.dead_letters:
            return
        self.letters, log = [], f"{self.log}.deadletters/webhook"
        if os.path.isdir(log):  # made with the first letter
            with open(self.path("letters"), "wb") as out:
                tail = self.spawn("tail", ["tail", "--log", log, "--from", "beginning"], stdout=out)
            if self.wait(tail, "tail") != 0:
                self.problems.append(f"tail of the dead letters failed: {self.errors('tail')}")
            self.letters = [(offset, row) for offset, row in read_letters(self.path("letters"))]

    def verify_export(self):
        """The manifest is sound up to the log's end; and the verification is not blind: an object less, and it says so."""
        def verify():
            with open(self.path("export.json"), "wb") as out:
                process = self.spawn("verify", ["verify", "--s3", "--config", self.path("config.yaml"), "--destination",
                                                "archive", "--depth", "content", "--json"], stdout=out)
            code = self.wait(process, "verify")
            with open(self.path("export.json")) as file:
                return code, json.loads(file.readline() or "{}")

        code, report = verify()
        if code != 0 or report.get("findings") or report.get("pending") or not report.get("hasManifest"):
            self.problems.append(f"verify --s3 exited {code}: {self.errors('verify')} {report.get('pending', '')}")
        elif report["end"] != self.durable_end() or report["first"] != 0:
            self.problems.append(f"verify --s3 proved {report['first']} to {report['end']}, not {self.durable_end()}")
        else:
            bucket, (key, _) = s3.Bucket.from_environment(), self.objects[len(self.objects) // 2]
            taken = bucket.get(key)
            bucket.remove(key)
            code, report = verify()
            bucket.put(key, taken)
            if code != 1 or [finding["kind"] for finding in report["findings"]] != ["missingObject"]:
                self.problems.append(f"verify --s3 is blind: exit {code} although {key} is gone")

    def collect_objects(self, prefix, name):
        bucket = s3.Bucket.from_environment()
        with open(self.path(name + ".ndjson"), "wb") as out, open(self.path(name + ".keys"), "w") as keys:
            unpack = subprocess.Popen(["zstd", "-dcq"], stdin=subprocess.PIPE, stdout=out)
            objects = bucket.list(prefix)
            for key, size in objects:
                keys.write(f"{size}\t{key}\n")
                unpack.stdin.write(bucket.get(key))
            unpack.stdin.close()
            if unpack.wait() != 0 and objects:
                self.problems.append(f"zstd cannot unpack the objects below {prefix}")
        return objects

    def words(self):
        letters = "NO dead letters" if self.letters is None else f"{len(self.letters)} dead letters"
        if self.replay is None:
            return f"{letters}, NO replay"
        first, end = self.replay.window or (0, 0)
        return f"{letters}, a replay of {end - first} records killed {self.replay.killed} times"

    def clean_up(self, keep):
        for process in self.live:
            if process.poll() is None:
                process.kill()
                process.wait()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def more(destination):
    """Whether a request has reached the destination since this was asked for."""
    before = destination.seen
    return lambda: destination.seen > before


def wait_until(condition, seconds=HUNG_SECONDS):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.001)


def prove(evidence, plant):
    """The problems found; and when there are none, the proof itself is tried on wrong evidence."""
    found = (evidence.planted(plant) if plant else evidence).problems()
    if not found:
        for kind, name in evidence.plants().items():
            if not any(problem.startswith(name) for problem in evidence.planted(kind).problems()):
                found.append(f"the proof is blind: it passes with the planted fault '{kind}'")
        evidence.problems()  # writes input.ndjson again as it was
    return found


def run(options):
    test, started, keep = KillTest(options), time.monotonic(), True
    try:
        for words in test.features.left_out:
            print(f"kill-test: LEFT OUT: {words}", file=sys.stderr)
        test.start_receiver()
        for turn in range(options.rounds):
            test.round(turn)
            if test.problems:
                break
            if sys.stderr.isatty() or (turn + 1) % 50 == 0:
                print(f"kill-test: round {turn + 1} of {options.rounds}", file=sys.stderr)
        test.finish()
        evidence = Evidence(test.folder, options.seed, test.rounds, test.letters, test.replay and test.replay.window)
        problems = test.problems + prove(evidence, options.plant)
        keep = bool(problems) or options.keep
        for problem in problems:
            print(f"kill-test: {problem}", file=sys.stderr)
        print(f"{'FAILED' if problems else 'ok'}: {len(test.rounds) - 1} rounds in {time.monotonic() - started:.0f} s, "
              f"append killed {test.killed['append']} and deliver {test.killed['deliver']} times; "
              f"{sum(turn.acknowledged for turn in test.rounds)} records acknowledged, {len(test.objects)} objects, "
              f"{evidence.repeated()} of {len(evidence.ledger)} requests repeated; {test.outages} outages, "
              f"{test.words()}; seed {options.seed}; "
              f"{len(problems)} violations")
        return 1 if problems else 0
    finally:
        test.clean_up(keep)
        if keep:
            print(f"kill-test: seed {options.seed}; everything is in {test.folder}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seed", type=int, default=None, help="the input and the moments of an earlier run")
    parser.add_argument("--longest", type=float, default=0.5, metavar="S", help="the latest moment of a kill")
    parser.add_argument("--plant", choices=PLANTS, help="tamper with the evidence: the run must fail")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a good run too")
    options = parser.parse_args()
    options.binary = os.path.abspath(options.binary)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(run(options))


if __name__ == "__main__":
    main()
