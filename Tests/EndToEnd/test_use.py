"""Use, help, signals, words that were meant."""
import re
import signal

import pytest
from room import LIMIT, ended, event, rows

WITHOUT_JSON = ("cursor", "bench", "replay", "deadletters")
COMMANDS = ["", *WITHOUT_JSON, *(f"{group} {one}".strip() for group, names in {
    "": "append tail status deliver verify inspect recover receive demo attempts export",
    "bench": "append commit replay recover tail seal idle memory events ingest deliver isolation fanout single cursors",
    "cursor": "list show seek pause resume acknowledge delete",
    "replay": "run list discard", "deadletters": "list show replay"}.items() for one in names.split())]


@pytest.mark.parametrize("command", [
    "append", "append --log", "append --log L --batch 0 x", "nonsense", "tail --log L --from tomorrow",
    "tail --log L --follow --to 5", "append --log L --nonsense x", "deliver", "inspect --log L --block 1",
    "receive --listen nowhere", "receive --fail 2", "demo --events 0"])
def test_wrong_use(room, command):
    ran = room(command, 2)
    assert ran.err.strip() and not ran.out, "the words belong on standard error"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(room, command):
    out = room(f"{command} --help").text
    assert f"  penstock {command}".rstrip().replace("penstock bench", "penstock-bench") in out
    assert not command or command in WITHOUT_JSON or "--json" in out


def test_it_tells_its_version(room):
    assert "0.1.0" in room("--version").text


@pytest.mark.parametrize("command, words", [
    ("xyzzy", 'no command "xyzzy"; the commands are demo, append, tail, export'),
    ("tail --log L --xyzzy", "no option --xyzzy"),
    ("tial", "did you mean penstock tail?"), ("stauts --log L", "penstock status?"),
    ("repair --log L", "penstock recover?"), ("help tial", "penstock tail?"), ("tial --help", "penstock tail?"),
    ("cursor lst", "penstock cursor list?"), ("replay lst --log L", "penstock replay list?"),
    ("keys crate --file k", "penstock keys create?"), ("tail --lgo L", "no option --lgo; did you mean --log?"),
    ("tail --log L --folow", "did you mean --follow?"), ("replay --confg c", "did you mean --config?"),
    ("append --log L --no-validat x", "did you mean --no-validate?")])
def test_unknown_commands_and_options_name_what_was_meant(room, command, words):
    assert not room(command, 2, words).out


def test_a_reader_that_goes_away_ends_it_quietly(room):
    room.file("in", rows(60_000))
    room("append --log L in")
    process = room.start("tail --log L")
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(LIMIT) == 141


def test_interrupted_append_says_how_far_it_got(room):
    process = room.writer(rows(10) + b'{"half":')
    process.send_signal(signal.SIGINT)
    process.wait(LIMIT)  # before its input ends
    _, err = process.communicate()
    assert process.returncode == 130 and b"10 records before it are in the log" in err, err
    assert room.status()["closedCleanly"] and room.status()["end"] == 10


def test_tail_follows_and_ends_by_SIGTERM(room):
    room.append(rows(2))
    process = room.start("tail --log L --follow")
    assert process.stdout.readline() == event(0) + b"\n"
    process.stdout.readline()
    room.append(event(7) + b"\n")
    assert process.stdout.readline() == event(7) + b"\n"
    assert ended(process)[0] == 0


def test_a_new_key_is_a_token_on_standard_output_and_nothing_else(room):
    for command in ("create --name ops --role companyAdmin", "rotate --id {}"):
        known = room.json("keys list --file k")["keys"] if room.has("k") else [{"id": None}]
        command = command.format(known[0]["id"])
        ran = room(f"keys {command} --file k", 0, "This is the token of ops", "cannot be shown again")
        assert re.fullmatch(r"psk_\S+\n", ran.text)


def test_receive_on_a_port_that_is_taken(room):
    _, url = room.receiver()
    room(f"receive --listen {url.removeprefix('http://')}", 3, "cannot listen on")
