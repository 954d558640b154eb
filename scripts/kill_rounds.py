"""One loop of kills: its folder, its receiver, its place in the bucket, its seed. Part of kill-test.py, which says in
words what is done and proved.
"""
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

import s3
from kill_append import HUNG_SECONDS, Append, wait_until
from kill_export import ExportCheck, collect_objects
from kill_features import REPLAY, Features, Replay
from kill_parts import Parts
from kill_proof import Evidence, read_letters, record
from slow_answers import SlowAnswers

SLOW_SECONDS = 0.02  # answers are held back up to this long: see slow_answers.py
EVERY_BIG = 9  # one round of so many is one of big records, whose objects go up in parts


class KillTest:
    def __init__(self, options):
        self.options, self.seed = options, options.seed
        self.random = random.Random(f"{self.seed}/moments")
        self.folder = tempfile.mkdtemp(prefix="penstock-kill.")
        self.log = self.path("log")
        # Names of its own in a bucket that other loops, and earlier ones of the same seed, use as well.
        self.place = "loop-" + self.folder.rpartition(".")[2]
        self.prefix, self.replay_prefix = f"{self.place}/usages", f"{self.place}/replays/{REPLAY}/usages"
        self.rounds, self.problems, self.done = [], [], 0
        self.killed = {"append": 0, "deliver": 0}
        self.receiver, self.destinations, self.objects, self.live = None, [], [], []
        self.outages, self.letters, self.evidence = 0, None, None
        self.features = Features(options.binary, self.folder)
        self.replay = Replay(self) if self.features.replay else None
        self.parts = Parts(self, SLOW_SECONDS)

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
        # Not with a timeout of its own: that looks only every 50 ms, and a round waits several times.
        hung = threading.Event()
        watchdog = threading.Timer(HUNG_SECONDS, lambda: (hung.set(), process.kill()))
        watchdog.daemon = True
        watchdog.start()
        code = process.wait()
        watchdog.cancel()
        if hung.is_set():
            self.problems.append(f"{name} hung for {HUNG_SECONDS} s: {self.errors(name)}")
            return None
        return code

    def output(self, name, arguments, file):
        """Runs a command that must end well, with its output in a file of the folder."""
        with open(self.path(file), "wb") as out:
            process = self.spawn(name, arguments, stdout=out)
        if (code := self.wait(process, name)) != 0:
            self.problems.append(f"{name} exited {code}: {self.errors(name)}")

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
                prefix=self.prefix))

    def spawn_deliver(self):
        return self.spawn("deliver", ["deliver", "--log", self.log, "--config", self.path("config.yaml"),
                                      "--until-caught-up", "--json"], stdout=subprocess.DEVNULL)

    def delivered(self, turn, process, may_be_killed):
        """Waits for a delivery; whether it was killed."""
        code = self.wait(process, "deliver")
        self.killed["deliver"] += code == -signal.SIGKILL
        if code not in (0, -signal.SIGKILL) or (code and not may_be_killed):
            self.problems.append(f"round {turn}: deliver ended with {code}: {self.errors('deliver')}")
        return code == -signal.SIGKILL

    def moment(self, longest):
        """From the first instructions of the process to well into its work, each scale as likely as the next."""
        return 0.001 * (longest / 0.001) ** self.random.random()

    def round(self, turn):
        if turn % EVERY_BIG == EVERY_BIG - 1:
            self.parts.round(turn)
        else:
            self.small_round(turn)
        self.done += 1

    def small_round(self, turn):
        plan = "append" if turn == 0 else self.random.choice(("append", "append", "deliver", "both", "both", "neither"))
        append = Append(self, turn, self.random.choice((200, 1000, 3000)), self.random.random() < 0.7, log=self.log,
                        make=record)
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
        self.ended(append, kill=plan in ("append", "both"))
        self.rounds.append(append)
        if self.replay:
            self.replay.end()
        if deliver:
            self.delivered(turn, deliver, plan != "neither")

    def ended(self, append, kill):
        self.killed["append"] += append.end(kill)
        self.problems += append.problems

    def break_down(self):
        """Now and then a destination is gone for a while, long enough for the circuit to open where it is set to."""
        if self.random.random() < (0.2 if self.features.breaker else 0.08):
            self.random.choice(self.destinations).go_down(self.random.uniform(0.1, 0.8))
            self.outages += 1

    def replay_beside(self, append, killers):
        """Begins the replay or lets it go on in some rounds, and mostly kills it."""
        if self.replay is None or self.random.random() < 0.6:
            return
        durable = append.first_offset or 0  # acknowledged in this round: recovered before, and there to stay
        if process := self.replay.begin(durable):
            if self.random.random() < 0.8:
                killers.append(self.killer(process, self.random.choice((lambda: True, more(self.destinations[1])))))

    def killer(self, process, begun, longest=None, patience=2):
        """Ends the process at a random moment after it has begun: just started, or seen to work."""
        delay = self.moment(longest or self.options.longest)

        def kill():
            wait_until(lambda: begun() or process.poll() is not None, seconds=patience)
            time.sleep(delay)
            process.kill()

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        return thread

    def finish(self):
        """The rest of the input and one delivery, undisturbed; then the evidence, as files."""
        last = Append(self, self.options.rounds, 1000, False, log=self.log, make=record)
        last.end(kill=False)
        self.rounds.append(last)
        self.problems += last.problems
        self.delivered(self.options.rounds, self.spawn_deliver(), False)
        if self.replay:
            self.replay.finish(self.durable_end())
        self.receiver.terminate()
        self.wait(self.receiver, "receive")
        self.output("tail", ["tail", "--log", self.log, "--from", "beginning"], "log.ndjson")
        self.output("verify", ["verify", "--log", self.log, "--json"], "verify.json")
        self.collect_letters()
        self.objects, problems = collect_objects(self.prefix, self.path("objects"))
        self.problems += problems
        if self.replay:
            self.problems += collect_objects(self.replay_prefix, self.path("replayed"))[1]
        self.problems += ExportCheck(self, self.path("config.yaml")).problems(self.durable_end(), self.objects)
        self.evidence = Evidence(self.folder, self.seed, self.rounds, self.letters, self.replay and self.replay.window)
        self.parts.finish()

    def durable_end(self):
        """One past the last record of the last round, which ended well."""
        return self.rounds[-1].first_offset + self.rounds[-1].acknowledged if self.rounds[-1].acknowledged else 0

    def collect_letters(self):
        if not self.features.dead_letters:
            return
        self.letters, log = [], f"{self.log}.deadletters/webhook"
        if os.path.isdir(log):  # made with the first letter
            self.output("tail", ["tail", "--log", log, "--from", "beginning"], "letters")
            self.letters = [(offset, row) for offset, row in read_letters(self.path("letters"))]

    def figures(self):
        """What was done, in numbers that can be added to those of other loops; None for what was left out."""
        first, end = (self.replay and self.replay.window) or (0, 0)
        ledger = self.evidence.ledger if self.evidence else []
        return {
            "rounds": self.done, "appendKilled": self.killed["append"], "deliverKilled": self.killed["deliver"],
            "acknowledged": sum(turn.acknowledged for turn in self.rounds), "objects": len(self.objects),
            "requests": len(ledger), "repeated": self.evidence.repeated() if self.evidence else 0,
            "outages": self.outages, "deadLetters": None if self.letters is None else len(self.letters),
            "replayed": end - first if self.replay else None, "replayKilled": self.replay.killed if self.replay else None,
            **self.parts.figures(),
        }

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
