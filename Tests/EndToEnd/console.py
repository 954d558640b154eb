"""What the console is tested on: `penstock serve` with a webhook and a bucket that fail on demand, and a browser."""
import base64
import json
import os
import random
import shutil
import threading
import time

from playwright.sync_api import expect, sync_playwright
from room import Room, bucket, until, webhook
from web import Web

PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
SECRETS = {"header": "key-that-must-not-show", "signing": "whsec_dGhpcyBtdXN0IG5vdCBiZSBzaG93biwgZXZlcg==",
           "s3": "S3SECRETTHATMUSTNOTSHOW"}
POISON = '<img src=x onerror="window.hurt=true"><script>window.hurt=true</script>'
NAMES = ["Home Page", "Pricing", "Impression", "Click", "Goal", "Dismiss", "Timeout", "Holdout"]


class Destinations(Web):
    """The webhook at /v1/api/ingest/ and, under /acme-events, the bucket."""

    def __init__(self):
        self.is_bucket_down = self.takes_poison = False
        self.objects, self.replayed = {}, 0
        super().__init__()

    def answer(self, request, body):
        if request.command == "POST":
            if b"poison" in body and not self.takes_poison:
                return 400, f"no such thing: {POISON}".encode(), {}
            if request.headers.get("webhook-replay"):
                self.replayed += len(json.loads(body))
            return 200, b"thanks", {}
        if request.command == "PUT":
            if self.is_bucket_down:
                return 503, b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>", {}
            self.objects[request.path] = body
            return 200, b"", {"ETag": '"0123456789abcdef0123456789abcdef"'}
        found = self.objects.get(request.path)
        return 404 if found is None else 200, found or b"", {}


class Stage:
    """The service, and events as they come on a working day: now more, now fewer."""

    def __init__(self, binary):
        self.room, self.random, self.destinations = Room(binary), random.Random(17), Destinations()
        endpoint = self.destinations.url.rstrip("/")
        self.config = {
            "log": {"path": "events", "segmentSize": "256KiB"}, "server": {"keysFile": "keys.json"},
            "destinations": [
                webhook(f"{endpoint}/v1/api/ingest/", name="webhook", batch={"maxEvents": 500, "maxWait": "500ms"},
                        headers={"your-api-key": SECRETS["header"]}, signing={"secrets": [SECRETS["signing"]]},
                        fields={"optional": ["app_id", "segments"]}, deadLetters="on"),
                bucket(name="archive", bucket="acme-events", region="eu-central-1", endpoint=endpoint,
                       credentials={"accessKey": "AKIAIOSFODNN7EXAMPLE", "secretKey": SECRETS["s3"]},
                       compression="zstd", rotate={"maxAge": "1s"}, retry={"first": "20s", "cap": "40s"}),
                {"name": "warehouse", "type": "directory", "path": "exports", "rotate": {"maxAge": "1s"}}]}
        self.admin = self.room.key("ops", "companyAdmin")
        self.room.file("serve.json", self.config)
        lines = "".join(json.dumps(self.event()) + "\n" for _ in range(16_000))
        self.room("append --config serve.json --log events -", stdin=lines.encode())
        self.service = self.room.serve(self.config, key=self.admin)
        self.ending = threading.Event()
        threading.Thread(target=self.feed, daemon=True).start()

    def restart(self):
        """At the same port."""
        self.service = self.room.serve(None, f"--listen 127.0.0.1:{self.service.port}", key=self.admin)

    def event(self):
        pick = self.random
        return {"app_id": "74f72649-0327-4911-bd21-a4cd533cec1c", "user_id": f"{pick.randrange(10**6)}",
                "event": pick.choice(NAMES), "platform": "redfast", "type": pick.choice(["page", "track", "custom"]),
                "ts": int(time.time()), "properties": {"id": f"{pick.getrandbits(64):016x}", "values": [
                    {"url_hash": "", "url_path": f"/p/{pick.randrange(900)}"}]},
                "segments": [{"id": f"s{pick.randrange(40)}", "name": "Engaged"}]}

    def feed(self):
        while not self.ending.wait(0.25):
            try:
                events = [self.event() for _ in range(max(5, int(self.random.gauss(110, 40))))]
                assert self.service.ask("POST", "/v1/events", events).status_code == 200
            except OSError:
                return


class Console:
    """One page of one browser, with nothing kept from any other, and what an operator does in it."""

    def __init__(self, stage, page, images):
        self.stage, self.page, self.images, self.complaints = stage, page, images, []
        self.evaluate, self.key = page.evaluate, page.keyboard.press
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: self.complaints.append(("exception", str(error), "")))
        page.on("console", lambda said: said.type in ("error", "warning", "assert") and self.complaints.append(
            (said.type, said.text, said.location.get("url", ""))))
        self.devtools = page.context.new_cdp_session(page)

    def wait(self, script, seconds=15):
        """Until the expression is true; it is tried again when what it looks at is not there yet."""
        tried = f"try {{ const it = {script}; return it instanceof Node || it; }} catch {{ return null; }}"
        return until(lambda: self.page.evaluate(f"(() => {{ {tried} }})()"), seconds)

    def size(self, width, height, scale=1, dark=False, is_phone=False):
        self.devtools.send("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone})
        self.page.emulate_media(color_scheme="dark" if dark else "light")

    def picture(self, path, whole):
        """Of the whole page, as wide as the window; answers its size in bytes."""
        clip = {"clip": {"x": 0, "y": 0, "scale": 1, "width": self.evaluate("innerWidth"), "height": self.evaluate(
            "document.documentElement.scrollHeight")}} if whole else {}
        shot = self.devtools.send("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole, **clip})
        path.write_bytes(base64.b64decode(shot["data"]))
        return path.stat().st_size

    def settle(self):
        """Until what was changed is painted, and no colour is on its way to another."""
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")
        self.wait("document.getAnimations().every((one) => !(one instanceof CSSTransition))")

    def nodes(self):
        """(role, name) of what a screen reader hears."""
        nodes = self.devtools.send("Accessibility.getFullAXTree")["nodes"]
        return [(node.get("role", {}).get("value"), node.get("name", {}).get("value")) for node in nodes
                if not node.get("ignored")]

    def press(self, name):
        """The visible button of that name; the last one, which is in the dialog when there is one."""
        role = self.page.get_by_role
        role("button", name=name, exact=True).or_(role("link", name=name, exact=True)).last.click()

    def click(self, selector):
        self.page.locator(selector).first.click()

    def type(self, selector, text):
        self.page.locator(selector).first.click()
        self.page.locator(selector).first.select_text()
        self.page.keyboard.insert_text(text)

    def choose(self, selector, value):
        self.page.locator(selector).first.select_option(value)

    def go(self, hash):
        self.evaluate(f"location.hash = {json.dumps(hash)}")

    def said(self, words, seconds=15):
        expect(self.page.locator("body")).to_contain_text(words, use_inner_text=True, timeout=seconds * 1000)

    def sign_in(self, key):
        self.type("form.sign-in input", key)
        self.key("Enter")

    def card(self, name):
        return f"document.querySelector('[aria-label=\"Destination {name}\"]')"

    def no_dialog(self):
        expect(self.page.locator("dialog")).to_have_count(0)

    def escape(self):
        self.key("Escape")
        self.no_dialog()


def session(binary, images):
    """The one session of all tests of the console."""
    stage = Stage(binary)
    try:
        with sync_playwright() as playwright:
            program = next(filter(None, map(shutil.which, PROGRAMS)), None)
            assert program, "there is no Chromium; scripts/setup --console installs one"
            browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=os.geteuid() != 0)
            # Sizes are set by hand, as phones too.
            yield Console(stage, browser.new_context(no_viewport=True).new_page(), images)
            browser.close()
    finally:
        stage.ending.set()
        stage.room.clean_up()
