"""Options and fixtures of the end-to-end tests; scripts/test-program runs them."""
import os
import pathlib

import pytest
from room import Room

# What needs more than the program runs when its file is named.
NAMED = ("test_console.py", "test_console_access.py", "test_backend.py", "test_snippets.py")


def pytest_addoption(parser):
    parser.addoption("--binary", help="the penstock to test")
    parser.addoption("--images", help="where the pictures of the console go")


def pytest_ignore_collect(collection_path, config):
    named = any(collection_path.name in argument for argument in config.args)
    return True if collection_path.name in NAMED and not named else None


@pytest.fixture(scope="session")
def binary(request):
    path = pathlib.Path(request.config.getoption("--binary") or "none").absolute()
    assert os.access(path, os.X_OK), f"--binary names no program: {path}"
    return str(path)


@pytest.fixture
def room(binary):
    it = Room(binary)
    yield it
    it.clean_up()


@pytest.fixture(scope="session")
def s3_bucket():
    """The bucket of scripts/servers.py whose variables are set."""
    if not os.environ.get("PENSTOCK_S3_ENDPOINT"):
        pytest.skip("no S3 server; scripts/servers.py start prints its variables")
    import s3
    return s3.Bucket.from_environment()


@pytest.fixture(scope="session")
def it(binary, request):
    """A console in a browser: the tests of it are steps in one session."""
    import console
    yield from console.session(binary, request.config.getoption("--images"))
