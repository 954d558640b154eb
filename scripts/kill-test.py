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
  parts     one round in nine is of big records, in a log of their own, whose objects go up in three parts; the kill, or an
            outage of the store, mostly comes between the first part and the completion. Proved in the same way, and
            that no upload is left open; `verify --s3` notices two parts that changed places.
  webhook   what the receiver stored, in the order received, is equal to it byte for byte, without the records it
            rejects; every repeated request carries an id seen before with the same range and the same bytes (SHA-256),
            and ranges are contiguous but for those records. Now and then the destinations are gone for a while.
  letters   each record that the receiver rejects (422, found by halving) is a dead letter exactly once, byte for byte.
  replay    the rows of the objects of a replay that ran beside, killed and gone on with, are its window's, once each.
  verify    `penstock verify` finds nothing.

`--jobs N` divides the rounds among N loops that run beside each other, each with a log, a receiver, names in the bucket
and a seed of its own; a loop that fails names its seed, and `--jobs 1 --seed` with that one runs it again.

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
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kill_jobs import run_jobs, sentence  # noqa: E402
from kill_proof import PLANTS  # noqa: E402
from kill_rounds import KillTest  # noqa: E402

FEW_ROUNDS = 100  # with fewer, chance may leave something out


def prove(evidence, plant):
    """The problems found; and when there are none, the proof itself is tried on wrong evidence."""
    found = (evidence.planted(plant) if plant in evidence.plants() else evidence).problems()
    if not found:
        for kind, name in evidence.plants().items():
            if not any(problem.startswith(name) for problem in evidence.planted(kind).problems()):
                found.append(f"the proof is blind: it passes with the planted fault '{kind}'")
        evidence.problems()  # writes input.ndjson again as it was
    return found


def run_one(options):
    """One loop: its figures, and how many violations there were."""
    test, keep, figures = KillTest(options), True, None
    try:
        for words in test.features.left_out:
            print(f"kill-test: LEFT OUT: {words}", file=sys.stderr)
        test.start_receiver()
        for turn in range(options.rounds):
            test.round(turn)
            if test.problems:
                break
            options.progress(test.done)
        test.finish()
        problems = test.problems + prove(test.evidence, options.plant)
        keep = bool(problems) or options.keep
        for problem in problems[:10] + [f"and {len(problems) - 10} more"] * (len(problems) > 10):
            print(f"kill-test: {problem}", file=sys.stderr)
        figures = {**test.figures(), "violations": len(problems)}
    finally:
        test.clean_up(keep)
        if keep:
            print(f"kill-test: seed {options.seed}; everything is in {test.folder}", file=sys.stderr)
    return figures


def never_happened(figures):
    """What a long enough run must have met, or it shows nothing about it."""
    wanted = {"uploadsCut": "no upload was killed between its parts", "uploadsAborted": "no such upload was aborted after",
              "uploadsResumed": "no upload was taken up again", "partsTried": "no object went up in parts"}
    few = {"uploadsResumed": 3 * FEW_ROUNDS}  # rarer: an outage must come between two parts
    return [words for key, words in wanted.items()
            if figures["rounds"] >= few.get(key, FEW_ROUNDS) and not figures[key]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=None, help="loops beside each other (default: five for each processor)")
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seed", type=int, default=None, help="the input and the moments of an earlier run")
    parser.add_argument("--longest", type=float, default=0.5, metavar="S", help="the latest moment of a kill")
    parser.add_argument("--plant", choices=PLANTS, help="tamper with the evidence: the run must fail")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a good run too")
    parser.add_argument("--json", action="store_true", help="the last line as JSON")
    options = parser.parse_args()
    options.binary = os.path.abspath(options.binary)
    if options.jobs is None:
        options.jobs = max(1, min(5 * (os.cpu_count() or 1), options.rounds // 9))
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    figures = run_jobs(options, run_one)
    # A violation ends a run early, and a planted one is no run at all.
    for words in [] if figures["violations"] else never_happened(figures):
        print(f"kill-test: {words}", file=sys.stderr)
        figures["violations"] += 1
    figures |= {"seconds": round(time.monotonic() - started, 1), "jobs": options.jobs, "seed": options.seed}
    print(json.dumps(figures) if options.json else sentence(figures), flush=True)
    sys.exit(1 if figures["violations"] else 0)


if __name__ == "__main__":
    main()
