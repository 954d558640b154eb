"""The proof of the kill test: what must hold between the input, the log, the objects and the receiver's ledger.

Part of the driver `kill`, which says in words what is proved here.
"""
import copy
import hashlib
import itertools
import json
import random
from base64 import b64encode


def record(seed, turn, number):
    """One usage event. Sizes vary a hundredfold, so that blocks and batches end at odd places."""
    digest = hashlib.blake2b(f"{seed}/{turn}/{number}".encode(), digest_size=16).hexdigest()
    size = int(digest[:4], 16)
    note = digest * (size % 9) if size % 97 else digest * 400
    platform = "refused" if is_refused(digest) else "redfast"
    return (f'{{"user_id":"{digest[:8]}","anonymous_user_id":"{digest}","event":"Round {turn}","platform":"{platform}",'
            f'"type":"track","ts":{1630476856 + number},"properties":{{"id":"8e282c72-07da-4c2f-bf91-85df633828af",'
            f'"values":[{{"round":{turn},"number":{number},"note":"{note}"}}],"options":{{"use_regex":false}}}}}}\n'
            ).encode()


def big_record(seed, turn, number):
    """One usage event of a quarter of a MiB, of which hardly anything can be compressed away."""
    noise = random.Random(f"{seed}/big/{turn}/{number}")
    note = b64encode(noise.randbytes(noise.randrange(150_000, 240_000))).decode()
    return (f'{{"user_id":"{number}","event":"Big {turn}","platform":"redfast","type":"track",'
            f'"ts":{1630476856 + number},"properties":{{"round":{turn},"number":{number},"note":"{note}"}}}}\n'
            ).encode()


def is_refused(digest):
    """One in some 1,500: each is found by a dozen requests."""
    return int(digest[4:12], 16) % 1499 == 0


def read_letters(path):
    """(offset, row) of each dead letter, from `penstock tail` on the letters' log: a letter is text, an empty line, and
    the record's bytes."""
    found = []
    for letter in path.read_bytes().split(b"penstock dead letter 1\n")[1:]:
        text, _, row = letter.partition(b"\n\n")
        fields = dict(line.split(b" ", 1) for line in text.split(b"\n") if b" " in line)
        found.append((int(fields[b"offset"]), row))
    return found


class LogEvidence:
    """A log's rows against what was fed.

    Each round has `turn` (its number), `fed` (how many records it was given at most), `acknowledged` (how many of them
    were acknowledged) and `first_offset` (the first acknowledged offset, or None).
    """

    def __init__(self, folder, seed, rounds, make):
        self.seed, self.rounds, self.make = seed, rounds, make
        self.input, self.log, self.objects = (folder / f"{name}.ndjson" for name in ("input", "log", "objects"))

    def check_log(self):
        """Writes input.ndjson: the prefixes of the rounds that the log holds. (records, problems)."""
        offset, found = 0, []
        with self.log.open("rb") as log, self.input.open("wb") as file:
            row = log.readline()
            for turn in self.rounds:
                start, number = offset, 0
                if turn.first_offset not in (None, start):
                    found.append(f"log: round {turn.turn} was acknowledged from offset {turn.first_offset}, but its "
                                 f"first record stands at {start}")
                while number < turn.fed and row == (expected := self.make(self.seed, turn.turn, number)):
                    file.write(expected)
                    offset, number, row = offset + 1, number + 1, log.readline()
                if number < turn.acknowledged:
                    found.append(f"log: round {turn.turn}: {turn.acknowledged} records acknowledged, {number} there; "
                                 f"at offset {offset} stands {row[:160]!r}")
                    return offset, found
            if row:
                found.append(f"log: at offset {offset} stands a row that no round appended there: {row[:160]!r}")
        return offset, found


class Evidence(LogEvidence):
    """Files of rows and the receiver's ledger in one folder, and the proof over them.

    `letters` are the webhook's dead letters; `window` is what was replayed, or None.
    """

    def __init__(self, folder, seed, rounds, letters, window):
        super().__init__(folder, seed, rounds, record)
        self.letters, self.window = letters, window
        self.received, self.accepted, self.replayed, self.cut = (
            folder / f"{name}.ndjson" for name in ("received", "accepted", "replayed", "window"))
        self.ledger = [json.loads(line) for line in (folder / "ledger.ndjson").read_text().splitlines()]

    def problems(self):
        count, found = self.check_log()
        refused = self.divide()
        found += compare("s3", self.objects, self.input) + compare("webhook", self.received, self.accepted)
        if self.window:
            found += compare("replay", self.replayed, self.cut)
        return found + self.check_letters(refused) + self.check_ledger(count, [offset for offset, _ in refused])

    def divide(self):
        """Writes what the webhook accepts and what was replayed; returns (offset, row) of what it refuses."""
        refused = []
        first, end = self.window or (0, 0)
        with self.input.open("rb") as rows, self.accepted.open("wb") as accepted, self.cut.open("wb") as cut:
            for offset, row in enumerate(rows):
                if first <= offset < end:
                    cut.write(row)
                if b'"platform":"refused"' in row:
                    refused.append((offset, row))
                else:
                    accepted.write(row)
        return refused

    def check_letters(self, refused):
        """Each refused record is a dead letter, once, with its own bytes, and nothing else is."""
        if self.letters == refused:
            return []
        wrong = set(self.letters) ^ set(refused)
        offsets = sorted({offset for offset, _ in wrong}) or "the same ones, but not once each, or out of order"
        return [f"letters: {len(self.letters)} dead letters for {len(refused)} refused records; they differ at "
                f"{offsets}"]

    def repeated(self):
        return len(self.ledger) - len({line["id"] for line in self.ledger})

    def check_ledger(self, count, refused):
        seen, rejected, found, end = {}, {}, [], 0
        holes = set(refused)

        def wrong(words):
            found.append(f"webhook: ledger line {number}: {words}")

        for number, line in enumerate(self.ledger, 1):
            content = (line["range"], line["sha256"])
            first, last = map(int, line["range"].split("-"))
            while end in holes and first > end:
                end += 1  # a dead letter: nothing of it is ever stored
            if line["status"] == 422:
                if rejected.setdefault(line["id"], content) != content:
                    wrong(f"{line['id']} came again with other content")
                if line["id"] in seen or not any(first <= offset <= last for offset in refused):
                    wrong(f"{line['range']} was rejected, and should not have been")
            elif line["id"] in rejected:
                wrong(f"{line['id']} was rejected, and then answered {line['status']}")
            elif line["status"] != 200:
                wrong(f"answered {line['status']}")
            elif line["id"] in seen:
                if seen[line["id"]] != content:
                    wrong(f"{line['id']} came again as {content}, first as {seen[line['id']]}")
                if not line["duplicate"]:
                    wrong("a repeated id was not called a duplicate")
            else:
                if line["duplicate"] or first != end:
                    wrong(f"a new id with range {line['range']} after {end - 1}, duplicate {line['duplicate']}")
                seen[line["id"]], end = content, last + 1
        while end in holes:
            end += 1
        if end != count:
            found.append(f"webhook: the ledger ends at {end}, the log at {count}")
        return found

    def planted(self, kind):
        """The same evidence with one thing wrong in it."""
        wrong, middle = copy.copy(self), self.rounds[len(self.rounds) // 2:]
        offset = next((turn.first_offset for turn in middle if turn.acknowledged), 0)
        if kind == "lost":
            wrong.log = tampered(self.log, offset, 0)
        elif kind == "dup":
            wrong.objects = tampered(self.objects, offset, 2)
        elif kind == "buried":
            wrong.letters = self.letters[:1] + self.letters
        elif kind == "again":
            wrong.replayed = tampered(self.replayed, 10, 2)
        elif kind == "changed":
            # A repeated request if there was one; else one is made up.
            ids = [line["id"] if line["status"] == 200 else None for line in self.ledger]
            last = max(at for at, name in enumerate(ids) if name)
            at = next((at for at, name in enumerate(ids) if name and name in ids[:at]), len(ids))
            line = self.ledger[at if at < len(ids) else last]
            wrong.ledger = [*self.ledger[:at], {**line, "duplicate": True, "sha256": "0" * 64}, *self.ledger[at + 1:]]
        return wrong

    def plants(self):
        """The faults that can be planted into this evidence, and how the problem they make begins."""
        return {kind: name for kind, name in PLANTS.items()
                if kind != "part" and (kind != "buried" or self.letters) and (kind != "again" or self.window)}


PLANTS = {"lost": "log: ", "dup": "s3: ", "changed": "webhook: ", "buried": "letters: ", "again": "replay: ",
          "part": "parts: "}


def tampered(path, number, times):
    """A copy of a file of rows in which row `number` stands `times` times."""
    planted = path.with_suffix(".planted")
    with path.open("rb") as file, planted.open("wb") as out:
        out.writelines(row * times if index == number else row for index, row in enumerate(file))
    return planted


def compare(name, path, expected):
    with path.open("rb") as one, expected.open("rb") as other:
        for number, (row, wanted) in enumerate(itertools.zip_longest(one, other, fillvalue=b"")):
            if row != wanted:
                return [f"{name}: row {number} is {row[:160]!r}, but the log's is {wanted[:160]!r}"]
    return []
