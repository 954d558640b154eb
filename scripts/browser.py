"""A headless Chromium, driven over its debugging pipe with nothing but Python's own library.

Commands and events are JSON ended by a zero byte, on descriptors 3 and 4: https://chromedevtools.github.io/devtools-protocol/
"""
import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time

PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
KEYS = {"Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), "Space": (32, " ")}


class BrowserError(Exception):
    pass


def program():
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)


class Browser:
    """One page of one browser, with nothing kept from any other."""

    def __init__(self, path):
        self.profile = tempfile.mkdtemp(prefix="penstock-browser-")
        arguments = [path, "--headless", "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "--no-first-run",
                     "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (*os.pipe(), *os.pipe())]
        commands_out, self.commands, self.answers, answers_in = ends

        def place():
            os.dup2(commands_out, 3)
            os.dup2(answers_in, 4)

        self.process = subprocess.Popen(arguments, preexec_fn=place, pass_fds=(3, 4), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands_out)
        os.close(answers_in)
        self.last, self.answered, self.turn = 0, {}, threading.Condition()
        #: What the page complained of: (kind, words, address).
        self.complaints = []
        threading.Thread(target=self.read, daemon=True).start()
        self.session = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.send(f"{domain}.enable")

    def read(self):
        rest = b""
        while True:
            try:
                part = os.read(self.answers, 1 << 16)
            except OSError:
                part = b""
            if not part:
                break
            *messages, rest = (rest + part).split(b"\0")
            for message in messages:
                self.take(json.loads(message))
        with self.turn:
            self.answered[None] = True
            self.turn.notify_all()

    def take(self, message):
        said = message.get("params", {})
        if "id" in message:
            with self.turn:
                self.answered[message["id"]] = message
                self.turn.notify_all()
        elif message["method"] == "Runtime.exceptionThrown":
            details = said["exceptionDetails"]
            self.complaints.append(("exception", details.get("exception", {}).get("description", details["text"]), ""))
        elif message["method"] == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.complaints.append((said["type"], " ".join(str(a.get("value", "")) for a in said["args"]), ""))
        elif message["method"] == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.complaints.append((said["entry"]["source"], said["entry"]["text"], said["entry"].get("url", "")))

    def send(self, method, **parameters):
        self.last += 1
        command = {"id": self.last, "method": method, "params": parameters}
        if self.session:
            command["sessionId"] = self.session
        number = self.last
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        with self.turn:
            if not self.turn.wait_for(lambda: number in self.answered or None in self.answered, timeout=30):
                raise BrowserError(f"no answer to {method}")
            if number not in self.answered:
                raise BrowserError("the browser is gone")
            answer = self.answered.pop(number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.profile, ignore_errors=True)

    # What a person does

    def open(self, url):
        self.send("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def evaluate(self, script):
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(f"{details.get('exception', {}).get('description', details['text'])} in: {script[:200]}")
        return answer["result"].get("value")

    def wait(self, script, seconds=15):
        """Until the expression is true; it is tried again when what it looks at is not there yet."""
        end, last = time.monotonic() + seconds, None
        while time.monotonic() < end:
            last = self.evaluate(f"(() => {{ try {{ const it = {script}; return it instanceof Node || it; }} catch (error) {{ return null; }} }})()")
            if last:
                return last
            time.sleep(0.05)
        raise BrowserError(f"not within {seconds} s: {script}; the page says:\n{self.text()[:1500]}")

    def text(self):
        return self.evaluate("document.body.innerText")

    def size(self, width, height, scale=1, dark=False, is_phone=False):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=is_phone)
        self.scheme(dark)

    def scheme(self, dark):
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def click(self, selector):
        """As with a mouse: something else on top of it would get the click."""
        place = self.wait(f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            element.scrollIntoView({{ block: 'center' }});
            const box = element.getBoundingClientRect();
            const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
            const top = document.elementFromPoint(x, y);
            return box.width > 0 && (element === top || element.contains(top)) && !element.disabled && [x, y];
        }})()""")
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def press(self, name, shift=False):
        code, text = KEYS[name]
        more = {"text": text} if text else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=" " if name == "Space" else name, code=name, windowsVirtualKeyCode=code,
                      modifiers=8 if shift else 0, **(more if kind == "keyDown" else {}))

    def type(self, selector, text):
        self.click(selector)
        self.evaluate(f"document.querySelector({json.dumps(selector)}).select?.()")
        self.send("Input.insertText", text=text)

    def choose(self, selector, value):
        self.evaluate(f"""(() => {{ const list = document.querySelector({json.dumps(selector)}); list.value = {json.dumps(value)};
            list.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()""")

    def picture(self, path, whole=True):
        """Of the whole page, as wide as the window; answers its size in bytes."""
        height = self.evaluate("document.documentElement.scrollHeight") if whole else None
        clip = {"clip": {"x": 0, "y": 0, "width": self.evaluate("innerWidth"), "height": height, "scale": 1}} if whole else {}
        data = base64.b64decode(self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **clip)["data"])
        with open(path, "wb") as file:
            file.write(data)
        return len(data)

    def nodes(self):
        """The accessibility tree: what a screen reader is told."""
        return [node for node in self.send("Accessibility.getFullAXTree")["nodes"] if not node.get("ignored")]
