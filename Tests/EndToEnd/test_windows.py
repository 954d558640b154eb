"""Windows of event times: what the command line and the service give, against a scan of the same lines."""
import decimal
import json
import os
import random
import urllib.parse

import pytest
from room import until

SEED = int(os.environ.get("WINDOWS_SEED", "11"))
EVENTS, WINDOWS = int(os.environ.get("WINDOWS_EVENTS", "2500")), int(os.environ.get("WINDOWS", "6"))
START = 1_700_000_000


def time_of(line):
    """The event time in nanoseconds, by another parser than penstock's; None where none can be read."""
    try:
        exact = {"parse_float": decimal.Decimal, "parse_int": decimal.Decimal}
        pairs = json.loads(line, object_pairs_hook=lambda pairs: pairs, **exact)
    except ValueError:
        return None
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        return None
    times = [value for key, value in pairs if key == "ts"]
    if len(times) != 1 or not isinstance(times[0], decimal.Decimal):
        return None
    return int(times[0] * 10**9)


def lines_in_disorder(chance):
    """Late ones, duplicates, outliers of the past and the future, and some without a time."""
    lines = []
    for number in range(EVENTS):
        moment = START + number * 3 - chance.randrange(400)
        kind = chance.randrange(100)
        if kind < 2:
            moment = (4_000_000_000, 7)[kind]
        elif kind < 6 and lines:
            lines.append(chance.choice(lines[-30:]))
            continue
        ts = f"{moment}.{chance.randrange(1000):03}"
        line = json.dumps({"n": number, "pad": "x" * chance.randrange(60)})[:-1]
        lines.append(line + (f', "ts": {ts}}}' if kind > 7 else "}"))
    return lines


def odd_lines(number):
    moment = START + 50
    return ["not an event", f'{{"n":{number},"ts":{moment},"ts":{moment}}}', f'{{"n":{number},"ts":"{moment}"}}',
            f'{{"n":{number},"ts":{moment + number}}}', f'[{number}]',
            f'{{"in":{{"ts":{moment}}},"ts":{START + number}.5e0}}']


def text_of(lines):
    return "".join(line + "\n" for line in lines)


def ndjson(text):
    """Rows as the service gives them: what is no JSON comes as text in an object."""
    return text_of(line if line != "not an event" else '{"recordText":"not an event"}' for line in text.splitlines())


def place(nanoseconds):
    return f"event:@{nanoseconds // 10**9}.{nanoseconds % 10**9:09}"


def build(room, chance):
    """Appends lines in several ways, in small segments; returns all of them in the log's order."""
    room.configure(segmentSize="64KiB", sealing="off")
    lines, start, appended = lines_in_disorder(chance), 0, []
    while start < EVENTS:
        end = start + chance.randrange(1, 900)
        part, options = lines[start:end], ""
        if chance.randrange(3) == 0:
            part, options = part + odd_lines(start), "--no-validate"
        room.append(text_of(part).encode(), f"--config c.yaml {options} --batch {chance.randrange(1, 80)}")
        appended += part
        start = end
    return appended


def pages(service, limit, **query):
    """All pages of a window."""
    text, page = "", {}
    while True:
        answer = service.ask("GET", "/v1/events?" + urllib.parse.urlencode({**query, **page, "limit": limit}))
        assert answer.status_code == 200, answer.text
        text += answer.text
        if answer.headers["Penstock-First"] == answer.headers["Penstock-End"]:
            return text
        page = {"page": answer.headers["Penstock-End"]}


def check(room, lines, chance, name, service):
    times = [moment for moment in map(time_of, lines) if moment is not None]
    found = set()
    for number in range(WINDOWS):
        shifts = (-1, 0, 1, 60 * 10**9, 900 * 10**9)
        start, end = sorted(max(0, chance.choice(times) + chance.choice(shifts)) for _ in range(2))
        untimed = chance.choice(("skip", "include"))
        rows = text_of(line for line in lines if (
            untimed == "include" if time_of(line) is None else start <= time_of(line) < end))
        count = rows.count("\n")
        found.add(count)
        what = f"WINDOWS_SEED={SEED}, {name}, window {number}: {place(start)} up to {place(end)}, {untimed}"
        assert room(f"tail --log L --from {place(start)} --to {place(end)} --untimed {untimed}").text == rows, what
        replay = (f"replay --log L --file {name}{number} --id {name}{number} --untimed {untimed} --from {place(start)} "
                  f"--until {place(end)}")
        dry = room.json(f"{replay} --dry-run")
        assert dry["events"] == count, what
        said = room.json(replay)
        file = room.read(f"{name}{number}").decode() if rows else ""
        assert said["events"] == count and file == rows, what
        assert said["untimed"] == dry["untimed"], what
        query = {"from": place(start), "to": place(end), "untimed": untimed}
        assert pages(service, chance.randrange(50, 3000), **query) == ndjson(rows), what
        answer = service.ask("POST", "/v1/replays", {"destination": "dir", "dryRun": True, **query})
        assert answer.status_code == 200 and answer.json()["events"] == count, what
    assert len(found) > min(WINDOWS, 20) // 2, f"WINDOWS_SEED={SEED}: the windows are no good: {sorted(found)}"


@pytest.mark.parametrize("sealing", ["off", "on"])
def test_windows_of_event_times_are_what_a_scan_selects(room, sealing):
    chance = random.Random(SEED)
    lines = build(room, chance)
    service = room.serve({"log": {"path": "L", "segmentSize": "64KiB", "sealing": sealing}, "destinations": [
        {"name": "dir", "type": "directory", "path": "out"}]})
    if sealing == "on":
        # A service compresses every segment but the newest.
        until(lambda: (sealed := room.status()["sealed"])["looked"] == sealed["sealed"] > 2)
    check(room, lines, chance, sealing, service)
    service.stop()
