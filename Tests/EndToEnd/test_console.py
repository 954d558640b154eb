"""Does with the console what an operator does: one session, each test the next step in it."""
import pytest
from console import SECRETS
from playwright.sync_api import expect
from room import ROOT, until

PICTURE_LIMIT = 200_000


def test_a_wrong_key_is_refused_and_a_right_one_let_in(it):
    it.size(1200, 800)
    it.page.goto(it.stage.service.url)
    it.sign_in("psk_0_0")
    it.said("not known")
    it.sign_in(it.stage.admin)
    it.said("ops · companyAdmin")
    kept = it.evaluate("location.href + document.cookie + JSON.stringify(localStorage)")
    assert it.stage.admin not in kept and it.evaluate("Object.keys(sessionStorage).join()") == "penstock.key"
    assert [one for one in it.complaints if not ("401" in one[1] and one[2].endswith("/v1/me"))] == []
    it.complaints.clear()


def test_the_overview_shows_rate_end_disk_and_every_destination(it):
    for name in ("webhook", "archive", "warehouse"):
        it.wait(it.card(name))
    it.wait("Number(document.querySelectorAll('.figure .value')[1].textContent.replaceAll(',', '')) > 16000")
    it.wait("parseFloat(document.querySelector('.figure .value').textContent) > 0")
    it.said("× compressed")
    it.wait(f"{it.card('webhook')}.querySelector('.spark-line').getAttribute('d').length > 10")


def test_a_failing_destination_says_why_and_when_it_is_tried_again(it):
    it.stage.destinations.is_bucket_down = True
    it.said("archive is retrying after an error", 30)
    archive = it.page.get_by_label("Destination archive", exact=True)
    expect(archive).to_contain_text("SlowDown")
    expect(archive).to_contain_text("Next attempt in")


def test_pictures_for_the_documentation(it):
    if not it.images:
        pytest.skip("--images names no folder for the pictures")
    # A line of some looks.
    it.wait(f"{it.card('webhook')}.querySelector('.spark-line').getAttribute('d').split('L').length > 5", 60)
    folder = ROOT / it.images
    folder.mkdir(parents=True, exist_ok=True)
    for name, width, height, scale, is_phone in (("desktop", 1200, 900, 1, False), ("phone", 390, 1000, 1.5, True)):
        for scheme in ("light", "dark"):
            it.size(width, height, scale, scheme == "dark", is_phone)
            it.settle()
            assert it.picture(folder / f"console-{name}-{scheme}.png", whole=not is_phone) < PICTURE_LIMIT
    it.size(1200, 800)


def test_retry_now_ends_the_wait(it):
    it.stage.destinations.is_bucket_down = False
    it.press("Retry archive now")
    it.said("archive tries again")
    expect(it.page.get_by_label("Destination archive", exact=True)).not_to_contain_text("Next attempt")
    it.said("All 3 destinations keep up")


def test_a_pause_lets_the_lag_grow_in_three_units_and_undo_ends_it(it):
    badge = it.page.get_by_label("Destination webhook", exact=True).locator(".badge")
    it.press("Pause webhook")
    it.said("webhook is paused. The pause survives restarts.")
    expect(badge).to_have_text("Paused")
    lag = f"[...{it.card('webhook')}.querySelectorAll('.lag dd')].map((one) => one.textContent)"
    it.wait("(([records, bytes, seconds]) => parseInt(records.replaceAll(',', '')) > 100 && bytes.includes('iB')"
            f" && parseInt(seconds) > 1)({lag})")
    it.press("Undo")
    expect(badge).not_to_have_text("Paused")
    it.press("Pause webhook")
    it.press("Resume webhook")
    it.said("webhook is resumed.")


def move_cursor(it):
    """With the dialog open: to offset 1000."""
    it.type("dialog input[type=number]", "1000")
    it.press("See what that does")
    it.click("dialog button.danger")
    it.said("webhook continues at offset 1,000.")
    expect(it.page.locator(".facts")).to_contain_text("1,000")


def test_a_cursor_is_moved_after_a_look_at_what_that_does_and_moved_back(it):
    it.go("#/destinations/webhook")
    it.press("Pause webhook")
    expect(it.page.locator(".badge").first).to_have_text("Paused")
    it.press("Move cursor…")
    expect(it.page.locator("dialog[open]")).to_be_visible()
    it.choose("dialog select", "end")
    it.press("See what that does")
    it.said("will not be delivered to this destination")
    it.choose("dialog select", "offset")
    assert it.evaluate("document.querySelector('dialog button.danger').disabled"), "it could be moved without a look"
    it.type("dialog input[type=number]", "1000")
    it.press("See what that does")
    it.said("will be delivered again, under new ids")
    it.escape()
    before = it.stage.service.destination("webhook")["committed"]
    assert before > 1000, "the cursor was moved by a look"
    it.press("Move cursor…")
    move_cursor(it)
    it.press("Undo")
    expect(it.page.locator(".facts")).to_contain_text(f"{before:,}")
    it.press("Resume webhook")


def test_undo_moves_a_cursor_back_to_where_it_stood_and_not_to_where_it_was_looked_at(it):
    def stands():
        one = it.stage.service.destination("webhook")
        return one["state"] == "paused" and one["committed"]

    it.press("Move cursor…")
    looked = int(it.wait("document.querySelector('dialog[open] input[type=number]').value"))
    # Delivery continues while the dialog is open.
    until(lambda: (it.stage.service.destination("webhook")["committed"] or 0) > looked + 100)
    it.stage.service.ask("POST", "/v1/destinations/webhook/pause", {})
    stood = until(stands)
    it.wait("document.querySelector('.badge').textContent === 'Paused'")
    move_cursor(it)
    it.press("Undo")
    expect(it.page.locator(".facts")).to_contain_text(f"{stood:,}")
    assert until(stands) == stood
    it.press("Resume webhook")


def test_a_replay_begins_after_it_was_counted(it):
    it.go("#/destinations/webhook")
    it.press("Replay…")
    expect(it.page.locator("form.panel select").first).to_have_value("webhook")
    start, notice = it.page.locator("form.panel button.primary"), it.page.locator("form.panel .notice")
    assert start.is_disabled(), "it could begin uncounted"
    it.press("Count (dry run)")
    expect(notice).to_contain_text("Records")
    it.page.locator("form.panel select").nth(1).select_option("offset")
    expect(start).to_be_disabled()
    it.type("form.panel .fields input[type=number] >> nth=0", "200")
    it.type("form.panel .fields input[type=number] >> nth=1", "1200")
    it.press("Count (dry run)")
    expect(notice).to_contain_text("1,000")
    it.press("Start the replay")
    expect(it.page.locator("dialog[open]")).to_contain_text("Replay 1,000 records to webhook?")
    assert it.stage.destinations.replayed == 0, "it began before it was confirmed"
    it.click("dialog button.primary")
    expect(it.page.locator(".replay .badge").first).to_have_text("finished", timeout=30_000)
    assert it.stage.destinations.replayed == 1000
    it.press("Discard " + it.evaluate("document.querySelector('.replay h3').textContent"))
    it.press("Discard it")
    it.said("None yet.")


def test_settings_are_shown_and_secrets_are_not(it):
    it.go("#/settings")
    for words in ("acme-events", "eu-central-1", "AKIA…MPLE", "set, never shown", "your-api-key", "exports/usages-",
                  "traits left out"):
        it.said(words)
    it.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page = it.evaluate("document.documentElement.outerHTML")
    paths = ("/v1/settings", "/v1/status", "/v1/destinations")
    answers = "".join(it.stage.service.ask("GET", path).text for path in paths)
    for name, secret in SECRETS.items():
        assert secret not in page and secret not in answers, f"the secret {name} shows"


def test_a_key_is_made_shown_once_and_sees_what_its_role_may(it):
    it.go("#/settings")
    # What is above the button comes later than the button, and moves it away from under the mouse.
    it.said("Change them there; this page only shows them.")
    it.press("New key…")
    it.type("dialog input", "night watch")
    it.choose("dialog select", "viewer")
    it.press("Create the key")
    token = it.wait("document.querySelector('dialog input[readonly]').value")
    it.press("I have stored it")
    it.said("night watch")
    it.no_dialog()
    assert token not in it.evaluate("document.documentElement.outerHTML"), "the token is still there"
    it.press("Sign out")
    assert it.evaluate("sessionStorage.length") == 0, "the key outlives signing out"
    it.sign_in(token)
    it.said("night watch · viewer")
    it.go("#/")
    it.wait(it.card("webhook"))
    assert it.page.locator("main button").count() == 0, "a viewer is offered to steer"
    keys = it.stage.service.ask("GET", "/v1/keys").json()["keys"]
    it.stage.service.ask("DELETE", f"/v1/keys/{next(key['id'] for key in keys if key['name'] == 'night watch')}")
    it.said("The service no longer accepts your key.")
    assert [one for one in it.complaints if "401" not in one[1]] == [], "the browser complains"
    it.sign_in(it.stage.admin)
    it.wait(it.card("webhook"))


def test_a_stream_that_is_not_allowed_is_not_asked_for_again_and_again(it):
    it.evaluate("""(() => {
      const real = window.fetch;
      window.asked = 0;
      window.fetch = (path, options) => {
        if (!path.endsWith('/stream')) return real(path, options);
        window.asked += 1;
        const error = { code: 'forbidden', message: 'this key does not have the right to do that' };
        return Promise.resolve(new Response(JSON.stringify({ error }), { status: 403 }));
      };
      for (const hidden of [true, false]) {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event('visibilitychange'));
      }
    })()""")
    expect(it.page.locator("#live")).to_have_text("Not allowed")
    it.said("this key does not have the right to do that.")
    assert it.evaluate("window.asked") == 1
    it.press("Sign out")
    it.page.reload()
    it.wait("window.asked === undefined && document.querySelector('form.sign-in input')")


def test_a_shutdown_does_not_wait_for_who_watches_and_the_console_comes_back(it):
    it.sign_in(it.stage.admin)
    it.wait(it.card("webhook"))
    assert it.stage.service.stop() < 10
    it.said("Reconnecting…")
    it.stage.restart()
    expect(it.page.locator("#live")).to_have_text("Live", timeout=30_000)
