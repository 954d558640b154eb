"""Maps every file of a folder and touches its pages, until it is killed: hold.py FOLDER. It says "ready" when all are.

A program of its own, which imports nothing of the drivers.
"""
import contextlib
import mmap
import os
import sys
import time


def hold(folder):
    """Over and over. A file that is cut short may end it, by SIGBUS."""
    maps, is_first = {}, True
    while True:
        for place, _, names in os.walk(folder):
            for path in (os.path.join(place, name) for name in names):
                with contextlib.suppress(OSError, ValueError), open(path, "rb") as file:
                    maps.setdefault(os.stat(path).st_ino, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        for pages in maps.values():
            bytes(pages[::mmap.PAGESIZE])
        if is_first:
            print("ready", flush=True)
        is_first = False
        time.sleep(0.002)


if __name__ == "__main__":
    hold(sys.argv[1])
