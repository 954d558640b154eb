"""Publishes the events of a file to a RabbitMQ stream for some seconds, in batches, and waits for every confirmation.

usage: rabbitload.py PORT FILE BATCH SECONDS
"""
import asyncio, json, sys, time

from rstream import Producer


async def main(port, path, batch, seconds):
    with open(path, "rb") as file:
        events = file.read().splitlines()
    confirmed, done = 0, asyncio.Event()
    number, last, sent, times = 0, None, {}, []

    def on_confirm(status):
        nonlocal confirmed
        confirmed += 1
        if confirmed in sent:
            times.append(time.monotonic() - sent.pop(confirmed))
        if last is not None and confirmed >= last:
            done.set()

    async with Producer("127.0.0.1", port=port, username="guest", password="guest") as producer:
        await producer.create_stream("events", exists_ok=True)
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            some = [events[(number + i) % len(events)] for i in range(batch)]
            number += batch
            sent[number] = time.monotonic()
            await producer.send_batch("events", some, on_publish_confirm=on_confirm)
            while number - confirmed > 4 * batch:
                await asyncio.sleep(0)
        last = number
        if confirmed < last:
            await asyncio.wait_for(done.wait(), 30)
        took = time.monotonic() - started
    times.sort()
    share = lambda part: times[int(len(times) * part)] * 1e6 if times else None
    print(json.dumps({"eventsPerSecond": number / took, "p50": share(0.5), "p99": share(0.99)}))


asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
