"""What the kill test does besides appending and delivering: outages, dead letters, a replay; each where the binary has it.

Part of kill-test.py, which says in words what is proved. What is left out is said aloud, never passed over.
"""
import os
import signal
import subprocess

REFUSED = '"platform":"refused"'  # the receiver answers 422 to every body that holds it: see kill_proof.record
REPLAY = "window"  # the replay's id

CONFIGURATION = """\
log:
  path: {log}
destinations:
  - name: webhook
    type: webhook
    url: {webhook}
    allowPrivateNetworks: true
    batch: {{ maxEvents: 150, maxBytes: 1MiB, maxWait: 100ms }}
{webhook_keys}  - name: archive
    type: s3
    endpoint: {endpoint}
    bucket: {bucket}
    region: {region}
    credentials: {{ accessKey: "${{PENSTOCK_S3_ACCESS_KEY}}", secretKey: "${{PENSTOCK_S3_SECRET_KEY}}" }}
    prefix: {prefix}
    compression: zstd
    rotate: {{ maxRecords: 500, maxAge: 1s }}
{archive_keys}"""
DEAD_LETTERS = "    onRejected: deadLetter\n"
BREAKER = "    circuit: { failures: 2, drain: 16, doubling: 1s, full: 64 }\n    retry: { first: 50ms, cap: 400ms }\n"


class Features:
    """What the binary can do, found out by asking it."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.dead_letters = self.takes(DEAD_LETTERS)
        self.breaker = self.takes(BREAKER)
        # Of a command that it does not have it shows its own help, and ends well.
        self.replay = b"penstock replay" in subprocess.run([binary, "replay", "--help"], capture_output=True,
                                                           timeout=60).stdout
        self.left_out = [words for has, words in (
            (self.dead_letters, "DEAD LETTERS: the configuration does not know onRejected; nothing is rejected"),
            (self.breaker, "CIRCUIT SETTINGS: the configuration does not know circuit and retry; outages are met with the "
                           "defaults, and are rarer"),
            (self.replay, "REPLAY: there is no `penstock replay`; nothing is replayed beside")) if not has]

    def run(self, *arguments):
        return subprocess.run([self.binary, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=60).returncode

    def takes(self, keys):
        """Whether a configuration with these keys is read: then the missing log is at fault (3), not the file (2)."""
        path = os.path.join(self.folder, "trial.yaml")
        with open(path, "w") as file:
            file.write("destinations:\n  - name: webhook\n    type: webhook\n    url: https://example.com/\n" + keys)
        code = self.run("deliver", "--config", path, "--log", os.path.join(self.folder, "none"), "--until-caught-up")
        os.remove(path)
        return code == 3

    def configuration(self, **values):
        webhook = (DEAD_LETTERS if self.dead_letters else "") + (BREAKER if self.breaker else "")
        return CONFIGURATION.format(webhook_keys=webhook, archive_keys=BREAKER if self.breaker else "", **values)

    def receiver_options(self):
        return ["--reject", REFUSED] if self.dead_letters else []


class Replay:
    """One replay into the bucket, under its own names, killed and gone on with round by round."""

    def __init__(self, test):
        self.test, self.window, self.process, self.killed = test, None, None, 0

    def begin(self, end):
        """Starts it, or lets it go on; `end` is an offset that is surely durable."""
        arguments = ["replay", "--log", self.test.log, "--config", self.test.path("config.yaml"), "--to", "archive",
                     "--id", REPLAY, "--json"]
        if self.window is None:
            if end < 1200:
                return None
            self.window = (end // 7, end)
        # The window each time: a kill may have come before it was durable, and the same one again is no change.
        arguments += ["--from", str(self.window[0]), "--until", str(self.window[1])]
        self.process = self.test.spawn("replay", arguments, stdout=subprocess.DEVNULL)
        return self.process

    def end(self):
        """Waits for it. It may have been killed, or have finished before the kill."""
        if self.process is None:
            return
        process, self.process = self.process, None
        code = self.test.wait(process, "replay")
        self.killed += code == -signal.SIGKILL
        if code not in (0, -signal.SIGKILL):
            self.test.problems.append(f"the replay ended with {code}: {self.test.errors('replay')}")

    def finish(self, end):
        self.begin(end)
        self.end()
