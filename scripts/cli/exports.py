"""Exports."""
import json
import os
import signal

import s3
from cli.cases import LIMIT, LeftOut, case, event, expect, rows
from cli.delivering import configuration, directory, webhook


class Export:
    """450 records in five objects, in a folder or in the bucket of scripts/s3-server, and ways to spoil them."""
    keys = {"compression": "none", "rotate": {"maxRecords": 100, "maxAge": "1s"}}

    def __init__(self, room, kind):
        self.room, self.kind = room, kind
        self.prefix = f"case-{os.path.basename(room.path)}/usages"
        destination = {"name": "archive", **self.keys, "prefix": self.prefix}
        if kind == "s3":
            if not os.environ.get("PENSTOCK_S3_ENDPOINT"):
                raise LeftOut("no S3 server; scripts/s3-server start prints its variables")
            self.bucket = s3.Bucket.from_environment()
            destination |= {"type": "s3", "endpoint": os.environ["PENSTOCK_S3_ENDPOINT"], "bucket": self.bucket.name,
                            "region": self.bucket.region, "credentials": {
                                "accessKey": "${PENSTOCK_S3_ACCESS_KEY}", "secretKey": "${PENSTOCK_S3_SECRET_KEY}"}}
        else:
            destination |= {"type": "directory", "path": "out"}
        configuration(room, destination)
        room.run("append", "--log", "L", "-", stdin=rows(450)).is_(0)
        room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)

    def list(self, beginning):
        if self.kind == "s3":
            return [key for key, _ in self.bucket.list(beginning)]
        root = os.path.join(self.room.path, "out")
        names = (os.path.relpath(os.path.join(folder, name), root) for folder, _, files in os.walk(root) for name in files)
        return sorted(name for name in names if name.startswith(beginning))

    @property
    def objects(self):
        return self.list(self.prefix)

    @property
    def entries(self):
        return self.list(os.path.dirname(self.prefix) + "/_penstock/")

    def get(self, key):
        return self.bucket.get(key) if self.kind == "s3" else self.room.read("out/" + key)

    def put(self, key, content):
        if self.kind == "s3":
            self.bucket.put(key, content)
        else:
            self.room.file("out/" + key, content)

    def remove(self, key):
        if self.kind == "s3":
            self.bucket.remove(key)
        else:
            os.remove(os.path.join(self.room.path, "out", key))

    def verify(self, *arguments, code=0):
        return self.room.run("verify", "--s3", "--config", "c.yaml", "--json", *arguments).is_(code).last

    def spoiled(self, what, kinds, spoil, *arguments):
        """Spoils it, sees it found, and puts everything back as it was."""
        before = {key: self.get(key) for key in self.objects + self.entries}
        spoil()
        found = {finding["kind"] for finding in self.verify(*arguments, code=1)["findings"]}
        expect(kinds <= found, f"{what}: found {found}, expected {kinds}")
        for key in set(self.objects + self.entries) - set(before):
            self.remove(key)
        for key, content in before.items():
            self.put(key, content)
        expect(self.verify("--depth", "listing")["findings"] == [], f"{what}: it was not put back")

    def clean_up(self):
        for key in self.objects + self.entries:
            self.remove(key)


def exports(room, kind):
    export = Export(room, kind)
    try:
        for depth in ("listing", "metadata", "content"):
            said = export.verify("--depth", depth)
            expect((said["first"], said["end"], said["objects"], said["rows"]) == (0, 450, 5, 450), f"{said}")
            expect(said["depth"] == depth and said["hasManifest"] and said["findings"] == [], f"{said}")
        ran = room.run("verify", "--export", "--config", "c.yaml", "--destination", "archive").is_(0)
        expect("records 0 to 449 in 5 objects" in ran.out and "sound" in ran.out, f"said {ran.out}")
        second, entry = export.objects[1], export.entries[1]
        rows_of_second, line = export.get(second), export.get(entry)

        def lose():
            export.remove(second)
            export.remove(entry)

        def copy():
            export.put(second.replace("00000100-", "00000050-").replace("199.json", "149.json"), rows_of_second)

        export.spoiled("a deleted object", {"missingObject"}, lambda: export.remove(second))
        export.spoiled("a truncated object", {"alteredObject"}, lambda: export.put(second, rows_of_second[:-9]))
        export.spoiled("a foreign object", {"foreignObject"}, lambda: export.put(export.prefix + "-of-mine.json", b"1"))
        export.spoiled("an edited line", {"editedEntry"},
                       lambda: export.put(entry, line.replace(b'"count":100', b'"count":101')))
        export.spoiled("an overlap", {"overlap"}, copy)
        export.spoiled("a gap", {"gap", "missingEntry"}, lose)
        export.spoiled("changed rows", {"wrongContent"},
                       lambda: export.put(second, rows_of_second.replace(b"1630476956", b"1630476957")), "--depth", "content")
        expect(export.verify("--depth", "listing", "--expect-to", "500", code=1)["findings"][0]["kind"] == "gap", "what is expected")
        expect(export.verify("--depth", "listing", "--log-id", export.verify("--depth", "listing")["log"], "--expect-to", "450")["findings"] == [], "without a log")
        rebuilds(room, export)
    finally:
        export.clean_up()


def rebuilds(room, export):
    """The cursor is lost; after rebuilding it nothing is exported twice or left out."""
    arguments = ["cursor", "rebuild", "archive", "--config", "c.yaml"]
    room.run(*arguments, "--yes").is_(1, "cursor archive exists, at offset 450", "never replaces")
    # Damaged, and another one beside it, which says nothing of this one.
    for name in ("archive", "another"):
        room.file(f"L/cursors/{name}.cur", b"x" * 8192)
    room.run(*arguments, "--yes").is_(1, "cannot be read", "penstock cursor delete archive --yes")
    room.run("cursor", "delete", "archive", "--log", "L").is_(2, "unreadable, position unknown")
    room.run("cursor", "delete", "archive", "--log", "L", "--yes").is_(0)
    room.run("append", "--log", "L", "-", stdin=rows(30)).is_(0)
    room.run(*arguments).is_(2, "would be created at offset 450, from the manifest", "--yes")
    room.run("cursor", "delete", "another", "--log", "L", "--yes").is_(0)
    expect("cursors" not in room.status() or not room.status()["cursors"], "a cursor was made without --yes")
    last = export.objects[-1]
    content = export.get(last)
    export.remove(last)
    room.run(*arguments, "--yes").is_(1, "is missing or was changed", "--force")
    export.put(last, content)
    # The process ended between the object and its entry.
    export.remove(export.entries[-1])
    said = room.run(*arguments, "--yes", "--json").is_(0).last
    expect(said["name"] == "archive" and said["committed"] == 450, f"{said}")
    expect(len(export.entries) == 5, "the last entry was not written again")
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)
    said = export.verify("--depth", "listing")
    expect((said["end"], said["objects"], said["rows"]) == (480, 6, 480), f"{said}")
    expect(b"".join(map(export.get, export.objects)) == rows(450) + rows(30), "the objects hold something else")


@case
def an_export_to_s3_is_proved_and_its_cursor_rebuilt(room):
    exports(room, "s3")


@case
def an_export_to_a_directory_is_proved_and_its_cursor_rebuilt(room):
    exports(room, "directory")


@case
def what_verify_and_rebuild_cannot_be_asked(room):
    room.run("append", "--log", "L", "-", stdin=rows(5)).is_(0)
    room.run("verify").is_(2, "--log")
    room.run("verify", "--s3").is_(2, "--s3 needs --config")
    room.run("verify", "--log", "L", "--expect-to", "5").is_(2, "need --s3")
    configuration(room, webhook("http://127.0.0.1:1"))
    room.run("verify", "--s3", "--config", "c.yaml").is_(2, "no destination of type s3 or directory")
    configuration(room, directory(), directory(name="other", path="other"))
    room.run("verify", "--s3", "--config", "c.yaml", "--expect-to", "5").is_(2, "need one export", "dir, other")
    room.run("verify", "--s3", "--config", "c.yaml", "--destination", "none").is_(2, "it has dir, other")
    said = room.run("verify", "--s3", "--config", "c.yaml", "--destination", "dir", "--json").is_(0).last
    expect(said["objects"] == 0 and not said["hasManifest"], f"{said}")
    room.run("cursor", "rebuild", "dir", "--config", "c.yaml", "--yes").is_(1, "no object of log")
    unreachable = {"name": "archive", "type": "s3", "endpoint": "http://127.0.0.1:1", "bucket": "bucket",
                   "credentials": {"accessKey": "a", "secretKey": "b"}}
    configuration(room, unreachable)
    room.run("verify", "--s3", "--config", "c.yaml", "--give-up-after", "0").is_(3, "cannot read", "s3:ListBucket")
    room.run("verify", "--s3", "--config", "c.yaml", "--give-up-after", "2").is_(3, "retrying", "cannot read")


@case
def several_exports_are_verified_and_one_that_is_bad_hides_no_other(room):
    room.run("append", "--log", "L", "-", stdin=rows(5)).is_(0)
    unreachable = {"name": "away", "type": "s3", "endpoint": "http://127.0.0.1:1", "bucket": "bucket",
                   "credentials": {"accessKey": "a", "secretKey": "b"}}
    configuration(room, directory(), directory(name="other", path="other"))
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)
    ran = room.run("verify", "--s3", "--config", "c.yaml").is_(0)
    expect("dir: records 0 to 4" in ran.out and "other: records 0 to 4" in ran.out, f"said {ran.out}")
    said = room.run("verify", "--s3", "--config", "c.yaml", "--json").is_(0).last
    expect(said["isSound"] and [each["destination"] for each in said["exports"]] == ["dir", "other"], f"{said}")
    expect(all(each["report"]["rows"] == 5 for each in said["exports"]), f"{said}")
    one = room.run("verify", "--s3", "--config", "c.yaml", "--json", "--destination", "other").is_(0).last
    expect(one["rows"] == 5, f"{one}")
    # One cannot be asked, and one has lost an object: each is told, and the worst decides.
    configuration(room, unreachable, directory(), directory(name="other", path="other"))
    arguments = ["verify", "--s3", "--config", "c.yaml", "--give-up-after", "0", "--json"]
    said = room.run(*arguments).is_(3, "away", "cannot read").last
    expect("failure" in said["exports"][0] and said["exports"][2]["report"]["rows"] == 5, f"{said}")
    for folder, _, files in os.walk(os.path.join(room.path, "other")):
        for name in files:
            if "_penstock" not in folder:
                os.remove(os.path.join(folder, name))
    said = room.run(*arguments).is_(1, "other: missingObject").last
    expect(not said["isSound"] and said["exports"][1]["report"]["findings"] == [], f"{said}")
    both = room.run(*arguments, "--destination", "dir", "--destination", "away").is_(3).last
    expect([each["destination"] for each in both["exports"]] == ["dir", "away"], f"{both}")


@case
def a_receiver_that_rejects_some_events(room):
    receiver, url = room.receiver("--out", "r", "--ledger", "l", "--reject", '"user_id":"7"')
    room.run("append", "--log", "L", "-", stdin=rows(5)).is_(0)
    configuration(room, webhook(url))
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)
    expect(room.read("r") == rows(5), "what arrived")
    room.run("append", "--log", "L", "-", stdin=event(7) + b"\n").is_(0)
    room.run("deliver", "--config", "c.yaml", "--until-caught-up")
    receiver.send_signal(signal.SIGTERM)
    out, _ = receiver.communicate(timeout=LIMIT)
    expect(json.loads(out.splitlines()[-1])["received"]["rejected"] == 1, f"{out}")
    expect(room.read("r") == rows(5) and json.loads(room.read("l").splitlines()[-1])["status"] == 422, "stored or not 422")
