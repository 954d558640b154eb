"""Files that grow, are replaced or compressed; a producer that is killed."""
import gzip
import subprocess

import pytest
from room import LIMIT, rows

PRODUCER = "append --log L --producer import"


def test_a_producer_continues_after_a_kill(room):
    content = rows(60_000)
    room.file("in", content)
    process = room.start(f"{PRODUCER} --batch 100 --json in")
    process.stdout.readline()
    process.stdout.readline()
    process.kill()
    process.wait()
    assert room.json("recover --log L")["recovery"]["end"] > 0
    assert 0 < room.status()["end"] < 60_000, "the kill came too late for this test"
    room(f"{PRODUCER} in", 0, "resuming at byte")
    assert room.tail() == content
    assert room(f"{PRODUCER} in").text.startswith("nothing new")
    room.file("in", content + rows(5))
    room(f"{PRODUCER} in")
    assert room.tail() == content + rows(5)
    said = room.json("status --log L --producers")["producers"]
    assert said["count"] == 1 and said["complete"] and said["list"][0]["name"] == "import"
    # The last line's end is no part of its record.
    assert int(said["list"][0]["source"].split()[1]) == len(content + rows(5)) - 1
    assert room.json("inspect --log L")["producers"] == said["list"]
    room.file("in", rows(1))
    room(f"{PRODUCER} in", 1, "is not the file", "ends at byte", "--reset-producer")


@pytest.mark.parametrize("check", ["", "--no-validate"])
def test_a_growing_file_gives_whole_lines_only(room, check):
    def append(options=""):
        return room.json(f"{PRODUCER} {check} {options} in")

    # Written in blocks that end anywhere: every run takes the whole lines, checked or not.
    content = rows(400)
    room.file("in", b"")
    assert append() == {"appended": 0, "unfinishedBytes": 0}
    for end in range(0, len(content), 2500):
        room.file("in", content[:end])
        said, whole = append(), content[:content.rfind(b"\n", 0, end) + 1]
        assert room.tail() == whole and said["unfinishedBytes"] == end - len(whole)
    # What is left of the last line waits, also where all of it is there but its line feed, until it is called complete.
    room.file("in", content[:-1])
    assert append()["unfinishedBytes"] > 0
    append("--final")
    assert room.tail() == content
    # Its line feed comes late, and more.
    room.file("in", content + rows(1))
    assert append()["appended"] == 1


def test_a_replaced_file_is_never_read_from_its_middle(room):
    first, second = rows(300), rows(300, note="second")
    room.file("in", first)
    room(f"{PRODUCER} in")
    # Rotated: as long, longer, shorter, and one that begins alike and then differs.
    alike = first[:first.index(b"\n", 20_000) + 1] + second
    for other in (second[:len(first)], second, second + second, second[:1000], alike):
        room.file("in", other)
        room(f"{PRODUCER} in", 1, "is not the file", "--reset-producer")
        assert room.tail() == first
    # Under another name the old one is still known, and so is a copy of it.
    room.file("in.1", first + rows(2))
    assert room.json(f"{PRODUCER} in.1")["appended"] == 2
    room.file("in", second)
    room(f"{PRODUCER} --reset-producer in", 0, "starting at byte 0")
    assert room.tail() == first + rows(2) + second
    assert room(f"{PRODUCER} --reset-producer in").text.startswith("nothing new")


def test_compressed_input_is_named_with_what_reads_it(room):
    room.file("in.gz", gzip.compress(rows(2)))
    room.file("in.zst", b"\x28\xb5\x2f\xfd" + b"\0" * 20)
    room.file("in.txt", b"\xef\xbb\xbf" + rows(1))
    room("append --log L in.gz", 1, "compressed with gzip", "gzip -dc in.gz | penstock append")
    room("append --log L in.zst", 1, "compressed with zstd", "zstd -dc in.zst | penstock append")
    room("append --log L --no-validate in.gz", 1, "compressed with gzip")
    room("append --log L --format array in.gz", 1, "compressed with gzip")
    room("append --log L in.txt", 1, "byte order mark", "tail -c +4 in.txt")
    assert not room.has("L")
    room.append(gzip.compress(rows(2)), "", 1, "standard input is compressed", "gzip -dc")
    # Byte by byte, as a slow pipe gives it; and what only begins alike is taken.
    process = room.start("append --log L -", stdin=subprocess.PIPE, bufsize=0)
    for byte in gzip.compress(rows(2))[:6]:
        process.stdin.write(bytes([byte]))
    assert process.wait(LIMIT) == 1
    room.append(b"\x1f\n(\xb5/\n", "--no-validate")
