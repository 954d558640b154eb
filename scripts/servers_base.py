"""What the servers of servers.py have in common: each is a folder, processes, and variables that tell of it."""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import environment
import psutil
from botocore.exceptions import BotoCoreError, ClientError

PROGRAMS = os.path.join(environment.place(), "bin")
ATTEMPTS = 5  # another process may take a port between our asking and the server's binding
READY_SECONDS = 60
# In the environment of all that is started: by it `stop` knows its own, or by their folder, because redis-server writes
# its name over its environment. The same is a file in the folder.
MARKER = "PENSTOCK_TEST_SERVER"


class NotStarted(Exception):
    pass


def free_ports(count):
    """Distinct ports that were free a moment ago: all are held until the last is known."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Server:
    """`begin` starts its processes, and `check` fails until they answer: on all the `ports`, unless it says another."""
    state = None

    def check(self):
        for port in self.ports:
            socket.create_connection(("127.0.0.1", port), 1).close()

    def __enter__(self):
        self.launch()
        self.wait()
        return self

    def __exit__(self, *_):
        stop(self.state)

    def launch(self):
        """One attempt, in a folder of its own."""
        self.state, self.processes = self.folder(), []
        os.mkdir(self.path("tmp"))
        self.write(MARKER, "")
        self.values = {"STATE": self.state}
        self.begin()

    def folder(self):
        return tempfile.mkdtemp(prefix="penstock-server.")

    def path(self, *parts):
        return os.path.join(self.state, *parts)

    def write(self, name, text):
        pathlib.Path(self.path(name)).write_text(text)

    def spawn(self, *command):
        """In a session of its own: Ctrl-C at the tests must not reach it."""
        around = {"HOME": self.state, "TMPDIR": self.path("tmp"), "SWIFT_DIR": self.state, MARKER: self.state}
        with open(self.path("log"), "ab") as log:
            self.processes.append(subprocess.Popen(
                command, cwd=self.state, env={**os.environ, **around}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True))

    def wait(self):
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self.wait_for_this_one()
            except NotStarted as problem:
                log = pathlib.Path(self.path("log")).read_text(errors="replace").splitlines()
                print(f"servers.py: {type(self).__name__}, attempt {attempt}: {problem}", *log[-30:], sep="\n  ",
                      file=sys.stderr)
            stop(self.state)
            if attempt < ATTEMPTS:
                self.launch()
        raise NotStarted(f"{type(self).__name__} did not start in {ATTEMPTS} attempts")

    def wait_for_this_one(self):
        deadline = time.monotonic() + READY_SECONDS
        while True:
            for process in self.processes:
                if process.poll() is not None:
                    raise NotStarted(f"{process.args[0]} ended with {process.returncode}")
            try:
                return self.check()
            except (OSError, BotoCoreError, ClientError) as problem:
                if time.monotonic() > deadline:
                    raise NotStarted(f"it is not ready after {READY_SECONDS} s: {problem}")
            time.sleep(0.02)


def stop(state):
    if state is None or not os.path.exists(state):
        return
    if not os.path.exists(os.path.join(state, MARKER)):
        sys.exit(f"servers.py: {state} is not the folder of a server started here")
    mine = [process for process in psutil.process_iter(["environ", "cwd"])
            if (process.info["environ"] or {}).get(MARKER) == state or process.info["cwd"] == state]
    for process in mine:
        # SIGKILL, because SeaweedFS takes more than ten seconds over SIGTERM; nothing here outlives the tests.
        process.kill()
    # So that nothing writes into the folder while it is removed.
    psutil.wait_procs(mine, 5)
    with contextlib.suppress(FileNotFoundError), open(os.path.join(state, "leftovers")) as file:
        for leftover in filter(os.path.exists, file.read().split()):
            os.remove(leftover)
    shutil.rmtree(state, ignore_errors=True)
