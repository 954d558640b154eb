"""A loopback proxy that lets requests through at once and holds answers back for a moment.

The window that matters in a delivery is the one between the destination's commit and ours. On loopback it lasts
microseconds, and a random SIGKILL hardly ever falls into it; behind this proxy it does every few rounds.
"""
import random
import socket
import threading
import time
from urllib.parse import urlsplit


class Deaf:
    """Who listens to a conversation and remembers nothing of it."""

    def asked(self, data, is_lost):
        """A piece of a request has come; a lost one is not let through."""

    def answered(self, data):
        """A piece of an answer has come."""


class SlowAnswers:
    """Listens on a port of its own until the process ends. `url` stands for the target's address, and `seen` grows
    with every piece of a request that has passed. While it is `down`, nobody is connected, and conversations break off;
    `refused` counts who was turned away. `listener` makes who listens to a new conversation (see Deaf)."""

    def __init__(self, target, seed, longest, listener=Deaf):
        self.target, self.longest, self.random = urlsplit(target), longest, random.Random(seed)
        self.listener, self.seen, self.refused, self.up_again = listener, 0, 0, 0.0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def go_down(self, seconds):
        self.up_again = time.monotonic() + seconds

    @property
    def down(self):
        return time.monotonic() < self.up_again

    def accept(self):
        while True:
            client, _ = self.server.accept()
            if self.down:
                self.refused += 1
                threading.Thread(target=self.turn_away, args=(client,), daemon=True).start()
                continue
            try:
                server = socket.create_connection((self.target.hostname, self.target.port))
            except OSError:
                client.close()
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conversation = (self.listener(), threading.Event())
            threading.Thread(target=self.ask, args=(client, server, *conversation), daemon=True).start()
            threading.Thread(target=self.answer, args=(server, client, *conversation), daemon=True).start()

    def turn_away(self, client):
        """Hears what was wanted, and hangs up."""
        try:
            client.settimeout(0.2)
            self.listener().asked(client.recv(1 << 16), True)
        except OSError:
            pass
        finally:
            client.close()

    def ask(self, client, server, ear, is_asked):
        try:
            while data := client.recv(1 << 18):
                is_lost = self.down
                ear.asked(data, is_lost)
                if is_lost:
                    break
                is_asked.set()
                server.sendall(data)
                self.seen += 1
        except OSError:
            pass  # one side was killed
        finally:
            # Ends this direction only: what the other side still says must arrive.
            shut(server)

    def answer(self, server, client, ear, is_asked):
        try:
            while data := server.recv(1 << 16):
                ear.answered(data)
                if is_asked.is_set():  # the beginning of an answer: a long one is held back once
                    is_asked.clear()
                    time.sleep(self.random.uniform(0, self.longest))
                if self.down:
                    break
                client.sendall(data)
        except OSError:
            pass
        finally:
            shut(client)
            server.close()
            client.close()


def shut(connection):
    try:
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass
