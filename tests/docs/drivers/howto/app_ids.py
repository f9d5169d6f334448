"""docs/howto/app-ids.rst."""

from __future__ import annotations

import signal

from tests.docs.play import SECONDS, Output, Play
from tests.docs.rst import Block
from tests.docs.web import SETTINGS

DIDS = {"APPID-1": ["+18005550001"], "APPID-2": ["+18005550002"]}


def multi(block: Block, play: Play, output: Output) -> None:
    """Every command names its App ID, and each has tokens of its own."""
    cm = play.start(dids=DIDS)
    play.write(block)
    keys = {"ALPHA_CERTIFICATE": "rtc-token-a", "BETA_CERTIFICATE": "rtc-token-b"}
    program = play.python(block.caption, APPID="MULTI", **keys, **SETTINGS)
    assert "Alpha: outbound, NORMAL_CLEARING" == program.line()
    assert "Beta: outbound, NORMAL_CLEARING" == program.line()

    caller = cm.incoming(to="+18005550001", from_="+15559876543")
    assert caller.wait_accepted(SECONDS)
    refused = cm.incoming(to="+18005550002", from_="+15559876543")
    assert "CALL_REJECTED" == refused.wait_ended(SECONDS)
    caller.hang_up()
    assert "Alpha: inbound, NORMAL_CLEARING" == program.line()
    program.interrupt(signal.SIGTERM)
    assert (0, []) == program.finish()

    register, *commands = cm.frames
    assert "MULTI" == register["appid"]
    said = [(frame["action"], frame["appid"]) for frame in commands]
    called = [(action, app) for app in DIDS for action in ("outbound", "send_dtmf", "endcall")]
    assert [*called, ("accept", "APPID-1"), ("reject", "APPID-2")] == said
    tokens = [frame["token"].partition("/")[0] for frame in commands if "token" in frame]
    assert ["rtc-token-a", "rtc-token-b", "rtc-token-a"] == tokens


def clients(block: Block, play: Play, output: Output) -> None:
    """Each with the credentials of its App ID."""
    tokens = {"APPID-1": "Basic rtc-token-1", "APPID-2": "Basic rtc-token-2"}
    cm = play.start(tokens=tokens)
    play.write(block)
    variables = {f"AUTH_TOKEN_{app[-1]}": token for app, token in tokens.items()}
    program = play.python(block.caption, **variables, **SETTINGS)
    assert (0, ["APPID-1 hangup", "APPID-2 hangup"]) == program.finish(), program.stderr
    registered = [frame for frame in cm.frames if "register" == frame["action"]]
    assert list(tokens.items()) == [(f["appid"], f["auth_token"]) for f in registered]
