#!/usr/bin/env python3
"""A small S3 client for the scripts: SigV4 over the standard library, path style, nothing to install.

usage: s3.py [--env PREFIX] VERB …
  mb                      create the bucket
  ls [PREFIX]             one line per object, in key order: size, tab, key
  put KEY FILE            store a file
  get KEY                 an object's bytes on stdout
  cat-prefix PREFIX       the bytes of every object under PREFIX, in key order, on stdout
  rm KEY | rm --prefix P  remove one object, or every object under P

Endpoint, keys and bucket come from PENSTOCK_S3_ENDPOINT, _ACCESS_KEY, _SECRET_KEY, _BUCKET and _REGION (default
us-east-1); `--env PENSTOCK_S3_STRICT` reads the variables of that name instead. Exits 1 when the server says no.
"""
import argparse
import hashlib
import hmac
import http.client
import os
import sys
import time
import xml.etree.ElementTree as ElementTree
from urllib.parse import quote, urlsplit


class Refused(Exception):
    """The server answered, with a status that is not a success."""

    def __init__(self, method, path, status, body):
        self.status = status
        super().__init__(f"{method} {path}: {status} {body[:300].decode('utf-8', 'replace')}")


def document(body):
    """An answer's XML, without its namespaces."""
    root = ElementTree.fromstring(body)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


class Bucket:
    """One bucket behind one endpoint. Not for use by several threads."""

    def __init__(self, endpoint, access_key, secret_key, name, region="us-east-1", timeout=30):
        self.endpoint = urlsplit(endpoint)
        self.access_key, self.secret_key = access_key, secret_key
        self.name, self.region, self.timeout = name, region, timeout

    @classmethod
    def from_environment(cls, prefix="PENSTOCK_S3"):
        def value(name):
            if not os.environ.get(f"{prefix}_{name}"):
                sys.exit(f"s3.py: {prefix}_{name} is not set; scripts/s3-server start prints it")
            return os.environ[f"{prefix}_{name}"]

        return cls(value("ENDPOINT"), value("ACCESS_KEY"), value("SECRET_KEY"), value("BUCKET"),
                   os.environ.get(f"{prefix}_REGION") or "us-east-1")

    def create(self):
        self.request("PUT")

    def put(self, key, body):
        self.request("PUT", key, body=body)

    def get(self, key):
        return self.request("GET", key)

    def remove(self, key):
        self.request("DELETE", key)

    def list(self, prefix=""):
        """(key, size) of every object under the prefix, sorted by the bytes of the key."""
        found, token = [], None
        while True:
            query = {"list-type": "2", "prefix": prefix}
            if token:
                query["continuation-token"] = token
            root = document(self.request("GET", query=query))
            for entry in root.iter("Contents"):
                found.append((entry.findtext("Key"), int(entry.findtext("Size"))))
            token = root.findtext("NextContinuationToken")
            if root.findtext("IsTruncated") != "true" or not token:
                return sorted(found, key=lambda object: object[0].encode())

    def uploads(self, prefix=""):
        """(key, id) of the uploads in parts that are open under the prefix; at most as many as one answer holds."""
        root = document(self.request("GET", query={"prefix": prefix, "uploads": ""}))
        return [(entry.findtext("Key"), entry.findtext("UploadId")) for entry in root.iter("Upload")]

    def request(self, method, key=None, query=None, body=b""):
        path = "/" + quote(self.name, safe="-_.~") + ("/" + quote(key, safe="-_.~/") if key is not None else "")
        search = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted((query or {}).items()))
        host = self.endpoint.netloc
        headers = self.signed(method, path, search, host, body)
        kind = http.client.HTTPSConnection if self.endpoint.scheme == "https" else http.client.HTTPConnection
        connection = kind(host, timeout=self.timeout)
        try:
            connection.request(method, path + ("?" + search if search else ""), body=body, headers=headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            raise Refused(method, path, response.status, answer)
        return answer

    def signed(self, method, path, search, host, body):
        """AWS Signature Version 4, header form: the steps and names of the AWS General Reference."""
        now = time.gmtime()
        stamp, day = time.strftime("%Y%m%dT%H%M%SZ", now), time.strftime("%Y%m%d", now)
        digest = hashlib.sha256(body).hexdigest()
        headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": stamp}
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = "\n".join([method, path, search, lines, names, digest])
        scope = f"{day}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret_key).encode()
        for part in (day, self.region, "s3", "aws4_request", text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, "
                                    f"SignedHeaders={names}, Signature={key.hex()}")
        return headers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="PENSTOCK_S3", metavar="PREFIX")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("mb")
    verbs.add_parser("ls").add_argument("prefix", nargs="?", default="")
    put = verbs.add_parser("put")
    put.add_argument("key")
    put.add_argument("file")
    verbs.add_parser("get").add_argument("key")
    verbs.add_parser("cat-prefix").add_argument("prefix")
    remove = verbs.add_parser("rm")
    remove.add_argument("key", nargs="?")
    remove.add_argument("--prefix")
    options = parser.parse_args()
    if options.verb == "rm" and (options.key is None) == (options.prefix is None):
        remove.error("name one KEY, or --prefix P")
    bucket = Bucket.from_environment(options.env)
    try:
        perform(bucket, options)
    except (Refused, OSError) as problem:
        sys.exit(f"s3.py: {problem}")


def perform(bucket, options):
    if options.verb == "mb":
        bucket.create()
    elif options.verb == "ls":
        for key, size in bucket.list(options.prefix):
            print(f"{size}\t{key}")
    elif options.verb == "put":
        with open(options.file, "rb") as file:
            bucket.put(options.key, file.read())
    elif options.verb == "get":
        sys.stdout.buffer.write(bucket.get(options.key))
    elif options.verb == "cat-prefix":
        for key, _ in bucket.list(options.prefix):
            sys.stdout.buffer.write(bucket.get(key))
    elif options.verb == "rm":
        for key in [options.key] if options.prefix is None else [key for key, _ in bucket.list(options.prefix)]:
            bucket.remove(key)


if __name__ == "__main__":
    main()
