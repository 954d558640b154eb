#!/usr/bin/env python3
"""usage: scripts/hostile-clients.py --binary PATH [--idle N] [--seconds N]

Hostile clients against `penstock serve`: decompression bombs, idle connections, heads and bodies that trickle in, bodies that break
off, garbage. Meanwhile an honest client sends events. Exits 1 when an honest request fails or takes longer than 5 s, when memory
grows from the middle of the run to its end, when a connection that says nothing is left open, or when anything but the honest events
is in the log.
"""
import argparse
import gzip
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

p = argparse.ArgumentParser(description=__doc__)
p.add_argument("--binary", required=True)
p.add_argument("--idle", type=int, default=10_000)
p.add_argument("--seconds", type=int, default=30)
args = p.parse_args()
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
idle = min(args.idle, most - 500)

folder = tempfile.mkdtemp(prefix="penstock-hostile-")
config = os.path.join(folder, "penstock.json")
with open(config, "w") as file:
    limits = {"idleTimeout": "5s", "bodyTimeout": "5s", "maxBody": "4MiB", "bodyMemory": "32MiB"}
    json.dump({"log": {"path": folder + "/events"}, "server": {"listen": "127.0.0.1:0", "limits": limits}}, file)
server = subprocess.Popen([args.binary, "serve", "--config", config, "--json"], stdout=subprocess.PIPE, text=True)
port = int(json.loads(server.stdout.readline())["listening"].rsplit(":", 1)[1])
ending = threading.Event()
faults, done = [], {}


def rss():
    with open(f"/proc/{server.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def count(name):
    done[name] = done.get(name, 0) + 1


def connect():
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def honest():
    while not ending.is_set():
        began = time.time()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/events", b'[{"event":"honest"}]', {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            # Asked to come again, which is an answer.
            if error.code == 429:
                count("honest 429")
                continue
            faults.append(f"an honest request was answered {error.code}")
            continue
        except OSError as error:
            faults.append(f"an honest request failed: {error}")
            continue
        count("honest")
        if time.time() - began > 5:
            faults.append(f"an honest request took {time.time() - began:.1f} s")
        time.sleep(0.02)


# Compressed in layers of its own: 1 GiB of blanks in about 1 MiB.
bomb = gzip.compress(b" " * (64 << 20), 6) * 16


def bombs():
    while not ending.is_set():
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/events", bomb,
            {"Content-Type": "application/json", "Content-Encoding": "gzip"})
        try:
            urllib.request.urlopen(request, timeout=20).read()
            faults.append("a bomb was accepted")
        except urllib.error.HTTPError as error:
            if error.code not in (413, 429):
                faults.append(f"a bomb was answered {error.code}")
        except OSError:
            pass  # Answered and closed while it was still being sent.
        count("bombs")


def trickle(head, name):
    while not ending.is_set():
        try:
            with connect() as connection:
                connection.sendall(head)
                began = time.time()
                while not ending.is_set():
                    connection.sendall(b"a")
                    time.sleep(0.5)
                    if time.time() - began > 20:
                        faults.append(f"a {name} was borne for 20 s")
                        break
        except OSError:
            pass
        count(name)


def broken(piece, name):
    while not ending.is_set():
        try:
            with connect() as connection:
                connection.sendall(piece)
        except OSError:
            pass
        count(name)
        time.sleep(0.01)


head = b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n"
jobs = [(honest, ())] * 2 + [(bombs, ())] * 2
jobs += [(trickle, (b"POST /v1/events HTTP/1.1\r\nHost: ", "slow head"))] * 20
jobs += [(trickle, (head + b"\r\n[", "slow body"))] * 20
jobs += [(broken, (head + b'\r\n[{"event":"broken"},', "broken body")), (broken, (os.urandom(2000), "garbage"))]
jobs += [(broken, (b'GET / HTTP/1.1\r\n\r\nPOST /v1/events HTTP/1.1\r\n\x00' * 20, "pipelined garbage"))]
threads = [threading.Thread(target=job, args=given, daemon=True) for job, given in jobs]
for thread in threads:
    thread.start()
sockets = []
for _ in range(idle):
    try:
        sockets.append(connect())
    except OSError as error:
        faults.append(f"connection {len(sockets)} was not taken: {error}")
        break
opened = rss()
time.sleep(args.seconds / 2)
middle = rss()
time.sleep(args.seconds / 2)
end = rss()
still = 0
for connection in sockets:
    connection.setblocking(False)
    try:
        still += connection.recv(1) != b""
    except BlockingIOError:
        still += 1
    except OSError:
        pass
if still:
    faults.append(f"{still} of {len(sockets)} connections that said nothing are still open")
ending.set()
for thread in threads:
    thread.join(30)
if end > middle * 1.2 + 16:
    faults.append(f"memory grew from {middle:.0f} to {end:.0f} MiB")
server.send_signal(signal.SIGTERM)
if server.wait(60) != 0:
    faults.append(f"the server ended with {server.returncode}")
rows = subprocess.run([args.binary, "tail", "--log", folder + "/events"], capture_output=True, text=True).stdout.splitlines()
if set(rows) != {'{"event":"honest"}'} or len(rows) < done.get("honest", 0):
    faults.append(f"the log holds {len(rows)} events, of {len(set(rows))} kinds")
words = ", ".join(f"{number} {name}" for name, number in sorted(done.items()))
print(
    f"hostile-clients: {len(sockets)} idle, {words}; memory {opened:.0f} MiB with all open, {middle:.0f} in the middle, "
    f"{end:.0f} at the end; {len(faults)} faults")
for fault in faults[:20]:
    print("  " + fault)
shutil.rmtree(folder)
sys.exit(1 if faults else 0)
