"""Demo and bench."""
import json
import signal
import subprocess
import sys

import psutil
import pytest
from room import LIMIT, ROOT, rows, until


def test_the_demo_proves_itself(room):
    said = room.json("demo --events 4000 --dir d")
    assert said["proven"] and said["killed"] == {"append": True, "deliver": True}
    assert len(said["proofs"]) == 6 and all(proof["true"] for proof in said["proofs"])
    room("demo --dir d", 3, "not empty")


def test_the_demo_takes_an_input(room):
    room.file("in", rows(999, b"\r\n") + b"\n")
    assert room.json("demo --input in", env={"TMPDIR": str(room.path)})["events"] == 999
    room.file("in", rows(10) + b"{\n")
    room("demo --input in", 1, "record 10", env={"TMPDIR": str(room.path)})


@pytest.mark.parametrize("plant", ["lost", "duplicated", "changed"])
def test_the_demo_fails_on_tampered_evidence(room, plant):
    said = room.json(f"demo --events 2000 --dir d --plant {plant}", 1)
    assert not said["proven"] and [proof["true"] for proof in said["proofs"]].count(False) == 1


def children(process):
    return psutil.Process(process.pid).children()


@pytest.mark.parametrize("command, has_begun", [
    ("demo --events 300000 --dir d", lambda room, process: room.has("d/received.ndjson") and children(process)),
    ("bench isolation --log . --seconds 30 --rounds 1", lambda room, process: len(children(process)) >= 4)])
def test_an_interruption_ends_all_that_was_started(room, command, has_begun):
    process = room.start(command)
    until(lambda: process.poll() is not None or has_begun(room, process))
    assert process.poll() is None, "it ended too early"
    started = children(process)
    assert started
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT) == 130
    assert not psutil.wait_procs(started, 5)[1]
    assert command.startswith("demo") or room.names() == []


def bench(room, command):
    """A bench's result, its rows by their ids; it leaves nothing on the disk."""
    said = room.json(f"bench {command} --log .")
    assert room.names() == [], "it left something"
    return said, {row["id"]: row for row in said["rows"]}


def test_bench_append(room):
    said, _ = bench(room, "append --events 5000")
    row = said["rows"][0]
    assert row["id"] == "append.streaming" and row["ours"] > 0 and row["probe"] > 0 and row["ratio"] > 0
    assert len(row["eachRound"]) == said["rounds"] == 5 and said["machine"]["cores"] > 0


@pytest.mark.parametrize("name, factor, code", [
    # A rate is better high, a time low.
    ("commit.single.rate", 1.4, 0), ("commit.single.rate", (1 + 1 / 1.4) / 2, 0), ("commit.single.rate", 1 / 1.4, 1),
    ("commit.single.p50", 1 / 1.4, 0), ("commit.single.p50", 1.2, 0), ("commit.single.p50", 1.4, 1),
    ("commit.crowd.rate", 0, 1)])
def test_the_guard_of_the_benches_finds_a_lost_factor(room, name, factor, code):
    made = json.loads((ROOT / "Benchmarks/results/commit.json").read_text())
    for row in made["rows"]:
        if row["id"] == name:
            row["ratio"] *= factor
    room.file("made.json", made)
    done = subprocess.run([sys.executable, ROOT / "scripts/bench-report.py", "guard", room.path / "made.json"],
                          capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr


def test_bench_deliver(room):
    said, found = bench(room, "deliver --events 3000 --rounds 1")
    assert {"deliver.webhook", "deliver.s3", "deliver.s3.fields"} <= set(found)
    assert all(row["ours"] for row in said["rows"])
    said, _ = bench(room, "deliver --events 3000 --memory")
    assert said["rows"][0]["id"] == "deliver.memory"


def test_bench_ingest(room):
    # It counts what is in the log at its end, and fails when that is not what was acknowledged.
    said, found = bench(room, "ingest --seconds 0.2 --rounds 1 --connections 3 --batch 7 --singles 2")
    assert {"ingest.batches", "ingest.lines", "ingest.singles", "ingest.reading"} <= set(found)
    assert all(row["ours"] for row in said["rows"])


def test_bench_isolation(room):
    _, found = bench(room, "isolation --seconds 0.5 --rate 2000 --rounds 1")
    assert found["isolation.append"]["ours"] > 0 and found["isolation.delivered"]["ours"] > 0
    # A batch is closed after 100 ms at the latest; far more means that requests are matched with the wrong appends.
    lag = found["isolation.lag.p50"]
    assert 0 < lag["ours"] < 5000 and 0 < lag["probe"] < 5000


def test_bench_destinations(room):
    _, found = bench(room, "destinations --destinations 20 --busy 3 --rate 30 --seconds 1 --rounds 1")
    assert found["destinations.ready"]["ours"] > 0 and found["destinations.busy"]["ours"] > 0


def test_bench_retention(room):
    _, found = bench(room, "retention --gibibytes 0.2 --singles 50 --rounds 1")
    assert found["retention.removed"]["ours"] > 0.1 and found["retention.p99"]["probe"] > 0
