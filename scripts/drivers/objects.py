"""What the kill test asks of the objects in the bucket."""
import json
import subprocess

import s3


def destination(endpoint, prefix, **more):
    return s3.Bucket.from_environment().destination(endpoint=endpoint, prefix=prefix, compression="zstd", **more)


def collect(room, prefix, name):
    """Writes the objects below the prefix, in key order, to NAME.zst and NAME.ndjson. (key, size) of each."""
    bucket = s3.Bucket.from_environment()
    objects = bucket.list(prefix)
    room.file(f"{name}.zst", b"".join(bucket.get(key) for key, _ in objects))
    room.file(f"{name}.keys", "".join(f"{size}\t{key}\n" for key, size in objects))
    if not unpack(room.path / f"{name}.zst", room.path / f"{name}.ndjson") and objects:
        room.problems.append(f"zstd cannot unpack the objects below {prefix}")
    return objects


def unpack(packed, rows):
    """As far as it goes; whether it went to the end."""
    with open(packed, "rb") as source, open(rows, "wb") as out:
        return subprocess.run(["zstd", "-dcq"], stdin=source, stdout=out, stderr=subprocess.DEVNULL).returncode == 0


class Verify:
    """`penstock verify --s3`: it is content with what is there, and it is not blind."""

    def __init__(self, room):
        self.room, self.bucket = room, s3.Bucket.from_environment()

    def run(self, codes):
        code, out = self.room.run("verify --s3 --config c.yaml --destination archive --depth content --json", codes)
        return code, json.loads(out.partition(b"\n")[0] or b"{}")

    def all_of(self, end, objects):
        """It proves everything to this offset, and sees that one object is gone."""
        code, report = self.run((0, 1))
        if code or report.get("findings") or report.get("pending") or not report.get("hasManifest"):
            self.room.problems.append(f"verify --s3 exited {code}: {self.room.errors('verify')} {report}"[:900])
        elif report["end"] != end or report["first"] != 0:
            self.room.problems.append(f"verify --s3 proved {report['first']} to {report['end']}, not {end}")
        else:
            self.blindness(objects[len(objects) // 2][0], "gone", lambda _: None, "missingObject")

    def blindness(self, key, fault, change, kind):
        """Changes one object, sees that it is found, and puts it back."""
        was = self.bucket.get(key)
        now = change(was)
        self.bucket.remove(key) if now is None else self.bucket.put(key, now)
        code, report = self.run((0, 1))
        self.bucket.put(key, was)
        found = [finding["kind"] for finding in report.get("findings", [])]
        if code != 1 or kind not in found:
            self.room.problems.append(f"verify --s3 is blind: exit {code} and {found} although {key} is {fault}")
