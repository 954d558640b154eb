"""The disk laboratory: real file systems on a disk of our own, an oracle that does not know the simulation.

  cuts     power cuts at random moments of a recorded workload, with any part of the unflushed writes, also in recovery
  writes   one write of file content refused now and then, with restarts and retries on the same running machine

examples:
  scripts/drive disk --seconds 600                     both campaigns on ext4 and xfs, in turns
  scripts/drive disk cuts --file-system xfs --rounds 4 --states 25
  scripts/drive disk writes --seed 17 --rounds 1       one world again; each line of the output names its seed
  scripts/drive disk --seconds 3600 --sums sums.json   adds to the sums of earlier runs, and begins after their seeds
  scripts/drive disk --plant sync                      no sync reaches the disk (trust: the page cache is trusted)

It needs root, FUSE and loop devices. --slice is a part of it in some two minutes, with both planted faults.
"""
import collections
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import time

import kept
from common import Skipped, say
from cuts import Cuts
from device import SCRIPTS, SIZES, Disk, Unusable, build, make_image
from writes import Writes

CAMPAIGNS = {"cuts": Cuts, "writes": Writes}
PLANTS = {"sync": "^cuts", "trust": "^writes"}
PLANTED = {"sync": ["cuts"], "trust": ["writes"]}
# A slice: campaigns, rounds, states and plant of each part.
SLICE = ((["cuts"], 1, 10, None), (["writes"], 8, 25, None), (["cuts"], 3, 25, "sync"), (["writes"], 15, 25, "trust"))
ALONE = "PENSTOCK_DISK_NAMESPACE"
KEEPS = False  # images are large, and in memory: kept with --keep alone


def add_options(parser):
    parser.add_argument("campaigns", nargs="*", metavar="cuts|writes", help="default: both")
    parser.add_argument("--file-system", action="append", choices=SIZES, help="default: both")
    parser.add_argument("--rounds", type=int, help="how many recordings, or worlds, of each campaign and file system")
    parser.add_argument("--seconds", type=float, help="how long all together (default 60, where --rounds says nothing)")
    parser.add_argument("--states", type=int, default=25, help="power cuts of each recording (default 25)")
    parser.add_argument("--sums", metavar="FILE", help="sums to begin with and to add to")
    parser.add_argument("--durability", choices=("disk", "kernel"), default="disk",
                        help="kernel: acknowledged records may be lost, but no cursor is ahead of the log or stuck")


def settle(options):
    options.campaigns = options.campaigns or PLANTED.get(options.plant) or list(CAMPAIGNS)
    if unknown := set(options.campaigns) - set(CAMPAIGNS):
        sys.exit(f"disk: there is no campaign {unknown.pop()}")
    if options.rounds is None and options.seconds is None:
        options.seconds = 60
    # In memory, where there is room for it.
    if not options.dir and os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 3 << 30:
        options.dir = "/dev/shm"


def prepare(options):
    """A mount namespace of its own: what is mounted in it ends with its last process, whatever happens."""
    for is_there, words in ((os.uname().sysname == "Linux", "not Linux"), (os.getuid() == 0, "not root"),
                            (os.path.exists("/dev/fuse"), "no /dev/fuse"),
                            (os.path.exists("/dev/loop-control"), "no loop devices")):
        if not is_there:
            raise Skipped(words)
    if ALONE not in os.environ:
        if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
            raise Skipped("no mount namespace can be made")
        if subprocess.run([f"{SCRIPTS}/setup", "--lab"]).returncode:
            raise Skipped("packages are missing")
        os.environ[ALONE] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])
    return contextlib.nullcontext()


class Sums:
    """What all runs found, by campaign, file system and plant. Kept in a file after each round."""

    def __init__(self, path):
        self.path, self.rows = path, kept.load(path)

    def add(self, key, seed, found, **amounts):
        row = self.rows.setdefault(key, {"rounds": 0, "violations": 0, **dict.fromkeys(amounts, 0),
                                         "seedsToLookAt": []})
        for name, amount in {"rounds": 1, "violations": len(found), **amounts}.items():
            row[name] = round(row[name] + amount, 1)
        row["seedsToLookAt"] += [seed] if found else []
        row["nextSeed"] = seed + 1
        kept.save(self.path, self.rows)

    def figures(self):
        return {f"{name} of {key}": row[name] for key, row in self.rows.items()
                for name in ("states", "rounds", "violations", "unmountable")}


class Laboratory:
    def __init__(self, room):
        self.room, self.options, self.sums = room, room.options, Sums(room.options.sums)
        self.kinds = []
        for kind in self.options.file_system or SIZES:
            try:
                build(room.path)
                image = room.path / "probe.image"
                make_image(image, kind, room.path / "mount")
                with Disk(room.path, image, kind):
                    self.kinds.append(kind)
            except Unusable as error:
                say(f"disk: {kind} is left out: {error}")
        if not self.kinds:
            raise Skipped("no file system can be made and mounted here")

    def round(self, name, kind, key, seed):
        """One recording or one world. What was found."""
        begun, states, unmountable, found = time.monotonic(), 0, 0, []
        world = CAMPAIGNS[name](self.room, kind, random.Random(f"{name}/{kind}/{seed}"))
        for place, problems in world.states():
            states += problems is not None
            unmountable += problems is None
            if problems is None:
                say(f"disk: {key}, seed {seed}: not judged: {place}")
            if problems:
                found.append(f"{key}, seed {seed}: {place}: {'; '.join(problems)}")
                if self.options.plant or self.options.keep:
                    break
        seconds = round(time.monotonic() - begun, 1)
        self.sums.add(key, seed, found, states=states, unmountable=unmountable, seconds=seconds)
        say(f"disk: {key}, seed {seed}: {states} states, {len(found)} violations [{seconds} s]")
        if self.options.json:
            print(json.dumps({"campaign": key, "seed": seed, "states": states, "unmountable": unmountable,
                              "violations": found, "seconds": seconds}), flush=True)
        self.room.problems += found
        return found, seconds

    def campaign(self, campaigns, rounds, seconds=None):
        """Rounds until the time is over; each campaign and file system gets as much time as the others."""
        options, begun, done = self.options, time.monotonic(), collections.Counter()
        spent = dict.fromkeys(((name, kind) for name in campaigns for kind in self.kinds), 0)
        special = f" --plant {options.plant}" if options.plant else ""
        special += " --durability kernel" if options.durability == "kernel" else ""
        while spent and (seconds is None or time.monotonic() - begun < seconds):
            name, kind = turn = min(spent, key=spent.get)
            key = f"{name} {kind}{special}"
            after = None if options.fixed_seed else self.sums.rows.get(key, {}).get("nextSeed")
            found, took = self.round(name, kind, key, options.seed + done[turn] if after is None else after)
            spent[turn] += took
            done[turn] += 1
            if done[turn] == rounds:
                del spent[turn]
            if found and (options.plant or options.keep):
                return

    def slice(self):
        """A part of both, and each planted fault, which must be found."""
        options, problems = self.options, self.room.problems
        options.seed, options.fixed_seed = 1, True
        for campaigns, rounds, options.states, options.plant in SLICE:
            before = len(problems)
            self.campaign(campaigns, rounds)
            if options.plant:
                found, problems[before:] = problems[before:], []
                problems += [] if found else [f"the planted fault '{options.plant}' was not found"]
        options.plant = None


def run(room):
    laboratory = Laboratory(room)
    if room.options.slice:
        laboratory.slice()
    else:
        laboratory.campaign(room.options.campaigns, room.options.rounds, room.options.seconds)
    return laboratory.sums.figures()
