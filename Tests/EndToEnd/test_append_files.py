"""Append: where it reads and writes."""
import os
import re
import struct
import subprocess

import pytest
from room import LIMIT, event, noise, rows


def test_files_that_cannot_be_read(room):
    room("append --log L missing", 3, "could not open missing: no such file or directory")
    (room.path / "folder").mkdir()
    room("append --log L folder", 3, "is a directory; name a file")
    room.file("secret", rows(1))
    options = room.without_rights()
    (room.path / "secret").chmod(0)
    room("append --log L secret", 3, "permission denied", **options)


def test_a_directory_that_cannot_be_written(room):
    options = room.without_rights()
    room.path.chmod(0o555)
    try:
        room.append(rows(1), "", 3, "permission denied", "give this user permission", **options)
    finally:
        room.path.chmod(0o755)


def test_a_log_that_cannot_be_written_can_be_read(room):
    room.append(rows(3))
    options = room.without_rights()
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
