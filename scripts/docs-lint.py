#!/usr/bin/env python3
"""Holds the documentation against the sources. Prints what is missing and exits 1 when anything is.

usage: docs-lint.py
       docs-lint.py --self-test     shows that the rules for the guarantees and the defaults find each violation

- Every error code and kind of trouble in the sources is in docs/alarms.md, every metric in docs/metrics.md.
- The dashboard and the rules in docs/grafana name no metric that the service does not have (test_guides.py asks one that runs).
- Links from one file of the repository to another lead somewhere.
- What docs/internals/incidents.md names in its third column is there: mutants, suites of tests, scripts, targets of make.
- Source files that docs/architecture.md and docs/internals name by their name are there, in whatever folder.
- Every decision follows the template: number, date, status, and its headings in their order.
- Every promise in docs/guarantees.md has an id and a row in docs/internals/guarantee-tests.md; the tests and mutants that a row
  names are there.
- The answers in docs/internals/questions.md are files of the checkout.
- The defaults and limits in docs/configure.md and docs/capacity.md are those of the sources; defaults_lint.py compares them.
- docs/internals/mutants.md is what `scripts/mutants --list --markdown` prints.
"""
import glob
import os
import re
import subprocess
import sys

import defaults_lint

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
METRIC = re.compile(r"\bpenstock_[a-z_]+")


def read(*parts):
    with open(os.path.join(ROOT, *parts), encoding="utf-8") as file:
        return file.read()


def sources(pattern):
    return "\n".join(read(path) for path in sorted(glob.glob(os.path.join(ROOT, "Sources", pattern), recursive=True)))


def raw_values(text, enumeration):
    """The raw values of an enumeration of strings."""
    body = re.search(rf"enum {enumeration}\b[^{{]*\{{(.*?)^\s*\}}", text, re.M | re.S)[1]
    for line in re.findall(r"^\s*case (\w[^/\n]*)", body, re.M):
        for case in line.split(","):
            name, _, value = case.partition("=")
            yield value.strip().strip('"') or name.strip()


def codes():
    """(word, where it comes from) of whatever an error may be called."""
    log = read("Sources/PenstockLog/Base/LogError.swift")
    for word in raw_values(log, "Value"):
        yield word, "LogError.Code"
    for word in raw_values(read("Sources/PenstockDelivery/Base/DeliveryTrouble.swift"), "Kind"):
        yield word, "DeliveryTrouble.Kind"
    for word in raw_values(read("Sources/PenstockDelivery/Replay/ReplayDecision.swift"), "Code"):
        yield word, "ReplayError.Code"
    for word in raw_values(read("Sources/PenstockEvents/Event/EventError.swift"), "Code"):
        yield word, "EventError.Code"
    for word in sorted(set(re.findall(r'(?:failure|later)\(\s*\d+, "(\w+)"', sources("PenstockServer/**/*.swift")))):
        yield word, "an answer of the service"
    for word in raw_values(read("Sources/PenstockDelivery/Lag/Lag.swift"), "LagHealth"):
        yield word, "LagHealth"


def service_metrics():
    text = sources("PenstockServer/**/*.swift")
    found = set(re.findall(r'"(penstock_[a-z_]*[a-z])"', text))
    metrics = read("Sources/PenstockServer/Admin/ServiceMetrics.swift")
    ingest = metrics[metrics.index("func addIngest"):metrics.index("func addLog")]
    found |= {f"penstock_ingest_{name}_total" for name in re.findall(r'\("(\w+)", "', ingest)}
    found |= {f"penstock_delivery_{name}" for name in re.findall(r'(?<!\.)\badd\(\s*"(\w+)", "(?:counter|gauge)"', metrics)}
    for name in re.findall(r'\baddHistogram\(\s*"(\w+)"', metrics):
        found |= {f"{name}_{series}" for series in ("bucket", "sum", "count")}
    return found


def embedded_metrics():
    text = sources("PenstockMetrics/*.swift")
    for name in re.findall(r'(?:counter|gauge|timer)\("(\w+)"', text):
        yield name
    yield from (f"cursor_{kind}_duration_seconds" for kind in ("begin", "commit", "seek"))


def explained(text):
    """What a table has in its first two cells; a mention elsewhere explains nothing."""
    for line in text.splitlines():
        if line.startswith("|"):
            yield from re.findall(r"`(\w+)`", " ".join(line.split("|")[1:3]))


def undocumented():
    alarms, metrics = read("docs/alarms.md"), read("docs/metrics.md")
    words = set(explained(alarms))
    for word, place in codes():
        if word not in words:
            yield f"docs/alarms.md: {word} ({place}) is missing"
    for name in sorted(service_metrics()):
        if f"`{name.removeprefix('penstock_')}`" not in metrics:
            yield f"docs/metrics.md: the service's metric {name} is missing"
    for name in embedded_metrics():
        if f"`{name}`" not in metrics:
            yield f"docs/metrics.md: the metric {name} of PenstockMetrics is missing"


def unknown_metrics():
    known = service_metrics()
    for path in ("docs/grafana/penstock.json", "docs/grafana/alerts.yaml", "docs/alarms.md"):
        for name in sorted(set(METRIC.findall(read(path)))):
            if name not in known:
                yield f"{path}: there is no metric {name} in the service"


def anchors(text):
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def dead_links():
    texts = ["README.md", "Benchmarks/README.md", *(os.path.relpath(path, ROOT) for path in glob.glob(
        os.path.join(ROOT, "docs", "**", "*.md"), recursive=True))]
    for path in sorted(texts):
        for link in re.findall(r"\]\(([^)\s]+)\)", read(path)):
            if "://" in link or link.startswith("mailto:"):
                continue
            name, _, anchor = link.partition("#")
            target = os.path.normpath(os.path.join(ROOT, os.path.dirname(path), name)) if name else os.path.join(ROOT, path)
            if not os.path.exists(target):
                yield f"{path}: {link} leads nowhere"
            elif anchor and target.endswith(".md") and anchor not in anchors(read(target)):
                yield f"{path}: {link}: there is no such heading"


def missing_files(text, known):
    """(line, name) of each Swift file that a text names in code font and that does not exist."""
    for number, line in enumerate(text.splitlines(), 1):
        for name in re.findall(r"`(?:[\w.+-]+/)*([\w+-]+\.swift)`", line):
            if name not in known:
                yield number, name


def named_files():
    known = {os.path.basename(path) for folder in ("Sources", "Tests", "Fuzz")
             for path in glob.glob(os.path.join(ROOT, folder, "**", "*.swift"), recursive=True)} | {"Package.swift"}
    # That the rule can fail: it must miss the first two of these names, and nothing else.
    if list(missing_files("`NoSuch.swift`\n`No/Such.swift`\n`Package.swift`", known)) != [(1, "NoSuch.swift"), (2, "Such.swift")]:
        yield "scripts/docs-lint.py: the rule for names of source files cannot fail; mend it"
    for path in ["docs/architecture.md", *(os.path.relpath(path, ROOT) for path in sorted(glob.glob(
            os.path.join(ROOT, "docs", "internals", "*.md"))))]:
        yield from (f"{path}:{number}: there is no {name}" for number, name in missing_files(read(path), known))


HEADINGS = ["Question", "Answer", "Why", "What else was considered", "What follows"]


def irregular(name, text):
    """What in a decision differs from the template."""
    number = int(name[:4])
    if not re.match(rf"# {number}\. \S.*\n\n- Date: \d{{4}}-\d\d-\d\d\n- Status: (?:accepted|superseded by )", text):
        yield f"it must begin with `# {number}. Title`, `- Date: YYYY-MM-DD` and `- Status: accepted`"
    found = re.findall(r"^#{2,} (.*)$", text, re.M)
    if found != [heading for heading in HEADINGS if heading in found] or found[:2] != HEADINGS[:2]:
        yield f"its headings are {found}; the template has {HEADINGS}"


def decisions():
    sound = "# 1. It is\n\n- Date: 2026-01-02\n- Status: accepted\n\n## Question\n\n## Answer\n\n## What follows\n"
    # That the rule can fail: each of these must be found, and nothing in the sound one.
    planted = [sound.replace(old, new) for old, new in (
        ("# 1.", "# 2."), ("2026-01-02", "2026"), ("accepted", "maybe"), ("## Answer", "## Decision"), ("## Question\n\n", ""))]
    if list(irregular("0001-a.md", sound)) or not all(list(irregular("0001-a.md", text)) for text in planted):
        yield "scripts/docs-lint.py: the rule for decisions cannot fail; mend it"
    for path in sorted(glob.glob(os.path.join(ROOT, "docs", "decisions", "*.md"))):
        name = os.path.basename(path)
        if not name.startswith("0000-"):
            yield from (f"docs/decisions/{name}: {problem}" for problem in irregular(name, read("docs/decisions", name)))


def mutants(*arguments):
    return subprocess.run([sys.executable, os.path.join(ROOT, "scripts", "mutants"), *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)


def existing_tests():
    """The suites and the functions of all tests."""
    for folder in ("Tests", "Fuzz/Tests"):
        for path in glob.glob(os.path.join(ROOT, folder, "**", "*.swift"), recursive=True):
            yield from re.findall(r"\b(?:struct|class|actor|enum|func) (\w+)", read(path))


def missing_names(text, known):
    """(line, name) of what the third column of a table names and nobody has; a row that names nothing must say why."""
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.M))
    layers = {f"lab-{name}" for name in re.findall(r'^    "([\w-]+)": ', read("scripts", "lab"), re.M)}
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if not line.startswith("| ") or cells == ["what happened", "seen in", "here"]:
            continue
        names = re.findall(r"`([^`]+)`", cells[2]) if len(cells) == 3 else []
        if not names and not (len(cells) == 3 and cells[2].startswith(("not covered: ", "does not apply: "))):
            yield number, "a row of three cells that names a test, or says why there is none"
        for name in names:
            first, *rest = name.split()
            if first == "make" and rest:
                is_there = rest[0] in targets | layers
            elif "/" in first:
                is_there = os.path.isfile(os.path.join(ROOT, first))
            else:
                is_there = name in known
            if not is_there:
                yield number, f"`{name}`"


def incidents():
    known = {line.split()[0] for line in mutants("--list").stdout.splitlines() if line.strip()} | set(existing_tests())
    # That the rule can fail: each of these must be missed, and nothing of the last line.
    planted = [f"| it broke | X #1 | {cell} |" for cell in (
        "`no-such-bug`", "`NoSuchTests`", "`scripts/no-such`", "`make no-such`", "in our tests")]
    sound = "| it broke | X #1 | `commit-without-sync`; `LogCrashTests`, `scripts/lint`, `make lab-sim` |\n| a | b | not covered: c |"
    found = [number for number, _ in missing_names("\n".join(planted + [sound]), known)]
    if found != list(range(1, len(planted) + 1)):
        yield f"scripts/docs-lint.py: of {len(planted)} names that do not exist it misses those in {found}; mend it"
    for number, name in missing_names(read("docs/internals/incidents.md"), known):
        yield f"docs/internals/incidents.md:{number}: there is no {name}"


SUITE = re.compile(r"^(?:@\w+(?:\(.*\))? +)*(?:(?:public|private|fileprivate|final) +)*"
                   r"(?:struct|class|actor|enum|extension) +(\w+)", re.M)
TEST = re.compile(r'@Test\b(?:\(\s*"((?:[^"\\]|\\.)*)")?(?:(?!@Test\b).)*?\bfunc (?:`([^`]+)`|(\w+))', re.S)
PROMISE = re.compile(r"^- \*\*([A-Z]+\d+)\. ", re.M)
SUITES = re.compile(r"`([\w./-]+)` \(((?:“[^”]+”|[^()“])*)\)")  # `Suite` (“title of a test”, `function`)
NAMED = re.compile(r"“([^”]+)”|`([^`]+)`")
FEWEST_BUGS = 10


def tests_in(text):
    """(suite, test) for each title and function of a test in a Swift file; what is commented out is none."""
    text = re.sub(r"^\s*//.*$", "", text, flags=re.M)
    suites = [(found.start(), found[1]) for found in SUITE.finditer(text)]
    for found in TEST.finditer(text):
        suite = next((name for start, name in reversed(suites) if start < found.start(2 if found[2] else 3)), "")
        yield from ((suite, name) for name in found.groups() if name)


def named_tests():
    """The tests of all suites, and those in Tests/EndToEnd."""
    for path in glob.glob(os.path.join(ROOT, "Tests", "**", "*.swift"), recursive=True):
        yield from tests_in(read(path))
    for path in glob.glob(os.path.join(ROOT, "Tests", "EndToEnd", "test_*.py")):
        for function in re.findall(r"^def test_(\w+)", read(path), re.M):
            yield os.path.relpath(path, ROOT), function.replace("_", " ")


def rows_of(text):
    """(promise, {suite: [test]}, [planted bug], what is not understood) for each row of docs/internals/guarantee-tests.md."""
    for promise, tests, bugs in re.findall(r"^\| ([A-Z]+\d+) \| (.*) \| (.*?) ?\|$", text, re.M):
        suites = {suite: [a or b for a, b in NAMED.findall(names)] for suite, names in SUITES.findall(tests)}
        rest = "".join([SUITES.sub("", tests), *(NAMED.sub("", names) for _, names in SUITES.findall(tests))])
        yield promise, suites, re.findall(r"`([^`]+)`", bugs), rest.strip("; ,")


def broken_promises(text, tests, finders):
    """What is wrong with the guarantees and their table, given the tests there are and the suites that find each planted bug."""
    promises, rows, planted = PROMISE.findall(text), list(rows_of(text)), set()
    for promise in sorted({promise for promise in promises if promises.count(promise) > 1}):
        yield f"{promise} stands for two promises"
    for line in re.findall(r"^- \*\*.*$", text, re.M):
        if not PROMISE.match(line):
            yield f"a promise without an id: {line[:60]}"
    for promise in [promise for promise in promises if promise not in [row[0] for row in rows]]:
        yield f"{promise} has no row in the table"
    for promise, suites, bugs, rest in rows:
        if promise not in promises:
            yield f"the row {promise} belongs to no promise"
        if rest or not suites or not all(suites.values()):
            yield f"{promise} names no test" + (f": {rest}" if rest else "")
        for suite, names in suites.items():
            yield from (f"{promise}: there is no test “{name}” in {suite}" for name in names if (suite, name) not in tests)
        for bug in bugs:
            planted.add(promise)
            if not set(finders.get(bug, [])) & set(suites):
                yield f"{promise}: none of its suites must find a planted bug {bug}"
    if len(planted) < FEWEST_BUGS:
        yield f"{len(planted)} promises name a planted bug, of at least {FEWEST_BUGS}"


def finders_of_bugs():
    lines = (line.split(None, 2) for line in mutants("--list").stdout.splitlines() if line.strip())
    return {name: suites.split("|") for name, suites, _ in lines}


def guarantees():
    """The promises, and the table of what keeps each."""
    return read("docs/guarantees.md") + read("docs/internals/guarantee-tests.md")


def promises():
    for problem in broken_promises(guarantees(), set(named_tests()), finders_of_bugs()):
        yield f"docs/guarantees.md, docs/internals/guarantee-tests.md: {problem}"


def self_test():
    """Plants violations in the real text; returns how many are missed. Each named test is taken away once."""
    text, tests, finders = guarantees(), set(named_tests()), finders_of_bugs()
    clean, failures = set(broken_promises(text, tests, finders)), 0

    def expect(what, problem, text=text, tests=tests, finders=finders):
        nonlocal failures
        found = set(broken_promises(text, tests, finders)) - clean
        good = any(problem in line for line in found) if problem else not found
        failures += not good
        return f"{'found ' if good else 'MISSED'} {what}" + ("" if good else f"  {sorted(found)}")

    row = re.search(r"^\| L1 \|.*\n", text, re.M)[0]
    bug = next(bugs[0] for _, _, bugs, _ in rows_of(text) if bugs)
    source = read("Tests/PenstockLogTests/Append/LogFailureTests.swift")
    title = "nothing is seen before it is on stable storage"
    renamed = tests - set(tests_in(source)) | set(tests_in(source.replace(f"`{title}`", f"`{title}, now`")))
    commented = tests - set(tests_in(source)) | set(tests_in(source.replace(f"@Test func `{title}", f"//@Test func `{title}")))
    written = set(tests_in(
        '@Suite(.a("b")) struct A {\n  @Test("a title", arguments: [1])\n  func f(_ a: Int) {}\n  func helper() {}\n'
        '  @Test func `a name`() {}\n}\nextension B {\n  @Test(\n    "split") func g() {}\n}\n'))
    failures += written != {("A", "a title"), ("A", "f"), ("A", "a name"), ("B", "split"), ("B", "g")}
    print(
        expect("(innocent) the text as it is", ""),
        expect("an id without a row", "L1 has no row", text.replace(row, "")),
        expect("a row without an id", "the row L99 belongs", text + row.replace("L1", "L99")),
        expect("an id that stands twice", "L1 stands for two", text + "\n- **L1. Again.** It is.\n"),
        expect("a promise without an id", "without an id", text.replace("- **L1. ", "- **", 1)),
        expect("a row that names no test", "L1 names no test", text.replace(row, "| L1 | by hand | |\n")),
        expect("a suite without a test", "L1 names no test", text.replace(row, row.replace("; `", "; `ATests`; `", 1))),
        expect("a test that was renamed in its source", title, tests=renamed),
        expect("a test that was commented out", title, tests=commented),
        expect("a planted bug that is gone", bug, finders={name: finders[name] for name in finders if name != bug}),
        expect("a planted bug that another suite finds", bug, finders={**finders, bug: ["OtherTests"]}),
        expect("too few planted bugs", "of at least", re.sub(r"\| `[\w-]+`[^|]*\|$", "| |", text, flags=re.M)), sep="\n")
    named = sorted({(suite, name) for row in rows_of(text) for suite, names in row[1].items() for name in names})
    lines = [expect(f"{test} deleted", test[1], tests=tests - {test}) for test in named]
    missed = [line for line in lines if line.startswith("MISSED")]
    print(*missed, f"{'found ' if named and not missed else 'MISSED'} each of {len(named)} named tests, deleted", sep="\n")
    return failures + (not named)


def planted_bugs():
    if read("docs/internals/mutants.md") != mutants("--list", "--markdown").stdout:
        yield "docs/internals/mutants.md is not up to date: scripts/mutants --list --markdown >docs/internals/mutants.md"


def questions():
    """The answers in docs/internals/questions.md are files that are there, twelve of them."""
    answers = re.findall(r"^\| \d+ \|.*\| `([^`]+)` \|$", read("docs/internals/questions.md"), re.M)
    if len(answers) != 12:
        yield f"docs/internals/questions.md: {len(answers)} questions with a file as answer, not twelve"
    for answer in answers:
        if not os.path.isfile(os.path.join(ROOT, answer)):
            yield f"docs/internals/questions.md: {answer} is not there"


def defaults():
    return defaults_lint.problems(read, defaults_lint.Sources(ROOT), defaults_lint.rules(read("scripts/defaults.rules")))


def defaults_self_test():
    """Plants wrong values in copies of the documents and of the sources; returns how many are missed."""
    constants, known, failures = defaults_lint.Sources(ROOT), defaults_lint.rules(read("scripts/defaults.rules")), 0
    text, clean = read("docs/configure.md"), set(defaults())

    def expect(what, place, old, new, *words):
        """The violation is planted in a document or in a source; each word must be in one line of what is found."""
        nonlocal failures
        before = constants.texts.get(place, text)
        planted = before.replace(old, new, 1)
        if place in constants.texts:
            constants.texts[place] = planted
        found = set(defaults_lint.problems(lambda path: planted if path == place else read(path), constants, known)) - clean
        if place in constants.texts:
            constants.texts[place] = before
        good = planted != before and any(all(word in line for word in words) for line in found)
        failures += not good
        return f"{'found ' if good else 'MISSED'} {what}" + ("" if good else f"  {sorted(found)}")

    document, row = "docs/configure.md", re.search(r"^\| `log.segmentSize`.*\n", text, re.M)[0]
    print(
        expect("a wrong default", document, row, row.replace("`64MiB`", "`32MiB`"), "log.segmentSize", "segmentBytes "),
        expect("a wrong limit", document, row, row.replace("`4GiB`", "`8GiB`"), "log.segmentSize", "segmentBytes..."),
        expect("a wrong word", document, "| `log.whenFull` | `fail`", "| `log.whenFull` | `wait`", "log.whenFull", "whenFull"),
        expect("a number in a row's text", document, row, row.replace("one segment", "2 segments"), "log.segmentSize", "no rule"),
        expect("a new row", document, row, row + row.replace("segmentSize", "newKey"), "log.newKey", "name the constant"),
        expect("a row that is gone", document, row, "", "has no row log.segmentSize"),
        expect("a changed constant", "LogConfiguration", "segmentBytes = 64 <<", "segmentBytes = 32 <<", "log.segmentSize"),
        expect("a changed limit", "DeliverySettings", "1...10_000", "1...1_000", "attempts..."),
        expect("a renamed constant", "OpenFileNeed", "let base", "let basis", "there is no base"), sep="\n")
    lines = [line for line in text.splitlines() if re.match(r"\| `", line) and re.search(r"\| `?\d+(?![\d.]*\.\d+\.)", line)]
    missed = [line for line in (
        expect(row, document, row, re.sub(r"(\| `?)(\d)", r"\g<1>7\2", row, count=1), "says") for row in lines) if line[0] == "M"]
    print(*missed, f"{'MISSED' if missed else 'found '} a wrong number in each of {len(lines)} rows", sep="\n")
    return failures


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(1 if self_test() + defaults_self_test() else 0)
    if len(sys.argv) > 1:
        sys.exit(__doc__.strip())
    found = [
        *undocumented(), *unknown_metrics(), *dead_links(), *named_files(), *decisions(), *incidents(), *promises(),
        *planted_bugs(), *questions(), *defaults(),
    ]
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
