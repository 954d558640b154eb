#!/usr/bin/env python3
"""The manual page of a built penstock, on standard output: one for all commands, from what `--help` says.

usage: man.py BINARY      the date is that of SOURCE_DATE_EPOCH, or of today
"""
import json
import os
import re
import subprocess
import sys
import time

# What every command has; said once.
COMMON = {"help", "version", "json"}
OPTIONS = [("--help, -h", "Explains the command, with examples."),
           ("--json", "One object, or one on each line, for programs."),
           ("--version", "Says which penstock this is, and of which commit.")]
EXITS = [("0", "success"), ("1", "bad input or a failed check"), ("2", "wrong usage"),
         ("3", "not possible now: lock held, no permission, no disk space, unreachable"), ("130", "interrupted")]
ENVIRONMENT = [("PENSTOCK_KEY", "the token with which penstock status asks a service"),
               ("PENSTOCK_WEBHOOK_SECRET", "the secret with which penstock receive verifies")]
FILES = [("/etc/penstock/penstock.yaml", "the configuration, as the unit for systemd has it"),
         ("/var/lib/penstock", "logs, cursors, keys and dead letters, as the unit for systemd has it")]


def plain(text):
    """Text that roff shows as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return re.sub(r"^\.", "\\\\&.", text, flags=re.M)


def paragraphs(text):
    """Running text; what is indented stands as it is."""
    for part in re.split(r"\n\s*\n", text.strip("\n")):
        lines = part.splitlines()
        if all(line.startswith("  ") for line in lines):
            yield from [".PP", ".RS 4", ".nf", *(plain(line[2:]) for line in lines), ".fi", ".RE"]
        else:
            yield from [".PP", plain(" ".join(line.strip() for line in lines))]


def entry(term, words):
    return [".TP", f"\\fB{plain(term)}\\fR", plain(words)]


def name(argument):
    """--from offset, -n, FILE."""
    value = argument.get("valueName", "")
    if argument["kind"] == "positional":
        return f"<{value}>"
    dashed = [("-" if one["kind"] == "short" else "--") + one["name"] for one in argument["names"]]
    dashed.sort(key=lambda text: text.startswith("--"))
    return ", ".join(dashed) + (f" <{value}>" if argument["kind"] == "option" else "")


def shown(command):
    for argument in command.get("arguments", []):
        names = {one["name"] for one in argument.get("names", [])}
        if argument["shouldDisplay"] and not names & COMMON:
            yield argument


def arguments(command):
    for argument in shown(command):
        words = " ".join(filter(None, [argument.get("abstract"), argument.get("discussion")]))
        values = argument.get("allValues")
        if values and not all(value in words for value in values):
            words += f" One of: {', '.join(values)}."
        if argument.get("defaultValue") and argument["kind"] != "flag":
            words += f" Default: {argument['defaultValue']}."
        yield from entry(name(argument), words.strip() or "–")


def synopsis(words, command):
    parts = []
    for argument in shown(command):
        text = name(argument).split(", ")[-1]
        parts.append(f"[{text}]" if argument["isOptional"] else text)
        if argument["isRepeating"]:
            parts[-1] += " …"
    return f"\\fB{plain(words)}\\fR {plain(' '.join(parts))}".rstrip()


def commands(command, above=()):
    """Each command that does something, with its words."""
    below = [one for one in command.get("subcommands") or [] if one["shouldDisplay"] and one["commandName"] != "help"]
    words = (*above, command["commandName"])
    if above:
        yield words, command, bool(below)
    for one in below:
        yield from commands(one, words)


def page(tool, version):
    root = tool["command"]
    date = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())))
    yield f'.TH PENSTOCK 1 "{date}" "{plain(version)}" "User Commands"'
    yield from [".SH NAME", f"penstock \\- {plain(root['abstract'].rstrip('.'))}", ".SH SYNOPSIS",
                ".B penstock", ".I command", "[arguments]", ".SH DESCRIPTION"]
    yield from paragraphs(root.get("discussion", ""))
    yield ".SH COMMANDS"
    for words, command, isGroup in commands(root):
        yield f".SS {plain(' '.join(words[1:]))}"
        if not isGroup:
            yield synopsis(" ".join(words), command)
        yield from paragraphs(command.get("abstract", ""))
        yield from paragraphs(command.get("discussion", ""))
        if not isGroup:
            yield from arguments(command)
    yield from [".SH OPTIONS", "Every command has these."]
    for title, rows in [("", OPTIONS), ("EXIT STATUS", EXITS), ("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES)]:
        yield from [f".SH {title}"] if title else []
        yield from (line for key, words in rows for line in entry(key, words))


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__.strip())

    def say(option):
        return subprocess.run([sys.argv[1], option], check=True, capture_output=True, text=True).stdout

    print("\n".join(page(json.loads(say("--experimental-dump-help")), say("--version").strip())))


if __name__ == "__main__":
    main()
