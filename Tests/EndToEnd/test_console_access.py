"""The console for all: dead letters without markup, names, contrast, phones, the keyboard. The same session."""
import pytest
from console import POISON
from playwright.sync_api import expect

# Each page, and what is there when all of it has come.
PAGES = {"#/": "[aria-label='Destination webhook']", "#/destinations/webhook": ".letters summary",
         "#/destinations/archive": ".facts", "#/destinations/nowhere": "h1", "#/replays": "form.panel select",
         "#/settings": "main details"}

# Every text against what is painted under it, as WCAG 2 measures it. What is off or out of sight does not count.
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
    const [element, text] = [walker.currentNode.parentElement, walker.currentNode.textContent.trim()];
    if (!text || !element.checkVisibility() || element.closest('.unseen, .skip, :disabled')) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) weak.push(`${ratio.toFixed(2)}: ${text.slice(0, 40)}`);
  }
  return weak;
})()"""
# The first of two counts comes last.
LATE_COUNT = """(() => {
  const real = window.fetch;
  window.fetch = async (path, options) => {
    const answer = await real(path, options);
    const asked = String(options?.body);
    if (asked.includes('"all":true')) await new Promise((go) => { window.letGo = go; });
    else if (asked.includes('dryRun')) window.isTold = true;
    return answer;
  };
  window.restore = () => { window.fetch = real; };
})()"""
NAMED = {"button", "link", "textbox", "combobox", "checkbox", "spinbutton", "progressbar", "image", "dialog",
         "searchbox", "radio", "article", "table", "list box", "DisclosureTriangle"}


@pytest.fixture(scope="module", autouse=True)
def begun(it):
    """Signed in, with a dead letter, and nothing complained of so far."""
    it.size(1200, 800)
    it.page.goto(it.stage.service.url)
    it.wait(f"document.querySelector('form.sign-in input') || {it.card('webhook')}")
    if it.page.locator("form.sign-in").count():
        it.sign_in(it.stage.admin)
    it.wait(it.card("webhook"))
    it.complaints.clear()
    it.stage.service.ask("POST", "/v1/events", [{"event": f"poison {POISON}", "ts": 1}])
    it.stage.destinations.replayed = 0


def test_dead_letters_are_read_and_nothing_in_them_is_markup(it):
    it.go("#/destinations/webhook")
    expect(it.page.locator(".letters summary")).to_be_visible(timeout=30_000)
    it.click(".letters summary")
    expect(it.page.locator(".letters pre").first).to_contain_text("poison")
    shown = it.page.locator(".letters").inner_text()
    assert "<img src=x" in shown and "<script>" in shown
    assert it.evaluate("window.hurt === undefined && !document.querySelector('main img[src=x], main script')")
    it.wait("document.querySelector('td.words').innerText.length > 0")


def test_dead_letters_are_counted_and_delivered_again_all_and_one(it):
    again, one = "Deliver dead letters again", "1 record would be delivered to webhook."
    primary = "dialog button.primary"
    it.press(again)
    it.said(one)
    it.escape()
    assert it.stage.destinations.replayed == 0, "a count delivered something"
    it.press(again)
    it.said(one)
    it.click(primary)
    it.said("1 rejected again: ", 30)
    expect(it.page.locator(".letters .tag").first).to_have_text("sent again")
    it.press(again)
    it.said("All of them were sent again already.")
    assert it.page.locator(primary).is_disabled(), "nothing could be delivered"
    it.evaluate(LATE_COUNT)
    it.click("dialog input[type=checkbox]")
    it.wait("typeof window.letGo === 'function'")
    it.click("dialog input[type=checkbox]")
    it.wait("window.isTold")
    it.evaluate("new Promise((done) => setTimeout(() => { window.letGo(); setTimeout(done, 300); }, 300))")
    it.said("All of them were sent again already.", 1)
    it.evaluate("window.restore()")
    it.click("dialog input[type=checkbox]")
    it.said(one)
    it.escape()
    it.stage.destinations.takes_poison = True
    it.evaluate("document.querySelector('.letters details').open = true")
    offset = it.evaluate("document.querySelector('.letter-offset').textContent.replaceAll(/[^0-9]/g, '')")
    name = f"Deliver the record at offset {offset} again"
    it.press(name)
    it.said(one)
    check(it, "the dialog of dead letters", 1200)
    it.evaluate("document.querySelector('.letters details').dataset.kept = true")
    it.click(primary)
    it.said("Delivered again: 1 of 1 dead letter delivered.", 30)
    assert it.evaluate("document.querySelector('.letters details').dataset.kept") == "true", "the list is another one"
    assert it.evaluate("document.activeElement.getAttribute('aria-label')") == name, "the focus is lost"
    assert it.stage.destinations.replayed == 1
    it.stage.destinations.takes_poison = False


@pytest.mark.parametrize("width, dark", [(1200, False), (1200, True), (360, True), (360, False)])
@pytest.mark.parametrize("page", PAGES)
def test_every_control_has_a_name_and_nothing_is_wider_than_a_phone(it, page, width, dark):
    it.size(width, 760, 1, dark, width < 500)
    it.go(page)
    it.wait(f"location.hash === '{page}' && document.querySelector(\"{PAGES[page]}\")")
    check(it, f"{page} at {width}", width)


def test_a_dialog_fits_a_phone(it):
    it.size(360, 640, 1, False, True)
    it.go("#/destinations/archive")
    it.press("Move cursor…")
    check(it, "the dialog at 360", 360)
    it.escape()
    it.size(1200, 800)


def check(it, where, width):
    # Not innerWidth, which grows with the page on a phone that zooms out.
    wide = it.evaluate("document.documentElement.scrollWidth") - width
    who = it.evaluate("[...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right >"
                      f" {width} + 1).map((one) => one.outerHTML.slice(0, 60)).slice(0, 12)")
    assert wide <= 0, f"{where}: {wide} px wider than the window: {who}"
    # On its way from one colour to the other a button may have none that can be read.
    it.settle()
    assert it.evaluate(CONTRAST) == [], f"{where}: contrast below 4.5"
    assert [role for role, name in it.nodes() if role in NAMED and not name] == [], f"{where}: without a name"
    heads = it.evaluate("[...document.querySelectorAll('h1, h2, h3')].filter((one) => one.checkVisibility())"
                        ".map((one) => Number(one.tagName[1]))")
    assert heads and heads[0] == 1 and heads.count(1) == 1, f"{where}: headings"
    assert all(b - a <= 1 for a, b in zip(heads, heads[1:])), f"{where}: headings leave out a level: {heads}"
    bad = it.page.locator("img:not([alt]), input:not([id], label input), table:not(:has(caption))").count()
    assert bad == 0, f"{where}: images, fields or tables without words"


def test_everything_is_reached_by_keyboard_and_the_focus_shows(it):
    it.go("#/")
    it.page.reload()
    it.wait(f"{it.card('webhook')} && document.activeElement === document.body")
    name = "(one.getAttribute('aria-label') ?? one.textContent)"
    wanted = set(it.evaluate("[...document.querySelectorAll('a[href], button')].filter((one) => one.checkVisibility())"
                             f".map((one) => {name})"))
    seen = []
    for _ in range(60):
        it.key("Tab")
        style = "one === document.body ? 'none' : getComputedStyle(one).outlineStyle"
        said, outline = it.evaluate(f"(() => {{ const one = document.activeElement; return [{name}, {style}]; }})()")
        if len(seen) > 3 and said == seen[0] or outline == "none" and said not in wanted:
            break
        assert outline != "none", f"no focus shows on {said!r}"
        seen.append(said)
    assert seen and seen[0].startswith("Skip")
    assert wanted <= set(seen), f"not reached: {wanted - set(seen)}"
    # Enter does what a click does.
    it.evaluate("[...document.querySelectorAll('[data-route]')].at(-1).focus()")
    it.key("Enter")
    expect(it.page.locator("h1")).to_have_text("Settings")
    assert it.evaluate("document.activeElement.id") == "main", "the focus stays on the link of the page that was left"


def test_the_browser_complains_of_nothing(it):
    assert it.complaints == []
