"""A loopback proxy that lets requests through at once and holds answers back for a moment.

The window that matters in a delivery is the one between the destination's commit and ours. On loopback it lasts
microseconds, and a random SIGKILL hardly ever falls into it; behind this proxy it does every few rounds.
"""
import random
import socket
import threading
import time
from urllib.parse import urlsplit


class SlowAnswers:
    """Listens on a port of its own until the process ends. `url` stands for the target's address, and `seen` grows
    with every piece of a request that has passed. While it is `down`, nobody is connected, and conversations break off;
    `refused` counts who was turned away."""

    def __init__(self, target, seed, longest):
        self.target, self.longest, self.random = urlsplit(target), longest, random.Random(seed)
        self.seen, self.refused, self.up_again = 0, 0, 0.0
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
                client.close()
                continue
            try:
                server = socket.create_connection((self.target.hostname, self.target.port))
            except OSError:
                client.close()
                continue
            threading.Thread(target=self.copy, args=(client, server, 0), daemon=True).start()
            threading.Thread(target=self.copy, args=(server, client, self.longest), daemon=True).start()

    def copy(self, source, sink, longest):
        try:
            while data := source.recv(1 << 16):
                if longest:
                    time.sleep(self.random.uniform(0, longest))
                if self.down:
                    break
                sink.sendall(data)
                self.seen += longest == 0
        except OSError:
            pass  # one side was killed
        finally:
            # Ends this direction only: what the other side still says must arrive.
            try:
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            if longest:  # the answering side has ended: so has the conversation
                source.close()
                sink.close()
