"""Rounds of big records: a log of their own, whose objects go up in parts, with kills between those.

The least part that the local store takes is 5 MiB, so these records are big and cannot be compressed, and an object of
them has three parts. Every so often all is delivered, proved, and removed: else a long run would fill the disk.
"""
import copy
import functools
import itertools
import os
import random
import shutil

import objects
import s3
from feed import Append
from kill_proof import LogEvidence, big_record, compare
from room import wait_until
from slow_answers import SlowAnswers
from uploads import Conversation, Uploads

PART_BYTES = 5 << 20
RECORDS = 60  # of 0.2 MB after compression: three parts
ROUNDS = 12  # before a log is proved and removed


def swapped(packed):
    return packed[PART_BYTES:2 * PART_BYTES] + packed[:PART_BYTES] + packed[2 * PART_BYTES:]


class PartsEvidence(LogEvidence):
    def __init__(self, folder, seed, rounds):
        super().__init__(folder, seed, rounds, big_record)

    def problems(self):
        return [f"parts: {problem}" for problem in self.check_log()[1]] + compare("parts", self.objects, self.input)

    def planted(self, stored):
        """The same evidence, had the first two parts of the first object in parts changed places."""
        place = sum(size for _, size in itertools.takewhile(lambda each: each[1] <= 2 * PART_BYTES, stored))
        packed, wrong = self.objects.with_suffix(".zst").read_bytes(), copy.copy(self)
        planted, wrong.objects = self.objects.with_suffix(".planted.zst"), self.objects.with_suffix(".planted")
        planted.write_bytes(packed[:place] + swapped(packed[place:]))
        objects.unpack(planted, wrong.objects)
        return wrong


class Parts:
    def __init__(self, loop, slow_seconds, patient):
        self.loop, self.options, self.patient, self.uploads = loop, loop.room.options, patient, Uploads()
        self.random = random.Random(f"{self.options.seed}/parts")
        self.store = SlowAnswers(os.environ["PENSTOCK_S3_ENDPOINT"], f"{self.options.seed}/parts", slow_seconds,
                                 functools.partial(Conversation, self.uploads))
        # What of the proof was itself tried, so that a run in which nothing could be tried is noticed.
        self.number = self.records = self.left = self.outages = self.tried = 0
        self.rounds = []

    def begin(self):
        self.number += 1
        self.room = self.loop.room.sub(f"parts-{self.number}")
        self.prefix = f"{self.loop.place}/parts-{self.number}/usages"
        rotate = {"maxRecords": RECORDS, "maxAge": "1h"}
        self.room.configure(objects.destination(
            self.store.url, self.prefix, multipart={"partBytes": "5MiB"}, rotate=rotate, **self.patient))

    def append(self, turn, kill=False):
        append = Append(self.room, turn, RECORDS, big_record, sizes=(1, 3, 20))
        wait_until(append.is_at_work) if kill else append.join()
        self.loop.ended(append, kill)
        self.rounds.append(append)
        self.records += append.acknowledged

    def round(self, turn):
        """A new piece of the log, mostly; then a delivery that is killed among its parts, or loses its store there."""
        if not self.rounds:
            self.begin()
        # After a kill there is something left to deliver: then a new process, and nothing new.
        if not self.rounds or not self.uploads.open() or self.random.random() < 0.5:
            self.append(turn, self.random.random() < 0.2)
        for _ in range(self.random.choice((1, 2, 3))):
            if not self.deliver(turn):
                break
        if len(self.rounds) >= ROUNDS:
            self.prove()

    def deliver(self, turn):
        """Whether the process was killed, so that the next has something to clear away."""
        kill = self.random.choice((True, True, True, False, False))
        process = self.loop.spawn_deliver(self.room)
        if kill:
            self.loop.killer(process, self.beginning(), longest=0.03, patience=20).join()
        else:
            begun = self.beginning((1, 2))
            wait_until(lambda: begun() or process.poll() is not None, seconds=20)
            self.store.go_down(self.random.uniform(0.1, 0.4))
            self.outages += 1
            self.uploads.mark("interrupted")
        was_killed = self.loop.delivered(turn, self.room, process, kill)
        if was_killed:
            self.uploads.mark("cut")
        return was_killed

    def beginning(self, choices=(0, 1, 1, 1, 1, 2, 2, 2, 3)):
        """After which sight the kill comes: mostly when a first or a second part is there."""
        uploads, wait = self.uploads, self.random.choice(choices)
        created, taken, completing = uploads.created, uploads.taken, uploads.completing
        if wait == 0:
            return lambda: uploads.created > created
        return (lambda: uploads.completing > completing) if wait == 3 else lambda: uploads.taken >= taken + wait

    def prove(self):
        """Delivers the rest undisturbed, proves all of it, tries the proof, and removes it."""
        room, before = self.room, len(self.room.problems)
        self.append(self.options.rounds + self.number)
        self.loop.delivered("at the end of big records", room, self.loop.spawn_deliver(room))
        room.run("tail --log L --from beginning", to="log.ndjson")
        room.run("verify --log L --json")
        stored = objects.collect(room, self.prefix, "objects")
        evidence = PartsEvidence(room.path, self.options.seed, self.rounds)
        in_parts = [key for key, size in stored if size > 2 * PART_BYTES]
        planted = self.options.plant == "part" and in_parts
        room.problems += (evidence.planted(stored) if planted else evidence).problems()
        bucket = s3.Bucket.from_environment()
        left = bucket.uploads(self.prefix)
        self.left += len(left)
        room.problems += [f"parts: the upload {name} of {key} is left open" for key, name in left
                          if not getattr(self.uploads.all.get(name), "abort_lost", False)]
        if in_parts and len(room.problems) == before:
            self.try_proof(evidence, stored, in_parts[0])
        if len(room.problems) == before and not self.options.keep:
            for key, _ in bucket.list(self.prefix.rpartition("/")[0] + "/"):
                bucket.remove(key)
            shutil.rmtree(room.path)
        self.rounds = []

    def try_proof(self, evidence, stored, key):
        self.tried += 1
        if not evidence.planted(stored).problems():
            self.room.problems.append("the proof is blind: it passes with two parts that changed places")
        verify = objects.Verify(self.room)
        verify.all_of(self.rounds[-1].first_offset + self.rounds[-1].acknowledged, stored)
        verify.blindness(key, "of parts that changed places", swapped, "wrongContent")

    def finish(self):
        if self.rounds:
            self.prove()

    def figures(self):
        count = self.uploads.count
        return {
            "big records": self.records, "uploads in parts": count(lambda _: True),
            "uploads completed": count(lambda one: one.ended == "completed"), "uploads cut": count(lambda one: one.cut),
            "cut uploads aborted": count(lambda one: one.cut and one.ended == "aborted"),
            "uploads resumed": count(lambda one: one.resumed), "uploads left open": self.left,
            "outages among parts": self.outages, "proofs of parts tried": self.tried}
