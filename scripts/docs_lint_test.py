"""Violations of the rules in docs-lint.py, planted one by one in a text or a source. Each must be found."""
import re

FAILURES = "Tests/PenstockLogTests/Append/LogFailureTests.swift"
TITLE = "nothing is seen before it is on stable storage"
GUARANTEES, KEEPERS = "docs/guarantees.md", "docs/internals/guarantee-tests.md"
BUG = r"^(\| L\d+ \|.*\| )`[\w-]+`"
CONFIGURE, SEGMENT = "docs/configure.md", r"^(\| `log\.segmentSize`.*?)"
DECISION, INCIDENTS = "docs/decisions/0001-line-feeds-in-every-payload.md", "docs/internals/incidents.md"
# Rule, what, path, what is replaced by what, and words that one new finding must have. Without words, nothing is found.
PLANTED = [
    ("promises", "an id without a row", KEEPERS, r"^\| L1 \|.*\n", "", "L1 has no row"),
    ("promises", "a row without an id", KEEPERS, r"^\| L1( \|.*\n)", r"\g<0>| L99\1", "L99 belongs"),
    ("promises", "an id that stands twice", GUARANTEES, r"\Z", "\n- **L1. Again.** It is.\n", "L1 stands for two"),
    ("promises", "a promise without an id", GUARANTEES, r"^- \*\*L1\. ", "- **", "without an id"),
    ("promises", "a row that names no test", KEEPERS, r"^\| L1 \|.*", "| L1 | by hand | |", "L1 names no test"),
    ("promises", "a suite without a test", KEEPERS, r"^(\| L1 \|.*?); `", r"\1; `ATests`; `", "L1 names no test"),
    ("promises", "a test that was renamed in its source", FAILURES, f"`{TITLE}`", f"`{TITLE}, now`", TITLE),
    ("promises", "a test that was commented out", FAILURES, f"@Test func `{TITLE}", f"//@Test func `{TITLE}", TITLE),
    ("promises", "a planted bug that is gone", KEEPERS, BUG, r"\1`no-such-bug`", "no-such-bug"),
    ("promises", "a planted bug that another suite finds", KEEPERS, BUG, r"\1`intent-after-delivery`",
     "must find a planted bug intent-after-delivery"),
    ("promises", "too few planted bugs", KEEPERS, r"\| `[\w-]+`[^|]*\|$", "| |", "of at least"),
    ("defaults", "a wrong default", CONFIGURE, SEGMENT + "`64MiB`", r"\1`32MiB`", "log.segmentSize", "segmentBytes "),
    ("defaults", "a wrong limit", CONFIGURE, SEGMENT + "`4GiB`", r"\1`8GiB`", "log.segmentSize", "segmentBytes..."),
    ("defaults", "a wrong word", CONFIGURE, r"^(\| `log.whenFull` \| )`fail`", r"\1`wait`", "log.whenFull", "whenFull"),
    ("defaults", "a number in a row's text", CONFIGURE, SEGMENT + "one segment", r"\g<1>2 segments", "log.segmentSize",
     "no rule"),
    ("defaults", "a new row", CONFIGURE, r"^(\| `log\.)segmentSize(`.*\n)", r"\g<0>\1newKey\2", "log.newKey",
     "name the constant"),
    ("defaults", "a row that is gone", CONFIGURE, SEGMENT + r"\n", "", "has no row log.segmentSize"),
    ("defaults", "a changed constant", "LogConfiguration.swift", "segmentBytes = 64 <<", "segmentBytes = 32 <<",
     "log.segmentSize"),
    ("defaults", "a changed limit", "DeliverySettings.swift", r"1\.\.\.10_000", "1...1_000", "attempts..."),
    ("defaults", "a renamed constant", "OpenFileNeed.swift", "let base", "let basis", "there is no base"),
    ("named_files", "a file that is not there", "docs/architecture.md", r"\Z", "`NoSuch.swift`\n", "no NoSuch.swift"),
    ("named_files", "another, in a folder", "docs/architecture.md", r"\Z", "`No/Such.swift`\n", "no Such.swift"),
    ("named_files", "(innocent) one that is there", "docs/architecture.md", r"\Z", "`Package.swift`\n"),
    *(("decisions", f"{new or 'no question'} in a decision", DECISION, old, new, "0001-") for old, new in (
        (r"^# 1\.", "# 2."), (r"^- Date: .*", "- Date: 2026"), ("accepted", "maybe"), ("## Answer", "## Decision"),
        ("## Question\n\n", ""))),
    *(("incidents", f"an incident with {cell}", INCIDENTS, r"\Z", f"| it broke | X #1 | {cell} |\n", words or cell)
      for cell, words in (("`no-such-bug`", ""), ("`NoSuchTests`", ""), ("`scripts/no-such`", ""),
                          ("`make no-such`", ""), ("in our tests", "three cells"))),
    ("incidents", "(innocent) what is there", INCIDENTS, r"\Z", "| it broke | X #1 | `commit-without-sync`; "
     "`LogCrashTests`, `scripts/lint`, `make lab-sim` |\n| a | b | not covered: c |\n")]


def run(lint):
    """How many are missed; prints a line for each."""
    clean, failures = {rule: set(getattr(lint, rule)()) for rule in {each[0] for each in PLANTED}}, 0

    def is_found(rule, what, path, old, new, *words):
        path = next(iter(lint.paths(f"Sources/**/{path}"))) if "/" not in path else path
        before = lint.read(path)
        lint.TEXTS[path] = re.sub(old, new, before, flags=re.M)
        found = set(getattr(lint, rule)()) - clean[rule]
        is_good = lint.TEXTS[path] != before and (
            any(all(word in line for word in words) for line in found) if words else not found)
        lint.TEXTS[path] = before
        return is_good or print(f"MISSED {what}: {sorted(found)}")

    def all_of(what, checks):
        nonlocal failures
        checks = list(checks)
        failures += checks.count(None) + checks.count(False) + (not checks)
        print(f"{'found ' if checks and all(checks) else 'MISSED'} {what}")

    for each in PLANTED:
        all_of(each[1], [is_found(*each)])
    written = lint.tests_in(
        '@Suite(.a("b")) struct A {\n  @Test("a title", arguments: [1])\n  func f(_ a: Int) {}\n  func helper() {}\n'
        '  @Test func `a name`() {}\n}\nextension B {\n  @Test(\n    "split") func g() {}\n}\n')
    all_of("each way to write a test", [written == {
        ("A", "a title"), ("A", "f"), ("A", "a name"), ("B", "split"), ("B", "g")}])
    rows = lint.rows_of(lint.read(KEEPERS))
    named = {(suite, name) for _, suites, _, _ in rows for suite, names in suites.items() for name in names}
    all_of(f"each of {len(named)} named tests, deleted", (
        any(test[1] in line for line in set(lint.promises(test)) - clean["promises"]) for test in sorted(named)))
    rows = [line for line in lint.read(CONFIGURE).splitlines()
            if re.match(r"\| `", line) and re.search(r"\| `?\d+(?![\d.]*\.\d+\.)", line)]
    all_of(f"a wrong number in each of {len(rows)} rows", (is_found(
        "defaults", row, CONFIGURE, f"^{re.escape(row)}$", re.sub(r"(\| `?)(\d)", r"\g<1>7\2", row, count=1), "says")
        for row in rows))
    return failures
