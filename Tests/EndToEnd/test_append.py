"""Append: which input it takes, where it reads and writes."""
import json
import os
import re
import shutil
import struct
import subprocess

import pytest
from room import LIMIT, event, noise, rows

NOTHING = "nothing was appended"


@pytest.mark.parametrize("content, options, words", [
    (rows(1017) + b'{"ts":1,}\n' + rows(3), "", ["penstock append: record 1017, byte 8", "line 1018", NOTHING]),
    (rows(3) + b'{"a":"' + b"x" * (20 << 20) + b'"}\n', "", ["record 3", "longer than 16777216 bytes", NOTHING]),
    (b"", "", ["no records in in"]), (b"\n  \r\n\n", "", ["no records in in"]),
    (b"[" + event(0) + b"," + event(1) + b",]", "--format array", ["record 2", NOTHING]),
    (event(0), "--format array", ["expected an array, found an object"])],
    ids=["a malformed line", "a line of 20 MiB", "an empty file", "blank lines", "a broken array", "no array"])
def test_a_file_that_is_no_input_appends_nothing(room, content, options, words):
    room.file("in", content)
    room(f"append --log L {options} in", 1, *words)
    assert not room.has("L")


@pytest.mark.parametrize("content, words", [
    (b"", ["no records in standard input"]), (rows(3) + b'{"a":"' + b"x" * (20 << 20), ["record 3", "longer than"])],
    ids=["nothing", "a line of 20 MiB"])
def test_standard_input_that_is_no_input(room, content, words):
    room.append(content, "", 1, *words)


def test_a_wrong_value_names_record_byte_and_field(room):
    room.file("in", rows(17) + event(17, ts="soon") + b"\n")
    error = room.json("append --log L in", 1, 'record 17, byte', '(field "ts"): expected a number')["error"]
    assert error["record"] == 17 and error["byte"] > 0 and error["code"] == "wrong_type" and error["message"]


def test_a_malformed_line_on_standard_input_leaves_whole_batches_before_it(room):
    ran = room.append(rows(250) + b"nonsense\n" + rows(500), "--json --batch 100", 1, "record 250, byte 0",
                      "200 records before it are in the log (offsets 0 to 199)")
    assert ([line["acknowledged"] for line in ran.lines if "acknowledged" in line]
            == [{"first": 0, "last": 99}, {"first": 100, "last": 199}])
    assert room.status()["end"] == 200 and room.tail() == rows(200)


WITHIN_THE_LIMIT = b'{"a":"' + b"x" * ((16 << 20) - 8) + b'"}\n'
ODD = b'caf\xe9\n{"ts":"soon"}\n'
ARRAY = b" [" + b" ,\n".join(event(n) for n in range(2500)) + b"] "


@pytest.mark.parametrize("content, options, count, records", [
    (rows(5)[:-1], "", 5, rows(5)), (rows(5, b"\r\n"), "", 5, rows(5)), (WITHIN_THE_LIMIT, "", 1, WITHIN_THE_LIMIT),
    (ODD, "--no-validate", 2, ODD), (ARRAY, "--format array", 2500, rows(2500))],
    ids=["a missing last line end", "CRLF", "just within the limit", "any line", "an array"])
def test_a_file_is_taken_record_by_record(room, content, options, count, records):
    assert len(WITHIN_THE_LIMIT) == (16 << 20) + 1
    room.file("in", content)
    assert room.json(f"append --log L {options} in")["appended"] == count
    assert room.tail() == records


def test_invalid_UTF_8(room):
    room.file("in", rows(2) + b'{"event":"caf\xe9"}\n')
    said = room.json("append --log L in", 1, "record 2, byte 13", "expected well-formed UTF-8")
    assert said["error"]["code"] == "invalid_utf8"


def test_acknowledgements_come_while_input_is_open(room):
    process = room.start("append --log L --json -", stdin=subprocess.PIPE)
    assert "opened" in json.loads(process.stdout.readline())
    for number in range(3):
        process.stdin.write(event(number) + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"acknowledged": {"first": number, "last": number}}
    process.stdin.close()
    assert json.loads(process.stdout.readline())["appended"] == 3 and process.wait(LIMIT) == 0


def without_rights(room):
    """Options for a user without rights; root may read everything."""
    if os.geteuid() != 0:
        return {}
    room.binary = shutil.copy(room.binary, room.path / "penstock")
    os.chmod(room.binary, 0o755)
    os.chmod(room.path, 0o755)
    return {"user": 65534, "group": 65534, "extra_groups": []}


def test_files_that_cannot_be_read(room):
    room("append --log L missing", 3, "could not open missing: no such file or directory")
    (room.path / "folder").mkdir()
    room("append --log L folder", 3, "is a directory; name a file")
    room.file("secret", rows(1))
    options = without_rights(room)
    (room.path / "secret").chmod(0)
    room("append --log L secret", 3, "permission denied", **options)


def test_a_directory_that_cannot_be_written(room):
    options = without_rights(room)
    room.path.chmod(0o555)
    try:
        room.append(rows(1), "", 3, "permission denied", "give this user permission", **options)
    finally:
        room.path.chmod(0o755)


def test_a_log_that_cannot_be_written_can_be_read(room):
    room.append(rows(3))
    options = without_rights(room)
    subprocess.run(["chmod", "-R", "a+rX,a-w", room.path / "L"], check=True)
    try:
        if os.geteuid() == 0 or not os.access(room.path / "L", os.W_OK):
            room.append(rows(1), "", 3, "permission denied", **options)
        assert room("tail --log L", **options).out == rows(3)
        room("status --log L", **options)
        room("verify --log L", **options)
    finally:
        subprocess.run(["chmod", "-R", "u+w", room.path / "L"], check=True)


def test_things_that_are_no_log(room):
    (room.path / "D").mkdir()
    room.file("D/letter.txt", b"dear")
    room("append --log D -", 3, "holds other files (letter.txt) and no log", stdin=rows(1))
    room("append --log D/letter.txt -", 3, "a log is a directory", stdin=rows(1))
    for command in ("tail", "status", "verify", "inspect", "recover", "cursor list"):
        room(f"{command} --log D", 3, "D")
        room(f"{command} --log missing", 3, "there is no log here")
    assert room.names("D") == ["letter.txt"]


def test_a_log_of_a_future_version(room):
    room.append(rows(3))
    content = bytearray(room.read(room.segment()))
    for page in (0, 4096):
        content[page + 12:page + 14] = struct.pack("<H", 9)
        content[page + 4092:page + 4096] = struct.pack("<I", crc32c(content[page:page + 4092]))
    room.file(room.segment(), content)
    room.append(rows(1), "", 3, "later version (format version 9)", "newer penstock")
    room("tail --log L", 3, "later version")
    room("verify --log L", 3, "later version")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_a_locked_log(room):
    writer = room.writer(rows(10))
    ran = room.append(rows(1), "--json", 3, "another process is writing this log")
    assert ran.last["error"]["code"] == "locked"
    room("recover --log L", 3, "another process is writing this log")
    assert room.status()["writer"] is True
    assert room.tail() == rows(10)
    room("verify --log L")
    writer.stdin.close()
    assert writer.wait(LIMIT) == 0
    assert room.status()["writer"] is False


def test_a_full_disk(room):
    disk = room.path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True).returncode != 0:
        pytest.skip("no right to mount a small disk")
    try:
        content = b"".join(event(n, note=noise(2000).hex()) + b"\n" for n in range(3000))
        ran = room("append --log disk/L --json --batch 50 -", 3, "no space left", "are in the log", "free space",
                   stdin=content)
        last = max(line["acknowledged"]["last"] for line in ran.lines if "acknowledged" in line)
        assert room("tail --log disk/L").out == b"".join(content.splitlines(True)[:last + 1])
        room("verify --log disk/L")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_volume_with_lost_and_found_holds_a_log(room):
    os.makedirs(room.path / "L/lost+found")
    room.append(rows(2))
    room.append(rows(1))
    assert room.status()["end"] == 3
    os.makedirs(room.path / "L/data/lost+found")
    assert room.json("recover --log L")["recovery"]["unknownFiles"] == []


def test_errors_of_the_system_are_told_in_words(room):
    ran = room(f"append --log {'n' * 300} -", 3, "file name too long", stdin=rows(1))
    assert not re.search(r"error \d+", ran.err)
