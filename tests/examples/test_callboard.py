"""``examples/callboard`` over HTTP; tests/examples/callboard_in_chromium.py looks at its page."""

from __future__ import annotations

import json
import re
import sys
import threading
import urllib.request
from typing import Any, Callable, Iterator

import pytest

from examples.callboard import app as application
from examples.callboard import board as boards
from examples.callboard.app import create_app
from examples.callboard.board import Board
from telephony.sandbox import Sandbox
from tests.cli.programs import OURS, SECONDS, Program, account, environment
from tests.scripted import Running

HERE = {"Origin": "http://localhost"}
NUMBER = "+18005551234"
COMMAND = [sys.executable, "-m", "examples.callboard", "--port", "0"]


class Page:
    """What a page does: it presses buttons, and sees what it is told."""

    def __init__(self, app: Any) -> None:
        self.board: Board = app.extensions["callboard"]
        self._http = app.test_client()
        self._browser = self.board.open()
        self.seen: list[tuple[str, Any]] = []
        first = self.next()
        if first["connection"] != "connected":
            assert "connected" == self.next()
        self.run = first["run"]

    def next(self) -> Any:
        """The next thing it is told."""
        change = self._browser.next(SECONDS)
        assert change is not None, f"nothing more came after {self.seen}"
        kind, _, data = change
        self.seen.append((kind, data))
        return data

    def row(self, **wanted: Any) -> dict[str, Any]:
        """Wait until a call looks like that."""
        while True:
            found: dict[str, Any] = self.next()
            kind = self.seen[-1][0]
            if kind == "call" and all(found[name] == value for name, value in wanted.items()):
                return found

    def press(self, path: str, headers: Any = HERE, **fields: str) -> tuple[int, Any]:
        """Send what a button sends; the status and the answer."""
        answer = self._http.post(path, json=fields, headers=headers)
        return answer.status_code, answer.get_json()

    def dial(self, outcome: str = "me", key: str = "1", to: str = NUMBER) -> tuple[int, Any]:
        """Ask for a call."""
        return self.press("/calls", to=to, outcome=outcome, key=f"{self.run}-{key}")

    def act(self, row: Any, action: str, value: str = "") -> tuple[int, Any]:
        """Press a button of a call."""
        return self.press(f"/calls/{row['id']}/{action}", value=value)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Sandbox], Any]]:
    """Makes the app for a sandbox; on its fast clock a call may ring for long."""
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(application, "RING", 30_000)
    monkeypatch.setitem(application.farend.OUTCOMES, "me", ("I pick up", {"ring": 100_000}))
    ends: list[Callable[[], None]] = []

    def make(cm: Sandbox) -> Any:
        app = create_app(cm)
        ends.extend([app.extensions["telephony"].close, app.extensions["callboard"].close])
        app.extensions["telephony"].connect()
        return app

    yield make
    for end in reversed(ends):
        end()


@pytest.fixture
def app(cm: Sandbox, start: Callable[[Sandbox], Any]) -> Any:
    """The app on ``cm``."""
    return start(cm)


@pytest.fixture
def page(app: Any) -> Page:
    """A page that is open."""
    return Page(app)


def test_a_call_that_is_placed(cm: Sandbox, page: Page) -> None:
    """Placed, picked up, digits both ways, moved, hung up: each shows, with what can be done."""
    assert 202 == page.dial()[0]
    row = page.row(state="ringing", actions=["hang-up"])
    assert (NUMBER, "outbound", ["pick-up", "far-hang-up"]) == (
        row["number"], row["direction"], row["far"]
    )
    assert (200, {}) == page.act(row, "pick-up")
    row = page.row(state="bridged")
    assert ["digits", "move", "transfer", "hang-up"] == row["actions"]
    assert row["answered"] is not None

    assert (200, {}) == page.act(row, "far-digits", "42#")
    page.row(heard="42#")
    assert (200, {}) == page.act(row, "digits", "1234#")
    page.row(sent="1234#", heard="42#")
    assert "1234#" == cm.calls[0].heard
    assert (200, {}) == page.act(row, "move", "support")
    page.row(channel="support", state="bridged")

    assert (200, {}) == page.act(row, "hang-up")
    row = page.row(over=True, cause="NORMAL_CLEARING")
    assert ("hangup", [], []) == (row["state"], row["actions"], row["far"])
    assert row["billsec"] is not None and row["ended"] is not None
    assert "endcall" == cm.calls[0].ended_by


def test_a_call_that_comes_in(cm: Sandbox, page: Page) -> None:
    """Answered, transferred; and what became of it is told."""
    assert (201, {}) == page.press("/ring", **{"from": "+1 (206) 555-0147"})
    row = page.row(state="incoming")
    assert ("+12065550147", "inbound", ["answer", "reject"], ["far-hang-up"]) == (
        row["number"], row["direction"], row["actions"], row["far"]
    )
    assert (200, {}) == page.act(row, "answer")
    page.row(state="bridged")
    assert (200, {}) == page.act(row, "transfer", "+1 800 555 0142")
    row = page.row(over=True)
    assert ("BLIND_TRANSFER", "Transferred to +18005550142.") == (row["cause"], row["note"])
    assert "+18005550142" == cm.calls[0].transferred_to


@pytest.mark.parametrize(("action", "state", "note"), [
    ("reject", "rejected", "You rejected it."),
    ("far-hang-up", "missed", "The caller gave up."),
])  # fmt: skip
def test_a_call_that_nobody_took(
    cm: Sandbox, page: Page, action: str, state: str, note: str
) -> None:
    """The Call Manager sends no event of its end; the board shows it all the same."""
    page.press("/ring")
    row = page.row(state="incoming")
    assert (200, {}) == page.act(row, action)
    row = page.row(over=True)
    assert (state, note, []) == (row["state"], row["note"], row["actions"])
    assert cm.calls[0].ended


def test_a_call_that_rings_for_too_long(
    cm: Sandbox, start: Callable[[Sandbox], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told that its caller has gone: it is not shown for ever."""
    monkeypatch.setattr(boards, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(boards, "LONGEST_HOLD", 0.1)
    page = Page(start(cm))
    page.press("/ring")
    assert "Nobody answered here in time." == page.row(state="missed")["note"]


def test_a_call_that_a_client_lets_go(
    cm: Sandbox, start: Callable[[Sandbox], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is one of which nothing more was heard, when the library tracks it no longer."""
    monkeypatch.setattr(boards, "LOOK_EVERY", 0.01)
    app = start(cm)
    page = Page(app)
    page.press("/ring")
    row = page.row(state="incoming")
    call = page.board._rows[row["id"]].call
    assert call is not None
    call._client._connection.decline(call)
    assert "Nothing more was heard of it." == page.row(state="missed")["note"]


@pytest.mark.parametrize(("outcome", "state", "why"), [
    ("busy", "hangup", "USER_BUSY"),
    ("invalid", "failed", "the CM did not place the call: Invalid number"),
    ("no_gateway", "failed", "the CM did not place the call: no gateways available"),
])  # fmt: skip
def test_a_call_that_fails(page: Page, outcome: str, state: str, why: str) -> None:
    """In the library's words, or with the cause."""
    assert 202 == page.dial(outcome)[0]
    row = page.row(over=True)
    assert state == row["state"]
    assert why in (row["cause"] or row["note"])


def test_a_repeated_request_places_no_second_call(cm: Sandbox, page: Page) -> None:
    """However often, and however much at once, it comes: it is one call."""
    asking = [Running(page.dial) for _ in range(8)]
    answers = {json.dumps(each.result(SECONDS)) for each in asking}
    assert 1 == len(answers)
    page.row(state="ringing")
    assert json.dumps(page.dial()) in answers
    assert "number" in page.dial(to="+18005550177")[1]["error"]
    cm.assert_dialed(times=1)
    status, second = page.dial(key="2")
    assert 202 == status
    page.row(state="ringing", id=second["id"])
    cm.assert_dialed(times=2)


@pytest.mark.parametrize("key", ["", "0123456789ab-1", "1"])
def test_a_request_of_an_earlier_run(cm: Sandbox, page: Page, key: str) -> None:
    """Nobody knows what became of it: it is not carried out again."""
    status, answer = page.press("/calls", to=NUMBER, key=key)
    assert status in (400, 409)
    assert "error" in answer
    cm.assert_not_dialed()


def test_what_does_not_fit_the_call(cm: Sandbox, page: Page) -> None:
    """Is refused in words, and not sent."""
    page.press("/ring")
    row = page.row(state="incoming")
    status, answer = page.act(row, "digits", "1")
    assert (409, "The call is incoming: too late, or too early, for that.") == (
        status, answer["error"]
    )
    assert 404 == page.act(row, "explode")[0]
    assert 409 == page.act({"id": "none"}, "answer")[0]
    cm.assert_not_sent("send_dtmf")


def test_a_command_that_is_refused(cm: Sandbox, page: Page) -> None:
    """The library's own words are the answer."""
    page.press("/ring")
    row = page.row(state="incoming")
    cm.refuse("gone fishing", action="accept")
    status, answer = page.act(row, "answer")
    assert 502 == status
    assert "gone fishing" in answer["error"]


@pytest.mark.parametrize(("to", "said"), [
    ("", "to is missing"), ("hello", "no phone number"), ("<b>1</b>", "no phone number"),
    ("+1", "no phone number"), ("+18005551234;dtmf=1", "no phone number"),
])  # fmt: skip
def test_a_number_that_is_none(cm: Sandbox, page: Page, to: str, said: str) -> None:
    """It is said, and nothing is sent."""
    status, answer = page.dial(to=to)
    assert 400 == status
    assert said in answer["error"]
    cm.assert_not_dialed()


def test_digits_that_are_none(cm: Sandbox, page: Page) -> None:
    """The library says what digits are; without any the board asks for them."""
    page.dial("answer")
    row = page.row(state="bridged")
    status, answer = page.act(row, "digits", "12a")
    assert 400 == status
    assert "digits" in answer["error"]
    assert (400, {"error": "Type digits first."}) == page.act(row, "digits")
    cm.assert_not_sent("send_dtmf")


@pytest.mark.parametrize("headers", [
    {},
    {"Origin": "null"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:81"},
    {"Origin": "http://evil.example", "Host": "evil.example"},
])  # fmt: skip
def test_other_sites_press_nothing(cm: Sandbox, page: Page, headers: dict[str, str]) -> None:
    """Not even one whose name leads to this machine."""
    key = f"{page.run}-1"
    assert 403 == page.press("/calls", headers, to=NUMBER, outcome="me", key=key)[0]
    assert 403 == page.press("/ring", headers)[0]
    cm.assert_not_dialed()
    assert [] == cm.calls


def test_forms_and_links_press_nothing(cm: Sandbox, app: Any, page: Page) -> None:
    """What changes something is POSTed as JSON."""
    http = app.test_client()
    assert 403 == http.post("/calls", data={"to": NUMBER}, headers=HERE).status_code
    assert 405 == http.get("/calls").status_code
    assert 400 == http.post("/calls", json=["to"], headers=HERE).status_code
    assert 413 == http.post("/calls", json={"to": "1" * 20_000}, headers=HERE).status_code
    assert [] == cm.calls


def test_the_page(app: Any) -> None:
    """It says that it is a sandbox, and runs no script but its own."""
    http = app.test_client()
    answer = http.get("/")
    assert 200 == answer.status_code
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "Ring +1 800 555 0100" in answer.text
    assert [] == re.findall(r"<script(?! src=)|<style| style=| on\w+=|https?://", answer.text)
    for host, status in (
        ("evil.example", 403), ("evil.example:5050", 403), ("127.0.0.1.evil.example", 403),
        ("127.0.0.1:5050", 200), ("[::1]:5050", 200), ("[::1]", 200), ("localhost:5050", 200),
    ):  # fmt: skip
        assert status == http.get("/", headers={"Host": host}).status_code, host
    for name in ("board.js", "board.css", "board.svg"):
        with http.get(f"/static/{name}") as answer:
            assert 200 == answer.status_code


def test_the_stream(app: Any, page: Page) -> None:
    """All there is comes first, then each change, with its number."""
    with app.test_client().get("/events") as answer:
        assert "text/event-stream" == answer.mimetype
        chunks = iter(answer.response)
        assert b"retry: 1000\n\n" == next(chunks)
        first = next(chunks).decode()
        page.press("/ring")
        second = next(chunks).decode()
    version = int(first.split()[1])
    assert first.startswith(f"id: {version}\nevent: board\ndata: {{")
    assert second.startswith(f"id: {version + 1}\nevent: call\ndata: {{")
    assert second.endswith("}\n\n")


def test_two_browsers_see_the_same(app: Any, page: Page) -> None:
    """And one that comes later sees what has become of it."""
    other = Page(app)
    page.dial("answer")
    page.row(state="bridged")
    other.row(state="bridged")
    assert page.seen[-3:] == other.seen[-3:]
    late = Page(app)
    assert [page.seen[-1][1]] == late.seen[0][1]["calls"]


def test_a_browser_that_is_too_slow(
    app: Any, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is let go, to come again; nobody waits for it."""
    monkeypatch.setattr(boards, "CHANGES_WAITING", 2)
    slow = page.board.open()
    page.dial("answer")
    page.row(state="bridged")
    assert slow.gone.wait(SECONDS)
    assert slow not in page.board._browsers
    page.act(page.seen[-1][1], "hang-up")
    page.row(over=True)


def test_ended_calls_are_kept_for_a_while(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last few, with those that are up."""
    monkeypatch.setattr(boards, "ENDED_SHOWN", 2)
    page.dial("answer", "up")
    up = page.row(state="bridged")
    ended = []
    for key in "12345":
        page.dial("invalid", key)
        ended.append(page.row(over=True)["id"])
    assert [up["id"], *ended[-3:]] == [row["id"] for row in page.board.rows()]


def test_the_connection_is_lost(cm: Sandbox, page: Page) -> None:
    """It shows, and so does which calls may have ended meanwhile."""
    page.dial("answer")
    page.row(state="bridged")
    cm.drop_connections()
    said = [page.next() for _ in range(3)]
    assert ["reconnecting", "connected"] == [each for each in said if isinstance(each, str)]
    assert [True] == [each["stale"] for each in said if isinstance(each, dict)]


def test_a_closed_board_lets_browsers_go(cm: Sandbox, start: Callable[[Sandbox], Any]) -> None:
    """Those that wait, and those that come too late."""
    app = start(cm)
    board: Board = app.extensions["callboard"]
    waiting = board.open()
    waiting.next(SECONDS)
    told = threading.Event()
    thread = threading.Thread(target=lambda: (waiting.next(SECONDS), told.set()))
    thread.start()
    board.close()
    assert told.wait(SECONDS)
    thread.join(SECONDS)
    assert waiting.gone.is_set()
    assert board.open().gone.is_set()


def address(program: Program) -> str:
    """Where a board says that it is."""
    return program.line().partition(" at ")[2].split()[0]


def test_one_command_starts_it() -> None:
    """On this machine only, with a sandbox; Ctrl-C ends it though a page is open."""
    with Program(COMMAND, environment()) as program:
        url = address(program)
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url + "events", timeout=SECONDS) as stream:
            assert any(b"event: board" in line for line in iter(stream.readline, b""))
            program.interrupt()
            code, lines = program.finish()
    assert (0, []) == (code, lines), program.stderr
    assert "" == program.stderr


def test_on_a_call_manager(cm: Sandbox) -> None:
    """Without the sandbox's buttons; calls come in for the DID; Ctrl-C hangs up."""
    with Program(COMMAND, account(cm, DID="+18005550100")) as program:
        url = address(program)
        assert "+18005550100" in str(cm.wait_for_command("register")["subscribe_numbers"])
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            page = answer.read().decode()
        assert ("Calls cost money" in page, "Ring" in page) == (True, False)
        with urllib.request.urlopen(url + "events", timeout=SECONDS) as stream:
            lines = iter(stream.readline, b"")
            run = json.loads(next(at for at in lines if at.startswith(b"data:"))[5:])["run"]
            fields = json.dumps({"to": NUMBER, "key": f"{run}-1"}).encode()
            headers = {"Content-Type": "application/json", "Origin": url.rstrip("/")}
            request = urllib.request.Request(url + "calls", fields, headers)
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                assert 202 == answer.status
            assert any(b'"state": "bridged"' in line for line in lines)
        assert "rtc-token-1" == cm.wait_for_command("outbound")["token"]
        program.interrupt()
        code, _ = program.finish()
    assert 0 == code, program.stderr
    assert "endcall" == cm.calls[0].ended_by


@pytest.mark.parametrize("name", ["FROM_NUMBER", "APPID"])
def test_what_is_missing_is_named(cm: Sandbox, name: str) -> None:
    """In one line."""
    env = account(cm)
    del env[name]
    with Program(COMMAND, env) as program:
        code, lines = program.finish()
    assert (1, []) == (code, lines)
    assert 1 == len(program.stderr.splitlines())
    assert name in program.stderr
