"""What the kill test asks of the objects in the bucket. Part of kill-test.py."""
import json
import subprocess

import s3


def collect_objects(prefix, path):
    """Writes all objects below the prefix, in key order, to `path`.zst, and their rows to `path`.ndjson.
    Returns (key, size) of each, and the problems."""
    bucket = s3.Bucket.from_environment()
    objects = bucket.list(prefix)
    with open(path + ".zst", "wb") as out, open(path + ".keys", "w") as keys:
        for key, size in objects:
            keys.write(f"{size}\t{key}\n")
            out.write(bucket.get(key))
    is_whole = unpack(path + ".zst", path + ".ndjson")
    return objects, [] if is_whole or not objects else [f"zstd cannot unpack the objects below {prefix}"]


def unpack(packed, rows):
    """As far as it goes; whether it went to the end."""
    with open(packed, "rb") as source, open(rows, "wb") as out:
        return subprocess.run(["zstd", "-dcq"], stdin=source, stdout=out, stderr=subprocess.DEVNULL).returncode == 0


class ExportCheck:
    """`penstock verify --s3`: it is content with what is there, and it is not blind."""

    def __init__(self, test, config):
        self.test, self.config, self.bucket = test, config, s3.Bucket.from_environment()

    def verify(self):
        with open(self.test.path("export.json"), "wb") as out:
            process = self.test.spawn("verify", ["verify", "--s3", "--config", self.config, "--destination", "archive",
                                                 "--depth", "content", "--json"], stdout=out)
        code = self.test.wait(process, "verify")
        with open(self.test.path("export.json")) as file:
            return code, json.loads(file.readline() or "{}")

    def problems(self, end, objects):
        code, report = self.verify()
        if code != 0 or report.get("findings") or report.get("pending") or not report.get("hasManifest"):
            return [f"verify --s3 exited {code}: {self.test.errors('verify')} {report.get('pending', '')}"]
        if report["end"] != end or report["first"] != 0:
            return [f"verify --s3 proved {report['first']} to {report['end']}, not {end}"]
        return self.blindness(objects[len(objects) // 2][0], "gone", lambda _: None, "missingObject")

    def blindness(self, key, fault, change, kind):
        """Changes one object, sees that it is found, and puts it back."""
        was = self.bucket.get(key)
        now = change(was)
        self.bucket.remove(key) if now is None else self.bucket.put(key, now)
        code, report = self.verify()
        self.bucket.put(key, was)
        found = [finding["kind"] for finding in report.get("findings", [])]
        if code != 1 or kind not in found:
            return [f"verify --s3 is blind: exit {code} and {found} although {key} is {fault}"]
        return []
