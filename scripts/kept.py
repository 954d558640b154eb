"""What a long run found so far, as JSON in a file that is replaced as a whole. Without a path nothing is kept."""
import json
import os
import pathlib


def load(path):
    return json.loads(pathlib.Path(path).read_text("utf-8")) if path and os.path.exists(path) else {}


def save(path, found):
    if path:
        pathlib.Path(f"{path}.new").write_text(json.dumps(found, indent=1), "utf-8")
        os.replace(f"{path}.new", path)
