"""Kills penstock at random moments and proves that nothing acknowledged was lost and nothing was doubled.

docs/internals/testing.md says what is proved; the proof is scripts/kill_proof.py. Where a round's stream begins in the
log is not asked from `penstock status`: a reader may know less of a dead writer than recovery finds. At the end the
proof is put to the test: on the same evidence with one thing wrong it must fail, for each kind of --plant.

`--jobs N` divides the rounds among N loops that run at the same time, each with a log, a receiver, names in the bucket
and a seed of its own. A loop that fails names its seed; `--jobs 1 --seed` with that one runs it again.
"""
import os
import random
import signal
import threading
import time

import objects
import servers
from feed import Append
from kill_proof import PLANTS as BLINDNESS
from kill_proof import Evidence, read_letters, record
from parts import Parts
from room import wait_until, webhook
from slow_answers import SlowAnswers

PLANTS = {kind: "^" + words for kind, words in BLINDNESS.items()}
EVERY_BIG = 9  # one round of so many is one of big records, whose objects go up in parts
SLOW_SECONDS = 0.02  # answers are held back up to this long: see slow_answers.py
FEW_ROUNDS = 100  # with fewer, chance may leave something out
REFUSED = '"platform":"refused"'  # the receiver answers 422 to every body that holds it: see kill_proof.record
PATIENT = {"circuit": {"failures": 2, "drain": 16, "doubling": "1s", "full": 64},
           "retry": {"first": "50ms", "cap": "400ms"}}
AMOUNTS = {"rounds": (200, 10, "how many")}


def add_options(parser):
    parser.add_argument("--jobs", type=int, help="loops at the same time (default: five for each processor)")
    parser.add_argument("--longest", type=float, default=0.5, metavar="S", help="the latest moment of a kill")


def prepare(_):
    return servers.running("seaweedfs")


def settle(options):
    options.jobs = options.jobs or max(1, min(5 * (os.cpu_count() or 1), options.rounds // EVERY_BIG))


def demands(options, figures):
    """What a long enough run must have met, or it shows nothing about it."""
    wanted = {"uploads cut": "no upload was killed between its parts", "proofs of parts tried": "no object had parts",
              "cut uploads aborted": "no such upload was aborted after", "uploads resumed": "no upload was resumed"}
    few = {"uploads resumed": 3 * FEW_ROUNDS}  # rarer: an outage must come between two parts
    return [words for key, words in wanted.items()
            if options.rounds >= few.get(key, FEW_ROUNDS) and not figures.get(key)]


def more(destination):
    """Whether a request has reached the destination since this was asked for."""
    before = destination.seen
    return lambda: destination.seen > before


class Replay:
    """One replay into the bucket, under its own names, killed and resumed round by round."""

    def __init__(self, loop):
        self.loop, self.window, self.process, self.killed = loop, None, None, 0

    def begin(self, end):
        """Starts or resumes it; `end` is an offset that is surely durable."""
        if self.window is None:
            if end < 1200:
                return None
            self.window = (end // 7, end)
        # The window each time: a kill may have come before it was durable, and the same one again is no change.
        window = f"--id window --from {self.window[0]} --until {self.window[1]}"
        self.process = self.loop.room.spawn("replay", f"replay --config c.yaml --to archive {window} --json")
        return self.process

    def end(self):
        """Waits for it. It may have been killed, or have finished before the kill."""
        if self.process:
            self.killed += self.loop.room.wait("replay", self.process, (0, -signal.SIGKILL)) == -signal.SIGKILL
        self.process = None


class KillLoop:
    def __init__(self, room):
        self.room, self.random = room, random.Random(f"{room.options.seed}/moments")
        # Names of its own in a bucket that other loops, and earlier ones of the same seed, use as well.
        self.place = "loop-" + room.path.name.rpartition(".")[2]
        self.rounds, self.appends_killed, self.deliveries_killed, self.outages = [], 0, 0, 0
        self.receiver, url = room.listen("receive", "receive --listen 127.0.0.1:0 --out received.ndjson "
                                                    f"--ledger ledger.ndjson --reject '{REFUSED}'")
        self.webhook = SlowAnswers(url, room.options.seed, SLOW_SECONDS)
        self.store = SlowAnswers(os.environ["PENSTOCK_S3_ENDPOINT"], room.options.seed, SLOW_SECONDS)
        batch = {"maxEvents": 150, "maxBytes": "1MiB", "maxWait": "100ms"}
        room.configure(webhook(self.webhook.url, batch=batch, onRejected="deadLetter", **PATIENT), objects.destination(
            self.store.url, f"{self.place}/usages", rotate={"maxRecords": 500, "maxAge": "1s"}, **PATIENT))
        self.replay, self.parts = Replay(self), Parts(self, 2 * SLOW_SECONDS, PATIENT)

    def spawn_deliver(self, room):
        return room.spawn("deliver", "deliver --config c.yaml --until-caught-up --json")

    def delivered(self, turn, room, process, may_be_killed=False):
        """Waits for a delivery; whether it was killed."""
        codes = (0, -signal.SIGKILL) if may_be_killed else (0,)
        was_killed = room.wait("deliver", process, codes, f"round {turn}: ") == -signal.SIGKILL
        self.deliveries_killed += was_killed
        return was_killed

    def ended(self, append, kill=False):
        self.appends_killed += append.end(kill)

    def round(self, turn):
        if turn % EVERY_BIG == EVERY_BIG - 1:
            return self.parts.round(turn)
        plan = "append" if turn == 0 else self.random.choice(("append", "append", "deliver", "both", "both", "neither"))
        append = Append(self.room, turn, self.random.choice((200, 1000, 3000)), record, self.random.random() < 0.7)
        deliver, killers = None, []
        if plan != "append":
            # While an append runs, as in production.
            wait_until(append.is_at_work)
            self.break_down()
            deliver = self.spawn_deliver(self.room)
        # Begins the replay or resumes it in some rounds, and mostly kills it. What was acknowledged in this round was
        # recovered before, and is there to stay.
        if self.random.random() >= 0.6 and (process := self.replay.begin(append.first_offset or 0)):
            if self.random.random() < 0.8:
                killers.append(self.killer(process, self.random.choice((lambda: True, more(self.store)))))
        if plan in ("append", "both"):
            begun = self.random.choice((lambda: True, lambda: append.acknowledged > 0))
            killers.append(self.killer(append.process, begun))
        if plan in ("deliver", "both"):
            begun = self.random.choice((lambda: True, more(self.webhook), more(self.store)))
            killers.append(self.killer(deliver, begun))
        for killer in killers:
            killer.join()
        self.ended(append, kill=plan in ("append", "both"))
        self.rounds.append(append)
        self.replay.end()
        if deliver:
            self.delivered(turn, self.room, deliver, plan != "neither")

    def break_down(self):
        """Now and then a destination is gone for a while, long enough for the circuit to open."""
        if self.random.random() < 0.2:
            self.random.choice((self.webhook, self.store)).go_down(self.random.uniform(0.1, 0.8))
            self.outages += 1

    def killer(self, process, begun, longest=None, patience=2):
        """Ends the process at a random moment after it has begun: just started, or seen to work."""
        # From the first instructions of the process to well into its work, each scale as likely as the next.
        delay = 0.001 * ((longest or self.room.options.longest) / 0.001) ** self.random.random()

        def kill():
            wait_until(lambda: begun() or process.poll() is not None, seconds=patience)
            time.sleep(delay)
            process.kill()

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        return thread

    def finish(self):
        """The rest of the input and one delivery, undisturbed; then the evidence, as files, and the figures."""
        room, turn = self.room, self.room.options.rounds
        self.rounds.append(last := Append(room, turn, 1000, record))
        self.ended(last)
        self.delivered(turn, room, self.spawn_deliver(room))
        end = (last.first_offset or 0) + last.acknowledged
        self.replay.begin(end)
        self.replay.end()
        self.receiver.terminate()
        room.wait("receive", self.receiver)
        room.run("tail --log L --from beginning", to="log.ndjson")
        room.run("verify --log L --json")
        letters = []
        if room.has("L.deadletters/web"):  # made with the first letter
            room.run("tail --log L.deadletters/web --from beginning", to="letters")
            letters = read_letters(room.path / "letters")
        stored = objects.collect(room, f"{self.place}/usages", "objects")
        objects.collect(room, f"{self.place}/replays/window/usages", "replayed")
        objects.Verify(room).all_of(end, stored)
        evidence = Evidence(room.path, room.options.seed, self.rounds, letters, self.replay.window)
        self.parts.finish()
        room.problems += prove(evidence, room.options.plant)
        first, until = self.replay.window or (0, 0)
        return {"appends killed": self.appends_killed, "deliveries killed": self.deliveries_killed,
                "records acknowledged": sum(turn.acknowledged for turn in self.rounds), "objects": len(stored),
                "requests": len(evidence.ledger), "of them repeated": evidence.repeated(), "outages": self.outages,
                "dead letters": len(letters), "records replayed": until - first, "replays killed": self.replay.killed,
                **self.parts.figures()}


def prove(evidence, plant):
    """The problems found; and when there are none, the proof itself is tried on wrong evidence."""
    found = (evidence.planted(plant) if plant in evidence.plants() else evidence).problems()
    if not found:
        for kind, name in evidence.plants().items():
            if not any(problem.startswith(name) for problem in evidence.planted(kind).problems()):
                found.append(f"the proof is blind: it passes with the planted fault '{kind}'")
        evidence.problems()  # writes input.ndjson again as it was
    return found


def run(room):
    loop, done = KillLoop(room), 0
    while done < room.options.rounds and not room.problems:
        loop.round(done)
        done += 1
        room.options.progress(done)
    return {"rounds": done, **loop.finish()}
