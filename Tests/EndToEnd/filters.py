"""Random filters and records, and what a filter means: from docs/guides/replay.md and the comments of EventFilter."""
import functools
import json
import re

VALUES = {
    "app": ["a1", "a2", "a,1", 'a 1%"', "", "\U0001f600"],
    "type": ["page", "track", "custom"],
    "event": ["Goal", "Goals", "Custom_Goal", "Custom_*", "What?", "a\\b", "\u00dcber", "U\u0308ber", "x\ny", ""],
    "tracker": ["8e28", "8e29", "t 1", "\u65e5\u672c"],
    "segment": ["Employees", "employees", "s,1", "\u00e9"]}


# Filters: None, or {"including": {field: values}, "excluding": {field: values}, "malformed": "drop" or "pass"}.

def pattern(chance, value):
    """A glob that matches the value: itself, or with `*` or `?` for a part of it."""
    letters = [re.sub(r"([*?\\])", r"\\\1", one) for one in value]
    place, kind = chance.randrange(len(value) + 1), chance.random()
    if kind < 0.3:
        letters[place:place + chance.randrange(len(value) + 1)] = "*"
    elif kind < 0.5:
        letters[place:place + 1] = "?"
    return "".join(letters)


def random_filter(chance):
    if chance.random() < 0.06:
        return None

    def terms(count):
        chosen = {}
        for field in chance.sample(list(VALUES), count):
            values = chance.choices(VALUES[field], k=0 if chance.random() < 0.03 else chance.randint(1, 3))
            chosen[field] = [pattern(chance, value) for value in values] if field == "event" else values
        return chosen

    including, excluding = chance.choice(((1, 0), (1, 0), (1, 1), (0, 1), (0, 2), (2, 0), (2, 1)))
    return {"including": terms(including), "excluding": terms(excluding), "malformed": chance.choice(("drop", "pass"))}


def spelled(filter, chance):
    """The filter as keys or as text: both mean the same."""
    terms = [(sign, *term) for sign, part in (("", "including"), ("!", "excluding")) for term in filter[part].items()]
    chance.shuffle(terms)
    if chance.random() < 0.5 or not all(values for _, _, values in terms):
        return {**filter["including"], "not": filter["excluding"], "malformed": filter["malformed"]}

    def quoted(value):
        return re.sub('[\0-\x20\x7f,"%]', lambda found: f"%{ord(found[0]):02X}", value) or '""'

    words = [f"{sign}{field}={','.join(map(quoted, values))}" for sign, field, values in terms]
    return " ".join([*words, f"malformed={filter['malformed']}"])


class Members(list):
    """What an object holds: names and values, in their order, also a name that comes twice."""

    def named(self, name, kind):
        return [value for key, value in self if key == name and type(value) is kind]


def refuse(word):
    raise ValueError(word)


def facts(record):
    """The values that a filter compares, of each field; None for a record that is not one well-formed object."""
    try:
        found = json.loads(record.decode(), object_pairs_hook=Members, parse_constant=refuse)
        json.dumps(found, ensure_ascii=False).encode()  # refuses half a pair of surrogates
    except ValueError:
        return None
    if type(found) is not Members:
        return None
    segments = [one for each in found.named("segments", list) for one in each if type(one) is Members]
    return {"app": found.named("app_id", str), "type": found.named("type", str), "event": found.named("event", str),
            "tracker": [text for each in found.named("properties", Members) for text in each.named("id", str)],
            "segment": [text for each in segments for name in ("id", "name") for text in each.named(name, str)]}


@functools.cache
def glob(text):
    meaning, parts = {"*": ".*", "?": "."}, re.findall(r"\\.|.", text, re.DOTALL)
    return re.compile("".join(meaning.get(part) or re.escape(part[-1]) for part in parts), re.DOTALL)


def selects(filter, fact):
    """Whether a record with these facts is delivered."""
    if filter is None:
        return True
    if fact is None:
        return filter["malformed"] == "pass"

    def meets(field, wanted):
        if field == "event":
            return any(glob(one).fullmatch(text) for one in wanted for text in fact[field])
        return any(text in wanted for text in fact[field])

    return (all(meets(*term) for term in filter["including"].items())
            and not any(meets(*term) for term in filter["excluding"].items()))


# Records. Each holds its number between two `#`.

def quoted(chance, text):
    """A JSON string with escapes here and there."""
    def letter(one):
        if chance.random() < 0.05:
            return re.sub("....", r"\\u\g<0>", one.encode("utf-16-be").hex())
        return json.dumps(one, ensure_ascii=False)[1:-1]
    return '"' + "".join(map(letter, text)) + '"'


def record(chance, number, is_event=True):
    """An event that the service takes, or else an object with names that come twice and values of other kinds."""
    def value(field):
        kind = chance.random()
        if kind < 0.1 or not is_event and kind < 0.25:
            return "null" if is_event else chance.choice(("null", "7", "[]", "{}", '"other"'))
        return quoted(chance, chance.choice(VALUES[field]))

    def member(name, content):
        return quoted(chance, name) + chance.choice((":", ": ")) + content

    def part(*fields):
        return "{" + ",".join(member(name, value(field)) for name, field in fields) + "}"

    def properties():
        one = ("id", "tracker")
        return chance.choice((part(one), part(one, one), "null", '{"in":' + part(one) + "}"))

    def segments():
        one = part(("id", "segment"))
        each = (one, part(("name", "segment"), ("id", "tracker")), value("segment"), "[" + one + "]")
        return "[" + ",".join(chance.choices(each, k=chance.randrange(3))) + "]"

    names = {"app_id": "app", "type": "type", "event": "event", "properties": properties, "segments": segments}
    members = [f'"number":"#{number}#"', f'"pad":"{chance.randbytes(chance.randrange(150)).hex()}"']
    for name in chance.choices(list(names), k=5) if not is_event else names:
        if chance.random() < 0.9:
            how = names[name]
            members.append(member(name, value(how) if isinstance(how, str) else how()))
    chance.shuffle(members)
    return ("{" + chance.choice((",", ", ")).join(members) + "}").encode()


def odd(chance, number):
    """A record that the service would refuse: no object, or one that is no event."""
    mark = b"#%d#" % number
    return chance.choice((
        mark, b'["%b"]' % mark, *(b'{"n":"%b"%b' % (mark, end) for end in (
            b"", b',"event":"\\ud800"}', b',"x":01}', b',"app_id":"a1"} {}', b',"event":"\xff"}', b',"x":NaN}')),
        *(record(chance, number, is_event=False) for _ in range(6))))
