"""Exports to a folder and to S3: proved, spoiled, and their cursors rebuilt."""
import os

import pytest
from room import Folder, directory, rows, webhook

UNREACHABLE = {"type": "s3", "endpoint": "http://127.0.0.1:1", "bucket": "bucket", "credentials": {
    "accessKey": "a", "secretKey": "b"}}


class Export:
    """450 records in five objects, in a folder or in a bucket, and ways to spoil them."""

    def __init__(self, room, place):
        self.room, self.place, self.prefix = room, place, f"case-{room.path.name}/usages"
        self.get, self.put, self.remove = place.get, place.put, place.remove
        rotate = {"maxRecords": 100, "maxAge": "1s"}
        room.delivered(rows(450), place.destination(prefix=self.prefix, compression="none", rotate=rotate))

    @property
    def objects(self):
        return [key for key, _ in self.place.list(self.prefix)]

    @property
    def entries(self):
        return [key for key, _ in self.place.list(os.path.dirname(self.prefix) + "/_penstock/")]

    def verify(self, options="--depth listing", code=0):
        return self.room.json(f"verify --s3 --config c.yaml {options}", code)

    def spoiled(self, kinds, spoil, options=""):
        """Spoils it, sees it found, and puts everything back as it was."""
        before = {key: self.get(key) for key in self.objects + self.entries}
        spoil()
        assert kinds <= {finding["kind"] for finding in self.verify(options, code=1)["findings"]}
        for key in set(self.objects + self.entries) - set(before):
            self.remove(key)
        for key, content in before.items():
            self.put(key, content)
        assert self.verify()["findings"] == [], "it was not put back"

    def clean_up(self):
        for key in self.objects + self.entries:
            self.remove(key)


@pytest.fixture(params=["s3", "directory"])
def export(request, room):
    place = request.getfixturevalue("s3_bucket") if request.param == "s3" else Folder(room.path / "out")
    it = Export(room, place)
    yield it
    it.clean_up()


@pytest.mark.parametrize("depth", ["listing", "metadata", "content"])
def test_a_sound_export_is_proved(export, depth):
    said = export.verify(f"--depth {depth}")
    assert (said["first"], said["end"], said["objects"], said["rows"]) == (0, 450, 5, 450)
    assert said["depth"] == depth and said["hasManifest"] and said["findings"] == []
    ran = export.room("verify --export --config c.yaml --destination archive")
    assert "records 0 to 449 in 5 objects" in ran.text and "sound" in ran.text


def test_a_spoiled_export_is_found(export):
    second, entry = export.objects[1], export.entries[1]
    content, line = export.get(second), export.get(entry)

    def lose():
        export.remove(second)
        export.remove(entry)

    other = second.replace("00000100-", "00000050-").replace("199.json", "149.json")
    altered = content.replace(b"1630476956", b"1630476957")
    export.spoiled({"missingObject"}, lambda: export.remove(second))
    export.spoiled({"alteredObject"}, lambda: export.put(second, content[:-9]))
    export.spoiled({"foreignObject"}, lambda: export.put(export.prefix + "-of-mine.json", b"1"))
    export.spoiled({"editedEntry"}, lambda: export.put(entry, line.replace(b'"count":100', b'"count":101')))
    export.spoiled({"overlap"}, lambda: export.put(other, content))
    export.spoiled({"gap", "missingEntry"}, lose)
    export.spoiled({"wrongContent"}, lambda: export.put(second, altered), "--depth content")
    assert export.verify("--depth listing --expect-to 500", code=1)["findings"][0]["kind"] == "gap"
    log = export.verify()["log"]
    assert export.verify(f"--depth listing --log-id {log} --expect-to 450")["findings"] == []


def damage_cursors(room):
    """Damages the value of each cursor in both slots of its place."""
    table = bytearray(room.read("L/cursors/small.slots"))
    for slot in range(0, len(table), 4096):
        if table[slot:slot + 4] == b"PNST":
            table[slot + 128] ^= 1
    room.file("L/cursors/small.slots", table)


def test_an_export_is_proved_and_its_cursor_rebuilt(room, export):
    """The cursor is lost; after rebuilding it nothing is exported twice or left out."""
    rebuild = "cursor rebuild archive --config c.yaml"
    room(f"{rebuild} --yes", 1, "cursor archive exists, at offset 450", "never replaces")
    damage_cursors(room)
    room(f"{rebuild} --yes", 1, "cannot be read", "penstock cursor delete archive --yes")
    room("cursor delete archive --log L", 2, "unreadable, position unknown")
    room("cursor delete archive --log L --yes")
    room.append(rows(30))
    room(rebuild, 2, "would be created at offset 450, from the manifest", "--yes")
    assert not room.status().get("cursors"), "a cursor was made without --yes"
    last = export.objects[-1]
    content = export.get(last)
    export.remove(last)
    room(f"{rebuild} --yes", 1, "is missing or was changed", "--force")
    export.put(last, content)
    # The process ended between the object and its entry.
    export.remove(export.entries[-1])
    said = room.json(f"{rebuild} --yes")
    assert said["name"] == "archive" and said["committed"] == 450
    assert len(export.entries) == 5, "the last entry was not written again"
    room.deliver()
    said = export.verify()
    assert (said["end"], said["objects"], said["rows"]) == (480, 6, 480)
    assert b"".join(map(export.get, export.objects)) == rows(450) + rows(30)


def test_what_verify_and_rebuild_cannot_be_asked(room):
    room.append(rows(5))
    verify = "verify --s3 --config c.yaml"
    room("verify", 2, "--log")
    room("verify --s3", 2, "--s3 needs --config")
    room("verify --log L --expect-to 5", 2, "need --s3")
    room.configure(webhook("http://127.0.0.1:1"))
    room(verify, 2, "no destination of type s3 or directory")
    room.configure(directory(), directory(name="other", path="other"))
    room(f"{verify} --expect-to 5", 2, "need one export", "dir, other")
    room(f"{verify} --destination none", 2, "it has dir, other")
    said = room.json(f"{verify} --destination dir")
    assert said["objects"] == 0 and not said["hasManifest"]
    room("cursor rebuild dir --config c.yaml --yes", 1, "no object of log")
    room.configure({"name": "archive", **UNREACHABLE})
    room(f"{verify} --give-up-after 0", 3, "cannot read", "s3:ListBucket")
    room(f"{verify} --give-up-after 2", 3, "retrying", "cannot read")


def test_several_exports_are_verified_and_one_that_is_bad_hides_no_other(room):
    room.delivered(rows(5), directory(), directory(name="other", path="other"))
    verify = "verify --s3 --config c.yaml"
    ran = room(verify)
    assert "dir: records 0 to 4" in ran.text and "other: records 0 to 4" in ran.text
    said = room.json(verify)
    assert said["isSound"] and [each["destination"] for each in said["exports"]] == ["dir", "other"]
    assert [each["report"]["rows"] for each in said["exports"]] == [5, 5]
    assert room.json(f"{verify} --destination other")["rows"] == 5
    # One cannot be asked, and one has lost an object: each has its words, and the worst decides.
    room.configure({"name": "away", **UNREACHABLE}, directory(), directory(name="other", path="other"))
    verify += " --give-up-after 0"
    said = room.json(verify, 3, "away", "cannot read")
    assert "failure" in said["exports"][0] and said["exports"][2]["report"]["rows"] == 5
    for path in room.path.glob("other/**/*"):
        if path.is_file() and "_penstock" not in str(path):
            path.unlink()
    said = room.json(verify, 1, "other: missingObject")
    assert not said["isSound"] and said["exports"][1]["report"]["findings"] == []
    both = room.json(f"{verify} --destination dir --destination away", 3)
    assert [each["destination"] for each in both["exports"]] == ["dir", "away"]
