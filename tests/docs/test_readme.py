"""Every code block of README.rst does what it says.

Blocks are known by their ``:name:``. Python blocks run as they are written, on a thread of their
own, against a sandbox that the environment names; diagrams are compared with what went over the
wire; the shell's commands must exist. A block that nothing here knows how to run fails.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from prometheus_client import REGISTRY

import telephony
from telephony import CallHangup, CallIncoming, CallOrphaned, Client, CommandTimeoutError
from telephony import DtmfReceived
from telephony.sandbox import Sandbox
from tests.conftest import DIAL
from tests.docs.rst import README, ROOT, Block, blocks, read
from tests.docs.wiretap import Wiretap
from tests.scripted import Recorded, Running

BLOCKS = blocks(read(README)[0])
SECONDS = 10.0
Start = Callable[..., Sandbox]


# --- Python ------------------------------------------------------------------------------


class Played:
    """A Python block that runs on a thread of its own; its names are ``[]``'s."""

    def __init__(self, block: Block) -> None:
        # The blank lines make line numbers those of the whole file.
        source = "\n" * max(0, block.line - 1) + block.text
        self.names: dict[str, Any] = {"__name__": "readme"}
        self._running = Running(exec, compile(source, str(README), "exec"), self.names)

    def __getitem__(self, name: str) -> Any:
        return self.names[name]

    def finish(self) -> None:
        """Wait until it is through; raises what it raises."""
        self._running.result(30)

    def client(self, cm: Sandbox) -> Client:
        """Its client, once it is connected."""
        cm.wait_for_command("register")
        client: Client = self["client"]
        assert client.wait_connected(SECONDS)
        return client

    def close(self) -> None:
        """End a block that runs for ever."""
        self["client"].close(drain=SECONDS)
        self.finish()


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, environment: Start) -> Iterator[Any]:
    """What the drivers below need."""
    begun: list[Played] = []

    class Play:
        """Starts sandboxes and blocks."""

        start = staticmethod(environment)

        @staticmethod
        def run(block: Block) -> Played:
            """Run a block as it is written."""
            begun.append(Played(block))
            return begun[-1]

        @staticmethod
        def redirected(block: Block, cm: Sandbox) -> Played:
            """Run a block that holds the production URL, with only that leading to *cm*.

            Its credentials are an ellipsis, which no Call Manager takes: they go with it.
            """

            class Redirected(Client):
                """``Client`` with the address changed, and nothing else."""

                def __init__(self, url: str, auth_token: str, *rest: Any, **options: Any) -> None:
                    assert url.startswith("wss://sipcm.agora.io")
                    assert "Basic …" == auth_token
                    super().__init__(cm.url, cm.auth_token, *rest, **options)

            monkeypatch.setattr(telephony, "Client", Redirected)
            return Play.run(block)

    yield Play()
    for played in begun:  # where a test failed, a client may still run
        client = played.names.get("client")
        if isinstance(client, Client):
            client.close()


def script(block: Block, play: Any, output: Callable[[], str]) -> None:
    """The callee hears our digits and presses a PIN."""
    cm = play.start(app_ids="APPID")
    played = play.redirected(block, cm)
    cm.wait_for_command("send_dtmf")
    callee = cm.peer(cm.calls[0].call_id)
    assert "1234#" == callee.wait_heard("1234#", SECONDS)
    callee.press("4711#")
    played.finish()
    assert "4711" == played["pin"]
    assert re.fullmatch(r"NORMAL_CLEARING \d+\n", output())
    actions = ["register", "outbound", "send_dtmf", "endcall"]
    assert actions == [frame["action"] for frame in cm.frames]
    assert "client-1" == cm.frames[0]["client_id"]


def service(block: Block, play: Any, output: Callable[[], str]) -> None:
    """One caller is answered and presses a key; a call to another number is left alone."""
    cm = play.start()
    played = play.run(block)
    client = played.client(cm)
    keys, ends = Recorded(), Recorded()
    client.on(DtmfReceived, keys)  # added last, so told last
    client.on(CallHangup, ends)
    caller = cm.incoming(to="+1800…", from_="+1555…")
    assert caller.wait_accepted(SECONDS)
    caller.press("5")
    keys.next()
    other = cm.incoming(to="+1900…", from_="+1555…")
    assert not other.wait_accepted(SECONDS)
    caller.hang_up()
    end = ends.next()
    played.close()
    call_id = caller.call_id
    assert f"{call_id} 5\n{call_id} NORMAL_CLEARING {end.billsec}\n" == output()


def token_provider(block: Block, play: Any, output: Callable[[], str]) -> None:
    """The dial carries the token that the function made."""
    cm = play.start()
    play.run(block).finish()
    dial = cm.wait_for_command("outbound")
    assert ("token for 100 in room", "100", "20") == (dial["token"], dial["uid"], dial["timeout"])


def menu(block: Block, play: Any, output: Callable[[], str]) -> None:
    """Every way out of the menu is taken once."""
    cm = play.start()
    played = play.run(block)
    client = played.client(cm)
    ends = Recorded()
    client.on(CallHangup, ends)

    def caller() -> Any:
        far = cm.incoming(to="+18005550001", from_="+15559876543")
        assert far.wait_accepted(SECONDS)
        return far

    sales = caller()
    sales.press("1")
    assert "sales" == cm.wait_for_command("rebridge")["channel"]
    sales.hang_up()
    support = caller()
    support.press("2")
    assert "BLIND_TRANSFER" == support.wait_ended(SECONDS)
    assert "+15551230002" == support.transferred_to
    wrong = caller()
    wrong.press("9")
    cm.wait_for_command("hangup", callid=wrong.call_id)
    left = caller()
    left.hang_up("NO_USER_RESPONSE")
    told = {ends.next().call.call_id for _ in range(4)}
    played.close()
    assert {sales.call_id, support.call_id, wrong.call_id, left.call_id} == told
    assert "the caller left: NO_USER_RESPONSE\n" in output()


def handler(block: Block, play: Any, output: Callable[[], str]) -> None:
    """The desk rejects the caller."""
    cm = play.start()
    played = play.run(block)
    told = Recorded()
    played.client(cm).on(CallIncoming, told)  # told once the handler has returned
    caller = cm.incoming(to="+18005550001", from_="+15559876543")
    told.next()
    assert "CALL_REJECTED" == caller.hangup_cause
    assert "closed" == cm.wait_for_command("reject")["reason"]
    played.close()
    assert "from +15559876543\n" == output()


def multi(block: Block, play: Any, output: Callable[[], str]) -> None:
    """The dialled number loops back, so that the callback accepts the call; all name their App."""
    dids = {"APPID-1": ["+18005551234"], "APPID-2": []}
    cm = play.start(app_ids=["APPID-1", "APPID-2"], dids=dids)
    play.redirected(block, cm).finish()
    said = [(frame["action"], frame["appid"]) for frame in cm.frames]
    app = "APPID-1"
    expected = [("register", "MULTI"), ("outbound", app), ("accept", app), ("endcall", app)]
    assert expected == said


def subscriptions(block: Block, play: Any, output: Callable[[], str]) -> None:
    """Only the calls subscribed to are offered, and of them one number is answered."""
    cm = play.start()
    played = play.run(block)
    cm.wait_for_command("subscribe")
    client = played.client(cm)
    offered = Recorded()
    client.on(CallIncoming, offered)
    # The first number is subscribed to from the start: its call may overtake nothing.
    first = cm.incoming(to="+18005550001", from_="+15559876543")
    assert first.call_id == offered.next().call.call_id
    second = cm.incoming(to="+18005550002", from_="+15559876543")
    assert second.wait_accepted(SECONDS)
    third = cm.incoming(to="+18005550003", from_="+15559876543")
    assert "UNALLOCATED_NUMBER" == third.hangup_cause
    assert not first.wait_accepted(SECONDS)
    played.close()
    assert ["+18005550001"] == cm.frames[0]["subscribe_numbers"]


def outcomes(block: Block, play: Any, output: Callable[[], str]) -> None:
    """The block's function tells the outcomes apart."""
    cm = play.start()
    played = play.run(block)
    played.finish()
    client = played["client"]
    try:
        assert "not connected: try again\n" == output()
        assert played["call"] is client.call(played["call"].call_id)

        cm.script_dial("busy")
        assert played["ring"]("+18005551234") is None
        assert "refused: Busy\n" == output()

        played["call"].hangup()
        orphans = Recorded()
        client.on(CallOrphaned, orphans)
        ringing = Running(played["ring"], "+18005550009")
        cm.wait_for_command("outbound", to="+18005550009")
        cm.drop_connections()
        assert ringing.result() is None
        assert re.fullmatch(r"no answer: it may ring <Call .*\+18005550009.*>\n", output())

        callee = cm.peer(cm.calls[-1].call_id)
        assert client.wait_connected(SECONDS)
        assert callee.wait_accepted(SECONDS)
        callee.press("1")  # that it was answered may have been said while nobody was connected
        assert callee.call_id == orphans.next().call.call_id
        expected = f"it was placed after all, and is being hung up: {callee.call_id}\n"
        assert expected == output()
        assert "NORMAL_CLEARING" == callee.wait_ended(SECONDS)
    finally:
        client.close()


def sandbox(block: Block, play: Any, output: Callable[[], str]) -> None:
    """It brings its own sandbox and asserts for itself."""
    played = play.run(block)
    played.finish()
    assert [] == played["client"].calls()


def metrics(block: Block, play: Any, output: Callable[[], str]) -> None:
    """What the client did can be scraped under the names that the text gives."""
    play.start()
    try:
        play.run(block).finish()
        scraped = output()
        assert 'telephony_commands_total{action="outbound",end="ok"} 1.0' in scraped
        assert 'telephony_commands_total{action="endcall",end="ok"} 1.0' in scraped
        assert "telephony_connected 0.0" in scraped
        text = README.read_text("utf-8").partition("with the metrics")[2].partition("::")[0]
        said = set(re.findall(r"``(telephony_\w+)``", text))
        typed = re.findall(r"^# TYPE (telephony_\w+) (?!.*_created)", scraped, re.MULTILINE)
        assert said == {name for name in typed if not name.endswith("_created")}
    finally:
        for collector in set(REGISTRY._names_to_collectors.values()):
            if any(name.startswith("telephony") for name in REGISTRY._get_names(collector)):
                REGISTRY.unregister(collector)


PYTHON: dict[str, Callable[[Block, Any, Callable[[], str]], None]] = {
    "script": script,
    "service": service,
    "token-provider": token_provider,
    "menu": menu,
    "handler": handler,
    "multi": multi,
    "subscriptions": subscriptions,
    "outcomes": outcomes,
    "sandbox": sandbox,
    "metrics": metrics,
}


def of_kind(language: str) -> list[Any]:
    """The blocks in one language, as parameters."""
    found = [block for block in BLOCKS if block.language == language]
    return [pytest.param(block, id=block.name or f"line {block.line}") for block in found]


@pytest.mark.parametrize("block", of_kind("python"))
def test_python(
    block: Block, play: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Each Python block runs as it is written, and does what the text around it says."""
    if block.name == "pytest-fixtures":
        passes_as_a_test_suite(block, tmp_path)
        return
    assert block.name in PYTHON, "nothing here knows how to run this block"
    PYTHON[block.name](block, play, lambda: capsys.readouterr().out)


def passes_as_a_test_suite(block: Block, folder: Path) -> None:
    """The block is a test; it runs in a project of its own, with the installed plugin."""
    (folder / "test_from_readme.py").write_text(block.text, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert 0 == ran.returncode, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout


# --- the shell ---------------------------------------------------------------------------


def telephony_commands(text: str) -> list[list[str]]:
    """The ``telephony …`` commands in a shell block."""
    commands = []
    for line in text.splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            assert words[:1] in ([], ["telephony"], ["pip"], ["pytest"]), f"unknown: {part}"
            if words[:1] == ["telephony"]:
                commands.append(words[1:])
    return commands


@pytest.mark.parametrize("block", of_kind("sh"))
def test_shell_commands_exist(block: Block) -> None:
    """Each ``telephony`` command can be asked for help, and each of its options is in there."""
    if block.name == "long-runs":
        modules_can_be_asked_for_help(block.text)
        return
    commands = telephony_commands(block.text)
    assert commands, "nothing here knows how to run this block"
    for name, *arguments in commands:
        command = [sys.executable, "-m", "telephony", name, "--help"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert 0 == ran.returncode, ran.stderr
        for option in (word for word in arguments if word.startswith("-")):
            assert option in ran.stdout


def modules_can_be_asked_for_help(text: str) -> None:
    """The same for the modules of the tests; the profiles are those of ``tests/model``."""
    for line in text.splitlines():
        program, *words = shlex.split(line, comments=True)
        if program == "pytest":
            command = [sys.executable, "-m", "pytest", *words, "--collect-only", "-q"]
            ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
            assert 0 == ran.returncode, ran.stdout
            continue
        assert ("python", "-m") == (program, words[0])
        options = [word for word in words[2:] if word.startswith("--")]
        command = [sys.executable, "-m", words[1], "--help"]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert 0 == ran.returncode, ran.stderr
        assert [] == [option for option in options if option not in ran.stdout]


def test_the_command_line_does_what_it_says() -> None:
    """Every line of the block runs; the sandbox in it is the Call Manager of those below it."""
    block = next(block for block in BLOCKS if block.name == "command-line")
    commands = telephony_commands(block.text)
    assert ["demo", "sandbox", "check", "dial", "listen"] == [words[0] for words in commands]
    demo, sandbox, *others = [[sys.executable, "-m", "telephony", *words] for words in commands]
    assert 0 == subprocess.run(demo, capture_output=True, timeout=60).returncode
    with subprocess.Popen(sandbox, stdout=subprocess.PIPE, text=True) as running:
        try:
            exported = {}
            assert running.stdout is not None
            while "REGION" not in exported:
                command, assignment = shlex.split(running.stdout.readline())
                assert "export" == command
                name, _, value = assignment.partition("=")
                exported[name] = value
            environment = {**os.environ, **exported}
            for command in others:
                ran = subprocess.run(
                    command, env=environment, capture_output=True, text=True, timeout=60
                )
                assert 0 == ran.returncode, ran.stdout + ran.stderr
                lines = [json.loads(line) for line in ran.stdout.splitlines()]
                assert lines, command
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(SECONDS)


def test_telephony_is_installed_as_a_command() -> None:
    """The command of the shell blocks is one that installing the package makes."""
    scripts = importlib.metadata.entry_points(group="console_scripts", name="telephony")
    assert ["telephony.cli:main"] == [script.value for script in scripts]


TWO = ('pip install ".[sandbox]" && telephony demo', 'pip install ".[test]" && pytest')


def test_two_commands_stand_at_the_top() -> None:
    """They come first, in exactly this form, after one or two sentences."""
    assert "two-commands" == BLOCKS[0].name
    assert "\n".join(TWO) == BLOCKS[0].text
    text = README.read_text("utf-8")
    assert "\n" + "".join(f"    {command}\n" for command in TWO) in text
    before = text.partition(".. code-block")[0].split("\n", 2)[2]
    assert 1 <= len(re.findall(r"[.:](?=\s)", before)) <= 2


def test_two_commands_name_extras_that_exist() -> None:
    """What they install in brackets is in the package's metadata."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    extras = re.findall(r'"\.\[(\w+)\]"', " ".join(TWO))
    assert ["sandbox", "test"] == extras
    assert set(extras) <= set(settings["options.extras_require"])


@pytest.mark.skipif(not (ROOT / ".ci" / "run").exists(), reason="not a checkout: no .ci/run")
def test_the_checks_run_the_two_commands() -> None:
    """.ci/run gives both in the same words."""
    checks = (ROOT / ".ci" / "run").read_text("utf-8")
    assert [] == [command for command in TWO if command not in checks]


# --- diagrams ----------------------------------------------------------------------------

ARROW = re.compile(r"\|(?P<back><?)-+ (?P<label>\S.*?) -+>?\|")


def drawn(text: str) -> list[str]:
    """The labels of a diagram's arrows, in order: ``> outbound``, ``< call_ringing``."""
    heading, *lines = text.splitlines()
    assert ["client", "Call", "Manager"] == heading.split()
    found = []
    for line in lines:
        arrow = ARROW.search(line)
        assert arrow, f"no arrow: {line}"
        found.append(("< " if arrow["back"] else "> ") + arrow["label"])
    return found


def went(tap: Wiretap, *, directions: bool = False) -> list[str]:
    """What went over the wire after the handshake, in the same words."""
    found = []
    for from_client, frame in tap.frames[3:]:
        if from_client:
            found.append(f"> {frame['action']}")
        elif "event" in frame:
            direction = f"{frame['direction']} " if directions else ""
            found.append(f"< {direction}{frame['event']}")
        else:
            found.append(f"< response to {frame['response']}")
    return found


def tapped(cm: Sandbox, tap: Wiretap, **options: Any) -> Client:
    return Client(tap.url, cm.auth_token, None, cm.app_id, **options)


def flow_outbound(cm: Sandbox) -> list[str]:
    with Wiretap(cm.url) as tap, tapped(cm, tap) as client:
        call = client.dial(**DIAL)
        call.wait_bridged(SECONDS)
        call.send_dtmf("12#")
        tap.wait_for("dtmf_received")
        call.hangup()
        call.wait_ended(SECONDS)
        return went(tap)


def flow_accepted(cm: Sandbox) -> list[str]:
    with Wiretap(cm.url) as tap, tapped(cm, tap) as client:
        ended = Recorded()
        client.on(CallHangup, ended)
        client.on(CallIncoming, lambda event: event.call.accept(token="t", channel="c", uid="1"))
        caller = cm.incoming(to="+18005550001", from_="+15559876543")
        tap.wait_for("agora_bridge_start")
        caller.hang_up()
        ended.next()
        return went(tap)


def flow_rejected(cm: Sandbox) -> list[str]:
    with Wiretap(cm.url) as tap, tapped(cm, tap) as client:
        ended = Recorded()
        client.on(CallIncoming, lambda event: event.call.reject("busy"))
        client.on(CallIncoming, ended)  # told once the callback before it has returned
        caller = cm.incoming(to="+18005550001", from_="+15559876543")
        assert "hangup" == ended.next().call.state
        assert 404 == caller.sip_status
        return went(tap)


def flow_loop_back(cm: Sandbox) -> list[str]:
    with Wiretap(cm.url) as tap, tapped(cm, tap, subscribe_numbers=[DIAL["to"]]) as client:
        client.on(CallIncoming, lambda event: event.call.accept(token="t", channel="c", uid="1"))
        ended = Recorded()
        client.on(CallHangup, ended)
        call = client.dial(**DIAL)
        tap.wait_for("agora_bridge_start", 2)
        call.hangup()
        assert {"inbound", "outbound"} == {ended.next().info.direction for _ in range(2)}
        return went(tap, directions=True)


def flow_rebridge(cm: Sandbox) -> list[str]:
    with Wiretap(cm.url) as tap, tapped(cm, tap) as client:
        call = client.dial(**DIAL)
        call.wait_bridged(SECONDS)
        before = len(went(tap))
        call.rebridge(token="t", channel="other", uid="2")
        call.wait_for(lambda info: ("bridged", "other") == (info.state, info.channel), SECONDS)
        tap.wait_for("agora_bridge_start", 2)
        return went(tap)[before:]


FLOWS: dict[str, Callable[[Sandbox], list[str]]] = {
    "flow-outbound": flow_outbound,
    "flow-accepted": flow_accepted,
    "flow-rejected": flow_rejected,
    "flow-loop-back": flow_loop_back,
    "flow-rebridge": flow_rebridge,
}


def tree(text: str) -> dict[str, tuple[str, str | None]]:
    """A drawn tree: name to (parent, what stands in brackets)."""
    found: dict[str, tuple[str, str | None]] = {}
    path: list[str] = []
    for line in text.splitlines():
        drawing, name, bracket = re.fullmatch(r"([│├└─ ]*)(\w+)(?: \((\w+)\))?", line).groups()
        del path[len(drawing) // 4:]
        found[name] = (path[-1] if path else "Exception", bracket)
        path.append(name)
    return found


def coded_tree() -> dict[str, tuple[str, str | None]]:
    """The same of the code's exceptions."""
    found = {}
    for name in telephony.__all__:
        kind = getattr(telephony, name)
        if isinstance(kind, type) and issubclass(kind, Exception):
            names = [base.__name__ for base in kind.__bases__]
            found[name] = (names[0], names[1] if len(names) > 1 else None)
    return found


def lines_of_a_dial(cm: Sandbox, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of an answered dial and one that gave up, with the ids of the example."""
    orphans = Recorded()
    with caplog.at_level("INFO", "telephony"), cm.client() as client:
        client.on(CallOrphaned, orphans)
        call = client.dial(**DIAL)
        call.wait_answered(SECONDS)
        cm.delay(0.2, "outbound")
        with pytest.raises(CommandTimeoutError):
            client.dial(**{**DIAL, "uid": "101"}, command_timeout=0.01)
        orphan = orphans.next().call
    lines = [f"{record.levelname} {record.getMessage()}" for record in caplog.records]
    text = "\n".join(lines).replace(call.call_id, "4f1c…").replace(orphan.call_id, "77ab…")
    wanted = ("connecting -> connected", "4f1c…: new", "4f1c…: ringing", "77ab… turned")
    return [line for line in text.splitlines() if any(word in line for word in wanted)]


@pytest.mark.parametrize("block", of_kind("text"))
def test_diagram(block: Block, cm: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """A flow is what goes over the wire, in that order; the tree is the code's."""
    if block.name == "log-lines":
        assert block.text.splitlines() == lines_of_a_dial(cm, caplog)
        return
    if block.name == "error-tree":
        assert coded_tree() == tree(block.text)
        return
    assert block.name in FLOWS, "nothing here knows how to check this diagram"
    assert FLOWS[block.name](cm) == drawn(block.text)


# --- nothing is left out -----------------------------------------------------------------


def test_every_block_is_run() -> None:
    """Every block is of a kind that is run above, and has a name of its own."""
    assert [] == [block for block in BLOCKS if block.language not in ("python", "sh", "text")]
    names = [block.name for block in BLOCKS]
    assert "" not in names
    assert len(set(names)) == len(names)


def test_every_driver_has_its_block() -> None:
    """What the tests above know how to run is in the document."""
    names = {block.name for block in BLOCKS}
    shell = {"two-commands", "command-line", "long-runs"}
    assert {*PYTHON, *FLOWS, *shell, "pytest-fixtures", "error-tree", "log-lines"} == names
