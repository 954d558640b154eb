#!/usr/bin/env python3
"""Keeps what the benches found and writes it down.

usage: scripts/bench-report.py VERB …
  keep NAME       JSON of `penstock-bench NAME --json` on standard input
  keep-allocations FILE N A1 A2 R1 R2
                  counts of appending N and 2 N records, of replaying too; FILE names the machine
  keep-profile    the text of `perf report` on standard input, its symbols demangled
  write           tables into docs/performance.md and docs/internals/performance.md, plots into docs/images/
  print           the table of measured, target and met, for a terminal
  guard FILE ...  JSON of benches made now: 1 when a ratio lost a factor of 1.3 against the kept one
"""
import collections
import datetime
import json
import pathlib
import re
import subprocess
import sys
import textwrap

import environment

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "Benchmarks/results"
BENCHES = ("append commit replay recover tail seal idle memory allocations ingest deliver deliver-memory "
           "isolation fanout single cursors").split()


def load(name):
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def kept():
    return [found for found in map(load, BENCHES) if found]


def kept_rows():
    return [row for found in kept() for row in found["rows"]]


def commit():
    def git(*words):
        return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True).stdout.strip()
    changed = git("status", "--porcelain", "--untracked-files=no", "--", "Sources", "Package.swift")
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + (" with changes" if changed else "")


def keep(name, found=None):
    found = {**(found or json.load(sys.stdin)), "commit": commit(),
             "measuredAt": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}
    # Points and rounds on one line each: a run's changes can be read.
    text = re.sub(r"\[\s+(-?[\d.]+|null),\s+(-?[\d.]+|null)\s+\]", r"[\1, \2]",
                  json.dumps(found, indent=1, ensure_ascii=False))
    (RESULTS / f"{name}.json").write_text(text + "\n")


def keep_profile():
    sums = collections.Counter()
    line = r"^\s*([\d.]+)%\s+(\S+)\s+(?:\[[.k]\]\s+)?(.+?)\s*$"
    for percent, where, symbol in re.findall(line, sys.stdin.read(), re.M):
        # A library without symbols is one line, not one for every address.
        sums[where, "(no symbols: all of it)" if symbol.startswith("0x") else symbol] += float(percent)
    if not sums:
        sys.exit("bench-report.py: no symbols in what perf said")
    keep("profile", {
        "bench": "append --without-probe",
        "top": [{"percent": round(percent, 2), "in": where, "symbol": symbol}
                for (where, symbol), percent in sums.most_common(10)],
        "zstdPercent": round(sum(percent for (where, _), percent in sums.items() if "zstd" in where), 2)})


def keep_allocations(file, records, *counts):
    records, counts, rows = int(records), list(map(int, counts)), []
    for name, measure, (once, twice) in (("append", "allocations per record, streaming append", counts[:2]),
                                         ("replay", "allocations per record, append and replay", counts[2:])):
        found = (twice - once) / records
        # Once for a block of a thousand records or two is allowed, once for a record is not.
        rows.append({
            "id": f"allocations.{name}", "measure": measure, "unit": "allocations", "ours": found, "probe": None,
            "ratio": None, "probeIs": f"nothing; the difference between {2 * records:,} and {records:,} records, "
                                      f"divided by {records:,}",
            "targets": [{"of": "ours", "bound": 0.1, "direction": "atMost"}], "met": found <= 0.1, "note": None,
            "eachRound": [[found, None]]})
    machine = json.loads(pathlib.Path(file).read_text())["machine"]
    keep("allocations", {"bench": "allocations", "rows": rows, "series": [], "machine": machine})


# --- the guard

# A noisy machine moves a ratio by a tenth or two; a lost encoder or a copy of every record by more than this.
LOST = 1.3


def is_better_high(row):
    bounds = {target["direction"] for target in row["targets"] if target["of"] == "ratio"}
    return bounds == {"atLeast"} if bounds else row["unit"].endswith("/s")


def guard(*files):
    """Only medians that are ratios to a probe of the same run count, and not the slowest of few: machines differ,
    ratios hardly."""
    lost = compared = 0
    for found in (json.loads(pathlib.Path(file).read_text()) for file in files):
        made = {row["id"]: row["ratio"] for row in found["rows"]}
        for row in (load(found["bench"]) or {"rows": []})["rows"]:
            before, now = row["ratio"], made.get(row["id"])
            if not before or row["id"].endswith((".p99", ".max")):
                continue
            factor = (before / now if is_better_high(row) else now / before) if now else None
            is_lost = factor is None or factor > LOST
            compared, lost = compared + 1, lost + is_lost
            print(f"{'LOST' if is_lost else 'ok':4}  {row['measure'].strip()}: "
                  + (f"{now:.3f} of the probe, kept {before:.3f}" if now else f"no ratio, kept {before:.3f}"))
    if not compared:
        sys.exit("bench-report.py: no ratio to compare: keep one with scripts/bench first")
    if lost:
        sys.exit(f"bench-report.py: {lost} of {compared} ratios are worse by more than {LOST}; again on a quiet "
                 "machine, then look for the cause")
    print(f"{compared} ratios, none worse by more than {LOST}")


# --- tables

def number(value, form=".3g"):
    return "–" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:{form}}"


# The names of the rows, for readers of a table.
WORDS = {"sealing beside it": "while sealing", "appending beside three": "appending with three",
         " beside them": " with them"}


def measure_words(row):
    return re.sub("|".join(WORDS), lambda found: WORDS[found[0]], row["measure"].strip())


def cells(row):
    """The texts of a row, by their heads."""
    target = ", ".join(f"{'≥' if one['direction'] == 'atLeast' else '≤'} {number(one['bound'], 'g')} "
                       f"{'×' if one['of'] == 'ratio' else row['unit']}" for one in row["targets"])
    return {"measure": ("… " if row["measure"].startswith(" ") else "") + measure_words(row), "target": target,
            "ours": f"{number(row['ours'])} {row['unit']}", "probe": number(row["probe"]),
            "ratio": number(row["ratio"], ".3f"), "of the probe": number(row["ratio"], ".2f"),
            "met": {True: "yes", False: "**no**", None: ""}[row["met"]]}


def wrapped(text):
    return textwrap.fill(text, 120, subsequent_indent="  " if text.startswith("- ") else "", break_long_words=False,
                         break_on_hyphens=False)


def table(heads, rows):
    """In Markdown. A head that begins with > is over figures."""
    yield "| " + " | ".join(head.lstrip(">") for head in heads) + " |"
    yield "|" + "|".join("--:" if head.startswith(">") else "---" for head in heads) + "|"
    yield from ("| " + " | ".join(row) + " |" for row in rows)


def measured(*founds):
    dates = sorted({found["measuredAt"][:10] for found in founds})
    machine = founds[-1]["machine"]
    memory = machine.get("memoryBytes", 0) / 2**30
    return (f"{machine['cores']} cores ({machine.get('processor', '?')}), {memory:.0f} GiB, {machine['kernel']}, "
            f"{machine['fileSystem']}, zstd {machine['zstd']}; {' and '.join(dates)}")


def bench_table():
    founds, rows = kept(), kept_rows()
    commits = ", ".join(sorted({found["commit"] for found in founds}))
    yield wrapped(f"{measured(*founds)}; commit {commits}. Medians; each ratio is the median of the rounds' own.")
    texts = [list(map(cells(row).get, ("measure", "ours", "probe", "ratio", "target", "met"))) for row in rows]
    yield from ("", *table(["measure", ">ours", ">probe", ">ratio", "target", "met"], texts), "", "Against:", "")
    for row in rows:
        if not row["measure"].startswith(" "):
            yield wrapped(f"- *{measure_words(row)}*: {row['probeIs']}" + (f". {row['note']}" if row["note"] else ""))


def summary_table():
    """What has a target, for users: no probes and no inner rows without one."""
    texts = [list(map(cells(row).get, ("measure", "ours", "of the probe", "target", "met"))) for row in kept_rows()
             if row["targets"]]
    return [measured(*kept()) + ".", "", *table(["measure", ">here", ">of the probe", "target", "met"], texts)]


def print_table():
    heads = ["measure", "ours", "probe", "ratio", "target", "met"]
    rows = [heads, *(list(map(cells(row).get, heads)) for row in kept_rows())]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(f"{cell:{'>' if 1 <= column <= 3 else '<'}{widths[column]}}"
                        for column, cell in enumerate(row)).rstrip())


def profile_table():
    found = load("profile")
    yield from (f"{found['zstdPercent']} % of the samples lie in libzstd (commit {found['commit']}).", "")
    rows = [(f"{one['percent']} %", one["in"], f"`{one['symbol']}`") for one in found["top"]]
    yield from table([">share", "in", "symbol"], rows)


def peers_table():
    found, heads = load("peers"), ["who", "clients, batch", ">events/s", ">ack p50", ">ack p99",
                                   "what an acknowledgement means"]
    yield wrapped(f"{measured(found)}; commit {found['commit']}; events of {found['bytesPerEvent']:.0f} bytes on "
                  "average.")
    for title in dict.fromkeys(row["group"] for row in found["rows"]):
        rows = [(row["who"], row["shape"], number(row["eventsPerSecond"], ",.0f"),
                 *(f"{number(row[key], ',.0f')} µs".replace("– µs", "–") for key in ("p50", "p99")), row["durable"])
                for row in sorted(found["rows"], key=lambda row: -(row["eventsPerSecond"] or 0))
                if row["group"] == title]
        yield from ("", f"**{title}**", "", *table(heads, rows))
    yield from ("", *(wrapped(f"- {note}") for note in found.get("notes", [])))


def put(path, mark, is_there, lines):
    """Replaces what is between the marks of a page."""
    page = (ROOT / path).read_text()
    place = re.compile(rf"(?<=<!-- {mark}:begin -->\n).*?(?=\n<!-- {mark}:end -->)", re.S)
    if not place.search(page):
        sys.exit(f"bench-report.py: {path} has no <!-- {mark}:begin --> … <!-- {mark}:end -->")
    (ROOT / path).write_text(place.sub(lambda _: "\n".join(lines()) if is_there else "Not measured yet.", page))


# --- plots

def plot(file, title, x_label, y_label, *plots, log_x=True, ticks=True):
    """One chart, of the series that were measured. Without `ticks`, points are (share of all, µs) and drawn as a
    cumulative distribution."""
    series = [one for found in kept() for one in found.get("series", []) if one["plot"] in plots and one["points"]]
    if not series:
        return
    from matplotlib import pyplot, ticker
    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "penstock", "font.family": "sans-serif"})
    chart, axes = pyplot.subplots(figsize=(7.2, 4), layout="constrained")
    values = set()
    for one in series:
        x, y = zip(*(point for point in one["points"] if point[1] is not None))
        axes.plot(*((x, y) if ticks else (y, x)), label=one["name"], marker="o" if ticks else "")
        values.update(x)
    axes.set(xlabel=x_label, ylabel=y_label, ylim=(0, None), xscale="log" if log_x else "linear")
    axes.set_title(title, loc="left", fontweight="bold")
    axes.yaxis.set_major_formatter(ticker.EngFormatter() if ticks else ticker.PercentFormatter(1))
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_major_locator(ticker.FixedLocator(sorted(values)) if ticks else ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.grid(alpha=0.4)
    chart.legend(loc="outside lower left", ncols=2, frameon=False)
    chart.savefig(ROOT / "docs/images" / file, metadata={"Date": None})


def write():
    environment.enter()
    rate = "durable events/s"
    plot("append-batch.svg", "Streaming append by batch size", "events appended at once", rate, "append-batch")
    plot("append-producers.svg", "Append by number of producers", "producers", rate, "append-producers",
         "commit-producers")
    plot("append-threads.svg", "Streaming append and what the probe reaches", "compressing threads", rate,
         "append-threads", log_x=False)
    plot("commit-latency.svg", "Time to durable, distribution", "µs", "share of appends", "commit-latency", ticks=False)
    plot("tail-latency.svg", "From durable to a tailing reader, distribution", "µs", "share of records", "tail-latency",
         ticks=False)
    plot("fanout.svg", "Processor time of one log's deliveries by number of webhooks", "webhooks",
         "processor time, s", "fanout-processor")
    page = "docs/internals/performance.md"
    put(page, "bench", kept(), bench_table)
    put(page, "profile", load("profile"), profile_table)
    put(page, "peers", load("peers"), peers_table)
    put("docs/performance.md", "summary", kept(), summary_table)


VERBS = {"keep": (keep, 1), "keep-allocations": (keep_allocations, 6), "keep-profile": (keep_profile, 0),
         "write": (write, 0), "print": (print_table, 0), "guard": (guard, None)}

if __name__ == "__main__":
    work, count = VERBS.get((sys.argv + [""])[1], (None, 0))
    if not work or len(sys.argv) - 2 != (max(1, len(sys.argv) - 2) if count is None else count):
        sys.exit(__doc__.strip())
    work(*sys.argv[2:])
