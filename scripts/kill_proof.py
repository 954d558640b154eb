"""The proof of the kill test: what must hold between the input, the log, the objects and the receiver's ledger.

Part of kill-test.py, which says in words what is proved here.
"""
import hashlib
import json
import os


def record(seed, turn, number):
    """One usage event. Sizes vary a hundredfold, so that blocks and batches end at odd places."""
    digest = hashlib.blake2b(f"{seed}/{turn}/{number}".encode(), digest_size=16).hexdigest()
    size = int(digest[:4], 16)
    note = digest * (size % 9) if size % 97 else digest * 400
    return (f'{{"user_id":"{digest[:8]}","anonymous_user_id":"{digest}","event":"Round {turn}","platform":"redfast",'
            f'"type":"track","ts":{1630476856 + number},"properties":{{"id":"8e282c72-07da-4c2f-bf91-85df633828af",'
            f'"values":[{{"round":{turn},"number":{number},"note":"{note}"}}],"options":{{"use_regex":false}}}}}}\n'
            ).encode()


class Evidence:
    """Three files of rows and the receiver's ledger in one folder, and the proof over them.

    Each round has `turn` (its number), `fed` (how many records it was given at most), `acknowledged` (how many of them
    were acknowledged) and `first_offset` (the first acknowledged offset, or None).
    """

    def __init__(self, folder, seed, rounds):
        self.seed, self.rounds = seed, rounds
        self.input, self.log, self.objects, self.received = (
            os.path.join(folder, name) for name in
            ("input.ndjson", "log.ndjson", "objects.ndjson", "received.ndjson"))
        with open(os.path.join(folder, "ledger.ndjson")) as file:
            self.ledger = [json.loads(line) for line in file]

    def problems(self):
        count, found = self.check_log()
        for name, path in (("s3", self.objects), ("webhook", self.received)):
            found += compare(name, path, self.input)
        return found + self.check_ledger(count)

    def check_log(self):
        """Writes input.ndjson: the prefixes of the rounds that the log holds. (records, problems)."""
        offset, found = 0, []
        with open(self.log, "rb") as log, open(self.input, "wb") as file:
            row = log.readline()
            for turn in self.rounds:
                start, number = offset, 0
                if turn.first_offset not in (None, start):
                    found.append(f"log: round {turn.turn} was acknowledged from offset {turn.first_offset}, but its "
                                 f"first record stands at {start}")
                while number < turn.fed and row == (expected := record(self.seed, turn.turn, number)):
                    file.write(expected)
                    offset, number, row = offset + 1, number + 1, log.readline()
                if number < turn.acknowledged:
                    found.append(f"log: round {turn.turn}: {turn.acknowledged} records acknowledged, {number} there; "
                                 f"at offset {offset} stands {row[:160]!r}")
                    return offset, found
            if row:
                found.append(f"log: at offset {offset} stands a row that nobody appended there: {row[:160]!r}")
        return offset, found

    def repeated(self):
        return len(self.ledger) - len({line["id"] for line in self.ledger})

    def check_ledger(self, count):
        seen, found, end = {}, [], 0
        for number, line in enumerate(self.ledger, 1):
            content = (line["range"], line["sha256"])
            if line["status"] != 200:
                found.append(f"webhook: ledger line {number}: answered {line['status']}")
            elif line["id"] in seen:
                if seen[line["id"]] != content:
                    found.append(f"webhook: ledger line {number}: {line['id']} came again as {content}, "
                                 f"first as {seen[line['id']]}")
                if not line["duplicate"]:
                    found.append(f"webhook: ledger line {number}: a repeated id was not called a duplicate")
            else:
                first, last = map(int, line["range"].split("-"))
                if line["duplicate"] or first != end:
                    found.append(f"webhook: ledger line {number}: a new id with range {line['range']} after {end - 1}, "
                                 f"duplicate {line['duplicate']}")
                seen[line["id"]], end = content, last + 1
        if end != count:
            found.append(f"webhook: the ledger ends at {end}, the log at {count}")
        return found

    def planted(self, kind):
        """The same evidence with one thing wrong in it."""
        copy = object.__new__(Evidence)
        copy.__dict__.update(self.__dict__)
        middle = self.rounds[len(self.rounds) // 2:]
        offset = next((turn.first_offset for turn in middle if turn.acknowledged), 0)
        if kind == "lost":
            copy.log = tampered(self.log, offset, 0)
        elif kind == "dup":
            copy.objects = tampered(self.objects, offset, 2)
        elif kind == "changed":
            # A repeated request if there was one; else one is made up.
            ids = [line["id"] for line in self.ledger]
            again = next((i for i, line in enumerate(self.ledger) if line["id"] in ids[:i]), None)
            line = self.ledger[-1 if again is None else again]
            wrong = {**line, "duplicate": True, "sha256": "0" * 64}
            copy.ledger = (self.ledger + [wrong] if again is None
                           else self.ledger[:again] + [wrong] + self.ledger[again + 1:])
        return copy


PLANTS = {"lost": "log: ", "dup": "s3: ", "changed": "webhook: "}


def tampered(path, number, times):
    """A copy of a file of rows in which row `number` stands `times` times."""
    with open(path, "rb") as file, open(path + ".planted", "wb") as out:
        for index, row in enumerate(file):
            out.write(row * times if index == number else row)
    return path + ".planted"


def compare(name, path, expected):
    with open(path, "rb") as one, open(expected, "rb") as other:
        number = 0
        while True:
            row, wanted = one.readline(), other.readline()
            if row != wanted:
                return [f"{name}: row {number} is {row[:160]!r}, but the log's is {wanted[:160]!r}"]
            if not row:
                return []
            number += 1
