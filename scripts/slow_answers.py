"""A loopback proxy that lets requests through at once and holds answers back for a moment.

The window that matters in a delivery is the one between the destination's commit and ours. On loopback it lasts
microseconds, and a random SIGKILL hardly ever falls into it; with this proxy it does every few rounds.
"""
import contextlib
import random
import socket
import threading
import time
from urllib.parse import urlsplit


class Deaf:
    """A listener to a conversation that remembers nothing of it."""

    def asked(self, data, is_lost):
        """A piece of a request has come; a lost one is not let through."""

    def answered(self, data):
        """A piece of an answer has come."""


class SlowAnswers:
    """Listens on a port of its own until the process ends. `url` stands for the target's address, and `seen` grows with
    every piece of a request that has passed. While it is `down`, nothing connects, and conversations break off.
    `listener` makes what listens to a new conversation (see Deaf)."""

    def __init__(self, target, seed, longest, listener=Deaf):
        self.target, self.longest, self.random = urlsplit(target), longest, random.Random(seed)
        self.listener, self.seen, self.up_again = listener, 0, 0.0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        self.begin(self.accept)

    def begin(self, work, *given):
        threading.Thread(target=work, args=given, daemon=True).start()

    def go_down(self, seconds):
        self.up_again = time.monotonic() + seconds

    @property
    def down(self):
        return time.monotonic() < self.up_again

    def accept(self):
        while True:
            client, _ = self.server.accept()
            if self.down:
                self.begin(self.turn_away, client)
                continue
            try:
                server = socket.create_connection((self.target.hostname, self.target.port))
            except OSError:
                client.close()
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ear, is_asked = self.listener(), threading.Event()
            self.begin(self.ask, client, server, ear, is_asked)
            self.begin(self.answer, server, client, ear, is_asked)

    def turn_away(self, client):
        """Hears what was wanted, and hangs up."""
        with client, contextlib.suppress(OSError):
            client.settimeout(0.2)
            self.listener().asked(client.recv(1 << 16), True)

    def ask(self, client, server, ear, is_asked):
        with contextlib.suppress(OSError):  # one side was killed
            while data := client.recv(1 << 18):
                is_lost = self.down
                ear.asked(data, is_lost)
                if is_lost:
                    break
                is_asked.set()
                server.sendall(data)
                self.seen += 1
        # Ends this direction only: what the other side still says must arrive.
        shut(server)

    def answer(self, server, client, ear, is_asked):
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                ear.answered(data)
                if is_asked.is_set():  # the beginning of an answer: a long one is held back once
                    is_asked.clear()
                    time.sleep(self.random.uniform(0, self.longest))
                if self.down:
                    break
                client.sendall(data)
        # A close alone says nothing to the client while the other thread waits for its words.
        shut(client)
        server.close()
        client.close()


def shut(connection):
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
