"""Append: what it reads and writes."""
import os
import struct
import subprocess

from cli.cases import LIMIT, LeftOut, as_nobody, case, event, expect, rows


@case
def files_that_cannot_be_read(room):
    room.run("append", "--log", "L", "missing").is_(3, "could not open missing: no such file or directory")
    os.mkdir(os.path.join(room.path, "folder"))
    room.run("append", "--log", "L", "folder").is_(3, "is a directory; name a file")
    secret = room.file("secret", rows(1))
    options = as_nobody(room)
    os.chmod(secret, 0)
    room.run("append", "--log", "L", "secret", **options).is_(3, "permission denied")


@case
def a_directory_that_cannot_be_written(room):
    options = as_nobody(room)
    os.chmod(room.path, 0o555)
    try:
        ran = room.run("append", "--log", "L", "-", stdin=rows(1), **options)
    finally:
        os.chmod(room.path, 0o755)
    ran.is_(3, "permission denied", "give this user permission")


@case
def a_log_that_cannot_be_written_can_be_read(room):
    room.run("append", "--log", "L", "-", stdin=rows(3)).is_(0)
    options = as_nobody(room)
    subprocess.run(["chmod", "-R", "a+rX,a-w", os.path.join(room.path, "L")], check=True)
    try:
        if os.geteuid() == 0 or not os.access(os.path.join(room.path, "L"), os.W_OK):
            room.run("append", "--log", "L", "-", stdin=rows(1), **options).is_(3, "permission denied")
        expect(room.run("tail", "--log", "L", **options).is_(0).out.encode() == rows(3), "tail")
        room.run("status", "--log", "L", **options).is_(0)
        room.run("verify", "--log", "L", **options).is_(0)
    finally:
        subprocess.run(["chmod", "-R", "u+w", os.path.join(room.path, "L")], check=True)


@case
def things_that_are_no_log(room):
    os.mkdir(os.path.join(room.path, "D"))
    room.file("D/letter.txt", b"dear")
    room.run("append", "--log", "D", "-", stdin=rows(1)).is_(3, "holds other files (letter.txt) and no log")
    room.run("append", "--log", "D/letter.txt", "-", stdin=rows(1)).is_(3, "a log is a directory")
    for command in (["tail"], ["status"], ["verify"], ["inspect"], ["recover"], ["cursor", "list"]):
        room.run(*command, "--log", "D").is_(3, "D")
        room.run(*command, "--log", "missing").is_(3, "there is no log here")
    expect(os.listdir(os.path.join(room.path, "D")) == ["letter.txt"], "something was left behind")


@case
def a_log_of_a_future_version(room):
    room.run("append", "--log", "L", "-", stdin=rows(3)).is_(0)
    name = os.path.join("L/data", os.listdir(os.path.join(room.path, "L/data"))[0])
    content = bytearray(room.read(name))
    for page in (0, 4096):
        content[page + 12:page + 14] = struct.pack("<H", 9)
        content[page + 4092:page + 4096] = struct.pack("<I", crc32c(content[page:page + 4092]))
    room.file(name, content)
    room.run("append", "--log", "L", "-", stdin=rows(1)).is_(3, "later version (format version 9)", "newer penstock")
    room.run("tail", "--log", "L").is_(3, "later version")
    room.run("verify", "--log", "L").is_(3, "later version")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@case
def a_locked_log(room):
    writer = room.start("append", "--log", "L", "--json", "-", stdin=subprocess.PIPE)
    writer.stdin.write(rows(10))
    writer.stdin.flush()
    writer.stdout.readline()
    writer.stdout.readline()
    ran = room.run("append", "--log", "L", "--json", "-", stdin=rows(1)).is_(3, "another process is writing this log")
    expect(ran.last["error"]["code"] == "locked", f"{ran.last}")
    room.run("recover", "--log", "L").is_(3, "another process is writing this log")
    expect(room.status()["writer"] is True, "status sees no writer")
    expect(room.run("tail", "--log", "L").is_(0).out.encode() == rows(10), "tail beside a writer")
    room.run("verify", "--log", "L").is_(0)
    writer.stdin.close()
    expect(writer.wait(LIMIT) == 0, "the writer was disturbed")
    expect(room.status()["writer"] is False, "status sees a writer")


@case
def a_full_disk(room):
    disk = os.path.join(room.path, "disk")
    os.mkdir(disk)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True).returncode != 0:
        raise LeftOut("no right to mount a small disk")
    try:
        content = b"".join(event(n, note=os.urandom(2000).hex()) + b"\n" for n in range(3000))
        ran = room.run("append", "--log", "disk/L", "--json", "--batch", "50", "-", stdin=content)
        ran.is_(3, "no space left", "are in the log", "free space")
        last = max(line["acknowledged"]["last"] for line in ran.lines if "acknowledged" in line)
        held = room.run("tail", "--log", "disk/L").is_(0).out.encode()
        expect(held == b"".join(content.splitlines(True)[:last + 1]), "the log is not what was acknowledged")
        room.run("verify", "--log", "disk/L").is_(0)
    finally:
        subprocess.run(["umount", disk], check=True)
