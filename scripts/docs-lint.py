#!/usr/bin/env python3
"""Holds the documentation against the sources. Prints what is missing and exits 1 when anything is.

usage: docs-lint.py
       docs-lint.py --self-test     shows that the rules find each violation planted in a text or a source

Each function in RULES says what it holds against what.
"""
import functools
import glob
import os
import re
import sys

import defaults_lint
import planted

# By path. The self-test plants others.
TEXTS = {}


def read(path):
    if path not in TEXTS:
        TEXTS[path] = planted.read(path)
    return TEXTS[path]


@functools.cache
def paths(*patterns):
    """Each once: Tests/Sanitized has links to the others."""
    found = (path for pattern in patterns for path in glob.glob(pattern, root_dir=planted.ROOT, recursive=True))
    return sorted({os.path.relpath(os.path.realpath(os.path.join(planted.ROOT, path)), planted.ROOT) for path in found})


def sources(pattern):
    return "\n".join(map(read, paths(f"Sources/{pattern}")))


def there_is(path, exists=os.path.exists):
    return exists(os.path.join(planted.ROOT, path))


# --- words and metrics

# Where what an error may be called is enumerated.
CODES = (("PenstockLog/Base/LogError", "Value"), ("PenstockDelivery/Base/DeliveryTrouble", "Kind"),
         ("PenstockDelivery/Replay/ReplayDecision", "Code"), ("PenstockEvents/Event/EventError", "Code"),
         ("PenstockDelivery/Lag/Lag", "LagHealth"))


def raw_values(text, enumeration):
    """The raw values of an enumeration of strings."""
    body = re.search(rf"enum {enumeration}\b[^{{]*\{{(.*?)^\s*\}}", text, re.M | re.S)[1]
    for case in ",".join(re.findall(r"^\s*case (\w[^/\n]*)", body, re.M)).split(","):
        name, _, value = case.partition("=")
        yield value.strip().strip('"') or name.strip()


def service_metrics():
    found = set(re.findall(r'"(penstock_[a-z_]*[a-z])"', sources("PenstockServer/**/*.swift")))
    metrics = read("Sources/PenstockServer/Admin/ServiceMetrics.swift")
    ingest = metrics[metrics.index("func addIngest"):metrics.index("func addLog")]
    found |= {f"penstock_ingest_{name}_total" for name in re.findall(r'\("(\w+)", "', ingest)}
    delivery = re.findall(r'(?<!\.)\badd\(\s*"(\w+)", "(?:counter|gauge)"', metrics)
    found |= {f"penstock_delivery_{name}" for name in delivery}
    return found | {f"{name}_{series}" for name in re.findall(r'\baddHistogram\(\s*"(\w+)"', metrics)
                    for series in ("bucket", "sum", "count")}


def undocumented():
    """Every error code and kind of trouble in the sources is in docs/alarms.md, every metric in docs/metrics.md."""
    alarms, metrics = read("docs/alarms.md"), read("docs/metrics.md")
    # What a table has in its first two cells; a mention elsewhere explains nothing.
    words = {word for line in alarms.splitlines() if line.startswith("|")
             for word in re.findall(r"`(\w+)`", " ".join(line.split("|")[1:3]))}
    codes = [(word, f"{path}, {name}") for path, name in CODES
             for word in raw_values(read(f"Sources/{path}.swift"), name)]
    answers = set(re.findall(r'(?:failure|later)\(\s*\d+, "(\w+)"', sources("PenstockServer/**/*.swift")))
    codes += [(word, "an answer of the service") for word in sorted(answers)]
    yield from (f"docs/alarms.md: {word} ({place}) is missing" for word, place in codes if word not in words)
    embedded = re.findall(r'(?:counter|gauge|timer)\("(\w+)"', sources("PenstockMetrics/*.swift"))
    embedded += [f"cursor_{kind}_duration_seconds" for kind in ("begin", "commit", "seek")]
    for name in [*sorted(service_metrics()), *embedded]:
        if f"`{name.removeprefix('penstock_')}`" not in metrics:
            yield f"docs/metrics.md: the metric {name} is missing"


def unknown_metrics():
    """docs/grafana names no metric that the service does not have; test_guides.py asks one that runs."""
    known = service_metrics()
    for path in ("docs/grafana/penstock.json", "docs/grafana/alerts.yaml", "docs/alarms.md"):
        for name in sorted(set(re.findall(r"\bpenstock_[a-z_]+", read(path))) - known):
            yield f"{path}: there is no metric {name} in the service"


# --- names of files

def anchors(text):
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def dead_links():
    """Links from one file of the repository to another lead somewhere."""
    for path in paths("README.md", "Benchmarks/README.md", "docs/**/*.md"):
        for link in re.findall(r"\]\((?![^)\s]*://|mailto:)([^)\s]+)\)", read(path)):
            name, _, anchor = link.partition("#")
            target = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
            if not there_is(target):
                yield f"{path}: {link} leads nowhere"
            elif anchor and target.endswith(".md") and anchor not in anchors(read(target)):
                yield f"{path}: {link}: there is no such heading"


def named_files():
    """Source files that the documents name are there, in whatever folder."""
    known = {os.path.basename(path) for path in paths(
        "Sources/**/*.swift", "Tests/**/*.swift", "Fuzz/**/*.swift", "Package.swift")}
    for path in paths("docs/architecture.md", "docs/internals/*.md"):
        for number, line in enumerate(read(path).splitlines(), 1):
            for name in re.findall(r"`(?:[\w.+-]+/)*([\w+-]+\.swift)`", line):
                if name not in known:
                    yield f"{path}:{number}: there is no {name}"


def incidents():
    """What the third column names; a row that names nothing must say why."""
    known = {patch.name for patch in planted.patches()}
    for path in paths("Tests/**/*.swift", "Fuzz/Tests/**/*.swift"):
        known |= set(re.findall(r"\b(?:struct|class|actor|enum|func) (\w+)", read(path)))
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.M))
    targets |= {f"lab-{name}" for name in re.search(r'^layers="(.*)"', read("scripts/lab"), re.M)[1].split()}
    for number, line in enumerate(read("docs/internals/incidents.md").splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if not line.startswith("| ") or cells == ["what happened", "seen in", "here"]:
            continue
        names = re.findall(r"`([^`]+)`", cells[2]) if len(cells) == 3 else []
        if not names and not (len(cells) == 3 and cells[2].startswith(("not covered: ", "does not apply: "))):
            yield f"docs/internals/incidents.md:{number}: no row of three cells that names a test, or says why none"
        for name in names:
            first, *rest = name.split()
            is_there = (rest[0] in targets if first == "make" and rest else
                        there_is(first, os.path.isfile) if "/" in first else name in known)
            if not is_there:
                yield f"docs/internals/incidents.md:{number}: there is no `{name}`"


def questions():
    """The answers are files that are there, twelve of them."""
    path = "docs/internals/questions.md"
    answers = re.findall(r"^\| \d+ \|.*\| `([^`]+)` \|$", read(path), re.M)
    if len(answers) != 12:
        yield f"{path}: {len(answers)} questions with a file as answer, not twelve"
    yield from (f"{path}: {answer} is not there" for answer in answers
                if not there_is(answer, os.path.isfile))


def mutants():
    """docs/internals/mutants.md is what `scripts/mutants --list --markdown` prints."""
    if read("docs/internals/mutants.md") != planted.table(planted.patches()):
        yield ("docs/internals/mutants.md is not up to date: scripts/mutants --list --markdown "
               ">docs/internals/mutants.md")


HEADINGS = ["Question", "Answer", "Why", "What else was considered", "What follows"]


def decisions():
    """What differs from the template."""
    for path in paths("docs/decisions/*.md")[1:]:
        text, number = read(path), int(os.path.basename(path)[:4])
        if not re.match(rf"# {number}\. \S.*\n\n- Date: \d{{4}}-\d\d-\d\d\n"
                        r"- Status: (?:accepted|superseded by )", text):
            yield f"{path}: it must begin with `# {number}. Title`, `- Date: YYYY-MM-DD` and `- Status: accepted`"
        found = re.findall(r"^#{2,} (.*)$", text, re.M)
        if found != [heading for heading in HEADINGS if heading in found] or found[:2] != HEADINGS[:2]:
            yield f"{path}: its headings are {found}; the template has {HEADINGS}"


# --- promises

GUARANTEES, KEEPERS = "docs/guarantees.md", "docs/internals/guarantee-tests.md"
SUITE = re.compile(r"^(?:@\w+(?:\(.*\))? +)*(?:(?:public|private|fileprivate|final) +)*"
                   r"(?:struct|class|actor|enum|extension) +(\w+)", re.M)
TEST = re.compile(r'@Test\b(?:\(\s*"((?:[^"\\]|\\.)*)")?(?:(?!@Test\b).)*?\bfunc (?:`([^`]+)`|(\w+))', re.S)
PROMISE = re.compile(r"^- \*\*([A-Z]+\d+)\. ", re.M)
SUITES = re.compile(r"`([\w./-]+)` \(((?:“[^”]+”|[^()“])*)\)")  # `Suite` (“title of a test”, `function`)
NAMED = re.compile(r"“([^”]+)”|`([^`]+)`")
FEWEST_BUGS = 10


@functools.cache
def tests_in(text):
    """(suite, test) for each title and function of a test in a Swift file; what is commented out is none."""
    text, tests = re.sub(r"^\s*//.*$", "", text, flags=re.M), set()
    suites = [(found.start(), found[1]) for found in SUITE.finditer(text)]
    for found in TEST.finditer(text):
        suite = next((name for start, name in reversed(suites) if start < found.start(2 if found[2] else 3)), "")
        tests |= {(suite, name) for name in found.groups() if name}
    return tests


def named_tests():
    """The tests of all suites, and those in Tests/EndToEnd."""
    swift = (tests_in(read(path)) for path in paths("Tests/**/*.swift"))
    return set().union(*swift, ((path, function.replace("_", " ")) for path in paths("Tests/EndToEnd/test_*.py")
                                for function in re.findall(r"^def test_(\w+)", read(path), re.M)))


def rows_of(text):
    """(promise, {suite: [test]}, [planted bug], what is not understood) for each row of KEEPERS."""
    for promise, tests, bugs in re.findall(r"^\| ([A-Z]+\d+) \| (.*) \| (.*?) ?\|$", text, re.M):
        suites = {suite: [a or b for a, b in NAMED.findall(names)] for suite, names in SUITES.findall(tests)}
        rest = "".join([SUITES.sub("", tests), *(NAMED.sub("", names) for _, names in SUITES.findall(tests))])
        yield promise, suites, re.findall(r"`([^`]+)`", bugs), rest.strip("; ,")


def promises(deleted=None):
    """What is wrong with the guarantees and their table; with a test less, to see that it is missed."""
    tests, bugs_of_rows = named_tests() - {deleted}, set()
    finders = {patch.name: patch.tests for patch in planted.patches()}
    guarantees, rows = read(GUARANTEES), list(rows_of(read(KEEPERS)))
    known = PROMISE.findall(guarantees)
    yield from (f"{GUARANTEES}: {promise} stands for two promises" for promise in sorted(set(known))
                if known.count(promise) > 1)
    yield from (f"{GUARANTEES}: a promise without an id: {line[:60]}" for line in re.findall(
        r"^- \*\*.*$", guarantees, re.M) if not PROMISE.match(line))
    yield from (f"{KEEPERS}: {promise} has no row" for promise in known if promise not in [row[0] for row in rows])
    for promise, suites, bugs, rest in rows:
        where = f"{KEEPERS}: {promise}"
        if promise not in known:
            yield f"{where} belongs to no promise"
        if rest or not suites or not all(suites.values()):
            yield f"{where} names no test" + (f": {rest}" if rest else "")
        yield from (f"{where}: there is no test “{name}” in {suite}" for suite, names in suites.items()
                    for name in names if (suite, name) not in tests)
        yield from (f"{where}: none of its suites must find a planted bug {bug}" for bug in bugs
                    if not set(finders.get(bug) or []) & set(suites))
        bugs_of_rows |= {promise} if bugs else set()
    if len(bugs_of_rows) < FEWEST_BUGS:
        yield f"{KEEPERS}: {len(bugs_of_rows)} promises name a planted bug, of at least {FEWEST_BUGS}"


def defaults():
    """Those in docs/configure.md and docs/capacity.md are those of the sources."""
    return defaults_lint.problems(read, paths("Sources/**/*.swift"))


RULES = (undocumented, unknown_metrics, dead_links, named_files, decisions, incidents, promises, mutants, questions,
         defaults)

if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        import docs_lint_test
        sys.exit(docs_lint_test.run(sys.modules["__main__"]))
    if len(sys.argv) > 1:
        sys.exit(__doc__.strip())
    found = [problem for rule in RULES for problem in rule()]
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)
