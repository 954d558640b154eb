#!/usr/bin/env python3
"""usage: s3.py [--env PREFIX] ls [PREFIX] | get KEY

Of the bucket that the variables of scripts/servers.py name (PENSTOCK_S3_*, or those of another prefix): one line per
object, in key order: size, tab, key; or an object's bytes.
"""
import argparse
import os
import sys

import environment

environment.enter()
import boto3  # noqa: E402
import botocore.config  # noqa: E402
from botocore.exceptions import BotoCoreError, ClientError  # noqa: E402, F401

VALUES = ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY", "REGION", "BUCKET")


class Bucket:
    def __init__(self, endpoint, access_key, secret_key, region, name, timeout=30):
        self.endpoint, self.access_key, self.secret_key, self.region, self.name = (
            endpoint, access_key, secret_key, region, name)
        config = botocore.config.Config(
            connect_timeout=timeout, read_timeout=timeout, retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
        self.there = boto3.session.Session().resource(
            "s3", endpoint_url=endpoint, region_name=region, aws_access_key_id=access_key,
            aws_secret_access_key=secret_key, config=config).Bucket(name)
        self.create = self.there.create

    @classmethod
    def from_environment(cls, prefix="PENSTOCK_S3"):
        return cls(*(os.environ[f"{prefix}_{name}"] for name in VALUES))

    def destination(self, **keys):
        return {"name": "archive", "type": "s3", "endpoint": self.endpoint, "bucket": self.name, "region": self.region,
                "credentials": {"accessKey": self.access_key, "secretKey": self.secret_key}, **keys}

    def put(self, key, body):
        self.there.put_object(Key=key, Body=body)

    def get(self, key):
        return self.there.Object(key).get()["Body"].read()

    def remove(self, key):
        self.there.Object(key).delete()

    def list(self, prefix=""):
        """(key, size) of every object under the prefix, sorted by the bytes of the key."""
        found = [(each.key, each.size) for each in self.there.objects.filter(Prefix=prefix)]
        return sorted(found, key=lambda each: each[0].encode())

    def uploads(self, prefix=""):
        """(key, id) of the uploads in parts that are open under the prefix."""
        return [(each.object_key, each.id) for each in self.there.multipart_uploads.filter(Prefix=prefix)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="PENSTOCK_S3", metavar="PREFIX")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("ls").add_argument("prefix", nargs="?", default="")
    verbs.add_parser("get").add_argument("key")
    options = parser.parse_args()
    try:
        bucket = Bucket.from_environment(options.env)
        if options.verb == "get":
            sys.stdout.buffer.write(bucket.get(options.key))
        else:
            print(*(f"{size}\t{key}\n" for key, size in bucket.list(options.prefix)), sep="", end="")
    except KeyError as variable:
        sys.exit(f"s3.py: {variable} is not set; scripts/servers.py start prints it")
    except (BotoCoreError, ClientError) as problem:
        sys.exit(f"s3.py: {problem}")


if __name__ == "__main__":
    main()
