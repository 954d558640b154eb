"""The two S3 servers that servers.py starts."""
import contextlib
import getpass
import json
import os
import secrets
import subprocess
import sys
import tempfile

import s3
from servers_base import PROGRAMS, NotStarted, Server, free_ports


class Store(Server):
    def variables(self, access_key, port):
        # Fresh credentials each time, so that answering our signature proves that the server on this port is ours.
        self.secret = secrets.token_hex(20)
        values = f"http://127.0.0.1:{port}", access_key, self.secret, "us-east-1", "penstock"
        self.values |= dict(zip(s3.VALUES, values))
        self.bucket = s3.Bucket(*values, timeout=5)

    def check(self):
        """SeaweedFS refuses writes for up to five seconds after its port opens: only a stored object counts."""
        with contextlib.suppress(self.bucket.there.meta.client.exceptions.BucketAlreadyOwnedByYou):
            self.bucket.create()
        self.bucket.put(".ready", b"ready")
        self.bucket.remove(".ready")


class SeaweedFS(Store):
    prefix = "PENSTOCK_S3"

    def begin(self):
        ports = {name: free_ports(2) for name in ("s3", "master", "volume", "filer")}
        self.variables("penstock", ports["s3"][0])
        self.write("s3.json", json.dumps({"identities": [{
            "name": "penstock", "credentials": [{"accessKey": "penstock", "secretKey": self.secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}))
        os.mkdir(self.path("data"))
        # Made there whatever TMPDIR says, and no option moves them; `stop` removes them.
        sockets = (os.path.join("/tmp", f"seaweedfs-{name}-grpc-{grpc}.sock") for name, (_, grpc) in ports.items())
        self.write("leftovers", " ".join(sockets))
        self.spawn(
            f"{PROGRAMS}/weed", "-logtostderr=true", "-v=0", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            *(f"-{name}.port={port}" for name, (port, _) in ports.items()),
            *(f"-{name}.port.grpc={grpc}" for name, (_, grpc) in ports.items()),
            f"-dir={self.path('data')}", "-filer", f"-filer.localSocket={self.path('filer.sock')}",
            "-s3", f"-s3.config={self.path('s3.json')}", f"-s3.localSocket={self.path('s3.sock')}", "-s3.iam=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-master.volumeSizeLimitMB=256",
            "-master.volumePreallocate=false", "-master.electionTimeout=500ms", "-volume.max=100",
            "-volume.preStopSeconds=0")


class OpenStackSwift(Store):
    prefix = "PENSTOCK_S3_STRICT"
    kinds = ("account", "container", "object")
    filters = {
        "catch_errors": "", "cache": "memcache_servers = 127.0.0.1:1\n",
        "s3api": "location = us-east-1\ns3_acl = false\ncheck_bucket_owner = false\nallowable_clock_skew = 900\n"
                 "min_segment_size = 5242880\n",
        "tempauth": "user_penstock_tester = SECRET .admin\n",
        "bulk": "", "copy": "", "slo": "", "dlo": "", "symlink": "",
        "versioned_writes": "allow_versioned_writes = true\nallow_object_versioning = true\n"}

    def folder(self):
        """Metadata is kept in extended attributes, which not every temporary folder has."""
        for parent in (None, os.path.expanduser("~")):
            state = tempfile.mkdtemp(prefix="penstock-server.", dir=parent)
            try:
                if hasattr(os, "setxattr"):
                    os.setxattr(state, "user.penstock", b"1")
                return state
            except OSError:
                os.rmdir(state)
        sys.exit("servers.py: neither the temporary folder nor the home folder has extended attributes, which "
                 "openstack-swift needs; set TMPDIR to a folder that has")

    def begin(self):
        proxy, *ports = free_ports(4)
        self.variables("penstock:tester", proxy)
        os.makedirs(self.path("devices", "d1"))
        self.write("swift.conf", f"[swift-hash]\nswift_hash_path_suffix = {secrets.token_hex(8)}\n"
                                 "[storage-policy:0]\nname = one\ndefault = yes\n")
        for kind, port in zip(self.kinds, ports):
            for step in ("create 4 1 0", f"add r1z1-127.0.0.1:{port}/d1 1", "rebalance"):
                command = [sys.executable, f"{PROGRAMS}/swift-ring-builder", self.path(kind + ".builder")]
                done = subprocess.run([*command, *step.split()], cwd=self.state, capture_output=True, text=True)
                if done.returncode > 1:  # 1 is a warning: one device only
                    raise NotStarted(f"swift-ring-builder {step}: {done.stdout}{done.stderr}")
            self.serve(kind, port, f"devices = {self.path('devices')}\nmount_check = false\n[pipeline:main]\n"
                                   f"pipeline = {kind}-server\n[app:{kind}-server]\nuse = egg:swift#{kind}\n"
                                   f"recon_cache_path = {self.path('tmp')}\n")
        self.serve("proxy", proxy, f"[pipeline:main]\npipeline = {' '.join(self.filters)} proxy-server\n"
                                   "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
                   + "".join(f"[filter:{name}]\nuse = egg:swift#{name.replace('cache', 'memcache')}\n" + text
                             for name, text in self.filters.items()).replace("SECRET", self.secret))

    def serve(self, kind, port, configuration):
        common = (f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\nswift_dir = {self.state}\n"
                  f"user = {getpass.getuser()}\nworkers = 0\nlog_level = WARNING\nlog_address =\n")
        self.write(f"{kind}-server.conf", common + configuration)
        self.spawn(sys.executable, f"{PROGRAMS}/swift-{kind}-server", self.path(f"{kind}-server.conf"))
