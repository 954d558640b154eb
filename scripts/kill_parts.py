"""Rounds of big records: a log of its own, whose objects go up in parts, killed between them. Part of kill-test.py.

The least part that the local store takes is 5 MiB, so these records are big and cannot be compressed, and an object of them
has three parts. Every so often all is delivered, proved as the small ones are, and removed: else a long run would fill the disk.
"""
import os
import random
import shutil
import subprocess

import s3
from kill_append import Append, wait_until
from kill_export import ExportCheck, collect_objects, unpack
from kill_features import BREAKER
from kill_proof import LogEvidence, big_record, compare
from kill_uploads import Uploads
from slow_answers import SlowAnswers

PART_BYTES = 5 << 20
RECORDS = 60  # of 0.2 MB after compression: three parts
ROUNDS = 12  # before a log is proved and removed

CONFIGURATION = """\
log:
  path: {log}
destinations:
  - name: archive
    type: s3
    endpoint: {endpoint}
    bucket: {bucket}
    region: {region}
    credentials: {{ accessKey: "${{PENSTOCK_S3_ACCESS_KEY}}", secretKey: "${{PENSTOCK_S3_SECRET_KEY}}" }}
    prefix: {prefix}
    compression: zstd
    multipart: {{ partBytes: 5MiB }}
    rotate: {{ maxRecords: {records}, maxAge: 1h }}
{keys}"""


class PartsEvidence(LogEvidence):
    def __init__(self, folder, seed, rounds):
        super().__init__(folder, seed, rounds, big_record)

    def problems(self):
        _, found = self.check_log()
        return [f"parts: {problem}" for problem in found] + compare("parts", self.objects, self.input)

    def planted(self, key_and_sizes):
        """The same evidence, had the first two parts of the first object in parts changed places."""
        place = 0
        for _, size in key_and_sizes:
            if size > 2 * PART_BYTES:
                break
            place += size
        path = self.objects.removesuffix(".ndjson")
        with open(path + ".zst", "rb") as file:
            before, packed, rest = file.read(place), file.read(2 * PART_BYTES), file.read()
        with open(path + ".planted.zst", "wb") as out:
            out.write(before + swapped(packed) + rest)
        unpack(path + ".planted.zst", path + ".planted.ndjson")
        return self.with_changes(objects=path + ".planted.ndjson")


def swapped(packed):
    return packed[PART_BYTES:2 * PART_BYTES] + packed[:PART_BYTES] + packed[2 * PART_BYTES:]


class Parts:
    def __init__(self, test, slow_seconds):
        self.test, self.random, self.uploads = test, random.Random(f"{test.seed}/parts"), Uploads()
        self.store = SlowAnswers(os.environ["PENSTOCK_S3_ENDPOINT"], f"{test.seed}/parts", 2 * slow_seconds,
                                 self.uploads.conversation)
        self.number = self.records = self.left = self.outages = 0
        self.rounds = []
        # What of the proof was itself tried, so that a run in which nothing could be tried is noticed.
        self.tried = 0

    @property
    def folder(self):
        return self.test.path(f"parts-{self.number}")

    @property
    def prefix(self):
        return f"{self.test.place}/parts-{self.number}/usages"

    def begin(self):
        self.number, self.rounds = self.number + 1, []
        os.mkdir(self.folder)
        self.log, self.config = os.path.join(self.folder, "log"), os.path.join(self.folder, "config.yaml")
        bucket = s3.Bucket.from_environment()
        with open(self.config, "w") as file:
            file.write(CONFIGURATION.format(
                log=self.log, endpoint=self.store.url, bucket=bucket.name, region=bucket.region, prefix=self.prefix,
                records=RECORDS, keys=BREAKER if self.test.features.breaker else ""))

    def append(self, turn):
        return Append(self.test, turn, RECORDS, False, log=self.log, make=big_record, sizes=(1, 3, 20))

    def spawn_deliver(self):
        return self.test.spawn("deliver", ["deliver", "--log", self.log, "--config", self.config, "--until-caught-up",
                                           "--json"], stdout=subprocess.DEVNULL)

    def round(self, turn):
        """A new piece of the log, mostly; then a delivery that is killed among its parts, or loses its store there."""
        if not self.rounds:
            self.begin()
        # After a kill there is something left to deliver: then a new process, and nothing new.
        if not self.uploads.open() or self.random.random() < 0.5:
            append, kill = self.append(turn), self.random.random() < 0.2
            if kill:
                wait_until(lambda: append.acknowledged > 0 or append.process.poll() is not None)
            else:
                append.join()
            self.test.ended(append, kill)
            self.rounds.append(append)
            self.records += append.acknowledged
        for _ in range(self.random.choice((1, 2, 3))):
            if not self.deliver(turn):
                break
        if len(self.rounds) >= ROUNDS:
            self.prove()

    def deliver(self, turn):
        """Whether the process was killed, so that the next has something to clear away."""
        plan = self.random.choice(("kill", "kill", "kill", "outage", "outage"))
        process = self.spawn_deliver()
        if plan == "kill":
            self.test.killer(process, self.beginning(), longest=0.03, patience=20).join()
        else:
            self.lose_store(process)
        was_killed = self.test.delivered(turn, process, plan == "kill")
        if was_killed:
            self.uploads.killed()
        return was_killed

    def beginning(self, choices=(0, 1, 1, 1, 1, 2, 2, 2, 3)):
        """After which sight the kill comes: mostly when a first or a second part is there."""
        uploads, wait = self.uploads, self.random.choice(choices)
        if wait == 0:
            created = uploads.created
            return lambda: uploads.created > created
        if wait == 3:
            completing = uploads.completing
            return lambda: uploads.completing > completing
        taken = uploads.taken
        return lambda: uploads.taken >= taken + wait

    def lose_store(self, process):
        begun = self.beginning((1, 2))
        wait_until(lambda: begun() or process.poll() is not None, seconds=20)
        self.store.go_down(self.random.uniform(0.1, 0.4))
        self.outages += 1
        self.uploads.interrupted()

    def prove(self):
        """Delivers the rest undisturbed, proves all of it, tries the proof, and removes it."""
        test, problems = self.test, []
        last = self.append(test.options.rounds + self.number)
        test.ended(last, kill=False)
        self.rounds.append(last)
        self.records += last.acknowledged
        test.delivered("at the end of big records", self.spawn_deliver(), False)
        test.output("tail", ["tail", "--log", self.log, "--from", "beginning"], f"parts-{self.number}/log.ndjson")
        test.output("verify", ["verify", "--log", self.log, "--json"], f"parts-{self.number}/verify.json")
        objects, problems = collect_objects(self.prefix, os.path.join(self.folder, "objects"))
        evidence = PartsEvidence(self.folder, test.seed, self.rounds)
        in_parts = [(key, size) for key, size in objects if size > 2 * PART_BYTES]
        problems += (evidence.planted(objects) if test.options.plant == "part" and in_parts else evidence).problems()
        problems += self.check_leftovers()
        if in_parts and not problems:
            problems = self.try_proof(evidence, objects, in_parts[0][0])
        test.problems += problems
        if not problems and not test.options.keep:
            self.remove()
        self.rounds = []

    def try_proof(self, evidence, objects, key):
        self.tried += 1
        end = self.rounds[-1].first_offset + self.rounds[-1].acknowledged
        check, found = ExportCheck(self.test, self.config), []
        if not evidence.planted(objects).problems():
            found.append("the proof is blind: it passes with two parts that changed places")
        return (found or check.problems(end, objects)
                or check.blindness(key, "of parts that changed places", swapped, "wrongContent"))

    def check_leftovers(self):
        """No upload is left open but those whose abort the store never heard."""
        left = [(key, name) for key, name in s3.Bucket.from_environment().uploads(self.prefix)]
        self.left += len(left)
        return [f"parts: the upload {name} of {key} is left open" for key, name in left
                if not self.uploads.may_be_left(name)]

    def remove(self):
        bucket = s3.Bucket.from_environment()
        for key, _ in bucket.list(self.prefix.rpartition("/")[0] + "/"):
            bucket.remove(key)
        shutil.rmtree(self.folder)

    def finish(self):
        if self.rounds:
            self.prove()

    def figures(self):
        count = self.uploads.count
        return {
            "bigRecords": self.records, "uploads": count(lambda _: True),
            "uploadsCompleted": count(lambda one: one.ended == "completed"),
            "uploadsCut": count(lambda one: one.cut),
            "uploadsAborted": count(lambda one: one.cut and one.ended == "aborted"),
            "uploadsResumed": count(lambda one: one.resumed), "uploadsLeft": self.left, "partsTried": self.tried,
        }
