"""Compares the defaults and limits in docs/configure.md and docs/capacity.md with the constants in the sources.

docs-lint.py prints what `problems` yields, and docs_lint_test.py plants violations.
scripts/defaults.rules names, for each row with a number, where its numbers come from, in the order of the row:

  segmentBytes            the default of a constant, property or parameter of the section's own source file
  check...                both ends of the range after "check" in quotes, or of `(1...9).contains(check)`
  timeout> or maxWait<    what the symbol is compared with
  File.segmentBytes       the same in File.swift, in whatever folder
  File~(expression)       each group of a regular expression; `<<20` after it: in MiB
  a & b                   two places that must agree
  = reason                a number that cannot be checked
  == reason               this one and all after it
"""
import functools
import os
import re

SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
TIMES = {"ms": 0.001, "s": 1, "seconds": 1, "m": 60, "minute": 60, "h": 3600, "d": 86400}
NUMBER = re.compile(r"(?<![\w./-])(-?\d[\d,]*(?:\.\d+)?)(?: ?(" + "|".join({**SIZES, **TIMES}) + r"))?(?![\w/]|\.\d)"
                    r"|\b(?P<minute>a minute)\b")
DEFAULT = re.compile(r"^(none|off|on|all)\b|^`([A-Za-z]\w*)`")
ATOM = r"(?:\([^()\n]*\)|-?[\w.]+)"
DOCUMENTS = ("docs/configure.md", "docs/capacity.md")


def value(number, unit):
    """(kind, value), the same for both spellings of a size or a time."""
    number = float(number.replace(",", "").replace("_", ""))
    return ("time" if unit in TIMES and number else "number", number * {**SIZES, **TIMES}.get(unit, 1))


def written(cells):
    """What a row of a document says: its default in a word, and all its numbers."""
    word = DEFAULT.match(cells[0])
    said = (word[1] or word[2]).lower() if word else ""
    found = [("word", {"true": "on", "false": "off"}.get(said, said))] if word else []
    for cell in cells:
        for match in NUMBER.finditer(cell):
            found.append(("time", 60.0) if match["minute"] else value(match[1], match[2]))
    return found


@functools.cache
def code(text):
    """A source without its comments."""
    return re.sub(r"^\s*///?.*$|\s//\s.*$", "", text, flags=re.M)


class Sources:
    """Texts by the name of their file."""

    def __init__(self, read, paths):
        self.texts = {os.path.basename(path).removesuffix(".swift"): code(read(path)) for path in paths}

    def literal(self, text):
        """The values of a Swift literal; None where it is none."""
        text = re.sub(r"\s+else$|\{$", "", text.strip()).strip()
        if ends := re.fullmatch(rf"({ATOM})\.\.\.({ATOM})", text):
            low, high = self.literal(ends[1]), self.literal(ends[2])
            return low + high if low and high else None
        if time := re.fullmatch(r"(?:Duration|TimeAmount)?\.(seconds|milliseconds)\((.*)\)", text):
            inner = self.literal(time[2])
            return inner and [value(str(inner[0][1]), "s" if time[1] == "seconds" else "ms")]
        if text in (words := {"nil": "none", "true": "on", "false": "off"}):
            return [("word", words[text])]
        if text == ".zero":
            return [("number", 0.0)]
        if other := re.fullmatch(r"([A-Z]\w+)\.(\w+)", text):
            return self.default(other[1], other[2]) if other[1] in self.texts else [("word", other[2].lower())]
        if word := re.fullmatch(r'\.([a-z]\w*)(?:\(\))?|"(\w+)"', text):
            return [("word", (word[1] or word[2]).lower())]
        try:
            plain = text.replace("_", "")  # digits and operators alone
            if re.fullmatch(r"[\d.()<*+\s-]+", plain):
                return [("number", float(eval(plain, {"__builtins__": {}})))]
            return None
        except (SyntaxError, TypeError, ValueError):
            return None

    def first(self, file, *patterns):
        """The first literal that one of the patterns finds in a file."""
        literals = (self.literal(match[1]) for pattern in patterns for match in re.finditer(
            pattern, self.texts.get(file, ""), re.M))
        return next(filter(None, literals), None)

    def default(self, file, symbol):
        """What the symbol is set to; an optional without that is nil."""
        expression = r"((?:[^,()\n{]|\([^()\n]*\))+)"
        return (self.first(file, rf"(?<![\w.]){symbol}\b(?::\s*[\w.?]+)?\s*=\s*(?!=){expression}",
                           rf"(?<![\w.]){symbol}:\s*{expression}")
                or ([("word", "none")] if re.search(rf"\bvar {symbol}: [\w.]+\?\s*$", self.texts.get(file, ""), re.M)
                    else None))

    def find(self, rule, section):
        """The values that a rule leads to, or None where its place is gone."""
        if "~" in rule:
            file, _, pattern = rule.partition("~")
            pattern, shift = re.fullmatch(r"(.*?)(?:<<(\d+))?", pattern).groups()
            match = re.search(pattern, self.texts.get(file or section, ""), re.S)
            found = [self.literal(group) for group in match.groups()] if match else [None]
            return None if None in found else [(kind, number * (1 << int(shift or 0))) for [(kind, number)] in found]
        file, _, symbol = rule.removesuffix("...").rpartition(".")
        file = file or section
        if rule.endswith("..."):
            ends = rf"({ATOM}\.\.\.{ATOM})"
            return self.first(file, rf'"{symbol}"[^"]*?{ends}', rf"\({ends}\)\.contains\({symbol}\b")
        if symbol[-1] in "<>":
            return self.first(file, rf"\b{symbol[:-1]} ?\{symbol[-1]}=? ?((?:[^,|&{{()\n]|\([^()]*\))+)")
        return self.default(file, symbol)


def rules(text):
    """{(heading, key): (section's file, [rule])}"""
    found, heading, file = {}, None, None
    for line in text.splitlines():
        if line.startswith("["):
            heading, file = re.fullmatch(r"\[(.*)\] ?(\S*)", line).groups()
        elif line.strip() and not line.startswith("#"):
            key, _, rest = line.partition(" | ")
            found[heading, key.strip()] = (file, [rule.strip() for rule in rest.split(";")])
    return found


def rows(document, text):
    """((document, heading), key, cells after the key) of each row of a table."""
    heading, line_before = document, ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading = f"{document} {line.lstrip('# ')}"
        elif line.startswith("| ") and line_before.startswith("|"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            yield heading, cells[0].replace("`", ""), cells[1:]
        line_before = line


def shown(values):
    return ", ".join(word if kind == "word" else f"{word:,.10g}" + " s" * (kind == "time") for kind, word in values)


def problems(read, paths):
    """What differs, given how to read a file, and the sources."""
    left, sources = rules(read("scripts/defaults.rules")), Sources(read, paths)
    for heading, key, cells in (row for document in DOCUMENTS for row in rows(document, read(document))):
        said, where = written(cells), f"{heading}: {key}"
        section, wanted = left.pop((heading, key), (None, []))
        if said and not wanted:
            yield f"{where} says {shown(said)}; name the constant in scripts/defaults.rules, or why there is none"
            continue
        for rule in wanted:
            if rule.startswith("="):
                said = [] if rule.startswith("==") else said[1:]
                continue
            for place in rule.split(" & "):
                found = sources.find(place, section)
                if found is None:
                    yield f"{where}: there is no {place} in the sources (of {section}.swift unless it says another)"
                elif found != said[:len(found)]:
                    yield f"{where} says {shown(said[:len(found)])}; {place} in the sources is {shown(found)}"
            said = said[len(found or [0]):]
        if wanted and said:
            yield f"{where} says {shown(said)} too, which no rule in scripts/defaults.rules checks"
    yield from (f"scripts/defaults.rules: {heading} has no row {key}" for heading, key in left)
