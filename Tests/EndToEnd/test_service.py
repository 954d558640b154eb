"""What only a whole `penstock serve` and a client written by others can show."""
import base64
import contextlib
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import pytest
import requests
from room import LIMIT, directory, noise, open_files, rows, until


@pytest.fixture
def tls(room):
    """The part of a configuration that names a certificate for localhost."""
    openssl = ("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost "
               "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem")
    subprocess.run(openssl.split(), check=True, capture_output=True, cwd=room.path)
    return {"certificate": "cert.pem", "key": "key.pem"}


def test_HTTP2(room, tls):
    service = room.serve({"server": {"keysFile": "keys.json", "limits": {"maxBody": "1MiB"}, "tls": tls}})
    key = ["-H", f"Authorization: Bearer {room.key('test', 'companyAdmin')}"]
    service.process.send_signal(1)
    until(lambda: "keys and limits reloaded" in service.errors)
    room.file("long.json", " " * 3_000_000)
    common = ["--silent", "--show-error", "--cacert", "cert.pem", "--output", os.devnull,
              "--write-out", "%{http_version} %{http_code} "]
    form = ["-H", "Content-Type: application/json"]
    events, status = f"{service.url}/v1/events", f"{service.url}/v1/status"

    def curl(*arguments):
        done = subprocess.run(["curl", *arguments], capture_output=True, text=True, cwd=room.path, timeout=LIMIT)
        return done.stdout + ("failed " + done.stderr) * (done.returncode != 0)

    http2, goal = [*common, "--http2"], ["-d", '{"event":"Goal"}']
    assert curl(*http2, *key, *form, *goal, events) == "2 200 "
    # Answered before the body was read, which HTTP/1.1 says with `Connection: close`, a field that HTTP/2 forbids.
    assert curl(*http2, *goal, events) == "2 401 "
    # A body that is too long, and the next request over the same connection.
    long = [*http2, *key, *form, "--data-binary", "@long.json", events]
    assert curl(*long, "--next", *http2, *key, status) == "2 413 2 200 "
    assert curl(*common, "--http1.1", *key, status) == "1.1 200 "
    service.stop()


@pytest.mark.parametrize("body, status", [
    (lambda: b" " * (8 << 20), 413), (lambda: (b" " * 10000 for _ in range(800)), 413),
    (lambda: b"nonsense" * 7000, 400)], ids=["long", "chunked", "nonsense"])
def test_a_refusal_reaches_a_client_that_sends_all_before_it_looks_for_an_answer(room, body, status):
    service = room.serve({"server": {"limits": {"maxBody": "64KiB"}}})
    request = urllib.request.Request(f"{service.url}/v1/events", body(), {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError, match=str(status)):
        urllib.request.urlopen(request, timeout=30)
    service.stop()


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
# GET /healthz in stream 1, HPACK without a table; the service answers, and hears nothing again.
HEADERS = b"\x82\x87\x04\x08/healthz\x01\x09localhost"
REQUEST = PREFACE + len(HEADERS).to_bytes(3, "big") + bytes.fromhex("010500000001") + HEADERS


@pytest.mark.parametrize("protocol, said", [
    (None, b""), (None, b"\x16\x03\x01\x02\x00"), ("http/1.1", b""), ("h2", b""), ("h2", PREFACE), ("h2", REQUEST)],
    ids=["nothing", "half a greeting", "HTTP-1.1", "HTTP-2", "HTTP-2 with its preface", "HTTP-2 with a request"])
def test_a_client_that_says_nothing_more_is_cut_off(room, tls, protocol, said):
    service = room.serve({"server": {"limits": {"idleTimeout": "1s"}, "tls": tls}})
    line, heard = socket.create_connection(("127.0.0.1", service.port), timeout=20), b""
    if protocol:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols([protocol])
        line = context.wrap_socket(line)
    line.sendall(said)
    with contextlib.suppress(ConnectionError):
        while piece := line.recv(65536):
            heard += piece
    line.close()
    assert said != REQUEST or b'{"status":"ok"}' in heard
    service.stop()


def test_events_are_taken_in_a_crowd(room):
    """More connections than files may be open, while the log begins segment after segment. It says so, as JSON."""
    service = room.serve({"log": {"path": "L", "segmentSize": "1MiB"}}, "--log-format json", **open_files(200))
    lines = map(json.loads, service.errors.splitlines())
    said = next(line for line in lines if "maxConnections is lowered" in line["message"])
    assert (said["level"], said["metadata"]["openFiles"]) == ("warning", "200")
    # The rest is for the log and, on each core, an event loop and its threads.
    assert 20 <= int(said["metadata"]["connections"]) <= 100
    honest = requests.Session()
    honest.get(f"{service.url}/healthz", timeout=LIMIT)
    crowd = [socket.create_connection(("127.0.0.1", service.port), timeout=30) for _ in range(400)]
    for _ in range(6):
        lines = "".join('{"event":"%s"}\n' % base64.b64encode(noise(1500)).decode() for _ in range(500))
        answer = honest.post(f"{service.url}/v1/events", lines, headers={"Content-Type": "application/x-ndjson"},
                             timeout=LIMIT)
        assert answer.status_code == 200, answer.text
    service.stop()
    for line in crowd:
        line.close()
    assert [json.loads(line) for line in service.errors.splitlines()]
    assert len([name for name in room.names("L/data") if name.endswith(".seg")]) >= 4


def test_it_ends_on_a_full_disk(room):
    """SIGTERM while the log waits for room."""
    disk = room.path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "penstock-small", disk]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here, which takes root")
    asking = []
    try:
        # Nothing is sealed: that takes room for a while and gives it back.
        service = room.serve({"log": {"path": "disk/L", "whenFull": "wait", "segmentSize": "1MiB", "sealing": "off"},
                              "server": {"limits": {"drainTimeout": "2s"}}})
        text = base64.b64encode(noise(600_000)).decode()
        room.file("rows.ndjson", "".join(f'{{"event":"{text[at:at + 2000]}"}}\n' for at in range(0, len(text), 2000)))
        # With keys, because those wait: without one the service answers that the disk is full.
        curl = ["curl", "--silent", "--output", os.devnull, "--data-binary", "@rows.ndjson", f"{service.url}/v1/events",
                "-H", "Content-Type: application/x-ndjson", "-H"]
        asking += [subprocess.Popen([*curl, f"Idempotency-Key: k{number}"], cwd=room.path) for number in range(40)]
        # Full is what has no room for another segment.
        until(lambda: os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize < 1 << 20)
        began = time.monotonic()
        service.process.terminate()
        service.process.wait(30)
        assert time.monotonic() - began <= 15, "it ends within drainTimeout and a little"
        room("verify --log disk/L")
    finally:
        for process in [*room.live, *asking]:
            process.kill()
            process.wait()
        subprocess.run(["umount", disk], check=True)


def test_status_asks_a_running_service(room):
    token, feeder = room.key("ops", "companyAdmin"), room.key("in", "producer")
    service = room.serve({"server": {"keysFile": "keys.json"}, "destinations": [directory()]}, key=token)
    assert service.ask("POST", "/v1/events", rows(2)).status_code == 200
    said = room.json(f"status --server {service.url}", env={"PENSTOCK_KEY": token})
    assert (said["end"], said["records"], said["ready"]) == (2, 2, True)
    assert [cursor["name"] for cursor in said["cursors"]] == ["dir"]
    room.file("token", token + "\n")
    words = room(f"status --server {service.url}/ --key-file token").text
    assert "2 (offsets 0 ..< 2)" in words and "cursor" in words and "dir" in words
    status = f"status --server {service.url}"
    room(status, 3, "needs a key", "PENSTOCK_KEY")
    room(status, 3, "rejected this key", env={"PENSTOCK_KEY": "psk_no"})
    room(status, 3, "no permission for the status", env={"PENSTOCK_KEY": feeder})
    service.stop()
    room(status, 3, "cannot reach", "connection refused")
    room("status --server events", 2, "expected an address")
    room("status", 2, "name one of --log DIR and --server URL")
    room(f"status --log L --server {service.url}", 2)
