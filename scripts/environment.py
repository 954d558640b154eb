#!/usr/bin/env python3
"""The virtual environment with what scripts/requirements.txt pins, below PENSTOCK_CACHE (default ~/.cache/penstock).

usage: environment.py      installs it where it is missing, and prints its python; 3 when that cannot be done

A script that needs it begins with `import environment` and `environment.enter()`. Its place is named by the pins, so
checkouts do not disturb each other.
"""
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

PINS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "requirements.txt")
CACHE = os.path.realpath(os.environ.get("PENSTOCK_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "penstock"))
# What a wheel can promise and not keep.
CHECK = """import boto3, eventlet, playwright.sync_api, psutil, pyeclib, pytest, schemathesis, standardwebhooks
import matplotlib, swift.proxy.server, trustme, xdist, swift.common.middleware.s3api.s3api, subprocess, sys
subprocess.run([sys.prefix + "/bin/weed", "version"], check=True, stdout=subprocess.DEVNULL)"""


def place():
    pins = pathlib.Path(PINS).read_bytes()
    return os.path.join(CACHE, "python-" + hashlib.sha256(pins).hexdigest()[:12])


def python():
    return os.path.join(place(), "bin", "python")


def install():
    """Built next to its place and renamed into it when it works: an interrupted run leaves nothing half done."""
    if os.path.exists(place()):
        return
    os.makedirs(CACHE, exist_ok=True)
    # The second of two at once waits, then finds everything there. A killed run leaves no lock behind.
    with open(os.path.join(CACHE, ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(place()):
            return
        print(f"environment.py: installing {PINS} from PyPI into {place()}", file=sys.stderr)
        new = tempfile.mkdtemp(prefix=".new-", dir=CACHE)
        its = os.path.join(new, "bin", "python")
        try:
            for command in ([sys.executable, "-m", "venv", new],
                            [its, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", PINS],
                            [its, "-W", "ignore", "-c", CHECK]):
                subprocess.run(command, check=True, stdout=sys.stderr)
            os.rename(new, place())
        except subprocess.CalledProcessError:
            print("environment.py: could not install it with pip (is PyPI reachable?)", file=sys.stderr)
            sys.exit(3)
        finally:
            shutil.rmtree(new, ignore_errors=True)


def enter():
    """Continues in it. Started by its python: a program's first line names the folder that it was built in."""
    if os.path.realpath(sys.prefix) != place():
        install()
        os.execv(python(), [python(), "-B", *sys.argv])


if __name__ == "__main__":
    install()
    print(python())
