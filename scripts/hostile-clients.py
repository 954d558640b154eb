#!/usr/bin/env python3
"""usage: scripts/hostile-clients.py --binary PATH [--idle N] [--seconds N] [--bomb GIBIBYTES] [--plant memory]

Hostile clients against `penstock serve`: decompression bombs in gzip and zstd, 10,000 idle connections, heads and bodies that trickle
in, bodies that break off, garbage. Meanwhile two honest clients send events. Exits 1 when an honest request fails or takes longer than
5 s, when memory grows from the middle of the run to its end or was ever above what the limits allow, when a bomb is not refused, when
a connection that says nothing is left open, or when anything but the honest events is in the log.

--plant memory gives the service limits that let a bomb in; the memory must then be found to be too much.
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
p.add_argument("--bomb", type=int, default=10, metavar="GIBIBYTES")
p.add_argument("--plant", choices=["memory"])
args = p.parse_args()
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
idle = min(args.idle, most - 500)

folder = tempfile.mkdtemp(prefix="penstock-hostile-")
config = os.path.join(folder, "penstock.json")
with open(config, "w") as file:
    limits = {"idleTimeout": "5s", "bodyTimeout": "5s", "maxBody": "12MiB", "bodyMemory": "64MiB"}
    if args.plant:
        limits.update(maxBody="512MiB", bodyMemory="1GiB")
    json.dump({"log": {"path": folder + "/events"}, "server": {"listen": "127.0.0.1:0", "limits": limits}}, file)
# As in a shell: it has to raise its limit of open files by itself.
server = subprocess.Popen(
    [args.binary, "serve", "--config", config, "--json"], stdout=subprocess.PIPE, text=True,
    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, most), most)))
port = int(json.loads(server.stdout.readline())["listening"].rsplit(":", 1)[1])
ending = threading.Event()
faults, done, took = [], {}, []
if resource.prlimit(server.pid, resource.RLIMIT_NOFILE)[0] != most:
    faults.append("the server did not raise its limit of open files")


def memory(name="VmRSS"):
    """In MiB; VmHWM is the most there ever was."""
    with open(f"/proc/{server.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) / 1024


started = memory()


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
        took.append(time.time() - began)
        if time.time() - began > 5:
            faults.append(f"an honest request took {time.time() - began:.1f} s")
        time.sleep(0.02)


def gzip_bomb():
    """Blanks, in members that follow one another: a thousandth of them."""
    return gzip.compress(b" " * (64 << 20), 9) * (args.bomb * 16)


def zstd_bomb():
    """One frame of blocks that say "so many blanks" in four bytes (RFC 8878, 3.1.1.2)."""
    size = 128 << 10
    block = lambda is_last: (is_last | 1 << 1 | size << 3).to_bytes(3, "little") + b" "
    window = bytes([7 << 3])  # 128 KiB
    return b"\x28\xb5\x2f\xfd\x00" + window + block(0) * (args.bomb * (1 << 30) // size - 1) + block(1)


def bombs(coding, body):
    head = (f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Encoding: {coding}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n")
    while not ending.is_set():
        answer = b""
        try:
            with connect() as connection:
                try:
                    connection.sendall(head.encode())
                    connection.sendall(body)
                except OSError:
                    pass  # Answered and closed while it was still being sent; what was answered is there.
                answer = connection.recv(65536)
        except OSError:
            pass
        status = answer[9:12].decode(errors="replace")
        if answer and status not in ("413", "429"):
            faults.append(f"a bomb in {coding} was answered {status}")
        count(f"bombs in {coding} refused" if answer else f"bombs in {coding} cut off")


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
jobs = [(honest, ())] * 2 + [(bombs, ("gzip", gzip_bomb())), (bombs, ("zstd", zstd_bomb()))] * 2
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
opened = memory()
time.sleep(args.seconds / 2)
middle = memory()
time.sleep(args.seconds / 2)
end = memory()
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
peak = memory("VmHWM")
if end > middle * 1.2 + 16:
    faults.append(f"memory grew from {middle:.0f} to {end:.0f} MiB")
# What it takes without clients, 16 KiB for each connection, and what all bodies may.
most = started + len(sockets) / 64 + 64 + 32
if peak > most:
    faults.append(f"there were {peak:.0f} MiB in memory, and {most:.0f} is the most")
for coding in ("gzip", "zstd"):
    if not args.plant and not done.get(f"bombs in {coding} refused"):
        faults.append(f"no bomb in {coding} got its answer")
server.send_signal(signal.SIGTERM)
if server.wait(60) != 0:
    faults.append(f"the server ended with {server.returncode}")
rows = subprocess.run([args.binary, "tail", "--log", folder + "/events"], capture_output=True, text=True).stdout.splitlines()
if set(rows) != {'{"event":"honest"}'} or len(rows) < done.get("honest", 0):
    faults.append(f"the log holds {len(rows)} events, of {len(set(rows))} kinds")
words = ", ".join(f"{number} {name}" for name, number in sorted(done.items()))
took.sort()
print(
    f"hostile-clients: {len(sockets)} idle, bombs of {args.bomb} GiB, {words}; memory {started:.0f} MiB before, {opened:.0f} with all "
    f"open, {middle:.0f} in the middle, {end:.0f} at the end, {peak:.0f} at most; an honest request took "
    f"{took[len(took) // 2] * 1e3:.0f} ms, the slowest {took[-1] * 1e3:.0f}; {len(faults)} faults")
for fault in faults[:20]:
    print("  " + fault)
shutil.rmtree(folder)
if args.plant:
    sys.exit(0 if any("is the most" in fault for fault in faults) else 1)
sys.exit(1 if faults else 0)
