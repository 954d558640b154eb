"""Requests made from /openapi.json, by schemathesis: nothing may be answered that the document does not say.

Most requests name what there is, so there are attempts, a dead letter, trouble and a replay to describe; an operation
that is never answered well is a failure. Not the stream of the status, which ends when the service does:
StatusFeedTests has it. OPENAPI_EXAMPLES and OPENAPI_SEED are for longer and other runs.
"""
import os
import subprocess
import sys

import pytest
from room import until
from web import Web

EXAMPLES, SEED = os.environ.get("OPENAPI_EXAMPLES", "15"), os.environ.get("OPENAPI_SEED", "1")
CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
          "unsupported_method")
# missing_test_data: an operation that is never answered well.
COMMON = """[warnings]
fail-on = ["missing_auth", "missing_test_data"]

[dictionaries.destinations]
values = ["local", "shop"]
[dictionaries.places]
values = ["beginning", "end", "0", "1", "event:@0", "event:now"]
[dictionaries.replays]
values = ["again"]
[dictionaries.keys]
values = {keys}

[parameters]
"""
ALL = COMMON + """
"path.name" = { dictionary = "destinations", probability = 0.8 }
"body.destination" = { dictionary = "destinations", probability = 0.8 }
"body.id" = { dictionary = "replays", probability = 0.8 }
"body.from" = { dictionary = "places", probability = 0.8 }
"body.to" = { dictionary = "places", probability = 0.8 }

[[operations]]
include-path = "/v1/replays/{id}"
parameters = { "path.id" = { dictionary = "replays", probability = 0.8 } }
"""
# The list of keys has the key that asks, and what was answered is asked for: once it is revoked, all else is refused.
KEYS = COMMON + """
"path.id" = { dictionary = "keys", probability = 0.9 }

[phases.coverage]
extra-data-sources.responses = false
[phases.fuzzing]
extra-data-sources.responses = false
"""


class Shop(Web):
    def answer(self, request, body):
        return 400 if b"poison" in body else 503, b"", {}


@pytest.mark.parametrize("settings, paths", [
    (ALL, ["--exclude-path", "/v1/status/stream", "--exclude-path-regex", "^/v1/keys/"]),
    (KEYS, ["--include-path-regex", "^/v1/keys/"])], ids=["all", "keys"])
def test_the_service_answers_as_its_document_says(room, settings, paths):
    key = room.key("test", "companyAdmin")
    service = room.serve({"server": {"keysFile": "keys.json"}, "destinations": [
        {"name": "local", "type": "directory", "path": "out", "rotate": {"maxAge": "1s"}},
        {"name": "shop", "type": "webhook", "url": Shop().url + "in", "allowPrivateNetworks": True, "deadLetters": "on",
         "batch": {"maxEvents": 1, "maxWait": "100ms"}}]}, key=key)
    assert service.ask("POST", "/v1/events", [{"event": "poison"}, {"event": "Home Page"}]).status_code == 200
    until(lambda: (shop := service.destination("shop"))["deadLetters"] == 1 and shop["trouble"]
          and shop["trouble"]["kind"] == "unavailable")
    replay = {"destination": "local", "id": "again", "from": "0", "to": "1"}
    assert service.ask("POST", "/v1/replays", replay).status_code < 300
    keys = [service.ask("POST", "/v1/keys", {"name": f"k{number}", "role": "viewer"}).json()["key"]["id"]
            for number in range(20)]
    room.file("settings.toml", settings.replace("{keys}", str(keys).replace("'", '"')))
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "--config-file", "settings.toml", "run",
         f"{service.url}/openapi.json",
         "--header", f"Authorization: Bearer {key}", "--max-examples", EXAMPLES, "--seed", SEED, "--workers", "1",
         "--phases", "coverage,fuzzing", "--checks", CHECKS, *paths], cwd=room.path, capture_output=True, text=True)
    assert done.returncode == 0, f"OPENAPI_SEED={SEED}\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}\n{service.errors}"
