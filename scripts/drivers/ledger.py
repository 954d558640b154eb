"""What was sent and what was acknowledged, and whether a log and its destinations keep it."""
import collections
import json
import os
import pathlib


class Ledger:
    """Every record has an id of its own and is sent under one name only, so no record may be in the log twice."""

    def __init__(self, random, sent=None, is_promised=True):
        # Where durability is `kernel`, an acknowledgement promises nothing about a power cut.
        self.random, self.sent, self.is_promised = random, set() if sent is None else sent, is_promised
        # (position in the disk's journal, offset of the first record or None, the records in their order)
        self.acknowledged = []
        # Records that are in the log together or not at all.
        self.batches = []
        # (position, name, number of records) of each replay that ended well.
        self.files = []

    def records(self, count):
        made = []
        for _ in range(count):
            size = self.random.choice((8, 60, 300, 2000, 9000))
            # The webhook rejects a bad one.
            kind = b"bad" if self.random.random() < 0.03 else b"r"
            noise = self.random.randbytes(size // 2).hex().encode()
            made.append(b'{"event":"%s%d","x":"%s"}' % (kind, len(self.sent), noise))
            self.sent.add(made[-1])
        return made

    def acknowledge(self, position, first, records):
        if self.is_promised:
            self.acknowledged.append((position, first, records))

    def finished(self, position, name, count):
        if self.is_promised:
            self.files.append((position, name, count))

    def until(self, position):
        """What holds when the power goes at this position."""
        past = Ledger(self.random, self.sent, self.is_promised)
        past.batches = list(self.batches)
        past.acknowledged = [ack for ack in self.acknowledged if ack[0] <= position]
        past.files = [file for file in self.files if file[0] <= position]
        return past

    def problems(self, rows):
        """What is wrong with a log of these (offset, record)."""
        at, places = dict(rows), collections.defaultdict(list)
        for offset, record in rows:
            places[record].append(offset)
        acknowledged = [(first if first is None else first + index, record)
                        for _, first, records in self.acknowledged for index, record in enumerate(records)]
        if lost := sum(record not in places for _, record in acknowledged):
            yield f"{lost} acknowledged records are lost"
        if moved := sum(record in places and offset is not None and at.get(offset) != record
                        for offset, record in acknowledged):
            yield f"{moved} acknowledged records are not at their offsets"
        if twice := [record for record, offsets in places.items() if len(offsets) > 1]:
            yield f"{len(twice)} records are there twice, such as {twice[0][:20]!r}"
        if foreign := [record for record in places if record not in self.sent]:
            yield f"{len(foreign)} records were never sent, such as {foreign[0][:40]!r}"
        if parts := sum(len({record in places for record in batch}) > 1 for batch in self.batches):
            yield f"{parts} batches are there in part"
        if list(at) != list(range(len(rows))):
            yield "there is a hole in the offsets"


class Judge:
    """Holds a log and its destinations against the ledger. `found` says what is wrong."""

    def __init__(self, laboratory, ledger):
        self.laboratory, self.ledger, self.found = laboratory, ledger, []

    def command(self, command):
        code, out, errors = self.laboratory.penstock(command)
        if code:
            said = ((out if "--json" in command else b"") + errors).decode(errors="replace").strip()
            self.found.append(f"{command.split()[0]} ended with {code}: {said[-400:]}")
        return out

    def rows(self):
        rows = []
        for line in self.command(f"tail --log {self.laboratory.log} --json --skip-gaps").splitlines():
            head, _, record = line.partition(b',"record":')
            rows.append((json.loads(head + b"}")["offset"], record[:-1]))
        return rows

    def log(self):
        """Recovers, reads and verifies the log."""
        log = self.laboratory.log
        if not os.path.exists(f"{log}/META"):
            if self.ledger.acknowledged:
                self.found.append("the log is gone")
            return
        self.command(f"recover --log {log} --json")
        rows = self.rows()
        self.found += self.ledger.problems(rows)
        self.command(f"verify --log {log}")
        said = json.loads(self.command(f"cursor list --log {log} --json") or b"{}")
        self.found += [f"cursor {cursor['name']} is at {cursor['committed']}, and the log ends at {len(rows)}"
                       for cursor in said.get("cursors", []) if cursor["committed"] > len(rows)]

    def destinations(self):
        """Delivers what is left, and compares every destination with the log."""
        laboratory = self.laboratory
        if not os.path.exists(f"{laboratory.log}/META"):
            return
        self.command("deliver --config c.yaml --until-caught-up")
        rows = self.rows()
        exported = []
        for path in pathlib.Path(laboratory.place).glob("export/usages-*"):
            exported += enumerate(path.read_bytes().splitlines(), int(path.name.split("-")[1]))
        if sorted(exported) != rows:
            self.found.append(f"the export has {len(exported)} rows, the log {len(rows)}, or they differ")
        elif rows:
            self.command("verify --export --config c.yaml --destination dir --depth content")
        for _, name, count in self.ledger.files:
            path = pathlib.Path(laboratory.place, name)
            content = path.read_bytes().splitlines() if path.exists() else []
            if content != [record for _, record in rows[:count]]:
                self.found.append(f"{name} is finished, and differs from the log's first {count} records")
        self.webhook(rows)

    def webhook(self, rows):
        """Each record is received, or is one dead letter if it is bad."""
        bad = [offset for offset, record in rows if record.startswith(b'{"event":"bad')]
        said = self.command(f"deadletters list web --log {self.laboratory.log} --limit 100000 --json")
        letters = sorted(letter["offset"] for letter in json.loads(said or b"{}").get("deadLetters", []))
        if letters != bad:
            self.found.append(f"dead letters of the records {letters} instead of {bad}")
        received = self.laboratory.receiver.received
        if missing := sum(json.loads(record)["event"] not in received for offset, record in rows if offset not in bad):
            self.found.append(f"{missing} records were never received by the webhook")
