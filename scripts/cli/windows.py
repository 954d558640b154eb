"""Windows of event times: what the command line and the service give, against a scan of the same lines."""
import decimal
import http.client
import json
import os
import random
import time
import urllib.parse

from cli.cases import LIMIT, case, expect
from cli.delivering import configuration

SEED = int(os.environ.get("WINDOWS_SEED", "11"))
START = 1_700_000_000


def time_of(line):
    """The event time in nanoseconds, by another parser than penstock's; None where none can be read."""
    try:
        pairs = json.loads(line, object_pairs_hook=lambda pairs: pairs, parse_float=decimal.Decimal, parse_int=decimal.Decimal)
    except ValueError:
        return None
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        return None
    times = [value for key, value in pairs if key == "ts"]
    if len(times) != 1 or not isinstance(times[0], decimal.Decimal):
        return None
    return int(times[0] * 10**9)


def lines_in_disorder(count, chance):
    """Late ones, duplicates, outliers of the past and the future, and some without a time."""
    lines = []
    for number in range(count):
        moment = START + number * 3 - chance.randrange(400)
        kind = chance.randrange(100)
        if kind == 0:
            moment = 4_000_000_000
        elif kind == 1:
            moment = 7
        elif kind < 6 and lines:
            lines.append(chance.choice(lines[-30:]))
            continue
        ts = f"{moment}.{chance.randrange(1000):03}"
        lines.append(json.dumps({"n": number, "pad": "x" * chance.randrange(60)})[:-1] + (f', "ts": {ts}}}' if kind > 7 else "}"))
    return lines


def odd_lines(number):
    return ["not an event", f'{{"n":{number},"ts":{START + 50},"ts":{START + 50}}}', f'{{"n":{number},"ts":"{START + 50}"}}',
            f'{{"n":{number},"ts":{START + 50 + number}}}', f'[{number}]', f'{{"in":{{"ts":{START + 50}}},"ts":{START + number}.5e0}}']


def scan(lines, start, end, untimed):
    return [line for line in lines if (untimed == "include" if time_of(line) is None else start <= time_of(line) < end)]


def ndjson(rows):
    """Rows as the service gives them: what is no JSON comes as text in an object."""
    return "".join((line if line != "not an event" else '{"recordText":"not an event"}') + "\n" for line in rows.splitlines())


def place(nanoseconds):
    return f"event:@{nanoseconds // 10**9}.{nanoseconds % 10**9:09}"


class Service:
    def __init__(self, room):
        self.process = room.start("serve", "--config", "serve.json", "--json")
        self.host = urllib.parse.urlsplit(json.loads(self.process.stdout.readline())["listening"]).netloc
        self.line = http.client.HTTPConnection(self.host, timeout=LIMIT)

    def ask(self, method, path, body=None):
        self.line.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"} if body else {})
        answer = self.line.getresponse()
        return answer, answer.read().decode()

    def window(self, limit, **query):
        """All pages of a window."""
        text, page = "", {}
        while True:
            answer, more = self.ask("GET", "/v1/events?" + urllib.parse.urlencode({**query, **page, "limit": limit}))
            expect(answer.status == 200, f"{answer.status} {more}")
            text += more
            if answer.headers["Penstock-First"] == answer.headers["Penstock-End"]:
                return text
            page = {"page": answer.headers["Penstock-End"]}

    def stop(self):
        self.line.close()
        self.process.terminate()
        self.process.wait(LIMIT)


def build(room, chance, count):
    """Appends lines in several ways, in small segments; returns all of them in the log's order."""
    configuration(room, segmentSize="64KiB", sealing="off")
    lines, start = lines_in_disorder(count, chance), 0
    appended = []
    while start < count:
        end = start + chance.randrange(1, 900)
        part = lines[start:end]
        options = []
        if chance.randrange(3) == 0:
            part, options = part + odd_lines(start), ["--no-validate"]
        room.run("append", "--log", "L", "--config", "c.yaml", *options, "--batch", str(chance.randrange(1, 80)), "-",
                 stdin="".join(line + "\n" for line in part).encode()).is_(0)
        appended += part
        start = end
    return appended


def seal(room):
    """Lets a service compress every segment but the newest."""
    service = Service(room)
    until = time.monotonic() + LIMIT
    while True:
        sealed = room.status()["sealed"]
        if sealed["looked"] == sealed["sealed"]:
            break
        expect(time.monotonic() < until, f"not sealed: {sealed}")
        time.sleep(0.05)
    service.stop()
    expect(sealed["sealed"] > 2, f"{sealed}")


def check(room, lines, chance, windows, name):
    times = [time_of(line) for line in lines]
    times = [one for one in times if one is not None]
    service = Service(room)
    found = set()
    for number in range(windows):
        bounds = sorted(chance.choice(times) + chance.choice((-1, 0, 1, 60 * 10**9, 900 * 10**9)) for _ in range(2))
        start, end = max(0, bounds[0]), max(0, bounds[1])
        untimed = chance.choice(("skip", "include"))
        rows = "".join(line + "\n" for line in scan(lines, start, end, untimed))
        what = f"seed {SEED}, {name}, window {number}: {place(start)} up to {place(end)}, {untimed}"
        found.add(rows.count("\n"))
        window = ["--from", place(start), "--until", place(end), "--untimed", untimed]
        tail = room.run("tail", "--log", "L", "--from", place(start), "--to", place(end), "--untimed", untimed).is_(0)
        expect(tail.out == rows, f"tail, {what}: {tail.out.count(chr(10))} instead of {rows.count(chr(10))}")
        replay = ["replay", "--log", "L", "--file", f"{name}{number}", "--id", f"{name}{number}", "--json"]
        dry = room.run(*replay, *window, "--dry-run").is_(0).last
        expect(dry["events"] == rows.count("\n"), f"dry run, {what}: {dry}")
        said = room.run(*replay, *window).is_(0).last
        file = room.read(f"{name}{number}").decode() if rows else ""
        expect(said["events"] == rows.count("\n") and file == rows, f"replay, {what}: {said}")
        expect(said["untimed"] == dry["untimed"], f"{what}: {said} {dry}")
        got = service.window(chance.randrange(50, 3000), **{"from": place(start), "to": place(end), "untimed": untimed})
        expect(got == ndjson(rows), f"HTTP, {what}: {got.count(chr(10))} instead of {rows.count(chr(10))}")
        answer, text = service.ask("POST", "/v1/replays", {"destination": "dir", "dryRun": True, "from": place(start),
                                                           "to": place(end), "untimed": untimed})
        expect(answer.status == 200 and json.loads(text)["events"] == rows.count("\n"), f"HTTP dry run, {what}: {text}")
    service.stop()
    expect(len(found) > min(windows, 20) // 2, f"the windows are no good: {sorted(found)}")


@case
def windows_of_event_times_are_what_a_scan_selects(room):
    chance = random.Random(SEED)
    lines = build(room, chance, int(os.environ.get("WINDOWS_EVENTS", "2500")))
    windows = int(os.environ.get("WINDOWS", "6"))
    room.file("serve.json", json.dumps({"log": {"path": "L", "segmentSize": "64KiB", "sealing": "off"},
                                        "server": {"listen": "127.0.0.1:0"},
                                        "destinations": [{"name": "dir", "type": "directory", "path": "out"}]}).encode())
    check(room, lines, chance, windows, "plain")
    room.file("serve.json", room.read("serve.json").replace(b'"sealing": "off"', b'"sealing": "on"'))
    seal(room)
    check(room, lines, chance, windows, "sealed")


@case
def dates_that_do_not_exist_are_no_places(room):
    room.run("append", "--log", "L", "-", stdin=b'{"ts":1}\n').is_(0)
    for bad in ("2026-02-30", "2026-11-29T25:00:00Z", "event:2026-11-29T00:61:00Z", "event:2026-02-30", "-24", "tomorrow"):
        room.run("tail", "--log", "L", "--from", bad).is_(2)
        room.run("replay", "--log", "L", "--file", "f", "--id", "a", "--from", "0", "--until", bad).is_(2)
        room.run("cursor", "seek", "c", "--to", bad, "--log", "L").is_(2)
    for good in ("-24h", "yesterday", "2026-02-28", "event:-24h", "event:yesterday", "event:1969-12-31"):
        room.run("tail", "--log", "L", "--from", good).is_(0)
    expect(room.run("tail", "--log", "L", "--from", "-1h").is_(0).out == '{"ts":1}\n', "the last hour")
    expect(room.run("tail", "--log", "L", "--from", "event:-1h").is_(0).out == "", "the last hour, by event time")
    expect(room.run("tail", "--log", "L", "--to", "18446744073709551615").is_(0).out == '{"ts":1}\n', "the last offset")
    room.run("tail", "--log", "L", "--from", "-1h", "--untimed", "skip").is_(2, "--untimed needs")


@case
def a_replay_goes_on_at_the_rate_it_had(room):
    room.run("append", "--log", "L", "-", stdin=b'{"ts":1}\n' * 200).is_(0)
    configuration(room, {"name": "dir", "type": "directory", "path": "out", "rotate": {"maxRecords": 50}})
    replay = ["replay", "--config", "c.yaml", "--to", "dir", "--id", "slow"]
    process = room.start(*replay, "--from", "0", "--until", "200", "--records-per-second", "10")
    until = time.monotonic() + LIMIT
    while not os.path.exists(os.path.join(room.path, "out")):
        expect(time.monotonic() < until, "nothing was written")
        time.sleep(0.02)
    process.terminate()
    process.wait(LIMIT)
    dry = room.run(*replay, "--dry-run", "--json").is_(0).last
    expect(dry["seconds"] == 20, f"{dry}")
    fast = room.run(*replay, "--records-per-second", "100000", "--json").is_(0).last
    expect(fast["ended"] == "finished", f"{fast}")
    expect(room.run(*replay, "--dry-run", "--json").is_(0).last["seconds"] < 1, "the new rate is not kept")
