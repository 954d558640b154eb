"""Append: input."""
import json
import os
import subprocess

from cli.cases import LIMIT, case, event, expect, rows


@case
def a_malformed_line_of_a_file_appends_nothing(room):
    name = os.path.basename(room.file("in", rows(1017) + b'{"ts":1,}\n' + rows(3)))
    room.run("append", "--log", "L", name).is_(1, "penstock append: record 1017, byte 8", "line 1018", "nothing was appended")
    expect(not os.path.exists(os.path.join(room.path, "L")), "a log was made")


@case
def a_wrong_value_names_record_byte_and_field(room):
    room.file("in", rows(17) + event(17, ts="soon") + b"\n")
    ran = room.run("append", "--log", "L", "--json", "in").is_(1, 'record 17, byte', '(field "ts"): expected a number')
    error = ran.last["error"]
    expect(error["record"] == 17 and error["byte"] > 0 and error["code"] == "wrong_type", f"wrong JSON: {error}")
    expect(error["message"], "no message")


@case
def a_malformed_line_on_standard_input_leaves_whole_batches_before_it(room):
    ran = room.run("append", "--log", "L", "--json", "--batch", "100", "-", stdin=rows(250) + b"nonsense\n" + rows(500))
    ran.is_(1, "record 250, byte 0", "200 records before it are in the log (offsets 0 to 199)")
    acknowledged = [line["acknowledged"] for line in ran.lines if "acknowledged" in line]
    expect(acknowledged == [{"first": 0, "last": 99}, {"first": 100, "last": 199}], f"acknowledged {acknowledged}")
    expect(room.status()["end"] == 200, "the log does not end at 200")
    expect(room.run("tail", "--log", "L").is_(0).out.encode() == rows(200), "the log holds something else")


@case
def a_line_of_20_MiB_in_a_file(room):
    room.file("in", rows(3) + b'{"a":"' + b"x" * (20 << 20) + b'"}\n')
    room.run("append", "--log", "L", "in").is_(1, "record 3", "longer than 16777216 bytes", "nothing was appended")
    expect(not os.path.exists(os.path.join(room.path, "L")), "a log was made")


@case
def a_line_of_20_MiB_on_standard_input(room):
    room.run("append", "--log", "L", "-", stdin=rows(3) + b'{"a":"' + b"x" * (20 << 20)).is_(1, "record 3", "longer than")


@case
def a_record_just_within_the_limit_is_taken(room):
    row = b'{"a":"' + b"x" * ((16 << 20) - 8) + b'"}'
    expect(len(row) == 16 << 20, "the test is wrong")
    room.run("append", "--log", "L", "-", stdin=row + b"\n").is_(0)
    expect(room.run("tail", "--log", "L").is_(0).out.encode() == row + b"\n", "it came back otherwise")


@case
def an_empty_file(room):
    room.file("in")
    room.run("append", "--log", "L", "in").is_(1, "no records in in")
    room.run("append", "--log", "L", "-").is_(1, "no records in standard input")


@case
def blank_lines_alone(room):
    room.file("in", b"\n  \r\n\n")
    room.run("append", "--log", "L", "in").is_(1, "no records in in")


@case
def a_missing_last_line_end_is_accepted(room):
    room.file("in", rows(5)[:-1])
    expect(room.run("append", "--log", "L", "--json", "in").is_(0).last["appended"] == 5, "not 5 records")
    expect(room.run("tail", "--log", "L").is_(0).out.encode() == rows(5), "the log holds something else")


@case
def CRLF_is_accepted(room):
    room.file("in", rows(5, b"\r\n"))
    room.run("append", "--log", "L", "in").is_(0)
    expect(room.run("tail", "--log", "L").is_(0).out.encode() == rows(5), "the log holds something else")


@case
def invalid_UTF_8(room):
    room.file("in", rows(2) + b'{"event":"caf\xe9"}\n')
    ran = room.run("append", "--log", "L", "--json", "in").is_(1, "record 2, byte 13", "expected well-formed UTF-8")
    expect(ran.last["error"]["code"] == "invalid_utf8", f"{ran.last}")


@case
def any_line_is_taken_when_nothing_is_asked_of_it(room):
    content = b'caf\xe9\n{"ts":"soon"}\n'
    room.file("in", content)
    room.run("append", "--log", "L", "--no-validate", "in").is_(0)
    done = subprocess.run([room.binary, "tail", "--log", "L"], cwd=room.path, capture_output=True)
    expect(done.stdout == content, f"the log holds {done.stdout!r}")


@case
def an_array(room):
    room.file("in", b" [" + b" ,\n".join(event(n) for n in range(2500)) + b"] ")
    expect(room.run("append", "--log", "L", "--format", "array", "--json", "in").is_(0).last["appended"] == 2500, "count")
    expect(room.run("tail", "--log", "L").is_(0).out.encode() == rows(2500), "the log holds something else")


@case
def a_broken_array_appends_nothing(room):
    room.file("in", b"[" + event(0) + b"," + event(1) + b",]")
    room.run("append", "--log", "L", "--format", "array", "in").is_(1, "record 2", "nothing was appended")
    expect(not os.path.exists(os.path.join(room.path, "L")), "a log was made")
    room.file("object", event(0))
    room.run("append", "--log", "L", "--format", "array", "object").is_(1, "expected an array, found an object")


@case
def acknowledgements_come_while_input_is_open(room):
    process = room.start("append", "--log", "L", "--json", "-", stdin=subprocess.PIPE)
    expect("opened" in json.loads(process.stdout.readline()), "the first line is not opened")
    for number in range(3):
        process.stdin.write(event(number) + b"\n")
        process.stdin.flush()
        said = json.loads(process.stdout.readline())
        expect(said == {"acknowledged": {"first": number, "last": number}}, f"said {said}")
    process.stdin.close()
    expect(json.loads(process.stdout.readline())["appended"] == 3 and process.wait(LIMIT) == 0, "the end")
