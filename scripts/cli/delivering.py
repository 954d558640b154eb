"""Delivering."""
import json
import os
import signal
import time

from cli.cases import LIMIT, case, event, expect, rows


def configuration(room, *destinations, **log):
    room.file("c.yaml", json.dumps({"log": {"path": "L", **log}, "destinations": destinations}).encode())


def webhook(url, **keys):
    return {"name": "web", "type": "webhook", "url": url, "batch": {"maxEvents": 100},
            "allowPrivateNetworks": True, **keys}


def directory(**keys):
    return {"name": "dir", "type": "directory", "path": "out", "keyTemplate": "usages-{first}-{last}.json", **keys}


def bucket(**keys):
    keys = {"name": "s3", "type": "s3", "bucket": "events", "endpoint": "http://127.0.0.1:1", **keys}
    return {name: value for name, value in keys.items() if value is not None}


def exported(room):
    folder = os.path.join(room.path, "out")
    return b"".join(room.read(os.path.join("out", name)) for name in sorted(os.listdir(folder))
                    if name.startswith("usages"))


@case
def delivered_once_and_then_nothing_is_to_do(room):
    room.run("append", "--log", "L", "-", stdin=rows(950)).is_(0)
    receiver, url = room.receiver("--out", "r", "--ledger", "l")
    configuration(room, webhook(url), directory())
    said = room.run("deliver", "--config", "c.yaml", "--until-caught-up", "--json").is_(0).last["destinations"]
    expect([(d["name"], d["records"], d["first"], d["last"], d["ended"]) for d in said]
           == [("web", 950, 0, 949, "caughtUp"), ("dir", 950, 0, 949, "caughtUp")], f"{said}")
    expect(said[0]["batches"] == 10 and said[0]["attempts"] == 10, f"{said}")
    expect(room.read("r") == rows(950) and exported(room) == rows(950), "what arrived")
    ran = room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)
    expect("nothing to do" in ran.out, f"said {ran.out}")
    receiver.send_signal(signal.SIGTERM)
    out, _ = receiver.communicate(timeout=LIMIT)
    counters = json.loads(out.splitlines()[-1])["received"]
    expect(receiver.returncode == 0 and counters["requests"] == 10 and counters["rows"] == 950, f"{counters}")
    cursors = {cursor["name"]: cursor for cursor in room.status()["cursors"]}
    expect(cursors["web"]["committed"] == 950 and cursors["web"]["lag"] == 0 and cursors["web"]["inFlight"] == [], "cursors")


@case
def a_wrong_key_halts_one_destination_and_no_other(room):
    room.run("append", "--log", "L", "-", stdin=rows(10)).is_(0)
    _, url = room.receiver("--api-key", "x-key=right")
    configuration(room, webhook(url, headers={"x-key": "${WRONG_KEY}"}), directory())
    ran = room.run("deliver", "--config", "c.yaml", "--until-caught-up", "--json", env={"WRONG_KEY": "geheim42"})
    ran.is_(1, "web", "401")
    expect("geheim42" not in ran.err + ran.out, "the key is shown")
    said = {d["name"]: d for d in ran.last["destinations"]}
    expect(said["web"]["ended"] == "refused" and said["dir"]["ended"] == "caughtUp", f"{said}")
    expect(exported(room) == rows(10), "the other destination")
    room.run("deliver", "--config", "c.yaml", "--until-caught-up", env={"WRONG_KEY": "right"}).is_(0)


@case
def an_endpoint_that_cannot_be_reached(room):
    room.run("append", "--log", "L", "-", stdin=rows(10)).is_(0)
    configuration(room, webhook("http://127.0.0.1:1/"), directory())
    ran = room.run("deliver", "--config", "c.yaml", "--until-caught-up", "--give-up-after", "1", "--json")
    ran.is_(3, "connection refused")
    said = {d["name"]: d for d in ran.last["destinations"]}
    expect(said["web"]["ended"] == "gaveUp" and said["dir"]["ended"] == "caughtUp", f"{said}")


@case
def something_else_in_the_place_is_never_overwritten(room):
    room.run("append", "--log", "L", "-", stdin=rows(10)).is_(0)
    configuration(room, directory())
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)
    names = [name for name in os.listdir(os.path.join(room.path, "out")) if name.startswith("usages")]
    name = os.path.join("out", names[0])
    room.file(name, b"else\n")
    room.run("cursor", "delete", "dir", "--log", "L").is_(2, "add --yes")
    room.run("cursor", "delete", "dir", "--log", "L", "--yes").is_(0)
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(1, "exists with different content")
    expect(room.read(name) == b"else\n", "it was overwritten")
    # Its batch is open now: the cursor is not to be moved.
    room.run("cursor", "seek", "dir", "--to", "end", "--log", "L", "--yes").is_(1, "in flight")


@case
def mistakes_in_the_configuration(room):
    room.run("append", "--log", "L", "-", stdin=rows(1)).is_(0)
    for destinations, log, words in (
            ([directory(prefx="a")], {}, ["destinations[0].prefx", "did you mean prefix?"]),
            ([directory(filter={"typ": ["page"]})], {}, ["destinations[0].filter.typ", "did you mean type?"]),
            ([directory(filter={"type": ["pages"]})], {}, ["destinations[0].filter.type", "page, track, custom"]),
            ([directory(filter="event")], {}, ["destinations[0].filter is not a valid filter"]),
            ([directory(maxInFlight=5)], {}, ["destinations[0].maxInFlight", "1 to 4"]),
            ([directory(rate={"recordsPerSecond": 0})], {}, ["rate.recordsPerSecond", "above 0"]),
            ([webhook("http://x/", onRejected="drop")], {}, ["onRejected", "deadLetter, halt"]),
            ([webhook("http://x/", onRejected="halt", deadLetters={"maxBytes": "1MiB"})], {}, ["onRejected", "leave out deadLetters"]),
            ([webhook("http://x/", onRejected="deadLetter", deadLetters=False)], {}, ["onRejected", "deadLetters is off"]),
            ([webhook("http://x/", circuit={"failure": 1})], {}, ["circuit.failure", "did you mean failures?"]),
            ([webhook("http://x/", attempts=0)], {}, ["attempts", "1 to 10000"]),
            ([bucket(acl="public")], {}, ["acl", "public-read"]),
            ([bucket(kmsKeyId="k")], {}, ["kmsKeyId", "needs encryption: kms"]),
            ([bucket(multipart={"partBytes": "1KiB"}, endpoint=None)], {}, ["s3", "5 MiB to 1 GiB"]),
            ([bucket(storageClass="a b")], {}, ["storage class"]),
            ([bucket(profile="p", credentials={"accessKey": "a", "secretKey": "b"})], {}, ["profile", "with `credentials`"]),
            ([directory()], {"retention": {"maxBytes": "1KiB"}}, ["log does not fit together", "retention.maxBytes is 1024"]),
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
            ([], {}, ["no destination"])):
        configuration(room, *destinations, **log)
        room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(2, "penstock deliver: c.yaml", *words)
    room.file("c.yaml", b"servr: { listen: 127.0.0.1:1 }\ndestinations: []\n")
    room.run("deliver", "--config", "c.yaml").is_(2, "c.yaml:1: servr", "did you mean server?")
    room.file("c.yaml", b"server: { listn: 127.0.0.1:1 }\ndestinations: []\n")
    room.run("serve", "--config", "c.yaml").is_(2, "server.listn", "did you mean listen?")
    room.file("c.yaml", b"log: [\n")
    room.run("deliver", "--config", "c.yaml").is_(2, "not valid YAML or JSON")
    configuration(room, directory())
    room.run("deliver", "--config", "c.yaml", "--only", "nobody").is_(2, "no destination nobody")
    room.run("deliver", "--config", "missing.yaml").is_(3, "could not open missing.yaml")
    room.run("deliver", "--config", "c.yaml", "--log", "nowhere").is_(3, "there is no log here")


@case
def deliver_as_a_service_follows_and_ends_by_SIGTERM(room):
    room.run("append", "--log", "L", "-", stdin=rows(5)).is_(0)
    configuration(room, directory(rotate={"maxAge": "50ms"}))
    process = room.start("deliver", "--config", "c.yaml", "--json")
    arrived(room, rows(5))
    room.run("append", "--log", "L", "-", stdin=event(99) + b"\n").is_(0)
    arrived(room, rows(5) + event(99) + b"\n")
    second = room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(3, "another process delivers with cursor dir")
    expect("cursorHeld" in second.out, f"said {second.out}")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=LIMIT)
    expect(process.returncode == 0, f"exit code {process.returncode}: {err}")
    expect(json.loads(out)["destinations"][0]["records"] == 6, f"said {out}")


def arrived(room, content):
    until = time.monotonic() + LIMIT
    while not os.path.isdir(os.path.join(room.path, "out")) or exported(room) != content:
        expect(time.monotonic() < until, "it did not arrive")
        time.sleep(0.02)


@case
def cursors(room):
    room.run("append", "--log", "L", "-", stdin=rows(20)).is_(0)
    configuration(room, directory())
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)
    listed = room.run("cursor", "list", "--log", "L", "--json").is_(0).last["cursors"]
    expect([cursor["name"] for cursor in listed] == ["dir"], f"{listed}")
    room.run("cursor", "show", "dirr", "--log", "L").is_(1, "no cursor dirr", "did you mean dir?")
    room.run("cursor", "seek", "dir", "--to", "5", "--log", "L").is_(2, "15 records will be delivered again", "--yes")
    room.run("cursor", "seek", "dir", "--to", "5", "--log", "L", "--yes").is_(0)
    expect(room.run("cursor", "show", "dir", "--log", "L", "--json").is_(0).last["committed"] == 5, "it did not move")
    room.run("cursor", "seek", "dir", "--to", "21", "--log", "L", "--yes").is_(1, "offset 21 is past the end of the log (20)")


@case
def a_paused_destination_is_sent_nothing_until_it_is_resumed(room):
    room.run("append", "--log", "L", "-", stdin=rows(5)).is_(0)
    configuration(room, directory(rotate={"maxAge": "50ms"}))
    room.run("cursor", "pause", "dir", "--log", "L").is_(1, "no cursor dir")
    process = room.start("deliver", "--config", "c.yaml", "--json")
    arrived(room, rows(5))
    # Another process, while the first one delivers.
    paused = room.run("cursor", "pause", "dir", "--reason", "bucket moves", "--log", "L", "--json").is_(0).last
    expect(paused["paused"]["reason"] == "bucket moves", f"{paused}")
    expect("was already paused" in room.run("cursor", "pause", "dir", "--log", "L").is_(0).out, "not said")
    room.run("append", "--log", "L", "-", stdin=event(98) + b"\n").is_(0)
    expect("dir (paused)" in room.run("cursor", "list", "--log", "L").is_(0).out, "not said")
    words = room.run("status", "--log", "L").is_(0).out
    expect("has been paused by a person" in words and "(bucket moves): 1 records" in words, words)
    expect(room.run("status", "--log", "L", "--json").is_(0).last["cursors"][0]["health"] == "paused", "health")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=LIMIT)
    expect(process.returncode == 0 and json.loads(out)["destinations"][0]["records"] == 5, f"{out} {err}")
    # And while none does.
    caught = room.run("deliver", "--config", "c.yaml", "--until-caught-up", "--json").is_(1, "penstock cursor resume dir")
    expect(caught.last["destinations"][0]["ended"] == "paused" and exported(room) == rows(5), f"{caught.out}")
    process = room.start("deliver", "--config", "c.yaml", "--json")
    said = ""
    while "paused (bucket moves)" not in said:
        said = process.stderr.readline().decode()
        expect(said, "it ended without a word about the pause")
    resumed = room.run("cursor", "resume", "dir", "--log", "L", "--json").is_(0).last
    expect(resumed["paused"] is None, f"{resumed}")
    arrived(room, rows(5) + event(98) + b"\n")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=LIMIT)
    expect("was not paused" in room.run("cursor", "resume", "dir", "--log", "L").is_(0).out, "not said")
    room.run("cursor", "pause", "dir", "--log", "L").is_(0)
    room.run("cursor", "delete", "dir", "--yes", "--log", "L").is_(0)
    expect(not os.path.exists(os.path.join(room.path, "L", "cursors", "dir.paused")), "the pause outlived its cursor")
