#!/usr/bin/env python3
"""usage: test-console.py BINARY [FOLDER]      (scripts/test-console, which installs what it needs, is what people run)

Does with the console what an operator does, one step after the other. One line a step; exit 1 at the first that goes wrong.
FOLDER: where the four pictures of the documentation go.
"""
import json
import os
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from browser import Browser, BrowserError, program  # noqa: E402
from console_stage import POISON, SECRETS, Stage  # noqa: E402

PICTURE_LIMIT = 200_000
PAGES = ["#/", "#/destinations/webhook", "#/destinations/archive", "#/destinations/nowhere", "#/replays", "#/settings"]
STEPS = []

# Every text against what is painted behind it, as WCAG 2 measures it. What is off or out of sight does not count.
CONTRAST = """(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] > 0.99) return color;
    }
    return [255, 255, 255];
  };
  const weak = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility() || element.closest('.unseen, .skip, :disabled')) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) weak.push(`${ratio.toFixed(2)}: ${walker.currentNode.textContent.trim().slice(0, 40)}`);
  }
  return weak;
})()"""

NAMED = {"button", "link", "textbox", "combobox", "checkbox", "spinbutton", "progressbar", "image", "dialog", "DisclosureTriangle",
         "searchbox", "radio", "article", "table", "list box"}


def step(function):
    STEPS.append(function)
    return function


def expect(condition, what):
    if not condition:
        raise BrowserError(what)


class Operator:
    def __init__(self, stage, browser, pictures):
        self.stage, self.browser, self.pictures = stage, browser, pictures

    def press(self, name, within="document"):
        """Presses the visible button of that accessible name."""
        found = f"""[...{within}.querySelectorAll('button, a.button, summary')].filter((one) => one.checkVisibility()
            && (one.getAttribute('aria-label') ?? one.textContent).trim() === {json.dumps(name)}).at(-1)"""
        self.browser.wait(f"(() => {{ for (const old of document.querySelectorAll('[data-named]')) delete old.dataset.named;"
                          f" const one = {found}; if (!one || one.disabled"
                          " || one.getAttribute('aria-disabled') === 'true') return false; one.dataset.named = true;"
                          " return true; })()")
        self.browser.click("[data-named]")

    def go(self, page):
        self.browser.evaluate(f"location.hash = {json.dumps(page)}")

    def sign_in(self, key):
        self.browser.wait("document.querySelector('form.sign-in input')")
        self.browser.type("form.sign-in input", key)
        self.browser.press("Enter")

    def card(self, name):
        return f"document.querySelector('[aria-label=\"Destination {name}\"]')"

    def said(self, words, seconds=15):
        self.browser.wait(f"document.body.innerText.includes({json.dumps(words)})", seconds)


@step
def a_wrong_key_is_refused_and_a_right_one_let_in(it):
    it.browser.size(1200, 800)
    it.browser.open(it.stage.url)
    it.sign_in("psk_0_0")
    it.said("not known")
    it.sign_in(it.stage.admin)
    it.said("ops · companyAdmin")
    kept = it.browser.evaluate("[location.href, document.cookie, JSON.stringify(localStorage), Object.keys(sessionStorage).join()]")
    expect(it.stage.admin not in "".join(kept) and kept[3] == "penstock.key", f"the key is kept elsewhere: {kept}")
    expected = [c for c in it.browser.complaints if not ("401" in c[1] and c[2].endswith("/v1/me"))]
    expect(not expected, f"the browser complains: {expected}")
    it.browser.complaints.clear()


@step
def the_overview_shows_rate_end_disk_and_every_destination(it):
    for name in ("webhook", "archive", "warehouse"):
        it.browser.wait(it.card(name))
    it.browser.wait("Number(document.querySelectorAll('.figure .value')[1].textContent.replaceAll(',', '')) > 16000")
    it.browser.wait("parseFloat(document.querySelector('.figure .value').textContent) > 0")
    it.said("× compressed")
    it.browser.wait(f"{it.card('webhook')}.querySelector('.spark-line').getAttribute('d').length > 10")


@step
def a_failing_destination_says_why_and_when_it_is_tried_again(it):
    it.stage.destinations.is_bucket_down = True
    it.said("archive is retrying after an error", 30)
    it.browser.wait(f"{it.card('archive')}.innerText.includes('SlowDown') && {it.card('archive')}.innerText.includes('Next try in')")


@step
def pictures_for_the_documentation(it):
    if not it.pictures:
        return
    time.sleep(25)  # a line of a few looks
    os.makedirs(it.pictures, exist_ok=True)
    for name, width, height, scale, is_phone in (("desktop", 1200, 900, 1, False), ("phone", 390, 1000, 1.5, True)):
        for scheme in ("light", "dark"):
            it.browser.size(width, height, scale, scheme == "dark", is_phone)
            time.sleep(0.5)
            path = f"{it.pictures}/console-{name}-{scheme}.png"
            size = it.browser.picture(path, whole=not is_phone)
            expect(size < PICTURE_LIMIT, f"{path} has {size} bytes")
    it.browser.size(1200, 800)


@step
def retry_now_ends_the_wait(it):
    it.stage.destinations.is_bucket_down = False
    it.press("Retry archive now")
    it.said("archive tries again")
    it.browser.wait(f"!{it.card('archive')}.innerText.includes('Next try')")
    it.said("All 3 destinations keep up")


@step
def a_pause_lets_the_lag_grow_in_three_units_and_undo_ends_it(it):
    it.press("Pause webhook")
    it.said("webhook is paused. The pause survives restarts.")
    it.browser.wait(f"{it.card('webhook')}.querySelector('.badge').textContent === 'Paused'")
    lag = f"[...{it.card('webhook')}.querySelectorAll('.lag dd')].map((one) => one.textContent)"
    it.browser.wait("(([records, bytes, seconds]) => parseInt(records.replaceAll(',', '')) > 100 && bytes.includes('iB')"
                    f" && parseInt(seconds) > 1)({lag})")
    it.press("Undo")
    it.browser.wait(f"{it.card('webhook')}.querySelector('.badge').textContent !== 'Paused'")
    it.press("Pause webhook")
    it.press("Resume webhook")
    it.said("webhook is resumed.")


@step
def a_cursor_is_moved_after_a_look_at_what_that_does_and_moved_back(it):
    it.go("#/destinations/webhook")
    it.press("Pause webhook")
    it.browser.wait("document.querySelector('.badge').textContent === 'Paused'")
    it.press("Move cursor…")
    it.browser.wait("document.querySelector('dialog[open]')")
    it.browser.choose("dialog select", "end")
    it.press("See what that does")
    it.said("will not be delivered to this destination")
    it.browser.choose("dialog select", "offset")
    expect(it.browser.evaluate("document.querySelector('dialog button.danger').disabled"), "it could be moved without a look")
    it.browser.type("dialog input[type=number]", "1000")
    it.press("See what that does")
    it.said("will be delivered again, under new ids")
    it.browser.press("Escape")
    it.browser.wait("!document.querySelector('dialog')")
    before = json.loads(it.stage.ask("GET", "/v1/destinations")[1])["destinations"][0]["committed"]
    expect(before > 1000, f"the cursor was moved by a look: {before}")
    it.press("Move cursor…")
    it.browser.type("dialog input[type=number]", "1000")
    it.press("See what that does")
    it.browser.wait("!document.querySelector('dialog button.danger').disabled")
    it.browser.click("dialog button.danger")
    it.said("webhook continues at offset 1,000.")
    it.browser.wait("document.querySelector('.facts').innerText.includes('1,000')")
    it.press("Undo")
    it.browser.wait(f"document.querySelector('.facts').innerText.includes({json.dumps(f'{before:,}')})")
    it.press("Resume webhook")


@step
def undo_moves_a_cursor_back_to_where_it_stood_and_not_to_where_it_was_looked_at(it):
    def until(is_so):
        for _ in range(200):
            one = json.loads(it.stage.ask("GET", "/v1/destinations")[1])["destinations"][0]
            if is_so(one):
                return one["committed"]
            time.sleep(0.1)
        raise BrowserError(f"it never came to that: {one}")

    it.press("Move cursor…")
    looked = int(it.browser.wait("document.querySelector('dialog[open] input[type=number]').value"))
    # It goes on behind the dialog.
    until(lambda one: (one["committed"] or 0) > looked + 100)
    it.stage.ask("POST", "/v1/destinations/webhook/pause", {})
    stood = until(lambda one: one["state"] == "paused")
    it.browser.wait("document.querySelector('.badge').textContent === 'Paused'")
    it.browser.type("dialog input[type=number]", "1000")
    it.press("See what that does")
    it.browser.wait("!document.querySelector('dialog button.danger').disabled")
    it.browser.click("dialog button.danger")
    it.said("webhook continues at offset 1,000.")
    it.browser.wait("document.querySelector('.facts').innerText.includes('1,000')")
    it.press("Undo")
    it.browser.wait(f"document.querySelector('.facts').innerText.includes({json.dumps(f'{stood:,}')})")
    back = until(lambda one: one["state"] == "paused")
    expect(back == stood, f"it was moved to {back} and not to {stood}")
    it.press("Resume webhook")


@step
def a_replay_begins_after_it_was_counted(it):
    it.go("#/destinations/webhook")
    it.press("Replay…")
    it.browser.wait("document.querySelector('form.panel select').value === 'webhook'")
    expect(it.browser.evaluate("document.querySelector('form.panel button.primary').disabled"), "it could begin uncounted")
    it.press("Count (dry run)")
    it.browser.wait("document.querySelector('form.panel .notice')?.innerText.includes('Records')")
    it.browser.evaluate("[...document.querySelectorAll('form.panel select')][1].id = 'window-by'")
    it.browser.choose("#window-by", "offset")
    it.browser.wait("document.querySelector('form.panel button.primary').disabled")
    it.browser.evaluate("(([first, end]) => { first.id = 'first'; end.id = 'end'; })"
                        "(document.querySelectorAll('form.panel .fields input[type=number]'))")
    it.browser.type("#first", "200")
    it.browser.type("#end", "1200")
    it.press("Count (dry run)")
    it.browser.wait("document.querySelector('form.panel .notice')?.innerText.includes('1,000')")
    it.press("Start the replay")
    it.browser.wait("document.querySelector('dialog[open]')?.innerText.includes('Replay 1,000 records to webhook?')")
    expect(it.stage.destinations.replayed == 0, "it began before it was confirmed")
    it.browser.click("dialog button.primary")
    it.browser.wait("document.querySelector('.replay .badge').textContent === 'finished'", 30)
    expect(it.stage.destinations.replayed == 1000, f"{it.stage.destinations.replayed} records were replayed")
    it.press("Discard " + it.browser.evaluate("document.querySelector('.replay h3').textContent"))
    it.press("Discard it")
    it.said("None yet.")


@step
def dead_letters_are_read_and_nothing_in_them_is_markup(it):
    it.stage.ask("POST", "/v1/events", [{"event": f"poison {POISON}", "ts": 1}])
    it.go("#/destinations/webhook")
    it.browser.wait("document.querySelector('.letters summary')", 30)
    it.browser.click(".letters summary")
    it.browser.wait("document.querySelector('.letters pre').innerText.includes('poison')")
    shown = it.browser.evaluate("document.querySelector('.letters').innerText")
    expect("<img src=x" in shown and "<script>" in shown, f"the letter is not shown as it is: {shown[:300]}")
    expect(it.browser.evaluate("window.hurt === undefined && !document.querySelector('main img[src=x], main script')"), "it became markup")
    it.browser.wait("document.querySelector('td.words').innerText.length > 0")


@step
def dead_letters_are_counted_and_delivered_again_all_and_one(it):
    it.press("Deliver dead letters again")
    it.said("1 record would be delivered to webhook.")
    it.browser.press("Escape")
    it.browser.wait("!document.querySelector('dialog')")
    expect(it.stage.destinations.replayed == 1000, "a count delivered something")
    it.press("Deliver dead letters again")
    it.said("1 record would be delivered to webhook.")
    it.browser.click("dialog button.primary")
    it.said("1 rejected again: ", 30)
    it.browser.wait("document.querySelector('.letters .tag')?.textContent === 'sent again'")
    it.press("Deliver dead letters again")
    it.said("All of them were sent again already.")
    expect(it.browser.evaluate("document.querySelector('dialog button.primary').disabled"), "nothing could be delivered")
    # The first of two counts comes last.
    it.browser.evaluate("""(() => {
      const real = window.fetch;
      window.fetch = async (path, options) => {
        const answer = await real(path, options);
        const asked = String(options?.body);
        if (asked.includes('"all":true')) await new Promise((go) => { window.letGo = go; });
        else if (asked.includes('dryRun')) window.isTold = true;
        return answer;
      };
      window.restore = () => { window.fetch = real; };
    })()""")
    it.browser.click("dialog input[type=checkbox]")
    it.browser.wait("typeof window.letGo === 'function'")
    it.browser.click("dialog input[type=checkbox]")
    it.browser.wait("window.isTold")
    it.browser.evaluate("new Promise((done) => setTimeout(() => { window.letGo(); setTimeout(done, 300); }, 300))")
    it.said("All of them were sent again already.", 1)
    it.browser.evaluate("window.restore()")
    it.browser.click("dialog input[type=checkbox]")
    it.said("1 record would be delivered to webhook.")
    it.browser.press("Escape")
    it.stage.destinations.takes_poison = True
    it.browser.wait("!document.querySelector('dialog')")
    it.browser.evaluate("document.querySelector('.letters details').open = true")
    offset = it.browser.evaluate("document.querySelector('.letter-offset').textContent.replaceAll(/[^0-9]/g, '')")
    it.press(f"Deliver the record at offset {offset} again")
    it.said("1 record would be delivered to webhook.")
    check(it, "the dialog of dead letters", 1200)
    it.browser.evaluate("document.querySelector('.letters details').dataset.kept = true")
    it.browser.click("dialog button.primary")
    it.said("Delivered again: 1 of 1 dead letter delivered.", 30)
    kept = it.browser.evaluate("[document.querySelector('.letters details').dataset.kept, document.activeElement.getAttribute('aria-label')]")
    expect(kept == ["true", f"Deliver the record at offset {offset} again"], f"the list was made anew, the focus lost: {kept}")
    expect(it.stage.destinations.replayed == 1001, f"{it.stage.destinations.replayed} records were delivered again")
    it.stage.destinations.takes_poison = False


@step
def settings_are_shown_and_secrets_are_not(it):
    it.go("#/settings")
    for words in ("acme-events", "eu-central-1", "AKIA…MPLE", "set, never shown", "your-api-key", "exports/usages-",
                  "traits left out"):
        it.said(words)
    it.browser.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page = it.browser.evaluate("document.documentElement.outerHTML")
    answers = "".join(it.stage.ask("GET", path)[1] for path in ("/v1/settings", "/v1/status", "/v1/destinations"))
    for name, secret in SECRETS.items():
        expect(secret not in page and secret not in answers, f"the secret {name} shows")


@step
def every_control_has_a_name_and_nothing_is_wider_than_a_phone(it):
    for page in PAGES:
        for width, dark in ((1200, False), (1200, True), (360, True), (360, False)):
            it.browser.size(width, 760, 1, dark, width < 500)
            it.go(page)
            it.browser.wait("document.querySelector('h1')")
            time.sleep(0.25)
            check(it, f"{page} at {width}", width)
    it.browser.size(360, 640, 1, False, True)
    it.go("#/destinations/archive")
    it.press("Move cursor…")
    check(it, "the dialog at 360", 360)
    it.browser.press("Escape")
    it.browser.size(1200, 800)


def check(it, where, width):
    # Not innerWidth, which grows with the page on a phone that zooms out.
    wide = it.browser.evaluate("document.documentElement.scrollWidth") - width
    if wide > 0:
        who = it.browser.evaluate("[...document.querySelectorAll('body *')]"
                                  f".filter((one) => one.getBoundingClientRect().right > {width} + 1).slice(0, 12)"
                                  ".map((one) => `${one.tagName} ${one.getAttribute('class')}`)")
        expect(False, f"{where}: {wide} px wider than the window: {who}")
    # On its way from one colour to the other a button may have none that can be read.
    it.browser.wait("document.getAnimations().every((one) => !(one instanceof CSSTransition))")
    weak = it.browser.evaluate(CONTRAST)
    expect(not weak, f"{where}: contrast below 4.5: {weak}")
    roles = [(node.get("role", {}).get("value"), node.get("name", {}).get("value")) for node in it.browser.nodes()]
    nameless = [role for role, name in roles if role in NAMED and not name]
    expect(not nameless, f"{where}: without a name: {nameless}")
    heads = it.browser.evaluate("[...document.querySelectorAll('h1, h2, h3')].filter((one) => one.checkVisibility())"
                                ".map((one) => Number(one.tagName[1]))")
    expect(heads and heads[0] == 1 and heads.count(1) == 1, f"{where}: headings {heads}")
    expect(all(b - a <= 1 for a, b in zip(heads, heads[1:])), f"{where}: headings leave out a level: {heads}")
    bad = it.browser.evaluate("document.querySelectorAll('img:not([alt]), input:not([id], label input),"
                              " table:not(:has(caption))').length")
    expect(bad == 0, f"{where}: {bad} images, fields or tables without words")


@step
def everything_is_reached_by_keyboard_and_the_focus_shows(it):
    it.go("#/")
    it.browser.send("Page.reload")
    it.browser.wait(f"{it.card('webhook')} && document.activeElement === document.body")
    wanted = set(it.browser.evaluate("[...document.querySelectorAll('a[href], button')].filter((one) => one.checkVisibility())"
                                     ".map((one) => one.getAttribute('aria-label') ?? one.textContent)"))
    seen = []
    for _ in range(60):
        it.browser.press("Tab")
        name, outline = it.browser.evaluate("""(() => {
            const one = document.activeElement;
            const style = one === document.body ? 'none' : getComputedStyle(one).outlineStyle;
            return [one.getAttribute('aria-label') ?? one.textContent, style];
        })()""")
        if len(seen) > 3 and name == seen[0]:
            break
        if outline == "none" and name not in wanted:
            break
        expect(outline != "none", f"no focus shows on {name!r}")
        seen.append(name)
    expect(seen and seen[0].startswith("Skip"), f"the first stop is {seen[:1]}")
    expect(wanted <= set(seen), f"not reached: {wanted - set(seen)}")
    # Enter does what a click does.
    it.browser.evaluate("[...document.querySelectorAll('[data-route]')].at(-1).focus()")
    it.browser.press("Enter")
    it.browser.wait("document.querySelector('h1').textContent === 'Settings'")
    expect(it.browser.evaluate("document.activeElement.id") == "main", "the focus stays on the link of the page that was left")


@step
def a_key_is_made_shown_once_and_sees_what_its_role_may(it):
    it.go("#/settings")
    # What is above the button comes later than the button, and moves it away from under the mouse.
    it.said("Change them there; this page only shows them.")
    it.press("New key…")
    it.browser.type("dialog input", "night watch")
    it.browser.choose("dialog select", "viewer")
    it.press("Create the key")
    token = it.browser.wait("document.querySelector('dialog input[readonly]').value")
    it.press("I have stored it")
    it.said("night watch")
    it.browser.wait("!document.querySelector('dialog')")
    expect(token not in it.browser.evaluate("document.documentElement.outerHTML"), "the token is still there")
    it.press("Sign out")
    expect(it.browser.evaluate("sessionStorage.length") == 0, "the key outlives signing out")
    it.sign_in(token)
    it.said("night watch · viewer")
    it.go("#/")
    it.browser.wait(it.card("webhook"))
    expect(not it.browser.evaluate("[...document.querySelectorAll('main button')].length"), "a viewer is offered to steer")
    keys = json.loads(it.stage.ask("GET", "/v1/keys")[1])["keys"]
    it.stage.ask("DELETE", f"/v1/keys/{next(key['id'] for key in keys if key['name'] == 'night watch')}")
    it.said("The service no longer accepts your key.")
    it.browser.complaints = [c for c in it.browser.complaints if "401" not in c[1]]


@step
def nothing_was_complained_of(it):
    expect(not it.browser.complaints, f"the browser complains: {it.browser.complaints}")


@step
def a_stream_that_is_not_allowed_is_not_asked_for_again_and_again(it):
    it.sign_in(it.stage.admin)
    it.browser.wait(it.card("webhook"))
    it.browser.evaluate("""(() => {
      const real = window.fetch;
      window.asked = 0;
      window.fetch = (path, options) => {
        if (!path.endsWith('/stream')) return real(path, options);
        window.asked += 1;
        return Promise.resolve(new Response('{"error":{"code":"forbidden","message":"this key does not have the right to do that"}}', { status: 403 }));
      };
      for (const hidden of [true, false]) {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event('visibilitychange'));
      }
    })()""")
    it.browser.wait("document.getElementById('live').textContent === 'Not allowed'")
    it.said("this key does not have the right to do that.")
    expect(it.browser.evaluate("window.asked") == 1, "it was asked for again")
    it.press("Sign out")
    it.browser.send("Page.reload")
    it.browser.wait("window.asked === undefined && document.querySelector('form.sign-in input')")


@step
def a_shutdown_does_not_wait_for_who_watches_and_the_console_comes_back(it):
    it.sign_in(it.stage.admin)
    it.browser.wait(it.card("webhook"))
    took = it.stage.stop()
    expect(it.stage.server.returncode == 0 and took < 10, f"it ended with {it.stage.server.returncode} after {took:.1f} s")
    it.said("Reconnecting…")
    it.stage.start(listen=f"127.0.0.1:{it.stage.port}")
    it.browser.wait("document.getElementById('live').textContent === 'Live'", 30)


def main():
    binary, pictures = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    stage, browser, ending = Stage(os.path.abspath(binary)), None, threading.Event()
    begun = time.monotonic()
    try:
        browser = Browser(program())
        stage.feed(ending)
        operator = Operator(stage, browser, pictures)
        for function in STEPS:
            since = time.monotonic()
            try:
                function(operator)
            except BrowserError as error:
                print(f"FAILED  {function.__name__.replace('_', ' ')}\n{error}\n{browser.complaints}\n{stage.errors()}", flush=True)
                return 1
            print(f"ok {time.monotonic() - since:5.1f} s  {function.__name__.replace('_', ' ')}", flush=True)
    finally:
        ending.set()
        if browser:
            browser.close()
        stage.close()
    print(f"test-console: {len(STEPS)} steps in {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
