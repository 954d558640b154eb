"""A loopback proxy that lets requests through at once and holds answers back for a moment.

The window that matters in a delivery is the one between the destination's commit and ours. On loopback it lasts
microseconds, and a random SIGKILL hardly ever falls into it; with this proxy it does every few rounds.
"""
import contextlib
import random
import socket
import socketserver
import threading
import time
from urllib.parse import urlsplit


class Deaf:
    """A listener to a conversation that remembers nothing of it."""

    def asked(self, data, is_lost):
        """A piece of a request has come; a lost one is not let through."""

    def answered(self, data):
        """A piece of an answer has come."""


class SlowAnswers(socketserver.ThreadingTCPServer):
    """Listens on a port of its own until the process ends. `url` stands for the target's address, and `seen` grows with
    every piece of a request that has passed. While it is `down`, nothing connects, and conversations break off.
    `listener` makes what listens to a new conversation (see Deaf)."""
    daemon_threads = True

    def __init__(self, target, seed, longest, listener=Deaf):
        self.target, self.longest, self.random = urlsplit(target), longest, random.Random(seed)
        self.listener, self.seen, self.up_again = listener, 0, 0.0
        super().__init__(("127.0.0.1", 0), None)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def go_down(self, seconds):
        self.up_again = time.monotonic() + seconds

    @property
    def down(self):
        return time.monotonic() < self.up_again

    def finish_request(self, client, _):
        """One conversation, in a thread of its own. While it is down, it hears what is wanted, and hangs up."""
        ear, is_asked = self.listener(), threading.Event()
        with contextlib.suppress(OSError):
            if self.down:
                client.settimeout(0.2)
                return ear.asked(client.recv(1 << 16), True)
            with socket.create_connection((self.target.hostname, self.target.port)) as server:
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                answers = threading.Thread(target=self.answer, args=(server, client, ear, is_asked), daemon=True)
                answers.start()
                self.ask(client, server, ear, is_asked)
                answers.join()

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
        # A close alone would say nothing to the client while the other thread waits for its words.
        shut(client)


def shut(connection):
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
