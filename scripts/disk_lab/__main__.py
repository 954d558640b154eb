"""The disk laboratory: real file systems on a disk of our own, an oracle that does not know the simulation.

  cuts     power cuts at random moments of a recorded workload, with any part of the unflushed writes, also in recovery
  writes   one write of file content refused now and then, with restarts and retries on the same running machine

examples:
  scripts/disk-lab --seconds 600                       both campaigns on ext4 and xfs, in turns
  scripts/disk-lab cuts --file-system xfs --rounds 4 --states 25
  scripts/disk-lab writes --seed 17 --rounds 1         one world again; each line of the output names its seed
  scripts/disk-lab --seconds 3600 --sums sums.json     adds to the sums of earlier runs, and begins after their seeds
  scripts/disk-lab --plant sync                        a planted fault: ends well when it is found

Exit code 1 when a promise was broken (with --plant, when none was), 77 when nothing can be mounted here.
"""
import argparse
import collections
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time

from cuts import Cuts
from disk import SIZES, Disk, Unusable, build, make_image
from writes import Writes

CAMPAIGNS = {"cuts": Cuts, "writes": Writes}
PLANTS = {"sync": ["cuts"], "trust": ["writes"]}
SKIPPED = 77


def say(*words, **options):
    print(*words, file=sys.stderr, flush=True, **options)


def options():
    parser = argparse.ArgumentParser(prog="disk-lab", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("campaigns", nargs="*", metavar="cuts|writes", help="default: both")
    parser.add_argument("--binary", required=True, help="the penstock to try; scripts/disk-lab builds one")
    parser.add_argument("--file-system", action="append", choices=SIZES, help="default: both")
    parser.add_argument("--rounds", type=int, help="how many recordings, or worlds, of each campaign and file system")
    parser.add_argument("--seconds", type=float, help="how long all together (default 60, where --rounds says nothing)")
    parser.add_argument("--states", type=int, default=25, help="power cuts of each recording (default 25)")
    parser.add_argument("--seed", type=int, help="of the first round; later rounds count up from it")
    parser.add_argument("--sums", metavar="FILE", help="sums to begin with and to add to")
    parser.add_argument("--plant", choices=PLANTS, help="a fault that must be found: no sync, or trust in the cache")
    parser.add_argument("--durability", choices=("disk", "kernel"), default="disk",
                        help="kernel: acknowledged records may be lost, but no cursor is ahead of the log or stuck")
    parser.add_argument("--json", action="store_true", help="one object a line for each round, and one for the sums")
    parser.add_argument("--keep", action="store_true", help="stop at the first violation, and keep its folder")
    chosen = parser.parse_args()
    chosen.campaigns = chosen.campaigns or PLANTS.get(chosen.plant) or list(CAMPAIGNS)
    if unknown := set(chosen.campaigns) - set(CAMPAIGNS):
        parser.error(f"there is no campaign {unknown.pop()}")
    if chosen.rounds is None and chosen.seconds is None:
        chosen.seconds = 60
    return chosen


class Sums:
    """What all runs found, by campaign, file system and plant. Kept in a file after each round."""

    def __init__(self, path):
        self.path, self.rows = path, {}
        if path and os.path.exists(path):
            with open(path) as file:
                self.rows = json.load(file)

    def add(self, key, seed, found, **amounts):
        row = self.rows.setdefault(key, {"rounds": 0, "violations": 0, **dict.fromkeys(amounts, 0), "seedsToLookAt": []})
        for name, amount in {"rounds": 1, "violations": len(found), **amounts}.items():
            row[name] = round(row[name] + amount, 1)
        row["seedsToLookAt"] += [seed] if found else []
        row["nextSeed"] = seed + 1
        if self.path:
            with open(self.path + ".new", "w") as file:
                json.dump(self.rows, file, indent=1)
            os.replace(self.path + ".new", self.path)

    def __str__(self):
        return "; ".join(f"{key}: {row['states']} states in {row['rounds']} rounds, {row['violations']} violations"
                         for key, row in self.rows.items())


def one_round(chosen, folder, name, kind, key, seed, sums):
    """One recording or one world. What was found, and how long it took."""
    begun, states, unmountable, found = time.monotonic(), 0, 0, []
    for place, problems in CAMPAIGNS[name](chosen, folder, kind, random.Random(f"{name}/{kind}/{seed}")).states():
        states += problems is not None
        if problems is None:
            unmountable += 1
            say(f"disk-lab: {key}, seed {seed}: not judged: {place}")
        if problems:
            found.append({"at": place, "problems": problems})
            say(f"disk-lab: {key}, seed {seed}: {place}", *problems, sep="\n  ")
            if chosen.plant or chosen.keep:
                break
    seconds = round(time.monotonic() - begun, 1)
    sums.add(key, seed, found, states=states, unmountable=unmountable, seconds=seconds)
    say(f"{key}, seed {seed}: {states} states, {len(found)} violations [{seconds} s]")
    if chosen.json:
        print(json.dumps({"campaign": key, "seed": seed, "states": states, "unmountable": unmountable, "violations": found,
                          "seconds": seconds}), flush=True)
    return found, seconds


def campaign(chosen, folder):
    """Rounds until the time is over. How many violations they found, or None where nothing can be mounted."""
    kinds = []
    for kind in chosen.file_system or SIZES:
        try:
            build(folder)
            make_image(f"{folder}/probe.image", kind, f"{folder}/mount")
            with Disk(folder, f"{folder}/probe.image", kind):
                kinds.append(kind)
        except Unusable as error:
            say(f"disk-lab: {kind} is left out: {error}")
    if not kinds:
        return None
    sums, begun, violations, any_seed = Sums(chosen.sums), time.monotonic(), 0, random.randrange(1 << 32)
    spent, rounds = dict.fromkeys(((name, kind) for name in chosen.campaigns for kind in kinds), 0), collections.Counter()
    special = f" --plant {chosen.plant}" if chosen.plant else ""
    special += " --durability kernel" if chosen.durability == "kernel" else ""
    # Each gets as much time as the others.
    while spent and (chosen.seconds is None or time.monotonic() - begun < chosen.seconds):
        name, kind = turn = min(spent, key=spent.get)
        key = f"{name} {kind}" + special
        kept = sums.rows.get(key, {}).get("nextSeed")
        seed = chosen.seed + rounds[turn] if chosen.seed is not None else any_seed + rounds[turn] if kept is None else kept
        found, seconds = one_round(chosen, folder, name, kind, key, seed, sums)
        violations += len(found)
        spent[turn] += seconds
        rounds[turn] += 1
        if rounds[turn] == chosen.rounds:
            del spent[turn]
        if found and (chosen.plant or chosen.keep):
            break
    print(json.dumps({"sums": sums.rows}) if chosen.json else f"disk-lab: {sums}", flush=True)
    return violations


def main():
    chosen = options()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    # In memory, where there is room for it.
    parent = "/dev/shm" if os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 3 << 30 else None
    folder, violations = tempfile.mkdtemp(prefix="penstock-disk-lab.", dir=parent), None
    try:
        violations = campaign(chosen, folder)
    finally:
        if chosen.keep and violations:
            say(f"disk-lab: kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if violations is None:
        print("skipped: no file system can be made and mounted here")
        sys.exit(SKIPPED)
    sys.exit(bool(violations) != bool(chosen.plant))


if __name__ == "__main__":
    main()
