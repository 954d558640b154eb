"""Hostile clients against `penstock serve`, and two honest ones that send events meanwhile.

docs/internals/testing.md says what must hold ("The service among hostile clients"). --plant memory gives the service
limits that let a bomb in: the memory must then be found to be too much.
"""
import collections
import contextlib
import functools
import gzip
import os
import pathlib
import re
import resource
import signal
import socket
import threading
import time

from common import meanwhile, post

PLANTS = {"memory": "is the most"}
HEAD = b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
AMOUNTS = {"idle": (10_000, 1500, "silent connections"), "seconds": (30.0, 10.0, "how long"), "bomb": (10, 1, "GiB")}


def gzip_bomb(size):
    """Blanks, in members that follow one another: a thousandth of them."""
    return gzip.compress(b" " * (64 << 20), 9) * (size >> 26)


def zstd_bomb(size):
    """One frame of blocks that say "so many blanks" in four bytes (RFC 8878, 3.1.1.2)."""
    length, window = 128 << 10, bytes([7 << 3])  # 128 KiB

    def block(is_last):
        return (is_last | 1 << 1 | length << 3).to_bytes(3, "little") + b" "
    return b"\x28\xb5\x2f\xfd\x00" + window + block(0) * (size // length - 1) + block(1)


class Hostile:
    def __init__(self, room):
        self.room, self.options, self.ending = room, room.options, threading.Event()
        self.done, self.took, self.sockets = collections.Counter(), [], []
        self.most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.most, self.most))
        limits = {"idleTimeout": "5s", "bodyTimeout": "5s", "maxBody": "12MiB", "bodyMemory": "64MiB"}
        if self.options.plant:
            limits.update(maxBody="512MiB", bodyMemory="1GiB")
        room.configure(server={"listen": "127.0.0.1:0", "limits": limits})
        # As in a shell: it has to raise its limit of open files by itself.
        few = (min(1024, self.most), self.most)
        self.server, url = room.listen("serve", "serve --config c.yaml",
                                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, few))
        self.port = int(url.rpartition(":")[2])
        if resource.prlimit(self.server.pid, resource.RLIMIT_NOFILE)[0] != self.most:
            self.wrong("the server did not raise its limit of open files")

    def wrong(self, words):
        self.room.problems.append(words)

    def memory(self, name="VmRSS"):
        """In MiB; VmHWM is the most there ever was."""
        status = pathlib.Path(f"/proc/{self.server.pid}/status").read_text()
        return int(re.search(rf"{name}:\s*(\d+)", status)[1]) >> 10

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def again(self, job, name, *given):
        """One hostile connection after the other; that the server ends it is what it should do."""
        while not self.ending.is_set():
            end = ""
            with contextlib.suppress(OSError), self.connect() as connection:
                end = job(connection, name, *given) or ""
            self.done[name + end] += 1

    def honest(self):
        while not self.ending.is_set():
            began = time.time()
            try:
                status, _ = post(f"127.0.0.1:{self.port}", b'[{"event":"honest"}]')
            except OSError as error:
                self.wrong(f"an honest request failed: {error}")
                continue
            if status == 429:  # asked to come again, which is an answer
                self.done["honest 429"] += 1
            elif status != 200:
                self.wrong(f"an honest request was answered {status}")
            else:
                self.done["honest"] += 1
                self.took.append(time.time() - began)
                if self.took[-1] > 5:
                    self.wrong(f"an honest request took {self.took[-1]:.1f} s")
                time.sleep(0.02)

    def bomb(self, connection, name, coding, body):
        answer = b""
        head = HEAD + f"Content-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with contextlib.suppress(OSError):
            # Answered and closed while it was still being sent; what was answered is there.
            with contextlib.suppress(OSError):
                connection.sendall(head + body)
            answer = connection.recv(65536)
        status = answer[9:12].decode(errors="replace")
        if answer and status not in ("413", "429"):
            self.wrong(f"{name}: one was answered {status}")
        return " refused" if answer else " cut off"

    def trickle(self, connection, name, head):
        connection.sendall(head)
        began = time.time()
        while not self.ending.is_set():
            connection.sendall(b"a")
            time.sleep(0.5)
            if time.time() - began > 20:
                self.wrong(f"a {name} was borne for 20 s")
                return

    def broken(self, connection, name, piece):
        connection.sendall(piece)
        time.sleep(0.01)

    def jobs(self):
        size, body = self.options.bomb << 30, HEAD + b"Content-Length: 100000\r\n\r\n["
        bombs = [(self.bomb, f"bombs in {coding}", coding, content)
                 for coding, content in (("gzip", gzip_bomb(size)), ("zstd", zstd_bomb(size)))]
        yield from bombs * 2
        yield from [(self.trickle, "slow heads", HEAD[:43])] * 20 + [(self.trickle, "slow bodies", body)] * 20
        yield self.broken, "broken bodies", body + b'{"event":"broken"},'
        yield self.broken, "pieces of garbage", os.urandom(2000)
        yield self.broken, "pipelined garbage", b"GET / HTTP/1.1\r\n\r\nPOST /v1/events HTTP/1.1\r\n\x00" * 20

    def open_idle_ones(self):
        for _ in range(min(self.options.idle, self.most - 500)):
            try:
                self.sockets.append(self.connect())
            except OSError as error:
                return self.wrong(f"connection {len(self.sockets)} was not taken: {error}")

    def run(self):
        started = self.memory()
        with meanwhile(self.ending, self.honest, self.honest, *(functools.partial(self.again, *job)
                                                                for job in self.jobs())):
            self.open_idle_ones()
            opened = self.memory()
            time.sleep(self.options.seconds / 2)
            middle = self.memory()
            time.sleep(self.options.seconds / 2)
            end = self.memory()
            if still := sum(map(is_open, self.sockets)):
                self.wrong(f"{still} of {len(self.sockets)} connections that said nothing are still open")
        peak = self.memory("VmHWM")
        if end > middle * 1.2 + 16:
            self.wrong(f"memory grew from {middle} to {end} MiB")
        # What it takes without clients, 16 KiB for each connection, and what all bodies may.
        if peak > (most := started + len(self.sockets) // 64 + 64 + 32):
            self.wrong(f"there were {peak} MiB in memory, and {most} is the most")
        self.check()
        self.took = sorted(self.took) or [0]
        return {"idle connections": len(self.sockets), **dict(sorted(self.done.items())), "MiB before": started,
                "MiB with all open": opened, "MiB in the middle": middle, "MiB at the end": end, "MiB at most": peak,
                "ms for an honest request": round(self.took[len(self.took) // 2] * 1e3),
                "ms for the slowest": round(self.took[-1] * 1e3)}

    def check(self):
        for coding in ("gzip", "zstd"):
            if not self.options.plant and not self.done.get(f"bombs in {coding} refused"):
                self.wrong(f"no bomb in {coding} got its answer")
        self.server.send_signal(signal.SIGTERM)
        self.room.wait("serve", self.server)
        rows = self.room.held().splitlines()
        if set(rows) != {b'{"event":"honest"}'} or len(rows) < self.done.get("honest", 0):
            self.wrong(f"the log holds {len(rows)} events, of {len(set(rows))} kinds")


def is_open(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def run(room):
    return Hostile(room).run()
