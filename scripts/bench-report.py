#!/usr/bin/env python3
"""Keeps what the benches found and writes it down.

usage: scripts/bench-report.py keep NAME      JSON of `penstock-bench NAME --json` on standard input
       scripts/bench-report.py keep-allocations FILE N A1 A2 R1 R2
                                              counts of appending N and 2 N records, of replaying too; FILE names the machine
       scripts/bench-report.py keep-profile   the text of `perf report` on standard input
       scripts/bench-report.py write          tables into docs/performance.md and docs/internals/performance.md, plots into
                                              docs/images/
       scripts/bench-report.py print          the table of measured, target and met, for a terminal
       scripts/bench-report.py guard FILE ... JSON of benches made now: 1 when a ratio lost a factor of 1.3 against the kept one
"""
import datetime, html, json, math, os, re, subprocess, sys, textwrap

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = os.path.join(ROOT, "Benchmarks", "results")
PAGE = os.path.join(ROOT, "docs", "internals", "performance.md")
SUMMARY = os.path.join(ROOT, "docs", "performance.md")
IMAGES = os.path.join(ROOT, "docs", "images")
BENCHES = ("append", "commit", "replay", "recover", "tail", "seal", "idle", "memory", "allocations", "ingest", "deliver",
           "deliver-memory", "isolation")


def path_of(name):
    return os.path.join(RESULTS, name + ".json")


def load(name):
    try:
        with open(path_of(name), encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def commit():
    run = lambda *words: subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True)
    name = run("rev-parse", "--short=12", "HEAD").stdout.strip() or "unknown"
    changed = run("status", "--porcelain", "--untracked-files=no", "--", "Sources", "Package.swift").stdout.strip()
    return name + (" with changes" if changed else "")


def keep(name, found):
    found["commit"] = commit()
    found["measuredAt"] = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    os.makedirs(RESULTS, exist_ok=True)
    with open(path_of(name), "w", encoding="utf-8") as file:
        # Points and rounds on one line each: a run's changes can be read.
        text = json.dumps(found, indent=1, ensure_ascii=False)
        text = re.sub(r"\[\s+(-?[\d.]+|null),\s+(-?[\d.]+|null)\s+\]", r"[\1, \2]", text)
        file.write(text + "\n")


def keep_profile(text):
    sums = {}
    for line in text.splitlines():
        found = re.match(r"\s*([\d.]+)%\s+(\S+)\s+(?:\[[.k]\]\s+)?(.+?)\s*$", line)
        if found:
            # A library without symbols is one line, not one for every address.
            symbol = "(no symbols: all of it)" if found[3].startswith("0x") else found[3]
            sums[found[2], symbol] = sums.get((found[2], symbol), 0) + float(found[1])
    if not sums:
        sys.exit("bench-report.py: no symbols in what perf said")
    dearest = sorted(sums.items(), key=lambda entry: -entry[1])
    symbols = [{"percent": round(percent, 2), "in": where, "symbol": symbol} for (where, symbol), percent in dearest]
    for entry in symbols[:10]:
        entry["symbol"] = readable(entry["symbol"])
    keep("profile", {"bench": "append --without-probe", "top": symbols[:10],
                     "zstdPercent": round(sum(s["percent"] for s in symbols if "zstd" in s["in"]), 2)})


def keep_allocations(file, records, counts):
    with open(file, encoding="utf-8") as text:
        machine = json.load(text)["machine"]
    rows = []
    for name, measure, (once, twice) in (("append", "allocations per record, streaming append", counts[:2]),
                                         ("replay", "allocations per record, append and replay", counts[2:])):
        found = (twice - once) / records
        # Once for a block of a thousand records or two is allowed, once for a record is not.
        rows.append({
            "id": f"allocations.{name}", "measure": measure, "unit": "allocations", "ours": found, "probe": None, "ratio": None,
            "probeIs": f"nothing; the difference between {2 * records:,} and {records:,} records, divided by {records:,}",
            "targets": [{"of": "ours", "bound": 0.1, "direction": "atMost"}], "met": found <= 0.1, "note": None,
            "eachRound": [[found, None]]})
    keep("allocations", {"bench": "allocations", "rows": rows, "series": [], "machine": machine})


def readable(symbol):
    if not symbol.startswith("$s"):
        return symbol
    try:
        shown = subprocess.run(["swift", "demangle", "--compact", "--simplified", symbol], capture_output=True, text=True)
        return shown.stdout.strip() or symbol
    except OSError:
        return symbol


# --- the guard

# A noisy machine moves a ratio by a tenth or two; a lost encoder or a copy of every record by more than this.
LOST = 1.3


def is_better_high(row):
    bounds = {target["direction"] for target in row["targets"] if target["of"] == "ratio"}
    return bounds == {"atLeast"} if bounds else row["unit"].endswith("/s")


def guard(files):
    """Only medians that are ratios to a probe of the same run count, and not the slowest of few: machines differ, ratios hardly."""
    lost = compared = 0
    for file in files:
        with open(file, encoding="utf-8") as text:
            found = json.load(text)
        made = {row["id"]: row for row in found["rows"]}
        for kept in (load(found["bench"]) or {"rows": []})["rows"]:
            before = kept["ratio"]
            if not before or kept["id"].endswith((".p99", ".max")):
                continue
            row = made.get(kept["id"])
            compared += 1
            if not row or not row["ratio"]:
                lost += 1
                print(f"LOST  {kept['measure'].strip()}: no ratio, kept {before:.3f}")
                continue
            factor = before / row["ratio"] if is_better_high(row) else row["ratio"] / before
            lost += factor > LOST
            print(f"{'LOST' if factor > LOST else 'ok':4}  {row['measure'].strip()}: {row['ratio']:.3f} of the probe, kept {before:.3f}")
    if not compared:
        sys.exit("bench-report.py: no ratio to compare: keep one with scripts/bench first")
    if lost:
        sys.exit(f"bench-report.py: {lost} of {compared} ratios are worse by more than {LOST}; again on a quiet machine, then look for the cause")
    print(f"{compared} ratios, none worse by more than {LOST}")


# --- tables

def figure(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def target_words(target, unit):
    number = f"{target['bound']:,.0f}" if target["bound"] >= 1000 else f"{target['bound']:g}"
    return ("≥ " if target["direction"] == "atLeast" else "≤ ") + number + (" ×" if target["of"] == "ratio" else f" {unit}")


# The names of the rows, for readers of a table.
WORDS = (("sealing beside it", "while sealing"), ("appending beside three", "appending with three"), (" beside them", " with them"))


def measure_words(row):
    words = row["measure"].strip()
    for old, new in WORDS:
        words = words.replace(old, new)
    return words


def wrapped(text):
    return textwrap.fill(text, 120, subsequent_indent="  " if text.startswith("- ") else "", break_long_words=False,
                         break_on_hyphens=False)


def bench_table():
    lines = ["| measure | ours | probe | ratio | target | met |", "|---|--:|--:|--:|---|---|"]
    probes, described = [], None
    for name in BENCHES:
        found = load(name)
        if not found:
            continue
        described = found
        for row in found["rows"]:
            inner = row["measure"].startswith(" ")
            ratio = "–" if row["ratio"] is None else f"{row['ratio']:.3f}"
            met = {True: "yes", False: "**no**", None: ""}[row["met"]]
            targets = ", ".join(target_words(t, row["unit"]) for t in row["targets"])
            measure = ("… " if inner else "") + measure_words(row)
            lines.append(f"| {measure} | {figure(row['ours'])} {row['unit']} | {figure(row['probe'])} | {ratio} | {targets} | {met} |")
            if not inner:
                probes.append(wrapped(f"- *{measure_words(row)}*: {row['probeIs']}" + (f". {row['note']}" if row["note"] else "")))
    if not described:
        return "Nothing is measured yet; run `make bench`."
    dates = sorted({load(n)["measuredAt"][:10] for n in BENCHES if load(n)})
    commits = sorted({load(n)["commit"] for n in BENCHES if load(n)})
    return "\n".join([
        wrapped(f"{machine_words(described['machine'])}; {' and '.join(dates)}; commit {', '.join(commits)}. Medians; each ratio "
                "is the median of the rounds' own."), "", *lines, "", "Against:", "", *probes])


def summary_table():
    """What has a target, for users: no probes and no inner rows without one."""
    lines = ["| measure | here | of the probe | target | met |", "|---|--:|--:|---|---|"]
    found = [(name, load(name)) for name in BENCHES if load(name)]
    if not found:
        return "Nothing is measured yet; run `make bench`."
    for row in (row for _, one in found for row in one["rows"]):
        if not row["targets"]:
            continue
        ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f}"
        targets = ", ".join(target_words(t, row["unit"]) for t in row["targets"])
        measure = ("… " if row["measure"].startswith(" ") else "") + measure_words(row)
        lines.append(f"| {measure} | {figure(row['ours'])} {row['unit']} | {ratio} | {targets} | {'yes' if row['met'] else '**no**'} |")
    dates = sorted({one["measuredAt"][:10] for _, one in found})
    return "\n".join([f"{machine_words(found[-1][1]['machine'])}; {' and '.join(dates)}.", "", *lines])


def machine_words(machine):
    memory = machine.get("memoryBytes", 0) / 2**30
    return (f"{machine['cores']} cores ({machine.get('processor', '?')}), {memory:.0f} GiB, {machine['kernel']}, "
            f"{machine['fileSystem']}, zstd {machine['zstd']}")


def print_table():
    rows = [["measure", "ours", "probe", "ratio", "target", "met"]]
    for row in (row for name in BENCHES for row in (load(name) or {"rows": []})["rows"]):
        rows.append([
            row["measure"], f"{figure(row['ours'])} {row['unit']}", figure(row["probe"]),
            "–" if row["ratio"] is None else f"{row['ratio']:.3f}",
            ", ".join(target_words(t, row["unit"]) for t in row["targets"]), {True: "yes", False: "NO", None: ""}[row["met"]]])
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for row in rows:
        print("  ".join(cell.rjust(width) if 1 <= column <= 3 else cell.ljust(width)
                        for column, (cell, width) in enumerate(zip(row, widths))).rstrip())


def profile_table():
    found = load("profile")
    if not found:
        return "Not recorded yet."
    lines = [f"{found['zstdPercent']} % of the samples lie in libzstd (commit {found['commit']}).", "",
             "| share | in | symbol |", "|--:|---|---|"]
    return "\n".join(lines + [f"| {s['percent']} % | {s['in']} | `{s['symbol']}` |" for s in found["top"]])


def peers_table():
    found = load("peers")
    if not found:
        return "Not measured yet; run `Benchmarks/peers/run`."
    lines = [wrapped(f"{machine_words(found['machine'])}; {found['measuredAt'][:10]}; commit {found['commit']}; events of "
                     f"{found['bytesPerEvent']:.0f} bytes on average."), ""]
    for title in dict.fromkeys(row["group"] for row in found["rows"]):
        rows = sorted((r for r in found["rows"] if r["group"] == title), key=lambda r: -(r["eventsPerSecond"] or 0))
        lines += [f"**{title}**", "", "| who | clients, batch | events/s | ack p50 | ack p99 | what an acknowledgement means |",
                  "|---|---|--:|--:|--:|---|"]
        micro = lambda value: "–" if value is None else f"{value:,.0f} µs"
        for row in rows:
            rate = "–" if row["eventsPerSecond"] is None else f"{row['eventsPerSecond']:,.0f}"
            lines.append(f"| {row['who']} | {row['shape']} | {rate} | {micro(row['p50'])} | {micro(row['p99'])} | {row['durable']} |")
        lines.append("")
    return "\n".join(lines + [wrapped(f"- {note}") for note in found.get("notes", [])]).rstrip()


def put(path, texts):
    """Replaces what is between the marks of a page."""
    with open(path, encoding="utf-8") as file:
        page = file.read()
    for mark, text in texts:
        begin, end = f"<!-- {mark}:begin -->", f"<!-- {mark}:end -->"
        if begin not in page or end not in page:
            sys.exit(f"bench-report.py: {path} has no {begin} … {end}")
        page = page[:page.index(begin) + len(begin)] + "\n" + text + "\n" + page[page.index(end):]
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)


# --- plots

COLORS = ("#1f6feb", "#d9480f", "#2b8a3e", "#862e9c", "#5c5f66")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 380, 78, 30, 44, 88


def short(value):
    if 1000 <= value < 10_000:
        return f"{value:,.0f}"
    for bound, suffix in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= bound:
            return f"{value / bound:g}{suffix}"
    return f"{value:g}"


def steps(low, high):
    """Round numbers over the range of a linear axis."""
    raw = (high - low) / 5 or 1
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    return [round(step * i, 10) for i in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def decades(low, high):
    return [m * 10 ** e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) for m in (1, 2, 5)
            if low * 0.999 <= m * 10 ** e <= high * 1.001]


def plot(file, title, series, x_label, y_label, log_x=True, ticks=None, share=False):
    """One chart. With `share`, points are (share of all, µs) and drawn as a cumulative distribution."""
    series = [(s["name"], [(b, a) if share else (a, b) for a, b in s["points"] if b is not None]) for s in series]
    every = [point for _, points in series for point in points]
    if not every:
        return
    x_low, x_high = min(p[0] for p in every), max(p[0] for p in every)
    if x_low == x_high:
        x_low, x_high = x_low * 0.5, x_high * 2
    y_high = 1.0 if share else max(p[1] for p in every) * 1.08
    scale = (lambda v: math.log10(max(v, 1e-9))) if log_x else (lambda v: v)
    x_of = lambda v: LEFT + (scale(v) - scale(x_low)) / (scale(x_high) - scale(x_low)) * (WIDTH - LEFT - RIGHT)
    y_of = lambda v: HEIGHT - BOTTOM - v / y_high * (HEIGHT - TOP - BOTTOM)
    text = lambda x, y, words, anchor="middle", more="": \
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{html.escape(words)}</text>'
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
           f'font-family="system-ui, sans-serif" font-size="12" fill="#222" role="img" aria-label="{html.escape(title)}">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
           text(LEFT, 22, title, "start", ' font-size="15" font-weight="600"')]
    for value in ([0, .25, .5, .75, .9, .99] if share else steps(0, y_high)):
        y = y_of(value)
        out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>')
        if not share or value != .99:
            out.append(text(LEFT - 8, y + 4, f"{value:.0%}" if share else short(value), "end"))
    last = -99.0
    for value in ticks or (decades(x_low, x_high) if log_x else steps(x_low, x_high)):
        x = x_of(value)
        out.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#eee"/>')
        if x - last >= 34:
            out.append(text(x, HEIGHT - BOTTOM + 18, short(value)))
            last = x
    out.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 38, x_label))
    out.append(text(18, (TOP + HEIGHT - BOTTOM) / 2, y_label,
                    more=f' transform="rotate(-90 18 {(TOP + HEIGHT - BOTTOM) / 2:.0f})"'))
    for index, (name, points) in enumerate(series):
        color = COLORS[index % len(COLORS)]
        line = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        if not share:
            out += [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3" fill="{color}"/>' for x, y in points]
        x, y = LEFT + (index % 2) * 310, HEIGHT - 28 + index // 2 * 17
        out.append(f'<line x1="{x}" y1="{y - 4}" x2="{x + 22}" y2="{y - 4}" stroke="{color}" stroke-width="3"/>')
        out.append(text(x + 28, y, name, "start"))
    os.makedirs(IMAGES, exist_ok=True)
    with open(os.path.join(IMAGES, file), "w", encoding="utf-8") as target:
        target.write("\n".join(out) + "\n</svg>\n")


def plots():
    every = [s for name in BENCHES for s in (load(name) or {}).get("series", [])]
    of = lambda *names: [s for s in every if s["plot"] in names]
    ticks = lambda chosen: sorted({p[0] for s in chosen for p in s["points"]})
    rate = "durable events/s"
    by_batch, by_producers, by_threads = of("append-batch"), of("append-producers", "commit-producers"), of("append-threads")
    plot("append-batch.svg", "Streaming append by batch size", by_batch, "events appended at once", rate, ticks=ticks(by_batch))
    plot("append-producers.svg", "Append by number of producers", by_producers, "producers", rate, ticks=ticks(by_producers))
    plot("append-threads.svg", "Streaming append and what the probe reaches", by_threads, "compressing threads", rate,
         log_x=False, ticks=ticks(by_threads))
    plot("commit-latency.svg", "Time to durable, distribution", of("commit-latency"), "µs", "share of appends", share=True)
    plot("tail-latency.svg", "From durable to a tailing reader, distribution", of("tail-latency"), "µs", "share of records",
         share=True)


def write():
    plots()
    put(PAGE, (("bench", bench_table()), ("profile", profile_table()), ("peers", peers_table())))
    put(SUMMARY, [("summary", summary_table())])


if __name__ == "__main__":
    if sys.argv[1:2] == ["keep"] and len(sys.argv) == 3:
        keep(sys.argv[2], json.load(sys.stdin))
    elif sys.argv[1:2] == ["keep-allocations"] and len(sys.argv) == 8:
        keep_allocations(sys.argv[2], int(sys.argv[3]), [int(count) for count in sys.argv[4:]])
    elif sys.argv[1:] == ["keep-profile"]:
        keep_profile(sys.stdin.read())
    elif sys.argv[1:2] == ["guard"] and len(sys.argv) > 2:
        guard(sys.argv[2:])
    elif sys.argv[1:] == ["write"]:
        write()
    elif sys.argv[1:] == ["print"]:
        print_table()
    else:
        sys.exit(__doc__.strip())
