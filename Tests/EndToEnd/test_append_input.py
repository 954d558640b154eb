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


def test_no_records_on_standard_input(room):
    room.append(b"", "", 1, "no records in standard input")


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


def test_a_line_of_20_MiB_on_standard_input(room):
    room.append(rows(3) + b'{"a":"' + b"x" * (20 << 20), "", 1, "record 3", "longer than")


def test_a_record_just_within_the_limit_is_taken(room):
    row = b'{"a":"' + b"x" * ((16 << 20) - 8) + b'"}'
    assert len(row) == 16 << 20
    room.append(row + b"\n")
    assert room.tail() == row + b"\n"


@pytest.mark.parametrize("content", [rows(5)[:-1], rows(5, b"\r\n")], ids=["a_missing_last_line_end", "CRLF"])
def test_other_line_ends_are_accepted(room, content):
    room.file("in", content)
    assert room.json("append --log L in")["appended"] == 5
    assert room.tail() == rows(5)


def test_invalid_UTF_8(room):
    room.file("in", rows(2) + b'{"event":"caf\xe9"}\n')
    said = room.json("append --log L in", 1, "record 2, byte 13", "expected well-formed UTF-8")
    assert said["error"]["code"] == "invalid_utf8"


def test_any_line_is_taken_when_nothing_is_asked_of_it(room):
    content = b'caf\xe9\n{"ts":"soon"}\n'
    room.file("in", content)
    room("append --log L --no-validate in")
    assert room.tail() == content


def test_an_array(room):
    room.file("in", b" [" + b" ,\n".join(event(n) for n in range(2500)) + b"] ")
    assert room.json("append --log L --format array in")["appended"] == 2500
    assert room.tail() == rows(2500)


def test_acknowledgements_come_while_input_is_open(room):
    process = room.start("append --log L --json -", stdin=subprocess.PIPE)
    assert "opened" in json.loads(process.stdout.readline())
    for number in range(3):
        process.stdin.write(event(number) + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"acknowledged": {"first": number, "last": number}}
    process.stdin.close()
    assert json.loads(process.stdout.readline())["appended"] == 3 and process.wait(LIMIT) == 0
