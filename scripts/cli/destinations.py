"""Replays, dead letters, attempts, options of destinations."""
import http.server
import json
import os
import shutil
import signal
import threading
import time

from cli.cases import LIMIT, case, event, expect, rows
from cli.delivering import configuration, directory, webhook
from cli.reading import damage_second_block


class Picky(threading.Thread):
    """A receiver that answers 422 to a body that holds a word, and keeps the others."""

    def __init__(self, word):
        super().__init__(daemon=True)
        self.word, self.bodies, self.headers, picky = word, [], [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                bad = picky.word is not None and picky.word in body
                if not bad:
                    picky.bodies.append(body)
                    picky.headers.append(dict(self.headers))
                answer = b"no such event" if bad else b"ok"
                self.send_response(422 if bad else 200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        self.start()

    def run(self):
        self.server.serve_forever()

    def events(self):
        return [one for body in self.bodies for one in json.loads(body)]


@case
def a_window_is_replayed_to_a_destination(room):
    room.run("append", "--log", "L", "-", stdin=rows(300)).is_(0)
    receiver, url = room.receiver("--ledger", "l", "--out", "r")
    configuration(room, webhook(url), directory(keyTemplate="e/usages-{first}-{last}.json", rotate={"maxRecords": 50}))
    web = ["replay", "--config", "c.yaml", "--to", "web", "--id", "r1"]
    estimate = room.run(*web, "--from", "100", "--until", "250", "--dry-run", "--records-per-second", "50", "--json").is_(0).last
    expect(estimate["records"] == 150 and estimate["batches"] == 2 and estimate["seconds"] == 3, f"{estimate}")
    expect(room.run("replay", "list", "--log", "L", "--json").is_(0).last["replays"] == [], "a dry run left something")
    room.run(*web).is_(1, "there is no replay r1", "--from and --until")
    said = room.run(*web, "--from", "100", "--until", "250", "--json").is_(0).last
    expect((said["ended"], said["records"], said["first"], said["end"]) == ("finished", 150, 100, 250), f"{said}")
    expect(room.read("r") == b"".join(event(number) + b"\n" for number in range(100, 250)), "what arrived")
    ran = room.run(*web).is_(0)
    expect("nothing to do" in ran.out, f"said {ran.out}")
    room.run(*web, "--from", "0", "--until", "9").is_(1, "has the window 100 ..< 250")
    room.run("replay", "--config", "c.yaml", "--to", "dir", "--id", "r1").is_(1, "keeps its destination")
    # Live cursors do not know of it.
    expect(room.status()["cursors"] == [], "a cursor was left")
    room.run("replay", "--config", "c.yaml", "--to", "dir", "--id", "r2", "--from", "beginning", "--until", "end").is_(0)
    folder = os.path.join(room.path, "out", "e", "replays", "r2")
    names = [name for name in sorted(os.listdir(folder)) if name.startswith("usages")]
    expect(len(names) == 6 and b"".join(room.read(os.path.join(folder, name)) for name in names) == rows(300), f"{names}")
    listed = room.run("replay", "list", "--log", "L", "--json").is_(0).last["replays"]
    expect([(one["id"], one["done"], one["total"]) for one in listed] == [("r1", 150, 150), ("r2", 300, 300)], f"{listed}")
    room.run("replay", "discard", "r1", "--log", "L").is_(2, "--yes")
    room.run("replay", "discard", "r3", "--log", "L").is_(1, "no replay r3", "did you mean")
    room.run("replay", "discard", "r1", "--log", "L", "--yes").is_(0)
    room.run(*web).is_(1, "there is no replay r1")


@case
def a_replay_into_a_file_goes_on_after_an_interruption(room):
    room.run("append", "--log", "L", "-", stdin=rows(30_000)).is_(0)
    file = ["replay", "--log", "L", "--file", "f", "--id", "slow"]
    process = room.start(*file, "--from", "0", "--until", "30000", "--records-per-second", "10000", "--json")
    until = time.monotonic() + LIMIT
    while not os.path.exists(os.path.join(room.path, "f")) or not room.read("f"):
        expect(time.monotonic() < until, "nothing was written")
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=LIMIT)
    expect(process.returncode == 130 and json.loads(out)["ended"] == "stopped", f"{process.returncode} {out} {err}")
    expect(0 < room.read("f").count(b"\n") < 30_000, "it did not stop in between")
    expect("slow" in room.run("replay", "list", "--log", "L").is_(0).out, "not listed")
    expect(room.run(*file, "--json").is_(0).last["ended"] == "finished", "it did not go on")
    expect(room.read("f") == rows(30_000), "the file")


@case
def a_replay_stops_at_a_gap_or_skips_it(room):
    room.run("append", "--log", "L", "--batch", "100", "-", stdin=rows(300)).is_(0)
    block = damage_second_block(room)
    first, end = block["baseOffset"], block["baseOffset"] + block["records"]
    file = ["replay", "--log", "L", "--file", "f", "--id", "g"]
    room.run(*file, "--from", "0", "--until", "300").is_(1, f"records {first} up to {end}", "--skip-gaps")
    expect(room.read("f") == rows(first), "what stands before the gap")
    said = room.run(*file, "--skip-gaps", "--json").is_(0, "skipped").last
    expect(said["skipped"] == end - first and said["ended"] == "finished", f"{said}")
    expect(room.read("f") == b"".join(rows(300).splitlines(True)[:first] + rows(300).splitlines(True)[end:]), "the file")


@case
def replays_that_make_no_sense(room):
    room.run("append", "--log", "L", "-", stdin=rows(3)).is_(0)
    configuration(room, directory())
    for arguments in (["--id", "a"], ["--id", "a", "--file", "f", "--to", "dir"], ["--file", "f"], ["--id", "a", "--to", "dir"],
                      ["--id", "a", "--file", "f", "--from", "0"], ["--id", "a", "--file", "f", "--records-per-second", "0"],
                      ["--id", "a", "--file", "f", "--bytes-per-second", "much"]):
        room.run("replay", "--log", "L", *arguments).is_(2)
    window = ["--from", "0", "--until", "3"]
    room.run("replay", "--config", "c.yaml", "--to", "dirr", "--id", "a", *window).is_(2, "did you mean dir?")
    room.run("replay", "--log", "L", "--file", "f", "--id", "a", "--from", "0", "--until", "4").is_(1, "ends at offset 4")
    room.run("replay", "--log", "L", "--file", "f", "--id", "a/b", *window).is_(2)
    expect(not os.path.exists(os.path.join(room.path, "f")), "it wrote all the same")


@case
def a_rejected_record_becomes_a_dead_letter_and_is_sent_again(room):
    room.run("append", "--log", "L", "-", stdin=rows(20)).is_(0)
    receiver = Picky(b'"user_id":"7"')
    configuration(room, webhook(receiver.url))
    ran = room.run("deliver", "--config", "c.yaml", "--until-caught-up", "--json").is_(0, "record 7 became a dead letter")
    expect(ran.last["destinations"][0]["deadLetters"] == 1, f"{ran.out}")
    expect(len(receiver.events()) == 19, "the others")
    expect(room.run("deadletters", "list", "--log", "L", "--json").is_(0).last["cursors"] == [{"name": "web", "count": 1}], "list")
    letter = room.run("deadletters", "list", "web", "--log", "L", "--json").is_(0).last["deadLetters"][0]
    expect((letter["number"], letter["offset"], letter["attempts"]) == (0, 7, 1) and "422" in letter["reason"], f"{letter}")
    expect(room.run("deadletters", "show", "web", "0", "--log", "L", "--raw").is_(0).out.encode() == event(7), "its bytes")
    expect(room.run("deadletters", "show", "web", "0", "--log", "L", "--json").is_(0).last["record"].encode() == event(7), "JSON")
    expect("no such event" in room.run("deadletters", "show", "web", "0", "--log", "L").is_(0).out, "the reason")
    room.run("deadletters", "show", "web", "1", "--log", "L").is_(1, "no dead letter 1")
    expect(room.status()["cursors"][0]["deadLetters"] == 1, "status")
    again = ["deadletters", "replay", "web", "--config", "c.yaml"]
    expect(room.run(*again, "--json").is_(1, "rejected again").last["rejected"] == [0], "rejected again")
    receiver.word = None
    expect("nothing to do" in room.run(*again).is_(0).out, "it was passed")
    room.run(*again, "--letter", "0", "--all").is_(2, "exclude")
    room.run(*again, "--letter", "1").is_(1, "no dead letter 1")
    said = room.run(*again, "--letter", "0", "--json").is_(0).last
    expect(said["delivered"] == 1 and len(receiver.events()) == 20, f"one alone: {said}")
    expect(receiver.headers[-1].get("webhook-replay") == "deadletters.0", f"{receiver.headers[-1]}")
    receiver.bodies.pop()
    said = room.run(*again, "--all", "--json").is_(0).last
    expect(said["delivered"] == 1 and said["rejected"] == [] and len(receiver.events()) == 20, f"{said}")
    expect(receiver.headers[-1].get("webhook-replay") == "deadletters", f"{receiver.headers[-1]}")
    room.run("deadletters", "replay", "dirr", "--config", "c.yaml", "--to", "web").is_(1, "no dead letters", "web")
    room.run("deadletters", "list", "--log", "nowhere").is_(3, "there is no log here")


@case
def a_dead_letter_sent_alone_to_a_directory_leaves_the_way_to_the_others(room):
    room.run("append", "--log", "L", "-", stdin=rows(4)).is_(0)
    receiver = Picky(b"user_id")
    configuration(room, webhook(receiver.url), directory())
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)
    again = ["deadletters", "replay", "web", "--config", "c.yaml", "--to", "dir", "--json"]
    for letter in ("2", "0", "2"):
        expect(room.run(*again, "--letter", letter).is_(0).last["delivered"] == 1, f"letter {letter}")
    expect(room.run(*again).is_(0).last["delivered"] == 4, "the others")
    found = [os.path.relpath(os.path.join(at, name), room.path) for at, _, names in os.walk(os.path.join(room.path, "out"))
             for name in names if "deadletters" in at and "_penstock" not in at]
    expect(sorted(one.split("/")[-2] for one in found) == ["deadletters", "deadletters.0", "deadletters.2"], f"{found}")


@case
def a_rejected_record_halts_where_that_is_wanted(room):
    room.run("append", "--log", "L", "-", stdin=rows(20)).is_(0)
    receiver = Picky(b'"user_id":"7"')
    configuration(room, webhook(receiver.url, onRejected="halt"))
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(1, "422")
    expect(not os.path.exists(os.path.join(room.path, "L.deadletters")) and receiver.bodies == [], "it did not halt")
    room.run("cursor", "delete", "web", "--log", "L", "--yes").is_(0)
    receiver.word = b"user_id"
    configuration(room, webhook(receiver.url, maxDeadLettersInRow=3))
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(1)
    expect(room.run("deadletters", "list", "--log", "L", "--json").is_(0).last["cursors"][0]["count"] == 3, "the bound")


@case
def attempts_are_listed_over_restarts(room):
    room.run("append", "--log", "L", "-", stdin=rows(20)).is_(0)
    receiver = Picky(None)
    configuration(room, webhook("http://127.0.0.1:1/", attempts=5))
    room.run("deliver", "--config", "c.yaml", "--until-caught-up", "--give-up-after", "0").is_(3)
    configuration(room, webhook(receiver.url, attempts=5))
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)
    listed = room.run("attempts", "web", "--log", "L", "--json").is_(0).last["attempts"]
    expect([(one["attempt"], one["outcome"]) for one in listed] == [(1, "retry"), (2, "delivered")], f"{listed}")
    expect("refused" in listed[0]["words"] and listed[0]["id"] == listed[1]["id"], f"{listed}")
    expect(len(room.run("attempts", "web", "--log", "L", "--limit", "1", "--json").is_(0).last["attempts"]) == 1, "--limit")
    expect("delivered" in room.run("attempts", "web", "--log", "L").is_(0).out, "words")
    room.run("attempts", "webb", "--log", "L").is_(1, "did you mean web?")
    room.run("cursor", "delete", "web", "--log", "L", "--yes").is_(0)
    expect(os.listdir(os.path.join(room.path, "L", "cursors")) == [], "something of the cursor was left")


@case
def a_webhook_is_tested(room):
    room.run("append", "--log", "L", "-", stdin=rows(5)).is_(0)
    receiver = Picky(None)
    configuration(room, webhook(receiver.url), directory())
    test = ["deliver", "--config", "c.yaml", "--test"]
    said = room.run(*test, "web", "--json").is_(0).last
    expect((said["outcome"], said["status"], said["http"], said["tls"]) == ("delivered", 200, "HTTP/1.1", None), f"{said}")
    expect(len(receiver.bodies) == 1 and receiver.headers[0].get("webhook-test") == "true", "what arrived")
    expect(room.status()["cursors"] == [], "a cursor was made")
    out = room.run(*test, "web").is_(0).out
    expect("latency" in out and "HTTP/1.1" in out, f"{out}")
    receiver.word = b"penstock"
    room.run(*test, "web").is_(1)
    room.run(*test, "dir").is_(2, "not a webhook")
    room.run(*test, "nobody").is_(2, "no destination nobody")
    room.run(*test, "web", "--until-caught-up").is_(2)
    configuration(room, webhook("http://127.0.0.1:1/"))
    expect(room.run(*test, "web").is_(3).out, "it says nothing")


@case
def a_filter_as_text_and_as_keys(room):
    lines = [event(1), event(2, event="Goal", type="custom"), event(3, event="Custom_Goals_A", type="custom"),
             event(4, event="Goal", type="track")]
    room.run("append", "--log", "L", "-", stdin=b"\n".join(lines) + b"\n").is_(0)
    for name, filter in (("text", "event=Custom_*,Goal !type=track"),
                         ("keys", {"event": ["Goal", "Custom_*"], "not": {"type": "track"}})):
        configuration(room, directory(name=name, path=name, filter=filter, maxInFlight=2))
        said = room.run("deliver", "--config", "c.yaml", "--until-caught-up", "--json").is_(0).last["destinations"][0]
        expect((said["records"], said["events"]) == (4, 2), f"{said}")
        names = [one for one in os.listdir(os.path.join(room.path, name)) if one.startswith("usages")]
        content = b"".join(room.read(os.path.join(name, one)) for one in names)
        expect(content == lines[1] + b"\n" + lines[2] + b"\n", f"{filter}: {content}")


@case
def a_rate_is_kept(room):
    room.run("append", "--log", "L", "-", stdin=rows(30)).is_(0)
    configuration(room, directory(rotate={"maxRecords": 10}, rate={"recordsPerSecond": 20}, manifest=False))
    began = time.monotonic()
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)
    # Three batches of half a second each; the last one is paid for after.
    expect(time.monotonic() - began >= 1, "it was too fast")
    expect("_penstock" not in os.listdir(os.path.join(room.path, "out")), "there is a manifest")


@case
def status_says_who_is_behind(room):
    room.run("append", "--log", "L", "-", stdin=rows(20)).is_(0)
    configuration(room, directory(lag={"behindAfter": "1ms"}))
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)
    room.run("append", "--log", "L", "-", stdin=rows(5)).is_(0)
    cursor = room.status()["cursors"][0]
    expect(cursor["health"] == "ok" and cursor["deadLetters"] == 0, f"{cursor}")
    time.sleep(0.01)
    cursor = room.run("status", "--log", "L", "--config", "c.yaml", "--json").is_(0).last["cursors"][0]
    expect(cursor["health"] == "behind", f"{cursor}")
    expect("behind" in room.run("status", "--log", "L", "--config", "c.yaml").is_(0).out, "words")


@case
def a_producer_goes_on_after_a_kill(room):
    content = rows(60_000)
    room.file("in", content)
    process = room.start("append", "--log", "L", "--producer", "import", "--batch", "100", "--json", "in")
    process.stdout.readline()
    process.stdout.readline()
    process.kill()
    process.wait()
    expect(room.run("recover", "--log", "L", "--json").is_(0).last["recovery"]["end"] > 0, "nothing was appended")
    before = room.status()
    expect(0 < before["end"] < 60_000, "the kill came too late for this test")
    room.run("append", "--log", "L", "--producer", "import", "in").is_(0, "resuming at byte")
    expect(room.run("tail", "--log", "L").is_(0).out.encode() == content, "something is missing, or there twice")
    expect(room.run("append", "--log", "L", "--producer", "import", "in").is_(0).out.startswith("nothing new"), "again")
    room.file("in", content + rows(5))
    room.run("append", "--log", "L", "--producer", "import", "in").is_(0)
    expect(room.run("tail", "--log", "L").is_(0).out.encode() == content + rows(5), "the file that has grown")
    said = room.run("status", "--log", "L", "--producers", "--json").is_(0).last["producers"]
    expect(said["count"] == 1 and said["complete"] and said["list"][0]["name"] == "import", f"{said}")
    # The last line's end is no part of its record.
    expect(int(said["list"][0]["source"].split()[1]) == len(content + rows(5)) - 1, f"{said}")
    listed = room.run("inspect", "--log", "L", "--json").is_(0).last["producers"]
    expect(listed == said["list"], f"{listed}")
    room.file("in", rows(1))
    room.run("append", "--log", "L", "--producer", "import", "in").is_(1, "is not the file", "ends at byte", "--reset-producer")


@case
def a_growing_file_gives_whole_lines_only(room):
    def append(*options):
        return room.run("append", "--log", "L", "--producer", "import", "--json", *options, "in").is_(0)

    # Written in blocks that end anywhere: every run takes the whole lines, checked or not.
    content = rows(400)
    for check in ([], ["--no-validate"]):
        room.file("in", b"")
        expect(append(*check).last == {"appended": 0, "unfinishedBytes": 0}, "an empty file")
        for end in range(0, len(content), 2500):
            room.file("in", content[:end])
            said = append(*check)
            whole = content[:content.rfind(b"\n", 0, end) + 1]
            expect(room.run("tail", "--log", "L").is_(0).out.encode() == whole, f"{end}: not the whole lines")
            expect(said.last["unfinishedBytes"] == end - len(whole), f"{end}: {said.last}")
        # What is left of the last line waits, also where all of it is there but its line feed, until it is called complete.
        room.file("in", content[:-1])
        expect(append(*check).last["unfinishedBytes"] > 0, "the last line came without its line feed")
        append("--final", *check)
        expect(room.run("tail", "--log", "L").is_(0).out.encode() == content, "the last line is missing")
        # Its line feed comes late, and more.
        room.file("in", content + b'{"user_id":"1","event":"Home Page","platform":"r","type":"page","ts":1630476856}\n')
        expect(append(*check).last["appended"] == 1, "one more")
        shutil.rmtree(os.path.join(room.path, "L"))


@case
def a_replaced_file_is_never_read_from_its_middle(room):
    first, second = rows(300), b"".join(event(n, note="second") + b"\n" for n in range(300))
    room.file("in", first)
    room.run("append", "--log", "L", "--producer", "import", "in").is_(0)
    # Rotated: as long, longer, shorter, and one that begins alike and goes another way.
    for other in (second[:len(first)], second, second + second, second[:1000], first[:first.index(b"\n", 20_000) + 1] + second):
        room.file("in", other)
        room.run("append", "--log", "L", "--producer", "import", "in").is_(1, "is not the file", "--reset-producer")
        expect(room.run("tail", "--log", "L").is_(0).out.encode() == first, "something was appended")
    # Under another name the old one is still known, and so is a copy of it.
    room.file("in.1", first + rows(2))
    expect(room.run("append", "--log", "L", "--producer", "import", "--json", "in.1").is_(0).last["appended"] == 2, "the rest")
    room.file("in", second)
    room.run("append", "--log", "L", "--producer", "import", "--reset-producer", "in").is_(0, "starting at byte 0")
    expect(room.run("tail", "--log", "L").is_(0).out.encode() == first + rows(2) + second, "not all of the second")
    again = room.run("append", "--log", "L", "--producer", "import", "--reset-producer", "in").is_(0)
    expect(again.out.startswith("nothing new"), "the same file was begun again")


def long_rows(count, start=0):
    return b"".join(event(n, note=os.urandom(3000).hex()) + b"\n" for n in range(start, start + count))


@case
def retention_holds_for_cursors_and_the_hard_cap_tells_them(room):
    room.file("small.yaml", json.dumps({"log": {"segmentSize": "64KiB", "sealing": "off"}}).encode())
    room.run("append", "--log", "L", "--config", "small.yaml", "--batch", "5", "-", stdin=long_rows(100)).is_(0)
    configuration(room, directory())
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)
    room.run("cursor", "seek", "dir", "--to", "30", "--log", "L", "--yes").is_(0)
    knobs = ["--log", "L", "--config", "small.yaml"]
    room.run("append", *knobs, "--max-bytes", "128KiB", "-", stdin=rows(1)).is_(0, "cursor dir stands at offset 30")
    said = room.status()
    expect(0 < said["dropped"] <= 30 and said["heldBy"] == "dir", f"dropped {said['dropped']}, held by {said['heldBy']}")
    expect(room.run("append", *knobs, "--max-bytes", "128KiB", "--hard-cap", "128KiB", "-", stdin=rows(1)).code == 0, "cap")
    said = room.status()
    lost = said["cursors"][0]["lost"]
    expect(said["dropped"] > 30 and lost == {"first": 30, "end": said["dropped"]}, f"{said['dropped']} {lost}")
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(1)
    room.run("cursor", "acknowledge", "dir", "--log", "L").is_(2, "cursor dir skips", "--yes")
    room.run("cursor", "acknowledge", "dir", "--log", "L", "--yes").is_(0)
    room.run("cursor", "acknowledge", "dir", "--log", "L", "--yes").is_(1, "has no gap")
    # The cursor was moved back: the same records under other names would be there twice, so that is refused.
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(1, "are already exported")
    shutil.rmtree(os.path.join(room.path, "out"))
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)
    expect(room.status()["cursors"][0]["lag"] == 0, "it did not go on")


@case
def knobs_that_make_no_sense(room):
    for options, words in ((["--max-age", "soon"], "--max-age is soon; expected a time such as 30d"),
                           (["--max-bytes", "many"], "--max-bytes is many; expected a size such as"),
                           (["--max-bytes", "1MiB"], "retention.maxBytes is 1048576; it must be at least segmentBytes"),
                           (["--sealing", "99"], "--sealing is 99; expected on, off or a level"),
                           (["--when-full", "cry"], "cry")):
        room.run("append", "--log", "L", *options, "-", stdin=rows(1)).is_(2, words)
    for log, words in (({"retention": {"maxage": "3d"}}, "log.retention.maxage is not a known key; did you mean maxAge?"),
                       ({"retention": {"maxAge": "3"}}, "log.retention.maxAge expected a time"),
                       ({"sealing": {"level": 40}}, "log.sealing.level expected a whole number from -7 to 19"),
                       ({"whenFull": "cry"}, "log.whenFull expected one of fail, wait")):
        configuration(room, directory(), **log)
        room.run("append", "--log", "L", "--config", "c.yaml", "-", stdin=rows(1)).is_(2, words)
    expect(not os.path.exists(os.path.join(room.path, "L")), "a log was made")


@case
def status_tells_without_walking_and_more_when_asked(room):
    room.file("small.yaml", json.dumps({"log": {"segmentSize": "64KiB", "sealing": {"level": 3}}}).encode())
    room.run("append", "--log", "L", "--config", "small.yaml", "--batch", "5", "-", stdin=long_rows(60)).is_(0)
    said, deep = room.status(), room.run("status", "--log", "L", "--deep", "--json").is_(0).last
    same = ("first", "end", "records", "bytesOnDisk", "fileBytes", "writer", "closedCleanly")
    expect(all(said[key] == deep[key] for key in same), f"{said} {deep}")
    expect(said["rawBytes"] is None and deep["rawBytes"] > 60 * 6000, f"{deep['rawBytes']}")
    expect("blocks" not in said["segments"][0] and deep["segments"][0]["blocks"] > 0, "blocks")
    expect(said["oldestAgeSeconds"] < LIMIT and said["sealed"]["looked"] == len(said["segments"]) - 1, f"{said['sealed']}")
    words = room.run("status", "--log", "L").is_(0).out
    expect(all(word in words for word in ("oldest", "sealed", "0 producers", "no cursors")), words)


@case
def receive_on_a_port_that_is_taken(room):
    _, url = room.receiver()
    room.run("receive", "--listen", url.removeprefix("http://")).is_(3, "cannot listen on")
