"""Append: which input it takes."""
import json
import subprocess

import pytest
from room import LIMIT, event, rows

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
