"""Reading."""
import os
import subprocess

from cli.cases import case, event, expect, rows


@case
def tail_from_and_to(room):
    room.run("append", "--log", "L", "-", stdin=rows(100)).is_(0)
    expect(room.run("tail", "--log", "L", "--from", "10", "--to", "12").is_(0).out.encode()
           == event(10) + b"\n" + event(11) + b"\n", "by offset")
    said = room.run("tail", "--log", "L", "--from", "99", "--json").is_(0).last
    expect(said["offset"] == 99 and said["record"]["user_id"] == "99" and said["appendTime"].endswith("Z"), f"{said}")
    for time_ in ("2001-01-01T00:00:00Z", "@978307200", "beginning", "0"):
        expect(len(room.run("tail", "--log", "L", "--from", time_).is_(0).out.splitlines()) == 100, time_)
    for time_ in ("2101-01-01T00:00:00.5+01:00", "@4133980800", "end", "100"):
        expect(room.run("tail", "--log", "L", "--from", time_).is_(0).out == "", time_)


def damage_second_block(room):
    block = room.run("inspect", "--log", "L", "--segment", "1", "--json").is_(0).last["blocks"][1]
    name = os.path.join("L/data", os.listdir(os.path.join(room.path, "L/data"))[0])
    content = bytearray(room.read(name))
    content[block["position"] + block["length"] - 20] ^= 1
    room.file(name, content)
    return block


@case
def a_damaged_block_is_found_and_named(room):
    room.run("append", "--log", "L", "--batch", "100", "-", stdin=rows(300)).is_(0)
    room.run("verify", "--log", "L", "--deep").is_(0)
    block = damage_second_block(room)
    ran = room.run("verify", "--log", "L", "--json").is_(1, "payload checksum", f"byte {block['position']}")
    problem = ran.last["problems"][0]
    expect((problem["position"], problem["first"], problem["end"])
           == (block["position"], block["baseOffset"], block["baseOffset"] + block["records"]), f"{problem}")
    before = rows(300).splitlines(True)[:block["baseOffset"]]
    ran = room.run("tail", "--log", "L").is_(1, "are lost: damaged", "--skip-gaps")
    expect(ran.out.encode() == b"".join(before), "what stands before the gap")
    behind = rows(300).splitlines(True)[block["baseOffset"] + block["records"]:]
    ran = room.run("tail", "--log", "L", "--skip-gaps").is_(0, "are lost: damaged")
    expect(ran.out.encode() == b"".join(before + behind), "what stands around the gap")


@case
def lost_header_copies_and_bytes_behind_the_end_are_problems(room):
    room.run("append", "--log", "L", "-", stdin=rows(3)).is_(0)
    name = os.path.join("L/data", os.listdir(os.path.join(room.path, "L/data"))[0])
    good = room.read(name)
    room.file(name, b"\0" * 4096 + good[4096:])
    room.run("verify", "--log", "L").is_(1, "copy 0 of the header")
    expect(room.run("tail", "--log", "L").is_(0).out.encode() == rows(3), "the other copy is enough for readers")
    room.file(name, good)
    room.run("verify", "--log", "L").is_(0)


@case
def a_killed_writer_is_recovered(room):
    process = room.start("append", "--log", "L", "--json", "-", stdin=subprocess.PIPE)
    process.stdin.write(rows(10))
    process.stdin.flush()
    process.stdout.readline()
    process.stdout.readline()
    process.kill()
    process.wait()
    expect(not room.status()["closedCleanly"], "status takes it for closed")
    recovery = room.run("recover", "--log", "L", "--json").is_(0).last["recovery"]
    expect(recovery["end"] == 10, f"{recovery}")
    expect(room.status()["closedCleanly"], "it was not closed")
