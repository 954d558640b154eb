"""The planted bugs: Tests/Mutants/NAME.patch, each a header and a diff that `git apply --unidiff-zero` takes too.

A hunk has only the context that makes its place unique, so an edit nearby does not disturb it. The place is searched
for: first in the file that the diff names, then in all sources, because code moves. A place that is missing or not
unique makes a patch stale.
"""
import glob
import os
import pathlib
import re

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# A call of a sync; declarations and comments are none.
SYNC = re.compile(r"^(?!\s*//)(?!.*\bfunc )(?:.*\b(?:synchronize|synchronizeDirectory|fsync|fdatasync)\()")
# What keeps data; the command line, the laboratory and the test kit do not.
KEEPING = re.compile(r"Sources/(?:CPenstock|Penstock(?:Log|Delivery|Events|Sinks|Server))/")


class Stale(Exception):
    """A patch no longer applies."""


def read(path):
    return pathlib.Path(ROOT, path).read_text("utf-8")


class Patch:
    def __init__(self, name, text):
        head, _, diff = text.partition("\n--- ")
        fields = dict(re.findall(r"^([A-Z][a-z ]+): (.*)", head.replace("\n  ", " "), re.M))
        self.name, self.text, self.bug, self.exempt = name, text, fields.get("Bug"), fields.get("Exempt")
        self.tests = fields["Found by"].split(", ") if "Found by" in fields else []
        self.whole, self.simulation = fields.get("Copy") == "whole", fields.get("Simulation", "")
        path, first, *hunks = re.split(r"^(?:\+\+\+ b/|@@ )(.*)\n", diff, flags=re.M)[1::2] or ["", ""]
        self.path, self.function = path, "".join(re.findall(r"\b(?:func|var) (\w+)", first)[:1])
        bodies = re.split(r"^@@ .*\n", diff, flags=re.M)[1:]
        self.hunks = [[line or " " for line in body.rstrip("\n").split("\n")] for body in bodies]
        if not self.hunks or bool(self.bug) == bool(self.exempt) or bool(self.bug) != bool(self.tests):
            raise SystemExit(f"mutants: {name}.patch needs Bug and Found by, or Exempt, and a diff of one file")

    def places(self, text):
        """Where each hunk may begin in the lines of a file."""
        lines = text.split("\n")
        for hunk in self.hunks:
            old = [line[1:] for line in hunk if line[0] in " -"]
            yield [at for at in range(len(lines) - len(old) + 1) if lines[at:at + len(old)] == old]

    def find(self, texts):
        """The file it applies to, and the place of each hunk there."""
        for paths in ([self.path], texts):
            found = [(path, list(self.places(texts.get(path, "")))) for path in paths]
            fitting = [(path, sum(starts, [])) for path, starts in found if all(len(one) == 1 for one in starts)]
            if len(fitting) == 1:
                return fitting[0]
        raise Stale(f"{self.name}: what it changes does not stand once in {self.path}; it fits {len(fitting)} files")

    def plant(self, texts):
        """The file, its text with the bug, and the numbers of the lines that are taken away."""
        path, places = self.find(texts)
        lines, touched = texts[path].split("\n"), set()
        for start, hunk in sorted(zip(places, self.hunks), reverse=True):
            old = [line[0] for line in hunk if line[0] in " -"]
            touched |= {start + at for at, sign in enumerate(old) if sign == "-"}
            lines[start:start + len(old)] = [line[1:] for line in hunk if line[0] in " +"]
        return path, "\n".join(lines), touched


def patches():
    """All of them, in the order that builds fastest: bugs of one file follow each other."""
    paths = glob.glob(os.path.join(ROOT, "Tests", "Mutants", "*.patch"))
    found = [Patch(os.path.basename(path)[:-6], read(path)) for path in paths]
    return sorted(found, key=lambda patch: (patch.whole, patch.path, patch.name))


def sources():
    paths = sorted(glob.glob("Sources/**/*.[sh]*", root_dir=ROOT, recursive=True))
    return {path: read(path) for path in paths if path.endswith((".swift", ".h"))}


def stale(known, texts):
    """What is wrong with each patch that no longer applies, by name."""
    found = {}
    for patch in known:
        try:
            patch.find(texts)
        except Stale as error:
            found[patch.name] = str(error)
    return found


def uncovered(texts, known):
    """A sync that no patch touches, and an exemption that is none, in words."""
    touched, excused = {}, {}
    for patch in sorted(known, key=lambda patch: bool(patch.exempt)):
        try:
            path, _, lines = patch.plant(texts)
        except Stale:
            continue
        syncs = {line for line in lines if SYNC.match(texts[path].split("\n")[line])}
        (excused if patch.exempt else touched).setdefault(path, set()).update(syncs)
        if patch.exempt and (not syncs or syncs & touched.get(path, set())):
            yield f"{patch.name}: an exemption for no sync, or for one that a bug touches"
    for path, text in texts.items():
        for number, line in enumerate(text.split("\n")):
            known = touched.get(path, set()) | excused.get(path, set())
            if KEEPING.match(path) and SYNC.match(line) and number not in known:
                yield f"{path}:{number + 1}: no bug touches this sync, and it is not exempt: {line.strip()}"


def unknown_tests(known):
    paths = glob.glob(os.path.join(ROOT, "Tests", "**", "*.swift"), recursive=True)
    suites = {name for path in paths for name in re.findall(r"^(?:@.* )?(?:struct|(?:final )?class|actor) (\w+Tests)\b",
                                                            read(path), re.M)}
    return [f"{patch.name}: there are no tests {test}" for patch in known for test in patch.tests if test not in suites]


def names(known):
    """A line for each bug."""
    return "".join(f"{bug.name:40} {'|'.join(bug.tests):40} {bug.bug}\n" for bug in known if bug.bug)


def table(known):
    """docs/internals/mutants.md."""
    def rows(*rows):
        return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n" for cells in rows)
    return ("# Bugs that were planted\n\n`scripts/mutants --list --markdown` writes this from the patches in "
            "Tests/Mutants.\n`make lint` says when it is old. [Testing](testing.md#mutants) says what it is for.\n\n"
            "| bug | what it means | found by |\n|---|---|---|\n"
            + rows(*((f"`{patch.name}`", patch.bug, ", ".join(f"`{test}`" for test in patch.tests))
                     for patch in known if patch.bug))
            + "\n## Syncs without a bug\n\nA bug takes away, moves or changes every call of a sync in the sources "
            "(`scripts/mutants --coverage`), but for these:\n\n"
            "| sync, by file and function | why nothing is lost with it |\n|---|---|\n"
            + rows(*((f"`{os.path.basename(patch.path)}`, `{patch.function}`", patch.exempt)
                     for patch in known if patch.exempt)))
