#!/usr/bin/env python3
"""Starts and stops private servers for the tests, on loopback, on ports that the kernel picked.

usage: servers.py start [KIND …]      KIND: seaweedfs (the default), openstack-swift, nginx
       servers.py stop [STATE …]
       servers.py run KIND … -- COMMAND …

`start` prints lines for the shell to evaluate, once all answer. `stop` ends those servers, and removes the folders that
held everything they wrote: those in the variables …_STATE (default: of PENSTOCK_S3). `run` has them for one command.

seaweedfs, as PENSTOCK_S3_*, has an atomic If-None-Match; openstack-swift, as PENSTOCK_S3_STRICT_*, checks signatures,
payload hashes, regions and clocks as AWS does, but its If-None-Match is not atomic. Their variables are ENDPOINT,
ACCESS_KEY, SECRET_KEY, REGION and BUCKET (created).

nginx, as PENSTOCK_NGINX_*, is for webhooks over real TLS, with a verifier of signatures (webhook_verifier.py) behind
it. SECRET is that of the signatures, TLS the folder with the authorities, certificates and keys, and ports are

  MAIN     https, HTTP/1.1 and HTTP/2, for localhost, receiver.test and 127.0.0.1
  HTTP1    the same without HTTP/2 and TLS 1.3
  OTHER    with a certificate for elsewhere.test
  EXPIRED  with a certificate that was valid in January 2020
  MUTUAL   demands a client certificate of the same authority
"""
import argparse
import contextlib
import os
import shlex
import signal
import subprocess
import sys

import environment

environment.enter()
from servers_base import NotStarted, stop  # noqa: E402
from servers_nginx import Nginx  # noqa: E402
from servers_s3 import OpenStackSwift, SeaweedFS  # noqa: E402

KINDS = {"seaweedfs": SeaweedFS, "openstack-swift": OpenStackSwift, "nginx": Nginx}


def start(*kinds):
    """The variables of these servers, which start at the same time."""
    servers = [KINDS[kind]() for kind in kinds]
    try:
        for server in servers:
            server.launch()
        for server in servers:
            server.wait()
        return {f"{server.prefix}_{name}": str(value) for server in servers for name, value in server.values.items()}
    except BaseException:
        for server in servers:
            stop(server.state)
        raise


@contextlib.contextmanager
def running(*kinds):
    """Servers that end with the context; their variables are in the environment meanwhile."""
    values = start(*kinds)
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in values.items():
            del os.environ[name]
            if name.endswith("_STATE"):
                stop(value)


def run(kinds, command):
    """The exit code of a command that has the variables of these servers. A signal ends the command first."""
    with running(*kinds):
        process = subprocess.Popen(command)
        signal.signal(signal.SIGINT, lambda *_: None)  # a terminal tells the command, too
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        code = process.wait()
    return code if code >= 0 else 128 - code


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("start").add_argument("kinds", nargs="*", metavar="KIND", default=["seaweedfs"])
    verbs.add_parser("stop").add_argument("states", nargs="*", default=[os.environ.get("PENSTOCK_S3_STATE")])
    verbs.add_parser("run").add_argument("kinds", nargs="+", metavar="KIND")
    end = [*sys.argv, "--"].index("--")
    options, command = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1:]
    # Told to stop while starting: leave no server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.verb == "stop":
        for state in options.states:
            stop(state)
    elif unknown := set(options.kinds) - set(KINDS):
        parser.error(f"there is no server {unknown.pop()}; there are {', '.join(KINDS)}")
    else:
        try:
            if options.verb == "run":
                sys.exit(run(options.kinds, command))
            values = start(*options.kinds)
        except NotStarted as problem:
            sys.exit(f"servers.py: {problem}")
        print(*(f"{name}={shlex.quote(value)}" for name, value in values.items()), sep="\n")


if __name__ == "__main__":
    main()
