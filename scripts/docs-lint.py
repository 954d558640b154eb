#!/usr/bin/env python3
"""Holds the documentation against the sources. Prints what is missing and exits 1 when anything is.

usage: docs-lint.py

- Every error code, kind of trouble and metric in the sources is in docs/alarms.md or docs/operating.md.
- The dashboard and the rules in docs/grafana name no metric that the service does not have (scripts/test-guides asks one that runs).
- Links from one file of the repository to another lead somewhere.
"""
import glob
import os
import re
import sys

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
    log = read("Sources/PenstockLog/LogError.swift")
    for word in raw_values(log, "Value"):
        yield word, "LogError.Code"
    for word in raw_values(read("Sources/PenstockDelivery/DeliveryTrouble.swift"), "Kind"):
        yield word, "DeliveryTrouble.Kind"
    for word in raw_values(read("Sources/PenstockDelivery/ReplayDecision.swift"), "Code"):
        yield word, "ReplayError.Code"
    for word in raw_values(read("Sources/PenstockEvents/EventError.swift"), "Code"):
        yield word, "EventError.Code"
    for word in sorted(set(re.findall(r'(?:failure|later)\(\s*\d+, "(\w+)"', sources("PenstockServer/**/*.swift")))):
        yield word, "an answer of the service"
    for word in raw_values(read("Sources/PenstockDelivery/Lag.swift"), "LagHealth"):
        yield word, "LagHealth"


def service_metrics():
    text = sources("PenstockServer/**/*.swift")
    found = set(re.findall(r'"(penstock_[a-z_]*[a-z])"', text))
    metrics = read("Sources/PenstockServer/HTTP/ServiceMetrics.swift")
    ingest = metrics[metrics.index("func addIngest"):metrics.index("func addLog")]
    found |= {f"penstock_ingest_{name}_total" for name in re.findall(r'\("(\w+)", "', ingest)}
    found |= {f"penstock_delivery_{name}" for name in re.findall(r'(?<!\.)\badd\("(\w+)", "(?:counter|gauge)"', metrics)}
    return found


def embedded_metrics():
    text = sources("PenstockMetrics/*.swift")
    for name in re.findall(r'(?:counter|gauge|timer)\("(\w+)"', text):
        yield name
    yield from (f"cursor_{kind}_duration_seconds" for kind in ("begin", "commit", "seek"))


def explained(text):
    """What a table has in its first two cells, or one of the two lists in running text; a mention elsewhere explains nothing."""
    for line in text.splitlines():
        place = " ".join(line.split("|")[1:3]) if line.startswith("|") else line
        if line.startswith(("|", "Health, ", "Why a record is no event", "`invalid_number`")):
            yield from re.findall(r"`(\w+)`", place)


def undocumented():
    alarms, operating = read("docs/alarms.md"), read("docs/operating.md")
    words = set(explained(alarms))
    for word, place in codes():
        if word not in words:
            yield f"docs/alarms.md: {word} ({place}) is missing"
    for name in sorted(service_metrics()):
        if f"`{name.removeprefix('penstock_')}`" not in operating:
            yield f"docs/operating.md: the service's metric {name} is missing"
    for name in embedded_metrics():
        if f"`{name}`" not in operating:
            yield f"docs/operating.md: the metric {name} of PenstockMetrics is missing"


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


def main():
    if len(sys.argv) > 1:
        sys.exit(__doc__.strip())
    found = [*undocumented(), *unknown_metrics(), *dead_links()]
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
