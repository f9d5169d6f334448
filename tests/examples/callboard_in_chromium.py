"""The page of ``examples/callboard``, in a headless Chromium.

Run by name, with Debian's ``chromium`` and Playwright:
``pytest -n0 tests/examples/callboard_in_chromium.py``.
"""

from __future__ import annotations

import re
import signal
import sys
from typing import Any, Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.cli.programs import Program, environment
from tests.docs.web import free_port

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
).split()
MILLISECONDS = 30_000
NUMBER, SHOWN = "+18005551234", "+1 800 555 1234"
CALLER, CALLER_SHOWN = "+12065550147", "+1 206 555 0147"

#: How readable each visible text is: its contrast, with what text it is.
CONTRASTS = """() => {
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const colour = (text) => text.match(/[\\d.]+/g).map(Number);
  const back = (element) => {
    for (; element; element = element.parentElement) {
      const found = colour(getComputedStyle(element).backgroundColor);
      if (found.length < 4 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const own = (element) => [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  return [...document.querySelectorAll("body *")]
    .filter((element) => own(element) && element.checkVisibility() && !element.closest(".unseen"))
    .map((element) => {
      const two = [colour(getComputedStyle(element).color), back(element)].map(luminance).sort();
      return [(Math.max(...two) + 0.05) / (Math.min(...two) + 0.05), element.textContent.trim()];
    });
}"""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests; it is there before their threads and descriptors are counted."""
    with sync_playwright() as playwright:
        expect.set_options(timeout=MILLISECONDS)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Board:
    """A board as a program, which can be ended and started again at the same address."""

    def __init__(self) -> None:
        self._port = str(free_port())
        self.url = f"http://127.0.0.1:{self._port}/"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "examples.callboard", "--port", self._port]
        self._program = Program(command, environment())
        assert self.url in self._program.line()

    def end(self, number: int = signal.SIGINT) -> None:
        with self._program:
            self._program.interrupt(number)
            self._program.finish()
        assert "" == self._program.stderr


@pytest.fixture
def board() -> Iterator[Board]:
    """A board on a sandbox of its own."""
    running = Board()
    yield running
    running.end()


Look = Callable[..., Page]


@pytest.fixture
def look(chromium: Browser, board: Board) -> Iterator[Look]:
    """Opens the page in a browser of somebody's own; nothing may go wrong in it."""
    contexts, wrong = [], []

    def open_page(**options: Any) -> Page:
        context = chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(MILLISECONDS)
        page = context.new_page()
        # What the server refuses, and a server that is away, Chromium tells on the console too.
        page.on("console", lambda message: wrong.append(message.text)
                if message.type in ("error", "warning")
                and not message.text.startswith("Failed to load resource") else None)  # fmt: skip
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(board.url)
        expect(page.locator("#connection")).to_have_text("Connected")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [] == wrong


def place(page: Page, outcome: str = "me", number: str = NUMBER) -> None:
    """Fill the form in and press the button."""
    page.get_by_label("Number", exact=True).fill(number)
    page.get_by_label("Whoever is called").select_option(outcome)
    page.get_by_role("button", name="Call", exact=True).click()


def ring(page: Page) -> None:
    """Let somebody call."""
    page.get_by_label("From").fill(CALLER)
    page.get_by_role("button", name="Ring").click()


def card(page: Page, number: str = SHOWN) -> Locator:
    """The call with that number, while it is up."""
    return page.locator("#calls > li").filter(has_text=number)


def ended(page: Page, number: str = SHOWN) -> Locator:
    """And when it has ended."""
    return page.locator("#ended > li").filter(has_text=number)


def press(call: Locator, name: str) -> None:
    """Press a button of a call."""
    call.get_by_role("button", name=name).click()


def send(call: Locator, label: str, text: str, name: str) -> None:
    """Type something for a call, and press the button beside it."""
    call.get_by_label(label).fill(text)
    press(call, name)


def state_is(call: Locator, state: str) -> None:
    """Wait for the badge to say so."""
    expect(call.locator(".badge")).to_have_text(state)


def test_a_call_that_is_placed(look: Look) -> None:
    """It rings, is picked up, digits go both ways, and it is hung up; each is said, too."""
    page = look()
    expect(page.get_by_text("Nobody is on the phone.")).to_be_visible()
    place(page)
    state_is(card(page), "Ringing")
    expect(card(page).get_by_role("button")).to_have_count(3)  # hang up; the far end's two
    press(card(page), "Pick up")
    state_is(card(page), "In channel")
    send(card(page), "Keys to press", "42#", "Press")
    expect(card(page).locator(".heard dd")).to_have_text("42#")
    send(card(page), "Digits to send", "1234#", "Send digits")
    expect(card(page).locator(".sent dd")).to_have_text("1234#")
    expect(card(page).get_by_label("Digits to send")).to_have_value("")
    expect(card(page).locator(".time")).to_have_text(re.compile("0:0[1-9]"))
    expect(page.locator("#said")).to_have_text(f"{SHOWN}: In channel")
    press(card(page), "Hang up")
    expect(ended(page).locator(".words")).to_have_text("Hung up · heard 42#")
    expect(ended(page).locator(".cause")).to_have_text("NORMAL_CLEARING")
    expect(ended(page)).to_contain_text("s billed")
    expect(card(page)).to_have_count(0)
    expect(page.get_by_text("Nobody is on the phone.")).to_be_visible()


def test_a_call_that_comes_in(look: Look) -> None:
    """It is answered, digits appear, it is moved, transferred, and gone."""
    page = look()
    ring(page)
    call = card(page, CALLER_SHOWN)
    state_is(call, "Calling in")
    press(call, "Answer")
    state_is(call, "In channel")
    send(call, "Keys to press", "7", "Press")
    expect(call.locator(".heard dd")).to_have_text("7")
    send(call, "Channel to move", "support", "Move")
    expect(call.locator(".detail")).to_have_text("to +1 800 555 0100 · in support")
    press(call, "Hang up")
    expect(ended(page, CALLER_SHOWN)).to_contain_text("NORMAL_CLEARING")

    ring(page)
    press(call, "Answer")
    send(call, "Number to transfer", "+1 800 555 0142", "Transfer")
    last = ended(page, CALLER_SHOWN).first
    expect(last.locator(".words")).to_have_text("Transferred to +1 800 555 0142")
    expect(last.locator(".cause")).to_have_text("BLIND_TRANSFER")
    ring(page)
    press(call, "Reject")
    expect(last.locator(".words")).to_have_text("You rejected it")


def test_why_a_call_ended(look: Look) -> None:
    """In words, with the Call Manager's own beside them; a busy callee is badged so."""
    page = look()
    place(page, "busy")
    state_is(ended(page), "Busy")
    expect(ended(page).locator(".words")).to_have_text("The line was busy")
    expect(ended(page).locator(".cause")).to_have_text("USER_BUSY")
    place(page, "me", "+18005550177")
    cancelled = ended(page, "+1 800 555 0177")
    press(card(page, "+1 800 555 0177"), "Hang up")
    expect(cancelled.locator(".words")).to_have_text("Cancelled before it was answered")
    expect(cancelled.locator(".cause")).to_have_text("ORIGINATOR_CANCEL")


#: The placeholders that are seen, and do not fit into their fields.
CUT = """() => {
  const pen = document.createElement("canvas").getContext("2d");
  return [...document.querySelectorAll("input[placeholder]")].filter((input) => {
    const style = getComputedStyle(input);
    pen.font = style.font;
    const room = input.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    return input.checkVisibility() && pen.measureText(input.placeholder).width > room;
  }).map((input) => input.placeholder);
}"""


@pytest.mark.parametrize("width", [360, 736, 768, 900, 1024, 1200, 1600])
def test_no_placeholder_is_cut(look: Look, width: int) -> None:
    """Whatever the width; numbers are written as everywhere."""
    page = look(viewport={"width": width, "height": 800})
    expect(page.locator("#ring button")).to_have_text("Ring +1 800 555 0100")
    place(page, "answer")
    state_is(card(page), "In channel")
    assert [] == page.evaluate(CUT)


def test_what_goes_wrong_is_said(look: Look) -> None:
    """Beside what was pressed, in words, as text."""
    page = look()
    place(page, number="<img src=x onerror=alert(1)>")
    expect(page.locator("#place .error")).to_contain_text("“<img src=x onerror=alert(1)>” is no")
    expect(page.locator("img")).to_have_count(0)
    place(page, "invalid")
    expect(ended(page)).to_contain_text("the CM did not place the call: Invalid number")
    expect(page.locator("#place .error")).to_be_hidden()
    place(page, "answer")
    state_is(card(page), "In channel")
    send(card(page), "Digits to send", "12a", "Send digits")
    expect(card(page).get_by_role("alert")).to_contain_text("digits")
    expect(card(page).get_by_label("Digits to send")).to_have_value("12a")


def test_a_double_click_is_one(look: Look) -> None:
    """One call is placed, one is hung up, and nothing is complained of."""
    page = look()
    page.get_by_label("Whoever is called").select_option("answer")
    # So slow that the first has been answered when the second comes.
    page.get_by_role("button", name="Call", exact=True).dblclick(delay=150)
    state_is(card(page), "In channel")
    expect(card(page)).to_have_count(1)
    call = card(page)
    call.get_by_label("Digits to send").fill("5")
    call.get_by_role("button", name="Send digits").dblclick(delay=150)
    expect(call.locator(".sent dd")).to_have_text("5")
    call.get_by_role("button", name="Hang up").dblclick()
    expect(ended(page)).to_have_count(1)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_two_browsers_see_the_same(look: Look) -> None:
    """What one does the other sees; and a third that comes later sees it too."""
    one, two = look(), look()
    place(one, "answer")
    state_is(card(two), "In channel")
    send(card(two), "Keys to press", "42#", "Press")
    expect(card(one).locator(".heard dd")).to_have_text("42#")
    ring(two)
    state_is(card(one, CALLER_SHOWN), "Calling in")
    press(card(one, CALLER_SHOWN), "Reject")
    press(card(one), "Hang up")
    expect(ended(two, CALLER_SHOWN)).to_have_count(1)
    expect(ended(two)).to_contain_text("NORMAL_CLEARING")
    expect(ended(one)).to_contain_text("NORMAL_CLEARING")
    assert one.locator("#ended").inner_text() == two.locator("#ended").inner_text()
    assert one.locator("#ended").inner_text() == look().locator("#ended").inner_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_server_is_restarted(look: Look, board: Board, number: int) -> None:
    """The page says so, comes back by itself, and shows what there is then."""
    page = look()
    place(page, "answer")
    state_is(card(page), "In channel")
    board.end(number)
    expect(page.locator("#connection")).to_have_text("Board lost, reconnecting …")
    place(page)
    expect(page.locator("#place .error")).to_contain_text("The board does not answer.")
    board.start()
    expect(page.locator("#connection")).to_have_text("Connected")
    expect(card(page)).to_have_count(0)
    place(page, "answer")
    state_is(card(page), "In channel")
    expect(card(page)).to_have_count(1)


def focused(page: Page) -> str:
    """The accessible name of what has the focus, which has to be seen to have it."""
    name, outline = page.evaluate(
        """() => {
          const at = document.activeElement;
          return [at.getAttribute("aria-label") || at.labels?.[0]?.textContent || at.textContent,
                  getComputedStyle(at).outlineStyle];
        }"""
    )
    assert "none" != outline, name
    return str(name)


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is there."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if focused(page).startswith(name):
            return
    raise AssertionError(f"{name} cannot be reached")


def test_by_keyboard_only(look: Look) -> None:
    """Everything can be reached, is seen to be, and the focus stays with the call."""
    page = look()
    keys = page.keyboard
    tab_to(page, "Number")
    keys.press("Control+A")
    keys.type(NUMBER)
    keys.press("Enter")
    state_is(card(page), "Ringing")
    tab_to(page, "Pick up")
    keys.press("Enter")
    state_is(card(page), "In channel")
    assert card(page).evaluate("card => card.contains(document.activeElement)")
    page.keyboard.press("Shift+Tab")
    tab_to(page, "Digits to send")
    keys.type("12#")
    keys.press("Enter")
    expect(card(page).locator(".sent dd")).to_have_text("12#")
    tab_to(page, "Channel to move to")
    keys.type("support")
    keys.press("Enter")
    expect(card(page).locator(".detail")).to_contain_text("support")
    tab_to(page, "Keys to press")
    keys.type("9")
    keys.press("Enter")
    expect(card(page).locator(".heard dd")).to_have_text("9")
    keys.press("Shift+Tab")
    assert focused(page).startswith("Hang up")
    keys.press("Space")
    expect(ended(page)).to_contain_text("NORMAL_CLEARING")
    assert ended(page).evaluate("row => row === document.activeElement")


def test_a_key_that_is_held_down(look: Look) -> None:
    """It presses once."""
    page = look()
    button = page.get_by_role("button", name="Call", exact=True)
    button.focus()
    for _ in range(3):
        page.keyboard.down("Enter")  # from the second on it repeats
    state_is(card(page), "Ringing")
    expect(button).not_to_have_attribute("aria-disabled", "true")
    page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    ring(page)
    state_is(card(page, CALLER_SHOWN), "Calling in")
    expect(card(page)).to_have_count(1)


def show_all(page: Page) -> None:
    """A call in every state that there is a colour for."""
    place(page, "busy", "+18005550199")
    expect(ended(page, "+1 800 555 0199")).to_contain_text("USER_BUSY")
    place(page, "invalid", "+18005550111")
    expect(ended(page, "+1 800 555 0111")).to_have_count(1)
    place(page, "answer")
    state_is(card(page), "In channel")
    send(card(page), "Keys to press", "0123456789" * 6, "Press")
    expect(card(page).locator(".heard dd")).to_have_text("0123456789" * 6)
    send(card(page), "Digits to send", "nothing", "Send digits")
    expect(card(page).get_by_role("alert")).to_be_visible()
    place(page, "me", "+18005550177")
    state_is(card(page, "+1 800 555 0177"), "Ringing")
    ring(page)
    state_is(card(page, CALLER_SHOWN), "Calling in")


def test_on_a_phone(look: Look) -> None:
    """360 pixels are enough: nothing sticks out, and a thumb hits every button."""
    page = look(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    show_all(page)
    assert 360 == page.evaluate("document.documentElement.scrollWidth")
    for control in page.locator("button:visible, input:visible, select:visible").all():
        box = control.bounding_box()
        assert box is not None
        assert box["height"] >= 40
        assert 0 <= box["x"] and box["x"] + box["width"] <= 360, control.inner_text()
    answer = card(page, CALLER_SHOWN).get_by_role("button", name="Answer")
    expect(answer).to_be_in_viewport(ratio=1)
    above = [answer.bounding_box(), page.get_by_role("button", name="Ring").bounding_box()]
    assert above[0] and above[1] and above[0]["y"] < above[1]["y"]
    answer.tap()
    state_is(card(page, CALLER_SHOWN), "In channel")


def test_dark_and_light(look: Look) -> None:
    """All text can be read in both, and they are two."""
    page = look()
    show_all(page)
    backs = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        backs.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 40
        assert [] == [found for found in contrasts if found[0] < 4.5]
    assert 2 == len(set(backs))
