"""Does what README.md and the guides say, as a newcomer does who pastes their blocks into a shell.

Shell blocks run in order in one shell. Of blocks with prompts, the lines after `$` run, and what they print must hold
the lines below them, in that order (numbers and ids may differ, and `…` stands for anything). Ports are free ones
instead of the written ones. Every curl must be answered with success, and where a line `# …` follows, with that.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys

import pytest
from room import ROOT, until
from servers_base import free_ports

LIMIT = 300  # seconds for a guide; it promises ten minutes to people
# An answer that is a refusal must fail. 23 is no failure: the reader, `head` for instance, had enough.
CURL = r"""curl() {
  local code=0
  command curl --fail-with-body -sS "$@" || code=$?
  case $code in 0) echo || true ;; 23) ;; *) return $code ;; esac
}
"""


def blocks(path, heading):
    """(language, text) of each block before a heading, and what comes from the heading on."""
    begun, _, rest = (ROOT / path).read_text().partition(heading)
    return re.findall(r"^```(\w*)\n(.*?)^```$", begun, re.M | re.S), rest


def free_port():
    return str(free_ports(1)[0])


def steps(text):
    """(command, lines it must print) of a block."""
    if not text.startswith("$ "):
        return [(text, [])]
    parts = [part.splitlines() for part in re.split(r"^\$ ", text, flags=re.M)[1:]]
    return [(part[0], part[1:]) for part in parts]


def curl_steps(text):
    """The same of a block in which a comment after a curl says what it prints."""
    for part in re.split(r"(?<=\n)(?=curl )", text):
        said = re.findall(r"^# (.*)$", part, re.M) if part.startswith("curl ") else []
        yield "\n".join(line for line in part.splitlines() if line[2:] not in said), said


def is_like(expected, line):
    """Numbers, ids, units of bytes and the width of columns may differ."""
    def plain(text):
        text = re.sub(r"[0-9a-f]{32}", "#", text)
        return " ".join(re.sub(r"\d[\d,.]*( [KMG]i?B| B)?", "#", text).split())

    return re.fullmatch(".*".join(map(re.escape, plain(expected).split("…"))), plain(line)) is not None


class Tour:
    def __init__(self, room):
        self.room = room
        os.symlink(ROOT / "scripts", room.path / "scripts")
        # What other tests have set must not help.
        self.environment = {key: value for key, value in os.environ.items()
                            if not key.startswith(("PENSTOCK_", "AWS_")) or key == "PENSTOCK_CACHE"}
        self.environment["PATH"] = f"{os.path.dirname(room.binary)}:{os.environ['PATH']}"

    def read(self, name):
        return self.room.read(name).decode()

    def run(self, commands, folder="."):
        """Each of (command, expected lines), in one shell. Returns all it printed."""
        script = "".join(f"echo '@@ {number}'\n{text}\n" for number, (text, _) in enumerate(commands))
        self.room.file("tour.sh", "set -e -o pipefail\n" + CURL + script)
        with open(self.room.path / "tour.out", "w") as out:
            process = subprocess.Popen(["bash", self.room.path / "tour.sh"], stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=subprocess.STDOUT, cwd=self.room.path / folder, env=self.environment,
                                       start_new_session=True)
        try:
            process.wait(LIMIT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its own group: also what it left running
            process.wait()
        out = self.read("tour.out")
        assert process.returncode == 0, f"a command failed with {process.returncode}; the last words: {out[-900:]}"
        said = dict(part.partition("\n")[::2] for part in re.split(r"^@@ ", out, flags=re.M)[1:])
        for number, (text, expected) in enumerate(commands):
            printed = iter(said.get(str(number), "").splitlines())
            for line in expected:
                found = any(is_like(line, one) for one in printed)
                assert found, f"`{text}` should print\n{line}\nbut it printed\n{said[str(number)]}"
        return out

    def serve(self, path, heading):
        """Runs the `sh` blocks of a text, and then asks the service it left running for its metrics."""
        port = free_port()
        # The README leaves the port to the default, and a busy machine may need more than two seconds.
        ready = f"until curl -o ready.txt http://127.0.0.1:{port}/readyz; do sleep 0.1; done"
        texts = [text.replace("8080", port).replace("penstock serve ", f"penstock serve --listen 127.0.0.1:{port} ")
                 .replace("sleep 2", ready) for language, text in blocks(path, heading)[0] if language == "sh"]
        assert texts, f"{path} has no commands"
        commands = [step for text in texts for step in curl_steps(text)]
        self.run(commands + [(f"curl -o metrics.txt http://127.0.0.1:{port}/metrics", [])])
        return set(re.findall(r"^(penstock_\w+)", self.read("metrics.txt"), re.M))


@pytest.fixture
def tour(room):
    return Tour(room)


def test_the_readme(tour):
    assert tour.serve("README.md", "\n## More")


def test_the_guide_to_the_service(tour):
    """What the dashboard and the alarms of docs/grafana ask for must be among its metrics."""
    has = tour.serve("docs/guides/service.md", "\n## Settings")
    for file in ("docs/grafana/penstock.json", "docs/grafana/alerts.yaml"):
        assert set(re.findall(r"\bpenstock_\w+", (ROOT / file).read_text())) <= has, file


def test_the_guide_to_s3(tour):
    if os.environ.get("PENSTOCK_WITHOUT_S3") == "1":
        pytest.skip("PENSTOCK_WITHOUT_S3=1: the guide starts an S3 server")
    commands = []
    for language, text in blocks("docs/guides/s3.md", "\n## Credentials")[0]:
        if language == "yaml":
            tour.room.file("penstock.yaml", text)
        elif not language:
            commands += steps(text)
    try:
        tour.run(commands)
    finally:
        state = re.search(r"^PENSTOCK_S3_STATE=(.*)$", tour.read("s3.env") if tour.room.has("s3.env") else "", re.M)
        if state and os.path.exists(state[1]):
            subprocess.run(["scripts/servers.py", "stop", state[1]], cwd=ROOT, check=True)


def webhook_guide(tour):
    """Runs it; the text with the receivers that a reader may write."""
    found, rest = blocks("docs/guides/webhook.md", "\n## What is sent")
    port = free_port()
    commands = [(text.replace("8080", port), []) for language, text in found if not language]
    out = tour.run(commands + [('echo "secret $PENSTOCK_WEBHOOK_SECRET"', [])])
    assert "\nthe same\n" in out, "what was received is not what was appended"
    tour.environment["PENSTOCK_WEBHOOK_SECRET"] = re.search(r"^secret (\S+)$", out, re.M)[1]
    return rest


def test_the_guide_to_webhooks(tour):
    webhook_guide(tour)
    statuses = [json.loads(line)["status"] for line in tour.read("webhook-tour/ledger.ndjson").splitlines()]
    assert len(tour.read("webhook-tour/received.ndjson").splitlines()) == 21 and statuses.count(200) >= 7


@pytest.mark.parametrize("language, name, written", [
    ("python", "receiver.py", "8081"), ("javascript", "receiver.mjs", "8082")])
def test_the_receiver_of_the_guide_takes_all_events(tour, language, name, written):
    """Under a cursor of its own; the one in Python with the official library."""
    program = sys.executable if language == "python" else shutil.which("node")
    if not program:
        pytest.skip(f"there is nothing to run the receiver in {language} with")
    text, port, folder = webhook_guide(tour), free_port(), tour.room.path / "webhook-tour"
    code = re.search(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)[1].replace(written, port)
    tour.room.file(f"webhook-tour/{name}", code)
    configuration = tour.read("webhook-tour/penstock.yaml").replace("name: web", f"name: {language}")
    tour.room.file("webhook-tour/own.yaml", re.sub(r"url: \S+", f"url: http://127.0.0.1:{port}/", configuration))
    with open(folder / "said", "w") as said:
        receiver = subprocess.Popen([program, name], cwd=folder, env=tour.environment, stdout=said, stderr=said)
    tour.room.live.append(receiver)
    until(lambda: receiver.poll() is not None or not socket.socket().connect_ex(("127.0.0.1", int(port))), 20)
    tour.run([("penstock deliver --config own.yaml --until-caught-up", [])], "webhook-tour")
    receiver.terminate()
    receiver.wait(10)
    if language == "python":
        with sqlite3.connect(folder / "events.db") as database:
            assert database.execute("select count(*) from events").fetchone()[0] == 21
    else:
        assert 3 * len(re.findall("3 events", tour.read("webhook-tour/said"))) == 21, tour.read("webhook-tour/said")
