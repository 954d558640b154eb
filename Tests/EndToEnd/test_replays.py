"""Replays of a window to a destination or a file."""
import json

import pytest
from room import directory, ended, rows, until, webhook


def test_a_window_is_replayed_to_a_destination(room):
    room.append(rows(300))
    _, url = room.receiver("--ledger l --out r")
    room.configure(webhook(url), directory(keyTemplate="e/usages-{first}-{last}.json", rotate={"maxRecords": 50}))
    web = "replay --config c.yaml --to web --id r1"
    estimate = room.json(f"{web} --from 100 --until 250 --dry-run --records-per-second 50")
    assert estimate["records"] == 150 and estimate["batches"] == 2 and estimate["seconds"] == 3
    assert room.json("replay list --log L")["replays"] == [], "a dry run left something"
    room(web, 1, "there is no replay r1", "--from and --until")
    said = room.json(f"{web} --from 100 --until 250")
    assert (said["ended"], said["records"], said["first"], said["end"]) == ("finished", 150, 100, 250)
    assert room.read("r") == rows(250, start=100)
    assert "nothing to do" in room(web).text
    room(f"{web} --from 0 --until 9", 1, "has the window 100 ..< 250")
    room("replay --config c.yaml --to dir --id r1", 1, "keeps its destination")
    assert room.status()["cursors"] == [], "live cursors do not know of it"
    room("replay --config c.yaml --to dir --id r2 --from beginning --until end")
    assert len([name for name in room.names("out/e/replays/r2") if name.startswith("usages")]) == 6
    assert room.objects("out/e/replays/r2") == rows(300)
    listed = room.json("replay list --log L")["replays"]
    assert [(one["id"], one["done"], one["total"]) for one in listed] == [("r1", 150, 150), ("r2", 300, 300)]
    room("replay discard r1 --log L", 2, "--yes")
    room("replay discard r3 --log L", 1, "no replay r3", "did you mean")
    room("replay discard r1 --log L --yes")
    room(web, 1, "there is no replay r1")


def test_a_replay_into_a_file_continues_after_an_interruption(room):
    room.append(rows(30_000))
    file = "replay --log L --file f --id slow --json"
    process = room.start(f"{file} --from 0 --until 30000 --records-per-second 10000")
    until(lambda: room.has("f") and room.read("f"))
    code, out, err = ended(process)
    assert code == 130 and json.loads(out)["ended"] == "stopped", err
    assert 0 < room.read("f").count(b"\n") < 30_000
    assert "slow" in room("replay list --log L").text
    assert room(file).last["ended"] == "finished"
    assert room.read("f") == rows(30_000)


def test_a_replay_continues_at_the_rate_it_had(room):
    room.append(b'{"ts":1}\n' * 200)
    room.configure(directory(rotate={"maxRecords": 50}))
    replay = "replay --config c.yaml --to dir --id slow"
    process = room.start(f"{replay} --from 0 --until 200 --records-per-second 10")
    until(lambda: room.has("out"))
    ended(process)
    assert room.json(f"{replay} --dry-run")["seconds"] == 20
    assert room.json(f"{replay} --records-per-second 100000")["ended"] == "finished"
    assert room.json(f"{replay} --dry-run")["seconds"] < 1, "the new rate is not kept"


def test_a_replay_stops_at_a_gap_or_skips_it(room):
    room.append(rows(300), "--batch 100")
    block = room.damage_second_block()
    first, end = block["baseOffset"], block["baseOffset"] + block["records"]
    file = "replay --log L --file f --id g"
    room(f"{file} --from 0 --until 300", 1, f"records {first} up to {end}", "--skip-gaps")
    assert room.read("f") == rows(first)
    said = room.json(f"{file} --skip-gaps", 0, "skipped")
    assert said["skipped"] == end - first and said["ended"] == "finished"
    assert room.read("f") == rows(first) + rows(300, start=end)


@pytest.mark.parametrize("command, code, words", [
    *((f"--log L {wrong}", 2, []) for wrong in (
        "--id a", "--id a --file f --to dir", "--file f", "--id a --to dir", "--id a --file f --from 0",
        "--id a --file f --records-per-second 0", "--id a --file f --bytes-per-second much")),
    ("--config c.yaml --to dirr --id a --from 0 --until 3", 2, ["did you mean dir?"]),
    ("--log L --file f --id a --from 0 --until 4", 1, ["ends at offset 4"]),
    ("--log L --file f --id a/b --from 0 --until 3", 2, [])])
def test_replays_that_make_no_sense(room, command, code, words):
    room.append(rows(3))
    room.configure(directory())
    room(f"replay {command}", code, *words)
    assert not room.has("f")
