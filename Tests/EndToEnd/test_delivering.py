"""Delivering to webhooks and folders, their configuration, pauses."""
import json
import time

import pytest
from room import bucket, directory, ended, event, open_files, rows, until, webhook


def test_delivered_once_and_then_nothing_is_to_do(room):
    room.append(rows(950))
    receiver, url = room.receiver("--out r --ledger l")
    room.configure(webhook(url), directory())
    said = room.deliver().last["destinations"]
    assert ([(d["name"], d["records"], d["first"], d["last"], d["ended"]) for d in said]
            == [("web", 950, 0, 949, "caughtUp"), ("dir", 950, 0, 949, "caughtUp")])
    assert said[0]["batches"] == 10 and said[0]["attempts"] == 10
    assert room.read("r") == rows(950) and room.objects() == rows(950)
    assert "nothing to do" in room("deliver --config c.yaml --until-caught-up").text
    code, out, _ = ended(receiver)
    counters = json.loads(out.splitlines()[-1])["received"]
    assert code == 0 and counters["requests"] == 10 and counters["rows"] == 950
    web = {cursor["name"]: cursor for cursor in room.status()["cursors"]}["web"]
    assert web["committed"] == 950 and web["lag"] == 0 and web["inFlight"] == []


def test_a_destination_begins_where_it_is_told_and_only_once(room):
    room.append(rows(10))
    starts = {"first": None, "seven": 7, "last": "end", "future": "2200-01-01", "old": "-1d"}
    destinations = [directory(name=name, path=name, **({} if start is None else {"startAt": start}))
                    for name, start in starts.items()]
    room.configure(*destinations)
    room.deliver()
    assert {name: room.objects(name) for name in starts if room.has(name)} == {
        "first": rows(10), "seven": rows(10, start=7), "old": rows(10)}
    room.append(rows(13, start=10))
    # The cursors are there now: another start changes nothing.
    room.configure(*(dict(there, startAt="beginning") for there in destinations))
    room.deliver()
    expected = {"first": 0, "seven": 7, "last": 10, "future": 10, "old": 0}
    assert {name: room.objects(name) for name in starts} == {name: rows(13, start=at) for name, at in expected.items()}
    room.configure(directory(name="beyond", startAt=99))
    room.deliver(1, "cannot begin at offset 99; the log ends at 13")


def test_a_wrong_key_halts_one_destination_and_no_other(room):
    room.append(rows(10))
    _, url = room.receiver("--api-key x-key=right")
    room.configure(webhook(url, headers={"x-key": "${WRONG_KEY}"}), directory())
    ran = room.deliver(1, "web", "401", env={"WRONG_KEY": "geheim42"})
    assert "geheim42" not in ran.err + ran.text
    said = {d["name"]: d["ended"] for d in ran.last["destinations"]}
    assert said == {"web": "refused", "dir": "caughtUp"}
    assert room.objects() == rows(10)
    room.deliver(env={"WRONG_KEY": "right"})


def test_an_endpoint_that_cannot_be_reached(room):
    room.append(rows(10))
    room.configure(webhook("http://127.0.0.1:1/"), directory())
    ran = room("deliver --config c.yaml --until-caught-up --give-up-after 1 --json", 3, "connection refused")
    assert {d["name"]: d["ended"] for d in ran.last["destinations"]} == {"web": "gaveUp", "dir": "caughtUp"}


def test_something_else_in_the_place_is_never_overwritten(room):
    room.delivered(rows(10), directory())
    name = "out/" + next(name for name in room.names("out") if name.startswith("usages"))
    room.file(name, b"else\n")
    room("cursor delete dir --log L", 2, "add --yes")
    room("cursor delete dir --log L --yes")
    room.deliver(1, "exists with different content")
    assert room.read(name) == b"else\n"
    # Its batch is open now: the cursor is not to be moved.
    room("cursor seek dir --to end --log L --yes", 1, "in flight")


@pytest.mark.parametrize("destinations, log, words", [
    ([directory(prefx="a")], {}, ["destinations[0].prefx", "did you mean prefix?"]),
    ([directory(startAt="event:2026-01-01")], {}, ["destinations[0].startAt", "an append time such as"]),
    ([directory(filter={"typ": ["page"]})], {}, ["destinations[0].filter.typ", "did you mean type?"]),
    ([directory(filter={"type": ["pages"]})], {}, ["destinations[0].filter.type", "page, track, custom"]),
    ([directory(filter="event")], {}, ["destinations[0].filter is not a valid filter"]),
    ([directory(maxInFlight=5)], {}, ["destinations[0].maxInFlight", "at most 4 batches"]),
    ([directory(rate={"recordsPerSecond": 0})], {}, ["rate.recordsPerSecond", "above 0"]),
    ([webhook("http://x/", onRejected="drop")], {}, ["onRejected", "deadLetter, halt"]),
    ([webhook("http://x/", onRejected="halt", deadLetters={"maxBytes": "1MiB"})], {},
     ["onRejected", "leave out deadLetters"]),
    ([webhook("http://x/", onRejected="deadLetter", deadLetters=False)], {}, ["onRejected", "deadLetters is off"]),
    ([webhook("http://x/", circuit={"failure": 1})], {}, ["circuit.failure", "did you mean failures?"]),
    ([webhook("http://x/", attempts=0)], {}, ["attempts", "1 to 10000"]),
    ([bucket(acl="public")], {}, ["acl", "public-read"]),
    ([bucket(kmsKeyId="k")], {}, ["kmsKeyId", "needs encryption: kms"]),
    ([bucket(multipart={"partBytes": "1KiB"}, endpoint=None)], {}, ["s3", "5 MiB to 1 GiB"]),
    ([bucket(storageClass="a b")], {}, ["storage class"]),
    ([bucket(profile="p", credentials={"accessKey": "a", "secretKey": "b"})], {}, ["profile", "with `credentials`"]),
    ([directory()], {"retention": {"maxBytes": "1KiB"}}, ["log has conflicting values", "retention.maxBytes is 1024"]),
    ([directory()], {"segmentSize": "lots"}, ["log.segmentSize", "64MiB"]),
    ([directory(rotate={"maxAge": "5 parsecs"})], {}, ["destinations[0].rotate.maxAge", "5m"]),
    ([directory(compression="rar")], {}, ["destinations[0].compression", "none, gzip, zstd"]),
    ([webhook("http://x/", headers={"k": "${NOT_SET_AT_ALL}"})], {}, ["headers.k", "NOT_SET_AT_ALL"]),
    ([webhook("ftp://x/")], {}, ["web", "ftp://"]),
    ([webhook("http://127.0.0.1:1/", allowPrivateNetworks=False)], {}, ["web", "loopback", "set allowPrivateNetworks"]),
    ([webhook("http://x/", allowPrivateNetworks=["10.0.0.1/8"])], {}, ["allowPrivateNetworks[0]", "10.1.0.0/16"]),
    ([webhook("https://x/", tls={"ca": "missing.pem"})], {}, ["web", "tls.ca", "missing.pem"]),
    ([webhook("https://x/", tls={"cert": "a.pem"})], {}, ["destinations[0].tls.cert"]),
    ([webhook("https://x/", http="3")], {}, ["destinations[0].http", "automatic, 1.1"]),
    ([webhook("https://x/", signing={"secrets": [{"file": "missing"}]})], {}, ["secrets[0].file", "missing"]),
    ([webhook("http://x/", fields={"optional": ["trait"]})], {}, ["did you mean traits?"]),
    ([directory(), directory()], {}, ["destinations[1]", "already"]),
    ([directory(name="a b")], {}, ["destinations[0].name", "cursor"]),
    ([{"name": "x", "type": "ftp"}], {}, ["destinations[0].type", "webhook, s3 or directory"]),
    ([], {}, ["no destination"])])
def test_mistakes_in_the_configuration(room, destinations, log, words):
    room.append(rows(1))
    room.configure(*destinations, **log)
    room("deliver --config c.yaml --until-caught-up", 2, "penstock deliver: c.yaml", *words)


@pytest.mark.parametrize("text, command, words", [
    ("servr: { listen: 127.0.0.1:1 }\ndestinations: []\n", "deliver", ["c.yaml:1: servr", "did you mean server?"]),
    ("server: { listn: 127.0.0.1:1 }\ndestinations: []\n", "serve", ["server.listn", "did you mean listen?"]),
    ("log: [\n", "deliver", ["not valid YAML or JSON"])], ids=["key", "listen", "YAML"])
def test_mistakes_in_the_text_of_the_configuration(room, text, command, words):
    room.file("c.yaml", text)
    room(f"{command} --config c.yaml", 2, *words)


def test_configurations_destinations_and_logs_that_are_not_there(room):
    room.configure(directory())
    room("deliver --config c.yaml --only absent", 2, "no destination absent")
    room("deliver --config missing.yaml", 3, "could not open missing.yaml")
    room("deliver --config c.yaml --log nowhere", 3, "there is no log here")


def test_a_configuration_with_a_byte_order_mark_is_read(room):
    room.append(rows(1))
    text = "log: {path: L}\ndestinations: [{name: dir, type: directory, path: out}]\n"
    room.file("c.yaml", b"\xef\xbb\xbf" + text.encode())
    room.deliver()
    room.file("c.yaml", text.encode("utf-16"))
    room.deliver(2, "UTF-16", "UTF-8")


@pytest.mark.parametrize("options, words", [
    ("--max-age soon", "--max-age is soon; expected a time such as 30d"),
    ("--max-bytes many", "--max-bytes is many; expected a size such as"),
    ("--max-bytes 1MiB", "retention.maxBytes is 1048576; it must be at least segmentBytes"),
    ("--sealing 99", "--sealing is 99; expected on, off or a level"), ("--when-full cry", "cry"),
    ({"retention": {"maxage": "3d"}}, "log.retention.maxage is not a known key; did you mean maxAge?"),
    ({"retention": {"maxAge": "3"}}, "log.retention.maxAge expected a time"),
    ({"sealing": {"level": 40}}, "log.sealing.level expected a whole number from -7 to 19"),
    ({"whenFull": "cry"}, "log.whenFull expected one of fail, wait")], ids=str)
def test_settings_of_the_log_that_make_no_sense(room, options, words):
    if isinstance(options, dict):
        room.configure(directory(), **options)
        options = "--config c.yaml"
    room.append(rows(1), options, 2, words)
    assert not room.has("L")


def test_destinations_that_need_more_descriptors_than_there_are_are_refused_before_the_start(room):
    room.append(rows(3))
    room.configure(*(webhook("http://127.0.0.1:1/", name=f"w{number}") for number in range(60)))
    for command in ("deliver --until-caught-up", "serve"):
        room(f"{command} --config c.yaml", 3, "60 destinations need", "this process may have 128",
             "raise the limit", **open_files(128))
    assert room.status()["cursors"] == []
    # What the process may take by itself, it takes: each destination fails for its own reason.
    ran = room("deliver --config c.yaml --until-caught-up --give-up-after 0", 3, "w59: ", "connection refused",
               **open_files(128, 4096))
    assert "too many open files" not in ran.err
    # Below what the runtime itself takes.
    room("tail --log L", 3, "may open 20 files", **open_files(20))


def test_deliver_as_a_service_follows_and_ends_by_SIGTERM(room):
    room.append(rows(5))
    room.configure(directory(rotate={"maxAge": "50ms"}))
    process = room.start("deliver --config c.yaml --json")
    room.arrives(rows(5))
    room.append(event(99) + b"\n")
    room.arrives(rows(5) + event(99) + b"\n")
    assert "cursorHeld" in room.deliver(3, "another process delivers with cursor dir").text
    code, out, err = ended(process)
    assert code == 0, err
    assert json.loads(out)["destinations"][0]["records"] == 6


def test_a_filter_as_text_and_as_keys(room):
    lines = [event(1), event(2, event="Goal", type="custom"), event(3, event="Custom_Goals_A", type="custom"),
             event(4, event="Goal", type="track")]
    room.append(b"\n".join(lines) + b"\n")
    for name, filter in (("text", "event=Custom_*,Goal !type=track"),
                         ("keys", {"event": ["Goal", "Custom_*"], "not": {"type": "track"}})):
        room.configure(directory(name=name, path=name, filter=filter, maxInFlight=2))
        said = room.deliver().last["destinations"][0]
        assert (said["records"], said["events"]) == (4, 2)
        assert room.objects(name) == lines[1] + b"\n" + lines[2] + b"\n", filter


def test_a_rate_is_kept(room):
    room.append(rows(30))
    room.configure(directory(rotate={"maxRecords": 10}, rate={"recordsPerSecond": 20}, manifest=False))
    began = time.monotonic()
    room.deliver()
    # Three batches of half a second each; the last one is paid for after.
    assert time.monotonic() - began >= 1
    assert "_penstock" not in room.names("out")


def test_status_says_who_is_behind(room):
    room.delivered(rows(20), directory(lag={"behindAfter": "1ms"}))
    room.append(rows(5))
    cursor = room.status()["cursors"][0]
    assert cursor["health"] == "ok" and cursor["deadLetters"] == 0
    until(lambda: room.json("status --log L --config c.yaml")["cursors"][0]["health"] == "behind")
    assert "behind" in room("status --log L --config c.yaml").text


def test_a_receiver_that_rejects_some_events(room):
    receiver, url = room.receiver("--out r --ledger l --reject '\"user_id\":\"7\"'")
    room.delivered(rows(5), webhook(url))
    assert room.read("r") == rows(5)
    room.append(event(7) + b"\n")
    room.deliver(None)
    out = ended(receiver)[1]
    assert json.loads(out.splitlines()[-1])["received"]["rejected"] == 1
    assert room.read("r") == rows(5) and json.loads(room.read("l").splitlines()[-1])["status"] == 422
