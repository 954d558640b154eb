"""Reading: tail, verify, recover, status."""
import gzip
import json

import pytest
from room import LIMIT, event, noise, rows


def test_tail_from_and_to(room):
    room.append(rows(100))
    assert room("tail --log L --from 10 --to 12").out == event(10) + b"\n" + event(11) + b"\n"
    said = room.json("tail --log L --from 99")
    assert said["offset"] == 99 and said["record"]["user_id"] == "99" and said["appendTime"].endswith("Z")
    for place in ("2001-01-01T00:00:00Z", "@978307200", "beginning", "0"):
        assert len(room(f"tail --log L --from {place}").text.splitlines()) == 100, place
    for place in ("2101-01-01T00:00:00.5+01:00", "@4133980800", "end", "100"):
        assert room(f"tail --log L --from {place}").text == "", place


def mixed(count):
    return b"".join(event(number, event="Goal" if number % 3 == 0 else "Home Page") + b"\n" for number in range(count))


def test_tail_where_shows_what_the_filter_lets_pass(room):
    room.append(mixed(9))
    room.append(b"junk\n", "--no-validate")
    wanted = [line for line in mixed(9).splitlines() if b"Goal" in line]
    tail = "tail --log L --where"
    assert room(f"{tail} event=Goal").out.splitlines() == wanted
    assert [one["offset"] for one in room(f"{tail} !event=Goal --json").lines] == [1, 2, 4, 5, 7, 8]
    assert room(f"{tail} 'event=Goal malformed=pass'").out.splitlines() == wanted + [b"junk"]
    ran = room(f"{tail} 'event=Goal malformed=halt'", 1, "record 9 is not a JSON object")
    assert ran.out.splitlines() == wanted
    room(f"{tail} evnt=Goal", 2, "evnt=Goal", "expected app, type, event")


def test_export_writes_a_range_to_a_file_that_was_not_there(room):
    room.append(mixed(300))
    lines, export = mixed(300).splitlines(True), "export --log L"
    assert room.json(f"{export} --output a --from 10 --to 20")["exported"] == 10
    room(f"{export} --output a", 3, "already exists", "--overwrite")
    assert room.read("a") == b"".join(lines[10:20])
    room(f"{export} --output a --overwrite")
    assert room.read("a") == mixed(300)
    ran = room(f"{export} --where event=Goal --to 30", 0, "10 records exported", "20 left out")
    assert ran.out == b"".join(lines[0:30:3])
    room(f"{export} -o a.gz --to 5")
    assert gzip.decompress(room.read("a.gz")) == b"".join(lines[:5])
    room(f"{export} -o a.zst --to 5")
    assert room.read("a.zst")[:4] == b"\x28\xb5\x2f\xfd"
    room(f"{export} -o b --format array --from 297")
    assert json.loads(room.read("b")) == [json.loads(line) for line in lines[297:]]
    room(f"{export} -o none/x", 3, "create the directory first")
    room(f"{export} -o /dev/null --overwrite", 2, "not a regular file")
    room(f"{export} -o c --from 300")
    assert room.read("c") == b""
    assert not [name for name in room.names() if ".part" in name]


def test_export_holds_what_a_killed_writer_acknowledged(room):
    process = room.writer(rows(10))
    process.kill()
    process.wait(LIMIT)
    assert room("export --log L").out == rows(10)


def test_export_takes_exactly_the_events_of_a_window_of_event_times(room):
    # One event of the far future, one long past, and none with a time: they end the window nowhere.
    late, early = event(0, ts=1630476856 + 10_000_000), event(0, ts=1)
    lines = [event(number) for number in range(200)]
    content = lines[:50] + [late] + lines[50:120] + [early, b'{"event":"Goal"}'] + lines[120:]
    room.append(b"\n".join(content) + b"\n", "--batch 10")
    ran = room("export --log L --from event:@1630476876 --to event:@1630477026 --json")
    assert ran.out.splitlines() == lines[20:170]
    assert json.loads(ran.err)["withoutTime"] == 1


def test_export_of_a_damaged_log_leaves_no_file_unless_gaps_are_skipped(room):
    room.append(rows(300), "--batch 100")
    block = room.damage_second_block()
    room("export --log L -o a", 1, "are lost", "--skip-gaps")
    assert not room.has("a")
    said = room.json("export --log L -o a --skip-gaps", 0, "are lost")
    assert (said["exported"], said["lost"]) == (300 - block["records"], block["records"])


def test_a_damaged_block_is_found_and_named(room):
    room.append(rows(300), "--batch 100")
    room("verify --log L --deep")
    block = room.damage_second_block()
    first, end = block["baseOffset"], block["baseOffset"] + block["records"]
    problem = room.json("verify --log L", 1, "payload checksum", f"byte {block['position']}")["problems"][0]
    assert (problem["position"], problem["first"], problem["end"]) == (block["position"], first, end)
    lines = rows(300).splitlines(True)
    assert room("tail --log L", 1, "are lost: damaged", "--skip-gaps").out == b"".join(lines[:first])
    assert room("tail --log L --skip-gaps", 0, "are lost: damaged").out == b"".join(lines[:first] + lines[end:])


def test_lost_header_copies_and_bytes_after_the_end_are_problems(room):
    room.append(rows(3))
    good = room.read(room.segment())
    room.file(room.segment(), b"\0" * 4096 + good[4096:])
    room("verify --log L", 1, "copy 0 of the header")
    assert room.tail() == rows(3), "the other copy is enough for readers"
    room.file(room.segment(), good)
    room("verify --log L")


def test_a_killed_writer_is_recovered(room):
    process = room.writer(rows(10))
    process.kill()
    process.wait()
    assert not room.status()["closedCleanly"]
    assert room.json("recover --log L")["recovery"]["end"] == 10
    assert room.status()["closedCleanly"]


def test_status_tells_without_walking_and_more_when_asked(room):
    room.file("small.yaml", {"log": {"segmentSize": "64KiB", "sealing": {"level": 3}}})
    content = b"".join(event(n, note=noise(3000).hex()) + b"\n" for n in range(60))
    room.append(content, "--config small.yaml --batch 5")
    said, deep = room.status(), room.json("status --log L --deep")
    for key in ("first", "end", "records", "bytesOnDisk", "fileBytes", "writer", "closedCleanly"):
        assert said[key] == deep[key]
    assert said["rawBytes"] is None and deep["rawBytes"] > 60 * 6000
    assert "blocks" not in said["segments"][0] and deep["segments"][0]["blocks"] > 0
    assert said["oldestAgeSeconds"] < LIMIT and said["sealed"]["looked"] == len(said["segments"]) - 1
    words = room("status --log L").text
    for word in ("oldest", "sealed", "0 producers", "no cursors"):
        assert word in words


@pytest.mark.parametrize("bad", ["2026-02-30", "2026-11-29T25:00:00Z", "event:2026-11-29T00:61:00Z", "event:2026-02-30",
                                 "-24", "tomorrow"])
def test_dates_that_do_not_exist_are_no_places(room, bad):
    room.append(b'{"ts":1}\n')
    room(f"tail --log L --from {bad}", 2)
    room(f"replay --log L --file f --id a --from 0 --until {bad}", 2)
    room(f"cursor seek c --to {bad} --log L", 2)


def test_dates_that_exist_are_places(room):
    room.append(b'{"ts":1}\n')
    for good in ("-24h", "yesterday", "2026-02-28", "event:-24h", "event:yesterday", "event:1969-12-31"):
        room(f"tail --log L --from {good}")
    assert room("tail --log L --from -1h").text == '{"ts":1}\n'
    assert room("tail --log L --from event:-1h").text == ""
    assert room("tail --log L --to 18446744073709551615").text == '{"ts":1}\n'
    room("tail --log L --from -1h --untimed skip", 2, "--untimed needs")
