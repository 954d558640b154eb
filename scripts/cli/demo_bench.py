"""Demo and bench."""
import json
import os
import signal
import subprocess
import sys
import time

from cli.cases import LIMIT, case, expect, rows


@case
def the_demo_proves_itself(room):
    ran = room.run("demo", "--events", "4000", "--dir", "d", "--json").is_(0)
    said = ran.last
    expect(said["proven"] and said["killed"] == {"append": True, "deliver": True}, f"{said}")
    expect(len(said["proofs"]) == 6 and all(proof["true"] for proof in said["proofs"]), f"{said}")
    room.run("demo", "--dir", "d").is_(3, "not empty")
    room.file("in", rows(999, b"\r\n") + b"\n")
    expect(room.run("demo", "--input", "in", "--json", env={"TMPDIR": room.path}).is_(0).last["events"] == 999, "input")
    room.file("in", rows(10) + b"{\n")
    room.run("demo", "--input", "in", env={"TMPDIR": room.path}).is_(1, "record 10")


@case
def the_demo_fails_on_tampered_evidence(room):
    for plant in ("lost", "duplicated", "changed"):
        said = room.run("demo", "--events", "2000", "--dir", plant, "--plant", plant, "--json").is_(1).last
        wrong = [proof["name"] for proof in said["proofs"] if not proof["true"]]
        expect(not said["proven"] and len(wrong) == 1, f"{plant}: {said}")


@case
def the_demo_ends_all_it_started(room):
    process = room.start("demo", "--events", "300000", "--dir", "d")
    until = time.monotonic() + LIMIT
    while not os.path.exists(os.path.join(room.path, "d/received.ndjson")):
        expect(time.monotonic() < until and process.poll() is None, "it did not begin")
        time.sleep(0.01)
    children = child_processes(process.pid)
    expect(children, "it has no child")
    process.send_signal(signal.SIGINT)
    expect(process.wait(LIMIT) == 130, f"exit code {process.returncode}")
    until = time.monotonic() + 5
    while any(is_alive(pid) for pid in children):
        expect(time.monotonic() < until, "a child lives on")
        time.sleep(0.02)


def child_processes(pid):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(name))
    return found


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@case
def bench_append(room):
    said = room.run("append", "--log", ".", "--events", "5000", "--json", binary=room.bench).is_(0).last
    row = said["rows"][0]
    expect(row["id"] == "append.streaming" and row["ours"] > 0 and row["probe"] > 0 and row["ratio"] > 0, f"{said}")
    expect(len(row["eachRound"]) == said["rounds"] == 5 and said["machine"]["cores"] > 0, f"{said}")
    expect(os.listdir(room.path) == [], "it left something behind")


SCRIPTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@case
def the_guard_of_the_benches_finds_a_lost_factor(room):
    with open(os.path.join(SCRIPTS, "../Benchmarks/results/commit.json"), encoding="utf-8") as file:
        kept = json.load(file)

    def guarded(name, factor):
        made = json.loads(json.dumps(kept))
        for row in made["rows"]:
            if row["id"] == name:
                row["ratio"] *= factor
        path = room.file("made.json", json.dumps(made).encode())
        return subprocess.run([sys.executable, os.path.join(SCRIPTS, "bench-report.py"), "guard", path], capture_output=True).returncode

    # A rate is better high, a time low.
    for name, better, worse in (("commit.single.rate", 1.4, 1 / 1.4), ("commit.single.p50", 1 / 1.4, 1.4)):
        expect(guarded(name, better) == 0, f"{name}: better, and refused")
        expect(guarded(name, 1 + (worse - 1) / 2) == 0, f"{name}: as good as before, and refused")
        expect(guarded(name, worse) == 1, f"{name}: worse, and not noticed")
    expect(guarded("commit.crowd.rate", 0) == 1, "no ratio, and not noticed")


@case
def bench_deliver(room):
    said = room.run("deliver", "--log", ".", "--events", "3000", "--rounds", "1", "--json", binary=room.bench).is_(0).last
    rates = {row["id"]: row["ours"] for row in said["rows"]}
    expect(set(rates) >= {"deliver.webhook", "deliver.s3", "deliver.s3.fields"} and all(rates.values()), f"{said}")
    said = room.run("deliver", "--log", ".", "--events", "3000", "--memory", "--json", binary=room.bench).is_(0).last
    expect(said["rows"][0]["id"] == "deliver.memory", f"{said}")
    expect(os.listdir(room.path) == [], "it left something behind")


@case
def bench_ingest(room):
    # It counts what is in the log at its end, and fails when that is not what was acknowledged.
    said = room.run("ingest", "--log", ".", "--seconds", "0.2", "--rounds", "1", "--connections", "3", "--batch", "7",
                    "--singles", "2", "--json", binary=room.bench).is_(0).last
    rates = {row["id"]: row["ours"] for row in said["rows"]}
    expect(set(rates) >= {"ingest.batches", "ingest.lines", "ingest.singles", "ingest.reading"} and all(rates.values()), f"{said}")
    expect(os.listdir(room.path) == [], "it left something behind")


@case
def bench_isolation(room):
    said = room.run("isolation", "--log", ".", "--seconds", "0.5", "--rate", "2000", "--rounds", "1",
                    "--json", binary=room.bench).is_(0).last
    rows = {row["id"]: row for row in said["rows"]}
    lag = rows["isolation.lag.p50"]
    expect(rows["isolation.append"]["ours"] > 0 and rows["isolation.delivered"]["ours"] > 0, f"{said}")
    # A batch is closed after 100 ms at the latest; far more would mean that requests are put beside the wrong appends.
    expect(0 < lag["ours"] < 5000 and 0 < lag["probe"] < 5000, f"{said}")
    expect(os.listdir(room.path) == [], "it left something behind")


@case
def benches_end_what_they_started(room):
    process = room.start("isolation", "--log", ".", "--seconds", "30", "--rounds", "1", binary=room.bench)
    until = time.monotonic() + LIMIT
    while len(children := child_processes(process.pid)) < 4:
        expect(time.monotonic() < until and process.poll() is None, "it did not begin")
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    expect(process.wait(LIMIT) == 130, f"exit code {process.returncode}")
    until = time.monotonic() + 5
    while any(is_alive(pid) for pid in children):
        expect(time.monotonic() < until, "a child lives on")
        time.sleep(0.02)
    expect(os.listdir(room.path) == [], "it left something behind")
