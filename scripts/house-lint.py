#!/usr/bin/env python3
"""The house rules a formatter cannot know. Prints `file:line: rule: what was found` and exits 1 when there is any.

usage: house-lint.py
       house-lint.py --self-test     plants one violation of each rule in a copy and checks that it is found, there
"""
import collections
import glob
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What builds and runs leave behind.
OUTPUT = (
    ".log", ".o", ".pid", ".xcresult", ".profraw", ".swiftmodule", ".swiftdoc", ".swiftsourceinfo", ".abi.json")
MAX_LINES = 400

# The folders of each target, from top to bottom: a file names types of its own folder or of lower ones.
LAYERS = {
    "PenstockLog": "API Inspect Recover Write Maintain Producers Cursors Read Storage Format Base",
    "PenstockEvents": "Output Input Filter Event JSON",
    "PenstockDelivery": "Replay Lag Run Route State DeadLetters Sink Batch Base",
    "PenstockSinks": "S3 Directory File Webhook Manifest Export Rendering HTTP Network Support",
    "PenstockServer": "Service Receiver Admin Console Ingest Idempotency HTTP Access Configuration Support",
    "PenstockCLI": "Commands Demo Configuration Support",
}
# What the log opens to the package: a declaration's name, and the words of its signature.
OPENED = re.compile(r"\s*package (?:(?:static|final|mutating|indirect|private\(set\)) )*"
                    r"(?:struct|class|enum|protocol|typealias|func|var|let) (\w+)")
OPEN_SIGNATURE = re.compile(r"^ *(?:@\w+ )?(?:package|public) [^{}]*", re.M)
TYPE = re.compile(r"^(?:@\w+(?:\([^)]*\))? )*(?:(?:public|package|internal|final|indirect|nonisolated) )*"
                  r"(?:struct|enum|class|actor|protocol|typealias) (\w+)", re.M)

# Plain English is checked where users and newcomers read. A name in `code` may be spelled as it is.
PLAIN = ("Sources/", "docs/", "README.md", "Makefile")
# Spelled in two parts where this file would find itself.
PHRASES = re.compile(
    r"\b(?:(?:is|was|are) told|lets? go of|go(?:es)? on with|goes on|behind|beside|whoever|somebody|nobody|anew|"
    r"for ever|in vain|knobs?|it stands|a person)\b", re.I)
# A health value has this name; so has a key of the configuration.
NAMES = re.compile(r'`+[^`]*`+|["\']behind["\']|\bbehindAfter\b')
MAX_COLUMNS = 120

# What users read has short sentences; a table, code, a heading and a link's target are none.
SHORT = re.compile(r"README\.md|docs/[\w-]+\.md|docs/guides/.*\.md|Sources/.*\.docc/.*\.md")
MAX_WORDS = 25
ITEM = re.compile(r"(?:[-*+]|\d+\.) +")
NO_PROSE = re.compile(r"[|#<@}]|!\[|$")
SENTENCE = re.compile(r"\S(?:.*?[.!?][*_)”\"\]]*(?=\s+[\"“*_(\[]*[A-Z0-9])|.*)", re.S)

UNCHECKED = re.compile(r"^(?:(?!//).)*@unchecked\s+Sendable")
IMPORT = (r"^\s*(?:@\w+(?:\(\w+\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+"
          r"(?:(?:struct|class|enum|protocol|typealias|func|var|let)\s+)?")
# Rule, where, what may not stand in a line, and what to do. Two are spelled in parts, so that this file does not find
# itself.
PATTERNS = [(rule, re.compile(places), re.compile(pattern), words) for rule, places, pattern, words in (
    ("wide-line", r".*\.swift", rf"^.{{{MAX_COLUMNS + 1}}}", f"at most {MAX_COLUMNS} columns"),
    ("forced-try", r"(?:Sources|Tests|Benchmarks|docs/examples)/.*\.swift", r"^(?:(?!//).)*\btry!",
     "handle the error, or make the function throw"),
    ("bare-log-import", r"Sources/Penstock(?:Log|Events)/.*\.swift", IMPORT + r"_?(?:Foundation|NIO)",
     "it does not belong in the log or the events"),
    ("unfinished", ".*", r"\b(?:TO" r"DO|FIX" r"ME)\b", "finish it, or open an issue"),
    # What a merge leaves in a file; a line of = alone may be a heading.
    ("unmerged", ".*", r"^(?:<{7}|>{7}|\|{7})(?: |$)", "two versions stand here; keep what is true of both"),
    ("machine-path", ".*", r"(?<![\w.~$})\]-])/(?:work|tmp|opt|root|home|Users)/[\w.]", "a path of one machine"))]


def lines_of(path):
    """Nothing of what is no text."""
    content = pathlib.Path(path).read_bytes()
    try:
        return [] if b"\0" in content else content.decode().splitlines()
    except UnicodeDecodeError:
        return []


def tracked():
    """What git would take with it: a machine has files of its own in a checkout."""
    listing = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted(name for name in set(names) if os.path.isfile(os.path.join(ROOT, name)))


def explained(lines, index):
    """A comment on the line, or in the unbroken run of comments and attributes above it."""
    above = (line.strip() for line in reversed(lines[:index]))
    return "//" in lines[index] or next((line for line in above if not line.startswith("@")), "").startswith("//")


def prose(path, line):
    """What of a line is written for people: of Swift and scripts, the comments and strings."""
    if path.endswith(".swift"):
        line = " ".join(re.findall(r'//.*|"(?:\\.|[^"\\])*"', line))
    return NAMES.sub("", line)


def unplain(path, lines):
    """Phrases that show that a sentence needs rewriting."""
    if not path.startswith(PLAIN) or not path.endswith((".swift", ".md", "Makefile", ".js", ".html")):
        return
    fenced = False
    for number, line in enumerate(lines, 1):
        fenced ^= path.endswith(".md") and line.lstrip().startswith("```")
        found = None if fenced else PHRASES.search(prose(path, line))
        if found:
            yield number, "phrase", f"\"{found[0]}\": rewrite the sentence"


def paragraphs(lines):
    """(line of its beginning, text) of each paragraph and each item of a list in a document."""
    start, text, code, comment = 0, [], False, False
    for number, line in enumerate([*lines, ""], 1):
        line = line.strip()
        code, comment = code ^ line.startswith("```"), comment or line.startswith("<!--")
        outside = code or comment or line.startswith("```") or NO_PROSE.match(line)
        comment = comment and "-->" not in line
        item = ITEM.match(line)
        if text and (outside or item):
            yield start, "\n".join(text)
            text = []
        if not outside:
            start = start if text else number
            text.append(line[item.end():] if item else line)


def long_sentences(lines):
    for start, text in paragraphs(lines):
        text = re.sub(r"`[^`]*`|\]\([^)]*\)", lambda found: "X" + "\n" * found[0].count("\n"), text)
        for sentence in SENTENCE.finditer(text):
            words = sum(1 for word in sentence[0].split() if re.search(r"\w", word))
            if words > MAX_WORDS:
                yield start + text[:sentence.start()].count("\n"), f"{words} words; at most {MAX_WORDS}"


def findings(path, lines):
    swift = path.endswith(".swift")
    yield from unplain(path, lines)
    if SHORT.fullmatch(path):
        yield from ((number, "long-sentence", what) for number, what in long_sentences(lines))
    # A header in no folder is one that the compiler has written for a module.
    if path.endswith(OUTPUT) or ("/" not in path and path.endswith(".h")):
        yield 1, "build-output", "leave out what a build or a run made"
    patterns = [each for each in PATTERNS if each[1].fullmatch(path)]
    for number, line in enumerate(lines, 1):
        yield from ((number, rule, f"{found[0][-60:]}: {words}") for rule, _, pattern, words in patterns
                    if (found := pattern.search(line)))
        if swift and UNCHECKED.search(line) and not explained(lines, number - 1):
            yield number, "unexplained-sendable", "say beside it what protects the state"
    if swift and path.startswith("Sources/") and len(lines) > MAX_LINES:
        yield MAX_LINES + 1, "long-file", f"{len(lines)} lines; more than {MAX_LINES} hide a second file"


def upward_references(root, target):
    """Names of types of a higher folder, and files in a folder that has no layer."""
    base, files, owners = f"Sources/{target}", [], {}
    for path in sorted(glob.glob(os.path.join(root, base, "*", "**", "*.swift"), recursive=True)):
        code = re.sub(r'//.*|"(?:\\.|[^"\\\n])*"', "", "\n".join(lines_of(path)))
        path = os.path.relpath(path, root)
        files.append((path, path.split("/")[2], code))
        owners |= dict.fromkeys(TYPE.findall(code), (path, path.split("/")[2]))
    order = LAYERS[target].split()
    for path, layer, code in files:
        if layer not in order:
            yield f"{path}:1: layer: {layer} is no folder of {target}; add it to LAYERS"
            continue
        for number, line in enumerate(code.split("\n"), 1):
            for name in re.findall(r"\b[A-Z]\w*", line):
                owner, other = owners.get(name, (path, layer))
                if other in order and owner != path and order.index(other) < order.index(layer):
                    yield f"{path}:{number}: layer: {layer} names {name} of the higher {other}"


def needlessly_open(root):
    """Names that the log opens to the package, and that no other target uses, nor another open declaration. Tests and
    fuzzers import the log with @testable, and need nothing opened."""
    log = glob.glob(os.path.join(root, "Sources/PenstockLog/**/*.swift"), recursive=True)
    others = set(glob.glob(os.path.join(root, "Sources/**/*.swift"), recursive=True)) - set(log)
    used = {word for path in others for line in lines_of(path) for word in re.findall(r"\w+", line)}
    opened = collections.Counter(word for path in log for text in OPEN_SIGNATURE.findall("\n".join(lines_of(path)))
                                 for word in set(re.findall(r"\w+", re.sub(r"//.*", "", text))))
    for path in sorted(log):
        for number, line in enumerate(lines_of(path), 1):
            name = OPENED.match(line)
            if name and name[1] not in used and opened[name[1]] < 2:
                yield f"{os.path.relpath(path, root)}:{number}: needlessly-open: no other target uses {name[1]}"


def check(root, names, targets=LAYERS):
    """What is found in these files, and in these targets as wholes."""
    found = [finding for target in targets for finding in upward_references(root, target)]
    found += needlessly_open(root) if "PenstockLog" in targets else []
    for name in names:
        lines = lines_of(os.path.join(root, name))
        found += [f"{name}:{number}: {rule}: {what}" for number, rule, what in findings(name, lines)]
    return found


LOG, SINKS = "Sources/PenstockLog/Planted.swift", "Sources/PenstockSinks/Planted.swift"
FORMAT, HTTP = "Sources/PenstockLog/Format/Planted.swift", "Sources/PenstockServer/HTTP/Planted.swift"
TEXT, GUIDE = "docs/planted.md", "docs/guides/planted.md"
ARTICLE = "Sources/PenstockLog/PenstockLog.docc/Planted.md"
LONG = " is" * 25 + "."
# Rule, file, text with the violation on its third line (long-file: on its line 401). Without a rule, nothing is found.
PLANTED = [
    ("forced-try", SINKS, "\n\nlet a = try! open()\n"),
    ("forced-try", "Tests/PenstockLogTests/Planted.swift", "\n\nlet a = try! open()\n"),
    ("unexplained-sendable", SINKS, "// far\n\nclass A: @unchecked Sendable {}\n"),
    ("bare-log-import", LOG, "\n\nimport Foundation\n"),
    ("bare-log-import", LOG, "\n\n@preconcurrency public import NIOCore\n"),
    ("bare-log-import", "Sources/PenstockEvents/Planted.swift", "\n\nimport struct FoundationEssentials.Date\n"),
    ("unfinished", LOG, "\n\n// TO" "DO: later\n"),
    ("unfinished", TEXT, "\n\nFIX" "ME\n"),
    ("machine-path", TEXT, "\n\nsee `/ho" "me/someone/file`\n"),
    ("machine-path", "scripts/planted", "\n\ncd /wo" "rk/main\n"),
    ("machine-path", ".build-planted.txt", "\n\nin /wo" "rk/main\n"),
    ("unmerged", TEXT, "\n\n" + "<" * 7 + " HEAD\n"),
    ("unmerged", "scripts/planted", "\n\n" + ">" * 7 + " other\n"),
    ("phrase", LOG, "\n\n// It goes" " on.\n"),
    ("phrase", "Sources/PenstockCLI/Planted.swift", '\n\nlet a = "Nob' 'ody waits."\n'),
    ("phrase", TEXT, "\n\nThe file lies bes" "ide it.\n"),
    ("wide-line", "Tests/PenstockLogTests/Planted.swift", "\n\n//" + " long" * 24 + "\n"),
    ("long-sentence", TEXT, f"\n\nIt{LONG}\n"),
    ("long-sentence", GUIDE, f"It is.\n- It is. It\n  is `a b` too. It{LONG}\n"),
    ("long-sentence", ARTICLE, "\nIt is.\nIt" + " is" * 25 + ":\n\n- this\n"),
    ("layer", FORMAT, "\n\nlet a: LogWriter? = nil\n"),
    ("layer", HTTP, "\n\nlet a: AdminAPI? = nil\n"),
    ("needlessly-open", FORMAT, "\n\npackage func plantedForNothing() {}\n"),
    ("build-output", "Planted.h", "\n"),
    ("build-output", "planted.log", "done\n"),
    ("long-file", LOG, "\n" * (MAX_LINES + 1)),
    ("", SINKS, "// the mutex below protects it\n@available(macOS 26, *)\nfinal class A: @unchecked Sendable {}\n"
                "class B: @unchecked Sendable {}  // never changes after init\nlet c = try open()  // not try!\n"),
    ("", SINKS, "import Foundation\nimport NIOCore\n" + "\n" * (MAX_LINES - 2)),
    ("", TEXT, "the value `behind`\n```\nhe goes on\n```\n"),
    ("", SINKS, 'case behind = "behind"\n'),
    ("", TEXT, "\n\nIt" + " is" * 24 + f".\n\n| it{LONG * 2} |\n\n```\nit{LONG * 2}\n```\n"),
    ("", GUIDE, "It" + " is" * 20 + " `code of five words here`.\nIt" + " is" * 20 + ".\n\n- It" + " is" * 20
     + "\n- It" + " is" * 20 + f"\n<!--\nit{LONG * 2}\n-->\n"),
    ("", "docs/internals/planted.md", f"It{LONG * 2}.\n"),
    ("", TEXT, "https://example.com/home/page and ${TMPDIR:-/tmp}/x and ./work/it\nHeading\n=======\n")]


def self_test():
    """How many are missed; prints a line for each."""
    with tempfile.TemporaryDirectory() as copy:
        subprocess.run(["cp", "--parents", *tracked(), copy], cwd=ROOT, check=True)
        missed = sum([not is_found(copy, *each) for each in PLANTED])
        if shutil.which("swift"):
            missed += not is_formatter_strict(pathlib.Path(copy, "Planted.swift"))
    return missed


def is_found(copy, rule, path, text):
    """In the planted file, and only there: the checkout may have findings of its own."""
    place = pathlib.Path(copy, path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    found = [line for line in check(copy, [path], [target for target in LAYERS if f"/{target}/" in path])
             if line.startswith(path + ":")]
    place.unlink()
    line = {"long-file": MAX_LINES + 1, "build-output": 1}.get(rule, 3)
    is_good = len(found) == 1 and found[0].startswith(f"{path}:{line}: {rule}: ") if rule else not found
    said = ("found" if rule else "silent") if is_good else "MISSED" if rule else "WRONG"
    print(f"{said:6} {rule or '(innocent)':21} {path}", *([] if is_good else [found]))
    return is_good


def is_formatter_strict(place):
    place.write_text("func f() {\n    let a = b!\n}\n")
    command = ["swift", "format", "lint", "--strict", "--configuration", f"{ROOT}/.swift-format", place]
    result = subprocess.run(command, capture_output=True, text=True)
    is_good = result.returncode != 0 and "Planted.swift:2:" in result.stderr
    print(f"{'found' if is_good else 'MISSED':6} {'swift format':21} Planted.swift")
    return is_good


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(bool(self_test()))
    if len(sys.argv) > 1:
        sys.exit(__doc__.strip())
    problems = check(ROOT, tracked())
    print(*problems, sep="\n", end="\n" if problems else "")
    sys.exit(bool(problems))
