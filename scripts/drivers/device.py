"""A disk of our own under a real file system: an image that device.c and a loop device serve, mounted.

Mounts are `mount -o loop`, so that unmounting ends the loop device too. The driver runs in a mount namespace of its
own, so that even a killed run leaves no mount.
"""
import contextlib
import os
import re
import shlex
import subprocess
import time

SOURCES = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.dirname(SOURCES)
UUID = "6b0c4c1e-71d6-4f0b-9b7c-2f5a1d3e8c90"
MEBIBYTE = 1 << 20
SIZES = {"ext4": 64 * MEBIBYTE, "xfs": 304 * MEBIBYTE}  # the least that mkfs.xfs takes
MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-U", UUID, "-J", "size=4",
             "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-K", "-m", f"uuid={UUID}"],
}


class Unusable(Exception):
    """A command of the system failed. Before the first round: this machine cannot run the laboratory."""


def run(*command):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode:
        raise Unusable(f"{' '.join(command[:3])} …: {(result.stderr or result.stdout).strip()[:300]}")
    return result.stdout


def build(folder):
    """Compiles the device and the library of planted faults."""
    flags = shlex.split(run("pkg-config", "--cflags", "--libs", "fuse3"))
    run("clang", "-O2", "-o", f"{folder}/device", f"{SOURCES}/device.c", *flags)
    run("clang", "-O2", "-shared", "-fPIC", "-o", f"{folder}/plants.so", f"{SOURCES}/plants.c", "-ldl")


def unmount(place):
    # A process that was just killed may keep it busy for a moment.
    for _ in range(200):
        if subprocess.run(["umount", place], stderr=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.02)
    subprocess.run(["umount", "--lazy", place], stderr=subprocess.DEVNULL)


def copy_image(source, target):
    run("cp", "--sparse=always", source, target)


def extents(path):
    """Where a file lies on its device: (offset, length) of each extent, in bytes."""
    found = re.findall(r"^ +\d+: +\d+\.\. *\d+: +(\d+)\.\. *\d+: +(\d+):", run("filefrag", "-e", "-b1", path), re.M)
    return [(int(offset), int(length)) for offset, length in found]


def mount(image, place, kind):
    # Another laboratory may have mounted a file system with the same UUID.
    run("mount", "-t", kind, "-o", "loop,nouuid" if kind == "xfs" else "loop", image, place)


@contextlib.contextmanager
def mounted(image, place, kind):
    """An image that is mounted without the device."""
    os.makedirs(place, exist_ok=True)
    mount(image, place, kind)
    try:
        yield place
    finally:
        unmount(place)


def make_file_system(path, kind):
    with open(path, "wb") as file:
        file.truncate(SIZES[kind])
    run(*MAKE[kind], path)


def make_image(path, kind, place):
    """Makes a file system. Returns the ranges of the device that hold file content: the extents of one file as large as
    the file system, which is removed again."""
    make_file_system(path, kind)
    with mounted(path, place, kind), open(f"{place}/ballast", "wb") as file:
        size = os.statvfs(place).f_bavail * 4096
        while size > 0:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
                break
            except OSError:
                size -= MEBIBYTE
        os.fsync(file.fileno())
        ranges = extents(file.name)
        os.remove(file.name)
        file.close()
    return ranges


class Disk:
    """An image that the device serves, mounted at `path` while the context lasts."""

    def __init__(self, folder, image, kind, ranges=()):
        self.folder, self.image, self.kind, self.ranges = folder, image, kind, ranges
        self.path, self.journal, self.fuse = f"{folder}/mount", f"{folder}/journal", f"{folder}/fuse"

    def __enter__(self):
        os.makedirs(self.path, exist_ok=True)
        os.makedirs(self.fuse, exist_ok=True)
        # A Ctrl-C is for this program alone: the device must live until all is unmounted.
        command = [f"{self.folder}/device", self.image, self.journal, self.fuse, UUID.replace("-", "")]
        self.device = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                       start_new_session=True)
        try:
            if self.device.stdout.readline() != "ready\n":
                raise Unusable("the FUSE device does not start")
            for offset, length in self.ranges:
                self.ask(f"data {offset} {length}")
            self.mount()
        except BaseException:
            self.end_device()
            raise
        return self

    def __exit__(self, *_):
        unmount(self.path)
        self.end_device()

    def mount(self):
        mount(f"{self.fuse}/disk", self.path, self.kind)

    def end_device(self):
        unmount(self.fuse)
        with self.device:
            self.device.stdin.close()
            try:
                self.device.wait(20)
            except subprocess.TimeoutExpired:
                self.device.kill()

    def forget(self):
        """Drops everything that is in the page cache and not on the disk, as a restart of the machine does."""
        unmount(self.path)
        self.mount()

    def ask(self, command):
        self.device.stdin.write(command + "\n")
        self.device.stdin.flush()
        return self.device.stdout.readline().strip()

    def position(self):
        """The length of the journal. What is before it was on the disk before now."""
        return os.path.getsize(self.journal)

    def clear(self):
        """What was refused since the last call, in words, or None."""
        _, count, offset, length = self.ask("clear").split()
        return f"{length} bytes of {self.owner(int(offset))}" if int(count) else None

    def owner(self, offset):
        for folder, _, names in os.walk(self.path):
            for path in (os.path.join(folder, name) for name in names):
                with contextlib.suppress(Unusable):
                    if any(begin <= offset < begin + length for begin, length in extents(path)):
                        return os.path.relpath(path, self.path)
        return "a removed file"
