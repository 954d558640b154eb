"""Use, help, signals."""
import signal
import subprocess

from cli.cases import LIMIT, case, event, expect, rows


@case
def wrong_use(room):
    for arguments in (["append"], ["append", "--log"], ["append", "--log", "L", "--batch", "0", "x"], ["nonsense"],
                      ["tail", "--log", "L", "--from", "tomorrow"], ["tail", "--log", "L", "--follow", "--to", "5"],
                      ["append", "--log", "L", "--nonsense", "x"], ["deliver"], ["inspect", "--log", "L", "--block", "1"],
                      ["receive", "--listen", "nowhere"], ["receive", "--fail", "2"], ["demo", "--events", "0"]):
        ran = room.run(*arguments)
        ran.is_(2)
        expect(ran.err.strip() and not ran.out, f"{arguments}: the words belong on standard error")


@case
def help_has_examples(room):
    commands = [[], ["append"], ["tail"], ["status"], ["deliver"], ["verify"], ["inspect"], ["recover"], ["receive"],
                ["demo"], ["cursor"], ["attempts"], ["replay"], ["deadletters"], ["export"]]
    commands += [["cursor", one] for one in ("list", "show", "seek", "pause", "resume", "acknowledge", "delete")]
    commands += [["replay", one] for one in ("run", "list", "discard")]
    commands += [["deadletters", one] for one in ("list", "show", "replay")]
    for command in commands:
        out = room.run(*command, "--help").is_(0).out
        expect(f"  penstock {' '.join(command)}".rstrip() in out, f"no example in the help of {command}")
        if command and command not in (["cursor"], ["replay"], ["deadletters"]):
            expect("--json" in out, f"no --json in the help of {command}")
    for bench in ("append", "commit", "replay", "recover", "tail", "seal", "idle", "memory", "events", "ingest", "deliver",
                  "isolation"):
        out = room.run(bench, "--help", binary=room.bench).is_(0).out
        expect(f"  penstock-bench {bench}" in out and "--json" in out, f"no example, or no --json, in the help of {bench}")
    expect("0.1.0" in room.run("--version").is_(0).out, "no version")


@case
def a_reader_that_goes_away_ends_it_quietly(room):
    room.file("in", rows(60_000))
    room.run("append", "--log", "L", "in").is_(0)
    process = room.start("tail", "--log", "L")
    process.stdout.readline()
    process.stdout.close()
    expect(process.stderr.read() == b"" and process.wait(LIMIT) == 141, f"ended with {process.returncode}")


@case
def interrupted_append_says_how_far_it_got(room):
    process = room.start("append", "--log", "L", "--json", "-", stdin=subprocess.PIPE)
    process.stdin.write(rows(10) + b'{"half":')
    process.stdin.flush()
    process.stdout.readline()
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.wait(LIMIT)  # before its input ends
    out, err = process.communicate()
    expect(process.returncode == 130, f"exit code {process.returncode}: {err}")
    expect(b"10 records before it are in the log" in err, f"said {err}")
    expect(room.status()["closedCleanly"] and room.status()["end"] == 10, "the log")


@case
def tail_follows_and_ends_by_SIGTERM(room):
    room.run("append", "--log", "L", "-", stdin=rows(2)).is_(0)
    process = room.start("tail", "--log", "L", "--follow")
    expect(process.stdout.readline() == event(0) + b"\n", "the first record")
    process.stdout.readline()
    room.run("append", "--log", "L", "-", stdin=event(7) + b"\n").is_(0)
    expect(process.stdout.readline() == event(7) + b"\n", "the new record")
    process.send_signal(signal.SIGTERM)
    expect(process.wait(LIMIT) == 0, f"exit code {process.returncode}")
