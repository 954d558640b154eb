"""Records that a receiver rejects, attempts, tests of a webhook."""
import json
import os

from room import directory, event, rows, webhook
from web import Web


class Picky(Web):
    """A receiver that answers 422 to a body that holds a word, and keeps the others."""

    def __init__(self, word):
        self.word, self.bodies, self.headers = word, [], []
        super().__init__()

    def answer(self, request, body):
        if self.word is not None and self.word in body:
            return 422, b"no such event", {}
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        return 200, b"ok", {}

    def events(self):
        return [one for body in self.bodies for one in json.loads(body)]


def test_a_rejected_record_becomes_a_dead_letter_and_is_sent_again(room):
    room.append(rows(20))
    receiver = Picky(b'"user_id":"7"')
    room.configure(webhook(receiver.url))
    ran = room.deliver(0, "record 7 became a dead letter")
    assert ran.last["destinations"][0]["deadLetters"] == 1 and len(receiver.events()) == 19
    assert room.json("deadletters list --log L")["cursors"] == [{"name": "web", "count": 1}]
    letter = room.json("deadletters list web --log L")["deadLetters"][0]
    assert (letter["number"], letter["offset"], letter["attempts"]) == (0, 7, 1) and "422" in letter["reason"]
    assert room("deadletters show web 0 --log L --raw").out == event(7)
    assert room.json("deadletters show web 0 --log L")["record"].encode() == event(7)
    assert "no such event" in room("deadletters show web 0 --log L").text
    room("deadletters show web 1 --log L", 1, "no dead letter 1")
    assert room.status()["cursors"][0]["deadLetters"] == 1
    again = "deadletters replay web --config c.yaml"
    assert room.json(again, 1, "rejected again")["rejected"] == [0]
    receiver.word = None
    assert "nothing to do" in room(again).text
    room(f"{again} --letter 0 --all", 2, "exclude")
    room(f"{again} --letter 1", 1, "no dead letter 1")
    assert room.json(f"{again} --letter 0")["delivered"] == 1 and len(receiver.events()) == 20
    assert receiver.headers[-1].get("webhook-replay") == "deadletters.0"
    receiver.bodies.pop()
    said = room.json(f"{again} --all")
    assert said["delivered"] == 1 and said["rejected"] == [] and len(receiver.events()) == 20
    assert receiver.headers[-1].get("webhook-replay") == "deadletters"
    room("deadletters replay dirr --config c.yaml --to web", 1, "no dead letters", "web")
    room("deadletters list --log nowhere", 3, "there is no log here")


def test_a_dead_letter_sent_alone_to_a_directory_leaves_the_way_to_the_others(room):
    room.delivered(rows(4), webhook(Picky(b"user_id").url), directory())
    again = "deadletters replay web --config c.yaml --to dir"
    for letter in (2, 0, 2):
        assert room.json(f"{again} --letter {letter}")["delivered"] == 1
    assert room.json(again)["delivered"] == 4
    found = [os.path.basename(at) for at, _, names in os.walk(room.path / "out") for _ in names
             if "deadletters" in at and "_penstock" not in at]
    assert sorted(found) == ["deadletters", "deadletters.0", "deadletters.2"]


def test_a_rejected_record_halts_where_that_is_wanted(room):
    room.append(rows(20))
    receiver = Picky(b'"user_id":"7"')
    room.configure(webhook(receiver.url, onRejected="halt"))
    room.deliver(1, "422")
    assert not room.has("L.deadletters") and receiver.bodies == []
    room("cursor delete web --log L --yes")
    receiver.word = b"user_id"
    room.configure(webhook(receiver.url, maxDeadLettersInRow=3))
    room.deliver(1)
    assert room.json("deadletters list --log L")["cursors"][0]["count"] == 3


def test_attempts_are_listed_over_restarts(room):
    room.append(rows(20))
    room.configure(webhook("http://127.0.0.1:1/", attempts=5))
    room("deliver --config c.yaml --until-caught-up --give-up-after 0", 3)
    room.configure(webhook(Picky(None).url, attempts=5))
    room.deliver()
    listed = room.json("attempts web --log L")["attempts"]
    assert [(one["attempt"], one["outcome"]) for one in listed] == [(1, "retry"), (2, "delivered")]
    assert "refused" in listed[0]["words"] and listed[0]["id"] == listed[1]["id"]
    assert len(room.json("attempts web --log L --limit 1")["attempts"]) == 1
    assert "delivered" in room("attempts web --log L").text
    room("attempts webb --log L", 1, "did you mean web?")
    room("cursor delete web --log L --yes")
    assert room.names("L/cursors") == ["large.slots", "slots.lock", "small.slots"], "nothing of the cursor is left"
    assert room.json("cursor list --log L")["cursors"] == []


def test_a_webhook_is_tested(room):
    room.append(rows(5))
    receiver = Picky(None)
    room.configure(webhook(receiver.url), directory())
    test = "deliver --config c.yaml --test"
    said = room.json(f"{test} web")
    assert (said["outcome"], said["status"], said["http"], said["tls"]) == ("delivered", 200, "HTTP/1.1", None)
    assert len(receiver.bodies) == 1 and receiver.headers[0].get("webhook-test") == "true"
    assert room.status()["cursors"] == []
    out = room(f"{test} web").text
    assert "latency" in out and "HTTP/1.1" in out
    receiver.word = b"penstock"
    room(f"{test} web", 1)
    room(f"{test} dir", 2, "not a webhook")
    room(f"{test} absent", 2, "no destination absent")
    room(f"{test} web --until-caught-up", 2)
    room.configure(webhook("http://127.0.0.1:1/"))
    assert room(f"{test} web", 3).out
