"""Each destination gets exactly what a scan in Python selects, whatever happens meanwhile.

FILTERS is the number of destinations, WORLD how many of them share a log, ROUNDS the number of starts in a world. In
every second world retention removes the oldest segments.
"""
import contextlib
import os

import pytest
from filtered import World
from filters import record
from room import directory, rows

FILTERS, WORLD = int(os.environ.get("FILTERS", "40")), int(os.environ.get("WORLD", "40"))
ROUNDS, SEED = int(os.environ.get("ROUNDS", "8")), os.environ.get("FILTERS_SEED", "1")
MOST = max(20, 2400 // ROUNDS)  # events in a request


@pytest.fixture(scope="module")
def bucket():
    """That of the tests; a long run starts a server of its own."""
    if not {"PENSTOCK_S3_ENDPOINT", "FILTERS"} & set(os.environ):
        yield None
        return
    import s3
    import servers
    has_one = "PENSTOCK_S3_ENDPOINT" in os.environ
    with contextlib.nullcontext() if has_one else servers.running("seaweedfs"):
        yield s3.Bucket.from_environment()


@pytest.mark.parametrize("number", range(-(-FILTERS // WORLD)))
def test_every_destination_gets_what_its_filter_selects_and_each_event_once(room, bucket, number):
    print(f"FILTERS_SEED={SEED} FILTERS={FILTERS} WORLD={WORLD} ROUNDS={ROUNDS}")
    retention = {} if number % 2 else {"retention": {"maxBytes": "128KiB"}}
    world = World(room, bucket, f"{SEED}/{number}", min(WORLD, FILTERS - number * WORLD), MOST, retention)
    try:
        for _ in range(ROUNDS):
            world.round()
        some = world.finish()
        assert some > len(world.destinations) // 2, "the filters are no good"
        world.rebuild()
        room.append(world.grow(300, record), "--config serve.json")
        world.settle()
        status = room.status()
        assert status["dropped"] > 0 if retention else status["sealed"]["sealed"] > 0, status
    finally:
        world.clean_up()


def test_a_record_that_is_no_object_halts_where_that_is_wanted(room):
    room.append(rows(20) + b"nothing\n" + rows(40, start=20), "--no-validate")
    filters = {"halts": {"event": "Home*", "malformed": "halt"}, "drops": "event=Home*"}
    room.configure(*(directory(name=name, path=name, filter=filter) for name, filter in filters.items()))
    room.deliver(1, "halts", "record 20")
    assert room.objects("halts") == rows(20) and room.objects("drops") == rows(40)
    room.configure(directory(name="halts", path="halts", filter=filters["drops"]))
    room.deliver()
    assert room.objects("halts") == rows(40)
