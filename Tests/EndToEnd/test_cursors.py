"""Cursors: seen, moved, paused, lost and made again; retention that waits for them."""
import json
import os
import shutil

from room import directory, ended, event, noise, rows, until, webhook


def test_cursors(room):
    room.delivered(rows(20), directory())
    assert [cursor["name"] for cursor in room.json("cursor list --log L")["cursors"]] == ["dir"]
    room("cursor show dirr --log L", 1, "no cursor dirr", "did you mean dir?")
    room("cursor seek dir --to 5 --log L", 2, "15 records will be delivered again", "--yes")
    room("cursor seek dir --to 5 --log L --yes")
    assert room.json("cursor show dir --log L")["committed"] == 5
    room("cursor seek dir --to 21 --log L --yes", 1, "offset 21 is past the end of the log (20)")


def test_a_batch_in_flight_is_given_up_when_asked(room):
    room.append(rows(4))
    # Nothing listens there.
    room.configure(webhook("http://127.0.0.1:1/"))
    process = room.start("deliver --config c.yaml --json")
    until(lambda: room.json("cursor list --log L")["cursors"] and room.json("cursor show web --log L")["inFlight"])
    ended(process)
    room("cursor seek web --to end --log L --yes", 1, "has a batch in flight", "--give-up-batch")
    room("cursor seek web --to end --log L --give-up-batch", 2, "is given up, and the destination may have it")
    room("cursor seek web --to end --log L --give-up-batch --yes")
    shown = room.json("cursor show web --log L")
    assert shown["committed"] == 4 and not shown["inFlight"]


def test_a_paused_destination_is_sent_nothing_until_it_is_resumed(room):
    room.append(rows(5))
    room.configure(directory(rotate={"maxAge": "50ms"}))
    room("cursor pause dir --log L", 1, "no cursor dir")
    process = room.start("deliver --config c.yaml --json")
    room.arrives(rows(5))
    # Another process, while the first one delivers.
    assert room.json("cursor pause dir --reason 'bucket moves' --log L")["paused"]["reason"] == "bucket moves"
    assert "was already paused" in room("cursor pause dir --log L").text
    room.append(event(98) + b"\n")
    assert "dir (paused)" in room("cursor list --log L").text
    words = room("status --log L").text
    assert "has been paused by" in words and "(bucket moves): 1 records" in words
    assert room.status()["cursors"][0]["health"] == "paused"
    code, out, err = ended(process)
    assert code == 0, err
    assert json.loads(out)["destinations"][0]["records"] == 5
    # And while none does.
    assert room.deliver(1, "penstock cursor resume dir").last["destinations"][0]["ended"] == "paused"
    assert room.objects() == rows(5)
    process = room.start("deliver --config c.yaml --json")
    while "(bucket moves)" not in (said := process.stderr.readline().decode()):
        assert said, "it ended without a word about the pause"
    assert "paused (bucket moves)" in said
    assert room.json("cursor resume dir --log L")["paused"] is None
    room.arrives(rows(5) + event(98) + b"\n")
    ended(process)
    assert "was not paused" in room("cursor resume dir --log L").text
    room("cursor pause dir --log L")
    room("cursor delete dir --yes --log L")
    assert not room.has("L/cursors/dir.paused")


def test_resume_answers_the_state_after_it(room):
    room.delivered(rows(3), directory())
    assert "dir (paused)" in room("cursor pause dir --log L").text
    words = room("cursor resume dir --log L").text
    assert "resumed" in words and "committed" in words and "(paused)" not in words
    said = room.json("cursor resume dir --log L")
    assert said["paused"] is None and said["committed"] == 3


def test_resume_over_http_answers_the_state_after_it(room):
    service = room.serve({"destinations": [directory()]})
    for _ in range(5):
        assert service.ask("POST", "/v1/destinations/dir/pause", {}).status_code == 200
        until(lambda: service.destination("dir")["state"] == "paused")
        said = service.ask("POST", "/v1/destinations/dir/resume", {}).json()
        assert said["pause"] is None and said["state"] != "paused"


def test_a_missing_directory_of_cursors_is_made(room):
    room.append(rows(2))
    os.rmdir(room.path / "L/cursors")
    room("recover --log L")
    assert room.has("L/cursors")
    os.rmdir(room.path / "L/cursors")
    room.configure(directory())
    room.deliver()
    assert room.status()["cursors"][0]["committed"] == 2


def test_retention_holds_for_cursors_and_the_hard_cap_tells_them(room):
    room.file("small.yaml", {"log": {"segmentSize": "64KiB", "sealing": "off"}})
    content = b"".join(event(n, note=noise(3000).hex()) + b"\n" for n in range(100))
    room.append(content, "--config small.yaml --batch 5")
    room.configure(directory())
    room.deliver()
    room("cursor seek dir --to 30 --log L --yes")
    limits = "--config small.yaml --max-bytes 128KiB"
    room.append(rows(1), limits, 0, "cursor dir is at offset 30")
    said = room.status()
    assert 0 < said["dropped"] <= 30 and said["heldBy"] == "dir"
    room.append(rows(1), f"{limits} --hard-cap 128KiB")
    said = room.status()
    assert said["dropped"] > 30 and said["cursors"][0]["lost"] == {"first": 30, "end": said["dropped"]}
    room.deliver(1)
    room("cursor acknowledge dir --log L", 2, "cursor dir skips", "--yes")
    room("cursor acknowledge dir --log L --yes")
    room("cursor acknowledge dir --log L --yes", 1, "has no gap")
    # The cursor was moved back: the same records under other names would be there twice, so that is refused.
    room.deliver(1, "are already exported")
    shutil.rmtree(room.path / "out")
    room.deliver()
    assert room.status()["cursors"][0]["lag"] == 0
